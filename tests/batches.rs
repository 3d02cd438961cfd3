//! Compares the memory that a batch is estimated to hold with the peak of this process, which does nothing else.

#[path = "corpus/memory.rs"]
mod memory;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use safelight::options::{Output, Recipe};
use safelight::transform::{BatchItem, Budget, Hints, Limits, Source};

/// What the process holds besides: its code, and rounding by the allocator.
const BASE: u64 = 28 << 20;

#[test]
fn a_batch_holds_no_more_than_its_cost() {
    // Six million pixels, all of which are needed.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/dogs.jpg");
    let source = fs::read(path).expect("the photographs are part of the repository");
    let item = |width, output| BatchItem {
        recipe: Recipe {
            width: Some(width),
            output,
            ..Recipe::default()
        },
        hints: Hints::default(),
    };
    let items: Vec<BatchItem> = [1700, 640, 100]
        .into_iter()
        .flat_map(|width| {
            [Output::Webp, Output::Jpeg { progressive: true }].map(|output| item(width, output))
        })
        .collect();
    let budget = Budget::until(Instant::now() + Duration::from_secs(600));
    let source = Source::open(source.into(), &Limits::default()).expect("a header");
    let pictures = items.len();
    let plan = source.plan_batch(items, u64::MAX);
    let cost = plan.cost();
    memory::reset_peak();
    let (mut made, mut bytes) = (0, 0);
    plan.render(&budget, |_, picture| {
        made += 1;
        bytes += picture.expect("the photograph is whole").bytes.len() as u64;
        ControlFlow::Continue(())
    });
    assert_eq!(made, pictures);
    let Some(peak) = memory::peak() else { return };
    let (peak, pixels) = (peak << 20, 3 * 3088 * 2056);
    assert!(
        peak <= cost.bytes + BASE,
        "{peak} held, {} expected",
        cost.bytes
    );
    // The estimate must not be far too high either.
    assert!(
        cost.bytes <= 3 * peak,
        "{peak} held, {} expected",
        cost.bytes
    );
    assert!(peak > pixels && bytes > 0, "{peak}");
}

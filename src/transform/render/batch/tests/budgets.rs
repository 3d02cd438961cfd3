//! What batches may take: memory, time and pixels, and what they cost.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use crate::codecs::{Limits, TransformError};
use crate::options::{Format, Gravity, Output};
use crate::pixels::Size;
use crate::transform::budget::Budget;
use crate::transform::hints::Hints;
use crate::transform::plan::batch::BatchItem;
use crate::transform::render::batch::tests::{
    JPEG, all, budget, cost_of_all, decodes, items, opened, source, wide, within,
};
use crate::transform::source::Source;
use crate::units::ByteSize;

#[test]
fn limits_and_the_deadline_come_before_pixels() {
    let source = source(Format::Jpeg, (200, 100), false);
    let mut items = items([90, 80].map(|width| wide(width, JPEG)));
    items[1].recipe.gravity = Gravity::Auto;
    let refused = |limits, budget| {
        let (made, decodes) = decodes(|| all(&source, &items, limits, &budget));
        assert_eq!(decodes, 0);
        let errors = made.into_iter().map(|made| made.map(|_| ()));
        errors.collect::<Vec<_>>()
    };
    let limits = Limits {
        source_pixels: 19_999,
        ..Limits::default()
    };
    let too_many = TransformError::TooManyPixels {
        size: Size::new(200, 100),
        limit: 19_999,
    };
    let expected = vec![Err(too_many.clone()), Err(too_many)];
    assert_eq!(refused(limits, budget()), expected);
    let limits = Limits {
        render_memory: ByteSize::mib(1),
        ..Limits::default()
    };
    let made = refused(limits, budget());
    let is_dear = |made: &Result<_, _>| matches!(made, Err(TransformError::TooCostly { .. }));
    assert!(made.iter().all(is_dear), "{made:?}");
    let late = Budget::until(Instant::now());
    let expected = vec![
        Err(TransformError::OutOfTime),
        Err(TransformError::OutOfTime),
    ];
    assert_eq!(refused(Limits::default(), late), expected);
}

#[test]
fn nothing_more_is_made_for_whoever_breaks_off() {
    let source = source(Format::Png, (100, 80), false);
    let items = items([90, 80, 70].map(|width| wide(width, JPEG)));
    let mut told = 0;
    let plan = opened(&source).plan_batch(items, u64::MAX);
    plan.render(&budget(), |_, _| {
        told += 1;
        ControlFlow::Break(())
    });
    assert_eq!(told, 1);
}

#[test]
fn what_needs_more_than_is_usual_is_a_piece_of_work_by_itself() {
    let source = source(Format::Jpeg, (1600, 1200), false);
    let limits = Limits {
        render_memory: ByteSize::mib(64),
        ..Limits::default()
    };
    let known = Source::open(source.clone().into(), &limits).expect("a picture");
    let items = items([
        wide(100, JPEG),
        wide(1500, Output::Webp),
        wide(200, JPEG),
        wide(1590, JPEG),
    ]);
    let cost_of = |item: &BatchItem| {
        let plan = known.plan(&item.recipe, &item.hints);
        plan.expect("within the limits").cost().bytes
    };
    let usual = cost_of(&items[1]).min(cost_of(&items[3])) - 1;
    let plans = known.plan_batches(items.clone(), usual);
    let numbers: Vec<_> = plans.iter().map(|(numbers, _)| &numbers[..]).collect();
    assert_eq!(numbers, [&[0, 2][..], &[1], &[3]]);
    assert!(plans[0].1.cost().bytes <= usual);
    for (numbers, plan) in &plans {
        let mut told = Vec::new();
        plan.render(&budget(), |number, made| {
            made.expect("a picture");
            told.push(numbers[number]);
            ControlFlow::Continue(())
        });
        told.sort_unstable();
        assert_eq!(&told, numbers);
    }
    // What fits into no memory is refused by the limit of all renders, alone.
    let limits = Limits {
        render_memory: ByteSize::new(usual),
        ..limits
    };
    let known = Source::open(source.into(), &limits).expect("a picture");
    let plans = known.plan_batches(items, usual / 2);
    let mut refused = Vec::new();
    for (numbers, plan) in &plans {
        plan.render(&budget(), |number, made| {
            match made {
                Ok(_) => {}
                Err(TransformError::TooCostly { limit, .. }) => {
                    refused.push((numbers[number], limit));
                }
                Err(other) => panic!("{other}"),
            }
            ControlFlow::Continue(())
        });
    }
    assert_eq!(refused, [(1, usual), (3, usual)]);
}

#[test]
fn what_does_not_fit_into_memory_together_is_made_in_parts() {
    let source = source(Format::Jpeg, (800, 600), false);
    let items = items(
        [JPEG, Output::Webp]
            .into_iter()
            .flat_map(|output| [790, 780, 300, 100, 50].map(|width| wide(width, output))),
    );
    let limits = Limits::default();
    let known = opened(&source);
    let cost = |items, most| cost_of_all(&known, items, most);
    let whole = cost(&items, u64::MAX);
    let dearest = items
        .iter()
        .map(|item| cost(std::slice::from_ref(item), u64::MAX).bytes)
        .max()
        .expect("there are some");
    assert!(dearest < whole.bytes, "{dearest} {}", whole.bytes);
    let parted = cost(&items, dearest);
    assert_eq!(parted.bytes, dearest);
    assert!(parted.cpu > whole.cpu);
    let (made, count) = decodes(|| within(&source, &items, (limits, dearest), &budget()));
    assert!(made.iter().all(Result::is_ok));
    assert!(count >= 2 && (count as usize) < items.len(), "{count}");
    // What is dearest is refused where there is less, and the others are made.
    let made = within(&source, &items, (limits, dearest - 1), &budget());
    let refused = made.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    let limit = dearest - 1;
    assert_eq!(
        refused,
        [TransformError::TooCostly {
            bytes: dearest,
            limit
        }]
    );
}

#[test]
fn a_batch_costs_less_than_its_pictures() {
    let source = opened(&source(Format::Jpeg, (800, 600), false));
    let items = items([600, 300, 100].map(|width| wide(width, Output::Webp)));
    let one_by_one: Duration = items
        .iter()
        .map(|item| source.plan(&item.recipe, &item.hints))
        .map(|plan| plan.expect("a good source").cost().cpu)
        .sum();
    let together = cost_of_all(&source, &items, u64::MAX);
    assert!(together.cpu < one_by_one, "{together:?} {one_by_one:?}");
    let single = cost_of_all(&source, &items[..1], u64::MAX);
    let alone = source.plan(&items[0].recipe, &Hints::default());
    assert_eq!(single.bytes, alone.expect("a good source").cost().bytes);
}

//! What a picture costs, as a process says it that reads no picture.

use bytes::Bytes;

use super::{budget, recipe, source};
use crate::codecs::decode;
use crate::options::{Fit, Format, Gravity, Output, Recipe};
use crate::transform::{HintFiles, Limits, ReducedCopyFile, Source};

#[test]
fn a_price_is_that_of_the_plan_without_a_file_being_read() {
    let opened = |width, height| {
        let bytes = Bytes::from(source(Format::Jpeg, width, height));
        Source::open(bytes, &Limits::default()).expect("a good source")
    };
    let small = opened(400, 300);
    let cropped = Recipe {
        width: Some(20),
        height: Some(20),
        fit: Fit::Cover,
        gravity: Gravity::Auto,
        ..recipe(Output::Webp)
    };
    let map = small.plan_saliency_map(cropped.gravity).expect("a plan");
    let map = map.render(&budget()).expect("a map").bytes;
    let hints = HintFiles {
        saliency_map: Some(map.into()),
        reduced_copy: None,
    };
    for hints in [HintFiles::default(), hints] {
        let before = decode::HEADERS.get();
        let price = small.price(&cropped, &hints).expect("a price");
        assert_eq!(decode::HEADERS.get(), before);
        let plan = small.plan(&cropped, &hints.read()).expect("a plan");
        assert_eq!(price, plan.cost());
    }
    if cfg!(feature = "native") {
        let (large, narrow) = (
            opened(4000, 2500),
            Recipe {
                width: Some(300),
                ..recipe(Output::Webp)
            },
        );
        let copy = large.plan_reduced_copy(4).expect("a plan");
        let copy = copy.render(&budget()).expect("a copy");
        let hints = HintFiles {
            saliency_map: None,
            reduced_copy: Some(ReducedCopyFile {
                denominator: 4,
                bytes: copy.bytes.into(),
            }),
        };
        let before = decode::HEADERS.get();
        let price = large.price(&narrow, &hints).expect("a price");
        assert_eq!(decode::HEADERS.get(), before);
        let cost = large.plan(&narrow, &hints.read()).expect("a plan").cost();
        assert!(price.bytes >= cost.bytes, "{price:?}, {cost:?}");
        let whole = large
            .price(&narrow, &HintFiles::default())
            .expect("a price");
        assert!(price.cpu < whole.cpu, "{price:?}, {whole:?}");
    }
}

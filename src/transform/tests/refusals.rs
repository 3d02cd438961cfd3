//! Sources that are refused.

use std::time::Instant;

use crate::options::{Fit, Format, Output, Recipe};
use crate::pixels::Size;
use crate::transform::tests::{budget, plan, recipe, render, source};
use crate::transform::{Budget, Limits, TransformError};
use crate::units::ByteSize;

#[test]
fn limits_come_before_pixels() {
    let source = source(Format::Png, 200, 100);
    let limited = |limits| {
        let larger = Recipe {
            width: Some(400),
            fit: Fit::Contain,
            ..recipe(Output::Png)
        };
        plan(&source, &larger, &limits)?.render(&budget())
    };
    let limits = Limits::default();
    assert!(limited(limits).is_ok());
    assert_eq!(
        limited(Limits {
            source_pixels: 19_999,
            ..limits
        })
        .map(|_| ()),
        Err(TransformError::TooManyPixels {
            size: Size::new(200, 100),
            limit: 19_999
        })
    );
    assert_eq!(
        limited(Limits {
            output_side: 399,
            ..limits
        })
        .map(|_| ()),
        Err(TransformError::OutputTooLarge {
            size: Size::new(400, 200),
            limit: 399
        })
    );
    assert!(matches!(
        limited(Limits {
            render_memory: ByteSize::mib(1),
            ..limits
        }),
        Err(TransformError::TooCostly { .. })
    ));
    let late = Budget::until(Instant::now());
    assert_eq!(
        render(&source, &recipe(Output::Png), &late).map(|_| ()),
        Err(TransformError::OutOfTime)
    );
}

#[test]
fn what_is_no_picture_is_told_by_name() {
    assert_eq!(
        render(b"hello", &recipe(Output::Png), &budget()).map(|_| ()),
        Err(TransformError::NotAnImage)
    );
    let error = render(b"8BPS\0\x01", &recipe(Output::Png), &budget())
        .map(|_| ())
        .expect_err("not transformed");
    assert!(error.to_string().contains("is PSD"), "{error}");
}

#[test]
fn damage_is_an_error_and_a_missing_end_marker_is_not() {
    let whole = source(Format::Jpeg, 320, 200);
    assert!(
        render(&whole[..whole.len() - 2], &recipe(Output::Png), &budget()).is_ok(),
        "only the end marker is missing"
    );
    for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
        let whole = source(format, 320, 200);
        let cut = render(
            &whole[..whole.len() * 2 / 3],
            &recipe(Output::Png),
            &budget(),
        );
        assert!(
            matches!(cut, Err(TransformError::Decode(_))),
            "{format:?}: {:?}",
            cut.map(|made| made.size)
        );
    }
}

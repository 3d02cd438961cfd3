//! Every source in every output format.

use crate::codecs::encode;
use crate::codecs::encode::{Picture, Settings};
use crate::options::{Effort, Format, Output, Quality, Recipe};
use crate::pixels::Size;
use crate::transform::plan::output;
use crate::transform::tests::{
    assert_quarters, budget, pixels, quality, quarters, recipe, render, source,
};

const ALL_OUTPUTS: [Output; 6] = [
    Output::Compatible { progressive: true },
    Output::Jpeg { progressive: true },
    Output::Jpeg { progressive: false },
    Output::Png,
    Output::Webp,
    Output::Avif,
];

/// Columns of red and blue in turn, with grain, without which they would be a graphic.
fn grainy(width: u32, height: u32) -> Vec<u8> {
    let pixels = (0..width * height).flat_map(|index| {
        let grain = (index.wrapping_mul(2_654_435_761) >> 27).to_le_bytes()[0];
        if index % 2 == 0 {
            [255 - grain, grain, 0]
        } else {
            [0, grain, 255 - grain]
        }
    });
    let picture = Picture::Rgb(Size::new(width, height), pixels.collect());
    let settings = Settings {
        quality: Quality::DEFAULT,
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    encode::encode(&picture, Format::Png, settings).expect("PNG")
}

#[test]
fn every_format_comes_in_and_every_output_goes_out() {
    for from in [Format::Jpeg, Format::Png, Format::Webp, Format::Avif] {
        let source = source(from, 97, 61);
        for output in ALL_OUTPUTS {
            let wanted = Recipe {
                width: Some(48),
                ..recipe(output)
            };
            let made = render(&source, &wanted, &budget())
                .unwrap_or_else(|error| panic!("{from:?} to {output:?}: {error}"));
            assert_eq!(made.size, Size::new(48, 30), "{from:?} to {output:?}");
            assert_quarters(&made, &format!("{from:?} to {output:?}"));
        }
    }
}

#[test]
fn the_bytes_are_of_the_format_that_is_named() {
    let source = source(Format::Png, 64, 64);
    for (output, format) in [
        // Four flat quarters are smaller as PNG.
        (Output::Compatible { progressive: true }, Format::Png),
        (Output::Compatible { progressive: false }, Format::Jpeg),
        (Output::Jpeg { progressive: true }, Format::Jpeg),
        (Output::Png, Format::Png),
        (Output::Webp, Format::Webp),
        (Output::Avif, Format::Avif),
    ] {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        assert_eq!(made.format, format);
        let start: &[u8] = match format {
            Format::Jpeg => b"\xFF\xD8\xFF",
            Format::Png => b"\x89PNG",
            Format::Webp => b"RIFF",
            _ => b"\0\0\0",
        };
        assert!(made.bytes.starts_with(start), "{format:?}");
    }
}

#[test]
fn progressive_and_baseline_are_told_apart() {
    let source = source(Format::Png, 640, 480);
    let start_of_frame = |output| {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        let frame = made
            .bytes
            .windows(2)
            .find(|pair| pair[0] == 0xFF && matches!(pair[1], 0xC0 | 0xC2))
            .map(|pair| pair[1]);
        frame.expect("a JPEG has a frame")
    };
    assert_eq!(start_of_frame(Output::Jpeg { progressive: true }), 0xC2);
    for progressive in [true, false] {
        let compatible = Output::Compatible { progressive };
        let is_progressive = output::is_progressive(compatible, Size::new(640, 480));
        assert_eq!(is_progressive, progressive);
    }
    assert_eq!(start_of_frame(Output::Jpeg { progressive: false }), 0xC0);
}

#[test]
fn lossless_webp_keeps_every_pixel() {
    let wanted = Recipe {
        quality: quality(100),
        ..recipe(Output::Webp)
    };
    let made = render(&source(Format::Png, 61, 43), &wanted, &budget()).expect("a good source");
    assert_eq!(
        pixels(&made).into_u8().expect("there is memory"),
        quarters(61, 43)
    );
}

#[test]
fn halved_chroma_is_the_mean_of_its_pixels() {
    let source = grainy(64, 64);
    for output in [Output::Compatible { progressive: true }, Output::Webp] {
        let made = render(&source, &recipe(output), &budget()).expect("a good source");
        let samples = pixels(&made).into_u8().expect("there is memory");
        let sum = |channel| -> i32 {
            let channel = samples.iter().skip(channel).step_by(3);
            channel.map(|sample| i32::from(*sample)).sum()
        };
        let off = (sum(0) - sum(2)).abs() / (64 * 64);
        assert!(off < 25, "{output:?}: red and blue are {off} apart");
    }
}

#[test]
fn a_better_quality_takes_more_bytes() {
    let samples: Vec<u8> = (0..128 * 128 * 3u32)
        .map(|index| {
            (index.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0] / 2
                + (index / 384).to_le_bytes()[0]
        })
        .collect();
    let picture = Picture::Rgb(Size::new(128, 128), samples);
    let source = encode::encode(
        &picture,
        Format::Png,
        Settings {
            quality: Quality::DEFAULT,
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        },
    )
    .expect("PNG");
    for output in [
        Output::Jpeg { progressive: true },
        Output::Webp,
        Output::Avif,
    ] {
        let bytes = |value| {
            let wanted = Recipe {
                quality: quality(value),
                ..recipe(output)
            };
            render(&source, &wanted, &budget())
                .expect("a good source")
                .bytes
                .len()
        };
        assert!(
            bytes(20) < bytes(60) && bytes(60) < bytes(95),
            "{output:?}: {} {} {}",
            bytes(20),
            bytes(60),
            bytes(95)
        );
    }
}

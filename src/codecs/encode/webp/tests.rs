//! What WebP by libwebp shows, and its scale of quality.

use super::{encode, factor};
use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::picture::Picture;
use crate::options::{Effort, Quality};
use crate::pixels::{Channels, Raster, Samples, Size};

fn quality(quality: u8) -> Quality {
    Quality::new(quality).expect("in range")
}

#[test]
fn factors_rise_with_quality_and_meet_between_sizes() {
    let at = |width, height, number| factor(Size::new(width, height), quality(number));
    for (width, height) in [(1, 1), (320, 200), (500, 400), (800, 600), (16_383, 16_383)] {
        for quality in 2..=100 {
            assert!(at(width, height, quality) > at(width, height, quality - 1));
        }
    }
    let (small, middle, large) = (at(256, 256, 75), at(512, 362, 75), at(1600, 1200, 75));
    assert!((small - 82.0).abs() < 0.01 && (large - 85.0).abs() < 0.01);
    assert!((middle - f32::midpoint(small, large)).abs() < 0.01);
}

type Rgba = [u8; 4];

fn pixels(size: Size, color: impl Fn(u32, u32) -> Rgba) -> Vec<u8> {
    let places = (0..size.height).flat_map(|y| (0..size.width).map(move |x| (x, y)));
    places.flat_map(|(x, y)| color(x, y)).collect()
}

/// The pixels of a lossy WebP of some pixels.
fn shown(size: Size, samples: &[u8], effort: Effort) -> Vec<u8> {
    let picture = Picture::Rgba(size, samples.to_vec());
    let file = encode(&picture, quality(85), effort).expect("encodes");
    let header = decode::header(&file).expect("a header");
    assert!(header.alpha && !header.is_lossless && header.size == size);
    let decoded = decode::pixels(&file, &header, DecodeScale::WHOLE).expect("pixels");
    match decoded.raster {
        Raster {
            channels: Channels::Rgba,
            samples: Samples::U8(samples),
            ..
        } => samples,
        other => panic!("{:?} of {:?}", other.channels, other.size),
    }
}

fn noise(x: u32, y: u32) -> u8 {
    let mixed = x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B);
    (mixed ^ (mixed >> 15))
        .wrapping_mul(0xC2B2_AE35)
        .to_le_bytes()[3]
}

fn edge(x: u32, y: u32) -> u8 {
    if (x / 5 + y / 3).is_multiple_of(2) {
        255
    } else {
        0
    }
}

fn fade(x: u32, y: u32) -> u8 {
    (x * 3 + y * 2).min(255).to_le_bytes()[0]
}

#[test]
fn alpha_is_exact_whatever_it_is() {
    for alpha in [edge, fade, noise] {
        for (width, height) in [(61, 37), (64, 48), (8, 1), (1, 9), (1, 1)] {
            let size = Size::new(width, height);
            // One pixel is seen through, or there would be no alpha.
            let see_through = |x, y| {
                if (x, y) == (0, 0) { 200 } else { alpha(x, y) }
            };
            let samples = pixels(size, |x, y| [200, 90, 30, see_through(x, y)]);
            for effort in [Effort::Quick, Effort::Settled] {
                let shown = shown(size, &samples, effort);
                let alphas = |samples: &[u8]| {
                    samples
                        .iter()
                        .skip(3)
                        .step_by(4)
                        .copied()
                        .collect::<Vec<_>>()
                };
                assert_eq!(alphas(&shown), alphas(&samples), "{size:?}");
            }
        }
    }
}

#[test]
fn colours_that_nobody_sees_bleed_into_none_that_are_seen() {
    let size = Size::new(61, 37);
    let is_seen = |x, y| edge(x, y) > 0;
    let samples = pixels(size, |x, y| {
        if is_seen(x, y) {
            [200, 40, 30, 255]
        } else {
            [0, 255, 0, 0]
        }
    });
    let shown = shown(size, &samples, Effort::Quick);
    let (shown, _) = shown.as_chunks::<4>();
    for pixel in shown.iter().filter(|pixel| pixel[3] > 0) {
        let [red, green, blue, _] = *pixel;
        let distance = red
            .abs_diff(200)
            .max(green.abs_diff(40))
            .max(blue.abs_diff(30));
        assert!(distance < 12, "{pixel:?}");
    }
}

use std::borrow::Cow;

use proptest::prop_assert;
use proptest::proptest;

use super::ResampleSpace;
use super::planes;
use crate::pixels::{Channels, Pixels, Raster, Rect, Samples, Size, Subsampling};

fn raster(source: Raster, crop: Rect, target: Size, mixing: ResampleSpace) -> Raster {
    super::raster(Pixels::Raster(Cow::Owned(source)), crop, target, mixing)
        .expect("there is memory")
}

fn whole(width: f64, height: f64) -> Rect {
    Rect {
        left: 0.0,
        top: 0.0,
        width,
        height,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped first"
)]
fn sample(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[test]
fn the_colour_under_transparency_does_not_bleed() {
    // Opaque black beside transparent white: without premultiplication the edge would be grey.
    let samples: Vec<u8> = (0..64)
        .flat_map(|pixel| {
            if pixel % 8 < 4 {
                [0, 0, 0, 255]
            } else {
                [255, 255, 255, 0]
            }
        })
        .collect();
    let source = Raster {
        size: Size::new(8, 8),
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    };
    let resized = raster(
        source,
        whole(8.0, 8.0),
        Size::new(3, 3),
        ResampleSpace::Linear,
    )
    .into_u8()
    .expect("there is memory");
    for pixel in resized.chunks_exact(4).filter(|pixel| pixel[3] > 8) {
        assert!(pixel[0] < 12, "{pixel:?} is not black");
    }
}

#[test]
fn sixteen_bits_stay_sixteen_bits() {
    let samples: Vec<u16> = (0..64).map(|index| 1000 + index % 8).collect();
    let source = Raster {
        size: Size::new(8, 8),
        channels: Channels::Gray,
        samples: Samples::U16(samples),
    };
    let resized = raster(
        source,
        whole(8.0, 8.0),
        Size::new(4, 4),
        ResampleSpace::Linear,
    );
    let Samples::U16(samples) = resized.samples else {
        panic!("16 bits in, 16 bits out")
    };
    assert!(
        samples
            .iter()
            .all(|&sample| (1000..=1007).contains(&sample)),
        "{samples:?}"
    );
}

#[test]
fn a_rounded_up_decode_is_read_at_its_exact_extent() {
    // A ramp of 2725 samples decoded at 1/8: 341 samples that stand for 340.625.
    let ramp = |x: f64| x / 2725.0 * 255.0;
    let samples: Vec<u8> = (0..341)
        .map(|x| sample(ramp(f64::from(x) * 8.0 + 3.5)))
        .collect();
    let source = Raster {
        size: Size::new(341, 1),
        channels: Channels::Gray,
        samples: Samples::U8(samples),
    };
    let resized = raster(
        source,
        whole(340.625, 1.0),
        Size::new(100, 1),
        ResampleSpace::Linear,
    )
    .into_u8()
    .expect("there is memory");
    for (x, &sample) in resized.iter().enumerate().skip(3).take(94) {
        let expected = ramp((x as f64 + 0.5) * 27.25 - 0.5);
        assert!(
            (f64::from(sample) - expected).abs() < 1.01,
            "at {x}: {sample}, expected {expected}"
        );
    }
}

#[test]
fn samples_on_the_centres_of_pixels_read_nothing_beyond() {
    // Every one of them begins or ends on a centre; the first is the crop of a fuzzed URL.
    let parts = [
        (2.0625, 28.875, 33),
        (3.25, 0.5, 1),
        (3.25, 1.5, 3),
        (4.75, 4.5, 9),
        (10.125, 12.75, 17),
        (0.25, 30.5, 61),
    ];
    for (start, extent, target) in parts {
        let source = Raster {
            size: Size::new(33, 33),
            channels: Channels::Rgba,
            samples: Samples::U8(
                (0..33 * 33 * 4)
                    .map(|index| sample(f64::from(index % 251)))
                    .collect(),
            ),
        };
        let part = Rect {
            left: start,
            top: start,
            width: extent,
            height: extent,
        };
        let made = raster(
            source,
            part,
            Size::new(target, target),
            ResampleSpace::Linear,
        );
        assert_eq!(
            made.into_u8().expect("there is memory").len(),
            (target * target * 4) as usize
        );
    }
}

proptest! {
    #[test]
    fn any_part_at_any_size_is_resampled(
        (across, down) in (0..=400_u32, 0..=400_u32),
        (width, height) in (1..=400_u32, 1..=400_u32),
        (wide, high) in (1..=60_u32, 1..=60_u32),
    ) {
        // In sixteenths of a pixel, so that many samples lie on centres.
        let source = Raster { size: Size::new(25, 25), channels: Channels::Gray, samples: Samples::U8(vec![77; 625]) };
        let sixteenths = |count: u32| f64::from(count) / 16.0;
        let part = Rect {
            left: sixteenths(across.min(399)),
            top: sixteenths(down.min(399)),
            width: sixteenths(width.min(400 - across.min(399))),
            height: sixteenths(height.min(400 - down.min(399))),
        };
        let made = raster(source, part, Size::new(wide, high), ResampleSpace::Linear).into_u8().expect("there is memory");
        prop_assert!(made.iter().all(|&sample| sample == 77), "{part:?}");
    }
}

#[test]
fn chroma_lies_under_its_luma_on_odd_sizes() {
    // A vertical edge between two colours that differ in luma and chroma, in a picture 101 wide.
    let size = Size::new(101, 3);
    let pixels = (0..303).flat_map(|index| {
        if index % 101 < 50 {
            [0, 0, 0]
        } else {
            [0, 0, 255]
        }
    });
    let source = Raster {
        size,
        channels: Channels::Rgb,
        samples: Samples::U8(pixels.collect()),
    };
    let part = |first: u8, last: u8, samples: &[u8]| {
        let whole = f64::from(last) - f64::from(first);
        samples
            .iter()
            .map(|&sample| (f64::from(sample) - f64::from(first)) / whole)
            .sum::<f64>()
            / samples.len() as f64
    };
    let target = Size::new(101, 3);
    let pixels = || Pixels::Raster(Cow::Borrowed(&source));
    let both = planes(
        pixels(),
        whole(101.0, 3.0),
        target,
        ResampleSpace::Linear,
        |_| true,
    )
    .expect("there is memory");
    for subsampling in [Subsampling::None, Subsampling::Both] {
        let is_wanted = |wanted| wanted == subsampling;
        let made = planes(
            pixels(),
            whole(101.0, 3.0),
            target,
            ResampleSpace::Linear,
            is_wanted,
        )
        .expect("there is memory");
        let chroma = match subsampling {
            Subsampling::None => (&made.full, &made.halved, &both.full),
            Subsampling::Both => (&made.halved, &made.full, &both.halved),
        };
        let (Some([cb, cr]), None, Some(same)) = chroma else {
            panic!("colour in, and out what is wanted of it");
        };
        assert_eq!([cb, cr], same.each_ref(), "whatever else is wanted");
        assert_eq!(cb.size, subsampling.chroma_size(target));
        assert_eq!(cr.size, cb.size);
        let luma = part(0, 29, &made.luma.samples);
        // The last of 51 columns stands for one pixel, not for two.
        let chroma = part(128, 255, &cb.samples);
        assert!((luma - chroma).abs() < 0.02, "{luma} {chroma}");
    }
}

#[test]
fn neighbours_are_mixed_as_light_and_never_change_what_is_alike() {
    let checkered = |dark: u8, bright: u8| Raster {
        size: Size::new(64, 64),
        channels: Channels::Gray,
        samples: Samples::U8(
            (0..64 * 64)
                .map(|index| {
                    if (index + index / 64) % 2 == 0 {
                        dark
                    } else {
                        bright
                    }
                })
                .collect(),
        ),
    };
    let small = |source, mixing| {
        let made = raster(source, whole(64.0, 64.0), Size::new(8, 8), mixing)
            .into_u8()
            .expect("there is memory");
        // Away from the edges, where a row may have more of one kind.
        made[3 * 8 + 3]
    };
    // Half the light of white is 188 in sRGB, half its number 128.
    assert!(small(checkered(0, 255), ResampleSpace::Linear).abs_diff(188) <= 1);
    assert!(small(checkered(0, 255), ResampleSpace::Encoded).abs_diff(128) <= 1);
    for value in 0..=255 {
        assert_eq!(small(checkered(value, value), ResampleSpace::Linear), value);
    }
}

#[test]
fn every_value_survives_a_change_of_shape() {
    // One column for each value, so that only the rows are mixed, and 16 bits, where nothing hides in rounding.
    let row: Vec<u16> = (0..=255).map(|value| value * 257).collect();
    let source = Raster {
        size: Size::new(256, 40),
        channels: Channels::Gray,
        samples: Samples::U16(row.repeat(40)),
    };
    let made = raster(
        source,
        whole(256.0, 40.0),
        Size::new(256, 13),
        ResampleSpace::Linear,
    );
    let Samples::U16(samples) = made.samples else {
        panic!("16 bits in, 16 bits out")
    };
    for (made, &value) in samples.iter().zip(row.iter().cycle()) {
        assert!(made.abs_diff(value) <= 3, "{value} became {made}");
    }
}

#[test]
fn cropped_pixels_do_not_bleed_in() {
    // A black picture with a white border of three pixels, which is cut off.
    let source = Raster {
        size: Size::new(106, 106),
        channels: Channels::Gray,
        samples: Samples::U8(
            (0..106 * 106)
                .map(|index| {
                    let inside = |at: i32| (3..103).contains(&at);
                    if inside(index % 106) && inside(index / 106) {
                        0
                    } else {
                        255
                    }
                })
                .collect(),
        ),
    };
    let part = Rect {
        left: 3.0,
        top: 3.0,
        width: 100.0,
        height: 100.0,
    };
    for side in [7, 40, 100, 160] {
        let made = raster(
            source.clone(),
            part,
            Size::new(side, side),
            ResampleSpace::Linear,
        );
        assert!(
            made.into_u8()
                .expect("there is memory")
                .iter()
                .all(|&sample| sample == 0),
            "{side}"
        );
    }
}

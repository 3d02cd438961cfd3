use crate::options::{Blur, Effects, Factor, Gamma, Sharpen};

use crate::pixels::{Channels, Raster, Samples, Size, to_u8};

fn apply(raster: Raster, effects: &Effects) -> Raster {
    super::apply(raster, effects).expect("there is memory")
}

/// Effects in a row: blur, brightness, contrast, gamma, saturation, sharpen.
fn effects(values: [Option<f64>; 6]) -> Effects {
    let [blur, brightness, contrast, gamma, saturation, sharpen] = values;
    Effects {
        blur: blur.and_then(Blur::new),
        brightness: brightness.and_then(Factor::new),
        contrast: contrast.and_then(Factor::new),
        gamma: gamma.and_then(Gamma::new),
        saturation: saturation.and_then(Factor::new),
        sharpen: sharpen.and_then(Sharpen::new),
    }
}

fn brightness(value: f64) -> Effects {
    effects([None, Some(value), None, None, None, None])
}

fn contrast(value: f64) -> Effects {
    effects([None, None, Some(value), None, None, None])
}

fn gamma(value: f64) -> Effects {
    effects([None, None, None, Some(value), None, None])
}

fn saturation(value: f64) -> Effects {
    effects([None, None, None, None, Some(value), None])
}

fn sharpness(value: f64) -> Effects {
    effects([None, None, None, None, None, Some(value)])
}

fn row(channels: Channels, samples: &[u8]) -> Raster {
    let width = samples.len() / channels.count();
    Raster {
        size: Size::new(u32::try_from(width).expect("a short row"), 1),
        channels,
        samples: Samples::U8(samples.to_vec()),
    }
}

#[track_caller]
fn check(effects: &Effects, before: &[u8], after: &[u8]) {
    assert_eq!(
        apply(row(Channels::Rgb, before), effects)
            .into_u8()
            .expect("there is memory"),
        after,
        "{effects}"
    );
}

/// Every red with some green and blue and every alpha, 16 x 16.
fn colorful() -> Vec<u8> {
    (0..=255_u8)
        .flat_map(|value| {
            [
                value,
                value.wrapping_mul(7),
                255 - value,
                value.wrapping_mul(31),
            ]
        })
        .collect()
}

#[test]
fn what_is_neutral_changes_no_sample() {
    let raster = Raster {
        size: Size::new(16, 16),
        channels: Channels::Rgba,
        samples: Samples::U8(colorful()),
    };
    assert_eq!(apply(raster.clone(), &Effects::default()), raster);
    let ones = effects([None, Some(1.0), Some(1.0), Some(1.0), Some(1.0), Some(0.0)]);
    assert_eq!(apply(raster.clone(), &ones), raster);
    let deep = Raster {
        samples: Samples::U16(
            colorful()
                .into_iter()
                .map(|byte| u16::from(byte) * 251)
                .collect(),
        ),
        ..raster
    };
    assert_eq!(apply(deep.clone(), &ones), deep);
}

#[test]
fn brightness_multiplies_encoded_values() {
    check(&brightness(0.5), &[0, 100, 255], &[0, 50, 128]);
    check(&brightness(2.0), &[0, 100, 200], &[0, 200, 255]);
    check(&brightness(255.0), &[0, 1, 2], &[0, 255, 255]);
}

#[test]
fn contrast_turns_around_mid_grey() {
    check(&contrast(2.0), &[0, 100, 160], &[0, 73, 193]);
    check(&contrast(0.5), &[0, 127, 255], &[64, 127, 191]);
}

#[test]
fn gamma_below_one_lightens_and_keeps_the_ends() {
    check(&gamma(0.5), &[0, 64, 255], &[0, 128, 255]);
    check(&gamma(2.0), &[0, 128, 255], &[0, 64, 255]);
    check(&gamma(255.0), &[0, 128, 255], &[0, 0, 255]);
}

#[test]
fn steps_are_clamped_one_after_the_other() {
    let both = effects([None, Some(2.0), Some(0.5), None, None, None]);
    check(&both, &[200, 255, 0], &[191, 191, 64]);
}

#[test]
fn saturation_is_a_blend_with_luma() {
    check(
        &saturation(0.0),
        &[255, 0, 0, 0, 255, 0],
        &[54, 54, 54, 182, 182, 182],
    );
    check(&saturation(0.0), &[77, 77, 77], &[77, 77, 77]);
    check(
        &saturation(2.0),
        &[90, 90, 90, 100, 90, 80],
        &[90, 90, 90, 109, 89, 69],
    );
}

#[test]
fn alpha_is_no_colour() {
    let all = effects([None, Some(2.0), Some(3.0), Some(0.4), Some(0.0), Some(9.0)]);
    let made = apply(
        Raster {
            size: Size::new(16, 16),
            channels: Channels::Rgba,
            samples: Samples::U8(colorful()),
        },
        &all,
    )
    .into_u8()
    .expect("there is memory");
    let before = colorful();
    assert!(
        made.iter()
            .skip(3)
            .step_by(4)
            .eq(before.iter().skip(3).step_by(4))
    );
}

#[test]
fn sixteen_bits_agree_with_eight() {
    let shallow = Raster {
        size: Size::new(16, 16),
        channels: Channels::Rgba,
        samples: Samples::U8(colorful()),
    };
    let deep = Raster {
        samples: Samples::U16(
            colorful()
                .into_iter()
                .map(|byte| u16::from(byte) * 257)
                .collect(),
        ),
        ..shallow.clone()
    };
    for effects in [
        brightness(0.7),
        contrast(1.6),
        gamma(0.45),
        saturation(1.8),
        sharpness(2.0),
        effects([Some(2.0), None, None, None, None, None]),
    ] {
        let Samples::U16(samples) = apply(deep.clone(), &effects).samples else {
            panic!("16 bits in, 16 bits out")
        };
        let expected = apply(shallow.clone(), &effects)
            .into_u8()
            .expect("there is memory");
        for (deep, shallow) in samples.into_iter().zip(expected) {
            assert!(
                to_u8(deep).abs_diff(shallow) <= 1,
                "{effects}: {deep} {shallow}"
            );
        }
    }
}

#[test]
fn sharpening_steepens_an_edge_and_leaves_the_flat() {
    let edge = [[80; 3]; 5].into_iter().chain([[160; 3]; 5]);
    let samples: Vec<u8> = edge.flatten().collect();
    let made = apply(row(Channels::Rgb, &samples), &sharpness(1.0))
        .into_u8()
        .expect("there is memory");
    let reds: Vec<u8> = made.iter().step_by(3).copied().collect();
    assert_eq!(reds, [80, 80, 80, 80, 70, 170, 160, 160, 160, 160]);
    let hard = apply(row(Channels::Rgb, &samples), &sharpness(10.0))
        .into_u8()
        .expect("there is memory");
    assert_eq!((hard[12], hard[15], hard[0]), (0, 255, 80));
}

#[test]
fn sharpening_makes_no_coloured_fringe() {
    let made = apply(
        row(Channels::Rgb, &[100, 90, 80, 100, 90, 80, 150, 140, 130]),
        &sharpness(2.0),
    )
    .into_u8()
    .expect("there is memory");
    for pixel in made.chunks_exact(3) {
        let (warm, cold) = (pixel[0] - pixel[1], pixel[1] - pixel[2]);
        assert!(warm.abs_diff(10) <= 1 && cold.abs_diff(10) <= 1, "{made:?}");
    }
}

#[test]
fn sharpening_does_not_see_what_is_transparent() {
    let samples = [
        90, 90, 90, 255, 90, 90, 90, 255, 0, 0, 0, 0, 255, 255, 255, 0,
    ];
    let made = apply(row(Channels::Rgba, &samples), &sharpness(10.0))
        .into_u8()
        .expect("there is memory");
    assert_eq!(made[..8], samples[..8]);
}

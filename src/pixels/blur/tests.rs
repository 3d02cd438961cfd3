use crate::pixels::{Channels, Raster, Samples, Size};

fn blurred(raster: Raster, deviation: f64) -> Raster {
    super::blurred(raster, deviation).expect("there is memory")
}

/// What a blur makes of a row of 97 red values, from 0 to 1.
fn response(deviation: f64, value: impl Fn(u16) -> f64) -> Vec<f64> {
    let raster = Raster {
        size: Size::new(97, 1),
        channels: Channels::Rgb,
        samples: Samples::U16(
            (0..97)
                .flat_map(|x| [if value(x) > 0.5 { 65_535 } else { 0 }, 0, 0])
                .collect(),
        ),
    };
    let Samples::U16(samples) = blurred(raster, deviation).samples else {
        panic!("16 bits in, 16 bits out")
    };
    samples
        .iter()
        .step_by(3)
        .map(|&sample| f64::from(sample) / 65_535.0)
        .collect()
}

/// A true Gaussian blur of the same row.
fn expected(deviation: f64, value: impl Fn(u16) -> f64) -> Vec<f64> {
    let weight = |distance: f64| (-distance * distance / (2.0 * deviation * deviation)).exp();
    let total: f64 = (-48..=48).map(|distance| weight(f64::from(distance))).sum();
    (0..97_u16)
        .map(|x| {
            (0..97)
                .map(|from| value(from) * weight(f64::from(from) - f64::from(x)) / total)
                .sum()
        })
        .collect()
}

#[test]
fn edges_and_hairlines_look_like_under_a_gaussian() {
    let hairline = |x: u16| if x == 48 { 1.0 } else { 0.0 };
    let band = |x: u16| {
        if (30..60).contains(&x) { 1.0 } else { 0.0 }
    };
    for deviation in [1.0, 1.3, 2.0, 3.5, 6.0, 9.0] {
        let peak = expected(deviation, hairline)[48];
        let pairs = response(deviation, hairline)
            .into_iter()
            .zip(expected(deviation, hairline));
        for (x, (made, expected)) in pairs.enumerate() {
            assert!(
                (made - expected).abs() < 0.07 * peak,
                "hairline, deviation {deviation}, at {x}: {made}, expected {expected}"
            );
        }
        let pairs = response(deviation, band)
            .into_iter()
            .zip(expected(deviation, band));
        for (x, (made, expected)) in pairs.enumerate() {
            assert!(
                (made - expected).abs() < 0.02,
                "band, deviation {deviation}, at {x}: {made}, expected {expected}"
            );
        }
    }
}

#[test]
fn a_point_keeps_its_weight_and_gets_its_spread() {
    for deviation in [1.0, 1.7, 2.5, 7.0, 12.25] {
        let row = response(deviation, |x| if x == 48 { 1.0 } else { 0.0 });
        let total: f64 = row.iter().sum();
        assert!((total - 1.0).abs() < 0.001, "{deviation}: {total}");
        let variance: f64 = row
            .iter()
            .enumerate()
            .map(|(x, sample)| (x as f64 - 48.0).powi(2) * sample)
            .sum();
        assert!(
            (variance.sqrt() - deviation).abs() < 0.002 * deviation,
            "{deviation}: {}",
            variance.sqrt()
        );
    }
}

#[test]
fn the_largest_blur_of_a_small_picture_is_its_mean() {
    let samples: Vec<u8> = (0..8 * 8)
        .flat_map(|pixel| {
            if pixel % 8 < 4 {
                [0, 40, 255]
            } else {
                [255, 40, 0]
            }
        })
        .collect();
    let raster = Raster {
        size: Size::new(8, 8),
        channels: Channels::Rgb,
        samples: Samples::U8(samples),
    };
    for pixel in blurred(raster, 250.0)
        .into_u8()
        .expect("there is memory")
        .chunks_exact(3)
    {
        assert!(
            pixel[0].abs_diff(128) <= 3 && pixel[1] == 40 && pixel[2].abs_diff(128) <= 3,
            "{pixel:?}"
        );
    }
}

#[test]
fn one_colour_stays_one_colour() {
    for deviation in [1.0, 3.3, 77.0, 250.0] {
        for value in [0_u8, 1, 127, 254, 255] {
            let raster = Raster {
                size: Size::new(37, 5),
                channels: Channels::Rgba,
                samples: Samples::U8([value, 255 - value, 9, 255].repeat(37 * 5)),
            };
            assert_eq!(blurred(raster.clone(), deviation), raster);
        }
    }
}

#[test]
fn what_is_transparent_does_not_bleed_and_alpha_is_kept() {
    // An opaque red square in transparent green.
    let samples: Vec<u8> = (0..40 * 40)
        .flat_map(|pixel| {
            let (x, y) = (pixel % 40, pixel / 40);
            if (15..25).contains(&x) && (15..25).contains(&y) {
                [200, 0, 0, 255]
            } else {
                [0, 255, 0, 0]
            }
        })
        .collect();
    let raster = Raster {
        size: Size::new(40, 40),
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    };
    let made = blurred(raster, 3.0).into_u8().expect("there is memory");
    let total: f64 = made
        .chunks_exact(4)
        .map(|pixel| f64::from(pixel[3]) / 255.0)
        .sum();
    assert!((total - 100.0).abs() < 1.0, "{total}");
    for pixel in made.chunks_exact(4).filter(|pixel| pixel[3] > 0) {
        assert!(
            pixel[0].abs_diff(200) <= 1 && pixel[1] == 0,
            "{pixel:?} is not red"
        );
    }
}

#[test]
fn slivers_are_blurred_along_their_length() {
    for size in [Size::new(1, 9), Size::new(9, 1), Size::new(1, 1)] {
        let mut samples = vec![0; size.len() * 3];
        samples[size.len() / 2 * 3] = 255;
        let raster = Raster {
            size,
            channels: Channels::Rgb,
            samples: Samples::U8(samples),
        };
        let made = blurred(raster, 1.0).into_u8().expect("there is memory");
        let reds: u32 = made.iter().step_by(3).map(|&red| u32::from(red)).sum();
        assert!((250..=260).contains(&reds), "{size:?}: {made:?}");
    }
}

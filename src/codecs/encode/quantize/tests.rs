use crate::options::Quality;

use super::MOST;
use super::PaletteImage;
use super::Rgba8;
use super::TRANSPARENT;
use super::colors;

fn exact(pixels: impl Iterator<Item = Rgba8>, most: usize) -> Option<PaletteImage> {
    super::exact(pixels, most).expect("there is memory")
}

fn reduced(pixels: &[Rgba8], width: usize, most: usize) -> PaletteImage {
    super::reduced(pixels, width, most).expect("there is memory")
}

fn reds(count: u16) -> impl Iterator<Item = Rgba8> {
    (0..count).map(|value| {
        let [low, high] = value.to_le_bytes();
        [low, high, 0, 255]
    })
}

fn shown(indexed: &PaletteImage) -> Vec<Rgba8> {
    let indices = indexed.indices.iter();
    indices
        .map(|&index| indexed.palette[usize::from(index)])
        .collect()
}

/// The mean difference over all samples.
fn error(shown: &[Rgba8], wanted: &[Rgba8]) -> f64 {
    let samples = shown.as_flattened().iter().zip(wanted.as_flattened());
    let sum: u32 = samples
        .map(|(shown, wanted)| u32::from(shown.abs_diff(*wanted)))
        .sum();
    f64::from(sum) / (4.0 * f64::from(u32::try_from(wanted.len()).expect("small")))
}

#[test]
fn few_colours_are_exact_and_one_too_many_is_reported() {
    for (count, most, fits) in [
        (1, 1, true),
        (2, 1, false),
        (256, 256, true),
        (257, 256, false),
        (300, 1000, false),
    ] {
        let made = exact(reds(count).chain(reds(count)), most);
        assert_eq!(made.is_some(), fits, "{count} of {most}");
        if let Some(made) = made {
            assert_eq!(made.palette.len(), usize::from(count));
            assert_eq!(
                shown(&made),
                reds(count).chain(reds(count)).collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn colours_with_the_same_hash_are_distinguished() {
    let same_hash: Vec<Rgba8> = (0..200u32)
        .map(|step| step.wrapping_mul(0x0001_0001).to_ne_bytes())
        .collect();
    let made = exact(same_hash.iter().copied(), MOST).expect("200 colours");
    assert_eq!(shown(&made), same_hash);
}

fn gradient(alpha: impl Fn(u8) -> u8) -> Vec<Rgba8> {
    (0..48u8)
        .flat_map(|y| (0..40u8).map(move |x| (x, y)))
        .map(|(x, y)| [x * 6, y * 5, 128, alpha(x)])
        .collect()
}

#[test]
fn many_colours_become_few_that_look_the_same() {
    let picture = gradient(|_| 255);
    for (most, allowed) in [(256, 3.0), (32, 9.0), (2, 60.0)] {
        let made = reduced(&picture, 40, most);
        assert!(made.palette.len() <= most);
        assert_eq!(made.indices.len(), picture.len());
        let error = error(&shown(&made), &picture);
        assert!(error < allowed, "{most}: {error}");
    }
}

#[test]
fn dithering_keeps_the_mean() {
    let picture = gradient(|_| 255);
    let made = shown(&reduced(&picture, 40, 64));
    for channel in 0..3 {
        let mean = |pixels: &[Rgba8]| {
            let sum: u32 = pixels.iter().map(|pixel| u32::from(pixel[channel])).sum();
            f64::from(sum) / (40.0 * 48.0)
        };
        let difference = (mean(&made) - mean(&picture)).abs();
        assert!(difference < 4.0, "{channel}: {difference}");
    }
}

#[test]
fn no_error_crosses_an_edge() {
    // A slope of more shades than there are colours, and black beside it.
    let row = (0..64u8).map(|column| match column {
        48.. => [0, 0, 0, 255],
        _ => [120 + column * 2, 255 - column, 200, 255],
    });
    let picture: Vec<Rgba8> = row.cycle().take(64 * 40).collect();
    let made = reduced(&picture, 64, 8);
    for (made, wanted) in shown(&made).iter().zip(&picture) {
        assert_eq!(made[0] == 0, wanted[0] == 0, "{made:?} for {wanted:?}");
    }
}

#[test]
fn transparent_and_translucent_pixels_stay_so() {
    let picture = gradient(|x| match x {
        0..10 => 0,
        10..30 => (x - 9) * 12,
        _ => 255,
    });
    for most in [256, 24] {
        let made = reduced(&picture, 40, most);
        assert!(made.palette.len() <= most);
        let made = shown(&made);
        for (made, wanted) in made.iter().zip(&picture) {
            assert_eq!(
                *made == TRANSPARENT,
                wanted[3] == 0,
                "{made:?} for {wanted:?}"
            );
            let off = made[3].abs_diff(wanted[3]);
            assert!(off <= 64, "{most}: {made:?} for {wanted:?}");
        }
        let seen = |pixel: &Rgba8| {
            let alpha = u16::from(pixel[3]);
            let part = |sample: u8| (u16::from(sample) * alpha / 255).to_le_bytes()[0];
            [part(pixel[0]), part(pixel[1]), part(pixel[2]), pixel[3]]
        };
        let (made, wanted): (Vec<_>, Vec<_>) = made
            .iter()
            .zip(&picture)
            .map(|(a, b)| (seen(a), seen(b)))
            .unzip();
        let error = error(&made, &wanted);
        assert!(
            error < if most == 256 { 4.0 } else { 12.0 },
            "{most}: {error}"
        );
    }
}

#[test]
fn a_transparent_picture_has_one_colour() {
    let made = reduced(&[TRANSPARENT; 6], 3, 2);
    assert_eq!(shown(&made), [TRANSPARENT; 6]);
    assert!(made.palette.len() <= 2);
}

#[test]
fn colours_follow_quality() {
    for (quality, most) in [(1, 16), (10, 34), (50, 170), (75, 256), (100, 256)] {
        let quality = Quality::new(quality).expect("in range");
        assert_eq!(colors(quality), most);
    }
}

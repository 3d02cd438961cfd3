use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::PngEncoder;

use crate::codecs::TransformError;
use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::pixels::{Channels, Raster, Samples, Size};

fn raster(source: &[u8]) -> Result<Raster, TransformError> {
    let header = header(source)?;
    let raster = pixels(source, &header, DecodeScale::WHOLE)?.raster;
    assert_eq!(raster.size, header.size);
    Ok(raster)
}

fn png(side: u32, color: ExtendedColorType, pixel: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&pixel.repeat((side * side) as usize), side, side, color)
        .expect("writes to memory");
    file
}

/// A header of 40 bytes or more for `side` by `side` pixels of a bit depth, with a compression, the rest of the header, and the data.
fn bitmap(length: u32, side: i32, (bits, compression): (u16, u32), rest: &[&[u8]]) -> Vec<u8> {
    let mut file = length.to_le_bytes().to_vec();
    file.extend(side.abs().to_le_bytes());
    file.extend((side * 2).to_le_bytes());
    file.extend([1, 0]);
    file.extend(bits.to_le_bytes());
    file.extend(compression.to_le_bytes());
    file.extend([0; 20]);
    file.extend(rest.concat());
    file
}

/// Four pixels of 32 bits in 10, 20, 30, with these alphas, from the lower left one on.
fn deep(alphas: [u8; 4]) -> Vec<u8> {
    alphas
        .iter()
        .flat_map(|alpha| [30, 20, 10, *alpha])
        .collect()
}

/// A mask of two rows, the lower one first.
fn mask(lower: u8, upper: u8) -> Vec<u8> {
    vec![lower, 0, 0, 0, upper, 0, 0, 0]
}

fn ico(pictures: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let count = u8::try_from(pictures.len()).expect("few");
    let mut file = vec![0, 0, 1, 0, count, 0];
    let mut start = 6 + 16 * pictures.len();
    for (side, depth, picture) in pictures {
        file.extend([*side, *side, 0, 0, 1, 0, *depth, 0]);
        file.extend(u32::try_from(picture.len()).expect("small").to_le_bytes());
        file.extend(u32::try_from(start).expect("small").to_le_bytes());
        start += picture.len();
    }
    for (_, _, picture) in pictures {
        file.extend(picture);
    }
    file
}

/// The alphas of the pixels, from the upper left one on.
#[track_caller]
fn alphas(picture: Vec<u8>) -> [u8; 4] {
    let raster = raster(&ico(&[(2, 32, picture)])).expect("is whole");
    assert_eq!(raster.channels, Channels::Rgba);
    let samples = raster.into_u8().expect("there is memory");
    [3, 7, 11, 15].map(|at| samples[at])
}

/// Masks of red, green and blue, and of alpha.
const FIELDS: [u8; 12] = [0, 0, 0xFF, 0, 0, 0xFF, 0, 0, 0xFF, 0, 0, 0];
const ALPHA: [u8; 4] = [0, 0, 0, 0xFF];
const NO_ALPHA: [u8; 4] = [0; 4];

#[test]
fn stored_alpha_has_precedence_over_the_mask() {
    let stored = deep([255, 128, 0, 64]);
    let shown = [0, 64, 255, 128];
    for mask in [
        mask(0xC0, 0xC0),
        mask(0, 0),
        mask(0x80, 0x40),
        vec![],
        vec![0x80],
    ] {
        assert_eq!(alphas(bitmap(40, 2, (32, 0), &[&stored, &mask])), shown);
        let longer = bitmap(56, 2, (32, 3), &[&FIELDS, &ALPHA, &stored, &mask]);
        assert_eq!(alphas(longer), shown);
        let longest = bitmap(
            108,
            2,
            (32, 3),
            &[&FIELDS, &ALPHA, &[0; 52], &stored, &mask],
        );
        assert_eq!(alphas(longest), shown);
    }
}

#[test]
fn the_mask_counts_where_no_pixel_has_alpha() {
    let none = deep([0; 4]);
    for (mask, shown) in [
        (mask(0x80, 0x40), [255, 0, 0, 255]),
        (mask(0xC0, 0xC0), [0; 4]),
        (mask(0, 0), [255; 4]),
        (vec![0x80, 0, 0, 0], [255, 255, 0, 255]),
        (vec![], [255; 4]),
    ] {
        assert_eq!(alphas(bitmap(40, 2, (32, 0), &[&none, &mask])), shown);
    }
    let top_down = bitmap(40, -2, (32, 0), &[&none, &mask(0x80, 0)]);
    assert_eq!(alphas(top_down), [0, 255, 255, 255]);
}

#[test]
fn the_mask_counts_where_pixels_cannot_have_alpha() {
    let mask = mask(0x80, 0x40);
    let shown = [255, 0, 0, 255];
    let stored = deep([255, 128, 0, 64]);
    let red_and_green = [0, 0, 255, 0, 0, 255, 0, 0];
    let palette = |bits: u16| [&red_and_green[..], &vec![0; (4 << bits) - 8]].concat();
    let pixels = [30, 20, 10, 30, 20, 10, 0, 0].repeat(2);
    for picture in [
        bitmap(40, 2, (32, 3), &[&FIELDS, &stored, &mask]),
        bitmap(
            108,
            2,
            (32, 3),
            &[&FIELDS, &NO_ALPHA, &[0; 52], &stored, &mask],
        ),
        bitmap(40, 2, (24, 0), &[&pixels, &mask]),
        bitmap(40, 2, (16, 0), &[&[0xFF, 0x7F].repeat(4), &mask]),
        bitmap(
            40,
            2,
            (8, 0),
            &[&palette(8), &[0, 1, 0, 0].repeat(2), &mask],
        ),
        bitmap(
            40,
            2,
            (4, 0),
            &[&palette(4), &[1, 0, 0, 0].repeat(2), &mask],
        ),
        bitmap(
            40,
            2,
            (1, 0),
            &[&palette(1), &[0x40, 0, 0, 0].repeat(2), &mask],
        ),
    ] {
        assert_eq!(alphas(picture.clone()), shown, "{picture:?}");
    }
    let top_down = bitmap(40, -2, (24, 0), &[&pixels, &mask]);
    assert_eq!(alphas(top_down), [0, 255, 255, 0]);
    let without = bitmap(40, 2, (24, 0), &[&pixels]);
    assert_eq!(alphas(without), [255; 4]);
}

#[test]
fn colours_of_an_icon_are_what_they_were() {
    let stored = deep([255, 128, 0, 64]);
    for picture in [
        bitmap(40, 2, (32, 0), &[&stored, &mask(0xC0, 0)]),
        bitmap(40, 2, (32, 3), &[&FIELDS, &stored, &mask(0xC0, 0)]),
    ] {
        let samples = raster(&ico(&[(2, 32, picture)]))
            .expect("is whole")
            .into_u8()
            .expect("there is memory");
        for pixel in samples.as_chunks::<4>().0 {
            assert_eq!(pixel[..3], [10, 20, 30]);
        }
    }
}

#[test]
fn a_cursor_is_an_icon() {
    let picture = bitmap(
        40,
        2,
        (32, 0),
        &[&deep([255, 128, 0, 64]), &mask(0xC0, 0xC0)],
    );
    let mut file = ico(&[(2, 32, picture)]);
    file[2] = 2;
    let samples = raster(&file)
        .expect("is whole")
        .into_u8()
        .expect("there is memory");
    assert_eq!([3, 7, 11, 15].map(|at| samples[at]), [0, 64, 255, 128]);
}

/// One opaque pixel.
fn dot(value: u8) -> Vec<u8> {
    bitmap(40, 1, (32, 0), &[&[value, value, value, 255], &[0; 4]])
}

#[test]
fn the_largest_picture_of_an_icon_wins_over_the_deepest() {
    let file = ico(&[
        (1, 32, dot(9)),
        (3, 8, png(3, ExtendedColorType::Rgb8, &[1, 2, 3])),
        (2, 32, png(2, ExtendedColorType::Rgba8, &[4, 5, 6, 7])),
    ]);
    let raster = raster(&file).expect("is whole");
    assert_eq!(raster.size, Size::new(3, 3));
    assert_eq!(raster.channels, Channels::Rgb);
}

#[test]
fn of_equal_pictures_the_deepest_wins_and_then_the_first() {
    let first = |pictures: &[(u8, u8, Vec<u8>)]| {
        let raster = raster(&ico(pictures)).expect("is whole");
        raster.into_u8().expect("there is memory")[0]
    };
    assert_eq!(first(&[(1, 32, dot(1)), (1, 32, dot(2))]), 1);
    assert_eq!(first(&[(1, 8, dot(1)), (1, 32, dot(2))]), 2);
    assert_eq!(first(&[(1, 32, dot(1)), (1, 8, dot(2))]), 1);
}

#[test]
fn entries_outside_of_the_icon_do_not_count() {
    let mut file = ico(&[(2, 32, dot(1)), (1, 32, dot(1))]);
    file[6 + 8] = 0xFF;
    file[6 + 9] = 0xFF;
    assert_eq!(
        raster(&file).expect("one entry is left").size,
        Size::new(1, 1)
    );
}

#[test]
fn truncated_or_changed_icons_are_errors_and_never_panic() {
    let whole = [
        ico(&[(1, 32, dot(1))]),
        ico(&[(3, 8, png(3, ExtendedColorType::Rgb8, &[1, 2, 3]))]),
        ico(&[(
            2,
            32,
            bitmap(108, 2, (32, 3), &[&FIELDS, &ALPHA, &[0; 52], &deep([1; 4])]),
        )]),
    ];
    let check = |file: &[u8]| match raster(file) {
        // The last bytes of a PNG are not missed, nor is a mask.
        Ok(_)
        | Err(TransformError::Decode(_) | TransformError::NotAnImage | TransformError::ZeroSized) =>
            {}
        Err(other) => panic!("{other}"),
    };
    for file in whole {
        for length in 0..file.len() {
            check(&file[..length]);
        }
        for at in 22..file.len().min(62) {
            for value in [0, 0x7F, 0xFF] {
                let mut file = file.clone();
                file[at] = value;
                check(&file);
            }
        }
    }
}

#[test]
fn samples_of_one_pixel_are_whole() {
    assert_eq!(
        raster(&ico(&[(1, 32, dot(7))])).expect("is whole").samples,
        Samples::U8(vec![7, 7, 7, 255])
    );
}

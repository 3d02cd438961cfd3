mod frames;

use crate::codecs::TransformError;
use crate::codecs::decode::jxl::{codestream, decode, header};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size};

/// Three by two: red, green, blue / white, black, (10, 20, 30). By cjxl, without loss, like the other samples here.
const RGB: &str = "ff0a084010505c080802010098004b188b15526c80def078dd727815511a4e07189a8faf66ac69bc747fd52e7bf13f83ef994f01";
/// The same, with alpha 255, 128, 0 / 1, 2, 3.
const RGBA: &str = "ff0a0840b0a0b81008081000b8004b188b15526c806ef3116f6ff1f0151a0531edec0043fdf9d34eb5c547ef3ff596b9fc3fc3bf72bfed8f478d1705";
/// Three by one in 16 bits of grey, in a container: 0, 1000, 65535.
const GRAY: &str = "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000096a786c6c0a000000256a786c63ff0a000004e007282e040802010034004b188b15428a042b8ea0df051f";
/// `RGB` and then its negative, a tenth of a second each.
const ANIMATION: &str = "ff0a0840c100028a4b0208029209000098004b188b15526c80def078dd727815511a4e07189a8faf66ac69bc747fd52e7bf13f83ef994f0108029205008c004b188b15525cdf6dccf13d2f0c1b11d4e90043980f5b2415c0fe7e7de3f9ef1f9c2d21";

const COLORS: [u8; 18] = [
    255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 10, 20, 30,
];

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("is ASCII");
            u8::from_str_radix(pair, 16).expect("is hexadecimal")
        })
        .collect()
}

fn raster(source: &[u8]) -> Result<(Raster, ColorSpace), TransformError> {
    let header = header(source)?;
    let decoded = decode(source, &header)?;
    Ok((decoded.raster, decoded.space))
}

#[test]
fn samples_keep_their_depth_and_their_alpha() {
    let (rgb, space) = raster(&bytes(RGB)).expect("is whole");
    assert_eq!(rgb.size, Size::new(3, 2));
    assert_eq!(rgb.channels, Channels::Rgb);
    assert_eq!(rgb.samples, Samples::U8(COLORS.to_vec()));
    assert_eq!(space, ColorSpace::Srgb);
    let (rgba, _) = raster(&bytes(RGBA)).expect("is whole");
    assert_eq!(rgba.channels, Channels::Rgba);
    let alphas = [255, 128, 0, 1, 2, 3];
    assert!(
        rgba.into_u8()
            .expect("there is memory")
            .iter()
            .skip(3)
            .step_by(4)
            .eq(&alphas)
    );
    let (gray, _) = raster(&bytes(GRAY)).expect("is whole");
    assert_eq!(gray.channels, Channels::Gray);
    assert_eq!(gray.samples, Samples::U16(vec![0, 1000, 65_535]));
}

#[test]
fn the_first_frame_of_an_animation_is_the_picture() {
    let (frame, _) = raster(&bytes(ANIMATION)).expect("is whole");
    assert_eq!(frame.into_u8().expect("there is memory"), COLORS);
}

#[test]
fn a_codestream_may_be_in_parts() {
    let whole = bytes(RGB);
    let boxed = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len() + 8).expect("is short");
        [&length.to_be_bytes(), &name[..], content].concat()
    };
    let part = |number: u32, bytes: &[u8]| boxed(b"jxlp", &[&number.to_be_bytes(), bytes].concat());
    let file = [
        boxed(b"JXL ", b"\r\n\x87\n"),
        // An empty `brob` box would be refused, and a full one decompressed without limit, by a parser that reads it.
        boxed(b"brob", b"Exif"),
        part(0, &whole[..7]),
        part(0x8000_0001, &whole[7..]),
    ]
    .concat();
    assert_eq!(codestream(&file).as_deref(), Ok(&whole[..]));
    let (rgb, _) = raster(&file).expect("is whole");
    assert_eq!(rgb.into_u8().expect("there is memory"), COLORS);
    // Wrong lengths.
    for length in [0_u32, 1, 2, 7, u32::MAX] {
        let mut wrong = file.clone();
        wrong[12..16].copy_from_slice(&length.to_be_bytes());
        let _ = raster(&wrong);
    }
}

#[test]
fn truncated_and_random_files_are_errors_and_never_panic() {
    for file in [RGB, RGBA, GRAY, ANIMATION].map(bytes) {
        for length in 0..file.len() {
            match raster(&file[..length]) {
                Ok(_) | Err(TransformError::Decode(_)) => {}
                Err(other) => panic!("{length}: {other}"),
            }
            let mut wild = file.clone();
            wild[length] ^= 0x55;
            let Ok(found) = header(&wild) else {
                continue;
            };
            // As the limits would.
            if found.size.area() <= 1 << 20 {
                let _ = decode(&wild, &found);
            }
        }
    }
}

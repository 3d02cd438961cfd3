// The portable library considers only the Adobe marker.
#[cfg(feature = "native")]
mod color;
#[cfg(feature = "native")]
mod lossless;
mod truncated;

use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;
use jpeg_encoder::SamplingFactor;

use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::pixels::Channels;

/// The Adobe marker of a file with its colour transform, or none.
fn told(mut file: Vec<u8>, transform: Option<u8>) -> Vec<u8> {
    const ADOBE: &[u8] = b"\xFF\xEE\0\x0EAdobe";
    let at = file.windows(ADOBE.len()).position(|bytes| bytes == ADOBE);
    let at = at.expect("the encoder writes Adobe's marker");
    match transform {
        Some(transform) => file[at + 15] = transform,
        None => {
            file.drain(at..at + 16);
        }
    }
    file
}

#[test]
fn cmyk_is_inverted_with_any_marker() {
    let inks = [0, 200, 220, 30];
    let encoded = |colors| {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, 100);
        encoder.set_sampling_factor(SamplingFactor::F_1_1);
        encoder
            .encode(&inks.repeat(32 * 16), 32, 16, colors)
            .expect("the encoder takes inks");
        file
    };
    let plain = encoded(ColorType::Cmyk);
    for (what, file) in [
        ("Adobe's marker", told(plain.clone(), Some(0))),
        ("no marker", told(plain, None)),
        (
            "luma and chroma",
            told(encoded(ColorType::CmykAsYcck), Some(2)),
        ),
    ] {
        let header = header(&file).expect("is whole");
        for eighths in [8, 4, 1] {
            let found = pixels(&file, &header, DecodeScale { eighths }).expect("is whole");
            assert_eq!(found.raster.channels, Channels::Cmyk);
            for pixel in found.raster.into_u8().expect("there is memory").chunks(4) {
                let near = pixel.iter().zip(inks).all(|(a, b)| a.abs_diff(b) <= 3);
                assert!(near, "{what} at {eighths}: {pixel:?}");
            }
        }
    }
}

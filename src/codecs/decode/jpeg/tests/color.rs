//! Whether three components are RGB or YCbCr: what component names, the JFIF marker and the Adobe marker decide together.

use jpeg_encoder::Encoder;
use jpeg_encoder::ImageBuffer;
use jpeg_encoder::JpegColorType;
use jpeg_encoder::SamplingFactor;

use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::pixels::Samples;

/// The stored samples, and their RGB values if they are read as YCbCr.
const STORED: [u8; 3] = [200, 90, 160];
const AS_YCC: [u8; 3] = [245, 190, 132];

/// A picture of one colour, stored as it is.
struct Flat;

impl ImageBuffer for Flat {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        16
    }

    fn height(&self) -> u16 {
        16
    }

    fn fill_buffers(&self, _row: u16, buffers: &mut [Vec<u8>; 4]) {
        for (buffer, value) in buffers.iter_mut().zip(STORED) {
            buffer.extend([value; 16]);
        }
    }
}

/// A file whose components have these names, with these markers and no others.
fn file(names: [u8; 3], jfif: bool, adobe: Option<u8>) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut encoder = Encoder::new(&mut encoded, 100);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.encode_image(Flat).expect("encodes");
    let mut file = vec![0xFF, 0xD8];
    if jfif {
        file.extend(b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    }
    if let Some(transform) = adobe {
        file.extend(b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0");
        file.push(transform);
    }
    let mut rest = &encoded[2..];
    while rest[1] != 0xDA {
        let length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (segment, next) = rest.split_at(length);
        rest = next;
        let mut segment = segment.to_vec();
        match segment[1] {
            0xE0 | 0xEE => continue,
            // Names stand before the sampling and the table of each component.
            0xC0..=0xC2 => {
                for (index, name) in names.into_iter().enumerate() {
                    segment[10 + 3 * index] = name;
                }
            }
            _ => {}
        }
        file.extend(segment);
    }
    let mut scan = rest.to_vec();
    for (index, name) in names.into_iter().enumerate() {
        scan[5 + 2 * index] = name;
    }
    file.extend(scan);
    file
}

#[test]
fn three_components_are_rgb_or_luma_and_chroma() {
    let rgb = *b"RGB";
    for (names, jfif, adobe, right) in [
        ([1, 2, 3], true, None, AS_YCC),
        ([1, 2, 3], false, None, AS_YCC),
        ([0, 1, 2], false, None, AS_YCC),
        ([7, 9, 33], false, None, AS_YCC),
        (rgb, false, None, STORED),
        // JFIF has precedence over names and over Adobe.
        (rgb, true, None, AS_YCC),
        ([1, 2, 3], true, Some(0), AS_YCC),
        // Adobe has precedence over names.
        ([1, 2, 3], false, Some(0), STORED),
        (rgb, false, Some(0), STORED),
        ([1, 2, 3], false, Some(1), AS_YCC),
        (rgb, false, Some(1), AS_YCC),
    ] {
        let file = file(names, jfif, adobe);
        let header = header(&file).expect("a header");
        let raster = pixels(&file, &header, DecodeScale::WHOLE)
            .expect("pixels")
            .raster;
        let Samples::U8(samples) = &raster.samples else {
            panic!("8 bits were encoded");
        };
        let found = &samples[..3];
        let is_near = found.iter().zip(right).all(|(a, b)| a.abs_diff(b) <= 3);
        assert!(
            is_near,
            "{names:?} {jfif} {adobe:?}: {found:?} for {right:?}"
        );
    }
}

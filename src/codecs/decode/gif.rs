//! GIF as a still picture: the first frame on its canvas.

use crate::codecs::TransformError;
use crate::codecs::decode::frames;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;

/// The canvas, the returned frame, and the indices of a frame four times as large as its canvas.
const BYTES_PER_PIXEL: u64 = 12;
/// How many times larger than the canvas the frame may be.
const FRAME_PER_CANVAS: u64 = 4;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    Ok(Header {
        format: SourceFormat::Gif,
        size: frames::gif::canvas_size(source)?,
        orientation: Orientation::default(),
        bytes_per_pixel: BYTES_PER_PIXEL,
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: 4,
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    Ok(DecodedImage {
        raster: frames::gif::first(source, header.size, FRAME_PER_CANVAS)?,
        extent: full_extent(header.size),
        space: ColorSpace::Srgb,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::codecs::TransformError;
    use crate::codecs::decode::frames::FrameReader;
    use crate::codecs::decode::image::DecodeScale;
    use crate::codecs::decode::{frames, header, pixels};
    use crate::codecs::sniff::SourceFormat;

    /// Two frames of 2x1 pixels, red and then blue, with their parts: what comes before the first, the first, the second, and the end.
    fn parts() -> [Vec<u8>; 4] {
        let palette = [255, 0, 0, 0, 0, 255];
        let frame = |index: u8| gif::Frame {
            width: 2,
            height: 1,
            delay: 7,
            buffer: Cow::Owned(vec![index; 2]),
            ..gif::Frame::default()
        };
        let written = |frames: &[u8]| {
            let mut encoder = gif::Encoder::new(Vec::new(), 2, 1, &palette).expect("begins");
            for &index in frames {
                encoder.write_frame(&frame(index)).expect("is written");
            }
            encoder.into_inner().expect("ends")
        };
        let (none, one, both) = (written(&[]), written(&[0]), written(&[0, 1]));
        let head = none[..none.len() - 1].to_vec();
        let first = one[head.len()..one.len() - 1].to_vec();
        let second = both[one.len() - 1..both.len() - 1].to_vec();
        [head, first, second, vec![0x3B]]
    }

    /// The first pixel of the still, and of every frame.
    fn shown(source: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), TransformError> {
        let header = header(source)?;
        let still = pixels(source, &header, DecodeScale::WHOLE)?
            .raster
            .into_u8()
            .expect("there is memory");
        let mut reader = FrameReader::open(source, SourceFormat::Gif, 1 << 20)?;
        let mut frames = Vec::new();
        while let Some(frame) = reader.next()? {
            frames.push(frame.raster.into_u8().expect("there is memory")[..4].to_vec());
        }
        Ok((still[..4].to_vec(), frames))
    }

    const RED: [u8; 4] = [255, 0, 0, 255];
    const BLUE: [u8; 4] = [0, 0, 255, 255];

    #[test]
    fn an_unknown_extension_is_skipped() {
        let [head, first, second, end] = parts();
        for label in [0x5F, 0x00, 0x2C, 0x3B, 0xFD] {
            for content in [&b"\0"[..], b"\x03abc\0", b"\x02\x2C\x3B\x01\x21\0"] {
                let unknown = [&[0x21, label], content].concat();
                let source = [
                    &head[..],
                    &unknown,
                    &unknown,
                    &first,
                    &unknown,
                    &second,
                    &unknown,
                    &end,
                ]
                .concat();
                let (still, frames) = shown(&source).expect("is whole");
                assert_eq!(still, RED, "{label:#x}");
                assert_eq!(frames, [RED, BLUE], "{label:#x}");
                let found = frames::animation(&source, SourceFormat::Gif).expect("two frames");
                assert_eq!(found.frames, 2, "{label:#x}");
            }
        }
    }

    #[test]
    fn an_unknown_block_ends_the_file() {
        let [head, first, second, end] = parts();
        let source = [&head[..], &first, &[0x77, 2, 1, 1, 0], &second, &end].concat();
        let (still, frames) = shown(&source).expect("has one frame");
        assert_eq!((&still[..], &frames[..]), (&RED[..], &[RED.to_vec()][..]));
        assert!(frames::animation(&source, SourceFormat::Gif).is_none());
        let source = [&head[..], &[0x77, 2, 1, 1, 0], &first, &end].concat();
        assert!(matches!(shown(&source), Err(TransformError::Decode(_))));
    }

    #[test]
    fn a_frame_that_is_far_larger_than_its_canvas_is_refused() {
        let written = |width: u16| {
            let mut encoder = gif::Encoder::new(Vec::new(), 2, 1, &[0; 6]).expect("begins");
            let frame = gif::Frame {
                width,
                height: 1,
                buffer: Cow::Owned(vec![0; usize::from(width)]),
                ..gif::Frame::default()
            };
            encoder.write_frame(&frame).expect("is written");
            encoder.into_inner().expect("ends")
        };
        let still = |source: &[u8]| pixels(source, &header(source)?, DecodeScale::WHOLE);
        assert!(still(&written(8)).is_ok());
        let refused = still(&written(9)).err();
        assert!(matches!(refused, Some(TransformError::Decode(_))));
    }
}

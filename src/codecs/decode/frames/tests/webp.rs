//! Frames of animated WebP files.

use std::time::Duration;

use crate::codecs::TransformError;
use crate::codecs::animation::LoopCount;
use crate::codecs::decode::frames::animation;
use crate::codecs::decode::frames::tests::frames;
use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::codecs::encode::animation::AnimationEncoder;
use crate::codecs::sniff::SourceFormat;
use crate::options::{Effort, Format, Quality};
use crate::pixels::Size;

/// A lossless WebP of 8x8 pixels in which a square moves down.
pub(super) fn webp(count: u8) -> Vec<u8> {
    let quality = Quality::new(100).expect("in range");
    let mut animator = AnimationEncoder::new(
        Format::Webp,
        Size::new(8, 8),
        LoopCount(4),
        quality,
        Effort::Settled,
    )
    .expect("begins");
    for number in 0..count {
        let mut rgba = vec![0; 8 * 8 * 4];
        let start = usize::from(number) * 8 * 4;
        rgba[start..start + 16].copy_from_slice(&[200, 100, number, 255].repeat(4));
        animator
            .push(&rgba, Duration::from_millis(50 + u64::from(number)))
            .expect("is written");
    }
    animator.finish().expect("ends")
}

#[test]
fn webp_frames_come_whole_with_their_delays() {
    let source = webp(5);
    let found = animation(&source, SourceFormat::Webp).expect("several frames");
    assert_eq!(
        (found.frames, found.loops, found.size),
        (5, LoopCount(4), Size::new(8, 8))
    );
    let shown = frames(&source, SourceFormat::Webp).expect("decodes");
    assert_eq!(shown.len(), 5);
    for (number, frame) in (0u8..).zip(shown) {
        assert_eq!(frame.delay, Duration::from_millis(50 + u64::from(number)));
        let samples = frame.raster.into_u8().expect("there is memory");
        let opaque: Vec<usize> = (0..64).filter(|pixel| samples[pixel * 4 + 3] > 0).collect();
        let row = usize::from(number) * 8;
        assert_eq!(opaque, [row, row + 1, row + 2, row + 3]);
        assert_eq!(samples[row * 4 + 2], number);
    }
}

/// The library cuts a first frame to what is not transparent, so it lies anywhere on its canvas.
#[test]
fn the_still_of_a_webp_is_its_first_frame() {
    for (left, top, width, height) in [(0, 0, 40, 30), (10, 6, 20, 12), (39, 29, 1, 1)] {
        for quality in [100, 80] {
            let quality = Quality::new(quality).expect("in range");
            let mut animator = AnimationEncoder::new(
                Format::Webp,
                Size::new(40, 30),
                LoopCount(1),
                quality,
                Effort::Settled,
            )
            .expect("begins");
            for number in 0..3u8 {
                let pixels = (0..40 * 30u32).flat_map(|index| {
                    let (x, y) = (index % 40, index / 40);
                    let is_shown =
                        (left..left + width).contains(&x) && (top..top + height).contains(&y);
                    let [x, y] = [x, y].map(|side| u8::try_from(side).expect("small"));
                    if is_shown {
                        [x * 6, y * 8, number, 200 + x]
                    } else {
                        [0; 4]
                    }
                });
                animator
                    .push(&pixels.collect::<Vec<u8>>(), Duration::from_millis(50))
                    .expect("is written");
            }
            let source = animator.finish().expect("ends");
            let first = frames(&source, SourceFormat::Webp)
                .expect("decodes")
                .remove(0);
            let header = header(&source).expect("a header");
            let still = pixels(&source, &header, DecodeScale::WHOLE).expect("decodes");
            assert_eq!(still.raster, first.raster, "{left} {top} {width} {height}");
        }
    }
}

#[test]
fn a_webp_frame_beyond_its_canvas_is_refused() {
    let whole = webp(2);
    let frame = whole
        .windows(4)
        .position(|window| window == b"ANMF")
        .expect("has frames");
    // Offsets and sides of three bytes each, after the name and the length of the chunk.
    for at in [8, 11, 14, 17] {
        let mut source = whole.clone();
        source[frame + at + 2] = 0x10;
        let header = header(&source).expect("a header");
        let damaged = pixels(&source, &header, DecodeScale::WHOLE).map(|_| ());
        assert!(matches!(damaged, Err(TransformError::Decode(_))), "{at}");
    }
}

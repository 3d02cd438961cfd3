use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy};
use proptest::prop_assert_eq;
use proptest::proptest;

use crate::codecs::animation::{AnimationFrame, LoopCount};
use crate::codecs::decode::frames::{FrameReader, animation};
use crate::codecs::encode::animation::AnimationEncoder;
use crate::codecs::sniff::sniff;
use crate::options::{Effort, Format, Quality};
use crate::pixels::Size;

const LOSSLESS: u8 = 100;

fn written(
    format: Format,
    size: Size,
    loops: LoopCount,
    quality: u8,
    frames: &[(Vec<u8>, Duration)],
) -> Vec<u8> {
    let quality = Quality::new(quality).expect("in range");
    let mut animator =
        AnimationEncoder::new(format, size, loops, quality, Effort::Settled).expect("begins");
    for (rgba, delay) in frames {
        animator.push(rgba, *delay).expect("is written");
    }
    animator.finish().expect("ends")
}

fn read(bytes: &[u8]) -> Vec<AnimationFrame> {
    let kind = sniff(bytes).expect("a picture");
    let mut reader = FrameReader::open(bytes, kind, 1 << 24).expect("opens");
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().expect("decodes") {
        frames.push(frame);
    }
    frames
}

fn seen(frames: Vec<AnimationFrame>) -> Vec<(Vec<u8>, Duration)> {
    frames
        .into_iter()
        .map(|frame| {
            (
                frame.raster.into_u8().expect("there is memory"),
                frame.delay,
            )
        })
        .collect()
}

fn millis(delay: u64) -> Duration {
    Duration::from_millis(delay)
}

/// A square of two colours that moves over a transparent background and disappears for a moment.
fn wandering(size: Size) -> Vec<(Vec<u8>, Duration)> {
    (0..6u32)
        .map(|step| {
            let mut rgba = vec![0; size.len() * 4];
            for (index, pixel) in (0u32..).zip(rgba.chunks_exact_mut(4)) {
                let (x, y) = (index % size.width, index / size.width);
                let inside = |at: u32, start: u32| (start..start + 4).contains(&at);
                if step != 3 && inside(x, step) && inside(y, step / 2) {
                    let shade = if x == step { 255 } else { 40 };
                    pixel.copy_from_slice(&[shade, 90, 200, 255]);
                }
            }
            (rgba, millis(40 + 10 * u64::from(step)))
        })
        .collect()
}

#[test]
fn few_colours_survive_a_gif_exactly() {
    let size = Size::new(12, 9);
    let frames = wandering(size);
    let bytes = written(Format::Gif, size, LoopCount(3), 85, &frames);
    assert_eq!(seen(read(&bytes)), frames);
    let kind = sniff(&bytes).expect("a picture");
    let found = animation(&bytes, kind).expect("several frames");
    assert_eq!(
        (found.frames, found.loops, found.size),
        (6, LoopCount(3), size)
    );
}

#[test]
fn lossless_webp_is_exact_and_keeps_delays_and_loops() {
    let size = Size::new(12, 9);
    let frames = wandering(size);
    let bytes = written(Format::Webp, size, LoopCount(3), LOSSLESS, &frames);
    assert_eq!(seen(read(&bytes)), frames);
    let kind = sniff(&bytes).expect("a picture");
    let found = animation(&bytes, kind).expect("several frames");
    assert_eq!(
        (found.frames, found.loops, found.size),
        (6, LoopCount(3), size)
    );
}

fn any_frames() -> impl Strategy<Value = Vec<(Vec<u8>, Duration)>> {
    let pixel = (0..6usize).prop_map(|index| {
        [
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 0, 255],
            [255, 0, 0, 255],
            [0, 255, 0, 255],
            [9, 9, 9, 255],
        ][index]
    });
    let frame = vec(pixel, 12).prop_map(|pixels| pixels.concat());
    // As in real files, half of the frames differ only a little from the previous one.
    let step = (frame, 0..12usize, 0..2u8, 0..20u64);
    vec(step, 1..7).prop_map(|steps| {
        let mut frames: Vec<(Vec<u8>, Duration)> = Vec::new();
        for (fresh, from, follows, delay) in steps {
            let mut rgba = fresh.clone();
            if let (1, Some((last, _))) = (follows, frames.last()) {
                rgba[..from * 4].copy_from_slice(&last[..from * 4]);
            }
            frames.push((rgba, millis(delay * 10)));
        }
        frames
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_change_of_pixels_survives_a_gif(frames in any_frames()) {
        let bytes = written(Format::Gif, Size::new(4, 3), LoopCount::FOREVER, 85, &frames);
        prop_assert_eq!(seen(read(&bytes)), frames);
    }

    #[test]
    fn every_change_of_pixels_survives_a_lossless_webp(frames in any_frames()) {
        let bytes = written(Format::Webp, Size::new(4, 3), LoopCount::FOREVER, LOSSLESS, &frames);
        // Equal frames in a row come back as one, shown for as long as all of them; one alone as a still.
        let mut merged: Vec<(Vec<u8>, Duration)> = Vec::new();
        for (rgba, delay) in frames {
            match merged.last_mut() {
                Some((last, shown)) if *last == rgba => *shown += delay,
                _ => merged.push((rgba, delay)),
            }
        }
        let read = seen(read(&bytes));
        if merged.len() > 1 {
            prop_assert_eq!(read, merged);
        } else {
            prop_assert_eq!(&read[0].0, &merged[0].0);
        }
    }
}

#[test]
fn a_gif_frame_may_use_all_256_colours() {
    let size = Size::new(16, 16);
    let colours =
        |blue: u8| -> Vec<u8> { (0..=255u8).flat_map(|red| [red, 7, blue, 255]).collect() };
    let frames = vec![(colours(0), millis(50)), (colours(1), millis(50))];
    let bytes = written(Format::Gif, size, LoopCount::FOREVER, 85, &frames);
    assert_eq!(seen(read(&bytes)), frames);
}

#[test]
fn many_colours_stay_close_in_a_gif() {
    let size = Size::new(32, 32);
    let shades = |offset: u8| -> Vec<u8> {
        (0..32u8)
            .flat_map(|y| (0..32u8).flat_map(move |x| [x * 8, y * 8, offset, 255]))
            .collect()
    };
    let frames = vec![(shades(20), millis(50)), (shades(220), millis(50))];
    for (quality, most) in [(85, 8.0), (20, 24.0)] {
        let bytes = written(Format::Gif, size, LoopCount::FOREVER, quality, &frames);
        for ((shown, _), (wanted, _)) in seen(read(&bytes)).iter().zip(&frames) {
            let error: u32 = shown
                .iter()
                .zip(wanted)
                .map(|(shown, wanted)| u32::from(shown.abs_diff(*wanted)))
                .sum();
            let mean = f64::from(error) / (32.0 * 32.0 * 3.0);
            assert!(mean < most, "quality {quality}: {mean}");
        }
    }
}

#[test]
fn soft_edges_become_hard_in_a_gif() {
    let rgba = [[10, 20, 30, 127], [10, 20, 30, 128]].concat();
    let bytes = written(
        Format::Gif,
        Size::new(2, 1),
        LoopCount::ONCE,
        85,
        &[(rgba, millis(0))],
    );
    let shown = read(&bytes)
        .remove(0)
        .raster
        .into_u8()
        .expect("there is memory");
    assert_eq!(shown, [0, 0, 0, 0, 10, 20, 30, 255]);
}

#[test]
fn a_small_change_makes_a_small_frame() {
    let size = Size::new(64, 64);
    let still: Vec<u8> = (0..64 * 64u32)
        .flat_map(|index| [(index % 61).to_le_bytes()[0], 3, 3, 255])
        .collect();
    let mut touched = still.clone();
    touched[4 * 1000] = 200;
    let one = [(still.clone(), millis(50))];
    let two = [one[0].clone(), (touched, millis(50))];
    let same = [one[0].clone(), one[0].clone()];
    let length = |frames: &[_]| written(Format::Gif, size, LoopCount::FOREVER, 85, frames).len();
    assert!(length(&two) < length(&one) + 50);
    assert!(length(&same) < length(&one) + 30);
}

#[test]
fn gif_delays_are_rounded_in_sum_and_never_to_what_browsers_slow_down() {
    let dot = |shade: u8| vec![shade, 0, 0, 255];
    let check = |delays: &[u64], written_centis: &[u64]| {
        let frames: Vec<_> = (0u8..)
            .zip(delays)
            .map(|(shade, &micros)| (dot(shade), Duration::from_micros(micros)))
            .collect();
        let bytes = written(
            Format::Gif,
            Size::new(1, 1),
            LoopCount::FOREVER,
            85,
            &frames,
        );
        let made: Vec<Duration> = read(&bytes).iter().map(|frame| frame.delay).collect();
        let wanted: Vec<Duration> = written_centis
            .iter()
            .map(|centis| millis(centis * 10))
            .collect();
        assert_eq!(made, wanted, "{delays:?}");
    };
    check(&[0, 10_000, 20_000, 655_350_000], &[0, 1, 2, 65_535]);
    check(&[33_333, 33_333, 33_334], &[3, 4, 3]);
    check(&[11_000, 15_000, 90_000], &[2, 2, 8]);
    check(&[900_000_000, 50_000], &[65_535, 5]);
}

#[test]
fn webp_delays_are_rounded_in_sum_and_cut_to_what_it_can_hold() {
    let frames: Vec<_> = (0u8..)
        .zip([33_333, 33_333, 33_334, u64::MAX / 2, 1_000])
        .map(|(shade, micros)| (vec![shade, 0, 0, 255], Duration::from_micros(micros)))
        .collect();
    let bytes = written(
        Format::Webp,
        Size::new(1, 1),
        LoopCount(70_000),
        LOSSLESS,
        &frames,
    );
    let made: Vec<u128> = read(&bytes)
        .iter()
        .map(|frame| frame.delay.as_millis())
        .collect();
    assert_eq!(made[..4], [33, 34, 33, 16_777_215]);
    let kind = sniff(&bytes).expect("a picture");
    assert_eq!(
        animation(&bytes, kind).map(|found| found.loops),
        Some(LoopCount(65_535))
    );
}

#[test]
fn webp_announces_transparency_around_opaque_frames() {
    let size = Size::new(8, 8);
    let frame = |from: usize| {
        let mut rgba = vec![0; size.len() * 4];
        rgba[from * 4..][..64].copy_from_slice(&[200, 0, 0, 255].repeat(16));
        (rgba, millis(50))
    };
    for quality in [LOSSLESS, 85] {
        let bytes = written(
            Format::Webp,
            size,
            LoopCount::FOREVER,
            quality,
            &[frame(0), frame(8)],
        );
        assert_eq!(&bytes[12..16], b"VP8X");
        assert_eq!(bytes[20] & 0x10, 0x10, "{quality}");
    }
}

#[test]
fn one_frame_is_enough_and_no_frame_is_an_error() {
    let size = Size::new(2, 1);
    let rgba = [[1, 2, 3, 255], [0, 0, 0, 0]].concat();
    for format in [Format::Gif, Format::Webp] {
        let bytes = written(
            format,
            size,
            LoopCount::FOREVER,
            LOSSLESS,
            &[(rgba.clone(), millis(0))],
        );
        assert_eq!(
            read(&bytes)[0]
                .raster
                .clone()
                .into_u8()
                .expect("there is memory"),
            rgba,
            "{format}"
        );
        let empty = AnimationEncoder::new(
            format,
            size,
            LoopCount::FOREVER,
            Quality::DEFAULT,
            Effort::Settled,
        )
        .expect("begins");
        assert!(empty.finish().is_err(), "{format}");
        let mut short = AnimationEncoder::new(
            format,
            size,
            LoopCount::FOREVER,
            Quality::DEFAULT,
            Effort::Settled,
        )
        .expect("begins");
        assert!(short.push(&rgba[..7], millis(0)).is_err(), "{format}");
    }
    assert!(
        AnimationEncoder::new(
            Format::Png,
            size,
            LoopCount::FOREVER,
            Quality::DEFAULT,
            Effort::Settled
        )
        .is_err()
    );
}

#[test]
fn a_canvas_too_large_for_a_format_is_an_error() {
    for (format, side) in [(Format::Webp, 16_384), (Format::Gif, 65_536)] {
        let size = Size::new(side, 1);
        let rgba = vec![255; size.len() * 4];
        let made = AnimationEncoder::new(
            format,
            size,
            LoopCount::FOREVER,
            Quality::DEFAULT,
            Effort::Settled,
        )
        .and_then(|mut animator| {
            animator.push(&rgba, millis(0))?;
            animator.finish()
        });
        assert!(made.is_err(), "{format}");
    }
}

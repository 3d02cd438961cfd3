//! Files that are written and read again, and two C++ libraries of one family that work side by side.

use std::thread;

use crate::options::{Effort, Format, Quality};

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings, encode, repack_jpeg};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size};

const SIZE: Size = Size::new(97, 61);

fn settings(quality: u8) -> Settings<'static> {
    Settings {
        quality: Quality::new(quality).expect("from 1 to 100"),
        progressive: true,
        palette: false,
        effort: Effort::Quick,
        profile: None,
    }
}

/// Samples that differ from each other, and change slowly.
fn shade(at: usize) -> u16 {
    u16::try_from(at * 37 % 60_000).expect("below 60,000")
}

fn bytes(count: usize) -> Vec<u8> {
    let high = |at| u8::try_from(shade(at) >> 8).expect("a high byte");
    (0..count).map(high).collect()
}

fn decoded(file: &[u8]) -> Raster {
    let header = decode::header(file).expect("a header");
    let scale = DecodeScale::WHOLE;
    decode::pixels(file, &header, scale).expect("pixels").raster
}

fn written(picture: &Picture, quality: u8) -> Raster {
    decoded(&encode(picture, Format::Jxl, settings(quality)).expect("encodes"))
}

#[test]
fn without_loss_every_sample_comes_back() {
    let pixels = SIZE.len();
    let made = written(&Picture::Rgb(SIZE, bytes(pixels * 3)), 100);
    assert_eq!((made.size, made.channels), (SIZE, Channels::Rgb));
    assert_eq!(made.samples, Samples::U8(bytes(pixels * 3)));

    let made = written(&Picture::Rgba(SIZE, bytes(pixels * 4)), 100);
    assert_eq!(made.channels, Channels::Rgba);
    assert_eq!(made.samples, Samples::U8(bytes(pixels * 4)));

    let deep: Vec<u16> = (0..pixels * 3).map(shade).collect();
    let made = written(&Picture::Deep(SIZE, Channels::Rgb, deep.clone()), 100);
    assert_eq!(made.samples, Samples::U16(deep));
    let deep: Vec<u16> = (0..pixels * 4).map(shade).collect();
    let made = written(&Picture::Deep(SIZE, Channels::Rgba, deep.clone()), 100);
    assert_eq!(made.samples, Samples::U16(deep));
}

#[test]
fn what_has_no_colour_is_written_without() {
    let grays = bytes(SIZE.len());
    let repeated = grays.iter().flat_map(|&gray| [gray; 3]).collect();
    for (quality, tolerance) in [(100, 0), (90, 12)] {
        let made = written(&Picture::Rgb(SIZE, Vec::clone(&repeated)), quality);
        assert_eq!(made.channels, Channels::Gray, "{quality}");
        assert_close(&made, &grays, tolerance);
    }
}

/// The largest difference of a sample of 8 bits.
#[track_caller]
fn assert_close(made: &Raster, expected: &[u8], tolerance: u8) {
    let samples = made.samples.clone().into_u8().expect("there is memory");
    assert_eq!(samples.len(), expected.len());
    let differences = samples.iter().zip(expected).map(|(a, b)| a.abs_diff(*b));
    let farthest = differences.max().unwrap_or(0);
    assert!(farthest <= tolerance, "{farthest}");
}

#[test]
fn a_better_quality_is_nearer_and_takes_more_bytes() {
    let picture = waves(SIZE, 3);
    let Picture::Rgb(_, samples) = &picture else {
        panic!("it has no alpha");
    };
    let (mut bytes, mut farthest) = (0, u64::MAX);
    for quality in [20, 50, 75, 90, 99] {
        let file = encode(&picture, Format::Jxl, settings(quality)).expect("encodes");
        let made = decoded(&file).samples.into_u8().expect("there is memory");
        let differences = made
            .iter()
            .zip(samples)
            .map(|(a, b)| u64::from(a.abs_diff(*b)));
        let distance = differences.sum();
        assert!(file.len() > bytes && distance < farthest, "{quality}");
        (bytes, farthest) = (file.len(), distance);
    }
}

#[test]
fn alpha_is_kept_where_colours_lose() {
    let size = Size::new(64, 64);
    let pixels: Vec<u8> = (0..size.len())
        .flat_map(|at| {
            let alpha = u8::try_from(at % 64 * 4).expect("below 256");
            [200, 40, 90, alpha]
        })
        .collect();
    let made = written(&Picture::Rgba(size, pixels.clone()), 75);
    assert_eq!(made.channels, Channels::Rgba);
    let Samples::U8(samples) = &made.samples else {
        panic!("samples of 8 bits");
    };
    for (made, pixel) in samples.chunks(4).zip(pixels.chunks(4)) {
        assert!(made[3].abs_diff(pixel[3]) <= 12, "{made:?} {pixel:?}");
    }
}

#[test]
fn a_profile_is_in_the_file() {
    let profile = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("encodes");
    for quality in [75, 100] {
        let settings = Settings {
            profile: Some(&profile),
            ..settings(quality)
        };
        let picture = Picture::Rgb(SIZE, bytes(SIZE.len() * 3));
        let file = encode(&picture, Format::Jxl, settings).expect("encodes");
        let header = decode::header(&file).expect("a header");
        let decoded = decode::pixels(&file, &header, DecodeScale::WHOLE).expect("pixels");
        assert_ne!(decoded.space, ColorSpace::Srgb, "{quality}");
    }
    // What is no profile is an error, and no crash.
    let settings = Settings {
        profile: Some(b"no profile"),
        ..settings(75)
    };
    let picture = Picture::Rgb(SIZE, bytes(SIZE.len() * 3));
    assert!(encode(&picture, Format::Jxl, settings).is_err());
}

#[test]
fn samples_that_make_no_picture_are_refused() {
    for picture in [
        Picture::Rgb(SIZE, bytes(5)),
        Picture::Rgba(SIZE, Vec::new()),
        Picture::Rgb(Size::new(0, 0), Vec::new()),
    ] {
        assert!(encode(&picture, Format::Jxl, settings(75)).is_err());
    }
}

/// A photograph of sorts: waves with a little noise.
fn waves(size: Size, seed: usize) -> Picture {
    let mut random = 12_345_u32 + u32::try_from(seed).expect("small");
    let samples = (0..size.len() * 3).map(|at| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (at / 3 % size.width as usize, at / 3 / size.width as usize);
        let wave = (x * (3 + at % 3) + y * 2 + seed * 5) % 200;
        u8::try_from(wave + (random >> 27) as usize).expect("below 256")
    });
    Picture::Rgb(size, samples.collect())
}

#[test]
fn a_jpeg_that_is_packed_again_shows_the_same_in_fewer_bytes() {
    let picture = waves(Size::new(320, 240), 1);
    for (quality, tolerance) in [(95, 6), (60, 12)] {
        let jpeg = encode(&picture, Format::Jpeg, settings(quality)).expect("encodes");
        let packed = repack_jpeg(&jpeg, picture.size()).expect("packs");
        assert!(packed.len() < jpeg.len(), "{} {}", packed.len(), jpeg.len());
        let Samples::U8(expected) = decoded(&jpeg).samples else {
            panic!("samples of 8 bits");
        };
        assert_close(&decoded(&packed), &expected, tolerance);
    }
    assert!(repack_jpeg(b"\xFF\xD8 no JPEG", SIZE).is_err());
    assert!(repack_jpeg(&[], SIZE).is_err());
}

#[test]
fn encoders_of_one_family_do_not_disturb_each_other() {
    const THREADS: usize = 4;
    let size = Size::new(180, 120);
    let jobs: Vec<(Picture, Format, u8)> = (0..16)
        .map(|at| {
            let format = if at % 2 == 0 {
                Format::Jxl
            } else {
                Format::Jpeg
            };
            (waves(size, at), format, [60, 90, 100, 40][at / 2 % 4])
        })
        .collect();
    let encoded = |at: usize| {
        let (picture, format, quality) = &jobs[at];
        encode(picture, *format, settings(*quality)).expect("encodes")
    };
    let alone: Vec<Vec<u8>> = (0..jobs.len()).map(encoded).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (alone, encoded) = (&alone, &encoded);
            scope.spawn(move || {
                for turn in 0..2 * alone.len() {
                    let at = (turn * (thread * 2 + 1) + thread) % alone.len();
                    assert_eq!(encoded(at), alone[at], "{at}");
                }
            });
        }
    });
}

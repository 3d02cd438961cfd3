use std::io::Cursor;
use std::time::{Duration, Instant};

use crate::options::{Metadata, Output, Recipe};

use crate::codecs::decode::frames::FrameReader;
use crate::codecs::decode::image::DecodeScale;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{Limits, decode, metadata};
use crate::pixels::Raster;
use crate::transform::{Budget, Hints, Source};

/// What the pixels of the files here are stored as.
const STORED: [[u8; 3]; 4] = [
    [200, 100, 50],
    [128, 128, 128],
    [30, 170, 60],
    [10, 240, 128],
];
const ADOBE: [u32; 8] = [
    31_270, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000,
];
const P3: [u32; 8] = [
    31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000,
];

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(content);
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&length[..], name, content, &crc.sum().to_be_bytes()].concat()
}

fn gamma(value: u32) -> Vec<u8> {
    chunk(b"gAMA", &value.to_be_bytes())
}

fn chromaticities(values: [u32; 8]) -> Vec<u8> {
    chunk(b"cHRM", &values.map(u32::to_be_bytes).concat())
}

fn srgb(intent: u8) -> Vec<u8> {
    chunk(b"sRGB", &[intent])
}

fn profile(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, bytes).expect("writes to memory");
    let packed = packed.finish().expect("writes to memory");
    chunk(b"iCCP", &[b"x\0\0", &packed[..]].concat())
}

/// How pixels are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Eight,
    Sixteen,
    Palette,
    /// The first of the three samples.
    Grey,
}

/// A PNG of the stored pixels in a row, with these chunks before them; `frames` of them one after the other if there are any.
fn png(depth: Depth, chunks: &[Vec<u8>], frames: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(Cursor::new(&mut file), 4, 1);
    let (color, bits) = match depth {
        Depth::Eight => (png::ColorType::Rgb, png::BitDepth::Eight),
        Depth::Sixteen => (png::ColorType::Rgb, png::BitDepth::Sixteen),
        Depth::Palette => (png::ColorType::Indexed, png::BitDepth::Eight),
        Depth::Grey => (png::ColorType::Grayscale, png::BitDepth::Eight),
    };
    encoder.set_color(color);
    encoder.set_depth(bits);
    let samples: Vec<u8> = match depth {
        Depth::Eight => STORED.concat(),
        Depth::Sixteen => STORED
            .concat()
            .iter()
            .flat_map(|&sample| [sample; 2])
            .collect(),
        Depth::Palette => {
            encoder.set_palette(STORED.concat());
            vec![0, 1, 2, 3]
        }
        Depth::Grey => STORED.map(|pixel| pixel[0]).to_vec(),
    };
    if frames > 0 {
        encoder.set_animated(frames, 0).expect("a number");
    }
    let mut writer = encoder.write_header().expect("writes to memory");
    for _ in 0..frames.max(1) {
        writer.write_image_data(&samples).expect("writes to memory");
    }
    writer.finish().expect("writes to memory");
    // Behind the signature and the header.
    file.splice(33..33, chunks.concat());
    file
}

fn recipe() -> Recipe {
    Recipe {
        output: Output::Png,
        ..Recipe::default()
    }
}

fn made(source: &[u8], recipe: &Recipe) -> Vec<u8> {
    let budget = Budget::until(Instant::now() + Duration::from_secs(60));
    let source = Source::open(source.to_vec().into(), &Limits::default()).expect("a picture");
    let plan = source.plan(recipe, &Hints::default()).expect("a plan");
    let made = plan.render(&budget);
    made.expect("is rendered").bytes
}

/// The pixels of the output PNG, which has no colour chunks any more.
#[track_caller]
fn shown(source: &[u8], recipe: &Recipe) -> Vec<[u8; 3]> {
    let made = made(source, recipe);
    assert_eq!(metadata::png_calibration(&made), None);
    let header = decode::header(&made).expect("a PNG");
    let decoded = decode::pixels(&made, &header, DecodeScale::WHOLE).expect("a PNG");
    let samples = crate::pixels::color::expanded(decoded.raster)
        .and_then(Raster::into_u8)
        .expect("there is memory");
    samples.as_chunks::<3>().0.to_vec()
}

#[track_caller]
fn assert_near(found: &[[u8; 3]], expected: &[[u8; 3]], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(4), "{what}: {found:?}, expected {expected:?}");
}

/// The pixels that Chromium 156 shows for files with these chunks.
const LINEAR: [[u8; 3]; 4] = [
    [229, 168, 122],
    [188, 188, 188],
    [96, 213, 133],
    [56, 248, 188],
];
const ADOBE_SHOWN: [[u8; 3]; 4] = [[227, 100, 42], [129, 129, 129], [0, 172, 44], [0, 240, 121]];

#[test]
fn gamma_and_primaries_are_seen_as_chromium_shows_them() {
    for (what, chunks, expected) in [
        (
            "10 %",
            vec![gamma(10_000)],
            [[84, 0, 0], [3, 3, 3], [0, 36, 0], [0, 195, 3]],
        ),
        (
            "20 %",
            vec![gamma(20_000)],
            [[148, 24, 1], [50, 50, 50], [0, 102, 2], [0, 223, 50]],
        ),
        (
            "43 %",
            vec![gamma(43_000)],
            [[199, 95, 41], [124, 124, 124], [20, 168, 52], [2, 240, 124]],
        ),
        (
            "1/1.8",
            vec![gamma(55_556)],
            [
                [210, 119, 65],
                [146, 146, 146],
                [40, 184, 77],
                [10, 243, 146],
            ],
        ),
        ("linear", vec![gamma(100_000)], LINEAR),
        (
            "250 %",
            vec![gamma(250_000)],
            [
                [244, 216, 191],
                [226, 226, 226],
                [174, 237, 197],
                [143, 252, 226],
            ],
        ),
        ("nearly none", vec![gamma(1)], [[0; 3]; 4]),
        ("the most", vec![gamma(u32::MAX >> 1)], [[255; 3]; 4]),
        (
            "Adobe RGB",
            vec![chromaticities(ADOBE), gamma(45_455)],
            ADOBE_SHOWN,
        ),
        (
            "the other way round",
            vec![gamma(45_455), chromaticities(ADOBE)],
            ADOBE_SHOWN,
        ),
        (
            "Display P3",
            vec![chromaticities(P3), gamma(45_455)],
            [[216, 93, 24], [129, 129, 129], [0, 175, 30], [0, 245, 115]],
        ),
        (
            "ProPhoto RGB",
            vec![
                chromaticities([34_567, 35_850, 73_470, 26_530, 15_960, 84_040, 3_660, 10]),
                gamma(55_556),
            ],
            [[255, 80, 47], [146, 146, 146], [0, 202, 28], [0, 255, 123]],
        ),
        (
            "white of D50",
            vec![
                chromaticities([
                    34_567, 35_850, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000,
                ]),
                gamma(45_455),
            ],
            [[209, 101, 53], [129, 129, 129], [0, 171, 64], [0, 240, 133]],
        ),
        (
            "primaries at the edge of what there is",
            vec![
                chromaticities([31_270, 32_900, 100_000, 0, 0, 100_000, 0, 0]),
                gamma(45_455),
            ],
            [[255, 0, 54], [129, 129, 129], [0, 226, 0], [0, 255, 77]],
        ),
        (
            "of two the first",
            vec![gamma(100_000), gamma(45_455)],
            LINEAR,
        ),
        (
            "an intent that there is not",
            vec![srgb(9), gamma(100_000)],
            LINEAR,
        ),
        (
            "primaries of the wrong length",
            vec![chunk(b"cHRM", &[0; 10]), gamma(100_000)],
            LINEAR,
        ),
        (
            "a profile that is none",
            vec![profile(b"garbage"), gamma(100_000)],
            LINEAR,
        ),
        (
            "code points before it",
            vec![gamma(100_000), chunk(b"cICP", &[12, 13, 0, 1])],
            [[215, 93, 31], [128, 128, 128], [0, 173, 36], [0, 244, 114]],
        ),
    ] {
        assert_near(
            &shown(&png(Depth::Eight, &chunks, 0), &recipe()),
            &expected,
            what,
        );
    }
}

#[test]
fn what_is_srgb_or_absurd_changes_nothing() {
    let mut broken = gamma(100_000);
    *broken.last_mut().expect("a checksum") ^= 1;
    let own = moxcms::ColorProfile::new_srgb()
        .encode()
        .expect("writes its own");
    let big = ADOBE.map(|value| value * 10);
    for (what, chunks) in [
        ("nothing", vec![]),
        ("gamma of sRGB", vec![gamma(45_455)]),
        ("nearly", vec![gamma(43_200)]),
        ("nearly, above", vec![gamma(47_700)]),
        (
            "with primaries of sRGB",
            vec![
                gamma(45_455),
                chromaticities(crate::codecs::decode::calibration::SRGB),
            ],
        ),
        (
            "rounded",
            vec![
                gamma(45_450),
                chromaticities([
                    31_269, 32_899, 63_999, 33_001, 30_000, 60_000, 15_000, 5_999,
                ]),
            ],
        ),
        ("primaries alone", vec![chromaticities(ADOBE)]),
        ("sRGB", vec![chromaticities(ADOBE), gamma(100_000), srgb(0)]),
        ("sRGB before it", vec![srgb(3), gamma(100_000)]),
        (
            "a profile",
            vec![profile(&own), gamma(100_000), chromaticities(ADOBE)],
        ),
        ("zero", vec![gamma(0)]),
        ("a wrong checksum", vec![broken]),
        ("too short", vec![chunk(b"gAMA", &[0, 1])]),
        (
            "primaries in one point",
            vec![
                chromaticities([31_270, 32_900, 0, 0, 0, 0, 0, 0]),
                gamma(100_000),
            ],
        ),
        (
            "two primaries that are one",
            vec![
                chromaticities([
                    31_270, 32_900, 64_000, 33_000, 64_000, 33_000, 15_000, 6_000,
                ]),
                gamma(100_000),
            ],
        ),
        (
            "primaries beyond all",
            vec![chromaticities(big), gamma(100_000)],
        ),
        (
            "white without light",
            vec![
                chromaticities([31_270, 0, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000]),
                gamma(100_000),
            ],
        ),
    ] {
        let found = shown_as_stored(&png(Depth::Eight, &chunks, 0));
        assert_eq!(found, STORED, "{what}");
    }
}

/// The pixels of an output. If the source is smaller, it is passed through with its chunks.
fn shown_as_stored(source: &[u8]) -> Vec<[u8; 3]> {
    let made = made(source, &recipe());
    let header = decode::header(&made).expect("a PNG");
    let decoded = decode::pixels(&made, &header, DecodeScale::WHOLE).expect("a PNG");
    crate::pixels::color::expanded(decoded.raster)
        .and_then(Raster::into_u8)
        .expect("there is memory")
        .as_chunks::<3>()
        .0
        .to_vec()
}

#[test]
fn every_kind_of_png_has_its_gamma() {
    for depth in [Depth::Eight, Depth::Sixteen, Depth::Palette] {
        let source = png(depth, &[gamma(100_000)], 0);
        assert_near(&shown(&source, &recipe()), &LINEAR, &format!("{depth:?}"));
    }
    let source = png(Depth::Grey, &[gamma(100_000)], 0);
    let grey = LINEAR.map(|pixel| [pixel[0]; 3]);
    assert_near(&shown(&source, &recipe()), &grey, "grey");
}

#[test]
fn gamma_is_not_copied_with_metadata() {
    let kept = Recipe {
        metadata: Metadata::Keep,
        ..recipe()
    };
    let source = png(Depth::Eight, &[chromaticities(ADOBE), gamma(45_455)], 0);
    assert_near(&shown(&source, &kept), &ADOBE_SHOWN, "kept");
}

#[test]
fn a_wide_gamut_keeps_its_colours_and_gets_a_profile() {
    let wide = Recipe {
        wide_gamut: true,
        ..recipe()
    };
    let source = png(Depth::Eight, &[chromaticities(ADOBE), gamma(45_455)], 0);
    let made = made(&source, &wide);
    // The source itself, or a file with a profile.
    let header = decode::header(&made).expect("a PNG");
    let decoded = decode::pixels(&made, &header, DecodeScale::WHOLE).expect("a PNG");
    let stored = decoded.raster.clone().into_u8().expect("there is memory");
    assert_eq!(stored.as_chunks::<3>().0, STORED);
    let shown = crate::pixels::color::to_srgb(decoded.raster, &decoded.space).expect("converts");
    assert_near(
        shown.into_u8().expect("there is memory").as_chunks::<3>().0,
        &ADOBE_SHOWN,
        "wide",
    );
}

#[test]
fn frames_have_the_gamma_of_their_file() {
    let source = png(Depth::Eight, &[gamma(100_000)], 2);
    let mut reader = FrameReader::open(&source, SourceFormat::Png, 1 << 20).expect("opens");
    let mut frames = 0;
    while let Some(frame) = reader.next().expect("is whole") {
        let pixels = crate::pixels::color::to_srgb(frame.raster, reader.space()).expect("converts");
        let samples = pixels.into_u8().expect("there is memory");
        let colors: Vec<[u8; 3]> = samples
            .as_chunks::<4>()
            .0
            .iter()
            .map(|pixel| [pixel[0], pixel[1], pixel[2]])
            .collect();
        assert_near(&colors, &LINEAR, "a frame");
        frames += 1;
    }
    assert_eq!(frames, 2);
}

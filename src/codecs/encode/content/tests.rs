//! Made graphics, and the photographs of the examples, each at several sizes.

use std::fs;

use super::{Content, ContentKind};
use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::picture::Picture;
use crate::pixels::resize::ResampleSpace;
use crate::pixels::{Channels, Planar, Plane, Raster, Rect, Samples, Size, Subsampling, resize};
use ContentKind::{Graphic, Photograph};

const SIZE: Size = Size::new(300, 200);
const WHITE: [u8; 4] = [255; 4];
const CLEAR: [u8; 4] = [0; 4];

/// A number that looks random, from 0 to 255.
fn random(a: u32, b: u32) -> u32 {
    let mixed = a.wrapping_mul(0x9E37_79B9) ^ b.wrapping_mul(0x85EB_CA6B);
    (mixed ^ (mixed >> 15)).wrapping_mul(0xC2B2_AE35) >> 24
}

fn byte(value: u32) -> u8 {
    value.min(255).to_le_bytes()[0]
}

/// A drawing, of 2 by 2 samples for each pixel: `color` gets thousandths of a pixel.
fn drawn(color: impl Fn(u32, u32) -> [u8; 4]) -> Raster {
    let mut samples = Vec::new();
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let mut sums = [0u32; 4];
            for part in 0..4 {
                let at = |pixel: u32, part: u32| pixel * 1000 + part * 500 + 250;
                let [red, green, blue, alpha] =
                    color(at(x, part % 2), at(y, part / 2)).map(u32::from);
                for (sum, sample) in sums
                    .iter_mut()
                    .zip([red * alpha, green * alpha, blue * alpha])
                {
                    *sum += sample;
                }
                sums[3] += alpha;
            }
            let alpha = sums[3];
            let [red, green, blue] =
                [sums[0], sums[1], sums[2]].map(|sum| byte(sum / alpha.max(1)));
            samples.extend([red, green, blue, byte(alpha / 4)]);
        }
    }
    let raster = Raster {
        size: SIZE,
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    };
    if raster.is_translucent() {
        raster
    } else {
        raster.without_alpha().expect("there is memory")
    }
}

/// Whether a place is on a stroke of a letter: strokes of 1.4 pixels in cells of 9 by 16, with gaps between words and lines.
fn is_ink(x: u32, y: u32) -> bool {
    let (column, row) = (x / 9_000, y / 16_000);
    let (x, y) = (x % 9_000, y % 16_000);
    let letter = random(column, row);
    let is_word = column > 2 && row.is_multiple_of(2) && random(column, row + 77) > 40 && y > 4_000;
    let stem = x.abs_diff(1_800) < 700 && letter.is_multiple_of(2);
    let slant = (x * 2).abs_diff(y) < 1_400 && letter.is_multiple_of(3);
    let bar = y.abs_diff(4_000 + letter * 30) < 700 && x < 6_500;
    is_word && (stem || slant || bar)
}

fn page(ink: [u8; 4], paper: [u8; 4]) -> Raster {
    drawn(|x, y| if is_ink(x, y) { ink } else { paper })
}

fn is_in_circle(x: u32, y: u32, (left, top): (u32, u32), radius: u32) -> bool {
    let (x, y) = (u64::from(x.abs_diff(left)), u64::from(y.abs_diff(top)));
    x * x + y * y < u64::from(radius) * u64::from(radius)
}

const INKS: [[u8; 4]; 6] = [
    [230, 25, 75, 255],
    [60, 180, 75, 255],
    [67, 99, 216, 255],
    [245, 130, 49, 255],
    [145, 30, 180, 255],
    [20, 20, 20, 255],
];

fn ink(index: u32) -> [u8; 4] {
    INKS[index as usize % INKS.len()]
}

fn graphics() -> Vec<(&'static str, Raster)> {
    let circles = |x: u32, y: u32, radius: u32| {
        let (column, row) = (x / 80_000, y / 80_000);
        let center = (column * 80_000 + 40_000, row * 80_000 + 40_000);
        is_in_circle(x, y, center, radius).then(|| ink(random(column, row)))
    };
    vec![
        ("text", page([20, 20, 20, 255], WHITE)),
        (
            "coloured text on dark",
            page([86, 156, 214, 255], [30, 30, 30, 255]),
        ),
        (
            "code of squares",
            drawn(|x, y| {
                if random(x / 10_000, y / 10_000) < 128 {
                    WHITE
                } else {
                    ink(5)
                }
            }),
        ),
        (
            "bar chart",
            drawn(|x, y| {
                let bar = x / 48_000;
                if x % 48_000 < 30_000 && y > 30_000 + random(bar, 9) * 500 {
                    ink(bar)
                } else if y % 40_000 < 1_000 {
                    [221, 221, 221, 255]
                } else {
                    WHITE
                }
            }),
        ),
        (
            "line chart",
            drawn(|x, y| {
                let line = (0..5).find(|&line| {
                    let slope = 60_000 + line * 40_000 + x * (line + 1) / 8;
                    y.abs_diff(slope) < 1_300
                });
                line.map_or(WHITE, ink)
            }),
        ),
        (
            "comic",
            drawn(|x, y| match circles(x, y, 35_000) {
                Some(_) if circles(x, y, 33_500).is_none() => ink(5),
                Some(color) => color,
                None => [255, 210, 127, 255],
            }),
        ),
        (
            "logo on nothing",
            drawn(|x, y| circles(x, y, 34_000).unwrap_or(CLEAR)),
        ),
        (
            "fading logo",
            drawn(|x, y| match circles(x, y, 38_000) {
                Some([red, green, blue, _]) => [red, green, blue, byte(40 + x / 3_000)],
                None => CLEAR,
            }),
        ),
        (
            "pixel art",
            drawn(|x, y| ink(random(x / 8_000, y / 8_000) / 60 + y / 100_000)),
        ),
        (
            "line drawing",
            drawn(|x, y| {
                let wave = (0..9).any(|line| {
                    (x * (line + 3) / 7).abs_diff(y * (line + 2) / 6 + line * 20_000) < 1_200
                });
                if wave { ink(5) } else { WHITE }
            }),
        ),
        (
            "table",
            drawn(|x, y| {
                if x % 80_000 < 1_000 {
                    [201, 211, 227, 255]
                } else if is_ink(x, y) {
                    ink(5)
                } else if y / 32_000 % 2 == 0 {
                    [238, 243, 250, 255]
                } else {
                    WHITE
                }
            }),
        ),
        (
            "gradient",
            drawn(|x, y| [byte(40 + x / 4_000), byte(80 + y / 4_000), 160, 255]),
        ),
        ("one colour", drawn(|_, _| ink(1))),
    ]
}

fn photographs() -> Vec<(&'static str, Raster)> {
    let names = ["dogs.jpg", "fig.png"];
    let mut photographs: Vec<_> = names.map(|name| (name, photograph(name))).into();
    let dogs = photograph("dogs.jpg");
    photographs.push(("grey", grey(&dogs)));
    photographs.push(("scanned text", scanned()));
    photographs
}

fn photograph(name: &str) -> Raster {
    let path = format!("{}/examples/photos/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = fs::read(path).expect("an example");
    let header = decode::header(&bytes).expect("a picture");
    let scale = header.supported(DecodeScale::one_of(8));
    decode::pixels(&bytes, &header, scale)
        .expect("decodes")
        .raster
}

fn samples(raster: &Raster) -> &[u8] {
    match &raster.samples {
        Samples::U8(samples) => samples,
        Samples::U16(_) => panic!("8 bits are expected"),
    }
}

fn grey(raster: &Raster) -> Raster {
    let greens = samples(raster)
        .iter()
        .skip(1)
        .step_by(raster.channels.count());
    Raster {
        size: raster.size,
        channels: Channels::Gray,
        samples: Samples::U8(greens.copied().collect()),
    }
}

/// A page as a scanner sees it.
fn scanned() -> Raster {
    let page = grey(&page([20, 20, 20, 255], WHITE));
    let noisy = samples(&page).iter().zip(0..).map(|(&sample, at)| {
        let noise = random(at, 1) / 32 + random(at, 2) / 32 + random(at, 3) / 32;
        byte(u32::from(sample) * 4 / 5 + noise)
    });
    Raster {
        samples: Samples::U8(noisy.collect()),
        ..page
    }
}

fn reduced(raster: &Raster, by: u32) -> Raster {
    let size = raster.size;
    let target = Size::new(size.width / by, size.height / by);
    let whole = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width),
        height: f64::from(size.height),
    };
    resize::raster(raster.clone().into(), whole, target, ResampleSpace::Linear).expect("resizes")
}

#[test]
fn graphics_are_told_from_photographs_at_every_size() {
    let mut wrong = Vec::new();
    for (pictures, expected) in [(graphics(), Graphic), (photographs(), Photograph)] {
        for (name, raster) in pictures {
            for by in 1..=3 {
                // What is left of these has soft edges nearly everywhere, and may be either.
                if by > 1
                    && matches!(
                        name,
                        "code of squares" | "pixel art" | "gradient" | "fading logo" | "table"
                    )
                {
                    continue;
                }
                let content = Content::of_raster(&reduced(&raster, by));
                if content.kind != expected {
                    wrong.push(format!("{name}, 1/{by}: {content:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn planes_and_16_bits_are_told_as_pixels_are() {
    for (raster, expected) in [
        (page([200, 0, 0, 255], WHITE), Graphic),
        (photograph("dogs.jpg"), Photograph),
    ] {
        let luma = Plane {
            size: raster.size,
            samples: samples(&grey(&raster)).to_vec(),
        };
        let planar = Planar { luma, chroma: None };
        let content = Content::of(&Picture::Planar(planar, Subsampling::Both));
        assert_eq!((content.kind, content.colors), (expected, None));
        let deep = samples(&raster)
            .iter()
            .map(|&sample| u16::from(sample) * 257);
        let deep = Raster {
            samples: Samples::U16(deep.collect()),
            ..raster
        };
        let content = Content::of_raster(&deep);
        assert_eq!((content.kind, content.colors), (expected, None));
    }
}

#[test]
fn colours_are_counted_up_to_256() {
    let count = |colors: u32, alpha: u8| {
        let pixels = (0..SIZE.area()).flat_map(|at| {
            let color = u32::try_from(at).expect("small") % colors;
            [byte(color), byte(color / 256), 7, alpha]
        });
        let picture = Picture::Rgba(SIZE, pixels.collect());
        Content::of(&picture).colors
    };
    assert_eq!(count(1, 255), Some(1));
    assert_eq!(count(256, 255), Some(256));
    assert_eq!(count(257, 255), None);
    // Nobody sees which colour is transparent.
    assert_eq!(count(257, 0), Some(1));
}

#[test]
fn the_smallest_pictures_have_a_content() {
    for size in [
        Size::new(1, 1),
        Size::new(1, 9),
        Size::new(9, 1),
        Size::new(2, 2),
        Size::new(17, 3),
    ] {
        for (channels, count) in [
            (Channels::Gray, 1),
            (Channels::GrayAlpha, 2),
            (Channels::Rgb, 3),
            (Channels::Cmyk, 4),
        ] {
            let raster = Raster {
                size,
                channels,
                samples: Samples::U8(vec![9; size.len() * count]),
            };
            let content = Content::of_raster(&raster);
            assert!(content.soft == 0.0);
        }
    }
}

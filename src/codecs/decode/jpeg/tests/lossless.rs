use std::time::{Duration, Instant};

use crate::options::{Output, Recipe};

use crate::codecs::decode::image::{DecodeScale, Header};
use crate::codecs::decode::{header, pixels};
use crate::codecs::{Limits, TransformError};
use crate::pixels::{Channels, Raster, Size};
use crate::transform::plan::cost;
use crate::transform::{Budget, Hints, Source};

/// Every scale that a recipe may ask for.
const EIGHTHS: [u32; 5] = [1, 2, 3, 4, 8];

/// The picture to write: samples of a bit depth, pixel by pixel.
struct Picture {
    size: Size,
    components: u8,
    bits: u8,
    samples: Vec<u16>,
    /// Whether each component has a scan of its own.
    in_scans: bool,
}

impl Picture {
    /// Samples that go up and down across the picture, and differ between components.
    fn waves(size: Size, components: u8, bits: u8) -> Picture {
        let steps = 1_usize << bits;
        let sample = |at: usize| {
            let (pixel, component) = (at / usize::from(components), at % usize::from(components));
            let (x, y) = (pixel % size.width as usize, pixel / size.width as usize);
            (x * (3 + component) + y * 5 + component * 40) % steps
        };
        let samples = (0..size.len() * usize::from(components))
            .map(|at| u16::try_from(sample(at)).expect("at most 16 bits"))
            .collect();
        Picture {
            size,
            components,
            bits,
            samples,
            in_scans: false,
        }
    }

    /// Samples that are all in the middle, like those of the smallest files of their size.
    fn flat(size: Size) -> Picture {
        Picture {
            samples: vec![128; size.len()],
            ..Picture::waves(size, 1, 8)
        }
    }

    fn sample(&self, x: usize, y: usize, component: usize) -> i32 {
        let pixel = y * self.size.width as usize + x;
        i32::from(self.samples[pixel * usize::from(self.components) + component])
    }

    /// A sample less what it is predicted from: the one to its left, the one above, or the middle.
    fn difference(&self, x: usize, y: usize, component: usize) -> i32 {
        let predicted = match (x, y) {
            (0, 0) => 1 << (self.bits - 1),
            (0, _) => self.sample(0, y - 1, component),
            _ => self.sample(x - 1, y, component),
        };
        self.sample(x, y, component) - predicted
    }

    fn scan(&self, components: &[u8]) -> Vec<u8> {
        let count = u8::try_from(components.len()).expect("few");
        let mut head = vec![count];
        head.extend(components.iter().flat_map(|component| [component + 1, 0]));
        // The first predictor, and all bits.
        head.extend([1, 0, 0]);
        let mut bits = ScanReader::default();
        for y in 0..self.size.height as usize {
            for x in 0..self.size.width as usize {
                for &component in components {
                    bits.difference(self.difference(x, y, usize::from(component)));
                }
            }
        }
        [segment(0xDA, &head), bits.stuffed()].concat()
    }

    /// A file by ITU-T T.81, annex H.
    fn file(&self) -> Vec<u8> {
        let side = |side: u32| u16::try_from(side).expect("a short side").to_be_bytes();
        let mut frame = vec![self.bits];
        frame.extend(side(self.size.height));
        frame.extend(side(self.size.width));
        frame.push(self.components);
        frame.extend((0..self.components).flat_map(|component| [component + 1, 0x11, 0]));
        // A code of five bits for each of the seventeen lengths of a difference.
        let mut codes = vec![0; 17];
        codes[5] = 17;
        codes.extend(0..17);
        let components: Vec<u8> = (0..self.components).collect();
        let scans: Vec<u8> = if self.in_scans {
            let scan = |component: &u8| self.scan(&[*component]);
            components.iter().flat_map(scan).collect()
        } else {
            self.scan(&components)
        };
        [
            vec![0xFF, 0xD8],
            segment(0xC3, &frame),
            segment(0xC4, &codes),
            scans,
            vec![0xFF, 0xD9],
        ]
        .concat()
    }
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).expect("a short segment");
    [&[0xFF, marker], &length.to_be_bytes()[..], content].concat()
}

#[derive(Default)]
struct ScanReader {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet.
    rest: u32,
    count: u32,
}

impl ScanReader {
    fn push(&mut self, value: u32, count: u32) {
        for at in (0..count).rev() {
            self.rest = self.rest << 1 | value >> at & 1;
            self.count += 1;
            if self.count == 8 {
                self.bytes
                    .push(u8::try_from(self.rest).expect("eight bits"));
                (self.rest, self.count) = (0, 0);
            }
        }
    }

    /// How many bits a difference has, and these; negative ones are one less.
    fn difference(&mut self, difference: i32) {
        let count = 32 - difference.unsigned_abs().leading_zeros();
        self.push(count, 5);
        let value = if difference < 0 {
            difference - 1
        } else {
            difference
        };
        self.push(value.cast_unsigned() & ((1 << count) - 1), count);
    }

    /// The bytes, filled up with ones, with a zero after each that looks like a marker.
    fn stuffed(mut self) -> Vec<u8> {
        while self.count > 0 {
            self.push(1, 1);
        }
        let stuffed = |byte| match byte {
            0xFF => vec![0xFF, 0],
            byte => vec![byte],
        };
        self.bytes.into_iter().flat_map(stuffed).collect()
    }
}

fn decoded(file: &[u8], scale: DecodeScale) -> Result<(Header, Raster), TransformError> {
    let header = header(file)?;
    pixels(file, &header, scale).map(|decoded| (header, decoded.raster))
}

fn widths() -> [Size; 4] {
    [(1, 1), (7, 3), (33, 17), (256, 64)].map(|(width, height)| Size::new(width, height))
}

#[test]
fn lossless_pictures_come_whole_whatever_scale_is_wanted() {
    for size in widths() {
        for (components, channels) in [(1, Channels::Gray), (3, Channels::Rgb), (4, Channels::Cmyk)]
        {
            let picture = Picture::waves(size, components, 8);
            let file = picture.file();
            for eighths in EIGHTHS {
                let scale = DecodeScale { eighths };
                let (header, raster) = decoded(&file, scale).expect("a whole picture");
                assert!(header.is_lossless && !header.is_scalable);
                assert_eq!(header.decoded(scale), size, "{eighths} eighths");
                assert_eq!((raster.size, raster.channels), (size, channels));
                if channels == Channels::Cmyk {
                    continue;
                }
                let found: Vec<u16> = raster
                    .into_u8()
                    .expect("there is memory")
                    .into_iter()
                    .map(u16::from)
                    .collect();
                assert_eq!(found, picture.samples, "{size:?} {components} {eighths}");
            }
        }
    }
}

#[test]
fn the_largest_sample_of_few_bits_is_white() {
    for bits in 2..8 {
        let picture = Picture::waves(Size::new(64, 64), 1, bits);
        let (_, raster) = decoded(&picture.file(), DecodeScale::WHOLE).expect("a whole picture");
        let largest = (1_u32 << bits) - 1;
        let samples = picture
            .samples
            .iter()
            .zip(raster.into_u8().expect("there is memory"));
        for (&stored, found) in samples {
            let expected = f64::from(stored) * 255.0 / f64::from(largest);
            assert!(
                (f64::from(found) - expected).abs() <= 0.5,
                "{stored} of {bits} bits: {found}"
            );
        }
    }
}

#[test]
fn samples_of_more_bits_are_refused_by_their_header() {
    for bits in [9, 12, 16] {
        let file = Picture::waves(Size::new(16, 16), 1, bits).file();
        let error = header(&file).expect_err("too many bits");
        let expected = format!("a JPEG with samples of {bits} bits");
        assert_eq!(error, TransformError::UnsupportedCoding(expected));
    }
}

#[test]
fn components_in_separate_scans_are_decoded_and_counted() {
    let mut picture = Picture::waves(Size::new(40, 30), 3, 8);
    assert_eq!(
        header(&picture.file())
            .expect("a picture")
            .coefficient_bytes,
        0
    );
    picture.in_scans = true;
    let (header, raster) = decoded(&picture.file(), DecodeScale { eighths: 2 }).expect("a picture");
    // The library keeps all samples until the last scan was read.
    assert!(header.coefficient_bytes >= 3);
    let found: Vec<u16> = raster
        .into_u8()
        .expect("there is memory")
        .into_iter()
        .map(u16::from)
        .collect();
    assert_eq!(found, picture.samples);
}

#[test]
fn a_small_picture_of_a_lossless_one_is_right() {
    let budget = Budget::until(Instant::now() + Duration::from_secs(60));
    let file = Picture::flat(Size::new(256, 256)).file();
    for width in [1, 31, 32, 33, 64, 100, 128, 200, 256] {
        let recipe = Recipe {
            width: Some(width),
            output: Output::Png,
            ..Recipe::default()
        };
        let source = Source::open(file.clone().into(), &Limits::default()).expect("a picture");
        let plan = source.plan(&recipe, &Hints::default()).expect("a plan");
        let made = plan.render(&budget).expect("a PNG");
        assert_eq!(made.size, Size::new(width, width));
        let (_, raster) = decoded(&made.bytes, DecodeScale::WHOLE).expect("a whole PNG");
        let is_gray = raster
            .into_u8()
            .expect("there is memory")
            .iter()
            .all(|sample| sample.abs_diff(128) <= 1);
        assert!(is_gray, "{width}");
    }
}

/// All pixels are decoded, so all of them count towards the cost.
#[test]
fn lossless_pictures_are_no_cheaper_at_a_smaller_scale() {
    let header = header(&Picture::flat(Size::new(256, 256)).file()).expect("a picture");
    let cost = |eighths| cost::of_reduced_copy(&[], &header, DecodeScale { eighths });
    assert_eq!(cost(1), cost(8));
}

#[test]
fn truncated_and_random_lossless_files_are_errors_and_never_panic() {
    for components in [1, 3, 4] {
        let file = Picture::waves(Size::new(24, 16), components, 8).file();
        for at in 0..file.len() {
            let mut wild = file.clone();
            wild[at] ^= 0x55;
            for broken in [&file[..at], &wild] {
                for eighths in EIGHTHS {
                    match decoded(broken, DecodeScale { eighths }) {
                        Ok(_) | Err(TransformError::Decode(_)) => {}
                        Err(TransformError::NotAnImage | TransformError::ZeroSized) => {}
                        Err(TransformError::UnsupportedCoding(_)) => {}
                        Err(other) => panic!("{at}: {other}"),
                    }
                }
            }
        }
    }
}

use crate::codecs::TransformError;
use crate::codecs::decode::tiff::{decode, header, largest_jpeg};
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Channels, Raster, Samples, Size};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const PLANAR: u16 = 284;
const COLOR_MAP: u16 = 320;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const PROFILE: u16 = 34_675;

/// A file of one page: its pixels come first, then the values of the tags, then the directory.
struct File {
    big_endian: bool,
    big: bool,
    tags: Vec<(u16, Vec<u32>)>,
    /// Strips, or tiles where there is a width of them; planes one after another.
    chunks: Vec<Vec<u8>>,
}

impl File {
    fn new(size: (u32, u32), bits: u32, photometric: u32, samples: u32, pixels: &[u8]) -> Self {
        let count = usize::try_from(samples).expect("few");
        File {
            big_endian: false,
            big: false,
            tags: vec![
                (WIDTH, vec![size.0]),
                (HEIGHT, vec![size.1]),
                (BITS, vec![bits; count]),
                (COMPRESSION, vec![1]),
                (PHOTOMETRIC, vec![photometric]),
                (SAMPLES, vec![samples]),
            ],
            chunks: vec![pixels.to_vec()],
        }
    }

    fn with(mut self, tag: u16, values: &[u32]) -> Self {
        self.tags.retain(|(known, _)| *known != tag);
        self.tags.push((tag, values.to_vec()));
        self
    }

    fn number(&self, value: u64, length: usize) -> Vec<u8> {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[8 - length..].to_vec();
        if !self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn bytes(self) -> Vec<u8> {
        pages(vec![self]).0
    }

    /// What comes before all pages, and where it is said where the first one is.
    fn head(&self) -> (Vec<u8>, usize) {
        let word = if self.big { 8 } else { 4 };
        let mut file = if self.big_endian {
            b"MM".to_vec()
        } else {
            b"II".to_vec()
        };
        if self.big {
            file.extend(self.number(43, 2));
            file.extend(self.number(8, 2));
            file.extend(self.number(0, 2));
        } else {
            file.extend(self.number(42, 2));
        }
        let pointer = file.len();
        file.extend(vec![0; word]);
        (file, pointer)
    }

    /// Writes a page behind others, and where it is to `pointer`; gives the place for that of the next. Sizes and places have 32 bits,
    /// profiles are bytes, all else has 16 bits.
    fn append_to(mut self, file: &mut Vec<u8>, pointer: usize) -> usize {
        let word = if self.big { 8 } else { 4 };
        let (mut offsets, mut lengths) = (Vec::new(), Vec::new());
        for chunk in &self.chunks {
            offsets.push(u32::try_from(file.len()).expect("small"));
            lengths.push(u32::try_from(chunk.len()).expect("small"));
            file.extend(chunk);
        }
        let tiled = self.tags.iter().any(|(tag, _)| *tag == TILE_WIDTH);
        if tiled {
            self.tags.push((TILE_OFFSETS, offsets));
            self.tags.push((TILE_LENGTHS, lengths));
        } else {
            self.tags.push((STRIP_OFFSETS, offsets));
            self.tags.push((STRIP_LENGTHS, lengths));
        }
        self.tags.sort();
        let mut entries = Vec::new();
        for (tag, values) in &self.tags {
            let (kind, length) = match *tag {
                WIDTH | HEIGHT | STRIP_OFFSETS | STRIP_LENGTHS | TILE_WIDTH | TILE_HEIGHT
                | TILE_OFFSETS | TILE_LENGTHS => (4, 4),
                PROFILE => (7, 1),
                _ => (3, 2),
            };
            let content: Vec<u8> = values
                .iter()
                .flat_map(|value| self.number(u64::from(*value), length))
                .collect();
            entries.extend(self.number(u64::from(*tag), 2));
            entries.extend(self.number(kind, 2));
            entries.extend(self.number(values.len() as u64, word));
            let start = entries.len();
            if content.len() <= word {
                entries.extend(&content);
            } else {
                entries.extend(self.number(file.len() as u64, word));
                file.extend(&content);
            }
            entries.resize(start + word, 0);
        }
        let directory = self.number(file.len() as u64, word);
        file[pointer..pointer + word].copy_from_slice(&directory);
        file.extend(self.number(self.tags.len() as u64, if self.big { 8 } else { 2 }));
        file.extend(entries);
        let next = file.len();
        file.extend(vec![0; word]);
        next
    }
}

/// A file of several pages, and the place of the end of their chain.
fn pages(pages: Vec<File>) -> (Vec<u8>, usize) {
    let (mut file, mut pointer) = pages.first().expect("one page at least").head();
    for page in pages {
        pointer = page.append_to(&mut file, pointer);
    }
    (file, pointer)
}

fn raster(source: &[u8]) -> Result<(Raster, ColorSpace), TransformError> {
    let header = header(source)?;
    let decoded = decode(source, &header)?;
    Ok((decoded.raster, decoded.space))
}

#[track_caller]
fn check(file: File, channels: Channels, samples: Samples) {
    let (raster, _) = raster(&file.bytes()).expect("is whole");
    assert_eq!((raster.channels, raster.samples), (channels, samples));
}

#[test]
fn every_kind_of_pixel_is_read() {
    use Channels::Cmyk;
    use Channels::Gray;
    use Channels::GrayAlpha;
    use Channels::Rgb;
    use Channels::Rgba;
    let new = File::new;
    // Ten pixels of one bit, each row from a new byte on; 0 is white in the second.
    check(
        new((10, 1), 1, 1, 1, &[0b1010_0000, 0b0100_0000]),
        Gray,
        Samples::U8(vec![255, 0, 255, 0, 0, 0, 0, 0, 0, 255]),
    );
    check(
        new((10, 1), 1, 0, 1, &[0b0101_1111, 0b1000_0000]),
        Gray,
        Samples::U8(vec![255, 0, 255, 0, 0, 0, 0, 0, 0, 255]),
    );
    check(
        new((3, 1), 4, 1, 1, &[0x0F, 0x70]),
        Gray,
        Samples::U8(vec![0, 255, 119]),
    );
    check(
        new((2, 1), 16, 1, 1, &[1, 2, 3, 4]),
        Gray,
        Samples::U16(vec![0x0201, 0x0403]),
    );
    check(
        File {
            big_endian: true,
            ..new((2, 1), 16, 1, 1, &[1, 2, 3, 4])
        },
        Gray,
        Samples::U16(vec![0x0102, 0x0304]),
    );
    check(
        new((1, 1), 32, 1, 1, &[0, 0, 0xCD, 0xAB]),
        Gray,
        Samples::U16(vec![0xABCD]),
    );
    check(
        new(
            (3, 1),
            32,
            1,
            1,
            &[0.5_f32, 7.0, f32::NAN].map(f32::to_le_bytes).concat(),
        )
        .with(SAMPLE_FORMAT, &[3]),
        Gray,
        Samples::U16(vec![32_768, 65_535, 0]),
    );
    check(
        new((1, 2), 8, 1, 2, &[9, 255, 8, 0]).with(EXTRA_SAMPLES, &[2]),
        GrayAlpha,
        Samples::U8(vec![9, 255, 8, 0]),
    );
    check(
        new((1, 1), 8, 1, 2, &[9, 77]).with(EXTRA_SAMPLES, &[0]),
        Gray,
        Samples::U8(vec![9]),
    );
    check(
        new((1, 1), 8, 2, 3, &[1, 2, 3]),
        Rgb,
        Samples::U8(vec![1, 2, 3]),
    );
    check(
        new((1, 1), 8, 2, 4, &[1, 2, 3, 4]).with(EXTRA_SAMPLES, &[2]),
        Rgba,
        Samples::U8(vec![1, 2, 3, 4]),
    );
    // Multiplied with its alpha.
    check(
        new((2, 1), 8, 2, 4, &[50, 100, 128, 128, 0, 0, 0, 0]).with(EXTRA_SAMPLES, &[1]),
        Rgba,
        Samples::U8(vec![100, 199, 255, 128, 0, 0, 0, 0]),
    );
    // A fourth sample that means nothing.
    check(
        new((1, 1), 8, 2, 4, &[1, 2, 3, 4]).with(EXTRA_SAMPLES, &[0]),
        Rgb,
        Samples::U8(vec![1, 2, 3]),
    );
    check(
        new((1, 1), 8, 5, 4, &[1, 2, 3, 4]),
        Cmyk,
        Samples::U8(vec![1, 2, 3, 4]),
    );
    check(
        new((1, 1), 8, 5, 5, &[1, 2, 3, 4, 5]).with(EXTRA_SAMPLES, &[2]),
        Cmyk,
        Samples::U8(vec![1, 2, 3, 4]),
    );
    check(
        new((2, 1), 8, 6, 3, &[128, 128, 128, 76, 85, 255]).with(530, &[1, 1]),
        Rgb,
        Samples::U8(vec![128, 128, 128, 254, 0, 0]),
    );
}

/// Entry 1 is red, entry 2 is (16, 32, 48).
fn palette(count: usize, scale: u32) -> Vec<u32> {
    let mut map = vec![0; 3 * count];
    map[1] = 255 * scale;
    (map[2], map[count + 2], map[2 * count + 2]) = (16 * scale, 32 * scale, 48 * scale);
    map
}

#[test]
fn palettes_are_looked_up() {
    let expected = Samples::U8(vec![0, 0, 0, 255, 0, 0, 16, 32, 48]);
    for big_endian in [false, true] {
        for big in [false, true] {
            for scale in [257, 1] {
                let file = File {
                    big_endian,
                    big,
                    ..File::new((3, 1), 8, 3, 1, &[0, 1, 2])
                };
                check(
                    file.with(COLOR_MAP, &palette(256, scale)),
                    Channels::Rgb,
                    expected.clone(),
                );
            }
        }
    }
    check(
        File::new((3, 1), 2, 3, 1, &[0b0001_1000]).with(COLOR_MAP, &palette(4, 257)),
        Channels::Rgb,
        expected,
    );
    let short = File::new((3, 1), 8, 3, 1, &[0, 1, 2]).with(COLOR_MAP, &palette(4, 257));
    assert!(matches!(
        raster(&short.bytes()),
        Err(TransformError::Decode(_))
    ));
}

#[test]
fn planes_and_tiles_are_put_together() {
    let planes = File {
        chunks: vec![vec![1, 2], vec![3, 4], vec![5, 6]],
        ..File::new((2, 1), 8, 2, 3, &[])
    };
    check(
        planes.with(PLANAR, &[2]),
        Channels::Rgb,
        Samples::U8(vec![1, 3, 5, 2, 4, 6]),
    );
    let tile = |value: u8| vec![value; 256];
    let tiles = File {
        chunks: vec![tile(1), tile(2)],
        ..File::new((18, 1), 8, 1, 1, &[])
    };
    let row: Vec<u8> = [vec![1; 16], vec![2; 2]].concat();
    check(
        tiles.with(TILE_WIDTH, &[16]).with(TILE_HEIGHT, &[16]),
        Channels::Gray,
        Samples::U8(row),
    );
}

#[test]
fn the_header_tells_orientation_and_cost() {
    let file = File::new((2, 3), 16, 2, 3, &[0; 36])
        .with(ORIENTATION, &[6])
        .bytes();
    let found = header(&file).expect("is whole");
    assert_eq!(found.size, Size::new(2, 3));
    assert_eq!(found.orientation, Orientation::from_exif(6));
    assert_eq!(found.bytes_per_pixel, 12);
    // Nothing of the pixels is needed, and nothing is allocated for them.
    let huge = File::new((4_000_000_000, 4_000_000_000), 8, 1, 1, &[]).bytes();
    let found = header(&huge).expect("a header");
    assert_eq!(found.size.area(), 16_000_000_000_000_000_000);
}

#[test]
fn a_profile_goes_with_the_pixels() {
    let profile = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("moxcms writes its own profiles");
    let values: Vec<u32> = profile.iter().copied().map(u32::from).collect();
    let file = File::new((1, 1), 8, 2, 3, &[1, 2, 3]).with(PROFILE, &values);
    let (_, space) = raster(&file.bytes()).expect("is whole");
    assert_eq!(space, ColorSpace::Icc(profile));
}

#[test]
fn tiles_far_larger_than_the_picture_are_refused() {
    for (width, height) in [(1 << 24, 16), (16, 1 << 24), (1 << 31, 1 << 31)] {
        let file = File::new((1, 1), 8, 2, 3, &[0; 64])
            .with(TILE_WIDTH, &[width])
            .with(TILE_HEIGHT, &[height]);
        match raster(&file.bytes()) {
            Err(TransformError::Decode(cause)) => assert!(cause.contains("tiles"), "{cause}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_jpeg_larger_than_its_strip_is_refused() {
    let frame = b"\xFF\xD8\xFF\xC0\0\x11\x08\xFF\xDC\xFF\xDC\x03\x01\x11\0\x02\x11\0\x03\x11\0";
    assert_eq!(largest_jpeg(frame), 65_500 * 65_500);
    assert_eq!(largest_jpeg(b"\xFF\xC4\0\0\0\xFF\xFF\xFF\xFF\xFF"), 0);
    let file = File::new((8, 8), 8, 2, 3, frame).with(COMPRESSION, &[7]);
    match raster(&file.bytes()) {
        Err(TransformError::Decode(cause)) => assert!(cause.contains("JPEG"), "{cause}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn truncated_and_random_files_are_errors_and_never_panic() {
    let files = [
        File::new((3, 2), 8, 3, 1, &[0; 6])
            .with(COLOR_MAP, &palette(256, 1))
            .bytes(),
        File {
            big: true,
            big_endian: true,
            ..File::new((2, 2), 16, 2, 4, &[7; 32])
        }
        .with(EXTRA_SAMPLES, &[1])
        .bytes(),
    ];
    for file in files {
        for length in 0..file.len() {
            match raster(&file[..length]) {
                Ok(_) | Err(TransformError::Decode(_)) => {}
                Err(other) => panic!("{length}: {other}"),
            }
            for flip in [0x01, 0x80, 0xFF] {
                let mut wild = file.clone();
                wild[length] ^= flip;
                let Ok(found) = header(&wild) else {
                    continue;
                };
                // As the limits would.
                if found.size.area() <= 1 << 16 && found.bytes_per_pixel <= 64 {
                    let _ = decode(&wild, &found);
                }
            }
        }
    }
}

const NEW_KIND: u16 = 254;
const KIND: u16 = 255;

/// A grey page that is identified by its size.
fn page(width: u32) -> File {
    let samples = vec![7; usize::try_from(width).expect("small")];
    File::new((width, 1), 8, 1, 1, &samples)
}

#[track_caller]
fn assert_shown(made: Vec<File>, width: u32, what: &str) {
    for (big_endian, big) in [(false, false), (true, false), (false, true), (true, true)] {
        let made = made.iter().map(|file| File {
            big_endian,
            big,
            tags: file.tags.clone(),
            chunks: file.chunks.clone(),
        });
        let (raster, _) = raster(&pages(made.collect()).0).expect("has a picture");
        assert_eq!(
            raster.size,
            Size::new(width, 1),
            "{what} {big_endian} {big}"
        );
    }
}

#[test]
fn smaller_copies_and_masks_are_not_the_picture() {
    let reduced = || page(2).with(NEW_KIND, &[1]);
    let mask = || page(3).with(NEW_KIND, &[4]);
    assert_shown(vec![page(9), page(8)], 9, "the first of two");
    assert_shown(vec![reduced(), page(9)], 9, "a smaller copy in front");
    assert_shown(
        vec![page(2).with(KIND, &[2]), page(9)],
        9,
        "by the older tag",
    );
    assert_shown(
        vec![page(9).with(NEW_KIND, &[2]), page(8)],
        9,
        "a page of several",
    );
    assert_shown(vec![mask(), reduced(), page(9)], 9, "a mask in front");
    assert_shown(
        vec![page(3).with(NEW_KIND, &[5]), page(9)],
        9,
        "a smaller mask",
    );
    let shape = File::new((8, 1), 1, 4, 1, &[0xFF]);
    assert_shown(vec![shape, page(9)], 9, "a mask by its colours");
    assert_shown(vec![reduced(), mask()], 2, "nothing else");
}

#[test]
fn a_palette_of_a_later_page_is_its_own() {
    let palette: Vec<u32> = (0..3 * 4).map(|value| value * 257).collect();
    let colored = File::new((2, 1), 2, 3, 1, &[0b0110_0000]).with(COLOR_MAP, &palette);
    let (file, _) = pages(vec![page(1).with(NEW_KIND, &[1]), colored]);
    let (raster, _) = raster(&file).expect("is whole");
    assert_eq!(raster.samples, Samples::U8(vec![1, 5, 9, 2, 6, 10]));
}

#[test]
fn pages_in_a_circle_and_too_many_are_refused() {
    let reduced = || page(2).with(NEW_KIND, &[1]);
    let (mut file, end) = pages(vec![reduced(), reduced()]);
    let first: [u8; 4] = file[4..8].try_into().expect("four bytes");
    file[end..end + 4].copy_from_slice(&first);
    let refused = |file: &[u8]| match raster(file) {
        Err(TransformError::Decode(cause)) => cause,
        other => panic!("{other:?}"),
    };
    assert!(refused(&file).contains("circle"));
    let many = |count: usize| {
        let mut all: Vec<File> = (0..count).map(|_| reduced()).collect();
        all.push(page(9));
        pages(all).0
    };
    assert_eq!(raster(&many(63)).expect("is the last").0.size.width, 9);
    assert!(refused(&many(64)).contains("too many pages"));
    // A picture before the circle is one.
    let (mut file, end) = pages(vec![page(9), reduced()]);
    file[end..end + 4].copy_from_slice(&first);
    assert!(raster(&file).is_ok());
}

#[test]
fn a_fill_order_without_effect_is_accepted() {
    let grey = File::new((1, 1), 8, 1, 1, &[0]);
    assert!(raster(&grey.with(FILL_ORDER, &[1]).bytes()).is_ok());
}

#[test]
fn unsupported_coding_is_not_reported_as_damage() {
    let grey = || File::new((1, 1), 8, 1, 1, &[0]);
    for (file, name) in [
        (grey().with(COMPRESSION, &[50_000]), "Zstandard"),
        (grey().with(COMPRESSION, &[50_001]), "WebP"),
        (grey().with(COMPRESSION, &[34_712]), "34712"),
        (grey().with(COMPRESSION, &[6]), "JPEG of the old style"),
        (grey().with(COMPRESSION, &[3]), "fax of group 3"),
        (grey().with(COMPRESSION, &[34_925]), "34925"),
        (grey().with(FILL_ORDER, &[2]), "lowest bit"),
        (File::new((1, 1), 8, 8, 3, &[0; 3]), "L*a*b*"),
        (File::new((1, 1), 8, 9, 3, &[0; 3]), "L*a*b*"),
        (File::new((1, 1), 16, 8, 3, &[0; 6]), "L*a*b*"),
        (File::new((1, 1), 8, 10, 3, &[0; 3]), "L*a*b*"),
        (grey().with(SAMPLE_FORMAT, &[2]), "sign"),
    ] {
        match raster(&file.bytes()) {
            Err(TransformError::UnsupportedCoding(what)) => {
                assert!(what.starts_with("a TIFF ") && what.contains(name), "{what}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

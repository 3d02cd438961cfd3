use std::thread;
use std::time::{Duration, Instant};

use crate::codecs::TransformError;
use crate::codecs::decode::jxl::frames::{MOST, PictureFrames};
use crate::codecs::decode::jxl::header;
use crate::codecs::decode::jxl::tests::raster;
use crate::pixels::{Raster, Size};

/// Stack size: a sixteenth of that of a worker.
const STACK: usize = 256 << 10;

/// The purpose of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To be blended onto the canvas.
    Layer,
    /// To be referred to by other frames.
    Reference,
    /// To be shown.
    Last,
}

/// Writes bits, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, value: u32, count: usize) -> &mut Self {
        for at in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(value >> at & 1 == 1) << (self.count % 8);
            *self.bytes.last_mut().expect("was pushed") |= bit;
            self.count += 1;
        }
        self
    }

    /// A number in the first or the last of the four encodings.
    fn side(&mut self, side: u32, ways: [(u32, usize); 2]) -> &mut Self {
        let [(first, short), (last, long)] = ways;
        if side >= first && side - first < 1 << short {
            self.push(0, 2).push(side - first, short)
        } else {
            self.push(3, 2).push(side - last, long)
        }
    }

    fn whole(&mut self) -> &mut Self {
        let missing = self.count.next_multiple_of(8) - self.count;
        self.push(0, missing)
    }
}

/// The header of a picture of 8 bits in sRGB, which may be an animation.
fn head(size: Size, is_animation: bool) -> Vec<u8> {
    head_in(&[(1, 1)], size, is_animation)
}

/// The same in other colours, told by numbers and their bits.
fn head_in(colors: &[(u32, usize)], size: Size, is_animation: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(0x0AFF, 16).push(0, 1);
    bits.side(size.height, [(1, 9), (1, 30)]).push(0, 3);
    bits.side(size.width, [(1, 9), (1, 30)]).push(0, 1);
    if is_animation {
        // Upright, of the size it has, without preview; a hundredth of a second, for ever, without time codes.
        bits.push(1, 1).push(0, 5).push(1, 1).push(0, 7);
    } else {
        bits.push(0, 1);
    }
    // Samples of 8 bits, which fit into 16; no more channels; colours as they are.
    bits.push(0, 3).push(1, 1).push(0, 2).push(0, 1);
    for (number, count) in colors {
        bits.push(*number, *count);
    }
    if is_animation {
        bits.push(1, 1);
    }
    bits.push(0, 2).push(1, 1).whole();
    bits.bytes
}

/// A frame of one colour.
struct Frame {
    kind: Kind,
    /// Its size, at the upper left corner; `None` for the size of the picture.
    size: Option<Size>,
    value: u8,
    /// Hundredths of a second, in an animation.
    duration: Option<u8>,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let data = self.data();
        let mut bits = Bits::default();
        let is_normal = self.kind != Kind::Reference;
        // Samples in groups of 1024, at the size they have.
        bits.push(0, 1).push(if is_normal { 0 } else { 2 }, 2);
        bits.push(1, 1).push(0, 2).push(0, 1).push(0, 2).push(3, 2);
        if is_normal {
            bits.push(0, 2);
        }
        bits.push(u32::from(self.size.is_some()), 1);
        if let Some(size) = self.size {
            if is_normal {
                bits.push(0, 10).push(0, 10);
            }
            for side in [size.width, size.height] {
                bits.side(side, [(0, 8), (18_688, 30)]);
            }
        }
        if is_normal {
            bits.push(0, 2);
            if self.size.is_some() {
                bits.push(0, 2);
            }
            if let Some(duration) = self.duration {
                bits.push(2, 2).push(u32::from(duration), 8);
            }
            bits.push(u32::from(self.kind == Kind::Last), 1);
        }
        if self.kind != Kind::Last {
            let slot = if is_normal { 0 } else { 1 };
            bits.push(slot, 2);
            if !is_normal || self.size.is_none() && self.duration.unwrap_or(0) == 0 {
                bits.push(u32::from(!is_normal), 1);
            }
        }
        // No name, no filters, nothing more; and the one length of the table.
        bits.push(0, 2).push(0, 1).push(0, 1).push(0, 2).push(0, 2);
        bits.push(0, 2).push(0, 1).whole();
        let length = u32::try_from(data.len()).expect("is short");
        bits.push(0, 2).push(length, 10).whole();
        [bits.bytes, data].concat()
    }

    /// A tree of one leaf, and one symbol of no bits: the value.
    fn data(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.push(1, 1).push(1, 1);
        bits.push(0, 1).push(1, 1).push(0, 2).push(1, 1).push(15, 4);
        bits.push(0, 1);
        bits.push(0, 1).push(1, 1).push(15, 4);
        bits.push(1, 1).push(9, 4).push(0, 9);
        bits.push(1, 2)
            .push(0, 2)
            .push(2 * u32::from(self.value), 10);
        bits.push(1, 1).push(1, 1).push(0, 2).whole();
        bits.bytes
    }
}

fn frame(kind: Kind, size: Option<Size>, value: u8) -> Frame {
    Frame {
        kind,
        size,
        value,
        duration: None,
    }
}

/// A picture with this number of frames: grey, under layers of one pixel each; of one pixel itself if more would be too long to write.
fn layered(size: Size, frames: u32) -> Vec<u8> {
    const LONGEST: u32 = 1024;
    let pixel = Some(Size::new(1, 1));
    let is_small = size.width.max(size.height) <= LONGEST;
    let lowest = if is_small { None } else { pixel };
    let mut file = head(size, false);
    file.extend(frame(Kind::Layer, lowest, 100).bytes());
    for layer in 2..frames {
        let value = u8::try_from(layer % 200).expect("below 200");
        file.extend(frame(Kind::Layer, pixel, value).bytes());
    }
    file.extend(frame(Kind::Last, pixel, 201).bytes());
    file
}

/// Decodes on a small stack.
fn decoded(file: Vec<u8>) -> Result<Raster, TransformError> {
    let work = move || raster(&file).map(|(raster, _)| raster);
    let thread = thread::Builder::new().stack_size(STACK).spawn(work);
    let joined = thread.expect("there are threads").join();
    joined.expect("neither panics nor overflows")
}

fn refusal(file: &[u8]) -> String {
    header(file).expect_err("too many").to_string()
}

#[test]
fn as_many_layers_as_there_may_be_are_drawn() {
    let size = Size::new(300, 200);
    for frames in [2, 3, MOST] {
        let raster = decoded(layered(size, frames)).expect("not too many");
        assert_eq!(raster.size, size);
        let samples = raster.into_u8().expect("there is memory");
        let (first, rest) = samples.split_at(3);
        assert_eq!(first, [201; 3], "the last layer is on top");
        assert!(rest.iter().all(|&sample| sample == 100));
    }
}

#[test]
fn more_layers_are_refused_by_their_headers() {
    for frames in [MOST + 1, 1500, 4000] {
        let file = layered(Size::new(3000, 3000), frames);
        let started = Instant::now();
        let refusal = refusal(&file);
        assert!(refusal.contains("too many layers: at most 64"), "{refusal}");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

#[test]
fn reused_parts_count_as_well() {
    let parts = |count: u32| {
        let mut file = head(Size::new(64, 64), false);
        let part = frame(Kind::Reference, None, 9).bytes();
        (1..count).for_each(|_| file.extend(&part));
        file.extend(frame(Kind::Last, None, 77).bytes());
        file
    };
    let raster = decoded(parts(MOST)).expect("not too many");
    assert!(
        raster
            .into_u8()
            .expect("there is memory")
            .iter()
            .all(|&sample| sample == 77)
    );
    assert!(refusal(&parts(MOST + 1)).contains("too many layers"));
}

#[test]
fn layers_of_large_pictures_may_be_fewer() {
    let large = |frames| layered(Size::new(10_000, 10_000), frames);
    assert!(header(&large(10)).is_ok());
    let refusal = refusal(&large(12));
    assert!(refusal.contains("10000x10000"), "{refusal}");
}

#[test]
fn layers_as_large_as_the_picture_may_be_fewer() {
    let whole = |frames: u32| {
        let mut file = head(Size::new(1000, 1000), false);
        (1..frames).for_each(|_| file.extend(frame(Kind::Layer, None, 5).bytes()));
        file.extend(frame(Kind::Last, None, 77).bytes());
        file
    };
    let raster = decoded(whole(17)).expect("not too many");
    assert!(
        raster
            .into_u8()
            .expect("there is memory")
            .iter()
            .all(|&sample| sample == 77)
    );
    let refusal = refusal(&whole(18));
    assert!(refusal.contains("16 times the pixels"), "{refusal}");
}

/// Frames after the first are not layers of it, and are not even parsed: freeing a chain of them takes stack as well.
#[test]
fn of_an_animation_the_frames_of_its_first_picture_count() {
    let size = Size::new(40, 30);
    let shown = |value, duration| Frame {
        duration: Some(duration),
        ..frame(Kind::Layer, None, value)
    };
    let mut file = head(size, true);
    file.extend(shown(50, 0).bytes());
    file.extend(shown(60, 10).bytes());
    let end = file.len();
    (0..5000).for_each(|_| file.extend(shown(70, 10).bytes()));
    assert_eq!(PictureFrames::of(&file).expect("few enough").end, Some(end));
    let raster = decoded(file).expect("few enough");
    assert!(
        raster
            .into_u8()
            .expect("there is memory")
            .iter()
            .all(|&sample| sample == 60)
    );
}

#[test]
fn layers_count_towards_the_cost() {
    let size = Size::new(1000, 1000);
    let hidden = |frames| {
        let header = header(&layered(size, frames)).expect("few enough");
        (header.hidden_pixels, header.coefficient_bytes)
    };
    // Each layer takes the time of an eighth of the picture, and little memory.
    assert_eq!(hidden(2), (1 + size.area() / 8, 1));
    assert_eq!(hidden(10), (9 + 9 * size.area() / 8, 1));
}

#[test]
fn truncated_and_random_layers_are_errors_and_never_panic() {
    let file = layered(Size::new(20, 10), 5);
    for at in 0..file.len() {
        match raster(&file[..at]) {
            Err(TransformError::Decode(_)) => {}
            other => panic!("{at}: {other:?}"),
        }
        for bits in [0x01, 0x55, 0xFF] {
            let mut wild = file.clone();
            wild[at] ^= bits;
            if header(&wild).is_ok_and(|found| found.size.area() <= 1 << 20) {
                let _ = raster(&wild);
            }
        }
    }
}

/// A permuted table of sections, which would take a second to sort.
#[test]
fn tables_that_take_long_are_refused_before_they_are_read() {
    let size = Size::new(1 << 15, 1 << 15);
    let mut file = head(size, false);
    let mut bits = Bits::default();
    // Groups of 128 samples, of the size of the picture, the last one; and the order that is to come.
    bits.push(0, 3)
        .push(1, 1)
        .push(0, 2)
        .push(0, 1)
        .push(0, 2)
        .push(0, 2);
    bits.push(0, 2).push(0, 1).push(0, 2).push(1, 1).push(0, 2);
    bits.push(0, 1).push(0, 1).push(0, 2).push(0, 2).push(0, 2);
    bits.push(1, 1).whole();
    file.extend(bits.bytes);
    let refusal = refusal(&file);
    assert!(refusal.contains("an order of their own"), "{refusal}");
}

/// A frame of so many groups that their number does not fit into 32 bits, found by a fuzzer.
#[test]
fn a_layer_with_too_many_groups_is_refused() {
    let refusal = refusal(b"\xff\x0afit=:ccoverve!--th: ");
    assert!(refusal.contains("too large"), "{refusal}");
}

#[test]
fn colours_that_no_profile_can_describe_are_refused() {
    /// Named by number, not by a profile.
    const NAMED: [(u32, usize); 2] = [(0, 1), (0, 1)];
    const RGB: [(u32, usize); 1] = [(0, 2)];
    const XYB: [(u32, usize); 2] = [(2, 2), (0, 4)];
    const UNKNOWN: [(u32, usize); 2] = [(2, 2), (1, 4)];
    /// D65, and the primaries of sRGB.
    const SRGB: [(u32, usize); 2] = [(1, 2), (1, 2)];
    const SRGB_CURVE: [(u32, usize); 3] = [(0, 1), (2, 2), (11, 4)];
    const UNKNOWN_CURVE: [(u32, usize); 3] = [(0, 1), (2, 2), (0, 4)];
    const PERCEPTUAL: [(u32, usize); 1] = [(0, 2)];
    let gamma = |inverse| [(1, 1), (inverse, 24)];
    let opened = |colors: &[&[(u32, usize)]]| {
        let colors = [&NAMED[..], &colors.concat(), &PERCEPTUAL].concat();
        header(&head_in(&colors, Size::new(2, 2), false))
    };
    let shown: [&[&[_]]; 4] = [
        &[&RGB, &SRGB, &SRGB_CURVE],
        &[&RGB, &SRGB, &gamma(4_545_455)],
        &[&RGB, &SRGB, &gamma(1221)],
        &[&RGB, &SRGB, &gamma(10_000_000)],
    ];
    for colors in shown {
        assert!(opened(colors).is_ok(), "{colors:?}");
    }
    let refused: [&[&[_]]; 6] = [
        &[&XYB, &gamma(3_333_333)],
        &[&UNKNOWN, &SRGB, &SRGB_CURVE],
        &[&RGB, &SRGB, &UNKNOWN_CURVE],
        &[&RGB, &SRGB, &gamma(0)],
        &[&RGB, &SRGB, &gamma(1220)],
        &[&RGB, &SRGB, &gamma(10_000_001)],
    ];
    for colors in refused {
        let error = opened(colors).expect_err("no profile");
        assert!(matches!(error, TransformError::Decode(_)), "{error:?}");
    }
}

//! Frames of animations, beside the pixels that the tests wrote.

mod apng;
mod every_format;
mod gif;
mod webp;

use crate::codecs::TransformError;
use crate::codecs::animation::AnimationFrame;
use crate::codecs::decode::frames::FrameReader;
use crate::codecs::sniff::SourceFormat;

const ROOM: u64 = 1 << 20;

/// Red, green, blue and transparent, as the rows of the tests spell them.
const COLORS: [(u8, [u8; 4]); 4] = [
    (b'R', [255, 0, 0, 255]),
    (b'G', [0, 255, 0, 255]),
    (b'B', [0, 0, 255, 255]),
    (b'.', [0, 0, 0, 0]),
];

fn frames(source: &[u8], kind: SourceFormat) -> Result<Vec<AnimationFrame>, TransformError> {
    let mut reader = FrameReader::open(source, kind, ROOM)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// Frames of pure colours, spelled.
#[track_caller]
fn spelled(source: &[u8], kind: SourceFormat) -> Vec<String> {
    let frames = frames(source, kind).expect("decodes");
    let spell = |pixel: &[u8]| {
        let known = COLORS.iter().find(|(_, color)| color == pixel);
        known.map_or('?', |(letter, _)| char::from(*letter))
    };
    frames
        .into_iter()
        .map(|frame| {
            frame
                .raster
                .into_u8()
                .expect("there is memory")
                .chunks(4)
                .map(spell)
                .collect()
        })
        .collect()
}

fn indices(row: &str) -> Vec<u8> {
    let index = |letter| COLORS.iter().position(|(known, _)| *known == letter);
    row.bytes()
        .map(|letter| u8::try_from(index(letter).expect("a known letter")).expect("one of four"))
        .collect()
}

/// A rule, the frames that it is about, and the expected picture.
type Row<'a, F> = (&'a str, &'a [F], &'a [&'a str]);

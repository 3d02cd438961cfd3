//! Frames of GIF files.

use gif::DisposalMethod;
use gif::Repeat;

use crate::codecs::TransformError;
use crate::codecs::animation::LoopCount;
use crate::codecs::decode::frames::tests::{COLORS, ROOM, Row, frames, indices, spelled};
use crate::codecs::decode::frames::{FrameReader, animation};
use crate::codecs::sniff::SourceFormat;
use crate::pixels::Size;

/// Distance from the left, pixels and disposal of a frame.
type GifFrame<'a> = (u16, &'a str, DisposalMethod);

/// A GIF of 4x1 pixels; its frames are one row each, at a distance from the left.
pub(super) fn gif(frames: &[GifFrame]) -> Vec<u8> {
    let palette: Vec<u8> = COLORS
        .iter()
        .flat_map(|(_, color)| color[..3].to_vec())
        .collect();
    let mut encoder = gif::Encoder::new(Vec::new(), 4, 1, &palette).expect("begins");
    encoder.set_repeat(Repeat::Infinite).expect("is written");
    for &(left, row, dispose) in frames {
        let frame = gif::Frame {
            left,
            width: u16::try_from(row.len()).expect("a short row"),
            height: 1,
            dispose,
            delay: 7,
            transparent: Some(3),
            buffer: indices(row).into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("is written");
    }
    encoder.into_inner().expect("ends")
}

#[test]
fn gif_frames_are_disposed_of_as_they_say() {
    use DisposalMethod::Any;
    use DisposalMethod::Background;
    use DisposalMethod::Keep;
    use DisposalMethod::Previous;
    let rows: [Row<GifFrame>; 8] = [
        (
            "kept",
            &[(0, "RRRR", Keep), (1, "G", Keep), (2, "B", Keep)],
            &["RRRR", "RGRR", "RGBR"],
        ),
        (
            "unspecified is kept",
            &[(0, "RRRR", Any), (1, "G", Any), (2, "B", Any)],
            &["RRRR", "RGRR", "RGBR"],
        ),
        (
            "the background is transparent, and only where the frame was",
            &[(0, "RRRR", Keep), (1, "GG", Background), (3, "B", Keep)],
            &["RRRR", "RGGR", "R..B"],
        ),
        (
            "restored",
            &[(0, "RRRR", Keep), (1, "GG", Previous), (2, "B", Keep)],
            &["RRRR", "RGGR", "RRBR"],
        ),
        (
            "restored twice, to what was before both",
            &[
                (0, "RRRR", Keep),
                (0, "GG", Previous),
                (1, "BB", Previous),
                (3, "G", Keep),
            ],
            &["RRRR", "GGRR", "RBBR", "RRRG"],
        ),
        (
            "restored to what was cleared",
            &[(0, "RRRR", Background), (0, "GG", Previous), (3, "B", Keep)],
            &["RRRR", "GG..", "...B"],
        ),
        (
            "the first one restores nothing",
            &[(0, "RR", Previous), (3, "B", Keep)],
            &["RR..", "...B"],
        ),
        (
            "transparent pixels show what was there; what lies outside is lost",
            &[
                (1, "RRRRRR", Keep),
                (0, "G.G.", Background),
                (4, "BB", Keep),
            ],
            &[".RRR", "GRGR", "...."],
        ),
    ];
    for (rule, made, shown) in rows {
        let source = gif(made);
        assert_eq!(spelled(&source, SourceFormat::Gif), shown, "{rule}");
        let found = animation(&source, SourceFormat::Gif).expect("several frames");
        assert_eq!(found.frames as usize, made.len(), "{rule}");
        assert_eq!(found.size, Size::new(4, 1));
    }
}

#[test]
fn a_gif_frame_may_be_interlaced_and_have_its_own_palette() {
    let mut encoder = gif::Encoder::new(Vec::new(), 1, 8, &[9, 9, 9]).expect("begins");
    let palette: Vec<u8> = (0..8).flat_map(|row| [row * 10; 3]).collect();
    for interlaced in [false, true] {
        let rows = if interlaced {
            [0, 4, 2, 6, 1, 3, 5, 7]
        } else {
            [0, 1, 2, 3, 4, 5, 6, 7]
        };
        let frame = gif::Frame {
            width: 1,
            height: 8,
            interlaced,
            palette: Some(palette.clone()),
            buffer: rows.to_vec().into(),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("is written");
    }
    let source = encoder.into_inner().expect("ends");
    for frame in frames(&source, SourceFormat::Gif).expect("decodes") {
        let reds: Vec<u8> = frame
            .raster
            .into_u8()
            .expect("there is memory")
            .into_iter()
            .step_by(4)
            .collect();
        assert_eq!(reds, [0, 10, 20, 30, 40, 50, 60, 70]);
    }
}

#[test]
fn an_index_outside_the_palette_is_transparent() {
    let mut encoder = gif::Encoder::new(Vec::new(), 2, 1, &[255, 0, 0]).expect("begins");
    let frame = gif::Frame {
        width: 2,
        height: 1,
        buffer: vec![0, 9].into(),
        ..gif::Frame::default()
    };
    encoder.write_frame(&frame).expect("is written");
    let source = encoder.into_inner().expect("ends");
    assert_eq!(spelled(&source, SourceFormat::Gif), ["R."]);
}

#[test]
fn gif_loops_are_repeats_and_one_more() {
    let with = |repeat| {
        let mut encoder = gif::Encoder::new(Vec::new(), 1, 1, &[0; 6]).expect("begins");
        encoder.set_repeat(repeat).expect("is written");
        for _ in 0..2 {
            let frame = gif::Frame::from_indexed_pixels(1, 1, vec![0], None);
            encoder.write_frame(&frame).expect("is written");
        }
        encoder.into_inner().expect("ends")
    };
    for (repeat, loops) in [
        (Repeat::Infinite, LoopCount::FOREVER),
        (Repeat::Finite(0), LoopCount::ONCE),
        (Repeat::Finite(2), LoopCount(3)),
        (Repeat::Finite(u16::MAX), LoopCount(65_536)),
    ] {
        let found = animation(&with(repeat), SourceFormat::Gif).expect("two frames");
        assert_eq!(found.loops, loops, "{repeat:?}");
    }
}

#[test]
fn damage_in_a_later_frame_ends_the_animation_and_in_the_first_one_fails() {
    let whole = gif(&[
        (0, "RRRR", DisposalMethod::Keep),
        (0, "GGGG", DisposalMethod::Keep),
        (0, "BBBB", DisposalMethod::Keep),
    ]);
    // The data of each frame follows its descriptor of 10 bytes and the code size of one.
    let starts: Vec<usize> = (0..whole.len() - 11)
        .filter(|&start| whole[start..].starts_with(&[0x2C, 0, 0, 0, 0, 4, 0, 1, 0]))
        .map(|start| start + 11)
        .collect();
    assert_eq!(starts.len(), 3);
    let damaged = |frame: usize| {
        let mut source = whole.clone();
        // A code that is in no table yet, after the one that clears it.
        source[starts[frame] + 1] = 0xFC;
        source
    };
    assert_eq!(spelled(&damaged(2), SourceFormat::Gif), ["RRRR", "GGGG"]);
    assert_eq!(spelled(&damaged(1), SourceFormat::Gif), ["RRRR"]);
    assert!(matches!(
        frames(&damaged(0), SourceFormat::Gif),
        Err(TransformError::Decode(_))
    ));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_allocated() {
    // A canvas of 65535x65535.
    let mut huge = gif(&[(0, "R", DisposalMethod::Keep)]);
    huge[6..10].fill(u8::MAX);
    let costly = FrameReader::open(&huge, SourceFormat::Gif, ROOM).map(|_| ());
    assert!(
        matches!(costly, Err(TransformError::TooCostly { .. })),
        "{costly:?}"
    );
    // A frame of that size on a canvas of one pixel.
    let mut wide = b"GIF89a\x01\0\x01\0\0\0\0".to_vec();
    wide.extend(b"\x2C\0\0\0\0\xFF\xFF\xFF\xFF\x80\0\0\0\xFF\xFF\xFF\x02\x02\x4C\x01\0\x3B");
    assert!(matches!(
        frames(&wide, SourceFormat::Gif),
        Err(TransformError::Decode(_))
    ));
    let mut none = gif(&[(0, "R", DisposalMethod::Keep)]);
    none[6..8].fill(0);
    assert!(matches!(
        frames(&none, SourceFormat::Gif),
        Err(TransformError::ZeroSized)
    ));
}

#[test]
fn a_gif_tells_whether_something_may_be_transparent() {
    use DisposalMethod::Background;
    use DisposalMethod::Keep;
    let frame = |width: u16, transparent, dispose| gif::Frame {
        width,
        height: 1,
        dispose,
        transparent,
        buffer: vec![0; usize::from(width)].into(),
        ..gif::Frame::default()
    };
    let may_be = |colors: u8, frames: &[gif::Frame<'_>]| {
        let palette = vec![9; usize::from(colors) * 3];
        let mut encoder = gif::Encoder::new(Vec::new(), 4, 1, &palette).expect("begins");
        for frame in frames {
            encoder.write_frame(frame).expect("is written");
        }
        let source = encoder.into_inner().expect("ends");
        let found = animation(&source, SourceFormat::Gif).expect("an animation");
        found.may_be_transparent
    };
    let (whole, later) = (frame(4, None, Keep), frame(2, Some(1), Keep));
    assert!(!may_be(4, &[whole.clone(), later.clone()]));
    // The first frame is smaller than the canvas, or has a transparent colour, or indices without a colour.
    assert!(may_be(4, &[frame(3, None, Keep), later.clone()]));
    assert!(may_be(4, &[frame(4, Some(1), Keep), later.clone()]));
    assert!(may_be(2, &[whole.clone(), later.clone()]));
    // A frame is taken away again.
    assert!(may_be(
        4,
        &[whole.clone(), frame(2, None, Background), later]
    ));
}

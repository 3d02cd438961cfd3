use std::io::Write;
use std::time::Duration;

use gif::DisposalMethod;
use gif::Repeat;
use png::BlendOp;
use png::DisposeOp;

use crate::codecs::TransformError;
use crate::codecs::animation::{AnimationFrame, LoopCount};
use crate::codecs::decode::frames::{FrameReader, animation};
use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::codecs::encode::animation::AnimationEncoder;
use crate::codecs::sniff::SourceFormat;
use crate::options::{Effort, Format, Quality};
use crate::pixels::Size;

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

/// Distance from the left, pixels and disposal of a frame.
type GifFrame<'a> = (u16, &'a str, DisposalMethod);

/// Distance from the left, pixels, disposal and blending of a frame.
type ApngFrame<'a> = (u32, &'a str, DisposeOp, BlendOp);

/// A rule, the frames that it is about, and the expected picture.
type Row<'a, F> = (&'a str, &'a [F], &'a [&'a str]);

/// A GIF of 4x1 pixels; its frames are one row each, at a distance from the left.
fn gif(frames: &[GifFrame]) -> Vec<u8> {
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
fn delays_are_as_stored() {
    let delays: Vec<Duration> = frames(
        &gif(&[
            (0, "R", DisposalMethod::Keep),
            (0, "G", DisposalMethod::Keep),
        ]),
        SourceFormat::Gif,
    )
    .expect("decodes")
    .iter()
    .map(|frame| frame.delay)
    .collect();
    assert_eq!(delays, [Duration::from_millis(70); 2]);
}

#[test]
fn one_frame_is_a_still() {
    assert_eq!(
        animation(&gif(&[(0, "R", DisposalMethod::Keep)]), SourceFormat::Gif),
        None
    );
    assert_eq!(
        animation(
            &apng(None, 1, &[(0, "RRRR", DisposeOp::None, BlendOp::Source)]),
            SourceFormat::Png
        ),
        None
    );
    assert_eq!(animation(&webp(1), SourceFormat::Webp), None);
    for kind in [
        SourceFormat::Gif,
        SourceFormat::Png,
        SourceFormat::Webp,
        SourceFormat::Jpeg,
        SourceFormat::Avif,
    ] {
        assert_eq!(animation(b"", kind), None);
        assert_eq!(animation(b"GIF89a\x01\0\x01\0\0\0\0\x2C", kind), None);
    }
}

/// An APNG of 4x1 pixels. `default` is a still picture that is not a frame. The first frame covers the canvas.
fn apng(default: Option<&str>, announced: u32, frames: &[ApngFrame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_color(png::ColorType::Rgba);
    let count = u32::try_from(frames.len()).expect("a few");
    encoder.set_animated(count, 3).expect("some frames");
    encoder
        .set_sep_def_img(default.is_some())
        .expect("is animated");
    let (_, _, dispose, blend) = frames[0];
    encoder.set_dispose_op(dispose).expect("is animated");
    encoder.set_blend_op(blend).expect("is animated");
    encoder.set_frame_delay(1, 8).expect("is animated");
    let mut writer = encoder.write_header().expect("begins");
    let samples = |row: &str| -> Vec<u8> {
        indices(row)
            .into_iter()
            .flat_map(|index| COLORS[usize::from(index)].1)
            .collect()
    };
    if let Some(row) = default {
        writer.write_image_data(&samples(row)).expect("is written");
    }
    for (number, &(left, row, dispose, blend)) in frames.iter().enumerate() {
        if number > 0 {
            writer.set_dispose_op(dispose).expect("is animated");
            writer.set_blend_op(blend).expect("is animated");
            writer.set_frame_position(0, 0).expect("fits");
            let width = u32::try_from(row.len()).expect("a short row");
            writer.set_frame_dimension(width, 1).expect("fits");
            writer.set_frame_position(left, 0).expect("fits");
        }
        writer.write_image_data(&samples(row)).expect("is written");
    }
    drop(writer);
    let name = bytes.windows(4).position(|name| name == b"acTL");
    let start = name.expect("is animated");
    bytes[start + 4..start + 8].copy_from_slice(&announced.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[start..start + 12]);
    bytes[start + 12..start + 16].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn apng_frames_are_disposed_of_and_blended_as_they_say() {
    use BlendOp::Over;
    use BlendOp::Source;
    use DisposeOp::Background;
    use DisposeOp::None as Keep;
    use DisposeOp::Previous;
    let rows: [Row<ApngFrame>; 6] = [
        (
            "kept; over shows what was there, source does not",
            &[
                (0, "RRRR", Keep, Source),
                (0, "G.G", Keep, Over),
                (1, "B.", Keep, Source),
            ],
            &["RRRR", "GRGR", "GB.R"],
        ),
        (
            "cleared",
            &[
                (0, "RRRR", Keep, Source),
                (1, "GG", Background, Source),
                (3, "B", Keep, Over),
            ],
            &["RRRR", "RGGR", "R..B"],
        ),
        (
            "restored",
            &[
                (0, "RRRR", Keep, Source),
                (1, "GG", Previous, Source),
                (3, "B", Keep, Over),
            ],
            &["RRRR", "RGGR", "RRRB"],
        ),
        (
            "restored to what was cleared",
            &[
                (0, "RRRR", Background, Source),
                (0, "GG", Previous, Source),
                (3, "B", Keep, Over),
            ],
            &["RRRR", "GG..", "...B"],
        ),
        (
            "the first one restores nothing",
            &[(0, "RRRR", Previous, Source), (3, "B", Keep, Over)],
            &["RRRR", "...B"],
        ),
        (
            "restored twice",
            &[
                (0, "RRRR", Keep, Source),
                (0, "GG", Previous, Source),
                (1, "BB", Previous, Over),
                (3, "G", Keep, Over),
            ],
            &["RRRR", "GGRR", "RBBR", "RRRG"],
        ),
    ];
    for (rule, made, shown) in rows {
        let count = u32::try_from(made.len()).expect("a few");
        let source = apng(None, count, made);
        assert_eq!(spelled(&source, SourceFormat::Png), shown, "{rule}");
        let found = animation(&source, SourceFormat::Png).expect("several frames");
        assert_eq!((found.frames, found.loops), (count, LoopCount(3)), "{rule}");
    }
}

#[test]
fn a_default_image_outside_the_animation_is_not_shown() {
    use BlendOp::Source;
    let source = apng(
        Some("BBBB"),
        2,
        &[
            (0, "RRRR", DisposeOp::None, Source),
            (0, "GG", DisposeOp::None, Source),
        ],
    );
    assert_eq!(spelled(&source, SourceFormat::Png), ["RRRR", "GGRR"]);
    assert_eq!(
        animation(&source, SourceFormat::Png).map(|found| found.frames),
        Some(2)
    );
}

#[test]
fn a_wrong_frame_count_does_no_harm() {
    let frames = [
        (0, "RRRR", DisposeOp::None, BlendOp::Source),
        (0, "GG", DisposeOp::None, BlendOp::Source),
        (0, "B", DisposeOp::None, BlendOp::Source),
    ];
    for (announced, counted) in [(2, 2), (3, 3), (4, 3), (0x7FFF_FFFF, 3)] {
        let source = apng(None, announced, &frames);
        let found = animation(&source, SourceFormat::Png).expect("several frames");
        assert_eq!(found.frames, counted, "{announced}");
        assert_eq!(
            spelled(&source, SourceFormat::Png).len(),
            counted as usize,
            "{announced}"
        );
    }
}

#[test]
fn translucent_apng_pixels_are_laid_over_each_other() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_animated(3, 0).expect("three frames");
    encoder.set_blend_op(BlendOp::Over).expect("is animated");
    encoder.set_frame_delay(1, 0).expect("is animated");
    let mut writer = encoder.write_header().expect("begins");
    // Half a blue on nothing, half a red on that, and black that is not there: 16 bits each.
    for pixel in [
        [0, 0, 0, 0, 255, 255, 128, 128],
        [255, 255, 0, 0, 0, 0, 128, 128],
        [0; 8],
    ] {
        writer.write_image_data(&pixel).expect("is written");
    }
    drop(writer);
    let shown = frames(&bytes, SourceFormat::Png).expect("decodes");
    // 128 + 128 * 127 / 255 = 191.7; of it, two thirds are the red on top.
    let expected = [[0, 0, 255, 128], [170, 0, 85, 192], [170, 0, 85, 192]];
    for (frame, pixel) in shown.into_iter().zip(expected) {
        assert_eq!(frame.delay, Duration::from_millis(10));
        assert_eq!(frame.raster.into_u8().expect("there is memory"), pixel);
    }
}

/// The encoder writes no interlaced file, so this one is put together by hand.
#[test]
fn an_interlaced_apng_frame_may_be_smaller_than_the_canvas() {
    fn chunk(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
        let length = u32::try_from(content.len()).expect("short");
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        file.extend(length.to_be_bytes());
        file.extend(name);
        file.extend(content);
        file.extend(crc.sum().to_be_bytes());
    }
    fn control(number: u32, width: u32, height: u32, left: u32) -> Vec<u8> {
        let mut content: Vec<u8> = [number, width, height, left, 0]
            .into_iter()
            .flat_map(u32::to_be_bytes)
            .collect();
        content.extend([0, 1, 0, 10, 0, 0]);
        content
    }
    fn packed(passes: &[u8]) -> Vec<u8> {
        let mut encoder =
            flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(passes).expect("is memory");
        encoder.finish().expect("is memory")
    }
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    // 3x2 grey pixels of 8 bits, interlaced.
    chunk(&mut file, b"IHDR", &[0, 0, 0, 3, 0, 0, 0, 2, 8, 0, 0, 0, 1]);
    chunk(&mut file, b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    chunk(&mut file, b"fcTL", &control(0, 3, 2, 0));
    // Pass 1 has the first pixel, 4 the third, 6 the second, 7 the second row; a filter before each row.
    chunk(&mut file, b"IDAT", &packed(&[0, 1, 0, 3, 0, 2, 0, 4, 5, 6]));
    chunk(&mut file, b"fcTL", &control(1, 2, 2, 1));
    let mut data = vec![0, 0, 0, 2];
    data.extend(packed(&[0, 10, 0, 20, 0, 30, 40]));
    chunk(&mut file, b"fdAT", &data);
    chunk(&mut file, b"IEND", &[]);
    let shown = frames(&file, SourceFormat::Png).expect("decodes");
    let reds: Vec<Vec<u8>> = shown
        .into_iter()
        .map(|frame| {
            frame
                .raster
                .into_u8()
                .expect("there is memory")
                .into_iter()
                .step_by(4)
                .collect()
        })
        .collect();
    assert_eq!(reds, [[1, 2, 3, 4, 5, 6], [1, 10, 20, 4, 30, 40]]);
}

/// A lossless WebP of 8x8 pixels in which a square moves down.
fn webp(count: u8) -> Vec<u8> {
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

/// From a truncated file, the complete frames are decoded as in the whole file, and as many as were counted.
#[test]
fn complete_frames_of_a_truncated_file_are_shown() {
    let gif = gif(&[
        (0, "RRRR", DisposalMethod::Keep),
        (0, "GG", DisposalMethod::Previous),
        (1, "BB", DisposalMethod::Background),
        (3, "G", DisposalMethod::Keep),
    ]);
    let apng = apng(
        None,
        4,
        &[
            (0, "RRRR", DisposeOp::None, BlendOp::Source),
            (0, "GG", DisposeOp::Previous, BlendOp::Over),
            (1, "BB", DisposeOp::Background, BlendOp::Over),
            (3, "G", DisposeOp::None, BlendOp::Over),
        ],
    );
    for (source, kind) in [
        (gif, SourceFormat::Gif),
        (apng, SourceFormat::Png),
        (webp(4), SourceFormat::Webp),
    ] {
        let whole = frames(&source, kind).expect("decodes");
        assert_eq!(whole.len(), 4, "{kind:?}");
        let mut most = 0;
        for length in 0..source.len() {
            let cut = &source[..length];
            let counted = animation(cut, kind).map_or(0, |found| found.frames as usize);
            let shown = frames(cut, kind).unwrap_or_default();
            assert!(
                shown.len() <= 4 && whole.starts_with(&shown),
                "{kind:?} {length}"
            );
            // The count looks at containers: a frame may be complete in one and cut in the other by a byte or two.
            assert!(
                shown.len().abs_diff(counted) <= 1 || counted == 0,
                "{kind:?} {length}"
            );
            most = most.max(shown.len());
        }
        assert!(most >= 3, "{kind:?}");
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

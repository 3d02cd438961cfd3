//! Frames of animated PNG files.

use std::io::Write;
use std::time::Duration;

use png::BlendOp;
use png::DisposeOp;

use crate::codecs::animation::LoopCount;
use crate::codecs::decode::frames::animation;
use crate::codecs::decode::frames::tests::{COLORS, Row, frames, indices, spelled};
use crate::codecs::sniff::SourceFormat;

/// Distance from the left, pixels, disposal and blending of a frame.
type ApngFrame<'a> = (u32, &'a str, DisposeOp, BlendOp);

/// An APNG of 4x1 pixels. `default` is a still picture that is not a frame. The first frame covers the canvas.
pub(super) fn apng(default: Option<&str>, announced: u32, frames: &[ApngFrame]) -> Vec<u8> {
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

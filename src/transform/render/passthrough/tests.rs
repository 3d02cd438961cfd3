use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;

use crate::options::{Effort, Format, Metadata, Quality};

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::metadata::tests::exif_block;
use crate::codecs::metadata::{OutputMetadata, attach, read};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{decode, encode};
use crate::pixels::{Raster, Size};
use crate::transform::render::passthrough::smaller_source;

fn encoded(format: Format, alpha: bool, quality: u8) -> Vec<u8> {
    let size = Size::new(40, 30);
    let shade = |at: usize| u8::try_from(at * 7 % 251).unwrap_or(0);
    let picture = if alpha {
        Picture::Rgba(size, (0..size.len() * 4).map(shade).collect())
    } else {
        Picture::Rgb(size, (0..size.len() * 3).map(shade).collect())
    };
    let settings = Settings {
        quality: Quality::new(quality).expect("from 1 to 100"),
        progressive: true,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    encode::encode(&picture, format, settings).expect("encodes")
}

fn pixels(file: &[u8]) -> Raster {
    let header = decode::header(file).expect("a header");
    let scale = DecodeScale::WHOLE;
    decode::pixels(file, &header, scale).expect("pixels").raster
}

fn blocks() -> OutputMetadata {
    OutputMetadata {
        exif: Some(exif_block(1)),
        xmp: Some(b"<x:xmpmeta/>".to_vec()),
    }
}

/// What was made is always one byte longer than the source.
fn passed(source: &[u8], source_format: SourceFormat, wanted: Metadata) -> Option<Vec<u8>> {
    smaller_source(source, source_format, wanted, &vec![0; source.len() + 1])
        .expect("there is memory")
}

/// A source with everything in it comes out bare, or with just the blocks that were asked for, and with the same pixels.
#[track_caller]
fn check(
    full: &[u8],
    bare: &[u8],
    source_format: SourceFormat,
    format: Format,
    icc: Option<&[u8]>,
) {
    let with = |kept: &OutputMetadata| attach(bare.to_vec(), format, kept, icc).expect("attaches");
    let nothing = passed(full, source_format, Metadata::Nothing).expect("a bare source is smaller");
    assert_eq!(nothing, with(&OutputMetadata::default()));
    assert_eq!(pixels(&nothing), pixels(full));
    assert_eq!(
        passed(full, source_format, Metadata::Copyright).expect("has no copyright"),
        nothing
    );
    let kept =
        passed(full, source_format, Metadata::Keep).expect("blocks alone are smaller than all");
    let carried = read(&kept, source_format);
    assert_eq!(
        OutputMetadata {
            exif: carried.exif,
            xmp: carried.xmp
        },
        blocks()
    );
    assert_eq!(carried.icc.as_deref(), icc);
    assert_eq!(pixels(&kept), pixels(full));
    // Nothing smaller than what was made, nothing passed on.
    assert_eq!(
        smaller_source(full, source_format, Metadata::Nothing, &nothing),
        Ok(None)
    );
    for length in 0..full.len() {
        let _ = passed(&full[..length], source_format, Metadata::Keep);
    }
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).expect("short");
    [&[0xFF, marker], &length.to_be_bytes()[..], content].concat()
}

#[test]
fn a_jpeg_loses_what_is_no_pixel() {
    let bare = encoded(Format::Jpeg, false, 80);
    let full = attach(bare.clone(), Format::Jpeg, &blocks(), Some(b"a profile")).expect("attaches");
    let (jfif, rest) = full[2..].split_at(18);
    assert!(jfif.starts_with(b"\xFF\xE0\0\x10JFIF"));
    let with_thumbnail = segment(0xE0, &[&jfif[4..16], b"\x01\x01rgb"].concat());
    let full = [
        &[0xFF, 0xD8],
        &with_thumbnail[..],
        &segment(0xE0, b"JFXX\0\x10a thumbnail"),
        &segment(0xE2, b"MPF\0II*\0"),
        &segment(0xEB, b"JP\0\0c2pa"),
        &segment(0xED, b"Photoshop 3.0\0"),
        &segment(0xFE, b"a comment"),
        &[0xFF, 0xFF],
        rest,
        &bare,
        b"garbage",
    ]
    .concat();
    check(
        &full,
        &bare,
        SourceFormat::Jpeg,
        Format::Jpeg,
        Some(b"a profile"),
    );
    let end = full.len() - bare.len() - b"garbage".len() - 2;
    for length in 0..=end {
        assert_eq!(
            passed(&full[..length], SourceFormat::Jpeg, Metadata::Keep),
            None
        );
    }
    // Frames that browsers do not show: arithmetic, lossless, of 12 bits.
    let frame = bare
        .windows(2)
        .position(|window| window == [0xFF, 0xC2])
        .expect("a progressive file");
    for (place, value) in [(1, 0xCA), (1, 0xC3), (4, 12)] {
        let mut odd = bare.clone();
        odd[frame + place] = value;
        assert_eq!(passed(&odd, SourceFormat::Jpeg, Metadata::Nothing), None);
    }
    // Without what colours depend on, it would be another picture.
    let adobe = segment(0xEE, b"Adobe\0d\0\0\0\0\x01");
    let adobe = [&bare[..20], &adobe, &bare[20..]].concat();
    assert_eq!(
        passed(&adobe, SourceFormat::Jpeg, Metadata::Nothing),
        Some(adobe)
    );
}

fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut checksum = flate2::Crc::new();
    checksum.update(name);
    checksum.update(content);
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [&length, &name[..], content, &checksum.sum().to_be_bytes()].concat()
}

#[test]
fn a_png_loses_what_is_no_pixel() {
    const HEADER: usize = 8 + 25;
    for alpha in [false, true] {
        let bare = encoded(Format::Png, alpha, 80);
        let (header, rest) = bare.split_at(HEADER);
        let bare = [header, &chunk(b"gAMA", &[0, 0, 0xB1, 0x8F]), rest].concat();
        let full =
            attach(bare.clone(), Format::Png, &blocks(), Some(b"a profile")).expect("attaches");
        let (header, rest) = full.split_at(HEADER);
        let full = [
            header,
            &chunk(b"tEXt", b"Author\0someone"),
            &chunk(b"tIME", &[7, 234, 1, 1, 1, 1, 1]),
            &chunk(b"caBX", b"c2pa"),
            rest,
            b"garbage",
        ]
        .concat();
        check(
            &full,
            &bare,
            SourceFormat::Png,
            Format::Png,
            Some(b"a profile"),
        );
        assert_eq!(
            passed(&full[..full.len() - 20], SourceFormat::Png, Metadata::Keep),
            None
        );
    }
}

#[test]
fn a_webp_loses_what_is_no_pixel() {
    for (alpha, quality) in [(false, 80), (true, 80), (false, 100), (true, 100)] {
        let bare = encoded(Format::Webp, alpha, quality);
        let full =
            attach(bare.clone(), Format::Webp, &blocks(), Some(b"a profile")).expect("attaches");
        let mut full = [&full[..], b"XtRa\x03\0\0\0abc\0"].concat();
        let length = u32::try_from(full.len() - 8).expect("short").to_le_bytes();
        full[4..8].copy_from_slice(&length);
        full.extend(b"garbage");
        check(
            &full,
            &bare,
            SourceFormat::Webp,
            Format::Webp,
            Some(b"a profile"),
        );
        assert_eq!(
            passed(&full[..full.len() - 20], SourceFormat::Webp, Metadata::Keep),
            None
        );
    }
}

#[test]
fn a_gif_keeps_its_frames_and_loops() {
    let mut full = Vec::new();
    let mut encoder = gif::Encoder::new(&mut full, 2, 2, &[0, 0, 0, 255, 0, 0]).expect("encodes");
    encoder.set_repeat(gif::Repeat::Finite(3)).expect("encodes");
    for pixels in [[0, 1, 1, 0], [1, 1, 0, 0]] {
        let frame = gif::Frame {
            delay: 7,
            width: 2,
            height: 2,
            buffer: pixels.to_vec().into(),
            palette: Some(vec![0, 0, 255, 255, 255, 0]),
            ..gif::Frame::default()
        };
        encoder.write_frame(&frame).expect("encodes");
    }
    drop(encoder);
    let bare = full.clone();
    let (head, rest) = full.split_at(13 + 6);
    let full = [
        head,
        b"\x21\xFE\x09a comment\0",
        b"\x21\xFF\x0BXMP DataXMP\x04<x/>\0",
        rest,
        b"garbage",
    ]
    .concat();
    for wanted in [Metadata::Keep, Metadata::Copyright, Metadata::Nothing] {
        assert_eq!(passed(&full, SourceFormat::Gif, wanted), Some(bare.clone()));
    }
    let frames = |file: &[u8]| {
        GifDecoder::new(std::io::Cursor::new(file.to_vec()))
            .and_then(|decoder| decoder.into_frames().collect_frames())
            .expect("decodes")
            .into_iter()
            .map(|frame| (frame.delay(), frame.into_buffer().into_raw()))
            .collect::<Vec<_>>()
    };
    assert_eq!(frames(&full), frames(&bare));
    for length in 0..full.len() - b"garbage".len() {
        assert_eq!(
            passed(&full[..length], SourceFormat::Gif, Metadata::Nothing),
            None
        );
    }
}

#[test]
fn an_avif_is_passed_whole_or_not_at_all() {
    let bare = encoded(Format::Avif, true, 80);
    let full = attach(bare.clone(), Format::Avif, &blocks(), Some(b"a profile")).expect("attaches");
    let turned = OutputMetadata {
        exif: Some(exif_block(6)),
        xmp: None,
    };
    let turned = attach(bare.clone(), Format::Avif, &turned, None).expect("attaches");
    let mut nameless = full.clone();
    let name = nameless
        .windows(8)
        .position(|window| window == b"Exif\0\0\0\0")
        .expect("an item");
    nameless[name - 8] = 9;
    let hidden = [&bare[..], b"\0\0\0\x0Cuuidc2pa"].concat();
    let garbage = [&bare[..], b"garbage"].concat();
    for (source, wanted, expected) in [
        (&bare, Metadata::Nothing, true),
        (&bare, Metadata::Keep, true),
        (&full, Metadata::Keep, true),
        (&full, Metadata::Copyright, false),
        (&full, Metadata::Nothing, false),
        (&turned, Metadata::Keep, false),
        (&nameless, Metadata::Nothing, false),
        (&hidden, Metadata::Keep, false),
        (&garbage, Metadata::Keep, false),
    ] {
        assert_eq!(
            passed(source, SourceFormat::Avif, wanted),
            expected.then(|| source.clone())
        );
    }
    assert_eq!(
        smaller_source(&bare, SourceFormat::Avif, Metadata::Keep, &bare),
        Ok(None)
    );
}

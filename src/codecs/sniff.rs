//! Recognises the format of a source by its first bytes. File extension and Content-Type are never trusted.

use serde::{Deserialize, Serialize};

use crate::options::Format;

use crate::codecs::svg::detect::{could_become_svg, is_svg};

/// The format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SourceFormat {
    Jpeg,
    Png,
    Webp,
    Gif,
    Avif,
    JpegXl,
    Tiff,
    Bmp,
    /// Windows icons and cursors, which differ in one byte.
    Ico,
    /// PBM, PGM, PPM and PAM, which are one family.
    Pnm,
    Qoi,
    /// Decoded if the build has libheif; otherwise refused with a text that says how to get a build with it.
    Heic,
    /// A drawing, which is sanitized and not decoded.
    Svg,
    /// Recognised, and refused by its name.
    Unsupported(UnsupportedFormat),
}

impl SourceFormat {
    /// The output format with the same name, if there is one.
    pub(crate) const fn as_output(self) -> Option<Format> {
        match self {
            SourceFormat::Jpeg => Some(Format::Jpeg),
            SourceFormat::Png => Some(Format::Png),
            SourceFormat::Webp => Some(Format::Webp),
            SourceFormat::Gif => Some(Format::Gif),
            SourceFormat::Avif => Some(Format::Avif),
            SourceFormat::JpegXl => Some(Format::Jxl),
            SourceFormat::Svg => Some(Format::Svg),
            _ => None,
        }
    }

    /// Its name in settings and records of uploads.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            SourceFormat::Jpeg => "jpeg",
            SourceFormat::Png => "png",
            SourceFormat::Webp => "webp",
            SourceFormat::Gif => "gif",
            SourceFormat::Avif => "avif",
            SourceFormat::JpegXl => "jxl",
            SourceFormat::Tiff => "tiff",
            SourceFormat::Bmp => "bmp",
            SourceFormat::Ico => "ico",
            SourceFormat::Pnm => "pnm",
            SourceFormat::Qoi => "qoi",
            SourceFormat::Heic | SourceFormat::Unsupported(UnsupportedFormat::Heic) => "heic",
            SourceFormat::Svg => "svg",
            SourceFormat::Unsupported(UnsupportedFormat::Psd) => "psd",
            SourceFormat::Unsupported(UnsupportedFormat::Jpeg2000) => "jp2",
            SourceFormat::Unsupported(UnsupportedFormat::Pdf) => "pdf",
        }
    }

    /// The usual extension of a file name, without the dot.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            SourceFormat::Jpeg => "jpg",
            other => other.name(),
        }
    }

    /// The media type, as `format=json` reports it.
    pub(crate) const fn mime(self) -> &'static str {
        match self {
            SourceFormat::Jpeg => "image/jpeg",
            SourceFormat::Png => "image/png",
            SourceFormat::Webp => "image/webp",
            SourceFormat::Gif => "image/gif",
            SourceFormat::Avif => "image/avif",
            SourceFormat::JpegXl => "image/jxl",
            SourceFormat::Tiff => "image/tiff",
            SourceFormat::Bmp => "image/bmp",
            SourceFormat::Ico => "image/x-icon",
            SourceFormat::Pnm => "image/x-portable-anymap",
            SourceFormat::Qoi => "image/qoi",
            SourceFormat::Heic | SourceFormat::Unsupported(UnsupportedFormat::Heic) => "image/heic",
            SourceFormat::Svg => "image/svg+xml",
            SourceFormat::Unsupported(UnsupportedFormat::Psd) => "image/vnd.adobe.photoshop",
            SourceFormat::Unsupported(UnsupportedFormat::Jpeg2000) => "image/jp2",
            SourceFormat::Unsupported(UnsupportedFormat::Pdf) => "application/pdf",
        }
    }
}

/// Picture formats that are recognised but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnsupportedFormat {
    /// Only in a build without libheif.
    Heic,
    /// Adobe Photoshop.
    Psd,
    /// JPEG 2000, as a file or as a bare codestream.
    Jpeg2000,
    /// PDF documents.
    Pdf,
}

impl UnsupportedFormat {
    /// Whether Cloudflare recognises the format as a picture, and answers with another error than for unknown data.
    pub const fn is_known_to_cloudflare(self) -> bool {
        matches!(self, UnsupportedFormat::Heic)
    }

    /// The usual name of the format.
    pub const fn name(self) -> &'static str {
        match self {
            UnsupportedFormat::Heic => "HEIC",
            UnsupportedFormat::Psd => "PSD",
            UnsupportedFormat::Jpeg2000 => "JPEG 2000",
            UnsupportedFormat::Pdf => "PDF",
        }
    }
}

/// Recognises a file by its first bytes; `None` if it is no known picture format.
pub(crate) fn sniff(bytes: &[u8]) -> Option<SourceFormat> {
    let format = match bytes {
        [0xFF, 0xD8, 0xFF, ..] => SourceFormat::Jpeg,
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => SourceFormat::Png,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => SourceFormat::Gif,
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => SourceFormat::Webp,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return iso_media(bytes),
        [0xFF, 0x0A, ..]
        | [
            0,
            0,
            0,
            0x0C,
            b'J',
            b'X',
            b'L',
            b' ',
            0x0D,
            0x0A,
            0x87,
            0x0A,
            ..,
        ] => SourceFormat::JpegXl,
        // The second pair is BigTIFF.
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => SourceFormat::Tiff,
        [b'q', b'o', b'i', b'f', ..] => SourceFormat::Qoi,
        [b'B', b'M', ..] if is_bmp(bytes) => SourceFormat::Bmp,
        [0, 0, 1 | 2, 0, ..] if is_ico(bytes) => SourceFormat::Ico,
        [b'P', b'1'..=b'7', ..] if is_pnm(bytes) => SourceFormat::Pnm,
        [b'8', b'B', b'P', b'S', ..] => SourceFormat::Unsupported(UnsupportedFormat::Psd),
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => {
            SourceFormat::Unsupported(UnsupportedFormat::Jpeg2000)
        }
        [b'%', b'P', b'D', b'F', ..] => SourceFormat::Unsupported(UnsupportedFormat::Pdf),
        _ if is_svg(bytes) => SourceFormat::Svg,
        _ => return None,
    };
    Some(format)
}

/// What the first bytes of a file say, when more of it may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFormat {
    Known(SourceFormat),
    Unknown,
    /// It may be a drawing with a long prologue.
    Unclear,
}

/// Recognises a file by its first bytes, a kilobyte at least unless the file is shorter.
pub(crate) fn sniff_head(head: &[u8]) -> HeadFormat {
    match sniff(head) {
        Some(format) => HeadFormat::Known(format),
        None if could_become_svg(head) => HeadFormat::Unclear,
        None => HeadFormat::Unknown,
    }
}

/// ISO base media: the brands of the `ftyp` box tell AVIF from HEIC.
fn iso_media(bytes: &[u8]) -> Option<SourceFormat> {
    let length = usize::try_from(u32::from_be_bytes(bytes.first_chunk().copied()?)).ok()?;
    let brands = bytes.get(8..length.clamp(8, 512).min(bytes.len()))?;
    // The second word is a version, not a brand.
    let mut brands = brands
        .chunks_exact(4)
        .enumerate()
        .filter(|(index, _)| *index != 1)
        .map(|(_, brand)| brand);
    if brands
        .clone()
        .any(|brand| matches!(brand, b"avif" | b"avis"))
    {
        return Some(SourceFormat::Avif);
    }
    brands
        .any(|brand| {
            matches!(
                brand,
                b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"
            )
        })
        .then_some(SourceFormat::Heic)
}

/// Many texts begin with the same two letters, so either the length of the second header must be one that was ever defined, or the reserved
/// words must be zero, as the format demands.
fn is_bmp(bytes: &[u8]) -> bool {
    let length = bytes
        .get(14..18)
        .and_then(|word| word.first_chunk())
        .map(|word| u32::from_le_bytes(*word));
    matches!(length, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
        || bytes.get(6..10) == Some(&[0; 4])
}

/// Whether the first directory entry is plausible: its picture has bytes, and they come after the directory.
fn is_ico(bytes: &[u8]) -> bool {
    let (Some(count), Some(entry)) = (bytes.get(4..6), bytes.get(6..22)) else {
        return false;
    };
    let count = u32::from(u16::from_le_bytes([count[0], count[1]]));
    let word =
        |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    count > 0 && word(8) > 0 && word(12) >= 6 + 16 * count
}

/// After the digit comes white space and then the width, perhaps after comments; in P7 a line ends there.
fn is_pnm(bytes: &[u8]) -> bool {
    /// Bytes that are searched: a file may consist of white space.
    const LOOKED_THROUGH: usize = 1024;
    if bytes[1] == b'7' {
        return matches!(bytes, [_, _, b'\n', ..] | [_, _, b'\r', b'\n', ..]);
    }
    matches!(bytes, [_, _, after, ..] if after.is_ascii_whitespace())
        && bytes[2..]
            .iter()
            .take(LOOKED_THROUGH)
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'#')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::HeadFormat;
    use super::SourceFormat;
    use super::UnsupportedFormat;
    use super::sniff;
    use super::sniff_head;

    #[test]
    fn a_head_is_unclear_only_while_it_may_be_the_prologue_of_a_drawing() {
        let comment = |length| format!("<?xml version='1.0'?><!-- {} ", "x".repeat(length));
        let packed = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder
                .write_all(text.as_bytes())
                .expect("a vector takes all");
            encoder.finish().expect("a vector takes all")
        };
        for unclear in ["", " \r\n", "<", "<sv", "<!DOCTYPE svg [", &comment(60_000)] {
            for head in [unclear.as_bytes().to_vec(), packed(unclear)] {
                assert_eq!(sniff_head(&head), HeadFormat::Unclear, "{unclear:.20}");
            }
        }
        for unknown in [
            "<!doctype html><html><body><svg>",
            "<html>",
            "{}",
            &comment(70_000),
            &"\n".repeat(70_000),
        ] {
            for head in [unknown.as_bytes().to_vec(), packed(unknown)] {
                assert_eq!(sniff_head(&head), HeadFormat::Unknown, "{unknown:.20}");
            }
        }
        let drawing = format!("{}--><svg>", comment(60_000));
        for head in [drawing.as_bytes().to_vec(), packed(&drawing)] {
            assert_eq!(sniff_head(&head), HeadFormat::Known(SourceFormat::Svg));
        }
    }

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        const SVG: Option<SourceFormat> = Some(SourceFormat::Svg);
        let rows: &[(&[u8], Option<SourceFormat>)] = &[
            (b"\xFF\xD8\xFF\xE0", Some(SourceFormat::Jpeg)),
            (b"\x89PNG\r\n\x1a\n", Some(SourceFormat::Png)),
            (b"GIF89a", Some(SourceFormat::Gif)),
            (b"GIF87a", Some(SourceFormat::Gif)),
            (b"RIFF\x10\0\0\0WEBPVP8 <svg", Some(SourceFormat::Webp)),
            (
                b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf",
                Some(SourceFormat::Avif),
            ),
            (
                b"\0\0\0\x18ftypmif1\0\0\0\0avifmiaf",
                Some(SourceFormat::Avif),
            ),
            (
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
                Some(SourceFormat::Heic),
            ),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", None),
            (b"II*\0\x08\0\0\0", Some(SourceFormat::Tiff)),
            (b"MM\0*\0\0\0\x08", Some(SourceFormat::Tiff)),
            (b"II+\0\x08\0\0\0", Some(SourceFormat::Tiff)),
            (b"MM\0+\0\x08\0\0", Some(SourceFormat::Tiff)),
            (b"MM in a text", None),
            (b"\xFF\x0A\xFF\x07", Some(SourceFormat::JpegXl)),
            (b"\0\0\0\x0CJXL \r\n\x87\n", Some(SourceFormat::JpegXl)),
            (b"qoif\0\0\0\x01", Some(SourceFormat::Qoi)),
            (b"BM\x46\0\0\0\0\0\0\0", Some(SourceFormat::Bmp)),
            (
                b"BM\x46\0\0\0\x07\0\0\0\x36\0\0\0\x28\0\0\0",
                Some(SourceFormat::Bmp),
            ),
            (b"BMX is a way to ride a bicycle", None),
            (
                b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0",
                Some(SourceFormat::Ico),
            ),
            (
                b"\0\0\x02\0\0\0\0\0\0\0\0\0\x10\0\x10\0\x18\0\0\0\0\0",
                None,
            ),
            (b"\0\0\x01\xBA\x44\0\x04\0\x04", None),
            (b"P1\n2 2\n0 1 1 0", Some(SourceFormat::Pnm)),
            (b"P6 # made by hand\n1 1 255\n", Some(SourceFormat::Pnm)),
            (b"P5\n#first a comment\n", Some(SourceFormat::Pnm)),
            (b"P7\nWIDTH 1\n", Some(SourceFormat::Pnm)),
            (b"P4", None),
            (b"P2P", None),
            (b"P1 is the first of ten", None),
            (b"P8\n1 1\n", None),
            (
                b"8BPS\0\x01",
                Some(SourceFormat::Unsupported(UnsupportedFormat::Psd)),
            ),
            (
                b"%PDF-1.7",
                Some(SourceFormat::Unsupported(UnsupportedFormat::Pdf)),
            ),
            (
                b"\xFF\x4F\xFF\x51\0\x2F",
                Some(SourceFormat::Unsupported(UnsupportedFormat::Jpeg2000)),
            ),
            (b"<?xml version=\"1.0\"?>\n<svg xmlns=\"x\">", SVG),
            (b"\xFF\xFE<\0s\0v\0g\0>\0", SVG),
            (b"\x1F\x8B\x08\0", None),
            (b"<!doctype html><html><svg>", None),
            (b"plain text", None),
            (b"", None),
        ];
        for (bytes, format) in rows {
            assert_eq!(
                sniff(bytes),
                *format,
                "{:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn every_cut_of_a_head_is_answered() {
        for head in [
            &b"\0\0\0\x20ftypavif\0\0\0\0mif1miafMA1B\0\0"[..],
            b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0\x68\x04\0\0\x16\0\0\0",
            b"BM\x46\0\0\0\x07\0\0\0\x36\0\0\0\x28\0\0\0",
            b"P6 # made by hand\n1 1 255\n",
            b"<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a '>'>]><!-- --><svg>",
        ] {
            for length in 0..head.len() {
                let _ = sniff(&head[..length]);
            }
        }
        let avif = b"\0\0\0\x20ftypavif\0\0\0\0";
        assert_eq!(sniff(&avif[..12]), Some(SourceFormat::Avif));
    }
}

//! What the bytes of a source are, by what they begin with. Extension and Content-Type are never believed.

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
    Webp,
    Gif,
    Avif,
    /// Recognised, and refused by name.
    Foreign(Foreign),
}

/// Kinds of pictures that are no source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    Svg,
    Heic,
    Tiff,
    Bmp,
    Ico,
    Psd,
    JpegXl,
    Jpeg2000,
    Pdf,
}

impl Foreign {
    /// Kinds that Cloudflare counts among pictures that it will not convert, apart from those it does not know.
    pub const fn is_known_to_cloudflare(self) -> bool {
        matches!(self, Foreign::Svg | Foreign::Heic | Foreign::Tiff)
    }

    /// The name that people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Foreign::Svg => "SVG",
            Foreign::Heic => "HEIC",
            Foreign::Tiff => "TIFF",
            Foreign::Bmp => "BMP",
            Foreign::Ico => "ICO",
            Foreign::Psd => "PSD",
            Foreign::JpegXl => "JPEG XL",
            Foreign::Jpeg2000 => "JPEG 2000",
            Foreign::Pdf => "PDF",
        }
    }
}

/// Bytes that are looked through for the root element of an SVG.
const PROLOGUE: usize = 4096;

/// Recognises a file by its first bytes; `None` is nothing that shows a picture.
pub(super) fn sniff(bytes: &[u8]) -> Option<Kind> {
    let kind = match bytes {
        [0xFF, 0xD8, 0xFF, ..] => Kind::Jpeg,
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Kind::Png,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Kind::Gif,
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
        ] => Kind::Webp,
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return iso_media(bytes),
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] | [b'I', b'I', b'+', 0, ..] => {
            Kind::Foreign(Foreign::Tiff)
        }
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Kind::Foreign(Foreign::Bmp),
        [0, 0, 1 | 2, 0, count, 0, ..] if *count > 0 => Kind::Foreign(Foreign::Ico),
        [b'8', b'B', b'P', b'S', ..] => Kind::Foreign(Foreign::Psd),
        [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C, b'J', b'X', b'L', b' ', ..] => {
            Kind::Foreign(Foreign::JpegXl)
        }
        [0, 0, 0, 0x0C, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => {
            Kind::Foreign(Foreign::Jpeg2000)
        }
        [b'%', b'P', b'D', b'F', ..] => Kind::Foreign(Foreign::Pdf),
        _ if is_svg(bytes) => Kind::Foreign(Foreign::Svg),
        _ => return None,
    };
    Some(kind)
}

/// ISO base media: the brands of the `ftyp` box tell AVIF from HEIC.
fn iso_media(bytes: &[u8]) -> Option<Kind> {
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
        return Some(Kind::Avif);
    }
    brands
        .any(|brand| {
            matches!(
                brand,
                b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1"
            )
        })
        .then_some(Kind::Foreign(Foreign::Heic))
}

/// An SVG's root element among its first bytes, in UTF-8 or either UTF-16, also gzipped (any gzip counts: nothing else that
/// is served as a picture is one).
fn is_svg(bytes: &[u8]) -> bool {
    if bytes.starts_with(&[0x1F, 0x8B]) {
        return true;
    }
    let head = &bytes[..bytes.len().min(PROLOGUE)];
    // Dropping the zero bytes turns UTF-16 markup into ASCII.
    let text: Vec<u8> = head.iter().copied().filter(|&byte| byte != 0).collect();
    let text = text.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(&text);
    let text = text
        .strip_prefix(&[0xFF, 0xFE])
        .or(text.strip_prefix(&[0xFE, 0xFF]))
        .unwrap_or(text);
    let text = text.trim_ascii_start();
    text.starts_with(b"<")
        && text.windows(4).any(|window| {
            window.eq_ignore_ascii_case(b"<svg") || window.eq_ignore_ascii_case(b":svg")
        })
}

#[cfg(test)]
mod tests {
    use super::Foreign;
    use super::Kind;
    use super::sniff;

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        let rows: [(&[u8], Option<Kind>); 16] = [
            (b"\xFF\xD8\xFF\xE0", Some(Kind::Jpeg)),
            (b"\x89PNG\r\n\x1a\n", Some(Kind::Png)),
            (b"GIF89a", Some(Kind::Gif)),
            (b"GIF87a", Some(Kind::Gif)),
            (b"RIFF\x10\0\0\0WEBPVP8 <svg", Some(Kind::Webp)),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", Some(Kind::Avif)),
            (b"\0\0\0\x18ftypmif1\0\0\0\0avifmiaf", Some(Kind::Avif)),
            (
                b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
                Some(Kind::Foreign(Foreign::Heic)),
            ),
            (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", None),
            (b"II*\0\x08\0\0\0", Some(Kind::Foreign(Foreign::Tiff))),
            (
                b"<?xml version=\"1.0\"?>\n<svg xmlns=",
                Some(Kind::Foreign(Foreign::Svg)),
            ),
            (
                b"\xFF\xFE<\0?\0x\0m\0l\0>\0<\0s\0v\0g\0",
                Some(Kind::Foreign(Foreign::Svg)),
            ),
            (b"\x1F\x8B\x08\0", Some(Kind::Foreign(Foreign::Svg))),
            (b"<!doctype html><html>", None),
            (b"plain text", None),
            (b"", None),
        ];
        for (bytes, kind) in rows {
            assert_eq!(sniff(bytes), kind, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn every_cut_of_a_head_is_answered() {
        let head = b"\0\0\0\x20ftypavif\0\0\0\0mif1miafMA1B\0\0";
        for length in 0..head.len() {
            let _ = sniff(&head[..length]);
        }
        assert_eq!(sniff(&head[..12]), Some(Kind::Avif));
    }
}

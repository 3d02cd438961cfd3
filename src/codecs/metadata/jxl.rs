//! Boxes of a JPEG XL: `Exif` and `xml `, which only a file in a container has (ISO/IEC 18181-2).

use crate::codecs::TransformError;
use crate::codecs::metadata::blocks::{OutputMetadata, failed};
use crate::pixels::buffer;

/// What a file in a container begins with: the signature, and its brand.
const BEGINNING: &[u8] = b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl ";

/// A codestream that is not in a container begins with this.
const CODESTREAM: &[u8] = &[0xFF, 0x0A];

/// Puts metadata in front of the picture.
pub(super) fn attach(bytes: &[u8], kept: &OutputMetadata) -> Result<Vec<u8>, TransformError> {
    let OutputMetadata { exif, xmp } = kept;
    if exif.is_none() && xmp.is_none() {
        return Ok(buffer::copied(bytes)?);
    }
    // The first four bytes say where the TIFF header is.
    let exif = match exif {
        Some(exif) => boxed(*b"Exif", &[&[0; 4], exif])?,
        None => Vec::new(),
    };
    let xmp = match xmp {
        Some(xmp) => boxed(*b"xml ", &[xmp])?,
        None => Vec::new(),
    };
    let picture;
    let rest = if bytes.starts_with(CODESTREAM) {
        picture = boxed(*b"jxlc", &[bytes])?;
        picture.as_slice()
    } else {
        let rest = bytes.strip_prefix(BEGINNING);
        rest.ok_or_else(|| failed("libjxl has written another container"))?
    };
    // The level stands before everything else.
    let level = match rest {
        [0, 0, 0, 9, b'j', b'x', b'l', b'l', _, ..] => &rest[..9],
        _ => &[],
    };
    let rest = &rest[level.len()..];
    Ok(buffer::joined(&[BEGINNING, level, &exif, &xmp, rest])?)
}

/// A box with a name and a content.
fn boxed(name: [u8; 4], content: &[&[u8]]) -> Result<Vec<u8>, TransformError> {
    let content = buffer::joined(content)?;
    let length = u32::try_from(content.len() + 8).map_err(|_| failed("a box of 4 GiB"))?;
    Ok(buffer::joined(&[&length.to_be_bytes(), &name, &content])?)
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, attach};
    use crate::codecs::metadata::blocks::OutputMetadata;

    fn kept() -> OutputMetadata {
        OutputMetadata {
            exif: Some(b"II*\0".to_vec()),
            xmp: Some(b"<x/>".to_vec()),
        }
    }

    const EXIF: &[u8] = b"\0\0\0\x10Exif\0\0\0\0II*\0";
    const XMP: &[u8] = b"\0\0\0\x0Cxml <x/>";

    #[test]
    fn a_codestream_gets_a_container() {
        let made = attach(&[0xFF, 0x0A, 1, 2], &kept()).expect("fits");
        let picture: &[u8] = b"\0\0\0\x0Cjxlc\xFF\x0A\x01\x02";
        assert_eq!(made, [BEGINNING, EXIF, XMP, picture].concat());
        assert_eq!(made.len() % 4, 0);
    }

    #[test]
    fn a_container_keeps_its_level_first() {
        let level: &[u8] = b"\0\0\0\x09jxll\x0A";
        let picture: &[u8] = b"\0\0\0\x0Cjxlc\xFF\x0A\x01\x02";
        let file = [BEGINNING, level, picture].concat();
        let made = attach(&file, &kept()).expect("fits");
        assert_eq!(made, [BEGINNING, level, EXIF, XMP, picture].concat());
    }

    #[test]
    fn without_metadata_a_file_stays_as_it_is() {
        let none = OutputMetadata::default();
        assert_eq!(attach(&[0xFF, 0x0A, 1], &none), Ok(vec![0xFF, 0x0A, 1]));
        assert!(attach(b"something else", &kept()).is_err());
    }
}

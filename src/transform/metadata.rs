//! What files say about their pixels beside the pixels: orientation, profile, the meaning of inks.

use exif::In;
use exif::Reader;
use exif::Tag;

use super::orientation::Orientation;

/// What the markers of a JPEG say before its first scan.
#[derive(Debug, Default)]
pub(super) struct JpegMarkers {
    /// The EXIF block, from its TIFF header on.
    pub exif: Option<Vec<u8>>,
    /// The ICC profile, put together from its parts.
    pub icc: Option<Vec<u8>>,
    /// Whether Adobe's marker is there: its inks are stored inverted.
    pub adobe: bool,
}

/// Parts of an ICC profile are numbered from 1 and at most 255 (ICC.1:2022, annex B.4).
const MAX_PARTS: usize = 255;

/// The markers of a JPEG with their segments, up to and including the head of the first scan. Garbage ends them.
pub(super) fn segments(source: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = source.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let [0xFF, marker, after @ ..] = rest else {
                return None;
            };
            match marker {
                // A fill byte, and markers without a segment.
                0xFF => rest = &rest[1..],
                0x01 | 0xD0..=0xD7 => rest = after,
                0xD9 => return None,
                _ => {
                    let (length, _) = after.split_first_chunk()?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    let segment = after.get(2..length)?;
                    // After a scan's head comes its data, which is no marker.
                    rest = if *marker == 0xDA {
                        &[]
                    } else {
                        &after[length..]
                    };
                    return Some((*marker, segment));
                }
            }
        }
    })
}

/// Reads what the markers before the first scan say; of garbage, what was read so far counts.
pub(super) fn jpeg(source: &[u8]) -> JpegMarkers {
    let mut found = JpegMarkers::default();
    let mut parts: Vec<(u8, &[u8])> = Vec::new();
    for (marker, segment) in segments(source) {
        match marker {
            0xE1 => {
                if let (None, Some(exif)) = (&found.exif, segment.strip_prefix(b"Exif\0\0")) {
                    found.exif = Some(exif.to_vec());
                }
            }
            0xE2 => {
                if let Some([number, _, part @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0")
                    && parts.len() < MAX_PARTS
                {
                    parts.push((*number, part));
                }
            }
            0xEE => found.adobe |= segment.starts_with(b"Adobe"),
            _ => {}
        }
    }
    parts.sort_by_key(|(number, _)| *number);
    if !parts.is_empty() {
        found.icc = Some(
            parts
                .iter()
                .flat_map(|(_, part)| part.iter().copied())
                .collect(),
        );
    }
    found
}

/// The orientation that an EXIF block (from its TIFF header on, or with the `Exif` prefix that some writers add) asks for.
pub(super) fn orientation(exif: Option<&[u8]>) -> Orientation {
    let Some(block) = exif else {
        return Orientation::default();
    };
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let mut reader = Reader::new();
    // Many cameras and editors write blocks with one broken entry.
    reader.continue_on_error(true);
    let exif = match reader.read_raw(block.to_vec()) {
        Ok(exif) => exif,
        Err(error) => match error.distill_partial_result(|_| {}) {
            Ok(exif) => exif,
            Err(_) => return Orientation::default(),
        },
    };
    let tag = exif
        .get_field(Tag::Orientation, In::PRIMARY)
        .and_then(|field| field.value.get_uint(0));
    Orientation::from_exif(tag.unwrap_or(1))
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::orientation::Orientation;
    use super::jpeg;
    use super::orientation;

    /// A TIFF header with one directory of one entry: the orientation.
    pub fn exif_block(tag: u8) -> Vec<u8> {
        let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        block.extend([tag, 0, 0, 0, 0, 0, 0]);
        block
    }

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len() + 2)
            .expect("test segments are short")
            .to_be_bytes();
        [&[0xFF, marker], &length[..], content].concat()
    }

    #[test]
    fn markers_are_read_in_any_order() {
        let file = [
            vec![0xFF, 0xD8],
            segment(0xE2, b"ICC_PROFILE\0\x02\x02second"),
            vec![0xFF],
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
            segment(0xE1, &[b"Exif\0\0", &exif_block(6)[..]].concat()),
            segment(0xEE, b"Adobe\0d\0\0\0\0\0"),
            segment(0xE2, b"ICC_PROFILE\0\x01\x02first "),
            segment(0xDA, b"scan"),
            segment(0xE1, b"Exif\0\0after the scan"),
        ]
        .concat();
        let found = jpeg(&file);
        assert_eq!(found.icc.as_deref(), Some(&b"first second"[..]));
        assert_eq!(
            orientation(found.exif.as_deref()),
            Orientation::from_exif(6)
        );
        assert!(found.adobe);
        for length in 0..file.len() {
            let _ = jpeg(&file[..length]);
        }
    }

    #[test]
    fn broken_exif_means_upright() {
        for block in [&b""[..], b"MM", b"II*\0\xFF\xFF\xFF\xFF", b"Exif\0\0"] {
            assert_eq!(orientation(Some(block)), Orientation::default());
        }
        let mut wild = exif_block(6);
        wild[21] = 0xFF;
        let _ = orientation(Some(&wild));
    }
}

//! Markers of a JPEG: EXIF and XMP in APP1, and an ICC profile in parts in APP2.

use img_parts::ImageEXIF;
use img_parts::ImageICC;
use img_parts::jpeg::{Jpeg, JpegSegment, markers};

use crate::codecs::TransformError;
use crate::codecs::metadata::blocks::{MAX_BLOCK, OutputMetadata, failed};

/// The metadata in the markers before the first scan of a JPEG.
#[derive(Debug, Default)]
pub(crate) struct JpegMarkers {
    /// The EXIF block, from its TIFF header on.
    pub exif: Option<Vec<u8>>,
    /// The XMP packet, without its extension.
    pub xmp: Option<Vec<u8>>,
    /// The ICC profile, joined from its parts.
    pub icc: Option<Vec<u8>>,
}

/// Parts of an ICC profile are numbered from 1 and at most 255 (ICC.1:2022, annex B.4).
const MAX_PARTS: usize = 255;
/// The prefix of an XMP packet in APP1 (XMP specification, part 3, section 1.1.3).
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
/// Bytes of a segment without its length field.
const MAX_SEGMENT: usize = 65_533;

/// A segment of a JPEG.
pub(crate) struct Segment<'a> {
    pub marker: u8,
    /// The content, without the length field.
    pub content: &'a [u8],
    /// Everything after the segment.
    pub after: &'a [u8],
}

/// The segments of a JPEG, up to and including the header of the first scan, or up to the first invalid marker.
pub(crate) fn segments(source: &[u8]) -> impl Iterator<Item = Segment<'_>> {
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
                    let content = after.get(2..length)?;
                    let after = &after[length..];
                    // The scan header is followed by scan data, not by a marker.
                    rest = if *marker == 0xDA { &[] } else { after };
                    return Some(Segment {
                        marker: *marker,
                        content,
                        after,
                    });
                }
            }
        }
    })
}

/// The length of the data of a scan: up to a marker that is neither a stuffed byte nor a restart marker; `None` if there is no such marker.
pub(crate) fn scan_length(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += data[at..].iter().position(|&byte| byte == 0xFF)?;
        match data.get(at + 1)? {
            0x00 | 0xD0..=0xD7 => at += 2,
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

/// Reads the metadata before the first scan. If the file is damaged, what was read before counts.
pub(crate) fn jpeg(source: &[u8]) -> JpegMarkers {
    let mut found = JpegMarkers::default();
    let mut parts: Vec<(u8, &[u8])> = Vec::new();
    for Segment {
        marker, content, ..
    } in segments(source)
    {
        match marker {
            0xE1 => {
                if let (None, Some(exif)) = (&found.exif, content.strip_prefix(b"Exif\0\0")) {
                    found.exif = Some(exif.to_vec());
                }
                if let (None, Some(packet)) = (&found.xmp, content.strip_prefix(XMP)) {
                    found.xmp = Some(packet.to_vec());
                }
            }
            0xE2 => {
                if let Some([number, _, part @ ..]) = content.strip_prefix(b"ICC_PROFILE\0")
                    && parts.len() < MAX_PARTS
                {
                    parts.push((*number, part));
                }
            }
            _ => {}
        }
    }
    parts.sort_by_key(|(number, _)| *number);
    let length: usize = parts.iter().map(|(_, part)| part.len()).sum();
    // 255 parts could have 16 MiB, which no profile has.
    if !parts.is_empty() && length <= MAX_BLOCK {
        let mut profile = Vec::with_capacity(length);
        for (_, part) in parts {
            profile.extend_from_slice(part);
        }
        found.icc = Some(profile);
    }
    found
}

pub(crate) fn attach(
    bytes: Vec<u8>,
    kept: &OutputMetadata,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, TransformError> {
    let mut file = Jpeg::from_bytes(bytes.into()).map_err(failed)?;
    if let Some(profile) = icc {
        file.set_icc_profile(Some(profile.to_vec().into()));
    }
    if let Some(packet) = &kept.xmp {
        let content = [XMP, packet].concat();
        if content.len() <= MAX_SEGMENT {
            let place = file
                .segments()
                .iter()
                .take_while(|segment| segment.marker() == markers::APP0)
                .count();
            let segment = JpegSegment::new_with_contents(markers::APP1, content.into());
            file.segments_mut().insert(place, segment);
        }
    }
    if let Some(block) = &kept.exif {
        file.set_exif(Some(block.clone().into()));
    }
    Ok(file.encoder().bytes().into())
}

/// Whether a sequential (or lossless) file has its components in several scans.
pub(crate) fn is_in_several_scans(source: &[u8]) -> bool {
    const SEQUENTIAL: [u8; 3] = [0xC0, 0xC1, 0xC3];
    const SCAN: u8 = 0xDA;
    let mut of_frame = None;
    for Segment {
        marker, content, ..
    } in segments(source)
    {
        if SEQUENTIAL.contains(&marker) {
            of_frame = content.get(5).copied();
        } else if marker == SCAN {
            return of_frame.is_some_and(|components| content.first() < Some(&components));
        }
    }
    false
}

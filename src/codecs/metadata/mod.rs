//! Metadata of files: orientation, colour profile, EXIF and XMP; and which of it goes into an output.
//!
//! Sources are hostile, so they are read by walking their bytes: nothing is copied before it is needed, and no block larger than
//! `MAX_BLOCK`. `img-parts` parses only files that the encoders here have written.

mod avif;
mod blocks;
mod erase;
mod jpeg;
mod jxl;
mod png;
mod strip;
mod tiff;
mod webp;
mod xmp;

use exif::In;
use exif::Reader;
use exif::Tag;

use crate::options::{Format, Metadata};

use crate::codecs::TransformError;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::orientation::Orientation;

use self::blocks::{MAX_BLOCK, failed};

pub(crate) use self::avif::{
    AlphaGrid as AvifAlphaGrid, alpha_grid as avif_alpha_grid, holds_only as avif_holds_only,
    is_bounded as avif_is_bounded,
};
pub(crate) use self::blocks::{OutputMetadata, SourceMetadata};
pub(crate) use self::erase::erase;
pub(crate) use self::jpeg::{
    Segment as JpegSegment, is_in_several_scans, jpeg, scan_length as jpeg_scan_length,
    segments as jpeg_segments,
};
pub(crate) use self::png::{
    Calibration as PngCalibration, calibration as png_calibration, chunks as png_chunks,
    cicp as png_cicp,
};
pub(crate) use self::strip::Stripper;
pub(crate) use self::webp::{
    chunks as webp_chunks, exif as webp_exif, extended as webp_extended, profile as webp_profile,
};

/// Reads the metadata blocks of a source, in any format.
pub(crate) fn read(source: &[u8], source_format: SourceFormat) -> SourceMetadata {
    let carried = match source_format {
        SourceFormat::Jpeg => {
            let markers = jpeg(source);
            SourceMetadata {
                exif: markers.exif,
                xmp: markers.xmp,
                icc: markers.icc,
            }
        }
        SourceFormat::Png => png::read(source),
        SourceFormat::Webp => webp::read(source),
        SourceFormat::Avif => avif::read(source),
        _ => SourceMetadata::default(),
    };
    let sound = |block: &Vec<u8>| (1..=MAX_BLOCK).contains(&block.len());
    SourceMetadata {
        exif: carried.exif.and_then(tiff::bare).filter(sound),
        xmp: carried.xmp.filter(sound),
        icc: carried.icc.filter(sound),
    }
}

/// Chooses what goes into an output. Its pixels are upright and may be a part of the source's, so orientations become upright and
/// thumbnails go.
///
/// | wanted | JPEG | PNG, WebP, AVIF, JPEG XL | others |
/// |---|---|---|---|
/// | `copyright` | the EXIF copyright tag | nothing | nothing |
/// | `keep` | EXIF with GPS and maker notes, XMP | the same | nothing |
/// | `none` | nothing | nothing | nothing |
///
/// Cloudflare keeps nothing in other formats than JPEG, whatever is asked. IPTC blocks, comments and content credentials (C2PA)
/// are always dropped: a signature over bytes that have changed is worth nothing.
pub(crate) fn select(carried: &SourceMetadata, wanted: Metadata, format: Format) -> OutputMetadata {
    let exif = carried.exif.as_deref();
    match (wanted, format) {
        (Metadata::Copyright, Format::Jpeg) => OutputMetadata {
            exif: exif.and_then(tiff::copyright),
            xmp: None,
        },
        (
            Metadata::Keep,
            Format::Jpeg | Format::Png | Format::Webp | Format::Avif | Format::Jxl,
        ) => OutputMetadata {
            exif: exif.and_then(tiff::upright),
            xmp: carried.xmp.as_deref().and_then(xmp::upright),
        },
        (Metadata::Copyright | Metadata::Keep | Metadata::Nothing, _) => OutputMetadata::default(),
    }
}

/// Chooses the metadata for an output from the bytes of a source. Blocks are read only if one may be kept, which by default is the case
/// only for JPEG outputs.
pub(crate) fn select_from_source(
    source: &[u8],
    source_format: SourceFormat,
    wanted: Metadata,
    format: Format,
) -> OutputMetadata {
    match (wanted, format) {
        (Metadata::Copyright, Format::Jpeg) | (Metadata::Keep, _) => {
            select(&read(source, source_format), wanted, format)
        }
        (Metadata::Copyright | Metadata::Nothing, _) => OutputMetadata::default(),
    }
}

/// Adds metadata blocks and an ICC profile to an encoded file. A JPEG can hold 64 KiB of EXIF and as much XMP: longer blocks are left out.
pub(crate) fn attach(
    bytes: Vec<u8>,
    format: Format,
    kept: &OutputMetadata,
    icc: Option<&[u8]>,
) -> Result<Vec<u8>, TransformError> {
    if *kept == OutputMetadata::default() && icc.is_none() {
        return Ok(bytes);
    }
    // The colours would be wrong without the profile, so it must not be left out.
    if icc.is_some_and(|profile| profile.len() > MAX_BLOCK) {
        return Err(failed("the colour profile is too long"));
    }
    match format {
        Format::Jpeg => jpeg::attach(bytes, kept, icc),
        Format::Png => png::attach(bytes, kept, icc),
        Format::Webp => webp::attach(bytes, kept, icc),
        Format::Avif => avif::attach(&bytes, kept, icc),
        // Its encoder writes the profile.
        Format::Jxl => jxl::attach(&bytes, kept),
        Format::Gif | Format::Svg | Format::Json => Ok(bytes),
    }
}

/// The orientation in an EXIF block (from its TIFF header on, or with the `Exif` prefix that some writers add).
pub(crate) fn orientation(exif: Option<&[u8]>) -> Orientation {
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
pub(crate) mod tests;

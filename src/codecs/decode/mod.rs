//! Decoders: one file for each format, each with two entry points. `header` reads a few hundred bytes and allocates nothing for pixels;
//! `decode` returns the pixels. Formats are recognised by content alone.

mod av1;
mod avif;
pub(crate) mod calibration;
pub(crate) mod frames;
mod gif;
#[cfg(feature = "heic")]
mod heic;
mod ico;
mod image;
mod jpeg;
mod jxl;
pub(crate) mod pixel_source;
mod plain;
mod png;
mod png_end;
mod samples;
mod tiff;
mod truncation;
mod webp;
mod webp_demux;
mod yuv;

use crate::codecs::sniff::SourceFormat;
#[cfg(not(feature = "heic"))]
use crate::codecs::sniff::UnsupportedFormat;
use crate::codecs::sniff::sniff;
use crate::codecs::{TransformError, TruncatedSources};

pub(crate) use self::image::{DecodeScale, DecodedImage, Header, full_extent};
pub(crate) use self::jpeg::RowStream;
pub(crate) use self::truncation::Truncation;

#[cfg(test)]
thread_local! {
    /// How many times pixels were decoded on this thread.
    pub(crate) static DECODES: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    /// How many times a header was parsed on this thread.
    pub(crate) static HEADERS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Sources with at least this many pixels get reduced copies; copies of smaller sources would not decode faster (see `reduced_copy`). Such
/// a source is decoded only at the scales that its copies have.
pub(crate) const LARGE: u64 = 8_000_000;

/// Parses the header of a source.
pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    #[cfg(test)]
    HEADERS.set(HEADERS.get() + 1);
    let format = sniff(source).ok_or(TransformError::NotAnImage)?;
    let header = match format {
        SourceFormat::Jpeg => jpeg::header(source)?,
        SourceFormat::Png => png::header(source)?,
        SourceFormat::Webp => webp::header(source)?,
        SourceFormat::Gif => gif::header(source)?,
        SourceFormat::Avif => avif::header(source)?,
        SourceFormat::JpegXl => jxl::header(source)?,
        SourceFormat::Tiff => tiff::header(source)?,
        SourceFormat::Ico => ico::header(source)?,
        SourceFormat::Bmp | SourceFormat::Pnm | SourceFormat::Qoi => plain::header(source, format)?,
        #[cfg(feature = "heic")]
        SourceFormat::Heic => heic::header(source)?,
        #[cfg(not(feature = "heic"))]
        SourceFormat::Heic => {
            return Err(TransformError::UnsupportedFormat(UnsupportedFormat::Heic));
        }
        SourceFormat::Svg => return Err(TransformError::NotAnImage),
        SourceFormat::Unsupported(format) => return Err(TransformError::UnsupportedFormat(format)),
    };
    if header.size.width == 0 || header.size.height == 0 {
        return Err(TransformError::ZeroSized);
    }
    Ok(header)
}

/// Decodes the pixels of a source whose header was parsed and is within the limits.
pub(crate) fn pixels(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    #[cfg(test)]
    DECODES.set(DECODES.get() + 1);
    match header.format {
        SourceFormat::Jpeg => jpeg::decode(source, header, scale),
        SourceFormat::Png => png::decode(source, header),
        SourceFormat::Webp => webp::decode(source, header),
        SourceFormat::Gif => gif::decode(source, header),
        SourceFormat::Avif => avif::decode(source, header),
        SourceFormat::JpegXl => jxl::decode(source, header),
        SourceFormat::Tiff => tiff::decode(source, header),
        SourceFormat::Ico => ico::decode(source, header),
        SourceFormat::Bmp | SourceFormat::Pnm | SourceFormat::Qoi => plain::decode(source, header),
        #[cfg(feature = "heic")]
        SourceFormat::Heic => heic::decode(source, header),
        #[cfg(not(feature = "heic"))]
        SourceFormat::Heic => Err(TransformError::UnsupportedFormat(UnsupportedFormat::Heic)),
        SourceFormat::Svg => Err(TransformError::NotAnImage),
        SourceFormat::Unsupported(format) => Err(TransformError::UnsupportedFormat(format)),
    }
}

/// Decodes like `pixels`. If the end of the source is missing, the rows that are there are returned, if the settings allow that and most
/// rows are there.
pub(crate) fn pixels_there_are(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
    truncated: TruncatedSources,
) -> Result<(DecodedImage, Option<Truncation>), TransformError> {
    let error = match pixels(source, header, scale) {
        Ok(decoded) => return Ok((decoded, None)),
        // Without memory, nothing is known about the end of the file.
        Err(TransformError::Pixels(refusal)) => return Err(refusal.into()),
        Err(error) => error,
    };
    if header.format != SourceFormat::Jpeg || truncated == TruncatedSources::Refuse {
        return Err(error);
    }
    match jpeg::decode_truncated(source, header, scale) {
        Some(decoded) => decoded.map(|(decoded, truncation)| (decoded, Some(truncation))),
        None => Err(error),
    }
}

/// The smallest decode scale that leaves enough pixels for resampling, when the output needs every `shrink`th pixel of the source.
/// `is_fine` tells whether the output quality is so high that the loss of a scaled decode would be visible.
///
/// A scaled decode averages stored values, not linear light, and it averages more of them the smaller the scale is. Measured over twelve
/// photographs at 300 pixels, JPEG of quality 75, decoded by libjpeg-turbo, compared with a reduction of all pixels in linear light: 76.0
/// points of SSIMULACRA2 with at least 1.5 decoded pixels for each output pixel, 76.5 with 2, 76.9 with 3, 77.0 with all. Two pixels cost
/// little time in a small picture; in a larger one, 1.5 must do.
///
/// Three or four eighths lose less, because more of each block is kept. With the decoder of this program, seven photographs at 800 pixels,
/// with 1.2 to 1.3 decoded pixels for each output pixel instead of 1.6 to 1.7: -0.3 points at quality 75, -0.5 at 85, -0.7 at 90.
pub(crate) fn scale_for(shrink: f64, header: &Header, is_fine: bool) -> DecodeScale {
    const PREFERRED: f64 = 2.0;
    const OVERSAMPLING: f64 = 1.5;
    const HIDDEN: f64 = 1.2;
    /// A decode of up to this many pixels is cheap.
    const FEW: u64 = 1_600_000;
    let has_all = header.is_scalable && header.size.area() < LARGE;
    let scales: &[u32] = if has_all {
        &[1, 2, 3, 4, 8]
    } else {
        &[1, 2, 4, 8]
    };
    let enough = |eighths: u32, finer: u32| {
        if eighths > 2 && !is_fine {
            HIDDEN
        } else if (DecodeScale { eighths: finer }).of(header.size).area() > FEW {
            OVERSAMPLING
        } else {
            PREFERRED
        }
    };
    let leaves = |eighths: u32| shrink * f64::from(eighths) / 8.0;
    scales
        .iter()
        .zip(&scales[1..])
        .find(|&(&eighths, &finer)| leaves(eighths) >= enough(eighths, finer))
        .map_or(DecodeScale::WHOLE, |(&eighths, _)| {
            header.supported(DecodeScale { eighths })
        })
}

/// Decodes a source row by row while it is resampled, if its format allows that. The result is valid only if `BaselineDecoder::end` says so
/// afterwards; if not, `pixels` either reports the damage or decodes the source after all.
pub(crate) fn streamed<'a>(
    source: &'a [u8],
    header: &Header,
    scale: DecodeScale,
) -> Option<RowStream<'a>> {
    match header.format {
        SourceFormat::Jpeg => jpeg::streamed(source, header, scale),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::DecodeScale;
    use super::Header;
    use super::SourceFormat;
    use super::header;
    use super::scale_for;
    use crate::pixels::Size;
    use crate::pixels::orientation::Orientation;

    fn jpeg(size: Size, is_scalable: bool) -> Header {
        Header {
            format: SourceFormat::Jpeg,
            size,
            orientation: Orientation::default(),
            bytes_per_pixel: 4,
            coefficient_bytes: 0,
            hidden_pixels: 0,
            pixel_bytes: 3,
            alpha: false,
            is_lossless: false,
            is_scalable,
        }
    }

    #[test]
    fn heic_is_decoded_or_its_refusal_says_how_to_get_it() {
        let error = header(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").expect_err("has no pictures");
        let told = error.to_string();
        if cfg!(feature = "heic") {
            assert!(told.contains("HEIC: "), "{told}");
        } else {
            assert!(told.contains("`--features heic`"), "{told}");
            assert!(told.contains("libheif"), "{told}");
        }
    }

    #[test]
    fn shrink_on_load_leaves_enough_and_not_too_much() {
        let (small, large) = (Size::new(1600, 1200), Size::new(6000, 4000));
        for (size, shrink, coarse, fine) in [
            (small, 0.5, 8, 8),
            (small, 1.0, 8, 8),
            (small, 2.39, 8, 8),
            (small, 2.4, 4, 8),
            (small, 2.99, 4, 8),
            (small, 3.0, 4, 4),
            (small, 3.2, 3, 4),
            (small, 5.33, 3, 4),
            (small, 5.34, 3, 3),
            (small, 7.99, 3, 3),
            (small, 8.0, 2, 2),
            (small, 15.99, 2, 2),
            (small, 16.0, 1, 1),
            (small, 1000.0, 1, 1),
            (large, 2.39, 8, 8),
            (large, 2.99, 4, 8),
            (large, 3.0, 4, 4),
            (large, 5.99, 4, 4),
            (large, 6.0, 2, 2),
            // At a quarter there are 1.5 million pixels: few enough not to do with less than two for each.
            (large, 15.99, 2, 2),
            (large, 16.0, 1, 1),
        ] {
            for (is_fine, eighths) in [(false, coarse), (true, fine)] {
                let found = scale_for(shrink, &jpeg(size, true), is_fine);
                assert_eq!(
                    found,
                    DecodeScale { eighths },
                    "{size:?} {shrink} {is_fine}"
                );
            }
        }
        let in_scans = scale_for(5.0, &jpeg(small, false), false);
        assert_eq!(in_scans, DecodeScale { eighths: 4 });
    }
}

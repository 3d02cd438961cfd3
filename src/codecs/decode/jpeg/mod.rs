//! JPEG by two decoders: our own for common baseline files, row by row, and a library for all other files. Each build has one such library.

mod baseline;
#[cfg(any(test, not(feature = "native")))]
mod resampled;
#[cfg(feature = "native")]
mod turbo;
#[cfg(not(feature = "native"))]
mod zune;

use crate::codecs::decode::image::{DecodeScale, DecodedImage, Header};
use crate::codecs::decode::truncation::Truncation;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Raster, Scanlines as _, buffer};

#[cfg(feature = "native")]
use self::turbo as library;
#[cfg(not(feature = "native"))]
use self::zune as library;
pub(crate) use baseline::BaselineDecoder;
use baseline::Coverage;

pub(crate) use library::header;

/// Pixels that are decoded row by row while they are read, with what is needed to interpret them.
pub(crate) struct RowStream<'a> {
    pub rows: BaselineDecoder<'a>,
    /// The same as in `DecodedImage`.
    pub extent: (f64, f64),
    pub space: ColorSpace,
}

pub(crate) fn decode(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    if let Some(RowStream {
        mut rows,
        extent,
        space,
    }) = streamed(source, header, scale)
    {
        let raster = Raster::of(&mut rows)?;
        if rows.end() {
            return Ok(DecodedImage {
                raster,
                extent,
                space,
            });
        }
    }
    library::decode(source, header, scale)
}

/// Decodes a file whose end is missing, if most of its rows are there. Missing rows are as the library leaves them.
pub(crate) fn decode_truncated(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Option<Result<(DecodedImage, Truncation), TransformError>> {
    /// The end-of-image marker.
    const END: &[u8] = &[0xFF, 0xD9];
    let Coverage { rows, of, end } = baseline::coverage(source)?;
    let truncation = Truncation { rows, of };
    if !truncation.is_slight() {
        return Some(Err(TransformError::Decode(
            truncation.warning().to_string(),
        )));
    }
    let whole = source.get(..end)?;
    let decoded = buffer::joined(&[whole, END])
        .map_err(TransformError::from)
        .and_then(|ended| library::decode_truncated(&ended, header, scale));
    Some(decoded.map(|decoded| (decoded, truncation)))
}

/// Decodes a common baseline file row by row. The rows are valid only if `BaselineDecoder::end` says so at the end.
pub(crate) fn streamed<'a>(
    source: &'a [u8],
    header: &Header,
    scale: DecodeScale,
) -> Option<RowStream<'a>> {
    let rows = BaselineDecoder::open(source, scale)?;
    (rows.size() == header.decoded(scale)).then(|| RowStream {
        rows,
        extent: header.extent(scale),
        space: ColorSpace::from_icc(metadata::jpeg(source).icc),
    })
}

/// Converts stored samples of four components to amounts of ink. No file says which way round they are: programs of Adobe store the light
/// that is left (255 is no ink), and nearly everybody else does so too, with or without the marker of Adobe. Chromium and Pillow read all
/// such files that way.
fn upright_inks(samples: &mut [u8]) {
    samples.iter_mut().for_each(|ink| *ink = 255 - *ink);
}

#[cfg(test)]
mod tests;

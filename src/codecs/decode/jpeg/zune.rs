//! JPEG by `zune-jpeg`, the decoder that `image` uses: at full size, as RGB, grey or CMYK.

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace as Components;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::codecs::decode::image::{DecodeScale, DecodedImage, Header};
use crate::codecs::decode::jpeg::resampled::at_scale;
use crate::codecs::decode::jpeg::{baseline, upright_inks};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size};

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    // `zune-jpeg` 0.5 decodes only the first of several scans.
    if metadata::is_in_several_scans(source) {
        return Err(failed(
            "a sequential JPEG in several scans needs the native build",
        ));
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(source), options());
    decoder.decode_headers().map_err(failed)?;
    let (width, height) = decoder.dimensions().ok_or(TransformError::ZeroSized)?;
    let side = |side: usize| u32::try_from(side).map_err(|_| TransformError::ZeroSized);
    let markers = metadata::jpeg(source);
    let is_common = baseline::is_common(source);
    Ok(Header {
        format: SourceFormat::Jpeg,
        size: Size::new(side(width)?, side(height)?),
        orientation: metadata::orientation(markers.exif.as_deref()),
        bytes_per_pixel: 4,
        // The pixels, which are always decoded at full size, and 16-bit coefficients of a progressive file. A common file comes here only where it
        // is damaged.
        coefficient_bytes: if is_common { 3 } else { 10 },
        hidden_pixels: 0,
        pixel_bytes: 4,
        alpha: false,
        is_lossless: false,
        is_scalable: is_common,
    })
}

pub(crate) fn decode(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    // `zune-jpeg` does not notice that parts of the last row of blocks are missing.
    if baseline::coverage(source).is_some_and(|found| found.rows < found.of) {
        return Err(failed("the JPEG data ends early"));
    }
    decode_with(source, header, scale, options())
}

/// Decodes a file whose data is known to end early, with an added end marker.
pub(crate) fn decode_truncated(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    decode_with(source, header, scale, options().set_strict_mode(false))
}

fn decode_with(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
    options: DecoderOptions,
) -> Result<DecodedImage, TransformError> {
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(source), options);
    decoder.decode_headers().map_err(failed)?;
    let (components, channels) = match decoder.input_colorspace() {
        Some(Components::Luma) => (Components::Luma, Channels::Gray),
        Some(inks @ (Components::CMYK | Components::YCCK)) => (inks, Channels::Cmyk),
        _ => (Components::RGB, Channels::Rgb),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(components));
    let mut samples = decoder.decode().map_err(failed)?;
    if samples.len() != header.size.len() * channels.count() {
        return Err(failed("samples that do not make the picture"));
    }
    if components == Components::YCCK {
        to_inks(&mut samples);
    }
    let markers = metadata::jpeg(source);
    if channels == Channels::Cmyk {
        upright_inks(&mut samples);
    }
    let raster = Raster {
        size: header.size,
        channels,
        samples: Samples::U8(samples),
    };
    let raster = match scale {
        DecodeScale::WHOLE => raster,
        _ => at_scale(&raster, scale)?,
    };
    Ok(DecodedImage {
        raster,
        extent: header.extent(scale),
        space: ColorSpace::from_icc(markers.icc),
    })
}

/// Converts YCCK to CMYK as libjpeg does: CMY are the inverse of RGB, and K stays. `zune-jpeg` converts to RGB only.
fn to_inks(samples: &mut [u8]) {
    for pixel in samples.as_chunks_mut::<4>().0 {
        let [luma, cb, cr] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
        let (cb, cr) = (cb - 128, cr - 128);
        let rounded = |fixed: i32| (fixed + (1 << 15)) >> 16;
        let light = [
            luma + rounded(91_881 * cr),
            luma - rounded(22_554 * cb + 46_802 * cr),
            luma + rounded(116_130 * cb),
        ];
        for (ink, light) in pixel.iter_mut().zip(light) {
            *ink = 255 - u8::try_from(light.clamp(0, 255)).expect("it is clamped");
        }
    }
}

fn options() -> DecoderOptions {
    const LONGEST_SIDE: usize = 65_535;
    DecoderOptions::default()
        .set_max_width(LONGEST_SIDE)
        .set_max_height(LONGEST_SIDE)
        .set_strict_mode(true)
}

fn failed(cause: impl std::fmt::Display) -> TransformError {
    TransformError::Decode(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::to_inks;

    #[test]
    fn ycck_becomes_cmyk() {
        let mut samples = [255, 128, 128, 7, 0, 128, 128, 0, 76, 85, 255, 9];
        to_inks(&mut samples);
        // White, black and red.
        assert_eq!(samples, [0, 0, 0, 7, 255, 255, 255, 0, 1, 255, 255, 9]);
    }
}

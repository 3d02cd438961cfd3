//! Converts the samples that libraries decode.

use image::ColorType;

use crate::codecs::TransformError;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// How many copies of the samples `raster` holds: `image` gives 16-bit samples as bytes, which are converted into a second buffer.
pub(crate) fn copies(color: ColorType) -> u64 {
    if color.bytes_per_pixel() > color.channel_count() {
        2
    } else {
        1
    }
}

/// Converts the samples that a decoder of `image` gave.
pub(crate) fn raster(
    size: Size,
    color: ColorType,
    bytes: Vec<u8>,
) -> Result<Raster, TransformError> {
    // `image` writes 16-bit samples in native byte order.
    let deep = |bytes: &[u8]| {
        let pairs = bytes.as_chunks().0.iter();
        let samples = pairs.map(|pair| u16::from_ne_bytes(*pair));
        buffer::collected(samples.len(), samples).map(Samples::U16)
    };
    let (channels, samples) = match color {
        ColorType::L8 => (Channels::Gray, Samples::U8(bytes)),
        ColorType::La8 => (Channels::GrayAlpha, Samples::U8(bytes)),
        ColorType::Rgb8 => (Channels::Rgb, Samples::U8(bytes)),
        ColorType::Rgba8 => (Channels::Rgba, Samples::U8(bytes)),
        ColorType::L16 => (Channels::Gray, deep(&bytes)?),
        ColorType::La16 => (Channels::GrayAlpha, deep(&bytes)?),
        ColorType::Rgb16 => (Channels::Rgb, deep(&bytes)?),
        ColorType::Rgba16 => (Channels::Rgba, deep(&bytes)?),
        other => {
            return Err(TransformError::Decode(format!("samples of kind {other:?}")));
        }
    };
    Ok(Raster {
        size,
        channels,
        samples,
    })
}

/// Divides premultiplied colours by their alpha.
pub(crate) fn unmultiplied(samples: Samples, channels: usize) -> Samples {
    match samples {
        Samples::U8(mut samples) => {
            for pixel in samples.chunks_exact_mut(channels) {
                let (alpha, colors) = pixel.split_last_mut().expect("a pixel has samples");
                let alpha = u32::from(*alpha);
                for color in colors.iter_mut().filter(|_| alpha > 0) {
                    let whole = (u32::from(*color) * 255 + alpha / 2) / alpha;
                    *color = u8::try_from(whole).unwrap_or(u8::MAX);
                }
            }
            Samples::U8(samples)
        }
        Samples::U16(mut samples) => {
            for pixel in samples.chunks_exact_mut(channels) {
                let (alpha, colors) = pixel.split_last_mut().expect("a pixel has samples");
                let alpha = u64::from(*alpha);
                for color in colors.iter_mut().filter(|_| alpha > 0) {
                    let whole = (u64::from(*color) * 65_535 + alpha / 2) / alpha;
                    *color = u16::try_from(whole).unwrap_or(u16::MAX);
                }
            }
            Samples::U16(samples)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Samples;
    use super::unmultiplied;

    #[test]
    fn colours_without_their_alpha_are_never_more_than_white() {
        let pixels = vec![64, 128, 200, 128, 9, 9, 9, 0];
        assert_eq!(
            unmultiplied(Samples::U8(pixels), 4),
            Samples::U8(vec![128, 255, 255, 128, 9, 9, 9, 0])
        );
        assert_eq!(
            unmultiplied(Samples::U16(vec![100, 32_768]), 2),
            Samples::U16(vec![200, 32_768])
        );
    }
}

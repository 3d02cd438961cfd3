//! PNG by `image`: 8 bits, grey if there is no colour, adaptive filters; with a palette if that is exact, or allowed by the quality, and
//! smaller.

use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};

use crate::options::Quality;

use crate::codecs::TransformError;
use crate::codecs::encode::content::Content;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::palette;
use crate::codecs::encode::picture::Picture;
use crate::pixels::buffer::FileBuffer;
use crate::pixels::{Size, buffer};

/// With a `quality`, the number of colours may be reduced accordingly.
pub(crate) fn encode(
    picture: &Picture,
    quality: Option<Quality>,
) -> Result<Vec<u8>, TransformError> {
    let (size, samples, color) = match picture {
        Picture::Rgb(size, samples) => (size, samples, ExtendedColorType::Rgb8),
        Picture::Rgba(size, samples) => (size, samples, ExtendedColorType::Rgba8),
        Picture::Planar(..) => return Err(failed("PNG takes no planes")),
        Picture::Deep(..) => return Err(failed("PNG has samples of 8 bits here")),
    };
    let channels = usize::from(color.channel_count());
    let content = Content::of(picture);
    let direct = direct(*size, samples, color, filters(&content, *size))?;
    // A palette is nearly always smaller, except for smooth gradients.
    let reduced = match quality {
        Some(quality) => palette::png(*size, samples, channels, quality)?,
        None => None,
    };
    let indexed = match reduced {
        Some(reduced) => Some(reduced),
        None => palette::lossless(*size, samples, channels)?,
    };
    Ok(match indexed {
        Some(indexed) if indexed.len() < direct.len() => indexed,
        _ => direct,
    })
}

/// The filters that are tried. Where neighbours are equal or very different, which one is best shows only in the file.
fn filters(content: &Content, size: Size) -> &'static [(CompressionType, FilterType)] {
    /// Pixels up to which there are three tries, which take a quarter of a second.
    const TRIED: u64 = 1_000_000;
    if !content.suits_lossless() || content.colors.is_some() {
        &[(CompressionType::Default, FilterType::Adaptive)]
    } else if size.area() > TRIED {
        &[(CompressionType::Best, FilterType::NoFilter)]
    } else {
        &[
            (CompressionType::Best, FilterType::NoFilter),
            (CompressionType::Best, FilterType::Up),
            (CompressionType::Best, FilterType::Adaptive),
        ]
    }
}

/// The smallest of the files with these filters.
fn direct(
    size: Size,
    samples: &[u8],
    color: ExtendedColorType,
    filters: &[(CompressionType, FilterType)],
) -> Result<Vec<u8>, TransformError> {
    let grey = grey(samples, color)?;
    let (samples, color) = grey.as_ref().map_or((samples, color), |grey| {
        (grey.as_slice(), ExtendedColorType::L8)
    });
    let mut smallest: Option<Vec<u8>> = None;
    for &(compression, filter) in filters {
        let mut file = FileBuffer::default();
        let end = PngEncoder::new_with_quality(&mut file, compression, filter)
            .write_image(samples, size.width, size.height, color)
            .map_err(failed);
        let file = file.finish(end)?;
        if smallest
            .as_ref()
            .is_none_or(|smallest| file.len() < smallest.len())
        {
            smallest = Some(file);
        }
    }
    smallest.ok_or_else(|| failed("no filter"))
}

/// The grey samples of a picture without colour, which are a third of the bytes to compress.
fn grey(samples: &[u8], color: ExtendedColorType) -> Result<Option<Vec<u8>>, TransformError> {
    let is_grey = color == ExtendedColorType::Rgb8
        && samples
            .chunks_exact(3)
            .all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let greys = samples.iter().step_by(3).copied();
    let greys = is_grey.then(|| buffer::collected(greys.len(), greys));
    Ok(greys.transpose()?)
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::codecs::encode::picture::Picture;
    use crate::pixels::Size;

    #[test]
    fn a_palette_is_used_where_it_is_smaller() {
        // The colour type is the 26th byte of a PNG: 0 grey, 2 RGB, 3 palette.
        let kind = |samples: Vec<u8>| {
            let picture = Picture::Rgb(Size::new(64, 32), samples);
            encode(&picture, None).expect("encodes")[25]
        };
        let spots = (0..64 * 32u32).flat_map(|index| match index * index % 7 {
            0 => [200, 10, 10],
            1 | 2 => [10, 200, 10],
            _ => [255, 255, 255],
        });
        assert_eq!(kind(spots.collect()), 3);
        let ramp = (0..32u8).flat_map(|y| (0..64u8).flat_map(move |x| [x * 3 + y; 3]));
        assert_eq!(kind(ramp.collect()), 0);
        let shades = (0..32u8).flat_map(|y| (0..64u8).flat_map(move |x| [x, y, x ^ y]));
        assert_eq!(kind(shades.collect()), 2);
    }
}

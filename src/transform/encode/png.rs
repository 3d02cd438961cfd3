//! PNG by `image`: 8 bits, grey where there is no colour, filters chosen row by row.

use image::ExtendedColorType;
use image::ImageEncoder;
use image::codecs::png::CompressionType;
use image::codecs::png::FilterType;
use image::codecs::png::PngEncoder;

use super::super::TransformError;
use super::Picture;
use super::failed;

pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, TransformError> {
    let (size, samples, color) = match picture {
        Picture::Rgb(size, samples) => (size, samples, ExtendedColorType::Rgb8),
        Picture::Rgba(size, samples) => (size, samples, ExtendedColorType::Rgba8),
        Picture::Planar(..) => return Err(failed("PNG takes no planes")),
    };
    let mut bytes = Vec::new();
    let grey = grey(samples, color);
    let (samples, color) = grey
        .as_ref()
        .map_or((samples, color), |grey| (grey, ExtendedColorType::L8));
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive)
        .write_image(samples, size.width, size.height, color)
        .map_err(failed)?;
    Ok(bytes)
}

/// The grey samples of a picture without any colour: a third of the bytes to compress.
fn grey(samples: &[u8], color: ExtendedColorType) -> Option<Vec<u8>> {
    let is_grey = color == ExtendedColorType::Rgb8
        && samples
            .chunks_exact(3)
            .all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    is_grey.then(|| samples.iter().step_by(3).copied().collect())
}

//! AVIF by `ravif`, on one thread.

use ravif::Encoder;
use ravif::Img;
use ravif::RGB8;
use ravif::RGBA8;

use crate::options::{Effort, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::pixels::{Size, buffer};

pub(crate) fn encode(
    picture: &Picture,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, TransformError> {
    let size = picture.size();
    let encoder = Encoder::new()
        .with_quality(f32::from(quality.get()))
        .with_speed(speed(size, effort))
        .with_num_threads(Some(1));
    let (width, height) = (size.width as usize, size.height as usize);
    let made = match picture {
        Picture::Rgb(_, samples) => {
            let (pixels, _) = samples.as_chunks();
            let colors = pixels.iter().map(|&[r, g, b]| RGB8::new(r, g, b));
            let pixels = buffer::collected(pixels.len(), colors)?;
            encoder.encode_rgb(Img::new(&pixels, width, height))
        }
        Picture::Rgba(_, samples) => {
            let (pixels, _) = samples.as_chunks();
            let colors = pixels.iter().map(|&[r, g, b, a]| RGBA8::new(r, g, b, a));
            let pixels = buffer::collected(pixels.len(), colors)?;
            encoder.encode_rgba(Img::new(&pixels, width, height))
        }
        Picture::Planar(..) | Picture::Deep(..) => {
            return Err(failed("AVIF is made of RGB of 8 bits here"));
        }
    };
    made.map(|made| made.avif_file).map_err(failed)
}

/// Nanoseconds for each pixel at a speed.
pub(crate) fn time(speed: u8) -> u64 {
    if speed <= 9 { 3000 } else { 1800 }
}

/// rav1e's speed (1 slow, 10 fast) by size and effort.
pub(crate) fn speed(size: Size, effort: Effort) -> u8 {
    match (effort, size.area()) {
        (_, 0..=65_536) | (Effort::Settled, 65_537..=750_000) => 9,
        _ => 10,
    }
}

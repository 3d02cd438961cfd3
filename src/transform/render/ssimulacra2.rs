//! How much a file looks like the picture that it was made of, by SSIMULACRA2. No measure that costs less follows the eye as well.

use std::borrow::Cow;

use fast_ssim2::PixelDescriptor;
use fast_ssim2::PixelSlice;
use fast_ssim2::Ssimulacra2Reference;

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, failed};
use crate::codecs::{Limits, TransformError, decode};
use crate::pixels::{Channels, Planar, Plane, Samples, Size, Subsampling, buffer};
use crate::transform::plan::output;

/// A picture, prepared for comparisons with files of it.
pub(crate) struct Comparison {
    size: Size,
    reference: Ssimulacra2Reference,
}

impl Comparison {
    /// `None` where there is no room for a comparison.
    pub(super) fn of(picture: &Picture, limits: &Limits) -> Result<Option<Self>, TransformError> {
        let size = picture.size();
        if !output::has_room_for_comparison(size, limits) {
            return Ok(None);
        }
        let pixels = match picture {
            Picture::Planar(planar, subsampling) => Cow::Owned(of_planes(planar, *subsampling)?),
            Picture::Rgb(_, samples) => Cow::Borrowed(samples.as_slice()),
            Picture::Rgba(_, samples) => Cow::Owned(on_gray(samples)?),
            Picture::Deep(_, channels, samples) => {
                let samples = Samples::U16(buffer::copied(samples)?).into_u8()?;
                Cow::Owned(if channels.has_alpha() {
                    on_gray(&samples)?
                } else {
                    samples
                })
            }
        };
        let reference = Ssimulacra2Reference::new(&slice(size, &pixels)?).map_err(failed)?;
        Ok(Some(Comparison { size, reference }))
    }

    /// The score of a file: 100 where it shows the same, 90 where hardly anybody sees a difference, below 30 where everybody does.
    pub(super) fn score(&self, file: &[u8]) -> Result<f64, TransformError> {
        let header = decode::header(file)?;
        let scale = DecodeScale::WHOLE;
        let raster = decode::pixels(file, &header, scale)?.raster;
        if raster.size != self.size {
            return Err(failed("a file of another size than its picture"));
        }
        let channels = raster.channels;
        let samples = raster.into_u8()?;
        let pixels = match channels {
            Channels::Rgb => samples,
            Channels::Rgba => on_gray(&samples)?,
            Channels::Gray => repeated(&samples)?,
            Channels::GrayAlpha => on_gray(&with_colors(&samples)?)?,
            Channels::Cmyk => {
                return Err(failed("a file of other colours than its picture"));
            }
        };
        self.reference
            .compare(&slice(self.size, &pixels)?)
            .map_err(failed)
    }
}

fn slice(size: Size, pixels: &[u8]) -> Result<PixelSlice<'_>, TransformError> {
    let stride = size.width as usize * 3;
    PixelSlice::new(
        pixels,
        size.width,
        size.height,
        stride,
        PixelDescriptor::RGB8_SRGB,
    )
    .map_err(failed)
}

/// RGBA as it looks on grey, before which both black and white edges show.
fn on_gray(samples: &[u8]) -> Result<Vec<u8>, TransformError> {
    const GRAY: u32 = 128;
    let over = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        u8::try_from((color * alpha + GRAY * (255 - alpha) + 127) / 255).unwrap_or(u8::MAX)
    };
    let pixels = samples.chunks_exact(4);
    let length = 3 * pixels.len();
    let colors = pixels.flat_map(|pixel| [0, 1, 2].map(|color| over(pixel[color], pixel[3])));
    Ok(buffer::collected(length, colors)?)
}

/// Grey with alpha as RGBA.
fn with_colors(samples: &[u8]) -> Result<Vec<u8>, TransformError> {
    let pixels = samples.as_chunks().0.iter();
    let colors = pixels.flat_map(|&[gray, alpha]| [gray, gray, gray, alpha]);
    Ok(buffer::collected(2 * samples.len(), colors)?)
}

/// Grey as RGB.
fn repeated(samples: &[u8]) -> Result<Vec<u8>, TransformError> {
    let colors = samples.iter().flat_map(|&sample| [sample; 3]);
    Ok(buffer::collected(3 * samples.len(), colors)?)
}

/// Full-range BT.601 planes as RGB, chroma interpolated between its neighbours, as decoders do.
fn of_planes(planar: &Planar, subsampling: Subsampling) -> Result<Vec<u8>, TransformError> {
    let Some([cb, cr]) = &planar.chroma else {
        return repeated(&planar.luma.samples);
    };
    let width = planar.luma.size.width as usize;
    let mut pixels = buffer::with_room(planar.luma.samples.len() * 3)?;
    for (y, row) in planar.luma.samples.chunks_exact(width).enumerate() {
        for (x, &luma) in row.iter().enumerate() {
            let at = |plane: &Plane| match subsampling {
                Subsampling::None => 16 * i32::from(plane.samples[y * width + x]),
                Subsampling::Both => interpolated(plane, x, y),
            };
            // Sixteenths of a step around 128, times 16-bit fixed point.
            let (cb, cr) = (at(cb) - 2048, at(cr) - 2048);
            let luma = (i32::from(luma) << 20) + (1 << 19);
            pixels.extend([
                clamped((luma + 91_881 * cr) >> 20),
                clamped((luma - 22_554 * cb - 46_802 * cr) >> 20),
                clamped((luma + 116_130 * cb) >> 20),
            ]);
        }
    }
    Ok(pixels)
}

/// A sample of a plane of half the size, times 16: nine parts of the nearest one, three of each on its sides, one of the fourth.
fn interpolated(plane: &Plane, x: usize, y: usize) -> i32 {
    let (width, height) = (plane.size.width as usize, plane.size.height as usize);
    let near = |at: usize, side: usize| {
        let other = if at.is_multiple_of(2) {
            (at / 2).saturating_sub(1)
        } else {
            (at / 2 + 1).min(side - 1)
        };
        [at / 2, other]
    };
    let (columns, rows) = (near(x, width), near(y, height));
    let sample =
        |row: usize, column: usize| i32::from(plane.samples[rows[row] * width + columns[column]]);
    9 * sample(0, 0) + 3 * (sample(0, 1) + sample(1, 0)) + sample(1, 1)
}

#[expect(clippy::cast_sign_loss, reason = "clamped to the range of u8 first")]
fn clamped(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use crate::options::{Effort, Format, Quality};

    use super::Comparison;
    use super::of_planes;
    use crate::codecs::Limits;
    use crate::codecs::encode::{Picture, Settings, encode};
    use crate::pixels::{Planar, Plane, Size, Subsampling};

    /// Waves in all three colours.
    fn waves(size: Size, channels: usize) -> Vec<u8> {
        let wave = |at: u32| u8::try_from(at % 200).expect("below 200");
        (0..size.height)
            .flat_map(|y| (0..size.width).map(move |x| (x, y)))
            .flat_map(|(x, y)| {
                [wave(x * 3), wave(y * 5), wave(x + y), 200]
                    .into_iter()
                    .take(channels)
            })
            .collect()
    }

    #[test]
    fn better_files_score_better() {
        let size = Size::new(96, 64);
        for (format, channels) in [
            (Format::Jpeg, 3),
            (Format::Webp, 3),
            (Format::Webp, 4),
            (Format::Avif, 3),
            (Format::Avif, 4),
        ] {
            let samples = waves(size, channels);
            let picture = if channels == 3 {
                Picture::Rgb(size, samples)
            } else {
                Picture::Rgba(size, samples)
            };
            let comparison = Comparison::of(&picture, &Limits::default())
                .expect("a picture")
                .expect("a small one");
            let scores = [10, 50, 95].map(|quality| {
                let settings = Settings {
                    quality: Quality::new(quality).expect("a quality"),
                    progressive: false,
                    palette: false,
                    effort: Effort::Quick,
                    profile: None,
                };
                let file = encode(&picture, format, settings).expect("a file");
                comparison.score(&file).expect("a score")
            });
            assert!(
                scores.is_sorted() && scores[2] > 60.0,
                "{format}: {scores:?}"
            );
        }
    }

    #[test]
    fn the_same_picture_scores_100_at_any_size() {
        for (width, height) in [(1, 1), (3, 2), (9, 8), (40, 1)] {
            let picture =
                Picture::Rgb(Size::new(width, height), waves(Size::new(width, height), 3));
            let comparison = Comparison::of(&picture, &Limits::default())
                .expect("a picture")
                .expect("a small one");
            let settings = Settings {
                quality: Quality::new(100).expect("a quality"),
                progressive: false,
                palette: false,
                effort: Effort::Quick,
                profile: None,
            };
            let file = encode(&picture, Format::Webp, settings).expect("lossless");
            assert_eq!(comparison.score(&file), Ok(100.0), "{width}x{height}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_compared() {
        let size = Size::new(20_000, 1000);
        let picture = Picture::Rgb(size, Vec::new());
        assert!(
            Comparison::of(&picture, &Limits::default())
                .expect("no error")
                .is_none()
        );
    }

    #[test]
    fn planes_become_the_colours_that_they_stand_for() {
        let filled = |size: Size, value: u8| Plane::filled(size, value).expect("there is memory");
        let size = Size::new(3, 3);
        for subsampling in [Subsampling::None, Subsampling::Both] {
            let chroma = subsampling.chroma_size(size);
            for ([y, cb, cr], expected) in [
                ([76, 85, 255], [254, 0, 0]),
                ([255, 128, 128], [255, 255, 255]),
                ([29, 255, 107], [0, 0, 254]),
            ] {
                let planar = Planar {
                    luma: filled(size, y),
                    chroma: Some([filled(chroma, cb), filled(chroma, cr)]),
                };
                let pixels = of_planes(&planar, subsampling).expect("there is memory");
                for pixel in pixels.chunks_exact(3) {
                    let is_near = pixel.iter().zip(expected).all(|(&a, b)| a.abs_diff(b) <= 1);
                    assert!(is_near, "{pixel:?}, not {expected:?}");
                }
            }
        }
    }
}

//! What `format=json` says of a picture in place of the picture: Cloudflare's facts, and beside them, under names of our own,
//! what a page can show until the picture is there.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quantette::deps::palette::{FromColor, Oklab, Srgb};
use serde::Serialize;

use crate::options::{Color, Effort, Format, Quality};

use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{TransformError, encode};
use crate::pixels::resize::ResampleSpace;
use crate::pixels::{Channels, Raster, Rect, Samples, Size, canvas, color, resize};
use crate::transform::plan::info::THUMBNAIL;

/// The longest side for BlurHash: it keeps no more than four waves of it.
const BLURRED: u32 = 32;
/// The longest side of the picture inside the data URI. Next.js asks for 10 pixels or less, and shows it blurred.
const TINY: u32 = 16;

/// Facts about a finished picture and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ImageInfo {
    /// Width after all options, in pixels.
    pub width: u32,
    /// Height after all options, in pixels.
    pub height: u32,
    pub original: SourceInfo,
    /// Number of frames, where the source is an animation and was wanted as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<u32>,
    #[serde(flatten)]
    pub placeholders: Option<Placeholders>,
}

/// Facts about a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SourceInfo {
    /// Length of the file in bytes.
    pub file_size: u64,
    /// Width of the upright picture, in pixels.
    pub width: u32,
    /// Height of the upright picture, in pixels.
    pub height: u32,
    /// The MIME type.
    pub format: &'static str,
}

/// What stands for a picture before it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Placeholders {
    /// The most common colour, as `#rrggbb`; none where all is transparent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dominant_color: Option<String>,
    /// ThumbHash in base64.
    pub thumbhash: String,
    /// BlurHash of 4x3, 4x4 or 3x4 waves, on white.
    pub blurhash: String,
    /// A data URI with a WebP of at most 16 pixels on either side.
    pub lqip: String,
}

impl ImageInfo {
    pub(super) fn to_json(&self) -> Result<Vec<u8>, TransformError> {
        serde_json::to_vec(self).map_err(|cause| TransformError::Encode(cause.to_string()))
    }
}

/// Makes placeholders of a finished picture in sRGB, which may have been scaled down to 100 pixels before.
pub(crate) fn of_picture(thumbnail: &Raster) -> Result<Placeholders, TransformError> {
    let thumbnail = within(rgba(thumbnail.copy()?)?, THUMBNAIL)?;
    let size = thumbnail.size;
    let lqip = lqip(&thumbnail)?;
    let blurhash = blurhash(&thumbnail)?;
    let samples = thumbnail.into_u8()?;
    let thumbhash =
        thumbhash::rgba_to_thumb_hash(size.width as usize, size.height as usize, &samples);
    Ok(Placeholders {
        dominant_color: dominant(&samples)
            .map(|[red, green, blue]| format!("#{red:02x}{green:02x}{blue:02x}")),
        thumbhash: STANDARD.encode(thumbhash),
        blurhash,
        lqip,
    })
}

/// Any raster with four channels of 8 bits.
fn rgba(raster: Raster) -> Result<Raster, TransformError> {
    let raster = color::expanded(raster)?;
    Ok(Raster {
        size: raster.size,
        channels: Channels::Rgba,
        samples: Samples::U8(raster.into_rgba8()?),
    })
}

/// The whole picture, its longer side at most `side`.
fn within(raster: Raster, side: u32) -> Result<Raster, TransformError> {
    let Size { width, height } = raster.size;
    let longest = width.max(height);
    if longest <= side {
        return Ok(raster);
    }
    // To the nearest pixel, and never to none.
    let scaled = |length: u32| {
        let scaled =
            (u64::from(length) * u64::from(side) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(scaled).unwrap_or(side).max(1)
    };
    let whole = Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(width),
        height: f64::from(height),
    };
    let size = Size::new(scaled(width), scaled(height));
    Ok(resize::raster(
        raster.into(),
        whole,
        size,
        ResampleSpace::Linear,
    )?)
}

fn blurhash(thumbnail: &Raster) -> Result<String, TransformError> {
    let small = within(thumbnail.copy()?, BLURRED)?;
    // It knows no transparency: what is transparent is as on most pages.
    let small = rgba(canvas::flatten(small, Color::WHITE)?)?;
    let Size { width, height } = small.size;
    let (across, down) = match width.cmp(&height) {
        std::cmp::Ordering::Greater => (4, 3),
        std::cmp::Ordering::Equal => (4, 4),
        std::cmp::Ordering::Less => (3, 4),
    };
    blurhash::encode(across, down, width, height, &small.into_u8()?)
        .map_err(|cause| TransformError::Encode(format!("BlurHash: {cause}")))
}

fn lqip(thumbnail: &Raster) -> Result<String, TransformError> {
    const QUALITY: u8 = 50;
    let tiny = within(thumbnail.copy()?, TINY)?;
    let size = tiny.size;
    let picture = if tiny.is_translucent() {
        Picture::Rgba(size, tiny.into_u8()?)
    } else {
        Picture::Rgb(size, tiny.without_alpha()?.into_u8()?)
    };
    let settings = Settings {
        quality: Quality::new(QUALITY).unwrap_or(Quality::DEFAULT),
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    let file = encode::encode(&picture, Format::Webp, settings)?;
    Ok(format!(
        "data:{};base64,{}",
        Format::Webp.mime(),
        STANDARD.encode(file)
    ))
}

/// The most common colour of RGBA pixels. Transparent ones count for less, the less there is of them.
///
/// Colours are counted in cells of Oklab, which is even for the eye; the fullest neighbourhood of 27 cells is the place to look,
/// and from there the mean of what is near moves to where most pixels are.
fn dominant(samples: &[u8]) -> Option<[u8; 3]> {
    /// Cells on each axis: of lightness from 0 to 1, and of the two colour axes from -0.5 to 0.5.
    const CELLS: usize = 14;
    /// How far a colour may be from the mean to belong to it.
    const REACH: f32 = 0.1;
    const STEPS: usize = 8;
    let pixels: Vec<([f32; 3], f32)> = samples
        .as_chunks::<4>()
        .0
        .iter()
        .filter(|pixel| pixel[3] > 0)
        .map(|&[red, green, blue, alpha]| {
            let color = Oklab::from_color(Srgb::new(red, green, blue).into_format::<f32>());
            ([color.l, color.a, color.b], f32::from(alpha))
        })
        .collect();
    let mut cells = vec![0.0; CELLS * CELLS * CELLS];
    for (color, weight) in &pixels {
        cells[index(cell(*color, CELLS), CELLS)] += weight;
    }
    let neighbourhood = |at: [usize; 3]| {
        let around = |axis: usize| at[axis].saturating_sub(1)..=(at[axis] + 1).min(CELLS - 1);
        around(0)
            .flat_map(|l| around(1).flat_map(move |a| around(2).map(move |b| [l, a, b])))
            .map(|at| cells[index(at, CELLS)])
            .sum::<f32>()
    };
    // Only cells with something in them, and of equals the first: the result must not depend on anything but the pixels.
    let fullest = (0..cells.len())
        .filter(|&at| cells[at] > 0.0)
        .map(|at| [at / CELLS / CELLS, at / CELLS % CELLS, at % CELLS])
        .map(|at| (neighbourhood(at) + cells[index(at, CELLS)], at))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })?
        .1;
    let mut center = mean(&pixels, |color| cell(color, CELLS) == fullest)?;
    for _ in 0..STEPS {
        let near = |color: [f32; 3]| {
            let squares = [0, 1, 2].map(|axis| (color[axis] - center[axis]).powi(2));
            squares.iter().sum::<f32>() <= REACH * REACH
        };
        match mean(&pixels, near) {
            Some(moved) if moved != center => center = moved,
            _ => break,
        }
    }
    let [l, a, b] = center;
    let color: Srgb<u8> = Srgb::from_color(Oklab::new(l, a, b)).into_format();
    Some([color.red, color.green, color.blue])
}

/// Which cell of `cells` on each axis a colour falls into.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "between 0 and a dozen, by the clamp"
)]
fn cell([l, a, b]: [f32; 3], cells: usize) -> [usize; 3] {
    [l, a + 0.5, b + 0.5].map(|value| (value.clamp(0.0, 0.999) * cells as f32) as usize)
}

const fn index([l, a, b]: [usize; 3], cells: usize) -> usize {
    (l * cells + a) * cells + b
}

/// The weighted mean of the colours that belong to it.
fn mean(pixels: &[([f32; 3], f32)], belongs: impl Fn([f32; 3]) -> bool) -> Option<[f32; 3]> {
    let (mut sum, mut whole) = ([0.0; 3], 0.0);
    for (color, weight) in pixels.iter().filter(|(color, _)| belongs(*color)) {
        for (sum, component) in sum.iter_mut().zip(color) {
            *sum += component * weight;
        }
        whole += weight;
    }
    (whole > 0.0).then(|| sum.map(|component| component / whole))
}

#[cfg(test)]
mod tests;

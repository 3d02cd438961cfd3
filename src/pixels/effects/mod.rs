//! Effects on colours and sharpness, in this order: brightness, contrast, gamma, saturation, blur, sharpen.
//!
//! Cloudflare publishes neither the order nor the colour space of the effects. Blur and brightness are known to affect the padding too, so
//! all effects come after it. Colours come first, because they are changed pixel by pixel; sharpening comes last, because it must act on
//! the pixels that are shown.
//!
//! Everything acts on *encoded* sRGB values, as CSS filters do: half brightness in the samples of Cloudflare halves the encoded value, and the sliders of common editors do the same. The result of each step is clamped before the next:
//! - brightness `b`: `v * b`
//! - contrast `c`: `(v - 1/2) * c + 1/2`, around mid grey
//! - gamma `g`: `v ^ g`, with `v` in 0..1; below 1 lightens the midtones, black and white stay. Older documentation has it the other
//!   way round; this is the direction of the present one, which shows pictures
//! - saturation `s`: `luma + (v - luma) * s`, with the luma weights of ITU-R BT.709; 0 is greyscale, luma stays
//! - blur: the radius is the standard deviation in output pixels, as in CSS `blur()`. The alternative reading of "approximately
//!   Gaussian", three box blurs of that radius, has nearly the same deviation `sqrt(r (r + 1))`. Below 1 nothing happens
//! - sharpen: an unsharp mask of the luma, see `sharpen`
//!
//! Only the blur changes alpha.

use crate::options::Effects;

use crate::pixels::error::PixelError;
use crate::pixels::{Channels, Raster, Samples, blur};

/// The weights of red, green and blue in luma, ITU-R BT.709.
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];

/// The part of the difference between a pixel and its surroundings that one unit of `sharpen` adds. An edge of a reduced picture then
/// overshoots by an eighth of its height at 1, which looks crisp, and by five quarters at 10, which looks like a halo.
const SHARPEN_UNIT: f32 = 0.5;

/// Applies the effects to an RGB or RGBA raster in sRGB, of the same bit depth. At most 8 bytes more per pixel are needed meanwhile.
pub(crate) fn apply(raster: Raster, effects: &Effects) -> Result<Raster, PixelError> {
    let raster = recolored(raster, effects);
    let raster = match effects.blur {
        Some(radius) => blur::blurred(raster, radius.get())?,
        None => raster,
    };
    Ok(match effects.sharpen {
        Some(strength) => sharpened(raster, to_f32(strength.get()) * SHARPEN_UNIT),
        None => raster,
    })
}

/// A sample of 8 or of 16 bits, as a value from 0 to 1.
trait Sample: Copy {
    /// The number of possible values.
    const COUNT: u32;

    /// Rounds and clamps a value from 0 to 1.
    fn of(value: f32) -> Self;
    fn value(self) -> f32;
    fn index(self) -> usize;
}

macro_rules! sample {
    ($kind:ident) => {
        impl Sample for $kind {
            const COUNT: u32 = $kind::MAX as u32 + 1;

            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a cast from float to integer saturates, which is what is wanted"
            )]
            fn of(value: f32) -> Self {
                (value * f32::from($kind::MAX) + 0.5) as $kind
            }

            fn value(self) -> f32 {
                const UNIT: f32 = 1.0 / $kind::MAX as f32;
                f32::from(self) * UNIT
            }

            fn index(self) -> usize {
                usize::from(self)
            }
        }
    };
}

sample!(u8);
sample!(u16);

#[expect(
    clippy::cast_possible_truncation,
    reason = "millionths of numbers up to 255 are finer than any sample"
)]
fn to_f32(value: f64) -> f32 {
    value as f32
}

fn recolored(raster: Raster, effects: &Effects) -> Raster {
    let mut raster = raster;
    let channels = raster.channels.count();
    match &mut raster.samples {
        Samples::U8(samples) => recolor(samples, channels, effects),
        Samples::U16(samples) => recolor(samples, channels, effects),
    }
    raster
}

fn recolor<S: Sample>(samples: &mut [S], channels: usize, effects: &Effects) {
    if effects.brightness.is_some() || effects.contrast.is_some() || effects.gamma.is_some() {
        let table = tones::<S>(effects);
        for pixel in samples.chunks_exact_mut(channels) {
            for sample in &mut pixel[..3] {
                *sample = table[sample.index()];
            }
        }
    }
    if let Some(saturation) = effects.saturation {
        let saturation = to_f32(saturation.get());
        for pixel in samples.chunks_exact_mut(channels) {
            let luma = luma(pixel);
            for sample in &mut pixel[..3] {
                *sample = S::of(luma + (sample.value() - luma) * saturation);
            }
        }
    }
}

/// A lookup table for brightness, contrast and gamma.
fn tones<S: Sample>(effects: &Effects) -> Vec<S> {
    let brightness = effects.brightness.map_or(1.0, |factor| factor.get());
    let contrast = effects.contrast.map_or(1.0, |factor| factor.get());
    let gamma = effects.gamma.map_or(1.0, |exponent| exponent.get());
    let largest = f64::from(S::COUNT - 1);
    (0..S::COUNT)
        .map(|index| {
            let bright = (f64::from(index) / largest * brightness).clamp(0.0, 1.0);
            let contrasting = ((bright - 0.5) * contrast + 0.5).clamp(0.0, 1.0);
            S::of(to_f32(contrasting.powf(gamma)))
        })
        .collect()
}

fn luma<S: Sample>(pixel: &[S]) -> f32 {
    pixel[0].value() * LUMA[0] + pixel[1].value() * LUMA[1] + pixel[2].value() * LUMA[2]
}

fn sharpened(raster: Raster, amount: f32) -> Raster {
    let mut raster = raster;
    let (width, channels) = (raster.size.width as usize, raster.channels);
    match &mut raster.samples {
        Samples::U8(samples) => sharpen(samples, width, channels, amount),
        Samples::U16(samples) => sharpen(samples, width, channels, amount),
    }
    raster
}

/// Adds to each pixel `amount` times the difference between its luma and that of its surroundings, a binomial 3 x 3 filter (a Gaussian of
/// 0.7 pixels: the scale of what resampling softens). All channels get the same addition, so edges get no coloured fringe. Transparent
/// pixels do not count as surroundings, and results are clamped.
fn sharpen<S: Sample>(samples: &mut [S], width: usize, channels: Channels, amount: f32) {
    let stride = width * channels.count();
    let height = samples.len() / stride;
    // A row is changed in place after the rows around it were read, so three rows are kept.
    let mut above = LumaRow::of(&samples[..stride], channels);
    let mut here = above.clone();
    for y in 0..height {
        let next = (y + 1).min(height - 1);
        let below = if next == y {
            here.clone()
        } else {
            LumaRow::of(&samples[next * stride..][..stride], channels)
        };
        let row = &mut samples[y * stride..][..stride];
        for (x, pixel) in row.chunks_exact_mut(channels.count()).enumerate() {
            let weight = above.weight[x] + 2.0 * here.weight[x] + below.weight[x];
            if weight == 0.0 {
                continue;
            }
            let around = (above.luma[x] + 2.0 * here.luma[x] + below.luma[x]) / weight;
            let detail = amount * (luma(pixel) - around);
            for sample in &mut pixel[..3] {
                *sample = S::of(sample.value() + detail);
            }
        }
        above = here;
        here = below;
    }
}

/// The luma of a row, each filtered with its two neighbours by the weights 1, 2 and 1, and weighted by alpha.
#[derive(Clone)]
struct LumaRow {
    luma: Vec<f32>,
    weight: Vec<f32>,
}

impl LumaRow {
    fn of<S: Sample>(row: &[S], channels: Channels) -> LumaRow {
        let count = channels.count();
        let opacity = |pixel: &[S]| {
            if channels.has_alpha() {
                pixel[count - 1].value()
            } else {
                1.0
            }
        };
        let (lumas, weights): (Vec<f32>, Vec<f32>) = row
            .chunks_exact(count)
            .map(|pixel| (luma(pixel) * opacity(pixel), opacity(pixel)))
            .unzip();
        LumaRow {
            luma: with_neighbors(&lumas),
            weight: with_neighbors(&weights),
        }
    }
}

fn with_neighbors(line: &[f32]) -> Vec<f32> {
    let last = line.len() - 1;
    (0..line.len())
        .map(|x| line[x.saturating_sub(1)] + 2.0 * line[x] + line[(x + 1).min(last)])
        .collect()
}

#[cfg(test)]
mod tests;

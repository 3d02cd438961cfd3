//! Tells graphics from photographs, by a part of the pixels: rows in bands of six, about a quarter of a million pixels in all.
//!
//! In a graphic, neighbours are equal or very different; in a photograph most differ a little, because light changes slowly and sensors
//! are noisy. The limits were found with 28 graphics and 24 photographs, each at up to three sizes.

mod rows;

use std::ops::Range;

use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::quantize::{ColorTable, MOST, Rgba8, TRANSPARENT};
use crate::pixels::{Channels, Planar, Raster, Samples, Size, to_u8};

use rows::Statistics;
use rows::examine;

/// What pixels tell about a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Content {
    pub kind: ContentKind,
    /// The number of colours of a picture with at most 256 of them: all transparent pixels are one colour. It is not known of planes and
    /// of 16 bits.
    pub colors: Option<u16>,
    /// The share of pixels that equal their neighbours to the left and above.
    pub flat: f32,
    /// The share of pixels that differ from them, but not by much.
    pub soft: f32,
}

/// The kind of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentKind {
    /// Text, screenshots, charts, line art, logos, smooth gradients: a lossless file may be the smallest.
    Graphic,
    Photograph,
}

impl Content {
    /// The content of a finished picture.
    pub(crate) fn of(picture: &Picture) -> Self {
        match picture {
            Picture::Planar(planar, _) => Content::of_planes(planar),
            Picture::Rgb(size, samples) => Content::of_samples(*size, samples, Channels::Rgb),
            Picture::Rgba(size, samples) => Content::of_samples(*size, samples, Channels::Rgba),
            Picture::Deep(size, channels, samples) => Content::of_deep(*size, samples, *channels),
        }
    }

    /// The content of pixels in any colours.
    pub(crate) fn of_raster(raster: &Raster) -> Self {
        let Raster { size, channels, .. } = *raster;
        match &raster.samples {
            Samples::U8(samples) => Content::of_samples(size, samples, channels),
            Samples::U16(samples) => Content::of_deep(size, samples, channels),
        }
    }

    fn of_deep(size: Size, samples: &[u16], channels: Channels) -> Self {
        let statistics = examine(size, |row| {
            pixels(part(samples, row, channels), channels, to_u8)
        });
        Content::new(&statistics, None)
    }

    fn of_samples(size: Size, samples: &[u8], channels: Channels) -> Self {
        let statistics = examine(size, |row| {
            pixels(part(samples, row, channels), channels, same)
        });
        Content::new(&statistics, count(pixels(samples, channels, same)))
    }

    fn of_planes(Planar { luma, .. }: &Planar) -> Self {
        let channels = Channels::Gray;
        let statistics = examine(luma.size, |row| pixels(&luma.samples[row], channels, same));
        Content::new(&statistics, None)
    }

    fn new(statistics: &Statistics, colors: Option<u16>) -> Self {
        /// So few colours are worth a palette in any picture.
        const FEW: u16 = 32;
        /// The least share of flat pixels of a graphic, and of one that has more hard pixels than soft ones: dense text that is reduced.
        const FLAT: f32 = 0.1;
        const DENSE: f32 = 0.05;
        /// Gradients that are drawn: nearly no pixel is far from its neighbours, and there is no noise.
        const SMOOTH: f32 = 0.98;
        const CLEAN: f32 = 0.08;
        let Statistics {
            flat,
            soft,
            near,
            texture,
        } = *statistics;
        let is_graphic = colors.is_some_and(|colors| colors <= FEW)
            || (flat >= FLAT && soft <= flat)
            || (flat >= DENSE && soft <= 1.0 - flat - soft)
            || (near >= SMOOTH && texture < CLEAN);
        Content {
            kind: if is_graphic {
                ContentKind::Graphic
            } else {
                ContentKind::Photograph
            },
            colors,
            flat,
            soft,
        }
    }

    pub(crate) fn is_graphic(&self) -> bool {
        self.kind == ContentKind::Graphic
    }

    /// Whether a file without loss may be the smallest: in a graphic with many soft pixels, as of photographs in it, none was.
    pub(crate) fn suits_lossless(&self) -> bool {
        const SOFT: f32 = 0.3;
        /// There are next to none that differ more in a gradient.
        const HARD: f32 = 0.003;
        let is_crisp = self.soft <= SOFT || 1.0 - self.flat - self.soft < HARD;
        self.is_graphic() && (is_crisp || self.colors.is_some())
    }
}

/// The samples of some pixels.
fn part<T>(samples: &[T], pixels: Range<usize>, channels: Channels) -> &[T] {
    let count = channels.count();
    &samples[pixels.start * count..pixels.end * count]
}

/// Pixels as RGBA of 8 bits. Inks stay as they are, and what is transparent has one colour.
fn pixels<T: Copy>(
    samples: &[T],
    channels: Channels,
    eight_bits: fn(T) -> u8,
) -> impl Iterator<Item = Rgba8> {
    let count = channels.count();
    samples.chunks_exact(count).map(move |pixel| {
        let at = |index: usize| eight_bits(pixel[index]);
        let pixel = match channels {
            Channels::Gray => [at(0), at(0), at(0), u8::MAX],
            Channels::GrayAlpha => [at(0), at(0), at(0), at(1)],
            Channels::Rgb => [at(0), at(1), at(2), u8::MAX],
            Channels::Rgba | Channels::Cmyk => [at(0), at(1), at(2), at(3)],
        };
        if channels.has_alpha() && pixel[3] == 0 {
            TRANSPARENT
        } else {
            pixel
        }
    })
}

const fn same(sample: u8) -> u8 {
    sample
}

/// The number of colours, if there are at most 256. It ends at the first colour too many: in a photograph that takes no time.
fn count(pixels: impl Iterator<Item = Rgba8>) -> Option<u16> {
    let mut table = ColorTable::new();
    let mut last = None;
    for pixel in pixels {
        if last != Some(pixel) {
            last = Some(pixel);
            table.index(pixel, MOST)?;
        }
    }
    u16::try_from(table.palette.len()).ok()
}

#[cfg(test)]
mod tests;

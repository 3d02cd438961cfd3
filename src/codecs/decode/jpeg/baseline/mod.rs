//! Our own decoder for common JPEG files, row by row at 1/1, 1/2, 3/8, 1/4 or 1/8 scale: baseline, grey or YCbCr, all components in one
//! scan. Files of any other kind, damaged or unusual ones included, are left to a library, which handles all of them.
//!
//! Half of the time for a large photograph goes into Huffman decoding. This decoder needs half the time of libjpeg-turbo for that, and less
//! than half if there are restart markers. It holds only the current rows of blocks.

mod bits;
mod color;
mod component;
mod coverage;
mod frame;
mod huffman;
mod idct;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::codecs::decode::image::DecodeScale;
use crate::pixels;
use crate::pixels::simd::{Baseline, LANES, Simd};
use crate::pixels::{Channels, Size, buffer};
use bits::ScanReader;
use color::ChromaUpsampler;
use component::Component;
use component::ComponentLayout;
pub(crate) use coverage::Coverage;
pub(crate) use coverage::coverage;
use frame::BaselineFrame;
use frame::ComponentParameters;

/// Whether a file is of the common kind, by its markers.
#[cfg_attr(
    feature = "native",
    allow(
        dead_code,
        reason = "libjpeg-turbo reads all kinds at a fraction of their size"
    )
)]
pub(crate) fn is_common(source: &[u8]) -> bool {
    BaselineFrame::of(source).is_some()
}

/// Decodes a picture row by row.
pub(crate) struct BaselineDecoder<'a> {
    size: Size,
    /// Luma, then Cb and Cr unless the picture is grey.
    components: Vec<Component>,
    spread: ChromaUpsampler,
    bits: ScanReader<'a>,
    restart_interval: u32,
    /// MCUs before the next restart marker, and the number of that marker.
    until_restart: u32,
    restart: u8,
    /// MCUs in a row, and rows of MCUs.
    mcus: usize,
    mcu_rows: usize,
    /// Rows of MCUs that were decoded.
    read: usize,
    row: Vec<f32>,
    /// Buffers for upsampling chroma.
    chroma: [Vec<f32>; 3],
    is_sound: bool,
    /// Time spent on decoding.
    spent: Duration,
}

impl<'a> BaselineDecoder<'a> {
    /// Opens a picture at a scale, its size rounded up. `None` if the file is not of the common kind or memory is short: then another
    /// decoder may try.
    pub(crate) fn open(source: &'a [u8], scale: DecodeScale) -> Option<BaselineDecoder<'a>> {
        let frame = BaselineFrame::of(source)?;
        let first = frame.components.first()?;
        let (across, down) = (first.across, first.down);
        let of_source = |side: u32, samples: usize| (side as usize).div_ceil(8 * samples);
        let mcus = of_source(frame.size.width, across);
        let mcu_rows = of_source(frame.size.height, down);
        let size = scale.of(frame.size);
        let eighths = scale.eighths as usize;
        // Subsampled chroma is decoded at the scale of luma if its blocks have enough coefficients for that.
        let points = |luma: usize, own: usize| (eighths * luma / own).min(8);
        let side = |whole: u32, luma: usize, own: usize, points: usize| {
            let blocks = (whole as usize * own).div_ceil(luma);
            (blocks * points).div_ceil(8)
        };
        let spread = ChromaUpsampler {
            across: across == 2 && eighths == 8,
            down: down == 2 && eighths == 8,
        };
        let component = |parameters: &ComponentParameters<'_>| {
            let points = (
                points(across, parameters.across),
                points(down, parameters.down),
            );
            let place = ComponentLayout {
                mcus,
                points,
                width: side(frame.size.width, across, parameters.across, points.0),
                height: side(frame.size.height, down, parameters.down, points.1),
                looks_back: spread.down,
            };
            Component::new(parameters, place)
        };
        let components: Vec<Component> = frame
            .components
            .iter()
            .map(component)
            .collect::<Option<_>>()?;
        Some(BaselineDecoder {
            row: buffer::zeroed(components.len() * size.width as usize).ok()?,
            size,
            components,
            spread,
            bits: ScanReader::new(frame.scan),
            restart_interval: frame.restart_interval,
            until_restart: frame.restart_interval,
            restart: 0,
            mcus,
            mcu_rows,
            read: 0,
            chroma: Default::default(),
            is_sound: true,
            spent: Duration::ZERO,
        })
    }

    /// Decodes the rest, and returns whether the whole picture was there and without damage.
    pub(crate) fn end(&mut self) -> bool {
        let started = Instant::now();
        self.run(DecodeGoal::End);
        self.spent += started.elapsed();
        self.is_sound
    }

    /// Time spent on decoding.
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    #[cfg_attr(
        target_arch = "x86_64",
        expect(
            unsafe_code,
            reason = "calls code compiled for AVX2 once the processor is known to have it"
        )
    )]
    fn run(&mut self, step: DecodeGoal) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2")
        {
            // SAFETY: the processor has all three, as was asked right above.
            return unsafe { self.run_avx2(step) };
        }
        self.run_for::<Baseline>(step);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,bmi2")]
    fn run_avx2(&mut self, step: DecodeGoal) {
        self.run_for::<crate::pixels::simd::Avx2>(step);
    }

    #[inline(always)]
    fn run_for<M: Simd>(&mut self, step: DecodeGoal) {
        let needed = match step {
            DecodeGoal::Row(y) => {
                let luma = y / self.components[0].rows();
                let chroma = self.components.get(1).map_or(0, |chroma| {
                    self.spread.last_row(y).min(chroma.height - 1) / chroma.rows()
                });
                luma.max(chroma) + 1
            }
            DecodeGoal::End => self.mcu_rows,
        };
        while self.read < needed && self.is_sound {
            self.is_sound = self.read_mcus::<M>();
            self.read += 1;
        }
        if let DecodeGoal::Row(y) = step
            && self.is_sound
        {
            self.color::<M>(y);
        }
    }

    /// Decodes a row of MCUs. Returns whether it was complete.
    // Loops, not closures, which would not be compiled with the target features of the function that this is inlined into.
    #[inline(always)]
    fn read_mcus<M: Simd>(&mut self) -> bool {
        let row = self.read;
        for component in &mut self.components {
            component.advance(row * component.rows());
        }
        let mut bits = self.bits;
        for first in (0..self.mcus).step_by(LANES) {
            for mcu in first..self.mcus.min(first + LANES) {
                if self.restart_interval > 0 {
                    if self.until_restart == 0 {
                        if !bits.restart(self.restart) {
                            return false;
                        }
                        self.restart = (self.restart + 1) % 8;
                        self.until_restart = self.restart_interval;
                        self.components.iter_mut().for_each(Component::restart);
                    }
                    self.until_restart -= 1;
                }
                for component in &mut self.components {
                    if !component.read(&mut bits, mcu - first) {
                        return false;
                    }
                }
            }
            for component in &mut self.components {
                component.transform::<M>(first, row * component.rows());
            }
        }
        self.bits = bits;
        !bits.is_overdrawn()
    }

    #[inline(always)]
    fn color<M: Simd>(&mut self, y: usize) {
        match self.components.as_slice() {
            [luma, cb, cr] => {
                let [blended, spread_cb, spread_cr] = &mut self.chroma;
                let cb = self.spread.row::<M>(cb, y, blended, spread_cb);
                let cr = self.spread.row::<M>(cr, y, blended, spread_cr);
                color::to_rgb::<M>(luma.row(y), cb, cr, &mut self.row);
            }
            luma => color::to_gray(luma[0].row(y), &mut self.row),
        }
    }
}

/// How far to decode.
#[derive(Clone, Copy)]
enum DecodeGoal {
    /// Up to a row of pixels, which is then converted.
    Row(usize),
    /// Up to the end of the picture.
    End,
}

impl pixels::Scanlines for BaselineDecoder<'_> {
    fn size(&self) -> Size {
        self.size
    }

    fn channels(&self) -> Channels {
        if self.components.len() == 1 {
            Channels::Gray
        } else {
            Channels::Rgb
        }
    }

    fn row(&mut self, y: usize) -> &[f32] {
        let started = Instant::now();
        self.run(DecodeGoal::Row(y));
        self.spent += started.elapsed();
        &self.row
    }
}

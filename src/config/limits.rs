//! Section `[limits]`: the sizes that several rooms share.

use std::num::NonZeroU32;

use serde::Deserialize;

use crate::transform::LargeAnimations;
use crate::transform::Limits;
use crate::units::ByteSize;

/// What one request, and all of them together, may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// The largest source, in bytes.
    pub source_bytes: ByteSize,
    /// The largest source, in pixels.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: NonZeroU32,
    /// What all renders together may hold.
    pub render_memory: ByteSize,
    /// The largest AVIF output, in pixels; what is larger becomes WebP.
    pub avif_pixels: u64,
    /// The largest animation that is transformed, in pixels of all its frames, as they are or as they become.
    pub animation_pixels: u64,
    /// What becomes of larger ones.
    pub large_animations: LargeAnimations,
    /// Whether SVG may be made into pixels.
    pub rasterize_svg: bool,
    /// Renders at once, apart from one small one; 0: one for each processor.
    pub workers: usize,
    /// Renders that may wait for a worker; more are refused with 503.
    pub queue: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let Limits {
            source_pixels,
            output_side,
            render_memory,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
        } = Limits::default();
        LimitsConfig {
            source_bytes: ByteSize::mib(100),
            source_pixels,
            output_side: NonZeroU32::new(output_side).unwrap_or(NonZeroU32::MIN),
            render_memory,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
            workers: 0,
            queue: 200,
        }
    }
}

impl LimitsConfig {
    /// What bounds one render.
    pub fn of_render(&self) -> Limits {
        Limits {
            source_pixels: self.source_pixels,
            output_side: self.output_side.get(),
            render_memory: self.render_memory,
            avif_pixels: self.avif_pixels,
            animation_pixels: self.animation_pixels,
            large_animations: self.large_animations,
            rasterize_svg: self.rasterize_svg,
        }
    }
}

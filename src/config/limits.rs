//! Section `[limits]`: the sizes that several rooms share.

use std::num::NonZeroU32;

use serde::Deserialize;

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
    /// What one render may allocate.
    pub render_memory: ByteSize,
    /// Renders at once; 0: one for each processor.
    pub workers: usize,
    /// Renders that may wait for a worker; more are refused with 503.
    pub queue: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            source_bytes: ByteSize::mib(100),
            source_pixels: 100_000_000,
            output_side: const { NonZeroU32::new(12_000).expect("not zero") },
            render_memory: ByteSize::gib(1),
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
        }
    }
}

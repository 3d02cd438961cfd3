//! Section `[limits]` of the settings: limits that several modules share.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;

use crate::cpu;
use crate::memfd;
use crate::transform::{LargeAnimations, Limits, TruncatedSources, largest_avif};
use crate::units::{AutoByteSize, ByteSize, above_zero};
use crate::worker::{FILES_OF_PROCESS, Isolation};

/// What one request may use, and what all requests together may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// The largest source, in bytes.
    #[serde(deserialize_with = "above_zero")]
    pub source_bytes: ByteSize,
    /// The largest source, in pixels.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: NonZeroU32,
    /// The memory of all renders together; by default a share of the memory of the system.
    pub render_memory: AutoByteSize,
    /// The largest AVIF output, in pixels. Larger ones become WebP.
    pub avif_pixels: u64,
    /// The largest animation that is transformed, in pixels of all its frames, before or after the transformation.
    pub animation_pixels: u64,
    /// How larger animations are answered.
    pub large_animations: LargeAnimations,
    /// Whether SVG may be made into pixels.
    pub rasterize_svg: bool,
    /// How a JPEG that ends early is answered.
    pub truncated: TruncatedSources,
    /// Whether pictures are made in processes of their own.
    pub isolation: Isolation,
    /// How many renders run at once, besides one small render; 0: one for each processor.
    #[serde(deserialize_with = "workers")]
    pub workers: usize,
    /// How many renders may wait for a worker. More are refused with 503.
    pub queue: usize,
    /// How much of the time of the processors upgrades may take while clients wait, in percent.
    #[serde(deserialize_with = "percent")]
    pub upgrade_share: u8,
}

/// Reads a percentage.
fn percent<'de, D: Deserializer<'de>>(input: D) -> Result<u8, D::Error> {
    let percent = u64::deserialize(input)?;
    u8::try_from(percent)
        .ok()
        .filter(|&percent| percent <= 100)
        .ok_or_else(|| {
            de::Error::custom(format_args!(
                "must be a number from 0 to 100, got `{percent}`"
            ))
        })
}

/// Reads `workers`, which is limited so that a mistyped number cannot exhaust the system.
fn workers<'de, D: Deserializer<'de>>(input: D) -> Result<usize, D::Error> {
    const MOST: usize = 1024;
    let workers = usize::deserialize(input)?;
    if workers > MOST {
        return Err(de::Error::custom(format_args!(
            "must be a number from 0 to {MOST}, got `{workers}`"
        )));
    }
    Ok(workers)
}

impl Default for LimitsConfig {
    fn default() -> Self {
        let Limits {
            source_pixels,
            output_side,
            render_memory: _,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
            truncated,
        } = Limits::default();
        LimitsConfig {
            source_bytes: ByteSize::mib(100),
            source_pixels,
            output_side: NonZeroU32::new(output_side).unwrap_or(NonZeroU32::MIN),
            render_memory: AutoByteSize::Auto,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
            truncated,
            isolation: Isolation::default(),
            workers: 0,
            queue: 200,
            upgrade_share: 10,
        }
    }
}

impl LimitsConfig {
    /// The memory of all renders together, on a system with `memory` bytes (`None`: unknown). A quarter leaves room for sources, for the memory
    /// cache, and for other processes.
    pub fn render_memory(&self, memory: Option<u64>) -> ByteSize {
        /// Enough for most pictures of 24 megapixels. On a system with less than twice of this, half of its memory.
        const LEAST: u64 = 256 << 20;
        /// Enough to keep every processor of a large machine busy.
        const MOST: u64 = 16 << 30;
        match (self.render_memory, memory) {
            (AutoByteSize::Fixed(size), _) => size,
            (AutoByteSize::Auto, Some(memory)) => {
                ByteSize::new((memory / 4).clamp(LEAST.min(memory / 2), MOST))
            }
            (AutoByteSize::Auto, None) => Limits::default().render_memory,
        }
    }

    /// The most open files that the server has because renders are made in processes: those that it shares with each of them, and the sources that they
    /// read.
    pub fn worker_files(&self) -> usize {
        if self.isolation == Isolation::Thread {
            return 0;
        }
        let (foreground, idle) = cpu::thread_counts(self.workers, self.upgrade_share);
        // One of each kind is ready beside those that work, and one is being started.
        let processes = foreground.saturating_add(idle).saturating_add(3);
        let shared = processes.saturating_mul(FILES_OF_PROCESS);
        shared.saturating_add(memfd::MOST_SOURCES)
    }

    /// The limits of one render, where all renders together may hold `render_memory`. An AVIF for which that is not enough is too large as well.
    pub fn of_render(&self, render_memory: ByteSize) -> Limits {
        Limits {
            source_pixels: self.source_pixels,
            output_side: self.output_side.get(),
            render_memory,
            avif_pixels: self.avif_pixels.min(largest_avif(render_memory.bytes())),
            animation_pixels: self.animation_pixels,
            large_animations: self.large_animations,
            rasterize_svg: self.rasterize_svg,
            truncated: self.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AutoByteSize;
    use super::ByteSize;
    use super::LimitsConfig;
    use super::{FILES_OF_PROCESS, Isolation, memfd};

    #[test]
    fn renders_have_a_quarter_of_the_memory() {
        const MIB: u64 = 1 << 20;
        let limits = LimitsConfig::default();
        for (memory, share) in [
            (None, 1024),
            (Some(128), 64),
            (Some(500), 250),
            (Some(512), 256),
            (Some(1000), 256),
            (Some(2048), 512),
            (Some(24_105), 6026),
            (Some(65_536), 16_384),
            (Some(1 << 20), 16_384),
        ] {
            let found = limits.render_memory(memory.map(|mib| mib * MIB));
            assert_eq!(found.bytes() / MIB, share, "{memory:?} MiB");
        }
        assert_eq!(limits.render_memory(Some(0)), ByteSize::new(0));
    }

    #[test]
    fn the_largest_avif_is_one_that_fits_into_the_memory() {
        let limits = LimitsConfig::default();
        let pixels = |mib| limits.of_render(ByteSize::mib(mib)).avif_pixels;
        assert_eq!(pixels(0), 0);
        // A variant of 1920 pixels of a photograph, on a machine with 256 MiB.
        let wanted = if cfg!(feature = "native") {
            1920 * 1440
        } else {
            1200 * 900
        };
        assert!(pixels(128) >= wanted, "{}", pixels(128));
        assert!(pixels(64) < wanted);
        assert_eq!(pixels(4096), limits.avif_pixels);
    }

    #[test]
    fn a_configured_size_applies_to_every_system() {
        let limits = LimitsConfig {
            render_memory: AutoByteSize::Fixed(ByteSize::mib(77)),
            ..LimitsConfig::default()
        };
        for memory in [None, Some(1), Some(u64::MAX)] {
            assert_eq!(limits.render_memory(memory), ByteSize::mib(77));
        }
    }

    #[test]
    fn processes_take_files_and_threads_do_not() {
        let files = |isolation| {
            let limits = LimitsConfig {
                isolation,
                workers: 2,
                ..LimitsConfig::default()
            };
            limits.worker_files()
        };
        assert_eq!(files(Isolation::Thread), 0);
        // Two threads for renders, one for small ones, one for the share, and two for idle work: with a process each, and three more.
        let shared = 9 * FILES_OF_PROCESS;
        assert_eq!(files(Isolation::Process), memfd::MOST_SOURCES + shared);
        assert_eq!(files(Isolation::Auto), files(Isolation::Process));
    }
}

//! The limits that one render must stay within, from the section `[limits]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::units::ByteSize;

/// The limits of one render, from the section `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Pixels of a source: width times height.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: u32,
    /// Memory that one render may take, by the estimate made from its header.
    #[serde(serialize_with = "as_number", deserialize_with = "of_number")]
    pub render_memory: ByteSize,
    /// Pixels of the largest output in AVIF or JPEG XL; larger outputs become WebP.
    pub avif_pixels: u64,
    /// Pixels of all frames of an animation together; larger animations are not transformed.
    pub animation_pixels: u64,
    /// What is answered for animations that are larger.
    pub large_animations: LargeAnimations,
    /// Whether an SVG may be rasterized.
    pub rasterize_svg: bool,
    /// What is answered for a JPEG whose end is missing.
    pub truncated: TruncatedSources,
}

/// What is answered for a source whose end is missing, because its upload broke off or is still running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TruncatedSources {
    /// The rows that are there, with a warning, if they are nine tenths of all rows or more.
    #[default]
    Show,
    /// An error.
    Refuse,
}

/// What is answered for an animation with more pixels than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargeAnimations {
    /// The source, unchanged.
    #[default]
    Original,
    /// Its first frame, transformed.
    Still,
}

/// Settings have sizes with units; between processes they are numbers.
fn as_number<S: Serializer>(size: &ByteSize, output: S) -> Result<S::Ok, S::Error> {
    output.serialize_u64(size.bytes())
}

fn of_number<'de, D: Deserializer<'de>>(input: D) -> Result<ByteSize, D::Error> {
    u64::deserialize(input).map(ByteSize::new)
}

impl Limits {
    /// The settings and codecs that change the bytes of a rendition, as a part of its cache key. Limits that only refuse a render are left
    /// out, because a refused render is not cached.
    pub fn render_fingerprint(&self) -> String {
        let Limits {
            source_pixels: _,
            output_side: _,
            render_memory: _,
            avif_pixels,
            animation_pixels,
            large_animations,
            rasterize_svg,
            truncated,
        } = self;
        let codecs = if cfg!(feature = "native") {
            "native"
        } else {
            "portable"
        };
        format!(
            "{codecs} {avif_pixels} {animation_pixels} {large_animations:?} {rasterize_svg} {truncated:?}"
        )
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            source_pixels: 100_000_000,
            output_side: 12_000,
            render_memory: ByteSize::gib(1),
            avif_pixels: 24_000_000,
            animation_pixels: 100_000_000,
            large_animations: LargeAnimations::Original,
            rasterize_svg: false,
            truncated: TruncatedSources::Show,
        }
    }
}

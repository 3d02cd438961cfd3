//! The limits of the section `[limits]` that a render must stay within.

use serde::Deserialize;

use crate::units::ByteSize;

/// What bounds one render, from the section `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of a source, all of them: width times height.
    pub source_pixels: u64,
    /// The longest side of an output, in pixels.
    pub output_side: u32,
    /// What one render may hold, by the estimate from its header.
    pub render_memory: ByteSize,
    /// Pixels of the largest AVIF output; what is larger becomes WebP.
    pub avif_pixels: u64,
    /// Pixels of all frames of an animation together; what is larger is not transformed.
    pub animation_pixels: u64,
    /// What becomes of animations that are larger.
    pub large_animations: LargeAnimations,
    /// Whether an SVG may become a picture of pixels.
    pub rasterize_svg: bool,
    /// What becomes of a JPEG that lacks its end.
    pub truncated: TruncatedSources,
}

/// What is answered for a source that lacks its end, as one whose upload was broken off or is still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TruncatedSources {
    /// What there is of it, with a warning, if nine tenths of its rows or more are there.
    #[default]
    Show,
    /// An error.
    Refuse,
}

/// What is answered for an animation with more pixels than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargeAnimations {
    /// The source as it is.
    #[default]
    Original,
    /// Its first frame, transformed.
    Still,
}

impl Limits {
    /// How renders within these limits, by the codecs of this build, come out differently from others of the same recipe: part of
    /// the name that a rendition is kept under. What is refused is not kept, so mere ceilings are not in it.
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

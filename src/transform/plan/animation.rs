//! The plan of an animation: whether its frames are transformed, and into which format.

use crate::options::{Format, Output, Recipe};

use crate::codecs::animation::Animation;
use crate::codecs::{LargeAnimations, Limits, encode};
use crate::pixels::Size;
use crate::transform::plan::placement::Placement;
use crate::transform::source::RasterSource;

/// An animation as planned.
#[derive(Clone, Debug)]
pub(crate) struct AnimationPlan {
    pub animation: Animation,
    pub placement: Placement,
    /// The format of an animation for the client.
    pub asked: Format,
    pub treatment: Treatment,
}

/// What becomes of an animation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Every frame is transformed and written in a format that can have its size.
    Frames(Format),
    /// It has too many pixels, and is passed on as it is.
    Original,
    /// It has too many pixels, and its first frame is transformed.
    FirstFrame,
}

impl AnimationPlan {
    /// A plan for frames at a placement, for a client that is to be shown the format `asked`.
    pub(crate) fn of(
        source: RasterSource<'_>,
        animation: &Animation,
        asked: Format,
        placement: Placement,
    ) -> Self {
        let size = placement.layout.output();
        let limits = source.limits;
        let treatment = if is_too_large(source.header.size, size, animation, limits) {
            match limits.large_animations {
                LargeAnimations::Original => Treatment::Original,
                LargeAnimations::Still => Treatment::FirstFrame,
            }
        } else {
            Treatment::Frames(expressible(asked, size))
        };
        AnimationPlan {
            animation: *animation,
            placement,
            asked,
            treatment,
        }
    }
}

/// The format in which an output moves; `None` where it is a still by its nature. AVIF and JPEG XL move as WebP: whoever shows the one shows the
/// other; an AVIF sequence costs a hundred times the time, and not every browser moves a JPEG XL.
pub(crate) fn format(recipe: &Recipe) -> Option<Format> {
    match recipe.output {
        Output::Compatible { .. } => Some(Format::Gif),
        Output::Auto(formats) if !formats.contains(Format::Webp) => Some(Format::Gif),
        Output::Webp | Output::Avif | Output::Jxl | Output::Auto(_) => Some(Format::Webp),
        Output::Jpeg { .. } | Output::Png | Output::Json | Output::Svg => None,
    }
}

/// The format of an animation, or the one that takes its place where the picture is too large for it.
fn expressible(format: Format, size: Size) -> Format {
    if size.width.max(size.height) > encode::longest_side(format) {
        Format::Gif
    } else {
        format
    }
}

fn is_too_large(source: Size, output: Size, animation: &Animation, limits: &Limits) -> bool {
    pixels(source, output, animation) > limits.animation_pixels
}

/// The pixels of all frames, as they are or as they will be. A frame takes its time even where there is little in it.
fn pixels(source: Size, output: Size, animation: &Animation) -> u64 {
    const LEAST: u64 = 10_000;
    let frame = source.area().max(output.area()).max(LEAST);
    frame.saturating_mul(u64::from(animation.frames))
}

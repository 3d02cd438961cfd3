//! The format that a picture is written in, and what the encoder of that format takes: decided by numbers, before there are pixels.

use crate::options::{Color, Effects, Format, Output, QualityTarget, Recipe, Warning};

use crate::codecs::{Limits, TransformError, encode};
use crate::pixels::{Size, Subsampling};
use crate::transform::plan::placement::Placement;

/// Refuses an output that is larger than any may be.
pub(crate) fn check_size(placement: &Placement, limits: &Limits) -> Result<(), TransformError> {
    let (size, limit) = (placement.layout.output(), limits.output_side);
    if size.width.max(size.height) > limit {
        return Err(TransformError::OutputTooLarge { size, limit });
    }
    Ok(())
}

/// The format for pixels of `size`, with and without alpha, and a warning where it is another one than was asked for.
pub(crate) fn format_for(
    recipe: &Recipe,
    alpha: bool,
    size: Size,
    limits: &Limits,
) -> (Format, Option<Warning>) {
    let asked = match recipe.output {
        Output::Compatible { .. } if alpha => Format::Png,
        // Facts and drawings are no pictures of pixels; what stands for them here is never written.
        Output::Compatible { .. } | Output::Jpeg { .. } | Output::Json | Output::Svg => {
            Format::Jpeg
        }
        Output::Png => Format::Png,
        Output::Webp => Format::Webp,
        Output::Avif => Format::Avif,
    };
    let fits = |format| size.width.max(size.height) <= encode::longest_side(format);
    let compatible = if alpha { Format::Png } else { Format::Jpeg };
    match asked {
        Format::Avif if size.area() > limits.avif_pixels || !fits(Format::Avif) => {
            let instead = if recipe.webp && fits(Format::Webp) {
                Format::Webp
            } else {
                compatible
            };
            (instead, Some(Warning::new("image too large for AVIF")))
        }
        Format::Webp if !fits(Format::Webp) => {
            (compatible, Some(Warning::new("image too large for WebP")))
        }
        format => (format, None),
    }
}

/// The same for the opaque pixels of a placement.
pub(crate) fn opaque_format(
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> (Format, Option<Warning>) {
    format_for(recipe, false, placement.layout.output(), limits)
}

/// Whether a JPEG is progressive: but for thumbnails, which that makes larger (4 % at 100 pixels, 1 % at 160; at 320 it saves 2 %), and
/// for pictures so large that their coefficients fill the memory.
pub(crate) fn is_progressive(output: Output, size: Size) -> bool {
    const SMALL: u32 = 200;
    const LARGE: u32 = 3000;
    let asked = !matches!(
        output,
        Output::Jpeg { progressive: false } | Output::Compatible { progressive: false }
    );
    asked && size.width.max(size.height) >= SMALL && size.width.min(size.height) <= LARGE
}

/// Whether nothing stands between resampling and an encoder that takes planes, so that pixels need not be put together in between. A
/// canvas cannot be laid around planes: its edge may cut a chroma sample.
pub(crate) fn takes_planes(placement: &Placement, recipe: &Recipe, limits: &Limits) -> bool {
    let layout = &placement.layout;
    layout.canvas.is_none()
        && layout.border.is_none()
        && recipe.effects.is_neutral()
        && encode::takes_planes(opaque_format(placement, recipe, limits).0, recipe.quality)
}

/// The chroma that is resampled for a recipe. Whether chroma at full size is worth its bytes shows only in the picture as it will be; and
/// turning needs chroma in place: where it would not be, it is turned at full size and halved afterwards.
pub(crate) fn resampled_chroma(
    placement: &Placement,
    recipe: &Recipe,
    limits: &Limits,
) -> Subsampling {
    let (format, _) = opaque_format(placement, recipe, limits);
    let turn = placement.turn();
    if format == Format::Webp && turn.keeps_chroma_in_place(placement.target()) {
        Subsampling::Both
    } else {
        Subsampling::None
    }
}

/// What decides, beside the placement, how pixels are composed: recipes in which this is equal differ in their files alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CompositeKey {
    Planes,
    Pixels {
        wide_gamut: bool,
        background: Option<Color>,
        effects: Effects,
        /// Whether white stands behind what is transparent before there are effects.
        is_jpeg: bool,
    },
}

impl CompositeKey {
    /// How a recipe composes pixels that can (`has_planes`) or cannot become planes at once.
    pub(crate) fn of(
        has_planes: bool,
        placement: &Placement,
        recipe: &Recipe,
        limits: &Limits,
    ) -> Self {
        if has_planes && takes_planes(placement, recipe, limits) {
            return CompositeKey::Planes;
        }
        CompositeKey::Pixels {
            wide_gamut: recipe.wide_gamut,
            background: recipe.background,
            effects: recipe.effects.clone(),
            is_jpeg: matches!(recipe.output, Output::Jpeg { .. }),
        }
    }
}

/// Whether files of a picture of this size are compared with it, to find a quality.
pub(crate) fn is_compared(
    format: Format,
    target: QualityTarget,
    size: Size,
    limits: &Limits,
) -> bool {
    let is_lossy = matches!(format, Format::Jpeg | Format::Webp | Format::Avif);
    is_lossy && target.score.is_some() && has_room_for_comparison(size, limits)
}

/// Whether a comparison of two pictures takes no more than half the memory of a render.
pub(crate) fn has_room_for_comparison(size: Size, limits: &Limits) -> bool {
    // Both pictures in floating point at all scales, with their means and variances.
    const BYTES_PER_PIXEL: u64 = 200;
    size.area().saturating_mul(BYTES_PER_PIXEL) <= limits.render_memory.bytes() / 2
}

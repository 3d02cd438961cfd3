//! The plan of a drawing (SVG): what it costs before it is read. Its size is believed as far as it can be seen.

use crate::options::{Output, Recipe};

use crate::codecs::{Limits, TransformError, svg};
use crate::pixels::orientation::Orientation;
use crate::pixels::{PixelRect, Size};
use crate::transform::cost::Cost;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::saliency::SaliencyMap;
use crate::transform::plan::{cost, geometry, output};
use crate::transform::source::Source;

/// The size of a drawing that names none: that of a replaced element in CSS 2.2, section 10.3.2.
const UNSIZED: Size = Size::new(300, 150);

/// The size of a cleaned drawing by itself.
pub(crate) fn size(markup: &[u8]) -> Size {
    svg::size(markup).unwrap_or(UNSIZED)
}

/// What a drawing costs.
pub(crate) fn cost(source: &Source, recipe: &Recipe) -> Result<Cost, TransformError> {
    let (bytes, limits) = (source.bytes(), source.limits());
    let markup = svg::most_markup(bytes, limits.render_memory.bytes());
    if !limits.rasterize_svg || recipe.output == Output::Svg {
        return Ok(cost::of_drawing(bytes, markup, None, limits));
    }
    let own = source.drawing_size().unwrap_or(UNSIZED);
    let placement = placement(own, trimmed(own, recipe)?, recipe, None, limits)?;
    let pixels = Some((placement.layout.output(), recipe));
    Ok(cost::of_drawing(bytes, markup, pixels, limits))
}

/// What the amounts of `trim` leave of a drawing.
pub(crate) fn trimmed(own: Size, recipe: &Recipe) -> Result<PixelRect, TransformError> {
    geometry::trimmed(own, &recipe.trim).ok_or(TransformError::ZeroSized)
}

/// Where the pixels of a drawing go, of which `trimmed` is left.
pub(crate) fn placement(
    own: Size,
    trimmed: PixelRect,
    recipe: &Recipe,
    saliency: Option<&SaliencyMap>,
    limits: &Limits,
) -> Result<Placement, TransformError> {
    let placement = Placement::of(own, Orientation::default(), trimmed, recipe, saliency);
    output::check_size(&placement, limits)?;
    Ok(placement)
}

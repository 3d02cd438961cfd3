//! The plan of `format=json`: the size of a picture that is not made, and a thumbnail for its placeholders.

use crate::options::Recipe;

use crate::pixels::Size;
use crate::transform::hints::Hints;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::still::StillPlan;
use crate::transform::source::RasterSource;

/// The longest side that ThumbHash takes, in pixels.
pub(crate) const THUMBNAIL: u32 = 100;

/// Facts about a picture as planned.
#[derive(Clone, Debug)]
pub(crate) struct InfoPlan {
    /// The size of the picture.
    pub size: Size,
    pub thumbnail: StillPlan,
}

impl InfoPlan {
    /// A plan for facts about the picture of a placement.
    pub(crate) fn of(
        source: RasterSource<'_>,
        recipe: &Recipe,
        hints: &Hints,
        placement: &Placement,
    ) -> Self {
        InfoPlan {
            size: placement.layout.output(),
            thumbnail: StillPlan::placed(source, recipe, hints, placement.reduced(THUMBNAIL)),
        }
    }
}

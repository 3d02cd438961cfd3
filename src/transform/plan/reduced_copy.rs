//! Smaller copies of large sources. However small a picture is made, all of a large JPEG has to be read for it, bit by bit; so a
//! copy at a half, a quarter or an eighth of its size is worth keeping, and later pictures are made of that.
//!
//! The result looks the same: a copy is what a decode at that scale gives, nearly lossless, in the colours of its source and as that
//! stores it; it serves only where twice as many pixels are left as the picture needs, and where the source would be decoded at that
//! scale or a smaller one. Sizes, crops and metadata are still those of the source.

use crate::options::{Output, Recipe};

use crate::codecs::decode::{DecodeScale, Header};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, decode};
use crate::transform::cost::Cost;
use crate::transform::hints::Hints;
use crate::transform::plan::info::THUMBNAIL;
use crate::transform::plan::placement::Placement;
use crate::transform::plan::still::StillPlan;
use crate::transform::plan::{cost, still};
use crate::transform::source::Source;

/// The scales that there are copies at, the smallest copy first: pixels of the source for one of the copy, on each axis.
const DENOMINATORS: [u32; 3] = [8, 4, 2];
/// Pixels of the copy for each pixel that is made of it, on each axis.
const OVERSAMPLING: f64 = 2.0;
/// A copy with a longer side than this serves the sizes that pages are made of.
const SIDE: u32 = 1600;

/// The copies of a source that a picture may be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReducedCopies {
    /// By how much they may be smaller than their source, the smallest one first.
    pub serving: Vec<u32>,
    /// The one of them that serves other sizes as well.
    pub worthwhile: u32,
}

impl ReducedCopies {
    /// Every number that copies may be smaller by.
    pub const DENOMINATORS: [u32; 3] = DENOMINATORS;

    /// The copies for a picture; `None` where the source may as well be decoded itself.
    fn of(header: &Header, placement: &Placement, scale: DecodeScale) -> Option<ReducedCopies> {
        if header.format != SourceFormat::Jpeg
            || header.size.area() < decode::LARGE
            || !cfg!(feature = "native")
        {
            return None;
        }
        let shrink = placement.layout.shrink();
        let serving: Vec<u32> = DENOMINATORS
            .into_iter()
            .filter(|&denominator| {
                denominator <= scale.denominator()
                    && shrink / f64::from(denominator) >= OVERSAMPLING
            })
            .collect();
        let longest = header.size.width.max(header.size.height);
        let serves_others = |denominator: &&u32| longest / **denominator >= SIDE;
        let worthwhile = serving.iter().find(serves_others).or(serving.last());
        worthwhile.copied().map(|worthwhile| ReducedCopies {
            serving,
            worthwhile,
        })
    }
}

/// A reduced copy as planned.
#[derive(Clone, Debug)]
pub struct ReducedCopyPlan {
    pub(crate) source: Source,
    pub(crate) scale: DecodeScale,
    cost: Cost,
}

impl Source {
    /// The copies that the picture of a recipe may be made of; `None` where the source itself serves as well.
    pub fn reduced_copies(&self, recipe: &Recipe) -> Option<ReducedCopies> {
        let source = self.raster()?;
        let is_searched = recipe.trim.border.is_some();
        if is_searched || source.header.format != SourceFormat::Jpeg {
            return None;
        }
        let mut placement = still::placement(source, recipe, None).ok()?;
        if recipe.output == Output::Json {
            placement = placement.reduced(THUMBNAIL);
        }
        let plan = StillPlan::placed(source, recipe, &Hints::default(), placement);
        ReducedCopies::of(source.header, &plan.placement, plan.pixels.scale())
    }

    /// Plans a copy that is `denominator` (2, 4 or 8) times smaller on each axis: the same for every recipe, so worth keeping; see
    /// [`Hints::with_reduced_copy`].
    ///
    /// # Errors
    /// Where the source is a drawing, or the copy would hold more than the limit.
    pub fn plan_reduced_copy(&self, denominator: u32) -> Result<ReducedCopyPlan, TransformError> {
        let source = self.raster().ok_or(TransformError::NotAnImage)?;
        let scale = DecodeScale::one_of(denominator);
        let cost = cost::of_reduced_copy(source.bytes, source.header, scale);
        Ok(ReducedCopyPlan {
            source: self.clone(),
            scale,
            cost: cost.within(source.limits)?,
        })
    }
}

impl ReducedCopyPlan {
    /// What rendering the copy holds and takes.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

#[cfg(all(test, feature = "native"))]
mod tests {
    use crate::options::Recipe;

    use super::Header;
    use super::Placement;
    use super::ReducedCopies;
    use super::SourceFormat;
    use super::decode;
    use crate::pixels::orientation::Orientation;
    use crate::pixels::{PixelRect, Size};

    /// The copies that serve a width, and the one that is worth its bytes.
    #[track_caller]
    fn check(format: SourceFormat, size: (u32, u32), width: u32, expected: Option<(&[u32], u32)>) {
        let size = Size::new(size.0, size.1);
        let header = Header {
            format,
            size,
            orientation: Orientation::default(),
            bytes_per_pixel: 4,
            coefficient_bytes: 0,
            hidden_pixels: 0,
            pixel_bytes: 3,
            alpha: false,
            is_lossless: false,
            is_scalable: true,
        };
        let recipe = Recipe {
            width: Some(width),
            ..Recipe::default()
        };
        let whole = PixelRect::whole(size);
        let placement = Placement::of(size, Orientation::default(), whole, &recipe, None);
        let scale = decode::scale_for(placement.layout.shrink(), &header, true);
        let found = ReducedCopies::of(&header, &placement, scale);
        let expected = expected.map(|(serving, worthwhile)| ReducedCopies {
            serving: serving.to_vec(),
            worthwhile,
        });
        assert_eq!(found, expected, "{size:?} at {width}");
    }

    #[test]
    fn a_copy_serves_what_is_at_most_half_of_it() {
        let camera = (4000, 3000);
        check(SourceFormat::Jpeg, camera, 1600, None);
        check(SourceFormat::Jpeg, camera, 1001, None);
        check(SourceFormat::Jpeg, camera, 1000, Some((&[2], 2)));
        check(SourceFormat::Jpeg, camera, 400, Some((&[4, 2], 2)));
        check(SourceFormat::Jpeg, camera, 100, Some((&[8, 4, 2], 2)));
        let huge = (16_000, 6000);
        check(SourceFormat::Jpeg, huge, 4000, Some((&[2], 2)));
        check(SourceFormat::Jpeg, huge, 1600, Some((&[4, 2], 4)));
        check(SourceFormat::Jpeg, huge, 300, Some((&[8, 4, 2], 8)));
    }

    #[test]
    fn small_sources_and_those_that_have_no_scale_are_decoded_themselves() {
        check(SourceFormat::Jpeg, (3000, 2000), 300, None);
        check(SourceFormat::Png, (4000, 3000), 300, None);
    }
}

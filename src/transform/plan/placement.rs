//! The place of every pixel of a picture, in numbers: what is cut off, which way it turns, and where the rest of it goes.

use crate::options::Recipe;

use crate::pixels::orientation::Orientation;
use crate::pixels::{PixelRect, Rect, Size};
use crate::transform::plan::geometry;
use crate::transform::plan::geometry::Layout;
use crate::transform::plan::saliency::SaliencyMap;

/// The way of a picture from its stored pixels to its place in the output: upright, trimmed, turned, laid out. All of it comes to one
/// crop and one resize of the stored pixels and one turn of the few that are left.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placement {
    /// Size of the picture as stored.
    stored: Size,
    /// What makes it upright.
    orientation: Orientation,
    /// What the recipe makes of the upright picture.
    turn: Orientation,
    /// The part of the upright picture that is left of it.
    pub trimmed: PixelRect,
    /// What happens after that.
    pub layout: Layout,
}

impl Placement {
    /// The placement of a picture of which `trimmed` is left. `saliency` is of the upright picture; it says where a crop goes whose
    /// gravity depends on the picture.
    pub(crate) fn of(
        stored: Size,
        orientation: Orientation,
        trimmed: PixelRect,
        recipe: &Recipe,
        saliency: Option<&SaliencyMap>,
    ) -> Placement {
        let turn = Orientation::asked(recipe.flip, recipe.rotate);
        let upright = orientation.size(stored);
        let turned = turn.size(upright);
        let part = turn.inverse().stored_rect(trimmed.exact(), upright).scaled(
            1.0 / f64::from(turned.width),
            1.0 / f64::from(turned.height),
        );
        let saliency = saliency.map(|saliency| saliency.turned(turn));
        let focus = |window| match &saliency {
            Some(saliency) => saliency.focus(part, window),
            None => (0.5, 0.5),
        };
        let layout = geometry::layout(turn.size(trimmed.size()), recipe, Some(&focus));
        Placement {
            stored,
            orientation,
            turn,
            trimmed,
            layout,
        }
    }

    /// The placement of a thumbnail of the output, whose longest side is at most `longest` pixels.
    pub(crate) fn reduced(&self, longest: u32) -> Placement {
        Placement {
            layout: self.layout.reduced(longest),
            ..self.clone()
        }
    }

    /// The part of the stored picture that is kept, where `extent` samples stand for all of it.
    pub(crate) fn crop(&self, extent: (f64, f64)) -> Rect {
        let turned = self.turn.size(self.trimmed.size());
        let trimmed = self.turn.stored_rect(self.layout.crop, turned);
        let upright = Rect {
            left: trimmed.left + f64::from(self.trimmed.left),
            top: trimmed.top + f64::from(self.trimmed.top),
            ..trimmed
        };
        self.orientation
            .stored_rect(upright, self.orientation.size(self.stored))
            .scaled(
                extent.0 / f64::from(self.stored.width),
                extent.1 / f64::from(self.stored.height),
            )
    }

    /// The size that part is scaled to, as stored.
    pub(crate) fn target(&self) -> Size {
        self.turn().size(self.layout.scaled)
    }

    /// What is done to the scaled pixels to turn them as they should be.
    pub(crate) fn turn(&self) -> Orientation {
        self.orientation.then(self.turn)
    }

    /// Whether every stored pixel is a pixel of the output, at the same place.
    pub(crate) fn changes_nothing(&self) -> bool {
        let whole = PixelRect::whole(self.stored).exact();
        self.turn().is_upright()
            && self.crop((whole.width, whole.height)) == whole
            && self.layout.output() == self.stored
    }
}

// One row, one line: a table.
#[cfg(test)]
#[rustfmt::skip]
mod tests {
    use crate::options::{Options, Recipe, Rotation};

        use crate::pixels::orientation::Orientation;
    use crate::pixels::{Rect, Size};
    use crate::transform::plan::geometry;
    use super::Placement;

    fn placement(options: &str, orientation: u32) -> Placement {
        let options: Options = options.parse().expect("the table holds valid options");
        let side = |width: Option<crate::options::Width>| match width {
            Some(crate::options::Width::Pixels(width)) => Some(width.get()),
            _ => None,
        };
        let recipe = Recipe {
            trim: options.combined_trim(),
            flip: options.flip,
            rotate: options.rotate.unwrap_or(Rotation::Upright),
            width: side(options.width),
            height: options.height.map(|height| height.get()),
            fit: options.fit.unwrap_or_default(),
            gravity: options.gravity.unwrap_or_default(),
            ..Recipe::default()
        };
        let (stored, orientation) = (Size::new(400, 200), Orientation::from_exif(orientation));
        let trimmed = geometry::trimmed(orientation.size(stored), &recipe.trim)
            .expect("the table leaves something");
        Placement::of(stored, orientation, trimmed, &recipe, None)
    }

    /// Options and orientation of a source stored 400x200, then left, top, width and height of the stored part and the output.
    #[track_caller]
    fn check(options: &str, orientation: u32, part: (f64, f64, f64, f64), output: (u32, u32)) {
        let placement = placement(options, orientation);
        let (left, top, width, height) = part;
        let expected = Rect {
            left,
            top,
            width,
            height,
        };
        assert_eq!(placement.crop((400.0, 200.0)), expected, "{options}");
        assert_eq!(
            placement.layout.output(),
            Size::new(output.0, output.1),
            "{options}"
        );
    }

    #[test]
    fn trim_comes_first_and_counts_upright_pixels() {
        check("trim=10;20;30;40", 1, (40.0, 10.0, 340.0, 160.0), (340, 160));
        check("trim=0.1;0.25;0.1;0.25", 1, (100.0, 20.0, 200.0, 160.0), (200, 160));
        check("trim.left=100,trim.width=50", 1, (100.0, 0.0, 50.0, 200.0), (50, 200));
        check("trim.width=0.5,trim.right=300", 1, (0.0, 0.0, 100.0, 200.0), (100, 200));
        // Stored lying on its side: what is cut off the top is the left of what is stored.
        check("trim.top=100", 6, (100.0, 0.0, 300.0, 200.0), (200, 300));
    }

    #[test]
    fn rotation_comes_before_the_box() {
        check("rotate=90", 1, (0.0, 0.0, 400.0, 200.0), (200, 400));
        check("rotate=90,width=100", 1, (0.0, 0.0, 400.0, 200.0), (100, 200));
        check("rotate=180,width=100", 1, (0.0, 0.0, 400.0, 200.0), (100, 50));
        check("rotate=90,trim.left=200", 1, (200.0, 0.0, 200.0, 200.0), (200, 200));
        // Turned clockwise, the top of the result is the left of the source.
        check("rotate=90,width=100,height=100,fit=cover,gravity=top", 1, (0.0, 0.0, 200.0, 200.0), (100, 100));
        check("flip=h,rotate=90,width=100,height=100,fit=cover,gravity=top", 1, (200.0, 0.0, 200.0, 200.0), (100, 100));
    }

    #[test]
    fn nothing_changes_only_where_nothing_is_asked() {
        assert!(placement("anim=true", 1).changes_nothing());
        assert!(placement("width=400", 1).changes_nothing());
        assert!(placement("width=4000", 1).changes_nothing());
        for (options, orientation) in [
            ("anim=true", 6),
            ("anim=true", 2),
            ("flip=h", 1),
            ("rotate=180", 1),
            ("trim.top=1", 1),
            ("width=399", 1),
        ] {
            assert!(
                !placement(options, orientation).changes_nothing(),
                "{options} {orientation}"
            );
        }
        assert!(
            placement("rotate=180", 3).changes_nothing(),
            "turned twice is not turned"
        );
    }
}

//! Options that belong together: one may stand for several others.

use crate::options::definitions::Options;
use crate::options::trim::{Trim, TrimBorder, TrimValue};

impl Options {
    /// All that the options about trimming ask for, in source pixels without dpr.
    pub(crate) fn combined_trim(&self) -> Trim {
        let finds_border = self.trim == Some(TrimValue::Border);
        Trim {
            top: self.trim_top,
            right: self.trim_right,
            bottom: self.trim_bottom,
            left: self.trim_left,
            width: self.trim_width,
            height: self.trim_height,
            border: finds_border.then_some(TrimBorder {
                color: self.trim_border_color,
                tolerance: self.trim_border_tolerance,
                keep: self.trim_border_keep,
            }),
        }
    }

    /// Puts the options for which `trim` is short in its place, so that options that mean the same are equal. An option that is given by
    /// its own name wins, and each of the three about a border means `trim=border` too.
    pub(super) fn expand_shorthands(&mut self) {
        if let Some(TrimValue::Sides([top, right, bottom, left])) = self.trim {
            self.trim = None;
            self.trim_top.get_or_insert(top);
            self.trim_right.get_or_insert(right);
            self.trim_bottom.get_or_insert(bottom);
            self.trim_left.get_or_insert(left);
        }
        let names_border = self.trim_border_color.is_some()
            || self.trim_border_keep.is_some()
            || self.trim_border_tolerance.is_some();
        if names_border {
            self.trim = Some(TrimValue::Border);
        }
    }
}

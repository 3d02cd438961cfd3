//! Sources that lack their end: uploads that were broken off, or are under way.

use crate::options::Warning;

/// What there is of such a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncation {
    /// Rows of pixels that are there, if coarsely, and all.
    pub rows: u32,
    pub of: u32,
}

impl Truncation {
    /// Whether nine tenths of the rows or more are there, so that most of the picture is seen.
    pub fn is_slight(self) -> bool {
        u64::from(self.rows) * 10 >= u64::from(self.of) * 9
    }

    /// What whoever gets the picture has to know.
    pub fn warning(self) -> Warning {
        let Truncation { rows, of } = self;
        Warning::truncated_source(if rows < of {
            format!("{rows} of {of} rows decoded")
        } else {
            format!("{of} rows decoded, some of them coarsely")
        })
    }
}

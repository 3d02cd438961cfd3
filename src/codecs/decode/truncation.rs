//! Sources whose end is missing, because their upload broke off or is still running.

use crate::options::Warning;

/// How much of a truncated source was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Truncation {
    /// Rows that were decoded (perhaps only coarsely), and all rows of the picture.
    pub rows: u32,
    pub of: u32,
}

impl Truncation {
    /// Whether nine tenths of the rows or more are there, so that most of the picture is visible.
    pub(crate) fn is_slight(self) -> bool {
        u64::from(self.rows) * 10 >= u64::from(self.of) * 9
    }

    /// The warning for the client.
    pub(crate) fn warning(self) -> Warning {
        let Truncation { rows, of } = self;
        Warning::truncated_source(if rows < of {
            format!("{rows} of {of} rows decoded")
        } else {
            format!("{of} rows decoded, some of them coarsely")
        })
    }
}

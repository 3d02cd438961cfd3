//! What the table of options says of one option: in `docs/options.md`, in the playground, and in the types of the client library.

use serde::Serialize;

use crate::options::domain::ValueDomain;

/// A row of the table.
#[derive(Serialize)]
pub(crate) struct OptionRow {
    /// The long name, then the aliases.
    pub names: &'static [&'static str],
    /// What its values must be.
    pub values: &'static str,
    /// The same for programs.
    pub domain: ValueDomain,
    /// What applies without the option.
    pub default: &'static str,
    /// What it does: the comment of its definition, one space before each line.
    pub meaning: &'static str,
}

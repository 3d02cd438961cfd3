//! What is asked of the list of images.

use std::sync::Arc;

use crate::hosted::Record;

/// Which images are listed, and how many.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageQuery {
    /// The most images.
    pub limit: usize,
    /// How many are left out before the first.
    pub offset: usize,
    /// Where the last page ended: the time and name of its last image.
    pub after: Option<(u64, String)>,
    /// Whether the newest come first.
    pub newest_first: bool,
    /// Images of this creator; `Some("")`: of none.
    pub creator: Option<String>,
    /// Images whose name begins with this.
    pub prefix: Option<String>,
    /// Images that were uploaded at this time or later, in milliseconds since 1970.
    pub uploaded_after: Option<u64>,
    /// Images that were uploaded before this time, in milliseconds since 1970.
    pub uploaded_before: Option<u64>,
    /// Images whose file had this name.
    pub filename: Option<String>,
    /// Whether drafts are listed in place of images.
    pub drafts: bool,
    /// Conditions on metadata; all must hold.
    pub meta: Vec<MetaFilter>,
}

/// A condition on metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaFilter {
    /// The names from the root to the value.
    pub path: Vec<String>,
    /// What must hold of the value.
    pub test: MetaTest,
}

/// What must hold of a value.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaTest {
    /// Its text, as JSON writes a number or a boolean, is one of these.
    Text(Vec<String>),
    /// It is a string, and one of these.
    String(Vec<String>),
    /// It is a number, and one of these.
    Number(Vec<f64>),
    /// It is this boolean.
    Boolean(bool),
    /// It is a number and greater (or equal, if `true`).
    Above(f64, bool),
    /// It is a number and smaller (or equal, if `true`).
    Below(f64, bool),
}

/// A part of the list of images.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The images.
    pub images: Vec<Arc<Record>>,
    /// Whether more follow.
    pub has_more: bool,
}

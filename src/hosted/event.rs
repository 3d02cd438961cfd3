//! What happens to images, for those who act on it: renders ahead, purges, webhooks.

use std::sync::Arc;

use crate::hosted::Record;

/// A change that this process made. It is told after the change is stored.
#[derive(Clone, Debug)]
pub enum Event {
    /// There is a new image.
    Uploaded {
        /// The image.
        record: Arc<Record>,
        /// Whether it was uploaded into a draft.
        from_draft: bool,
    },
    /// The record of an image or a draft was changed by a client; the file is the same.
    Updated {
        /// The record before.
        before: Arc<Record>,
        /// The record now.
        record: Arc<Record>,
    },
    /// The image has another file. Renditions of the old one are gone.
    Replaced {
        /// The record before, with the old original.
        before: Arc<Record>,
        /// The record now.
        record: Arc<Record>,
    },
    /// The image has another name, and its file another key. Renditions under the old name are gone.
    Renamed {
        /// The record before, with the old name.
        before: Arc<Record>,
        /// The record now.
        record: Arc<Record>,
    },
    /// The image or the draft is gone, with its files.
    Deleted {
        /// The record before.
        before: Arc<Record>,
    },
    /// Renditions were noted in the record.
    Rendered {
        /// The record now.
        record: Arc<Record>,
    },
    /// A rendition that was to be made ahead of requests could not be made.
    Failed {
        /// The record.
        record: Arc<Record>,
        /// Why, for the owner of the image.
        reason: String,
    },
    /// A variant was added, changed or removed.
    VariantChanged {
        /// Its name.
        name: String,
    },
}

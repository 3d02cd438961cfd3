//! What is remembered of a delivery URL beside the picture that it leads to, and what must still hold when it is used again.

use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hosted::{AccountSettings, Hosted, ImageId, Rendition};
use crate::response::Lifetime;

/// A delivery URL that was resolved for one state of its image and of the account.
pub(crate) struct Delivery {
    pub id: ImageId,
    /// The state of the record.
    pub rev: String,
    /// The settings of the account. What is no longer used is freed.
    pub settings: Weak<AccountSettings>,
    /// When its signature expires, in seconds since 1970.
    pub expires: Option<u64>,
    /// How long clients may cache it.
    pub lifetime: Lifetime,
    /// The renditions of its variant that are in the store.
    pub renditions: Vec<Rendition>,
    /// Whether the uploaded file itself is sent.
    pub is_original: bool,
}

impl Delivery {
    /// Whether image and account are as they were, and the URL has not expired.
    pub(crate) fn is_current(&self, hosted: &Hosted) -> bool {
        let is_known = hosted
            .known(&self.id)
            .is_some_and(|record| record.rev == self.rev);
        is_known
            && std::ptr::eq(Arc::as_ptr(&hosted.settings()), self.settings.as_ptr())
            && self.expires.is_none_or(|expires| now() < expires)
    }

    /// The memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let renditions = self.renditions.iter();
        let renditions = renditions
            .map(|rendition| size_of::<Rendition>() + 3 * rendition.key.len() + 64)
            .sum::<usize>();
        self.id.as_str().len() + self.rev.len() + renditions
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

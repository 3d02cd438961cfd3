//! What is known about objects: whether they are pictures. It is remembered for a short time, so that many requests for parts of one object do not
//! double the requests to its origin.

use std::sync::Arc;
use std::time::Duration;

use blake3::Hash;
use moka::sync::Cache;

use crate::freshness::Validators;
use crate::policy::ApprovedSource;
use crate::source::file_kind::FileKind;

/// How many objects are remembered.
const CAPACITY: u64 = 4096;
/// For how long.
const TTL: Duration = Duration::from_secs(60);

/// What the first bytes of an object have shown.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// Of the object that was looked at.
    pub validators: Validators,
    /// `None`: it is no picture.
    pub picture: Option<Picture>,
}

/// A picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub media_type: &'static str,
    /// A drawing in a gzip file, which browsers read only if it has a content coding.
    pub is_gzipped: bool,
}

impl Picture {
    /// What a file of this kind is, if it is a picture.
    pub(super) fn of(kind: FileKind, beginning: &[u8]) -> Option<Self> {
        match kind {
            FileKind::Picture(media_type) => Some(Picture {
                media_type,
                is_gzipped: beginning.starts_with(&[0x1F, 0x8B]),
            }),
            FileKind::Unsupported(_) | FileKind::Unknown | FileKind::Unclear => None,
        }
    }
}

impl Verdict {
    /// Whether it is about content with these validators; `None` if that cannot be told.
    pub(super) fn is_about(&self, validators: &Validators) -> Option<bool> {
        let strong = |tag: &String| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let tags = (&self.validators.etag, &validators.etag);
        if let (Some(known), Some(found)) = tags {
            return Some(strong(known) == strong(found));
        }
        let known = self.validators.last_modified?;
        Some(known == validators.last_modified?)
    }
}

/// The verdicts about objects.
pub(in crate::source) struct Verdicts(Cache<Hash, Arc<Verdict>>);

impl Default for Verdicts {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(TTL)
            .build();
        Verdicts(cache)
    }
}

impl Verdicts {
    /// The key of a source.
    pub(super) fn key(source: &ApprovedSource) -> Hash {
        blake3::hash(source.canonical().as_bytes())
    }

    pub(super) fn get(&self, key: &Hash) -> Option<Arc<Verdict>> {
        self.0.get(key)
    }

    /// Remembers a verdict about content that can be told from other content.
    pub(super) fn insert(&self, key: Hash, verdict: Arc<Verdict>) {
        if !verdict.validators.is_empty() {
            self.0.insert(key, verdict);
        }
    }
}

//! What a fetch results in: a source, or that the known one has not changed.

use std::time::SystemTime;

use bytes::Bytes;
use hyper::HeaderMap;
use url::Url;

use crate::freshness::{Freshness, Tags, Validators};
use crate::source::rules::SourceRules;

/// The result of a fetch.
#[derive(Clone, Debug)]
pub enum FetchOutcome {
    /// The source.
    Fetched(FetchedSource),
    /// The source has not changed since it was fetched with the given validators.
    NotModified {
        /// How long the content may be reused from now on.
        freshness: Freshness,
        /// What to revalidate with next time.
        validators: Validators,
        /// The tags by which the source may be purged.
        tags: Tags,
    },
}

/// A complete source.
#[derive(Clone, Debug)]
pub struct FetchedSource {
    /// The content as the origin stores it.
    pub bytes: Bytes,
    /// What to revalidate with next time.
    pub validators: Validators,
    /// How long the content may be reused.
    pub freshness: Freshness,
    /// The tags by which the source may be purged.
    pub tags: Tags,
}

/// The response of one origin: the outcome of the fetch, or a redirect that the allowlist has not approved yet.
pub(super) enum OriginResponse {
    Final(FetchOutcome),
    Redirect(Url),
}

/// What the header of a response says about a source.
pub(super) struct Metadata {
    pub(super) validators: Validators,
    pub(super) freshness: Freshness,
    pub(super) tags: Tags,
}

impl Metadata {
    /// Reads a header that was received now.
    pub(super) fn of(headers: &HeaderMap, rules: &SourceRules) -> Self {
        Metadata {
            validators: Validators::of(headers),
            freshness: Freshness::of(headers, SystemTime::now(), &rules.freshness),
            tags: Tags::of(headers, &rules.tags),
        }
    }

    /// The outcome if this is the header of the content.
    pub(super) fn fetched(self, bytes: Bytes) -> FetchOutcome {
        let Metadata {
            validators,
            freshness,
            tags,
        } = self;
        FetchOutcome::Fetched(FetchedSource {
            bytes,
            validators,
            freshness,
            tags,
        })
    }

    /// The outcome if this is the header of a 304 to a request with the validators `known`.
    pub(super) fn not_modified(self, known: Option<&Validators>) -> FetchOutcome {
        let Metadata {
            validators: newer,
            freshness,
            tags,
        } = self;
        FetchOutcome::NotModified {
            freshness,
            validators: match known {
                Some(known) => known.renewed_by(&newer),
                None => newer,
            },
            tags,
        }
    }
}

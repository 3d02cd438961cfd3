//! How to ask an origin whether a thing changed.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::ETAG;
use hyper::header::LAST_MODIFIED;
use serde::Deserialize;
use serde::Serialize;

use super::date;

/// Longest entity tag that is kept and sent back, in bytes. A longer one is nobody's honest tag.
const MAX_ETAG: usize = 1024;

/// What an origin gave to tell one state of a thing from another: sent back in `If-None-Match` and `If-Modified-Since`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The entity tag exactly as the origin wrote it, quotes and `W/` included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// To the second, as HTTP dates are.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub last_modified: Option<SystemTime>,
}

impl Validators {
    /// The validators among an answer's headers. What could not be sent back, or would match anything, is left out.
    pub fn of(headers: &HeaderMap) -> Self {
        Validators {
            etag: headers
                .get(ETAG)
                .and_then(|value| value.to_str().ok())
                .map(str::trim)
                .filter(|etag| is_etag(etag))
                .map(str::to_owned),
            last_modified: headers
                .get(LAST_MODIFIED)
                .and_then(|value| date(value.to_str().ok()?)),
        }
    }

    /// Whether there is nothing to ask with: the thing can only be fetched whole.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// These validators after a "not modified" that brought `newer` ones: what it repeats is replaced, the rest stays (RFC 9111 section 3.2).
    pub fn renewed_by(&self, newer: &Validators) -> Validators {
        Validators {
            etag: newer.etag.clone().or_else(|| self.etag.clone()),
            last_modified: newer.last_modified.or(self.last_modified),
        }
    }
}

/// An entity tag in quotes, or the bare word that some origins send. A lone `*` in `If-None-Match` would match anything, and a comma would be a list.
fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let quoted = opaque.len() >= 2 && opaque.starts_with('"') && opaque.ends_with('"');
    let inside = if quoted {
        &opaque[1..opaque.len() - 1]
    } else {
        opaque
    };
    text.len() <= MAX_ETAG
        && inside
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"')
        && (quoted || !(inside.is_empty() || inside == "*" || inside.contains(',')))
}

/// Whole seconds since 1970, clamped to what a clock can hold, so that a stored record cannot overflow one.
mod seconds {
    use std::time::Duration;
    use std::time::SystemTime;
    use std::time::UNIX_EPOCH;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(super::super::since_epoch).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<u64>::deserialize(deserializer)?;
        Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))))
    }
}

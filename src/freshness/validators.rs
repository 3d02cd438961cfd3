//! The validators of a response, for conditional requests.

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{ETAG, LAST_MODIFIED};
use serde::Deserialize;
use serde::Serialize;

use crate::freshness::time::parse_date;

/// The longest entity tag that is kept, in bytes. No honest origin sends a longer one.
const MAX_ETAG: usize = 1024;

/// The validators of a response. They are sent back in `If-None-Match` and `If-Modified-Since`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// The entity tag exactly as the origin wrote it, with quotes and `W/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// In whole seconds, like all HTTP dates.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "seconds")]
    pub last_modified: Option<SystemTime>,
}

impl Validators {
    /// The validators in the header of a response. One that cannot be sent back, or would match everything, is left out.
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
                .and_then(|value| parse_date(value.to_str().ok()?)),
        }
    }

    /// Whether there are none, so no conditional request is possible.
    pub fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// These validators after a 304 with `newer` ones: those that it has are replaced, the others stay (RFC 9111 section 3.2).
    pub fn renewed_by(&self, newer: &Validators) -> Validators {
        Validators {
            etag: newer.etag.clone().or_else(|| self.etag.clone()),
            last_modified: newer.last_modified.or(self.last_modified),
        }
    }
}

/// Whether this is an entity tag in quotes, or without them as some origins send it. In `If-None-Match` a `*` without quotes would match everything,
/// and a comma would separate two tags.
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

/// Serializes a time as whole seconds since 1970. A stored number that is too large for a clock is left out.
mod seconds {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(crate::freshness::time::since_epoch)
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let seconds = Option::<u64>::deserialize(deserializer)?;
        Ok(seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds))))
    }
}

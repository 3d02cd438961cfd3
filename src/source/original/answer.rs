//! The answer of an origin to a request for an original.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::HeaderValue;
use url::Url;

use crate::source::coding::Codings;
use crate::source::context::FetchContext;
use crate::source::error::SourceError;
use crate::source::file_kind::LAST_LOOK;
use crate::source::original::Original;
use crate::source::original::body::{Content, TransferBody};
use crate::source::original::headers::passed;
use crate::source::original::range::Part;
use crate::source::slots::FetchSlot;

/// An answer, or a redirect that the allowlist has not approved yet.
pub(super) enum OriginReply {
    Answer(OriginAnswer),
    /// The answer is for a client that follows the redirect itself.
    Redirect {
        target: Url,
        answer: OriginAnswer,
    },
}

/// An answer whose content is still arriving.
pub(super) struct OriginAnswer {
    /// 200, 206, 304, 412 or 416, or that of a redirect.
    pub status: StatusCode,
    /// All header fields of the origin.
    pub headers: HeaderMap,
    /// The length of the content, if the origin says it; that of the content that GET would get, for HEAD.
    pub length: Option<u64>,
    /// `None` for HEAD, and for a status without content.
    pub content: Option<Content>,
}

impl OriginAnswer {
    /// `length` is that of the content, if it is known. `content` is dropped if there is none with this status.
    pub(super) fn new(
        status: StatusCode,
        headers: HeaderMap,
        length: Option<u64>,
        content: Option<Content>,
    ) -> Self {
        let has_content = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        let length = match (status, length) {
            (StatusCode::PARTIAL_CONTENT, None) => Part::of(&headers).map(Part::length),
            (_, length) => length.filter(|_| has_content),
        };
        OriginAnswer {
            status,
            headers,
            length,
            content: content.filter(|_| has_content),
        }
    }

    /// This answer with content that is as long as announced and holds the slot until it has ended. Without content the slot is free at once.
    pub(super) fn bounded(self, idle_timeout: Duration, slot: FetchSlot) -> Self {
        let length = self.length;
        OriginAnswer {
            content: self
                .content
                .map(|content| TransferBody::new(content, length, idle_timeout, slot).boxed()),
            ..self
        }
    }

    /// Whether the content begins with the first byte of the object and holds enough of it to tell what it is.
    pub(super) fn holds_beginning(&self) -> bool {
        let is_enough = match self.status {
            StatusCode::OK => true,
            StatusCode::PARTIAL_CONTENT => Part::of(&self.headers).is_some_and(|part| {
                part.first == 0 && (part.is_at_end() || part.length() >= LAST_LOOK as u64)
            }),
            _ => false,
        };
        is_enough && self.content.is_some()
    }

    /// Whether the content is the whole object.
    pub(super) fn holds_all(&self) -> bool {
        let part = Part::of(&self.headers);
        self.status == StatusCode::OK
            || part.is_some_and(|part| part.first == 0 && part.is_at_end())
    }

    /// Whether this is a part of content with a coding, which cannot be decoded.
    pub(super) fn is_coded_part(&self) -> bool {
        self.status == StatusCode::PARTIAL_CONTENT
            && Codings::of(&self.headers).map_or(true, |codings| !codings.is_empty())
    }

    /// This answer with its content codings decoded. What was decoded has no length and no ranges, and its entity tag is weak.
    ///
    /// # Errors
    /// [`SourceError::Coding`] for a coding other than gzip, deflate, brotli and zstd.
    pub(super) async fn decoded(self, context: FetchContext<'_>) -> Result<Self, SourceError> {
        let OriginAnswer {
            status,
            mut headers,
            length,
            content,
        } = self;
        let codings = Codings::of(&headers)?;
        headers.remove(header::CONTENT_ENCODING);
        if codings.is_empty() {
            return Ok(OriginAnswer {
                status,
                headers,
                length,
                content,
            });
        }
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
        weaken_etag(&mut headers);
        let content = match content {
            Some(content) => {
                // The windows of the decoders are the only memory of an original that may be large.
                let windows = context.reserve(codings.window_bytes()).await?;
                let decoded = codings.decode(content);
                let held = stream::unfold((decoded, windows), async |(mut decoded, windows)| {
                    let item = decoded.next().await?;
                    Some((item, (decoded, windows)))
                });
                Some(held.fuse().boxed())
            }
            None => None,
        };
        Ok(OriginAnswer {
            status,
            headers,
            length: None,
            content,
        })
    }

    /// This redirect with another `Location`.
    pub(super) fn redirecting_to(mut self, location: &str) -> Self {
        self.headers.remove(header::LOCATION);
        if let Ok(location) = HeaderValue::from_str(location) {
            self.headers.insert(header::LOCATION, location);
        }
        self
    }

    /// What the client gets.
    pub(super) fn into_original(self) -> Original {
        let mut headers = passed(self.status, &self.headers);
        if let Some(length) = self.length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        Original {
            status: self.status,
            headers,
            body: self.content.unwrap_or_else(|| stream::empty().boxed()),
            length: self.length,
        }
    }
}

/// Marks the entity tag as one of content that means the same but has other bytes.
fn weaken_etag(headers: &mut HeaderMap) {
    let Some(etag) = headers.get(header::ETAG) else {
        return;
    };
    if !etag.as_bytes().starts_with(b"W/") {
        let weak = [b"W/", etag.as_bytes()].concat();
        match HeaderValue::from_bytes(&weak) {
            Ok(weak) => headers.insert(header::ETAG, weak),
            Err(_) => headers.remove(header::ETAG),
        };
    }
}

//! Which header fields of a client reach an origin, and which of an origin reach a client.

use hyper::HeaderMap;
use hyper::StatusCode;
use hyper::header;
use hyper::header::{HeaderName, HeaderValue};

use crate::outbound::is_complete;
use crate::source::file_kind::LAST_LOOK;
use crate::source::original::OriginalRequest;
use crate::source::original::range::{Part, first_and_last, single_range};

const CONDITIONS: [HeaderName; 4] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

/// What describes content that is sent.
const OF_CONTENT: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::CONTENT_LANGUAGE,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
];

/// What caches need, with the content or with the news that it has not changed.
const OF_CACHING: [HeaderName; 6] = [
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
    header::EXPIRES,
    header::AGE,
    header::VARY,
];

/// What is sent to an origin.
#[derive(Clone)]
pub(super) struct OriginRequest {
    pub headers: HeaderMap,
    pub head_only: bool,
    /// Whether the client gets redirects that it can follow itself: relative links in a page only work below the page's own URL.
    pub passes_redirects: bool,
    /// `None` is the usual.
    pub via: Option<HeaderValue>,
}

impl OriginRequest {
    /// Takes over what may be forwarded of a client's request.
    pub(super) fn of(request: OriginalRequest) -> Self {
        let OriginalRequest {
            headers: from,
            head_only,
            pictures_only,
            via,
        } = request;
        let mut headers = HeaderMap::new();
        for name in CONDITIONS {
            copy(&name, &from, &mut headers);
        }
        // Ranges are defined for GET alone.
        let range = single_range(&from).filter(|_| !head_only);
        if let Some(range) = range
            && from.get_all(header::IF_RANGE).iter().count() <= 1
        {
            headers.insert(header::RANGE, range.clone());
            copy(&header::IF_RANGE, &from, &mut headers);
        }
        // Without this field the client of the origin asks for content that is not coded.
        if !pictures_only {
            copy(&header::ACCEPT_ENCODING, &from, &mut headers);
        }
        OriginRequest {
            headers,
            head_only,
            passes_redirects: !pictures_only,
            via,
        }
    }

    /// A request for the first bytes of the same object.
    pub(super) fn beginning(&self, length: usize) -> Self {
        let range = HeaderValue::try_from(format!("bytes=0-{}", length.saturating_sub(1)));
        let range = range.map(|range| (header::RANGE, range));
        OriginRequest {
            headers: range.into_iter().collect(),
            head_only: false,
            passes_redirects: false,
            via: self.via.clone(),
        }
    }

    /// The same request for the whole object.
    pub(super) fn without_range(&self) -> Self {
        let mut whole = self.clone();
        whole.headers.remove(header::RANGE);
        whole.headers.remove(header::IF_RANGE);
        whole
    }

    /// Whether the answer may not hold enough of the beginning to tell what the file is.
    pub(super) fn skips_beginning(&self) -> bool {
        let range = self.headers.get(header::RANGE).and_then(first_and_last);
        match range {
            None | Some((Some(0), None)) => false,
            Some((Some(0), Some(last))) => last < LAST_LOOK as u64,
            Some(_) => true,
        }
    }

    /// Whether `If-Range` allows an answer with these headers to be partial.
    pub(super) fn wants_part_of(&self, answer: &HeaderMap) -> bool {
        let Some(condition) = self.headers.get(header::IF_RANGE) else {
            return true;
        };
        if condition.as_bytes().starts_with(b"\"") {
            return answer.get(header::ETAG) == Some(condition);
        }
        let date = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
        let modified = answer.get(header::LAST_MODIFIED).and_then(date);
        modified.is_some() && modified == date(condition)
    }

    /// The status with which a response of the origin is passed on; `None` if it is no answer to this request.
    pub(super) fn accepted_status(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<StatusCode> {
        let has = |name| self.headers.contains_key(name);
        let is_answer = match status {
            StatusCode::PARTIAL_CONTENT if has(header::RANGE) => Part::of(headers).is_some(),
            StatusCode::NOT_MODIFIED => {
                has(header::IF_NONE_MATCH) || has(header::IF_MODIFIED_SINCE)
            }
            StatusCode::PRECONDITION_FAILED => {
                has(header::IF_MATCH) || has(header::IF_UNMODIFIED_SINCE)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => has(header::RANGE),
            _ => false,
        };
        if is_answer {
            return Some(status);
        }
        is_complete(status, headers).then_some(StatusCode::OK)
    }
}

/// The header fields of an origin's response that are passed on with `status`. The length is not among them.
pub(super) fn passed(status: StatusCode, from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let names: &[&[HeaderName]] = match status {
        StatusCode::NOT_MODIFIED => &[&OF_CACHING],
        StatusCode::RANGE_NOT_SATISFIABLE => &[&[header::CONTENT_RANGE, header::ACCEPT_RANGES]],
        StatusCode::PRECONDITION_FAILED => &[],
        status if status.is_redirection() => &[&OF_CACHING, &[header::LOCATION]],
        _ => &[&OF_CONTENT, &OF_CACHING],
    };
    for name in names.iter().copied().flatten() {
        copy(name, from, &mut headers);
    }
    // Browsers take the last one, and so must everything that is decided by it.
    if let Some(last) = headers
        .get_all(header::CONTENT_TYPE)
        .iter()
        .next_back()
        .cloned()
    {
        headers.insert(header::CONTENT_TYPE, last);
    }
    if status == StatusCode::OK {
        // Some caches answer a request for the whole with a range that is the whole.
        headers.remove(header::CONTENT_RANGE);
    }
    headers
}

fn copy(name: &HeaderName, from: &HeaderMap, into: &mut HeaderMap) {
    for value in from.get_all(name) {
        into.append(name, value.clone());
    }
}

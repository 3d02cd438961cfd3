//! The parts of a request's head on which its meaning depends, as the key under which the meaning is remembered.

use std::hash::{Hash, Hasher};

use hyper::Method;
use hyper::header::HOST;
use hyper::http::request::Parts;
use moka::Equivalent;

use crate::request::accept::Accept;
use crate::request::error::RequestError;
use crate::request::hints::ClientHints;
use crate::request::via::is_via_image_resizing;

/// The parts of a head on which its meaning depends. [`ImageRequest::of`](crate::request::ImageRequest::of) sees these parts and nothing else,
/// so requests with equal keys mean the same. Another header that is to count must be added here first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKeyRef<'a> {
    /// Path and query.
    pub(super) target: &'a str,
    /// The authority of the target (HTTP/2, absolute form) or else the `Host` header, as written.
    pub(super) host: Option<&'a [u8]>,
    pub(super) accept: Accept,
    pub(super) hints: ClientHints,
    /// The request comes from an image proxy, perhaps this one.
    pub(super) via_image_resizing: bool,
}

/// An owned copy of a [`RequestKeyRef`], for the keys of a map.
#[derive(Debug)]
pub struct RequestKey {
    target: Box<str>,
    host: Option<Box<[u8]>>,
    accept: Accept,
    hints: ClientHints,
    via_image_resizing: bool,
}

impl<'a> RequestKeyRef<'a> {
    /// Reads a head. GET and HEAD have the same key.
    ///
    /// # Errors
    /// [`RequestError::Method`] for other methods, [`RequestError::NotFound`] where there is no path.
    pub(crate) fn of(head: &'a Parts) -> Result<Self, RequestError> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(RequestError::Method(head.method.clone()));
        }
        let target = head.uri.path_and_query().ok_or(RequestError::NotFound)?;
        let in_target = head.uri.authority().map(|host| host.as_str().as_bytes());
        let in_header = || Some(head.headers.get(HOST)?.as_bytes());
        Ok(RequestKeyRef {
            target: target.as_str(),
            host: in_target.or_else(in_header),
            accept: Accept::of(&head.headers),
            hints: ClientHints::of(&head.headers),
            via_image_resizing: is_via_image_resizing(&head.headers),
        })
    }

    /// Path and query, as they came.
    pub(crate) fn target(&self) -> &'a str {
        self.target
    }

    /// Whether the request names this host, `host` or `host:port` in lower case. A host without a port stands for all ports.
    pub(crate) fn names_host(&self, host: &str) -> bool {
        let Some(named) = self.host.and_then(|host| str::from_utf8(host).ok()) else {
            return false;
        };
        let (name, port) = match named.rsplit_once(':') {
            // The last colon may belong to an IPv6 address.
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (named, None),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        match host.rsplit_once(':') {
            Some((host, wanted)) if !wanted.ends_with(']') => {
                name.eq_ignore_ascii_case(host) && port == Some(wanted)
            }
            _ => name.eq_ignore_ascii_case(host),
        }
    }

    /// An owned copy.
    pub(crate) fn to_key(self) -> RequestKey {
        RequestKey {
            target: self.target.into(),
            host: self.host.map(Box::from),
            accept: self.accept,
            hints: self.hints,
            via_image_resizing: self.via_image_resizing,
        }
    }
}

impl RequestKey {
    /// The memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let host = self.host.as_ref().map_or(0, |host| host.len());
        size_of::<RequestKey>() + self.target.len() + host
    }

    fn as_key_ref(&self) -> RequestKeyRef<'_> {
        RequestKeyRef {
            target: &self.target,
            host: self.host.as_deref(),
            accept: self.accept,
            hints: self.hints,
            via_image_resizing: self.via_image_resizing,
        }
    }
}

impl PartialEq for RequestKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_key_ref() == other.as_key_ref()
    }
}

impl Eq for RequestKey {}

/// As [`RequestKeyRef`] hashes, so that an owned key is found by a borrowed one.
impl Hash for RequestKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_key_ref().hash(state);
    }
}

impl Equivalent<RequestKey> for RequestKeyRef<'_> {
    fn equivalent(&self, owned: &RequestKey) -> bool {
        *self == owned.as_key_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use hyper::Request;

    use super::*;

    const TARGET: &str = "/cdn-cgi/image/width=8/a.jpg";

    fn head(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("the tables hold valid requests");
        request.into_parts().0
    }

    #[test]
    fn whatever_the_meaning_depends_on_makes_another_key() {
        let heads = [
            (TARGET, ("x-other", "1")),
            ("/cdn-cgi/image/width=8/b.jpg", ("x-other", "1")),
            ("/cdn-cgi/image/width=8/a.jpg?v=1", ("x-other", "1")),
            (
                "http://h.test/cdn-cgi/image/width=8/a.jpg",
                ("x-other", "1"),
            ),
            (TARGET, ("host", "zone.test")),
            (TARGET, ("via", "1.1 image-resizing")),
            (TARGET, ("accept", "image/avif")),
            (TARGET, ("accept", "image/webp")),
            (TARGET, ("sec-ch-viewport-width", "400")),
            (TARGET, ("viewport-width", "400")),
            (TARGET, ("sec-ch-dpr", "2")),
            (TARGET, ("user-agent", "Android")),
            (TARGET, ("rtt", "200")),
            (TARGET, ("save-data", "on")),
            (TARGET, ("ect", "3g")),
            (TARGET, ("downlink", "5")),
        ]
        .map(|(target, header)| head(target, &[header]));
        let keys: Vec<RequestKeyRef<'_>> = heads
            .iter()
            .map(|head| RequestKeyRef::of(head).expect("GET and a path"))
            .collect();
        for (index, one) in keys.iter().enumerate() {
            for (other_index, other) in keys.iter().enumerate() {
                let is_same = index == other_index;
                assert_eq!(one == other, is_same, "{one:?} and {other:?}");
                assert_eq!(one.equivalent(&other.to_key()), is_same);
            }
        }
    }

    #[test]
    fn what_the_meaning_does_not_depend_on_makes_no_other_key() {
        let plain = head(TARGET, &[]);
        let other = head(
            TARGET,
            &[
                ("cookie", "a=b"),
                ("if-none-match", "\"x\""),
                ("range", "bytes=0-1"),
                ("user-agent", "Mozilla/5.0 (X11; Linux x86_64)"),
                ("accept", "image/*,*/*;q=0.8"),
            ],
        );
        assert_eq!(RequestKeyRef::of(&plain), RequestKeyRef::of(&other));
    }

    #[test]
    fn an_owned_key_is_found_by_a_borrowed_one() {
        let head = head(TARGET, &[("host", "zone.test"), ("accept", "image/webp")]);
        let key = RequestKeyRef::of(&head).expect("GET and a path");
        let hasher = RandomState::new();
        assert!(key.equivalent(&key.to_key()));
        assert_eq!(hasher.hash_one(key), hasher.hash_one(key.to_key()));
    }
}

//! The host that a request names. Requests with several hosts, or with one that cannot be read, must be refused (RFC 9112, section 3.2): a cache in
//! front of this server may read them in another way, and would store the answer under another name.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use hyper::Response;
use hyper::StatusCode;
use hyper::Version;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::http::request::Parts;

use crate::response;
use crate::response::Body;

/// The host that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

/// Why the host of a request cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// There is no `Host` header, although HTTP/1.1 needs one.
    Missing,
    /// There are several `Host` headers.
    Repeated,
    /// It is not `host` or `host:port`.
    Malformed,
    /// HTTP/2 names one in `:authority` and another in `Host`.
    Different,
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            HostError::Missing => "a request must name its host: the header `Host` is missing",
            HostError::Repeated => "a request must name one host: the header `Host` is there twice",
            HostError::Malformed => {
                "a request must name its host: the header `Host` must be `host` or `host:port`"
            }
            HostError::Different => {
                "a request must name one host: `:authority` and `Host` are not the same"
            }
        })
    }
}

impl HostError {
    /// The answer. An HTTP/1 connection ends after it, because what follows such a head may be a smuggled request.
    pub fn answer(self, version: Version) -> Response<Body> {
        let mut response = response::text(StatusCode::BAD_REQUEST, format!("{self}\n"));
        if version < Version::HTTP_2 {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}

impl<'a> Host<'a> {
    /// The host that a request names; `None` for a request of HTTP/1.0 without one.
    ///
    /// # Errors
    /// [`HostError`] for a request that has to be answered with 400.
    pub fn of(head: &'a Parts) -> Result<Option<Self>, HostError> {
        let mut lines = head.headers.get_all(HOST).iter();
        let in_header = lines
            .next()
            .map(|line| Host::parse(line.as_bytes()).ok_or(HostError::Malformed))
            .transpose()?;
        if lines.next().is_some() {
            return Err(HostError::Repeated);
        }
        let in_target = head.uri.authority().map(|authority| {
            Host::parse(authority.as_str().as_bytes()).ok_or(HostError::Malformed)
        });
        let in_target = in_target.transpose()?;
        match (in_target, in_header) {
            // In HTTP/1, a host in the target replaces the header (RFC 9112, section 3.2.2).
            (Some(target), Some(header)) if head.version >= Version::HTTP_2 => {
                let default = match head.uri.scheme_str() {
                    Some("https") => 443,
                    _ => 80,
                };
                if target.is_same(&header, default) {
                    Ok(Some(target))
                } else {
                    Err(HostError::Different)
                }
            }
            (Some(target), None) if head.version >= Version::HTTP_2 => Ok(Some(target)),
            (target, Some(header)) => Ok(Some(target.unwrap_or(header))),
            (target, None) if head.version <= Version::HTTP_10 => Ok(target),
            (_, None) => Err(HostError::Missing),
        }
    }

    /// Its name or address, without the port. An IPv6 address has its brackets.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Whether it is an IP address. Browsers send other spellings of one (`127.1`) as the address itself.
    pub fn is_address(&self) -> bool {
        let bare = self.name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
    }

    fn is_same(&self, other: &Host<'_>, default_port: u16) -> bool {
        let port = |host: &Host<'_>| host.port.unwrap_or(default_port);
        self.name.eq_ignore_ascii_case(other.name) && port(self) == port(other)
    }

    /// Parses `uri-host [ ":" port ]` (RFC 9110, section 7.2). It must not be empty (section 4.2.1).
    fn parse(text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let end = match text.strip_prefix('[') {
            Some(_) => text.find(']')? + 1,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(end);
        let is_name = match name.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
            None => is_registered_name(name),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        is_name.then_some(Host { name, port })
    }
}

/// Whether this is a `reg-name` of RFC 3986, section 3.2.2. IPv4 addresses are among them.
fn is_registered_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let is_fine = match byte {
            b'%' => [bytes.next(), bytes.next()]
                .iter()
                .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte),
        };
        if !is_fine {
            return false;
        }
    }
    !name.is_empty()
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use hyper::Version;

    use super::Host;
    use super::HostError;

    #[track_caller]
    fn check(
        version: Version,
        target: &str,
        lines: &[&str],
        expected: Result<Option<&str>, HostError>,
    ) {
        let mut request = Request::get(target).version(version);
        for line in lines {
            request = request.header("host", *line);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let found = Host::of(&head).map(|host| host.map(|host| host.name()));
        assert_eq!(found, expected, "{version:?} {target} {lines:?}");
    }

    #[test]
    fn http_1_1_names_one_host() {
        let check = |target, lines: &[&str], expected| {
            check(Version::HTTP_11, target, lines, expected);
        };
        for host in ["h", "h.test", "h_1.test", "127.0.0.1", "[::1]", "h%41"] {
            check("/a", &[host], Ok(Some(host)));
            check("/a", &[&format!("{host}:8080")], Ok(Some(host)));
            check("/a", &[&format!("{host}:")], Ok(Some(host)));
        }
        check("/a", &[], Err(HostError::Missing));
        check("http://h.test/a", &[], Err(HostError::Missing));
        check("/a", &["h", "h"], Err(HostError::Repeated));
        check("/a", &["h", "evil"], Err(HostError::Repeated));
        for host in [
            "", " ", "a/b", "a b", "u@h", "u:p@h", "h:x", "h:99999", "h:-1", "h:1:2", "[::1",
            "[x]", "[::1]x", "::1", "http://h", "h?x", "h#x", "h,i ", "h%4", "h%", "h\\i",
            "\u{e9}",
        ] {
            check("/a", &[host], Err(HostError::Malformed));
            check("http://h.test/a", &[host], Err(HostError::Malformed));
        }
        check("http://h.test/a", &["other"], Ok(Some("h.test")));
        check("http://u:p@h.test/a", &["h"], Err(HostError::Malformed));
    }

    #[test]
    fn http_1_0_may_leave_it_out() {
        let check = |target, lines: &[&str], expected| {
            check(Version::HTTP_10, target, lines, expected);
        };
        check("/a", &[], Ok(None));
        check("/a", &["h"], Ok(Some("h")));
        check("http://h.test/a", &[], Ok(Some("h.test")));
        check("/a", &["h", "h"], Err(HostError::Repeated));
        check("/a", &["a/b"], Err(HostError::Malformed));
    }

    #[test]
    fn http_2_may_name_the_same_host_twice() {
        let check = |target, lines: &[&str], expected| {
            check(Version::HTTP_2, target, lines, expected);
        };
        check("http://h.test/a", &[], Ok(Some("h.test")));
        check("http://h.test/a", &["H.test:80"], Ok(Some("h.test")));
        check("https://h.test:443/a", &["h.test"], Ok(Some("h.test")));
        check("/a", &["h"], Ok(Some("h")));
        check("/a", &[], Err(HostError::Missing));
        check("http://h.test/a", &["evil.test"], Err(HostError::Different));
        check("http://h.test/a", &["h.test:81"], Err(HostError::Different));
        check(
            "http://h.test/a",
            &["h.test", "h.test"],
            Err(HostError::Repeated),
        );
    }

    #[test]
    fn addresses_are_told_from_names() {
        let is_address = |text: &str| Host::parse(text.as_bytes()).map(|host| host.is_address());
        for text in ["127.0.0.1", "10.1.2.3:8081", "[::1]", "[fe80::1]:80"] {
            assert_eq!(is_address(text), Some(true), "{text}");
        }
        for text in ["h", "127.1", "0x7f000001", "2130706433", "1.2.3.4.test"] {
            assert_eq!(is_address(text), Some(false), "{text}");
        }
    }
}

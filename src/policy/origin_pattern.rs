//! An entry of the list of allowed origins.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Host;
use url::Url;

use crate::policy::dot_segments::hides_dot_segments;

/// Origins that images may come from: `b.com` is that host alone, `*.b.com` that host and all its subdomains. A port may follow, and a path:
/// `b.com/themes` allows `/themes` and the paths below it, and nothing else.
///
/// Without a port, only the default ports of http and https are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OriginPattern {
    /// As the URL parser writes it (lower case, punycode), without a trailing dot.
    host: String,
    with_subdomains: bool,
    port: Option<u16>,
    /// The segments of the path, decoded.
    path: Vec<Vec<u8>>,
}

/// An entry that is malformed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPatternError {
    entry: String,
    problem: &'static str,
}

impl fmt::Display for OriginPatternError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "an allowed origin must be `host`, `*.host` or either with `:port` and `/path`, got `{}`: {}",
            self.entry, self.problem
        )
    }
}

impl std::error::Error for OriginPatternError {}

impl TryFrom<String> for OriginPattern {
    type Error = OriginPatternError;

    fn try_from(entry: String) -> Result<Self, OriginPatternError> {
        parse(&entry).map_err(|problem| OriginPatternError { entry, problem })
    }
}

impl OriginPattern {
    /// Whether the entry allows a URL of either scheme.
    pub(super) fn allows(&self, url: &Url) -> bool {
        self.allows_host(url) && self.allows_port(url) && self.allows_path(url)
    }

    fn allows_host(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        match host
            .strip_suffix('.')
            .unwrap_or(host)
            .strip_suffix(&self.host)
        {
            Some("") => true,
            Some(subdomain) => self.with_subdomains && subdomain.ends_with('.'),
            None => false,
        }
    }

    fn allows_port(&self, url: &Url) -> bool {
        match self.port {
            Some(port) => url.port_or_known_default() == Some(port),
            None => url.port().is_none(),
        }
    }

    /// Compares whole segments, decoded one by one: an encoded slash does not end a segment.
    fn allows_path(&self, url: &Url) -> bool {
        if self.path.is_empty() {
            return true;
        }
        // A server that decodes before it resolves dot segments would leave the allowed path.
        if hides_dot_segments(url.path()) {
            return false;
        }
        let mut segments = segments(url.path());
        self.path
            .iter()
            .all(|allowed| segments.next().as_ref() == Some(allowed))
    }
}

/// The decoded segments of a path.
fn segments(path: &str) -> impl Iterator<Item = Vec<u8>> {
    path.strip_prefix('/')
        .unwrap_or(path)
        .split('/')
        .map(|segment| percent_decode_str(segment).collect())
}

fn parse(entry: &str) -> Result<OriginPattern, &'static str> {
    if entry.contains("://") {
        return Err("leave the scheme out, both are allowed");
    }
    if entry.contains(|character: char| {
        character.is_whitespace() || character.is_control() || character == '\\'
    }) {
        return Err("it holds a space or a backslash");
    }
    if entry.contains('@') {
        return Err("it must not hold a user or password");
    }
    if entry.contains(['?', '#']) {
        return Err("leave the query out");
    }
    let (with_subdomains, rest) = match entry.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, entry),
    };
    if rest.contains('*') {
        return Err("`*` may only stand for the subdomains, as in `*.host`");
    }
    // Otherwise the URL parser would take a later part for the host.
    if rest.starts_with(['/', ':', '.']) || rest.is_empty() {
        return Err("the host is missing");
    }
    let as_http =
        Url::parse(&format!("http://{rest}")).map_err(|_| "the host or port is malformed")?;
    let as_https =
        Url::parse(&format!("https://{rest}")).map_err(|_| "the host or port is malformed")?;
    if with_subdomains && !matches!(as_http.host(), Some(Host::Domain(_))) {
        return Err("an address has no subdomains");
    }
    let host = as_http.host_str().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("the host is missing");
    }
    if hides_dot_segments(as_http.path()) {
        return Err("the path must not hide `.` or `..`");
    }
    let path = as_http.path().trim_end_matches('/');
    Ok(OriginPattern {
        host: host.to_owned(),
        with_subdomains,
        // The parser drops the default port of its scheme, so only the other of the two URLs still has it.
        port: as_http.port().or(as_https.port()),
        path: if path.is_empty() {
            Vec::new()
        } else {
            segments(path).collect()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &str, url: &str, is_allowed: bool) {
        let allowed = OriginPattern::try_from(entry.to_owned()).expect(entry);
        let parsed = Url::parse(url).expect("the table holds valid URLs");
        assert_eq!(allowed.allows(&parsed), is_allowed, "{entry} {url}");
    }

    #[test]
    fn section_8_a_host_is_that_host_alone() {
        check("b.com", "https://b.com/a.jpg", true);
        check("b.com", "http://b.com/a.jpg", true);
        check("B.com.", "https://b.COM./a.jpg", true);
        check("b.com", "https://media.b.com/a.jpg", false);
        check("b.com", "https://ab.com/a.jpg", false);
        check("b.com", "https://b.com.evil.test/a.jpg", false);
        check("b.com", "https://b.co/a.jpg", false);
        check("b.com", "https://evil.test/b.com", false);
        check("127.0.0.1", "http://0x7f.1/a.jpg", true);
        check("[::1]", "http://[0:0::1]/a.jpg", true);
    }

    #[test]
    fn section_8_a_star_takes_in_the_host_and_all_below() {
        check("*.b.com", "https://b.com/a.jpg", true);
        check("*.b.com", "https://media.b.com/a.jpg", true);
        check("*.b.com", "https://x.media.b.com./a.jpg", true);
        check("*.b.com", "https://ab.com/a.jpg", false);
        check("*.b.com", "https://b.com.evil.test/a.jpg", false);
        check("media.b.com", "https://b.com/a.jpg", false);
    }

    #[test]
    fn section_8_a_path_ends_at_a_segment() {
        check("b.com/themes", "https://b.com/themes", true);
        check("b.com/themes", "https://b.com/themes/x", true);
        check("b.com/themes", "https://b.com/themes?x", true);
        check("b.com/themes/", "https://b.com/themes/x", true);
        check("b.com/themes", "https://b.com/themesx", false);
        check("b.com/themes", "https://b.com/media/themes/x", false);
        check("b.com/themes", "https://b.com//themes/x", false);
        check("b.com/themes", "https://b.com/Themes/x", false);
        check("b.com/themes", "https://b.com/%74hemes/x", true);
        check("b.com/th\u{e9}", "https://b.com/th%c3%a9/x", true);
        check("b.com/themes/dark", "https://b.com/themes", false);
        check("b.com/themes/dark", "https://b.com/themes%2Fdark/x", false);
        check("b.com/themes", "https://b.com/themes%2Fx", false);
        check("b.com/", "https://b.com/x", true);
    }

    #[test]
    fn a_path_cannot_be_left() {
        check("b.com/themes", "https://b.com/themes/../private", false);
        check("b.com/themes", "https://b.com/themes/%2e%2e/private", false);
        check("b.com/themes", "https://b.com/themes/..%2fprivate", false);
        check(
            "b.com/themes",
            "https://b.com/themes/x%2f..%2F..%2fprivate",
            false,
        );
        check("b.com/themes", "https://b.com/themes/..%5cprivate", false);
        check("b.com/themes", "https://b.com/themes/a..b/..c", true);
    }

    #[test]
    fn only_the_named_port_or_the_default_ones() {
        check("b.com", "https://b.com:443/", true);
        check("b.com", "http://b.com:80/", true);
        check("b.com", "http://b.com:443/", false);
        check("b.com", "https://b.com:8443/", false);
        check("b.com:8443", "https://b.com:8443/", true);
        check("b.com:8443", "http://b.com:8443/", true);
        check("b.com:8443", "https://b.com/", false);
        check("b.com:443", "https://b.com/", true);
        check("b.com:443", "http://b.com/", false);
        check("b.com:80", "http://b.com/", true);
        check("*.b.com:8080/x", "http://a.b.com:8080/x/y", true);
    }

    #[test]
    fn international_hosts_compare_as_punycode() {
        check("b\u{fc}cher.test", "https://xn--bcher-kva.test/a", true);
        check("xn--bcher-kva.test", "https://B\u{dc}CHER.test/a", true);
        check("*.b\u{fc}cher.test", "https://cdn.b\u{fc}cher.test/a", true);
    }

    #[test]
    fn wrong_entries_are_named() {
        for (entry, problem) in [
            ("", "the host is missing"),
            ("*.", "the host is missing"),
            ("/themes", "the host is missing"),
            ("//b.com", "the host is missing"),
            (":80", "the host is missing"),
            (".b.com", "the host is missing"),
            ("*.*.b.com", "may only stand for the subdomains"),
            ("*", "may only stand for the subdomains"),
            ("*b.com", "may only stand for the subdomains"),
            ("b.*", "may only stand for the subdomains"),
            ("https://b.com", "leave the scheme out"),
            ("u:p@b.com", "must not hold a user"),
            ("b.com?x", "leave the query out"),
            ("b.com/#x", "leave the query out"),
            ("b com", "holds a space"),
            ("b.com:99999", "malformed"),
            ("[::1", "malformed"),
            ("*.127.0.0.1", "an address has no subdomains"),
            ("b.com/a%2f..%2fb", "must not hide"),
        ] {
            let error = OriginPattern::try_from(entry.to_owned())
                .expect_err(entry)
                .to_string();
            assert!(
                error.contains(&format!("got `{entry}`: ")) && error.contains(problem),
                "{error}"
            );
        }
    }
}

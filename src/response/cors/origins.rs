//! The setting `cors.origins`.

use std::fmt;

use hyper::header::HeaderValue;
use serde::Deserialize;
use url::Host;
use url::Url;

/// The origins whose scripts may read answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub enum Origins {
    /// `["*"]`: every origin.
    #[default]
    Any,
    /// These. Without any, no answer has a header of CORS.
    List(Vec<WebOrigin>),
}

/// An origin, as in `https://app.example.com`. With `*.` before its host it stands for that host and all its subdomains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    /// Host and port as browsers write them: lower case, punycode, without the default port.
    authority: String,
    with_subdomains: bool,
}

/// A list that is malformed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginsError {
    entry: String,
    problem: &'static str,
}

impl fmt::Display for OriginsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "must be [\"*\"], [] or origins such as \"https://app.example.com\" and \"https://*.example.com\", got `{}`: {}",
            self.entry, self.problem
        )
    }
}

impl std::error::Error for OriginsError {}

impl TryFrom<Vec<String>> for Origins {
    type Error = OriginsError;

    fn try_from(entries: Vec<String>) -> Result<Self, OriginsError> {
        if entries == ["*"] {
            return Ok(Origins::Any);
        }
        let parse = |entry: String| {
            WebOrigin::parse(&entry).map_err(|problem| OriginsError { entry, problem })
        };
        let origins = entries.into_iter().map(parse);
        origins.collect::<Result<_, _>>().map(Origins::List)
    }
}

impl Origins {
    /// Whether the list has the origin that a request names. Only what a browser writes is found, so what is found may be repeated in an answer.
    pub(super) fn contain(&self, origin: &HeaderValue) -> bool {
        match self {
            Origins::Any => true,
            Origins::List(origins) => origin
                .to_str()
                .is_ok_and(|origin| origins.iter().any(|known| known.matches(origin))),
        }
    }
}

impl WebOrigin {
    fn parse(entry: &str) -> Result<Self, &'static str> {
        if entry == "*" {
            return Err("`*` stands for every origin, and must be alone");
        }
        if entry == "null" {
            return Err("every page can have itself called so: use `*` to let all in");
        }
        let (scheme, rest) = entry.split_once("://").ok_or("the scheme is missing")?;
        let (with_subdomains, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err("`*` may only stand for the subdomains, as in `https://*.host`");
        }
        // The parser passes over some of these.
        if rest.contains(|character: char| {
            matches!(character, '/' | '\\' | '?' | '#' | '@' | '%')
                || character.is_whitespace()
                || character.is_control()
        }) {
            return Err("an origin is a scheme, a host and perhaps a port, and nothing else");
        }
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|_| "the scheme, host or port is malformed")?;
        let host = url.host().ok_or("the host is missing")?;
        if with_subdomains && !matches!(host, Host::Domain(_)) {
            return Err("an address has no subdomains");
        }
        Ok(WebOrigin {
            scheme: url.scheme().to_owned(),
            authority: match url.port() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_string(),
            },
            with_subdomains,
        })
    }

    fn matches(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let subdomain = authority.strip_suffix(self.authority.as_str());
        scheme == self.scheme
            && match subdomain {
                Some("") => true,
                Some(labels) => self.with_subdomains && is_subdomain(labels),
                None => false,
            }
    }
}

/// Whether a text is labels as browsers write them, each with a dot behind it.
fn is_subdomain(text: &str) -> bool {
    let is_letter = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    text.strip_suffix('.').is_some_and(|labels| {
        labels
            .split('.')
            .all(|label| !label.is_empty() && label.bytes().all(is_letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(entries: &[&str]) -> Result<Origins, OriginsError> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        Origins::try_from(entries)
    }

    #[track_caller]
    fn check(entry: &str, origin: &str, is_in_list: bool) {
        let list = origins(&[entry]).expect(entry);
        let header = HeaderValue::from_bytes(origin.as_bytes()).expect("a header");
        assert_eq!(list.contain(&header), is_in_list, "{entry} {origin}");
    }

    #[test]
    fn a_star_alone_is_every_origin_and_an_empty_list_is_none() {
        assert_eq!(origins(&["*"]), Ok(Origins::Any));
        assert_eq!(origins(&[]), Ok(Origins::List(Vec::new())));
    }

    #[test]
    fn an_origin_is_that_origin_alone() {
        check("https://a.test", "https://a.test", true);
        check("HTTPS://A.Test", "https://a.test", true);
        check("https://a.test:443", "https://a.test", true);
        check("http://localhost:3000", "http://localhost:3000", true);
        check("http://[::1]:3000", "http://[::1]:3000", true);
        check(
            "https://b\u{fc}cher.test",
            "https://xn--bcher-kva.test",
            true,
        );
        check("capacitor://localhost", "capacitor://localhost", true);
        for other in [
            "http://a.test",
            "https://a.test:8443",
            "https://a.test:443",
            "https://a.test.evil.test",
            "https://evila.test",
            "https://x.a.test",
            "https://a.test/",
            "https://a.test.",
            "HTTPS://a.test",
            "https://A.test",
            "https://a.test https://a.test",
            "https://a.test,https://a.test",
            " https://a.test",
            "a.test",
            "//a.test",
            "null",
            "*",
            "",
            "\u{fc}https://a.test",
        ] {
            check("https://a.test", other, false);
        }
    }

    #[test]
    fn a_pattern_is_the_host_and_all_below() {
        let entry = "https://*.a.test:8443";
        check(entry, "https://a.test:8443", true);
        check(entry, "https://x.a.test:8443", true);
        check(entry, "https://x-1._y.xn--bcher-kva.a.test:8443", true);
        for other in [
            "https://x.a.test",
            "https://x.a.test:18443",
            "https://xa.test:8443",
            "https://.a.test:8443",
            "https://x..a.test:8443",
            "https://X.a.test:8443",
            "https://evil.test/.a.test:8443",
            "https://evil.test:1.a.test:8443",
            "https://u@x.a.test:8443",
            "https://evil.test#.a.test:8443",
            "https://evil.test\\.a.test:8443",
            "https://<script>.a.test:8443",
            "https://evil.test, https://x.a.test:8443",
            "https://https://x.a.test:8443",
            "https://\u{e4}.a.test:8443",
            "https://x\t.a.test:8443",
        ] {
            check(entry, other, false);
        }
    }

    #[test]
    fn wrong_lists_are_named() {
        for (entries, entry, problem) in [
            (&["https://a.test", "*"][..], "*", "must be alone"),
            (&["*", "*"], "*", "must be alone"),
            (&["null"], "null", "every page"),
            (&[""], "", "the scheme is missing"),
            (&["a.test"], "a.test", "the scheme is missing"),
            (&["*.a.test"], "*.a.test", "the scheme is missing"),
            (&["1://a.test"], "1://a.test", "malformed"),
            (&["https://"], "https://", "malformed"),
            (&["https://*."], "https://*.", "malformed"),
            (&["https://*"], "https://*", "the subdomains"),
            (&["https://a.*"], "https://a.*", "the subdomains"),
            (
                &["https://*.*.a.test"],
                "https://*.*.a.test",
                "the subdomains",
            ),
            (&["https://a.test/"], "https://a.test/", "nothing else"),
            (
                &["https://u:p@a.test"],
                "https://u:p@a.test",
                "nothing else",
            ),
            (&["https://a.test?x"], "https://a.test?x", "nothing else"),
            (&["https://a.\ttest"], "https://a.\ttest", "nothing else"),
            (
                &["https://a.test:99999"],
                "https://a.test:99999",
                "malformed",
            ),
            (
                &["https://*.127.0.0.1"],
                "https://*.127.0.0.1",
                "no subdomains",
            ),
        ] {
            let error = origins(entries).expect_err(entry);
            let text = error.to_string();
            assert_eq!(error.entry, entry);
            assert!(text.contains(problem), "{text}");
        }
    }
}

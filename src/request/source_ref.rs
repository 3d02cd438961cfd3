//! The source of a request, in each of the forms that clients and the proxies between us give it.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// The most characters of a URL that a message repeats.
const QUOTED_CHARACTERS: usize = 40;

/// Where the image is, as asked: syntactically sound, and approved by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef {
    /// A path of the zone with its query: starts with exactly one `/`, percent-encoded as it came, dot segments resolved.
    Zone(String),
    /// An `http` or `https` URL with a host and without credentials and fragment.
    Absolute(Url),
}

/// Why a text is not the address of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRefError {
    /// A space, a control character or raw non-ASCII.
    Characters,
    /// Percent-encoded bytes that are not UTF-8.
    Encoding,
    /// Another scheme than `http` and `https`.
    Scheme(String),
    /// `user:password@`.
    Credentials,
    /// What the URL parser has against it.
    Malformed(url::ParseError),
}

impl fmt::Display for SourceRefError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceRefError::Characters => {
                formatter.write_str("spaces, control characters and letters outside ASCII must be percent-encoded in the source")
            }
            SourceRefError::Encoding => formatter.write_str("the source must be percent-encoded UTF-8"),
            SourceRefError::Scheme(scheme) => {
                let scheme: String = scheme.chars().take(QUOTED_CHARACTERS).collect();
                write!(formatter, "the source must be a path or an `http://` or `https://` URL, got scheme `{scheme}`")
            }
            SourceRefError::Credentials => formatter.write_str("the source must not hold a user or password"),
            SourceRefError::Malformed(error) => write!(formatter, "the source must be a URL: {error}"),
        }
    }
}

impl std::error::Error for SourceRefError {}

impl SourceRef {
    /// Reads the source part of a transform URL, query included.
    ///
    /// A URL may come plain, percent-encoded as a whole (`https%3A%2F%2F…`), with its slashes encoded (`https:%2F%2F…`) or with
    /// its slashes merged on the way (`https:/…`). The two encoded forms are decoded once and as a whole, so that `%3F` in them is
    /// the `?` of the query; everything else keeps its percent-encoding, and `%3F` is a byte of the path. What does not start with
    /// a scheme is a path of the zone, however many slashes it starts with.
    ///
    /// # Errors
    /// [`SourceRefError`].
    pub fn parse(text: &str) -> Result<Self, SourceRefError> {
        check_characters(text)?;
        if is_encoded_url(text) {
            let decoded = percent_decode_str(text)
                .decode_utf8()
                .map_err(|_| SourceRefError::Encoding)?;
            check_characters(&decoded)?;
            return absolute(&decoded);
        }
        if scheme(text).is_some() {
            absolute(text)
        } else {
            zone(text)
        }
    }

    /// Reads a URL or a path that was decoded already, where a browser would take spaces and letters of any script as they are.
    ///
    /// # Errors
    /// [`SourceRefError`].
    pub(super) fn parse_decoded(text: &str) -> Result<Self, SourceRefError> {
        // The URL parser would drop line breaks and tabs silently, and so join what stood apart.
        if text.chars().any(char::is_control) {
            return Err(SourceRefError::Characters);
        }
        if scheme(text).is_some() {
            absolute(text)
        } else {
            zone(text)
        }
    }
}

fn check_characters(text: &str) -> Result<(), SourceRefError> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(SourceRefError::Characters)
    }
}

/// `http%3A…` or `http:%2F…`, with or without the `s`.
fn is_encoded_url(text: &str) -> bool {
    let rest = strip_prefix_ignoring_case(text, "http")
        .map(|rest| strip_prefix_ignoring_case(rest, "s").unwrap_or(rest));
    rest.is_some_and(|rest| {
        ["%3A", ":%2F"]
            .iter()
            .any(|mark| strip_prefix_ignoring_case(rest, mark).is_some())
    })
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What stands before the `:` of a text that starts like a URL.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then_some(scheme)
}

fn absolute(text: &str) -> Result<SourceRef, SourceRefError> {
    let (scheme, rest) = text.split_once(':').ok_or(SourceRefError::Malformed(
        url::ParseError::RelativeUrlWithoutBase,
    ))?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        // What stands before the colon may be a user, whom no message should repeat, and what follows the password.
        return Err(match rest.contains('@') {
            true => SourceRefError::Credentials,
            false => SourceRefError::Scheme(scheme.to_owned()),
        });
    }
    // Without a slash this would be one more way to write a host, which nobody emits.
    if !rest.starts_with('/') {
        return Err(SourceRefError::Malformed(url::ParseError::EmptyHost));
    }
    let mut url = Url::parse(&format!("{scheme}://{}", rest.trim_start_matches('/')))
        .map_err(SourceRefError::Malformed)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SourceRefError::Credentials);
    }
    url.set_fragment(None);
    Ok(SourceRef::Absolute(url))
}

fn zone(text: &str) -> Result<SourceRef, SourceRefError> {
    // The host stands before the path whatever the path is, so that no number of slashes makes another host of it, and the URL
    // parser stops every `..` and `%2e%2e` at the root. It reads a backslash as a slash.
    let url =
        Url::parse(&format!("http://zone.invalid/{text}")).map_err(SourceRefError::Malformed)?;
    let path = url.path().trim_start_matches('/');
    Ok(SourceRef::Zone(match url.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, zone_or_url: &str) {
        let source = SourceRef::parse(text).expect(text);
        let shown = match &source {
            SourceRef::Zone(path) => path,
            SourceRef::Absolute(url) => url.as_str(),
        };
        assert_eq!(shown, zone_or_url, "{text}");
        assert_eq!(
            matches!(source, SourceRef::Zone(_)),
            zone_or_url.starts_with('/'),
            "{text}"
        );
    }

    #[track_caller]
    fn check_fault(text: &str, message: &str) {
        let fault = SourceRef::parse(text).expect_err(text).to_string();
        assert!(fault.contains(message), "{text}: {fault}");
    }

    #[test]
    fn plain_urls_stay_as_they_are() {
        check("https://h.test/a.jpg", "https://h.test/a.jpg");
        check("http://h.test:8080/a.jpg", "http://h.test:8080/a.jpg");
        check("HTTPS://H.test/A.jpg", "https://h.test/A.jpg");
        check(
            "https://h.test/a%20b%2Fc.jpg",
            "https://h.test/a%20b%2Fc.jpg",
        );
        check(
            "https://h.test/a.jpg?v=1&w=2%203",
            "https://h.test/a.jpg?v=1&w=2%203",
        );
        check(
            "https://h.test/a.jpg?u=https://x.test/?y",
            "https://h.test/a.jpg?u=https://x.test/?y",
        );
        check("https://h.test/a.jpg%3Fv=1", "https://h.test/a.jpg%3Fv=1");
        check("https://h.test", "https://h.test/");
        check(
            "https://b\u{fc}cher.test/a"
                .replace('\u{fc}', "%C3%BC")
                .as_str(),
            "https://xn--bcher-kva.test/a",
        );
    }

    #[test]
    fn encoded_urls_are_decoded_once() {
        check(
            "https%3A%2F%2Fh.test%2Fa.jpg%3Fv%3D1%262",
            "https://h.test/a.jpg?v=1&2",
        );
        check("https%3a%2f%2fh.test%2fa.jpg", "https://h.test/a.jpg");
        check("HTTP%3A%2F%2Fh.test%2Fa.jpg", "http://h.test/a.jpg");
        check("https%3A//h.test/a%2520b.jpg", "https://h.test/a%20b.jpg");
        check("https%3A%2Fh.test%2Fa.jpg", "https://h.test/a.jpg");
        check("https:%2F%2Fh.test%2Fa.jpg", "https://h.test/a.jpg");
        check(
            "https:%2f%2Fh.test%2Fa.jpg%3Fv=1",
            "https://h.test/a.jpg?v=1",
        );
        check("http:%2Fh.test/a.jpg", "http://h.test/a.jpg");
        check("https%3A%2F%2Fh.test%2Fa.jpg%23top", "https://h.test/a.jpg");
        check(
            "https%3A%2F%2Fh.test%2Fa%252Fb%253Fc",
            "https://h.test/a%2Fb%3Fc",
        );
    }

    #[test]
    fn merged_slashes_are_restored() {
        check("https:/h.test/a.jpg", "https://h.test/a.jpg");
        check("https:///h.test/a.jpg", "https://h.test/a.jpg");
        check("http://////h.test//a.jpg", "http://h.test//a.jpg");
    }

    #[test]
    fn the_rest_is_a_path_of_the_zone() {
        check("me.png", "/me.png");
        check("/me.png", "/me.png");
        check("//me.png", "/me.png");
        check("///evil.test/me.png", "/evil.test/me.png");
        check("\\\\evil.test\\me.png", "/evil.test/me.png");
        check("/\\evil.test", "/evil.test");
        check("uploads/a%20b.jpg?v=1?2", "/uploads/a%20b.jpg?v=1?2");
        check("uploads/a.jpg%3Fv=1", "/uploads/a.jpg%3Fv=1");
        check("a//b.jpg", "/a//b.jpg");
        check("/https://h.test/a.jpg", "/https://h.test/a.jpg");
        check("httpsx/a:b.jpg", "/httpsx/a:b.jpg");
        check("@evil.test/a", "/@evil.test/a");
        check(":8080/a", "/:8080/a");
        check("a.jpg?", "/a.jpg?");
    }

    #[test]
    fn dot_segments_stay_inside() {
        check("../../etc/passwd", "/etc/passwd");
        check("a/../../../etc/passwd", "/etc/passwd");
        check("%2e%2e/%2E%2E/etc/passwd", "/etc/passwd");
        check(".%2e/a/%2e/b", "/a/b");
        check("a/..//../b", "/b");
        check("..//evil.test/a", "/evil.test/a");
        check("..\\..\\evil.test", "/evil.test");
        // Left to the policy: only there is known who will decode it.
        check("..%2f..%2fetc", "/..%2f..%2fetc");
        check("https://h.test/themes/../private", "https://h.test/private");
        check(
            "https://h.test/themes/%2e%2e/private",
            "https://h.test/private",
        );
    }

    #[test]
    fn other_schemes_are_refused() {
        for text in [
            "ftp://h.test/a",
            "file:///etc/passwd",
            "data:image/png;base64,AAAA",
            "s3://b/k",
            "javascript:1",
            "gopher:a",
            "a.b:c",
        ] {
            check_fault(text, "must be a path or an `http://` or `https://` URL");
        }
        check_fault("httpx%3A//h.test/:a b", "must be percent-encoded");
    }

    #[test]
    fn credentials_are_refused() {
        for text in [
            "https://u:p@h.test/a",
            "https://u@h.test/a",
            "https://:p@h.test/a",
            "https%3A%2F%2Fu%40h.test%2Fa",
            "ftp://u:p@h.test/a",
            "token:x-oauth-basic@h.test/a",
        ] {
            check_fault(text, "must not hold a user or password");
        }
    }

    #[test]
    fn unfit_characters_are_refused() {
        for text in [
            "a b.jpg",
            "caf\u{e9}.jpg",
            "https://h.test/a b",
            "a\u{0}",
            "a\tb",
            "https%3A%2F%2Fh.test%2Fa%20b",
            "https%3A%2F%2Fh.test%2F%0A",
        ] {
            check_fault(text, "must be percent-encoded in the source");
        }
        check_fault("https%3A%2F%2Fh.test%2F%FF", "percent-encoded UTF-8");
    }

    #[test]
    fn malformed_urls_are_refused() {
        for text in [
            "https:",
            "https:/",
            "https://",
            "https:///",
            "https:h.test/a",
            "https://[::1/a",
            "https://h.test:99999/a",
            "https%3Ah.test",
        ] {
            check_fault(text, "the source must be a URL");
        }
    }

    #[test]
    fn a_message_repeats_a_part_only() {
        let fault =
            SourceRef::parse(&format!("{}:a", "s".repeat(9000))).expect_err("no such scheme");
        assert!(fault.to_string().len() < 200);
    }
}

//! The source of a request, in all forms in which clients and proxies write it.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// The most characters of a URL that a message repeats.
const QUOTED_CHARACTERS: usize = 40;

/// Where the image is, as the client wrote it. The syntax is checked; nobody has approved the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRef {
    /// A path of the zone with its query: starts with exactly one `/`, percent-encoded as it came, dot segments resolved.
    Zone(String),
    /// An `http` or `https` URL with a host and without credentials and fragment.
    Absolute(Url),
}

/// Why a text is not a valid source.
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
    /// The URL parser refuses it.
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
    /// Reads the source of a transformation URL, query included.
    ///
    /// A URL may come plain, percent-encoded as a whole (`https%3A%2F%2F…`), with its slashes encoded (`https:%2F%2F…`) or with
    /// its slashes merged on the way (`https:/…`). The two encoded forms are read as [`SourceRef::parse_encoded`] says; everything
    /// else keeps its percent-encoding, and `%3F` is a byte of the path. What does not start with a scheme is a path of the zone,
    /// however many slashes it starts with.
    ///
    /// # Errors
    /// [`SourceRefError`].
    pub fn parse(text: &str) -> Result<Self, SourceRefError> {
        check_characters(text)?;
        if let Some(source) = Self::parse_encoded(text) {
            return source;
        }
        if scheme(text).is_some() {
            absolute(text)
        } else {
            zone(text)
        }
    }

    /// Reads a URL that is percent-encoded as a whole or in its slashes; `None` for every other text.
    ///
    /// It is decoded once, so that `%3F` is the `?` of the query and `%252F` is `%2F`. What it holds then may have spaces and letters of all
    /// scripts, because `encodeURIComponent` is also given URLs that people wrote.
    pub(crate) fn parse_encoded(text: &str) -> Option<Result<Self, SourceRefError>> {
        is_encoded_url(text).then(|| {
            // Who encodes a URL encodes its `?`. A query behind one that is not encoded was added later, and has its own encoding.
            let (url, query) = match text.find('?') {
                Some(start) => text.split_at(start),
                None => (text, ""),
            };
            let decoded = percent_decode_str(url)
                .decode_utf8()
                .map_err(|_| SourceRefError::Encoding)?;
            Self::parse_decoded(&format!("{decoded}{query}"))
        })
    }

    /// Reads a URL or a path that is percent-decoded already. Spaces and letters of all scripts are allowed, as in a browser.
    ///
    /// # Errors
    /// [`SourceRefError`].
    pub(super) fn parse_decoded(text: &str) -> Result<Self, SourceRefError> {
        // The URL parser would drop line breaks and tabs silently.
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

/// The scheme of a text that starts like a URL.
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
        // The text around the colon may be a user and a password, which no message may repeat.
        return Err(match rest.contains('@') {
            true => SourceRefError::Credentials,
            false => SourceRefError::Scheme(scheme.to_owned()),
        });
    }
    // `https:host` is one more way to write a URL, but no generator uses it.
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
    // With a fixed host in front, no number of slashes in the path can name another host, and the URL parser stops every `..` and
    // `%2e%2e` at the root. It reads a backslash as a slash.
    let url =
        Url::parse(&format!("http://zone.invalid/{text}")).map_err(SourceRefError::Malformed)?;
    let path = url.path().trim_start_matches('/');
    Ok(SourceRef::Zone(match url.query() {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }))
}

#[cfg(test)]
mod tests;

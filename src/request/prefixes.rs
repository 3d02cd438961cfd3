//! The paths under which images are served.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// The path of the Next.js optimizer. With `trailingSlash` on, Next.js puts a slash behind it.
const NEXT_IMAGE: &str = "/_next/image";

/// The prefixes of transform URLs; setting `prefixes` of section `[server]`, a list of strings.
///
/// Each starts and ends with `/`, has at least one segment, and consists of characters that browsers and proxies do not encode.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Prefixes(Vec<String>);

/// A prefix that no request could match, or that would match too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixError(String);

impl Prefixes {
    /// Checks each prefix. An empty list leaves `/_next/image` alone.
    ///
    /// # Errors
    /// [`PrefixError`] names the first wrong one.
    pub fn new(prefixes: Vec<String>) -> Result<Self, PrefixError> {
        match prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            Some(wrong) => Err(PrefixError(wrong.clone())),
            None => Ok(Prefixes(prefixes)),
        }
    }

    /// The first prefix, as an example of all.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// The prefix that a path has, or the path of the Next.js optimizer.
    pub(crate) fn of(&self, path: &str) -> Option<&str> {
        if is_next_image(path) {
            return Some(NEXT_IMAGE);
        }
        let ours = self.0.iter().map(String::as_str);
        ours.filter(|prefix| path.starts_with(prefix))
            .max_by_key(|prefix| prefix.len())
    }

    /// Whether images are served at a path: one under a prefix, or that of the Next.js optimizer.
    pub(crate) fn is_image_path(&self, path: &str) -> bool {
        is_next_image(path) || self.strip(path).is_some()
    }

    /// Whether transformation URLs lie below a path, which may be that of a prefix without the slash at its end.
    pub(crate) fn lie_below(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let ours = self.0.iter().map(String::as_str).chain([NEXT_IMAGE]);
        ours.filter_map(|ours| ours.strip_prefix(path))
            .any(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether a request for this path would reach this server as a request for an image. Servers in front may decode the path, resolve `.`
    /// and `..`, and merge slashes.
    pub(super) fn leads_to_image(&self, path_and_query: &str) -> bool {
        let path = path_and_query.split('?').next().unwrap_or_default();
        let decoded = percent_decode_str(path).decode_utf8_lossy();
        let mut segments = Vec::new();
        for segment in decoded.split(['/', '\\']) {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                _ => segments.push(segment),
            }
        }
        // With a slash at the end, so that a prefix itself counts as well.
        self.is_image_path(&format!("/{}/", segments.join("/")))
    }

    /// The rest after the prefix. The longest matching prefix counts, so that one may lie under another.
    pub(super) fn strip<'a>(&self, target: &'a str) -> Option<&'a str> {
        self.0
            .iter()
            .filter_map(|prefix| target.strip_prefix(prefix.as_str()))
            .min_by_key(|rest| rest.len())
    }
}

impl Default for Prefixes {
    fn default() -> Self {
        Prefixes(vec!["/cdn-cgi/image/".to_owned()])
    }
}

impl TryFrom<Vec<String>> for Prefixes {
    type Error = PrefixError;

    fn try_from(prefixes: Vec<String>) -> Result<Self, PrefixError> {
        Prefixes::new(prefixes)
    }
}

impl fmt::Display for PrefixError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "a prefix must be a path that starts and ends with `/`, as in `/cdn-cgi/image/`, of letters, digits, `-`, `_`, `.` and `~`, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for PrefixError {}

/// Whether a path is that of the Next.js optimizer.
pub(super) fn is_next_image(path: &str) -> bool {
    path.strip_prefix(NEXT_IMAGE)
        .is_some_and(|rest| matches!(rest, "" | "/"))
}

fn is_prefix(prefix: &str) -> bool {
    let Some(inner) = prefix
        .strip_prefix('/')
        .and_then(|rest| rest.strip_suffix('/'))
    else {
        return false;
    };
    // Browsers and proxies remove empty segments and dot segments.
    inner.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(list: &[&str]) -> Result<Prefixes, PrefixError> {
        Prefixes::new(list.iter().map(|&prefix| prefix.to_owned()).collect())
    }

    #[test]
    fn some_paths_are_image_paths() {
        let prefixes = prefixes(&["/cdn-cgi/image/", "/dynamic/image/"]).expect("both are paths");
        for path in [
            "/cdn-cgi/image/w=8/a.jpg",
            "/cdn-cgi/image/",
            "/dynamic/image/w=8/a",
            "/_next/image",
            "/_next/image/",
        ] {
            assert!(prefixes.is_image_path(path), "{path}");
        }
        for path in [
            "/",
            "",
            "/cdn-cgi/image",
            "/CDN-CGI/image/a",
            "/x/cdn-cgi/image/a",
            "/_next/images",
            "/_next/image/a",
            "*",
        ] {
            assert!(!prefixes.is_image_path(path), "{path}");
        }
    }

    #[test]
    fn prefixes_lie_below_their_folders() {
        let prefixes = prefixes(&["/cdn-cgi/image/"]).expect("a path");
        for path in [
            "/cdn-cgi",
            "/cdn-cgi/",
            "/cdn-cgi/image",
            "/cdn-cgi/image/",
            "/_next",
            "/",
            "",
        ] {
            assert!(prefixes.lie_below(path), "{path}");
        }
        for path in ["/cdn", "/cdn-cgi/image/w=8", "/uploads", "cdn-cgi"] {
            assert!(!prefixes.lie_below(path), "{path}");
        }
    }

    #[test]
    fn no_spelling_of_a_prefix_leads_elsewhere() {
        let prefixes = prefixes(&["/cdn-cgi/image/"]).expect("a path");
        for path in [
            "/cdn-cgi/image/w=8/a.jpg",
            "/cdn-cgi/./image/w=8/a.jpg",
            "/x/../cdn-cgi/image/w=8/a.jpg",
            "/../cdn-cgi/image/w=8/a.jpg",
            "/%63dn-cgi/image/w=8/a.jpg",
            "/%63%64%6E%2Dcgi/%69mage/w=8/a.jpg",
            "/cdn-cgi%2Fimage%2fw=8/a.jpg",
            "/cdn-cgi%5Cimage/w=8/a.jpg",
            "/cdn-cgi\\image/w=8/a.jpg",
            "/cdn-cgi/%2e/image/w=8/a.jpg",
            "/x%2f..%2fcdn-cgi/image/w=8/a.jpg",
            "//cdn-cgi///image//w=8/a.jpg",
            "/%2Fcdn-cgi/image/w=8/a.jpg",
            "/cdn-cgi/image",
            "/cdn-cgi/image?x",
            "/_next/image?url=/a.jpg",
            "/_next/%69mage/?url=/a.jpg",
        ] {
            assert!(prefixes.leads_to_image(path), "{path}");
        }
        for path in [
            "/",
            "",
            "/a.jpg",
            "/uploads/cdn-cgi/image/a.jpg",
            "/cdn-cgi/images/a.jpg",
            "/a.jpg?/cdn-cgi/image/w=8/b.jpg",
            "/cdn-cgi/image/../../a.jpg",
            "/%ff%00",
        ] {
            assert!(!prefixes.leads_to_image(path), "{path}");
        }
    }

    #[test]
    fn the_longest_prefix_counts() {
        for list in [["/a/", "/a/b/"], ["/a/b/", "/a/"]] {
            let prefixes = prefixes(&list).expect("both are paths");
            assert_eq!(prefixes.strip("/a/b/c"), Some("c"));
            assert_eq!(prefixes.strip("/a/c"), Some("c"));
        }
    }

    #[test]
    fn wrong_prefixes_are_named() {
        for wrong in [
            "", "/", "//", "image/", "/image", "/a//b/", "/a/../b/", "/a b/", "/a%20b/", "/a?b/",
            "/é/", "/a,b/",
        ] {
            let error = prefixes(&["/cdn-cgi/image/", wrong]).expect_err(wrong);
            assert!(
                error.to_string().ends_with(&format!("got `{wrong}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_list_of_strings_becomes_prefixes() {
        #[derive(Deserialize)]
        struct Server {
            prefixes: Prefixes,
        }
        let server: Server =
            toml::from_str("prefixes = ['/cdn-cgi/image/']").expect("a list of one path");
        assert_eq!(server.prefixes, Prefixes::default());
        let error = toml::from_str::<Server>("prefixes = ['image']")
            .err()
            .expect("not a path");
        assert!(error.message().contains("got `image`"), "{error}");
    }
}

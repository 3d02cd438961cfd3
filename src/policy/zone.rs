//! The zone: where a source without a host is found.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

/// The origin of the zone: `file:DIR`, `http(s)://HOST[:PORT][/PATH]`, `bucket:NAME` or `none` in the settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum ZoneOrigin {
    /// A folder; relative to the working directory unless it starts at the root.
    Folder(PathBuf),
    /// A server. Every path of the zone is below the path of this URL, which has no slash at its end.
    Http(Url),
    /// The configured bucket of this name.
    Bucket(String),
    /// There is no zone: every source must be named with its host.
    None,
}

/// What is served of the zone as it is, at paths that are no transformation URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Originals {
    /// What is a picture by its first bytes: nothing is exposed that a transformation would not expose.
    Pictures,
    /// Everything.
    All,
    /// Nothing.
    None,
}

/// A text that is no origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneOriginError {
    /// The text is malformed.
    Malformed(String),
    /// The URL holds `user:password@`, which is kept out of the message.
    Credentials,
}

impl fmt::Display for ZoneOriginError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZoneOriginError::Malformed(text) => write!(
                formatter,
                "`origin` must be `file:DIR`, `http(s)://HOST[:PORT][/PATH]`, `bucket:NAME` or `none`, got `{text}`"
            ),
            ZoneOriginError::Credentials => {
                formatter.write_str("the URL of `origin` must not hold a user or password")
            }
        }
    }
}

impl std::error::Error for ZoneOriginError {}

impl Default for ZoneOrigin {
    fn default() -> Self {
        ZoneOrigin::Folder(PathBuf::from("examples/photos"))
    }
}

impl TryFrom<String> for ZoneOrigin {
    type Error = ZoneOriginError;

    fn try_from(text: String) -> Result<Self, ZoneOriginError> {
        match text.split_once(':') {
            Some(("file", folder)) if !folder.is_empty() => {
                return Ok(ZoneOrigin::Folder(PathBuf::from(folder)));
            }
            Some(("bucket", name)) if !name.is_empty() => {
                return Ok(ZoneOrigin::Bucket(name.to_owned()));
            }
            None if text == "none" => return Ok(ZoneOrigin::None),
            Some(("http" | "https", rest)) if rest.starts_with("//") => {}
            _ => return Err(ZoneOriginError::Malformed(text)),
        }
        if text.contains('@') {
            return Err(ZoneOriginError::Credentials);
        }
        let Ok(mut url) = Url::parse(&text) else {
            return Err(ZoneOriginError::Malformed(text));
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ZoneOriginError::Malformed(text));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(ZoneOrigin::Http(url))
    }
}

/// The URL of a path of the zone, where that is the server `base`.
pub(crate) fn zone_url(base: &Url, path: &str, query: Option<&str>) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(query);
    url.set_fragment(None);
    url
}

impl ZoneOrigin {
    /// What is served as it is, unless the settings say otherwise. A bucket is often private.
    pub(super) fn default_originals(&self) -> Originals {
        match self {
            ZoneOrigin::Folder(_) | ZoneOrigin::Http(_) => Originals::Pictures,
            ZoneOrigin::Bucket(_) | ZoneOrigin::None => Originals::None,
        }
    }

    /// The path and query, relative to the zone, of a URL on its server; None for every other URL.
    pub(super) fn path_of<'a>(&self, url: &'a Url) -> Option<&'a str> {
        let ZoneOrigin::Http(origin) = self else {
            return None;
        };
        let is_same_server = url.scheme() == origin.scheme()
            && url.host() == origin.host()
            && url.port_or_known_default() == origin.port_or_known_default();
        let base = origin.path().trim_end_matches('/');
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].strip_prefix(base)?;
        (is_same_server && path.starts_with('/')).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<ZoneOrigin, ZoneOriginError> {
        ZoneOrigin::try_from(text.to_owned())
    }

    #[test]
    fn origins_are_read() {
        assert_eq!(origin("file:examples/photos"), Ok(ZoneOrigin::default()));
        assert_eq!(
            origin("file:/srv/a b"),
            Ok(ZoneOrigin::Folder(PathBuf::from("/srv/a b")))
        );
        assert_eq!(
            origin("bucket:photos"),
            Ok(ZoneOrigin::Bucket("photos".to_owned()))
        );
        for (text, url) in [
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000/"),
            ("https://Origin.test/a//", "https://origin.test/a"),
            ("https://origin.test/a/b", "https://origin.test/a/b"),
        ] {
            assert_eq!(
                origin(text),
                Ok(ZoneOrigin::Http(
                    Url::parse(url).expect("the table holds valid URLs")
                )),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_origins_are_named() {
        for text in [
            "",
            "photos",
            "file:",
            "bucket:",
            "ftp://h/",
            "http:h",
            "https://",
            "https://h/?a",
            "https://h/#a",
            "https://h:x/",
        ] {
            let error = origin(text).expect_err(text).to_string();
            assert!(error.ends_with(&format!("got `{text}`")), "{error}");
        }
        let error = origin("https://u:secret@h/")
            .expect_err("credentials")
            .to_string();
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn urls_on_the_server_are_relative_to_the_zone() {
        #[track_caller]
        fn check(zone: &str, url: &str, path: Option<&str>) {
            let url = Url::parse(url).expect("the table holds valid URLs");
            assert_eq!(
                origin(zone).expect("the table holds origins").path_of(&url),
                path,
                "{zone} {url}"
            );
        }
        check(
            "http://o.test:9000",
            "http://o.test:9000/a.jpg?v=1",
            Some("/a.jpg?v=1"),
        );
        check("http://o.test:9000/", "http://O.test:9000", Some("/"));
        check(
            "http://o.test/base",
            "http://o.test:80/base/a.jpg",
            Some("/a.jpg"),
        );
        check("http://o.test/base", "http://o.test/base/../a.jpg", None);
        check("http://o.test/base", "http://o.test/based/a.jpg", None);
        check("http://o.test/base", "http://o.test/base?x", None);
        check("http://o.test", "https://o.test/a.jpg", None);
        check("http://o.test", "http://o.test:81/a.jpg", None);
        check("http://o.test", "http://p.test/a.jpg", None);
        check("bucket:o.test", "http://o.test/a.jpg", None);
    }
}

//! Which sources operators mean when they name one, or what the addresses of many begin with. A purge that takes too much back costs a fetch,
//! and one that takes too little shows what should be gone, so a text that may mean several sources means all of them.

use std::fmt;

use url::Url;

use super::Allowlist;
use super::ApprovedSource;
use super::Denial;
use super::SourceLocation;

/// A last segment that no prefix has: what is approved with it is approved as something below the prefix.
const MARKER: &str = "~";

/// Why a text names no source, and begins the address of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolveError {
    /// Nothing, or line breaks and the like.
    Characters,
    /// Another scheme than `http` and `https`.
    Scheme,
    /// What the URL parser cannot read.
    Malformed,
    /// `user:password@`. The text must not be repeated.
    Credentials,
    /// A prefix with `?` or `#`.
    Query,
    /// No `[[bucket]]` has this name, or the key is none.
    Bucket,
    /// A path that hides dot segments, or that is no key of the zone's bucket.
    Path,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ResolveError::Characters => "must not be empty or hold control characters",
            ResolveError::Scheme => {
                "must be a URL with `http://` or `https://`, a path of the zone as in `/uploads/cat.jpg`, or `bucket:NAME/KEY`"
            }
            ResolveError::Malformed => "must be a URL that can be read",
            ResolveError::Credentials => "must not hold a user or password",
            ResolveError::Query => "must end before the query: a prefix takes in every query",
            ResolveError::Bucket => "must name a [[bucket]] and a key, as in `bucket:NAME/KEY`",
            ResolveError::Path => "must not hide `.` or `..` and must name something of the zone",
        })
    }
}

impl std::error::Error for ResolveError {}

/// The ways to name a source or a prefix.
enum SourceSpec<'a> {
    /// A path, or `zone:` and a path.
    Zone(&'a str),
    /// `bucket:NAME/KEY`, the key as it is.
    Object {
        bucket: &'a str,
        key: &'a str,
    },
    Url(Url),
    /// Without scheme and slash: a path, or a host and a path.
    Bare(&'a str),
}

impl<'a> SourceSpec<'a> {
    fn of(text: &'a str) -> Result<Self, ResolveError> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(ResolveError::Characters);
        }
        if let Some(path) = text.strip_prefix("zone:") {
            return Ok(SourceSpec::Zone(path));
        }
        if let Some(object) = text.strip_prefix("bucket:") {
            let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
            return Ok(SourceSpec::Object { bucket, key });
        }
        if text.starts_with(['/', '\\']) {
            return Ok(SourceSpec::Zone(text));
        }
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.contains(['/', '?']) => {
                absolute(text).map(SourceSpec::Url)
            }
            _ => Ok(SourceSpec::Bare(text)),
        }
    }
}

fn absolute(text: &str) -> Result<Url, ResolveError> {
    let mut url = Url::parse(text).map_err(|_| ResolveError::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ResolveError::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ResolveError::Credentials);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The URLs of both schemes that a text without one may stand for: none where it does not begin like a host.
fn with_schemes(text: &str) -> Result<Vec<Url>, ResolveError> {
    let host = text.split(['/', '?']).next().unwrap_or_default();
    if !host.contains(['.', ':']) && host != "localhost" {
        return Ok(Vec::new());
    }
    let schemes = ["https://", "http://"];
    schemes
        .map(|scheme| absolute(&format!("{scheme}{text}")))
        .into_iter()
        .collect()
}

impl Allowlist {
    /// Every source that a text may mean: a URL in any spelling, a path of the zone, `zone:PATH` or `bucket:NAME/KEY`.
    ///
    /// A URL means what is read at it and, because its host may be one that clients know the zone by, what the zone has at its path.
    ///
    /// # Errors
    /// [`ResolveError`] where it can mean none.
    pub fn resolve(&self, text: &str) -> Result<Vec<ApprovedSource>, ResolveError> {
        let mut meant = Vec::new();
        match SourceSpec::of(text)? {
            SourceSpec::Zone(path) => meant.push(self.approve_zone(path)),
            SourceSpec::Object { bucket, key } => {
                meant.push(Ok(self
                    .approve_key(bucket, key)
                    .ok_or(ResolveError::Bucket)?));
            }
            SourceSpec::Url(url) => self.resolve_url(&url, &mut meant),
            SourceSpec::Bare(text) => {
                meant.push(self.approve_zone(text));
                if text.contains('/') {
                    for url in with_schemes(text)? {
                        self.resolve_url(&url, &mut meant);
                    }
                }
            }
        }
        let mut sources = Vec::new();
        for source in meant.into_iter().flatten() {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        if sources.is_empty() {
            return Err(ResolveError::Path);
        }
        Ok(sources)
    }

    fn resolve_url(&self, url: &Url, meant: &mut Vec<Result<ApprovedSource, Denial>>) {
        let source = self.approve(url);
        let is_object = is_object(&source);
        meant.push(source);
        if !is_object {
            meant.push(
                self.approve_zone(&url[url::Position::BeforePath..url::Position::AfterQuery]),
            );
        }
    }

    /// What the canonical addresses begin with of every source that a prefix may mean, which is written as a source is. It ends where a segment
    /// does. Whether a source that begins so may be read does not matter: it may have been when it was.
    ///
    /// # Errors
    /// [`ResolveError`] where it can mean none.
    pub fn resolve_prefixes(&self, text: &str) -> Result<Vec<String>, ResolveError> {
        let mut meant = Vec::new();
        match SourceSpec::of(text)? {
            SourceSpec::Object { bucket, key } => {
                if !self.has_bucket(bucket) {
                    return Err(ResolveError::Bucket);
                }
                meant.push(format!("bucket:{bucket}/{key}"));
            }
            _ if text.contains(['?', '#']) => return Err(ResolveError::Query),
            SourceSpec::Zone(path) => meant.extend(self.prefix_of_zone(path)),
            SourceSpec::Url(url) => self.resolve_prefixes_of_url(&url, &mut meant),
            SourceSpec::Bare(text) => {
                meant.extend(self.prefix_of_zone(text));
                for url in with_schemes(text)? {
                    self.resolve_prefixes_of_url(&url, &mut meant);
                }
            }
        }
        if meant.is_empty() {
            return Err(ResolveError::Path);
        }
        meant.sort();
        meant.dedup();
        Ok(meant)
    }

    fn resolve_prefixes_of_url(&self, url: &Url, meant: &mut Vec<String>) {
        let (path, marker) = with_marker(url.path());
        let mut below = url.clone();
        below.set_path(&path);
        let source = self.approve(&below);
        if !is_object(&source) {
            meant.extend(self.prefix_of_zone(url.path()));
        }
        meant.push(match source {
            Ok(source) => without_marker(&source, marker),
            Err(_) => super::sources::without_ornaments(url).to_string(),
        });
    }

    fn prefix_of_zone(&self, path: &str) -> Option<String> {
        let (path, marker) = with_marker(path);
        let below = self.approve_zone(&path).ok()?;
        Some(without_marker(&below, marker))
    }
}

fn is_object(source: &Result<ApprovedSource, Denial>) -> bool {
    let location = source.as_ref().map(ApprovedSource::location);
    matches!(location, Ok(SourceLocation::Bucket { .. }))
}

/// The path of something below a prefix, and how many of its last bytes the prefix does not have.
fn with_marker(prefix: &str) -> (String, usize) {
    let marker = if prefix.ends_with('/') { "" } else { "/" };
    (
        format!("{prefix}{marker}{MARKER}"),
        marker.len() + MARKER.len(),
    )
}

fn without_marker(below: &ApprovedSource, marker: usize) -> String {
    let mut prefix = below.canonical();
    prefix.truncate(prefix.len().saturating_sub(marker));
    prefix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Allowlist;
    use super::ApprovedSource;
    use super::ResolveError;
    use crate::bucket::BucketAddress;
    use crate::policy::OriginPattern;
    use crate::policy::ZoneOrigin;

    fn allowlist(zone: &str) -> Allowlist {
        let bucket = toml::from_str("name = 'photos'\nbucket = 'shop'\nregion = 'eu-west-1'\n")
            .expect("a bucket");
        let allowed = ["b.com", "*.c.com/themes"]
            .map(|entry| OriginPattern::try_from(entry.to_owned()).expect("an origin"));
        Allowlist::new(
            allowed.to_vec(),
            ZoneOrigin::try_from(zone.to_owned()).expect("a zone"),
            vec![BucketAddress::of(&bucket).expect("an address")],
            None,
        )
        .expect("they fit")
    }

    #[track_caller]
    fn check(zone: &str, text: &str, meant: &[&str]) {
        let sources = allowlist(zone).resolve(text).expect(text);
        let addresses: Vec<_> = sources.iter().map(ApprovedSource::canonical).collect();
        assert_eq!(addresses, meant, "{text}");
    }

    #[track_caller]
    fn check_prefix(zone: &str, text: &str, meant: &[&str]) {
        assert_eq!(
            allowlist(zone).resolve_prefixes(text).expect(text),
            meant,
            "{text}"
        );
    }

    #[test]
    fn a_source_may_be_named_in_every_way() {
        let zone = "file:x";
        check(zone, "/uploads/a.jpg", &["zone:/uploads/a.jpg"]);
        check(zone, "uploads/a.jpg", &["zone:/uploads/a.jpg"]);
        check(zone, "a.jpg", &["zone:/a.jpg"]);
        check(zone, "/a b.jpg?v=1", &["zone:/a%20b.jpg"]);
        check("http://o.test", "/a b.jpg?v=1", &["zone:/a%20b.jpg?v=1"]);
        check(zone, "zone:/a.jpg", &["zone:/a.jpg"]);
        check(
            zone,
            "bucket:photos/cats/a b.jpg",
            &["bucket:photos/cats/a b.jpg"],
        );
        for url in [
            "https://shop.s3.eu-west-1.amazonaws.com/cats/a%20b.jpg",
            "http://s3.eu-west-1.amazonaws.com/shop/cats/a%20b.jpg",
            "https://shop.s3.amazonaws.com/cats/a%20b.jpg?X-Amz-Signature=x",
        ] {
            check(zone, url, &["bucket:photos/cats/a b.jpg"]);
        }
    }

    #[test]
    fn a_url_is_meant_as_one_of_the_zone_as_well() {
        let zone = "file:x";
        let url = "https://www.shop.com/u/a.jpg?v=1";
        check(zone, url, &["zone:/u/a.jpg"]);
        check("http://o.test", url, &["zone:/u/a.jpg?v=1"]);
        check(
            zone,
            "https://b.com./u/a.jpg#x",
            &["https://b.com/u/a.jpg", "zone:/u/a.jpg"],
        );
        check(
            zone,
            "https://x.c.com/private/a.jpg",
            &["zone:/private/a.jpg"],
        );
        let bare = [
            "zone:/b.com/a.jpg",
            "https://b.com/a.jpg",
            "zone:/a.jpg",
            "http://b.com/a.jpg",
        ];
        check(zone, "b.com/a.jpg", &bare);
        let zone = "http://o.test:9000/base";
        let both = ["zone:/a.jpg", "zone:/base/a.jpg"];
        check(zone, "http://o.test:9000/base/a.jpg", &both);
        check(
            "bucket:photos",
            "https://www.shop.com/a.jpg?v=1",
            &["bucket:photos/a.jpg"],
        );
    }

    #[test]
    fn a_prefix_is_told_as_canonical_addresses_begin() {
        let zone = "file:x";
        check_prefix(zone, "/uploads/", &["zone:/uploads/"]);
        check_prefix(zone, "/uploads", &["zone:/uploads"]);
        check_prefix(zone, "/", &["zone:/"]);
        check_prefix(zone, "zone:", &["zone:"]);
        check_prefix(zone, "uploads/2024", &["zone:/uploads/2024"]);
        check_prefix(zone, "bucket:photos/cats", &["bucket:photos/cats"]);
        check_prefix(zone, "bucket:photos", &["bucket:photos/"]);
        check_prefix(zone, "bucket:photos/what?", &["bucket:photos/what?"]);
        let root = "https://shop.s3.eu-west-1.amazonaws.com";
        check_prefix(zone, root, &["bucket:photos/"]);
        check_prefix(zone, &format!("{root}/a%20b/"), &["bucket:photos/a b/"]);
        check_prefix("bucket:photos", "/cats", &["bucket:photos/cats"]);
        check_prefix("bucket:photos", "/", &["bucket:photos/"]);
    }

    #[test]
    fn a_prefix_may_be_one_of_the_zone_or_of_what_was_allowed_once() {
        let zone = "file:x";
        check_prefix(
            zone,
            "https://b.com/themes",
            &["https://b.com/themes", "zone:/themes"],
        );
        // Below it is what is allowed, although it is not.
        check_prefix(zone, "https://x.c.com", &["https://x.c.com/", "zone:/"]);
        let both = [
            "http://www.shop.com/css",
            "https://www.shop.com/css",
            "zone:/css",
            "zone:/www.shop.com/css",
        ];
        check_prefix(zone, "www.shop.com/css", &both);
    }

    #[test]
    fn what_means_nothing_is_told() {
        let allowlist = allowlist("file:x");
        for (text, unclear) in [
            ("", ResolveError::Characters),
            ("/a\nb", ResolveError::Characters),
            ("s3://shop/a.jpg", ResolveError::Scheme),
            ("ftp://b.com/a.jpg", ResolveError::Scheme),
            ("https://", ResolveError::Malformed),
            ("https://b.com:x/a", ResolveError::Malformed),
            ("https://u:p@b.com/a.jpg", ResolveError::Credentials),
            ("u:p@b.com/a.jpg", ResolveError::Credentials),
            ("bucket:other/a.jpg", ResolveError::Bucket),
        ] {
            assert_eq!(allowlist.resolve(text), Err(unclear), "{text}");
            assert_eq!(allowlist.resolve_prefixes(text), Err(unclear), "{text}");
        }
        assert_eq!(
            allowlist.resolve("bucket:photos"),
            Err(ResolveError::Bucket)
        );
        assert_eq!(allowlist.resolve("/..%2fa.jpg"), Err(ResolveError::Path));
        assert_eq!(allowlist.resolve_prefixes("/a?b"), Err(ResolveError::Query));
    }

    proptest! {
        #[test]
        fn any_text_means_something_or_not(text in any::<String>()) {
            let allowlist = allowlist("bucket:photos");
            let _ = allowlist.resolve(&text);
            let _ = allowlist.resolve_prefixes(&text);
        }
    }
}

//! Which sources operators mean when they name one, or what the addresses of many begin with. A purge that takes too much back costs a fetch,
//! and one that takes too little shows what should be gone, so a text that may mean several sources means all of them.

use std::fmt;

use url::Url;

use super::Allowlist;
use super::ApprovedSource;
use super::Denied;
use super::Place;

/// A last segment that no prefix has: what is approved with it is approved as something below the prefix.
const MARK: &str = "~";

/// Why a text names no source, and begins the address of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclear {
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

impl fmt::Display for Unclear {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Unclear::Characters => "must not be empty or hold control characters",
            Unclear::Scheme => {
                "must be a URL with `http://` or `https://`, a path of the zone as in `/uploads/cat.jpg`, or `bucket:NAME/KEY`"
            }
            Unclear::Malformed => "must be a URL that can be read",
            Unclear::Credentials => "must not hold a user or password",
            Unclear::Query => "must end before the query: a prefix takes in every query",
            Unclear::Bucket => "must name a [[bucket]] and a key, as in `bucket:NAME/KEY`",
            Unclear::Path => "must not hide `.` or `..` and must name something of the zone",
        })
    }
}

impl std::error::Error for Unclear {}

/// The ways to name a source or a prefix.
enum Spelling<'a> {
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

impl<'a> Spelling<'a> {
    fn of(text: &'a str) -> Result<Self, Unclear> {
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Unclear::Characters);
        }
        if let Some(path) = text.strip_prefix("zone:") {
            return Ok(Spelling::Zone(path));
        }
        if let Some(object) = text.strip_prefix("bucket:") {
            let (bucket, key) = object.split_once('/').unwrap_or((object, ""));
            return Ok(Spelling::Object { bucket, key });
        }
        if text.starts_with(['/', '\\']) {
            return Ok(Spelling::Zone(text));
        }
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.contains(['/', '?']) => absolute(text).map(Spelling::Url),
            _ => Ok(Spelling::Bare(text)),
        }
    }
}

fn absolute(text: &str) -> Result<Url, Unclear> {
    let mut url = Url::parse(text).map_err(|_| Unclear::Malformed)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Unclear::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Unclear::Credentials);
    }
    url.set_fragment(None);
    Ok(url)
}

/// The URLs of both schemes that a text without one may stand for: none where it does not begin like a host.
fn with_schemes(text: &str) -> Result<Vec<Url>, Unclear> {
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
    /// [`Unclear`] where it can mean none.
    pub fn meant(&self, text: &str) -> Result<Vec<ApprovedSource>, Unclear> {
        let mut meant = Vec::new();
        match Spelling::of(text)? {
            Spelling::Zone(path) => meant.push(self.approve_zone(path)),
            Spelling::Object { bucket, key } => {
                meant.push(Ok(self.approve_key(bucket, key).ok_or(Unclear::Bucket)?));
            }
            Spelling::Url(url) => self.mean(&url, &mut meant),
            Spelling::Bare(text) => {
                meant.push(self.approve_zone(text));
                if text.contains('/') {
                    for url in with_schemes(text)? {
                        self.mean(&url, &mut meant);
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
            return Err(Unclear::Path);
        }
        Ok(sources)
    }

    fn mean(&self, url: &Url, meant: &mut Vec<Result<ApprovedSource, Denied>>) {
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
    /// [`Unclear`] where it can mean none.
    pub fn prefixes_meant(&self, text: &str) -> Result<Vec<String>, Unclear> {
        let mut meant = Vec::new();
        match Spelling::of(text)? {
            Spelling::Object { bucket, key } => {
                if !self.has_bucket(bucket) {
                    return Err(Unclear::Bucket);
                }
                meant.push(format!("bucket:{bucket}/{key}"));
            }
            _ if text.contains(['?', '#']) => return Err(Unclear::Query),
            Spelling::Zone(path) => meant.extend(self.prefix_of_zone(path)),
            Spelling::Url(url) => self.mean_prefixes(&url, &mut meant),
            Spelling::Bare(text) => {
                meant.extend(self.prefix_of_zone(text));
                for url in with_schemes(text)? {
                    self.mean_prefixes(&url, &mut meant);
                }
            }
        }
        if meant.is_empty() {
            return Err(Unclear::Path);
        }
        meant.sort();
        meant.dedup();
        Ok(meant)
    }

    fn mean_prefixes(&self, url: &Url, meant: &mut Vec<String>) {
        let (path, mark) = marked(url.path());
        let mut below = url.clone();
        below.set_path(&path);
        let source = self.approve(&below);
        if !is_object(&source) {
            meant.extend(self.prefix_of_zone(url.path()));
        }
        meant.push(match source {
            Ok(source) => unmarked(&source, mark),
            Err(_) => super::sources::without_ornaments(url).to_string(),
        });
    }

    fn prefix_of_zone(&self, path: &str) -> Option<String> {
        let (path, mark) = marked(path);
        let below = self.approve_zone(&path).ok()?;
        Some(unmarked(&below, mark))
    }
}

fn is_object(source: &Result<ApprovedSource, Denied>) -> bool {
    let place = source.as_ref().map(ApprovedSource::place);
    matches!(place, Ok(Place::Bucket { .. }))
}

/// The path of something below a prefix, and how many of its last bytes the prefix does not have.
fn marked(prefix: &str) -> (String, usize) {
    let mark = if prefix.ends_with('/') { "" } else { "/" };
    (format!("{prefix}{mark}{MARK}"), mark.len() + MARK.len())
}

fn unmarked(below: &ApprovedSource, mark: usize) -> String {
    let mut prefix = below.canonical();
    prefix.truncate(prefix.len().saturating_sub(mark));
    prefix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Allowlist;
    use super::ApprovedSource;
    use super::Unclear;
    use crate::bucket::BucketAddress;
    use crate::policy::AllowedOrigin;
    use crate::policy::ZoneOrigin;

    fn allowlist(zone: &str) -> Allowlist {
        let bucket = toml::from_str("name = 'photos'\nbucket = 'shop'\nregion = 'eu-west-1'\n")
            .expect("a bucket");
        let allowed = ["b.com", "*.c.com/themes"]
            .map(|entry| AllowedOrigin::try_from(entry.to_owned()).expect("an origin"));
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
        let sources = allowlist(zone).meant(text).expect(text);
        let addresses: Vec<_> = sources.iter().map(ApprovedSource::canonical).collect();
        assert_eq!(addresses, meant, "{text}");
    }

    #[track_caller]
    fn check_prefix(zone: &str, text: &str, meant: &[&str]) {
        assert_eq!(
            allowlist(zone).prefixes_meant(text).expect(text),
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
            ("", Unclear::Characters),
            ("/a\nb", Unclear::Characters),
            ("s3://shop/a.jpg", Unclear::Scheme),
            ("ftp://b.com/a.jpg", Unclear::Scheme),
            ("https://", Unclear::Malformed),
            ("https://b.com:x/a", Unclear::Malformed),
            ("https://u:p@b.com/a.jpg", Unclear::Credentials),
            ("u:p@b.com/a.jpg", Unclear::Credentials),
            ("bucket:other/a.jpg", Unclear::Bucket),
        ] {
            assert_eq!(allowlist.meant(text), Err(unclear), "{text}");
            assert_eq!(allowlist.prefixes_meant(text), Err(unclear), "{text}");
        }
        assert_eq!(allowlist.meant("bucket:photos"), Err(Unclear::Bucket));
        assert_eq!(allowlist.meant("/..%2fa.jpg"), Err(Unclear::Path));
        assert_eq!(allowlist.prefixes_meant("/a?b"), Err(Unclear::Query));
    }

    proptest! {
        #[test]
        fn any_text_means_something_or_not(text in any::<String>()) {
            let allowlist = allowlist("bucket:photos");
            let _ = allowlist.meant(&text);
            let _ = allowlist.prefixes_meant(&text);
        }
    }
}

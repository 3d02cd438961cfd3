//! The sources that may be read. An [`ApprovedSource`] is made only here, so code that has one may read it.

use std::borrow::Cow;

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;
use url::Url;

use crate::bucket::BucketAddress;
use crate::policy::config::HostedStore;
use crate::policy::dot_segments::hides_dot_segments;
use crate::policy::error::{Denial, PolicyError};
use crate::policy::hosted_store::{HiddenFolder, PrivateBucket};
use crate::policy::origin_pattern::OriginPattern;
use crate::policy::zone::{ZoneOrigin, zone_url};

/// The most characters of a host name that a message repeats; names in DNS are not longer.
const QUOTED_HOST: usize = 253;

/// The sources that may be read: the zone, the configured buckets, and the allowed origins.
#[derive(Debug, Clone)]
pub struct Allowlist {
    allowed: Vec<OriginPattern>,
    /// Whether every origin is allowed.
    allows_all: bool,
    zone: ZoneOrigin,
    /// The buckets that URLs may name.
    buckets: Vec<BucketAddress>,
    /// Buckets that are never a source: that of the cache, and that of hosted images.
    private: Vec<BucketAddress>,
    /// The folder of hosted images, where it is below that of the zone.
    hidden: Option<HiddenFolder>,
}

/// A source that the allowlist has approved. There is no other constructor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApprovedSource {
    location: SourceLocation,
}

/// Where an approved source is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceLocation {
    /// In the folder or on the server of the zone.
    Zone {
        /// Percent-encoded. It starts with exactly one `/`, and decoding it once gives no `.` or `..` segment and no NUL.
        path: String,
        /// The query, on a server. A folder has no queries.
        query: Option<String>,
    },
    /// An object of a configured bucket.
    Bucket {
        /// The `name` of the `[[bucket]]` section.
        name: String,
        /// The decoded key, as [`BucketAddress::key_of_path`] lets it through.
        key: String,
    },
    /// A file in the store of hosted images.
    Hosted {
        /// Its key below the root of the store.
        key: String,
        /// The name of the file that was uploaded.
        filename: String,
    },
    /// On an allowed origin. The URL has no credentials, no fragment and no dot after the host.
    Http(Url),
}

impl ApprovedSource {
    /// Where it is.
    pub(crate) fn location(&self) -> &SourceLocation {
        &self.location
    }

    /// The last segment of its path or key, decoded; empty where that ends with a slash. A segment may hold any character.
    pub(crate) fn last_segment(&self) -> Cow<'_, str> {
        let last = |path| str::rsplit(path, '/').next().unwrap_or_default();
        match &self.location {
            SourceLocation::Zone { path, .. } => percent_decode_str(last(path)).decode_utf8_lossy(),
            SourceLocation::Bucket { key, .. } => Cow::Borrowed(last(key)),
            SourceLocation::Hosted { filename, .. } => Cow::Borrowed(last(filename)),
            SourceLocation::Http(url) => percent_decode_str(last(url.path())).decode_utf8_lossy(),
        }
    }

    /// The one spelling of this source, for cache keys. All URLs of one object in a configured bucket have the same, with or without a signature, and
    /// so have all encodings of one path. Approving a canonical spelling gives the same spelling again.
    pub(crate) fn canonical(&self) -> String {
        match &self.location {
            SourceLocation::Zone { path, query: None } => {
                format!("zone:{}", normalize_encoding(path))
            }
            SourceLocation::Zone {
                path,
                query: Some(query),
            } => format!(
                "zone:{}?{}",
                normalize_encoding(path),
                normalize_encoding(query)
            ),
            // A name holds no slash, so name and key cannot run together.
            SourceLocation::Bucket { name, key } => format!("bucket:{name}/{key}"),
            SourceLocation::Hosted { key, .. } => format!("hosted:{key}"),
            SourceLocation::Http(url) => normalize_encoding(url.as_str()).into_owned(),
        }
    }
}

/// Normalizes percent-encoding (RFC 3986, sections 6.2.2.1 and 6.2.2.2): characters that need none are decoded, and digits become upper case. A `%`
/// without two digits stays.
fn normalize_encoding(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        normal.push_str(before);
        let digits = after
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match (digits, byte) {
            (Some(_), Some(byte)) if is_unreserved(byte) => {
                normal.push(char::from(byte));
                &after[2..]
            }
            (Some(digits), _) => {
                normal.push('%');
                normal.push_str(&digits.to_ascii_uppercase());
                &after[2..]
            }
            (None, _) => {
                normal.push('%');
                after
            }
        };
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

/// Whether a character needs no percent-encoding (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl Allowlist {
    pub(super) fn new(
        allowed: Vec<OriginPattern>,
        zone: ZoneOrigin,
        mut buckets: Vec<BucketAddress>,
        private: &[PrivateBucket<'_>],
    ) -> Result<Self, PolicyError> {
        for (index, bucket) in buckets.iter().enumerate() {
            if buckets[..index]
                .iter()
                .any(|earlier| earlier.name() == bucket.name())
            {
                return Err(PolicyError::DuplicateBucket(bucket.name().to_owned()));
            }
        }
        let is_private = |bucket: &BucketAddress| {
            let mut private = private.iter();
            private.find(|private| private.name == bucket.name())
        };
        let addresses: Vec<_> = buckets
            .extract_if(.., |bucket| is_private(bucket).is_some())
            .collect();
        for address in &addresses {
            let setting = is_private(address).map_or("", |private| private.setting);
            let is_same = |bucket: &&BucketAddress| bucket.is_same_bucket(address);
            if let Some(other) = buckets.iter().find(is_same) {
                let other = other.name().to_owned();
                return Err(PolicyError::PrivateBucketTwice { setting, other });
            }
            let is_zone = match &zone {
                ZoneOrigin::Bucket(name) => name == address.name(),
                ZoneOrigin::Http(url) => address.covers(url),
                ZoneOrigin::Folder(_) | ZoneOrigin::None => false,
            };
            if is_zone {
                let name = address.name().to_owned();
                return Err(PolicyError::PrivateBucketAsZone { setting, name });
            }
        }
        if let ZoneOrigin::Bucket(name) = &zone
            && !buckets.iter().any(|bucket| bucket.name() == name)
        {
            return Err(PolicyError::UnknownZoneBucket(name.clone()));
        }
        Ok(Allowlist {
            allowed,
            allows_all: false,
            zone,
            buckets,
            private: addresses,
            hidden: None,
        })
    }

    /// The same, without the folder of hosted images.
    pub(super) fn hiding(self, store: &HostedStore) -> Self {
        Allowlist {
            hidden: HiddenFolder::of(store, &self.zone),
            ..self
        }
    }

    /// Approves a file in the store of hosted images, for delivery: its record names the key, and says that it may be shown.
    pub(crate) fn approve_hosted(key: &str, filename: &str) -> ApprovedSource {
        ApprovedSource {
            location: SourceLocation::Hosted {
                key: key.to_owned(),
                filename: filename.to_owned(),
            },
        }
    }

    /// The setting that allows a source.
    pub(crate) fn setting_of(&self, source: &ApprovedSource) -> String {
        match &source.location {
            SourceLocation::Zone { .. } => "zone.origin".to_owned(),
            SourceLocation::Bucket { name, .. } => match &self.zone {
                ZoneOrigin::Bucket(zone) if zone == name => "zone.origin".to_owned(),
                _ => format!("[[bucket]] `{name}`"),
            },
            SourceLocation::Hosted { .. } => "hosted.store".to_owned(),
            SourceLocation::Http(url) => {
                let entry = self.allowed.iter().position(|allowed| allowed.allows(url));
                let number = entry.map_or(0, |index| index + 1);
                format!("sources.allowed, entry {number}")
            }
        }
    }

    fn is_private(&self, url: &Url) -> bool {
        self.private.iter().any(|bucket| bucket.covers(url))
    }

    /// The list for images that are uploaded by their URL: these origins, or all where there are none. It knows no zone and no bucket.
    pub(crate) fn of_uploads(allowed: Vec<OriginPattern>) -> Self {
        Allowlist {
            allows_all: allowed.is_empty(),
            allowed,
            zone: ZoneOrigin::None,
            buckets: Vec::new(),
            private: Vec::new(),
            hidden: None,
        }
    }

    /// Approves an absolute URL. Configured buckets come first, so that requests to them are always signed, then the server of the zone, then the
    /// allowed origins.
    ///
    /// The key alone names an object of a configured bucket, so the query is dropped. On other buckets a presigned URL is an ordinary URL,
    /// signature included. The buckets of the cache and of hosted images are never a source, even if they are also an allowed origin.
    ///
    /// # Errors
    /// [`Denial::SourceNotAllowed`] when nothing allows it, [`Denial::PathNotAllowed`] for a path that the zone refuses.
    pub(crate) fn approve(&self, url: &Url) -> Result<ApprovedSource, Denial> {
        let not_allowed = || Denial::SourceNotAllowed {
            host: url
                .host_str()
                .unwrap_or_default()
                .chars()
                .take(QUOTED_HOST)
                .collect(),
        };
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_anonymous {
            return Err(not_allowed());
        }
        if self.is_private(url) {
            return Err(not_allowed());
        }
        if let Some((bucket, key)) = self
            .buckets
            .iter()
            .find_map(|bucket| Some((bucket, bucket.key_of(url)?)))
        {
            return Ok(ApprovedSource {
                location: SourceLocation::Bucket {
                    name: bucket.name().to_owned(),
                    key,
                },
            });
        }
        if let Some(path_and_query) = self.zone.path_of(url) {
            return self.approve_zone(path_and_query);
        }
        if self.allows_all || self.allowed.iter().any(|allowed| allowed.allows(url)) {
            return Ok(ApprovedSource {
                location: SourceLocation::Http(without_ornaments(url)),
            });
        }
        Err(not_allowed())
    }

    /// Approves a path of the zone, with its query. A zone that is a folder or a bucket has no queries.
    ///
    /// # Errors
    /// [`Denial::NoZone`] where there is none.
    ///
    /// [`Denial::PathNotAllowed`] when the path hides dot segments (`..%2f`) or a NUL, which could lead a server that decodes it out of the zone,
    /// or when it is not a valid key of the bucket.
    pub(crate) fn approve_zone(&self, path_and_query: &str) -> Result<ApprovedSource, Denial> {
        // With a fixed host in front, dot segments stop at the root, and no number of slashes can name another host.
        let url = Url::parse(&format!("http://zone.invalid/{path_and_query}"))
            .map_err(|_| Denial::PathNotAllowed)?;
        let path = url.path().trim_start_matches('/');
        if hides_dot_segments(path) || percent_decode_str(path).any(|byte| byte == 0) {
            return Err(Denial::PathNotAllowed);
        }
        let is_private = match &self.zone {
            ZoneOrigin::Http(base) => {
                !self.private.is_empty()
                    && self.is_private(&zone_url(base, &format!("/{path}"), None))
            }
            ZoneOrigin::Folder(_) => {
                let hidden = self.hidden.as_ref();
                hidden.is_some_and(|hidden| hidden.has(path))
            }
            ZoneOrigin::Bucket(_) => false,
            ZoneOrigin::None => return Err(Denial::NoZone),
        };
        if is_private {
            return Err(Denial::PathNotAllowed);
        }
        let location = match &self.zone {
            ZoneOrigin::Bucket(name) => SourceLocation::Bucket {
                name: name.clone(),
                key: BucketAddress::key_of_path(path).ok_or(Denial::PathNotAllowed)?,
            },
            // A file does not depend on a query. With it, every query would make one more cache entry of the same file.
            ZoneOrigin::Folder(_) => SourceLocation::Zone {
                path: format!("/{path}"),
                query: None,
            },
            ZoneOrigin::Http(_) => SourceLocation::Zone {
                path: format!("/{path}"),
                query: url.query().map(str::to_owned),
            },
            ZoneOrigin::None => return Err(Denial::NoZone),
        };
        Ok(ApprovedSource { location })
    }

    /// Approves an object of a configured bucket by its key, not encoded. `None` if URLs may not name such a bucket, or the key is invalid.
    pub(crate) fn approve_key(&self, bucket: &str, key: &str) -> Option<ApprovedSource> {
        let path = utf8_percent_encode(key, NON_ALPHANUMERIC).to_string();
        let location = SourceLocation::Bucket {
            name: bucket.to_owned(),
            key: BucketAddress::key_of_path(&path)?,
        };
        self.has_bucket(bucket)
            .then_some(ApprovedSource { location })
    }

    /// Whether a bucket that URLs may name is configured under this name.
    pub(super) fn has_bucket(&self, name: &str) -> bool {
        self.buckets.iter().any(|bucket| bucket.name() == name)
    }
}

/// The URL without its fragment and without the dot after its host.
pub(super) fn without_ornaments(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    if let Some(host) = url
        .host_str()
        .and_then(|host| host.strip_suffix('.'))
        .map(str::to_owned)
    {
        let before = url.clone();
        // A host that is invalid without the dot keeps it.
        if url.set_host(Some(&host)).is_err() {
            return before;
        }
    }
    url
}

//! Which sources may be read. [`ApprovedSource`] can only be made here, so whoever holds one has permission to read it.

use std::borrow::Cow;

use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;
use url::Url;

use super::Denial;
use super::OriginPattern;
use super::PolicyError;
use super::ZoneOrigin;
use super::zone_url;
use crate::bucket::BucketAddress;

/// The longest host name that a message repeats; names in DNS are not longer.
const QUOTED_HOST: usize = 253;

/// The sources that may be read: the zone, the configured buckets, and the allowed origins.
#[derive(Debug, Clone)]
pub struct Allowlist {
    allowed: Vec<OriginPattern>,
    zone: ZoneOrigin,
    /// Those that URLs may name.
    buckets: Vec<BucketAddress>,
    /// The one that renditions are kept in: what is there was made for the cache, and is read by nobody else.
    cache: Option<BucketAddress>,
}

/// A source that the allowlist has let through. There is no other constructor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApprovedSource {
    location: SourceLocation,
}

/// Where an approved source is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SourceLocation {
    /// On the zone's folder or server.
    Zone {
        /// Percent-encoded, starts with exactly one `/`; decoding it once leaves no `.` or `..` segment and no NUL.
        path: String,
        /// What followed the `?`, on a server; a folder knows no queries.
        query: Option<String>,
    },
    /// An object of a configured bucket.
    Bucket {
        /// The `name` of the `[[bucket]]` section.
        name: String,
        /// The decoded key, as [`BucketAddress::key_of_path`] lets it through.
        key: String,
    },
    /// On an allowed origin: no credentials, no fragment, no dot behind the host.
    Http(Url),
}

impl ApprovedSource {
    /// Where it is.
    pub fn location(&self) -> &SourceLocation {
        &self.location
    }

    /// What makes this source this source, for cache keys: two spellings of one object in a configured bucket are the same,
    /// with or without a signature, and so are two ways to encode one path. Approving what a canonical text names gives the same text again.
    pub fn canonical(&self) -> String {
        match &self.location {
            SourceLocation::Zone { path, query: None } => format!("zone:{}", encoded_alike(path)),
            SourceLocation::Zone {
                path,
                query: Some(query),
            } => format!("zone:{}?{}", encoded_alike(path), encoded_alike(query)),
            // A name holds no slash, so name and key cannot run together.
            SourceLocation::Bucket { name, key } => format!("bucket:{name}/{key}"),
            SourceLocation::Http(url) => encoded_alike(url.as_str()).into_owned(),
        }
    }
}

/// Percent-encoding in its normal form (RFC 3986, sections 6.2.2.1 and 6.2.2.2): what needs none has none, and digits are upper case. What is no
/// percent-encoding stays.
fn encoded_alike(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut alike = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        alike.push_str(before);
        let digits = after
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match (digits, byte) {
            (Some(_), Some(byte)) if is_unreserved(byte) => {
                alike.push(char::from(byte));
                &after[2..]
            }
            (Some(digits), _) => {
                alike.push('%');
                alike.push_str(&digits.to_ascii_uppercase());
                &after[2..]
            }
            (None, _) => {
                alike.push('%');
                after
            }
        };
    }
    alike.push_str(rest);
    Cow::Owned(alike)
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl Allowlist {
    pub(super) fn new(
        allowed: Vec<OriginPattern>,
        zone: ZoneOrigin,
        mut buckets: Vec<BucketAddress>,
        cache: Option<&str>,
    ) -> Result<Self, PolicyError> {
        for (index, bucket) in buckets.iter().enumerate() {
            if buckets[..index]
                .iter()
                .any(|earlier| earlier.name() == bucket.name())
            {
                return Err(PolicyError::DuplicateBucket(bucket.name().to_owned()));
            }
        }
        let cache = cache
            .and_then(|name| buckets.iter().position(|bucket| bucket.name() == name))
            .map(|index| buckets.remove(index));
        if let Some(cache) = &cache {
            let is_cache = |bucket: &&BucketAddress| bucket.is_same_bucket(cache);
            if let Some(other) = buckets.iter().find(is_cache) {
                return Err(PolicyError::CacheBucketTwice(other.name().to_owned()));
            }
            let is_zone = match &zone {
                ZoneOrigin::Bucket(name) => name == cache.name(),
                ZoneOrigin::Http(url) => cache.covers(url),
                ZoneOrigin::Folder(_) => false,
            };
            if is_zone {
                return Err(PolicyError::CacheBucketAsZone(cache.name().to_owned()));
            }
        }
        if let ZoneOrigin::Bucket(name) = &zone
            && !buckets.iter().any(|bucket| bucket.name() == name)
        {
            return Err(PolicyError::UnknownZoneBucket(name.clone()));
        }
        Ok(Allowlist {
            allowed,
            zone,
            buckets,
            cache,
        })
    }

    /// Judges an absolute URL. Configured buckets come first, so that a request to one is always signed, then the server of the
    /// zone, then the allowed origins.
    ///
    /// An object of a configured bucket is named by its key alone: the query goes, whatever it is. On a bucket that is not
    /// configured, a presigned URL is a URL like any other, signature included. The bucket of the cache is never a source, whatever else allows it.
    ///
    /// # Errors
    /// [`Denial::SourceNotAllowed`] when nothing lets it through, [`Denial::PathNotAllowed`] for a path that the zone refuses.
    pub fn approve(&self, url: &Url) -> Result<ApprovedSource, Denial> {
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
        if self.cache.as_ref().is_some_and(|cache| cache.covers(url)) {
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
        if self.allowed.iter().any(|allowed| allowed.allows(url)) {
            return Ok(ApprovedSource {
                location: SourceLocation::Http(without_ornaments(url)),
            });
        }
        Err(not_allowed())
    }

    /// Judges a path of the zone, with its query. A zone that is a folder or a bucket knows no queries.
    ///
    /// # Errors
    /// [`Denial::PathNotAllowed`] when the path hides dot segments (`..%2f`) or a NUL, which whoever decodes it would follow out of
    /// the zone, or when it is no key of the bucket.
    pub fn approve_zone(&self, path_and_query: &str) -> Result<ApprovedSource, Denial> {
        // Parsed behind a fixed host: dot segments stop at the root, and no number of slashes names another host.
        let url = Url::parse(&format!("http://zone.invalid/{path_and_query}"))
            .map_err(|_| Denial::PathNotAllowed)?;
        let path = url.path().trim_start_matches('/');
        if hides_dot_segments(path) || percent_decode_str(path).any(|byte| byte == 0) {
            return Err(Denial::PathNotAllowed);
        }
        if let (ZoneOrigin::Http(base), Some(cache)) = (&self.zone, &self.cache)
            && cache.covers(&zone_url(base, &format!("/{path}"), None))
        {
            return Err(Denial::PathNotAllowed);
        }
        let location = match &self.zone {
            ZoneOrigin::Bucket(name) => SourceLocation::Bucket {
                name: name.clone(),
                key: BucketAddress::key_of_path(path).ok_or(Denial::PathNotAllowed)?,
            },
            // A file is the same whatever is asked of it: with the query, one file would be fetched, rendered and stored for every spelling of it.
            ZoneOrigin::Folder(_) => SourceLocation::Zone {
                path: format!("/{path}"),
                query: None,
            },
            ZoneOrigin::Http(_) => SourceLocation::Zone {
                path: format!("/{path}"),
                query: url.query().map(str::to_owned),
            },
        };
        Ok(ApprovedSource { location })
    }

    /// Judges the key, as it is, of an object in a configured bucket. `None` if URLs may name no such bucket, or the key is none.
    pub fn approve_key(&self, bucket: &str, key: &str) -> Option<ApprovedSource> {
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

/// Whether a percent-encoded path has a `.` or `..` segment once it is decoded. The URL parser resolves the plain ones and those
/// written `%2e`; left are those beside an encoded slash or backslash.
pub(super) fn hides_dot_segments(path: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    decoded
        .split(|&byte| matches!(byte, b'/' | b'\\'))
        .any(|segment| matches!(segment, b"." | b".."))
}

/// The URL without its fragment and without the dot behind its host.
pub(super) fn without_ornaments(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_fragment(None);
    if let Some(host) = url
        .host_str()
        .and_then(|host| host.strip_suffix('.'))
        .map(str::to_owned)
    {
        let before = url.clone();
        // What cannot be written without the dot keeps it.
        if url.set_host(Some(&host)).is_err() {
            return before;
        }
    }
    url
}

//! Which URLs name an object of a configured bucket, as arithmetic on URLs: no connection, no credential is looked up here.
//!
//! A configured bucket's object is named by its key alone. Every query parameter of a URL that addresses it is dropped: a presigned
//! signature (`X-Amz-*`) because the request is signed anew, the rest because none of them names another object.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::de::value::MapAccessDeserializer;
use url::Host;
use url::Url;

/// The longest key S3 stores, in bytes of UTF-8.
const KEY_BYTES: usize = 1024;

/// Section `[[bucket]]`: one S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What other settings call this bucket: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What the bucket is called where it is stored.
    pub bucket: String,
    /// The region it is signed for, `eu-west-1` for example; AWS needs it, most other services do not look at it.
    #[serde(default)]
    pub region: String,
    /// `http(s)://host[:port][/path]`; empty for AWS.
    #[serde(default)]
    pub endpoint: String,
    /// Where requests put the bucket's name. URLs are recognised in both styles whatever is set here.
    #[serde(default)]
    pub style: AddressingStyle,
    /// Who signs.
    #[serde(default)]
    pub credentials: Credentials,
}

/// Where a request to the bucket puts the bucket's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressingStyle {
    /// In the host: `https://BUCKET.HOST/KEY`.
    #[default]
    Virtual,
    /// In the path: `https://HOST/BUCKET/KEY`.
    Path,
}

/// Who signs the requests to a bucket. `Debug` shows the kind only.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// The standard chain: environment, profile, web identity, container and instance metadata.
    #[default]
    Chain,
    /// Nobody: the bucket is public.
    Anonymous,
    /// These keys.
    Static {
        /// The access key id.
        key: String,
        /// The secret access key.
        secret: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Credentials::Chain => "Chain",
            Credentials::Anonymous => "Anonymous",
            Credentials::Static { .. } => "Static { hidden }",
        })
    }
}

impl<'de> Deserialize<'de> for Credentials {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CredentialsVisitor)
    }
}

struct CredentialsVisitor;

impl<'de> Visitor<'de> for CredentialsVisitor {
    type Value = Credentials;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"chain\", \"anonymous\" or { key = \"…\", secret = \"…\" }")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Credentials, E> {
        match word {
            "chain" => Ok(Credentials::Chain),
            "anonymous" => Ok(Credentials::Anonymous),
            // The word stays out of the message: it may be a secret in the wrong place.
            _ => Err(E::custom(
                "`credentials` must be \"chain\", \"anonymous\" or { key = \"…\", secret = \"…\" }",
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Credentials, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            key: String,
            secret: String,
        }
        let Keys { key, secret } = Keys::deserialize(MapAccessDeserializer::new(map))?;
        if key.is_empty() || secret.is_empty() {
            return Err(serde::de::Error::custom(
                "`key` and `secret` of `credentials` must not be empty; use \"anonymous\" for a public bucket",
            ));
        }
        Ok(Credentials::Static { key, secret })
    }
}

/// Every spelling of one configured bucket's address.
///
/// On AWS: `BUCKET.s3.REGION.amazonaws.com/KEY` and `s3.REGION.amazonaws.com/BUCKET/KEY`, the same with `s3-REGION`, with
/// `s3.dualstack.REGION` and without a region, over `http` or `https` on their default ports; another region does not match.
/// With an endpoint: `ENDPOINT/BUCKET/KEY`, and `KEY` on the endpoint with `BUCKET.` before its host; scheme and port as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    name: String,
    bucket: String,
    /// None for AWS, where either scheme means the same bucket.
    scheme: Option<String>,
    /// None: the default port of the URL's scheme.
    port: Option<u16>,
    hosts_with_bucket: Vec<String>,
    hosts_alone: Vec<String>,
    /// The endpoint's own path, empty or `/path`.
    base: String,
}

/// A `[[bucket]]` section that does not say where its bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressError {
    /// `name` is empty or holds other characters than letters, digits, `-`, `_` and `.`.
    Name(String),
    /// `bucket` cannot be the name of a bucket.
    Bucket(String),
    /// `region` is malformed, or empty where AWS is meant.
    Region(String),
    /// `endpoint` is not `http(s)://host[:port][/path]`.
    Endpoint(String),
    /// `endpoint` holds `user:password@`, which is kept out of the message.
    EndpointWithCredentials,
}

impl fmt::Display for AddressError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::Name(name) => write!(
                formatter,
                "bucket `name` must be letters, digits, `-`, `_` and `.`, got `{name}`"
            ),
            AddressError::Bucket(bucket) => write!(
                formatter,
                "`bucket` must be the name of a bucket (letters, digits, `-`, `_` and `.`), got `{bucket}`"
            ),
            AddressError::Region(region) if region.is_empty() => formatter
                .write_str("`region` must name the bucket's AWS region (`eu-west-1`, for example), or `endpoint` another service"),
            AddressError::Region(region) => {
                write!(formatter, "`region` must be letters, digits and `-`, got `{region}`")
            }
            AddressError::Endpoint(endpoint) => write!(
                formatter,
                "`endpoint` must be empty for AWS or `http(s)://host[:port][/path]`, got `{endpoint}`"
            ),
            AddressError::EndpointWithCredentials => {
                formatter.write_str("`endpoint` must not hold a user or password: they belong in `credentials`")
            }
        }
    }
}

impl std::error::Error for AddressError {}

impl BucketAddress {
    /// The spellings of the bucket that `config` describes.
    ///
    /// # Errors
    /// [`AddressError`] names the first setting that cannot be right.
    pub fn of(config: &Config) -> Result<Self, AddressError> {
        let Config {
            name,
            bucket,
            region,
            endpoint,
            style: _,
            credentials: _,
        } = config;
        if !is_name(name) {
            return Err(AddressError::Name(name.clone()));
        }
        if !is_name(bucket) {
            return Err(AddressError::Bucket(bucket.clone()));
        }
        if !region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(AddressError::Region(region.clone()));
        }
        if endpoint.is_empty() {
            Self::of_aws(name, bucket, region)
        } else {
            Self::of_endpoint(name, bucket, endpoint)
        }
    }

    /// What other settings call this bucket.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The decoded key of the object that `url` names in this bucket; None when it names something else, or no object at all.
    ///
    /// What the URL parser has resolved stays resolved: `/a/../b` is the key `b`, and a path that climbs out of the bucket is
    /// no longer in it. See [`BucketAddress::key_of_path`] for what cannot be a key.
    pub fn key_of(&self, url: &Url) -> Option<String> {
        let at_the_service = match &self.scheme {
            Some(scheme) => url.scheme() == scheme && url.port_or_known_default() == self.port,
            None => matches!(url.scheme(), "http" | "https") && url.port().is_none(),
        };
        if !at_the_service {
            return None;
        }
        let host = url.host_str()?;
        let host = host.strip_suffix('.').unwrap_or(host);
        let path = url.path().strip_prefix(&self.base)?.strip_prefix('/')?;
        if self.hosts_with_bucket.iter().any(|known| known == host) {
            return Self::key_of_path(path);
        }
        if self.hosts_alone.iter().any(|known| known == host) {
            let (bucket, key) = path.split_once('/')?;
            let bucket = percent_decode_str(bucket).decode_utf8().ok()?;
            return (bucket == self.bucket.as_str())
                .then(|| Self::key_of_path(key))
                .flatten();
        }
        None
    }

    /// Whether `url` leads into this bucket, or to the bucket itself, whatever it asks for there. Unlike [`BucketAddress::key_of`] this takes in what
    /// cannot be a key, and the default ports of both schemes, which one service answers: what must not be read should not be found by a detour.
    pub fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().filter(|_| self.has_port_of(url)) else {
            return false;
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        if self.hosts_with_bucket.iter().any(|known| known == host) {
            return true;
        }
        let is_service = self.hosts_alone.iter().any(|known| known == host);
        let Some(path) = url.path().strip_prefix(&self.base).filter(|_| is_service) else {
            return false;
        };
        // A server may decode first and look for the bucket then, and may take several slashes for one.
        let path: Vec<u8> = percent_decode_str(path).collect();
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        let first = segments.find(|segment| !segment.is_empty());
        first == Some(self.bucket.as_bytes())
    }

    /// Whether two sections describe one bucket, as far as their addresses tell.
    pub fn is_same_bucket(&self, other: &BucketAddress) -> bool {
        let ports = |address: &BucketAddress| match address.port {
            None | Some(80 | 443) => None,
            other => other,
        };
        self.bucket == other.bucket
            && ports(self) == ports(other)
            && self.base == other.base
            && self
                .hosts_alone
                .iter()
                .any(|host| other.hosts_alone.contains(host))
    }

    fn has_port_of(&self, url: &Url) -> bool {
        match self.port {
            None | Some(80 | 443) => url.port().is_none_or(|port| matches!(port, 80 | 443)),
            Some(port) => url.port() == Some(port),
        }
    }

    /// The object key that a percent-encoded path (without its leading slash) stands for: decoded once, `+` literal.
    ///
    /// Empty segments stay, because `a//b` is a key of its own. None when the path cannot be a key that is safe to ask for: empty,
    /// past 1024 bytes, not UTF-8, with control characters, or with a segment `.` or `..` left after decoding (`%2e%2e%2f`), which
    /// the URL of the request to the bucket would resolve into another object, perhaps of another bucket.
    pub fn key_of_path(path: &str) -> Option<String> {
        let key = percent_decode_str(path).decode_utf8().ok()?;
        let is_safe = !key.is_empty()
            && key.len() <= KEY_BYTES
            && !key.contains(|character: char| character.is_ascii_control())
            // A backslash separates too: URL parsers read it as a slash.
            && !key.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
        is_safe.then(|| key.into_owned())
    }

    fn of_aws(name: &str, bucket: &str, region: &str) -> Result<Self, AddressError> {
        if region.is_empty() {
            return Err(AddressError::Region(String::new()));
        }
        let region = region.to_ascii_lowercase();
        let suffix = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        let mut hosts_alone = vec![
            format!("s3.{region}.{suffix}"),
            format!("s3-{region}.{suffix}"),
            format!("s3.dualstack.{region}.{suffix}"),
        ];
        if suffix == "amazonaws.com" {
            // The global name finds a bucket of any region; China has none.
            hosts_alone.push(format!("s3.{suffix}"));
        }
        Ok(BucketAddress {
            name: name.to_owned(),
            bucket: bucket.to_owned(),
            scheme: None,
            port: None,
            hosts_with_bucket: hosts_alone
                .iter()
                .map(|host| format!("{bucket}.{host}"))
                .collect(),
            hosts_alone,
            base: String::new(),
        })
    }

    fn of_endpoint(name: &str, bucket: &str, endpoint: &str) -> Result<Self, AddressError> {
        if endpoint.contains('@') {
            return Err(AddressError::EndpointWithCredentials);
        }
        let wrong = || AddressError::Endpoint(endpoint.to_owned());
        let url = Url::parse(endpoint).map_err(|_| wrong())?;
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain {
            return Err(wrong());
        }
        let host = url.host().ok_or_else(wrong)?;
        let (host, hosts_with_bucket) = match host {
            Host::Domain(domain) => {
                let domain = domain.strip_suffix('.').unwrap_or(domain);
                (domain.to_owned(), vec![format!("{bucket}.{domain}")])
            }
            Host::Ipv4(_) | Host::Ipv6(_) => (host.to_string(), Vec::new()),
        };
        Ok(BucketAddress {
            name: name.to_owned(),
            bucket: bucket.to_owned(),
            scheme: Some(url.scheme().to_owned()),
            port: url.port_or_known_default(),
            hosts_with_bucket,
            hosts_alone: vec![host],
            base: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

//! Which URLs name objects of a configured bucket. This only looks at the URL: it needs no connection and no credentials.
//!
//! An object of a configured bucket is named by its key alone. All query parameters of its URL are dropped: a presigned signature (`X-Amz-*`)
//! because the request is signed again, and the others because none of them names another object.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Host;
use url::Url;

use crate::bucket::config::Config;
use crate::bucket::key::is_readable;

/// All spellings of the address of one configured bucket.
///
/// On AWS: `BUCKET.s3.REGION.amazonaws.com/KEY` and `s3.REGION.amazonaws.com/BUCKET/KEY`, the same with `s3-REGION`, with
/// `s3.dualstack.REGION` and without a region, over `http` or `https` on their default ports. Other regions do not match.
/// With an endpoint: `ENDPOINT/BUCKET/KEY`, and `KEY` on the endpoint with `BUCKET.` before its host; scheme and port as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketAddress {
    name: String,
    bucket: String,
    /// `None` for AWS, where both schemes mean the same bucket.
    scheme: Option<String>,
    /// `None` for the default port of the URL's scheme.
    port: Option<u16>,
    hosts_with_bucket: Vec<String>,
    hosts_alone: Vec<String>,
    /// The endpoint's own path, empty or `/path`.
    base: String,
}

/// A `[[bucket]]` section with a setting that cannot be right.
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
    /// `endpoint` contains `user:password@`. The message does not show it.
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

    /// The decoded key of the object of this bucket that `url` names. `None` if it names something else, or no object.
    ///
    /// The URL parser has resolved `..` already: `/a/../b` is the key `b`, and a path that leads out of the bucket is not in it. See
    /// [`BucketAddress::key_of_path`] for what cannot be a key.
    pub fn key_of(&self, url: &Url) -> Option<String> {
        let is_service = match &self.scheme {
            Some(scheme) => url.scheme() == scheme && url.port_or_known_default() == self.port,
            None => matches!(url.scheme(), "http" | "https") && url.port().is_none(),
        };
        if !is_service {
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

    /// Whether `url` leads to this bucket or anything in it. Unlike [`BucketAddress::key_of`] this includes what cannot be a key, and the default
    /// ports of both schemes, which lead to the same service: a bucket that must not be read must not be reachable by another spelling either.
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
        // A server may decode the path before it looks for the bucket, and may treat several slashes as one.
        let path: Vec<u8> = percent_decode_str(path).collect();
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        let first = segments.find(|segment| !segment.is_empty());
        first == Some(self.bucket.as_bytes())
    }

    /// Whether two sections describe the same bucket, judging by their addresses.
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

    /// The object key that a percent-encoded path (without its leading slash) names. It is decoded once, and `+` stays `+`.
    ///
    /// `None` for a path that is not UTF-8, or no key that can be read: decoding it may have made a segment `.` or `..` (`%2e%2e%2f`).
    pub fn key_of_path(path: &str) -> Option<String> {
        let key = percent_decode_str(path).decode_utf8().ok()?;
        is_readable(&key).then(|| key.into_owned())
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
            // The global host name works for buckets of any region. China has none.
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
mod tests;

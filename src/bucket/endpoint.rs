//! Where the requests to a bucket are sent.

use url::Host;
use url::Url;

use crate::bucket::config::AddressingStyle;

/// The base URL of the bucket's service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServiceEndpoint {
    pub(super) url: String,
    /// Whether the host contains the name of the bucket.
    pub(super) is_virtual: bool,
}

impl ServiceEndpoint {
    pub(super) fn of(
        bucket: &str,
        region: &str,
        endpoint: &str,
        style: AddressingStyle,
    ) -> Result<Self, url::ParseError> {
        let service = if endpoint.is_empty() {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://s3.{region}.amazonaws.com{suffix}")
        } else {
            endpoint.to_owned()
        };
        let mut url = Url::parse(&service)?;
        let is_virtual = match (style, url.host()) {
            // Over TLS not for a name with a dot, because the certificate of the service covers only one label.
            (AddressingStyle::Virtual, Some(Host::Domain(_))) => {
                url.scheme() == "http" || !bucket.contains('.')
            }
            // An IP address cannot contain the name of the bucket.
            (AddressingStyle::Virtual, _) | (AddressingStyle::Path, _) => false,
        };
        if is_virtual {
            let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
            url.set_host(Some(&host))?;
        }
        Ok(ServiceEndpoint {
            url: url.as_str().trim_end_matches('/').to_owned(),
            is_virtual,
        })
    }
}

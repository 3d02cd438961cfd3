//! Reads of a bucket, each of which gets its target and its signature below `object_store`.
//!
//! `object_store` sends a read, repeats it after a temporary failure, and continues content that breaks off. But its paths have no empty segments: it
//! cannot name the keys `/a`, `a//b` and `a/`. So it asks for nothing in particular, and the target travels along as an extension of the request.

use std::fmt;

use async_trait::async_trait;
use futures_util::StreamExt;
use hyper::Uri;
use object_store::ClientOptions;
use object_store::GetOptions;
use object_store::GetResult;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::bucket::http::Transport;

/// What signatures of S3 encode in a query: all but the unreserved characters of RFC 3986.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same in a path.
const IN_PATH: &AsciiSet = &IN_QUERY.remove(b'/');

/// The longest page of a list. A thousand keys of the longest kind, each of their bytes as a reference, take six million.
const MAX_PAGE_BYTES: usize = 8 << 20;

/// Reads objects, and lists of them.
pub(super) struct Reader {
    /// The URL of the bucket, without a slash at its end.
    base: String,
    client: AmazonS3,
}

/// A page of the list of keys.
#[derive(Clone, Copy, Default)]
pub(super) struct ListPage<'a> {
    /// What the keys start with.
    pub prefix: &'a str,
    /// The key that the page follows; not beside `next`.
    pub after: Option<&'a str>,
    /// The token of the page.
    pub next: Option<&'a str>,
    /// Keys with this behind the prefix are one entry together.
    pub delimiter: Option<&'a str>,
}

impl Reader {
    /// A reader of the bucket at `base`, with the retries that `builder` has. Without a signer, requests are anonymous.
    pub(super) fn new(
        base: String,
        builder: AmazonS3Builder,
        transport: Transport,
        signer: Option<Signer>,
    ) -> object_store::Result<Self> {
        let connector = SigningTransport { transport, signer };
        let client = builder
            .with_skip_signature(true)
            .with_http_connector(connector)
            .build()?;
        Ok(Reader { base, client })
    }

    /// Requests an object. The key is a readable one.
    pub(super) async fn get(
        &self,
        key: &str,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.read(&object_url(&self.base, key), options).await
    }

    /// Requests a page of a list of keys.
    pub(super) async fn list(
        &self,
        page: ListPage<'_>,
        options: GetOptions,
    ) -> object_store::Result<Vec<u8>> {
        // Sorted by name, as they are signed.
        let parameters = [
            ("continuation-token", page.next),
            ("delimiter", page.delimiter),
            ("list-type", Some("2")),
            ("prefix", Some(page.prefix)),
            ("start-after", page.after),
        ];
        let query: Vec<String> = parameters
            .into_iter()
            .filter_map(|(name, value)| {
                Some(format!("{name}={}", utf8_percent_encode(value?, IN_QUERY)))
            })
            .collect();
        let target = format!("{}?{}", self.base, query.join("&"));
        let mut content = self.read(&target, options).await?.into_stream();
        let mut page = Vec::new();
        while let Some(part) = content.next().await {
            page.extend_from_slice(&part?);
            if page.len() > MAX_PAGE_BYTES {
                return Err(generic(ReadError::LongPage));
            }
        }
        Ok(page)
    }

    async fn read(&self, target: &str, mut options: GetOptions) -> object_store::Result<GetResult> {
        let target = Uri::try_from(target).map_err(generic)?;
        options.extensions.insert(ReadTarget(target));
        self.client.get_opts(&Path::ROOT, options).await
    }
}

/// The URL of an object, spelled as signatures of S3 spell it.
fn object_url(base: &str, key: &str) -> String {
    format!("{base}/{}", utf8_percent_encode(key, IN_PATH))
}

/// What a request reads.
#[derive(Clone)]
struct ReadTarget(Uri);

/// What only this module finds wrong with a read.
#[derive(Debug)]
enum ReadError {
    /// The request would be one for the bucket itself.
    NoTarget,
    LongPage,
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ReadError::NoTarget => "the request has no target",
            ReadError::LongPage => "the list of objects is too long",
        })
    }
}

impl std::error::Error for ReadError {}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic {
        store: "S3",
        source: Box::new(error),
    }
}

/// Signs requests, each with the credentials of its time.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    pub(super) credentials: AwsCredentialProvider,
    pub(super) region: String,
}

impl Signer {
    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(request, None)
    }
}

/// Sends each request to its target, with its signature.
#[derive(Clone, Debug)]
struct SigningTransport {
    transport: Transport,
    signer: Option<Signer>,
}

#[async_trait]
impl HttpService for SigningTransport {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(ReadTarget(target)) = request.extensions_mut().remove::<ReadTarget>() else {
            return Err(HttpError::new(HttpErrorKind::Unknown, ReadError::NoTarget));
        };
        *request.uri_mut() = target;
        if let Some(signer) = &self.signer {
            let signed = signer.sign(&mut request).await;
            signed.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        }
        self.transport.call(request).await
    }
}

impl HttpConnector for SigningTransport {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use hyper::Uri;
    use url::Url;

    use super::object_url;

    #[test]
    fn every_key_has_a_url_in_both_styles() {
        for (key, path) in [
            ("a.png", "/a.png"),
            ("/lead.png", "//lead.png"),
            ("//lead.png", "///lead.png"),
            ("b//c.png", "/b//c.png"),
            ("trail/", "/trail/"),
            ("/", "//"),
            ("...", "/..."),
            ("a b \u{fc}+~.png", "/a%20b%20%C3%BC%2B~.png"),
            ("100%.png", "/100%25.png"),
            ("%2e%2e/a", "/%252e%252e/a"),
            ("what?.png", "/what%3F.png"),
            (
                "a#b&c=d,e;f:g@h!i$j.png",
                "/a%23b%26c%3Dd%2Ce%3Bf%3Ag%40h%21i%24j.png",
            ),
            (
                "('*\"<>[]{}|^`)",
                "/%28%27%2A%22%3C%3E%5B%5D%7B%7D%7C%5E%60%29",
            ),
            ("a\\b.png", "/a%5Cb.png"),
            (" both ", "/%20both%20"),
            ("\u{1f600}.png", "/%F0%9F%98%80.png"),
        ] {
            for (base, prefix) in [
                ("https://b.s3.eu-west-1.amazonaws.com", ""),
                ("https://s3.eu-west-1.amazonaws.com/b", "/b"),
                ("http://127.0.0.1:9000/base/b", "/base/b"),
            ] {
                let url = object_url(base, key);
                assert_eq!(url, format!("{base}{path}"));
                // It stays so on its way into a request.
                let uri = Uri::try_from(&url).expect("a URL");
                assert_eq!(uri.path(), format!("{prefix}{path}"));
                let parsed = Url::parse(&uri.to_string()).expect("a URL");
                assert_eq!(parsed.path(), format!("{prefix}{path}"));
            }
        }
    }
}

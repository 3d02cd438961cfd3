//! Fetches images that are uploaded by their URL.

use bytes::Bytes;
use data_encoding::BASE64;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::pipeline::Pipeline;
use crate::source::SourceError;

impl Pipeline {
    /// Fetches the file at a URL, from the origins of `hosted.fetch.allowed` and through the same guard as every source. A user and a password in the URL
    /// are sent to its origin alone.
    ///
    /// # Errors
    /// [`SourceError`]; its message is for the log.
    pub(crate) async fn download(&self, url: &Url) -> Result<Bytes, SourceError> {
        let mut bare = url.clone();
        // Both fail only for URLs without a host, which nothing approves.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let source = self.upload_allowlist.approve(&bare);
        let source = source.map_err(SourceError::RedirectDenied)?;
        let authorization = authorization(url);
        let fetched = self
            .sources
            .download(&source, &self.upload_allowlist, authorization.as_ref())
            .await;
        match &fetched {
            Ok(bytes) => self
                .metrics
                .work
                .record_fetch("fetched", bytes.len() as u64),
            Err(_) => self.metrics.work.record_fetch("upload-fetch", 0),
        }
        fetched
    }
}

/// The header of basic authentication with the user and the password of a URL.
fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(&pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::authorization;

    #[test]
    fn the_user_and_password_of_a_url_become_a_header() {
        let sent = |text: &str| {
            let value = authorization(&Url::parse(text).expect("a URL"))?;
            assert!(!format!("{value:?}").contains("Basic"), "it is hidden");
            Some(value.to_str().expect("ASCII").to_owned())
        };
        assert_eq!(sent("https://a.test/x"), None);
        assert_eq!(
            sent("https://user:p%40ss@a.test/x").as_deref(),
            Some("Basic dXNlcjpwQHNz")
        );
        assert_eq!(
            sent("https://user@a.test/x").as_deref(),
            Some("Basic dXNlcjo=")
        );
    }
}

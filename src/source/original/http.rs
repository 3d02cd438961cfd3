//! Originals from web servers.

use futures_util::StreamExt;
use hyper::HeaderMap;
use hyper::Method;
use hyper::header;
use hyper::header::HeaderValue;
use url::Url;

use crate::source::context::FetchContext;
use crate::source::error::SourceError;
use crate::source::http::{HttpClient, HttpRequest, content, redirect};
use crate::source::original::answer::{OriginAnswer, OriginReply};
use crate::source::original::headers::OriginRequest;

impl HttpClient {
    /// Sends one request for an original.
    pub(super) async fn original(
        &self,
        url: &Url,
        request: &OriginRequest,
        context: FetchContext<'_>,
    ) -> Result<OriginReply, SourceError> {
        let mut headers = request.headers.clone();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        if let Some(via) = &request.via {
            headers.insert(header::VIA, via.clone());
        }
        let method = if request.head_only {
            Method::HEAD
        } else {
            Method::GET
        };
        let sent = HttpRequest {
            method,
            url,
            headers: &headers,
            is_transfer: true,
        };
        let response = self.send(sent, context).await?;
        let Some(status) = request.accepted_status(response.status(), response.headers()) else {
            let target = redirect(url, &response)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let answer = OriginAnswer::new(status, headers, None, None);
            return Ok(OriginReply::Redirect { target, answer });
        };
        let headers = response.headers().clone();
        let (length, content) = if request.head_only {
            (stated_length(&headers), None)
        } else {
            (response.content_length(), Some(content(response).boxed()))
        };
        let answer = OriginAnswer::new(status, headers, length, content);
        Ok(OriginReply::Answer(answer))
    }
}

/// `Content-Length`.
pub(super) fn stated_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?.to_str().ok()?;
    length.trim().parse().ok()
}

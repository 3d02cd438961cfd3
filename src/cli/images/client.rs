//! Speaks the API of hosted images, that of this server or of Cloudflare. Requests that fail for the moment are sent again, with pauses.

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures_util::Stream;
use futures_util::stream;
use hyper::Method;
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::api_error::ApiError;
use super::form::UploadForm;
use super::image::Image;
use crate::outbound::root_cause;

/// The pause before each further try, in milliseconds.
const PAUSES: [u64; 6] = [500, 1000, 2000, 4000, 8000, 15_000];
/// The longest pause that a server may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The longest answer that is no picture.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long a command waits for an answer before it says so.
const SILENCE: Duration = Duration::from_secs(2);
/// How many images are listed by one request.
const PAGE: &str = "1000";
/// What names keep as it is in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A client of the images of one account.
pub(super) struct ApiClient {
    pub client: Client,
    /// The URL of the API, without a slash at its end, as in `http://127.0.0.1:8080/client/v4`.
    pub api: String,
    pub account: String,
    pub authorization: HeaderValue,
    /// Tells people something.
    pub say: fn(&str),
    /// Whether people were told that the server is slow.
    pub is_said_slow: AtomicBool,
    /// Whether the server has answered. One that never did is asked once only.
    pub has_answered: AtomicBool,
}

/// A name as a part of a path.
pub(super) fn in_path(name: &str) -> String {
    utf8_percent_encode(name, IN_PATH).to_string()
}

impl ApiClient {
    /// The URL of a path below `images/`.
    pub(super) fn url(&self, path: &str) -> String {
        format!(
            "{}/accounts/{}/images/{path}",
            self.api,
            in_path(&self.account)
        )
    }

    /// Sends a request with an optional body of JSON, and returns the result. People are told once that the result is waited for.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut work = pin!(self.send(method, path, body));
        if let Ok(result) = timeout(SILENCE, work.as_mut()).await {
            return result;
        }
        if !self.is_said_slow.swap(true, Ordering::Relaxed) {
            (self.say)(&format!(
                "the API at {} is slow to answer: waiting",
                self.api
            ));
        }
        work.await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let mut tries = 0;
        loop {
            let mut request = self.request(method.clone(), path, tries);
            if let Some(body) = body {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.to_string());
            }
            match self.result(request).await {
                // The answer of the try before was lost.
                Err(error) if tries > 0 && method == Method::DELETE && error.is_missing() => {
                    return Ok(Value::Null);
                }
                Err(error) => self.pause(&mut tries, error).await?,
                answer => return answer,
            }
        }
    }

    /// The image of this name.
    pub(super) async fn find(&self, id: &str) -> Result<Option<Image>, ApiError> {
        let path = format!("v1/{}", in_path(id));
        match self.call(Method::GET, &path, None).await {
            Ok(value) => Ok(Some(Image(value))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a form. `sent` becomes the number of bytes of the file that were sent in this try.
    pub(super) async fn upload(
        &self,
        method: Method,
        path: &str,
        form: &UploadForm,
        sent: &Arc<AtomicU64>,
    ) -> Result<Image, ApiError> {
        let mut tries = 0;
        loop {
            sent.store(0, Ordering::Relaxed);
            let encoded = form
                .encode(Arc::clone(sent))
                .await
                .map_err(|error| ApiError::local(format!("the file cannot be read: {error}")))?;
            let request = self
                .request(method.clone(), path, tries)
                .header(CONTENT_TYPE, encoded.content_type)
                .header(CONTENT_LENGTH, encoded.length)
                .body(encoded.body);
            match self.result(request).await {
                Ok(value) => return Ok(Image(value)),
                Err(error) => self.pause(&mut tries, error).await?,
            }
        }
    }

    /// Writes the original of an image into what `open` opens, anew for each try, and returns it with the SHA-256 of the bytes.
    pub(super) async fn download<W: Write>(
        &self,
        id: &str,
        mut open: impl FnMut() -> std::io::Result<W>,
    ) -> Result<(W, String), ApiError> {
        let path = format!("v1/{}/blob", in_path(id));
        let mut tries = 0;
        loop {
            let mut out = open().map_err(unwritten)?;
            match self.download_once(&path, tries, &mut out).await {
                Ok(sha256) => return Ok((out, sha256)),
                Err(error) => self.pause(&mut tries, error).await?,
            }
        }
    }

    async fn download_once(
        &self,
        path: &str,
        tries: usize,
        out: &mut impl Write,
    ) -> Result<String, ApiError> {
        let request = self.request(Method::GET, path, tries);
        let answer = request.header(ACCEPT, "image/*").send().await;
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        let mut hash = Sha256::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            hash.update(&piece);
            out.write_all(&piece).map_err(unwritten)?;
        }
        out.flush().map_err(unwritten)?;
        Ok(HEXLOWER.encode(&hash.finalize()))
    }

    /// All images that a query asks for, page after page.
    pub(super) fn images(
        &self,
        query: Vec<(String, String)>,
    ) -> impl Stream<Item = Result<Vec<Image>, ApiError>> {
        stream::try_unfold(Some(String::new()), move |token| {
            let mut query = query.clone();
            async move {
                let Some(token) = token else {
                    return Ok(None);
                };
                query.push(("per_page".to_owned(), PAGE.to_owned()));
                if !token.is_empty() {
                    query.push(("continuation_token".to_owned(), token));
                }
                let query = serde_urlencoded::to_string(&query).unwrap_or_default();
                let path = format!("v2?{query}");
                let page = self.call(Method::GET, &path, None).await?;
                let next = page["continuation_token"].as_str();
                let next = next.filter(|token| !token.is_empty()).map(str::to_owned);
                let images = page["images"].as_array().cloned().unwrap_or_default();
                Ok(Some((images.into_iter().map(Image).collect(), next)))
            }
        })
    }

    fn request(&self, method: Method, path: &str, tries: usize) -> RequestBuilder {
        let request = self
            .client
            .request(method, self.url(path))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json");
        match tries {
            0 => request,
            tries => request.header("x-stainless-retry-count", tries),
        }
    }

    async fn result(&self, request: RequestBuilder) -> Result<Value, ApiError> {
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.unreachable(&error))?;
        if !answer.status().is_success() {
            return Err(refused(answer).await);
        }
        self.has_answered.store(true, Ordering::Relaxed);
        let status = answer.status().as_u16();
        let mut envelope = read(answer)
            .await
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .unwrap_or_default();
        if envelope["success"].as_bool() != Some(true) {
            return Err(of_envelope(&envelope, status));
        }
        Ok(envelope["result"].take())
    }

    /// Waits before another try, or returns the error if there are to be no more.
    async fn pause(&self, tries: &mut usize, error: ApiError) -> Result<(), ApiError> {
        if error.status > 0 {
            self.has_answered.store(true, Ordering::Relaxed);
        }
        let is_known = self.has_answered.load(Ordering::Relaxed);
        let pause = PAUSES.get(*tries);
        let Some(&pause) = pause.filter(|_| is_known && error.is_transient()) else {
            return Err(error);
        };
        *tries += 1;
        let asked = error.retry_after.unwrap_or_default().min(MAX_PAUSE);
        tokio::time::sleep(asked.max(Duration::from_millis(pause))).await;
        Ok(())
    }

    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        let api = &self.api;
        let verb = if error.is_timeout() {
            "does not answer in time"
        } else {
            "cannot be reached"
        };
        ApiError::unanswered(format!(
            "the API at {api} {verb}: is the server running, and is this its address? `--api` names another ({})",
            root_cause(error)
        ))
    }
}

fn unwritten(error: std::io::Error) -> ApiError {
    ApiError::local(format!("the file cannot be written: {error}"))
}

/// The start of a body, as far as an answer of the API may go.
async fn read(mut answer: Response) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.ok()? {
        if bytes.len() + piece.len() > MAX_ANSWER_BYTES {
            return None;
        }
        bytes.extend_from_slice(&piece);
    }
    Some(bytes)
}

async fn refused(answer: Response) -> ApiError {
    let status = answer.status().as_u16();
    let seconds = answer.headers().get(RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    let bytes = read(answer).await.unwrap_or_default();
    let envelope = serde_json::from_slice(&bytes).unwrap_or_default();
    ApiError {
        retry_after: seconds.map(Duration::from_secs),
        ..of_envelope(&envelope, status)
    }
}

/// The error in an answer of the API.
fn of_envelope(envelope: &Value, status: u16) -> ApiError {
    let error = &envelope["errors"][0];
    let text = match error["message"].as_str() {
        Some(message) => message.to_owned(),
        None => format!("this is not the API of hosted images, or it is off (status {status})"),
    };
    ApiError {
        // An answer of success that is none is the same the next time.
        status: if status < 300 { 400 } else { status },
        code: error["code"].as_u64().unwrap_or_default(),
        text,
        retry_after: None,
    }
}

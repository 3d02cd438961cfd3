//! A client that sends targets exactly as they are written. URL libraries would change them.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Method;
use hyper::Request;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::bounded;
use super::reply::Reply;

/// A client of one address. Clones share connections.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    inner: legacy::Client<HttpConnector, Full<Bytes>>,
}

impl Client {
    /// HTTP/1.1, with connections kept alive.
    pub fn new(address: SocketAddr) -> Self {
        Client {
            address,
            inner: legacy::Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// HTTP/2 without TLS, with prior knowledge.
    pub fn h2c(address: SocketAddr) -> Self {
        let inner = legacy::Client::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http();
        Client { address, inner }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.send(Method::GET, target, &[]).await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(Method::GET, target, headers).await
    }

    pub async fn send(&self, method: Method, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.try_send(method, target, headers)
            .await
            .unwrap_or_else(|error| panic!("{target}: no answer: {error}"))
    }

    /// As [`Client::send`], where the server may be gone.
    pub async fn try_send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Reply, String> {
        self.try_send_body(method, target, headers, Bytes::new())
            .await
    }

    /// Sends a body as JSON.
    pub async fn post(&self, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.try_send_body(Method::POST, target, headers, body)
            .await
            .unwrap_or_else(|error| panic!("{target}: no answer: {error}"))
    }

    /// Sends a body with any method.
    pub async fn send_body(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.try_send_body(method, target, headers, body.into())
            .await
            .unwrap_or_else(|error| panic!("{target}: no answer: {error}"))
    }

    async fn try_send_body(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| format!("{target} cannot be asked for: {error}"))?;
        let answer = async {
            let (head, body) = self
                .inner
                .request(request)
                .await
                .map_err(|error| error.to_string())?
                .into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok(Reply {
                target: target.to_owned(),
                version: head.version,
                status: head.status.as_u16(),
                headers: head.headers,
                body: body.to_bytes(),
            })
        };
        bounded(target, answer).await
    }
}

/// Sends bytes as they are and returns what comes back until the other side closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let mut answer = Vec::new();
    let conversation = async {
        // The other side may close the connection before everything is sent.
        let _ = stream.write_all(bytes).await;
        let _ = stream.read_to_end(&mut answer).await;
    };
    bounded("a raw conversation", conversation).await;
    answer
}

//! Clients that are slow on purpose: sockets that take little, and streams of HTTP/2 with small windows.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::bounded;

/// A connection with a small receive buffer.
pub async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("a size");
    socket.connect(address).await.expect("it listens")
}

pub async fn ask(stream: &mut TcpStream, target: &str) {
    let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\n\r\n");
    let sent = stream.write_all(request.as_bytes()).await;
    sent.expect("it reads");
}

/// An HTTP/2 connection whose streams have windows of `window` bytes.
pub async fn streams(address: SocketAddr, window: u32) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

pub async fn stream(sender: &mut SendRequest<Empty<Bytes>>, target: &str) -> Response<Incoming> {
    let request = Request::get(format!("http://h{target}")).body(Empty::new());
    let answer = sender.send_request(request.expect("a request"));
    let answer = bounded("a head", answer).await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer
}

/// Whether the body ends before its announced length.
pub async fn is_cut_short(answer: Response<Incoming>) -> bool {
    let announced = answer.headers()["content-length"].to_str().expect("digits");
    let announced: usize = announced.parse().expect("digits");
    let body = bounded("the end", answer.into_body().collect()).await;
    // hyper may report a reset as the end of the body.
    body.map_or(true, |body| body.to_bytes().len() < announced)
}

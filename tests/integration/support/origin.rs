//! A scripted HTTP origin, which records its requests.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::HeaderMap;
use hyper::Request;
use hyper::Response;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

type Body = UnsyncBoxBody<Bytes, io::Error>;

pub struct TestOrigin {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    answers: Mutex<HashMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
}

/// A request that the origin got.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its path and query.
    pub target: String,
    pub headers: HeaderMap,
}

/// The answer to requests for a path.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
    gate: Option<Gate>,
}

#[derive(Clone)]
enum Content {
    Whole(Bytes),
    /// Sent in chunks, without a content length.
    Chunked(Bytes),
    /// Never ends.
    Endless,
    /// Sends half of these bytes, and the other half after a pause.
    Slow(Bytes, Duration),
    /// Sends these bytes, and then nothing.
    Stalls(Bytes),
    /// Sends these bytes, and then closes the connection although more was announced.
    BreaksOff(Bytes),
}

/// Delays answers until it is opened.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Self {
        Gate(Arc::new(watch::Sender::new(false)))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    async fn pass(&self) {
        // The sender is not dropped before this gate.
        let _ = self.0.subscribe().wait_for(|is_open| *is_open).await;
    }
}

impl Answer {
    pub fn file(bytes: impl Into<Bytes>) -> Self {
        Answer {
            status: 200,
            headers: Vec::new(),
            content: Content::Whole(bytes.into()),
            gate: None,
        }
    }

    pub fn status(status: u16) -> Self {
        Answer {
            status,
            ..Answer::file("a body that nobody should see")
        }
    }

    pub fn redirect(status: u16, to: impl Into<String>) -> Self {
        Answer::status(status).with("location", to)
    }

    pub fn chunked(bytes: impl Into<Bytes>) -> Self {
        Answer::of(Content::Chunked(bytes.into()))
    }

    pub fn endless() -> Self {
        Answer::of(Content::Endless)
    }

    pub fn slow(bytes: impl Into<Bytes>, pause: Duration) -> Self {
        Answer::of(Content::Slow(bytes.into(), pause))
    }

    pub fn stalls_after(bytes: impl Into<Bytes>) -> Self {
        Answer::of(Content::Stalls(bytes.into()))
    }

    pub fn breaks_off_after(bytes: impl Into<Bytes>) -> Self {
        Answer::of(Content::BreaksOff(bytes.into()))
    }

    fn of(content: Content) -> Self {
        Answer {
            content,
            ..Answer::file("")
        }
    }

    /// With another status than 200.
    pub fn answering(self, status: u16) -> Self {
        Answer { status, ..self }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    fn header(&self, wanted: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.as_str())
    }
}

impl<B: Into<Bytes>> From<B> for Answer {
    fn from(bytes: B) -> Self {
        Answer::file(bytes)
    }
}

impl TestOrigin {
    /// Answers 404 until `serve` adds answers.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let serving = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        TestOrigin {
            address,
            state,
            accepting,
        }
    }

    /// With one file from the start.
    pub async fn with(path: &str, answer: impl Into<Answer>) -> Self {
        let origin = TestOrigin::start().await;
        origin.serve(path, answer);
        origin
    }

    /// Sets the answer for a path, whatever the query; `*` stands for every path without an answer of its own.
    pub fn serve(&self, path: &str, answer: impl Into<Answer>) {
        lock(&self.state.answers).insert(path.to_owned(), answer.into());
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.state.asked).clone()
    }

    /// The number of requests for a path, whatever the query.
    pub fn hits(&self, path: &str) -> usize {
        self.asked()
            .iter()
            .filter(|asked| path_of(&asked.target) == path)
            .count()
    }

    /// The latest request.
    #[track_caller]
    pub fn last(&self) -> Asked {
        self.asked().pop().expect("the origin was asked")
    }
}

impl Drop for TestOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, _) = request.into_parts();
    let target = head.uri.to_string();
    let scripted = {
        let answers = lock(&state.answers);
        answers
            .get(path_of(&target))
            .or_else(|| answers.get("*"))
            .cloned()
            .unwrap_or_else(|| Answer::status(404))
    };
    lock(&state.asked).push(Asked {
        target,
        headers: head.headers.clone(),
    });
    if let Some(gate) = &scripted.gate {
        gate.pass().await;
    }
    let mut response = Response::builder();
    for (name, value) in &scripted.headers {
        response = response.header(*name, value);
    }
    let condition = head
        .headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let response = if condition.is_some() && condition == scripted.header("etag") {
        response.status(304).body(whole(Bytes::new()))
    } else {
        let (length, body) = body_of(scripted.content);
        if let Some(length) = length {
            response = response.header(CONTENT_LENGTH, length);
        }
        response.status(scripted.status).body(body)
    };
    Ok(response.expect("a test's own headers"))
}

fn body_of(content: Content) -> (Option<usize>, Body) {
    let pieces = |bytes: Bytes| {
        let half = bytes.len() / 2;
        stream::iter([Ok(bytes.slice(..half)), Ok(bytes.slice(half..))])
    };
    match content {
        Content::Whole(bytes) => (Some(bytes.len()), whole(bytes)),
        Content::Chunked(bytes) => (None, streamed(pieces(bytes))),
        Content::Endless => (
            None,
            streamed(stream::repeat_with(|| Ok(Bytes::from_static(&[0; 4096])))),
        ),
        Content::Slow(bytes, pause) => {
            let length = bytes.len();
            let pieces = pieces(bytes)
                .enumerate()
                .then(move |(index, piece)| async move {
                    if index > 0 {
                        tokio::time::sleep(pause).await;
                    }
                    piece
                });
            (Some(length), streamed(pieces))
        }
        Content::Stalls(bytes) => (
            Some(bytes.len() * 2),
            streamed(pieces(bytes).chain(stream::pending())),
        ),
        Content::BreaksOff(bytes) => {
            // What comes before it should arrive first.
            let end = stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(io::Error::other("as scripted"))
            });
            (Some(bytes.len() * 2), streamed(pieces(bytes).chain(end)))
        }
    }
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn streamed(pieces: impl stream::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Content that is too long to be held: an origin that makes it while it is taken, the same in a file with holes, and a client that checks it.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::Response;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, RANGE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::bounded;

/// The content is zeros; at each multiple of this stands the offset, in eight bytes.
const MARKS: u64 = 1 << 20;
/// How much is made at once.
const PIECE: u64 = 64 << 10;

/// A part of the content.
pub fn part(first: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).expect("it fits")];
    let end = first + length;
    let mut mark = first / MARKS * MARKS;
    while mark < end {
        for (at, byte) in (mark..).zip(mark.to_be_bytes()) {
            if (first..end).contains(&at) {
                bytes[usize::try_from(at - first).expect("it fits")] = byte;
            }
        }
        mark += MARKS;
    }
    bytes
}

/// Writes the content into a file, with holes in place of zeros.
pub fn write(path: &Path, length: u64) {
    let mut file = File::create(path).expect("a folder");
    file.set_len(length).expect("a file system with holes");
    for mark in (0..length).step_by(usize::try_from(MARKS).expect("it fits")) {
        file.seek(SeekFrom::Start(mark)).expect("a file");
        file.write_all(&mark.to_be_bytes()).expect("a file");
    }
    file.set_len(length).expect("a file");
}

/// An origin that has the content at every path, and makes it while it is taken.
pub struct LongOrigin {
    address: SocketAddr,
    counters: Arc<Counters>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counters {
    made: AtomicU64,
    transfers: AtomicUsize,
    connections: AtomicUsize,
}

/// Counts something until it is dropped.
struct Open(Arc<Counters>, fn(&Counters) -> &AtomicUsize);

impl Open {
    fn new(counters: &Arc<Counters>, which: fn(&Counters) -> &AtomicUsize) -> Self {
        which(counters).fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(counters), which)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::SeqCst);
    }
}

impl LongOrigin {
    pub async fn start(length: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let counters = Arc::new(Counters::default());
        let serving = Arc::clone(&counters);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counters = Arc::clone(&serving);
                tokio::spawn(async move {
                    let _open = Open::new(&counters, |counters| &counters.connections);
                    let service = service_fn(|request| {
                        let answer = answer(&request, length, &counters);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let connection = http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        LongOrigin {
            address,
            counters,
            accepting,
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many bytes were made so far.
    pub fn made(&self) -> u64 {
        self.counters.made.load(Ordering::SeqCst)
    }

    /// How many answers are being sent.
    pub fn transfers(&self) -> usize {
        self.counters.transfers.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.counters.connections.load(Ordering::SeqCst)
    }
}

impl Drop for LongOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn answer(
    request: &Request<Incoming>,
    length: u64,
    counters: &Arc<Counters>,
) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let range = request.headers().get(RANGE);
    let range = range.and_then(|range| parse(range.to_str().ok()?, length));
    let response = Response::builder()
        .header(ETAG, "\"long\"")
        .header(ACCEPT_RANGES, "bytes");
    let (response, first, end) = match range {
        Some((first, last)) => {
            let range = format!("bytes {first}-{last}/{length}");
            let response = response.status(206).header(CONTENT_RANGE, range);
            (response, first, last + 1)
        }
        None => (response, 0, length),
    };
    let open = Open::new(counters, |counters| &counters.transfers);
    let pieces = stream::unfold((first, open), move |(first, open)| async move {
        let length = PIECE.min(end - first);
        open.0.made.fetch_add(length, Ordering::SeqCst);
        let piece = Frame::data(Bytes::from(part(first, length)));
        (length > 0).then_some((Ok(piece), (first + length, open)))
    });
    let response = response.header(CONTENT_LENGTH, end - first);
    response.body(StreamBody::new(pieces)).expect("a response")
}

fn parse(range: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = last.parse().unwrap_or(u64::MAX).min(length.checked_sub(1)?);
    (first <= last).then_some((first, last))
}

/// A download that goes on as its test reads. What is read is checked.
pub struct Download {
    stream: TcpStream,
    /// The offset of the next byte.
    next: u64,
    /// The offset behind the last byte.
    end: u64,
    buffer: Vec<u8>,
}

impl Download {
    /// Asks for a part over a connection, and reads the head of the answer.
    pub async fn begin(mut stream: TcpStream, target: &str, first: u64, end: u64) -> Self {
        let last = end - 1;
        let request =
            format!("GET {target} HTTP/1.1\r\nhost: h\r\nrange: bytes={first}-{last}\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = bounded("a head", stream.read_u8()).await;
            head.push(byte.unwrap_or_else(|error| panic!("{target}: no answer: {error}")));
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 206"), "{target}: {head}");
        let range = format!("content-range: bytes {first}-{last}/");
        assert!(head.contains(&range), "{target}: {head}");
        let length = format!("content-length: {}\r\n", end - first);
        assert!(head.contains(&length), "{target}: {head}");
        Download {
            stream,
            next: first,
            end,
            buffer: Vec::new(),
        }
    }

    /// Reads up to so many bytes, and returns how many are left.
    pub async fn read(&mut self, most: usize) -> u64 {
        self.buffer.resize(most, 0);
        let taken = bounded("a piece", self.stream.read(&mut self.buffer)).await;
        let taken = taken.unwrap_or_else(|error| panic!("at {}: {error}", self.next));
        let length = u64::try_from(taken).expect("it fits");
        assert!(length > 0, "closed at {} of {}", self.next, self.end);
        assert!(length <= self.end - self.next, "more than announced");
        let is_right = self.buffer[..taken] == part(self.next, length);
        assert!(is_right, "other bytes after {}", self.next);
        self.next += length;
        self.end - self.next
    }

    pub async fn read_to_end(&mut self) {
        while self.read(256 << 10).await > 0 {}
    }
}

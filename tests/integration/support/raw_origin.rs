//! An origin that is no HTTP server: it writes bytes as a test wants them, whatever was asked, and ends connections as badly as it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub struct RawOrigin {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    script: Mutex<Vec<Act>>,
    asked: AtomicUsize,
}

/// One thing to do after a request has come. After the last the connection is closed.
#[derive(Clone)]
pub enum Act {
    Say(Bytes),
    /// Byte by byte, with a pause after each.
    Drip(Bytes, Duration),
    /// Until the other side goes away.
    Silence,
    /// The connection is torn down, not closed.
    Reset,
}

impl Act {
    pub fn say(bytes: impl Into<Bytes>) -> Self {
        Act::Say(bytes.into())
    }

    /// The head of an answer, with lines that end properly.
    pub fn head(status: u16, lines: &[&str]) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\n");
        for line in lines {
            head.push_str(line);
            head.push_str("\r\n");
        }
        Act::say(head + "\r\n")
    }
}

impl RawOrigin {
    pub async fn start(script: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let origin = RawOrigin {
            address,
            state: Arc::clone(&state),
            accepting: tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(converse(socket, Arc::clone(&state)));
                }
            }),
        };
        origin.play(script);
        origin
    }

    /// From now on.
    pub fn play(&self, script: Vec<Act>) {
        *self
            .state
            .script
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = script;
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:PORT` and the path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many requests have come.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::SeqCst)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(mut socket: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    state.asked.fetch_add(1, Ordering::SeqCst);
    let script = state
        .script
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    for act in script {
        let done = match act {
            Act::Say(bytes) => socket.write_all(&bytes).await,
            Act::Drip(bytes, pause) => drip(&mut socket, &bytes, pause).await,
            Act::Silence => {
                // Whatever comes, and at last its end.
                let _ = socket.read_to_end(&mut Vec::new()).await;
                return;
            }
            Act::Reset => {
                // What was said shall arrive before.
                tokio::time::sleep(Duration::from_millis(50)).await;
                socket.set_zero_linger().expect("a socket");
                return;
            }
        };
        if done.is_err() {
            return;
        }
    }
    let _ = socket.shutdown().await;
}

async fn drip(socket: &mut TcpStream, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
    for byte in bytes {
        socket.write_u8(*byte).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

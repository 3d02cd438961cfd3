//! An origin that breaks the rules of HTTP: it writes the bytes of a script, whatever the request, and may reset connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
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

/// One step of the script that runs after a request. After the last step the connection is closed.
#[derive(Clone)]
pub enum Act {
    Say(Bytes),
    /// Writes byte by byte, with a pause after each.
    Drip(Bytes, Duration),
    /// Waits until the other side closes the connection.
    Silence,
    /// Resets the connection instead of closing it.
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

    /// Sets the script for later requests.
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

    /// The number of requests so far.
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
                // Reads until the end.
                let _ = socket.read_to_end(&mut Vec::new()).await;
                return;
            }
            Act::Reset => {
                // The bytes before it should arrive first.
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

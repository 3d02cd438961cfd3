//! An origin that sends exactly the bytes that a test wants, and records its requests.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use url::Url;

pub(super) struct TestOrigin {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    written: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

/// One action on a connection, which is closed after the last one.
#[derive(Clone)]
pub(super) enum Action {
    Say(Vec<u8>),
    /// Repeats the bytes until the client goes away.
    SayForever(Vec<u8>),
    Wait(Duration),
}

pub(super) fn say(text: impl Into<Vec<u8>>) -> Vec<Action> {
    vec![Action::Say(text.into())]
}

/// A complete response. `headers` are lines with their line ends.
pub(super) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<Action> {
    let mut text = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    text.extend_from_slice(body);
    say(text)
}

pub(super) fn redirect(status: u16, to: &str) -> Vec<Action> {
    answer(status, &format!("Location: {to}\r\n"), b"moved")
}

/// The target of a request: `/cat.jpg?x` of `GET /cat.jpg?x HTTP/1.1`.
pub(super) fn target(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl TestOrigin {
    /// Serves on a free port. `actions` gets the header of each request.
    pub(super) async fn start(
        actions: impl Fn(&str) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        let written = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&written);
        let actions = Arc::new(actions);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let socket = Socket {
                    stream: socket,
                    written: Arc::clone(&counter),
                };
                tokio::spawn(converse(socket, Arc::clone(&actions), Arc::clone(&seen)));
            }
        });
        TestOrigin {
            address,
            heads,
            written,
            accepting,
        }
    }

    pub(super) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).expect("a URL")
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many bytes the connections have taken so far.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    /// The headers of all requests so far.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .expect("no test panics while holding it")
            .clone()
    }
}

impl Drop for TestOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A connection that counts.
struct Socket {
    stream: TcpStream,
    written: Arc<AtomicUsize>,
}

impl Socket {
    async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.stream.write(bytes).await?;
            self.written.fetch_add(count, Ordering::Relaxed);
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

async fn converse(
    mut socket: Socket,
    actions: Arc<impl Fn(&str) -> Vec<Action>>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).expect("clients send ASCII");
    let todo = actions(&head);
    seen.lock()
        .expect("no test panics while holding it")
        .push(head);
    for act in todo {
        let done = match act {
            Action::Say(bytes) => socket.write_all(&bytes).await,
            Action::SayForever(bytes) => loop {
                if let Err(error) = socket.write_all(&bytes).await {
                    break Err(error);
                }
            },
            Action::Wait(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
        };
        if done.is_err() {
            return;
        }
    }
    let _ = socket.stream.shutdown().await;
}

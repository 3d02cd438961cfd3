//! The first bytes of a connection, which tell its version of HTTP: they must arrive within the header timeout.
//!
//! hyper's own timeouts begin when the version is known. Without this one, a client that connects and sends nothing, or only the beginning
//! of the HTTP/2 preface, would keep its connection for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor};
use tokio::time::Sleep;

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The wait for the first bytes of a connection.
pub(super) struct PrefaceTimeout {
    deadline: Pin<Box<Sleep>>,
    /// How many bytes of the HTTP/2 preface have arrived.
    matched: usize,
    /// Set when all of the preface has arrived.
    is_http2: Arc<AtomicBool>,
}

impl PrefaceTimeout {
    pub(super) fn new(timeout: Duration) -> Self {
        PrefaceTimeout {
            deadline: Box::pin(tokio::time::sleep(timeout)),
            matched: 0,
            is_http2: Arc::default(),
        }
    }

    /// A flag that is set when the connection turns out to speak HTTP/2.
    pub(super) fn is_http2(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_http2)
    }

    /// Reads from `inner`, at most up to the end of the preface. With the result comes whether the version is known now; a read that waits
    /// beyond the deadline fails.
    pub(super) fn poll_read<T: Read + Unpin>(
        &mut self,
        inner: &mut T,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<bool>> {
        let expected = &PREFACE[self.matched..];
        let mut bytes = [0; PREFACE.len()];
        let length = into.remaining().min(expected.len());
        let mut read = ReadBuf::new(&mut bytes[..length]);
        match Pin::new(inner).poll_read(context, read.unfilled()) {
            Poll::Ready(Ok(())) => {
                let received = read.filled();
                self.matched += received.len();
                let is_http1 = !expected.starts_with(received);
                let is_http2 = !is_http1 && self.matched == PREFACE.len();
                if is_http2 {
                    self.is_http2.store(true, Ordering::Relaxed);
                }
                into.put_slice(received);
                Poll::Ready(Ok(is_http1 || is_http2))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self
                .deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

//! The first bytes of a connection, which say the version of HTTP: waited for no longer than the head of a request.
//!
//! hyper's own timeouts begin once the version is known, so whoever connects and says nothing, or the beginning of HTTP/2's preface and
//! nothing more, would keep the connection for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Read;
use hyper::rt::ReadBuf;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;
use tokio::time::Sleep;

/// What every HTTP/2 connection begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that fails when its version is not known in time.
pub(super) struct PrefaceTimeout<T> {
    inner: T,
    /// Until the version is known.
    deadline: Option<Pin<Box<Sleep>>>,
    /// How much of the preface has come.
    matched: usize,
    /// Whether all of it has, for whoever wants to know.
    is_http2: Arc<AtomicBool>,
}

impl<T> PrefaceTimeout<T> {
    pub(super) fn new(inner: T, within: Duration) -> Self {
        PrefaceTimeout {
            inner,
            deadline: Some(Box::pin(tokio::time::sleep(within))),
            matched: 0,
            is_http2: Arc::default(),
        }
    }

    /// Whether it has turned out to be one of HTTP/2.
    pub(super) fn is_http2(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_http2)
    }
}

impl<T: Read + Unpin> Read for PrefaceTimeout<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let PrefaceTimeout {
            inner,
            deadline,
            matched,
            is_http2,
        } = self.get_mut();
        let inner = Pin::new(inner);
        let Some(sleep) = deadline else {
            return inner.poll_read(context, into);
        };
        let expected = &PREFACE[*matched..];
        let mut bytes = [0; PREFACE.len()];
        let room = into.remaining().min(expected.len());
        let mut read = ReadBuf::new(&mut bytes[..room]);
        match inner.poll_read(context, read.unfilled()) {
            Poll::Ready(Ok(())) => {
                let said = read.filled();
                *matched += said.len();
                if !expected.starts_with(said) {
                    *deadline = None;
                } else if *matched == PREFACE.len() {
                    *deadline = None;
                    is_http2.store(true, Ordering::Relaxed);
                }
                into.put_slice(said);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => sleep
                .as_mut()
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<T: Write + Unpin> Write for PrefaceTimeout<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, slices)
    }
}

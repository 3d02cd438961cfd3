//! A connection with the timeouts that hyper lacks: one for its first bytes, and one for a client that does not read its answer.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::preface_timeout::PrefaceTimeout;
use super::write_timeout::WriteTimeout;

/// A connection whose reads and writes fail when its client is too slow.
pub struct TimedStream {
    inner: TokioIo<TcpStream>,
    /// The wait for the first bytes, until the version of HTTP is known.
    preface: Option<PrefaceTimeout>,
    writes: WriteTimeout,
}

impl TimedStream {
    /// A connection whose writes fail when the client takes too little within `write_timeout`.
    pub fn new(stream: TcpStream, write_timeout: Duration) -> Self {
        TimedStream {
            inner: TokioIo::new(stream),
            preface: None,
            writes: WriteTimeout::new(write_timeout),
        }
    }

    /// Lets reads fail as well when the version of HTTP is not known within `timeout`. The flag is set for a connection of HTTP/2.
    pub(super) fn expect_preface(&mut self, timeout: Duration) -> Arc<AtomicBool> {
        let preface = self.preface.insert(PrefaceTimeout::new(timeout));
        preface.is_http2()
    }

    /// A flag that is set while something waits to be written that our system does not take.
    pub(super) fn is_full(&self) -> Arc<AtomicBool> {
        self.writes.is_full()
    }
}

impl Read for TimedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(preface) = &mut this.preface else {
            return Pin::new(&mut this.inner).poll_read(context, into);
        };
        let is_version_known = ready!(preface.poll_read(&mut this.inner, context, into))?;
        if is_version_known {
            this.preface = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for TimedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.writes.check(this.inner.inner(), context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush: this never waits.
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
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.writes.check(this.inner.inner(), context, written)
    }
}

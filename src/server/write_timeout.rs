//! Clients that do not read what they asked for. A connection of theirs ends when it has taken too little for too long, so that nobody holds an answer,
//! or the end of the server, for ever. Slow clients stay: what counts is what they take, not how long an answer takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Read;
use hyper::rt::ReadBufCursor;
use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::Sleep;

/// What a client takes at least within the timeout while there is more for it, in bytes: less than a telephone on GPRS does.
pub(super) const MIN_PROGRESS: usize = 16 << 10;

/// A connection whose writes fail when the client takes too little for too long.
pub struct WriteTimeout {
    inner: TokioIo<TcpStream>,
    within: Duration,
    /// What the system has taken so far, in bytes.
    written: u64,
    /// The wait for the system to take more, where it takes nothing now.
    stall: Option<Stall>,
    /// Whether it takes no more, for whoever wants to know.
    is_full: Arc<AtomicBool>,
}

struct Stall {
    deadline: Pin<Box<Sleep>>,
    /// What the client had taken when this began, in bytes.
    taken: u64,
}

impl WriteTimeout {
    /// A connection whose client takes something within this time, or is gone.
    pub fn new(stream: TcpStream, within: Duration) -> Self {
        WriteTimeout {
            inner: TokioIo::new(stream),
            within,
            written: 0,
            stall: None,
            is_full: Arc::default(),
        }
    }

    /// Whether something waits to be written that the system does not take now.
    pub(super) fn is_full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_full)
    }

    /// What the client's system has confirmed; where ours does not say what is on the way, what ours has taken.
    fn taken(&self) -> u64 {
        let waiting = unconfirmed(self.inner.inner()).unwrap_or(0);
        self.written.saturating_sub(waiting)
    }

    /// Watches over a write.
    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.is_full.store(written.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(written) = written {
            self.stall = None;
            if let Ok(written) = &written {
                self.written = self.written.saturating_add(*written as u64);
            }
            return Poll::Ready(written);
        }
        let taken = self.taken();
        let stall = self.stall.get_or_insert_with(|| Stall {
            deadline: Box::pin(tokio::time::sleep(self.within)),
            taken,
        });
        while stall.deadline.as_mut().poll(context).is_ready() {
            if taken.saturating_sub(stall.taken) < MIN_PROGRESS as u64 {
                // Otherwise the system would keep what is not sent yet, and the connection, for minutes.
                let _ = self.inner.inner().set_zero_linger();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client takes nothing",
                )));
            }
            stall.taken = taken;
            stall.deadline.as_mut().reset(Instant::now() + self.within);
        }
        Poll::Pending
    }
}

/// Bytes that the client's system has not confirmed yet, sent or not.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "asks the system; no crate at hand does")]
fn unconfirmed(stream: &TcpStream) -> Option<u64> {
    use std::os::fd::AsRawFd as _;
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `stream` is borrowed, and this request (SIOCOUTQ for a socket) writes one int to the address that it is given.
    let answer = unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    u64::try_from(bytes).ok().filter(|_| answer == 0)
}

#[cfg(not(target_os = "linux"))]
fn unconfirmed(_: &TcpStream) -> Option<u64> {
    None
}

impl Read for WriteTimeout {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(context, into)
    }
}

impl Write for WriteTimeout {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.watched(context, written)
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
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(context, slices);
        this.watched(context, written)
    }
}

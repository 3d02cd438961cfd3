//! Clients that do not read their answer: a connection ends when its client takes too little for too long, so that nobody holds an answer, or
//! delays the end of the server, for ever. Slow clients stay: what counts is what they take, not how long an answer takes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// What a client must take within the timeout while there is more for it, in bytes: less than a telephone on GPRS does.
pub(super) const MIN_PROGRESS: usize = 16 << 10;

/// The watch over the writes of one connection.
pub(super) struct WriteTimeout {
    timeout: Duration,
    /// What our system has taken so far, in bytes.
    written: u64,
    /// The wait for our system to take more, while it takes nothing.
    stall: Option<Stall>,
    /// Whether our system takes no more now.
    is_full: Arc<AtomicBool>,
}

struct Stall {
    deadline: Pin<Box<Sleep>>,
    /// What the client had taken when the wait began, in bytes.
    taken: u64,
}

impl WriteTimeout {
    pub(super) fn new(timeout: Duration) -> Self {
        WriteTimeout {
            timeout,
            written: 0,
            stall: None,
            is_full: Arc::default(),
        }
    }

    /// A flag that is set while something waits to be written that our system does not take.
    pub(super) fn is_full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_full)
    }

    /// What the client's system has confirmed; where ours does not say what is on its way, what ours has taken.
    fn taken(&self, stream: &TcpStream) -> u64 {
        let waiting = unconfirmed(stream).unwrap_or(0);
        self.written.saturating_sub(waiting)
    }

    /// Takes the outcome of a write to `stream` and returns it, or an error where the write has waited for too long.
    pub(super) fn check(
        &mut self,
        stream: &TcpStream,
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
        let taken = self.taken(stream);
        let stall = self.stall.get_or_insert_with(|| Stall {
            deadline: Box::pin(tokio::time::sleep(self.timeout)),
            taken,
        });
        while stall.deadline.as_mut().poll(context).is_ready() {
            if taken.saturating_sub(stall.taken) < MIN_PROGRESS as u64 {
                // Otherwise our system would keep what is not sent yet, and the connection, for minutes.
                let _ = stream.set_zero_linger();
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its answer",
                )));
            }
            stall.taken = taken;
            stall.deadline.as_mut().reset(Instant::now() + self.timeout);
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

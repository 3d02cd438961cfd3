//! The body of a request while it arrives. There is no limit on the whole time, because a phone on a bad line may take minutes; but so many bytes must
//! arrive in each window of ten seconds.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// How long an upload may be slow before it is refused.
const WINDOW: Duration = Duration::from_secs(10);
/// How much of a body that nobody wants is read and dropped, so that its client gets to read why it is refused.
const DRAINED_BYTES: usize = 8 << 20;
/// The longest that this takes.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Why a body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArrivalError {
    TooSlow,
    Aborted,
}

impl fmt::Display for ArrivalError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ArrivalError::TooSlow => "the client was sending its upload too slowly",
            ArrivalError::Aborted => "the client disappeared during its upload",
        })
    }
}

impl std::error::Error for ArrivalError {}

/// The body of a request, which must arrive at a steady pace.
pub(super) struct UploadBody {
    /// None once the body has ended or failed.
    incoming: Option<Incoming>,
    /// Whether the rest is read and dropped where nobody wants it.
    drains: bool,
    /// How many bytes must arrive in a window.
    quota: u64,
    received: u64,
    /// The end of the window.
    end: Pin<Box<Sleep>>,
    /// When the last piece was handed over. The time until the next is asked for is not the client's.
    paused: Option<Instant>,
}

impl UploadBody {
    /// `bytes_per_second` is the lowest pace. `drains` says that the client sends its body without being asked to.
    pub(super) fn new(incoming: Incoming, bytes_per_second: u64, drains: bool) -> Self {
        UploadBody {
            incoming: (!incoming.is_end_stream()).then_some(incoming),
            drains,
            quota: bytes_per_second.saturating_mul(WINDOW.as_secs()),
            received: 0,
            end: Box::pin(tokio::time::sleep(WINDOW)),
            paused: None,
        }
    }

    fn restart_window(&mut self) {
        self.received = 0;
        self.end.as_mut().reset(Instant::now() + WINDOW);
    }

    fn fail(&mut self, error: ArrivalError) -> Poll<Option<Result<Bytes, ArrivalError>>> {
        self.incoming = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for UploadBody {
    type Item = Result<Bytes, ArrivalError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(paused) = this.paused.take() {
            let end = this.end.deadline() + paused.elapsed();
            this.end.as_mut().reset(end);
        }
        // Its client sends the body from now on.
        this.drains = true;
        loop {
            let Some(incoming) = &mut this.incoming else {
                return Poll::Ready(None);
            };
            match Pin::new(incoming).poll_frame(context) {
                Poll::Ready(None) => {
                    this.incoming = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Err(_))) => return this.fail(ArrivalError::Aborted),
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    this.received = this.received.saturating_add(data.len() as u64);
                    if this.received >= this.quota {
                        this.restart_window();
                    }
                    this.paused = Some(Instant::now());
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Pending => {
                    if this.end.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                    return this.fail(ArrivalError::TooSlow);
                }
            }
        }
    }
}

impl Drop for UploadBody {
    /// Reads the rest. Otherwise the connection would be reset while the client still sends, and it could not read the answer.
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take().filter(|_| self.drains) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(incoming)));
        }
    }
}

async fn drain(mut incoming: Incoming) {
    let mut left = DRAINED_BYTES;
    while let Some(Ok(frame)) = incoming.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else {
            return;
        };
        left = rest;
    }
}

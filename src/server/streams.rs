//! Resets streams of HTTP/2 whose client does not read its answer. Such a client keeps the window of the stream shut, which does not show at the socket.
//! So an answer is given to the connection in pieces, each when the one before has left, and a stream that makes no progress for too long is reset.
//! While an original waits for its origin, its client is not to blame.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;

use super::idle::RequestGuard;
use super::write_timeout::MIN_PROGRESS;
use crate::response::{Body, BodyError};

tokio::task_local! {
    static PROGRESS: Arc<Progress>;
}

/// How far the stream of a task is.
#[derive(Default)]
struct Progress {
    /// How many parts of its answer it has sent: the head, and then the pieces of the body.
    steps: AtomicU64,
    /// Whether the next piece has not arrived from the origin yet.
    waits_for_origin: AtomicBool,
}

/// How many times a stream is checked before it is reset for making no progress: it is reset after at most a quarter more than `within`.
const LOOKS: u32 = 4;

/// Counts a part that the stream of this task has sent. Connections of HTTP/1 are not counted.
pub(super) fn step() {
    // An error means that this task is not a stream.
    let _ = PROGRESS.try_with(|progress| progress.steps.fetch_add(1, Ordering::Relaxed));
}

/// Says whether the stream of this task waits for its origin.
fn wait_for_origin(waits: bool) {
    let _ = PROGRESS.try_with(|progress| progress.waits_for_origin.store(waits, Ordering::Relaxed));
}

/// Runs the streams of a connection, and drops those that make no progress. To drop a stream resets it.
#[derive(Clone, Copy)]
pub(super) struct StreamExecutor {
    pub within: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(watched(stream, self.within));
    }
}

/// Runs a stream. It may take as long as any request before the head of its answer, and `within` for each part after that.
async fn watched(stream: impl Future, within: Duration) {
    let progress = Arc::new(Progress::default());
    let mut stream = pin!(PROGRESS.scope(Arc::clone(&progress), stream));
    let (mut seen, mut looks) = (0, 0);
    while tokio::time::timeout(within / LOOKS, stream.as_mut())
        .await
        .is_err()
    {
        let now = progress.steps.load(Ordering::Relaxed);
        let waits_for_client = now > 0 && !progress.waits_for_origin.load(Ordering::Relaxed);
        looks = if waits_for_client && now == seen {
            looks + 1
        } else {
            0
        };
        seen = now;
        if looks == LOOKS {
            tracing::debug!("a stream was reset because its client does not read the answer");
            return;
        }
    }
}

/// The body of an answer. Its connection is not idle until the body has been sent. With HTTP/1 it is sent whole, because the socket has a write
/// timeout; with HTTP/2 it is sent in pieces.
pub(super) struct PacedBody {
    whole: Body,
    /// What of the last piece of `whole` is not sent yet.
    left: Bytes,
    most: usize,
    _busy: RequestGuard,
}

impl PacedBody {
    pub(super) fn whole(body: Body, busy: RequestGuard) -> Self {
        PacedBody {
            whole: body,
            left: Bytes::new(),
            most: usize::MAX,
            _busy: busy,
        }
    }

    pub(super) fn of_stream(body: Body, busy: RequestGuard) -> Self {
        PacedBody {
            most: MIN_PROGRESS,
            ..PacedBody::whole(body, busy)
        }
    }
}

impl hyper::body::Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            let frame = Pin::new(&mut this.whole).poll_frame(context);
            wait_for_origin(frame.is_pending());
            match ready!(frame).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => this.left = data,
                _ => return Poll::Ready(None),
            }
        }
        step();
        let left = this.left.len();
        let piece = if this.most == usize::MAX {
            left
        } else if this.whole.left() == Some(0) {
            // The watch over the stream ends when its last piece is handed over. So that piece has one byte: a larger one could stay in the connection
            // with nobody watching.
            left.saturating_sub(1).clamp(left.min(1), this.most)
        } else {
            left.min(this.most)
        };
        let piece = this.left.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        let rest = self.whole.left();
        rest.map_or_else(SizeHint::default, |rest| {
            SizeHint::with_exact(left.saturating_add(rest))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use hyper::body::Body as _;
    use tokio::time::Instant;

    use super::{MIN_PROGRESS, PacedBody, step, wait_for_origin, watched};
    use crate::response::Body;
    use crate::server::idle::IdleConnections;

    async fn lengths(mut body: PacedBody) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut left = body.size_hint().exact();
        while let Some(frame) = body.frame().await {
            let data = frame.map(|frame| frame.into_data().expect("data alone"));
            let length = data.expect("it is complete").len();
            lengths.push(length);
            left = left.map(|left| left - length as u64);
            assert_eq!(body.size_hint().exact(), left);
            assert_eq!(body.is_end_stream(), left == Some(0));
        }
        lengths
    }

    #[tokio::test]
    async fn the_last_piece_of_a_stream_is_a_byte() {
        let body = |length| Body::Complete(Bytes::from(vec![7; length]));
        for (length, pieces) in [
            (0, vec![]),
            (1, vec![1]),
            (2, vec![1, 1]),
            (100, vec![99, 1]),
            (MIN_PROGRESS + 1, vec![MIN_PROGRESS, 1]),
            (2 * MIN_PROGRESS, vec![MIN_PROGRESS, MIN_PROGRESS - 1, 1]),
        ] {
            let busy = || {
                IdleConnections::default()
                    .connection(Arc::default())
                    .begin_request()
            };
            let stream = PacedBody::of_stream(body(length), busy());
            assert_eq!(lengths(stream).await, pieces);
            let whole: Vec<usize> = (length > 0).then_some(length).into_iter().collect();
            assert_eq!(lengths(PacedBody::whole(body(length), busy())).await, whole);
        }
    }

    #[tokio::test]
    async fn the_pieces_of_an_original_are_those_that_arrive() {
        let pieces = |lengths: &'static [usize]| {
            let pieces = lengths.iter().map(|length| vec![7; *length].into());
            stream::iter(pieces.map(Ok::<_, std::io::Error>)).boxed()
        };
        let busy = || {
            IdleConnections::default()
                .connection(Arc::default())
                .begin_request()
        };
        let body = Body::arriving(
            pieces(&[5, 2 * MIN_PROGRESS, 3]),
            Some(2 * MIN_PROGRESS as u64 + 8),
        );
        let sent = lengths(PacedBody::of_stream(body, busy())).await;
        assert_eq!(sent, [5, MIN_PROGRESS, MIN_PROGRESS, 2, 1]);
        let body = Body::arriving(pieces(&[5, 3]), Some(8));
        assert_eq!(lengths(PacedBody::whole(body, busy())).await, [5, 3]);
        let mut body = PacedBody::of_stream(Body::arriving(pieces(&[5, 3]), None), busy());
        assert_eq!(body.size_hint().exact(), None);
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            assert!(!body.is_end_stream(), "its end is not known");
            sent.push(
                frame
                    .expect("it arrives")
                    .into_data()
                    .expect("data alone")
                    .len(),
            );
        }
        assert_eq!(sent, [5, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_origin_goes_on() {
        let within = Duration::from_secs(10);
        let begun = Instant::now();
        let stream = async {
            step();
            wait_for_origin(true);
            tokio::time::sleep(Duration::from_secs(60)).await;
            wait_for_origin(false);
            step();
            pending::<()>().await;
        };
        watched(stream, within).await;
        let took = begun.elapsed().as_millis();
        assert!((70_000..=72_500).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_progress_ends() {
        let within = Duration::from_secs(10);
        let begun = Instant::now();
        let stream = async {
            // For the picture.
            tokio::time::sleep(Duration::from_secs(60)).await;
            for _ in 0..10 {
                step();
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
            pending::<()>().await;
        };
        watched(stream, within).await;
        // The last step is after 141 seconds; a quarter of `within` may pass until that is seen.
        let took = begun.elapsed().as_millis();
        assert!((151_000..=153_500).contains(&took), "{took} ms");
        watched(async {}, within).await;
    }
}

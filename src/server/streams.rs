//! Resets streams of HTTP/2 whose client does not read its answer. Such a client keeps the window of the stream shut, which does not show at the socket.
//! So an answer is given to the connection in pieces, each when the one before has left, and a stream that makes no progress for too long is reset.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use hyper::rt::Executor;

use super::idle::RequestGuard;
use super::write_timeout::MIN_PROGRESS;
use crate::response::Body;

tokio::task_local! {
    /// How many parts of its answer the stream of this task has sent: the head, and then the pieces of the body.
    static PROGRESS: Arc<AtomicU64>;
}

/// How many times a stream is checked before it is reset for making no progress: it is reset after at most a quarter more than `within`.
const LOOKS: u32 = 4;

/// Counts a part that the stream of this task has sent. Connections of HTTP/1 are not counted.
pub(super) fn step() {
    // An error means that this task is not a stream.
    let _ = PROGRESS.try_with(|steps| steps.fetch_add(1, Ordering::Relaxed));
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
    let steps = Arc::new(AtomicU64::new(0));
    let mut stream = pin!(PROGRESS.scope(Arc::clone(&steps), stream));
    let (mut seen, mut looks) = (0, 0);
    while tokio::time::timeout(within / LOOKS, stream.as_mut())
        .await
        .is_err()
    {
        let now = steps.load(Ordering::Relaxed);
        looks = if now > 0 && now == seen { looks + 1 } else { 0 };
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
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left.is_empty() {
            let frame = ready!(Pin::new(&mut this.whole).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.left = data,
                _ => return Poll::Ready(None),
            }
        }
        step();
        let piece = match this.left.len() {
            left if this.most == usize::MAX => left,
            // The watch over the stream ends when its last piece is handed over. So that piece has one byte: a larger one could stay in the connection
            // with nobody watching.
            left => left.saturating_sub(1).clamp(left.min(1), this.most),
        };
        let piece = this.left.split_to(piece);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        SizeHint::with_exact(left.saturating_add(self.whole.size_hint().lower()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use http_body_util::Full;
    use hyper::body::Body as _;
    use tokio::time::Instant;

    use super::MIN_PROGRESS;
    use super::PacedBody;
    use super::step;
    use super::watched;
    use crate::server::idle::IdleConnections;

    async fn lengths(mut body: PacedBody) -> Vec<usize> {
        let mut lengths = Vec::new();
        let mut left = body.size_hint().exact();
        while let Some(frame) = body.frame().await {
            let data = frame.map(|frame| frame.into_data().expect("data alone"));
            let length = data.expect("infallible").len();
            lengths.push(length);
            left = left.map(|left| left - length as u64);
            assert_eq!(body.size_hint().exact(), left);
            assert_eq!(body.is_end_stream(), left == Some(0));
        }
        lengths
    }

    #[tokio::test]
    async fn the_last_piece_of_a_stream_is_a_byte() {
        let body = |length| Full::new(Bytes::from(vec![7; length]));
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

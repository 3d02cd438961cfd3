//! The body of a response.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyper::body::{Frame, SizeHint};

/// Why the rest of a body cannot be sent. The connection or the stream is cut off, so that its client notices.
#[derive(Debug)]
pub struct BodyError(Box<dyn Error + Send + Sync>);

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Error for BodyError {}

/// The body of a response: complete before the response begins, or passed on while it arrives.
pub enum Body {
    /// The rest of the body.
    Complete(Bytes),
    /// The body of an original.
    Arriving(ArrivingBody),
}

/// A body that is passed on while it arrives. Only what the client takes is asked for.
pub struct ArrivingBody {
    content: BoxStream<'static, Result<Bytes, BodyError>>,
    /// The length of the rest in bytes, where it is known.
    left: Option<u64>,
}

impl Body {
    /// Passes a stream on. `length` is its length in bytes, where that is known.
    pub(crate) fn arriving<E>(
        content: BoxStream<'static, Result<Bytes, E>>,
        length: Option<u64>,
    ) -> Self
    where
        E: Error + Send + Sync + 'static,
    {
        Body::Arriving(ArrivingBody {
            content: Box::pin(content.map_err(|error| BodyError(Box::new(error)))),
            left: length,
        })
    }

    /// The length of the rest in bytes, where it is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Body::Complete(bytes) => Some(bytes.len() as u64),
            Body::Arriving(body) => body.left,
        }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(match self.get_mut() {
            Body::Complete(bytes) if bytes.is_empty() => None,
            Body::Complete(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Body::Arriving(body) => {
                let piece = ready!(body.content.poll_next_unpin(context));
                if let (Some(Ok(bytes)), Some(left)) = (&piece, &mut body.left) {
                    *left = left.saturating_sub(bytes.len() as u64);
                }
                piece.map(|piece| piece.map(Frame::data))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left()
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

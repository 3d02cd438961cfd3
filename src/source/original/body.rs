//! The content of an original: exactly as long as it was announced, and from an origin that does not pause for too long.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::BoxStream;
use tokio::time::{Instant, Sleep};

use crate::source::error::{FetchStage, SourceError};
use crate::source::slots::FetchSlot;

/// Content as it arrives from an origin.
pub(super) type Content = BoxStream<'static, Result<Bytes, SourceError>>;

/// The content of one original. It gives its slot back as soon as it has ended.
pub(super) struct TransferBody {
    content: Content,
    /// How many bytes are missing, if the length is known.
    missing: Option<u64>,
    idle_timeout: Duration,
    /// Since when this waits for the origin. `None` while the client has not asked for more: a slow client is not a slow origin.
    waits_since: Option<Instant>,
    /// Runs from the first wait on. It is not reset at each wait, which would cost more than to look at the clock when it rings.
    alarm: Option<Pin<Box<Sleep>>>,
    slot: Option<FetchSlot>,
    has_ended: bool,
}

impl TransferBody {
    pub(super) fn new(
        content: Content,
        length: Option<u64>,
        idle_timeout: Duration,
        slot: FetchSlot,
    ) -> Self {
        TransferBody {
            content,
            missing: length,
            idle_timeout,
            waits_since: None,
            alarm: None,
            slot: Some(slot),
            has_ended: false,
        }
    }

    /// Counts what has arrived, and ends the content with an error if it is too long or too short.
    fn count(
        &mut self,
        item: Option<Result<Bytes, SourceError>>,
    ) -> Option<Result<Bytes, SourceError>> {
        let broken = |reason: &str| Some(Err(SourceError::BrokenOff(reason.to_owned())));
        let bytes = match item {
            Some(Ok(bytes)) => bytes,
            Some(Err(error)) => {
                self.end();
                return Some(Err(error));
            }
            None => {
                self.end();
                return match self.missing {
                    None | Some(0) => None,
                    Some(_) => broken("the content is shorter than announced"),
                };
            }
        };
        if let Some(missing) = self.missing {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let Some(missing) = missing.checked_sub(length) else {
                self.end();
                return broken("the content is longer than announced");
            };
            self.missing = Some(missing);
            if missing == 0 {
                self.slot = None;
            }
        }
        Some(Ok(bytes))
    }

    fn end(&mut self) {
        self.has_ended = true;
        self.content = stream::empty().boxed();
        self.alarm = None;
        self.slot = None;
    }

    /// Is ready when the origin has been waited for too long.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        let end = since + self.idle_timeout;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        while alarm.as_mut().poll(context).is_ready() {
            // It may have rung for an earlier wait.
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl Stream for TransferBody {
    type Item = Result<Bytes, SourceError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(item) = this.content.poll_next_unpin(context) {
            this.waits_since = None;
            return Poll::Ready(this.count(item));
        }
        if this.poll_alarm(context).is_pending() {
            return Poll::Pending;
        }
        this.end();
        Poll::Ready(Some(Err(SourceError::Timeout(FetchStage::Body))))
    }
}

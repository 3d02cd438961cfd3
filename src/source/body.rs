//! A stream becomes bytes, under a limit on its length and on its silences.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;

use super::SourceError;
use super::Stage;
use super::clock::Clock;

/// Room made before anything has arrived, where no length is announced.
const FIRST_ROOM: u64 = 64 * 1024;

/// Reads `stream` to its end. `announced` is the length that the origin has promised, in bytes, as far as it has.
///
/// # Errors
/// [`SourceError::TooLarge`] as soon as the limit is certain to be passed, before reading where the announced length says so;
/// [`SourceError::Timeout`] when no byte comes for `idle` or the clock runs out; whatever the stream itself fails with.
pub(super) async fn collect(
    stream: impl Stream<Item = Result<Bytes, SourceError>>,
    announced: Option<u64>,
    limit: u64,
    idle: Duration,
    clock: Clock,
) -> Result<Bytes, SourceError> {
    if announced.is_some_and(|length| length > limit) {
        return Err(SourceError::TooLarge { limit, holds: None });
    }
    let mut stream = pin!(stream);
    let room = usize::try_from(announced.unwrap_or(FIRST_ROOM).min(limit)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(room);
    while let Some(chunk) = clock.bound(Stage::Body, idle, stream.next()).await? {
        let chunk = chunk?;
        let length = u64::try_from(bytes.len().saturating_add(chunk.len())).unwrap_or(u64::MAX);
        if length > limit {
            return Err(SourceError::TooLarge { limit, holds: None });
        }
        bytes.extend_from_slice(&chunk);
    }
    // What is kept is charged by its length, so spare room must not stay behind it.
    bytes.shrink_to_fit();
    Ok(Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::StreamExt;
    use futures_util::stream;

    use super::super::SourceError;
    use super::super::Stage;
    use super::super::clock::Clock;
    use super::collect;

    const IDLE: Duration = Duration::from_secs(10);

    fn clock() -> Clock {
        Clock::starting_now(Duration::from_secs(30))
    }

    fn chunks(count: usize) -> impl stream::Stream<Item = Result<Bytes, SourceError>> {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(b"0123456789"))))
    }

    #[tokio::test]
    async fn exactly_the_limit_is_allowed() {
        for announced in [None, Some(30), Some(7)] {
            let bytes = collect(chunks(3), announced, 30, IDLE, clock()).await;
            assert_eq!(bytes.expect("the limit itself is allowed").len(), 30);
        }
    }

    #[tokio::test]
    async fn one_byte_more_is_not() {
        for announced in [None, Some(29), Some(0)] {
            let error = collect(chunks(3), announced, 29, IDLE, clock()).await;
            assert!(
                matches!(error, Err(SourceError::TooLarge { limit: 29, .. })),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_announced_length_above_the_limit_is_refused_unread() {
        let untouched = stream::poll_fn(|_| panic!("nothing may be read"));
        let error = collect(untouched, Some(u64::MAX), 30, IDLE, clock()).await;
        assert!(
            matches!(error, Err(SourceError::TooLarge { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn an_endless_stream_ends_at_the_limit() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1000])));
        let error = collect(endless, None, 1_000_000, IDLE, clock()).await;
        assert!(
            matches!(error, Err(SourceError::TooLarge { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let stalled = chunks(1).chain(stream::pending());
        let error = collect(stalled, None, 100, Duration::from_millis(50), clock()).await;
        assert!(
            matches!(error, Err(SourceError::Timeout(Stage::Body))),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn a_trickle_ends_with_the_clock() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let end = Clock::starting_now(Duration::from_millis(100));
        let error = collect(trickle, None, 100, IDLE, end).await;
        assert!(
            matches!(error, Err(SourceError::Timeout(Stage::Body))),
            "{error:?}"
        );
    }
}

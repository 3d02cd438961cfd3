//! A stream becomes bytes, under a limit on its length and on its silences, in memory that is reserved before it is used.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use tokio::time::Instant;

use super::BusyReason;
use super::FetchContext;
use super::FetchStage;
use super::SourceError;
use super::coding::Codings;

/// Room made before anything has arrived, where no length is announced.
const FIRST_ROOM: u64 = 64 * 1024;

/// Reads `body` to its end, without its `codings`. `announced` is the length that the origin has promised, in bytes, as far as it has.
///
/// Memory is reserved once for what is announced. Where nothing is, that of a small source is, and once it turns out not to be small, that of the
/// largest: to reserve more and more would let those who have half of theirs wait for each other.
///
/// # Errors
/// [`SourceError::TooLarge`] as soon as the limit is certain to be passed, before reading where the announced length says so;
/// [`SourceError::Timeout`] when no byte comes for long or the clock runs out; [`SourceError::Busy`] where there is no memory until then; whatever
/// the stream itself fails with.
pub(super) async fn collect(
    body: impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static,
    announced: Option<u64>,
    codings: Codings,
    context: FetchContext<'_>,
) -> Result<Bytes, SourceError> {
    let limit = context.limit();
    let too_large = || SourceError::TooLarge {
        limit,
        negative_ttl: None,
    };
    let idle = context.config.idle_timeout.duration();
    // What is packed says nothing of its length.
    let announced = announced.filter(|_| codings.is_empty());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let windows = codings.memory();
    let mut most = announced.unwrap_or_else(|| context.memory.first_guess());
    let begun = Instant::now();
    let mut reservation = context.reserve(most.saturating_add(windows)).await?;
    let mut waited = begun.elapsed();
    let mut body = pin!(codings.undone(body));
    let mut bytes = Vec::new();
    make_room(&mut bytes, announced.unwrap_or(FIRST_ROOM).min(limit))?;
    loop {
        let next = context
            .clock
            .bound(FetchStage::Body, idle, body.next())
            .await;
        let Some(chunk) = next.map_err(|slow| blamed(slow, waited, context))? else {
            break;
        };
        let chunk = chunk?;
        let length = u64::try_from(bytes.len().saturating_add(chunk.len())).unwrap_or(u64::MAX);
        if length > limit {
            return Err(too_large());
        }
        if length > most {
            // What is held until now goes uncounted while this waits: see above.
            drop(reservation);
            most = limit;
            let begun = Instant::now();
            reservation = context.reserve(limit.saturating_add(windows)).await?;
            waited += begun.elapsed();
        }
        if chunk.len() > bytes.capacity() - bytes.len() {
            let twice = u64::try_from(bytes.capacity()).map_or(limit, |room| 2 * room);
            make_room(&mut bytes, twice.min(limit).max(length))?;
        }
        bytes.extend_from_slice(&chunk);
    }
    // What is kept is charged by its length, so spare room must not stay behind it.
    bytes.shrink_to_fit();
    reservation.shrink_to(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    Ok(reservation.hold(bytes))
}

/// An origin is not too slow whose time went by, for more than a tenth, while there was no memory for its answer.
fn blamed(slow: SourceError, waited: Duration, context: FetchContext<'_>) -> SourceError {
    let total = context.config.total_timeout.duration();
    if context.clock.is_over() && waited > total / 10 {
        SourceError::Busy(BusyReason::Memory)
    } else {
        slow
    }
}

/// Makes room for so many bytes in all.
fn make_room(bytes: &mut Vec<u8>, room: u64) -> Result<(), SourceError> {
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let more = room.saturating_sub(bytes.len());
    bytes
        .try_reserve_exact(more)
        .map_err(|_| SourceError::Busy(BusyReason::Memory))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::Stream;
    use futures_util::StreamExt;
    use futures_util::stream;
    use hyper::HeaderMap;

    use super::super::BusyReason;
    use super::super::Config;
    use super::super::FetchContext;
    use super::super::FetchStage;
    use super::super::SourceError;
    use super::super::SourceMemory;
    use super::super::SourceRules;
    use super::super::clock::Clock;
    use super::super::coding::Codings;

    type BodyResult = Result<Bytes, SourceError>;

    fn memory(limit: u64) -> SourceMemory {
        SourceMemory::new(8 * limit.max(1024), limit)
    }

    async fn collect(
        body: impl Stream<Item = BodyResult> + Send + 'static,
        announced: Option<u64>,
        memory: &SourceMemory,
        total: Duration,
    ) -> BodyResult {
        let context = FetchContext {
            config: &Config {
                idle_timeout: "50 ms".parse().expect("a length of time"),
                ..Config::default()
            },
            memory,
            terms: &SourceRules::default(),
            clock: Clock::starting_now(total),
        };
        let plain = Codings::of(&HeaderMap::new()).expect("none");
        super::collect(body, announced, plain, context).await
    }

    const LONG: Duration = Duration::from_secs(30);

    fn chunks(count: usize) -> impl Stream<Item = BodyResult> + Send + 'static {
        stream::iter((0..count).map(|_| Ok(Bytes::from_static(b"0123456789"))))
    }

    #[tokio::test]
    async fn exactly_the_limit_is_allowed() {
        for announced in [None, Some(30), Some(7)] {
            let bytes = collect(chunks(3), announced, &memory(30), LONG).await;
            assert_eq!(bytes.expect("the limit itself is allowed").len(), 30);
        }
    }

    #[tokio::test]
    async fn one_byte_more_is_not() {
        for announced in [None, Some(29), Some(0)] {
            let error = collect(chunks(3), announced, &memory(29), LONG).await;
            assert!(
                matches!(error, Err(SourceError::TooLarge { limit: 29, .. })),
                "{error:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_announced_length_above_the_limit_is_refused_unread() {
        let untouched = stream::poll_fn(|_| panic!("nothing may be read"));
        let error = collect(untouched, Some(u64::MAX), &memory(30), LONG).await;
        assert!(
            matches!(error, Err(SourceError::TooLarge { .. })),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn an_endless_stream_ends_at_the_limit() {
        let endless = stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1000])));
        let memory = memory(1_000_000);
        let error = collect(endless, None, &memory, LONG).await;
        assert!(
            matches!(error, Err(SourceError::TooLarge { .. })),
            "{error:?}"
        );
        assert_eq!(memory.reserved(), 0);
    }

    #[tokio::test]
    async fn silence_ends_it() {
        let stalled = chunks(1).chain(stream::pending());
        let error = collect(stalled, None, &memory(100), LONG).await;
        assert!(
            matches!(error, Err(SourceError::Timeout(FetchStage::Body))),
            "{error:?}"
        );
    }

    fn trickle() -> impl Stream<Item = BodyResult> + Send + 'static {
        stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn an_origin_is_not_blamed_for_the_wait_for_memory() {
        for (seconds, is_blamed) in [(2, true), (4, false), (29, false)] {
            let memory = memory(1 << 20);
            let all = memory.reserve(u64::MAX).await;
            let small = std::iter::from_fn(|| memory.try_reserve(1 << 20));
            let held: Vec<_> = small.chain([all]).collect();
            let free = async {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                drop(held);
            };
            let (answer, ()) = tokio::join!(collect(trickle(), None, &memory, LONG), free);
            match answer {
                Err(SourceError::Timeout(FetchStage::Body)) => assert!(is_blamed, "{seconds}"),
                Err(SourceError::Busy(BusyReason::Memory)) => assert!(!is_blamed, "{seconds}"),
                other => panic!("{seconds}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_trickle_ends_with_the_clock() {
        let error = collect(trickle(), None, &memory(100), Duration::from_millis(100)).await;
        assert!(
            matches!(error, Err(SourceError::Timeout(FetchStage::Body))),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn what_is_held_is_reserved_and_no_more() {
        const MIB: u64 = 1 << 20;
        let mebibytes =
            |count| stream::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 20]))).take(count);
        let memory = SourceMemory::new(16 * MIB, 6 * MIB);
        for announced in [None, Some(3 * MIB)] {
            let bytes = collect(mebibytes(3), announced, &memory, LONG).await;
            let bytes = bytes.expect("there is room");
            assert_eq!(memory.reserved(), 3 * MIB, "{announced:?}");
            drop(bytes);
            assert_eq!(memory.reserved(), 0);
        }
        // Of the 12 MiB for sources that are not small, 7 are taken.
        let _taken = memory.try_reserve(7 * MIB).expect("it is free");
        let bytes = collect(mebibytes(3), Some(3 * MIB), &memory, LONG).await;
        assert!(bytes.is_ok(), "{bytes:?}");
        let short = Duration::from_millis(30);
        let error = collect(mebibytes(3), None, &memory, short).await;
        assert!(
            matches!(error, Err(SourceError::Busy(BusyReason::Memory))),
            "it might come to be 6: {error:?}"
        );
    }
}

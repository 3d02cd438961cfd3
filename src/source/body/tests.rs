use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use hyper::HeaderMap;

use crate::deadline::Deadline;
use crate::source::coding::Codings;
use crate::source::config::Config;
use crate::source::context::FetchContext;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::file_kind::{FIRST_LOOK, FileKind, LAST_LOOK};
use crate::source::memory::SourceMemory;
use crate::source::rules::SourceRules;

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
        rules: &SourceRules::default(),
        deadline: Deadline::after(total),
        sniff,
        authorization: None,
    };
    let plain = Codings::of(&HeaderMap::new()).expect("none");
    super::collect(body, announced, plain, context).await
}

/// Texts are no pictures, and one that begins with `<` may become one.
fn sniff(beginning: &[u8]) -> FileKind {
    match beginning {
        [b'<', ..] => FileKind::Unclear,
        [b'%', ..] => FileKind::Unsupported("PDF"),
        [b't', ..] => FileKind::Unknown,
        _ => FileKind::Picture("image/test"),
    }
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
async fn a_length_above_the_limit_is_refused_unread() {
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
async fn a_pause_beyond_the_idle_timeout_ends_it() {
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
async fn a_trickle_ends_at_the_deadline() {
    let error = collect(trickle(), None, &memory(100), Duration::from_millis(100)).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::Body))),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_reservation_is_as_large_as_the_content() {
    const MIB: u64 = 1 << 20;
    let mebibytes = |count| stream::repeat_with(|| Ok(Bytes::from(vec![0; 1 << 20]))).take(count);
    let memory = SourceMemory::new(16 * MIB, 6 * MIB);
    for announced in [None, Some(3 * MIB)] {
        let bytes = collect(mebibytes(3), announced, &memory, LONG).await;
        let bytes = bytes.expect("there is room");
        assert_eq!(memory.reserved(), 3 * MIB, "{announced:?}");
        drop(bytes);
        assert_eq!(memory.reserved(), 0);
    }
    // Takes 7 of the 12 MiB for sources that are not small.
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

#[tokio::test]
async fn what_cannot_be_a_picture_is_not_read_to_its_end() {
    let memory = memory(1 << 20);
    for (first, needed, expected) in [
        (b't', FIRST_LOOK, None),
        (b'%', FIRST_LOOK, Some("PDF")),
        (b'<', LAST_LOOK, None),
    ] {
        let piece = Bytes::from(vec![first; 1000]);
        let (counter, read) = mpsc::channel();
        let endless = stream::repeat_with(move || {
            let _ = counter.send(());
            Ok(piece.clone())
        });
        let answer = collect(endless, None, &memory, LONG).await;
        assert!(
            matches!(answer, Err(SourceError::NotAPicture { name, .. }) if name == expected),
            "{answer:?}"
        );
        assert_eq!(read.try_iter().count(), needed.div_ceil(1000));
    }
    // What is short is for the transformation to tell.
    let short = stream::iter([Ok(Bytes::from_static(b"text"))]);
    let answer = collect(short, None, &memory, LONG).await;
    assert_eq!(answer.expect("a source"), b"text"[..]);
}

//! Origins and clients that are slow, stop, or send something else than they announced.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hyper::header::RANGE;

use crate::source::tests::origin::{Action, TestOrigin, header, say};
use crate::source::tests::originals::{
    Ask, ask, ask_all, pause, picture, read, respond, serve, start, worlds,
};
use crate::source::tests::{allowing, config};
use crate::source::{BusyReason, Config, FetchStage, OriginalRequest, SourceError};

#[tokio::test]
async fn a_short_content_is_an_error() {
    for pictures_only in [false, true] {
        let origin = TestOrigin::start(|_| {
            let mut text = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
            text.extend(picture(99_999));
            say(text)
        })
        .await;
        let asked = Ask {
            pictures_only,
            ..Ask::default()
        };
        for reply in ask_all(&origin, &asked).await {
            assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn no_more_than_announced_is_passed_on() {
    let origin =
        TestOrigin::start(|_| say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world"))
            .await;
    for reply in ask_all(&origin, &Ask::default()).await {
        assert_eq!(reply.expect("an original").body, b"hello");
    }
    // A part that contradicts itself is none.
    let origin = TestOrigin::start(|_| {
        say("HTTP/1.1 206 X\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 0-4/9\r\n\r\n9\r\nhello, wo\r\n0\r\n\r\n")
    })
    .await;
    for reply in ask_all(&origin, &Ask::get(&[(RANGE, "bytes=0-4")])).await {
        assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
    }
}

#[tokio::test]
async fn a_slow_head_times_out() {
    let origin = TestOrigin::start(|_| vec![Action::Wait(Duration::from_secs(5))]).await;
    let begun = Instant::now();
    let world = allowing(&config(), &origin);
    let error = ask(&world, &origin.url("/a"), Ask::default()).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::FirstByte))),
        "{error:?}"
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_origin_that_pauses_times_out() {
    let origin = TestOrigin::start(|_| {
        let mut text = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
        text.extend(picture(50_000));
        let mut actions = say(text);
        actions.push(Action::Wait(Duration::from_secs(5)));
        actions
    })
    .await;
    let begun = Instant::now();
    for reply in ask_all(&origin, &Ask::default()).await {
        assert!(
            matches!(reply, Err(SourceError::Timeout(FetchStage::Body))),
            "{reply:?}"
        );
    }
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn content_may_take_longer_than_a_whole_fetch() {
    let origin = TestOrigin::start(|_| {
        let mut actions = say("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        for _ in 0..20 {
            actions.push(Action::Wait(Duration::from_millis(50)));
            actions.extend(say("x"));
        }
        actions
    })
    .await;
    let config = Config {
        total_timeout: "500 ms".parse().expect("a length of time"),
        ..config()
    };
    let world = allowing(&config, &origin);
    let reply = ask(&world, &origin.url("/a"), Ask::default()).await;
    assert_eq!(reply.expect("all of it").body.len(), 20);
}

#[tokio::test]
async fn a_slow_client_is_no_slow_origin_and_nothing_is_read_ahead() {
    const LENGTH: usize = 64 << 20;
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", &vec![7; LENGTH])).await;
    let url = origin.url("/my-bucket/file");
    for (world, pictures_only) in worlds(&origin).into_iter().zip([false, true, false]) {
        let source = world.allowlist.approve(&url).expect("it is allowed");
        let asked = Ask {
            pictures_only,
            ..Ask::default()
        };
        let before = origin.written();
        let mut original = start(&world, &source, asked).await.expect("an original");
        let first = original.body.next().await;
        let first = first.expect("content").expect("content");
        let mut largest = first.len();
        // Longer than `fetch.idle_timeout`.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let written = origin.written() - before;
        // The buffers of the system, and a piece or two of ours.
        assert!(written < 16 << 20, "{written} bytes were read ahead");
        let mut length = first.len();
        while let Some(piece) = original.body.next().await {
            let piece = piece.expect("a slow client is no error");
            largest = largest.max(piece.len());
            length += piece.len();
            if length < 1 << 20 {
                pause().await;
            }
        }
        assert_eq!(length, LENGTH);
        assert!(largest <= 512 << 10, "a piece of {largest} bytes");
    }
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_transfer() {
    let origin = TestOrigin::start(|_| {
        let mut actions = say("HTTP/1.1 200 OK\r\n\r\n");
        actions.push(Action::SayForever(picture(100_000)));
        actions
    })
    .await;
    let world = allowing(&config(), &origin);
    let source = world.allowlist.approve(&origin.url("/a"));
    let source = source.expect("it is allowed");
    let mut original = start(&world, &source, Ask::default())
        .await
        .expect("an original");
    original
        .body
        .next()
        .await
        .expect("content")
        .expect("content");
    assert_eq!(world.sources.fetches().running, 1);
    drop(original);
    assert_eq!(world.sources.fetches().running, 0);
    pause().await;
    let written = origin.written();
    pause().await;
    assert_eq!(origin.written(), written, "the connection is closed");
}

#[tokio::test]
async fn originals_hold_slots_of_their_own_until_they_end() {
    let origin = TestOrigin::start(|head| match header(head, "range") {
        None => serve(head, "\"1\"", &picture(5_000_000)),
        Some(_) => respond(head, 416, "", b""),
    })
    .await;
    let number = |count: usize| count.try_into().expect("not zero");
    let config = Config {
        concurrency: number(2),
        total_timeout: "400 ms".parse().expect("a length of time"),
        ..config()
    };
    let world = allowing(&config, &origin);
    let url = origin.url("/a");
    let source = world.allowlist.approve(&url).expect("it is allowed");
    let first = start(&world, &source, Ask::default())
        .await
        .expect("a slot");
    let second = start(&world, &source, Ask::default())
        .await
        .expect("a slot");
    let third = start(&world, &source, Ask::default()).await;
    assert!(
        matches!(third, Err(SourceError::Busy(BusyReason::Connections))),
        "there are two"
    );
    assert!(
        !matches!(
            world.sources.fetch(&source, None).await,
            Err(SourceError::Busy(_))
        ),
        "fetches have theirs"
    );
    drop(first);
    // An answer without content holds none.
    let head = start(&world, &source, Ask::default().head());
    let head = head.await.expect("a slot");
    let none = start(&world, &source, Ask::get(&[(RANGE, "bytes=9999999-")]));
    let none = none.await.expect("a slot");
    assert_eq!(world.sources.fetches().running, 1);
    drop((head, none));
    // The slot is free as soon as the last byte has arrived.
    let third = start(&world, &source, Ask::default())
        .await
        .expect("a slot");
    let mut body = third.body;
    let mut length = 0;
    while length < 5_000_000 {
        length += body.next().await.expect("content").expect("content").len();
    }
    assert_eq!(world.sources.fetches().running, 1);
    drop(second);
    assert_eq!(world.sources.fetches().running, 0);
    assert!(body.next().await.is_none());
}

#[tokio::test]
async fn a_look_never_waits_for_the_slot_of_its_own_request() {
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", &picture(500_000))).await;
    let config = Config {
        connections_per_origin: 1.try_into().expect("not zero"),
        ..config()
    };
    for asked in [
        Ask::get(&[(RANGE, "bytes=400000-400009")]),
        Ask::get(&[(RANGE, "bytes=0-9")]),
        Ask::default().head(),
    ] {
        let world = allowing(&config, &origin);
        let reply = ask(&world, &origin.url("/a"), asked.picture()).await;
        reply.expect("one slot is enough");
    }
}

#[tokio::test]
async fn the_rest_of_a_broken_object_is_requested_from_its_bucket() {
    let file = picture(200_000);
    let served = file.clone();
    let origin = TestOrigin::start(move |head| {
        let mut actions = serve(head, "\"1\"", &served);
        if let (None, Action::Say(bytes)) = (header(head, "range"), &mut actions[0]) {
            bytes.truncate(100_000);
        }
        actions
    })
    .await;
    let [allowed, _, bucket] = worlds(&origin);
    let url = origin.url("/my-bucket/file");
    let reply = ask(&bucket, &url, Ask::default().picture()).await;
    assert!(reply.expect("the whole").body == file);
    let reply = ask(&allowed, &url, Ask::default()).await;
    assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
    // A part that breaks off stays broken: the rest would be counted from the start of the object.
    let served = file.clone();
    let origin = TestOrigin::start(move |head| {
        let mut actions = serve(head, "\"1\"", &served);
        if let Action::Say(bytes) = &mut actions[0] {
            bytes.truncate(50_000);
        }
        actions
    })
    .await;
    let [_, _, bucket] = worlds(&origin);
    let asked = Ask::get(&[(RANGE, "bytes=100000-")]);
    let reply = ask(&bucket, &origin.url("/my-bucket/file"), asked).await;
    assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
    assert_eq!(origin.heads().len(), 1);
}

#[tokio::test]
async fn a_page_is_let_go_after_its_beginning() {
    const LENGTH: usize = 64 << 20;
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", &vec![b'<'; LENGTH])).await;
    for world in worlds(&origin) {
        let before = origin.written();
        let source = world.allowlist.approve(&origin.url("/my-bucket/file"));
        let source = source.expect("it is allowed");
        let request = OriginalRequest {
            headers: hyper::HeaderMap::new(),
            head_only: false,
            pictures_only: true,
            via: None,
        };
        let answer = world.sources.original(&source, request).await;
        assert!(matches!(answer, Err(SourceError::NotFound { .. })));
        assert_eq!(world.sources.fetches().running, 0);
        // A fetch is let go as well, with an error of its own.
        let answer = world.sources.fetch(&source, None).await;
        assert!(
            matches!(
                answer,
                Err(SourceError::NotAPicture { name: None, .. } | SourceError::TooLarge { .. })
            ),
            "{answer:?}"
        );
        pause().await;
        let written = origin.written() - before;
        assert!(written < 32 << 20, "{written} bytes");
    }
}

#[tokio::test]
async fn a_fetch_ends_with_the_first_bytes_of_what_is_no_picture() {
    let rows: [(&str, &[u8], Option<&str>); 3] = [
        ("", b"<html>", None),
        ("", b"%PDF-1.7", Some("PDF")),
        ("Cache-Control: no-store\r\n", b"<?xml ?><feed>", None),
    ];
    for (headers, beginning, expected) in rows {
        let origin = TestOrigin::start(move |_| {
            let mut actions = say(format!("HTTP/1.1 200 OK\r\n{headers}\r\n"));
            actions.extend(say(beginning));
            actions.push(Action::SayForever(picture(1000)));
            actions
        })
        .await;
        for world in worlds(&origin) {
            let source = world.allowlist.approve(&origin.url("/my-bucket/file"));
            let source = source.expect("it is allowed");
            let answer = world.sources.fetch(&source, None);
            let error = answer.await.expect_err("no picture");
            assert!(
                matches!(error, SourceError::NotAPicture { name, .. } if name == expected),
                "{error:?}"
            );
            let ttl = (!headers.is_empty()).then_some(Duration::ZERO);
            assert_eq!(error.negative_ttl(), ttl);
        }
    }
}

#[tokio::test]
async fn an_original_without_a_length_ends_where_http_says() {
    let origin = TestOrigin::start(|_| {
        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    })
    .await;
    for reply in ask_all(&origin, &Ask::default()).await {
        let reply = reply.expect("an original");
        assert_eq!((reply.length, &reply.body[..]), (None, &b"hello"[..]));
    }
    let cut = TestOrigin::start(|_| {
        say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    })
    .await;
    let world = allowing(&config(), &cut);
    let source = world.allowlist.approve(&cut.url("/a")).expect("allowed");
    let original = start(&world, &source, Ask::default()).await;
    let reply = read(original.expect("a header")).await;
    assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
}

//! Where only pictures may be sent, nothing can be learnt about other files.

use std::sync::{Arc, Mutex};

use hyper::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE};

use crate::source::SourceError;
use crate::source::tests::origin::{Action, TestOrigin, header, say};
use crate::source::tests::originals::{
    Ask, DATE, ask, ask_all, page, picture, respond, serve, worlds,
};

/// Every way to ask for a file that is there.
fn ways() -> Vec<Ask> {
    let conditions = [
        (IF_NONE_MATCH, "\"1\""),
        (IF_NONE_MATCH, "*"),
        (IF_MODIFIED_SINCE, DATE),
        (IF_MATCH, "\"2\""),
        (IF_UNMODIFIED_SINCE, DATE),
        (RANGE, "bytes=0-0"),
        (RANGE, "bytes=0-5000"),
        (RANGE, "bytes=0-"),
        (RANGE, "bytes=70000-70009"),
        (RANGE, "bytes=-1"),
        (RANGE, "bytes=9999999-"),
        (RANGE, "bytes=0-1,5-6"),
    ];
    let mut ways = vec![Ask::default()];
    ways.extend(conditions.map(|condition| Ask::get(&[condition])));
    let heads: Vec<Ask> = ways.iter().map(|way| way.clone().head()).collect();
    ways.extend(heads);
    ways
}

/// Understands `If-Match` and dates as well.
fn serve_all(head: &str, body: &[u8]) -> Vec<Action> {
    let headers = format!("ETag: \"1\"\r\nLast-Modified: {DATE}\r\n");
    let has = |name| header(head, name).is_some();
    if has("if-match") || has("if-unmodified-since") {
        return respond(head, 412, "", b"");
    }
    if has("if-modified-since") || header(head, "if-none-match") == Some("*") {
        return respond(head, 304, &headers, b"");
    }
    serve(head, "\"1\"", body)
}

#[tokio::test]
async fn what_is_no_picture_is_missing_in_every_way() {
    let xml = [b"<?xml version='1.0'?><feed>", &picture(90_000)[..]].concat();
    let pdf = [b"%PDF-1.7", &picture(90_000)[..]].concat();
    for body in [page(90_000), xml, pdf] {
        for with_validators in [true, false] {
            let body = body.clone();
            let origin = TestOrigin::start(move |head| {
                let mut actions = serve_all(head, &body);
                if let (false, Action::Say(bytes)) = (with_validators, &mut actions[0]) {
                    for name in [&b"ETag"[..], b"Last-Modified"] {
                        let at = bytes.windows(name.len()).position(|part| part == name);
                        if let Some(at) = at {
                            bytes[at] = b'X';
                        }
                    }
                }
                actions
            })
            .await;
            for world in worlds(&origin) {
                for way in ways() {
                    let url = origin.url("/my-bucket/file");
                    let reply = ask(&world, &url, way.clone().picture()).await;
                    assert!(
                        matches!(reply, Err(SourceError::NotFound { negative_ttl: None })),
                        "{:?}: {reply:?}",
                        way.headers
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn the_first_request_for_what_is_no_picture_says_nothing_else() {
    let origin = TestOrigin::start(|head| serve_all(head, &page(90_000))).await;
    for way in ways() {
        let [world, ..] = worlds(&origin);
        let reply = ask(&world, &origin.url("/a"), way.clone().picture()).await;
        assert!(
            matches!(reply, Err(SourceError::NotFound { negative_ttl: None })),
            "{:?}: {reply:?}",
            way.headers
        );
    }
}

#[tokio::test]
async fn a_picture_is_answered_in_every_way() {
    let file = picture(90_000);
    let served = file.clone();
    let origin = TestOrigin::start(move |head| serve_all(head, &served)).await;
    for world in worlds(&origin) {
        for way in ways() {
            let url = origin.url("/my-bucket/file");
            let reply = ask(&world, &url, way.clone().picture()).await;
            let reply = reply.expect("an answer");
            let expected = match (&way.headers, way.head_only) {
                (headers, _) if headers.contains_key(IF_NONE_MATCH) => 304,
                (headers, _) if headers.contains_key(IF_MODIFIED_SINCE) => 304,
                (headers, _) if headers.contains_key(IF_MATCH) => 412,
                (headers, _) if headers.contains_key(IF_UNMODIFIED_SINCE) => 412,
                (_, true) => 200,
                (headers, false) => match headers.get(RANGE).map(|range| range.as_bytes()) {
                    Some(b"bytes=9999999-") => 416,
                    Some(b"bytes=0-1,5-6") | None => 200,
                    Some(_) => 206,
                },
            };
            assert_eq!(reply.status, expected, "{:?}", way.headers);
            let has_content = matches!(expected, 200 | 206);
            let media_type = if has_content { "image/test" } else { "" };
            assert_eq!(reply.header("content-type"), media_type);
            if way.head_only || !has_content {
                assert!(reply.body.is_empty());
            } else {
                assert_eq!(Some(reply.body.len() as u64), reply.length);
            }
        }
    }
}

#[tokio::test]
async fn the_bytes_tell_the_media_type_and_not_the_origin() {
    let origin =
        TestOrigin::start(|head| respond(head, 200, "Content-Type: text/html\r\n", &picture(5000)))
            .await;
    for reply in ask_all(&origin, &Ask::default().picture()).await {
        let reply = reply.expect("a picture");
        assert_eq!(reply.header("content-type"), "image/test");
        assert_eq!(reply.header("content-encoding"), "");
    }
    let origin = TestOrigin::start(|head| {
        let drawing = [b"\x1F\x8B", &picture(5000)[..]].concat();
        respond(head, 200, "Content-Type: text/html\r\n", &drawing)
    })
    .await;
    for reply in ask_all(&origin, &Ask::default().picture()).await {
        let reply = reply.expect("a compressed drawing");
        assert_eq!(reply.header("content-type"), "image/svg+xml");
        assert_eq!(reply.header("content-encoding"), "gzip");
        assert_eq!(reply.body.len(), 5002);
    }
}

#[tokio::test]
async fn a_drawing_may_have_a_long_prologue() {
    let drawing = [
        b"<?xml version='1.0'?><!-- ",
        &picture(50_000)[..],
        b" --><svg",
        &picture(50_000)[..],
    ]
    .concat();
    let served = drawing.clone();
    let origin = TestOrigin::start(move |head| serve(head, "\"1\"", &served)).await;
    for asked in [
        Ask::default(),
        Ask::get(&[(RANGE, "bytes=90000-90009")]),
        Ask::get(&[(RANGE, "bytes=0-9")]),
    ] {
        let is_whole = asked.headers.is_empty();
        for reply in ask_all(&origin, &asked.picture()).await {
            let reply = reply.expect("a drawing");
            assert_eq!(reply.header("content-type"), "image/svg+xml");
            assert!(!is_whole || reply.body == drawing);
        }
    }
}

#[tokio::test]
async fn parts_of_one_picture_are_looked_at_once() {
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", &picture(500_000))).await;
    let mut before = 0;
    for world in worlds(&origin) {
        for first in (100_000..400_000).step_by(50_000) {
            let range = format!("bytes={first}-{}", first + 49_999);
            let asked = Ask::get(&[(RANGE, &range)]).picture();
            let reply = ask(&world, &origin.url("/my-bucket/file"), asked).await;
            assert_eq!(reply.expect("a part").body.len(), 50_000);
        }
        let heads = origin.heads();
        assert_eq!(heads.len() - before, 7, "six parts and one look");
        before = heads.len();
    }
}

#[tokio::test]
async fn a_picture_that_becomes_a_page_is_no_picture_any_more() {
    let current = Arc::new(Mutex::new(("\"1\"", picture(90_000))));
    let served = Arc::clone(&current);
    let origin = TestOrigin::start(move |head| {
        let (etag, body) = served.lock().expect("not poisoned").clone();
        serve(head, etag, &body)
    })
    .await;
    for world in worlds(&origin) {
        *current.lock().expect("not poisoned") = ("\"1\"", picture(90_000));
        let url = origin.url("/my-bucket/file");
        let part = Ask::get(&[(RANGE, "bytes=80000-80009")]).picture();
        let reply = ask(&world, &url, part.clone()).await;
        assert_eq!(reply.expect("a part").status, 206);
        *current.lock().expect("not poisoned") = ("\"2\"", page(90_000));
        for way in [part.clone(), Ask::default().head().picture()] {
            let reply = ask(&world, &url, way).await;
            assert!(
                matches!(reply, Err(SourceError::NotFound { .. })),
                "{reply:?}"
            );
        }
        *current.lock().expect("not poisoned") = ("\"3\"", picture(90_000));
        let reply = ask(&world, &url, part).await;
        assert_eq!(reply.expect("a part").status, 206);
    }
}

#[tokio::test]
async fn an_object_that_changes_all_the_time_is_an_error_and_no_loop() {
    let count = Mutex::new(0);
    let origin = TestOrigin::start(move |head| {
        let mut count = count.lock().expect("not poisoned");
        *count += 1;
        serve(head, &format!("\"{count}\""), &picture(90_000))
    })
    .await;
    for (index, asked) in [
        Ask::get(&[(RANGE, "bytes=80000-80009")]),
        Ask::default().head(),
    ]
    .into_iter()
    .enumerate()
    {
        let [allowed, ..] = worlds(&origin);
        let reply = ask(&allowed, &origin.url("/a"), asked.picture()).await;
        assert!(matches!(reply, Err(SourceError::BrokenOff(_))), "{reply:?}");
        assert!(origin.heads().len() <= 8 * (index + 1));
    }
}

#[tokio::test]
async fn an_origin_without_ranges_can_be_looked_at() {
    let origin =
        TestOrigin::start(|head| respond(head, 200, "ETag: \"1\"\r\n", &picture(9000))).await;
    for reply in ask_all(&origin, &Ask::get(&[(RANGE, "bytes=50-59")]).picture()).await {
        let reply = reply.expect("the whole");
        assert_eq!((reply.status, reply.body.len()), (200, 9000));
    }
    for reply in ask_all(&origin, &Ask::default().head().picture()).await {
        assert_eq!(reply.expect("a picture").length, Some(9000));
    }
    // What arrives byte by byte is judged as well.
    let origin = TestOrigin::start(|_| {
        let mut actions = say("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n");
        for byte in picture(30) {
            actions.extend(say([byte]));
        }
        actions
    })
    .await;
    for reply in ask_all(&origin, &Ask::default().picture()).await {
        assert_eq!(reply.expect("a picture").body, picture(30));
    }
}

#[tokio::test]
async fn an_empty_file_is_no_picture() {
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", b"")).await;
    for asked in [Ask::default(), Ask::default().head()] {
        for reply in ask_all(&origin, &asked.clone().picture()).await {
            assert!(
                matches!(reply, Err(SourceError::NotFound { .. })),
                "{reply:?}"
            );
        }
        for reply in ask_all(&origin, &asked).await {
            assert_eq!(reply.expect("an empty file").length, Some(0));
        }
    }
}

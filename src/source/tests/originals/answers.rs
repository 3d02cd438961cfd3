//! Which answers of origins are passed on, with which headers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, COOKIE, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, REFERER, VIA,
};

use crate::source::tests::origin::{Action, TestOrigin, answer, header};
use crate::source::tests::originals::{
    Ask, DATE, ask, ask_all, picture, read, respond, serve, worlds,
};
use crate::source::tests::{allowing, config};
use crate::source::{OriginalRequest, SourceError};

#[tokio::test]
async fn the_whole_is_passed_on_as_it_is() {
    let file = picture(300_000);
    let served = file.clone();
    let origin = TestOrigin::start(move |head| serve(head, "\"1\"", &served)).await;
    for pictures_only in [false, true] {
        let asked = Ask {
            pictures_only,
            ..Ask::default()
        };
        for reply in ask_all(&origin, &asked).await {
            let reply = reply.expect("an original");
            assert_eq!((reply.status, reply.length), (200, Some(300_000)));
            assert!(reply.body == file);
        }
        for reply in ask_all(&origin, &asked.head()).await {
            let reply = reply.expect("an original");
            assert_eq!((reply.status, reply.length), (200, Some(300_000)));
            assert_eq!(reply.header("etag"), "\"1\"");
            assert!(reply.body.is_empty());
        }
    }
}

#[tokio::test]
async fn only_listed_headers_are_passed_on() {
    const PASSED: [(&str, &str); 11] = [
        ("content-type", "text/html"),
        ("accept-ranges", "bytes"),
        ("content-language", "de"),
        ("content-encoding", "br"),
        ("etag", "W/\"1\""),
        ("last-modified", DATE),
        ("cache-control", "max-age=60"),
        ("expires", DATE),
        ("age", "7"),
        ("vary", "Accept-Encoding"),
        ("content-disposition", "inline"),
    ];
    const HELD_BACK: [&str; 8] = [
        "Set-Cookie: a=b",
        "Server: secret/1.0",
        "X-Amz-Meta-Owner: me",
        "Link: </x>; rel=preload",
        "Location: /elsewhere",
        "Strict-Transport-Security: max-age=1",
        "Clear-Site-Data: *",
        "Content-Range: bytes 0-4/5",
    ];
    let lines: String = PASSED
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .chain(HELD_BACK.iter().map(|line| format!("{line}\r\n")))
        .collect();
    let lines = format!("{lines}Cache-Control: public\r\n");
    let origin = TestOrigin::start(move |head| respond(head, 200, &lines, b"hello")).await;
    for reply in ask_all(&origin, &Ask::default()).await {
        let mut reply = reply.expect("an original");
        let controls: Vec<_> = reply.headers.get_all("cache-control").iter().collect();
        assert_eq!(controls, ["max-age=60", "public"]);
        for (name, value) in PASSED {
            assert_eq!(reply.header(name), value, "{name}");
            reply.headers.remove(name);
        }
        reply.headers.remove("content-length");
        assert!(reply.headers.is_empty(), "{reply:?}");
    }
}

#[tokio::test]
async fn only_conditions_range_and_codings_are_forwarded() {
    let origin = TestOrigin::start(|head| respond(head, 200, "", b"hello")).await;
    let forwarded = [
        (IF_MATCH, "\"a\""),
        (IF_NONE_MATCH, "\"b\", W/\"c\""),
        (IF_MODIFIED_SINCE, DATE),
        (IF_UNMODIFIED_SINCE, "yesterday"),
        (IF_RANGE, "\"d\""),
        (RANGE, "bytes=2-3"),
        (ACCEPT_ENCODING, "br, gzip"),
    ];
    let held_back = [
        (COOKIE, "session=1"),
        (AUTHORIZATION, "Basic YTpi"),
        (REFERER, "http://page.test/"),
        (ACCEPT, "image/avif"),
    ];
    let all = Ask::get(&[&forwarded[..], &held_back].concat());
    for reply in ask_all(&origin, &all).await {
        assert_eq!(reply.expect("the whole").status, 200);
    }
    let heads = origin.heads();
    for head in &heads {
        for (name, value) in &forwarded {
            assert_eq!(header(head, name.as_str()), Some(*value), "{head}");
        }
        for word in ["session", "YTpi", "page.test", "avif"] {
            assert!(!head.contains(word), "{head}");
        }
    }
    assert_eq!(heads.len(), 3);
    assert_eq!(header(&heads[0], "accept"), Some("*/*"));
    // HEAD has no ranges, and pictures come without a coding.
    for reply in ask_all(&origin, &all.head().picture()).await {
        assert_eq!(reply.expect("the whole").status, 200);
    }
    let head = origin.heads()[3].clone();
    assert!(head.starts_with("HEAD "), "{head}");
    assert_eq!(header(&head, "accept-encoding"), Some("identity"));
    for name in ["range", "if-range"] {
        assert_eq!(header(&head, name), None, "{head}");
    }
}

#[tokio::test]
async fn via_is_the_usual_or_the_given_one() {
    let origin = TestOrigin::start(|head| respond(head, 200, "", b"hello")).await;
    let world = allowing(&config(), &origin);
    let source = world.allowlist.approve(&origin.url("/a"));
    let source = source.expect("it is allowed");
    for via in [None, Some(HeaderValue::from_static("1.1 other"))] {
        let request = OriginalRequest {
            headers: [(VIA, HeaderValue::from_static("1.1 client"))]
                .into_iter()
                .collect(),
            head_only: false,
            pictures_only: false,
            via,
        };
        let original = world.sources.original(&source, request).await;
        read(original.expect("an answer")).await.expect("content");
    }
    let heads = origin.heads();
    let via = |index: usize| header(&heads[index], "via").map(str::to_owned);
    assert_eq!(via(0).as_deref(), Some("1.1 safelight, 1.1 image-resizing"));
    assert_eq!(via(1).as_deref(), Some("1.1 other"));
}

#[tokio::test]
async fn a_part_is_passed_on() {
    let file = picture(100_000);
    let served = file.clone();
    let origin = TestOrigin::start(move |head| serve(head, "\"1\"", &served)).await;
    for (range, status, expected, content_range) in [
        ("bytes=10-19", 206, &file[10..20], "bytes 10-19/100000"),
        (
            "bytes=99990-",
            206,
            &file[99_990..],
            "bytes 99990-99999/100000",
        ),
        ("bytes=-5", 206, &file[99_995..], "bytes 99995-99999/100000"),
        ("bytes=0-", 206, &file[..], "bytes 0-99999/100000"),
        ("bytes=100000-", 416, b"", "bytes */100000"),
        ("bytes=0-1,5-6", 200, &file[..], ""),
        ("lines=0-1", 200, &file[..], ""),
        ("bytes=5-1", 200, &file[..], ""),
    ] {
        for pictures_only in [false, true] {
            let asked = Ask {
                pictures_only,
                ..Ask::get(&[(RANGE, range)])
            };
            for reply in ask_all(&origin, &asked).await {
                let reply = reply.expect("an answer");
                assert_eq!(reply.status, status, "{range}");
                assert!(reply.body == expected, "{range}");
                assert_eq!(reply.header("content-range"), content_range, "{range}");
                let length = (status != 416).then_some(expected.len() as u64);
                assert_eq!(reply.length, length, "{range}");
            }
        }
    }
}

#[tokio::test]
async fn a_part_of_other_content_becomes_the_whole() {
    let origin = TestOrigin::start(|head| serve(head, "\"1\"", b"hello")).await;
    for (condition, range, status) in [
        ("\"1\"", "bytes=1-2", 206),
        (DATE, "bytes=1-2", 206),
        ("\"2\"", "bytes=1-2", 200),
        ("W/\"1\"", "bytes=1-2", 200),
        ("Sun, 06 Nov 1994 08:49:36 GMT", "bytes=1-2", 200),
        ("yesterday", "bytes=1-2", 200),
        ("\"2\"", "bytes=9-", 200),
    ] {
        let asked = Ask::get(&[(RANGE, range), (IF_RANGE, condition)]);
        for reply in ask_all(&origin, &asked).await {
            let reply = reply.expect("an answer");
            assert_eq!(reply.status, status, "{condition}");
            let expected: &[u8] = if status == 206 { b"el" } else { b"hello" };
            assert_eq!(reply.body, expected, "{condition}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_a_condition_has_no_content() {
    let headers = format!(
        "ETag: \"1\"\r\nLast-Modified: {DATE}\r\nCache-Control: max-age=5\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n"
    );
    for (status, condition, kept) in [
        (304, (IF_NONE_MATCH, "\"1\""), 3),
        (304, (IF_MODIFIED_SINCE, DATE), 3),
        (412, (IF_MATCH, "\"2\""), 0),
        (412, (IF_UNMODIFIED_SINCE, DATE), 0),
    ] {
        let headers = headers.clone();
        let origin = TestOrigin::start(move |head| respond(head, status, &headers, b"no")).await;
        for reply in ask_all(&origin, &Ask::get(&[condition])).await {
            let reply = reply.expect("an answer");
            assert_eq!((reply.status, reply.length), (status, None));
            assert!(reply.body.is_empty());
            assert_eq!(reply.headers.len(), kept, "{reply:?}");
        }
        // Nobody asked.
        for reply in ask_all(&origin, &Ask::default()).await {
            let error = reply.expect_err("no answer");
            assert!(
                matches!(
                    (status, &error),
                    (304, SourceError::BadStatus(_)) | (412, SourceError::ClientError(_))
                ),
                "{status}: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn other_statuses_are_errors_as_for_fetches() {
    for (status, headers) in [
        (204, ""),
        (206, "Content-Range: bytes 0-1/9\r\n"),
        (300, ""),
        (400, ""),
        (401, ""),
        (403, ""),
        (404, "Cache-Control: max-age=7\r\n"),
        (408, ""),
        (410, ""),
        (416, "Content-Range: bytes */9\r\n"),
        (429, ""),
        (500, ""),
        (503, ""),
    ] {
        let origin = TestOrigin::start(move |_| answer(status, headers, b"")).await;
        let original = ask_all(&origin, &Ask::default()).await;
        let world = allowing(&config(), &origin);
        let source = world.allowlist.approve(&origin.url("/my-bucket/file"));
        let source = source.expect("it is allowed");
        let fetched = world.sources.fetch(&source, None);
        let fetched = fetched.await.expect_err("no source");
        for error in original {
            let error = error.expect_err("no original");
            assert_eq!(
                std::mem::discriminant(&error),
                std::mem::discriminant(&fetched),
                "{status}: {error:?}, not {fetched:?}"
            );
            assert_eq!(error.negative_ttl(), fetched.negative_ttl(), "{status}");
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

#[tokio::test]
async fn coded_content_is_passed_on_and_coded_pictures_are_decoded() {
    let file = picture(200_000);
    let coded = gzip(&file);
    let served = coded.clone();
    let origin = TestOrigin::start(move |head| {
        let mut actions = serve(head, "\"1\"", &served);
        if let Action::Say(bytes) = &mut actions[0] {
            let at = bytes
                .windows(2)
                .position(|two| two == b"\r\n")
                .expect("a line")
                + 2;
            bytes.splice(
                at..at,
                *b"Content-Encoding: gzip\r\nAccept-Ranges: bytes\r\n",
            );
        }
        actions
    })
    .await;
    for reply in ask_all(&origin, &Ask::default()).await {
        let reply = reply.expect("an original");
        assert!(reply.body == coded);
        assert_eq!(reply.header("content-encoding"), "gzip");
        assert_eq!(reply.header("etag"), "\"1\"");
    }
    // A part of it cannot be decoded, so it is requested as a whole.
    for range in ["", "bytes=0-9", "bytes=50-59", "bytes=0-"] {
        let lines = [(RANGE, range)];
        let asked = Ask::get(if range.is_empty() { &[] } else { &lines });
        for reply in ask_all(&origin, &asked.picture()).await {
            let reply = reply.expect("a picture");
            assert!(reply.body == file, "{range}");
            assert_eq!((reply.status, reply.length), (200, None), "{range}");
            for (name, value) in [
                ("content-encoding", ""),
                ("content-range", ""),
                ("accept-ranges", "none"),
                ("etag", "W/\"1\""),
                ("content-type", "image/test"),
            ] {
                assert_eq!(reply.header(name), value, "{range}");
            }
        }
    }
    for reply in ask_all(&origin, &Ask::default().head().picture()).await {
        let reply = reply.expect("a picture");
        assert_eq!((reply.status, reply.length), (200, None));
        assert_eq!(reply.header("etag"), "W/\"1\"");
    }
    for world in worlds(&origin) {
        let condition = Ask::get(&[(IF_NONE_MATCH, "\"1\"")]).picture();
        let reply = ask(&world, &origin.url("/my-bucket/file"), condition).await;
        let reply = reply.expect("no change");
        assert_eq!((reply.status, reply.header("etag")), (304, "W/\"1\""));
    }
}

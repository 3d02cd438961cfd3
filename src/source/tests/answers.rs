//! Responses with content codings, and other statuses than 200 that are complete sources.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::source::tests::origin::{Action, TestOrigin, answer, say};
use crate::source::tests::{LIMIT, TestSources, allowing, bucket, config, no_zone, world};
use crate::source::{FetchOutcome, FetchedSource, SourceError};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// What is fetched from a server and from a bucket that run `actions`.
async fn fetched(actions: Vec<Action>) -> [Result<FetchedSource, SourceError>; 2] {
    let origin = TestOrigin::start(move |_| actions.clone()).await;
    let server = allowing(&config(), &origin);
    let bucket = world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]);
    let fetch = async |world: TestSources| {
        let url = origin.url("/my-bucket/cat.svg");
        let source = world.allowlist.approve(&url).expect("it is allowed");
        match world.sources.fetch(&source, None).await? {
            FetchOutcome::Fetched(fetched) => Ok(fetched),
            FetchOutcome::NotModified { .. } => panic!("nothing is known"),
        }
    };
    [fetch(server).await, fetch(bucket).await]
}

#[tokio::test]
async fn coded_content_is_decoded_and_keeps_its_entity_tag() {
    let headers = "Content-Encoding: gzip\r\nETag: \"packed\"\r\n";
    for found in fetched(answer(200, headers, &gzip(b"<svg/>"))).await {
        let found = found.expect("a source");
        assert_eq!(found.bytes, b"<svg/>"[..]);
        assert_eq!(found.validators.etag.as_deref(), Some("\"packed\""));
    }
    let twice = gzip(&gzip(b"<svg/>"));
    let headers = "Content-Encoding: x-gzip\r\nContent-Encoding: identity, GZIP\r\n";
    for found in fetched(answer(200, headers, &twice)).await {
        assert_eq!(found.expect("a source").bytes, b"<svg/>"[..]);
    }
}

#[tokio::test]
async fn the_limit_counts_decoded_bytes() {
    let limit = usize::try_from(LIMIT).expect("a small number");
    for (length, fits) in [(limit, true), (limit + 1, false), (64 * limit, false)] {
        let packed = gzip(&vec![0; length]);
        for found in fetched(answer(200, "Content-Encoding: gzip\r\n", &packed)).await {
            match found {
                Ok(found) => assert!(fits && found.bytes.len() == length, "{length}"),
                Err(error) => {
                    assert!(!fits, "{length}: {error}");
                    assert!(
                        matches!(error, SourceError::TooLarge { limit: LIMIT, .. }),
                        "{error:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn an_unsupported_or_wrong_coding_has_an_error_of_its_own() {
    for (coding, body) in [("compress", &b"\x1f\x9d"[..]), ("gzip", b"<svg/>")] {
        let headers = format!("Content-Encoding: {coding}\r\n");
        for found in fetched(answer(200, &headers, body)).await {
            assert!(matches!(found, Err(SourceError::Coding(_))), "{found:?}");
        }
    }
    for found in fetched(answer(200, "Content-Encoding: base64\r\n", b"<svg/>")).await {
        assert_eq!(found.expect("no coding at all").bytes, b"<svg/>"[..]);
    }
}

#[tokio::test]
async fn coded_content_can_stall_and_break_off_like_any_other() {
    let packed = gzip(b"<svg/>");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        packed.len()
    );
    let half = [head.as_bytes(), &packed[..packed.len() / 2]].concat();
    let mut stalls = say(half);
    stalls.push(Action::Wait(Duration::from_secs(5)));
    let begun = Instant::now();
    for found in fetched(stalls).await {
        assert!(matches!(found, Err(SourceError::Timeout(_))), "{found:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(4));
    let cut = answer(200, "Content-Encoding: gzip\r\n", &packed[..12]);
    for found in fetched(cut).await {
        assert!(matches!(found, Err(SourceError::BrokenOff(_))), "{found:?}");
    }
}

#[tokio::test]
async fn a_complete_response_is_a_source_whatever_its_status() {
    for (status, range) in [(203, None), (206, Some("bytes 0-5/6"))] {
        let headers = range.map(|range| format!("Content-Range: {range}\r\n"));
        for found in fetched(answer(status, &headers.unwrap_or_default(), b"<svg/>")).await {
            assert_eq!(found.expect("a source").bytes, b"<svg/>"[..], "{status}");
        }
    }
    for range in [
        "",
        "Content-Range: bytes 0-5/7\r\n",
        "Content-Range: bytes 1-6/7\r\n",
        "Content-Range: bytes 0-5/*\r\n",
        "Content-Range: bytes 0-6/7\r\n",
        "Content-Range: bytes 0-18446744073709551615/0\r\n",
        "Content-Range: items 0-5/6\r\n",
    ] {
        for found in fetched(answer(206, range, b"<svg/>")).await {
            assert!(
                matches!(&found, Err(SourceError::BadStatus(origin)) if origin.status == 206),
                "{range}: {found:?}"
            );
        }
    }
}

//! Origins that are slow, broken or malicious.

use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::net::TcpListener;
use url::Url;

use crate::freshness::Validators;
use crate::source::tests::origin::{Action, TestOrigin, answer, header, say};
use crate::source::tests::{allowing, bucket, config, no_zone, world};
use crate::source::{Config, FetchOutcome, FetchStage, SourceError};

/// Fetches from an allowed origin that runs `actions`.
async fn fetch(actions: Vec<Action>) -> Result<FetchOutcome, SourceError> {
    let origin = TestOrigin::start(move |_| actions.clone()).await;
    let world = allowing(&config(), &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/cat.jpg"))
        .expect("it is allowed");
    world.sources.fetch(&source, None).await
}

async fn fetch_url(config: &Config, allowed: &str, url: &str) -> Result<FetchOutcome, SourceError> {
    let world = world(config, no_zone(), &[allowed.to_owned()], &[]);
    let url = Url::parse(url).expect("a URL");
    let source = world.allowlist.approve(&url).expect("it is allowed");
    world.sources.fetch(&source, None).await
}

#[track_caller]
fn bytes(answer: Result<FetchOutcome, SourceError>) -> Vec<u8> {
    match answer {
        Ok(FetchOutcome::Fetched(fetched)) => fetched.bytes.to_vec(),
        other => panic!("expected content, got {other:?}"),
    }
}

#[tokio::test]
async fn every_status_has_its_error() {
    for status in [
        201, 202, 204, 206, 226, 300, 304, 305, 400, 401, 403, 404, 408, 410, 418, 429, 499, 500,
        502, 503, 599, 600,
    ] {
        let Err(error) = fetch(answer(status, "", b"")).await else {
            panic!("{status} is no source")
        };
        let is_right = match (status, &error) {
            (404 | 410, SourceError::NotFound { negative_ttl: None }) => true,
            (400, SourceError::BadRequest(origin))
            | (408, SourceError::RequestTimeout(origin))
            | (401 | 403 | 418 | 429 | 499, SourceError::ClientError(origin))
            | (500..600, SourceError::ServerError(origin))
            | (201..400 | 600.., SourceError::BadStatus(origin)) => {
                origin.text == format!("origin `127.0.0.1` answered {status}")
                    && origin.status == status
            }
            _ => false,
        };
        assert!(is_right, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_slow_head_times_out() {
    let error = fetch(vec![Action::Wait(Duration::from_secs(5))]).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::FirstByte))),
        "{error:?}"
    );
    let mut trickle = say("HTTP/1.1 200 OK\r\n");
    for _ in 0..100 {
        trickle.push(Action::Wait(Duration::from_millis(50)));
        trickle.extend(say("X: y\r\n"));
    }
    let error = fetch(trickle).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::FirstByte))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_body_that_stalls_times_out() {
    let mut actions = say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    actions.push(Action::Wait(Duration::from_secs(5)));
    let error = fetch(actions).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::Body))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_trickling_body_ends_with_the_whole_fetch() {
    let mut actions = say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for _ in 0..100 {
        actions.push(Action::Wait(Duration::from_millis(100)));
        actions.extend(say("x"));
    }
    let origin = TestOrigin::start(move |_| actions.clone()).await;
    let config = Config {
        total_timeout: "600 ms".parse().expect("a length of time"),
        ..config()
    };
    let world = allowing(&config, &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/cat.jpg"))
        .expect("it is allowed");
    let before = Instant::now();
    let error = world.sources.fetch(&source, None).await;
    assert!(
        matches!(error, Err(SourceError::Timeout(FetchStage::Body))),
        "{error:?}"
    );
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn an_incomplete_response_breaks_off() {
    for half in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n123",
        "HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n1234567890",
        "SSH-2.0-OpenSSH_9.9\r\n",
    ] {
        let error = fetch(say(half)).await;
        assert!(
            matches!(error, Err(SourceError::BrokenOff(_))),
            "{half:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_endless_body_or_head_ends() {
    let mut body = say("HTTP/1.1 200 OK\r\n\r\n");
    body.push(Action::SayForever(vec![b'x'; 65536]));
    let error = fetch(body).await;
    assert!(
        matches!(error, Err(SourceError::TooLarge { .. })),
        "{error:?}"
    );
    let mut head = say("HTTP/1.1 200 OK\r\n");
    head.push(Action::SayForever(
        b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".to_vec(),
    ));
    let error = fetch(head).await;
    assert!(matches!(error, Err(SourceError::BrokenOff(_))), "{error:?}");
}

#[tokio::test]
async fn an_announced_length_above_the_limit_is_refused_at_once() {
    for length in ["1048577", "99999999999", "18446744073709551615"] {
        let mut actions = say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
        ));
        actions.push(Action::Wait(Duration::from_secs(5)));
        let error = fetch(actions).await;
        assert!(
            matches!(
                error,
                Err(SourceError::TooLarge { .. } | SourceError::BrokenOff(_))
            ),
            "{length}: {error:?}"
        );
    }
}

#[tokio::test]
async fn bytes_after_the_content_length_are_ignored() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ncat and dog";
    assert_eq!(bytes(fetch(say(text)).await), b"cat");
}

#[tokio::test]
async fn a_request_has_only_our_own_header_fields() {
    let origin = TestOrigin::start(|_| answer(200, "Set-Cookie: a=b\r\n", b"cat")).await;
    let world = allowing(&config(), &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/cat.jpg?a=b"))
        .expect("it is allowed");
    for _ in 0..2 {
        bytes(world.sources.fetch(&source, None).await);
    }
    for head in origin.heads() {
        assert!(head.starts_with("GET /cat.jpg?a=b HTTP/1.1\r\n"), "{head}");
        let mut names: Vec<String> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, _)| name.to_ascii_lowercase())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["accept", "accept-encoding", "host", "user-agent", "via"],
            "{head}"
        );
        assert!(
            header(&head, "via").is_some_and(|via| via.contains("image-resizing")),
            "{head}"
        );
        assert_eq!(header(&head, "accept-encoding"), Some("identity"));
        assert!(
            header(&head, "user-agent").is_some_and(|agent| agent.starts_with("safelight/")),
            "{head}"
        );
        assert!(
            header(&head, "accept")
                .is_some_and(|accept| accept.starts_with("image/avif,image/webp")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn validators_that_do_not_fit_a_header_are_not_sent() {
    let origin = TestOrigin::start(|_| answer(200, "", b"cat")).await;
    let world = allowing(&config(), &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/cat.jpg"))
        .expect("it is allowed");
    let known = Validators {
        etag: Some("\"a\r\nX: y\"".to_owned()),
        last_modified: UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)),
    };
    bytes(world.sources.fetch(&source, Some(&known)).await);
    let head = &origin.heads()[0];
    assert_eq!(header(head, "if-none-match"), None);
    assert_eq!(header(head, "if-modified-since"), None);
}

#[tokio::test]
async fn private_addresses_are_not_even_connected_to() {
    let origin = TestOrigin::start(|_| answer(200, "", b"secret")).await;
    let closed = Config {
        private_networks: false,
        ..config()
    };
    let port = origin.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
    ] {
        let url = Url::parse(&format!("http://{host}:{port}/latest/meta-data")).expect("a URL");
        let allowed = format!("{}:{port}", url.host_str().expect("it has a host"));
        let error = fetch_url(&closed, &allowed, url.as_str()).await;
        assert!(
            matches!(error, Err(SourceError::PrivateAddress { .. })),
            "{host}: {error:?}"
        );
    }
    assert!(origin.heads().is_empty());
}

#[tokio::test]
async fn private_networks_do_not_include_metadata_services() {
    for host in ["169.254.169.254", "[fd00:ec2::254]", "[fe80::1]", "0.0.0.0"] {
        let error = fetch_url(&config(), host, &format!("http://{host}/latest/meta-data")).await;
        assert!(
            matches!(error, Err(SourceError::PrivateAddress { .. })),
            "{host}: {error:?}"
        );
    }
}

#[tokio::test]
async fn dns_connect_and_tls_failures_have_different_errors() {
    let error = fetch_url(
        &config(),
        "no-such-host.invalid",
        "http://no-such-host.invalid/x",
    )
    .await;
    assert!(matches!(error, Err(SourceError::Dns { .. })), "{error:?}");

    let unused = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let authority = unused.local_addr().expect("it is bound").to_string();
    drop(unused);
    let error = fetch_url(&config(), &authority, &format!("http://{authority}/x")).await;
    assert!(
        matches!(error, Err(SourceError::Connect { .. })),
        "{error:?}"
    );

    let plain = TestOrigin::start(|_| say("HTTP/1.1 400 no TLS here\r\n\r\n")).await;
    let authority = plain.authority();
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let quiet = silent.local_addr().expect("it is bound").to_string();
    let error = fetch_url(&config(), &quiet, &format!("https://{quiet}/x")).await;
    assert!(matches!(error, Err(SourceError::Timeout(_))), "{error:?}");
    drop(plain);
    let error = fetch_url(&config(), &authority, &format!("https://{authority}/x")).await;
    assert!(
        matches!(error, Err(SourceError::Connect { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn messages_hold_no_signature() {
    let url = "http://no-such-host.invalid/x?X-Amz-Signature=hush";
    let error = fetch_url(&config(), "no-such-host.invalid", url)
        .await
        .expect_err("no such host");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

type ErrorCheck = fn(&SourceError) -> bool;

#[tokio::test]
async fn buckets_are_trusted_no_more_than_servers() {
    let stall = [
        say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"),
        vec![Action::Wait(Duration::from_secs(5))],
    ]
    .concat();
    let rows: [(Vec<Action>, ErrorCheck); 6] = [
        (
            answer(403, "", b"<Error><Code>AccessDenied</Code></Error>"),
            |error| matches!(error, SourceError::ClientError(origin) if origin.text.contains("403 AccessDenied")),
        ),
        (answer(400, "", b""), |error| {
            matches!(error, SourceError::BadRequest(_))
        }),
        (answer(301, "", b""), |error| {
            matches!(error, SourceError::BadStatus(_))
        }),
        (answer(500, "", b""), |error| {
            matches!(error, SourceError::ServerError(_))
        }),
        (
            say("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
            |error| matches!(error, SourceError::TooLarge { .. }),
        ),
        (stall, |error| {
            matches!(error, SourceError::Timeout(FetchStage::Body))
        }),
    ];
    for (index, (actions, is_right)) in rows.into_iter().enumerate() {
        let origin = TestOrigin::start(move |_| actions.clone()).await;
        let world = world(&config(), no_zone(), &[], &[bucket(&origin.url(""))]);
        let source = world
            .allowlist
            .approve(&origin.url("/my-bucket/cat.jpg"))
            .expect("it is configured");
        let error = world
            .sources
            .fetch(&source, None)
            .await
            .expect_err("no row is a source");
        assert!(is_right(&error), "row {index}: {error:?}");
    }
}

//! Which sites may read answers with their scripts (CORS), and what a browser asks beforehand.

use hyper::Method;
use safelight::config::Config;

use crate::support::client::{Client, raw};
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, zone};
use crate::support::reply::Reply;
use crate::support::samples;

const TARGET: &str = "/cdn-cgi/image/width=16,format=webp/a.png";
const AUTO: &str = "/cdn-cgi/image/width=16,format=auto/a.png";

/// The headers of CORS, beside `Vary`.
const NAMES: [&str; 8] = [
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-max-age",
    "timing-allow-origin",
    "cross-origin-resource-policy",
];

/// A proxy with a value of `cors.origins`, and its clients of both versions of HTTP.
async fn world(origins: &str) -> (TestOrigin, TestProxy, [Client; 2]) {
    let picture = Answer::file(samples::png(64, 48)).with("cache-control", "max-age=86400");
    let origin = TestOrigin::with("/a.png", picture).await;
    let settings = format!("[cors]\norigins = {origins}\n");
    let cors = Config::parse(&settings, []).expect("right settings").cors;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cors = cors;
    })
    .await;
    let address = proxy.client().address();
    (origin, proxy, [Client::new(address), Client::h2c(address)])
}

/// One answer of each kind that has a body or could have one, to requests with these headers.
async fn answers(client: &Client, headers: &[(&str, &str)]) -> Vec<Reply> {
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        let all = headers.iter().copied().chain(more.iter().copied());
        all.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let etag = client.get(TARGET).await.header("etag");
    let mut replies = Vec::new();
    for (method, target, status, more) in [
        (Method::GET, TARGET, 200, with(&[])),
        (Method::HEAD, TARGET, 200, with(&[])),
        (Method::GET, AUTO, 200, with(&[])),
        (Method::GET, TARGET, 304, with(&[("if-none-match", &etag)])),
        (Method::GET, TARGET, 206, with(&[("range", "bytes=0-9")])),
        (Method::GET, TARGET, 416, with(&[("range", "bytes=99999-")])),
        (Method::GET, TARGET, 412, with(&[("if-match", "\"x\"")])),
        (Method::GET, "/cdn-cgi/image/w=8/b.png", 404, with(&[])),
        (Method::GET, "/cdn-cgi/image/w=8", 400, with(&[])),
        (
            Method::GET,
            "/cdn-cgi/image/w=8/http://b.test/a.png",
            403,
            with(&[]),
        ),
        (
            Method::GET,
            "/cdn-cgi/image/w=8,onerror=redirect/b.png",
            307,
            with(&[]),
        ),
        (Method::GET, "/_next/image?url=/a.png", 400, with(&[])),
        (Method::GET, "/nowhere", 404, with(&[])),
        (Method::POST, TARGET, 405, with(&[])),
        (Method::OPTIONS, TARGET, 204, with(&[])),
    ] {
        let more: Vec<(&str, &str)> = more
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let reply = client.send(method, target, &more).await;
        reply.assert_status(status);
        replies.push(reply);
    }
    replies
}

/// The headers of CORS that an answer has.
fn cors_of(reply: &Reply) -> Vec<(&'static str, String)> {
    let names = NAMES
        .iter()
        .filter(|name| reply.headers.contains_key(**name));
    names.map(|name| (*name, reply.header(name))).collect()
}

fn varies_by_origin(reply: &Reply) -> bool {
    let vary = reply.header("vary");
    vary.split(", ").any(|name| name == "Origin")
}

#[tokio::test]
async fn every_site_may_read_every_answer_unless_settings_say_otherwise() {
    let (_origin, _proxy, clients) = world("[\"*\"]").await;
    for client in &clients {
        for headers in [
            &[][..],
            &[("origin", "https://a.test")],
            &[("origin", "null")],
        ] {
            for reply in answers(client, headers).await {
                let found = cors_of(&reply);
                let exposed = reply.header("access-control-expose-headers");
                for name in [
                    "Cf-Resized",
                    "Warning",
                    "Server-Timing",
                    "Cache-Status",
                    "ETag",
                ] {
                    assert!(exposed.split(", ").any(|one| one == name), "{reply}");
                }
                assert_eq!(
                    found,
                    [
                        ("access-control-allow-origin", "*".to_owned()),
                        ("access-control-expose-headers", exposed),
                        ("timing-allow-origin", "*".to_owned()),
                        ("cross-origin-resource-policy", "cross-origin".to_owned()),
                    ],
                    "{reply}"
                );
                assert!(!varies_by_origin(&reply), "{reply}");
            }
        }
    }
}

#[tokio::test]
async fn with_a_list_only_its_origins_may() {
    let (_origin, _proxy, clients) =
        world("[\"https://a.test\", \"https://*.b.test\", \"http://localhost:3000\"]").await;
    for client in &clients {
        for origin in [
            "https://a.test",
            "https://b.test",
            "https://x.y.b.test",
            "http://localhost:3000",
        ] {
            for reply in answers(client, &[("origin", origin)]).await {
                reply
                    .assert_header("access-control-allow-origin", origin)
                    .assert_header("timing-allow-origin", origin)
                    .assert_header_has("access-control-expose-headers", "Cf-Resized")
                    .assert_header("cross-origin-resource-policy", "cross-origin")
                    .assert_no_header("access-control-allow-credentials");
                assert!(varies_by_origin(&reply), "{reply}");
            }
        }
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "*")],
            &[("origin", "https://c.test")],
            &[("origin", "http://a.test")],
            &[("origin", "https://a.test.evil.test")],
            &[("origin", "https://evil.test/.b.test")],
            &[("origin", "https://\u{e4}.b.test")],
            &[("origin", "https://a.test, https://a.test")],
            &[("origin", "https://a.test"), ("origin", "https://a.test")],
            &[("origin", "https://c.test"), ("origin", "https://a.test")],
        ] {
            for reply in answers(client, headers).await {
                let policy = "cross-origin".to_owned();
                assert_eq!(
                    cors_of(&reply),
                    [("cross-origin-resource-policy", policy)],
                    "{headers:?}: {reply}"
                );
                assert!(varies_by_origin(&reply), "{headers:?}: {reply}");
                reply.assert_keeps_quiet_about(&["https://c.test", "evil"]);
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_depends_on_more_names_all_in_one_line() {
    let (_origin, proxy, _clients) = world("[\"https://a.test\"]").await;
    let first = proxy.get(AUTO).await;
    first.assert_header("vary", "Accept, Origin");
    let etag = first.header("etag");
    let second = proxy.get_with(AUTO, &[("if-none-match", &etag)]).await;
    second
        .assert_status(304)
        .assert_header("vary", "Accept, Origin");
    assert_eq!(second.headers.get_all("vary").iter().count(), 1);
    proxy.get(TARGET).await.assert_header("vary", "Origin");
}

#[tokio::test]
async fn with_an_empty_list_no_answer_has_a_header_of_cors() {
    let (_origin, _proxy, clients) = world("[]").await;
    for client in &clients {
        for headers in [&[][..], &[("origin", "https://a.test")]] {
            for reply in answers(client, headers).await {
                assert_eq!(cors_of(&reply), [], "{reply}");
                assert!(!varies_by_origin(&reply), "{reply}");
            }
        }
    }
}

#[tokio::test]
async fn preflights_are_answered() {
    let allowed = [
        ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
        ("access-control-allow-headers", "*"),
        ("access-control-max-age", "86400"),
    ];
    for (origins, origin, expected) in [
        ("[\"*\"]", "https://a.test", "*"),
        ("[\"*\"]", "null", "*"),
        ("[\"https://a.test\"]", "https://a.test", "https://a.test"),
        ("[\"https://a.test\"]", "https://b.test", ""),
        ("[\"https://a.test\"]", "null", ""),
        ("[]", "https://a.test", ""),
    ] {
        let (_origin, proxy, clients) = world(origins).await;
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "range,x-b\u{e4}d"),
        ];
        for client in &clients {
            for target in [TARGET, "/nowhere", "/_next/image"] {
                let reply = client.send(Method::OPTIONS, target, &asked).await;
                reply
                    .assert_status(204)
                    .assert_header("allow", "GET, HEAD, OPTIONS")
                    .assert_header("access-control-allow-origin", expected)
                    .assert_no_header("content-length")
                    .assert_no_header("content-type");
                for (name, value) in allowed {
                    let value = if expected.is_empty() { "" } else { value };
                    reply.assert_header(name, value);
                }
                assert_eq!(varies_by_origin(&reply), origins.contains("a.test"));
                // Without the method that is to follow it is no preflight.
                let plain = client.send(Method::OPTIONS, target, &asked[..1]).await;
                plain
                    .assert_status(204)
                    .assert_header("allow", "GET, HEAD, OPTIONS")
                    .assert_header("access-control-allow-origin", expected);
                for (name, _) in allowed {
                    plain.assert_no_header(name);
                }
            }
        }
        assert_eq!(proxy.renders(), 0.0, "nothing is made for a preflight");
    }
}

#[tokio::test]
async fn options_of_the_whole_server_and_bad_hosts_are_answered_alike() {
    let (_origin, proxy, _clients) = world("[\"https://a.test\"]").await;
    for (head, status) in [
        ("OPTIONS * HTTP/1.1\r\nhost: h", "204"),
        ("OPTIONS /x HTTP/1.1\r\nhost: h", "204"),
        ("OPTIONS /x HTTP/1.1", "400"),
        ("GET /x HTTP/1.1\r\nhost: h\r\nhost: h", "400"),
    ] {
        let request = format!("{head}\r\norigin: https://a.test\r\nconnection: close\r\n\r\n");
        let answer = raw(proxy.client().address(), request.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(
            answer.starts_with(&format!("http/1.1 {status} ")),
            "{answer}"
        );
        assert!(
            answer.contains("\r\naccess-control-allow-origin: https://a.test\r\n"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn the_operators_listener_has_no_cors() {
    let (_origin, proxy, _clients) = world("[\"*\"]").await;
    let headers = [
        ("origin", "https://a.test"),
        ("access-control-request-method", "POST"),
    ];
    for (method, target) in [
        (Method::GET, "/metrics"),
        (Method::GET, "/healthz"),
        (Method::OPTIONS, "/purge"),
        (Method::OPTIONS, "/metrics"),
        (Method::GET, "/nowhere"),
    ] {
        let reply = proxy.admin().send(method, target, &headers).await;
        let same_origin = ("cross-origin-resource-policy", "same-origin".to_owned());
        assert_eq!(cors_of(&reply), [same_origin], "{reply}");
    }
}

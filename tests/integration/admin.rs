//! The admin listener: health, readiness, metrics, and who may read them.

use std::time::Instant;

use hyper::Method;
use safelight::admin::HostName;

use crate::support::client::raw;
use crate::support::metrics::Metrics;
use crate::support::origin::TestOrigin;
use crate::support::process::Process;
use crate::support::proxy::{TOKEN, TestProxy};
use crate::support::{eventually, samples};

#[tokio::test]
async fn health_and_readiness_are_reported() {
    let proxy = TestProxy::start(|_| ()).await;
    let admin = proxy.admin();
    admin.get("/healthz").await.assert_status(200);
    admin.get("/readyz").await.assert_status(200);
    proxy.readiness.set(false);
    admin.get("/healthz").await.assert_status(200);
    admin.get("/readyz").await.assert_status(503);
    admin.get("/nothing").await.assert_status(404);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let reply = admin.send(Method::POST, path, &[]).await;
        reply.assert_status(405);
    }
}

#[tokio::test]
async fn metrics_have_the_format_of_prometheus_and_include_the_latest_request() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let target = "/cdn-cgi/image/width=16,format=webp/a.png";
    proxy.get(target).await.assert_size(16, 12);
    proxy.get(target).await.assert_size(16, 12);
    proxy
        .get("/cdn-cgi/image/width=16/b.png")
        .await
        .assert_status(404);

    let reply = proxy.admin().get("/metrics").await;
    reply
        .assert_status(200)
        .assert_header_has("content-type", "application/openmetrics-text");
    let metrics = Metrics::parse(&reply.text());
    for (name, labels, value) in [
        (
            "safelight_requests_total",
            &[("status", "200"), ("outcome", "miss")][..],
            1.0,
        ),
        (
            "safelight_requests_total",
            &[("status", "200"), ("outcome", "memory")],
            1.0,
        ),
        (
            "safelight_requests_total",
            &[("status", "404"), ("outcome", "error")],
            1.0,
        ),
        ("safelight_request_seconds_count", &[], 3.0),
        (
            "safelight_errors_total",
            &[("code", "source-not-found")],
            1.0,
        ),
        (
            "safelight_source_fetches_total",
            &[("result", "fetched")],
            1.0,
        ),
        ("safelight_renders_total", &[("format", "webp")], 1.0),
        ("safelight_render_seconds_count", &[("step", "encode")], 1.0),
        ("safelight_requests_in_flight", &[], 0.0),
        ("safelight_cpu_jobs", &[], 0.0),
    ] {
        assert_eq!(metrics.sum(name, labels), value, "{name} {labels:?}");
    }
    let fetched = metrics.sum("safelight_source_bytes_total", &[]);
    assert_eq!(fetched, samples::png(64, 48).len() as f64);
    assert_eq!(
        metrics
            .types
            .get("safelight_request_seconds")
            .map(String::as_str),
        Some("histogram")
    );
}

#[tokio::test]
async fn a_foreign_host_name_that_resolves_to_the_admin_listener_reads_nothing() {
    let proxy = TestProxy::start(|config| {
        let name = HostName::try_from("*.internal".to_owned()).expect("a name");
        config.admin.hosts = vec![name];
    })
    .await;
    let authorization = format!("Bearer {TOKEN}");
    let ask = async |method: Method, path: &str, host: &str| {
        let headers = [("host", host), ("authorization", authorization.as_str())];
        proxy.admin().send(method, path, &headers).await
    };
    for path in ["/healthz", "/readyz", "/metrics"] {
        for host in ["localhost:8081", "10.0.0.7:8081", "[::1]", "a.internal"] {
            ask(Method::GET, path, host).await.assert_status(200);
        }
    }
    for path in ["/healthz", "/readyz", "/metrics", "/nothing"] {
        let reply = ask(Method::GET, path, "evil.test:8081").await;
        reply.assert_status(421);
        assert!(reply.text().contains("`hosts`"), "{reply}");
    }
    for path in ["/purge", "/warm", "/client/v4/zones/z/purge_cache"] {
        ask(Method::POST, path, "evil.test")
            .await
            .assert_status(421);
    }
    let answer = raw(proxy.admin().address(), b"GET /metrics HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 400 "));
}

#[tokio::test]
async fn guessing_the_token_does_not_fill_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let settings = format!(
        "[zone]\norigin = \"{}\"\n[cache.disk]\npath = \"{}\"\n[admin]\ntoken = \"{TOKEN}\"\n",
        origin.url(""),
        folder.path().display()
    );
    let server = Process::start(&settings).await;
    let begun = Instant::now();
    for _ in 0..300 {
        let headers = [("authorization", "Bearer a-guessed-token-1")];
        let reply = server.admin.post("/purge", &headers, "{}").await;
        reply.assert_status(401);
    }
    let most = begun.elapsed().as_secs() + 2;
    eventually("it is logged", async || {
        server.log().contains("was refused")
    })
    .await;
    let log = server.log();
    let lines = u64::try_from(log.matches("was refused").count()).expect("a few");
    assert!(lines <= most, "{lines} lines in {most} s:\n{log}");
    assert!(!log.contains("guessed"), "{log}");
}

#[tokio::test]
async fn the_public_listener_has_no_admin_routes() {
    let proxy = TestProxy::start(|_| ()).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        proxy.get(path).await.assert_status(404);
    }
}

//! Traces of the real binary, as a collector gets them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::support::collector::{Collector, attribute, path};
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::process::{Process, settings};
use crate::support::{eventually, samples};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PICTURE: &str = "/cdn-cgi/image/width=32,format=jpeg/a.png?token=hunter2";

fn traced(origin: &TestOrigin, cache: &std::path::Path, collector: &Collector) -> String {
    let url = &collector.url;
    format!(
        "{}[traces]\nendpoint = \"{url}\"\n",
        settings(origin, cache)
    )
}

/// Stops the server, which sends the last spans, and returns all of them.
async fn all_spans(mut server: Process, collector: &Collector) -> Vec<Span> {
    server.terminate().await;
    server.ended().await;
    collector.spans()
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn paths(spans: &[Span]) -> BTreeSet<String> {
    spans.iter().map(|span| path(spans, span)).collect()
}

#[tokio::test]
async fn each_step_of_a_request_is_a_span_within_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let more = "service_name = 'pictures'\nheaders = { x-key = 'of-the-collector' }\n";
    let text = traced(&origin, folder.path(), &collector) + more;
    let server = Process::start(&text).await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    let answer = server.client.get_with(PICTURE, &headers).await;
    answer.assert_size(32, 24);
    let asked = origin.last().headers;
    let spans = all_spans(server, &collector).await;

    let expected = [
        "GET /cdn-cgi/image/",
        "GET /cdn-cgi/image/ > approve",
        "GET /cdn-cgi/image/ > lookup",
        "GET /cdn-cgi/image/ > parse",
        "GET /cdn-cgi/image/ > render",
        "GET /cdn-cgi/image/ > render > open",
        "GET /cdn-cgi/image/ > render > open > queue",
        "GET /cdn-cgi/image/ > render > transform",
        "GET /cdn-cgi/image/ > render > transform > decode",
        "GET /cdn-cgi/image/ > render > transform > encode",
        "GET /cdn-cgi/image/ > render > transform > queue",
        "GET /cdn-cgi/image/ > render > transform > resize",
        "GET /cdn-cgi/image/ > source",
        "GET /cdn-cgi/image/ > source > fetch",
        "GET /cdn-cgi/image/ > source > fetch > GET",
        "GET /cdn-cgi/image/ > source > store",
        "GET /cdn-cgi/image/ > store",
    ];
    assert_eq!(paths(&spans), expected.map(str::to_owned).into());
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let find = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name}"))
    };

    let request = find("GET /cdn-cgi/image/");
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(request.trace_state, "vendor=1");
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/cdn-cgi/image/"),
        ("url.scheme", "http"),
        ("url.path", "/cdn-cgi/image/width=32,format=jpeg/a.png"),
        ("network.protocol.version", "1.1"),
        ("safelight.cache", "miss"),
    ] {
        let found = attribute(&request.attributes, name);
        assert_eq!(found.as_deref(), Some(value), "{name}");
    }
    let call = find("GET");
    let url = attribute(&call.attributes, "url.full").expect("where it went");
    assert_eq!(url, origin.url("/a.png"));
    let status = attribute(&call.attributes, "http.response.status_code");
    assert_eq!(status.as_deref(), Some("200"));
    // The origin was asked for the sake of that span.
    let parent = format!("00-{TRACE}-{}-01", hex(&call.span_id));
    assert_eq!(asked["traceparent"], parent.as_str());
    assert_eq!(asked["tracestate"], "vendor=1");

    for span in &spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        assert!(span.start_time_unix_nano >= request.start_time_unix_nano);
    }
    let (target, headers, resource) = collector.last();
    assert_eq!(target, "/v1/traces");
    assert_eq!(headers["x-key"], "of-the-collector");
    let service = attribute(&resource, "service.name");
    assert_eq!(service.as_deref(), Some("pictures"));
    assert!(!format!("{spans:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_hit_has_few_spans_and_a_waiting_request_names_whom_it_waits_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let gate = Gate::closed();
    let origin = TestOrigin::with("/a.png", Answer::file(samples::png(64, 48)).behind(&gate)).await;
    let text = traced(&origin, folder.path(), &collector);
    let server = Process::start(&text).await;
    // Several, because the last of them may be counted before it waits.
    let others = (1..=8).map(|width| PICTURE.replace("width=32", &format!("width={width}")));
    let others: Vec<String> = others.collect();
    let asked = async {
        eventually("the origin is asked", async || origin.hits("/a.png") == 1).await;
        let open = async {
            eventually("all wait", async || {
                let metrics = server.metrics().await;
                metrics.sum("safelight_requests_in_flight", &[]) >= 9.0
            })
            .await;
            gate.open();
        };
        let asked = others.iter().map(|other| server.client.get(other));
        tokio::join!(join_all(asked), open).0
    };
    let (first, others) = tokio::join!(server.client.get(PICTURE), asked);
    first.assert_size(32, 24);
    assert!(others.iter().all(|reply| reply.status == 200));
    server.client.get(PICTURE).await.assert_size(32, 24);
    let spans = all_spans(server, &collector).await;
    let wait = spans.iter().find(|span| span.name == "wait");
    let wait = wait.expect("the second request waited for the first");
    let awaited = spans
        .iter()
        .find(|span| span.span_id == wait.links[0].span_id);
    let awaited = awaited.expect("it is a span of this server");
    assert_eq!(path(&spans, awaited), "GET /cdn-cgi/image/ > source");
    assert_ne!(awaited.trace_id, wait.trace_id);

    let is_hit =
        |span: &&Span| attribute(&span.attributes, "safelight.cache").as_deref() == Some("memory");
    let hit = spans.iter().find(is_hit).expect("the last request");
    let of_hit: Vec<Span> = spans
        .iter()
        .filter(|span| span.trace_id == hit.trace_id)
        .cloned()
        .collect();
    let expected = [
        "GET /cdn-cgi/image/",
        "GET /cdn-cgi/image/ > lookup",
        "GET /cdn-cgi/image/ > source",
    ];
    assert_eq!(paths(&of_hit), expected.map(str::to_owned).into());
}

#[tokio::test]
async fn the_steps_of_a_worker_process_are_spans_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let text = traced(&origin, folder.path(), &collector) + "[limits]\nisolation = 'process'\n";
    let server = Process::start(&text).await;
    server.client.get(PICTURE).await.assert_size(32, 24);
    let spans = all_spans(server, &collector).await;
    for step in ["decode", "resize", "encode"] {
        let path = format!("GET /cdn-cgi/image/ > render > transform > {step}");
        assert!(paths(&spans).contains(&path), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_passed_on_and_not_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    origin.serve("/b.png", samples::png(64, 48));
    let text = traced(&origin, folder.path(), &collector) + "sample_ratio = 0\n";
    let server = Process::start(&text).await;
    let unsampled = PARENT.replace("-01", "-00");
    let headers = [("traceparent", &*unsampled)];
    server.client.get_with(PICTURE, &headers).await;
    let passed = origin.last().headers;
    let passed = passed["traceparent"].to_str().expect("text");
    let start = format!("00-{TRACE}-");
    assert!(
        passed.starts_with(&start) && passed.ends_with("-00"),
        "{passed}"
    );
    // Whoever sent this one records it: so do we.
    let other = PICTURE.replace("/a.png", "/b.png");
    let headers = [("traceparent", PARENT)];
    server.client.get_with(&other, &headers).await;
    let spans = all_spans(server, &collector).await;
    let requests = spans.iter().filter(|span| span.name.starts_with("GET /"));
    assert_eq!(requests.count(), 1);
}

#[tokio::test]
async fn without_a_collector_no_trace_is_passed_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&origin, folder.path())).await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    server.client.get_with(PICTURE, &headers).await;
    let asked = origin.last().headers;
    assert!(!asked.contains_key("traceparent") && !asked.contains_key("tracestate"));
    let metrics = server.admin.get("/metrics").await.text();
    assert!(!metrics.contains("safelight_trace_spans{"), "{metrics}");
}

#[tokio::test]
async fn a_parent_counts_only_where_the_settings_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let text = traced(&origin, folder.path(), &collector) + "accept_parent = false\n";
    let server = Process::start(&text).await;
    let headers = [("traceparent", PARENT), ("tracestate", "vendor=1")];
    server.client.get_with(PICTURE, &headers).await;
    let spans = all_spans(server, &collector).await;
    assert!(spans.len() > 10);
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    assert!(!origin.last().headers.contains_key("tracestate"));
}

#[tokio::test]
async fn errors_are_marked_and_their_secrets_stay_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    let origin = TestOrigin::with("/a.png", Answer::status(500)).await;
    let server = Process::start(&traced(&origin, folder.path(), &collector)).await;
    server.client.get(PICTURE).await.assert_status(502);
    let denied = "/cdn-cgi/image/width=9/http%3A%2F%2Fx.test%2Fa.png%3Fkey%3Dhunter2";
    server.client.get(denied).await.assert_status(403);
    let spans = all_spans(server, &collector).await;
    assert!(!format!("{spans:?}").contains("hunter2"));
    let failed = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        let span = found.unwrap_or_else(|| panic!("no span {name}"));
        let status = span.status.as_ref().map_or(0, |status| status.code);
        (status, attribute(&span.attributes, "error.type"))
    };
    assert_eq!(failed("GET"), (2, Some("500".to_owned())));
    assert_eq!(failed("fetch"), (2, Some("source-failing".to_owned())));
    let requests = spans.iter().filter(|span| span.name.starts_with("GET /"));
    let errors: BTreeSet<_> = requests
        .map(|span| {
            let status = span.status.as_ref().map_or(0, |status| status.code);
            (status, attribute(&span.attributes, "safelight.error"))
        })
        .collect();
    let expected = [(0, "source-denied"), (2, "source-failing")];
    let expected = expected.map(|(code, word)| (code, Some(word.to_owned())));
    assert_eq!(errors, expected.into());
}

#[tokio::test]
async fn a_collector_that_fails_costs_one_line_in_the_log_and_no_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let collector = Collector::start().await;
    collector.answer(503);
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let mut server = Process::start(&traced(&origin, folder.path(), &collector)).await;
    server.client.get(PICTURE).await.assert_size(32, 24);
    // More than wait for the collector at once: 3 spans each.
    for _ in 0..1200 {
        server.client.get(PICTURE).await;
    }
    eventually("it was sent twice", async || collector.messages() >= 2).await;
    collector.answer(200);
    for _ in 0..200 {
        server.client.get(PICTURE).await;
    }
    eventually("it is taken again", async || !collector.spans().is_empty()).await;
    eventually("that is logged", async || {
        server.log().contains("the collector takes traces again")
    })
    .await;
    let log = server.log();
    let warnings = log.matches("the collector does not take traces").count();
    assert_eq!(warnings, 1, "{log}");
    let metrics = server.metrics().await;
    assert!(metrics.sum("safelight_trace_spans", &[("event", "failed")]) > 0.0);
    server.terminate().await;
    server.ended().await;
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    // It takes connections, by its backlog, and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let silent = silent.expect("a free port");
    let address = silent.local_addr().expect("it is bound");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let text = settings(&origin, folder.path());
    let text = format!("{text}[traces]\nendpoint = \"http://{address}\"\n");
    let mut server = Process::start(&text).await;
    server.client.get(PICTURE).await.assert_size(32, 24);
    let started = Instant::now();
    server.terminate().await;
    assert!(server.ended().await.success());
    assert!(started.elapsed() < Duration::from_secs(20));
}

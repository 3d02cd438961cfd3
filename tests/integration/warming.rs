//! Pictures that are there before anybody asks: one fetch, one decode, and what is kept already is left alone.

use hyper::Request;
use safelight::error::Error;
use safelight::pipeline::Prepared;
use safelight::policy::Job;
use safelight::transform::TransformError;

use crate::support::origin::Answer;
use crate::support::origin::TestOrigin;
use crate::support::proxy::TestProxy;
use crate::support::proxy::setting;
use crate::support::proxy::zone;
use crate::support::samples;

const ACCEPT: &str = "image/avif,image/webp";

fn job(proxy: &TestProxy, options: &str, source: &str) -> Job {
    let request = Request::get(format!("/cdn-cgi/image/{options}/{source}"))
        .header("host", "img.example.com")
        .header("accept", ACCEPT)
        .body(())
        .expect("a request");
    proxy
        .pipeline()
        .job(&request.into_parts().0)
        .expect("the zone is allowed")
}

async fn prepare(proxy: &TestProxy, jobs: &[Job]) -> Vec<&'static str> {
    let prepared = proxy.pipeline().prepare(jobs).await;
    let word = |prepared: &Prepared| match prepared {
        Prepared::Made => "made",
        Prepared::Kept => "kept",
        Prepared::Unstorable => "unstorable",
        Prepared::Failed(_) => "failed",
    };
    prepared.iter().map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_makes_all_pictures_and_clients_hit_them() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let kept = "width=300,format=webp";
    proxy
        .get(&format!("/cdn-cgi/image/{kept}/a.jpg"))
        .await
        .assert_status(200);
    let options = [
        kept,
        "width=320,format=auto",
        "width=320,format=jpeg",
        "width=160,format=webp",
        "width=160,format=auto,fit=cover,height=160,gravity=auto",
        "width=320,format=jpeg",
    ];
    let jobs = options.map(|options| job(&proxy, options, "a.jpg"));
    let expected = ["kept", "made", "made", "made", "made", "made"];
    assert_eq!(prepare(&proxy, &jobs).await, expected);
    assert_eq!(prepare(&proxy, &jobs).await, ["kept"; 6]);
    assert_eq!(origin.hits("/a.jpg"), 1);
    // One for the client, and four: two of the jobs are one.
    assert_eq!(proxy.renders(), 5.0);
    for options in options {
        let target = format!("/cdn-cgi/image/{options}/a.jpg");
        let reply = proxy.get_with(&target, &[("accept", ACCEPT)]).await;
        // Not an interim one either.
        reply
            .assert_status(200)
            .assert_header("cache-status", "safelight; hit; detail=memory");
    }
    let metrics = proxy.metrics();
    let prepared = |result| metrics.sum("safelight_prepared_total", &[("result", result)]);
    assert_eq!((prepared("made"), prepared("kept")), (5.0, 7.0));
    assert_eq!(proxy.renders(), 5.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_are_prepared_in_one_call_and_fail_by_themselves() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    origin.serve("/b.jpg", samples::jpeg(80, 60));
    origin.serve("/broken.jpg", b"no picture".to_vec());
    let proxy = TestProxy::in_front_of(&origin).await;
    let jobs = [
        job(&proxy, "width=32", "a.png"),
        job(&proxy, "width=32", "b.jpg"),
        job(&proxy, "width=32", "broken.jpg"),
        job(&proxy, "width=16", "a.png"),
        job(&proxy, "width=16", "missing.jpg"),
        job(&proxy, "width=64,height=9000,fit=pad", "b.jpg"),
        job(&proxy, "width=16,format=json", "b.jpg"),
    ];
    assert_eq!(
        prepare(&proxy, &jobs).await,
        ["made", "made", "failed", "made", "failed", "made", "made"]
    );
    assert_eq!((origin.hits("/a.png"), origin.hits("/b.jpg")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_kept_is_not_made() {
    let answer = Answer::file(samples::png(64, 48)).with("cache-control", "no-store");
    let origin = TestOrigin::with("/a.png", answer).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let jobs = [job(&proxy, "width=32", "a.png")];
    assert_eq!(prepare(&proxy, &jobs).await, ["unstorable"]);
    assert_eq!(proxy.renders(), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_costly_for_idle_work_leaves_the_others_alone() {
    let origin = TestOrigin::with("/a.png", samples::png(800, 600)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.render_memory = setting("32 MiB");
    })
    .await;
    let jobs = [
        job(&proxy, "width=80,format=webp", "a.png"),
        job(&proxy, "width=800,format=avif", "a.png"),
        job(&proxy, "width=40,format=webp", "a.png"),
    ];
    let prepared = proxy.pipeline().prepare(&jobs).await;
    let [Prepared::Made, Prepared::Failed(error), Prepared::Made] = &prepared[..] else {
        panic!("{prepared:?}");
    };
    let Error::Transform(TransformError::TooCostly { limit, .. }) = &**error else {
        panic!("{error}");
    };
    assert_eq!(*limit, 16 << 20);
    // Who asks for it gets it.
    let reply = proxy
        .get("/cdn-cgi/image/width=800,format=avif/a.png")
        .await;
    reply.assert_status(200).assert_size(800, 600);
}

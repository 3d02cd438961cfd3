//! Several proxies that share a bucket: each picture is rendered once, a purge of one proxy reaches all, and all continue without the bucket. The
//! server of the bucket is SeaweedFS, if it is installed.

use std::time::Duration;

use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::config::Config;

use crate::support::metrics::Metrics;
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::s3::S3Server;
use crate::support::{bounded, eventually, samples};

const TARGET: &str = "/cdn-cgi/image/width=160,format=webp/a.png";
const HIT: &str = "safelight; hit; detail=shared";

fn sharing(server: &S3Server, origin: &TestOrigin) -> impl FnOnce(&mut Config) {
    let (zone, bucket) = (zone(&origin.url("")), bucket_of(server));
    move |config| {
        config.zone.origin = zone;
        config.bucket = vec![bucket];
        config.cache.shared.bucket = "shared".to_owned();
        config.cache.shared.timeout = setting("20 s");
    }
}

fn bucket_of(server: &S3Server) -> bucket::Config {
    bucket::Config {
        name: "shared".to_owned(),
        bucket: "shared".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint().to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: server.access_key().to_owned(),
            secret: server.secret_key().to_owned(),
        },
    }
}

async fn server() -> S3Server {
    let server = S3Server::start().await;
    // Creates the bucket.
    server.put("shared", "readme", "of another").await;
    server
}

async fn three(server: &S3Server, origin: &TestOrigin) -> [TestProxy; 3] {
    [
        TestProxy::start(sharing(server, origin)).await,
        TestProxy::start(sharing(server, origin)).await,
        TestProxy::start(sharing(server, origin)).await,
    ]
}

fn event(metrics: &Metrics, event: &str) -> f64 {
    metrics.sum("safelight_cache_shared_events", &[("event", event)])
}

fn is_failing(proxy: &TestProxy, direction: &str) -> bool {
    let labels = [("direction", direction)];
    proxy
        .metrics()
        .sum("safelight_cache_shared_failing", &labels)
        == 1.0
}

/// Waits until the record and the rendition of this proxy are in the bucket, or until their writes have failed.
async fn settled(proxy: &TestProxy) {
    eventually("nothing waits to be written", async || {
        proxy.metrics().sum("safelight_cache_shared_waiting", &[]) == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_render_a_picture_once() {
    let server = server().await;
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let replicas = three(&server, &origin).await;
    let made = replicas[0].get(TARGET).await;
    made.assert_size(160, 120)
        .assert_header("cache-status", "safelight; fwd=miss; stored");
    settled(&replicas[0]).await;
    for other in &replicas[1..] {
        let found = other.get(TARGET).await;
        found
            .assert_status(200)
            .assert_header("cache-status", HIT)
            .assert_header("etag", &made.header("etag"));
        assert!(found.body == made.body, "not the same picture");
        let metrics = other.metrics();
        assert_eq!(event(&metrics, "hit"), 2.0, "the record and the picture");
        let labels = [("outcome", "shared")];
        assert_eq!(metrics.sum("safelight_requests_total", &labels), 1.0);
        let again = other.get(TARGET).await;
        again.assert_header("cache-status", "safelight; hit; detail=memory");
    }
    let renders: f64 = replicas.iter().map(TestProxy::renders).sum();
    assert_eq!(renders, 1.0, "renders of all three");
    assert_eq!(origin.asked().len(), 1, "requests to the origin");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_bucket_all_replicas_continue() {
    let server = server().await;
    let origin = TestOrigin::with("*", samples::png(640, 480)).await;
    let replicas = three(&server, &origin).await;
    replicas[0].get(TARGET).await.assert_size(160, 120);
    settled(&replicas[0]).await;
    drop(server);
    // Each replica keeps what it has. Other pictures are rendered: the bucket is tried a few times, and then no longer.
    replicas[0].get(TARGET).await.assert_size(160, 120);
    for (number, replica) in replicas.iter().enumerate() {
        for width in 100..110 {
            let target = format!("/cdn-cgi/image/width={width},format=webp/{number}.png");
            let made = bounded("an answer", replica.get(&target)).await;
            made.assert_status(200)
                .assert_header("cache-status", "safelight; fwd=miss; stored");
        }
        assert!(is_failing(replica, "read"));
        let before = replica.metrics();
        let tried = |metrics: &Metrics| event(metrics, "read-failure") + event(metrics, "timeout");
        assert!(tried(&before) <= 6.0, "{} tries", tried(&before));
        assert!(event(&before, "skipped-read") > 0.0);
        eventually("it is not written to", async || {
            is_failing(replica, "write")
        })
        .await;
    }
    assert_eq!(replicas[1].renders(), 10.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_one_replica_is_seen_by_all() {
    let server = server().await;
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let replicas = three(&server, &origin).await;
    for replica in &replicas {
        replica.get(TARGET).await.assert_size(160, 120);
        settled(replica).await;
    }
    assert_eq!(origin.asked().len(), 1);
    origin.serve("/a.png", samples::png(640, 320));
    replicas[0].purge(r#"{"everything":true}"#).await;
    replicas[0].get(TARGET).await.assert_size(160, 80);
    for replica in &replicas[1..] {
        eventually("the purge arrives", async || {
            let reply = replica.get(TARGET).await;
            reply.assert_status(200);
            samples::size_of(&reply.body) == (160, 80)
        })
        .await;
    }
    let old = replicas[0].renders();
    assert_eq!(old, 2.0, "the first one made both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revalidation_by_one_replica_serves_the_others() {
    let server = server().await;
    let fresh = |seconds| Answer::file(samples::png(640, 480)).with("cache-control", seconds);
    let origin = TestOrigin::with("/a.png", fresh("max-age=5").with("etag", "\"1\"")).await;
    let short = |change: &mut Config| change.cache.min_ttl = setting("5 s");
    let start = async || {
        let share = sharing(&server, &origin);
        TestProxy::start(|config| {
            share(config);
            short(config);
        })
        .await
    };
    let (one, other) = (start().await, start().await);
    one.get(TARGET).await.assert_size(160, 120);
    settled(&one).await;
    other.get(TARGET).await.assert_size(160, 120);
    assert_eq!(origin.asked().len(), 1);
    origin.serve("/a.png", fresh("max-age=3600").with("etag", "\"1\""));
    tokio::time::sleep(Duration::from_millis(5500)).await;
    eventually("one asks the origin", async || {
        one.get(TARGET).await.assert_size(160, 120);
        origin.asked().len() == 2
    })
    .await;
    settled(&one).await;
    for _ in 0..5 {
        other.get(TARGET).await.assert_size(160, 120);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(origin.asked().len(), 2, "the other knew");
    assert_eq!(one.renders() + other.renders(), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_logged_and_hidden_from_clients() {
    let server = server().await;
    let origin = TestOrigin::with("*", samples::png(640, 480)).await;
    let share = sharing(&server, &origin);
    let proxy = TestProxy::start(|config| {
        share(config);
        config.bucket[0].credentials = Credentials::Static {
            key: server.access_key().to_owned(),
            secret: "guessed".to_owned(),
        };
    })
    .await;
    assert!(is_failing(&proxy, "purges"), "from the start");
    for width in 100..110 {
        let target = format!("/cdn-cgi/image/width={width},format=webp/a.png");
        proxy
            .get(&target)
            .await
            .assert_header("cache-status", "safelight; fwd=miss; stored");
    }
    eventually("both are told", async || {
        is_failing(&proxy, "read") && is_failing(&proxy, "write")
    })
    .await;
}

//! A shared tier whose bucket accepts every request and answers none.

use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use tokio::net::TcpListener;

use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::{bounded, samples};

/// A picture with an interim and a settled rendition: the settled one is looked up first.
const TARGET: &str = "/cdn-cgi/image/width=480,format=auto/a.jpg";
const ACCEPT: [(&str, &str); 1] = [("accept", "image/avif")];

async fn silent_bucket() -> bucket::Config {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    bucket::Config {
        name: "shared".to_owned(),
        bucket: "shared".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint,
        style: AddressingStyle::Path,
        credentials: Credentials::Anonymous,
    }
}

async fn origin() -> TestOrigin {
    TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await
}

async fn proxy(origin: &TestOrigin, timeout: &str, request_timeout: &str) -> TestProxy {
    let (zone, bucket) = (zone(&origin.url("")), silent_bucket().await);
    TestProxy::start(|config| {
        config.zone.origin = zone;
        config.bucket = vec![bucket];
        config.cache.shared.bucket = "shared".to_owned();
        config.cache.shared.timeout = setting(timeout);
        config.server.request_timeout = setting(request_timeout);
    })
    .await
}

fn event(proxy: &TestProxy, event: &str) -> f64 {
    let labels = [("event", event)];
    proxy
        .metrics()
        .sum("safelight_cache_shared_events", &labels)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_miss_waits_for_the_bucket_no_longer_than_one_timeout() {
    let origin = origin().await;
    let proxy = proxy(&origin, "100 ms", "60 s").await;
    let made = proxy.get_with(TARGET, &ACCEPT).await;
    made.assert_status(200).assert_header(
        "cache-status",
        "safelight; fwd=miss; stored; detail=interim",
    );
    assert_eq!(event(&proxy, "timeout"), 1.0);
    assert_eq!(event(&proxy, "skipped-read"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_can_time_out_while_it_looks_for_a_settled_picture() {
    let origin = origin().await;
    let proxy = proxy(&origin, "1 h", "500 ms").await;
    let late = bounded("an answer", proxy.get_with(TARGET, &ACCEPT)).await;
    late.assert_status(504);
}

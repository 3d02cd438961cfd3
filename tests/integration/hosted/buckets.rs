//! Hosted images in a bucket, as clients of the API see it: one that is down, and one that is slow.

use hyper::Method;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::config::Config;
use safelight::hosted::Store;
use tokio::net::TcpListener;

use super::{HostedProxy, assert_error, png};

fn in_bucket(config: &mut Config, endpoint: String, credentials: Credentials) {
    config.bucket.push(bucket::Config {
        name: "images".to_owned(),
        bucket: "images".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint,
        style: AddressingStyle::Path,
        credentials,
    });
    config.hosted.store = Store::Bucket {
        name: "images".to_owned(),
        prefix: "hosted".to_owned(),
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_down_stops_hosted_images_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let hosted = HostedProxy::start_with(|config| {
        let endpoint = format!("http://127.0.0.1:{port}");
        in_bucket(config, endpoint, Credentials::Anonymous);
    })
    .await;
    for (method, path) in [
        (Method::GET, "/images/v1"),
        (Method::GET, "/images/v2"),
        (Method::GET, "/images/v1/a"),
        (Method::GET, "/images/v1/stats"),
        (Method::GET, "/images/v1/keys"),
        (Method::GET, "/images/v1/batch_token"),
        (Method::POST, "/images/v2/direct_upload"),
        (Method::DELETE, "/images/v1/a"),
    ] {
        let refused = hosted.call(method, path, "").await;
        let message = assert_error(&refused, 503, 5540);
        assert!(!message.contains("127.0.0.1"), "{message}");
        refused.assert_header("retry-after", "5");
    }
    assert_error(&hosted.upload("a").await, 503, 5540);
    let client = hosted.proxy.client();
    let sent = client.send_body(Method::POST, "/upload/main/x.y", &[], png());
    assert_error(&sent.await, 503, 5540);
    let shown = hosted.proxy.get("/cdn-cgi/imagedelivery/main/a/public");
    shown.await.assert_error(503, 9505);
    std::fs::write(hosted.proxy.folder().join("a.png"), png()).expect("a folder");
    let picture = hosted.proxy.get("/cdn-cgi/image/width=16/a.png").await;
    picture.assert_size(16, 12);
}

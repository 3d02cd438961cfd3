//! Hosted images in a bucket, as clients of the API see it: one that is down, and one that is slow.

use hyper::Method;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::config::Config;
use safelight::hosted::Store;
use tokio::net::{TcpListener, TcpStream};

use super::{Form, HostedProxy, assert_error, png, result};
use crate::support::s3::S3Server;
use crate::support::{eventually, samples};

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

/// A way to a server that can be cut off.
struct Line {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Line {
    async fn to(endpoint: &str) -> Self {
        let target = endpoint.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let task = tokio::spawn(async move {
            // They end with this task.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(target).await.expect("it listens");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Line { port, task }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_goes_down_is_a_fault_of_the_store() {
    let server = S3Server::start().await;
    server.put("images", "other", "x").await;
    let line = Line::to(server.endpoint()).await;
    let hosted = HostedProxy::start_with(|config| {
        let credentials = Credentials::Static {
            key: server.access_key().to_owned(),
            secret: server.secret_key().to_owned(),
        };
        let endpoint = format!("http://127.0.0.1:{}", line.port);
        in_bucket(config, endpoint, credentials);
    })
    .await;
    result(&hosted.upload("a").await);
    line.task.abort();
    let _ = line.task.await;
    let shown = hosted.proxy.get("/cdn-cgi/imagedelivery/main/a/public");
    let shown = shown.await;
    shown.assert_error(503, 9505);
    shown.assert_header("retry-after", "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_live_in_a_bucket_as_in_a_folder() {
    let server = S3Server::start().await;
    server.put("images", "other", "x").await;
    let credentials = Credentials::Static {
        key: server.access_key().to_owned(),
        secret: server.secret_key().to_owned(),
    };
    let hosted = HostedProxy::start_with(|config| {
        in_bucket(config, server.endpoint().to_owned(), credentials);
    })
    .await;
    let file = samples::jpeg(1200, 900);
    let form = Form::default().text("id", "a b").file("a.jpg", &file);
    result(&hosted.form(Method::POST, "/images/v1", form).await);
    let blob = hosted.get("/images/v1/a%20b/blob").await;
    blob.assert_status(200)
        .assert_header("content-type", "image/jpeg")
        .assert_header("content-length", &file.len().to_string());
    assert!(blob.body == file);
    let moved = hosted.call(Method::POST, "/images/v1/a%20b/move", r#"{"id":"c"}"#);
    assert_eq!(result(&moved.await)["id"], "c");
    let shown = hosted.proxy.get("/cdn-cgi/imagedelivery/main/c/public");
    shown.await.assert_size(1200, 900);
    // Many at once are bounded, and all are stored.
    let uploads = (0..12).map(|number| {
        let (hosted, file) = (&hosted, &file);
        async move {
            let id = format!("n{number}");
            let form = Form::default().text("id", &id).file("a.jpg", file);
            hosted.form(Method::POST, "/images/v1", form).await
        }
    });
    for uploaded in futures_util::future::join_all(uploads).await {
        result(&uploaded);
    }
    let again = hosted.get("/images/v1/c/blob").await;
    assert!(again.body == file);
    assert_eq!(hosted.get("/images/v1/stats").await.status, 200);
    result(&hosted.call(Method::DELETE, "/images/v1/c", "").await);
    assert_error(&hosted.get("/images/v1/c/blob").await, 404, 5404);
}

/// Another process removes the old file at once, while this one knows the old record for `record_ttl`.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_delivers_what_another_has_replaced() {
    let server = S3Server::start().await;
    if !server.knows_conditions() {
        eprintln!("left out: this S3 server is not one for replicas");
        return;
    }
    server.put("images", "other", "x").await;
    let replica = async || {
        HostedProxy::start_with(|config| {
            let credentials = Credentials::Static {
                key: server.access_key().to_owned(),
                secret: server.secret_key().to_owned(),
            };
            in_bucket(config, server.endpoint().to_owned(), credentials);
            config.hosted.replicas = true;
        })
        .await
    };
    let (first, second) = (replica().await, replica().await);
    result(&first.upload("a").await);
    result(&second.get("/images/v1/a").await);
    let id = safelight::hosted::ImageId::new("a").expect("a name");
    let hosted = first.proxy.pipeline().hosted().expect("hosted images");
    let old = hosted.find(&id).await.expect("asked").expect("there");
    let new = samples::png(20, 50);
    let form = Form::default().file("b.png", &new);
    result(&first.form(Method::PUT, "/images/v1/a", form).await);
    let key = &old.original.as_ref().expect("a file").key;
    eventually("the old file is gone", async || {
        hosted.read(key).await.is_err()
    })
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    assert_eq!(second.get("/images/v1/a/blob").await.body, new);
    let shown = second.proxy.get("/cdn-cgi/imagedelivery/main/a/public");
    shown.await.assert_size(20, 50);
}

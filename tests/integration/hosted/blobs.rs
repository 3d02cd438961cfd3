//! The uploaded file, fetched with a token.

use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ACCOUNT, Form, HostedProxy, READ, assert_error, png, result};
use crate::support::{bounded, eventually, samples};

/// A picture of some size: noise does not become small.
fn large() -> Vec<u8> {
    let mut bytes = samples::png(40, 30);
    bytes.resize(6 << 20, 7);
    bytes
}

#[tokio::test]
async fn a_part_of_the_file_can_be_fetched() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let authorization = format!("Bearer {READ}");
    let target = format!("{ACCOUNT}/images/v1/a/blob");
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let all = [&[("authorization", authorization.as_str())], headers].concat();
        hosted.proxy.client().send(method, &target, &all).await
    };
    let get = async |name: &str, value: &str| ask(Method::GET, &[(name, value)]).await;
    let part = get("range", "bytes=1-3").await;
    let length = png().len();
    part.assert_status(206)
        .assert_header("content-range", &format!("bytes 1-3/{length}"));
    assert_eq!(&part.body[..], b"PNG");
    let last = get("range", "bytes=-5").await;
    last.assert_status(206);
    assert_eq!(last.body, png()[length - 5..]);
    get("range", "bytes=99999999-")
        .await
        .assert_status(416)
        .assert_header("content-range", &format!("bytes */{length}"));
    let etag = part.header("etag");
    get("if-none-match", &etag).await.assert_status(304);
    get("if-match", "\"other\"").await.assert_status(412);
    for (condition, status) in [(etag.as_str(), 206), ("\"other\"", 200)] {
        let headers = [("range", "bytes=1-3"), ("if-range", condition)];
        ask(Method::GET, &headers).await.assert_status(status);
    }
    let head = ask(Method::HEAD, &[("range", "bytes=1-3")]).await;
    head.assert_status(200)
        .assert_header("content-length", &length.to_string())
        .assert_header("content-type", "image/png")
        .assert_header("etag", &etag);
    assert!(head.body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_keep_nobody_waiting() {
    let hosted = HostedProxy::start_with(|config| {
        config.hosted.verify = safelight::hosted::Verify::Header;
    })
    .await;
    let file = large();
    let form = Form::default().text("id", "a").file("a.png", &file);
    result(&hosted.form(Method::POST, "/images/v1", form).await);
    let address = hosted.proxy.client().address();
    let asked = format!(
        "GET {ACCOUNT}/images/v1/a/blob HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {READ}\r\n\r\n"
    );
    let mut idle = Vec::new();
    for _ in 0..24 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(asked.as_bytes()).await.expect("it reads");
        let mut first = [0; 15];
        let read = stream.read_exact(&mut first);
        bounded("an answer", read).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        idle.push(stream);
    }
    let blob = hosted.get("/images/v1/a/blob").await;
    blob.assert_status(200)
        .assert_header("content-length", &file.len().to_string());
    assert_eq!(blob.body, file);
    // One that goes on is sent the rest.
    let mut stream = idle.pop().expect("24 of them");
    let mut rest = vec![0; file.len()];
    bounded("the rest", stream.read_exact(&mut rest))
        .await
        .expect("the rest");
    drop(idle);
    eventually("nothing is in flight", async || {
        hosted
            .proxy
            .metrics()
            .sum("safelight_source_fetches_in_flight", &[])
            == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_missing_in_the_store_is_missing() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let originals = hosted.folder.path().join("store/originals");
    std::fs::remove_dir_all(originals).expect("it is there");
    assert_error(&hosted.get("/images/v1/a/blob").await, 404, 5404);
}

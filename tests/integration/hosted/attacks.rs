//! Clients that want what is not theirs.

use hyper::Method;

use super::{ACCOUNT, Form, HostedProxy, OF_U1, READ, WRITE, assert_error, result};
use crate::support::client::raw;
use crate::support::eventually;

/// How many answers came, and the statuses.
fn statuses(answers: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answers);
    let lines = text.split("HTTP/1.1 ").skip(1);
    lines
        .map(|answer| answer.chars().take(3).collect())
        .collect()
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_never_read_as_requests() {
    let server = HostedProxy::start().await;
    result(&server.upload("cat").await);
    let authorization = format!("Authorization: Bearer {WRITE}\r\n");
    let inner =
        format!("DELETE {ACCOUNT}/images/v1/cat HTTP/1.1\r\nHost: x\r\n{authorization}\r\n");
    let last = format!(
        "GET {ACCOUNT}/images/v1/cat HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n"
    );
    let form = "multipart/form-data; boundary=b";
    for (path, media, is_known, status) in [
        (format!("{ACCOUNT}/images/v1"), form, false, "401"),
        (format!("{ACCOUNT}/images/v1"), "image/png", true, "415"),
        (format!("{ACCOUNT}/images/v1"), form, true, "400"),
        (format!("{ACCOUNT}/images/v1/stats"), form, true, "405"),
        (format!("{ACCOUNT}/nothing"), form, true, "404"),
        ("/upload/main/x.y".to_owned(), form, false, "404"),
    ] {
        for copies in [1, 2000] {
            let body = inner.repeat(copies);
            let known = if is_known { authorization.as_str() } else { "" };
            let length = body.len();
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\n{known}Content-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}{last}"
            );
            let answers = raw(server.proxy.client().address(), request.as_bytes()).await;
            let statuses = statuses(&answers);
            assert_eq!(statuses, [status, "200"], "{path} {copies}");
        }
    }
    result(&server.get("/images/v1/cat").await);
}

#[tokio::test]
async fn a_token_of_one_creator_reaches_nothing_of_another() {
    let server = HostedProxy::start().await;
    let form = Form::default().text("id", "theirs").text("creator", "u2");
    let form = form.file("cat.png", &super::png());
    result(&server.form(Method::POST, "/images/v1", form).await);
    for (method, path, body, status, code) in [
        (Method::GET, "/images/v1/theirs", "", 404, 5404),
        (Method::GET, "/images/v1/theirs/blob", "", 404, 5404),
        (Method::PATCH, "/images/v1/theirs", "{}", 404, 5404),
        (Method::DELETE, "/images/v1/theirs", "", 404, 5404),
        (
            Method::POST,
            "/images/v1/theirs/move",
            r#"{"id":"x"}"#,
            404,
            5404,
        ),
        (Method::GET, "/images/v2?creator=u2", "", 403, 10000),
        (Method::GET, "/images/v2?creator=", "", 403, 10000),
        (
            Method::GET,
            "/images/v1?creator=u1&creator=u2",
            "",
            403,
            10000,
        ),
        (
            Method::DELETE,
            "/images/v2?creator=u2&confirm=1",
            "",
            403,
            10000,
        ),
        (
            Method::DELETE,
            "/images/v2?prefix=theirs&confirm=1",
            "",
            400,
            5400,
        ),
        (
            Method::POST,
            "/images/v2/direct_upload",
            r#"{"creator":"u2"}"#,
            403,
            10000,
        ),
        (Method::GET, "/images/v1/keys", "", 403, 10000),
        (Method::PUT, "/images/v1/keys/x", "", 403, 10000),
        (Method::DELETE, "/images/v1/keys/default", "", 403, 10000),
        (Method::PATCH, "/images/v1/config", "{}", 403, 10000),
        (Method::DELETE, "/images/v1/variants/public", "", 403, 10000),
        (Method::GET, "/images/v1/stats", "", 403, 10000),
    ] {
        let reply = server.call_as(OF_U1, method.clone(), path, body).await;
        let message = assert_error(&reply, status, code);
        assert!(!message.contains("theirs"), "{method} {path}: {message}");
    }
    let named = "/images/v2?ids=theirs&confirm=1";
    let reply = server.call_as(OF_U1, Method::DELETE, named, "").await;
    assert_eq!(result(&reply)["deleted"], 0);
    let listed = server.call_as(OF_U1, Method::GET, "/images/v1", "").await;
    assert_eq!(result(&listed)["images"], serde_json::json!([]));
    result(&server.get("/images/v1/theirs").await);
}

#[tokio::test]
async fn no_image_is_fetched_from_inside_the_network() {
    let server = HostedProxy::start_with(|config| config.fetch.private_networks = false).await;
    let port = server.proxy.client().address().port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://127.1:{port}/"),
        format!("http://0x7f000001:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.1:{port}\\@example.com/"),
        "http://0.0.0.0/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00::1]/".to_owned(),
        "http://user:hunter22@10.0.0.1/".to_owned(),
    ] {
        let form = Form::default().text("url", &url);
        let reply = server.form(Method::POST, "/images/v1", form).await;
        let message = assert_error(&reply, 400, 5454);
        assert!(message.contains("private address"), "{url}: {message}");
        assert!(!message.contains("hunter22"), "{message}");
    }
    for url in [
        "file:///etc/passwd",
        "//127.0.0.1/",
        "hosted:originals/x",
        "bucket:a/b",
    ] {
        let form = Form::default().text("url", url);
        let reply = server.form(Method::POST, "/images/v1", form).await;
        assert_error(&reply, 400, 5400);
    }
    // Nothing was uploaded, so the store may still be compared with its index for the first time.
    eventually("there is a list", async || {
        let reply = server.call_as(READ, Method::GET, "/images/v2", "").await;
        reply.status == 200 && result(&reply)["images"] == serde_json::json!([])
    })
    .await;
}

//! What bad input gets: one row for each mistake.

use hyper::Method;

use super::{ACCOUNT, Form, HostedProxy, WRITE, assert_error, png, result};
use crate::support::samples;

#[tokio::test]
async fn every_mistake_in_an_upload_has_its_number() {
    let hosted = HostedProxy::start_with(|config| {
        config.hosted.formats = vec!["png".to_owned(), "jpeg".to_owned(), "gif".to_owned()];
        config.hosted.upload_animation_pixels = 10_000;
        config.hosted.upload_side = std::num::NonZeroU32::new(500).expect("some");
    })
    .await;
    result(&hosted.upload("taken").await);
    let file = || Form::default().file("a.png", &png());
    let id = |id: &str| file().text("id", id);
    let mut truncated = samples::png(300, 300);
    truncated.truncate(truncated.len() / 2);
    let long_id = "x".repeat(1025);
    let long_meta = format!("{{\"a\":\"{}\"}}", "x".repeat(1024));
    for (case, status, code, form) in [
        ("no file", 400, 5400, Form::default().text("creator", "u1")),
        (
            "file and url",
            400,
            5400,
            file().text("url", "http://a.test/x"),
        ),
        ("two files", 400, 5400, file().file("b.png", &png())),
        ("empty file", 400, 5400, Form::default().file("a.png", b"")),
        (
            "no image",
            415,
            5455,
            Form::default().file("a.png", b"hello"),
        ),
        (
            "a format that is off",
            415,
            5455,
            Form::default().file("a.webp", &samples::webp(10, 10)),
        ),
        (
            "truncated",
            400,
            9422,
            Form::default().file("a.png", &truncated),
        ),
        (
            "side",
            413,
            5413,
            Form::default().file("a.png", &samples::png(501, 10)),
        ),
        (
            "frames",
            413,
            5443,
            Form::default().file("a.gif", &samples::animated_gif(100, 100, 9)),
        ),
        ("metadata list", 400, 5400, file().text("metadata", "[]")),
        (
            "metadata long",
            400,
            5400,
            file().text("metadata", &long_meta),
        ),
        (
            "metadata NUL",
            400,
            5400,
            file().text("metadata", "{\"a\":\"\\u0000\"}"),
        ),
        (
            "boolean",
            400,
            5400,
            file().text("requireSignedURLs", "yes"),
        ),
        (
            "creator",
            400,
            5400,
            file().text("creator", &"x".repeat(1025)),
        ),
        ("empty ID", 400, 5411, id("")),
        ("slash first", 400, 5411, id("/a")),
        ("slash last", 400, 5411, id("a/")),
        ("two slashes", 400, 5411, id("a//b")),
        ("dots", 400, 5411, id("a/../b")),
        (
            "UUID",
            400,
            5411,
            id("2cdc28f0-017a-49c4-9ed7-87056c83901f"),
        ),
        ("long ID", 400, 5411, id(&long_id)),
        ("control character", 400, 5411, id("a\u{1}b")),
        ("reserved", 400, 5411, id("keys")),
        ("reserved end", 400, 5411, id("a/blob")),
        ("taken", 409, 5409, id("taken")),
        (
            "bad URL",
            400,
            5400,
            Form::default().text("url", "ftp://a.test/x"),
        ),
        ("no URL", 400, 5400, Form::default().text("url", "a.test/x")),
    ] {
        let reply = hosted.form(Method::POST, "/images/v1", form).await;
        let message = assert_error(&reply, status, code);
        assert!(
            !message.is_empty() && !message.contains("/tmp"),
            "{case}: {message}"
        );
    }
    assert_eq!(hosted.originals(), 1);
}

#[tokio::test]
async fn every_wrong_path_and_method_has_its_number() {
    let hosted = HostedProxy::start().await;
    for path in [
        "/client/v4/zones",
        "/client/v4/accounts",
        "/client/v4/accounts/main",
        "/client/v4/accounts/main/images",
        "/client/v4/accounts/main/images/v3",
        "/client/v4/accounts/main/images/v1/",
        "/images/v1/",
        "/images/v2/x",
        "/upload/main",
    ] {
        assert_error(&hosted.proxy.get(path).await, 404, 7003);
    }
    for (method, path, allow) in [
        (Method::PUT, "/images/v1", "GET,HEAD,POST"),
        (Method::POST, "/images/v1/stats", "GET,HEAD"),
        (Method::GET, "/images/v1/keys/a", "PUT,DELETE"),
        (
            Method::PUT,
            "/images/v1/variants/a",
            "GET,HEAD,PATCH,DELETE",
        ),
        (Method::POST, "/images/v2", "GET,HEAD,DELETE"),
        (Method::GET, "/images/v2/direct_upload", "POST"),
    ] {
        let reply = hosted.call(method, path, "").await;
        assert_error(&reply, 405, 7003);
        reply.assert_header("allow", allow);
    }
    let reply = hosted.call(Method::POST, "/images/v1/a", "").await;
    assert_error(&reply, 405, 7003);
    reply.assert_header("allow", "GET,HEAD,PATCH,PUT,DELETE");
}

#[tokio::test]
async fn every_mistake_in_a_list_has_its_number() {
    let hosted = HostedProxy::start().await;
    for query in [
        "v1?per_page=0",
        "v1?per_page=10001",
        "v1?per_page=x",
        "v1?page=0",
        "v1?page=-1",
        "v2?per_page=0",
        "v2?sort_order=up",
        "v2?continuation_token=x",
        "v2?continuation_token=x.y",
        "v2?meta.a%5Bnot-eq%5D=1",
        "v2?meta.a.b.c.d.e.f=1",
        "v2?uploaded_after=yesterday",
        "v2?draft=1",
        "v1?creator=%ff",
        "v2?prefix=caf%E9",
        "v2?meta.a=%C3",
    ] {
        let reply = hosted.get(&format!("/images/{query}")).await;
        assert_error(&reply, 400, 5400);
    }
    let reply = hosted.get("/images/v2?meta.a%5Bnot-eq%5D=1").await;
    let message = assert_error(&reply, 400, 5400);
    assert_eq!(message, "Unsupported metadata filter operator: 'not-eq'");
}

#[tokio::test]
async fn nothing_is_there_without_hosted_images() {
    let proxy = crate::support::proxy::TestProxy::start(|_| {}).await;
    let authorization = format!("Bearer {WRITE}");
    let headers = [("authorization", authorization.as_str())];
    let target = format!("{ACCOUNT}/images/v1");
    proxy.get_with(&target, &headers).await.assert_status(404);
}

//! Uploads by URL, uploads that are sent again, and replacements.

use hyper::Method;
use serde_json::json;

use super::{Form, HostedProxy, assert_error, png, result};
use crate::support::origin::{Answer, Asked, TestOrigin};
use crate::support::proxy::allowed;
use crate::support::samples;

fn authorization(asked: &Asked) -> &str {
    let value = asked.headers.get("authorization");
    value.map_or("", |value| value.to_str().expect("ASCII"))
}

fn by_url(url: &str) -> Form {
    Form::default().text("url", url)
}

#[tokio::test]
async fn an_image_is_fetched_from_its_url() {
    let origin = TestOrigin::with("/a/my%20cat.png", Answer::file(png())).await;
    let hosted = HostedProxy::start().await;
    let url = origin.url("/a/my%20cat.png?signature=secret");
    let url = url.replace("http://", "http://user:p%40ss@");
    let image = result(&hosted.form(Method::POST, "/images/v1", by_url(&url)).await);
    assert_eq!(image["filename"], "my cat.png");
    assert_eq!(image["safelight"]["width"], 40);
    let asked = origin.last();
    assert_eq!(authorization(&asked), "Basic dXNlcjpwQHNz");
}

#[tokio::test]
async fn an_origin_that_fails_is_told_with_its_status() {
    let origin = TestOrigin::with("/none", Answer::status(404)).await;
    origin.serve("/down", Answer::status(503));
    origin.serve("/text", Answer::file("hello, this is no image"));
    let hosted = HostedProxy::start().await;
    for (path, status, code, part) in [
        ("/none", 400, 5454, "404"),
        ("/down", 400, 5454, "503"),
        ("/text", 415, 5455, "not an image"),
    ] {
        let form = by_url(&origin.url(path));
        let reply = hosted.form(Method::POST, "/images/v1", form).await;
        let message = assert_error(&reply, status, code);
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("127.0.0.1"), "{message}");
    }
}

#[tokio::test]
async fn only_allowed_origins_are_asked() {
    let origin = TestOrigin::with("/a.png", Answer::file(png())).await;
    let other = TestOrigin::with("/a.png", Answer::file(png())).await;
    origin.serve("/away", Answer::redirect(302, other.url("/a.png")));
    let authority = origin.authority();
    let hosted = HostedProxy::start_with(|config| {
        config.hosted.fetch.allowed = allowed(&[authority]);
    })
    .await;
    let send = async |url: String| hosted.form(Method::POST, "/images/v1", by_url(&url)).await;
    result(&send(origin.url("/a.png")).await);
    for url in [other.url("/a.png"), origin.url("/away")] {
        let message = assert_error(&send(url).await, 400, 5454);
        assert!(message.contains("hosted.fetch.allowed"), "{message}");
    }
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn private_addresses_are_guarded() {
    let origin = TestOrigin::with("/a.png", Answer::file(png())).await;
    let hosted = HostedProxy::start_with(|config| config.fetch.private_networks = false).await;
    let reply = hosted.form(Method::POST, "/images/v1", by_url(&origin.url("/a.png")));
    assert_error(&reply.await, 400, 5454);
    assert!(origin.asked().is_empty());
}

#[tokio::test]
async fn a_password_does_not_follow_a_redirect() {
    let other = TestOrigin::with("/a.png", Answer::file(png())).await;
    let origin = TestOrigin::with("/away", Answer::redirect(302, other.url("/a.png"))).await;
    let hosted = HostedProxy::start().await;
    let url = origin.url("/away").replace("http://", "http://u:p@");
    result(&hosted.form(Method::POST, "/images/v1", by_url(&url)).await);
    assert_eq!(authorization(&origin.last()), "Basic dTpw");
    assert_eq!(authorization(&other.last()), "");
}

#[tokio::test]
async fn an_upload_that_is_sent_again_is_one_image() {
    let hosted = HostedProxy::start().await;
    let form = || {
        Form::default()
            .text("id", "a")
            .text("creator", "u1")
            .file("a.png", &png())
    };
    let send = async |form: Form, headers: &[(&str, &str)]| {
        hosted
            .form_with(Method::POST, "/images/v1", form, headers)
            .await
    };
    let first = result(&send(form(), &[]).await);
    let retried = [("x-stainless-retry-count", "1")];
    assert_eq!(result(&send(form(), &retried).await), first);
    assert_error(&send(form(), &[]).await, 409, 5409);
    let untried = [("x-stainless-retry-count", "0")];
    assert_error(&send(form(), &untried).await, 409, 5409);
    let other = Form::default().text("id", "a").file("a.png", &png());
    assert_error(&send(other, &retried).await, 409, 5409);

    let key = [("idempotency-key", "upload-7")];
    let form = || Form::default().file("b.png", &png());
    let first = result(&send(form(), &key).await);
    assert_eq!(result(&send(form(), &key).await), first);
    let another = result(&send(form(), &[("idempotency-key", "upload-8")]).await);
    assert_ne!(first["id"], another["id"]);
    let changed = Form::default().file("b.png", &samples::png(5, 5));
    assert_error(&send(changed, &key).await, 409, 5409);
    assert_error(&send(form(), &[("idempotency-key", "")]).await, 400, 5400);
}

#[tokio::test]
async fn an_image_can_be_replaced() {
    let hosted = HostedProxy::start().await;
    let form = Form::default()
        .text("id", "a")
        .text("creator", "u1")
        .text("metadata", r#"{"x":1}"#)
        .file("a.png", &png());
    result(&hosted.form(Method::POST, "/images/v1", form).await);
    let other = samples::jpeg(16, 8);
    let form = Form::default().file("b.jpg", &other);
    let image = result(&hosted.form(Method::PUT, "/images/v1/a", form).await);
    assert_eq!(image["id"], "a");
    assert_eq!(image["creator"], "u1");
    assert_eq!(image["meta"], json!({"x": 1}));
    assert_eq!(image["filename"], "b.jpg");
    assert_eq!(image["safelight"]["width"], 16);
    assert_eq!(hosted.get("/images/v1/a/blob").await.body, other);
    let form = Form::default().text("creator", "u2").file("b.jpg", &other);
    assert_error(
        &hosted.form(Method::PUT, "/images/v1/a", form).await,
        400,
        5400,
    );
    let form = Form::default().file("b.jpg", &other);
    assert_error(
        &hosted.form(Method::PUT, "/images/v1/b", form).await,
        404,
        5404,
    );
}

#[tokio::test]
async fn uploads_are_counted() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    assert_error(&hosted.upload("a").await, 409, 5409);
    let metrics = hosted.proxy.metrics();
    let count = |result| {
        let labels = [("source", "file"), ("result", result)];
        metrics.sum("safelight_uploads_total", &labels)
    };
    assert_eq!((count("stored"), count("exists")), (1.0, 1.0));
    let bytes = metrics.sum("safelight_upload_bytes_total", &[]);
    assert_eq!(bytes, f64::from(u32::try_from(png().len()).expect("few")));
    for step in ["spool", "inspect", "commit"] {
        let times = metrics.sum("safelight_upload_seconds_count", &[("step", step)]);
        assert_eq!(times, 2.0, "{step}");
    }
}

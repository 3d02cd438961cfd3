//! Direct creator uploads: by a URL that works once, without a token.

use hyper::Method;
use serde_json::{Value, json};

use super::{BOUNDARY, Form, HostedProxy, assert_error, png, result};
use crate::support::reply::Reply;
use crate::support::samples;

/// The path of a new upload URL, and the ID of its draft.
async fn draft(hosted: &HostedProxy, body: &str) -> (String, String) {
    let reply = hosted.call(Method::POST, "/images/v2/direct_upload", body);
    let draft = result(&reply.await);
    let url = draft["uploadURL"].as_str().expect("a URL");
    let path = url.strip_prefix("https://img.test").expect("its host");
    let id = draft["id"].as_str().expect("an ID");
    (path.to_owned(), id.to_owned())
}

async fn send(hosted: &HostedProxy, path: &str, form: Form) -> Reply {
    let media = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [
        ("content-type", media.as_str()),
        ("origin", "https://page.test"),
    ];
    let client = hosted.proxy.client();
    client
        .send_body(Method::POST, path, &headers, form.bytes())
        .await
}

#[tokio::test]
async fn an_upload_url_works_once() {
    let hosted = HostedProxy::start().await;
    let body = r#"{"id":"of/u1","creator":"u1","metadata":{"a":1}}"#;
    let (path, id) = draft(&hosted, body).await;
    assert_eq!(id, "of/u1");
    let shown = result(&hosted.get("/images/v1/of/u1").await);
    assert_eq!(shown["draft"], true);
    assert_eq!(shown["filename"], Value::Null);
    let blob = hosted.get("/images/v1/of/u1/blob").await;
    assert_error(&blob, 404, 5404);
    // Other fields than the file are not for creators to say.
    let form = || {
        Form::default()
            .text("requireSignedURLs", "true")
            .text("id", "another")
            .part(
                "Content-Disposition: form-data; name=\"photo\"; filename=\"C:\\x\\cat.png\"",
                &png(),
            )
    };
    let reply = send(&hosted, &path, form()).await;
    reply
        .assert_status(200)
        .assert_header("access-control-allow-origin", "*");
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    let image = &document["result"];
    assert_eq!(image["id"], "of/u1");
    assert_eq!(image["creator"], "u1");
    assert_eq!(image["meta"], json!({"a": 1}));
    assert_eq!(image["filename"], "cat.png");
    assert_eq!(image["requireSignedURLs"], false);
    assert_eq!(image.get("draft"), None);
    let again = send(&hosted, &path, form()).await;
    assert_error(&again, 409, 5409);
    assert_eq!(hosted.originals(), 1);
}

#[tokio::test]
async fn two_uploads_at_once_make_one_image() {
    let hosted = HostedProxy::start().await;
    let (path, _) = draft(&hosted, "").await;
    let form = || Form::default().file("a.png", &png());
    let (one, other) = tokio::join!(send(&hosted, &path, form()), send(&hosted, &path, form()));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn forged_urls_are_unknown() {
    let hosted = HostedProxy::start().await;
    let (path, id) = draft(&hosted, "").await;
    let form = || Form::default().file("a.png", &png());
    let mut flipped = path.clone();
    let last = if flipped.pop() == Some('A') { 'Q' } else { 'A' };
    flipped.push(last);
    for forged in [
        flipped,
        path.replace("/main/", "/other/"),
        "/upload/main/x".to_owned(),
        "/upload/main/x.y".to_owned(),
        format!("/upload/main/{id}"),
    ] {
        assert_error(&send(&hosted, &forged, form()).await, 404, 5404);
    }
    let target = format!("/images/v1/{id}");
    result(&hosted.call(Method::DELETE, &target, "").await);
    assert_error(&send(&hosted, &path, form()).await, 404, 5404);
}

#[tokio::test]
async fn an_upload_url_can_be_limited() {
    let hosted = HostedProxy::start().await;
    let body = r#"{"max_bytes":1000,"formats":["jpeg"]}"#;
    let (path, _) = draft(&hosted, body).await;
    let big = samples::jpeg(200, 200);
    assert!(big.len() > 1000);
    let reply = send(&hosted, &path, Form::default().file("a.jpg", &big)).await;
    assert_error(&reply, 413, 5413);
    let small_png = samples::png(2, 2);
    let reply = send(&hosted, &path, Form::default().file("a.png", &small_png)).await;
    assert_error(&reply, 415, 5455);
    let reply = send(&hosted, &path, Form::default().text("a", "b")).await;
    assert_error(&reply, 400, 5400);
    // What was refused leaves the URL as it was.
    let small = samples::jpeg(8, 8);
    assert!(small.len() < 1000, "{}", small.len());
    let reply = send(&hosted, &path, Form::default().file("a.jpg", &small)).await;
    reply.assert_status(200);
}

#[tokio::test]
async fn drafts_are_asked_for_in_every_way() {
    let hosted = HostedProxy::start().await;
    let target = "/images/v2/direct_upload";
    let empty = hosted.form(Method::POST, target, Form::default()).await;
    assert!(result(&empty)["uploadURL"].is_string());
    let form = Form::default().text("id", "f").text("creator", "u1");
    let draft = result(&hosted.form(Method::POST, target, form).await);
    assert_eq!(draft["id"], "f");
    let legacy = hosted.call(Method::POST, "/images/v1/direct_upload", "{}");
    assert!(result(&legacy.await)["uploadURL"].is_string());
    let taken = hosted.call(Method::POST, target, r#"{"id":"f"}"#).await;
    assert_error(&taken, 409, 5409);
    for expiry in ["tomorrow", "2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"] {
        let body = json!({"expiry": expiry}).to_string();
        let reply = hosted.call(Method::POST, target, &body).await;
        let message = assert_error(&reply, 400, 5400);
        assert_eq!(message, "expiry is out of accepted bound.");
    }
}

#[tokio::test]
async fn scripts_of_other_sites_may_use_upload_urls_alone() {
    let hosted = HostedProxy::start_with(|config| {
        config.hosted.upload_origins = vec!["https://page.test".to_owned()];
    })
    .await;
    let (path, _) = draft(&hosted, "").await;
    let ask = async |path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "x-requested-with"),
        ];
        let client = hosted.proxy.client();
        client.send(Method::OPTIONS, path, &headers).await
    };
    let allowed = ask(&path, "https://page.test").await;
    allowed
        .assert_header("access-control-allow-origin", "https://page.test")
        .assert_header("access-control-allow-methods", "POST")
        .assert_header("access-control-allow-headers", "x-requested-with");
    assert!(allowed.status < 300, "{allowed}");
    let other = ask(&path, "https://evil.test").await;
    other.assert_no_header("access-control-allow-origin");
    let api = ask("/client/v4/accounts/main/images/v1", "https://page.test").await;
    api.assert_no_header("access-control-allow-origin");
    let wrong = hosted.proxy.get(&path).await;
    assert_error(&wrong, 405, 7003);
    wrong.assert_header("allow", "POST");
}

#[tokio::test]
async fn what_tells_where_a_creator_was_is_not_stored() {
    const SECRET: &[u8] = b"51 N 0 W, at home\0";
    let hosted = HostedProxy::start().await;
    let bytes = samples::jpeg_with_exif(SECRET);
    let file = || Form::default().file("cat.jpg", &bytes);
    let (path, of_creator) = draft(&hosted, "").await;
    send(&hosted, &path, file()).await.assert_status(200);
    let of_owner = hosted.form(Method::POST, "/images/v1", file()).await;
    let of_owner = result(&of_owner)["id"].as_str().expect("an ID").to_owned();
    for (id, is_there) in [(of_creator, false), (of_owner, true)] {
        let blob = hosted.get(&format!("/images/v1/{id}/blob")).await;
        let blob = blob.assert_status(200).body.clone();
        let found = blob.windows(SECRET.len()).any(|part| part == SECRET);
        assert_eq!(found, is_there);
    }
}

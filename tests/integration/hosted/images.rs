//! One image: shown, changed, fetched, renamed, deleted.

use hyper::Method;
use serde_json::json;

use super::{HostedProxy, OF_U1, READ, assert_error, png, result};

#[tokio::test]
async fn an_upload_can_be_seen_and_fetched() {
    let hosted = HostedProxy::start().await;
    let image = result(&hosted.upload("cats/1").await);
    assert_eq!(image["id"], "cats/1");
    assert_eq!(image["filename"], "cat.png");
    assert_eq!(image["meta"], json!({}));
    assert_eq!(image["requireSignedURLs"], false);
    assert_eq!(image.get("draft"), None);
    assert_eq!(
        image["variants"],
        json!(["https://img.test/cdn-cgi/imagedelivery/main/cats/1/public"])
    );
    let uploaded = image["uploaded"].as_str().expect("a time");
    assert!(
        uploaded.len() == 24 && uploaded.ends_with('Z'),
        "{uploaded}"
    );
    let facts = &image["safelight"];
    assert_eq!(facts["width"], 40);
    assert_eq!(facts["height"], 30);
    assert_eq!(facts["format"], "png");
    assert_eq!(facts["bytes"], png().len());
    assert_eq!(facts["sha256"].as_str().map(str::len), Some(64));
    assert!(facts["thumbhash"].is_string() && facts["dominant_color"].is_string());
    assert_eq!(facts["renditions"], json!([]));
    assert_eq!(result(&hosted.get("/images/v1/cats/1").await), image);
    assert_eq!(result(&hosted.get("/images/v1/cats%2F1").await), image);
    let blob = hosted.get("/images/v1/cats/1/blob").await;
    blob.assert_status(200)
        .assert_header("content-type", "image/png")
        .assert_header("x-content-type-options", "nosniff");
    assert_eq!(blob.body, png());
}

#[tokio::test]
async fn names_with_every_character_are_one_name() {
    let hosted = HostedProxy::start().await;
    for (id, targets) in [
        ("a/b%c d", &["a%2Fb%25c%20d", "a/b%c%20d"][..]),
        ("é ü", &["%C3%A9%20%C3%BC"]),
        ("x#y?z", &["x%23y%3Fz"]),
        ("plus+and%20", &["plus+and%2520"]),
        ("blob", &["blob"]),
        ("a/move", &["a/move"]),
    ] {
        result(&hosted.upload(id).await);
        for target in targets {
            let target = format!("/images/v1/{target}");
            let image = result(&hosted.get(&target).await);
            assert_eq!(image["id"], id, "{target}");
            let blob = hosted.get(&format!("{target}/blob")).await;
            assert_eq!(blob.body, png(), "{target}");
        }
        let target = format!("/images/v1/{}", targets[0]);
        result(&hosted.call(Method::DELETE, &target, "").await);
        assert_error(&hosted.get(&target).await, 404, 5404);
    }
}

#[tokio::test]
async fn changes_replace_what_they_name() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let patch = async |body: &str| hosted.call(Method::PATCH, "/images/v1/a", body).await;
    let body = r#"{"metadata":{"x":1,"y":[true]},"creator":"u2","unknown":7}"#;
    let image = result(&patch(body).await);
    assert_eq!(image["meta"], json!({"x": 1, "y": [true]}));
    assert_eq!(image["creator"], "u2");
    let image = result(&patch(r#"{"metadata":{"z":2},"requireSignedURLs":true}"#).await);
    assert_eq!(image["meta"], json!({"z": 2}));
    assert_eq!(image["creator"], "u2");
    assert_eq!(image["requireSignedURLs"], true);
    assert_eq!(image["id"], "a");
    let image = result(&patch(r#"{"creator":null}"#).await);
    assert_eq!(image.get("creator"), None);
    assert_eq!(result(&patch("").await), image);
    for body in [
        "[]",
        "{",
        r#"{"metadata":[]}"#,
        r#"{"requireSignedURLs":"true"}"#,
        r#"{"creator":1}"#,
    ] {
        assert_error(&patch(body).await, 400, 5400);
    }
    let form = super::Form::default()
        .text("metadata", r#"{"of":"a form"}"#)
        .text("requireSignedURLs", "false");
    let image = result(&hosted.form(Method::PATCH, "/images/v1/a", form).await);
    assert_eq!(image["meta"], json!({"of": "a form"}));
    assert_eq!(image["requireSignedURLs"], false);
    let missing = hosted.call(Method::PATCH, "/images/v1/b", "{}").await;
    assert_error(&missing, 404, 5404);
}

#[tokio::test]
async fn an_image_can_get_a_new_name_as_at_cloudflare() {
    let hosted = HostedProxy::start_with(|config| config.hosted.private_keeps_id = false).await;
    let form = super::Form::default().file("a.png", &png());
    let image = result(&hosted.form(Method::POST, "/images/v1", form).await);
    let old = format!("/images/v1/{}", image["id"].as_str().expect("an ID"));
    let private = r#"{"requireSignedURLs":true}"#;
    let image = result(&hosted.call(Method::PATCH, &old, private).await);
    assert_eq!(image["requireSignedURLs"], true);
    assert_error(&hosted.get(&old).await, 404, 5404);
    let new = format!("/images/v1/{}", image["id"].as_str().expect("an ID"));
    assert_ne!(old, new);
    result(&hosted.get(&new).await);
    result(&hosted.upload("named").await);
    let refused = hosted
        .call(Method::PATCH, "/images/v1/named", private)
        .await;
    assert_error(&refused, 400, 5410);
    let form = super::Form::default()
        .text("id", "other")
        .text("requireSignedURLs", "true")
        .file("a.png", &png());
    assert_error(
        &hosted.form(Method::POST, "/images/v1", form).await,
        400,
        5410,
    );
}

#[tokio::test]
async fn an_image_can_be_moved() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    result(&hosted.upload("taken").await);
    let rename = async |body: &str| hosted.call(Method::POST, "/images/v1/a/move", body).await;
    assert_error(&rename(r#"{"id":"taken"}"#).await, 409, 5409);
    assert_error(&rename(r#"{"id":"b//c"}"#).await, 400, 5411);
    assert_error(&rename("{}").await, 400, 5400);
    let image = result(&rename(r#"{"id":"b/c"}"#).await);
    assert_eq!(image["id"], "b/c");
    assert_error(&hosted.get("/images/v1/a").await, 404, 5404);
    assert_eq!(hosted.get("/images/v1/b/c/blob").await.body, png());
    assert_error(&rename(r#"{"id":"d"}"#).await, 404, 5404);
}

#[tokio::test]
async fn a_deleted_image_is_gone_and_its_name_is_free() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let deleted = hosted.call(Method::DELETE, "/images/v1/a", "").await;
    assert_eq!(result(&deleted), json!({}));
    for target in ["/images/v1/a", "/images/v1/a/blob"] {
        assert_error(&hosted.get(target).await, 404, 5404);
    }
    let again = hosted.call(Method::DELETE, "/images/v1/a", "").await;
    assert_error(&again, 404, 5404);
    result(&hosted.upload("a").await);
}

#[tokio::test]
async fn tokens_do_what_they_may() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    result(&hosted.call_as(READ, Method::GET, "/images/v1/a", "").await);
    for (method, target) in [
        (Method::DELETE, "/images/v1/a"),
        (Method::PATCH, "/images/v1/a"),
        (Method::POST, "/images/v1"),
        (Method::PUT, "/images/v1/a"),
        (Method::GET, "/images/v1/keys"),
        (Method::POST, "/images/v2/direct_upload"),
        (Method::DELETE, "/images/v2?ids=a&confirm=1"),
    ] {
        let refused = hosted.call_as(READ, method, target, "").await;
        assert_error(&refused, 403, 10000);
    }
    for token in ["another-token-of-16", "", "a-token-that-write"] {
        let refused = hosted.call_as(token, Method::GET, "/images/v1/a", "").await;
        assert_error(&refused, 401, 10000);
    }
    let target = "/client/v4/accounts/main/images/v1/a";
    assert_error(&hosted.proxy.get(target).await, 401, 10000);
    let key = [("x-auth-email", "a@b.test"), ("x-auth-key", WRITE_KEY)];
    result(&hosted.proxy.get_with(target, &key).await);
    let bearer = format!("Bearer {READ}");
    let other = "/client/v4/accounts/other/images/v1/a";
    let headers = [("authorization", bearer.as_str())];
    assert_error(&hosted.proxy.get_with(other, &headers).await, 403, 5403);
}

const WRITE_KEY: &str = super::WRITE;

#[tokio::test]
async fn a_token_of_a_creator_sees_only_theirs() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("of-nobody").await);
    let form = super::Form::default()
        .text("id", "of-u1")
        .text("creator", "u1")
        .file("a.png", &png());
    result(&hosted.form(Method::POST, "/images/v1", form).await);
    let as_u1 =
        async |method, target: &str, body: &str| hosted.call_as(OF_U1, method, target, body).await;
    result(&as_u1(Method::GET, "/images/v1/of-u1", "").await);
    assert_error(
        &as_u1(Method::GET, "/images/v1/of-nobody", "").await,
        404,
        5404,
    );
    assert_error(
        &as_u1(Method::DELETE, "/images/v1/of-nobody", "").await,
        404,
        5404,
    );
    let list = result(&as_u1(Method::GET, "/images/v2", "").await);
    assert_eq!(list["images"].as_array().map(Vec::len), Some(1), "{list}");
    for body in [r#"{"creator":null}"#, r#"{"creator":""}"#] {
        let image = result(&as_u1(Method::PATCH, "/images/v1/of-u1", body).await);
        assert_eq!(image["creator"], "u1");
    }
    assert_error(
        &as_u1(Method::GET, "/images/v2?creator=u2", "").await,
        403,
        10000,
    );
    assert_error(&as_u1(Method::GET, "/images/v1/keys", "").await, 403, 10000);
    assert_error(
        &as_u1(Method::GET, "/images/v1/variants", "").await,
        403,
        10000,
    );
    let stolen = as_u1(Method::PATCH, "/images/v1/of-u1", r#"{"creator":"u2"}"#).await;
    assert_error(&stolen, 403, 10000);
    let draft = result(&as_u1(Method::POST, "/images/v2/direct_upload", "{}").await);
    let target = format!("/images/v1/{}", draft["id"].as_str().expect("an ID"));
    assert_eq!(
        result(&as_u1(Method::GET, &target, "").await)["creator"],
        "u1"
    );
}

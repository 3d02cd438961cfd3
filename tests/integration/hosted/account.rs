//! What belongs to the whole account: variants, keys, switches, counts and batch tokens.

use hyper::Method;
use serde_json::{Value, json};

use super::{HostedProxy, READ, assert_error, result};

#[tokio::test]
async fn variants_are_made_changed_and_deleted() {
    let hosted = HostedProxy::start().await;
    let call = async |method, path: &str, body: &str| {
        let path = format!("/images/v1/variants{path}");
        hosted.call(method, &path, body).await
    };
    let all = result(&call(Method::GET, "", "").await);
    let public = json!({"fit": "scale-down", "metadata": "copyright"});
    assert_eq!(all["variants"]["public"]["options"], public);
    let body = r#"{"id":"thumb","options":{"width":100,"height":100,"fit":"cover","metadata":"none","gravity":"face","quality":70,"browser_ttl":3600}}"#;
    let made = result(&call(Method::POST, "", body).await);
    assert_eq!(made["variant"]["id"], "thumb");
    assert_eq!(made["variant"]["neverRequireSignedURLs"], false);
    assert_eq!(made["variant"]["options"]["width"], 100);
    assert_eq!(result(&call(Method::GET, "/thumb", "").await), made);
    assert_error(&call(Method::POST, "", body).await, 409, 5409);
    let body = r#"{"options":{"width":50},"neverRequireSignedURLs":true}"#;
    let changed = result(&call(Method::PATCH, "/thumb", body).await);
    let options = json!({"width": 50, "fit": "scale-down", "metadata": "copyright"});
    assert_eq!(changed["variant"]["options"], options);
    assert_eq!(changed["variant"]["neverRequireSignedURLs"], true);
    let body = r#"{"options":{"width":60}}"#;
    let changed = result(&call(Method::PATCH, "/thumb", body).await);
    assert_eq!(changed["variant"]["neverRequireSignedURLs"], true);
    let image = result(&hosted.upload("a").await);
    let urls = image["variants"].as_array().expect("a list");
    assert_eq!(urls.len(), 2);
    assert!(
        urls[1]
            .as_str()
            .is_some_and(|url| url.ends_with("/a/thumb"))
    );
    assert_eq!(result(&call(Method::DELETE, "/thumb", "").await), json!({}));
    for (method, body) in [
        (Method::GET, ""),
        (Method::PATCH, r#"{"options":{"width":1}}"#),
        (Method::DELETE, ""),
    ] {
        assert_error(&call(method, "/thumb", body).await, 404, 5401);
    }
    assert_error(&call(Method::DELETE, "/public", "").await, 400, 5400);
}

#[tokio::test]
async fn variants_that_cannot_be_are_refused() {
    let hosted = HostedProxy::start().await;
    let long = "x".repeat(100);
    for id in ["", "a b", "a/b", "a=b", "é", "original", &long] {
        let body = json!({"id": id, "options": {"width": 1}}).to_string();
        let reply = hosted.call(Method::POST, "/images/v1/variants", &body);
        assert_error(&reply.await, 400, 5400);
    }
    for options in [
        json!({"unknown": 1}),
        json!({"width": 0}),
        json!({"width": "wide"}),
        json!({"fit": "other"}),
        json!({"browser_ttl": 1}),
        json!({"width": [1]}),
        json!([]),
        json!(null),
    ] {
        let body = json!({"id": "a", "options": options}).to_string();
        let reply = hosted.call(Method::POST, "/images/v1/variants", &body);
        assert_error(&reply.await, 400, 5400);
    }
    let body = r#"{"id":"a","options":{"width":1},"neverRequireSignedURLs":"x"}"#;
    let reply = hosted.call(Method::POST, "/images/v1/variants", body);
    assert_error(&reply.await, 400, 5400);
}

#[tokio::test]
async fn there_is_always_a_key() {
    let hosted = HostedProxy::start().await;
    let call = async |method, path: &str| {
        let path = format!("/images/v1/keys{path}");
        hosted.call(method, &path, "").await
    };
    let names = |keys: &Value| -> Vec<String> {
        let keys = keys["keys"].as_array().expect("a list");
        let names = keys.iter().map(|key| key["name"].as_str());
        names.map(|name| name.expect("a name").to_owned()).collect()
    };
    let first = result(&call(Method::GET, "").await);
    assert_eq!(names(&first), ["default"]);
    let both = result(&call(Method::PUT, "/second").await);
    assert_eq!(names(&both), ["default", "second"]);
    assert!(
        both["keys"][1]["value"]
            .as_str()
            .is_some_and(|key| key.len() >= 32)
    );
    assert_error(&call(Method::PUT, "/second").await, 409, 5409);
    assert_error(&call(Method::PUT, "/with-hyphen").await, 400, 5400);
    assert_error(
        &call(Method::PUT, &format!("/{}", "x".repeat(21))).await,
        400,
        5400,
    );
    assert_error(&call(Method::DELETE, "/third").await, 404, 5404);
    let one = result(&call(Method::DELETE, "/default").await);
    assert_eq!(names(&one), ["second"]);
    let fresh = result(&call(Method::DELETE, "/second").await);
    assert_eq!(names(&fresh), ["default"]);
    assert_ne!(fresh, first);
    // The secret of upload URLs is nowhere among them.
    assert_eq!(fresh["keys"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn switches_are_changed_one_by_one() {
    let hosted = HostedProxy::start().await;
    let patch = async |body: &str| hosted.call(Method::PATCH, "/images/v1/config", body).await;
    let config = result(&hosted.get("/images/v1/config").await);
    assert_eq!(
        config,
        json!({"flexible_variants": false, "browser_ttl": null})
    );
    let config = result(&patch(r#"{"flexible_variants":true}"#).await);
    assert_eq!(config["flexible_variants"], true);
    let config = result(&patch(r#"{"browser_ttl":7200}"#).await);
    assert_eq!(
        config,
        json!({"flexible_variants": true, "browser_ttl": 7200})
    );
    assert_eq!(result(&hosted.get("/images/v1/config").await), config);
    let config = result(&patch(r#"{"browser_ttl":null}"#).await);
    assert_eq!(config["browser_ttl"], Value::Null);
    for body in [
        r#"{"flexible_variants":"yes"}"#,
        r#"{"browser_ttl":3599}"#,
        r#"{"browser_ttl":31536001}"#,
        r#"{"browser_ttl":"1 h"}"#,
    ] {
        assert_error(&patch(body).await, 400, 5400);
    }
}

#[tokio::test]
async fn images_are_counted() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let stats = result(&hosted.get("/images/v1/stats").await);
    assert_eq!(stats["count"]["current"], 1);
    assert!(stats["count"]["allowed"].is_u64());
}

#[tokio::test]
async fn a_batch_token_needs_no_account() {
    let hosted = HostedProxy::start().await;
    result(&hosted.upload("a").await);
    let answer = result(&hosted.get("/images/v1/batch_token").await);
    let token = answer["token"].as_str().expect("a token");
    assert!(answer["expiresAt"].is_string());
    let as_batch = async |token: &str, method, target: &str, body: &str| {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str())];
        let client = hosted.proxy.client();
        client
            .send_body(method, target, &headers, body.to_owned())
            .await
    };
    result(&as_batch(token, Method::GET, "/images/v1/a", "").await);
    result(&as_batch(token, Method::GET, "/images/v2", "").await);
    let body = r#"{"metadata":{"a":1}}"#;
    result(&as_batch(token, Method::PATCH, "/images/v1/a", body).await);
    result(&as_batch(token, Method::POST, "/images/v2/direct_upload", "").await);
    for target in ["batch_token", "keys", "variants", "config"] {
        let target = format!("/images/v1/{target}");
        let refused = as_batch(token, Method::GET, &target, "").await;
        assert_error(&refused, 403, 10000);
    }
    let forged = format!("{token}x");
    let refused = as_batch(&forged, Method::GET, "/images/v1/a", "").await;
    assert_error(&refused, 401, 10000);
    let answer = hosted.call_as(READ, Method::GET, "/images/v1/batch_token", "");
    let answer = result(&answer.await);
    let token = answer["token"].as_str().expect("a token");
    let refused = as_batch(token, Method::DELETE, "/images/v1/a", "").await;
    assert_error(&refused, 403, 10000);
    result(&as_batch(token, Method::GET, "/images/v1/a", "").await);
}

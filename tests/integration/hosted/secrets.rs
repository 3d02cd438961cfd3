//! Nothing that lets its reader in is ever logged, whatever is called.

use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use serde_json::Value;
use sha2::Sha256;

use super::{ACCOUNT, BOUNDARY, Form, WRITE, png};
use crate::support::eventually;
use crate::support::origin::TestOrigin;
use crate::support::process::Process;
use crate::support::reply::Reply;

const WEBHOOK: &str = "a-secret-of-webhooks";
const PASSWORD: &str = "hunter2hunter2";

/// A server that logs all it can, and what it stores.
async fn server(folder: &Path, origin: &TestOrigin) -> Process {
    let at = folder.display();
    let port = origin.url("");
    let settings = format!(
        "[log]\nlevel = 'trace'\n[hosted]\nstore = 'file:{at}/store'\nindex = '{at}/index'\nflexible_variants = true\n[[hosted.token]]\ntoken = '{WRITE}'\nrights = 'write'\n[[hosted.webhook]]\nurl = '{port}/hook?key={PASSWORD}'\nsecret = '{WEBHOOK}'\nretry = '20 ms'\nprivate = true\n[cache.disk]\npath = '{at}/cache'\n[fetch]\nprivate_networks = true\n"
    );
    Process::start(&settings).await
}

struct Calls<'a>(&'a Process);

impl Calls<'_> {
    async fn send(&self, token: &str, method: Method, target: &str, body: &str) -> Reply {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let body = body.to_owned();
        self.0
            .client
            .send_body(method, target, &headers, body)
            .await
    }

    /// Calls the API below the account, and returns the result.
    async fn call(&self, method: Method, path: &str, body: &str) -> Value {
        let target = format!("{ACCOUNT}{path}");
        let reply = self.send(WRITE, method, &target, body).await;
        let document: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        document["result"].clone()
    }

    async fn form(&self, token: &str, target: &str, form: Form) -> Reply {
        let authorization = format!("Bearer {token}");
        let media = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", media.as_str()),
        ];
        let client = &self.0.client;
        client
            .send_body(Method::POST, target, &headers, form.bytes())
            .await
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_whole_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let origin = TestOrigin::with("/cat.png", png()).await;
    let server = server(folder.path(), &origin).await;
    let calls = Calls(&server);
    let images = format!("{ACCOUNT}/images/v1");
    let form = |id: &str| Form::default().text("id", id).file("a.png", &png());
    calls
        .form(WRITE, &images, form("a?b"))
        .await
        .assert_status(200);
    let wrong = "a-token-that-is-wrong";
    calls
        .form(wrong, &images, form("b"))
        .await
        .assert_status(401);
    let host = origin.url("").replace("http://", "");
    for file in ["cat.png", "none.png"] {
        let url = format!("http://user:{PASSWORD}@{host}/{file}?sig={PASSWORD}");
        let form = Form::default().text("url", &url);
        calls.form(WRITE, &images, form).await;
    }
    let batch = text(&calls.call(Method::GET, "/images/v1/batch_token", "").await["token"]);
    let listed = calls.send(&batch, Method::GET, "/images/v2?per_page=1", "");
    let listed: Value = serde_json::from_slice(&listed.await.body).expect("JSON");
    let continued = text(&listed["result"]["continuation_token"]);
    let path = format!("/images/v2?continuation_token={continued}");
    calls.call(Method::GET, &path, "").await;
    let draft = calls
        .call(Method::POST, "/images/v2/direct_upload", "")
        .await;
    let upload = text(&draft["uploadURL"]);
    let upload = upload.split_once("/upload/").expect("an upload URL").1;
    let (_, ticket) = upload.split_once('/').expect("a hash");
    for status in [200, 409] {
        let target = format!("/upload/main/{ticket}");
        let sent = calls.form("", &target, Form::default().file("c.png", &png()));
        sent.await.assert_status(status);
    }
    let forged = format!("/upload/main/x{ticket}");
    calls.form("", &forged, form("d")).await.assert_status(404);
    let keys = calls.call(Method::PUT, "/images/v1/keys/more", "").await;
    let keys: Vec<String> = keys["keys"]
        .as_array()
        .expect("keys")
        .iter()
        .map(|key| text(&key["value"]))
        .collect();
    let private = r#"{"requireSignedURLs":true}"#;
    calls.call(Method::PATCH, "/images/v1/a%3Fb", private).await;
    let shown = "/cdn-cgi/imagedelivery/main/a%3Fb/public";
    let mut mac = Hmac::<Sha256>::new_from_slice(keys[0].as_bytes()).expect("a key");
    mac.update(shown.as_bytes());
    let signature = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    server
        .client
        .get(&format!("{shown}?sig={signature}"))
        .await
        .assert_status(200);
    let refused = format!("{shown}?exp=1&sig={signature}");
    server.client.get(&refused).await.assert_status(403);
    calls.call(Method::GET, "/images/v1/a%3Fb/blob", "").await;
    calls
        .call(Method::POST, "/images/v1/a%3Fb/move", r#"{"id":"e"}"#)
        .await;
    calls.call(Method::DELETE, "/images/v1/e", "").await;
    calls.call(Method::DELETE, "/images/v1/keys/more", "").await;
    let stored = std::fs::read(folder.path().join("store/keys.json")).expect("keys");
    let stored: Value = serde_json::from_slice(&stored).expect("JSON");
    let secrets = [
        WRITE.to_owned(),
        wrong.to_owned(),
        batch,
        ticket.to_owned(),
        signature,
        PASSWORD.to_owned(),
        WEBHOOK.to_owned(),
        text(&stored["secret"]),
        keys[0].clone(),
        keys[1].clone(),
    ];
    eventually("the webhook is tried", async || {
        server.log().contains("webhook")
    })
    .await;
    eventually("all is logged", async || {
        server
            .log()
            .contains("\"DELETE\" path=\"/client/v4/accounts/main/images/v1/keys/more\"")
    })
    .await;
    let log = server.log();
    for secret in secrets {
        assert!(!log.contains(&secret), "`{secret}` is in:\n{log}");
    }
    // Names of images are told wholly.
    assert!(log.contains("/images/v1/a%3Fb/move"), "{log}");
    assert!(log.contains("imagedelivery/main/a%3Fb/public"), "{log}");
    assert!(log.contains("/upload/main/***"), "{log}");
    an_expired_upload_url_is_gone(&calls, &text(&stored["secret"]), ticket).await;
}

/// The time in an upload URL counts, and not only that in the record.
async fn an_expired_upload_url_is_gone(calls: &Calls<'_>, secret: &str, ticket: &str) {
    let (payload, _) = ticket.split_once('.').expect("a signature");
    let payload = BASE64URL_NOPAD.decode(payload.as_bytes()).expect("Base64");
    let mut payload: Value = serde_json::from_slice(&payload).expect("JSON");
    payload["expires"] = Value::from(1_600_000_000);
    let payload = payload.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a secret");
    mac.update(b"upload\0");
    mac.update(payload.as_bytes());
    let signature = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
    let payload = BASE64URL_NOPAD.encode(payload.as_bytes());
    let target = format!("/upload/main/{payload}.{signature}");
    let sent = calls.form("", &target, Form::default().file("c.png", &png()));
    super::assert_error(&sent.await, 410, 5404);
}

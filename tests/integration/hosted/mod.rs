//! Hosted images by their API, over real sockets.

mod account;
mod alone;
mod attacks;
mod bad_input;
mod blobs;
mod buckets;
pub mod clients;
mod direct;
mod forms;
mod gallery;
mod images;
mod lists;
mod refusals;
mod requests;
mod secrets;
mod uploads;

use hyper::Method;
use safelight::config::Config;
use safelight::hosted::{PublicUrl, Rights, Store, TokenConfig};
use safelight::token::Token;
use serde_json::Value;
use tempfile::TempDir;

use super::support::client::Client;
use super::support::proxy::TestProxy;
use super::support::reply::Reply;
use super::support::samples;

pub const WRITE: &str = "a-token-that-writes";
pub const READ: &str = "a-token-that-reads";
pub const OF_U1: &str = "a-token-of-u1-alone";
pub const ACCOUNT: &str = "/client/v4/accounts/main";
pub const BOUNDARY: &str = "a-boundary";

/// A proxy with hosted images in a folder.
pub struct HostedProxy {
    pub proxy: TestProxy,
    // Declared last: the store must outlive the proxy.
    folder: TempDir,
}

impl HostedProxy {
    pub async fn start() -> Self {
        HostedProxy::start_with(|_| {}).await
    }

    /// `change` has the last word.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let token = |token: &str, rights, creators: &[&str]| TokenConfig {
            token: Token::new(token).expect("a token"),
            rights,
            creators: creators.iter().map(|name| (*name).to_owned()).collect(),
            ..TokenConfig::default()
        };
        let proxy = TestProxy::start(|config| {
            config.hosted.store = Store::Folder(folder.path().join("store"));
            config.hosted.index = folder.path().join("index");
            config.hosted.token = vec![
                token(WRITE, Rights::Write, &[]),
                token(READ, Rights::Read, &[]),
                token(OF_U1, Rights::Write, &["u1"]),
            ];
            config.hosted.public_url =
                PublicUrl::try_from("https://img.test".to_owned()).expect("a URL");
            change(config);
        });
        HostedProxy {
            proxy: proxy.await,
            folder,
        }
    }

    /// Sends a request below the account with the token that writes.
    pub async fn call(&self, method: Method, path: &str, body: &str) -> Reply {
        self.call_as(WRITE, method, path, body).await
    }

    pub async fn call_as(&self, token: &str, method: Method, path: &str, body: &str) -> Reply {
        call_as(self.proxy.client(), token, method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, "").await
    }

    /// Sends a form with the token that writes.
    pub async fn form(&self, method: Method, path: &str, form: Form) -> Reply {
        self.form_with(method, path, form, &[]).await
    }

    pub async fn form_with(
        &self,
        method: Method,
        path: &str,
        form: Form,
        headers: &[(&str, &str)],
    ) -> Reply {
        let authorization = format!("Bearer {WRITE}");
        let media = format!("multipart/form-data; boundary={BOUNDARY}");
        let mut all = vec![
            ("authorization", authorization.as_str()),
            ("content-type", media.as_str()),
        ];
        all.extend_from_slice(headers);
        let target = format!("{ACCOUNT}{path}");
        let client = self.proxy.client();
        client.send_body(method, &target, &all, form.bytes()).await
    }

    /// Uploads a picture under an ID.
    pub async fn upload(&self, id: &str) -> Reply {
        let form = Form::default().text("id", id).file("cat.png", &png());
        self.form(Method::POST, "/images/v1", form).await
    }

    /// How many uploaded files are in the store.
    pub fn originals(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let Ok(entries) = std::fs::read_dir(folder) else {
                return 0;
            };
            let paths = entries.map(|entry| entry.expect("a readable folder").path());
            paths
                .map(|path| if path.is_dir() { count(&path) } else { 1 })
                .sum()
        }
        count(&self.folder.path().join("store").join("originals"))
    }
}

/// Sends a request below the account of a server.
pub async fn call_as(
    client: &Client,
    token: &str,
    method: Method,
    path: &str,
    body: &str,
) -> Reply {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
    ];
    let target = format!("{ACCOUNT}{path}");
    let body = body.to_owned();
    client.send_body(method, &target, &headers, body).await
}

/// Posts a form to a path of a server, with the token that writes.
pub async fn post_form(client: &Client, path: &str, form: Form) -> Reply {
    let authorization = format!("Bearer {WRITE}");
    let media = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", media.as_str()),
    ];
    let sent = client.send_body(Method::POST, path, &headers, form.bytes());
    sent.await
}

/// A multipart form.
#[derive(Clone, Default)]
pub struct Form(Vec<u8>);

impl Form {
    pub fn text(self, name: &str, text: &str) -> Self {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        self.part(&head, text.as_bytes())
    }

    pub fn file(self, filename: &str, bytes: &[u8]) -> Self {
        let head = format!(
            "Content-Disposition: form-data; name=\"file\"; filename=\"{filename}\"\r\nContent-Type: application/octet-stream"
        );
        self.part(&head, bytes)
    }

    pub fn part(mut self, head: &str, content: &[u8]) -> Self {
        let before = format!("--{BOUNDARY}\r\n{head}\r\n\r\n");
        self.0.extend_from_slice(before.as_bytes());
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    /// Without the closing boundary.
    pub fn unclosed(self) -> Vec<u8> {
        self.0
    }

    /// With the closing boundary.
    pub fn bytes(mut self) -> Vec<u8> {
        self.0
            .extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

/// A picture.
pub fn png() -> Vec<u8> {
    samples::png(40, 30)
}

/// The `result` of a successful answer, in its envelope.
#[track_caller]
pub fn result(reply: &Reply) -> Value {
    reply
        .assert_status(200)
        .assert_header("content-type", "application/json")
        .assert_header("cache-control", "no-store")
        .assert_no_header("access-control-allow-origin");
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["success"], true, "{reply}");
    assert_eq!(document["errors"], serde_json::json!([]), "{reply}");
    assert_eq!(document["messages"], serde_json::json!([]), "{reply}");
    document["result"].clone()
}

/// Asserts that an answer is an error in its envelope, and returns its message.
#[track_caller]
pub fn assert_error(reply: &Reply, status: u16, code: u32) -> String {
    reply
        .assert_status(status)
        .assert_header("content-type", "application/json");
    let retry = if (400..500).contains(&status) && status != 408 {
        "false"
    } else {
        ""
    };
    reply.assert_header("x-should-retry", retry);
    let bearer = if status == 401 { "Bearer" } else { "" };
    reply.assert_header("www-authenticate", bearer);
    let document: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(document["success"], false, "{reply}");
    assert_eq!(document["result"], Value::Null, "{reply}");
    assert_eq!(document["messages"], serde_json::json!([]), "{reply}");
    assert_eq!(document["errors"][0]["code"], code, "{reply}");
    let message = document["errors"][0]["message"].as_str();
    message.expect("a message").to_owned()
}

//! The server of `examples/cat-gallery`. What the page does in a browser is tried by `make browser`.

use std::process::Stdio;

use hyper::Method;
use safelight::hosted::PublicUrl;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{BOUNDARY, Form, HostedProxy, READ, WRITE, png};
use crate::support::bounded;
use crate::support::client::Client;

/// The server of the example, killed when dropped.
struct Gallery {
    client: Client,
    _child: Child,
}

/// Node, which runs the server of the example.
fn server(safelight: &str, token: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/examples/cat-gallery/server.mjs"
        ))
        .env("SAFELIGHT", safelight)
        .env("SAFELIGHT_TOKEN", token)
        .env("PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Gallery {
    async fn start(safelight: &str) -> Gallery {
        let mut child = server(safelight, WRITE).spawn().expect("there is node");
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let line = bounded("the start", lines.next_line()).await;
        let line = line.expect("text").unwrap_or_default();
        let address = line.strip_prefix("gallery: http://").unwrap_or_default();
        Gallery {
            client: Client::new(address.parse().unwrap_or_else(|_| panic!("{line:?}"))),
            _child: child,
        }
    }

    async fn images(&self, query: &str) -> Value {
        let reply = self.client.get(&format!("/images{query}")).await;
        reply.assert_status(200);
        serde_json::from_str(&reply.text()).expect("JSON")
    }
}

async fn node_is_missing() -> bool {
    let version = Command::new("node").arg("--version").output().await;
    let is_missing = !version.is_ok_and(|output| output.status.success());
    if is_missing {
        eprintln!("skipped: there is no node, which the server of the gallery needs");
    }
    is_missing
}

async fn hosted() -> (HostedProxy, String) {
    let hosted =
        HostedProxy::start_with(|config| config.hosted.public_url = PublicUrl::default()).await;
    let url = format!("http://{}", hosted.proxy.client().address());
    (hosted, url)
}

#[tokio::test]
async fn the_gallery_shows_what_is_uploaded_by_its_urls() {
    if node_is_missing().await {
        return;
    }
    let (hosted, url) = hosted().await;
    let gallery = Gallery::start(&url).await;
    // It made the variants that it shows.
    let variants = hosted.get("/images/v1/variants").await.text();
    for name in ["thumb", "small", "large"] {
        assert!(variants.contains(&format!("\"{name}\"")), "{variants}");
    }
    assert_eq!(gallery.images("").await["images"], serde_json::json!([]));

    let reply = gallery.client.post("/uploads", &[], "").await;
    reply.assert_status(200).assert_keeps_quiet_about(&[WRITE]);
    let upload: Value = serde_json::from_str(&reply.text()).expect("JSON");
    let target = upload["url"].as_str().and_then(|it| it.strip_prefix(&url));
    let media = format!("multipart/form-data; boundary={BOUNDARY}");
    let form = Form::default().file("cat.png", &png()).bytes();
    let client = hosted.proxy.client();
    let target = target.expect("an address of the same server");
    let headers = [("content-type", media.as_str())];
    client
        .send_body(Method::POST, target, &headers, form)
        .await
        .assert_status(200);

    let list = gallery.images("").await;
    let image = &list["images"][0];
    assert_eq!(image["name"], "cat.png", "{list}");
    assert!(image["width"].as_u64() > Some(0), "{list}");
    assert!(image["thumbhash"].is_string(), "{list}");
    assert_eq!(list["after"], Value::Null, "{list}");
    let shown = image["variants"].as_array().expect("variants");
    assert_eq!(shown.len(), 3, "{list}");
    for variant in shown {
        let target = variant["url"].as_str().and_then(|it| it.strip_prefix(&url));
        let reply = client.get(target.expect("the same server")).await;
        reply.assert_status(200);
    }
}

#[tokio::test]
async fn the_page_of_the_gallery_runs_nothing_of_others() {
    if node_is_missing().await {
        return;
    }
    let (_hosted, url) = hosted().await;
    let gallery = Gallery::start(&url).await;
    let page = gallery.client.get("/").await;
    page.assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = page.text();
    for inline in [" style=", "<style", " onclick=", "<script>"] {
        assert!(!text.contains(inline), "{inline}");
    }
    // All that it names is there.
    let named = text.split('"').filter(|part| part.starts_with('/'));
    for target in named {
        gallery.client.get(target).await.assert_status(200);
    }
    for target in ["/server.mjs", "/../server.mjs", "/%2e%2e/server.mjs", "/x"] {
        gallery.client.get(target).await.assert_status(404);
    }
}

#[tokio::test]
async fn the_gallery_tells_what_is_wrong_with_its_token() {
    if node_is_missing().await {
        return;
    }
    let (_hosted, url) = hosted().await;
    for (token, expected) in [
        ("a-token-that-is-wrong", "Authentication"),
        (READ, "read only"),
    ] {
        let run = server(&url, token).output();
        let output = bounded("the end", run).await.expect("there is node");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(expected) && !said.contains(token), "{said}");
    }
}

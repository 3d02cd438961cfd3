//! Requests as other clients of Cloudflare Images send them: the Terraform provider, and curl as the documentation of Cloudflare calls it.

use std::fs;

use hyper::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use super::{ACCOUNT, Form, HostedProxy, WRITE, assert_error, png, result};
use crate::support::origin::TestOrigin;
use crate::support::{bounded, samples};

/// A form of version 5 of the Terraform provider: metadata has a type of its own, and the file that of its bytes.
fn of_terraform(id: &str, metadata: &str) -> Form {
    let file = "Content-Disposition: form-data; name=\"file\"; filename=\"upload.png\"\r\nContent-Type: image/png";
    let meta =
        "Content-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json";
    Form::default()
        .text("id", id)
        .text("creator", "terraform")
        .part(file, &png())
        .part(meta, metadata.as_bytes())
        .text("requireSignedURLs", "false")
}

#[tokio::test]
async fn an_image_lives_as_terraform_has_it() {
    let hosted = HostedProxy::start().await;
    let create = async |metadata: &str| {
        let form = of_terraform("site/logo", metadata);
        hosted.form(Method::POST, "/images/v1", form).await
    };
    let target = "/images/v1/site%2Flogo";
    let meta = json!({"env": "prod", "rank": 1, "tags": ["a", null]});
    let image = result(&create(&meta.to_string()).await);
    assert_eq!(image["meta"], meta);
    assert_eq!(image["creator"], "terraform");
    assert_eq!(image["filename"], "upload.png");
    // What it reads must be what it was told, or it plans a change each time.
    for _ in 0..3 {
        assert_eq!(result(&hosted.get(target).await), image);
    }
    let changes = r#"{"creator":"tf","requireSignedURLs":true,"metadata":{"env":"test"}}"#;
    let changed = result(&hosted.call(Method::PATCH, target, changes).await);
    assert_eq!(changed["id"], "site/logo");
    assert_eq!(changed["uploaded"], image["uploaded"]);
    assert_eq!(result(&hosted.get(target).await), changed);
    // Another file is a deletion and a creation, one right after the other.
    result(&hosted.call(Method::DELETE, target, "").await);
    assert_error(&hosted.get(target).await, 404, 5404);
    // Releases before 5.9 send this where there is no metadata.
    assert_eq!(result(&create("").await)["meta"], json!({}));
    // And a form where they change something.
    let form = Form::default()
        .text("metadata", r#"{"env":"old"}"#)
        .text("requireSignedURLs", "true");
    let changed = result(&hosted.form(Method::PATCH, target, form).await);
    assert_eq!(changed["meta"], json!({"env": "old"}));
    assert_eq!(changed["requireSignedURLs"], true);
    // And the file as text, which is no image.
    let form = Form::default()
        .text("id", "base64")
        .text("file", "iVBORw0KGgoAAAANSUhEUg==");
    let refused = hosted.form(Method::POST, "/images/v1", form).await;
    assert!(assert_error(&refused, 415, 5455).contains("not an image"));
}

#[tokio::test]
async fn a_variant_lives_as_terraform_has_it() {
    let hosted = HostedProxy::start().await;
    let options = json!({"fit": "scale-down", "height": 768, "metadata": "none", "width": 1366});
    let body = json!({"id": "hero", "neverRequireSignedURLs": false, "options": options});
    let call = async |method, path: &str, body: &Value| {
        let path = format!("/images/v1/variants{path}");
        result(&hosted.call(method, &path, &body.to_string()).await)
    };
    let none = Value::Null;
    let variant = call(Method::POST, "", &body).await;
    assert_eq!(variant, json!({"variant": body}));
    assert_eq!(call(Method::GET, "/hero", &json!({})).await, variant);
    let mut changed = body.clone();
    changed["options"]["width"] = json!(100);
    changed["neverRequireSignedURLs"] = json!(true);
    let answer = call(Method::PATCH, "/hero", &changed).await;
    assert_eq!(answer, json!({"variant": changed}));
    let all = call(Method::GET, "", &none).await;
    assert_eq!(all["variants"]["hero"], changed);
    assert_eq!(call(Method::DELETE, "/hero", &none).await, json!({}));
    let missing = hosted.get("/images/v1/variants/hero").await;
    assert_error(&missing, 404, 5401);
}

#[tokio::test]
async fn metadata_may_have_many_fields() {
    let hosted = HostedProxy::start().await;
    let fields = |count: usize, text: &str| {
        (0..count).fold(Form::default().file("cat.png", &png()), |form, number| {
            form.text(&format!("metadata[k{number}]"), text)
        })
    };
    let upload = async |form| hosted.form(Method::POST, "/images/v1", form).await;
    let image = result(&upload(fields(90, "v")).await);
    assert_eq!(
        image["meta"].as_object().map(serde_json::Map::len),
        Some(90)
    );
    let refused = upload(fields(90, &"v".repeat(4096))).await;
    assert!(assert_error(&refused, 400, 5400).contains("bytes together"));
}

/// curl, with a server and pictures in its folder.
struct Curl {
    hosted: HostedProxy,
    origin: TestOrigin,
    folder: TempDir,
}

impl Curl {
    async fn new() -> Self {
        let origin = TestOrigin::with("/cat.png", png()).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("cat.png"), png()).expect("a fresh folder");
        // Large enough for curl to ask before it sends it.
        let mut large = samples::png(40, 30);
        large.resize(1_200_000, 0);
        fs::write(folder.path().join("large.png"), large).expect("a fresh folder");
        Curl {
            hosted: HostedProxy::start_with(|config| {
                config.hosted.public_url = Default::default();
            })
            .await,
            origin,
            folder,
        }
    }

    /// What curl prints for these arguments, in which `ORIGIN` stands for the origin of a picture. Those without a scheme are below the account.
    async fn run(&self, target: &str, arguments: &str) -> Value {
        let address = self.hosted.proxy.client().address();
        let url = match target.starts_with("http") {
            true => target.to_owned(),
            false => format!("http://{address}{ACCOUNT}{target}"),
        };
        let script = format!(
            "curl --silent --show-error --max-time 30 --header 'Authorization: Bearer {WRITE}' '{url}' {}",
            arguments.replace("ORIGIN", &self.origin.url(""))
        );
        let run = Command::new("sh")
            .args(["-c", &script])
            .current_dir(self.folder.path())
            .kill_on_drop(true)
            .output();
        let output = bounded(&script, run).await.expect("there is a sh");
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{script}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[tokio::test]
async fn uploads_by_curl_are_taken() {
    let curl = Curl::new().await;
    for arguments in [
        "--request POST --form file=@./cat.png",
        "--form file=@./cat.png --form 'metadata={\"key\":\"value\"}' --form requireSignedURLs=false",
        "--form 'metadata={\"key\":\"value\"}' --form requireSignedURLs=False --form file=@./cat.png",
        "--form 'metadata={\"key\":\"value\"};type=application/json' --form requireSignedURLs= --form creator= --form file=@./cat.png",
        "--form requireSignedURLs=1 --form file=@./cat.png",
        "--form file=@- < cat.png",
        "--form 'file=@./cat.png;type=image/jpeg;filename=\"a b.png\"'",
        "--form file=@./large.png",
        "--form file=@./large.png --header 'Expect: 100-continue'",
        "--form file=@./cat.png --header 'Transfer-Encoding: chunked'",
        "--form file=@./cat.png --http1.0",
        "--form file=@./cat.png --http2-prior-knowledge",
        "--form url=ORIGIN/cat.png",
        "--form 'url=ORIGIN/cat.png' --form 'metadata={\"key\":\"value\"}' --form 'requireSignedURLs=false'",
    ] {
        let answer = curl.run("/images/v1", arguments).await;
        assert_eq!(answer["success"], true, "{arguments}: {answer}");
        let image = &answer["result"];
        let meta = match arguments.contains("metadata") {
            true => json!({"key": "value"}),
            false => json!({}),
        };
        assert_eq!(image["meta"], meta, "{arguments}");
        let is_private = arguments.contains("URLs=1");
        assert_eq!(image["requireSignedURLs"], is_private, "{arguments}");
        assert_eq!(image["safelight"]["width"], 40, "{arguments}");
    }
    for (arguments, code) in [
        (
            "--data-binary @cat.png --header 'Content-Type: image/png'",
            5415,
        ),
        ("--data-binary @cat.png", 5415),
        ("--request POST", 5415),
        ("--form file=cat.png", 5455),
        ("--form image=@./cat.png", 5400),
        ("--form url=ORIGIN/cat.png --form file=@./cat.png", 5400),
        ("--form url=ORIGIN/none.png", 5454),
    ] {
        let answer = curl.run("/images/v1", arguments).await;
        assert_eq!(answer["errors"][0]["code"], code, "{arguments}: {answer}");
    }
}

#[tokio::test]
async fn direct_uploads_by_curl_are_taken() {
    let curl = Curl::new().await;
    let soon = chrono::Utc::now() + chrono::TimeDelta::minutes(5);
    let soon = soon.to_rfc3339();
    let expiry = format!("--data '{{\"expiry\":\"{soon}\"}}'");
    let v1 = "/images/v1/direct_upload";
    let v2 = "/images/v2/direct_upload";
    for (target, arguments) in [
        (v2, "--request POST".to_owned()),
        (
            v2,
            "--form 'requireSignedURLs=true' --form 'metadata={\"key\":\"value\"}'".to_owned(),
        ),
        (v2, format!("--form 'expiry={soon}'")),
        // It says that this is a form of the other kind.
        (v2, expiry.clone()),
        (
            v2,
            format!("{expiry} --header 'Content-Type: application/json'"),
        ),
        (
            v1,
            format!("{expiry} --header 'Content-Type: application/json'"),
        ),
    ] {
        let answer = curl.run(target, &arguments).await;
        assert_eq!(answer["success"], true, "{arguments}: {answer}");
        let draft = &answer["result"];
        let url = draft["uploadURL"].as_str().expect("a URL");
        let answer = curl.run(url, "--form file=@./cat.png").await;
        assert_eq!(answer["result"]["id"], draft["id"], "{arguments}: {answer}");
        assert_eq!(answer["result"]["filename"], "cat.png");
    }
}

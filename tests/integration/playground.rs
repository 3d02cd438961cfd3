//! The playground of the admin listener: the page, and what it asks for.

use std::fs;
use std::os::unix::fs::symlink;

use hyper::Method;
use safelight::admin::Token;
use safelight::bucket;
use safelight::hosted::Store;
use safelight::policy::{Originals, ZoneOrigin};
use serde_json::{Value, json};

use crate::support::memory_s3::MemoryS3;
use crate::support::origin::TestOrigin;
use crate::support::proxy::{TOKEN, TestProxy, allowed, zone};
use crate::support::reply::Reply;
use crate::support::samples;

const FILES: [(&str, &str); 5] = [
    ("/", "text/html"),
    ("/playground/style.css", "text/css"),
    ("/playground/main.js", "text/javascript"),
    ("/playground/controls.js", "text/javascript"),
    ("/playground/snippets.js", "text/javascript"),
];
const ACCEPTS: [(&str, &str); 4] = [
    ("jxl", "image/jxl,image/avif,image/webp,image/*,*/*;q=0.8"),
    ("avif", "image/avif,image/webp,image/*,*/*;q=0.8"),
    ("webp", "image/webp,image/*,*/*;q=0.8"),
    ("none", "*/*"),
];

/// What the page is answered.
async fn ask(proxy: &TestProxy, target: &str) -> Reply {
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    proxy.admin().get_with(target, &headers).await
}

async fn ask_json(proxy: &TestProxy, target: &str) -> Value {
    let reply = ask(proxy, target).await;
    reply
        .assert_status(200)
        .assert_header("content-type", "application/json");
    serde_json::from_str(&reply.text()).expect("JSON")
}

async fn check(proxy: &TestProxy, url: &str, accept: &str) -> Value {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("url", url)
        .append_pair("accept", accept)
        .finish();
    ask_json(proxy, &format!("/check?{query}")).await
}

#[tokio::test]
async fn the_page_is_for_everybody_and_lets_no_foreign_script_run() {
    let proxy = TestProxy::start(|_| ()).await;
    for (path, media_type) in FILES {
        let reply = proxy.admin().get(path).await;
        reply
            .assert_status(200)
            .assert_header_has("content-type", media_type)
            .assert_header_has(
                "content-security-policy",
                "default-src 'none'; script-src 'self'",
            )
            .assert_header_has("content-security-policy", "img-src 'self' blob:")
            .assert_header_has("content-security-policy", "frame-ancestors 'none'")
            .assert_header("x-content-type-options", "nosniff")
            .assert_header("referrer-policy", "no-referrer")
            .assert_header("cache-control", "no-store");
        assert!(reply.text().len() > 500, "{path}");
        let posted = proxy.admin().send(Method::POST, path, &[]).await;
        posted.assert_status(405);
        let foreign = proxy.admin().get_with(path, &[("host", "evil.test")]).await;
        foreign.assert_status(421);
    }
    proxy
        .admin()
        .get("/playground/none.js")
        .await
        .assert_status(404);
    proxy.get("/playground/main.js").await.assert_status(404);
}

#[tokio::test]
async fn what_it_asks_for_needs_the_token_where_one_is_set() {
    const TARGETS: [&str; 4] = [
        "/options",
        "/list?path=/",
        "/check?url=/a.png",
        "/preview?url=/a.png",
    ];
    let proxy = TestProxy::start(|_| ()).await;
    fs::write(proxy.folder().join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    for target in TARGETS {
        for (name, value) in [
            ("x-none", ""),
            ("authorization", "Bearer a-guessed-token-1"),
        ] {
            let reply = proxy.admin().get_with(target, &[(name, value)]).await;
            reply
                .assert_status(401)
                .assert_header("www-authenticate", "Bearer");
            let body: Value = serde_json::from_str(&reply.text()).expect("JSON");
            assert_eq!(body["success"], false);
        }
        ask(&proxy, target).await.assert_status(200);
        let posted = proxy.admin().send(Method::POST, target, &[]).await;
        posted.assert_status(405);
    }
    let open = TestProxy::start(|config| config.admin.token = Token::default()).await;
    fs::write(open.folder().join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    for target in TARGETS {
        open.admin().get(target).await.assert_status(200);
    }
}

#[tokio::test]
async fn the_table_of_options_has_what_controls_are_made_of() {
    let proxy = TestProxy::start(|_| ()).await;
    let table = ask_json(&proxy, "/options").await;
    assert_eq!(table["prefix"], "/cdn-cgi/image/");
    let rows = table["options"].as_array().expect("a list");
    assert!(rows.len() > 40, "{} options", rows.len());
    let row = |name: &str| {
        let row = rows.iter().find(|row| row["names"][0] == name);
        row.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let width = row("width");
    assert_eq!(width["names"], json!(["width", "w"]));
    assert_eq!(width["domain"]["words"], json!(["auto"]));
    assert_eq!(
        width["domain"]["numbers"],
        json!({"min": 1.0, "max": null, "is_whole": true})
    );
    assert_eq!(row("blur")["domain"]["numbers"]["max"], 250.0);
    assert_eq!(row("background")["domain"]["is_color"], true);
}

#[tokio::test]
async fn a_folder_is_listed_without_what_nobody_may_read() {
    let proxy = TestProxy::start(|config| {
        let ZoneOrigin::Folder(zone) = &config.zone.origin else {
            return;
        };
        config.hosted.store = Store::Folder(zone.join("uploads"));
        config.hosted.index = zone.with_file_name("index");
        let zone = ZoneOrigin::Folder(zone.clone());
        config.zone.origin = zone;
    })
    .await;
    let folder = proxy.folder();
    fs::create_dir_all(folder.join("cats & dogs/deep")).expect("a fresh folder");
    for name in ["b.png", "a?#ü%.png", ".hidden.png", "cats & dogs/c.png"] {
        fs::write(folder.join(name), "12345").expect("a fresh folder");
    }
    symlink("/etc", folder.join("out")).expect("a fresh folder");
    let listing = ask_json(&proxy, "/list?path=/").await;
    let expected = json!({
        "path": "/",
        "folders": ["/cats%20%26%20dogs/"],
        "files": [{"path": "/a%3F%23%C3%BC%25.png", "bytes": 5}, {"path": "/b.png", "bytes": 5}],
        "cut": false,
    });
    assert_eq!(listing, expected);
    let inside = ask_json(&proxy, "/list?path=/cats%2520%2526%2520dogs/").await;
    assert_eq!(inside["folders"], json!(["/cats%20%26%20dogs/deep/"]));
    assert_eq!(
        inside["files"],
        json!([{"path": "/cats%20%26%20dogs/c.png", "bytes": 5}])
    );
    for (target, status) in [
        ("/list?path=/none/", 404),
        ("/list?path=/b.png/", 404),
        ("/list?path=/../", 404),
        ("/list?path=/%252e%252e/", 404),
        ("/list?path=/out/", 404),
        ("/list?path=none", 400),
    ] {
        let reply = ask(&proxy, target).await;
        reply.assert_status(status);
        assert!(reply.text().contains("\"errors\""), "{target}: {reply}");
    }
    for number in 0..1001 {
        fs::write(folder.join(format!("cats & dogs/deep/{number}.png")), "").expect("a folder");
    }
    let many = ask_json(&proxy, "/list?path=/cats%2520%2526%2520dogs/deep/").await;
    let files = many["files"].as_array().map(Vec::len);
    assert_eq!((files, &many["cut"]), (Some(1000), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_listed_by_its_folders() {
    let server = MemoryS3::start().await;
    for key in [
        "a.png",
        "cats/b.png",
        "cats/deep/c.png",
        "dogs/d e.png",
        "trail/",
    ] {
        server.put(key, "12345");
    }
    let settings = format!(
        "name = 'photos'\nbucket = 'private'\nendpoint = 'http://127.0.0.1:{}'\nstyle = 'path'\ncredentials = {{ key = '{}', secret = '{}' }}\n",
        server.port(),
        server.access_key(),
        server.secret_key()
    );
    let bucket: bucket::Config = toml::from_str(&settings).expect("settings");
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone("bucket:photos");
        config.bucket = vec![bucket];
    })
    .await;
    let paths = |listing: &Value, name: &str| -> Vec<String> {
        let list = listing[name].as_array().expect("a list").iter();
        list.map(|entry| {
            entry
                .as_str()
                .or(entry["path"].as_str())
                .expect("a path")
                .to_owned()
        })
        .collect()
    };
    let top = ask_json(&proxy, "/list?path=/").await;
    assert_eq!(paths(&top, "folders"), ["/cats/", "/dogs/", "/trail/"]);
    assert_eq!(paths(&top, "files"), ["/a.png"]);
    let cats = ask_json(&proxy, "/list?path=/cats/").await;
    assert_eq!(paths(&cats, "folders"), ["/cats/deep/"]);
    assert_eq!(paths(&cats, "files"), ["/cats/b.png"]);
    // A prefix may end within a name.
    let part = ask_json(&proxy, "/list?path=/dogs/d").await;
    assert_eq!(paths(&part, "files"), ["/dogs/d%20e.png"]);
    let asked = server.take_asked();
    assert!(
        asked.iter().all(|line| line.contains("delimiter=%2F")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_web_server_cannot_be_listed() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    ask(&proxy, "/list?path=/").await.assert_status(404);
    assert_eq!(origin.asked().len(), 0);
}

#[tokio::test]
async fn a_check_says_what_would_be_made_and_does_nothing() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let url = "/cdn-cgi/image/w=16,f=auto,fit=cover/a.png";
    let before = check(&proxy, url, "avif").await;
    for (name, value) in [
        ("kind", json!("transformation")),
        ("options", json!("fit=cover,format=auto,width=16")),
        ("vary", json!("Accept")),
        ("refusal", Value::Null),
        (
            "warnings",
            json!(["cover fit mode needs both width and height"]),
        ),
    ] {
        assert_eq!(before[name], value, "{before}");
    }
    assert_eq!(before["source"]["address"], "zone:/a.png");
    assert_eq!(before["source"]["allowed_by"], "zone.origin");
    assert_eq!(before["source"]["cached"], Value::Null);
    assert_eq!(
        before["picture"]["summary"],
        "avif or webp; 16 wide, fit contain; quality 85"
    );
    assert_eq!(before["picture"]["key"], Value::Null);
    assert_eq!((origin.asked().len(), proxy.renders()), (0, 0.0));

    let made = proxy
        .get_with(url, &[("accept", "image/avif,image/webp")])
        .await;
    made.assert_status(200);
    let after = check(&proxy, url, "avif").await;
    assert_eq!(after["source"]["cached"], "memory");
    assert_eq!(after["picture"]["cached"], "memory");
    let is_interim = made.header("cache-status").contains("interim");
    assert_eq!(after["picture"]["is_interim"], is_interim);
    assert_eq!(after["picture"]["etag"], made.header("etag"));
    let key = after["picture"]["key"].as_str().expect("a key");
    assert!(key.contains('-'), "{key}");
    assert_eq!((origin.asked().len(), proxy.renders()), (1, 1.0));
}

#[tokio::test]
async fn a_check_names_the_setting_that_refuses() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.sources.allowed = allowed(&["b.test".to_owned(), "*.c.test".to_owned()]);
        config.zone.originals = Some(Originals::Pictures);
        config.flow = toml::from_str::<toml::Table>(
            "[[flow]]\nmatch = ['/uploads/**']\noptions = 'width=8'\nquery = ['blur']\n",
        )
        .and_then(|table| table["flow"].clone().try_into())
        .expect("a flow");
    })
    .await;
    for (url, kind, setting, allowed_by) in [
        (
            "/cdn-cgi/image/width=8/https://d.test/a.png",
            "transformation",
            json!("sources.allowed"),
            Value::Null,
        ),
        (
            "/cdn-cgi/image/width=99999/a.png",
            "transformation",
            json!("limits.output_side"),
            Value::Null,
        ),
        (
            "/cdn-cgi/image/width=8/https://x.c.test/a.png",
            "transformation",
            Value::Null,
            json!("sources.allowed, entry 2"),
        ),
        (
            "https://img.test/cdn-cgi/image/width=8/https://img.test/a.png",
            "transformation",
            Value::Null,
            json!("zone.origin"),
        ),
        (
            "/_next/image?url=%2Fa.png&w=64&q=75",
            "next-image",
            Value::Null,
            json!("zone.origin"),
        ),
        (
            "/uploads/a.png?blur=9",
            "flow",
            Value::Null,
            json!("zone.origin"),
        ),
        ("/a.png", "original", Value::Null, json!("zone.origin")),
    ] {
        let report = check(&proxy, url, "none").await;
        assert_eq!(report["kind"], kind, "{report}");
        assert_eq!(report["refusal"]["setting"], setting, "{report}");
        assert_eq!(report["source"]["allowed_by"], allowed_by, "{report}");
    }
    let refused = check(
        &proxy,
        "/cdn-cgi/image/width=8/https://d.test/a.png",
        "none",
    )
    .await;
    let refusal = &refused["refusal"];
    assert_eq!(
        (refusal["status"].as_u64(), refusal["number"].as_u64()),
        (Some(403), Some(9401)),
        "{refused}"
    );
    assert!(
        refusal["message"]
            .as_str()
            .is_some_and(|text| text.contains("`d.test`")),
        "{refused}"
    );
    let flow = check(&proxy, "/uploads/a.png?blur=9", "none").await;
    assert_eq!(flow["flow"], "/uploads/**");
    assert_eq!(flow["options"], "blur=9,width=8");
    assert_eq!(origin.asked().len(), 0);
    for target in [
        "/check",
        "/check?url=",
        "/check?url=cat.jpg",
        "/check?url=/a&accept=jpeg",
    ] {
        ask(&proxy, target).await.assert_status(400);
    }
}

#[tokio::test]
async fn a_preview_is_what_the_public_listener_answers() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for (word, accept) in ACCEPTS {
        let url = "/cdn-cgi/image/width=16,format=auto/a.png";
        let preview = ask(&proxy, &format!("/preview?url={url}&accept={word}")).await;
        let public = proxy.get_with(url, &[("accept", accept)]).await;
        preview.assert_status(200);
        for name in ["content-type", "etag", "vary"] {
            assert_eq!(preview.header(name), public.header(name), "{word}: {name}");
        }
        assert_eq!(preview.body, public.body, "{word}");
        // Kinds of clients that get the same bytes share them.
        if !preview.header("cache-status").contains("hit") {
            preview.assert_header_has("server-timing", "encode;dur=");
        }
        public.assert_header_has("cache-status", "hit");
    }
    let missing = ask(&proxy, "/preview?url=/cdn-cgi/image/width=16/none.png").await;
    missing.assert_status(404);
    assert!(missing.text().starts_with("ERROR 9404"), "{missing}");
    ask(&proxy, "/preview?url=none").await.assert_status(400);
}

#[tokio::test]
async fn where_urls_need_a_signature_a_preview_has_one_and_a_check_says_so() {
    let proxy = TestProxy::start(|config| {
        let settings = "required = 'always'\n[[key]]\nid = 'web'\nsecret = '0123456789abcdef0123456789abcdef'\n";
        config.signatures = toml::from_str(settings).expect("settings");
    })
    .await;
    fs::write(proxy.folder().join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    let url = "/cdn-cgi/image/width=16/a.png";
    proxy.get(url).await.assert_status(403);
    ask(&proxy, &format!("/preview?url={url}"))
        .await
        .assert_size(16, 12);
    let report = check(&proxy, url, "none").await;
    assert_eq!(
        report["refusal"]["setting"], "signatures.required",
        "{report}"
    );
    // A signature that is wrong is not made right.
    let wrong = format!("/cdn-cgi/image/width=16,sig=web.{}/a.png", "0".repeat(64));
    ask(&proxy, &format!("/preview?url={wrong}"))
        .await
        .assert_status(403);
    let original = ask(&proxy, "/preview?url=/a.png").await;
    assert_eq!(original.body, samples::png(64, 48));
}

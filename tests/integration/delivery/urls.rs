//! Delivery URLs of public images: which picture they show, with which headers, and what wrong ones are answered.

use hyper::Method;
use serde_json::json;

use super::{change, hosted, start, upload, variant};
use crate::support::eventually;
use crate::support::samples;
use crate::support::samples::mime_of;

const DRAWING: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><script>x</script><path d="M0 0h9v9z"/></svg>"#;

#[tokio::test]
async fn a_stored_image_is_delivered_in_its_variants() {
    let (proxy, _folder) = start(|config| {
        config.hosted.hash = "h4sh".to_owned();
        config.hosted.delivery_hosts = vec!["img.test".to_owned()];
    })
    .await;
    upload(&proxy, "users/7/a%b c.jpg", &samples::jpeg(400, 300), false).await;
    upload(&proxy, "drawing", DRAWING, false).await;
    change(&proxy, |settings| {
        settings.flexible_variants = true;
        let thumb = json!({"width": 80, "height": 80, "fit": "Cover", "browser_ttl": 7200});
        settings
            .variants
            .insert("thumb".to_owned(), variant(&thumb));
        let webp = json!({"width": 20, "format": "webp"});
        settings.variants.insert("webp".to_owned(), variant(&webp));
    })
    .await;
    let id = "users/7/a%25b%20c.jpg";
    let encoded = "users%2F7%2Fa%25b%20c.jpg";
    for (path, size) in [
        (format!("{id}/public"), (400, 300)),
        (format!("{encoded}/public"), (400, 300)),
        (format!("{id}/thumb"), (80, 80)),
        (format!("{id}/thumb?v=3&exp=1&sig=x"), (80, 80)),
        (format!("{id}/webp"), (20, 15)),
        (format!("{id}/w=40"), (40, 30)),
        (format!("{id}/w%3D40%2Ch=10"), (13, 10)),
    ] {
        let everywhere = format!("/cdn-cgi/imagedelivery/h4sh/{path}");
        let accept = ("accept", "image/avif,image/webp");
        let reply = proxy.get_with(&everywhere, &[accept]).await;
        reply.assert_status(200).assert_size(size.0, size.1);
        reply.assert_header("access-control-allow-origin", "*");
        reply.assert_no_header("age");
        let host = ("host", "IMG.test:8080");
        let own = format!("/h4sh/{path}");
        let own = proxy.get_with(&own, &[host, accept]).await;
        own.assert_status(200)
            .assert_header("etag", &reply.header("etag"));
    }
    let thumb = format!("/cdn-cgi/imagedelivery/h4sh/{id}/thumb");
    for (accept, mime) in [
        ("image/webp", "image/webp"),
        ("image/avif,image/webp", "image/avif"),
        ("*/*", "image/jpeg"),
    ] {
        for _ in 0..2 {
            let reply = proxy.get_with(&thumb, &[("accept", accept)]).await;
            assert_eq!(mime_of(&reply.body), mime);
            reply.assert_header("vary", "Accept");
        }
    }
    proxy
        .get_with(&thumb, &[("accept", "image/webp")])
        .await
        .assert_header(
            "cache-control",
            "public, max-age=7200, stale-while-revalidate=7200",
        );
    // A drawing stays one, cleaned, whatever the variant.
    for variant in ["public", "thumb", "webp"] {
        let path = format!("/cdn-cgi/imagedelivery/h4sh/drawing/{variant}");
        let reply = proxy.get(&path).await;
        reply
            .assert_status(200)
            .assert_header("content-type", "image/svg+xml");
        reply.assert_header_has("content-security-policy", "sandbox");
        assert!(!reply.text().contains("script"));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_delivered_picture_has_the_conditions_and_ranges_of_others() {
    let (proxy, _folder) = start(|_| ()).await;
    upload(&proxy, "cat", &samples::jpeg(64, 64), false).await;
    let url = "/cdn-cgi/imagedelivery/main/cat/public";
    let whole = proxy.get(url).await;
    whole.assert_header(
        "cache-control",
        "public, max-age=172800, stale-while-revalidate=7200",
    );
    let etag = whole.header("etag");
    let unchanged = proxy.get_with(url, &[("if-none-match", &etag)]).await;
    unchanged.assert_status(304).assert_header("etag", &etag);
    unchanged.assert_header("cache-control", &whole.header("cache-control"));
    let part = proxy.get_with(url, &[("range", "bytes=0-9")]).await;
    part.assert_status(206);
    assert_eq!(part.body, whole.body[..10]);
    let head = proxy.client().send(Method::HEAD, url, &[]).await;
    head.assert_status(200)
        .assert_header("content-length", &whole.body.len().to_string());
    assert!(head.body.is_empty());
    let posted = proxy.client().post(url, &[], "x").await;
    posted.assert_error(405, 9424);
    assert_eq!(proxy.renders(), 1.0);
    change(&proxy, |settings| settings.browser_ttl = Some(4000)).await;
    proxy.get(url).await.assert_header(
        "cache-control",
        "public, max-age=4000, stale-while-revalidate=7200",
    );
    assert_eq!(proxy.renders(), 1.0);
    proxy.stop().await;
}

#[tokio::test]
async fn wrong_delivery_urls_are_refused_with_their_number() {
    let (proxy, _folder) = start(|config| {
        config.hosted.delivery_hosts = vec!["img.test".to_owned()];
    })
    .await;
    upload(&proxy, "cat", &samples::jpeg(16, 16), false).await;
    for (path, status, number, cache) in [
        ("main/cat", 400, 9401, "public, max-age=300"),
        ("main/cat/", 400, 9401, "public, max-age=300"),
        ("main", 400, 9401, "public, max-age=300"),
        ("main/%ff/public", 403, 9426, "public, max-age=300"),
        ("other/cat/public", 403, 9427, "public, max-age=300"),
        ("main/cat/large", 403, 9425, "no-store"),
        ("main/cat/w=10", 403, 9429, "no-store"),
        ("main/cat/original", 403, 9425, "no-store"),
        ("main/dog/public", 404, 9431, "public, max-age=10"),
        ("main/dog%2F/public", 404, 9431, "public, max-age=10"),
        ("main//public", 404, 9431, "public, max-age=10"),
        ("main/keys/public", 404, 9431, "public, max-age=10"),
    ] {
        for (target, host) in [
            (format!("/cdn-cgi/imagedelivery/{path}"), "any.test"),
            (format!("/{path}"), "img.test"),
        ] {
            let reply = proxy.get_with(&target, &[("host", host)]).await;
            reply.assert_error(status, number);
            reply.assert_header("cf-resized", &format!("err={number}"));
            reply.assert_header("cache-control", cache);
        }
    }
    change(&proxy, |settings| settings.flexible_variants = true).await;
    let wrong = proxy
        .get("/cdn-cgi/imagedelivery/main/cat/format=psd")
        .await;
    wrong.assert_error(400, 9401);
    // Other hosts have no such paths.
    proxy.get("/main/cat/public").await.assert_status(404);
    proxy.stop().await;
}

#[tokio::test]
async fn what_is_remembered_of_a_url_follows_its_image_and_its_account() {
    let (proxy, _folder) = start(|_| ()).await;
    let url = "/cdn-cgi/imagedelivery/main/cat/thumb";
    proxy.get(url).await.assert_error(403, 9425);
    let set = async |width: u32| {
        change(&proxy, move |settings| {
            let thumb = variant(&json!({"width": width}));
            settings.variants.insert("thumb".to_owned(), thumb);
        })
        .await;
    };
    set(40).await;
    proxy.get(url).await.assert_error(404, 9431);
    let record = upload(&proxy, "cat", &samples::jpeg(100, 50), false).await;
    for _ in 0..2 {
        proxy.get(url).await.assert_size(40, 20);
    }
    set(20).await;
    proxy.get(url).await.assert_size(20, 10);
    let facts = proxy.pipeline().inspect(samples::png(60, 60).into()).await;
    let bytes = super::spooled(&samples::png(60, 60));
    let replaced = hosted(&proxy).replace(
        &record.id,
        "b.png".to_owned(),
        bytes,
        facts.expect("a picture"),
    );
    replaced.await.expect("it is stored");
    for _ in 0..2 {
        proxy.get(url).await.assert_size(20, 20);
    }
    change(&proxy, |settings| {
        settings.variants.remove("thumb");
    })
    .await;
    proxy.get(url).await.assert_error(403, 9425);
    set(20).await;
    hosted(&proxy)
        .delete(&record.id)
        .await
        .expect("it is deleted");
    proxy.get(url).await.assert_error(404, 9431);
    proxy.stop().await;
}

#[tokio::test]
async fn the_store_is_read_by_delivery_urls_alone() {
    let mut zone = std::path::PathBuf::new();
    let (proxy, _folder) = start(|config| {
        let safelight::policy::ZoneOrigin::Folder(folder) = &config.zone.origin else {
            return;
        };
        zone.clone_from(folder);
        config.hosted.store = safelight::hosted::Store::Folder(folder.join("my/Store"));
    })
    .await;
    let record = upload(&proxy, "cat", &samples::jpeg(16, 16), false).await;
    let key = &record.original.as_ref().expect("it is an image").key;
    assert!(zone.join("my/Store").join(key).is_file());
    for path in [
        format!("/my/Store/{key}"),
        format!("/cdn-cgi/image/width=8/my/Store/{key}"),
        format!("/cdn-cgi/image/width=8/my%2FStore/{key}"),
        format!("/cdn-cgi/image/width=8/%6Dy/St%6Fre/{key}"),
        format!("/cdn-cgi/image/width=8/x/..%2fmy/Store/{key}"),
        format!("/cdn-cgi/image/width=8/my//Store/{key}"),
        format!("/cdn-cgi/image/width=8/hosted:{key}"),
        format!("/cdn-cgi/image/width=8/zone:/my/Store/{key}"),
        format!("/cdn-cgi/image/width=8/http://127.0.0.1/my/Store/{key}"),
    ] {
        let reply = proxy.get_with(&path, &[("host", "127.0.0.1")]).await;
        assert!(
            [400, 403, 404].contains(&reply.status),
            "{path}: {}",
            reply.status
        );
    }
    std::fs::write(zone.join("my/cat.jpg"), samples::jpeg(16, 16)).expect("a file");
    proxy
        .get("/cdn-cgi/image/width=8/my/cat.jpg")
        .await
        .assert_size(8, 8);
    proxy
        .get("/cdn-cgi/imagedelivery/main/cat/public")
        .await
        .assert_size(16, 16);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interim_picture_is_kept_no_longer_than_others_of_its_kind() {
    let (proxy, _folder) = start(|_| ()).await;
    upload(&proxy, "cat", &samples::jpeg(640, 480), false).await;
    let url = "/cdn-cgi/imagedelivery/main/cat/public";
    let accept = [("accept", "image/avif,image/webp")];
    let first = proxy.get_with(url, &accept).await;
    first
        .assert_header("content-type", "image/avif")
        .assert_header_has("cache-status", "detail=interim")
        .assert_header("cache-control", "public, max-age=300")
        .assert_no_header("age");
    let second = proxy.get_with(url, &accept).await;
    second.assert_header("cache-control", "public, max-age=300");
    eventually("the settled picture is made", async || {
        let made = [("result", "made")];
        proxy.metrics().sum("safelight_upgrades_total", &made) > 0.0
    })
    .await;
    let third = proxy.get_with(url, &accept).await;
    third.assert_header(
        "cache-control",
        "public, max-age=172800, stale-while-revalidate=7200",
    );
    assert_ne!(third.header("etag"), first.header("etag"));
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_delivered_while_it_is_replaced() {
    const ROUNDS: usize = 40;
    let (proxy, _folder) = start(|config| {
        config.hosted.flexible_variants = true;
        config.hosted.original_variant = true;
    })
    .await;
    let files = [samples::jpeg(40, 20), samples::jpeg(20, 40)];
    let record = upload(&proxy, "cat", &files[0], false).await;
    let hosted = std::sync::Arc::clone(hosted(&proxy));
    let replacing = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let file = &files[round % 2];
            let replaced = hosted.replace(
                &record.id,
                "b.jpg".to_owned(),
                super::spooled(file),
                record.original.as_ref().expect("a file").facts.clone(),
            );
            replaced.await.expect("it is stored");
        }
    });
    let mut asked = 0;
    while !replacing.is_finished() {
        asked += 1;
        let url = format!("/cdn-cgi/imagedelivery/main/cat/w={}", 1 + asked % 16);
        let shown = proxy.get(&url).await;
        shown.assert_status(200);
        let original = proxy.get("/cdn-cgi/imagedelivery/main/cat/original").await;
        original.assert_status(200);
    }
    replacing.await.expect("no panic");
    assert!(asked > 5, "{asked}");
}

//! Images that need signed URLs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use safelight::hosted::{Changes, SigningKey};
use serde_json::json;
use sha2::Sha256;

use super::{change, hosted, start, upload, variant};
use crate::support::samples;

/// The signature of a text.
fn sign(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    mac.update(text.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    now.as_secs() + seconds
}

fn key(name: &str, value: &str) -> SigningKey {
    SigningKey {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

#[tokio::test]
async fn a_private_image_needs_a_signature_whatever_its_name() {
    let (proxy, _folder) = start(|_| ()).await;
    change(&proxy, |settings| {
        settings.keys = vec![key("default", "k1")];
        settings.flexible_variants = true;
        let mut open = variant(&json!({"width": 8}));
        open.never_require_signed_urls = true;
        settings.variants.insert("blurred".to_owned(), open);
    })
    .await;
    upload(&proxy, "users/7/cat", &samples::jpeg(40, 40), true).await;
    let short = "/main/users/7/cat/public";
    let long = format!("/cdn-cgi/imagedelivery{short}");
    let flexible = "/cdn-cgi/imagedelivery/main/users/7/cat/w=10,f=png";
    for target in [
        long.clone(),
        format!("{long}?sig=zz"),
        format!("{long}?exp={}&sig={}", in_seconds(99), sign("k1", &long)),
        format!(
            "{long}?exp=1000&sig={}",
            sign("k1", &format!("{long}?exp=1000"))
        ),
        format!("{long}?sig={}", sign("k2", &long)),
        format!("{flexible}?sig={}", sign("k1", &long)),
    ] {
        let refused = proxy.get(&target).await;
        refused
            .assert_error(403, 9425)
            .assert_header("cache-control", "no-store");
    }
    let until = in_seconds(600);
    for (target, most) in [
        (format!("{long}?sig={}", sign("k1", &long)), 3600),
        (format!("{long}?sig={}", sign("k1", short)), 3600),
        (
            format!(
                "{long}?exp={until}&sig={}",
                sign("k1", &format!("{short}?exp={until}"))
            ),
            600,
        ),
        (
            format!(
                "{flexible}?exp={until}&sig={}",
                sign("k1", &format!("{flexible}?exp={until}"))
            ),
            600,
        ),
    ] {
        for _ in 0..2 {
            let reply = proxy.get(&target).await;
            reply.assert_status(200);
            let control = reply.header("cache-control");
            let seconds: u64 = control
                .strip_prefix("private, max-age=")
                .and_then(|text| text.parse().ok())
                .expect("seconds");
            assert!((most - 30..=most).contains(&seconds), "{control}");
        }
    }
    let open = proxy
        .get("/cdn-cgi/imagedelivery/main/users/7/cat/blurred")
        .await;
    open.assert_size(8, 8)
        .assert_header_has("cache-control", "public");
    proxy.stop().await;
}

#[tokio::test]
async fn a_signed_url_ends_with_its_time_and_with_its_key() {
    let (proxy, _folder) = start(|_| ()).await;
    let keys = async |keys: &'static [(&'static str, &'static str)]| {
        change(&proxy, |settings| {
            settings.keys = keys.iter().map(|(name, value)| key(name, value)).collect();
        })
        .await;
    };
    keys(&[("old", "k1")]).await;
    let record = upload(&proxy, "cat", &samples::jpeg(40, 40), true).await;
    let path = "/cdn-cgi/imagedelivery/main/cat/public";
    let of = |key: &str| format!("{path}?sig={}", sign(key, path));
    proxy.get(&of("k1")).await.assert_status(200);
    keys(&[("old", "k1"), ("new", "k2")]).await;
    proxy.get(&of("k1")).await.assert_status(200);
    proxy.get(&of("k2")).await.assert_status(200);
    keys(&[("new", "k2")]).await;
    proxy.get(&of("k1")).await.assert_error(403, 9425);
    proxy.get(&of("k2")).await.assert_status(200);

    let until = in_seconds(2);
    let soon = format!(
        "{path}?exp={until}&sig={}",
        sign("k2", &format!("{path}?exp={until}"))
    );
    proxy.get(&soon).await.assert_status(200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    proxy.get(&soon).await.assert_error(403, 9425);

    let make = async |is_private| {
        let changes = Changes {
            require_signed_urls: Some(is_private),
            ..Changes::default()
        };
        hosted(&proxy)
            .update(&record.id, changes)
            .await
            .expect("it is stored")
    };
    let now_open = make(false).await;
    let path = format!("/cdn-cgi/imagedelivery/main/{}/public", now_open.id);
    proxy.get(&path).await.assert_status(200);
    proxy.get(&path).await.assert_status(200);
    let changes = Changes {
        require_signed_urls: Some(true),
        ..Changes::default()
    };
    hosted(&proxy)
        .update(&now_open.id, changes)
        .await
        .expect("it is stored");
    proxy.get(&path).await.assert_error(403, 9425);
    proxy.stop().await;
}

#[tokio::test]
async fn the_uploaded_file_is_sent_as_it_is_with_a_signed_url() {
    for everybody in [false, true] {
        let (proxy, _folder) = start(|config| config.hosted.original_variant = everybody).await;
        change(&proxy, |settings| {
            settings.keys = vec![key("default", "k1")]
        })
        .await;
        let bytes = samples::jpeg(40, 40);
        upload(&proxy, "open", &bytes, false).await;
        upload(&proxy, "closed", &bytes, true).await;
        for (id, is_open) in [("open", everybody), ("closed", false)] {
            let path = format!("/cdn-cgi/imagedelivery/main/{id}/original");
            let plain = proxy.get(&path).await;
            match is_open {
                true => assert_eq!(plain.body, bytes),
                false => drop(plain.assert_error(403, 9425)),
            }
            let signed = format!("{path}?sig={}", sign("k1", &path));
            let whole = proxy.get(&signed).await;
            whole
                .assert_status(200)
                .assert_header("content-type", "image/jpeg");
            whole.assert_header("content-disposition", "attachment; filename=\"my cat.jpg\"");
            assert_eq!(whole.body, bytes);
            let control = if is_open {
                "public, max-age=172800"
            } else {
                "private, max-age=3600"
            };
            whole.assert_header_has("cache-control", control);
            let part = proxy.get_with(&signed, &[("range", "bytes=5-9")]).await;
            part.assert_status(206);
            assert_eq!(part.body, bytes[5..10]);
            let etag = whole.header("etag");
            let unchanged = proxy.get_with(&signed, &[("if-none-match", &etag)]).await;
            unchanged.assert_status(304);
        }
        proxy.stop().await;
    }
}

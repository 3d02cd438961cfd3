//! Reduced copies: a large source is decoded once, and later sizes are rendered from a smaller copy. The results look the same.
#![cfg(feature = "native")]

use image::RgbaImage;

use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::{eventually, samples};

fn decoded(proxy: &TestProxy, what: &str) -> f64 {
    proxy
        .metrics()
        .sum("safelight_large_sources_total", &[("decoded", what)])
}

async fn copied(proxy: &TestProxy, times: f64) {
    eventually("a copy is made", async || {
        let made = [("result", "made")];
        proxy.metrics().sum("safelight_reduced_copies_total", &made) >= times
    })
    .await;
}

/// The picture with an EXIF orientation, as a camera that is held upright writes it.
fn rotated(jpeg: &[u8]) -> Vec<u8> {
    let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    [&jpeg[..2], exif, &jpeg[2..]].concat()
}

/// The mean and the largest difference of the samples of two pictures.
fn differences(left: &RgbaImage, right: &RgbaImage) -> (f64, u8) {
    assert_eq!(left.dimensions(), right.dimensions());
    let differences = left.as_raw().iter().zip(right.as_raw());
    let differences = differences.map(|(left, right)| left.abs_diff(*right));
    let sum: f64 = differences.clone().map(f64::from).sum();
    let count = left.as_raw().len();
    (sum / count as f64, differences.max().unwrap_or(0))
}

/// Asserts that a picture of the proxy looks like the same picture rendered from the source itself.
#[track_caller]
fn assert_same(source: &[u8], options: &str, made: &[u8]) {
    let direct = samples::rendered(source, options).bytes;
    let (mean, largest) = differences(&samples::pixels_of(&direct), &samples::pixels_of(made));
    assert!(mean < 1.0 && largest <= 12, "{options}: {mean}, {largest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_size_is_made_of_a_copy() {
    // No scale divides these sides, and the picture has grain that a copy could lose.
    let source = rotated(&samples::jpeg(3601, 2399));
    let origin = TestOrigin::with("/a.jpg", source.clone()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let get = async |options: &str| {
        let target = format!("/cdn-cgi/image/{options}/a.jpg");
        let reply = proxy.get(&target).await;
        reply.assert_status(200);
        reply
    };
    get("width=500,format=webp").await.assert_size(500, 751);
    copied(&proxy, 1.0).await;
    assert_eq!(
        (decoded(&proxy, "source"), decoded(&proxy, "reduced-copy")),
        (1.0, 0.0)
    );
    let sizes = [
        "width=400,format=png-force",
        "width=401,height=123,fit=cover,gravity=0.2x0.7,format=png-force",
        "trim=101;203;307;409,rotate=90,width=300,format=png-force",
        "width=150,format=png-force",
    ];
    for (count, options) in (1..).zip(sizes) {
        let reply = get(options).await;
        assert_eq!(
            decoded(&proxy, "reduced-copy"),
            f64::from(count),
            "{options}"
        );
        assert_same(&source, options, &reply.body);
    }
    // This size is too large for the copy.
    get("width=1500,format=webp").await;
    assert_eq!(
        (decoded(&proxy, "source"), decoded(&proxy, "reduced-copy")),
        (1.0, 4.0)
    );
    let facts = get("format=json,width=400").await.text();
    assert!(facts.contains("\"width\":2399,\"height\":3601"), "{facts}");
    assert_eq!(origin.hits("/a.jpg"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_an_old_source_is_never_used_for_a_new_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(3300, 2500)).await;
    let always_stale = async || {
        let zone = zone(&origin.url(""));
        TestProxy::start(|config| {
            config.zone.origin = zone;
            config.cache.disk.path = folder.path().join("cache");
            config.cache.min_ttl = setting("0 s");
        })
        .await
    };
    let proxy = always_stale().await;
    proxy
        .get("/cdn-cgi/image/width=500/a.jpg")
        .await
        .assert_status(200);
    copied(&proxy, 1.0).await;
    proxy.stop().await;

    // The copy is still cached after a restart, as long as the source is the same.
    let proxy = always_stale().await;
    proxy
        .get("/cdn-cgi/image/width=400/a.jpg")
        .await
        .assert_status(200);
    assert_eq!(
        (decoded(&proxy, "source"), decoded(&proxy, "reduced-copy")),
        (0.0, 1.0)
    );

    let newer = samples::jpeg(3300, 2501);
    origin.serve("/a.jpg", newer.clone());
    let options = "width=300,format=png-force";
    let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.jpg")).await;
    assert_eq!(
        (decoded(&proxy, "source"), decoded(&proxy, "reduced-copy")),
        (1.0, 1.0)
    );
    assert_same(&newer, options, &reply.body);
    copied(&proxy, 1.0).await;
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copies_are_made_if_the_setting_is_off() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(3300, 2500)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.reduced_copies = false;
    })
    .await;
    for options in ["width=500", "width=300"] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.jpg")).await;
        reply.assert_status(200);
    }
    let results = ["made", "skipped", "failed"];
    let sum = |result| {
        let labels = [("result", result)];
        proxy
            .metrics()
            .sum("safelight_reduced_copies_total", &labels)
    };
    assert_eq!(results.map(sum), [0.0; 3]);
    // Copies are not looked up either; look-ups are counted before the render.
    let looked_for = ["source", "reduced-copy"].map(|what| decoded(&proxy, what));
    assert_eq!(looked_for, [0.0; 2]);
    proxy.stop().await;
}

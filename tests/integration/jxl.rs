//! JPEG XL: by name and for `format=auto`, which clients get it, and what those who accept other formats share with each other.

use safelight::options::Formats;

use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, zone};
use crate::support::reply::Reply;
use crate::support::{eventually, samples};

const CHROMIUM: &str = "image/jxl,image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
const TARGET: &str = "/cdn-cgi/image/width=480,quality=75,format=auto/a.jpg";
const IS_WRITTEN: bool = cfg!(feature = "native");

async fn get(proxy: &TestProxy, target: &str, accept: &str) -> Reply {
    let reply = proxy.get_with(target, &[("accept", accept)]).await;
    reply.assert_status(200);
    let told = reply.header("content-type");
    assert_eq!(samples::mime_of(&reply.body), told, "{accept}");
    reply
}

fn formats(names: &[&str]) -> Formats {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Formats::try_from(names).expect("known names")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_jpeg_xl_is_made_for_everyone() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(300, 200)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let reply = proxy.get("/cdn-cgi/image/width=120,format=jxl/a.jpg").await;
    if !IS_WRITTEN {
        reply.assert_error(415, 9520);
        return;
    }
    reply
        .assert_status(200)
        .assert_header("content-type", "image/jxl")
        .assert_no_header("vary")
        .assert_size(120, 80);
    let json = proxy
        .get("/cdn-cgi/image/width=120,format=json/a.jpg")
        .await;
    json.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_animation_moves_as_webp_and_stands_still_as_jpeg_xl() {
    if !IS_WRITTEN {
        return;
    }
    let origin = TestOrigin::with("/a.gif", samples::animated_gif(60, 40, 3)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for (options, expected) in [
        ("format=jxl", "image/webp"),
        ("format=jxl,anim=false", "image/jxl"),
        ("format=auto", "image/webp"),
    ] {
        let target = format!("/cdn-cgi/image/width=30,{options}/a.gif");
        let reply = get(&proxy, &target, CHROMIUM).await;
        reply.assert_header("content-type", expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_jpeg_xl_first_and_the_smaller_of_two_in_the_end() {
    if !IS_WRITTEN {
        return;
    }
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let first = get(&proxy, TARGET, CHROMIUM).await;
    first
        .assert_header("content-type", "image/jxl")
        .assert_header("vary", "Accept")
        .assert_size(480, 360);
    let is_interim = first.header("cache-status").contains("interim");
    assert!(is_interim, "{}", first.header("cache-status"));
    get(&proxy, TARGET, CHROMIUM).await;
    eventually("the settled picture is made", async || {
        let result = [("result", "made")];
        proxy.metrics().sum("safelight_upgrades_total", &result) > 0.0
    })
    .await;
    let settled = get(&proxy, TARGET, CHROMIUM).await;
    settled
        .assert_header("cache-control", "public, max-age=3600")
        .assert_size(480, 360);
    assert!(settled.body.len() <= first.body.len());
    assert_ne!(settled.header("etag"), first.header("etag"));
    // The type follows the file: whoever has the interim one gets another.
    let tags = [
        ("accept", CHROMIUM),
        ("if-none-match", &*first.header("etag")),
    ];
    proxy.get_with(TARGET, &tags).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_the_same_answer_share_it() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(640, 480)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let mut made = 0.0;
    for (accepts, renders) in [
        (
            &[
                "image/avif,image/webp",
                "image/avif",
                "image/avif;q=0.5,*/*",
            ][..],
            1.0,
        ),
        (&["image/webp", "image/webp,image/apng,*/*"], 1.0),
        (&["", "*/*", "image/jxl;q=0"], 1.0),
        (
            &["image/jxl,image/webp", "image/jxl"],
            if IS_WRITTEN { 1.0 } else { 0.0 },
        ),
    ] {
        let mut bodies = Vec::new();
        for accept in accepts {
            bodies.push(get(&proxy, TARGET, accept).await.body);
        }
        if renders > 0.0 {
            assert!(
                bodies.windows(2).all(|pair| pair[0] == pair[1]),
                "{accepts:?}"
            );
        }
        made += renders;
        assert!(proxy.renders() >= made, "{accepts:?}");
    }
    // Those above, and their upgrades: no more than one for each of the recipes.
    assert!(proxy.renders() <= 2.0 * made + 2.0, "{}", proxy.renders());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_a_format_that_was_not_named() {
    let origin = TestOrigin::with("/a.gif", samples::animated_gif(60, 40, 3)).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let target = "/cdn-cgi/image/width=30,format=auto/a.gif";
    // Both orders: the shared rendition is there already, or is made for a client that cannot take it.
    for target in [target, "/cdn-cgi/image/width=20,format=auto/a.gif"] {
        let mut accepts = ["image/avif", "image/avif,image/webp", "image/jxl", CHROMIUM];
        if target.contains("20") {
            accepts.reverse();
        }
        for accept in accepts {
            let expected = if accept.contains("webp") {
                "image/webp"
            } else {
                "image/gif"
            };
            let reply = get(&proxy, target, accept).await;
            reply
                .assert_header("content-type", expected)
                .assert_header("vary", "Accept");
            let tags = [
                ("accept", accept),
                ("if-none-match", &*reply.header("etag")),
            ];
            proxy.get_with(target, &tags).await.assert_status(304);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_decides_what_there_is_and_what_comes_first() {
    let origin = TestOrigin::with("/a.jpg", samples::jpeg(300, 200)).await;
    for (listed, accept, expected) in [
        (&["avif", "webp"][..], CHROMIUM, "image/avif"),
        (&["webp", "avif"], CHROMIUM, "image/webp"),
        (&["avif"], "image/webp", "image/jpeg"),
        (&[], CHROMIUM, "image/jpeg"),
        (
            &["jxl"],
            CHROMIUM,
            if IS_WRITTEN {
                "image/jxl"
            } else {
                "image/jpeg"
            },
        ),
    ] {
        let proxy = TestProxy::start(|config| {
            config.zone.origin = zone(&origin.url(""));
            config.defaults.formats = formats(listed);
        })
        .await;
        let target = "/cdn-cgi/image/width=100,format=auto/a.jpg";
        let reply = get(&proxy, target, accept).await;
        reply.assert_header("content-type", expected);
        proxy.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jpeg_whose_pixels_stay_is_packed_and_not_encoded() {
    if !IS_WRITTEN {
        return;
    }
    let jpeg = samples::jpeg(400, 300);
    let origin = TestOrigin::with("/a.jpg", jpeg.clone()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let reply = get(&proxy, "/cdn-cgi/image/quality=100,format=jxl/a.jpg", "").await;
    reply
        .assert_header("content-type", "image/jxl")
        .assert_size(400, 300);
    assert!(
        reply.body.len() < jpeg.len(),
        "{} of {}",
        reply.body.len(),
        jpeg.len()
    );
    let (packed, source) = (samples::pixels_of(&reply.body), samples::pixels_of(&jpeg));
    let farthest = packed
        .iter()
        .zip(source.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(farthest <= Some(8), "{farthest:?}");
}

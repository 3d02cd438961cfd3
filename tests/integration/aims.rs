//! Options for which the encoder searches a quality: `auto-quality` and `max-bytes`.

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::TestProxy;
use crate::support::samples;

async fn world() -> (TestOrigin, TestProxy) {
    let picture = Answer::file(samples::png(240, 180)).with("cache-control", "max-age=86400");
    let origin = TestOrigin::with("/a.png", picture).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    (origin, proxy)
}

#[tokio::test]
async fn files_stay_within_max_bytes() {
    let (_origin, proxy) = world().await;
    for format in ["jpeg", "webp", "avif"] {
        let get = async |options: &str| {
            let url = format!("/cdn-cgi/image/width=200,format={format}{options}/a.png");
            proxy.get(&url).await
        };
        let free = get("").await.body.len();
        let least = get(",quality=1").await.body.len();
        assert!(least < free, "{format}: {least}, {free}");
        let limit = (least + free) / 2;
        let reply = get(&format!(",max-bytes={limit}")).await;
        reply.assert_status(200).assert_no_header("warning");
        let found = reply.body.len();
        assert!(
            least <= found && found <= limit,
            "{format}: {found}, not {limit}"
        );
        // Where the limit is high enough, the quality is the requested one.
        let reply = get(&format!(",max-bytes={free}")).await;
        assert_eq!(reply.body.len(), free);
        // Where no quality is small enough, the smallest file is sent.
        let reply = get(",max-bytes=1").await;
        reply
            .assert_status(200)
            .assert_header_has("warning", "max-bytes was not reached");
        assert!(reply.body.len() <= least, "{format}");
    }
}

#[tokio::test]
async fn a_higher_auto_quality_makes_larger_files() {
    let (_origin, proxy) = world().await;
    for format in ["jpeg", "webp", "avif"] {
        let mut lengths = Vec::new();
        for score in [30, 60, 85] {
            let url =
                format!("/cdn-cgi/image/width=200,format={format},auto-quality={score}/a.png");
            let reply = proxy.get(&url).await;
            reply.assert_status(200);
            lengths.push(reply.body.len());
        }
        assert!(
            lengths.is_sorted() && lengths[0] < lengths[2],
            "{format}: {lengths:?}"
        );
    }
}

#[tokio::test]
async fn lossless_formats_search_for_no_quality() {
    let (_origin, proxy) = world().await;
    let plain = proxy
        .get("/cdn-cgi/image/width=40,format=png-force/a.png")
        .await;
    let aimed = proxy
        .get("/cdn-cgi/image/width=40,format=png-force,max-bytes=9,auto-quality=40/a.png")
        .await;
    assert_eq!(plain.header("etag"), aimed.header("etag"));
    aimed.assert_no_header("warning");
}

#[tokio::test]
async fn quality_targets_out_of_range_are_errors() {
    let (_origin, proxy) = world().await;
    for option in ["auto-quality=96", "auto-quality=29", "max-bytes=0"] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/width=40,{option}/a.png"))
            .await;
        reply.assert_status(400);
    }
}

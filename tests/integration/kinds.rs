//! Every kind of picture and of answer, end to end: animations, drawings, JSON, metadata, saliency maps.

use std::io::Cursor;
use std::time::Duration;

use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use safelight::transform::LargeAnimations;
use safelight::worker::Isolation;
use serde_json::Value;

use crate::support::origin::TestOrigin;
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::{eventually, samples};

const DRAWING: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20" onload="alert(1)">
<script>alert(2)</script><rect width="40" height="20" fill="#ff0000"/></svg>"##;

/// Three frames of 32x24: red, green and blue, each 70 ms long, played five times.
fn animation() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 32, 24, &[]).expect("a GIF in memory");
    encoder
        .set_repeat(gif::Repeat::Finite(4))
        .expect("a short block");
    for color in [[255, 0, 0], [0, 255, 0], [0, 0, 255]] {
        let mut frame = gif::Frame::from_rgb(32, 24, &color.repeat(32 * 24));
        frame.delay = 7;
        encoder.write_frame(&frame).expect("a frame in memory");
    }
    drop(encoder);
    bytes
}

async fn in_front_of(path: &str, bytes: impl Into<bytes::Bytes>) -> (TestOrigin, TestProxy) {
    let origin = TestOrigin::with(path, bytes.into()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    (origin, proxy)
}

#[track_caller]
fn assert_frames<'a>(decoder: impl AnimationDecoder<'a>, width: u32) {
    let frames = decoder
        .into_frames()
        .collect_frames()
        .expect("a whole animation");
    let seen: Vec<_> = frames
        .iter()
        .map(|frame| {
            let picture = frame.buffer();
            let strongest = picture.get_pixel(width / 2, 3).0;
            let color = (0..3).max_by_key(|&channel| strongest[channel]);
            (picture.width(), color, Duration::from(frame.delay()))
        })
        .collect();
    let delay = Duration::from_millis(70);
    let expected = [0, 1, 2].map(|channel| (width, Some(channel), delay));
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn section_4_5_animations_stay_animations() {
    let (_origin, proxy) = in_front_of("/a.gif", animation()).await;
    let webp = [("accept", "image/webp")];
    let reply = proxy
        .get_with("/cdn-cgi/image/width=16,format=auto/a.gif", &webp)
        .await;
    reply
        .assert_status(200)
        .assert_header("content-type", "image/webp");
    let decoder = WebPDecoder::new(Cursor::new(&reply.body[..])).expect("a WebP");
    assert_frames(decoder, 16);
    let reply = proxy.get("/cdn-cgi/image/width=16/a.gif").await;
    reply
        .assert_status(200)
        .assert_header("content-type", "image/gif");
    let decoder = GifDecoder::new(Cursor::new(&reply.body[..])).expect("a GIF");
    assert_frames(decoder, 16);
}

#[tokio::test]
async fn section_2_1_anim_false_makes_a_still() {
    let (_origin, proxy) = in_front_of("/a.gif", animation()).await;
    for (options, mime) in [
        ("anim=false,width=16", "image/png"),
        ("anim=false,format=webp,width=16", "image/webp"),
        ("format=jpeg,width=16", "image/jpeg"),
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.gif")).await;
        reply
            .assert_size(16, 12)
            .assert_header("content-type", mime);
        let pixel = samples::pixels_of(&reply.body).get_pixel(8, 6).0;
        assert!(pixel[0] > 200 && pixel[1] < 60, "{options}: {pixel:?}");
    }
}

#[tokio::test]
async fn section_4_3_large_animations_are_passed_through_or_stilled() {
    let origin = TestOrigin::with("/a.gif", animation()).await;
    for (large, frames) in [(LargeAnimations::Original, 3), (LargeAnimations::Still, 1)] {
        let proxy = TestProxy::start(|config| {
            config.zone.origin = zone(&origin.url(""));
            config.limits.animation_pixels = 1000;
            config.limits.large_animations = large;
        })
        .await;
        let reply = proxy.get("/cdn-cgi/image/width=16,format=webp/a.gif").await;
        reply
            .assert_status(200)
            .assert_header_has("warning", "animation too large");
        if frames == 3 {
            assert_eq!(reply.body, animation());
            reply.assert_header("content-type", "image/gif");
        } else {
            reply.assert_size(16, 12);
        }
    }
}

#[tokio::test]
async fn section_4_4_drawings_are_cleaned_and_stay_drawings() {
    let (_origin, proxy) = in_front_of("/a.svg", DRAWING).await;
    for options in [
        "width=10",
        "format=auto,width=10",
        "format=svg",
        "format=png",
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.svg")).await;
        reply
            .assert_status(200)
            .assert_header("content-type", "image/svg+xml")
            .assert_header("x-content-type-options", "nosniff")
            .assert_header_has("content-security-policy", "sandbox");
        let text = reply.text();
        assert!(text.contains("<rect") && !text.contains("alert"), "{text}");
    }
    for format in ["webp", "avif", "jpeg", "png-force"] {
        let reply = proxy
            .get(&format!("/cdn-cgi/image/format={format}/a.svg"))
            .await;
        reply.assert_error(415, 9412);
    }
}

#[tokio::test]
async fn section_4_4_pixels_never_become_drawings() {
    let (_origin, proxy) = in_front_of("/a.png", samples::png(8, 8)).await;
    let reply = proxy.get("/cdn-cgi/image/format=svg/a.png").await;
    reply.assert_error(415, 9412);
}

#[tokio::test]
async fn drawings_become_pixels_where_the_operator_says_so() {
    let origin = TestOrigin::with("/a.svg", DRAWING).await;
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone(&origin.url(""));
        config.limits.rasterize_svg = true;
    })
    .await;
    let reply = proxy
        .get("/cdn-cgi/image/width=80,fit=contain,format=webp/a.svg")
        .await;
    reply.assert_size(80, 40);
    let pixel = samples::pixels_of(&reply.body).get_pixel(40, 20).0;
    assert!(pixel[0] > 200 && pixel[1] < 60, "{pixel:?}");
    let reply = proxy.get("/cdn-cgi/image/format=svg/a.svg").await;
    reply
        .assert_status(200)
        .assert_header("content-type", "image/svg+xml");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawing_has_the_memory_that_it_turns_out_to_need() {
    let origin = TestOrigin::with("/a.svg", samples::heavy_drawing(4000, 3000)).await;
    for isolation in [Isolation::Thread, Isolation::Process] {
        let started = async |room: &str| {
            TestProxy::start(|config| {
                config.zone.origin = zone(&origin.url(""));
                config.limits.rasterize_svg = true;
                config.limits.isolation = isolation;
                config.limits.render_memory = setting(room);
            })
            .await
        };
        let proxy = started("200 MiB").await;
        for options in [
            "width=150,format=webp",
            "width=90,height=90,fit=cover,gravity=auto,format=png",
        ] {
            let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.svg")).await;
            reply.assert_status(200);
            let picture = samples::pixels_of(&reply.body);
            let (width, height) = picture.dimensions();
            assert_eq!(
                picture.get_pixel(width - 2, height / 2).0[3],
                255,
                "{options}"
            );
        }
        let small = started("100 MiB").await;
        let reply = small
            .get("/cdn-cgi/image/width=150,format=webp/a.svg")
            .await;
        reply.assert_error(403, 9413);
    }
}

#[tokio::test]
async fn section_5_json_describes_the_picture() {
    let (_origin, proxy) = in_front_of("/a.png", samples::png(200, 100)).await;
    let reply = proxy.get("/cdn-cgi/image/width=50,format=json/a.png").await;
    reply
        .assert_status(200)
        .assert_header("content-type", "application/json");
    let facts: Value = serde_json::from_slice(&reply.body).expect("JSON");
    assert_eq!(
        (&facts["width"], &facts["height"]),
        (&50.into(), &25.into())
    );
    let original = &facts["original"];
    assert_eq!(original["file_size"], samples::png(200, 100).len());
    assert_eq!(original["width"], 200);
    assert_eq!(original["height"], 100);
    assert_eq!(original["format"], "image/png");
    assert!(facts.get("frames").is_none(), "{facts}");
    let lqip = facts["lqip"].as_str().expect("a data URI");
    assert!(lqip.starts_with("data:image/webp;base64,"), "{lqip}");
}

#[tokio::test]
async fn section_5_json_counts_frames_unless_anim_is_false() {
    let (_origin, proxy) = in_front_of("/a.gif", animation()).await;
    for (options, frames) in [
        ("format=json", Value::from(3)),
        ("format=json,anim=false", Value::Null),
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.gif")).await;
        let facts: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(facts["frames"], frames, "{facts}");
        assert_eq!(facts["original"]["format"], "image/gif");
    }
}

#[tokio::test]
async fn section_2_12_a_saliency_map_is_cached_once_for_each_source() {
    let (origin, proxy) = in_front_of("/a.png", samples::png(120, 60)).await;
    for (width, kept) in [(20, 2.0), (30, 3.0), (20, 3.0)] {
        let options = format!("width={width},height=40,fit=cover,gravity=auto");
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.png")).await;
        reply.assert_size(width, 40);
        let held = || {
            let labels = [("tier", "disk"), ("store", "renditions")];
            proxy.metrics().sum("safelight_cache_entries", &labels)
        };
        // Files are written to disk with a delay.
        eventually("pictures and one look are kept", async || held() == kept).await;
    }
    assert_eq!(origin.hits("/a.png"), 1);
}

#[tokio::test]
async fn no_picture_has_more_bytes_than_its_source() {
    // Sources that are as small as our encoders make them, or smaller.
    let small = samples::rendered(&samples::png(64, 48), "format=jpeg,quality=20").bytes;
    let (_origin, proxy) = in_front_of("/a.jpg", small.clone()).await;
    let reply = proxy.get("/cdn-cgi/image/width=64,quality=95/a.jpg").await;
    reply
        .assert_size(64, 48)
        .assert_header_has("warning", "original is smaller");
    assert!(reply.body.len() <= small.len());
    let reply = proxy.get("/cdn-cgi/image/width=32,quality=95/a.jpg").await;
    reply.assert_size(32, 24).assert_no_header("warning");
}

//! What is known of an upload before it is stored, and which uploads are refused.

use std::io::{Read as _, Seek as _};

use bytes::Bytes;
use safelight::hosted::{Facts, SpooledFile, Strip, Verify};
use safelight::pipeline::{Excess, InspectError};
use safelight::units::ByteSize;
#[cfg(target_os = "linux")]
use safelight::worker::Isolation;

use super::{spooled, start};
use crate::support::samples;

const DRAWING: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><script>x</script><path d="M0 0h9v9z"/></svg>"#;

/// A word for each way in which an upload can be refused.
fn word(error: &InspectError) -> &'static str {
    match error {
        InspectError::NotAnImage => "not-an-image",
        InspectError::Format { name, .. } => name,
        InspectError::Damaged(_) => "damaged",
        InspectError::TooLarge(excess) => match excess {
            Excess::Bytes { .. } => "bytes",
            Excess::Side { .. } => "side",
            Excess::Area { .. } => "area",
            Excess::Frames { .. } => "frames",
            Excess::Memory { .. } => "memory",
        },
        InspectError::Failed(_) => "failed",
    }
}

#[tokio::test]
async fn facts_of_an_upload_are_known_before_it_is_stored() {
    let (proxy, _folder) = start(|_| ()).await;
    for (bytes, format, mime, extension, size, frames) in [
        (
            samples::jpeg(64, 48),
            "jpeg",
            "image/jpeg",
            "jpg",
            (64, 48),
            1,
        ),
        (samples::png(30, 20), "png", "image/png", "png", (30, 20), 1),
        (
            samples::webp(31, 20),
            "webp",
            "image/webp",
            "webp",
            (31, 20),
            1,
        ),
        (
            samples::animated_gif(20, 10, 3),
            "gif",
            "image/gif",
            "gif",
            (20, 10),
            3,
        ),
        (DRAWING.to_vec(), "svg", "image/svg+xml", "svg", (40, 30), 1),
    ] {
        let facts = proxy.pipeline().inspect(bytes.into()).await;
        let facts = facts.unwrap_or_else(|error| panic!("{format}: {error}"));
        let is_drawing = format == "svg";
        assert_eq!(facts.thumbhash.is_none(), is_drawing, "{format}");
        assert_eq!(facts.color.is_none(), is_drawing, "{format}");
        let expected = Facts {
            format: format.to_owned(),
            mime: mime.to_owned(),
            extension: extension.to_owned(),
            width: size.0,
            height: size.1,
            frames,
            thumbhash: facts.thumbhash.clone(),
            color: facts.color.clone(),
        };
        assert_eq!(facts, expected);
    }
    proxy.stop().await;
}

#[tokio::test]
async fn an_upload_in_its_file_is_read_from_its_beginning() {
    let (proxy, folder) = start(|_| ()).await;
    let path = folder.path().join("upload");
    let bytes = samples::jpeg(32, 16);
    std::fs::write(&path, &bytes).expect("a file");
    let upload = |length| SpooledFile {
        file: std::fs::File::open(&path).expect("it was written"),
        bytes: length,
        sha256: String::new(),
    };
    let facts = proxy
        .pipeline()
        .inspect_file(&upload(bytes.len() as u64))
        .await;
    assert_eq!(facts.expect("a picture").width, 32);
    let shorter = proxy.pipeline().inspect_file(&upload(1 << 20)).await;
    assert_eq!(word(&shorter.expect_err("it ends early")), "failed");
    proxy.stop().await;
}

#[tokio::test]
async fn what_cannot_be_shown_is_refused_by_its_reason() {
    let (proxy, _folder) = start(|config| {
        let hosted = &mut config.hosted;
        hosted.formats = ["jpeg", "png", "gif", "svg"].map(str::to_owned).to_vec();
        hosted.upload_bytes = ByteSize::new(200_000);
        hosted.upload_side = 500.try_into().expect("not zero");
        hosted.upload_animation_pixels = 1000;
        config.limits.source_pixels = 90_000;
    })
    .await;
    let whole = samples::jpeg(200, 200);
    let half = whole[..whole.len() / 2].to_vec();
    let mut of_png = samples::png(200, 200);
    of_png.truncate(of_png.len() / 2);
    for (bytes, expected) in [
        (Vec::new(), "not-an-image"),
        (b"hello".to_vec(), "not-an-image"),
        (b"<html><svg></svg></html>".to_vec(), "not-an-image"),
        (b"%PDF-1.7".to_vec(), "pdf"),
        (samples::webp(9, 9), "webp"),
        (half, "damaged"),
        (of_png, "damaged"),
        (whole[..20].to_vec(), "damaged"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'><g>".to_vec(),
            "damaged",
        ),
        (vec![0; 200_001], "bytes"),
        (samples::jpeg(501, 2), "side"),
        (samples::jpeg(2, 501), "side"),
        (samples::jpeg(301, 300), "area"),
        (samples::animated_gif(20, 18, 3), "frames"),
    ] {
        let refused = proxy.pipeline().inspect(Bytes::from(bytes)).await;
        let refused = refused.expect_err(expected);
        assert_eq!(word(&refused), expected, "{refused}");
    }
    for bytes in [samples::jpeg(300, 300), samples::animated_gif(20, 16, 3)] {
        let accepted = proxy.pipeline().inspect(bytes.into()).await;
        accepted.unwrap_or_else(|error| panic!("{error}"));
    }
    proxy.stop().await;
}

#[tokio::test]
async fn a_header_is_enough_where_the_operator_says_so() {
    let (proxy, _folder) = start(|config| config.hosted.verify = Verify::Header).await;
    let mut bytes = samples::jpeg(200, 100);
    bytes.truncate(bytes.len() / 2);
    let facts = proxy.pipeline().inspect(bytes.into()).await;
    let facts = facts.expect("it has a header");
    assert_eq!(
        (facts.width, facts.height, facts.thumbhash),
        (200, 100, None)
    );
    let drawing = proxy.pipeline().inspect(Bytes::from_static(DRAWING)).await;
    assert_eq!(drawing.expect("a drawing").width, 40);
    proxy.stop().await;
}

#[tokio::test]
async fn what_tells_where_a_creator_was_is_taken_out_before_a_file_is_stored() {
    const SECRET: &[u8] = b"51 N 0 W, at home\0";
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET);
    let jpeg = samples::jpeg_with_exif(SECRET);
    let avif = samples::rendered(&jpeg, "format=avif,metadata=keep").bytes;
    let webp = samples::rendered(&jpeg, "format=webp,metadata=keep").bytes;
    for (strip, by_creator, is_stripped) in [
        (Strip::Creators, true, true),
        (Strip::Creators, false, false),
        (Strip::Everybody, false, true),
        (Strip::Nobody, true, false),
    ] {
        let (proxy, _folder) = start(|config| config.hosted.strip = strip).await;
        for (format, bytes) in [("jpeg", &jpeg), ("avif", &avif), ("webp", &webp)] {
            assert!(holds(bytes), "{format}");
            let upload = spooled(bytes);
            let mut kept = proxy
                .pipeline()
                .strip_upload(upload, by_creator)
                .await
                .expect("a picture");
            let facts = proxy
                .pipeline()
                .inspect_file(&kept)
                .await
                .expect("it is whole");
            assert_eq!((facts.format.as_str(), facts.width), (format, 64));
            let mut stored = Vec::new();
            kept.file.rewind().expect("a file");
            kept.file.read_to_end(&mut stored).expect("a file");
            assert_eq!(kept.bytes, stored.len() as u64);
            assert_eq!(holds(&stored), !is_stripped, "{format}");
            let pixels = (samples::pixels_of(bytes), samples::pixels_of(&stored));
            assert!(pixels.0 == pixels.1, "{format}");
        }
        let text = proxy
            .pipeline()
            .strip_upload(spooled(b"hello"), by_creator)
            .await;
        assert_eq!(text.expect("it is refused later").bytes, 5);
        proxy.stop().await;
    }
}

/// It is not held more often than a process may.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_large_upload_is_stripped_in_a_process() {
    let (proxy, _folder) = start(|config| {
        config.hosted.strip = Strip::Everybody;
        config.hosted.upload_bytes = ByteSize::mib(100);
        config.limits.isolation = Isolation::Process;
    })
    .await;
    let mut bytes = samples::jpeg_with_exif(b"at home");
    let length = bytes.len();
    bytes.resize(90 << 20, 0);
    let stripped = proxy.pipeline().strip_upload(spooled(&bytes), true).await;
    let stripped = stripped.expect("a picture");
    assert!(stripped.bytes < length as u64, "{}", stripped.bytes);
    proxy.stop().await;
}

/// Phones upload HEIC. That a build cannot decode it is no passing trouble of the server: a client that tries again gets the same answer.
#[cfg(not(feature = "heic"))]
#[tokio::test]
async fn a_format_without_a_decoder_is_refused_by_its_name() {
    const HEIC: &[u8] = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08free";
    for verify in [Verify::Decode, Verify::Header] {
        let (proxy, _folder) = start(|config| config.hosted.verify = verify).await;
        let refused = proxy.pipeline().inspect(HEIC.into()).await;
        let refused = refused.expect_err("there is no decoder");
        assert_eq!(word(&refused), "heic", "{refused}");
        proxy.stop().await;
    }
}

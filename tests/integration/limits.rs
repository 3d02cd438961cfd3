//! Limits of one request, and of all requests together.

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use futures_util::future::poll_immediate;
use safelight::transform::TruncatedSources;

#[cfg(target_os = "linux")]
use crate::costs::pictures::HOSTILE_HEADERS;
use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::proxy::{TestProxy, setting, zone};
use crate::support::{eventually, samples};

#[tokio::test]
async fn a_source_of_too_many_pixels_is_refused() {
    let origin = TestOrigin::start().await;
    origin.serve("/fits.png", samples::png(40, 25));
    origin.serve("/large.png", samples::png(41, 25));
    origin.serve("/large.jpg", samples::jpeg(41, 25));
    origin.serve("/large.webp", samples::webp(41, 25));
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.source_pixels = 1000;
    })
    .await;
    proxy
        .get("/cdn-cgi/image/width=20/fits.png")
        .await
        .assert_size(20, 13);
    for name in ["large.png", "large.jpg", "large.webp"] {
        let reply = proxy.get(&format!("/cdn-cgi/image/width=20/{name}")).await;
        reply.assert_error(403, 9413);
        assert!(reply.text().contains("41x25"), "{reply}");
    }
}

#[tokio::test]
async fn a_header_that_claims_a_large_size_allocates_nothing() {
    let origin = TestOrigin::start().await;
    // The size follows the name of the header chunk; the checksum is corrected so that only the size is wrong.
    let mut bomb = samples::png(8, 8);
    bomb[16..24].copy_from_slice(&[0, 0, 0x75, 0x30, 0, 0, 0x75, 0x30]);
    let sum = crc32(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    origin.serve("/bomb.png", bomb);
    let proxy = TestProxy::in_front_of(&origin).await;
    let reply = proxy.get("/cdn-cgi/image/width=20/bomb.png").await;
    reply.assert_error(403, 9413);
    assert!(reply.text().contains("30000x30000"), "{reply}");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}

#[tokio::test]
async fn an_output_beyond_the_longest_side_is_refused() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.output_side = 100.try_into().expect("not zero");
    })
    .await;
    for options in [
        "width=101",
        "height=101",
        "width=60,dpr=2",
        // These sides follow from the shape of the source.
        "height=100,fit=contain",
        "width=100,height=100,fit=contain,dpr=1.5",
    ] {
        let reply = proxy.get(&format!("/cdn-cgi/image/{options}/a.png")).await;
        reply.assert_error(403, 9413);
    }
    proxy
        .get("/cdn-cgi/image/width=100,fit=contain/a.png")
        .await
        .assert_size(100, 75);
}

#[tokio::test]
async fn a_render_that_would_take_too_much_memory_is_refused() {
    let origin = TestOrigin::with("/a.png", samples::png(640, 480)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.render_memory = setting("1 MiB");
    })
    .await;
    proxy
        .get("/cdn-cgi/image/width=600/a.png")
        .await
        .assert_error(403, 9413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_sheds_while_cached_pictures_are_still_served() {
    let origin = TestOrigin::start().await;
    origin.serve("/slow.jpg", samples::laborious());
    origin.serve("/a.png", samples::png(64, 48));
    origin.serve("/comments.gif", samples::gif_of_comments(2 << 20));
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.workers = 1;
        config.cache.interim_ttl = setting("0 s");
        config.limits.queue = 0;
    })
    .await;
    let kept = "/cdn-cgi/image/width=16/a.png";
    proxy.get(kept).await.assert_size(16, 12);

    let client = proxy.client().clone();
    let slow = tokio::spawn(async move {
        let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
        client.get(&target).await
    });
    eventually("the worker is busy", async || {
        proxy.metrics().sum("safelight_cpu_jobs", &[]) > 0.0
    })
    .await;
    let target = format!("/cdn-cgi/image/width=790,{}/slow.jpg", samples::LABORIOUS);
    proxy
        .get(&target)
        .await
        .assert_error(503, 9522)
        .assert_header("retry-after", "1");
    assert_eq!(
        proxy
            .metrics()
            .sum("safelight_cpu_refusals_total", &[("reason", "queue")]),
        1.0
    );
    proxy
        .get(kept)
        .await
        .assert_size(16, 12)
        .assert_header_has("cache-status", "hit");
    // Reading a header that takes long waits for the same worker.
    proxy
        .get("/cdn-cgi/image/width=1/comments.gif")
        .await
        .assert_error(503, 9522);
    // Small renders have a thread of their own.
    proxy
        .get("/cdn-cgi/image/width=17/a.png")
        .await
        .assert_size(17, 13);
    assert!(
        proxy
            .metrics()
            .sum("safelight_cpu_jobs", &[("lane", "normal")])
            > 0.0,
        "all that happened while the worker was busy"
    );
    let (width, height) = samples::LABORIOUS_SIZE;
    slow.await.expect("no panic").assert_size(width, height);
    proxy.get(&target).await.assert_status(200);
    proxy
        .get("/cdn-cgi/image/width=1/comments.gif")
        .await
        .assert_size(1, 1);
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("safelight_cpu_reserved_bytes", &[]), 0.0);
    let told = metrics.sum(
        "safelight_cpu_used_per_estimate_count",
        &[("format", "avif")],
    );
    assert!(told >= 2.0 || !cfg!(target_os = "linux"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rendered_in_time_is_refused_before_it_is_fetched() {
    const SOURCES: usize = 60;
    let origin = TestOrigin::with("/slow.jpg", samples::laborious()).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.workers = 1;
        config.limits.queue = 0;
        config.cache.interim_ttl = setting("0 s");
    })
    .await;
    let client = proxy.client().clone();
    let slow = tokio::spawn(async move {
        let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
        client.get(&target).await
    });
    eventually("the worker is busy", async || {
        let running = [("lane", "normal"), ("state", "running")];
        proxy.metrics().sum("safelight_cpu_jobs", &running) > 0.0
    })
    .await;
    let before = origin.asked().len();
    for number in 0..SOURCES {
        let target = format!("/cdn-cgi/image/width=10/other-{number}.jpg");
        let reply = proxy.get(&target).await;
        // Now and then one is tried, since it may be small. This origin does not have it.
        if reply.status != 404 {
            reply
                .assert_error(503, 9522)
                .assert_header("retry-after", "1");
        }
    }
    let fetched = origin.asked().len() - before;
    assert!(fetched < SOURCES / 2, "{fetched} of {SOURCES}");
    assert!(
        proxy
            .metrics()
            .sum("safelight_cpu_jobs", &[("lane", "normal")])
            > 0.0,
        "all that happened while the worker was busy"
    );
    let (width, height) = samples::LABORIOUS_SIZE;
    slow.await.expect("no panic").assert_size(width, height);
    // A worker is free again, and sources are fetched.
    origin.serve("/a.png", samples::png(64, 48));
    proxy
        .get("/cdn-cgi/image/width=16/a.png")
        .await
        .assert_size(16, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_that_would_start_too_late_is_refused_at_once() {
    let origin = TestOrigin::with("/slow.jpg", samples::laborious()).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.workers = 1;
        config.cache.interim_ttl = setting("0 s");
        config.server.request_timeout = setting("250 ms");
    })
    .await;
    let client = proxy.client().clone();
    let slow = tokio::spawn(async move {
        let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
        client.get(&target).await
    });
    eventually("the worker is busy", async || {
        proxy.metrics().sum("safelight_cpu_jobs", &[]) > 0.0
    })
    .await;
    let target = format!("/cdn-cgi/image/width=790,{}/slow.jpg", samples::LABORIOUS);
    proxy
        .get(&target)
        .await
        .assert_error(503, 9527)
        .assert_header("retry-after", "1");
    slow.await.expect("no panic").assert_error(504, 9529);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_that_takes_too_long_times_out() {
    let origin = TestOrigin::with("/slow.jpg", samples::laborious()).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.request_timeout = setting("200 ms");
        config.cache.interim_ttl = setting("0 s");
    })
    .await;
    let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
    let reply = proxy.get(&target).await;
    reply.assert_error(504, 9529);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_render_that_took_too_long_is_not_tried_again_at_once() {
    let origin = TestOrigin::with("/slow.jpg", samples::laborious()).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.request_timeout = setting("600 ms");
        config.cache.interim_ttl = setting("0 s");
    })
    .await;
    let target = format!("/cdn-cgi/image/{}/slow.jpg", samples::LABORIOUS);
    proxy.get(&target).await.assert_error(504, 9529);
    eventually("the worker has ended", async || {
        proxy.metrics().sum("safelight_cpu_jobs", &[]) == 0.0
    })
    .await;
    let again = proxy.get(&target).await;
    again
        .assert_error(504, 9529)
        .assert_header("cache-control", "public, max-age=60")
        .assert_header_has("cache-status", "hit");
    assert_eq!(proxy.metrics().sum("safelight_cpu_jobs", &[]), 0.0);
}

#[tokio::test]
async fn a_source_that_does_not_arrive_ends_with_the_request_timeout() {
    let gate = Gate::closed();
    let origin = TestOrigin::with("/a.png", Answer::file(samples::png(8, 8)).behind(&gate)).await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.server.request_timeout = setting("200 ms");
    })
    .await;
    let started = Instant::now();
    let target = "/cdn-cgi/image/width=4/a.png";
    proxy.get(target).await.assert_error(524, 9504);
    assert!(started.elapsed() < Duration::from_secs(5));
    // The fetch went on without its client; its result serves the next request.
    gate.open();
    proxy.get(target).await.assert_size(4, 4);
    assert_eq!(origin.hits("/a.png"), 1);
}

/// A JPEG without its last rows (at most a tenth of them), and the complete JPEG.
fn truncated() -> (Vec<u8>, Vec<u8>) {
    let whole = samples::rendered(&samples::png(200, 320), "format=baseline-jpeg").bytes;
    (whole[..whole.len() * 97 / 100].to_vec(), whole)
}

#[tokio::test]
async fn a_truncated_source_is_shown_with_a_warning_and_soon_revalidated() {
    let (cut, whole) = truncated();
    let origin = TestOrigin::start().await;
    let lasting = |bytes: &[u8]| {
        Answer::file(bytes.to_vec()).with("cache-control", "max-age=86400, immutable")
    };
    origin.serve("/a.jpg", lasting(&cut));
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.cache.errors.source = setting("1 s");
    })
    .await;
    let target = "/cdn-cgi/image/width=50/a.jpg";
    let shown = || async {
        let reply = proxy.get(target).await;
        reply.assert_status(200).assert_size(50, 80);
        reply.assert_header_has("warning", "the source ends early: ");
        reply.assert_header("cache-control", "public, max-age=1");
        reply
    };
    let first = shown().await;
    shown().await;
    let tag = first.header("etag");
    let unchanged = proxy.get_with(target, &[("if-none-match", &tag)]).await;
    unchanged.assert_status(304);
    unchanged.assert_header("cache-control", "public, max-age=1");
    // The same bytes after a revalidation are not cached for longer, although they are not rendered again.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let unchanged = proxy.get_with(target, &[("if-none-match", &tag)]).await;
    unchanged.assert_status(304);
    unchanged.assert_header("cache-control", "public, max-age=1");
    assert!(origin.hits("/a.jpg") >= 2);
    shown().await;
    origin.serve("/a.jpg", lasting(&whole));
    eventually("the whole source is shown", async || {
        let reply = proxy.get(target).await;
        reply.assert_status(200);
        reply.header("warning").is_empty()
    })
    .await;
    let reply = proxy.get(target).await;
    reply.assert_header("cache-control", "public, max-age=86400, immutable");
    assert_ne!(reply.header("etag"), tag);
}

#[tokio::test]
async fn a_truncated_source_is_an_error_if_much_is_missing_or_settings_say_so() {
    let (cut, whole) = truncated();
    let origin = TestOrigin::start().await;
    origin.serve("/most.jpg", cut);
    origin.serve("/half.jpg", whole[..whole.len() / 2].to_vec());
    for (truncated, most) in [
        (TruncatedSources::Show, 200),
        (TruncatedSources::Refuse, 422),
    ] {
        let zone = zone(&origin.url(""));
        let proxy = TestProxy::start(|config| {
            config.zone.origin = zone;
            config.limits.truncated = truncated;
        })
        .await;
        let get = async |name| proxy.get(&format!("/cdn-cgi/image/width=50/{name}")).await;
        get("most.jpg").await.assert_status(most);
        get("half.jpg").await.assert_error(422, 9516);
    }
}

/// Reading a hostile header that takes long must not block the single thread of this runtime, on which the server runs. The longest turn of that
/// thread is compared with the longest turn while as many bytes that are no picture are fetched. Only CPU time of the thread counts, so a busy
/// machine makes no difference.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn hostile_headers_block_no_other_request() {
    const LENGTH: usize = 95 << 20;
    const BLOCKED: Duration = Duration::from_millis(10);
    let origin = TestOrigin::start().await;
    let zone = zone(&origin.url(""));
    let proxy = TestProxy::start(|config| {
        config.zone.origin = zone;
        config.limits.rasterize_svg = true;
    })
    .await;
    let longest = async |path: &str, file: Vec<u8>| {
        origin.serve(path, file);
        let target = format!("/cdn-cgi/image/width=1,anim=false{path}");
        let reply = proxy.get(&target);
        let mut reply = std::pin::pin!(reply);
        let (mut longest, mut last) = (Duration::ZERO, thread_time());
        loop {
            if let Some(reply) = poll_immediate(reply.as_mut()).await {
                assert!(reply.status < 500, "it was read: {reply}");
                origin.serve(path, Vec::new());
                return longest;
            }
            tokio::task::yield_now().await;
            let now = thread_time();
            longest = longest.max(now.saturating_sub(last));
            last = now;
        }
    };
    // Begins as a picture, so that all of it is fetched, and has no chunk that could be read.
    let mut damaged = vec![b'x'; LENGTH];
    damaged[..8].copy_from_slice(b"\x89PNG\r\n\x1a\n");
    let control = longest("/control", damaged).await;
    for (what, file) in HOSTILE_HEADERS {
        let allowed = 2 * control + BLOCKED;
        let mut found = Vec::new();
        // What the system does for other processes may be counted once, but not every time.
        while found.len() < 3 && found.iter().all(|turn| *turn >= allowed) {
            // Another name each time: what is known of a source is not read again.
            let path = format!("/{}-{}", what.replace(' ', "-"), found.len());
            found.push(longest(&path, file(LENGTH)).await);
        }
        let is_short = found.iter().any(|turn| *turn < allowed);
        assert!(is_short, "{what}: {found:?}, not {control:?}");
    }
}

/// The CPU time of this thread.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "calls clock_gettime")]
fn thread_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the structure is ours and filled by the call.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(status, 0);
    let seconds = u64::try_from(time.tv_sec).expect("a time since the thread began");
    let nanos = u32::try_from(time.tv_nsec).expect("less than a second");
    Duration::new(seconds, nanos)
}

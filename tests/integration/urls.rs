//! URLs: every accepted spelling leads to the picture that it names, and no spelling leads anywhere else.

use safelight::policy::{Originals, ZoneOrigin};

use crate::support::client::raw;
use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::{TestProxy, allowed};
use crate::support::reply::Reply;
use crate::support::samples;

/// An origin with a picture of 64 by 48 pixels at every path. It is the zone, and an allowed origin as well.
struct World {
    zone: TestOrigin,
    other: TestOrigin,
    proxy: TestProxy,
}

async fn world() -> World {
    let picture = samples::jpeg(64, 48);
    let zone = TestOrigin::with("*", picture.clone()).await;
    let other = TestOrigin::with("*", picture).await;
    let origin = ZoneOrigin::try_from(zone.url("")).expect("a URL");
    let entries = allowed(&[other.authority()]);
    let proxy = TestProxy::start(|config| {
        config.zone.origin = origin;
        config.zone.originals = Some(Originals::None);
        config.sources.allowed = entries;
    })
    .await;
    World { zone, other, proxy }
}

impl World {
    /// `{}` in a target stands for the allowed origin, `{encoded}` for the same with everything percent-encoded.
    async fn check(&self, target: &str, asked: &str, (width, height): (u32, u32)) {
        let reply = self.asked(target, asked).await;
        reply.assert_size(width, height);
    }

    /// The answer to a browser that accepts WebP. Asserts that the origin got one request, for `asked`.
    async fn asked(&self, target: &str, asked: &str) -> Reply {
        let plain = self.other.url("");
        let encoded = plain.replace(':', "%3A").replace('/', "%2F");
        let half = plain.replace('/', "%2F");
        let target = target
            .replace("{encoded}", &encoded)
            .replace("{half}", &half)
            .replace("{one-slash}", &plain.replace("//", "/"))
            .replace("{}", &plain);
        let is_of_zone = target.matches("127.0.0.1").count() == 0;
        let origin = if is_of_zone { &self.zone } else { &self.other };
        let before = origin.asked().len();
        let accept = [("accept", "image/webp,image/apng,image/*,*/*;q=0.8")];
        let reply = self.proxy.get_with(&target, &accept).await;
        let asked_now: Vec<_> = origin.asked()[before..]
            .iter()
            .map(|asked| asked.target.clone())
            .collect();
        assert_eq!(asked_now, [asked], "{target}");
        reply
    }
}

#[tokio::test]
async fn section_1_1_both_prefixes_serve_the_same_pictures() {
    let world = world().await;
    let first = world.proxy.get("/cdn-cgi/image/width=16/a.jpg").await;
    let second = world.proxy.get("/dynamic/image/width=16/a.jpg").await;
    first.assert_size(16, 12);
    second.assert_size(16, 12);
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(world.zone.hits("/a.jpg"), 1, "one source, one cache entry");
}

#[tokio::test]
async fn section_1_3_all_five_forms_of_a_source_are_understood() {
    let world = world().await;
    let size = (16, 12);
    for (target, asked) in [
        ("/cdn-cgi/image/w=16/{}/plain.jpg", "/plain.jpg"),
        ("/cdn-cgi/image/w=16/zone.jpg", "/zone.jpg"),
        ("/cdn-cgi/image/w=16//rooted.jpg", "/rooted.jpg"),
        (
            "/cdn-cgi/image/w=16/{encoded}%2Fencoded.jpg",
            "/encoded.jpg",
        ),
        ("/cdn-cgi/image/w=16/{half}%2Fhalf.jpg", "/half.jpg"),
        ("/cdn-cgi/image/w=16/{one-slash}/slash.jpg", "/slash.jpg"),
    ] {
        world.check(target, asked, size).await;
    }
}

#[tokio::test]
async fn section_1_3_a_source_on_the_host_of_the_proxy_is_one_of_the_zone() {
    let world = world().await;
    let own = world.proxy.client().address();
    let reply = world
        .proxy
        .get(&format!("/cdn-cgi/image/w=16/http://{own}/mine.jpg?v=1"))
        .await;
    reply.assert_size(16, 12);
    assert_eq!(world.zone.last().target, "/mine.jpg?v=1");
}

#[tokio::test]
async fn section_1_3_queries_belong_to_the_source() {
    let world = world().await;
    let size = (16, 12);
    for (target, asked) in [
        ("/cdn-cgi/image/w=16/a.jpg?v=1&x=%20", "/a.jpg?v=1&x=%20"),
        ("/cdn-cgi/image/w=16/{}/a.jpg?v=1/2,w=9", "/a.jpg?v=1/2,w=9"),
        (
            "/cdn-cgi/image/w=16/{encoded}%2Fb.jpg%3Fv%3D1%26x%3D%252F",
            "/b.jpg?v=1&x=%2F",
        ),
        ("/cdn-cgi/image/w=16/c%3Fd.jpg", "/c%3Fd.jpg"),
        ("/cdn-cgi/image/w=16/{}/e%20f%2Fg.jpg", "/e%20f%2Fg.jpg"),
    ] {
        world.check(target, asked, size).await;
    }
}

#[tokio::test]
async fn every_query_is_a_source_of_its_own() {
    let world = world().await;
    let first = world.proxy.get("/cdn-cgi/image/w=16/a.jpg?v=1").await;
    let second = world.proxy.get("/cdn-cgi/image/w=16/a.jpg?v=2").await;
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_eq!(world.zone.hits("/a.jpg"), 2);
}

const JPEG: &str = "image/jpeg";
const WEBP: &str = "image/webp";

#[tokio::test]
async fn section_11_urls_of_generators_work_as_intended() {
    let world = world().await;
    for (target, asked, (width, height), mime) in [
        // The loader for Next.js in Cloudflare's documentation; also awes-io/resize, with short names.
        (
            "/cdn-cgi/image/width=32,quality=75/me.png",
            "/me.png",
            (32, 24),
            JPEG,
        ),
        (
            "/cdn-cgi/image/width=32/no-quality.png",
            "/no-quality.png",
            (32, 24),
            JPEG,
        ),
        (
            "/cdn-cgi/image/w=32,q=75/images/example.jpg",
            "/images/example.jpg",
            (32, 24),
            JPEG,
        ),
        // The loader of Next.js itself, which leaves the slash of a local path, and OpenNext.
        (
            "/cdn-cgi/image/width=32,quality=75,format=auto//local.png",
            "/local.png",
            (32, 24),
            WEBP,
        ),
        (
            "/cdn-cgi/image/width=32,quality=75,format=auto/_next/static/media/photo.png",
            "/_next/static/media/photo.png",
            (32, 24),
            WEBP,
        ),
        (
            "/cdn-cgi/image/width=32,quality=75,format=auto/{}/photo.jpg",
            "/photo.jpg",
            (32, 24),
            WEBP,
        ),
        // Nuxt Image: its words for fit (fill, outside, inside) are mapped; a gravity that does not exist is not.
        (
            "/cdn-cgi/image/w=20,h=20,fit=contain,f=jpeg/test.png",
            "/test.png",
            (20, 15),
            JPEG,
        ),
        (
            "/cdn-cgi/image/h=30,fit=contain/{}/burger.jpeg",
            "/burger.jpeg",
            (40, 30),
            JPEG,
        ),
        (
            "/cdn-cgi/image/w=20,h=20,fit=scale-down/fill.png",
            "/fill.png",
            (20, 15),
            JPEG,
        ),
        (
            "/cdn-cgi/image/w=20,h=20,fit=crop,g=side/outside.png",
            "/outside.png",
            (20, 20),
            JPEG,
        ),
        (
            "/cdn-cgi/image/w=20,h=20,fit=pad,background=%23ff0000,sharpen=0.5,dpr=2/inside.png",
            "/inside.png",
            (40, 40),
            JPEG,
        ),
        // unpic, and the components of SvelteKit, Solid, Vue, Qwik and React that use it.
        (
            "/cdn-cgi/image/width=20,height=10,f=webp,fit=cover/uploads/a.jpeg",
            "/uploads/a.jpeg",
            (20, 10),
            WEBP,
        ),
        (
            "/cdn-cgi/image/f=auto,fit=cover,width=20,height=10/{encoded}%2Fu.jpeg%3Fv%3D1",
            "/u.jpeg?v=1",
            (20, 10),
            WEBP,
        ),
        (
            "/cdn-cgi/image/f=auto,fit=cover/uploads/whole.jpeg",
            "/uploads/whole.jpeg",
            (64, 48),
            WEBP,
        ),
        // Astro, with words from its own vocabulary.
        (
            "/cdn-cgi/image/onerror=redirect,width=30,height=20,quality=80,fit=cover,format=webp/_astro/x.hash.png",
            "/_astro/x.hash.png",
            (30, 20),
            WEBP,
        ),
        (
            "/cdn-cgi/image/onerror=redirect,width=30,height=20,quality=mid,fit=fill,format=jpg/{}/astro.png",
            "/astro.png",
            (30, 20),
            JPEG,
        ),
        (
            "/cdn-cgi/image/width=32,height=32,quality=max,fit=none/astro-none.png",
            "/astro-none.png",
            (32, 24),
            JPEG,
        ),
        // Angular.
        (
            "/cdn-cgi/image/format=auto,width=32/angular.png",
            "/angular.png",
            (32, 24),
            WEBP,
        ),
        // WordPress.
        (
            "/cdn-cgi/image/width=8,height=8,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none/wp-content/uploads/2024/05/a-b.jpg",
            "/wp-content/uploads/2024/05/a-b.jpg",
            (8, 8),
            WEBP,
        ),
        // PictureRenderer.
        (
            "/cdn-cgi/image/width=30,format=auto,fit=crop,height=30,gravity=0.5x0.321/{}/myImage.jpg",
            "/myImage.jpg",
            (30, 30),
            WEBP,
        ),
        // Generators that encode each value.
        (
            "/cdn-cgi/image/width=60,height=60,fit=pad,background=%23fff,gravity=0.5x0.5/mapped.jpg",
            "/mapped.jpg",
            (60, 60),
            JPEG,
        ),
        (
            "/cdn-cgi/image/width=60,height=60,fit=pad,background=rgb%28240%2C40%2C145%29/rgb.jpg",
            "/rgb.jpg",
            (60, 60),
            JPEG,
        ),
        // dev.to, with an empty height and both of its encodings.
        (
            "/dynamic/image/width=32%2Cheight=%2Cfit=scale-down%2Cgravity=auto%2Cformat=auto/{encoded}%2Fdev-to.png",
            "/dev-to.png",
            (32, 24),
            WEBP,
        ),
        (
            "/dynamic/image/width=9,height=9,fit=cover,gravity=auto,format=auto/{half}%2Favatar.png",
            "/avatar.png",
            (9, 9),
            WEBP,
        ),
        // The site of the documentation itself.
        (
            "/cdn-cgi/image/onerror=redirect,width=32,height=90,format=webp/_astro/docs.png",
            "/_astro/docs.png",
            (32, 24),
            WEBP,
        ),
        // Written by hand.
        (
            "/cdn-cgi/image/f=webp,fit=scale-up,width=128,upscale=generate,q=55,onerror=redirect/{}/up.jpg",
            "/up.jpg",
            (128, 96),
            WEBP,
        ),
        (
            "/cdn-cgi/image/width=36,sharpen=1,compression=fast/fast.jpg",
            "/fast.jpg",
            (36, 27),
            JPEG,
        ),
    ] {
        let reply = world.asked(target, asked).await;
        reply
            .assert_size(width, height)
            .assert_header("content-type", mime);
    }
}

#[tokio::test]
async fn section_11_urls_of_generators_that_trim_or_only_ask() {
    let world = world().await;
    for (target, asked, (width, height)) in [
        (
            "/cdn-cgi/image/trim=20%3B30%3B20%3B0,background=%23fff,gravity=0.5x0.5/trimmed.jpg",
            "/trimmed.jpg",
            (34, 8),
        ),
        (
            "/cdn-cgi/image/width=17,trim=20%3B30%3B20%3B0/trimmed-and-small.jpg",
            "/trimmed-and-small.jpg",
            (17, 4),
        ),
        (
            "/cdn-cgi/image/trim=border,trim.border.color=%23ffffff,trim.border.tolerance=10/no-border.jpg",
            "/no-border.jpg",
            (64, 48),
        ),
    ] {
        world.check(target, asked, (width, height)).await;
    }
    let reply = world
        .asked(
            "/cdn-cgi/image/format=json,anim=false/facts.jpg",
            "/facts.jpg",
        )
        .await;
    reply
        .assert_status(200)
        .assert_header("content-type", "application/json");
    for part in ["\"width\"", "\"original\"", "image/jpeg"] {
        assert!(reply.text().contains(part), "{reply}");
    }
}

#[tokio::test]
async fn section_11_urls_cut_off_at_a_hash_are_refused() {
    let world = world().await;
    // A builder for Laravel writes `color=#ffffff`; the client cuts the URL off before the `#`.
    world
        .proxy
        .get("/cdn-cgi/image/trim=border,trim.border.color=")
        .await
        .assert_error(400, 9401);
    // Hosted images are not served here, whoever writes their URLs.
    for target in [
        "/cdn-cgi/imagedelivery/hash/id/w=256,h=256,f=webp,fit=cover",
        "/cdn-cgi/imagedelivery/hash/id/public",
    ] {
        world.proxy.get(target).await.assert_status(404);
    }
}

#[tokio::test]
async fn the_url_of_the_next_js_optimizer_is_answered() {
    let world = world().await;
    for (target, asked) in [
        ("/_next/image?url=%2Fme.png&w=32&q=75", "/me.png"),
        (
            "/_next/image/?url=%2F_next%2Fstatic%2Fmedia%2Fa.1b2c.png&w=32&q=75&dpl=dpl_1",
            "/_next/static/media/a.1b2c.png",
        ),
        (
            "/_next/image?url={encoded}%2Fb.png%3Fv%3D1%26x&w=32&q=75",
            "/b.png?v=1&x",
        ),
    ] {
        world.check(target, asked, (32, 24)).await;
    }
    let accept = [("accept", "image/webp,*/*")];
    let target = "/_next/image?url=%2Fme.png&w=32&q=75";
    let reply = world.proxy.get_with(target, &accept).await;
    reply
        .assert_header("content-type", "image/webp")
        .assert_header("vary", "Accept");
    for target in [
        "/_next/image",
        "/_next/image?url=%2Fme.png&w=32",
        "/_next/image?url=%2Fme.png&q=75",
        "/_next/image?w=32&q=75",
        "/_next/image?url=%2F%2Fevil.test%2Fa.png&w=32&q=75",
    ] {
        world.proxy.get(target).await.assert_error(400, 9401);
    }
}

#[tokio::test]
async fn many_slashes_never_name_another_host() {
    let world = world().await;
    let other = world.other.authority();
    for target in [
        format!("/cdn-cgi/image/w=16//{other}/x.jpg"),
        format!("/cdn-cgi/image/w=16///{other}/x.jpg"),
        format!("/cdn-cgi/image/w=16/////{other}/x.jpg"),
    ] {
        world.proxy.get(&target).await.assert_size(16, 12);
        assert_eq!(world.zone.last().target, format!("/{other}/x.jpg"));
    }
    assert_eq!(world.other.asked().len(), 0);
}

#[tokio::test]
async fn backslashes_never_name_another_host() {
    let world = world().await;
    let foreign = TestOrigin::with("*", samples::jpeg(64, 48)).await;
    let host = foreign.authority();
    for target in [
        format!("/cdn-cgi\\image/w=16/http://{host}/x.jpg"),
        format!("/cdn-cgi/image\\w=16/http://{host}/x.jpg"),
        format!("/cdn-cgi/image/w=16/\\\\{host}/x.jpg"),
        format!("/cdn-cgi/image/w=16/%5C%5C{host}/x.jpg"),
        format!("/cdn-cgi/image/w=16//\\{host}/x.jpg"),
        format!("/cdn-cgi/image/w=16/http:\\\\{host}\\x.jpg"),
        format!("/cdn-cgi/image/w=16/http:/\\{host}/x.jpg"),
        format!("/cdn-cgi/image/w=16/http%3A%5C%5C{host}%5Cx.jpg"),
        format!("/_next/image?url=\\\\{host}\\x.jpg&w=16&q=75"),
        format!("/_next/image?url=%5C%5C{host}%2Fx.jpg&w=16&q=75"),
        format!("/_next/image?url=%2F%5C{host}%2Fx.jpg&w=16&q=75"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = raw(world.proxy.client().address(), request.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 "), "{target}: an answer");
    }
    assert_eq!(foreign.asked().len(), 0);
    assert_eq!(world.other.asked().len(), 0);
}

#[tokio::test]
async fn section_1_2_malformed_urls_are_refused_with_a_reason() {
    let world = world().await;
    for (target, status, number, reason) in [
        ("/cdn-cgi/image/", 400, 9401, "at least one option"),
        ("/cdn-cgi/image//a.jpg", 400, 9401, "at least one option"),
        ("/cdn-cgi/image/width=16", 400, 9401, "a source is needed"),
        ("/cdn-cgi/image/width=16/", 400, 9401, "a source is needed"),
        ("/cdn-cgi/image/width=16?a/b.jpg", 400, 9401, "a source"),
        ("/cdn-cgi/image/nonsense/a.jpg", 400, 9401, "`nonsense`"),
        ("/cdn-cgi/image/x=1/a.jpg", 400, 9401, "at least one option"),
        ("/cdn-cgi/image/width=/a.jpg", 400, 9401, "at least one"),
        ("/cdn-cgi/image/w=%zz/a.jpg", 400, 9401, "percent-encoded"),
        ("/cdn-cgi/image/w=%ff/a.jpg", 400, 9401, "percent-encoded"),
        ("/cdn-cgi/image/w=1%/a.jpg", 400, 9401, "percent-encoded"),
        ("/cdn-cgi/image/blur=300/a.jpg", 400, 9401, "`blur`"),
        ("/cdn-cgi/image/format=mp4/a.jpg", 400, 9401, "'mp4' is not"),
        ("/cdn-cgi/image/w=16/ftp://h/a.jpg", 403, 9406, "`ftp`"),
        ("/cdn-cgi/image/w=16/data:image/png;,", 403, 9406, "`data`"),
        ("/cdn-cgi/image/w=16/http://u:p@h/a", 403, 9406, "password"),
        (
            "/cdn-cgi/image/w=16/http%3A%2F%2Fh%2F%ff",
            403,
            9406,
            "UTF-8",
        ),
        (
            "/cdn-cgi/image/w=16/http%3A%2F%2Fh%2F%0A",
            403,
            9406,
            "must",
        ),
        ("/cdn-cgi/image/fastly/w=16/a.jpg", 404, 9404, "no image"),
        ("/cdn-cgi/image/w=16/a%2f..%2f..%2fb", 403, 9419, "must not"),
        (
            "/cdn-cgi/image/w=16/cdn-cgi/image/w=8/a.jpg",
            508,
            9403,
            "itself",
        ),
    ] {
        let reply = world.proxy.get(target).await;
        reply.assert_error(status, number);
        assert!(reply.text().contains(reason), "{reason}: {reply}");
    }
    assert_eq!(world.zone.asked().len(), 0, "nothing was fetched for these");
}

#[tokio::test]
async fn section_7_no_spelling_of_our_own_prefix_is_a_source() {
    let world = world().await;
    let own = world.proxy.client().address();
    for source in [
        "cdn-cgi/image/w=8/a.jpg",
        "/dynamic/image/w=8/a.jpg",
        "_next/image?url=/a.jpg&w=8&q=75",
        "cdn-cgi/./image/w=8/a.jpg",
        "x/../cdn-cgi/image/w=8/a.jpg",
        "x/%2e%2E/cdn-cgi/image/w=8/a.jpg",
        "%63dn-cgi/image/w=8/a.jpg",
        "cdn%2Dcgi/%69%6d%61%67%65/w=8/a.jpg",
        "cdn-cgi%2Fimage%2Fw=8/a.jpg",
        "cdn-cgi//image/w=8/a.jpg",
        "cdn-cgi%5Cimage/w=8/a.jpg",
        &format!("http://{own}/cdn-cgi/image/w=8/a.jpg"),
        &format!("http://{own}/%63dn-cgi/image/w=8/a.jpg"),
        &format!("http%3A%2F%2F{own}%2Fcdn-cgi%2F.%2Fimage%2Fw=8%2Fa.jpg"),
    ] {
        world
            .proxy
            .get(&format!("/cdn-cgi/image/w=16/{source}"))
            .await
            .assert_error(508, 9403);
    }
    assert_eq!(world.zone.asked().len(), 0, "nothing was fetched for these");
}

#[tokio::test]
async fn section_6_2_a_request_from_another_image_proxy_is_refused() {
    let world = world().await;
    let via = [("via", "1.1 cache, 1.1 image-resizing")];
    world
        .proxy
        .get_with("/cdn-cgi/image/w=16/a.jpg", &via)
        .await
        .assert_error(508, 9403);
}

#[tokio::test]
async fn other_paths_are_404() {
    let world = world().await;
    for target in [
        "/",
        "/a.jpg",
        "/cdn-cgi/image",
        "/cdn-cgi/imagedelivery/x",
        "/metrics",
    ] {
        let reply = world.proxy.get(target).await;
        reply.assert_status(404).assert_no_header("cf-resized");
    }
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused_and_does_not_hang() {
    let world = world().await;
    let address = world.proxy.client().address();
    for length in [70_000, 1_000_000] {
        let head = format!(
            "GET /cdn-cgi/image/w=16/{}.jpg HTTP/1.1\r\nhost: h\r\n\r\n",
            "a".repeat(length)
        );
        let answer = String::from_utf8_lossy(&raw(address, head.as_bytes()).await).into_owned();
        let is_refused = ["400", "414", "431"]
            .iter()
            .any(|status| answer.starts_with(&format!("HTTP/1.1 {status}")));
        // A client that still sends when the connection is closed may lose the answer.
        assert!(is_refused || answer.is_empty(), "{length}: {answer}");
    }
    world
        .proxy
        .get("/cdn-cgi/image/w=16/a.jpg")
        .await
        .assert_size(16, 12);
}

#[tokio::test]
async fn a_long_target_within_the_limits_is_answered() {
    let world = world().await;
    let path = format!("/{}.jpg", "a".repeat(30_000));
    world
        .check(&format!("/cdn-cgi/image/w=16{path}"), &path, (16, 12))
        .await;
}

#[tokio::test]
async fn bytes_that_are_no_http_request_are_refused() {
    let world = world().await;
    let address = world.proxy.client().address();
    for bytes in [
        &b"GET /cdn-cgi/image/w=16/a b.jpg HTTP/1.1\r\nhost: h\r\n\r\n"[..],
        b"GET /cdn-cgi/image/w=16/\xff\xfe\x00 HTTP/1.1\r\nhost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        let answer = String::from_utf8_lossy(&raw(address, bytes).await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
}

#[tokio::test]
async fn section_6_2_the_origin_sees_the_proxy_and_no_header_of_the_client() {
    let world = world().await;
    world
        .other
        .serve("/a.jpg", Answer::file(samples::jpeg(8, 8)));
    let target = format!("/cdn-cgi/image/w=4/{}", world.other.url("/a.jpg"));
    let headers = [
        ("cookie", "session=secret"),
        ("authorization", "Bearer secret"),
        ("referer", "http://client.test/secret"),
        ("x-forwarded-for", "secret"),
        ("user-agent", "secret"),
        ("accept", "image/secret"),
    ];
    let reply = world.proxy.get_with(&target, &headers).await;
    reply.assert_size(4, 4);
    let asked = world.other.last().headers;
    assert!(!format!("{asked:?}").contains("secret"), "{asked:?}");
    let via = asked.get("via").and_then(|via| via.to_str().ok());
    assert!(
        via.is_some_and(|via| via.contains("image-resizing")),
        "{via:?}"
    );
}

//! URLs that generators leave as they are: without options, for formats that they do not transform, and as the fallback of a transformation. They end at
//! the original, and so does `onerror=redirect`.

use std::fs;

use crate::support::origin::{Answer, TestOrigin};
use crate::support::proxy::TestProxy;
use crate::support::samples;

const DRAWING: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"><path d=\"M0 0h8v8z\"/></svg>\n";

/// Who emits a URL, the URL, its path in a file system, and its type.
const UNTOUCHED: [(&str, &str, &str, &str); 15] = [
    ("@nuxt/image without options", "/test.png", "test.png", PNG),
    (
        "@nuxt/image without options, deep",
        "/img/a%20b/%C3%BC.jpg",
        "img/a b/ü.jpg",
        JPEG,
    ),
    (
        "@nuxt/image, a build's file",
        "/_nuxt/hero.Cq3vX8aK.webp",
        "_nuxt/hero.Cq3vX8aK.webp",
        WEBP,
    ),
    (
        "unpic without a transformer",
        "/uploads/a.jpeg",
        "uploads/a.jpeg",
        JPEG,
    ),
    (
        "unpic, a source with a version",
        "/uploads/a.jpeg?v=17",
        "uploads/a.jpeg",
        JPEG,
    ),
    ("next/image with `unoptimized`", "/me.png", "me.png", PNG),
    (
        "next/image for a drawing",
        "/_next/static/media/logo.3b1c09f4.svg",
        "_next/static/media/logo.3b1c09f4.svg",
        SVG,
    ),
    (
        "next/image on a deployment",
        "/_next/static/media/a.7d0e.png?dpl=dpl_9x",
        "_next/static/media/a.7d0e.png",
        PNG,
    ),
    (
        "Astro, `image.src`",
        "/_astro/x.B3p0_q-Z.png",
        "_astro/x.B3p0_q-Z.png",
        PNG,
    ),
    (
        "Astro for a drawing",
        "/_astro/logo.Dk29.svg",
        "_astro/logo.Dk29.svg",
        SVG,
    ),
    (
        "Angular without a loader",
        "/assets/angular.png",
        "assets/angular.png",
        PNG,
    ),
    (
        "SvelteKit, @unpic/svelte",
        "/_app/immutable/assets/a.BxY.jpg",
        "_app/immutable/assets/a.BxY.jpg",
        JPEG,
    ),
    (
        "Gatsby",
        "/static/9f86d081/1x2/cat.jpg",
        "static/9f86d081/1x2/cat.jpg",
        JPEG,
    ),
    (
        "WordPress",
        "/wp-content/uploads/2024/05/a-b-300x200.jpg",
        "wp-content/uploads/2024/05/a-b-300x200.jpg",
        JPEG,
    ),
    (
        "a page by hand, with an encoded plus",
        "/photos/a%2Bb+c.gif",
        "photos/a+b+c.gif",
        GIF,
    ),
];

const PNG: &str = "image/png";
const JPEG: &str = "image/jpeg";
const WEBP: &str = "image/webp";
const SVG: &str = "image/svg+xml";
const GIF: &str = "image/gif";

fn picture(media_type: &str) -> Vec<u8> {
    match media_type {
        PNG => samples::png(64, 48),
        JPEG => samples::jpeg(64, 48),
        WEBP => samples::webp(64, 48),
        GIF => samples::gif_of_comments(10),
        _ => DRAWING.into(),
    }
}

#[tokio::test]
async fn untouched_urls_end_at_the_original_on_a_server() {
    let origin = TestOrigin::start().await;
    let proxy = TestProxy::in_front_of(&origin).await;
    for (who, target, _, media_type) in UNTOUCHED {
        let path = target.split('?').next().unwrap_or_default();
        let original = picture(media_type);
        origin.serve(
            path,
            Answer::file(original.clone()).with("content-type", media_type),
        );
        let reply = proxy.get(target).await;
        reply
            .assert_status(200)
            .assert_header("content-type", media_type);
        assert!(reply.body == original, "{who}: other bytes");
        assert_eq!(origin.last().target, target, "{who}");
    }
}

#[tokio::test]
async fn untouched_urls_end_at_the_original_in_a_folder() {
    let proxy = TestProxy::start(|_| ()).await;
    for (who, target, name, media_type) in UNTOUCHED {
        let path = proxy.folder().join(name);
        let parent = path.parent().expect("below the folder");
        fs::create_dir_all(parent).expect("a folder");
        let original = picture(media_type);
        fs::write(&path, &original).expect("a file");
        let reply = proxy.get(target).await;
        reply
            .assert_status(200)
            .assert_header("content-type", media_type);
        assert!(reply.body == original, "{who}: other bytes");
    }
}

/// URLs of generators that ask for a redirect, with sources that cannot be transformed: each ends at what a browser may still show.
#[tokio::test]
async fn onerror_redirect_ends_at_a_picture() {
    let origin = TestOrigin::start().await;
    // A PNG without its end, which browsers show as far as it goes.
    let broken = &samples::png(90, 90)[..900];
    let proxy = TestProxy::in_front_of(&origin).await;
    for (target, original) in [
        (
            "/cdn-cgi/image/onerror=redirect,width=300,height=200,quality=80,fit=cover,format=webp/_astro/x.hash.png",
            "/_astro/x.hash.png",
        ),
        (
            "/cdn-cgi/image/width=80,height=80,fit=crop,quality=80,format=auto,onerror=redirect,metadata=none/wp-content/uploads/a-b.jpg",
            "/wp-content/uploads/a-b.jpg",
        ),
        (
            "/cdn-cgi/image/onerror=redirect,width=1363,height=904,format=webp/_astro/docs.png?v=2",
            "/_astro/docs.png?v=2",
        ),
        (
            "/cdn-cgi/image/width=9,onerror=redirect//double.png",
            "/double.png",
        ),
        (
            "/cdn-cgi/image/width=9,onerror=redirect/a%20b/%C3%BC%2B.png",
            "/a%20b/%C3%BC%2B.png",
        ),
        (
            "/cdn-cgi/image/width=9,onerror=redirect/a%20b%3Fc.png",
            "/a%20b%3Fc.png",
        ),
        (
            "/dynamic/image/width=9,onerror=redirect/other-prefix.png",
            "/other-prefix.png",
        ),
    ] {
        let path = original.split('?').next().unwrap_or_default();
        origin.serve(path, Answer::file(broken.to_vec()));
        let redirect = proxy.get(target).await;
        redirect
            .assert_status(307)
            .assert_header("location", original);
        let reply = proxy.get(&redirect.header("location")).await;
        reply.assert_status(200).assert_header("content-type", PNG);
        assert!(reply.body == broken, "{target}: other bytes");
        assert_eq!(origin.last().target, original, "{target}");
    }
}

/// The same with absolute sources on the host that was asked.
#[tokio::test]
async fn onerror_redirect_of_an_absolute_source_ends_at_a_picture() {
    let broken = samples::png(90, 90)[..900].to_vec();
    let origin = TestOrigin::with("/astro.png", broken.clone()).await;
    let proxy = TestProxy::in_front_of(&origin).await;
    let host = [("host", "shop.test")];
    for source in [
        "https://shop.test/astro.png?v=1",
        "https%3A%2F%2Fshop.test%2Fastro.png%3Fv%3D1",
    ] {
        let target = format!("/cdn-cgi/image/onerror=redirect,width=30,format=jpg/{source}");
        let redirect = proxy.get_with(&target, &host).await;
        redirect
            .assert_status(307)
            .assert_header("location", "/astro.png?v=1");
        let reply = proxy.get_with("/astro.png?v=1", &host).await;
        reply.assert_status(200).assert_header("content-type", PNG);
        assert!(reply.body == broken, "{source}: other bytes");
        assert_eq!(origin.last().target, "/astro.png?v=1");
    }
}

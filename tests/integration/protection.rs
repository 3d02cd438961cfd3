//! The header fields that keep a browser from making more of an answer than it is.

use std::fs;

use hyper::Method;

use crate::support::proxy::TestProxy;
use crate::support::samples;

const DRAWING: &str = "<svg xmlns='http://www.w3.org/2000/svg' width='8' height='6'><script>alert(1)</script><rect width='8' height='6'/></svg>";

#[tokio::test]
async fn no_answer_is_sniffed_and_no_drawing_acts() {
    let proxy = TestProxy::start(|_| ()).await;
    let folder = proxy.folder();
    fs::write(folder.join("a.png"), samples::png(64, 48)).expect("a fresh folder");
    // Its bytes say what it is, and not its name.
    for name in ["a.svg", "b.png", "c.html", "d"] {
        fs::write(folder.join(name), DRAWING).expect("a fresh folder");
    }
    fs::write(
        folder.join("page.svg"),
        "<html><script>alert(1)</script></html>",
    )
    .expect("a fresh folder");
    for target in [
        "/cdn-cgi/image/width=16/a.png",
        "/cdn-cgi/image/width=16,format=json/a.png",
        "/cdn-cgi/image/width=16/none.png",
        "/cdn-cgi/image/width=0/a.png",
        "/cdn-cgi/image/a.png",
        "/_next/image",
        "/a.png",
        "/none.png",
        "/page.svg",
        "/cdn-cgi/image/width=16/page.svg",
    ] {
        let reply = proxy.get(target).await;
        reply.assert_header("x-content-type-options", "nosniff");
        assert!(!reply.text().contains("<script"), "{target}");
    }
    for name in ["a.svg", "b.png", "c.html", "d"] {
        for target in [format!("/{name}"), format!("/cdn-cgi/image/width=8/{name}")] {
            for method in [Method::GET, Method::HEAD] {
                let reply = proxy.client().send(method, &target, &[]).await;
                reply
                    .assert_status(200)
                    .assert_header("content-type", "image/svg+xml")
                    .assert_header("x-content-type-options", "nosniff")
                    .assert_header_has("content-security-policy", "sandbox")
                    .assert_header_has("content-security-policy", "default-src 'none'");
            }
        }
    }
    // What has no picture at all: a host that is none.
    let reply = proxy.client().send(Method::POST, "/a.png", &[]).await;
    reply.assert_header("x-content-type-options", "nosniff");
}

#[tokio::test]
async fn no_other_site_shows_loads_or_keeps_an_answer_of_the_admin_listener() {
    let proxy = TestProxy::start(|_| ()).await;
    let admin = proxy.admin();
    let answers = [
        admin.get("/healthz").await,
        admin.get("/metrics").await,
        admin.get("/nothing").await,
        admin.send(Method::POST, "/healthz", &[]).await,
        admin.post("/purge", &[], "{}").await,
        proxy.purge("{\"everything\":true}").await,
        proxy
            .warm("{\"sources\":[\"/a.png\"],\"options\":[\"width=8\"]}")
            .await,
        admin.get_with("/healthz", &[("host", "evil.test")]).await,
    ];
    for reply in answers {
        reply
            .assert_header("x-content-type-options", "nosniff")
            .assert_header("x-frame-options", "DENY")
            .assert_header("referrer-policy", "no-referrer")
            .assert_header("cross-origin-resource-policy", "same-origin")
            .assert_header("cross-origin-opener-policy", "same-origin")
            .assert_header("cache-control", "no-store")
            .assert_header_has("content-security-policy", "frame-ancestors 'none'")
            .assert_header_has("content-security-policy", "default-src 'none'");
    }
}

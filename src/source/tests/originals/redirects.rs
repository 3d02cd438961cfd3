//! Redirects of origins: followed, passed on or refused.

use hyper::header::{IF_MODIFIED_SINCE, RANGE};

use crate::policy::ZoneOrigin;
use crate::source::tests::origin::{TestOrigin, header, redirect, target};
use crate::source::tests::originals::{Ask, DATE, ask, picture, respond, serve};
use crate::source::tests::{allowing, bucket, config, no_zone, world};
use crate::source::{Config, SourceError};

#[tokio::test]
async fn a_client_follows_redirects_of_the_zone_itself() {
    let origin = TestOrigin::start(|head| match target(head) {
        "/base/folder" => redirect(301, "/base/folder/?a=1#top"),
        "/base/above" => redirect(303, "/elsewhere"),
        "/base/login" => redirect(303, "https://user:secret@elsewhere.test/x"),
        "/base/picture" => redirect(302, "/base/file"),
        _ => serve(head, "\"1\"", &picture(100)),
    })
    .await;
    let zone = ZoneOrigin::Http(origin.url("/base"));
    let world = world(&config(), zone, &[], &[]);
    for head_only in [false, true] {
        let request = |pictures_only| Ask {
            pictures_only,
            head_only,
            ..Ask::get(&[])
        };
        for (path, status, location) in [
            ("/base/folder", 301, "/folder/?a=1#top".to_owned()),
            ("/base/login", 303, "https://elsewhere.test/x".to_owned()),
        ] {
            let reply = ask(&world, &origin.url(path), request(false)).await;
            let reply = reply.expect("a redirect");
            assert_eq!(
                (reply.status, reply.header("location")),
                (status, &*location)
            );
            assert_eq!((reply.body.len(), reply.length), (0, None));
        }
        // Clients must not learn the address of the zone's server.
        let above = ask(&world, &origin.url("/base/above"), request(false)).await;
        assert!(
            matches!(above, Err(SourceError::RedirectDenied(_))),
            "{above:?}"
        );
        let reply = ask(&world, &origin.url("/base/picture"), request(true)).await;
        assert_eq!(reply.expect("it is followed").status, 200);
    }
}

#[tokio::test]
async fn redirects_are_passed_on_where_none_is_followed() {
    let origin = TestOrigin::start(|_| redirect(302, "/target")).await;
    let config = Config {
        max_redirects: 0,
        ..config()
    };
    let world = world(&config, ZoneOrigin::Http(origin.url("")), &[], &[]);
    let reply = ask(&world, &origin.url("/a"), Ask::get(&[])).await;
    assert_eq!(reply.expect("a redirect").header("location"), "/target");
    let pictures = Ask {
        pictures_only: true,
        ..Ask::get(&[])
    };
    let error = ask(&world, &origin.url("/a"), pictures).await;
    assert!(
        matches!(error, Err(SourceError::TooManyRedirects { limit: 0 })),
        "{error:?}"
    );
}

#[tokio::test]
async fn redirects_are_followed_if_they_are_allowed() {
    let file = picture(10_000);
    let served = file.clone();
    let origin = TestOrigin::start(move |head| match target(head) {
        "/file" => serve(head, "\"1\"", &served),
        "/out" => redirect(302, "http://192.0.2.1/file"),
        "/bucket" => redirect(302, "/my-bucket/file"),
        "/my-bucket/file" => serve(head, "\"2\"", b"an object"),
        "/round" => redirect(307, "/round"),
        _ => redirect(301, "/file"),
    })
    .await;
    let authority = origin.authority();
    let world = world(
        &config(),
        no_zone(),
        &[authority],
        &[bucket(&origin.url(""))],
    );
    for pictures_only in [false, true] {
        let asked = |lines: &[_]| Ask {
            pictures_only,
            ..Ask::get(lines)
        };
        let part = [(RANGE, "bytes=5-6"), (IF_MODIFIED_SINCE, DATE)];
        let reply = ask(&world, &origin.url("/moved"), asked(&part)).await;
        assert_eq!(reply.expect("a part").body, &file[5..7]);
        let reply = ask(&world, &origin.url("/bucket"), asked(&[])).await;
        assert_eq!(reply.expect("an object").body, b"an object");
        let out = ask(&world, &origin.url("/out"), asked(&[])).await;
        if pictures_only {
            assert!(
                matches!(out, Err(SourceError::RedirectDenied(_))),
                "{out:?}"
            );
        } else {
            let out = out.expect("the client follows it");
            assert_eq!(
                (out.status, out.header("location")),
                (302, "http://192.0.2.1/file")
            );
        }
        let error = ask(&world, &origin.url("/round"), asked(&[])).await;
        assert!(
            matches!(error, Err(SourceError::TooManyRedirects { limit: 5 })),
            "{error:?}"
        );
    }
    for head in origin.heads() {
        let is_first = target(&head) == "/moved";
        if header(&head, "if-modified-since").is_some() {
            assert!(is_first, "{head}");
        }
    }
}

#[tokio::test]
async fn private_addresses_are_refused() {
    let origin = TestOrigin::start(|head| respond(head, 200, "", b"secret")).await;
    let closed = Config {
        private_networks: false,
        ..config()
    };
    let world = allowing(&closed, &origin);
    let error = ask(&world, &origin.url("/a"), Ask::default()).await;
    assert!(
        matches!(error, Err(SourceError::PrivateAddress { .. })),
        "{error:?}"
    );
    assert!(origin.heads().is_empty());
}

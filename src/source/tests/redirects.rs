//! Redirects are followed only to sources that the allowlist approves.

use std::time::{Duration, UNIX_EPOCH};

use url::Url;

use crate::freshness::Validators;
use crate::policy::ZoneOrigin;
use crate::source::tests::origin::{TestOrigin, answer, header, redirect, target};
use crate::source::tests::{TestSources, allowing, bucket, config, no_zone, world};
use crate::source::{Config, FetchOutcome, SourceError};

async fn fetch(world: &TestSources, url: &Url) -> Result<FetchOutcome, SourceError> {
    let source = world.allowlist.approve(url).expect("it is allowed");
    world.sources.fetch(&source, None).await
}

#[track_caller]
fn content(answer: Result<FetchOutcome, SourceError>) -> String {
    match answer {
        Ok(FetchOutcome::Fetched(fetched)) => String::from_utf8_lossy(&fetched.bytes).into_owned(),
        other => panic!("expected content, got {other:?}"),
    }
}

/// `/5` redirects to `/4` and so on to `/0`, which is the source.
async fn stairs() -> TestOrigin {
    TestOrigin::start(
        |head| match target(head).trim_start_matches('/').parse::<u32>() {
            Ok(0) => answer(200, "", b"cat"),
            Ok(step) => redirect(
                [301, 302, 303, 307, 308][step as usize % 5],
                &format!("/{}", step - 1),
            ),
            Err(_) => answer(404, "", b""),
        },
    )
    .await
}

#[tokio::test]
async fn as_many_redirects_as_configured_are_followed() {
    let origin = stairs().await;
    let world = allowing(&config(), &origin);
    assert_eq!(content(fetch(&world, &origin.url("/5")).await), "cat");
    let error = fetch(&world, &origin.url("/6")).await;
    assert!(
        matches!(error, Err(SourceError::TooManyRedirects { limit: 5 })),
        "{error:?}"
    );

    let none = allowing(
        &Config {
            max_redirects: 0,
            ..config()
        },
        &origin,
    );
    assert_eq!(content(fetch(&none, &origin.url("/0")).await), "cat");
    let error = fetch(&none, &origin.url("/1")).await;
    assert!(
        matches!(error, Err(SourceError::TooManyRedirects { limit: 0 })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_redirect_loop_ends() {
    let origin = TestOrigin::start(|head| redirect(302, target(head))).await;
    let error = fetch(&allowing(&config(), &origin), &origin.url("/round")).await;
    assert!(
        matches!(error, Err(SourceError::TooManyRedirects { .. })),
        "{error:?}"
    );
    assert_eq!(origin.heads().len(), 6);
}

#[tokio::test]
async fn only_approved_targets_are_requested() {
    let forbidden = TestOrigin::start(|_| answer(200, "", b"secret")).await;
    for to in [
        forbidden.url("/x").to_string(),
        format!("//{}/x", forbidden.authority()),
        "https://example.com/x".to_owned(),
    ] {
        let origin = TestOrigin::start(move |_| redirect(302, &to)).await;
        let error = fetch(&allowing(&config(), &origin), &origin.url("/cat.jpg")).await;
        assert!(
            matches!(error, Err(SourceError::RedirectDenied(_))),
            "{error:?}"
        );
    }
    assert!(forbidden.heads().is_empty());
}

#[tokio::test]
async fn credentials_in_a_target_are_not_used() {
    let victim = TestOrigin::start(|_| answer(200, "", b"secret")).await;
    let to = format!("http://user:pass@{}/x", victim.authority());
    let origin = TestOrigin::start(move |_| redirect(302, &to)).await;
    let world = world(
        &config(),
        no_zone(),
        &[origin.authority(), victim.authority()],
        &[],
    );
    let error = fetch(&world, &origin.url("/cat.jpg")).await;
    assert!(
        matches!(error, Err(SourceError::RedirectDenied(_))),
        "{error:?}"
    );
    assert!(victim.heads().is_empty());
}

#[tokio::test]
async fn a_target_that_is_no_http_url_is_an_error() {
    for headers in [
        "",
        "Location:\r\n",
        "Location: file:///etc/passwd\r\n",
        "Location: ftp://h/x\r\n",
        "Location: http://\r\n",
        "Location: data:,x\r\n",
    ] {
        let origin = TestOrigin::start(move |_| answer(302, headers, b"")).await;
        let error = fetch(&allowing(&config(), &origin), &origin.url("/cat.jpg")).await;
        // An empty reference is the same URL again.
        let is_right = match headers {
            "Location:\r\n" => matches!(error, Err(SourceError::TooManyRedirects { .. })),
            _ => matches!(error, Err(SourceError::BadRedirect { .. })),
        };
        assert!(is_right, "{headers:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_redirect_of_the_zone_to_a_private_address_is_denied() {
    let inside = TestOrigin::start(|_| answer(200, "", b"secret")).await;
    let to = inside.url("/admin").to_string();
    let zone = TestOrigin::start(move |_| redirect(302, &to)).await;
    let closed = Config {
        private_networks: false,
        ..config()
    };
    // The allowlist approves the name, but the egress policy denies its address.
    let world = world(
        &closed,
        ZoneOrigin::Http(zone.url("/")),
        &[inside.authority()],
        &[],
    );
    let source = world
        .allowlist
        .approve_zone("/cat.jpg")
        .expect("the zone allows it");
    let error = world.sources.fetch(&source, None).await;
    assert!(
        matches!(error, Err(SourceError::PrivateAddress { .. })),
        "{error:?}"
    );
    assert!(inside.heads().is_empty());
}

#[tokio::test]
async fn a_target_may_be_the_zone_or_a_bucket() {
    let zone = TestOrigin::start(|head| match target(head) {
        "/base/moved.jpg" => redirect(301, "/base/here.jpg?v=2"),
        "/base/here.jpg?v=2" => answer(200, "", b"zone cat"),
        _ => answer(404, "", b""),
    })
    .await;
    let store = TestOrigin::start(|head| match target(head) {
        "/my-bucket/cat.jpg" => answer(200, "", b"bucket cat"),
        _ => answer(404, "", b""),
    })
    .await;
    let to_bucket = store
        .url("/my-bucket/cat.jpg?X-Amz-Signature=old")
        .to_string();
    let to_zone = zone.url("/base/moved.jpg").to_string();
    let origin = TestOrigin::start(move |head| {
        redirect(
            302,
            if target(head) == "/b" {
                &to_bucket
            } else {
                &to_zone
            },
        )
    })
    .await;
    let closed_but_allowed = world(
        &config(),
        ZoneOrigin::Http(zone.url("/base")),
        &[origin.authority()],
        &[bucket(&store.url(""))],
    );
    assert_eq!(
        content(fetch(&closed_but_allowed, &origin.url("/b")).await),
        "bucket cat"
    );
    assert_eq!(
        content(fetch(&closed_but_allowed, &origin.url("/z")).await),
        "zone cat"
    );
}

#[tokio::test]
async fn a_date_is_not_carried_over_a_redirect() {
    let origin = TestOrigin::start(|head| match target(head) {
        "/moved" => redirect(302, "/cat.jpg"),
        _ => answer(304, "", b""),
    })
    .await;
    let world = allowing(&config(), &origin);
    let source = world
        .allowlist
        .approve(&origin.url("/moved"))
        .expect("it is allowed");
    let known = Validators {
        etag: Some("\"a\"".to_owned()),
        last_modified: Some(UNIX_EPOCH + Duration::from_secs(784_111_777)),
    };
    let answer = world.sources.fetch(&source, Some(&known)).await;
    assert!(
        matches!(answer, Ok(FetchOutcome::NotModified { .. })),
        "{answer:?}"
    );
    let heads = origin.heads();
    assert_eq!(header(&heads[0], "if-none-match"), Some("\"a\""));
    assert_eq!(
        header(&heads[0], "if-modified-since"),
        Some("Sun, 06 Nov 1994 08:49:37 GMT")
    );
    assert_eq!(header(&heads[1], "if-none-match"), Some("\"a\""));
    assert_eq!(header(&heads[1], "if-modified-since"), None);
}

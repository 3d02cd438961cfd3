//! Settings that are read again while the server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::support::origin::{Answer, Gate, TestOrigin};
use crate::support::process::Process;
use crate::support::{eventually, samples};

const TOKEN: &str = "a-token-for-reloads";

/// Settings with a zone, no disk cache, a token and more.
fn settings(zone: &str, more: &str) -> String {
    format!(
        "admin.token = '{TOKEN}'\nfetch.private_networks = true\ncache.disk.path = ''\nzone.origin = '{zone}'\n{more}"
    )
}

async fn reload_with(server: &Process, token: &str) -> (u16, Value) {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str())];
    let reply = server.admin.post("/reload", &headers, "").await;
    let body = serde_json::from_str(&reply.text()).expect("JSON");
    (reply.status, body)
}

async fn reload(server: &Process) -> (u16, Value) {
    reload_with(server, TOKEN).await
}

#[tokio::test]
async fn what_can_change_counts_and_what_cannot_is_named() {
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let zone = TestOrigin::with("/b.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&zone.url(""), "")).await;
    let foreign = format!("/cdn-cgi/image/width=16/{}", origin.url("/a.png"));
    server.client.get(&foreign).await.assert_status(403);
    server
        .client
        .get("/img/width=16/b.png")
        .await
        .assert_status(404);
    let unchanged = json!({"success": true, "applied": [], "restart": []});
    assert_eq!(reload(&server).await, (200, unchanged));

    let more = format!(
        "sources.allowed = ['{}']\nserver.prefixes = ['/cdn-cgi/image/', '/img/']\nlimits.queue = 7\ncache.memory.renditions = '1 MiB'\n",
        origin.authority()
    );
    server.rewrite(&settings(&zone.url(""), &more));
    let changed = json!({
        "success": true,
        "applied": ["server.prefixes", "sources.allowed"],
        "restart": ["cache.memory.renditions", "limits.queue"],
    });
    assert_eq!(reload(&server).await, (200, changed.clone()));
    // What waits for a restart is told each time.
    let mut again = changed;
    again["applied"] = json!([]);
    assert_eq!(reload(&server).await, (200, again));
    server.client.get(&foreign).await.assert_size(16, 12);
    server
        .client
        .get("/img/width=16/b.png")
        .await
        .assert_size(16, 12);
    // What was cached stays.
    let again = server.client.get("/cdn-cgi/image/width=16/b.png").await;
    again.assert_header_has("cache-status", "hit");
}

#[tokio::test]
async fn settings_with_mistakes_change_nothing() {
    let zone = TestOrigin::with("/b.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&zone.url(""), "")).await;
    for (more, errors) in [
        (
            "defaults.quality = 0\npolicy.strikt = true\nserver.prefixes = ['/img/']\n",
            &["defaults.quality", "policy.strikt"][..],
        ),
        (
            "server.prefixes = ['/img/']\n[[flow]]\nmatch = ['/u/**']\noptions = 'width=99999'\n",
            &["flow"],
        ),
        (
            "server.prefixes = ['/img/']\nzone.origin = 'bucket:none'\n[signatures]\nrequired = 'always'\n",
            &["signatures"],
        ),
        ("not TOML", &["not TOML"]),
    ] {
        let text = match more.contains("zone.origin") {
            true => format!("admin.token = '{TOKEN}'\ncache.disk.path = ''\n{more}"),
            false => settings(&zone.url(""), more),
        };
        server.rewrite_as_it_is(&text);
        let (status, body) = reload(&server).await;
        assert_eq!((status, &body["success"]), (422, &json!(false)), "{body}");
        let said = body["errors"].to_string();
        for error in errors {
            assert!(said.contains(error), "no {error} in {said}");
        }
        server
            .client
            .get("/cdn-cgi/image/width=16/b.png")
            .await
            .assert_status(200);
        server
            .client
            .get("/img/width=16/b.png")
            .await
            .assert_status(404);
    }
    eventually("it is logged", async || {
        server.log().contains("the settings stay as they are")
    })
    .await;
}

#[tokio::test]
async fn a_signal_reads_them_again_as_well() {
    let zone = TestOrigin::with("/b.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&zone.url(""), "")).await;
    server.rewrite(&settings(
        &zone.url(""),
        "policy.strict = true\nlog.level = 'warn'\n",
    ));
    server.hang_up().await;
    let url = "/cdn-cgi/image/width=16,blur=0.5/b.png";
    eventually("strict mode", async || {
        server.client.get(url).await.status == 400
    })
    .await;
    let ask = async |width: u32| {
        let url = format!("/cdn-cgi/image/width={width}/b.png");
        server.client.get(&url).await.assert_status(200);
    };
    ask(17).await;
    server.rewrite(&settings(&zone.url(""), ""));
    server.hang_up().await;
    eventually("level info", async || {
        ask(18).await;
        server.log().contains("width=18")
    })
    .await;
    // Lines are written in their order.
    let log = server.log();
    assert!(log.contains("the settings were read again"), "{log}");
    assert!(!log.contains("width=17"), "{log}");
}

#[tokio::test]
async fn a_token_is_changed_by_who_has_the_old_one() {
    let zone = TestOrigin::start().await;
    let server = Process::start(&settings(&zone.url(""), "")).await;
    let (status, _) = reload_with(&server, "a-guessed-token-1").await;
    assert_eq!(status, 401);
    let new = "another-token-of-ours";
    server.rewrite(&settings(&zone.url(""), "").replace(TOKEN, new));
    let (status, body) = reload(&server).await;
    assert_eq!((status, &body["applied"]), (200, &json!(["admin.token"])));
    assert_eq!(reload(&server).await.0, 401);
    assert_eq!(reload_with(&server, new).await.0, 200);
    let asked = server.admin.get("/reload").await;
    asked.assert_status(405);
}

#[tokio::test]
async fn a_request_in_flight_keeps_the_settings_that_it_began_with() {
    let gate = Gate::closed();
    let origin = TestOrigin::with("/a.png", Answer::file(samples::png(64, 48)).behind(&gate)).await;
    let zone = TestOrigin::start().await;
    let allowed = format!("sources.allowed = ['{}']\n", origin.authority());
    let server = Process::start(&settings(&zone.url(""), &allowed)).await;
    let url = format!("/cdn-cgi/image/width=16/{}", origin.url("/a.png"));
    let client = server.client.clone();
    let asked = tokio::spawn({
        let url = url.clone();
        async move { client.get(&url).await }
    });
    eventually("it is fetched", async || origin.hits("/a.png") == 1).await;
    server.rewrite(&settings(&zone.url(""), ""));
    assert_eq!(reload(&server).await.0, 200);
    server.client.get(&url).await.assert_status(403);
    gate.open();
    asked.await.expect("no panic").assert_size(16, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_request_is_lost() {
    let zone = TestOrigin::with("/b.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&zone.url(""), "")).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let (client, is_over, count) = (
                server.client.clone(),
                Arc::clone(&is_over),
                Arc::clone(&count),
            );
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let made = count.fetch_add(1, Ordering::Relaxed);
                    // Some are made, and most are in memory.
                    let width = 8 + number + 4 * (made % 32);
                    let url = format!("/cdn-cgi/image/width={width}/b.png");
                    client.get(&url).await.assert_status(200);
                }
            })
        })
        .collect();
    for round in 0..12 {
        let quality = 60 + round;
        server.rewrite(&settings(
            &zone.url(""),
            &format!("defaults.quality = {quality}\n"),
        ));
        let (status, body) = reload(&server).await;
        assert_eq!(
            (status, &body["applied"]),
            (200, &json!(["defaults.quality"]))
        );
        let begun = count.load(Ordering::Relaxed);
        eventually("more requests", async || {
            count.load(Ordering::Relaxed) > begun + 40
        })
        .await;
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request failed");
    }
    assert!(count.load(Ordering::Relaxed) > 480);
}

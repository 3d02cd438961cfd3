//! What the real binary must write to its log, and what it must not write.

use crate::support::origin::TestOrigin;
use crate::support::process::{Process, settings};
use crate::support::{eventually, samples};

#[tokio::test]
async fn a_request_has_one_line_in_the_log_and_no_secret_in_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let server = Process::start(&settings(&origin, folder.path())).await;
    let plain = "/cdn-cgi/image/width=16/a.png?X-Amz-Signature=hunter2";
    server.client.get(plain).await.assert_size(16, 12);
    let encoded =
        "/cdn-cgi/image/width=16/http%3A%2F%2Felsewhere.test%2Fb.png%3FX-Amz-Signature%3Dhunter2";
    server.client.get(encoded).await.assert_error(403, 9401);
    eventually("both are logged", async || {
        server.log().matches(" request ").count() == 2
    })
    .await;
    let log = server.log();
    for part in [
        "/a.png",
        "200",
        "miss",
        "403",
        "source-denied",
        "elsewhere.test",
    ] {
        assert!(log.contains(part), "no {part} in:\n{log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

/// Spellings of a secret in a URL. The log must not contain it, whatever the outcome of the request.
const SECRETS: [&str; 20] = [
    "a.png?token=hunter2",
    "none.png?token=hunter2",
    "a.png%3Ftoken=hunter2",
    "a.png%253Ftoken=hunter2",
    "http://elsewhere.test/a.png?X-Amz-Signature=hunter2",
    "http://elsewhere.test/a.png#hunter2%23hunter2",
    "http%3A%2F%2Felsewhere.test%2Fa.png%3FX-Amz-Signature%3Dhunter2",
    "http%3A%2F%2Felsewhere.test%2Fa.png%253FX-Amz-Signature=hunter2",
    "http:%2F%2Felsewhere.test%2Fa.png%3FX-Amz-Signature=hunter2",
    "http%253A%252F%252Felsewhere.test%252Fa.png%253Fsig%253Dhunter2",
    "http://user:hunter2@elsewhere.test/a.png",
    "http://hunter2@elsewhere.test/a.png",
    "http:/user:hunter2@elsewhere.test/a.png",
    "http:user:hunter2@elsewhere.test/a.png",
    "http://user:hunter2%2Fx@elsewhere.test/a.png",
    "http%3A%2F%2Fuser%3Ahunter2%40elsewhere.test%2Fa.png",
    "http%253A%252F%252Fuser%253Ahunter2%2540elsewhere.test",
    "ftp://user:hunter2@elsewhere.test/a.png",
    "hunter2:x-oauth-basic@elsewhere.test/a.png",
    "//user:hunter2@elsewhere.test/a.png",
];

#[tokio::test]
async fn no_spelling_of_a_secret_in_a_url_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = TestOrigin::with("/a.png", samples::png(64, 48)).await;
    let settings = format!(
        "{}[admin]\ntoken = \"a-token-for-tests\"\n[policy]\nstrict = true\n",
        settings(&origin, folder.path())
    );
    // The most detailed log level, for all crates.
    let variables = [("SAFELIGHT__LOG__LEVEL", "info,safelight=trace")];
    let server = Process::start_with(&settings, &variables).await;
    let mut asked = 0;
    for secret in SECRETS {
        for target in [
            format!("/cdn-cgi/image/width=16/{secret}"),
            format!("/cdn-cgi/image/width=16,onerror=redirect/{secret}"),
            format!("/cdn-cgi/image/{secret}"),
            format!("/_next/image?url={secret}&w=16&q=75"),
        ] {
            server.client.get(&target).await;
            asked += 1;
        }
        let body = format!("{{\"source\":\"{secret}\"}}");
        for body in [
            body.as_str(),
            &body.replace("source", "prefix"),
            &body.replace("source", "tag"),
        ] {
            let headers = [("authorization", "Bearer a-token-for-tests")];
            server.admin.post("/purge", &headers, body).await;
        }
    }
    eventually("all are logged", async || {
        server.log().matches(" request ").count() == asked
    })
    .await;
    let log = server.log();
    assert!(log.contains("purged"), "{log}");
    let leaks: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("hunter2"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let metrics = server.admin.get("/metrics").await.text();
    assert!(!metrics.contains("hunter2"), "{metrics}");
}

#[tokio::test]
async fn the_log_reports_the_render_memory_at_the_start() {
    for (settings, parts) in [
        (
            "[limits]\nrender_memory = \"300 MiB\"\n",
            ["mib=300", "as configured"],
        ),
        (
            "",
            [
                "mib=",
                if cfg!(target_os = "linux") {
                    "/proc/meminfo"
                } else {
                    "the default"
                },
            ],
        ),
    ] {
        let server = Process::start(settings).await;
        // Another thread writes the log.
        eventually("the log tells", async || {
            server.log().contains("render memory")
        })
        .await;
        let log = server.log();
        let line = log.lines().find(|line| line.contains("render memory"));
        let line = line.unwrap_or_else(|| panic!("no such line:\n{log}"));
        // A control group may allow less memory than the machine has.
        let is_told = |part: &str| {
            line.contains(part) || part == "/proc/meminfo" && line.contains("/sys/fs/cgroup/")
        };
        assert!(parts.into_iter().all(is_told), "{line}");
    }
}

//! Refusals that come before a body is read must reach the client, which is still sending.

use std::fs;

use tempfile::TempDir;
use tokio::process::Command;

use super::{ACCOUNT, HostedProxy, WRITE};
use crate::support::{bounded, eventually, samples};

/// A folder with a file for curl that is larger than an upload may be, and with one that is not.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut file = samples::png(40, 30);
    for (name, length) in [("3m.png", 3 << 20), ("30m.png", 30 << 20)] {
        file.resize(length, 0);
        fs::write(folder.path().join(name), &file).expect("a fresh folder");
    }
    folder
}

/// The status that curl sees, and its exit code.
async fn curl(hosted: &HostedProxy, folder: &TempDir, arguments: &str) -> (String, Option<i32>) {
    let address = hosted.proxy.client().address();
    let script = format!(
        "curl --silent --max-time 60 --output answer --write-out '%{{http_code}} %{{http_version}}' http://{address}{ACCOUNT}/images/v1 {arguments}"
    );
    let run = Command::new("sh")
        .args(["-c", &script])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = bounded(&script, run).await.expect("there is a sh");
    let seen = String::from_utf8(output.stdout).expect("text");
    (seen, output.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let hosted = HostedProxy::start().await;
    let folder = folder();
    let right = format!("--header 'Authorization: Bearer {WRITE}'");
    for (version, option) in [("1.1", "--http1.1"), ("2", "--http2-prior-knowledge")] {
        for (arguments, status) in [
            ("--form file=@3m.png", 401),
            ("--form file=@30m.png", 401),
            (&*format!("--form file=@30m.png {right}"), 413),
            (&*format!("--data-binary @3m.png {right}"), 415),
            (&*format!("--request PUT --form file=@3m.png {right}"), 405),
        ] {
            let arguments = format!("{option} --header 'Expect:' {arguments}");
            let seen = curl(&hosted, &folder, &arguments).await;
            let expected = (format!("{status} {version}"), Some(0));
            assert_eq!(seen, expected, "{arguments}");
        }
    }
    eventually("nothing is in flight", async || {
        hosted.proxy.in_flight() == 0.0
    })
    .await;
}

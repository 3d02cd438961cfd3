//! A server of hosted images alone: it has no zone.

use super::{ACCOUNT, Form, WRITE, png};
use crate::support::eventually;
use crate::support::process::Process;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_hosted_images_needs_no_zone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path().display();
    let settings = format!(
        "[hosted]\nstore = 'file:{at}/store'\nindex = '{at}/index'\neager = ['public', 'thumb']\n[[hosted.token]]\ntoken = '{WRITE}'\nrights = 'write'\n[cache.disk]\npath = '{at}/cache'\n"
    );
    // It starts in an empty folder, as a service does.
    let file = folder.path().join("config.toml");
    let listeners = "[server]\nlisten = '127.0.0.1:0'\n[admin]\nlisten = '127.0.0.1:0'\n";
    std::fs::write(file, format!("{listeners}{settings}")).expect("a fresh folder");
    let server = Process::start_in(folder.path(), folder.path(), &["serve"], &[]).await;
    let address = server.client.address();
    assert_eq!(
        server.printed(4).await[1..],
        [
            format!("hosted images of the account main are kept in the folder {at}/store"),
            format!("  they are uploaded at http://{address}{ACCOUNT}/images/v1"),
            format!("  and shown at http://{address}/cdn-cgi/imagedelivery/main/ID/VARIANT"),
        ]
    );
    eventually("a variant is missing", async || {
        let log = server.log();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("`hosted.eager` names"));
        let is_thumb =
            |line: &str| line.contains("variant=\"thumb\"") && line.contains("known=\"public\"");
        lines.next().is_some_and(is_thumb) && lines.next().is_none()
    })
    .await;
    let authorization = format!("Bearer {WRITE}");
    let media = format!("multipart/form-data; boundary={}", super::BOUNDARY);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", media.as_str()),
    ];
    let form = Form::default().text("id", "a").file("a.png", &png());
    let target = format!("{ACCOUNT}/images/v1");
    let sent = server
        .client
        .send_body(hyper::Method::POST, &target, &headers, form.bytes());
    sent.await.assert_status(200);
    let shown = server.client.get("/cdn-cgi/imagedelivery/main/a/public");
    shown.await.assert_status(200);
    let picture = server.client.get("/cdn-cgi/image/width=16/a.png").await;
    picture.assert_error(404, 9404);
    assert!(picture.text().contains("`zone.origin`"), "{picture}");
    // The settings are in the folder, but nothing of that is served.
    server.client.get("/config.toml").await.assert_status(404);
    server.client.get("/").await.assert_status(404);
}

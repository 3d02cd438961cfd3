//! Webhooks: a real receiver hears what happens to hosted images.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::process::Process;
use crate::support::{eventually, process, samples};

const TOKEN: &str = "correct-horse-battery";
const SECRET: &str = "a-secret-of-webhooks";

/// A message that was received: its head and its body.
#[derive(Clone, Debug)]
struct Message {
    head: String,
    body: String,
}

impl Message {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn data(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["data"].clone()
    }
}

/// A receiver that answers with these statuses, and then with 204.
struct Receiver {
    port: u16,
    messages: Arc<Mutex<Vec<Message>>>,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let statuses: Arc<Mutex<VecDeque<u16>>> =
            Arc::new(Mutex::new(statuses.iter().copied().collect()));
        let kept = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, statuses) = (Arc::clone(&kept), Arc::clone(&statuses));
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    let mut piece = vec![0; 64 << 10];
                    while let Ok(read @ 1..) = stream.read(&mut piece).await {
                        bytes.extend_from_slice(&piece[..read]);
                        let Some(message) = message(&bytes) else {
                            continue;
                        };
                        bytes.clear();
                        kept.lock().expect("no panic").push(message);
                        let status = statuses.lock().expect("no panic").pop_front();
                        let status = status.unwrap_or(204);
                        let answer = format!(
                            "HTTP/1.1 {status} X\r\ncontent-length: 0\r\nlocation: /x\r\n\r\n"
                        );
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                });
            }
        });
        Receiver { port, messages }
    }

    fn messages(&self) -> Vec<Message> {
        self.messages.lock().expect("no panic").clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<Message> {
        eventually("the messages arrive", async || {
            self.messages().len() >= count
        })
        .await;
        self.messages()
    }
}

/// A request that is complete.
fn message(bytes: &[u8]) -> Option<Message> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let message = Message {
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let length: usize = message.header("content-length")?.parse().ok()?;
    (body.len() >= length).then_some(message)
}

/// A server with a webhook, and what it stores.
async fn serve(folder: &Path, port: u16, more: &str) -> Process {
    serve_with(folder, port, "", more).await
}

/// With settings of hosted images, and more of the webhook.
async fn serve_with(folder: &Path, port: u16, hosted: &str, more: &str) -> Process {
    Process::start(&settings(folder, port, hosted, more)).await
}

fn settings(folder: &Path, port: u16, hosted: &str, more: &str) -> String {
    let at = folder.display();
    format!(
        "[hosted]\n{hosted}\nstore = 'file:{at}/store'\nindex = '{at}/index'\npublic_url = 'https://img.test'\n[[hosted.token]]\ntoken = '{TOKEN}'\nrights = 'write'\n[[hosted.webhook]]\nurl = 'http://127.0.0.1:{port}/hook'\nsecret = '{SECRET}'\nretry = '20 ms'\n{more}\n[cache.disk]\npath = '{at}/cache'\n"
    )
}

fn picture() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cat.jpg"), samples::jpeg(64, 48)).expect("a file");
    folder
}

async fn images(folder: &TempDir, server: &Process, arguments: &[&str]) {
    let api = format!("http://{}", server.client.address());
    let variables = [("SAFELIGHT_API", api.as_str()), ("SAFELIGHT_TOKEN", TOKEN)];
    let arguments = [&["images"], arguments].concat();
    let output = process::run(folder.path(), &arguments, &variables).await;
    assert!(output.status.success(), "{output:?}");
}

/// `event change id` of each message.
fn told(messages: &[Message]) -> Vec<String> {
    let told = messages.iter().map(|message| {
        let data = message.data();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!(
            "{} {} {}",
            text(&data["event"]),
            text(&data["change"]),
            text(&data["image"]["id"])
        )
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_hears_of_images_in_order() {
    let (folder, pictures) = (tempfile::tempdir().expect("a folder"), picture());
    let receiver = Receiver::start(&[]).await;
    let server = serve(folder.path(), receiver.port, "private = true").await;
    images(&pictures, &server, &["upload", "cat.jpg"]).await;
    images(&pictures, &server, &["upload", "cat.jpg", "--id=other"]).await;
    images(&pictures, &server, &["delete", "cat.jpg"]).await;
    let messages = receiver.wait_for(3).await;
    let wanted = [
        "uploaded uploaded cat.jpg",
        "uploaded uploaded other",
        "deleted deleted cat.jpg",
    ];
    assert_eq!(told(&messages), wanted);
    let message = &messages[0];
    assert!(
        message.head.starts_with("POST /hook HTTP/1.1"),
        "{message:?}"
    );
    assert_eq!(message.header("content-type"), Some("application/json"));
    assert_eq!(message.header("cf-webhook-auth"), Some(SECRET));
    assert_signed(message);
    let body: Value = serde_json::from_str(&message.body).expect("JSON");
    for name in [
        "name",
        "text",
        "account_id",
        "policy_id",
        "policy_name",
        "alert_type",
        "alert_correlation_id",
        "alert_event",
    ] {
        assert!(body[name].is_string(), "{name} in {body}");
    }
    assert_eq!(body["alert_type"], "image_uploaded");
    let url = &body["data"]["image"]["variants"][0];
    assert_eq!(
        url,
        "https://img.test/cdn-cgi/imagedelivery/main/cat.jpg/public"
    );
    let text = server.metrics().await;
    assert_eq!(
        text.sum(
            "safelight_webhook_deliveries_total",
            &[("result", "delivered")]
        ),
        3.0
    );
}

#[track_caller]
fn assert_signed(message: &Message) {
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let signature = message
        .header("x-safelight-signature")
        .expect("a signature");
    let (time, signature) = signature.split_once(",v1=").expect("two parts");
    let time = time.strip_prefix("t=").expect("a time");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(format!("{time}.{}", message.body).as_bytes());
    let wanted = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    assert_eq!(signature, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_refuses_is_sent_again() {
    let (folder, pictures) = (tempfile::tempdir().expect("a folder"), picture());
    // A redirect is no success, and is not followed.
    let receiver = Receiver::start(&[500, 302]).await;
    let server = serve(folder.path(), receiver.port, "private = true").await;
    images(&pictures, &server, &["upload", "cat.jpg"]).await;
    let messages = receiver.wait_for(3).await;
    let same = |message: &Message| message.body == messages[0].body;
    assert!(messages.iter().all(same), "{messages:?}");
    eventually("nothing waits", async || {
        server.metrics().await.sum("safelight_webhook_backlog", &[]) == 0.0
    })
    .await;
    assert_eq!(receiver.messages().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_outlive_a_restart_and_a_dead_receiver() {
    let (folder, pictures) = (tempfile::tempdir().expect("a folder"), picture());
    let server = serve(folder.path(), 1, "private = true\nevents = ['uploaded']").await;
    // Port 1 is dead, and the upload does not wait for it.
    images(&pictures, &server, &["upload", "cat.jpg"]).await;
    images(&pictures, &server, &["delete", "cat.jpg"]).await;
    eventually("it was tried", async || {
        let metrics = server.metrics().await;
        metrics.sum(
            "safelight_webhook_deliveries_total",
            &[("result", "failed")],
        ) >= 1.0
    })
    .await;
    assert_eq!(
        server.metrics().await.sum("safelight_webhook_backlog", &[]),
        1.0
    );
    server.kill().await;
    // The same receiver, which lives now: the row knows it by its URL.
    let path = folder.path().join("index/webhooks.sqlite");
    let receiver = Receiver::start(&[]).await;
    let connection = rusqlite::Connection::open(path).expect("an outbox");
    let url = format!("http://127.0.0.1:{}/hook", receiver.port);
    connection
        .execute("UPDATE message SET url = ?1", [url])
        .expect("a row");
    drop(connection);
    let _server = serve(folder.path(), receiver.port, "private = true").await;
    let messages = receiver.wait_for(1).await;
    assert_eq!(told(&messages), ["uploaded uploaded cat.jpg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_for_private_webhooks() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path(), 9, "", "");
    std::fs::write(folder.path().join("config.toml"), settings).expect("a file");
    let output = process::run(folder.path(), &["serve"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(
            "setting `hosted.webhook[0].url`: must not be at a private address, got `127.0.0.1`"
        ),
        "{said}"
    );
    // Nothing was begun.
    assert!(!folder.path().join("store").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_hears_of_every_kind_of_event() {
    let (folder, pictures) = (tempfile::tempdir().expect("a folder"), picture());
    // The header of this file is right, and its pixels are not.
    let mut broken = samples::png(64, 48);
    let at = broken.windows(4).position(|part| part == b"IDAT");
    let at = at.expect("pixels") + 8;
    broken[at..at + 8].fill(0xff);
    std::fs::write(pictures.path().join("bad.png"), broken).expect("a file");
    let receiver = Receiver::start(&[]).await;
    let hosted = "verify = 'header'\neager = ['public']\neager_formats = ['jpeg']";
    let server = serve_with(folder.path(), receiver.port, hosted, "private = true").await;
    images(&pictures, &server, &["upload", "cat.jpg"]).await;
    let messages = receiver.wait_for(2).await;
    let wanted = ["uploaded uploaded cat.jpg", "ready ready cat.jpg"];
    assert_eq!(told(&messages), wanted);
    let ready = &messages[1].data()["image"]["safelight"]["renditions"];
    assert_eq!(ready.as_array().map(Vec::len), Some(1), "{ready}");
    images(&pictures, &server, &["upload", "bad.png"]).await;
    let messages = receiver.wait_for(4).await;
    let wanted = ["uploaded uploaded bad.png", "failed failed bad.png"];
    assert_eq!(told(&messages[2..]), wanted);
    let error = &messages[3].data()["error"]["message"];
    assert!(
        error
            .as_str()
            .is_some_and(|text| text.starts_with("public: ")),
        "{error}"
    );

    let authorization = format!("Bearer {TOKEN}");
    let headers = [("authorization", authorization.as_str())];
    let image = "/client/v4/accounts/main/images/v1/cat.jpg";
    let call = async |method: hyper::Method, target: &str, body: &str| {
        let body = body.to_owned();
        let called = server.client.send_body(method, target, &headers, body);
        called.await.assert_status(200);
    };
    call(hyper::Method::PATCH, image, r#"{"creator":"u"}"#).await;
    let messages = receiver.wait_for(5).await;
    assert_eq!(told(&messages[4..]), ["updated updated cat.jpg"]);
    assert_eq!(messages[4].data()["image"]["creator"], "u");
    std::fs::write(pictures.path().join("cat.jpg"), samples::jpeg(32, 48)).expect("a file");
    images(&pictures, &server, &["upload", "cat.jpg", "--replace"]).await;
    let messages = receiver.wait_for(7).await;
    let wanted = ["updated replaced cat.jpg", "ready ready cat.jpg"];
    assert_eq!(told(&messages[5..]), wanted);
    call(
        hyper::Method::POST,
        &format!("{image}/move"),
        r#"{"id":"dog"}"#,
    )
    .await;
    let messages = receiver.wait_for(9).await;
    assert_eq!(
        told(&messages[7..]),
        ["updated renamed dog", "ready ready dog"]
    );
    assert_eq!(messages[7].data()["previous_id"], "cat.jpg");
    images(&pictures, &server, &["delete", "dog"]).await;
    let messages = receiver.wait_for(10).await;
    assert_eq!(told(&messages[9..]), ["deleted deleted dog"]);
    messages.iter().for_each(assert_signed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_given_up_after_the_last_try() {
    let (folder, pictures) = (tempfile::tempdir().expect("a folder"), picture());
    let more = "private = true\nevents = ['uploaded']";
    let receiver = Receiver::start(&[500; 64]).await;
    let server = serve(folder.path(), receiver.port, more).await;
    images(&pictures, &server, &["upload", "cat.jpg"]).await;
    receiver.wait_for(1).await;
    server.kill().await;
    // All tries but one were in vain, in the course of a day.
    let path = folder.path().join("index/webhooks.sqlite");
    let connection = rusqlite::Connection::open(path).expect("an outbox");
    let updated = connection.execute("UPDATE message SET tries = 7, due = 0", []);
    assert_eq!(updated.expect("a row"), 1);
    drop(connection);
    let before = receiver.messages().len();
    let server = serve(folder.path(), receiver.port, more).await;
    eventually("it is given up", async || {
        let metrics = server.metrics().await;
        let dropped = [("result", "dropped")];
        metrics.sum("safelight_webhook_deliveries_total", &dropped) == 1.0
    })
    .await;
    assert_eq!(receiver.messages().len(), before + 1);
    eventually("nothing waits", async || {
        server.metrics().await.sum("safelight_webhook_backlog", &[]) == 0.0
    })
    .await;
    eventually("the log says so", async || {
        server.log().contains("a webhook is given up")
    })
    .await;
    // What comes later is delivered again.
    images(&pictures, &server, &["upload", "cat.jpg", "--id=b"]).await;
    receiver.wait_for(before + 2).await;
}

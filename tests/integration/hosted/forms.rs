//! Forms as clients and attackers write them, byte for byte.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Form, HostedProxy, WRITE, assert_error, png, result};
use crate::support::client::raw;
use crate::support::{bounded, eventually};

/// The head of an upload, with more lines.
fn head(lines: &str) -> String {
    format!(
        "POST /client/v4/accounts/main/images/v1 HTTP/1.1\r\nHost: a.test\r\nAuthorization: Bearer {WRITE}\r\nConnection: close\r\n{lines}\r\n"
    )
}

const MEDIA: &str = "Content-Type: multipart/form-data; boundary=a-boundary\r\n";

/// The status and the document of a raw answer.
fn read(answer: &[u8]) -> (u16, Value) {
    let text = String::from_utf8_lossy(answer);
    let text = text
        .strip_prefix("HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(&text);
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {text}"));
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    (status, serde_json::from_str(body).expect("JSON"))
}

async fn send(hosted: &HostedProxy, media: &str, body: &[u8]) -> (u16, Value) {
    let lines = format!("{media}Content-Length: {}\r\n", body.len());
    let mut bytes = head(&lines).into_bytes();
    bytes.extend_from_slice(body);
    read(&raw(hosted.proxy.client().address(), &bytes).await)
}

#[tokio::test]
async fn every_kind_of_form_is_read() {
    let hosted = HostedProxy::start().await;
    let file = || Form::default().file("a.png", &png());
    let with_epilogue = [file().bytes(), b"\r\n".to_vec()].concat();
    let with_long_epilogue = [file().bytes(), vec![b'x'; 100_000]].concat();
    let with_preamble = [b"a preamble\r\n".to_vec(), file().bytes()].concat();
    let without_filename = Form::default()
        .part("Content-Disposition: form-data; name=\"file\"", &png())
        .bytes();
    let of_terraform = Form::default()
        .part(
            "Content-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json",
            b"{\"a\":1}",
        )
        .file("upload.png", &png())
        .bytes();
    let file_first = file().text("creator", "u1").bytes();
    let lower_case = Form::default()
        .part(
            "content-disposition: form-data; name=file; filename=a.png\r\ncontent-type: image/gif",
            &png(),
        )
        .bytes();
    for (case, body) in [
        ("file alone", file().bytes()),
        ("epilogue", with_epilogue),
        ("long epilogue", with_long_epilogue),
        ("preamble", with_preamble),
        ("no filename", without_filename),
        ("Terraform", of_terraform),
        ("file first", file_first),
        ("lower case", lower_case),
    ] {
        let (status, document) = send(&hosted, MEDIA, &body).await;
        assert_eq!(status, 200, "{case}: {document}");
        assert_eq!(document["result"]["safelight"]["format"], "png", "{case}");
    }
    let quoted = "Content-Type: Multipart/Form-Data; charset=utf-8; boundary=\"a-boundary\"\r\n";
    assert_eq!(send(&hosted, quoted, &file().bytes()).await.0, 200);
}

#[tokio::test]
async fn metadata_is_read_in_all_encodings() {
    let hosted = HostedProxy::start().await;
    let nested = json!({"k": "1", "deep": {"x": "y"}, "arr": ["a", "b"]});
    for (form, expected) in [
        (
            Form::default()
                .text("metadata[k]", "1")
                .text("metadata[deep][x]", "y")
                .text("metadata[arr][]", "a")
                .text("metadata[arr][]", "b"),
            nested.clone(),
        ),
        (
            Form::default()
                .text("metadata.k", "1")
                .text("metadata.deep.x", "y")
                .text("metadata.arr[]", "a")
                .text("metadata.arr[]", "b"),
            nested,
        ),
        (
            Form::default().text("metadata", r#"{"k":1}"#),
            json!({"k": 1}),
        ),
        (Form::default().text("metadata", ""), json!({})),
    ] {
        let form = form.file("a.png", &png());
        let image = result(&hosted.form(Method::POST, "/images/v1", form).await);
        assert_eq!(image["meta"], expected);
    }
}

#[tokio::test]
async fn hostile_forms_are_refused() {
    let hosted = HostedProxy::start().await;
    let mut many = Form::default();
    for number in 0..10_000 {
        many = many.text(&format!("f{number}"), "x");
    }
    let long_header = Form::default()
        .part(
            &format!(
                "Content-Disposition: form-data; name=\"file\"\r\nX-Long: {}",
                "x".repeat(1 << 20)
            ),
            &png(),
        )
        .bytes();
    let many_headers = Form::default()
        .part(
            &format!(
                "Content-Disposition: form-data; name=\"file\"\r\n{}X: y",
                "X: y\r\n".repeat(100)
            ),
            &png(),
        )
        .bytes();
    for (case, status, code, body) in [
        ("nothing", 400, 5400, Vec::new()),
        ("no boundary in it", 400, 5400, vec![b'x'; 200_000]),
        ("closing boundary alone", 400, 5400, Form::default().bytes()),
        ("10,000 parts", 400, 5400, many.bytes()),
        ("long header", 400, 5400, long_header),
        ("many headers", 400, 5400, many_headers),
        (
            "not closed",
            400,
            5400,
            Form::default().file("a.png", &png()).unclosed(),
        ),
        (
            "long text",
            400,
            5400,
            Form::default()
                .text("creator", &"x".repeat(70_000))
                .file("a.png", &png())
                .bytes(),
        ),
        (
            "no UTF-8",
            400,
            5400,
            Form::default()
                .part(
                    "Content-Disposition: form-data; name=\"creator\"",
                    b"\xff\xfe",
                )
                .file("a.png", &png())
                .bytes(),
        ),
        (
            "base64 text as file",
            415,
            5455,
            Form::default().text("file", "iVBORw0KGgo=").bytes(),
        ),
    ] {
        let (found, document) = send(&hosted, MEDIA, &body).await;
        assert_eq!(found, status, "{case}: {document}");
        assert_eq!(document["errors"][0]["code"], code, "{case}: {document}");
    }
    assert_eq!(hosted.originals(), 0);
    for media in [
        "Content-Type: image/png\r\n",
        "Content-Type: multipart/form-data\r\n",
        "Content-Type: application/json\r\n",
        "",
    ] {
        let (status, document) = send(&hosted, media, &png()).await;
        assert_eq!(status, 415, "{media}: {document}");
        assert_eq!(document["errors"][0]["code"], 5415, "{media}: {document}");
    }
}

#[tokio::test]
async fn bodies_arrive_in_every_way() {
    let hosted = HostedProxy::start().await;
    let body = Form::default().file("a.png", &png()).bytes();
    let mut chunked = head(&format!("{MEDIA}Transfer-Encoding: chunked\r\n")).into_bytes();
    for piece in body.chunks(7) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let (status, document) = read(&raw(hosted.proxy.client().address(), &chunked).await);
    assert_eq!(status, 200, "{document}");

    let lines = format!(
        "{MEDIA}Content-Length: {}\r\nExpect: 100-continue\r\n",
        body.len()
    );
    let address = hosted.proxy.client().address();
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let told = head(&lines);
    let conversation = async {
        stream.write_all(told.as_bytes()).await.expect("it is read");
        let mut first = [0; 25];
        stream.read_exact(&mut first).await.expect("it goes on");
        assert_eq!(&first, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(&body).await.expect("it is read");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        read(&answer)
    };
    let (status, document) = bounded("an upload", conversation).await;
    assert_eq!(status, 200, "{document}");

    // Without a token, nobody is asked to send a file.
    let told = told.replace(WRITE, "a-token-of-nobody");
    let (status, _) = read(&raw(address, told.as_bytes()).await);
    assert_eq!(status, 401);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let hosted = HostedProxy::start_with(|config| {
        config.hosted.upload_bytes = crate::support::proxy::setting("100 KiB")
    })
    .await;
    let address = hosted.proxy.client().address();
    let lines = format!("{MEDIA}Content-Length: 100000000\r\nExpect: 100-continue\r\n");
    let (status, document) = read(&raw(address, head(&lines).as_bytes()).await);
    assert_eq!(status, 413);
    assert_eq!(document["errors"][0]["code"], 5413);
    // A client that sends all the same gets to read the answer.
    for length in [101 << 10, 3 << 20] {
        let form = Form::default().file("a.png", &vec![7; length]);
        let reply = hosted.form(Method::POST, "/images/v1", form).await;
        assert_error(&reply, 413, 5413);
    }
    assert_eq!(hosted.originals(), 0);
}

#[tokio::test]
async fn a_client_that_disappears_leaves_nothing() {
    let hosted = HostedProxy::start().await;
    let address = hosted.proxy.client().address();
    let mut body = Form::default()
        .text("id", "gone")
        .file("a.png", &png())
        .unclosed();
    body.truncate(body.len() / 2);
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let lines = format!("{MEDIA}Content-Length: 100000\r\n");
    stream
        .write_all(head(&lines).as_bytes())
        .await
        .expect("sent");
    stream.write_all(&body).await.expect("sent");
    eventually("it is in flight", async || hosted.proxy.in_flight() > 0.0).await;
    drop(stream);
    eventually("it is over", async || hosted.proxy.in_flight() == 0.0).await;
    assert_eq!(hosted.originals(), 0);
    assert_error(&hosted.get("/images/v1/gone").await, 404, 5404);
    result(&hosted.upload("gone").await);
}

#[tokio::test]
async fn an_upload_that_stops_is_refused() {
    let hosted = HostedProxy::start().await;
    let address = hosted.proxy.client().address();
    let body = Form::default().file("a.png", &png()).bytes();
    let lines = format!("{MEDIA}Content-Length: {}\r\n", body.len());
    let conversation = async {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream
            .write_all(head(&lines).as_bytes())
            .await
            .expect("sent");
        stream.write_all(&body[..100]).await.expect("sent");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(!text.contains("x-should-retry"), "{text}");
        read(&answer)
    };
    let started = std::time::Instant::now();
    let (status, document) = bounded("a slow upload", conversation).await;
    assert_eq!(
        (status, &document["errors"][0]["code"]),
        (408, &json!(5408))
    );
    let took = started.elapsed();
    assert!(took > Duration::from_secs(9), "{took:?}");
}

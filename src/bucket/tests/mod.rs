//! A bucket against servers that answer as they are told.

mod keys;

use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::bucket::endpoint::ServiceEndpoint;
use crate::bucket::{
    AddressingStyle, Bucket, BucketError, BucketProblem, Conditions, Config, Credentials,
    GetResponse, Timeouts,
};

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(2),
    first_byte: Duration::from_millis(300),
    total: Duration::from_secs(5),
};

fn config(endpoint: &str, credentials: Credentials) -> Config {
    Config {
        name: "photos".to_owned(),
        bucket: "my-bucket".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: endpoint.to_owned(),
        style: AddressingStyle::Path,
        credentials,
    }
}

fn keys() -> Credentials {
    Credentials::Static {
        key: "AKIAEXAMPLE".to_owned(),
        secret: "hush".to_owned(),
    }
}

/// Answers every connection with the next of `answers`, and repeats the last. Reports the headers of the requests.
async fn server(answers: Vec<String>) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (heads, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut turn = 0;
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answers[turn.min(answers.len() - 1)].clone();
            turn += 1;
            let heads = heads.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match socket.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = heads.send(String::from_utf8_lossy(&head).to_ascii_lowercase());
                let _ = socket.write_all(answer.as_bytes()).await;
                let _ = socket.shutdown().await;
            });
        }
    });
    (endpoint, received)
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

async fn get(
    endpoint: &str,
    credentials: Credentials,
    key: &str,
) -> Result<GetResponse, BucketError> {
    let bucket =
        Bucket::open(&config(endpoint, credentials), TIMEOUTS).expect("the settings are right");
    bucket.get(key, Conditions::default()).await
}

#[track_caller]
fn problem(reply: Result<GetResponse, BucketError>) -> BucketError {
    match reply {
        Ok(_) => panic!("expected an error"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn the_beginning_of_an_object_is_a_range_request() {
    let (endpoint, mut heads) = server(vec![
        answer(
            "206 Partial Content",
            "Content-Range: bytes 0-3/9000\r\nETag: \"1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n",
            "abcd",
        ),
        answer("416 Range Not Satisfiable", "Content-Range: bytes */0\r\n", ""),
        answer("404 Not Found", "", ""),
    ])
    .await;
    let bucket = Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("sound settings");
    let (bytes, length) = bucket.beginning("a", 4).await.expect("it is there");
    assert_eq!((&bytes[..], length), (&b"abcd"[..], 9000));
    let head = heads.recv().await.expect("a request");
    assert!(head.contains("range: bytes=0-3\r\n"), "{head}");
    let (bytes, length) = bucket.beginning("a", 4).await.expect("it is empty");
    assert_eq!((bytes.len(), length), (0, 0));
    let error = bucket.beginning("a", 4).await.expect_err("it is missing");
    assert!(error.is_missing(), "{error}");
}

#[test]
fn requests_go_where_the_style_says() {
    let rows = [
        (
            "b",
            "eu-west-1",
            "",
            AddressingStyle::Virtual,
            "https://b.s3.eu-west-1.amazonaws.com",
            true,
        ),
        (
            "b",
            "eu-west-1",
            "",
            AddressingStyle::Path,
            "https://s3.eu-west-1.amazonaws.com",
            false,
        ),
        (
            "b",
            "cn-north-1",
            "",
            AddressingStyle::Virtual,
            "https://b.s3.cn-north-1.amazonaws.com.cn",
            true,
        ),
        // A certificate for *.s3.eu-west-1.amazonaws.com does not cover a.b.s3.eu-west-1.amazonaws.com.
        (
            "a.b",
            "eu-west-1",
            "",
            AddressingStyle::Virtual,
            "https://s3.eu-west-1.amazonaws.com",
            false,
        ),
        (
            "b",
            "",
            "https://s3.example.com/",
            AddressingStyle::Virtual,
            "https://b.s3.example.com",
            true,
        ),
        (
            "b",
            "",
            "http://minio:9000",
            AddressingStyle::Virtual,
            "http://b.minio:9000",
            true,
        ),
        (
            "b",
            "",
            "http://minio:9000/base/",
            AddressingStyle::Path,
            "http://minio:9000/base",
            false,
        ),
        (
            "b",
            "",
            "http://127.0.0.1:9000",
            AddressingStyle::Virtual,
            "http://127.0.0.1:9000",
            false,
        ),
        (
            "b",
            "",
            "http://[::1]:9000",
            AddressingStyle::Virtual,
            "http://[::1]:9000",
            false,
        ),
    ];
    for (bucket, region, endpoint, style, expected, is_virtual) in rows {
        let service =
            ServiceEndpoint::of(bucket, region, endpoint, style).expect("the row holds a URL");
        assert_eq!(
            (service.url.as_str(), service.is_virtual),
            (expected, is_virtual),
            "{bucket} {region} {endpoint}"
        );
    }
}

#[test]
fn opening_needs_no_network_and_names_wrong_settings() {
    for credentials in [Credentials::Chain, Credentials::Anonymous, keys()] {
        assert!(Bucket::open(&config("", credentials), TIMEOUTS).is_ok());
    }
    let broken = Config {
        region: String::new(),
        ..config("", keys())
    };
    let error = Bucket::open(&broken, TIMEOUTS)
        .err()
        .expect("AWS needs a region");
    assert!(
        error
            .to_string()
            .starts_with("bucket `photos`: `region` must"),
        "{error}"
    );
}

#[tokio::test]
async fn requests_with_keys_are_signed_and_anonymous_ones_are_not() {
    let (endpoint, mut heads) = server(vec![answer("200 OK", "", "cat")]).await;
    get(&endpoint, keys(), "dir/a b+é.jpg")
        .await
        .expect("the server answers");
    let head = heads.recv().await.expect("a request came");
    assert!(
        head.starts_with("get /my-bucket/dir/a%20b%2b%c3%a9.jpg http/1.1\r\n"),
        "{head}"
    );
    assert!(
        head.contains("authorization: aws4-hmac-sha256 credential=akiaexample/"),
        "{head}"
    );
    assert!(head.contains("/eu-west-1/s3/aws4_request"), "{head}");
    assert!(!head.contains("hush"));

    get(&endpoint, Credentials::Anonymous, "x")
        .await
        .expect("the server answers");
    let head = heads.recv().await.expect("a request came");
    assert!(!head.contains("authorization"), "{head}");
    assert!(!head.contains("x-amz-security-token"), "{head}");
}

#[tokio::test]
async fn an_error_names_the_code_and_quotes_nothing_else() {
    let document = "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId></Error>";
    let (endpoint, _heads) = server(vec![answer("403 Forbidden", "", document)]).await;
    let error = problem(get(&endpoint, keys(), "x").await);
    assert_eq!(
        error.to_string(),
        "bucket `photos`: answered 403 SignatureDoesNotMatch; may these `credentials` do that (to read is s3:GetObject)?"
    );
    assert!(!format!("{error:?}").contains("AKIA"));
}

#[tokio::test]
async fn an_endless_error_document_is_not_read_to_its_end() {
    let huge = answer(
        "404 Not Found",
        "",
        &format!("<Error><Code>NoSuchKey</Code>{}", "x".repeat(1 << 22)),
    );
    let (endpoint, _heads) = server(vec![huge]).await;
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(
        matches!(&error.problem, BucketProblem::Status { status, code, .. } if *status == 404 && code == "NoSuchKey"),
        "{error}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, mut requests) = server(vec![answer("200 OK", "", "cat")]).await;
    let moved = answer(
        "307 Temporary Redirect",
        &format!("Location: {elsewhere}/x\r\n"),
        "",
    );
    let (endpoint, _heads) = server(vec![moved]).await;
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(
        matches!(error.problem, BucketProblem::Status { status, .. } if status == 307),
        "{error}"
    );
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn a_temporary_failure_is_retried_twice() {
    let busy = answer("503 Slow Down", "", "");
    let (endpoint, _heads) = server(vec![
        busy.clone(),
        busy.clone(),
        answer("200 OK", "", "cat"),
    ])
    .await;
    get(&endpoint, keys(), "x")
        .await
        .expect("the third attempt works");

    let (endpoint, mut heads) = server(vec![busy]).await;
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(
        matches!(error.problem, BucketProblem::Status { status, .. } if status == 503),
        "{error}"
    );
    let mut attempts = 0;
    while heads.try_recv().is_ok() {
        attempts += 1;
    }
    assert_eq!(attempts, 3);
}

#[tokio::test]
async fn headers_that_are_not_ascii_do_not_matter() {
    let odd = "x-amz-meta-title: gr\u{fc}n\r\nContent-Disposition: inline; filename=\"\u{e9}.jpg\"\r\nLast-Modified: yesterday\r\n";
    let (endpoint, _heads) = server(vec![answer("200 OK", odd, "cat")]).await;
    get(&endpoint, keys(), "x")
        .await
        .expect("the content is fine");
}

#[tokio::test]
async fn hostile_validators_and_keys_do_not_panic() {
    let (endpoint, _heads) = server(vec![answer("200 OK", "", "cat")]).await;
    let bucket =
        Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("the settings are right");
    let odd = Conditions {
        etag: Some("\"a\r\nx: y\""),
        last_modified: None,
    };
    bucket.get("x", odd).await.expect("the tag is left out");
    let centuries = Duration::from_secs(1 << 60);
    for date in [
        SystemTime::UNIX_EPOCH.checked_sub(centuries),
        SystemTime::UNIX_EPOCH.checked_add(centuries),
    ] {
        bucket
            .get(
                "x",
                Conditions {
                    etag: None,
                    last_modified: date,
                },
            )
            .await
            .expect("the date is left out");
    }
    let long = "x".repeat(100_000);
    for key in [
        "",
        ".",
        "..",
        "a/../b",
        "/./a",
        "a/..",
        "a\\..\\b",
        "a\0b",
        "a\nb",
        "a\u{7f}b",
        long.as_str(),
    ] {
        let error = problem(bucket.get(key, Conditions::default()).await);
        assert!(
            matches!(error.problem, BucketProblem::UnusableKey),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_timeout_and_a_refused_connection_have_different_errors() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("it is bound"));
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(matches!(error.problem, BucketProblem::Timeout), "{error}");

    drop(silent);
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(
        matches!(error.problem, BucketProblem::Connect(_)),
        "{error}"
    );

    let error = problem(get("http://no-such-host.invalid", keys(), "x").await);
    assert!(matches!(error.problem, BucketProblem::Dns(_)), "{error}");

    let (endpoint, _heads) = server(vec!["HTTP/1.1 200 OK\r\nConte".to_owned()]).await;
    let error = problem(get(&endpoint, keys(), "x").await);
    assert!(
        matches!(error.problem, BucketProblem::BrokenOff(_)),
        "{error}"
    );
}

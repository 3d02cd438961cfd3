//! Objects with every kind of key, and lists of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential};

use super::TIMEOUTS;
use super::answer;
use super::config;
use super::get;
use super::keys;
use super::problem;
use super::server;
use crate::bucket::credentials::ChainError;
use crate::bucket::http::Transport;
use crate::bucket::reader::{Reader, Signer};
use crate::bucket::{Bucket, BucketError, BucketProblem, Conditions, GetResponse};

async fn content(response: GetResponse) -> Result<Vec<u8>, BucketError> {
    let GetResponse::Object(object) = response else {
        panic!("nothing is known yet");
    };
    let parts: Vec<_> = object.body.try_collect().await?;
    Ok(parts.concat())
}

#[tokio::test]
async fn keys_are_requested_as_they_are() {
    let (endpoint, mut heads) = server(vec![answer("200 OK", "", "cat")]).await;
    let longest = "x".repeat(1024);
    let path_of_longest = format!("/{longest}");
    for (key, path) in [
        ("/lead.png", "//lead.png"),
        ("b//c.png", "/b//c.png"),
        ("b///c.png", "/b///c.png"),
        ("trail/", "/trail/"),
        ("a b+%~*.png ", "/a%20b%2b%25~%2a.png%20"),
        ("...", "/..."),
        (longest.as_str(), path_of_longest.as_str()),
    ] {
        let response = get(&endpoint, keys(), key).await.expect(key);
        assert_eq!(content(response).await.expect(key), b"cat");
        let head = heads.recv().await.expect("a request");
        assert!(
            head.starts_with(&format!("get /my-bucket{path} http/1.1\r\n")),
            "{key}: {head}"
        );
        assert!(
            head.contains("\r\nauthorization: aws4-hmac-sha256 "),
            "{head}"
        );
    }
}

#[tokio::test]
async fn retries_and_continued_content_are_of_the_same_object() {
    let part = |status: &str, headers: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nETag: \"1\"\r\nConnection: close\r\n{headers}\r\n{body}")
    };
    let (endpoint, mut heads) = server(vec![
        answer("503 Slow Down", "", ""),
        part("200 OK", "Content-Length: 6\r\n", "abc"),
        part(
            "206 Partial Content",
            "Content-Length: 3\r\nContent-Range: bytes 3-5/6\r\n",
            "def",
        ),
    ])
    .await;
    let response = get(&endpoint, keys(), "/a//b/").await.expect("an object");
    assert_eq!(content(response).await.expect("all of it"), b"abcdef");
    for _ in 0..3 {
        let head = heads.recv().await.expect("a request");
        assert!(
            head.starts_with("get /my-bucket//a//b/ http/1.1\r\n"),
            "{head}"
        );
        assert!(head.contains("\r\nauthorization: "), "{head}");
    }
}

#[tokio::test]
async fn conditions_and_beginnings_work_for_every_key() {
    let (endpoint, mut heads) = server(vec![
        answer("304 Not Modified", "Cache-Control: max-age=60\r\n", ""),
        answer(
            "206 Partial Content",
            "Content-Range: bytes 0-2/9\r\n",
            "cat",
        ),
        answer("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>"),
    ])
    .await;
    let bucket = Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("sound settings");
    let known = Conditions {
        etag: Some("\"1\""),
        last_modified: None,
    };
    let response = bucket.get("a//b", known).await.expect("it has not changed");
    assert!(
        matches!(response, GetResponse::NotModified(headers) if headers["cache-control"] == "max-age=60")
    );
    let head = heads.recv().await.expect("a request");
    assert!(head.contains("\r\nif-none-match: \"1\"\r\n"), "{head}");
    let (bytes, length) = bucket.beginning("a//b", 3).await.expect("it is there");
    assert_eq!((&bytes[..], length), (&b"cat"[..], 9));
    let head = heads.recv().await.expect("a request");
    assert!(
        head.starts_with("get /my-bucket/a//b http/1.1\r\n"),
        "{head}"
    );
    let error = problem(bucket.get("a//b", known).await);
    assert!(error.is_missing(), "{error}");
}

/// Fails always, as a chain without credentials does.
#[derive(Debug)]
struct NoCredentials(AtomicUsize);

#[async_trait]
impl CredentialProvider for NoCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Err(object_store::Error::Generic {
            store: "S3",
            source: Box::new(ChainError {
                reason: "the chain has none".to_owned(),
            }),
        })
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let (endpoint, mut heads) = server(vec![answer("200 OK", "", "cat")]).await;
    let mut bucket = Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("sound settings");
    let credentials = Arc::new(NoCredentials(AtomicUsize::new(0)));
    let signer = Signer {
        credentials: Arc::<NoCredentials>::clone(&credentials),
        region: "eu-west-1".to_owned(),
    };
    let transport = Transport::new(TIMEOUTS).expect("a client");
    let builder = AmazonS3Builder::new()
        .with_bucket_name("my-bucket")
        .with_endpoint(&endpoint);
    let base = format!("{endpoint}/my-bucket");
    bucket.reader = Reader::new(base, builder, transport, Some(signer)).expect("a reader");
    let error = problem(bucket.get("a", Conditions::default()).await);
    assert!(
        error.to_string().starts_with(
            "bucket `photos`: no AWS credentials: the chain has none; set AWS_ACCESS_KEY_ID"
        ),
        "{error}"
    );
    assert!(matches!(error.problem, BucketProblem::Credentials(_)));
    // It is not asked again: the chain itself knows when to look anew.
    assert_eq!(credentials.0.load(Ordering::SeqCst), 1);
    assert!(heads.try_recv().is_err());
}

fn page(keys: &[&str], next: &str) -> String {
    let contents: String = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>"))
        .collect();
    let document = format!("<ListBucketResult><Name>b</Name>{contents}{next}</ListBucketResult>");
    answer("200 OK", "", &document)
}

#[tokio::test]
async fn a_list_has_keys_of_every_kind() {
    let next = "<NextContinuationToken>t/1+=</NextContinuationToken>";
    let (endpoint, mut heads) = server(vec![
        page(&[], next),
        page(
            &["b//c.png", "/lead.png", "trail/", "a &amp; b ", "cats/"],
            next,
        ),
        page(&[], ""),
    ])
    .await;
    let bucket = Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("sound settings");
    let found = bucket.list("a b/", Some("a b/c+")).await.expect("a list");
    assert_eq!(
        found,
        ["/lead.png", "a & b ", "b//c.png", "cats/", "trail/"]
    );
    for query in [
        "list-type=2&prefix=a%20b%2f&start-after=a%20b%2fc%2b",
        "continuation-token=t%2f1%2b%3d&list-type=2&prefix=a%20b%2f",
    ] {
        let head = heads.recv().await.expect("a request");
        assert!(
            head.starts_with(&format!("get /my-bucket?{query} http/1.1\r\n")),
            "{head}"
        );
        assert!(
            head.contains("\r\nauthorization: aws4-hmac-sha256 "),
            "{head}"
        );
    }
    assert!(bucket.list("", None).await.expect("a list").is_empty());
}

#[tokio::test]
async fn what_is_no_list_is_an_error() {
    let endless = page(&[&"x".repeat(9 << 20)], "");
    for (reply, message) in [
        (
            answer("200 OK", "", "<html/>"),
            "the answer is not a list of objects",
        ),
        (
            answer("200 OK", "", "<ListBucketResult>"),
            "the list of objects ends early",
        ),
        (endless, "the list of objects is too long"),
        (
            answer(
                "403 Forbidden",
                "",
                "<Error><Code>AccessDenied</Code></Error>",
            ),
            "answered 403 AccessDenied",
        ),
    ] {
        let (endpoint, _heads) = server(vec![reply]).await;
        let bucket = Bucket::open(&config(&endpoint, keys()), TIMEOUTS).expect("sound settings");
        let error = bucket.list("", None).await.expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

//! Hosted images in a bucket that fails in all the ways in which buckets do.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::bucket;
use crate::bucket::{AddressingStyle, Credentials};
use crate::hosted::tests::{id, names, upload};
use crate::hosted::tombstone::tombstone;
use crate::hosted::{Changes, Config, Hosted, HostedError, Record, Store};

/// What is wrong with the bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Fine,
    /// It ignores the conditions of writes.
    Cheating,
    /// It stores the next record, and then answers this.
    FailsAfterWrite(u16),
    /// It stores the next record, and then refuses the write, as it does where an attempt before had no answer; and it does not let the record be read
    /// at once.
    Forgetful,
    /// It does not let the next record be read.
    Unreadable,
    /// It answers this to the next write of a record, and stores nothing.
    FailsOnce(u16),
    /// It takes no entries of the log.
    LogFails,
    /// It answers this status and code to everything.
    Down(u16, &'static str),
    /// It answers this to each write.
    ReadOnly(u16),
}

pub(super) struct Server {
    mood: Mutex<Mood>,
    /// `/NAME`, which all paths begin with.
    root: String,
    objects: Mutex<BTreeMap<String, (Bytes, u64)>>,
    writes: Mutex<u64>,
}

impl Server {
    async fn start() -> (Arc<Server>, bucket::Config) {
        Server::start_named("b").await
    }

    /// A server with a bucket of this name.
    pub(super) async fn start_named(name: &str) -> (Arc<Server>, bucket::Config) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Server::start_at(listener, name)
    }

    fn start_at(listener: TcpListener, name: &str) -> (Arc<Server>, bucket::Config) {
        let server = Arc::new(Server {
            mood: Mutex::new(Mood::Fine),
            root: format!("/{name}"),
            objects: Mutex::default(),
            writes: Mutex::default(),
        });
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = Arc::clone(&shared);
                tokio::spawn(async move {
                    let answer = service_fn(move |request| {
                        let server = Arc::clone(&server);
                        async move { Ok::<_, Infallible>(server.answer(request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection
                        .serve_connection(TokioIo::new(socket), answer)
                        .await;
                });
            }
        });
        let section = bucket::Config {
            name: "images".to_owned(),
            bucket: name.to_owned(),
            region: String::new(),
            endpoint,
            style: AddressingStyle::Path,
            credentials: Credentials::Anonymous,
        };
        (server, section)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no panic") = mood;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.expect("it arrives").to_bytes();
        let below = head.uri.path().strip_prefix(&self.root);
        let key = below.unwrap_or_default().trim_start_matches('/').to_owned();
        let mood = *self.mood.lock().expect("no panic");
        if let Mood::Down(status, code) = mood {
            return reply(status, &format!("<Error><Code>{code}</Code></Error>"));
        }
        let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        if mood == Mood::Unreadable && head.method == Method::GET && key.contains("records/") {
            self.set(Mood::Fine);
            return reply(403, "");
        }
        match head.method {
            Method::PUT => self.put(key, body, field(IF_NONE_MATCH), field(IF_MATCH)),
            Method::POST => self.delete(&body),
            _ if key.is_empty() => self.list(head.uri.query().unwrap_or_default()),
            _ => match self.objects.lock().expect("no panic").get(&key) {
                None => reply(404, "<Error><Code>NoSuchKey</Code></Error>"),
                Some((_, tag)) if field(IF_NONE_MATCH) == Some(&format!("\"{tag}\"")) => {
                    reply(304, "")
                }
                Some((bytes, tag)) => tagged(bytes.clone(), *tag),
            },
        }
    }

    fn put(
        &self,
        key: String,
        body: Bytes,
        absent: Option<&str>,
        matches: Option<&str>,
    ) -> Response<Full<Bytes>> {
        let mut mood = self.mood.lock().expect("no panic");
        let mut objects = self.objects.lock().expect("no panic");
        let is_record = key.contains("records/");
        match *mood {
            Mood::ReadOnly(status) => return reply(status, ""),
            Mood::LogFails if key.contains("log/") => return reply(403, ""),
            Mood::FailsOnce(status) if is_record => {
                *mood = Mood::Fine;
                return reply(status, "");
            }
            _ => {}
        }
        let now = objects.get(&key).map(|(_, tag)| format!("\"{tag}\""));
        let holds = absent.is_none_or(|_| now.is_none())
            && matches.is_none_or(|tag| now.as_deref() == Some(tag));
        if !holds && *mood != Mood::Cheating {
            return reply(412, "<Error><Code>PreconditionFailed</Code></Error>");
        }
        let mut tag = self.writes.lock().expect("no panic");
        *tag += 1;
        objects.insert(key, (body, *tag));
        match *mood {
            Mood::FailsAfterWrite(status) if is_record => {
                *mood = Mood::Fine;
                reply(status, "")
            }
            Mood::Forgetful if is_record => {
                *mood = Mood::Unreadable;
                reply(412, "<Error><Code>PreconditionFailed</Code></Error>")
            }
            _ => tagged(Bytes::new(), *tag),
        }
    }

    fn delete(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let text = String::from_utf8_lossy(body);
        let mut deleted = String::new();
        for part in text.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap_or_default();
            self.objects.lock().expect("no panic").remove(key);
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        reply(200, &format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn list(&self, query: &str) -> Response<Full<Bytes>> {
        let fields: BTreeMap<String, String> = serde_urlencoded::from_str(query).expect("a query");
        let prefix = fields.get("prefix").map_or("", String::as_str);
        let after = fields.get("start-after").map_or("", String::as_str);
        let objects = self.objects.lock().expect("no panic");
        let listed = objects
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let listed: String = listed
            .map(|(key, (_, tag))| {
                format!("<Contents><Key>{key}</Key><ETag>&quot;{tag}&quot;</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>")
            })
            .collect();
        reply(
            200,
            &format!("<ListBucketResult>{listed}</ListBucketResult>"),
        )
    }
}

fn reply(status: u16, text: &str) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status);
    response
        .body(Full::from(text.to_owned()))
        .expect("a status")
}

fn tagged(bytes: Bytes, tag: u64) -> Response<Full<Bytes>> {
    let response = Response::builder().header(ETAG, format!("\"{tag}\""));
    let response = response.header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    response.body(Full::new(bytes)).expect("a tag")
}

fn config(folder: &TempDir, replicas: bool) -> Config {
    Config {
        store: Store::Bucket {
            name: "images".to_owned(),
            prefix: "my/images".to_owned(),
        },
        index: folder.path().join("index"),
        replicas,
        ..Config::default()
    }
}

async fn open(folder: &TempDir, section: &bucket::Config, replicas: bool) -> Arc<Hosted> {
    let opened = Hosted::open(&config(folder, replicas), std::slice::from_ref(section)).await;
    let hosted = opened.expect("a usable bucket").expect("a store");
    while !hosted
        .stats
        .is_reconciled
        .load(std::sync::atomic::Ordering::Acquire)
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hosted
}

#[tokio::test]
async fn a_write_that_seems_to_fail_and_is_stored_is_a_success() {
    let (server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, true).await;
    for (number, mood) in [
        Mood::FailsAfterWrite(500),
        Mood::FailsAfterWrite(503),
        Mood::FailsAfterWrite(409),
        Mood::FailsAfterWrite(412),
        Mood::FailsOnce(500),
        Mood::FailsOnce(409),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("n{number}");
        server.set(mood);
        let stored = upload(&hosted, &name, "x").await;
        assert!(stored.is_ok(), "{mood:?}: {stored:?}");
        server.set(mood);
        let changes = Changes {
            creator: Some(Some("u".to_owned())),
            ..Changes::default()
        };
        let changed = hosted.update(&id(&name), changes).await;
        assert!(changed.is_ok(), "{mood:?}: {changed:?}");
        assert_eq!(*server.mood.lock().expect("no panic"), Mood::Fine);
    }
    assert_eq!(names(&hosted).await.len(), 6);
}

#[tokio::test]
async fn a_write_whose_end_is_unknown_keeps_the_file() {
    let (server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, true).await;
    server.set(Mood::Forgetful);
    let stored = upload(&hosted, "a", "x").await;
    assert!(matches!(&stored, Err(HostedError::Store(_))), "{stored:?}");
    assert_eq!(*server.mood.lock().expect("no panic"), Mood::Fine);
    let record = hosted.find(&id("a")).await.expect("asked").expect("there");
    let original = record.original.as_ref().expect("a file");
    assert_eq!(hosted.read(&original.key).await.expect("a file"), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_gets_another_name_outlives_a_log_that_fails() {
    let (server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, false).await;
    upload(&hosted, "a", "x").await.expect("stored");
    // It gets the new name, and waits before it loses the old one.
    let held = hosted.locks.lock("a").await;
    let renamer = Arc::clone(&hosted);
    let renaming = tokio::spawn(async move { renamer.rename(&id("a"), id("b")).await });
    for _ in 0..2000 {
        if hosted.known(&id("b")).is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.set(Mood::LogFails);
    drop(held);
    let renamed = renaming.await.expect("no panic");
    assert!(
        matches!(&renamed, Err(HostedError::Store(_))),
        "{renamed:?}"
    );
    assert!(hosted.find(&id("a")).await.expect("asked").is_none());
    let left = hosted.find(&id("b")).await.expect("asked").expect("there");
    let original = left.original.as_ref().expect("a file");
    assert_eq!(hosted.read(&original.key).await.expect("a file"), "x");
}

#[tokio::test]
async fn a_bucket_that_refuses_writes_is_an_error_and_leaves_nothing() {
    let (server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, false).await;
    upload(&hosted, "a", "x").await.expect("stored");
    for status in [403, 507] {
        server.set(Mood::ReadOnly(status));
        let refused = upload(&hosted, "b", "x").await;
        assert!(
            matches!(&refused, Err(HostedError::Store(reason)) if reason.contains(&status.to_string())),
            "{refused:?}"
        );
        let refused = hosted.delete(&id("a")).await;
        assert!(matches!(refused, Err(HostedError::Store(_))));
        hosted
            .find(&id("a"))
            .await
            .expect("asked")
            .expect("still there");
        assert_eq!(names(&hosted).await, ["a"]);
    }
    server.set(Mood::Fine);
    upload(&hosted, "b", "x").await.expect("it works again");
    hosted.sweep(Duration::ZERO).await.expect("swept");
    let objects = server.objects.lock().expect("no panic");
    let originals = objects
        .keys()
        .filter(|key| key.starts_with("my/images/originals/"));
    assert_eq!(originals.count(), 2);
}

#[tokio::test]
async fn a_bucket_that_ignores_conditions_is_for_one_process() {
    let (server, section) = Server::start().await;
    server.set(Mood::Cheating);
    let folder = TempDir::new().expect("a folder");
    let refused = Hosted::open(&config(&folder, true), std::slice::from_ref(&section)).await;
    let error = refused.err().expect("refused").to_string();
    assert!(
        error.contains("bucket `images` ignores the conditions of writes"),
        "{error}"
    );
    let hosted = open(&folder, &section, false).await;
    let uploads = (0..8).map(|_| upload(&hosted, "a", "x"));
    let done = futures_util::future::join_all(uploads).await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    hosted.delete(&id("a")).await.expect("deleted");
    upload(&hosted, "a", "x").await.expect("free again");
}

#[tokio::test]
async fn processes_that_share_a_bucket_by_mistake_notice_it() {
    let (_server, section) = Server::start().await;
    let folders = [(); 2].map(|()| TempDir::new().expect("a folder"));
    let [one, other] = [0, 1].map(|number| open(&folders[number], &section, false));
    let (one, other) = (one.await, other.await);
    upload(&one, "a", "x").await.expect("stored");
    // What was there before, and what it wrote itself, is no sign of others.
    one.follow_log().await.expect("a list");
    other.follow_log().await.expect("a list");
    assert!(!one.is_shared() && !other.is_shared());
    let private = |hosted: Arc<Hosted>| async move {
        let record = hosted.find(&id("a")).await.expect("a store");
        record.expect("the image").require_signed_urls
    };
    assert!(!private(Arc::clone(&one)).await);
    let changes = Changes {
        require_signed_urls: Some(true),
        ..Changes::default()
    };
    other.refresh("a".to_owned()).await.expect("a record");
    other.update(&id("a"), changes).await.expect("stored");
    assert!(!private(Arc::clone(&one)).await, "it has not looked yet");
    while !one.is_shared() {
        one.follow_log().await.expect("a list");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(private(one).await);
    assert!(!other.is_shared());
}

#[tokio::test]
async fn an_image_that_is_swept_away_with_a_tombstone_comes_back() {
    let (server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, true).await;
    let first = upload(&hosted, "a", "x").await.expect("stored");
    let key = "my/images/records/a/-/record.json";
    let exists = || server.objects.lock().expect("no panic").contains_key(key);
    let remove = || server.objects.lock().expect("no panic").remove(key);
    // An image that took the place of nothing stays away.
    remove();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!exists());
    let old = Record {
        uploaded: 0,
        ..tombstone(&first)
    };
    let json = serde_json::to_vec(&old).expect("a record");
    server.put(key.to_owned(), json.into(), None, None);
    hosted.memory.remove(&first.id);
    let again = upload(&hosted, "a", "y").await.expect("the name is free");
    // Another process has seen the tombstone, and deletes it now.
    remove();
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if exists() {
            break;
        }
    }
    assert!(exists());
    hosted.memory.remove(&first.id);
    let found = hosted.find(&first.id).await.expect("asked");
    assert_eq!(found.expect("it is back").rev, again.rev);
}

#[tokio::test]
async fn names_that_nobody_has_cost_no_write() {
    let (_server, section) = Server::start().await;
    let folder = TempDir::new().expect("a folder");
    let hosted = open(&folder, &section, true).await;
    let index = rusqlite::Connection::open(folder.path().join("index/index.sqlite"));
    let index = index.expect("a database");
    index
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody writes");
    let finding = id("none");
    let found = tokio::time::timeout(Duration::from_secs(2), hosted.find(&finding));
    let found = found.await.expect("it does not wait").expect("asked");
    assert!(found.is_none());
}

#[tokio::test]
async fn a_bucket_that_is_not_configured_is_named() {
    let folder = TempDir::new().expect("a folder");
    let refused = Hosted::open(&config(&folder, false), &[]).await;
    let error = refused.err().expect("refused").to_string();
    assert!(
        error.contains("there is no `[[bucket]]` of this name"),
        "{error}"
    );
}

#[tokio::test]
async fn a_bucket_that_is_down_at_the_start_is_used_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (server, mut section) = Server::start().await;
    section.endpoint = format!("http://{address}");
    // Nobody listens there now.
    drop(listener);
    drop(server);
    let folder = TempDir::new().expect("a folder");
    let opened = Hosted::open(&config(&folder, true), std::slice::from_ref(&section)).await;
    let hosted = opened.expect("it starts").expect("a store");
    let refused = |error: Option<HostedError>| matches!(error, Some(HostedError::Store(_)));
    assert!(refused(hosted.check_open().err()));
    assert!(refused(hosted.find(&id("a")).await.err()));
    assert!(refused(upload(&hosted, "a", "x").await.err()));
    assert!(refused(hosted.delete(&id("a")).await.err()));
    assert!(refused(
        hosted
            .list(&crate::hosted::ImageQuery::default())
            .await
            .err()
    ));
    let changed = hosted.change_settings(|_| Ok::<(), ()>(()));
    assert!(refused(changed.await.err()));
    let listener = TcpListener::bind(address).await.expect("it is free");
    let (server, _) = Server::start_at(listener, "b");
    server.set(Mood::Cheating);
    hosted.open_later().await;
    let reason = hosted.check_open().expect_err("still refused").to_string();
    assert!(reason.contains("ignores the conditions"), "{reason}");
    server.set(Mood::Fine);
    hosted.open_later().await;
    hosted.check_open().expect("it is open");
    upload(&hosted, "a", "x").await.expect("stored");
    assert_eq!(hosted.settings().keys.len(), 1);
}

#[tokio::test]
async fn a_bucket_that_lets_nobody_in_is_refused_at_the_start() {
    let (server, section) = Server::start().await;
    for (status, code) in [(403, "AccessDenied"), (404, "NoSuchBucket")] {
        server.set(Mood::Down(status, code));
        let folder = TempDir::new().expect("a folder");
        let refused = Hosted::open(&config(&folder, false), std::slice::from_ref(&section)).await;
        let error = refused.err().expect("refused").to_string();
        assert!(error.contains(code), "{error}");
    }
}

//! What all kinds of origins must do alike.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::policy::{ApprovedSource, ZoneOrigin};
use crate::source::tests::origin::{Action, TestOrigin, answer, header, target};
use crate::source::tests::{LIMIT, TestSources, allowing, bucket, config, no_zone, world};
use crate::source::{Config, FetchOutcome, FetchedSource, SourceError};

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;
type Approve = Box<dyn Fn(&TestSources, &str) -> ApprovedSource>;

/// One kind of origin, and how to reach a file on it.
struct OriginKind {
    name: &'static str,
    world: TestSources,
    store: Store,
    approve: Approve,
}

enum Store {
    Server { files: Files, _origin: TestOrigin },
    Folder(TempDir),
}

impl OriginKind {
    fn put(&self, name: &str, content: &[u8]) {
        match &self.store {
            Store::Server { files, .. } => {
                files
                    .lock()
                    .expect("not poisoned")
                    .insert(format!("/my-bucket/{name}"), content.to_vec());
            }
            Store::Folder(folder) => {
                fs::write(folder.path().join(name), content).expect("the folder is writable")
            }
        }
    }

    fn source(&self, name: &str) -> ApprovedSource {
        (self.approve)(&self.world, name)
    }
}

/// A server with entity tags and conditional requests, like buckets and web servers.
async fn server() -> (Files, TestOrigin) {
    let files = Files::default();
    let served = Arc::clone(&files);
    let origin = TestOrigin::start(move |head| serve(&served, head)).await;
    (files, origin)
}

fn serve(files: &Files, head: &str) -> Vec<Action> {
    let files = files.lock().expect("not poisoned");
    let Some(content) = files.get(target(head)) else {
        return answer(404, "", b"no such key");
    };
    let etag = format!("\"{}\"", blake3::hash(content));
    let headers = format!("ETag: {etag}\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    if header(head, "if-none-match") == Some(&etag) {
        return answer(304, &headers, b"");
    }
    answer(200, &headers, content)
}

fn approve_zone(world: &TestSources, name: &str) -> ApprovedSource {
    world
        .allowlist
        .approve_zone(&format!("/{name}"))
        .expect("the zone allows it")
}

async fn kinds() -> Vec<OriginKind> {
    let mut kinds = Vec::new();

    let (files, origin) = server().await;
    let base = origin.url("/my-bucket/");
    kinds.push(OriginKind {
        name: "allowed server",
        world: allowing(&config(), &origin),
        store: Store::Server {
            files,
            _origin: origin,
        },
        approve: Box::new(move |world, name| {
            world
                .allowlist
                .approve(&base.join(name).expect("a URL"))
                .expect("it is allowed")
        }),
    });

    // Without `private_networks`: the zone's origin and the buckets may be at private addresses nevertheless.
    let closed = Config {
        private_networks: false,
        ..config()
    };
    let (files, origin) = server().await;
    kinds.push(OriginKind {
        name: "zone server",
        world: world(
            &closed,
            ZoneOrigin::Http(origin.url("/my-bucket")),
            &[],
            &[],
        ),
        store: Store::Server {
            files,
            _origin: origin,
        },
        approve: Box::new(approve_zone),
    });

    let folder = tempfile::tempdir().expect("a temporary folder");
    kinds.push(OriginKind {
        name: "zone folder",
        world: world(
            &closed,
            ZoneOrigin::Folder(folder.path().to_owned()),
            &[],
            &[],
        ),
        store: Store::Folder(folder),
        approve: Box::new(approve_zone),
    });

    let (files, origin) = server().await;
    let base = origin.url("/my-bucket/");
    kinds.push(OriginKind {
        name: "bucket",
        world: world(&closed, no_zone(), &[], &[bucket(&origin.url(""))]),
        store: Store::Server {
            files,
            _origin: origin,
        },
        approve: Box::new(move |world, name| {
            world
                .allowlist
                .approve(&base.join(name).expect("a URL"))
                .expect("it is configured")
        }),
    });

    let (files, origin) = server().await;
    kinds.push(OriginKind {
        name: "zone bucket",
        world: world(
            &closed,
            ZoneOrigin::Bucket("photos".to_owned()),
            &[],
            &[bucket(&origin.url(""))],
        ),
        store: Store::Server {
            files,
            _origin: origin,
        },
        approve: Box::new(approve_zone),
    });
    kinds
}

#[track_caller]
fn fetched(kind: &OriginKind, answer: Result<FetchOutcome, SourceError>) -> FetchedSource {
    match answer {
        Ok(FetchOutcome::Fetched(fetched)) => fetched,
        other => panic!("{}: expected content, got {other:?}", kind.name),
    }
}

#[tokio::test]
async fn a_source_is_fetched_completely() {
    for kind in kinds().await {
        let content: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        kind.put("cat.jpg", &content);
        let found = fetched(
            &kind,
            kind.world
                .sources
                .fetch(&kind.source("cat.jpg"), None)
                .await,
        );
        assert!(found.bytes == content, "{}", kind.name);
        assert!(
            found.validators.etag.is_some() && found.validators.last_modified.is_some(),
            "{}",
            kind.name
        );
        assert!(found.freshness.is_storable(), "{}", kind.name);
        kind.put("empty.jpg", b"");
        let found = fetched(
            &kind,
            kind.world
                .sources
                .fetch(&kind.source("empty.jpg"), None)
                .await,
        );
        assert!(found.bytes.is_empty(), "{}", kind.name);
    }
}

#[tokio::test]
async fn a_missing_source_is_not_found() {
    for kind in kinds().await {
        let answer = kind
            .world
            .sources
            .fetch(&kind.source("dog.jpg"), None)
            .await;
        assert!(
            matches!(answer, Err(SourceError::NotFound { .. })),
            "{}: {answer:?}",
            kind.name
        );
    }
}

#[tokio::test]
async fn an_unchanged_source_is_not_sent_again() {
    for kind in kinds().await {
        kind.put("cat.jpg", b"cat");
        let source = kind.source("cat.jpg");
        let known = fetched(&kind, kind.world.sources.fetch(&source, None).await).validators;
        let answer = kind.world.sources.fetch(&source, Some(&known)).await;
        match answer {
            Ok(FetchOutcome::NotModified { validators, .. }) => {
                assert_eq!(validators, known, "{}", kind.name)
            }
            other => panic!("{}: expected no change, got {other:?}", kind.name),
        }
    }
}

#[tokio::test]
async fn a_changed_source_is_sent_again() {
    for kind in kinds().await {
        kind.put("cat.jpg", b"cat");
        let source = kind.source("cat.jpg");
        let known = fetched(&kind, kind.world.sources.fetch(&source, None).await).validators;
        kind.put("cat.jpg", b"a cat");
        let newer = fetched(&kind, kind.world.sources.fetch(&source, Some(&known)).await);
        assert_eq!(newer.bytes, "a cat", "{}", kind.name);
        assert_ne!(newer.validators.etag, known.etag, "{}", kind.name);
    }
}

#[tokio::test]
async fn a_source_beyond_the_limit_is_refused() {
    let limit = usize::try_from(LIMIT).expect("a small number");
    for kind in kinds().await {
        kind.put("large.jpg", &vec![7; limit]);
        let found = fetched(
            &kind,
            kind.world
                .sources
                .fetch(&kind.source("large.jpg"), None)
                .await,
        );
        assert_eq!(found.bytes.len(), limit, "{}", kind.name);
        kind.put("huge.jpg", &vec![7; limit + 1]);
        let answer = kind
            .world
            .sources
            .fetch(&kind.source("huge.jpg"), None)
            .await;
        assert!(
            matches!(answer, Err(SourceError::TooLarge { limit: LIMIT, .. })),
            "{}: {answer:?}",
            kind.name
        );
    }
}

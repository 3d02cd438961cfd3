//! Lists of an index.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::hosted::id::ImageId;
use crate::hosted::index::{Index, READERS, Row};
use crate::hosted::query::{ImageQuery, MetaFilter, MetaTest};
use crate::hosted::record::{Record, State};

fn row(name: &str, uploaded: u64, change: impl FnOnce(&mut Record)) -> Row {
    let mut record = Record {
        v: 1,
        rev: String::new(),
        id: ImageId::new(name).expect("a name"),
        state: State::Ready,
        filename: Some(format!("{name}.jpg")),
        creator: None,
        meta: serde_json::Map::new(),
        require_signed_urls: false,
        uploaded,
        expires: None,
        original: None,
        renditions: Vec::new(),
        upload: None,
    };
    change(&mut record);
    Row {
        key: record.id.key(false),
        record: Arc::new(record),
        etag: "\"1\"".to_owned(),
        seen: 1,
    }
}

fn meta(value: &Value) -> serde_json::Map<String, Value> {
    value.as_object().expect("an object").clone()
}

async fn index(folder: &TempDir) -> Index {
    let opened = Index::open(folder.path().to_owned(), "here".to_owned()).await;
    let (index, is_complete) = opened.expect("an index");
    assert!(!is_complete);
    let rows = [
        row("cats/a", 1000, |record| {
            record.creator = Some("u1".to_owned());
            record.meta = meta(&json!({"s": "active", "n": 1, "b": true, "deep": {"x": "y"}}));
        }),
        row("cats/b", 2000, |record| {
            record.meta = meta(&json!({"s": "active", "n": 2.5, "b": false}));
        }),
        row("cats/c", 2000, |record| {
            record.creator = Some("u1".to_owned());
            record.meta = meta(&json!({"s": "old", "n": "5"}));
        }),
        row("dogs/d", 3000, |record| {
            record.meta = meta(&json!({"n": 5, "s": {"x": 1}}));
        }),
        row("draft", 4000, |record| {
            record.state = State::Draft;
            record.expires = Some(100);
        }),
        row("gone", 5000, |record| record.state = State::Deleted),
    ];
    for row in rows {
        index.apply(row.clone()).await.expect("applied");
        // A second time changes nothing.
        index.apply(row).await.expect("applied");
    }
    index
}

#[tokio::test]
async fn a_reader_waits_for_those_that_were_given_up() {
    let folder = TempDir::new().expect("a folder");
    let index = index(&folder).await;
    for _ in 0..READERS {
        let slow = index.read(|_| {
            std::thread::sleep(Duration::from_millis(500));
            Ok(())
        });
        let answer = tokio::time::timeout(Duration::from_millis(20), slow).await;
        assert!(answer.is_err(), "its client has gone");
    }
    let id = ImageId::new("cats/a").expect("a name");
    let row = index.get(&id).await.expect("it waits for its turn");
    assert!(row.is_some());
}

#[track_caller]
fn names(images: &[Arc<Record>]) -> String {
    let names: Vec<&str> = images.iter().map(|image| image.id.as_str()).collect();
    names.join(" ")
}

fn all() -> ImageQuery {
    ImageQuery {
        limit: 100,
        ..ImageQuery::default()
    }
}

fn filter(path: &str, test: MetaTest) -> ImageQuery {
    ImageQuery {
        meta: vec![MetaFilter {
            path: path.split('.').map(str::to_owned).collect(),
            test,
        }],
        ..all()
    }
}

#[tokio::test]
async fn lists_have_what_was_asked_for() {
    let folder = TempDir::new().expect("a folder");
    let index = index(&folder).await;
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let mut both = filter("s", MetaTest::String(texts(&["active"])));
    both.meta
        .extend(filter("n", MetaTest::Above(1.0, false)).meta);
    let table = [
        (all(), "cats/a cats/b cats/c dogs/d"),
        (
            ImageQuery {
                newest_first: true,
                ..all()
            },
            "dogs/d cats/c cats/b cats/a",
        ),
        (ImageQuery { offset: 3, ..all() }, "dogs/d"),
        (
            ImageQuery {
                creator: Some("u1".to_owned()),
                ..all()
            },
            "cats/a cats/c",
        ),
        (
            ImageQuery {
                creator: Some(String::new()),
                ..all()
            },
            "cats/b dogs/d",
        ),
        (
            ImageQuery {
                prefix: Some("cats/".to_owned()),
                ..all()
            },
            "cats/a cats/b cats/c",
        ),
        (
            ImageQuery {
                prefix: Some("ca%".to_owned()),
                ..all()
            },
            "",
        ),
        (
            ImageQuery {
                uploaded_after: Some(2000),
                ..all()
            },
            "cats/b cats/c dogs/d",
        ),
        (
            ImageQuery {
                uploaded_before: Some(2000),
                ..all()
            },
            "cats/a",
        ),
        (
            ImageQuery {
                filename: Some("cats/b.jpg".to_owned()),
                ..all()
            },
            "cats/b",
        ),
        (
            ImageQuery {
                drafts: true,
                ..all()
            },
            "draft",
        ),
        (
            ImageQuery {
                after: Some((2000, "cats/b".to_owned())),
                ..all()
            },
            "cats/c dogs/d",
        ),
        (
            ImageQuery {
                after: Some((2000, "cats/c".to_owned())),
                newest_first: true,
                ..all()
            },
            "cats/b cats/a",
        ),
        (
            filter("s", MetaTest::Text(texts(&["active"]))),
            "cats/a cats/b",
        ),
        (filter("n", MetaTest::Text(texts(&["5"]))), "cats/c dogs/d"),
        (
            filter("n", MetaTest::Text(texts(&["1", "2.5"]))),
            "cats/a cats/b",
        ),
        (filter("n", MetaTest::String(texts(&["5"]))), "cats/c"),
        (
            filter("n", MetaTest::Number(vec![5.0, 1.0])),
            "cats/a dogs/d",
        ),
        (filter("b", MetaTest::Boolean(true)), "cats/a"),
        (filter("b", MetaTest::Text(texts(&["false"]))), "cats/b"),
        (filter("n", MetaTest::Above(2.5, true)), "cats/b dogs/d"),
        (filter("n", MetaTest::Above(2.5, false)), "dogs/d"),
        (filter("n", MetaTest::Below(2.5, false)), "cats/a"),
        (filter("n", MetaTest::Below(2.5, true)), "cats/a cats/b"),
        (filter("deep.x", MetaTest::String(texts(&["y"]))), "cats/a"),
        (filter("s.x", MetaTest::Number(vec![1.0])), "dogs/d"),
        (filter("s' OR 1=1 --", MetaTest::Text(texts(&["x"]))), ""),
        (both, "cats/b"),
    ];
    for (query, expected) in table {
        let page = index.list(&query, 50).await.expect("a list");
        assert_eq!(names(&page.images), expected, "{query:?}");
        let count = index.count(&query, 50).await.expect("a count");
        if query.offset == 0 {
            assert_eq!(count, page.images.len() as u64, "{query:?}");
        }
    }
    let drafts = ImageQuery {
        drafts: true,
        ..all()
    };
    assert!(
        index
            .list(&drafts, 100)
            .await
            .expect("a list")
            .images
            .is_empty()
    );
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps() {
    let folder = TempDir::new().expect("a folder");
    let index = index(&folder).await;
    for newest_first in [false, true] {
        let whole = ImageQuery {
            newest_first,
            ..all()
        };
        let expected = names(&index.list(&whole, 50).await.expect("a list").images);
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let query = ImageQuery {
                limit: 1,
                after,
                newest_first,
                ..all()
            };
            let page = index.list(&query, 50).await.expect("a list");
            let last = page.images.first().expect("an image").clone();
            found.push(Arc::clone(&last));
            after = Some((last.uploaded, last.id.to_string()));
            if !page.has_more {
                break;
            }
        }
        assert_eq!(names(&found), expected);
    }
}

#[tokio::test]
async fn a_pass_finds_what_differs_and_what_is_gone() {
    let folder = TempDir::new().expect("a folder");
    let index = index(&folder).await;
    let pass = index.next_pass().await.expect("a number");
    let listed = [
        ("cats/a", "\"1\""),
        ("cats/b", "1"),
        ("cats/c", "\"2\""),
        ("new", "\"1\""),
    ];
    let listed = listed.map(|(key, etag)| (key.to_owned(), etag.to_owned()));
    let others = index.mark(listed.to_vec(), pass).await.expect("marked");
    assert_eq!(others, ["cats/c", "new"]);
    let unseen = index.unseen(pass).await.expect("a list");
    assert_eq!(unseen, ["cats/c", "dogs/d", "draft", "gone"]);
    assert_eq!(index.tombstones(5001).await.expect("a list").len(), 1);
    assert!(index.tombstones(5000).await.expect("a list").is_empty());
    assert_eq!(index.expired_drafts(101).await.expect("a list").len(), 1);
    assert!(index.expired_drafts(100).await.expect("a list").is_empty());
}

#[tokio::test]
async fn an_index_is_for_one_process_and_one_store() {
    let folder = TempDir::new().expect("a folder");
    let index = index(&folder).await;
    index.set_complete().await.expect("noted");
    let open = |place: &str| Index::open(folder.path().to_owned(), place.to_owned());
    let error = open("here").await.err().expect("refused").to_string();
    assert!(
        error.contains("each needs a `hosted.index` of its own"),
        "{error}"
    );
    drop(index);
    let (index, is_complete) = open("here").await.expect("opened");
    assert!(is_complete);
    assert_eq!(index.rows().await.expect("a count"), 6);
    drop(index);
    let (index, is_complete) = open("elsewhere").await.expect("opened");
    assert!(!is_complete);
    assert_eq!(index.rows().await.expect("a count"), 0);
}

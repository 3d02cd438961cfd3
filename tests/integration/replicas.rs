//! Several processes with hosted images in one bucket.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::Method;
use safelight::bucket;
use safelight::bucket::{AddressingStyle, Credentials};
use safelight::hosted::{
    Config, Draft, Facts, Hosted, HostedError, ImageId, ImageQuery, NewImage, Record, SpooledFile,
    Store,
};
use safelight::units::Seconds;
use serde_json::Value;

use crate::hosted::{ACCOUNT, Form, WRITE, call_as, png, post_form, result};
use crate::support::process::Process;
use crate::support::s3::S3Server;

fn section(server: &S3Server) -> bucket::Config {
    bucket::Config {
        name: "images".to_owned(),
        bucket: "images".to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: server.endpoint().to_owned(),
        style: AddressingStyle::Path,
        credentials: Credentials::Static {
            key: server.access_key().to_owned(),
            secret: server.secret_key().to_owned(),
        },
    }
}

/// One of the processes, with an index of its own.
async fn replica(server: &S3Server, folder: &Path, name: &str) -> Arc<Hosted> {
    let config = Config {
        store: Store::Bucket {
            name: "images".to_owned(),
            prefix: "hosted".to_owned(),
        },
        index: folder.join(name),
        replicas: true,
        record_ttl: Seconds::new(1),
        ..Config::default()
    };
    let opened = Hosted::open(&config, &[section(server)]).await;
    opened.expect("a usable bucket").expect("a store")
}

fn image(name: &str) -> NewImage {
    NewImage {
        id: Some(ImageId::new(name).expect("a name")),
        filename: "f.jpg".to_owned(),
        ..NewImage::default()
    }
}

fn spooled() -> SpooledFile {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(b"content").expect("room");
    SpooledFile {
        file,
        bytes: 7,
        sha256: String::new(),
    }
}

fn facts() -> Facts {
    Facts {
        extension: "jpg".to_owned(),
        ..Facts::default()
    }
}

async fn upload(hosted: &Arc<Hosted>, name: &str) -> Result<Arc<Record>, HostedError> {
    hosted.create(image(name), spooled(), facts()).await
}

async fn names(hosted: &Hosted) -> Vec<String> {
    let query = ImageQuery {
        limit: 1000,
        ..ImageQuery::default()
    };
    let since = Instant::now();
    loop {
        match hosted.list(&query).await {
            Ok(page) => {
                let names = page.images.iter().map(|image| image.id.to_string());
                return names.collect();
            }
            Err(HostedError::Indexing) if since.elapsed() < Duration::from_secs(20) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_a_bucket() {
    let server = S3Server::start().await;
    if !server.knows_conditions() {
        eprintln!("left out: this S3 server is not one for races");
        return;
    }
    server.put("images", "other", "x").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = replica(&server, folder.path(), "first").await;
    let second = replica(&server, folder.path(), "second").await;
    assert_eq!(first.settings(), second.settings());

    // Of fifty who want one name, one has it.
    let mut creators = tokio::task::JoinSet::new();
    for number in 0..50 {
        let hosted = Arc::clone(if number % 2 == 0 { &first } else { &second });
        creators.spawn(async move { upload(&hosted, "users/1/cat").await });
    }
    let done = creators.join_all().await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    let is_expected = |one: &Result<_, _>| matches!(one, Ok(_) | Err(HostedError::Exists));
    assert!(done.iter().all(is_expected), "{done:?}");

    // A draft is filled once.
    let draft = first.create_draft(Draft {
        image: image("draft"),
        expires: u64::MAX,
        max_bytes: None,
        formats: Vec::new(),
    });
    let draft = draft.await.expect("stored");
    let nonce = draft.upload.as_ref().expect("a draft").nonce.clone();
    let mut fills = tokio::task::JoinSet::new();
    for number in 0..10 {
        let hosted = Arc::clone(if number % 2 == 0 { &first } else { &second });
        let (id, nonce) = (draft.id.clone(), nonce.clone());
        fills.spawn(async move {
            let name = "f.jpg".to_owned();
            hosted
                .fill_draft(&id, &nonce, name, spooled(), facts())
                .await
        });
    }
    let done = fills.join_all().await;
    assert_eq!(done.iter().filter(|one| one.is_ok()).count(), 1);
    let is_expected = |one: &Result<_, _>| matches!(one, Ok(_) | Err(HostedError::DraftUsed));
    assert!(done.iter().all(is_expected), "{done:?}");

    // What one stores the other finds at once, and lists two seconds later.
    let new = upload(&first, "new").await.expect("stored");
    let found = second.find(&new.id).await.expect("asked").expect("there");
    assert_eq!(found, new);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let listed = names(&second).await;
    assert_eq!(listed, ["users/1/cat", "draft", "new"]);

    // What one deletes the other does not show for longer than `record_ttl`.
    let key = &new.original.as_ref().expect("a file").key;
    assert_eq!(second.read(key).await.expect("a file"), "content");
    second.find(&new.id).await.expect("asked").expect("there");
    first.delete(&new.id).await.expect("deleted");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(second.known(&new.id).is_none());
    assert!(second.find(&new.id).await.expect("asked").is_none());
    upload(&second, "new").await.expect("the name is free");

    // An index that is made anew has the same lists.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let third = replica(&server, folder.path(), "third").await;
    assert_eq!(names(&third).await, names(&first).await);
}

/// A server in a process of its own.
async fn process(bucket: &S3Server, folder: &Path, name: &str) -> Process {
    let (endpoint, key, secret) = (bucket.endpoint(), bucket.access_key(), bucket.secret_key());
    let index = folder.join(name);
    let settings = format!(
        "[[bucket]]\nname = 'images'\nbucket = 'images'\nendpoint = '{endpoint}'\nstyle = 'path'\ncredentials = {{ key = '{key}', secret = '{secret}' }}\n\
         [hosted]\nstore = 'bucket:images/hosted'\nreplicas = true\nrecord_ttl = '1 s'\nindex = '{}'\n\
         [[hosted.token]]\ntoken = '{WRITE}'\nrights = 'write'\n[cache.disk]\npath = ''\n",
        index.display()
    );
    Process::start(&settings).await
}

/// How often each status came, of so many uploads at once to both servers.
async fn race(
    servers: [&Process; 2],
    count: usize,
    path: &str,
    form: &Form,
) -> BTreeMap<u16, usize> {
    let mut uploads = tokio::task::JoinSet::new();
    for number in 0..count {
        let (client, path) = (servers[number % 2].client.clone(), path.to_owned());
        let form = form.clone();
        uploads.spawn(async move { post_form(&client, &path, form).await.status });
    }
    let mut statuses = BTreeMap::new();
    for status in uploads.join_all().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_a_bucket() {
    let bucket = S3Server::start().await;
    if !bucket.knows_conditions() {
        eprintln!("left out: this S3 server is not one for races");
        return;
    }
    bucket.put("images", "other", "x").await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = process(&bucket, folder.path(), "first").await;
    let second = process(&bucket, folder.path(), "second").await;

    // Of fifty who want one name, one has it.
    let path = format!("{ACCOUNT}/images/v1");
    let file = || Form::default().file("cat.png", &png());
    let named = Form::default()
        .text("id", "users/1/cat")
        .file("cat.png", &png());
    let statuses = race([&first, &second], 50, &path, &named).await;
    assert_eq!(statuses, BTreeMap::from([(200, 1), (409, 49)]));

    // An upload URL of one works once, at either of them.
    let call = async |server: &Process, method, path| {
        call_as(&server.client, WRITE, method, path, r#"{"id":"draft"}"#).await
    };
    let draft = call(&first, Method::POST, "/images/v2/direct_upload").await;
    let url = result(&draft)["uploadURL"]
        .as_str()
        .expect("a URL")
        .to_owned();
    let (_, path) = url.split_once("/upload/").expect("a path");
    let statuses = race([&first, &second], 10, &format!("/upload/{path}"), &file()).await;
    assert_eq!(statuses.get(&200), Some(&1), "{statuses:?}");
    assert!(
        statuses.keys().all(|status| (200..500).contains(status)),
        "{statuses:?}"
    );

    // Each shows what was uploaded to the other.
    let picture = "/cdn-cgi/imagedelivery/main/users/1/cat/public";
    for server in [&first, &second] {
        server
            .client
            .get_with(picture, &[("accept", "image/webp")])
            .await
            .assert_status(200)
            .assert_size(40, 30);
        let shown = call(server, Method::GET, "/images/v1/draft").await;
        assert_eq!(result(&shown)["draft"], Value::Null);
    }

    // What one deletes the other does not show for longer than `record_ttl`.
    let deleted = call(&first, Method::DELETE, "/images/v1/users/1/cat").await;
    result(&deleted);
    let since = Instant::now();
    first.client.get(picture).await.assert_status(404);
    while second.client.get(picture).await.status != 404 {
        // A second, and what a busy machine adds.
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "it is still shown"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let shown = call(&second, Method::GET, "/images/v1/users/1/cat").await;
    shown.assert_status(404);
}

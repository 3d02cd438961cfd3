//! `safelight images` as people run it, against a server in another process.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::memory_s3::MemoryS3;
use crate::support::process::Process;
use crate::support::{process, samples};

const TOKEN: &str = "correct-horse-battery";

/// A server with hosted images in a folder.
struct Server {
    process: Process,
    _folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().display();
        let settings = format!(
            "[hosted]\nstore = 'file:{at}/store'\nindex = '{at}/index'\n[[hosted.token]]\ntoken = '{TOKEN}'\nrights = 'write'\n[cache.disk]\npath = '{at}/cache'\n"
        );
        let process = Process::start(&settings);
        Server {
            process: process.await,
            _folder: folder,
        }
    }

    fn api(&self) -> String {
        format!("http://{}", self.process.client.address())
    }

    /// Runs `safelight images` in a folder against this server.
    async fn run(&self, folder: &Path, arguments: &[&str]) -> Run {
        self.run_with(folder, arguments, &[]).await
    }

    async fn run_with(&self, folder: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Run {
        let api = self.api();
        let variables = [("SAFELIGHT_API", api.as_str()), ("SAFELIGHT_TOKEN", TOKEN)];
        run(folder, arguments, &[&variables, more].concat()).await
    }
}

/// What a command said.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// The lines of JSON on standard output.
    fn json(&self) -> Vec<Value> {
        let lines = self.out.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().expect("lines of JSON")
    }

    /// `item: result` of each line, in order.
    fn results(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = self.json();
        let lines = lines
            .iter()
            .map(|line| format!("{}: {}", text(&line["item"]), text(&line["result"])));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines
    }

    #[track_caller]
    fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(
                self.out.contains(part) || self.err.contains(part),
                "no `{part}` in {self:?}"
            );
        }
    }
}

async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let arguments = [&["images"], arguments].concat();
    let output = process::run(folder, &arguments, variables).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Run {
        code: output.status.code().expect("it ended"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// A folder with pictures, and with files that are none.
fn pictures() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let pets = folder.path().join("photos/pets");
    fs::create_dir_all(&pets).expect("a folder");
    fs::write(pets.join("a cat.jpg"), samples::jpeg(64, 48)).expect("a file");
    fs::write(folder.path().join("photos/dog.jpg"), samples::jpeg(32, 32)).expect("a file");
    fs::write(folder.path().join("photos/notes.txt"), "no picture").expect("a file");
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_uploaded_once() {
    let server = Server::start().await;
    let folder = pictures();
    let at = folder.path();
    let upload = ["upload", "photos", "--json", "--metadata", r#"{"n":1}"#];
    let first = server.run(at, &upload).await;
    first.assert(0, &["2 done, 0 skipped"]);
    assert_eq!(
        first.results(),
        ["dog.jpg: uploaded", "pets/a cat.jpg: uploaded"]
    );
    assert_eq!(first.json()[0]["image"]["meta"]["n"], 1);
    let second = server.run(at, &upload).await;
    assert_eq!(
        second.results(),
        ["dog.jpg: skipped", "pets/a cat.jpg: skipped"]
    );

    // Another content under the same name, and a file that is no picture.
    fs::write(at.join("photos/dog.jpg"), samples::jpeg(40, 40)).expect("a file");
    fs::write(at.join("photos/bad.jpg"), "no picture").expect("a file");
    let third = server.run(at, &["upload", "photos"]).await;
    third.assert(
        1,
        &[
            "failed: bad.jpg: ",
            "failed: dog.jpg: `dog.jpg` is there with another content: `--replace` replaces it",
            "0 done, 1 skipped because they are there already, 2 failed",
        ],
    );
    let replaced = server
        .run(at, &["upload", "photos/dog.jpg", "--replace"])
        .await;
    replaced.assert(0, &["replaced dog.jpg http://"]);

    let named = ["upload", "photos/dog.jpg", "--id", "x/{name}-{sha256}"];
    server
        .run(at, &named)
        .await
        .assert(0, &["/imagedelivery/main/x/dog-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_are_listed_shown_and_deleted() {
    let server = Server::start().await;
    let folder = pictures();
    let at = folder.path();
    server.run(at, &["upload", "photos"]).await.assert(0, &[]);
    let list = server.run(at, &["list"]).await;
    list.assert(0, &["dog.jpg\t32x32\t", "pets/a cat.jpg\t64x48\t"]);
    let list = server.run(at, &["list", "--prefix=pets/", "--json"]).await;
    assert_eq!(list.json().len(), 1);
    assert_eq!(list.json()[0]["id"], "pets/a cat.jpg");
    let get = ["get", "pets/a cat.jpg", "-o", "copy.jpg"];
    server.run(at, &get).await.assert(0, &[]);
    let copy = fs::read(at.join("copy.jpg")).expect("a file");
    assert!(copy == samples::jpeg(64, 48));
    server
        .run(at, &["get", "dog.jpg"])
        .await
        .assert(0, &["id: dog.jpg", "variant: http://"]);
    server.run(at, &["info"]).await.assert(
        0,
        &[
            "account hash   main",
            "images         2",
            "/cdn-cgi/imagedelivery/main/ID/VARIANT",
            "curl -H ",
        ],
    );

    let set = ["variants", "set", "thumb", "width=320,fit=cover"];
    server.run(at, &set).await.assert(0, &["thumb\t"]);
    let set = ["variants", "set", "thumb", "width=200", "--json"];
    let set = server.run(at, &set).await;
    assert_eq!(set.json()[0]["options"]["width"], 200);
    server
        .run(at, &["variants"])
        .await
        .assert(0, &["thumb\t", "width=200"]);
    server
        .run(at, &["variants", "delete", "thumb"])
        .await
        .assert(0, &[]);
    server
        .run(at, &["variants", "delete", "public"])
        .await
        .assert(2, &["(error 5400)"]);

    server
        .run(at, &["delete", "dog.jpg", "none"])
        .await
        .assert(1, &["deleted dog.jpg", "failed: none: "]);
    server
        .run(at, &["get", "dog.jpg"])
        .await
        .assert(2, &["there is no image `dog.jpg`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_elsewhere() {
    let (server, other) = (Server::start().await, Server::start().await);
    let folder = pictures();
    let at = folder.path();
    let upload = [
        "upload",
        "photos",
        "--creator=u1",
        "--metadata",
        r#"{"n":{"x":2}}"#,
        "--private",
    ];
    server.run(at, &upload).await.assert(0, &[]);
    server
        .run(at, &["variants", "set", "thumb", "width=9"])
        .await
        .assert(0, &[]);
    server
        .run(at, &["export", "out"])
        .await
        .assert(0, &["2 done, 0 skipped"]);
    assert!(at.join("out/pets/a cat.jpg").is_file());
    fs::remove_file(at.join("out/dog.jpg")).expect("a file");
    server
        .run(at, &["export", "out"])
        .await
        .assert(0, &["1 done, 1 skipped"]);

    other
        .run(at, &["import", "out"])
        .await
        .assert(0, &["created the variant \"thumb\"", "2 done, 0 skipped"]);
    other
        .run(at, &["import", "out"])
        .await
        .assert(0, &["0 done, 2 skipped"]);
    let image = other
        .run(at, &["get", "pets/a cat.jpg", "--json"])
        .await
        .json();
    assert_eq!(image[0]["creator"], "u1");
    assert_eq!(image[0]["meta"]["n"]["x"], 2);
    assert_eq!(image[0]["requireSignedURLs"], true);

    let manifest = fs::read_to_string(at.join("out/manifest.json")).expect("a manifest");
    let hostile = manifest.replace("\"dog.jpg\"", "\"../photos/dog.jpg\"");
    assert_ne!(hostile, manifest);
    fs::write(at.join("out/manifest.json"), hostile).expect("a manifest");
    other
        .run(at, &["import", "out"])
        .await
        .assert(2, &["the manifest must name files in its folder"]);
}

/// Names as Cloudflare gives them, and names that are hard for files, stay through an export and an import.
#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_kind_are_imported() {
    const UUID: &str = "2cdc28f0-017a-49c4-9ed7-87056c83901f";
    let (server, other) = (Server::start().await, Server::start().await);
    let folder = pictures();
    let at = folder.path();
    let uuids = at.join("uuids");
    fs::create_dir(&uuids).expect("a folder");
    fs::write(uuids.join(format!("{UUID}.jpg")), samples::jpeg(16, 16)).expect("a file");
    let import = ["import", "uuids", "--id={name}"];
    server.run(at, &import).await.assert(0, &["1 done"]);
    // A name that is the folder of another one, letters beyond ASCII, what no file may be called, and two that differ in case alone.
    let names = [
        "a",
        "a/b",
        "é ü",
        "con?",
        "Cat",
        "cat",
        "x/.hidden",
        "100%25",
    ];
    for name in names {
        let upload = ["upload", "photos/dog.jpg", "--id", name];
        server.run(at, &upload).await.assert(0, &["1 done"]);
    }
    server
        .run(at, &["export", "out"])
        .await
        .assert(0, &["9 done"]);
    other
        .run(at, &["import", "out"])
        .await
        .assert(0, &["9 done"]);
    other
        .run(at, &["import", "out"])
        .await
        .assert(0, &["9 skipped"]);
    let list = async |server: &Server| {
        let list = server.run(at, &["list", "--json"]).await.json();
        let of = |image: &Value| {
            format!(
                "{} {} {}",
                image["id"], image["filename"], image["safelight"]["sha256"]
            )
        };
        let mut list: Vec<String> = list.iter().map(of).collect();
        list.sort();
        list
    };
    assert_eq!(list(&server).await.len(), 9);
    assert_eq!(list(&server).await, list(&other).await);
    // The account of another server is copied as well.
    let third = Server::start().await;
    let base = server.api() + "/client/v4";
    let variables = [
        ("CLOUDFLARE_BASE_URL", base.as_str()),
        ("CLOUDFLARE_API_TOKEN", TOKEN),
    ];
    let import = ["import", "--from-cloudflare", "main"];
    let copied = third.run_with(at, &import, &variables).await;
    copied.assert(0, &["9 done"]);
    assert_eq!(list(&server).await, list(&third).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_cloudflare_is_imported() {
    // Another server of ours stands for Cloudflare's.
    let (cloudflare, server) = (Server::start().await, Server::start().await);
    let folder = pictures();
    let at = folder.path();
    cloudflare
        .run(at, &["upload", "photos", "--private"])
        .await
        .assert(0, &[]);
    let base = cloudflare.api() + "/client/v4";
    let variables = [
        ("CLOUDFLARE_BASE_URL", base.as_str()),
        ("CLOUDFLARE_API_TOKEN", TOKEN),
    ];
    let import = ["import", "--from-cloudflare", "main"];
    server
        .run_with(at, &import, &variables)
        .await
        .assert(0, &["2 done, 0 skipped"]);
    server
        .run_with(at, &import, &variables)
        .await
        .assert(0, &["0 done, 2 skipped"]);
    let image = server.run(at, &["get", "dog.jpg", "--json"]).await.json();
    assert_eq!(image[0]["requireSignedURLs"], true);
    server
        .run(at, &import)
        .await
        .assert(2, &["CLOUDFLARE_API_TOKEN must be a token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_imported() {
    let server = Server::start().await;
    let folder = pictures();
    let bucket = MemoryS3::start().await;
    for key in [
        "old/pets/cat.jpg",
        "old/dog.jpg",
        "old/notes.txt",
        "new/x.jpg",
    ] {
        bucket.put(key, samples::jpeg(64, 48));
    }
    let settings = format!(
        "[[bucket]]\nname = 'photos'\nbucket = 'private'\nendpoint = 'http://127.0.0.1:{}'\nstyle = 'path'\ncredentials = {{ key = '{}', secret = '{}' }}",
        bucket.port(),
        bucket.access_key(),
        bucket.secret_key(),
    );
    fs::write(folder.path().join("config.toml"), settings).expect("settings");
    let import = ["import", "bucket:photos/old/", "--json"];
    let imported = server.run(folder.path(), &import).await;
    imported.assert(0, &["2 done"]);
    let ids = ["dog.jpg", "pets/cat.jpg"];
    let mut found: Vec<Value> = imported
        .json()
        .iter()
        .map(|line| line["image"]["id"].clone())
        .collect();
    found.sort_by_key(Value::to_string);
    assert_eq!(found, ids);
    let import = ["import", "bucket:other/old/"];
    server
        .run(folder.path(), &import)
        .await
        .assert(2, &["must name a configured [[bucket]], got `other`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_at_once() {
    let server = Server::start().await;
    let folder = pictures();
    let at = folder.path();
    let api = server.api();
    let wrong = [
        ("SAFELIGHT_API", api.as_str()),
        ("SAFELIGHT_TOKEN", "a-token-that-is-wrong"),
    ];
    run(at, &["upload", "photos"], &wrong).await.assert(
        1,
        &["stopped: ", "must be one of the server's [[hosted.token]]"],
    );
    run(at, &["list"], &wrong)
        .await
        .assert(2, &["(error 10000)"]);
    let nowhere = [
        ("SAFELIGHT_API", "http://127.0.0.1:1"),
        ("SAFELIGHT_TOKEN", TOKEN),
    ];
    run(at, &["list"], &nowhere)
        .await
        .assert(2, &["cannot be reached: is the server running"]);
    run(at, &["list"], &[("SAFELIGHT_API", &api)])
        .await
        .assert(2, &["a token is needed"]);
    for (arguments, reason) in [
        (&["upload", "none"][..], "`none` cannot be read"),
        (
            &["upload", "photos", "--id={title}"],
            "a name may hold {path}",
        ),
        (
            &["upload", "photos", "--metadata=[1]"],
            "it must be an object of JSON",
        ),
        (&["list", "--filter=status=1"], "a filter must be as in"),
        (
            &["list", "--account=other"],
            "`--account` names the account",
        ),
        (&["import"], "required"),
    ] {
        server.run(at, arguments).await.assert(2, &[reason]);
    }
}

//! The real binary as somebody starts it who has written no settings, and arguments over settings.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::origin::TestOrigin;
use crate::support::process::{Process, run};
use crate::support::s3::S3Server;
use crate::support::{eventually, samples};

const ANY: (&str, &str) = ("SAFELIGHT__SERVER__LISTEN", "127.0.0.1:0");
/// So that one test alone has to do with the usual port.
const ANY_ADMIN: (&str, &str) = ("SAFELIGHT__ADMIN__LISTEN", "127.0.0.1:0");
const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];

/// A folder `photos` with pictures, and the home folder of a user.
struct Desk {
    folder: TempDir,
    home: TempDir,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk {
            folder: tempfile::tempdir().expect("a temporary folder"),
            home: tempfile::tempdir().expect("a temporary folder"),
        };
        fs::create_dir_all(desk.photos().join("cats & dogs")).expect("a fresh folder");
        for (path, width) in [
            ("tom.png", 64),
            ("cats & dogs/100% näh?#1,2.png", 80),
            ("cats & dogs/b.png", 96),
            ("cats & dogs/c.png", 112),
        ] {
            fs::write(desk.photos().join(path), samples::png(width, 48)).expect("a fresh folder");
        }
        desk
    }

    fn photos(&self) -> PathBuf {
        self.folder.path().join("photos")
    }

    /// Folders in which servers keep their disk caches.
    fn caches(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.home.path().join(".cache/safelight"));
        let mut paths: Vec<PathBuf> = entries
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("a readable folder").path())
            .collect();
        paths.sort();
        paths
    }

    async fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let variables = [&[ANY_ADMIN], variables].concat();
        Process::start_in(self.folder.path(), self.home.path(), arguments, &variables).await
    }

    /// What a command says that must not start a server.
    async fn refused(&self, arguments: &[&str], variables: &[(&str, &str)]) -> String {
        let home = self.home.path().to_str().expect("a plain path");
        let variables = [variables, &[("HOME", home)]].concat();
        let output = run(self.folder.path(), arguments, &variables).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        // Before that there may be lines of the log.
        let lines = said.lines().filter(|line| line.starts_with("safelight: "));
        let said = lines.collect::<Vec<_>>().join("\n");
        assert!(!said.is_empty(), "{arguments:?}");
        said
    }
}

/// All files and folders below a folder.
fn everything_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        found.insert(path);
    }
    found
}

/// The target of each URL that is printed.
fn targets(server: &Process, lines: &[String]) -> Vec<String> {
    let base = format!("  http://{}", server.client.address());
    let urls = lines.iter().filter_map(|line| line.strip_prefix(&base));
    urls.map(str::to_owned).collect()
}

#[tokio::test]
async fn without_anything_the_current_folder_is_served() {
    let desk = Desk::new();
    let before = everything_below(desk.folder.path());
    let photos = desk.photos();
    let mut server = Process::start_in(&photos, desk.home.path(), &LISTEN, &[ANY_ADMIN]).await;
    let lines = server.printed(7).await;
    let [cache] = &desk.caches()[..] else {
        panic!("{:?}", desk.caches());
    };
    assert_eq!(
        lines[1..4],
        [
            format!("the pictures are in the folder {}", photos.display()),
            format!("the disk cache is in the folder {}", cache.display()),
            "open one of these:".to_owned(),
        ]
    );
    let targets = targets(&server, &lines);
    assert_eq!(targets.len(), 3, "{lines:#?}");
    assert_eq!(targets[0], "/cdn-cgi/image/width=800,format=auto/tom.png");
    for target in &targets {
        let reply = server.client.get(target).await;
        reply
            .assert_status(200)
            .assert_header_has("content-type", "image/")
            .assert_no_header("warning");
    }
    server.client.get(&targets[0]).await.assert_size(64, 48);
    server.terminate().await;
    assert!(server.ended().await.success());

    // Nothing is written but the cache, which nobody else can read.
    assert_eq!(everything_below(desk.folder.path()), before);
    let at_home: Vec<PathBuf> = fs::read_dir(desk.home.path())
        .expect("a home folder")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    assert_eq!(at_home, [desk.home.path().join(".cache")]);
    let mode = fs::metadata(cache).expect("a folder").mode();
    assert_eq!(mode & 0o777, 0o700);

    // What was made is still there for the next server, also one that is started from elsewhere.
    let server = desk.start(&["serve", "photos"], &[ANY]).await;
    let reply = server.client.get(&targets[0]).await;
    reply.assert_header("cache-status", "safelight; hit; detail=disk");
    assert_eq!(desk.caches().len(), 1);
}

#[tokio::test]
async fn the_printed_urls_are_those_of_the_prefix() {
    let desk = Desk::new();
    let prefixes = ("SAFELIGHT__SERVER__PREFIXES", "[\"/pictures/\"]");
    let listen = ["serve", "photos", "--listen", "0.0.0.0:0"];
    let server = desk.start(&listen, &[prefixes]).await;
    let lines = server.printed(7).await;
    let port = server.client.address().port();
    let base = format!("  http://127.0.0.1:{port}/pictures/width=800,format=auto/tom.png");
    assert_eq!(lines[4], base);
}

#[tokio::test]
async fn few_pictures_have_few_urls() {
    let desk = Desk::new();
    let few = desk.folder.path().join("few");
    fs::create_dir(&few).expect("a fresh folder");
    let arguments = [&["serve", "few"], &LISTEN[..]].concat();
    let server = desk.start(&arguments, &[]).await;
    let lines = server.printed(5).await;
    assert_eq!(
        lines[3],
        "no picture was found there; with a picture cat.jpg in it, open this:"
    );
    let [target] = &targets(&server, &lines)[..] else {
        panic!("{lines:#?}");
    };
    server.client.get(target).await.assert_error(404, 9404);
    // It is as the line says.
    fs::write(few.join("cat.jpg"), samples::jpeg(64, 48)).expect("a fresh folder");
    let fresh = desk.start(&arguments, &[]).await;
    fresh.client.get(target).await.assert_size(64, 48);
    let lines = fresh.printed(5).await;
    assert_eq!(lines[3], "open this:");
    assert_eq!(&targets(&fresh, &lines)[..], std::slice::from_ref(target));

    // A drawing stays one, whatever the options are.
    let drawing =
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 9 9'><path d='M0 0h9'/></svg>";
    for name in ["a.svg", "b.svg", "c.svg"] {
        fs::write(few.join(name), drawing).expect("a fresh folder");
    }
    fs::remove_file(few.join("cat.jpg")).expect("it is there");
    let server = desk.start(&arguments, &[]).await;
    let lines = server.printed(7).await;
    let targets = targets(&server, &lines);
    assert_eq!(targets.len(), 3);
    for target in targets {
        server.client.get(&target).await.assert_status(200);
    }
}

#[tokio::test]
async fn a_site_is_served_and_others_as_allowed() {
    let desk = Desk::new();
    let site = TestOrigin::with("/base/a.png", samples::png(64, 48)).await;
    let other = TestOrigin::with("/b.png", samples::png(80, 48)).await;
    let third = TestOrigin::with("/c.png", samples::png(96, 48)).await;
    let url = format!("{}/", site.url("/base"));
    let host = |origin: &TestOrigin| origin.url("").trim_start_matches("http://").to_owned();
    let (other_host, third_host) = (host(&other), host(&third));
    let allowed = ["--allow", &other_host, "--allow", "*.example.com"];
    let arguments = [&["serve", &url], &LISTEN[..], &allowed].concat();
    // What is allowed on the command line is all that is.
    let in_environment = format!("[\"{third_host}\"]");
    let variables = [
        ("SAFELIGHT__FETCH__PRIVATE_NETWORKS", "true"),
        ("SAFELIGHT__SOURCES__ALLOWED", in_environment.as_str()),
    ];
    let server = desk.start(&arguments, &variables).await;
    let get = async |source: &str| {
        let target = format!("/cdn-cgi/image/width=16/{source}");
        server.client.get(&target).await
    };
    get("a.png").await.assert_size(16, 12);
    get(&other.url("/b.png")).await.assert_status(200);
    get(&third.url("/c.png")).await.assert_status(403);
    let lines = server.printed(5).await;
    assert_eq!(
        lines[1],
        format!("the pictures are on the site {}", url.trim_end_matches('/'))
    );
    assert!(lines[3].contains("in place of cats/tom.jpg"), "{lines:#?}");
    let target = targets(&server, &lines)[0].replace("cats/tom.jpg", "a.png");
    server.client.get(&target).await.assert_size(64, 48);
}

#[tokio::test]
async fn a_bucket_is_served() {
    let desk = Desk::new();
    let s3 = S3Server::start().await;
    s3.put("private", "cats/tom.jpg", samples::jpeg(64, 48))
        .await;
    let target = format!("s3://private?endpoint={}", s3.endpoint());
    let keys = [
        ("AWS_ACCESS_KEY_ID", s3.access_key()),
        ("AWS_SECRET_ACCESS_KEY", s3.secret_key()),
    ];
    let arguments = [&["serve", &target], &LISTEN[..]].concat();
    let server = desk.start(&arguments, &keys).await;
    let lines = server.printed(5).await;
    assert_eq!(
        lines[1],
        format!("the pictures are in the bucket private ({})", s3.endpoint())
    );
    let [example] = &targets(&server, &lines)[..] else {
        panic!("{lines:#?}");
    };
    server.client.get(example).await.assert_size(64, 48);

    // Without signatures, nothing of it is read.
    let anonymous = format!("{target}&anonymous");
    let cache = desk.folder.path().join("other");
    let cache = cache.to_str().expect("a plain path");
    let arguments = [&["serve", &anonymous, "--cache", cache], &LISTEN[..]].concat();
    let server = desk.start(&arguments, &keys).await;
    server.client.get(example).await.assert_error(403, 9408);

    // A file that has the bucket knows its keys.
    let settings = format!(
        "[[bucket]]\nname = \"mine\"\nbucket = \"private\"\nendpoint = \"{}\"\nstyle = \"path\"\n\
         credentials = {{ key = \"{}\", secret = \"{}\" }}\n[cache.disk]\npath = \"\"\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        s3.endpoint(),
        s3.access_key(),
        s3.secret_key()
    );
    fs::write(desk.folder.path().join("config.toml"), settings).expect("a folder");
    for target in ["s3://private", &target] {
        let arguments = [&["serve", target], &LISTEN[..]].concat();
        let server = desk.start(&arguments, &[]).await;
        server.client.get(example).await.assert_size(64, 48);
    }
}

#[tokio::test]
async fn arguments_win_over_the_environment_and_that_over_the_file() {
    let desk = Desk::new();
    for (name, width) in [("file", 64), ("environment", 80), ("argument", 96)] {
        let folder = desk.folder.path().join(name);
        fs::create_dir(&folder).expect("a fresh folder");
        fs::write(folder.join("a.png"), samples::png(width, 48)).expect("a fresh folder");
    }
    let settings = "[server]\nlisten = \"127.0.0.2:0\"\n[zone]\norigin = \"file:file\"\n[admin]\nlisten = \"127.0.0.2:0\"\n\
                    [cache.disk]\npath = \"cache-file\"\n";
    fs::write(desk.folder.path().join("config.toml"), settings).expect("a folder");
    fs::write(
        desk.folder.path().join("other.toml"),
        settings.replace("file:file", "file:photos"),
    )
    .expect("a folder");
    let check = async |arguments: &[&str],
                       variables: &[(&str, &str)],
                       address: &str,
                       picture: (&str, u32),
                       cache: &str| {
        let mut server = desk.start(arguments, variables).await;
        let context = format!("{arguments:?} {variables:?}");
        assert_eq!(
            server.client.address().ip().to_string(),
            address,
            "{context}"
        );
        let (name, width) = picture;
        let target = format!("/cdn-cgi/image/format=png/{name}");
        server.client.get(&target).await.assert_size(width, 48);
        server.terminate().await;
        assert!(server.ended().await.success());
        let is_cache = |path: &PathBuf| {
            let name = path.file_name().expect("a name").to_string_lossy();
            name.starts_with("cache-")
        };
        let below = fs::read_dir(desk.folder.path()).expect("a folder");
        let below = below.map(|entry| entry.expect("a folder").path());
        let made: Vec<PathBuf> = below.filter(is_cache).collect();
        assert_eq!(made, [desk.folder.path().join(cache)], "{context}");
        fs::remove_dir_all(&made[0]).expect("a folder");
        assert_eq!(desk.caches(), [] as [PathBuf; 0], "{context}");
    };
    let environment = [
        ("SAFELIGHT__SERVER__LISTEN", "127.0.0.3:0"),
        ("SAFELIGHT__ZONE__ORIGIN", "file:environment"),
        ("SAFELIGHT__CACHE__DISK__PATH", "cache-environment"),
    ];
    let arguments = [
        "serve",
        "argument",
        "--listen",
        "127.0.0.4:0",
        "--cache",
        "cache-argument",
    ];
    let file = "cache-file";
    check(&[], &[], "127.0.0.2", ("a.png", 64), file).await;
    check(&["serve"], &[], "127.0.0.2", ("a.png", 64), file).await;
    check(
        &["serve", "--config", "other.toml"],
        &[],
        "127.0.0.2",
        ("tom.png", 64),
        file,
    )
    .await;
    check(
        &[],
        &environment,
        "127.0.0.3",
        ("a.png", 80),
        "cache-environment",
    )
    .await;
    check(
        &arguments,
        &environment,
        "127.0.0.4",
        ("a.png", 96),
        "cache-argument",
    )
    .await;
    check(&arguments[..2], &[], "127.0.0.2", ("a.png", 96), file).await;
    // Without a file as well.
    fs::remove_file(desk.folder.path().join("config.toml")).expect("it is there");
    check(
        &[],
        &environment,
        "127.0.0.3",
        ("a.png", 80),
        "cache-environment",
    )
    .await;
}

/// What is cached does not name the zone: in one folder, the picture of one zone would be answered for another.
#[tokio::test]
async fn one_cache_folder_can_be_named_for_several_targets() {
    let desk = Desk::new();
    for (name, width) in [("a", 64), ("b", 80)] {
        let folder = desk.folder.path().join(name);
        fs::create_dir(&folder).expect("a fresh folder");
        fs::write(folder.join("cat.png"), samples::png(width, 48)).expect("a fresh folder");
    }
    for _ in 0..2 {
        for (name, width) in [("a", 64), ("b", 80)] {
            let arguments = ["serve", name, "--cache", "c"];
            let mut server = desk.start(&arguments, &[ANY]).await;
            let reply = server.client.get("/cdn-cgi/image/format=png/cat.png").await;
            reply.assert_size(width, 48);
            server.terminate().await;
            assert!(server.ended().await.success());
        }
    }
    let kept = fs::read_dir(desk.folder.path().join("c")).expect("a folder");
    assert_eq!(kept.count(), 2);
}

#[tokio::test]
async fn two_servers_run_at_once() {
    let desk = Desk::new();
    // In use, by this or by whatever else runs here.
    let _taken = TcpListener::bind("127.0.0.1:8081");
    let mut started = Vec::new();
    for target in ["photos", "photos/cats & dogs"] {
        let arguments = [&["serve", target], &LISTEN[..]].concat();
        let (folder, home) = (desk.folder.path(), desk.home.path());
        let server = Process::start_in(folder, home, &arguments, &[]).await;
        let admin = server.admin.address();
        assert_eq!(admin.ip().to_string(), "127.0.0.1");
        assert_ne!(admin.port(), 8081);
        server.admin.get("/metrics").await.assert_status(200);
        eventually("the log says so", async || {
            let text = "address of the admin listener is in use";
            server.log().contains(text)
        })
        .await;
        started.push(server);
    }
    for (server, picture) in started.iter().zip(["tom.png", "b.png"]) {
        let target = format!("/cdn-cgi/image/width=16/{picture}");
        server.client.get(&target).await.assert_status(200);
    }
    assert_eq!(desk.caches().len(), 2);

    // An address that somebody has named stays that one.
    let named = [ANY, ("SAFELIGHT__ADMIN__LISTEN", "127.0.0.1:8081")];
    let said = desk.refused(&["serve", "photos"], &named).await;
    assert!(said.contains("admin.listen"), "{said}");
    let settings = desk.folder.path().join("config.toml");
    fs::write(settings, "[cache.disk]\npath = \"\"\n").expect("a folder");
    let said = desk.refused(&["serve", "photos"], &[ANY]).await;
    assert!(said.contains("admin.listen"), "{said}");
}

#[tokio::test]
async fn an_address_in_use_is_told_with_the_argument_for_another() {
    let desk = Desk::new();
    // In use, by this or by whatever else runs here.
    let _usual = TcpListener::bind("127.0.0.1:8080");
    for arguments in [&[][..], &["serve", "photos"]] {
        let said = desk.refused(arguments, &[]).await;
        for part in ["127.0.0.1:8080", "in use", "`--listen ADDR`"] {
            assert!(said.contains(part), "{said}");
        }
    }
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = taken.local_addr().expect("it is bound").to_string();
    let said = desk
        .refused(&["serve", "photos", "--listen", &taken], &[ANY])
        .await;
    let expected = format!("`--listen` must be a free address of this machine, got `{taken}`");
    assert!(said.contains(&expected), "{said}");
}

#[tokio::test]
async fn wrong_arguments_are_named() {
    let desk = Desk::new();
    fs::write(desk.folder.path().join("file"), "").expect("a folder");
    for (arguments, parts) in [
        (
            &["ftp://x"][..],
            &["TARGET must be a folder, a site", "got `ftp://x`"][..],
        ),
        (
            &["none"],
            &["TARGET must be an existing folder", "got `none`"],
        ),
        (&["www.example.com"], &["with `https://` before its name"]),
        (&["photos/tom.png"], &["`photos/tom.png` is a file"]),
        (&["https://h/?a"], &["without query"]),
        (
            &["s3://b"],
            &["`region` must name", "s3://my-bucket?region=eu-west-1"],
        ),
        (
            &["s3://b?region=eu-west-1&key=x"],
            &["unknown parameter `key`"],
        ),
        (
            &["s3://b/cats?region=eu-west-1"],
            &["put `cats` into the URLs"],
        ),
        (&["bucket:none"], &["bucket:none", "[[bucket]]"]),
        (
            &["photos", "--listen", "8080"],
            &["`--listen` must be an IP address and a port", "got `8080`"],
        ),
        (
            &["photos", "--listen", "localhost:8080"],
            &["got `localhost:8080`"],
        ),
        (
            &["photos", "--listen", "192.0.2.1:80"],
            &["`--listen` must be a free address of this machine"],
        ),
        (
            &["photos", "--allow", "https://b.com"],
            &["`--allow`", "leave the scheme out"],
        ),
        (
            &["photos", "--cache", "file"],
            &["`--cache` must be a folder to write to", "file"],
        ),
        (
            &["photos", "--config", "none.toml"],
            &["the config file `none.toml` cannot be read"],
        ),
        // All at once.
        (
            &["none", "--listen", "x", "--allow", "*", "--allow", "a b"],
            &["TARGET", "`--listen`", "got `*`", "got `a b`"],
        ),
    ] {
        let arguments = [&["serve"], arguments].concat();
        let said = desk.refused(&arguments, &[]).await;
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: {said}");
        }
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_is_named() {
    let desk = Desk::new();
    let closed = desk.folder.path().join("closed");
    fs::create_dir(&closed).expect("a fresh folder");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("it is ours");
    if fs::read_dir(&closed).is_err() {
        let said = desk.refused(&["serve", "closed"], &[]).await;
        assert!(
            said.contains("the folder `closed` cannot be read"),
            "{said}"
        );
    }
    // One that was removed meanwhile.
    let gone = desk.folder.path().join("gone");
    fs::create_dir(&gone).expect("a fresh folder");
    let script = "cd gone && rmdir ../gone && exec \"$0\"";
    let binary = crate::support::process::BINARY;
    let output = tokio::process::Command::new("sh")
        .args(["-c", script, binary])
        .current_dir(desk.folder.path())
        .env("HOME", desk.home.path())
        .output();
    let output = crate::support::bounded("a command", output).await;
    let output = output.expect("there is a shell");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the folder `.`"), "{said}");
}

/// Services start at the top of the file system. One whose settings were forgotten must not serve all pictures of the machine.
#[tokio::test]
async fn the_whole_file_system_is_not_served_by_accident() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let home = home.path().to_str().expect("a plain path");
    let output = run(Path::new("/"), &[], &[("HOME", home), ANY]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["no `config.toml` in `/`", "serve ./photos", "--config FILE"] {
        assert!(said.contains(part), "{said}");
    }
    let origin = TestOrigin::with("*", samples::png(64, 48)).await;
    let zone = [ANY, ANY_ADMIN, ("SAFELIGHT__ZONE__ORIGIN", &origin.url(""))];
    let server = Process::start_in(Path::new("/"), Path::new(home), &[], &zone).await;
    let reply = server.client.get("/cdn-cgi/image/width=16/a.png").await;
    reply.assert_size(16, 12);
}

#[tokio::test]
async fn a_server_without_a_home_folder_has_no_disk_cache() {
    let desk = Desk::new();
    let arguments = [&["serve", "photos"], &LISTEN[..]].concat();
    for variables in [[("HOME", ""), ("XDG_CACHE_HOME", "relative")]] {
        let server = desk.start(&arguments, &variables).await;
        let lines = server.printed(7).await;
        assert_eq!(
            lines[2],
            "nothing is cached on disk, because there is no home folder; `--cache DIR` names a folder"
        );
        let target = &targets(&server, &lines)[0];
        server.client.get(target).await.assert_size(64, 48);
    }
    let file = desk.folder.path().join("file");
    fs::write(&file, "").expect("a folder");
    let xdg = ("XDG_CACHE_HOME", file.to_str().expect("a plain path"));
    let server = desk.start(&arguments, &[xdg]).await;
    let lines = server.printed(7).await;
    assert!(
        lines[2].starts_with("nothing is cached on disk, because `")
            && lines[2].ends_with("; `--cache DIR` names another folder"),
        "{lines:#?}"
    );
    let empty = [&arguments[..], &["--cache", ""]].concat();
    let table = [("SAFELIGHT__CACHE__DISK", "{ path = \"\" }")];
    for (arguments, variables) in [(&empty, &[][..]), (&arguments, &table)] {
        let server = desk.start(arguments, variables).await;
        assert_eq!(server.printed(7).await[2], "nothing is cached on disk");
    }
    assert_eq!(desk.caches(), [] as [PathBuf; 0]);
    let below: BTreeSet<_> = everything_below(desk.folder.path());
    assert!(!below.iter().any(|path| path.ends_with("safelight")));
}

#[tokio::test]
async fn xdg_names_the_cache_folder() {
    let desk = Desk::new();
    let xdg = desk.folder.path().join("xdg");
    let variables = [ANY, ("XDG_CACHE_HOME", xdg.to_str().expect("a plain path"))];
    let server = desk.start(&["serve", "photos"], &variables).await;
    server
        .client
        .get("/cdn-cgi/image/width=16/tom.png")
        .await
        .assert_size(16, 12);
    assert_eq!(desk.caches(), [] as [PathBuf; 0]);
    eventually("it is written", async || {
        let kept = fs::read_dir(xdg.join("safelight")).expect("a folder");
        kept.map(|entry| entry.expect("a folder").path())
            .any(|path| path.join("renditions").is_dir())
    })
    .await;
}

#[tokio::test]
async fn settings_that_are_found_are_named_when_they_are_wrong() {
    let desk = Desk::new();
    let path = desk.folder.path().join("config.toml");
    // As generators of sites have it.
    fs::write(&path, "baseURL = \"https://example.org/\"\n").expect("a folder");
    let said = desk.refused(&["serve", "photos"], &[]).await;
    for part in [
        "`baseURL`: does not exist; there are `server`,",
        "those of `config.toml`",
        "--config FILE",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let named = ["serve", "photos", "--config", "config.toml"];
    let said = desk.refused(&named, &[]).await;
    assert!(!said.contains("names another file"), "{said}");
    // A link to settings that are gone is not the same as no settings.
    fs::remove_file(&path).expect("it is there");
    std::os::unix::fs::symlink("gone.toml", &path).expect("a folder");
    for arguments in [&[][..], &["serve", "photos"]] {
        let said = desk.refused(arguments, &[]).await;
        assert!(said.contains("`config.toml` cannot be read"), "{said}");
    }
    // Without a zone, settings are not those of somebody who serves this folder.
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "").expect("a folder");
    let said = desk.refused(&[], &[ANY]).await;
    assert!(said.contains("`file:.` is the folder"), "{said}");
}

//! Signed URLs, and what clients may ask for without a signature.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use safelight::config::Config;

use crate::support::process::{BINARY, Process};
use crate::support::proxy::TestProxy;
use crate::support::{eventually, samples};

const KEYS: &str = "[[signatures.key]]\nid = 'web'\nsecret = '0123456789abcdef0123456789abcdef'\n\
    [[signatures.key]]\nid = 'next'\nsecret = 'another secret of many bytes'\n";

const LISTS: &str = "[signatures.allowed]\nwidths = [20, 40]\nformats = ['auto', 'webp']\n\
    [presets]\nthumb = 'width=16,height=16,fit=cover'\n\
    [[flow]]\nmatch = ['/uploads/**']\noptions = 'format=webp'\nquery = ['width']\n";

/// A proxy with these settings, and a picture of 64 by 48 pixels at two paths.
async fn proxy(settings: &str) -> TestProxy {
    let settings = Config::parse(settings, []).expect("right settings");
    let proxy = TestProxy::start(|config| {
        config.signatures = settings.signatures;
        config.presets = settings.presets;
        config.flow = settings.flow;
    })
    .await;
    let folder = proxy.folder();
    fs::create_dir(folder.join("uploads")).expect("a fresh folder");
    for name in ["cat.jpg", "a b.jpg", "uploads/cat.jpg"] {
        fs::write(folder.join(name), samples::jpeg(64, 48)).expect("a fresh folder");
    }
    proxy
}

/// Runs `safelight sign` with the keys of these tests.
fn signed(arguments: &[&str], input: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    fs::write(&config, format!("{KEYS}{LISTS}")).expect("a fresh folder");
    let mut child = Command::new(BINARY)
        .args(["sign", "--config"])
        .arg(&config)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing may have ended.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.success(), said.trim_end().to_owned())
}

fn sign(arguments: &[&str]) -> String {
    let (is_signed, url) = signed(arguments, "");
    assert!(is_signed, "{url}");
    url
}

fn in_a_minute() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    (now.expect("after 1970").as_secs() + 60).to_string()
}

#[tokio::test]
async fn where_all_urls_are_signed_others_are_refused() {
    let proxy = proxy(&format!("[signatures]\nrequired = 'always'\n{KEYS}{LISTS}")).await;
    let plain = "/cdn-cgi/image/width=20,height=10/cat.jpg";
    let right = sign(&[plain]);
    proxy.get(&right).await.assert_size(13, 10);
    let refused = |target: String, says: &'static str| {
        let proxy = &proxy;
        async move {
            let reply = proxy.get(&target).await;
            reply.assert_error(403, 9425);
            assert!(reply.text().contains(says), "{target}: {}", reply.text());
            assert!(!reply.text().contains("0123456789abcdef"));
        }
    };
    refused(plain.to_owned(), "must be signed").await;
    // Forged, reordered, doubly encoded, of another key, and expired.
    let of_next = sign(&["--key", "next", plain]);
    let past = sign(&["--until", "1000000000", plain]);
    for wrong in [
        right.replace("width=20", "width=21"),
        right.replace("width=20,height=10", "height=10,width=20"),
        right.replace("cat", "c%2561t"),
        right.replace("cat", "c%61t"),
        right.replace("sig=web.", "sig=next."),
        of_next.replace("sig=next.", "sig=web."),
        past.replace("width=20", "width=21"),
        past.replace("1000000000", "9000000000"),
    ] {
        refused(wrong, "does not match").await;
    }
    refused(past, "has expired").await;
    refused(right.replace(",sig=web.", ",sig="), "`sig` must be").await;
    proxy.get(&of_next).await.assert_status(200);
    // Nothing was fetched or made for those, and they are not a way to the source.
    refused(format!("{plain}?v=1"), "must be signed").await;
    let redirect = proxy
        .get("/cdn-cgi/image/width=21,onerror=redirect/cat.jpg")
        .await;
    redirect.assert_error(403, 9425);
    assert_eq!(proxy.renders(), 1.0);
    let errors = |code| {
        proxy
            .metrics()
            .sum("safelight_errors_total", &[("code", code)])
    };
    assert_eq!(errors("signature-expired"), 1.0);
    assert_eq!(errors("signature"), 9.0);
}

#[tokio::test]
async fn each_kind_of_url_can_be_signed() {
    let proxy = proxy(&format!("[signatures]\nrequired = 'always'\n{KEYS}{LISTS}")).await;
    for (target, size) in [
        (
            "/cdn-cgi/image/width=32/cat.jpg?v=1&sig=of-the-source",
            (32, 24),
        ),
        (
            "/cdn-cgi/image/flow/width=32,format=auto/a%20b.jpg",
            (32, 24),
        ),
        ("/cdn-cgi/image/preset=thumb/cat.jpg", (16, 16)),
        ("/dynamic/image/width=32/cat.jpg", (32, 24)),
        ("/_next/image?url=%2Fcat.jpg&w=32&q=75", (32, 24)),
        ("/uploads/cat.jpg?width=32", (32, 24)),
    ] {
        proxy.get(target).await.assert_error(403, 9425);
        let signed = match target.starts_with("/dynamic") {
            // The settings of the command have no such prefix.
            true => {
                let (is_signed, says) = signed(&[target], "");
                assert!(!is_signed && says.contains("server.prefixes"), "{says}");
                continue;
            }
            false => sign(&[target]),
        };
        proxy.get(&signed).await.assert_size(size.0, size.1);
        // The second is remembered.
        proxy.get(&signed).await.assert_size(size.0, size.1);
    }
    // Nothing in it is the client's choice.
    let plain = proxy.get("/uploads/cat.jpg").await;
    plain
        .assert_size(64, 48)
        .assert_header("content-type", "image/webp");
}

#[tokio::test]
async fn the_list_is_for_everybody() {
    let proxy = proxy(&format!(
        "[signatures]\nrequired = 'unlisted'\n{KEYS}{LISTS}"
    ))
    .await;
    for (target, size) in [
        ("/cdn-cgi/image/width=20/cat.jpg", (20, 15)),
        ("/cdn-cgi/image/width=40,format=webp/cat.jpg", (40, 30)),
        ("/cdn-cgi/image/width=auto/cat.jpg", (40, 30)),
        ("/cdn-cgi/image/preset=thumb,format=webp/cat.jpg", (16, 16)),
        ("/uploads/cat.jpg?width=20", (20, 15)),
    ] {
        proxy.get(target).await.assert_size(size.0, size.1);
    }
    let hint = [("sec-ch-viewport-width", "18")];
    let narrow = proxy
        .get_with("/cdn-cgi/image/width=auto/cat.jpg", &hint)
        .await;
    narrow
        .assert_size(20, 15)
        .assert_header_has("vary", "Sec-CH-Viewport-Width");
    for target in [
        "/cdn-cgi/image/width=21/cat.jpg",
        "/cdn-cgi/image/width=20,blur=7/cat.jpg",
        "/cdn-cgi/image/preset=thumb,width=21/cat.jpg",
        "/_next/image?url=%2Fcat.jpg&w=20&q=75",
        "/uploads/cat.jpg?width=21",
    ] {
        let reply = proxy.get(target).await;
        reply.assert_error(403, 9425);
        assert!(
            reply
                .text()
                .contains("is not allowed in a URL without a signature")
        );
        proxy.get(&sign(&[target])).await.assert_status(200);
    }
    proxy
        .get("/cdn-cgi/image/preset=none/cat.jpg")
        .await
        .assert_error(400, 9401);
}

#[tokio::test]
async fn widths_round_up_where_that_is_wanted() {
    let lists = LISTS.replace("widths", "round_widths = true\nwidths");
    let proxy = proxy(&format!("[signatures]\nrequired = 'unlisted'\n{lists}")).await;
    for (target, width) in [
        ("/cdn-cgi/image/width=21/cat.jpg", 40),
        ("/cdn-cgi/image/width=999/cat.jpg", 40),
        ("/uploads/cat.jpg?width=1", 20),
    ] {
        let reply = proxy.get(target).await;
        reply.assert_size(width, width * 3 / 4);
        reply.assert_header_has("warning", "is rounded to");
    }
    assert_eq!(proxy.renders(), 2.0);
    let same = proxy.get("/cdn-cgi/image/width=22/cat.jpg").await;
    same.assert_header_has("cache-status", "hit");
    assert_eq!(proxy.renders(), 2.0);
}

#[tokio::test]
async fn a_signature_is_no_part_of_the_picture() {
    let proxy = proxy(KEYS).await;
    let plain = "/cdn-cgi/image/width=20/cat.jpg";
    let first = proxy.get(plain).await;
    let until = in_a_minute();
    let signed = sign(&[plain]);
    for target in [signed.clone(), signed.replace("width=20", "w=20")] {
        let again = proxy.get(&target).await;
        assert_eq!(again.header("etag"), first.header("etag"));
        assert_eq!(again.header("cache-control"), first.header("cache-control"));
    }
    assert_eq!(proxy.renders(), 1.0);
    // Where signatures count, clients keep the answer no longer than the URL is valid.
    let strict = self::proxy(&format!("[signatures]\nrequired = 'always'\n{KEYS}")).await;
    for _ in 0..2 {
        let reply = strict.get(&sign(&["--until", &until, plain])).await;
        let control = reply.header("cache-control");
        let age = control.strip_prefix("public, max-age=").expect("an age");
        assert!(age.parse::<u32>().expect("seconds") <= 60, "{control}");
        assert_eq!(reply.header("etag"), first.header("etag"));
    }
    let forever = strict.get(&sign(&[plain])).await;
    assert_eq!(
        forever.header("cache-control"),
        first.header("cache-control")
    );
}

#[tokio::test]
async fn no_signature_is_logged() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("cat.jpg"), samples::jpeg(64, 48)).expect("a fresh folder");
    let settings = format!(
        "[zone]\norigin = 'file:{}'\n[cache.disk]\npath = ''\n[signatures]\nrequired = 'always'\n{KEYS}",
        folder.path().display()
    );
    let server = Process::start(&settings).await;
    let signed = sign(&["/cdn-cgi/image/width=20/cat.jpg"]);
    server.client.get(&signed).await.assert_status(200);
    let forged = signed.replace("width=20", "width=21");
    server.client.get(&forged).await.assert_status(403);
    eventually("both are logged", async || {
        server.log().matches(" request ").count() == 2
    })
    .await;
    let mac = signed.split("web.").nth(1).and_then(|rest| rest.get(..64));
    let log = server.log();
    assert!(log.contains("sig=web.***/cat.jpg"), "{log}");
    assert!(
        !log.contains(mac.expect("a MAC")) && !log.contains("0123456789"),
        "{log}"
    );
}

#[test]
fn the_command_signs_what_it_is_given() {
    let vector = "/cdn-cgi/image/width=80,format=auto,sig=web.cee2e0db2a03a0431bd16dc01028300e705b028ae1c9adb13fe5e9093d8ac45b/cat.jpg";
    let plain = "/cdn-cgi/image/width=80,format=auto/cat.jpg";
    assert_eq!(sign(&[plain]), vector);
    assert_eq!(
        sign(&[&format!("https://img.test{plain}")]),
        format!("https://img.test{vector}")
    );
    let (is_signed, lines) = signed(&["-", plain], &format!("{plain}\n{plain}\n"));
    assert!(
        is_signed && lines.lines().all(|line| line == vector),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 3);
    assert!(sign(&["--expires-in", "7 d", plain]).contains(",sig=web.1"));
    for (arguments, says) in [
        (&["--key", "none", plain][..], "got `none`"),
        (&["/about.html"], "a [[flow]] takes"),
        (&["/cdn-cgi/image/width=80"], "options and a source"),
        (&["/cdn-cgi/image/width=80/a b.jpg"], "percent-encoded"),
        (&["/cdn-cgi/image/width=80/a.jpg#x"], "without a fragment"),
    ] {
        let (is_signed, said) = signed(arguments, "");
        assert!(!is_signed && said.contains(says), "{said}");
    }
}

/// The signers of the documents in other languages, run where there is something that runs them.
#[tokio::test]
async fn other_languages_sign_as_the_documents_say() {
    const PROGRAMS: [(&str, &[&str], &str); 5] = [
        ("js", &["node"], "sign.mjs"),
        ("python", &["python3"], "sign.py"),
        ("php", &["php"], "sign.php"),
        ("ruby", &["ruby"], "sign.rb"),
        ("go", &["go", "run"], "sign.go"),
    ];
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/signed-urls.md"));
    let page = page.expect("the page");
    let folder = tempfile::tempdir().expect("a folder");
    let expected = sign(&[
        "--until",
        "4102444800",
        "/cdn-cgi/image/width=80,format=auto/cat.jpg",
    ]);
    for (language, command, file) in PROGRAMS {
        let block = page.split(&format!("```{language}\n")).nth(1);
        let block = block
            .and_then(|rest| rest.split("```").next())
            .expect(language);
        let path = folder.path().join(file);
        fs::write(&path, block).expect("a fresh folder");
        let ran = Command::new(command[0])
            .args(&command[1..])
            .arg(&path)
            .output();
        // There is no such program here.
        let Ok(output) = ran else { continue };
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            said.trim(),
            expected,
            "{language}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let proxy = proxy(&format!("[signatures]\nrequired = 'always'\n{KEYS}")).await;
    proxy.get(&expected).await.assert_status(200);
}

//! The documents: every command and every URL in them is tried against the real binary, and what they say is compared with the code.

mod facts;
mod markdown;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use self::facts::named_options;
use self::markdown::{Page, manual, quoted, root};
use crate::support::bounded;
use crate::support::process::{BINARY, Process};

const TOKEN: &str = "a-token-for-documents";

/// Pictures that URLs in the documents name as examples, and the photographs that stand for them.
const STAND_INS: [(&str, &str); 3] = [
    ("a.jpg", "mountains.jpg"),
    ("cat.jpg", "mountains.jpg"),
    ("uploads/a.jpg", "mountains.jpg"),
];

/// Fails with all that is wrong, not with the first of it.
#[track_caller]
fn check(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A server with the photographs of the examples, and a folder in which commands find what they name.
struct Reader {
    process: Process,
    folder: TempDir,
}

impl Reader {
    async fn start() -> Reader {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let photos = folder.path().join("examples/photos");
        fs::create_dir_all(photos.join("uploads")).expect("a fresh folder");
        let shipped = root().join("examples/photos");
        for name in ["dandelion.jpg", "dogs.jpg", "mountains.jpg", "fig.png"] {
            fs::copy(shipped.join(name), photos.join(name)).expect("a photograph");
        }
        for (name, photograph) in STAND_INS {
            fs::copy(shipped.join(photograph), photos.join(name)).expect("a photograph");
        }
        let settings = format!(
            "[zone]\norigin = \"file:{}\"\n[cache.disk]\npath = \"{}\"\n[admin]\ntoken = \"{TOKEN}\"\n\
            [[flow]]\nmatch = [\"/uploads/**\"]\noptions = \"format=auto,quality=80\"\nquery = [\"width\", \"format\"]\n\
            [presets]\nthumb = \"width=200,height=200,fit=cover,format=auto\"\n\
            [[signatures.key]]\nid = \"web\"\nsecret = \"0123456789abcdef0123456789abcdef\"\n",
            photos.display(),
            folder.path().join("cache").display()
        );
        let process = Process::start(&settings).await;
        Reader { process, folder }
    }

    /// Runs a script as somebody would who has read the pages before.
    async fn run(&self, script: &str) -> Result<(), String> {
        let programs = self.folder.path().join("bin");
        fs::create_dir_all(&programs).expect("a fresh folder");
        let safelight = programs.join("safelight");
        if !safelight.exists() {
            symlink(BINARY, &safelight).expect("a fresh folder");
            // What would be built is told, and nothing is built.
            let make = format!(
                "#!/bin/sh\nexec /usr/bin/make -n -C '{}' \"$@\"\n",
                root().display()
            );
            fs::write(programs.join("make"), make).expect("a fresh folder");
            // An error is one for curl as well.
            fs::write(programs.join(".curlrc"), "fail\n").expect("a fresh folder");
        }
        let script = script
            .replace("127.0.0.1:8080", &self.process.client.address().to_string())
            .replace("127.0.0.1:8081", &self.process.admin.address().to_string());
        let run = Command::new("bash")
            .args([
                "-euo",
                "pipefail",
                "-c",
                &format!("chmod +x bin/make; export PATH=\"$PWD/bin:$PATH\"; {script}"),
            ])
            .current_dir(self.folder.path())
            .env("CURL_HOME", &programs)
            .env("TOKEN", TOKEN)
            .env("SAFELIGHT__ADMIN__TOKEN", TOKEN)
            .env(
                "SAFELIGHT__ADMIN__LISTEN",
                self.process.admin.address().to_string(),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = bounded(&script, run).await.expect("there is a bash");
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!("{script}\n{}", String::from_utf8_lossy(&said)))
    }
}

#[tokio::test]
async fn every_command_runs() {
    let reader = Reader::start().await;
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in manual() {
        for block in page.blocks() {
            if block.language != "sh" || block.is_norun {
                continue;
            }
            count += 1;
            if let Err(error) = reader.run(&block.text).await {
                wrong.push(format!("{}: {error}", page.name()));
            }
        }
    }
    assert!(count > 10, "{count} commands: are they still read right?");
    check(&wrong);
}

/// The paths of pictures in a text: from where the prefix begins to where the text around it goes on.
fn targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for start in ["/cdn-cgi/image/", "/_next/image?"] {
        for (at, _) in text.match_indices(start) {
            let rest = &text[at..];
            let end = rest.find([' ', '\n', '`', '"', '\'', '|', ')']);
            let target = &rest[..end.unwrap_or(rest.len())];
            let rest = &target[start.len()..];
            // `/cdn-cgi/image/OPTIONS/SOURCE` shows what is where, and `/cdn-cgi/image/…` any of them.
            let is_example = rest.contains('=') && !rest.contains('…') && !rest.contains("=URL");
            targets.extend(Some(target).filter(|_| is_example));
        }
    }
    targets
}

#[tokio::test]
async fn every_url_is_answered() {
    let reader = Reader::start().await;
    let mut count = 0;
    let mut wrong = Vec::new();
    for page in manual() {
        for target in targets(&page.text) {
            count += 1;
            let reply = reader.process.client.get(target).await;
            let is_foreign = target.contains("/https://");
            let is_right = match reply.status {
                200 => !is_foreign && reply.header("warning").is_empty(),
                307 => target.contains("onerror=redirect"),
                // What is allowed is up to the reader; the options were understood.
                403 => is_foreign && reply.text().contains("allowed origins"),
                _ => false,
            };
            if !is_right {
                wrong.push(format!("{}: {reply}", page.name()));
            }
        }
    }
    assert!(count > 10, "{count} URLs: are they still read right?");
    check(&wrong);
}

/// Options in the documents that are examples of what is not understood, or that need more than themselves.
const SPECIAL: [&str; 3] = ["format=svg", "g=side", "slow-connection-quality"];

#[tokio::test]
async fn every_option_is_understood() {
    let reader = Reader::start().await;
    let names = facts::option_names();
    let mut asked = BTreeSet::new();
    let mut wrong = Vec::new();
    for page in manual() {
        for span in page.spans() {
            let pairs = named_options(&span).unwrap_or_default();
            let is_whole = |(name, value): &(&str, &str)| {
                names.contains(*name)
                    && !value.is_empty()
                    && !value.contains(|letter: char| {
                        letter.is_uppercase() || matches!(letter, '…' | ' ')
                    })
            };
            let is_special = SPECIAL.iter().any(|special| span.starts_with(special));
            if pairs.is_empty()
                || !pairs.iter().all(is_whole)
                || is_special
                || !asked.insert(span.clone())
            {
                continue;
            }
            let target = format!("/cdn-cgi/image/height=20,{span}/mountains.jpg");
            let reply = reader.process.client.get(&target).await;
            let warnings = reply.header("warning");
            if reply.status != 200 || warnings.contains("ignored") {
                wrong.push(format!("{}: {reply}", page.name()));
            }
        }
    }
    assert!(asked.len() > 30, "{asked:?}");
    check(&wrong);
}

/// Names of metrics with the names of their labels, as the page about them has them.
fn metrics_told() -> BTreeMap<String, BTreeSet<String>> {
    let rows = Page::read("docs/metrics.md").rows();
    let of_metrics = rows
        .into_iter()
        .filter(|row| row[0].starts_with("`safelight_"));
    of_metrics
        .map(|row| {
            (
                quoted(&row[0]).concat(),
                quoted(&row[1]).into_iter().collect(),
            )
        })
        .collect()
}

/// The same, as a server tells them.
fn metrics_of(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let histograms: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram"))
        .collect();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let series = line.rsplit_once(' ').expect("a value").0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let family = histograms.iter().find(|family| name.starts_with(**family));
        let known = metrics
            .entry(family.unwrap_or(&name).to_string())
            .or_default();
        let labels = labels.trim_end_matches('}').split(',');
        let labels = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        known.extend(labels.filter(|label| label != "le"));
    }
    metrics
}

/// The names that metrics are registered under, without prefix and unit.
fn names_in_code() -> BTreeSet<String> {
    let folder = root().join("src/telemetry/metrics");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the metrics") {
        let text = fs::read_to_string(entry.expect("a readable folder").path()).expect("a source");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for rest in text.split("names.add").skip(1) {
            let name = rest.split('"').nth(1).unwrap_or_default();
            names.insert(name.to_owned());
        }
    }
    names
}

#[tokio::test]
async fn every_metric_is_told_with_its_labels() {
    let reader = Reader::start().await;
    let client = &reader.process.client;
    for target in [
        "/cdn-cgi/image/width=20/mountains.jpg",
        "/cdn-cgi/image/width=20/mountains.jpg",
        "/cdn-cgi/image/width=20/missing.jpg",
        "/uploads/a.jpg",
        "/cdn-cgi/image/width=30,format=avif/dogs.jpg",
    ] {
        client.get(target).await;
    }
    let purge = "safelight purge --source /mountains.jpg --soft && safelight warm --options width=20 /fig.png";
    reader.run(purge).await.expect("both are done");
    let text = reader.process.admin.get("/metrics").await.text();
    let told = metrics_told();
    let mut wrong = Vec::new();
    let real = metrics_of(&text);
    assert!(real.len() > 20, "{text}");
    for (name, labels) in &real {
        match told.get(name) {
            None => wrong.push(format!("not told: {name}")),
            Some(known) if known != labels => {
                wrong.push(format!("{name} has {labels:?}, told: {known:?}"))
            }
            Some(_) => {}
        }
    }
    // Not all of them appear so soon; the rest is compared by name.
    let code = names_in_code();
    assert!(code.len() > 30, "{code:?}");
    let plain = |name: &str| {
        let name = name
            .trim_start_matches("safelight_")
            .trim_end_matches("_total");
        let name = ["_bytes", "_seconds"]
            .iter()
            .find_map(|unit| name.strip_suffix(unit))
            .unwrap_or(name);
        name.to_owned()
    };
    let plain_told: BTreeSet<String> = told.keys().map(|name| plain(name)).collect();
    wrong.extend(
        code.difference(&plain_told)
            .map(|name| format!("not told: {name}")),
    );
    wrong.extend(
        plain_told
            .difference(&code)
            .map(|name| format!("there is no {name}")),
    );
    check(&wrong);
}

//! The SDKs of Cloudflare, and a builder of URLs, against the real binary. What they do is in `tests/clients`; they are installed once, below
//! `target/clients`.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{READ, WRITE};
use crate::support::origin::TestOrigin;
use crate::support::process::Process;
use crate::support::{bounded, samples};

/// Packages, and what installs them.
struct Packages {
    /// The file in `tests/clients` that names them.
    manifest: &'static str,
    /// A command that is there if they can be used, and prints something that begins so.
    needs: (&'static [&'static str], fn(&str) -> bool),
    /// Run in the folder of the packages, beside a copy of the manifest.
    install: &'static [&'static str],
}

const NODE: Packages = Packages {
    manifest: "package.json",
    needs: (&["node", "--version"], is_new_node),
    install: &[
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--ignore-scripts",
        "--fetch-retry-mintimeout=1000",
    ],
};

const PYTHON: Packages = Packages {
    manifest: "requirements.txt",
    needs: (&["python3", "-m", "pip", "--version"], |_| true),
    install: &[
        "python3",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--retries=2",
        "--upgrade",
        "--target=python",
        "--requirement=requirements.txt",
    ],
};

/// What npm and pip say where they cannot connect.
const OUT_OF_REACH: [&str; 9] = [
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "ENETUNREACH",
    "ERR_SOCKET_TIMEOUT",
    "NewConnectionError",
    "ConnectTimeoutError",
];

fn is_new_node(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next();
    major.is_some_and(|major| major.parse::<u32>().is_ok_and(|major| major >= 20))
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A command in a folder.
pub fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder);
    command
}

/// The folder in which the packages for Node are installed, or why they cannot be.
pub fn node_packages() -> Result<PathBuf, String> {
    NODE.folder()
}

impl Packages {
    /// The folder in which they are installed, or why they cannot be.
    fn folder(&self) -> Result<PathBuf, String> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients");
        fs::create_dir_all(&folder).expect("a folder below target");
        let (needs, is_fine) = self.needs;
        let there = command(&folder, needs).output().ok();
        let there = there.filter(|output| output.status.success());
        if !there.is_some_and(|output| is_fine(&String::from_utf8_lossy(&output.stdout))) {
            return Err(format!("`{}` is not there, or old", needs.join(" ")));
        }
        // Each test is a process of its own, and all begin at once.
        let lock = File::create(folder.join(format!("{}.lock", self.manifest)));
        let lock = lock.expect("a folder of ours");
        lock.lock().expect("a file system with locks");
        let wanted = fs::read(scripts().join(self.manifest)).expect("it is in the repository");
        let installed = folder.join(format!("{}.installed", self.manifest));
        if fs::read(&installed).is_ok_and(|names| names == wanted) {
            return Ok(folder);
        }
        fs::write(folder.join(self.manifest), &wanted).expect("a folder of ours");
        let Ok(output) = command(&folder, self.install).output() else {
            return Err(format!("there is no `{}`", self.install[0]));
        };
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let is_out_of_reach = OUT_OF_REACH.iter().any(|sign| said.contains(sign));
            assert!(is_out_of_reach, "{}: {said}", self.install.join(" "));
            return Err(format!("out of reach: {said}"));
        }
        fs::write(&installed, &wanted).expect("a folder of ours");
        Ok(folder)
    }
}

/// A server with hosted images, and an origin from which it may fetch some.
struct Site {
    process: Process,
    origin: TestOrigin,
    // Declared last: the store must outlive the process.
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let picture = samples::jpeg(64, 48);
        fs::create_dir(folder.path().join("zone")).expect("a fresh folder");
        fs::write(folder.path().join("cat.jpg"), &picture).expect("a fresh folder");
        let origin = TestOrigin::with("/cat.jpg", picture).await;
        let settings = format!(
            "zone.origin = \"file:{root}/zone\"\ncache.disk.path = \"{root}/cache\"\nfetch.private_networks = true\n\
             [hosted]\nstore = \"file:{root}/store\"\nindex = \"{root}/index\"\nfetch.allowed = [\"{origin}\"]\n\
             token = [{{ token = \"{WRITE}\", rights = \"write\" }}, {{ token = \"{READ}\", rights = \"read\" }}]\n",
            root = folder.path().display(),
            origin = origin.authority(),
        );
        let process = Process::start(&settings).await;
        Site {
            process,
            origin,
            folder,
        }
    }
}

/// Runs a script of `tests/clients`, each of whose checks must hold.
async fn drive(packages: &Packages, words: &[&str]) {
    let clients = match packages.folder() {
        Ok(folder) => folder,
        Err(reason) => {
            eprintln!("not tested with `{}`: {reason}", words.join(" "));
            return;
        }
    };
    let site = Site::start().await;
    let api = format!("http://{}/client/v4", site.process.client.address());
    let mut run = tokio::process::Command::from(command(&scripts(), words));
    run.env("CLOUDFLARE_BASE_URL", api)
        .env("CLOUDFLARE_API_TOKEN", WRITE)
        .env("READ_TOKEN", READ)
        .env("ACCOUNT", "main")
        .env("HASH", "main")
        .env("PICTURE", site.folder.path().join("cat.jpg"))
        .env("ORIGIN", site.origin.url("/cat.jpg"))
        .env("PYTHONPATH", clients.join("python"))
        .env("CLIENTS", &clients)
        .kill_on_drop(true);
    let output = bounded(words[1], run.output()).await.expect("it is there");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let is_fine = output.status.success() && printed.contains("ok ");
    assert!(is_fine, "{}\n{printed}", output.status);
}

#[tokio::test]
async fn version_7_of_the_sdk_for_node_works() {
    drive(&NODE, &["node", "sdk.mjs", "cloudflare-7"]).await;
}

#[tokio::test]
async fn version_4_of_the_sdk_for_node_works() {
    drive(&NODE, &["node", "sdk.mjs", "cloudflare-4"]).await;
}

#[tokio::test]
async fn the_sdk_for_python_works() {
    drive(&PYTHON, &["python3", "-B", "sdk.py"]).await;
}

#[tokio::test]
async fn urls_of_builders_are_answered() {
    drive(&NODE, &["node", "urls.mjs"]).await;
}

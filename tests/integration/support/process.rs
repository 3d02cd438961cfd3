//! The real binary, as an operator runs it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client::Client;
use super::metrics::Metrics;
use super::origin::TestOrigin;
use super::{bounded, eventually};

pub const BINARY: &str = env!("CARGO_BIN_EXE_safelight");

/// A zone at this origin, and a disk cache in this folder.
pub fn settings(origin: &TestOrigin, cache: &Path) -> String {
    format!(
        "[zone]\norigin = \"{}\"\n[cache.disk]\npath = \"{}\"\n",
        origin.url(""),
        cache.display()
    )
}

/// A server in a process of its own, killed when dropped. Without a setting that says otherwise, SIGTERM closes its listener at once.
pub struct Process {
    child: Child,
    pub client: Client,
    pub admin: Client,
    printed: Arc<Mutex<Vec<String>>>,
    log: PathBuf,
    folder: TempDir,
}

impl Process {
    /// Starts with these settings, on free ports.
    pub async fn start(settings: &str) -> Self {
        Process::start_with(settings, &[]).await
    }

    /// With variables as well.
    pub async fn start_with(settings: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = command(BINARY);
        command.envs(variables.iter().copied());
        Process::spawn(command, settings).await
    }

    /// Starts under `ulimit -f`: writes beyond this number of blocks of 512 bytes fail, as on a full disk. What the server shares with other processes in
    /// memory is limited as well, so there are none.
    pub async fn start_with_file_limit(settings: &str, blocks: u32) -> Self {
        let mut command = command("sh");
        command.args([
            "-c",
            "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"",
            "sh",
            &blocks.to_string(),
            BINARY,
        ]);
        command.env("SAFELIGHT__LIMITS__ISOLATION", "thread");
        Process::spawn(command, settings).await
    }

    /// Starts under `ulimit -n`, which limits open files, connections included.
    pub async fn start_with_open_files(settings: &str, files: u32) -> Self {
        let mut command = command("sh");
        command.args([
            "-c",
            "ulimit -n \"$1\"; shift; exec \"$@\"",
            "sh",
            &files.to_string(),
            BINARY,
        ]);
        Process::spawn(command, settings).await
    }

    /// Starts in a folder, as somebody would who types these arguments there. `home` is that of the user.
    pub async fn start_in(
        folder: &Path,
        home: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = command(BINARY);
        command
            .current_dir(folder)
            .args(arguments)
            .env("HOME", home)
            .env_remove("XDG_CACHE_HOME")
            .env("SAFELIGHT__SERVER__DRAIN_DELAY", "0 s")
            .envs(variables.iter().copied());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Process::started(command, folder).await
    }

    async fn spawn(mut command: Command, settings: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, for_tests(settings)).expect("a fresh folder");
        command.arg("serve").arg("--config").arg(&config);
        Process::started(command, folder).await
    }

    async fn started(mut command: Command, folder: TempDir) -> Self {
        let log = folder.path().join("log");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("a fresh folder"))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary was built");
        let stdout = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(stdout).lines();
        let welcome = bounded("the start", lines.next_line())
            .await
            .expect("its output can be read")
            .unwrap_or_else(|| {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("it did not start:\n{log}")
            });
        // Its output is read to the end, so that its pipe does not break.
        let printed = Arc::new(Mutex::new(vec![welcome.clone()]));
        let list = Arc::clone(&printed);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                list.lock().expect("no panic").push(line);
            }
        });
        let mut addresses = welcome
            .split("http://")
            .skip(1)
            .filter_map(|rest| rest.split([' ', '/']).next()?.parse().ok());
        let mut next = || -> SocketAddr {
            addresses
                .next()
                .unwrap_or_else(|| panic!("no address in: {welcome}"))
        };
        Process {
            child,
            client: Client::new(next()),
            admin: Client::new(next()),
            printed,
            log,
            folder,
        }
    }

    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin.get("/metrics").await.text())
    }

    /// What it has printed, from when it has printed so many lines.
    pub async fn printed(&self, count: usize) -> Vec<String> {
        let lines = || self.printed.lock().expect("no panic").clone();
        eventually("it has printed all", async || lines().len() >= count).await;
        lines()
    }

    /// Everything that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("it is being written")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// A line of its status that is a quantity of memory, in kB.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("no {name} in {status}"))
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id()));
        open.expect("Linux").count()
    }

    /// Writes other settings into its file, with the addresses that tests have.
    pub fn rewrite(&self, settings: &str) {
        self.rewrite_as_it_is(&for_tests(settings));
    }

    /// Writes a text into the file of its settings.
    pub fn rewrite_as_it_is(&self, text: &str) {
        std::fs::write(self.folder.path().join("config.toml"), text).expect("a folder of ours");
    }

    /// Sends SIGHUP: it reads its settings again.
    pub async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    /// Sends SIGTERM: it ends after the requests in flight.
    pub async fn terminate(&self) {
        self.signal("-TERM").await;
    }

    /// SIGINT, as Ctrl-C sends it.
    pub async fn interrupt(&self) {
        self.signal("-INT").await;
    }

    async fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().await;
        assert!(sent.expect("there is a kill").success());
    }

    /// Sends SIGKILL: it ends now.
    pub async fn kill(mut self) {
        bounded("dying", self.child.kill()).await.expect("it ran");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        bounded("the end", self.child.wait())
            .await
            .expect("it is ours")
    }
}

/// Runs the binary to its end.
pub async fn run(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let output = command(BINARY)
        .envs(variables.iter().copied())
        .args(arguments)
        .current_dir(folder)
        .kill_on_drop(true)
        .output();
    bounded("a command", output).await.expect("it was built")
}

/// A command without safelight's variables from the environment of the test.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    #[expect(
        clippy::disallowed_methods,
        reason = "looked at so that none of it reaches the server"
    )]
    let inherited = std::env::vars_os();
    for (name, _) in inherited {
        if name.to_string_lossy().starts_with("SAFELIGHT__") {
            command.env_remove(name);
        }
    }
    if let Some(word) = isolation() {
        command.env("SAFELIGHT__LIMITS__ISOLATION", word);
    }
    command.stdin(Stdio::null());
    command
}

/// Where all servers of this run make pictures, if its environment says so: `SAFELIGHT_TEST_ISOLATION=process`.
pub fn isolation() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "chooses what is tested, not how the server is set"
    )]
    std::env::var("SAFELIGHT_TEST_ISOLATION").ok()
}

/// The settings with free ports and without a drain delay.
fn for_tests(settings: &str) -> String {
    let mut table: toml::Table = settings.parse().expect("a test's own settings");
    for section in ["server", "admin"] {
        let section = table
            .entry(section)
            .or_insert_with(|| toml::Value::Table(toml::Table::new()))
            .as_table_mut()
            .expect("a section");
        section.insert("listen".to_owned(), "127.0.0.1:0".into());
    }
    table["server"]
        .as_table_mut()
        .expect("a section")
        .entry("drain_delay")
        .or_insert_with(|| "0 s".into());
    table.to_string()
}

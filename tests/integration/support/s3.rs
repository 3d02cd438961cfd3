//! An S3 server for tests: SeaweedFS if there is a script that starts it, else a server in the process of the test.
//!
//! Both refuse anonymous reads of the bucket `private`, check signatures, and know path style only. The one within this process ignores
//! conditions (`If-None-Match`).

use std::env;
use std::fs;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hyper::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody, HttpService};
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

/// The keys of the script's server. The other server gets the same keys.
pub(super) const ACCESS_KEY: &str = "testadmin";
pub(super) const SECRET_KEY: &str = "testadminsecret";
const REGION: &str = "us-east-1";
/// Where the script's servers get their ports, and how many in a row each takes.
const PORTS: Range<u16> = 18_000..30_000;
const PORTS_OF_ONE: u16 = 8;
/// The characters that are not encoded in a signed path.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A running server, stopped and emptied when dropped.
pub struct S3Server {
    endpoint: String,
    process: Process,
    // Declared last, because the data must outlive the server.
    folder: TempDir,
}

enum Process {
    Script(PathBuf),
    Task(JoinHandle<()>),
}

impl S3Server {
    /// Starts a server on free ports. `SAFELIGHT_S3_SERVER` names a script that understands `start DIR PORT` and `stop DIR`; without it,
    /// `../shared/s3/s3-test-server.sh` is used if it is there.
    pub async fn start() -> S3Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        match script() {
            Some(script) => {
                let endpoint = start_script(&script, folder.path());
                eprintln!("S3 server: {} at {endpoint}", script.display());
                S3Server {
                    endpoint,
                    process: Process::Script(script),
                    folder,
                }
            }
            None => {
                let (endpoint, task) = start_task(folder.path()).await;
                eprintln!("S3 server: s3s-fs within this process at {endpoint}");
                S3Server {
                    endpoint,
                    process: Process::Task(task),
                    folder,
                }
            }
        }
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The access key of a user who may read and write everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key that belongs to [`S3Server::access_key`].
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Whether the server has names for objects with empty segments. Plain files have not.
    pub fn keeps_every_key(&self) -> bool {
        matches!(self.process, Process::Script(_))
    }

    /// Stores an object, and creates its bucket if there is none.
    pub async fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) {
        self.put_as(bucket, key, bytes, None).await;
    }

    /// As [`S3Server::put`], with a media type.
    pub async fn put_as(
        &self,
        bucket: &str,
        key: &str,
        bytes: impl Into<Vec<u8>>,
        media_type: Option<&str>,
    ) {
        let bucket_url = format!("{}/{bucket}", self.endpoint);
        let made = signed_put(&bucket_url, Vec::new(), None).await;
        assert!(matches!(made, 200 | 409), "making bucket {bucket}: {made}");
        let key = utf8_percent_encode(key, UNRESERVED);
        let object_url = format!("{bucket_url}/{key}");
        let stored = signed_put(&object_url, bytes.into(), media_type).await;
        assert_eq!(stored, 200, "storing {bucket}/{key}");
    }

    /// Whether it answers conditional requests as S3 does.
    pub fn knows_conditions(&self) -> bool {
        matches!(self.process, Process::Script(_))
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        match &self.process {
            Process::Task(task) => task.abort(),
            Process::Script(script) => {
                let stopped = Command::new(script)
                    .arg("stop")
                    .arg(self.folder.path())
                    .status();
                if !stopped.is_ok_and(|status| status.success()) {
                    eprintln!(
                        "S3 server: {} stop {} failed",
                        script.display(),
                        self.folder.path().display()
                    );
                }
            }
        }
    }
}

fn script() -> Option<PathBuf> {
    #[expect(
        clippy::disallowed_methods,
        reason = "says which server to test against, and is no setting"
    )]
    let configured = env::var_os("SAFELIGHT_S3_SERVER");
    match configured {
        Some(path) => Some(PathBuf::from(path)),
        None => {
            let beside =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/s3/s3-test-server.sh");
            beside.is_file().then_some(beside)
        }
    }
}

fn start_script(script: &Path, folder: &Path) -> String {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target).expect("the build wrote there");
    // The lock is shared by all test processes: one chooses ports at a time, and the first start, which may install the server, runs alone.
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(target.join("s3-venv.lock"))
        .expect("the build wrote there");
    lock.lock().expect("the file system knows locks");
    let port = free_ports(&mut lock);
    let venv = target.join("s3-venv");
    let installed = venv.join("started");
    let lock = (!installed.exists()).then_some(lock);
    let output = Command::new(script)
        .arg("start")
        .arg(folder)
        .arg(port.to_string())
        .env("S3_TEST_VENV", &venv)
        .stdin(Stdio::null())
        .output()
        .expect("the script can be run");
    assert!(
        output.status.success(),
        "{} start failed: {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    if lock.is_some() {
        fs::create_dir_all(&venv).expect("the build wrote there");
        fs::write(&installed, "").expect("the build wrote there");
    }
    format!("http://127.0.0.1:{port}")
}

/// The first of a row of free ports, below those that the system assigns. `memory` has the ports that were assigned last, which are not taken: a
/// test that stops its server must not find another test's server at the same port.
fn free_ports(memory: &mut File) -> u16 {
    let mut last = String::new();
    memory
        .read_to_string(&mut last)
        .expect("the file can be read");
    let last = last.trim().parse().unwrap_or(0);
    let rows = || PORTS.step_by(usize::from(PORTS_OF_ONE));
    let after = rows().filter(|first| *first > last);
    let port = after
        .chain(rows())
        .find(|&first| {
            let row: Vec<_> = (first..first + PORTS_OF_ONE)
                .map(|port| TcpListener::bind(("127.0.0.1", port)))
                .collect();
            row.iter().all(Result::is_ok)
        })
        .expect("some ports are free");
    memory.rewind().expect("the file can be written");
    memory.set_len(0).expect("the file can be written");
    write!(memory, "{port}").expect("the file can be written");
    port
}

async fn start_task(folder: &Path) -> (String, JoinHandle<()>) {
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).expect("the folder exists"));
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let task = tokio::spawn(async move {
        // When the server stops, it closes open connections.
        let mut connections = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            connections.spawn(async move {
                let connection = Builder::new(TokioExecutor::new());
                let _ = connection
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    (endpoint, task)
}

/// The status of the answer.
async fn signed_put(url: &str, bytes: Vec<u8>, media_type: Option<&str>) -> u16 {
    // Fails if a provider is installed already, which will do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credential = AwsCredential {
        key_id: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        token: None,
    };
    let mut request = hyper::Request::put(url);
    if let Some(media_type) = media_type {
        request = request.header(CONTENT_TYPE, media_type);
    }
    let mut request: HttpRequest = request
        .body(HttpRequestBody::from(bytes))
        .expect("the URL is right");
    AwsAuthorizer::new(&credential, "s3", REGION)
        .try_authorize(&mut request, None)
        .expect("the request can be signed");
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let answer = client.call(request).await.expect("the server answers");
    answer.status().as_u16()
}

//! A bucket server in this process, which can be slow, broken, or gone.

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::bucket;
use crate::bucket::{AddressingStyle, Credentials};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    /// Every answer is delayed by this time.
    Slow(Duration),
    /// Reads are answered, and everything else is refused.
    ReadOnly,
    /// Every request is refused with this status.
    Refusing(u16),
}

pub(crate) struct TestBucket {
    endpoint: String,
    state: Arc<State>,
    folder: TempDir,
}

struct State {
    mood: Mutex<Mood>,
    requests: AtomicU64,
    /// Requests are handled one at a time, because the listing of a folder is not a snapshot as that of a bucket is.
    turn: tokio::sync::Mutex<()>,
}

impl TestBucket {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("shared")).expect("a fresh folder");
        let mut builder =
            S3ServiceBuilder::new(FileSystem::new(folder.path()).expect("the folder exists"));
        builder.set_auth(SimpleAuth::from_single("key", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::new(State {
            mood: Mutex::new(Mood::Fine),
            requests: AtomicU64::new(0),
            turn: tokio::sync::Mutex::default(),
        });
        let told = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, state) = (service.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    let answer = service_fn(move |request| {
                        let (service, state) = (service.clone(), Arc::clone(&state));
                        async move { Ok::<_, Infallible>(state.answer(&service, request).await) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A client that stops waiting closes the connection.
                    let _ = connection
                        .serve_connection(TokioIo::new(socket), answer)
                        .await;
                });
            }
        });
        TestBucket {
            endpoint,
            state,
            folder,
        }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.state.mood.lock().expect("no test panics here") = mood;
    }

    /// The number of requests until now.
    pub(crate) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn config(&self) -> bucket::Config {
        bucket::Config {
            name: "shared".to_owned(),
            bucket: "shared".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: self.endpoint.clone(),
            style: AddressingStyle::Path,
            credentials: Credentials::Static {
                key: "key".to_owned(),
                secret: "secret".to_owned(),
            },
        }
    }

    /// The files of all objects.
    pub(crate) fn objects(&self) -> Vec<PathBuf> {
        crate::cache::tests::files(&self.folder.path().join("shared"))
    }

    /// The files of all objects whose keys contain `part`.
    pub(crate) fn named(&self, part: &str) -> Vec<PathBuf> {
        let all = self.objects().into_iter();
        all.filter(|path| path.to_string_lossy().contains(part))
            .collect()
    }
}

impl State {
    async fn answer(
        &self,
        service: &S3Service,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mood = *self.mood.lock().expect("no test panics here");
        let refused = |status| {
            let response = Response::builder().status(status);
            response.body(Full::default()).expect("a status")
        };
        match mood {
            Mood::Slow(by) => tokio::time::sleep(by).await,
            Mood::ReadOnly if request.method() != hyper::Method::GET => return refused(403),
            Mood::Refusing(status) => return refused(status),
            Mood::Fine | Mood::ReadOnly => {}
        }
        let _turn = self.turn.lock().await;
        let answer = service.call(request.map(s3s::Body::from)).await;
        let Ok(answer) = answer else {
            return refused(500);
        };
        let (head, body) = answer.into_parts();
        match body.collect().await {
            Ok(body) => Response::from_parts(head, Full::new(body.to_bytes())),
            Err(_) => refused(500),
        }
    }
}

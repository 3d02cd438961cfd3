//! An S3 server within the process of the test, which keeps objects of every key: servers on a file system merge slashes. It checks signatures, and
//! remembers what was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CommonPrefix, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, Object, StreamingBlob,
};
use s3s::s3_error;
use s3s::service::S3ServiceBuilder;
use s3s::{Body, S3, S3Request, S3Response, S3Result};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::s3::{ACCESS_KEY, SECRET_KEY};

/// A running server, stopped when dropped.
pub struct MemoryS3 {
    port: u16,
    objects: Objects,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// The objects of all buckets, whatever their names are.
#[derive(Clone, Default)]
struct Objects(Arc<Mutex<BTreeMap<String, Bytes>>>);

impl MemoryS3 {
    pub async fn start() -> MemoryS3 {
        let objects = Objects::default();
        let mut builder = S3ServiceBuilder::new(objects.clone());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let s3 = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (s3, log) = (s3.clone(), Arc::clone(&log));
                let service = service_fn(move |request: Request<Incoming>| {
                    let line = format!("{} {}", request.method(), request.uri());
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(line);
                    let s3 = s3.clone();
                    async move { s3.call(request.map(Body::from)).await }
                });
                connections.spawn(async move {
                    let connection = Builder::new(TokioExecutor::new());
                    let _ = connection
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
        });
        MemoryS3 {
            port,
            objects,
            asked,
            task,
        }
    }

    /// On this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The access key of a user who may read everything.
    pub fn access_key(&self) -> &'static str {
        ACCESS_KEY
    }

    /// The secret key that belongs to [`MemoryS3::access_key`].
    pub fn secret_key(&self) -> &'static str {
        SECRET_KEY
    }

    /// Stores an object in all buckets.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.objects.lock().insert(key.to_owned(), bytes.into());
    }

    /// The method and the target of every request so far, which it forgets.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for MemoryS3 {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Objects {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl S3 for Objects {
    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.lock().get(&request.input.key).cloned();
        let bytes = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let length = self.lock().get(&request.input.key).map(Bytes::len);
        let length = length.ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(length).ok(),
            ..HeadObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ListObjectsV2Input {
            prefix,
            start_after,
            delimiter,
            ..
        } = request.input;
        let prefix = prefix.unwrap_or_default();
        let after = start_after.unwrap_or_default();
        let objects = self.lock();
        let keys = objects
            .keys()
            .filter(|key| key.starts_with(&prefix) && **key > after);
        let mut folders = BTreeSet::new();
        let mut contents = Vec::new();
        for key in keys {
            let rest = &key[prefix.len()..];
            let end = delimiter.as_deref().and_then(|mark| rest.find(mark));
            match end {
                Some(end) => {
                    folders.insert(key[..=prefix.len() + end].to_owned());
                }
                None => contents.push(Object {
                    key: Some(key.clone()),
                    ..Object::default()
                }),
            }
        }
        let folders = folders.into_iter().map(|prefix| CommonPrefix {
            prefix: Some(prefix),
        });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents),
            common_prefixes: Some(folders.collect()),
            is_truncated: Some(false),
            ..ListObjectsV2Output::default()
        }))
    }
}

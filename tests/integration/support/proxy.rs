//! A proxy in the process of the test: a real pipeline behind real sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use safelight::admin;
use safelight::admin::{AdminRules, Readiness, Reloads, Subject, Token};
use safelight::api::Api;
use safelight::config::Config;
use safelight::pipeline::Pipeline;
use safelight::policy::{OriginPattern, ZoneOrigin};
use safelight::request::Prefixes;
use safelight::server;
use safelight::server::Live;
use safelight::worker::Isolation;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::bounded;
use super::client::Client;
use super::metrics::Metrics;
use super::origin::TestOrigin;
use super::process::{BINARY, isolation};
use super::reply::Reply;

/// The token of the admin listener of each proxy.
pub const TOKEN: &str = "a-token-for-tests";

/// A running proxy. It drains when it is dropped, as long as the runtime runs; [`TestProxy::stop`] waits for that.
pub struct TestProxy {
    client: Client,
    admin: Client,
    pipeline: Arc<Pipeline>,
    pub readiness: Readiness,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    operators: JoinHandle<()>,
    // Declared last: the cache in it must outlive the proxy.
    folder: TempDir,
}

impl TestProxy {
    /// With a folder as its zone (empty: see [`TestProxy::folder`]), a disk cache of its own, both prefixes, and private networks
    /// open, because every origin here is on this machine. Nothing stale is answered unless its origin allows it. `change` has the last word.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let zone = folder.path().join("zone");
        std::fs::create_dir(&zone).expect("a fresh folder");
        let mut config = Config::default();
        config.server.prefixes = Prefixes::new(vec![
            "/cdn-cgi/image/".to_owned(),
            "/dynamic/image/".to_owned(),
        ])
        .expect("both are paths");
        config.zone.origin = ZoneOrigin::Folder(zone);
        config.cache.disk.path = folder.path().join("cache");
        config.cache.stale_while_revalidate = setting("0 s");
        config.cache.stale_if_error = setting("0 s");
        config.fetch.private_networks = true;
        config.admin.token = Token::new(TOKEN).expect("a token");
        config.limits.isolation = match isolation().as_deref() {
            Some("process") => Isolation::Process,
            // A server that is a part of the test makes pictures in threads, a program as it is shipped: so both are tested.
            Some("thread") | None => Isolation::Thread,
            Some(word) => {
                panic!("SAFELIGHT_TEST_ISOLATION must be process or thread, got `{word}`")
            }
        };
        change(&mut config);

        let mut settings = config.pipeline();
        settings.worker_program = Some(BINARY.into());
        let pipeline = Pipeline::open(settings).await.expect("right settings");
        pipeline.follow_hosted();
        let any = ([127, 0, 0, 1], 0).into();
        let public = server::listen("server.listen", any, false).expect("a port");
        let private = server::listen("admin.listen", any, false).expect("a port");
        let client = Client::new(public.local_addr().expect("it is bound"));
        let admin = Client::new(private.local_addr().expect("it is bound"));
        let api = Api::open(&pipeline, &config.admin.token).expect("right tokens");
        let live = Live::new(Arc::clone(&pipeline), api);
        let readiness = Readiness::default();
        readiness.set(true);
        let operators = {
            let subject = Subject {
                live: Arc::clone(&live),
                readiness: readiness.clone(),
                rules: AdminRules::new(&config.admin),
                reloads: Reloads::channel().0,
            };
            tokio::spawn(admin::serve(private, subject))
        };
        let (stop, stopped) = oneshot::channel();
        let serving = {
            tokio::spawn(async move {
                let shutdown = async {
                    // An error means that the sender was dropped: stop as well.
                    let _ = stopped.await;
                };
                server::serve(public, &config.server, live, shutdown).await;
            })
        };
        TestProxy {
            client,
            admin,
            pipeline,
            readiness,
            stop: Some(stop),
            serving: Some(serving),
            operators,
            folder,
        }
    }

    /// The zone is an HTTP origin.
    pub async fn in_front_of(origin: &TestOrigin) -> Self {
        let zone = zone(&origin.url(""));
        TestProxy::start(|config| config.zone.origin = zone).await
    }

    /// The zone is an HTTP origin, and the disk cache in a folder that outlives the proxy.
    pub async fn keeping_in(
        folder: &Path,
        origin: &TestOrigin,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let zone = zone(&origin.url(""));
        TestProxy::start(|config| {
            config.zone.origin = zone;
            config.cache.disk.path = folder.join("cache");
            change(config);
        })
        .await
    }

    /// The zone's folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("zone")
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// A client of the admin listener.
    pub fn admin(&self) -> &Client {
        &self.admin
    }

    /// Purges, which must succeed.
    pub async fn purge(&self, body: &str) -> Reply {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str())];
        let reply = self.admin.post("/purge", &headers, body).await;
        reply.assert_status(200);
        reply
    }

    /// Sends a prewarm call.
    pub async fn warm(&self, body: &str) -> Reply {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("authorization", authorization.as_str())];
        self.admin.post("/warm", &headers, body).await
    }

    pub async fn get(&self, target: &str) -> Reply {
        self.client.get(target).await
    }

    pub async fn get_with(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.client.get_with(target, headers).await
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.pipeline.metrics_text())
    }

    /// The number of renders so far.
    pub fn renders(&self) -> f64 {
        self.metrics().sum("safelight_renders_total", &[])
    }

    /// The number of requests in flight.
    pub fn in_flight(&self) -> f64 {
        self.metrics().sum("safelight_requests_in_flight", &[])
    }

    /// Drains, flushes the cache, and ends.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(serving) = self.serving.take() {
            bounded("draining", serving).await.expect("no panic");
        }
        let is_flushed = self.pipeline.close(Duration::from_secs(30)).await;
        assert!(is_flushed, "the cache was not written in time");
    }
}

impl Drop for TestProxy {
    fn drop(&mut self) {
        self.operators.abort();
    }
}

/// Parses a value of `zone.origin`.
#[track_caller]
pub fn zone(text: &str) -> ZoneOrigin {
    ZoneOrigin::try_from(text.to_owned()).expect("a zone")
}

/// Parses values of `sources.allowed`.
#[track_caller]
pub fn allowed(entries: &[String]) -> Vec<OriginPattern> {
    entries
        .iter()
        .map(|entry| entry.clone().try_into().expect("an entry"))
        .collect()
}

/// Parses a duration or a size, as settings have them.
#[track_caller]
pub fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a quantity")
}

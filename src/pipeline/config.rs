//! The settings that the pipeline is built from. The module `config` collects them from several sections.

use std::path::PathBuf;
use std::time::Duration;

use super::limits::LimitsConfig;
use crate::bucket;
use crate::cache;
use crate::clients;
use crate::hosted;
use crate::policy;
use crate::policy::{HostedStore, SignaturesConfig, ZoneConfig};
use crate::request::{FlowConfig, Prefixes, Presets};
use crate::response;
use crate::response::Cors;
use crate::source;

/// The settings of the pipeline and of the modules that it joins.
#[derive(Clone, Debug)]
pub struct Config {
    /// Paths that transformation URLs begin with.
    pub prefixes: Prefixes,
    /// Rules by which plain URLs are transformed.
    pub flows: Vec<FlowConfig>,
    /// The longest that a request may take, from its head to the head of its answer.
    pub request_timeout: Duration,
    /// What sources without a host are relative to.
    pub zone: ZoneConfig,
    /// Every configured bucket, the one of the shared cache included.
    pub buckets: Vec<bucket::Config>,
    /// Which requests are allowed, and what stands in for options that they leave open.
    pub policy: policy::Config,
    /// Which sites may read answers with their scripts.
    pub cors: Cors,
    /// How answers are saved.
    pub response: response::Config,
    /// Which URLs need a signature, and who may sign.
    pub signatures: SignaturesConfig,
    /// Options under a name.
    pub presets: Presets,
    /// What one client may take.
    pub clients: clients::Config,
    /// How sources are fetched.
    pub fetch: source::Config,
    /// What is cached, where, and for how long.
    pub cache: cache::Config,
    /// Images that are uploaded here.
    pub hosted: hosted::Config,
    /// What one request, and all of them together, may take.
    pub limits: LimitsConfig,
    /// The binary that worker processes are started from. Without one, pictures are made in threads.
    pub worker_program: Option<PathBuf>,
}

impl Config {
    /// The buckets that sources and hosted images may be in: all but that of the shared cache.
    pub(super) fn source_buckets(&self) -> Vec<bucket::Config> {
        let cache_bucket = self.policy.cache_bucket.as_deref();
        let is_hosted = |bucket: &bucket::Config| matches!(&self.policy.hosted, HostedStore::Bucket { name, .. } if *name == bucket.name);
        let is_source = |bucket: &&bucket::Config| {
            Some(bucket.name.as_str()) != cache_bucket || is_hosted(bucket)
        };
        self.buckets.iter().filter(is_source).cloned().collect()
    }
}

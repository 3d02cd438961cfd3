//! Gets the source image from where policy has approved it: an HTTP origin, a bucket, a folder.
//!
//! Never asks for what the allowlist has not approved, redirects included, because a redirect is the origin's wish and not a permission; never
//! connects an allowed origin to a private address unless configuration opens them; never holds more bytes than the limit, nor all sources together
//! more than theirs; never forwards anything of the client's.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use url::Url;

use crate::bucket::Bucket;
use crate::bucket::BucketError;
use crate::bucket::Config as BucketConfig;
use crate::bucket::Timeouts;
use crate::freshness::Freshness;
use crate::freshness::Rules;
use crate::freshness::Tags;
use crate::freshness::Validators;
use crate::policy::Allowlist;
use crate::policy::ApprovedSource;
use crate::policy::SourceLocation;
use crate::policy::ZoneOrigin;
use crate::policy::zone_url;
use crate::units::AutoByteSize;
use crate::units::ByteSize;
use crate::units::Seconds;
use clock::Clock;
use egress::EgressPolicy;
pub use error::BusyReason;
pub use error::FetchStage;
pub use error::OriginStatus;
pub use error::SourceError;
use folder::FolderOrigin;
use http::HttpClient;
pub use memory::IdleReservation;
pub use memory::Reservation;
pub use memory::SourceMemory;
pub use rules::RuleConfig;
pub use rules::RuleError;
use rules::RuleSet;
use rules::SourceRules;
pub use slots::FetchCounts;
use slots::FetchSlot;
use slots::FetchSlots;

mod body;
mod bucket;
mod clock;
mod coding;
mod egress;
mod error;
mod folder;
mod http;
mod memory;
mod rules;
mod slots;

/// Section `[fetch]`: how patiently origins are asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// For a connection: name lookup, TCP and TLS.
    pub connect_timeout: Seconds,
    /// For the head of an answer, connecting included.
    pub first_byte_timeout: Seconds,
    /// For the next piece of the content.
    pub idle_timeout: Seconds,
    /// For the whole fetch, redirects and retries included; and before it, for its turn.
    pub total_timeout: Seconds,
    /// Redirects that are followed, each of which must be allowed like a source.
    pub max_redirects: u32,
    /// Whether allowed origins may live in private networks and on this machine. The zone's origin and the buckets always may.
    pub private_networks: bool,
    /// What origins are told who asks.
    pub user_agent: String,
    /// What all sources together may hold while they are fetched, wait for a worker and are rendered.
    pub memory: AutoByteSize,
    /// Fetches at once.
    pub concurrency: NonZeroUsize,
    /// Fetches at once from one origin, each on a connection of its own where that speaks HTTP/1.1.
    pub connections_per_origin: NonZeroUsize,
}

/// A number in this file that is not zero.
const fn non_zero(count: usize) -> NonZeroUsize {
    match NonZeroUsize::new(count) {
        Some(count) => count,
        None => NonZeroUsize::MIN,
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            connect_timeout: Seconds::new(5),
            first_byte_timeout: Seconds::new(10),
            idle_timeout: Seconds::new(10),
            total_timeout: Seconds::new(30),
            max_redirects: 5,
            private_networks: false,
            user_agent: concat!("safelight/", env!("CARGO_PKG_VERSION")).to_owned(),
            memory: AutoByteSize::Auto,
            concurrency: non_zero(1024),
            connections_per_origin: non_zero(512),
        }
    }
}

impl Config {
    /// The memory of sources, of which none has more than `largest`, beside renders that may hold `render_memory`.
    ///
    /// By default it is half of the renders', because a render holds several times its source; no more than a gigabyte, which is hundreds of
    /// photographs; and at least two of the largest sources.
    ///
    /// # Errors
    /// [`SetupError::Memory`] where a source of the largest size would not fit beside others.
    pub fn source_memory(
        &self,
        largest: ByteSize,
        render_memory: ByteSize,
    ) -> Result<SourceMemory, SetupError> {
        const MOST: u64 = 1 << 30;
        let least = largest.bytes().saturating_mul(2);
        let total = match self.memory {
            AutoByteSize::Auto => (render_memory.bytes() / 2).min(MOST).max(least),
            AutoByteSize::Fixed(total) if total.bytes() >= least => total.bytes(),
            AutoByteSize::Fixed(total) => {
                return Err(SetupError::Memory {
                    total: total.bytes(),
                    least,
                });
            }
        };
        Ok(SourceMemory::new(total, largest.bytes()))
    }
}

/// Every origin there is, ready to be asked.
pub struct Sources {
    config: Config,
    memory: SourceMemory,
    slots: FetchSlots,
    rule_set: RuleSet,
    allowlist: Arc<Allowlist>,
    zone: ZoneClient,
    allowed: HttpClient,
    buckets: HashMap<String, Bucket>,
}

/// What stands behind the zone's paths.
enum ZoneClient {
    Folder(FolderOrigin),
    Http { client: HttpClient, base: Url },
    Bucket,
}

/// A source, whole.
#[derive(Clone, Debug)]
pub struct FetchedSource {
    /// The content as the origin stores it.
    pub bytes: Bytes,
    /// What to ask with next time.
    pub validators: Validators,
    /// How long the content may be reused.
    pub freshness: Freshness,
    /// By which words it may be purged.
    pub tags: Tags,
}

/// What an origin says.
#[derive(Clone, Debug)]
pub enum FetchOutcome {
    /// Here it is.
    Fetched(FetchedSource),
    /// It is still what the asker knows.
    NotModified {
        /// How long that holds.
        freshness: Freshness,
        /// What to ask with next time.
        validators: Validators,
        /// By which words it may be purged.
        tags: Tags,
    },
}

/// What every request of one fetch shares.
#[derive(Clone, Copy)]
struct FetchContext<'a> {
    config: &'a Config,
    memory: &'a SourceMemory,
    terms: &'a SourceRules,
    clock: Clock,
}

impl FetchContext<'_> {
    /// The largest source, in bytes.
    fn limit(&self) -> u64 {
        self.memory.largest()
    }

    /// Memory for so many bytes, as soon as it is free, but before the fetch must be over.
    async fn reserve(&self, bytes: u64) -> Result<Reservation, SourceError> {
        let reservation = self.memory.reserve(bytes);
        let reservation = self.clock.bound_by_end(FetchStage::Body, reservation).await;
        reservation.map_err(|_| SourceError::Busy(BusyReason::Memory))
    }
}

/// What one origin says, before redirects are followed.
enum OriginResponse {
    Final(FetchOutcome),
    /// Go and ask there; nobody has approved it yet.
    Redirect(Url),
}

impl Sources {
    /// Opens every origin: builds clients and checks settings, without asking anyone anything.
    ///
    /// `memory` is what sources are held in, `rules` what freshness is held to, but for sources that `special` names.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that cannot work.
    pub fn new(
        config: &Config,
        memory: SourceMemory,
        zone: &ZoneOrigin,
        buckets: &[BucketConfig],
        allowlist: Arc<Allowlist>,
        rules: Rules,
        special: &[RuleConfig],
    ) -> Result<Sources, SetupError> {
        let names = buckets.iter().map(|bucket| bucket.name.as_str());
        let rule_set = RuleSet::new(rules, special, zone, names).map_err(SetupError::Rule)?;
        let timeouts = Timeouts {
            connect: config.connect_timeout.duration(),
            first_byte: config.first_byte_timeout.duration(),
            total: config.total_timeout.duration(),
        };
        let buckets = buckets
            .iter()
            .map(|config| Ok((config.name.clone(), Bucket::open(config, timeouts)?)))
            .collect::<Result<HashMap<String, Bucket>, BucketError>>()
            .map_err(SetupError::Bucket)?;
        let zone = match zone {
            ZoneOrigin::Folder(folder) if folder.is_dir() => {
                ZoneClient::Folder(FolderOrigin::new(folder))
            }
            ZoneOrigin::Folder(folder) => {
                return Err(SetupError::NoFolder(folder.display().to_string()));
            }
            ZoneOrigin::Http(base) => ZoneClient::Http {
                client: HttpClient::new(config, EgressPolicy::Anywhere)?,
                base: base.clone(),
            },
            ZoneOrigin::Bucket(name) if buckets.contains_key(name) => ZoneClient::Bucket,
            ZoneOrigin::Bucket(name) => return Err(SetupError::NoBucket(name.clone())),
        };
        let egress = if config.private_networks {
            EgressPolicy::Private
        } else {
            EgressPolicy::Public
        };
        Ok(Sources {
            config: config.clone(),
            memory,
            slots: FetchSlots::new(
                config.concurrency.get(),
                config.connections_per_origin.get(),
            ),
            rule_set,
            allowlist,
            zone,
            allowed: HttpClient::new(config, egress)?,
            buckets,
        })
    }

    /// How many fetches run and wait now.
    pub fn fetches(&self) -> FetchCounts {
        self.slots.fetches()
    }

    /// Fetches `source`, or learns that it is still what `known` describes.
    ///
    /// # Errors
    /// [`SourceError`] says why there is no source.
    pub async fn fetch(
        &self,
        source: &ApprovedSource,
        known: Option<&Validators>,
    ) -> Result<FetchOutcome, SourceError> {
        let total = self.config.total_timeout.duration();
        let turn = self.turn(source, Clock::starting_now(total)).await?;
        let clock = Clock::starting_now(total);
        let context = FetchContext {
            config: &self.config,
            memory: &self.memory,
            // Wherever it redirects to, this is the source that was asked for.
            terms: self.rule_set.of(source),
            clock,
        };
        let mut known = known.cloned();
        let mut step = self.ask(source, known.as_ref(), context).await?;
        drop(turn);
        for _ in 0..self.config.max_redirects {
            let OriginResponse::Redirect(target) = step else {
                break;
            };
            let source = self
                .allowlist
                .approve(&target)
                .map_err(SourceError::RedirectDenied)?;
            // Behind a moved redirect lies another thing, which may well be older than the one that is known.
            if let Some(known) = &mut known {
                known.last_modified = None;
            }
            let _turn = self.turn(&source, clock).await?;
            step = self.ask(&source, known.as_ref(), context).await?;
        }
        match step {
            OriginResponse::Final(answer) => Ok(answer),
            OriginResponse::Redirect(_) => Err(SourceError::TooManyRedirects {
                limit: self.config.max_redirects,
            }),
        }
    }

    /// A place to ask the origin of a source.
    async fn turn(&self, source: &ApprovedSource, clock: Clock) -> Result<FetchSlot, SourceError> {
        let server = |url: &Url| url.origin().ascii_serialization();
        let origin = match (source.location(), &self.zone) {
            (SourceLocation::Http(url), _) => server(url),
            (SourceLocation::Bucket { name, .. }, _) => format!("bucket:{name}"),
            (SourceLocation::Zone { .. }, ZoneClient::Http { base, .. }) => server(base),
            (SourceLocation::Zone { .. }, ZoneClient::Folder(_) | ZoneClient::Bucket) => {
                "zone:".to_owned()
            }
        };
        self.slots.take(origin, clock).await
    }

    async fn ask(
        &self,
        source: &ApprovedSource,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<OriginResponse, SourceError> {
        match (source.location(), &self.zone) {
            (SourceLocation::Http(url), _) => self.allowed.ask(url, known, context).await,
            (SourceLocation::Bucket { name, key }, _) => {
                self.object(name, key, known, context).await
            }
            (SourceLocation::Zone { path, query }, ZoneClient::Http { client, base }) => {
                let url = zone_url(base, path, query.as_deref());
                client.ask(&url, known, context).await
            }
            (SourceLocation::Zone { path, .. }, ZoneClient::Folder(folder)) => folder
                .fetch(path, known, context)
                .await
                .map(OriginResponse::Final),
            // The allowlist makes every path of such a zone a key of the bucket.
            (SourceLocation::Zone { .. }, ZoneClient::Bucket) => {
                Err(SourceError::NotFound { negative_ttl: None })
            }
        }
    }

    async fn object(
        &self,
        name: &str,
        key: &str,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<OriginResponse, SourceError> {
        let opened = self
            .buckets
            .get(name)
            .ok_or_else(|| SourceError::UnknownBucket(name.to_owned()))?;
        bucket::fetch(opened, key, known, context)
            .await
            .map(OriginResponse::Final)
    }
}

/// A setting that keeps sources from being fetched at all.
#[derive(Debug)]
pub enum SetupError {
    /// A `[[bucket]]` that cannot be opened.
    Bucket(BucketError),
    /// A `[[cache.rule]]` that cannot hold.
    Rule(RuleError),
    /// The zone's folder does not exist.
    NoFolder(String),
    /// The zone's bucket is not configured.
    NoBucket(String),
    /// `fetch.memory` is too little, in bytes.
    Memory {
        /// As configured.
        total: u64,
        /// What `limits.source_bytes` takes.
        least: u64,
    },
    /// `fetch.user_agent` is not a header value.
    UserAgent(String),
    /// The HTTP client cannot start: no certificates to check servers with, for example.
    Client(String),
}

impl fmt::Display for SetupError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::Bucket(error) => error.fmt(out),
            SetupError::Rule(error) => error.fmt(out),
            SetupError::NoFolder(folder) => write!(
                out,
                "`zone.origin` must name an existing folder, got `{folder}`"
            ),
            SetupError::NoBucket(name) => {
                write!(
                    out,
                    "`zone.origin` must name a configured [[bucket]], got `{name}`"
                )
            }
            SetupError::Memory { total, least } => write!(
                out,
                "`fetch.memory` must be at least twice `limits.source_bytes` ({least} bytes), got {total}"
            ),
            SetupError::UserAgent(value) => {
                write!(
                    out,
                    "`fetch.user_agent` must be printable ASCII on one line, got {value:?}"
                )
            }
            SetupError::Client(reason) => write!(out, "the HTTP client cannot start: {reason}"),
        }
    }
}

impl std::error::Error for SetupError {}

#[cfg(test)]
mod tests;

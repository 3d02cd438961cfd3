//! Fetches source images: from web servers, S3 buckets and a local folder.
//!
//! Never requests a URL that the allowlist has not approved; a redirect needs an approval of its own, because the origin's wish is no permission.
//! Never connects an allowed origin to a private address unless `fetch.private_networks` says so. Never holds more bytes than the limit for one
//! source, and than the limit for all sources. Never forwards anything of the client's request but the trace that it belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use url::Url;

use crate::bucket::{Bucket, BucketError, Config as BucketConfig, Timeouts};
use crate::deadline::Deadline;
use crate::freshness::{Rules, Validators};
use crate::policy::{Allowlist, ApprovedSource, HostedStore, SourceLocation, ZoneOrigin, zone_url};
pub use config::Config;
use context::FetchContext;
pub(crate) use egress::AddressClass;
use egress::EgressPolicy;
pub use error::BusyReason;
pub use error::FetchStage;
pub use error::OriginStatus;
pub use error::SourceError;
pub(crate) use file_kind::{FIRST_LOOK, FileKind, LAST_LOOK, Sniff};
use folder::FolderOrigin;
pub(crate) use guarded::GuardedClient;
use hosted::HostedOrigin;
use http::HttpClient;
pub(crate) use listing::ZoneListing;
pub use memory::IdleReservation;
pub use memory::Reservation;
pub use memory::SourceMemory;
use original::Verdicts;
pub(crate) use original::{Original, OriginalRequest};
pub use outcome::FetchOutcome;
pub use outcome::FetchedSource;
use outcome::OriginResponse;
pub use rules::RuleConfig;
pub use rules::RuleError;
use rules::RuleSet;
pub use setup::SetupError;
pub use slots::FetchCounts;
use slots::FetchSlot;
use slots::FetchSlots;

mod body;
mod bucket;
mod coding;
mod config;
mod context;
mod egress;
mod error;
mod file_kind;
mod folder;
mod guarded;
mod hosted;
mod http;
mod listing;
mod memory;
mod original;
mod outcome;
mod rules;
mod setup;
mod slots;

/// All origins, with their clients.
pub struct Sources {
    config: Config,
    memory: SourceMemory,
    slots: FetchSlots,
    /// Originals need a slot of these as well. There are half as many.
    transfers: FetchSlots,
    verdicts: Verdicts,
    sniff: Sniff,
    rule_set: RuleSet,
    allowlist: Arc<Allowlist>,
    zone: ZoneClient,
    hosted: HostedOrigin,
    allowed: HttpClient,
    buckets: HashMap<String, Bucket>,
}

/// Which origins there are.
pub struct Origins<'a> {
    /// The origin of paths without a host.
    pub zone: &'a ZoneOrigin,
    /// The buckets that sources may be in.
    pub buckets: &'a [BucketConfig],
    /// Where hosted images are kept.
    pub hosted: &'a HostedStore,
    /// Approves sources and redirects.
    pub allowlist: Arc<Allowlist>,
    /// Tells by the first bytes what a source is.
    pub(crate) sniff: Sniff,
}

/// The origin behind the zone's paths.
enum ZoneClient {
    Folder(FolderOrigin),
    Http { client: HttpClient, base: Url },
    Bucket(String),
    None,
}

impl Sources {
    /// Builds the client of every origin and checks the settings. Sends no request.
    ///
    /// `general` are the freshness rules of sources that none of the `special` rules names.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that cannot work.
    pub fn new(
        config: &Config,
        memory: SourceMemory,
        origins: Origins<'_>,
        general: Rules,
        special: &[RuleConfig],
    ) -> Result<Sources, SetupError> {
        let Origins {
            zone,
            buckets,
            hosted,
            allowlist,
            sniff,
        } = origins;
        let names = buckets.iter().map(|bucket| bucket.name.as_str());
        let rule_set = RuleSet::new(general, special, zone, names).map_err(SetupError::Rule)?;
        let buckets = open_buckets(buckets, config).map_err(SetupError::Bucket)?;
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
            ZoneOrigin::Bucket(name) if buckets.contains_key(name) => {
                ZoneClient::Bucket(name.clone())
            }
            ZoneOrigin::Bucket(name) => return Err(SetupError::NoBucket(name.clone())),
            ZoneOrigin::None => ZoneClient::None,
        };
        let egress = if config.private_networks {
            EgressPolicy::Private
        } else {
            EgressPolicy::Public
        };
        let concurrency = config.concurrency.get();
        let per_origin = config.connections_per_origin.get();
        Ok(Sources {
            config: config.clone(),
            memory,
            slots: FetchSlots::new(concurrency, per_origin),
            transfers: FetchSlots::new(concurrency, concurrency),
            verdicts: Verdicts::default(),
            sniff,
            rule_set,
            allowlist,
            zone,
            hosted: HostedOrigin::of(hosted),
            allowed: HttpClient::new(config, egress)?,
            buckets,
        })
    }

    /// How many fetches run and wait now.
    pub fn fetches(&self) -> FetchCounts {
        let (fetches, transfers) = (self.slots.fetches(), self.transfers.fetches());
        FetchCounts {
            running: fetches.running + transfers.running,
            waiting: fetches.waiting + transfers.waiting,
        }
    }

    /// How many more originals may be on their way to clients.
    pub(crate) fn free_transfers(&self) -> usize {
        self.transfers.free()
    }

    /// Fetches `source`, unless it still matches the validators `known`.
    ///
    /// # Errors
    /// [`SourceError`] says why there is no source.
    pub async fn fetch(
        &self,
        source: &ApprovedSource,
        known: Option<&Validators>,
    ) -> Result<FetchOutcome, SourceError> {
        self.fetch_with(source, known, &self.allowlist, None).await
    }

    /// Fetches the source at an address that `allowlist` approves, and redirects that it approves, with this `Authorization` header. The header is for
    /// the origin of the source alone.
    ///
    /// # Errors
    /// [`SourceError`] says why there is no source.
    pub(crate) async fn download(
        &self,
        source: &ApprovedSource,
        allowlist: &Allowlist,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, SourceError> {
        let outcome = self.fetch_with(source, None, allowlist, authorization);
        match outcome.await? {
            FetchOutcome::Fetched(fetched) => Ok(fetched.bytes),
            FetchOutcome::NotModified { .. } => {
                let reason = "the origin sent nothing".to_owned();
                Err(SourceError::BrokenOff(reason))
            }
        }
    }

    async fn fetch_with(
        &self,
        source: &ApprovedSource,
        known: Option<&Validators>,
        allowlist: &Allowlist,
        authorization: Option<&HeaderValue>,
    ) -> Result<FetchOutcome, SourceError> {
        let total_timeout = self.config.total_timeout.duration();
        let slot = self.take_slot(source, Deadline::after(total_timeout));
        let slot = slot.await?;
        let mut context = FetchContext {
            config: &self.config,
            memory: &self.memory,
            // Redirects do not change which source was asked for.
            rules: self.rule_set.of(source),
            deadline: Deadline::after(total_timeout),
            sniff: self.sniff,
            authorization,
        };
        let mut known = known.cloned();
        let mut response = self.get(source, known.as_ref(), context).await?;
        drop(slot);
        for _ in 0..self.config.max_redirects {
            let OriginResponse::Redirect(target) = response else {
                break;
            };
            let first = self.origin_name(source);
            let source = allowlist
                .approve(&target)
                .map_err(SourceError::RedirectDenied)?;
            // The redirect may lead to another resource now, and that may be older than the known one.
            if let Some(known) = &mut known {
                known.last_modified = None;
            }
            if self.origin_name(&source) != first {
                context.authorization = None;
            }
            let _slot = self.take_slot(&source, context.deadline).await?;
            response = self.get(&source, known.as_ref(), context).await?;
        }
        match response {
            OriginResponse::Final(outcome) => Ok(outcome),
            OriginResponse::Redirect(_) => Err(SourceError::TooManyRedirects {
                limit: self.config.max_redirects,
            }),
        }
    }

    /// Waits until the origin of a source may be asked.
    async fn take_slot(
        &self,
        source: &ApprovedSource,
        deadline: Deadline,
    ) -> Result<FetchSlot, SourceError> {
        self.slots.take(self.origin_name(source), deadline).await
    }

    /// The origin of a source, by which slots are counted.
    fn origin_name(&self, source: &ApprovedSource) -> String {
        let server = |url: &Url| url.origin().ascii_serialization();
        match (source.location(), &self.zone) {
            (SourceLocation::Http(url), _) => server(url),
            (SourceLocation::Bucket { name, .. }, _) => format!("bucket:{name}"),
            (SourceLocation::Hosted { .. }, _) => "hosted:".to_owned(),
            (SourceLocation::Zone { .. }, ZoneClient::Http { base, .. }) => server(base),
            (
                SourceLocation::Zone { .. },
                ZoneClient::Folder(_) | ZoneClient::Bucket(_) | ZoneClient::None,
            ) => "zone:".to_owned(),
        }
    }

    /// Sends one request to the origin of a source.
    async fn get(
        &self,
        source: &ApprovedSource,
        known: Option<&Validators>,
        context: FetchContext<'_>,
    ) -> Result<OriginResponse, SourceError> {
        let outcome = match (source.location(), &self.zone) {
            (SourceLocation::Http(url), _) => return self.allowed.get(url, known, context).await,
            (SourceLocation::Zone { path, query }, ZoneClient::Http { client, base }) => {
                let url = zone_url(base, path, query.as_deref());
                return client.get(&url, known, context).await;
            }
            (SourceLocation::Bucket { name, key }, _) => {
                let bucket = self.buckets.get(name);
                let bucket = bucket.ok_or_else(|| SourceError::UnknownBucket(name.clone()))?;
                bucket::fetch(bucket, key, known, context).await?
            }
            (SourceLocation::Hosted { key, .. }, _) => match &self.hosted {
                HostedOrigin::Off => return Err(SourceError::NotFound { negative_ttl: None }),
                HostedOrigin::Folder(folder) => {
                    folder.fetch(&hosted::path(key), known, context).await?
                }
                HostedOrigin::Bucket { name, prefix } => {
                    let bucket = self.buckets.get(name);
                    let bucket = bucket.ok_or_else(|| SourceError::UnknownBucket(name.clone()))?;
                    bucket::fetch(bucket, &hosted::key(prefix, key), known, context).await?
                }
            },
            (SourceLocation::Zone { path, .. }, ZoneClient::Folder(folder)) => {
                folder.fetch(path, known, context).await?
            }
            // The allowlist approves paths of such a zone as keys of the bucket, and without a zone none.
            (SourceLocation::Zone { .. }, ZoneClient::Bucket(_) | ZoneClient::None) => {
                return Err(SourceError::NotFound { negative_ttl: None });
            }
        };
        Ok(OriginResponse::Final(outcome))
    }
}

fn open_buckets(
    buckets: &[BucketConfig],
    config: &Config,
) -> Result<HashMap<String, Bucket>, BucketError> {
    let timeouts = Timeouts {
        connect: config.connect_timeout.duration(),
        first_byte: config.first_byte_timeout.duration(),
        total: config.total_timeout.duration(),
    };
    let buckets = buckets.iter();
    buckets
        .map(|bucket| Ok((bucket.name.clone(), Bucket::open(bucket, timeouts)?)))
        .collect()
}

#[cfg(test)]
mod tests;

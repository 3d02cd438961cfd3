//! Tests of the whole cache, with real folders.

pub(crate) mod bucket;
mod crash;
mod disk;
mod disk_budget;
mod disk_faults;
mod get_format;
mod links;
mod model;
mod mounts;
mod negative;
mod purge_races;
mod purges;
mod shared;
mod single_flight;
mod sources;
mod stale;
mod store;
mod sweeper;
mod wait_budget;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::HeaderMap;
use tempfile::TempDir;

use crate::bucket::Config as BucketConfig;
use crate::cache::entry::EntryKey;
use crate::cache::tier::disk::layout::DiskLayout;
use crate::cache::tier::disk::recovery::scan;
use crate::cache::tier::disk::store::{ReadResult, Store};
use crate::cache::{
    Cache, CacheableError, CachedRendition, CachedSource, Config, ContentHash, DiskConfig,
    DiskFault, ErrorTtls, FlightError, FlightLost, Purge, Rendition, RenditionKey, SourceName,
    SourceRecord, Target,
};
use crate::freshness::{Freshness, Rules, Tags, Validators};
use crate::options::Format;
use crate::source::{FetchedSource, SourceMemory};
use crate::units::{ByteSize, Seconds};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TestError {
    Broken(u32),
    Lost(FlightLost),
}

impl From<FlightLost> for TestError {
    fn from(lost: FlightLost) -> Self {
        TestError::Lost(lost)
    }
}

/// A status from 500 on means that the origin is down.
impl CacheableError for TestError {
    fn is_outage(&self) -> bool {
        matches!(self, TestError::Broken(500..))
    }

    fn ttl(&self, ttls: &ErrorTtls) -> Duration {
        match self {
            TestError::Broken(404) => ttls.not_found.duration(),
            TestError::Broken(415) => ttls.source.duration(),
            _ => Duration::ZERO,
        }
    }
}

pub(crate) type FlightResult<V> = Result<V, FlightError<TestError>>;

pub(crate) type Rendered = FlightResult<Rendition>;

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// More memory than any test needs.
pub(crate) fn source_memory() -> SourceMemory {
    SourceMemory::new(1 << 40, 1 << 30)
}

pub(crate) fn config(path: &Path) -> Config {
    Config {
        disk: DiskConfig {
            path: path.to_owned(),
            ..DiskConfig::default()
        },
        ..Config::default()
    }
}

/// A cache in `path`, as soon as no other cache uses it: one that was dropped may still be writing.
pub(crate) async fn open(path: &Path) -> Arc<Cache> {
    open_with(&config(path)).await
}

pub(crate) async fn open_with(config: &Config) -> Arc<Cache> {
    open_among(config, &[]).await
}

pub(crate) async fn open_among(config: &Config, buckets: &[BucketConfig]) -> Arc<Cache> {
    loop {
        let cache = Cache::open(config, buckets, None, source_memory())
            .await
            .expect("sound settings");
        let stats = cache.stats();
        let is_locked = [stats.disk_renditions, stats.disk_sources]
            .into_iter()
            .flatten()
            .any(|disk| disk.fault == Some(DiskFault::Locked));
        if !is_locked {
            return cache;
        }
        drop(cache);
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn in_memory() -> Arc<Cache> {
    open(Path::new("")).await
}

pub(crate) fn rendition(key: &RenditionKey, content: &[u8]) -> Rendition {
    Rendition::new(
        key,
        content.to_vec(),
        Format::Webp,
        (4, 3),
        vec!["mind the gap".to_owned()],
    )
}

/// The stored rendition, or else a new one with this content.
pub(crate) async fn render(
    cache: &Arc<Cache>,
    key: RenditionKey,
    content: &'static [u8],
) -> CachedRendition {
    let render = async move { Rendered::Ok(rendition(&key, content)) };
    cache
        .get_or_render(key, true, render)
        .await
        .expect("the render succeeds")
}

/// The key of a rendition of a source that was found.
pub(crate) fn key_of(number: u64, found: &CachedSource) -> RenditionKey {
    let source = SourceName::numbered(number).key;
    RenditionKey::numbered_of(&source, found.record.epoch, number)
}

pub(crate) async fn purge(cache: &Arc<Cache>, target: Target, soft: bool) {
    cache
        .purge(vec![Purge { target, soft }])
        .await
        .expect("nothing is in the way");
}

/// Returns when no flight is under way.
pub(crate) async fn no_flights(cache: &Cache) {
    while cache.stats().flights > 0 {
        tokio::task::yield_now().await;
    }
}

/// Returns when the condition is true: much happens in the background.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never so: {what}");
}

/// The record of a source that was fetched at a time, with the default rules.
pub(crate) fn record(
    name: &SourceName,
    bytes: &'static [u8],
    now: SystemTime,
    generation: u64,
) -> SourceRecord {
    let fetched = FetchedSource {
        bytes: Bytes::from_static(bytes),
        validators: Validators {
            etag: Some("W/\"a'\\\"".to_owned()),
            last_modified: Some(now),
        },
        freshness: Freshness::of(&HeaderMap::new(), now, &Rules::default()),
        tags: Tags::default(),
    };
    SourceRecord::new(name, ContentHash::of(bytes), fetched, generation)
}

/// All files below `folder`.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// The files of all entries in the folder of one store.
pub(crate) fn entries(store: &Path) -> Vec<PathBuf> {
    let is_entry = |path: &PathBuf| path.parent() != Some(store);
    files(store).into_iter().filter(is_entry).collect()
}

/// The space of a folder, as the system counts it.
pub(crate) fn du(folder: &Path) -> u64 {
    let output = Command::new("du")
        .arg("-sB1")
        .arg(folder)
        .output()
        .expect("every system has this command");
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes = text.split_whitespace().next().map(str::parse);
    bytes
        .expect("it says something")
        .expect("it begins with a number")
}

/// A store that is in use and scanned.
pub(crate) fn store(place: &Path, budget: u64) -> Store {
    let store = unscanned(place, budget);
    scan(&store);
    store
}

pub(crate) fn unscanned(place: &Path, budget: u64) -> Store {
    let store = Store::new("renditions", DiskLayout::new(place.to_owned()), budget);
    store.activate();
    assert_eq!(store.stats().fault, None);
    store
}

pub(crate) fn key(number: u64) -> EntryKey {
    EntryKey::rendition(RenditionKey::numbered(number))
}

/// The body of an entry, if it is there and whole.
pub(crate) fn body(store: &Store, key: EntryKey) -> Option<Bytes> {
    match store.read(&key) {
        ReadResult::Found(body) => Some(body),
        ReadResult::Missing | ReadResult::Corrupt | ReadResult::Failed => None,
    }
}

pub(crate) fn only(mut paths: Vec<PathBuf>) -> PathBuf {
    assert_eq!(paths.len(), 1, "{paths:?}");
    paths.remove(0)
}

#[test]
fn settings_have_sound_defaults_and_refuse_what_they_do_not_know() {
    assert_eq!(toml::from_str::<Config>(""), Ok(Config::default()));
    let text =
        "min_ttl = \"2 h\"\n[memory]\nrenditions = \"1 MiB\"\n[disk]\npath = \"\"\nsources = \"0\"";
    let read: Config = toml::from_str(text).expect("settings as an operator writes them");
    assert_eq!(read.rules().min_ttl, Duration::from_secs(7200));
    assert_eq!(
        (read.memory.renditions(None), read.disk.sources),
        (ByteSize::mib(1), ByteSize::mib(0))
    );
    assert_eq!(read.disk.renditions, ByteSize::gib(10));
    assert!(toml::from_str::<Config>("ttl = \"2 h\"").is_err());
}

#[tokio::test]
async fn a_min_ttl_above_the_max_ttl_is_refused() {
    let config = Config {
        max_ttl: Seconds::new(60),
        ..config(Path::new(""))
    };
    let error = Cache::open(&config, &[], None, source_memory())
        .await
        .err()
        .expect("min_ttl is an hour");
    assert_eq!(
        error.to_string(),
        "setting `cache.min_ttl` must not exceed `cache.max_ttl` (60 s), got 3600 s"
    );
}

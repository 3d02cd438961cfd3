//! The caches and origins of a history, and its steps.

use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use tempfile::TempDir;

use crate::cache::tests::bucket::TestBucket;
use crate::cache::tests::model::life::{Health, LIFE, Life, ON_ERROR, WHILE_REVALIDATING};
use crate::cache::tests::model::{Aim, SOURCES, Step};
use crate::cache::tests::shared::sharing;
use crate::cache::tests::{
    FlightResult, TestError, files, folder, no_flights, open, open_among, rendition,
};
use crate::cache::{Cache, Purge, RenderOutput, RenditionKey, SourceName, Target};
use crate::freshness::{Freshness, Rules, Tags, Validators};
use crate::source::{FetchOutcome, FetchedSource};
use crate::units::Seconds;

pub(crate) struct World {
    /// Each with its folder.
    caches: Vec<(Arc<Cache>, TempDir)>,
    bucket: Option<TestBucket>,
    pub(crate) now: u64,
    lives: Vec<Arc<Mutex<Life>>>,
    pub(crate) told: String,
}

impl World {
    pub(crate) async fn new(bucket: Option<TestBucket>) -> Self {
        let count = if bucket.is_some() { 2 } else { 1 };
        let mut world = World {
            caches: Vec::new(),
            bucket,
            now: 0,
            lives: (1..=SOURCES)
                .map(|number| Arc::new(Mutex::new(Life::new(number, count))))
                .collect(),
            told: String::new(),
        };
        for _ in 0..count {
            let place = folder();
            let cache = world.open(place.path()).await;
            world.caches.push((cache, place));
        }
        world
    }

    async fn open(&self, place: &Path) -> Arc<Cache> {
        match &self.bucket {
            Some(bucket) => {
                let config = sharing(place, Seconds::new(20));
                open_among(&config, &[bucket.config()]).await
            }
            None => open(place).await,
        }
    }

    fn ttl(&self, number: u64) -> Arc<Mutex<Life>> {
        Arc::clone(&self.lives[usize::try_from(number - 1).expect("a small number")])
    }

    fn each_life(&self, met: impl Fn(u64) -> bool, change: impl Fn(&mut Life)) {
        for number in (1..=SOURCES).filter(|number| met(*number)) {
            change(&mut self.ttl(number).lock().expect("no test panics here"));
        }
    }

    pub(crate) async fn step(&mut self, step: &Step) -> Result<(), String> {
        let now = self.now;
        match *step {
            Step::Ask(number, who) => self.ask(number, who).await?,
            Step::Change(number) => self.each_life(
                |other| other == number,
                |life| {
                    let next = format!("source {number} state {}", life.states.len());
                    life.states.push((next, now));
                },
            ),
            Step::Health(number, health) => self.each_life(
                |other| other == number,
                |life| life.health.push((health, now)),
            ),
            Step::Storable(number, storable) => {
                self.each_life(|other| other == number, |life| life.storable = storable)
            }
            Step::Pass(seconds) => {
                self.now += seconds;
                let seconds = i64::try_from(seconds).expect("a small number");
                for (cache, _) in &self.caches {
                    cache.clock.advance(seconds);
                }
            }
            Step::Purge(aim, soft, who) => {
                let target = match aim {
                    Aim::Source(number) => Target::Source(SourceName::numbered(number).key),
                    Aim::Prefix => Target::Prefix("https://b.com".to_owned()),
                    Aim::Everything => Target::Everything,
                };
                let purge = Purge { target, soft };
                let (cache, _) = &self.caches[who];
                let purged = cache.purge(vec![purge]).await;
                purged.map_err(|error| error.to_string())?;
                for (cache, _) in &self.caches {
                    cache.catch_up().await;
                }
                let met = |number| !matches!(aim, Aim::Source(one) if one != number);
                self.each_life(met, |life| {
                    let when = if soft {
                        &mut life.soft_purge
                    } else {
                        &mut life.hard_purge
                    };
                    *when = Some(now);
                });
            }
            Step::Restart(who) => {
                self.caches[who].0.flush().await;
                self.reopen(who).await;
            }
            Step::Kill(who) => {
                self.reopen(who).await;
                // The killed process may have been about to delete something.
                self.each_life(|_| true, |life| life.refused[who] = 0);
            }
            Step::Forget => {
                for (cache, _) in &self.caches {
                    cache.memory.clear();
                }
            }
            Step::Damage(seed) => {
                for (_, place) in &self.caches {
                    damage(place.path(), seed);
                }
            }
        }
        // One step ends before the next begins, so that the model knows their order.
        for (cache, _) in &self.caches {
            no_flights(cache).await;
            if self.bucket.is_some() {
                cache.flush().await;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, number: u64, who: usize) -> Result<(), String> {
        let cache = &self.caches[who].0;
        let (life, clock) = (self.ttl(number), cache.clock.clone());
        let name = SourceName::numbered(number);
        let origin = Arc::clone(&life);
        let before = life.lock().expect("no test panics here").answers;
        let is_storable = life.lock().expect("no test panics here").is_storable(who);
        let fetch = move |known: Option<Validators>| async move {
            let mut life = origin.lock().expect("no test panics here");
            match life.health() {
                Health::Up => {}
                Health::Down => return Err(TestError::Broken(503)),
                Health::Gone => {
                    life.answer(who, false);
                    return Err(TestError::Broken(404));
                }
            }
            let storable = life.storable;
            life.answer(who, storable);
            let text = if storable {
                format!(
                    "max-age={LIFE}, stale-while-revalidate={WHILE_REVALIDATING}, stale-if-error={ON_ERROR}"
                )
            } else {
                "no-store".to_owned()
            };
            let mut headers = HeaderMap::new();
            headers.insert(
                CACHE_CONTROL,
                HeaderValue::try_from(text).expect("plain text"),
            );
            let freshness = Freshness::of(&headers, clock.now(), &Rules::default());
            let validators = Validators {
                etag: Some(format!("\"{}\"", life.states.len())),
                last_modified: None,
            };
            if known.is_some_and(|known| known.etag == validators.etag) {
                return Ok(FetchOutcome::NotModified {
                    freshness,
                    validators,
                    tags: Tags::default(),
                });
            }
            Ok(FetchOutcome::Fetched(FetchedSource {
                bytes: Bytes::from(life.current().to_owned()),
                validators,
                freshness,
                tags: Tags::default(),
            }))
        };
        let found = cache.get_or_fetch(&name, fetch.clone()).await;
        let life = life.lock().expect("no test panics here");
        let (found, stale) = match found {
            Ok(found) => {
                let stale = found.stale;
                (found, stale)
            }
            Err(failed) => {
                let TestError::Broken(status) = *failed.error else {
                    return Err(format!("source {number}: {:?}", failed.error));
                };
                return life.allows_none(status, self.now);
            }
        };
        drop(life);
        let record = Arc::clone(&found.record);
        let key = RenditionKey::numbered_in(&name.key, record.state());
        let keep = record.freshness.is_storable();
        let (again, named, with) = (fetch, name.clone(), Arc::clone(cache));
        let render = async move {
            let source = with.bytes_or_fetch(&named, found, again).await?;
            let key = RenditionKey::numbered_in(&named.key, source.record.state());
            let rendition = rendition(&key, &source.bytes);
            let source = (!Arc::ptr_eq(&source.record, &record)).then_some(source.record);
            FlightResult::Ok(RenderOutput { rendition, source })
        };
        let made = cache.get_or_render(key, keep, render).await;
        let life = self.ttl(number);
        let life = life.lock().expect("no test panics here");
        match made {
            Ok(made) => {
                let content = String::from_utf8_lossy(&made.rendition.bytes).into_owned();
                if !is_storable && life.answers == before {
                    return Err(format!("`{content}`: kept although its origin said not to"));
                }
                life.allows(&content, stale, self.now)
                    .map_err(|wrong| format!("`{content}`: {wrong}"))
            }
            Err(failed) => match *failed.error {
                TestError::Broken(status) => life.allows_none(status, self.now),
                ref lost => Err(format!("{lost:?}")),
            },
        }
    }

    async fn reopen(&mut self, who: usize) {
        // The old cache is not closed: what it still writes is there before the new one reads it, or never.
        let ahead = i64::try_from(self.now).expect("a small number");
        self.caches[who].0 = open(Path::new("")).await;
        let cache = self.open(self.caches[who].1.path()).await;
        cache.clock.advance(ahead);
        self.caches[who].0 = cache;
    }
}

/// Deletes, truncates or changes some files.
fn damage(place: &Path, seed: u8) {
    for (number, path) in files(place).into_iter().enumerate() {
        let is_journal = path.file_name().is_some_and(|name| name == "purges");
        if is_journal || (number + usize::from(seed)) % 3 != 0 {
            continue;
        }
        // A file that has disappeared meanwhile is damaged enough.
        let Ok(mut content) = std::fs::read(&path) else {
            continue;
        };
        let _ = match seed % 4 {
            0 => std::fs::remove_file(&path),
            1 => std::fs::write(&path, &content[..content.len() / 2]),
            _ => {
                let position = usize::from(seed) * 7 % content.len().max(1);
                if let Some(byte) = content.get_mut(position) {
                    *byte ^= 1 << (seed % 8);
                }
                std::fs::write(&path, &content)
            }
        };
    }
}

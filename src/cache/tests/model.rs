//! Random histories against a model of what may be answered.
//!
//! The model knows the whole life of each origin: what its source was, and when it failed. It does not predict what the cache does; it judges each
//! answer by what was true: how long ago the content was the origin's last, whether it was purged since, whether the origin could be asked. So
//! it needs no knowledge of tiers, flights and files, and every way to be wrong about them shows as an answer that cannot be right.
//!
//! There may be two caches that share a bucket: each has heard what the other purged before it is asked again.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::CACHE_CONTROL;
use hyper::header::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;

use super::Landing;
use super::TestError;
use super::bucket::TestBucket;
use super::files;
use super::folder;
use super::open;
use super::open_among;
use super::rendition;
use super::shared::sharing;
use crate::cache::Cache;
use crate::cache::Key;
use crate::cache::Made;
use crate::cache::Purge;
use crate::cache::SourceName;
use crate::cache::Stale;
use crate::cache::Target;
use crate::freshness::Freshness;
use crate::freshness::Rules;
use crate::freshness::Tags;
use crate::freshness::Validators;
use crate::source::Answer;
use crate::source::Fetched;
use crate::units::Seconds;

const SOURCES: u64 = 3;
const HOUR: u64 = 60 * 60;
/// What every origin allows, in seconds.
const LIFE: u64 = 2 * HOUR;
const WHILE_REVALIDATING: u64 = HOUR;
const ON_ERROR: u64 = 4 * HOUR;
/// How long the cache may go on telling that a source is not there, and how long it leaves an origin alone that failed.
const NOT_FOUND: u64 = 10;
const HOLD_OFF: u64 = 5;
/// Times are told in whole seconds, which are cut off here and there.
const SLACK: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Up,
    Down,
    Gone,
}

#[derive(Clone, Debug)]
enum Step {
    /// Ask one cache for a rendition of a source.
    Ask(u64, usize),
    /// Another picture under the same address.
    Change(u64),
    Health(u64, Health),
    /// From now on the origin lets it be stored, or does not.
    Storable(u64, bool),
    /// Seconds pass.
    Pass(u64),
    Purge(Aim, bool, usize),
    Restart(usize),
    /// The process is killed: what was not written down is lost.
    Kill(usize),
    /// Memory gives everything up.
    Forget,
    /// Somebody deletes some of the files on disk, or breaks them.
    Damage(u8),
}

#[derive(Clone, Copy, Debug)]
enum Aim {
    Source(u64),
    Prefix,
    Everything,
}

fn step(caches: usize) -> impl Strategy<Value = Step> {
    let (source, who) = (1..=SOURCES, 0..caches);
    let health = prop_oneof![
        3 => Just(Health::Up),
        2 => Just(Health::Down),
        1 => Just(Health::Gone),
    ];
    let pass = prop_oneof![
        Just(1),
        Just(4),
        Just(20),
        Just(HOUR / 2),
        Just(HOUR),
        Just(3 * HOUR)
    ];
    let aim = prop_oneof![
        4 => source.clone().prop_map(Aim::Source),
        1 => Just(Aim::Prefix),
        1 => Just(Aim::Everything),
    ];
    prop_oneof![
        12 => (source.clone(), who.clone()).prop_map(|(source, who)| Step::Ask(source, who)),
        3 => source.clone().prop_map(Step::Change),
        3 => (source.clone(), health).prop_map(|(source, health)| Step::Health(source, health)),
        2 => (source, any::<bool>()).prop_map(|(source, may_be)| Step::Storable(source, may_be)),
        4 => pass.prop_map(Step::Pass),
        2 => (aim, any::<bool>(), who.clone()).prop_map(|(aim, soft, who)| Step::Purge(aim, soft, who)),
        1 => who.clone().prop_map(Step::Restart),
        1 => who.prop_map(Step::Kill),
        1 => Just(Step::Forget),
        1 => any::<u8>().prop_map(Step::Damage),
    ]
}

/// One origin's life, in seconds since the beginning.
struct Life {
    /// Each state of the source, and since when it is the last one.
    states: Vec<(String, u64)>,
    /// Each change of health, and when.
    health: Vec<(Health, u64)>,
    hard_purge: Option<u64>,
    soft_purge: Option<u64>,
    /// Whether it may be stored.
    storable: bool,
    /// How often it was asked and answered.
    answers: u64,
    /// When it last said, to whomever, that it may be stored, by the number of its answer.
    let_store: u64,
    /// When it last said to each cache that there is nothing to store.
    refused: Vec<u64>,
}

impl Life {
    fn new(number: u64, caches: usize) -> Self {
        Life {
            states: vec![(format!("source {number} state 0"), 0)],
            health: vec![(Health::Up, 0)],
            hard_purge: None,
            soft_purge: None,
            storable: true,
            answers: 0,
            let_store: 0,
            refused: vec![0; caches],
        }
    }

    fn health(&self) -> Health {
        self.health.last().expect("there is a first one").0
    }

    fn current(&self) -> &str {
        &self.states.last().expect("there is a first one").0
    }

    /// Whether it was in this health at some time since.
    fn was(&self, health: Health, since: u64) -> bool {
        let ends = self
            .health
            .iter()
            .skip(1)
            .map(|(_, at)| *at)
            .chain([u64::MAX]);
        let mut spans = self.health.iter().zip(ends);
        spans.any(|((state, _), end)| *state == health && end >= since)
    }

    /// When a state was the origin's last for the last time; `now` if it still is.
    fn last_held(&self, content: &str, now: u64) -> Option<u64> {
        let position = self.states.iter().position(|(state, _)| state == content)?;
        Some(
            self.states
                .get(position + 1)
                .map_or(now, |(_, until)| *until),
        )
    }

    /// It answers, and may be stored or not.
    fn answer(&mut self, who: usize, storable: bool) {
        self.answers += 1;
        if storable {
            self.let_store = self.answers;
        } else {
            self.refused[who] = self.answers;
        }
    }

    /// Whether a cache may answer without asking.
    fn may_be_kept(&self, who: usize) -> bool {
        self.let_store > self.refused[who]
    }

    /// Whether an answer with this content can be right.
    fn allows(&self, content: &str, stale: Option<Stale>, now: u64) -> Result<(), String> {
        let held = self.last_held(content, now).ok_or("nobody ever had that")?;
        let age = now - held;
        let most = match stale {
            None => LIFE,
            Some(Stale::Revalidating) => LIFE + WHILE_REVALIDATING,
            Some(Stale::OriginFailed) => LIFE + ON_ERROR,
        };
        if age > most + SLACK {
            return Err(format!("{age} s old, with {stale:?}"));
        }
        if self.hard_purge.is_some_and(|purge| held < purge) {
            return Err("purged".to_owned());
        }
        if stale.is_none() && self.soft_purge.is_some_and(|purge| held < purge) {
            return Err("softly purged, and told as fresh".to_owned());
        }
        let recently = now.saturating_sub(HOLD_OFF + SLACK);
        if stale == Some(Stale::OriginFailed) && !self.was(Health::Down, recently) {
            return Err("stood in for an origin that did not fail".to_owned());
        }
        Ok(())
    }

    /// Whether no answer can be right.
    fn allows_none(&self, status: u32, now: u64) -> Result<(), String> {
        let told = match status {
            404 => self.was(Health::Gone, now.saturating_sub(NOT_FOUND + SLACK)),
            503 => self.health() == Health::Down,
            _ => false,
        };
        told.then_some(()).ok_or(format!("{status} told"))
    }
}

struct World {
    /// Each with its folder.
    caches: Vec<(Arc<Cache>, TempDir)>,
    bucket: Option<TestBucket>,
    now: u64,
    lives: Vec<Arc<Mutex<Life>>>,
    told: String,
}

impl World {
    async fn new(bucket: Option<TestBucket>) -> Self {
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

    fn life(&self, number: u64) -> Arc<Mutex<Life>> {
        Arc::clone(&self.lives[usize::try_from(number - 1).expect("a small number")])
    }

    fn each_life(&self, met: impl Fn(u64) -> bool, change: impl Fn(&mut Life)) {
        for number in (1..=SOURCES).filter(|number| met(*number)) {
            change(&mut self.life(number).lock().expect("no test panics here"));
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
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
                // It may have been about to delete something.
                self.each_life(|_| true, |life| life.refused[who] = 0);
            }
            Step::Forget => {
                for (cache, _) in &self.caches {
                    cache.memory.forget_all();
                }
            }
            Step::Damage(seed) => {
                for (_, place) in &self.caches {
                    damage(place.path(), seed);
                }
            }
        }
        // One thing after the other, so that the model knows what came first.
        for (cache, _) in &self.caches {
            while cache.stats().flights > 0 {
                tokio::task::yield_now().await;
            }
            if self.bucket.is_some() {
                cache.flush().await;
            }
        }
        Ok(())
    }

    async fn ask(&mut self, number: u64, who: usize) -> Result<(), String> {
        let cache = &self.caches[who].0;
        let (life, clock) = (self.life(number), cache.clock.clone());
        let name = SourceName::numbered(number);
        let origin = Arc::clone(&life);
        let before = life.lock().expect("no test panics here").answers;
        let may_be_kept = life.lock().expect("no test panics here").may_be_kept(who);
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
                return Ok(Answer::NotModified {
                    freshness,
                    validators,
                    tags: Tags::default(),
                });
            }
            Ok(Answer::Fetched(Fetched {
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
        let key = Key::numbered_in(&name.key, &record);
        let keep = record.freshness.is_storable();
        let (again, named, with) = (fetch, name.clone(), Arc::clone(cache));
        let render = async move {
            let source = with.bytes_or_fetch(&named, found, again).await?;
            let key = Key::numbered_in(&named.key, &source.record);
            let rendition = rendition(&key, &source.bytes);
            let source = (!Arc::ptr_eq(&source.record, &record)).then_some(source.record);
            Landing::Ok(Made { rendition, source })
        };
        let made = cache.get_or_render(key, keep, render).await;
        let life = self.life(number);
        let life = life.lock().expect("no test panics here");
        match made {
            Ok(made) => {
                let content = String::from_utf8_lossy(&made.rendition.bytes).into_owned();
                if !may_be_kept && life.answers == before {
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
        // The old one is not closed: what it still writes comes before the new one looks, or never.
        let ahead = i64::try_from(self.now).expect("a small number");
        self.caches[who].0 = open(Path::new("")).await;
        let cache = self.open(self.caches[who].1.path()).await;
        cache.clock.advance(ahead);
        self.caches[who].0 = cache;
    }
}

/// Deletes, cuts or changes some of the files.
fn damage(place: &Path, seed: u8) {
    for (number, path) in files(place).into_iter().enumerate() {
        let is_journal = path.file_name().is_some_and(|name| name == "purges");
        if is_journal || (number + usize::from(seed)) % 3 != 0 {
            continue;
        }
        // A file that vanished meanwhile is damaged enough.
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

fn check(steps: &[Step], is_shared: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bucket = if is_shared {
            Some(TestBucket::start().await)
        } else {
            None
        };
        let mut world = World::new(bucket).await;
        for step in steps {
            world.told.push_str(&format!("{} s: {step:?}\n", world.now));
            if let Err(wrong) = world.step(step).await {
                return Err(TestCaseError::fail(format!(
                    "{wrong}, after\n{}",
                    world.told
                )));
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 200,
        max_shrink_iters: 2000,
        ..proptest::test_runner::Config::default()
    })]
    #[test]
    fn no_history_leads_to_an_answer_that_cannot_be_right(steps in vec(step(1), 1..60)) {
        check(&steps, false)?;
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 10,
        max_shrink_iters: 100,
        ..proptest::test_runner::Config::default()
    })]
    #[test]
    fn no_history_of_two_that_share_a_bucket_does_either(steps in vec(step(2), 1..40)) {
        check(&steps, true)?;
    }
}

/// A judge that lets everything pass would see nothing.
#[test]
fn the_model_itself_tells_right_from_wrong() {
    let mut life = Life::new(1, 2);
    life.states.push(("later".to_owned(), 100));
    let first = "source 1 state 0";
    assert!(life.allows("later", None, 100).is_ok());
    assert!(life.allows("never", None, 100).is_err());
    assert!(life.allows(first, None, 100 + LIFE).is_ok());
    assert!(life.allows(first, None, 200 + LIFE).is_err());
    let late = 200 + LIFE;
    assert!(life.allows(first, Some(Stale::Revalidating), late).is_ok());
    assert!(life.allows(first, Some(Stale::OriginFailed), late).is_err());
    life.health.push((Health::Down, late));
    assert!(life.allows(first, Some(Stale::OriginFailed), late).is_ok());
    assert!(life.allows_none(503, late).is_ok() && life.allows_none(404, late).is_err());
    life.hard_purge = Some(150);
    assert!(life.allows(first, Some(Stale::OriginFailed), late).is_err());
    life.hard_purge = None;
    life.soft_purge = Some(150);
    assert!(life.allows(first, None, 160).is_err());
    assert!(life.allows(first, Some(Stale::Revalidating), 160).is_ok());
    assert!(!life.may_be_kept(0));
    life.answer(0, true);
    life.answer(1, false);
    assert!(life.may_be_kept(0) && !life.may_be_kept(1));
    life.answer(0, true);
    assert!(life.may_be_kept(1), "of the other");
}

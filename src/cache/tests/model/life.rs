//! The history of an origin, and which answers it allows.

use crate::cache::Stale;
use crate::cache::tests::model::HOUR;

/// The times that every origin states, in seconds.
pub(crate) const LIFE: u64 = 2 * HOUR;
pub(crate) const WHILE_REVALIDATING: u64 = HOUR;
pub(crate) const ON_ERROR: u64 = 4 * HOUR;
/// For how long the cache may answer again that a source does not exist, and for how long it does not ask an origin that failed.
const NOT_FOUND: u64 = 10;
const OUTAGE_TTL: u64 = 5;
/// Times are cut to whole seconds at several places.
const SLACK: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Up,
    Down,
    Gone,
}

/// The history of one origin. Times are in seconds since the beginning.
pub(crate) struct Life {
    /// Each state of the source, and since when it is the current one.
    pub(crate) states: Vec<(String, u64)>,
    /// Each change of health, and its time.
    pub(crate) health: Vec<(Health, u64)>,
    pub(crate) hard_purge: Option<u64>,
    pub(crate) soft_purge: Option<u64>,
    /// Whether the source may be stored now.
    pub(crate) storable: bool,
    /// The number of its answers.
    pub(crate) answers: u64,
    /// The number of its last answer, to any cache, that allowed to store the source.
    let_store: u64,
    /// The number of its last answer to each cache that did not allow it.
    pub(crate) refused: Vec<u64>,
}

impl Life {
    pub(crate) fn new(number: u64, caches: usize) -> Self {
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

    pub(crate) fn health(&self) -> Health {
        self.health.last().expect("there is a first one").0
    }

    pub(crate) fn current(&self) -> &str {
        &self.states.last().expect("there is a first one").0
    }

    /// Whether it had this health at some time since `since`.
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

    /// When a state was last the current one; `now` if it still is.
    fn last_held(&self, content: &str, now: u64) -> Option<u64> {
        let position = self.states.iter().position(|(state, _)| state == content)?;
        Some(
            self.states
                .get(position + 1)
                .map_or(now, |(_, until)| *until),
        )
    }

    /// Records an answer that allows to store the source, or does not.
    pub(crate) fn answer(&mut self, who: usize, storable: bool) {
        self.answers += 1;
        if storable {
            self.let_store = self.answers;
        } else {
            self.refused[who] = self.answers;
        }
    }

    /// Whether a cache may answer without asking the origin.
    pub(crate) fn is_storable(&self, who: usize) -> bool {
        self.let_store > self.refused[who]
    }

    /// Whether an answer with this content may be right.
    pub(crate) fn allows(
        &self,
        content: &str,
        stale: Option<Stale>,
        now: u64,
    ) -> Result<(), String> {
        let held = self
            .last_held(content, now)
            .ok_or("the origin never had this content")?;
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
        let recently = now.saturating_sub(OUTAGE_TTL + SLACK);
        if stale == Some(Stale::OriginFailed) && !self.was(Health::Down, recently) {
            return Err("served stale although the origin did not fail".to_owned());
        }
        Ok(())
    }

    /// Whether an error may be right.
    pub(crate) fn allows_none(&self, status: u32, now: u64) -> Result<(), String> {
        let told = match status {
            404 => self.was(Health::Gone, now.saturating_sub(NOT_FOUND + SLACK)),
            503 => self.health() == Health::Down,
            _ => false,
        };
        told.then_some(()).ok_or(format!("{status} told"))
    }
}

/// A model that allows everything would find no fault.
#[test]
fn the_model_refuses_wrong_answers() {
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
    assert!(!life.is_storable(0));
    life.answer(0, true);
    life.answer(1, false);
    assert!(life.is_storable(0) && !life.is_storable(1));
    life.answer(0, true);
    assert!(life.is_storable(1), "of the other");
}

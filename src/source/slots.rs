//! How many fetches there are at once: of one origin, and of all together.
//!
//! Never: a place among all that is held by who waits for an origin, because one that is slow would keep everybody from the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::Lack;
use super::SourceError;
use super::Stage;
use super::clock::Clock;
use super::memory::Waiting;

/// Places for fetches.
pub(super) struct Slots {
    all: Arc<Semaphore>,
    count: usize,
    per_origin: usize,
    waiting: AtomicUsize,
    origins: Arc<Origins>,
}

/// Those that somebody is asking, or waits for, by their names.
type Origins = Mutex<HashMap<String, Asked>>;

/// Places of one origin.
struct Asked {
    free: Arc<Semaphore>,
    /// How many are interested in it. The handles of `free` do not tell: each is let go of somewhat later than its owner.
    by: usize,
}

/// One place, free again when this is dropped.
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_origin: OwnedSemaphorePermit,
    _origin: Origin,
}

/// An origin that somebody is interested in, forgotten by the last who lets go of it.
struct Origin {
    name: String,
    free: Arc<Semaphore>,
    origins: Arc<Origins>,
}

/// Fetches now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetches {
    /// They have their turn.
    pub running: usize,
    /// They wait for it.
    pub waiting: usize,
}

impl Slots {
    pub(super) fn new(count: usize, per_origin: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        Slots {
            all: Arc::new(Semaphore::new(count)),
            count,
            per_origin: per_origin.min(Semaphore::MAX_PERMITS),
            waiting: AtomicUsize::new(0),
            origins: Arc::default(),
        }
    }

    /// A place to ask the origin of this name, as soon as there is one, but by the end of the clock.
    pub(super) async fn take(&self, name: String, clock: Clock) -> Result<Slot, SourceError> {
        let origin = self.origin(name);
        let of_origin = self.turn(&origin.free, Lack::Connections, clock).await?;
        let of_all = self.turn(&self.all, Lack::Fetches, clock).await?;
        Ok(Slot {
            _of_all: of_all,
            _of_origin: of_origin,
            _origin: origin,
        })
    }

    /// How many there are.
    pub(super) fn fetches(&self) -> Fetches {
        Fetches {
            running: self.count.saturating_sub(self.all.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    async fn turn(
        &self,
        free: &Arc<Semaphore>,
        lack: Lack,
        clock: Clock,
    ) -> Result<OwnedSemaphorePermit, SourceError> {
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = Waiting::in_line(&self.waiting);
        let permit = Arc::clone(free).acquire_owned();
        let permit = clock.bound_by_end(Stage::Connect, permit).await;
        permit
            .map_err(|_| SourceError::Busy(lack))?
            .map_err(|_| SourceError::Busy(lack))
    }

    fn origin(&self, name: String) -> Origin {
        let mut origins = lock(&self.origins);
        let asked = origins.entry(name.clone()).or_insert_with(|| Asked {
            free: Arc::new(Semaphore::new(self.per_origin)),
            by: 0,
        });
        asked.by += 1;
        Origin {
            name,
            free: Arc::clone(&asked.free),
            origins: Arc::clone(&self.origins),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        let mut origins = lock(&self.origins);
        if let Some(asked) = origins.get_mut(&self.name) {
            asked.by -= 1;
            if asked.by == 0 {
                origins.remove(&self.name);
            }
        }
    }
}

fn lock(origins: &Origins) -> MutexGuard<'_, HashMap<String, Asked>> {
    origins.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::Fetches;
    use super::Lack;
    use super::Slot;
    use super::Slots;
    use super::SourceError;
    use super::lock;
    use crate::source::clock::Clock;

    async fn take(slots: &Slots, name: &str) -> Result<Slot, SourceError> {
        let clock = Clock::starting_now(Duration::from_millis(30));
        slots.take(name.to_owned(), clock).await
    }

    fn lacks(taken: Result<Slot, SourceError>, lack: Lack) -> bool {
        matches!(taken, Err(SourceError::Busy(lacking)) if lacking == lack)
    }

    #[tokio::test]
    async fn one_origin_has_no_more_than_its_places_and_leaves_the_rest() {
        let slots = Slots::new(3, 2);
        let first = take(&slots, "a").await.expect("a place");
        let second = take(&slots, "a").await.expect("a place");
        assert!(lacks(take(&slots, "a").await, Lack::Connections));
        let other = take(&slots, "b").await.expect("a place");
        assert!(lacks(take(&slots, "b").await, Lack::Fetches));
        drop(first);
        let third = take(&slots, "b").await.expect("a place");
        drop((second, other, third));
        let none = Fetches::default();
        assert_eq!(slots.fetches(), none);
    }

    #[tokio::test]
    async fn who_waits_for_an_origin_holds_no_place_among_all() {
        let slots = Slots::new(2, 1);
        let _held = take(&slots, "slow").await.expect("a place");
        let waiting = take(&slots, "slow");
        let other = async {
            tokio::task::yield_now().await;
            let waits = Fetches {
                running: 1,
                waiting: 1,
            };
            assert_eq!(slots.fetches(), waits);
            take(&slots, "quick").await
        };
        let (waited, other) = tokio::join!(waiting, other);
        assert!(lacks(waited, Lack::Connections));
        assert!(other.is_ok());
    }

    #[tokio::test]
    async fn origins_that_nobody_asks_are_forgotten() {
        let slots = Slots::new(10, 1);
        let held = take(&slots, "a").await.expect("a place");
        assert!(take(&slots, "a").await.is_err());
        // Dropped before it was polled, and while it waits.
        drop(take(&slots, "b"));
        let wait = Duration::from_millis(1);
        let waiting = tokio::time::timeout(wait, take(&slots, "a")).await;
        assert!(waiting.is_err());
        assert_eq!(lock(&slots.origins).len(), 1);
        drop(held);
        assert_eq!(lock(&slots.origins).len(), 0);
        assert!(take(&slots, "a").await.is_ok());
        assert_eq!(lock(&slots.origins).len(), 0);
    }

    #[test]
    fn an_origin_is_forgotten_by_two_who_let_go_of_it_at_once() {
        let slots = Slots::new(2, 2);
        let both = Barrier::new(2);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for round in 0..20_000 {
                        let origin = slots.origin(format!("{round}.test"));
                        both.wait();
                        drop(origin);
                    }
                });
            }
        });
        assert_eq!(lock(&slots.origins).len(), 0);
    }
}

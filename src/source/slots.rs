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

use super::BusyReason;
use super::FetchStage;
use super::SourceError;
use super::clock::Clock;
use super::memory::WaitGuard;

/// Places for fetches.
pub(super) struct FetchSlots {
    all: Arc<Semaphore>,
    count: usize,
    per_origin: usize,
    waiting: AtomicUsize,
    origins: Arc<Origins>,
}

/// Those that somebody is asking, or waits for, by their names.
type Origins = Mutex<HashMap<String, OriginSlots>>;

/// Places of one origin.
struct OriginSlots {
    free: Arc<Semaphore>,
    /// How many are interested in it. The handles of `free` do not tell: each is let go of somewhat later than its owner.
    users: usize,
}

/// One place, free again when this is dropped.
pub(super) struct FetchSlot {
    _of_all: OwnedSemaphorePermit,
    _of_origin: OwnedSemaphorePermit,
    _origin: OriginHandle,
}

/// An origin that somebody is interested in, forgotten by the last who lets go of it.
struct OriginHandle {
    name: String,
    free: Arc<Semaphore>,
    origins: Arc<Origins>,
}

/// How many fetches there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// They have their turn.
    pub running: usize,
    /// They wait for it.
    pub waiting: usize,
}

impl FetchSlots {
    pub(super) fn new(count: usize, per_origin: usize) -> Self {
        let count = count.min(Semaphore::MAX_PERMITS);
        FetchSlots {
            all: Arc::new(Semaphore::new(count)),
            count,
            per_origin: per_origin.min(Semaphore::MAX_PERMITS),
            waiting: AtomicUsize::new(0),
            origins: Arc::default(),
        }
    }

    /// A place to ask the origin of this name, as soon as there is one, but by the end of the clock.
    pub(super) async fn take(&self, name: String, clock: Clock) -> Result<FetchSlot, SourceError> {
        let origin = self.origin(name);
        let of_origin = self
            .turn(&origin.free, BusyReason::Connections, clock)
            .await?;
        let of_all = self.turn(&self.all, BusyReason::Fetches, clock).await?;
        Ok(FetchSlot {
            _of_all: of_all,
            _of_origin: of_origin,
            _origin: origin,
        })
    }

    /// How many there are.
    pub(super) fn fetches(&self) -> FetchCounts {
        FetchCounts {
            running: self.count.saturating_sub(self.all.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    async fn turn(
        &self,
        free: &Arc<Semaphore>,
        reason: BusyReason,
        clock: Clock,
    ) -> Result<OwnedSemaphorePermit, SourceError> {
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = WaitGuard::in_line(&self.waiting);
        let permit = Arc::clone(free).acquire_owned();
        let permit = clock.bound_by_end(FetchStage::Connect, permit).await;
        permit
            .map_err(|_| SourceError::Busy(reason))?
            .map_err(|_| SourceError::Busy(reason))
    }

    fn origin(&self, name: String) -> OriginHandle {
        let mut origins = lock(&self.origins);
        let slots = origins.entry(name.clone()).or_insert_with(|| OriginSlots {
            free: Arc::new(Semaphore::new(self.per_origin)),
            users: 0,
        });
        slots.users += 1;
        OriginHandle {
            name,
            free: Arc::clone(&slots.free),
            origins: Arc::clone(&self.origins),
        }
    }
}

impl Drop for OriginHandle {
    fn drop(&mut self) {
        let mut origins = lock(&self.origins);
        if let Some(slots) = origins.get_mut(&self.name) {
            slots.users -= 1;
            if slots.users == 0 {
                origins.remove(&self.name);
            }
        }
    }
}

fn lock(origins: &Origins) -> MutexGuard<'_, HashMap<String, OriginSlots>> {
    origins.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::BusyReason;
    use super::FetchCounts;
    use super::FetchSlot;
    use super::FetchSlots;
    use super::SourceError;
    use super::lock;
    use crate::source::clock::Clock;

    async fn take(slots: &FetchSlots, name: &str) -> Result<FetchSlot, SourceError> {
        let clock = Clock::starting_now(Duration::from_millis(30));
        slots.take(name.to_owned(), clock).await
    }

    fn lacks(taken: Result<FetchSlot, SourceError>, reason: BusyReason) -> bool {
        matches!(taken, Err(SourceError::Busy(lacking)) if lacking == reason)
    }

    #[tokio::test]
    async fn one_origin_has_no_more_than_its_places_and_leaves_the_rest() {
        let slots = FetchSlots::new(3, 2);
        let first = take(&slots, "a").await.expect("a place");
        let second = take(&slots, "a").await.expect("a place");
        assert!(lacks(take(&slots, "a").await, BusyReason::Connections));
        let other = take(&slots, "b").await.expect("a place");
        assert!(lacks(take(&slots, "b").await, BusyReason::Fetches));
        drop(first);
        let third = take(&slots, "b").await.expect("a place");
        drop((second, other, third));
        let none = FetchCounts::default();
        assert_eq!(slots.fetches(), none);
    }

    #[tokio::test]
    async fn who_waits_for_an_origin_holds_no_place_among_all() {
        let slots = FetchSlots::new(2, 1);
        let _held = take(&slots, "slow").await.expect("a place");
        let waiting = take(&slots, "slow");
        let other = async {
            tokio::task::yield_now().await;
            let waits = FetchCounts {
                running: 1,
                waiting: 1,
            };
            assert_eq!(slots.fetches(), waits);
            take(&slots, "quick").await
        };
        let (waited, other) = tokio::join!(waiting, other);
        assert!(lacks(waited, BusyReason::Connections));
        assert!(other.is_ok());
    }

    #[tokio::test]
    async fn origins_that_nobody_asks_are_forgotten() {
        let slots = FetchSlots::new(10, 1);
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
        let slots = FetchSlots::new(2, 2);
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

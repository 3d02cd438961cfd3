//! Limits how many fetches run at once, of one origin and of all origins together.
//!
//! A fetch that waits for its origin never holds a slot of all origins. Otherwise one slow origin would keep everybody from the others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::deadline::Deadline;
use crate::source::error::{BusyReason, FetchStage, SourceError};
use crate::source::memory::WaitGuard;

/// Slots for fetches.
pub(super) struct FetchSlots {
    all: Arc<Semaphore>,
    count: usize,
    per_origin: usize,
    waiting: AtomicUsize,
    origins: Arc<Origins>,
}

/// The origins in use, by name.
type Origins = Mutex<HashMap<String, OriginSlots>>;

/// The slots of one origin.
struct OriginSlots {
    free: Arc<Semaphore>,
    /// The number of [`OriginHandle`]s. The reference count of `free` would not do: a handle drops its reference only after it has looked here.
    users: usize,
}

/// One slot, free again when it is dropped.
pub(super) struct FetchSlot {
    _of_all: OwnedSemaphorePermit,
    _of_origin: OwnedSemaphorePermit,
    _origin: OriginHandle,
}

/// Keeps an origin in the map. The last handle removes it.
struct OriginHandle {
    name: String,
    free: Arc<Semaphore>,
    origins: Arc<Origins>,
}

/// How many fetches there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchCounts {
    /// Fetches that hold a slot.
    pub running: usize,
    /// Fetches that wait for one.
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

    /// Waits for a slot to fetch from the origin `name`, until the deadline.
    pub(super) async fn take(
        &self,
        name: String,
        deadline: Deadline,
    ) -> Result<FetchSlot, SourceError> {
        let origin = self.origin(name);
        let of_origin = self.acquire(&origin.free, BusyReason::Connections, deadline);
        let of_origin = of_origin.await?;
        let of_all = self.acquire(&self.all, BusyReason::Fetches, deadline);
        Ok(FetchSlot {
            _of_all: of_all.await?,
            _of_origin: of_origin,
            _origin: origin,
        })
    }

    /// How many slots are free.
    pub(super) fn free(&self) -> usize {
        self.all.available_permits()
    }

    /// How many fetches there are now.
    pub(super) fn fetches(&self) -> FetchCounts {
        FetchCounts {
            running: self.count.saturating_sub(self.all.available_permits()),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    async fn acquire(
        &self,
        free: &Arc<Semaphore>,
        reason: BusyReason,
        deadline: Deadline,
    ) -> Result<OwnedSemaphorePermit, SourceError> {
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        let _waiting = WaitGuard::new(&self.waiting);
        let permit = Arc::clone(free).acquire_owned();
        let permit = deadline.bound(FetchStage::Connect, permit).await;
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
    use crate::deadline::Deadline;

    async fn take(slots: &FetchSlots, name: &str) -> Result<FetchSlot, SourceError> {
        let deadline = Deadline::after(Duration::from_millis(30));
        slots.take(name.to_owned(), deadline).await
    }

    fn lacks(taken: Result<FetchSlot, SourceError>, reason: BusyReason) -> bool {
        matches!(taken, Err(SourceError::Busy(lacking)) if lacking == reason)
    }

    #[tokio::test]
    async fn one_origin_gets_its_slots_and_leaves_the_rest() {
        let slots = FetchSlots::new(3, 2);
        let first = take(&slots, "a").await.expect("a slot");
        let second = take(&slots, "a").await.expect("a slot");
        assert!(lacks(take(&slots, "a").await, BusyReason::Connections));
        let other = take(&slots, "b").await.expect("a slot");
        assert!(lacks(take(&slots, "b").await, BusyReason::Fetches));
        drop(first);
        let third = take(&slots, "b").await.expect("a slot");
        drop((second, other, third));
        let none = FetchCounts::default();
        assert_eq!(slots.fetches(), none);
    }

    #[tokio::test]
    async fn a_fetch_that_waits_for_its_origin_holds_no_slot_of_all() {
        let slots = FetchSlots::new(2, 1);
        let _held = take(&slots, "slow").await.expect("a slot");
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
    async fn origins_that_nobody_uses_are_removed() {
        let slots = FetchSlots::new(10, 1);
        let held = take(&slots, "a").await.expect("a slot");
        assert!(take(&slots, "a").await.is_err());
        // One is dropped before it is polled, and one while it waits.
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
    fn two_handles_that_drop_at_once_remove_their_origin() {
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

//! The memory of all sources, from the arrival of their bytes to the end of the last render that reads them. It is bounded however many sources are
//! fetched, wait for a worker, or are read from the disk again.
//!
//! A reservation belongs to the bytes, and ends when the last reference to them is dropped. Nobody may wait for a reservation while holding another,
//! because two who do could wait for each other. A small source never waits behind large ones.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest small source, in bytes. Small sources have a quarter of the memory for themselves.
const MAX_SMALL: u64 = 1 << 20;

/// Sources up to this length, in bytes, are freed by the thread that drops them; longer ones on a thread for blocking work.
const MAX_INLINE_FREE: u64 = 16 << 20;

/// Sources that are longer than this, in bytes, are worth a file that another process can map. It is more than a look at a file needs.
pub(super) const SHARED_FROM: u64 = 256 << 10;

/// One permit of a semaphore is 1 KiB. A holder gets at most `u32::MAX` permits, which are 4 TiB.
const UNIT: u64 = 1024;

/// The memory of all sources.
#[derive(Clone)]
pub struct SourceMemory(Arc<Pools>);

struct Pools {
    largest: u64,
    small: Pool,
    large: Pool,
    /// What work that nobody waits for may hold of the other two.
    idle: Pool,
    reserved: AtomicU64,
    /// Whether other processes will read sources.
    is_shared: AtomicBool,
    waiting: AtomicUsize,
    /// Called before somebody waits, to free memory.
    relief: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// A part of the memory, in permits.
struct Pool {
    free: Arc<Semaphore>,
    size: u32,
}

impl Pool {
    fn new(size: u32) -> Self {
        Pool {
            free: Arc::new(Semaphore::new(size as usize)),
            size,
        }
    }

    /// `None` if so much is not free now.
    fn try_take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_many_owned(units).ok()
    }

    async fn take(&self, units: u32) -> OwnedSemaphorePermit {
        let taken = Arc::clone(&self.free).acquire_many_owned(units).await;
        taken.expect("the semaphore is never closed")
    }
}

/// Memory for one source, free again when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    permit: OwnedSemaphorePermit,
    memory: SourceMemory,
}

/// The right to hold a source for work that nobody waits for, until it is dropped.
#[derive(Debug)]
pub struct IdleReservation {
    _permit: OwnedSemaphorePermit,
}

impl SourceMemory {
    /// `total` bytes for all sources, the largest of which has `largest` bytes. `total` must be at least twice that, so that every source fits.
    pub fn new(total: u64, largest: u64) -> Self {
        let total = units(total);
        let quarter = (total / 4).max(1);
        SourceMemory(Arc::new(Pools {
            largest,
            small: Pool::new(quarter),
            large: Pool::new(total.saturating_sub(quarter).max(1)),
            idle: Pool::new(quarter),
            reserved: AtomicU64::new(0),
            is_shared: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            relief: OnceLock::new(),
        }))
    }

    /// Lets large sources arrive in memory that other processes can map.
    pub(crate) fn share(&self) {
        self.0.is_shared.store(true, Ordering::Relaxed);
    }

    /// Whether other processes will read sources.
    pub(super) fn is_shared(&self) -> bool {
        self.0.is_shared.load(Ordering::Relaxed)
    }

    /// The limit on the size of a source, in bytes.
    pub fn largest(&self) -> u64 {
        self.0.largest
    }

    /// The bytes that are reserved now.
    pub fn reserved(&self) -> u64 {
        self.0.reserved.load(Ordering::Relaxed)
    }

    /// Memory for a source of so many bytes, if it is free now.
    pub fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let Pools { small, large, .. } = &*self.0;
        let first = || {
            (bytes <= MAX_SMALL)
                .then(|| small.try_take(units(bytes).min(small.size)))
                .flatten()
        };
        let permit = first().or_else(|| large.try_take(units(bytes).min(large.size)))?;
        Some(self.reservation(permit))
    }

    /// Waits for memory for a source of so many bytes. The caller must not hold another reservation.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        if let Some(reservation) = self.try_reserve(bytes) {
            return reservation;
        }
        // Counted before the relief is called: then a source that the cache keeps meanwhile is either freed by the relief, or the cache sees that memory
        // is scarce.
        let _waiting = WaitGuard::new(&self.0.waiting);
        if let Some(relieve) = self.0.relief.get() {
            relieve();
        }
        let pool = if bytes <= MAX_SMALL {
            &self.0.small
        } else {
            &self.0.large
        };
        let permit = pool.take(units(bytes).min(pool.size)).await;
        self.reservation(permit)
    }

    /// Waits for the right to hold a source of so many bytes for work that nobody waits for. A quarter of the memory is for such work. `None` for a
    /// source that is larger than that.
    pub async fn reserve_idle(&self, bytes: u64) -> Option<IdleReservation> {
        let idle = &self.0.idle;
        if units(bytes) > idle.size {
            return None;
        }
        let _permit = idle.take(units(bytes)).await;
        Some(IdleReservation { _permit })
    }

    /// Whether somebody waits for memory. Then the cache must not keep sources for later.
    pub fn is_scarce(&self) -> bool {
        self.0.waiting.load(Ordering::SeqCst) > 0
    }

    /// Sets what is called, to free memory, whenever somebody has to wait. Only the first call counts.
    pub fn on_scarcity(&self, relieve: impl Fn() + Send + Sync + 'static) {
        // There is only one cache, which calls this once.
        let _ = self.0.relief.set(Box::new(relieve));
    }

    /// What is reserved at first for content of unknown length, in bytes.
    pub(super) fn first_guess(&self) -> u64 {
        MAX_SMALL.min(self.0.largest)
    }

    fn reservation(&self, permit: OwnedSemaphorePermit) -> Reservation {
        let bytes = bytes_of(permit.num_permits());
        self.0.reserved.fetch_add(bytes, Ordering::Relaxed);
        Reservation {
            permit,
            memory: self.clone(),
        }
    }
}

impl Reservation {
    /// The size in bytes.
    pub fn bytes(&self) -> u64 {
        bytes_of(self.permit.num_permits())
    }

    /// Whether another process will read the source.
    pub(super) fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    /// Gives back all but so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let needed = usize::try_from(units(bytes)).unwrap_or(usize::MAX);
        let excess = self.permit.num_permits().saturating_sub(needed);
        if let Some(excess) = self.permit.split(excess) {
            let bytes = bytes_of(excess.num_permits());
            self.memory.0.reserved.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Ties the reservation to the bytes that it is for.
    pub fn hold(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        Bytes::from_owner(ReservedBytes(Some((bytes, self))))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let reserved = &self.memory.0.reserved;
        reserved.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

/// Adds one to a count of waiters, until it is dropped.
pub(super) struct WaitGuard<'a>(&'a AtomicUsize);

impl<'a> WaitGuard<'a> {
    pub(super) fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::SeqCst);
        WaitGuard(waiting)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Bytes with their reservation. `None` after they are dropped.
struct ReservedBytes<B: AsRef<[u8]> + Send + 'static>(Option<(B, Reservation)>);

impl<B: AsRef<[u8]> + Send + 'static> AsRef<[u8]> for ReservedBytes<B> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |(bytes, _)| bytes.as_ref())
    }
}

impl<B: AsRef<[u8]> + Send + 'static> Drop for ReservedBytes<B> {
    /// The system takes about a millisecond to take back 10 MiB. A thread that serves requests must not be blocked for that long.
    #[expect(
        clippy::disallowed_methods,
        reason = "frees memory; as many at once as there are large sources"
    )]
    fn drop(&mut self) {
        let held = self.0.take();
        let is_large = held
            .as_ref()
            .is_some_and(|(_, size)| size.bytes() > MAX_INLINE_FREE);
        if is_large && let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(held));
        }
    }
}

impl fmt::Debug for SourceMemory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SourceMemory")
            .field("reserved", &self.reserved())
            .finish_non_exhaustive()
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

fn bytes_of(units: usize) -> u64 {
    u64::try_from(units).map_or(u64::MAX, |units| units.saturating_mul(UNIT))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::thread::ThreadId;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::{MAX_INLINE_FREE, SourceMemory};

    const MIB: u64 = 1 << 20;

    /// 2 MiB for small sources, 6 MiB for others.
    fn memory() -> SourceMemory {
        SourceMemory::new(8 * MIB, 4 * MIB)
    }

    #[test]
    fn memory_is_free_when_the_last_reference_is_dropped() {
        let memory = memory();
        let reservation = memory.try_reserve(4 * MIB).expect("it is all free");
        let bytes = reservation.hold(vec![7; 4 << 20]);
        assert_eq!(memory.reserved(), 4 * MIB);
        let (all, part) = (bytes.clone(), bytes.slice(5..6));
        drop((bytes, all));
        assert_eq!(memory.reserved(), 4 * MIB);
        assert_eq!(part, [7][..]);
        drop(part);
        assert_eq!(memory.reserved(), 0);
    }

    /// Bytes that tell on which thread they are dropped.
    struct Tracked(Option<oneshot::Sender<ThreadId>>);

    impl AsRef<[u8]> for Tracked {
        fn as_ref(&self) -> &[u8] {
            b"x"
        }
    }

    impl Drop for Tracked {
        fn drop(&mut self) {
            let report = self.0.take().expect("dropped once");
            report.send(thread::current().id()).expect("the test waits");
        }
    }

    #[tokio::test]
    async fn large_sources_are_freed_on_another_thread() {
        let memory = SourceMemory::new(16 * MAX_INLINE_FREE, 4 * MAX_INLINE_FREE);
        for (bytes, is_here) in [(MAX_INLINE_FREE, true), (MAX_INLINE_FREE + 1, false)] {
            let (report, freed) = oneshot::channel();
            let reservation = memory.reserve(bytes).await;
            drop(reservation.hold(Tracked(Some(report))));
            let thread = freed.await.expect("it is freed");
            assert_eq!(thread == thread::current().id(), is_here, "{bytes}");
            timeout(
                Duration::from_secs(10),
                memory.reserve(12 * MAX_INLINE_FREE),
            )
            .await
            .expect("the reservation ends as well");
        }
    }

    #[test]
    fn a_reservation_can_shrink() {
        let memory = memory();
        let mut reservation = memory.try_reserve(4 * MIB).expect("it is all free");
        reservation.shrink_to(1500);
        assert_eq!((memory.reserved(), reservation.bytes()), (2048, 2048));
        reservation.shrink_to(MIB);
        assert_eq!(reservation.bytes(), 2048);
        assert!(memory.try_reserve(5 * MIB).is_some());
        drop(reservation);
        assert_eq!(memory.reserved(), 0);
    }

    #[test]
    fn small_sources_fit_beside_large_ones_but_not_the_reverse() {
        let memory = memory();
        let large: Vec<_> = std::iter::from_fn(|| memory.try_reserve(2 * MIB)).collect();
        assert_eq!(large.len(), 3);
        let small: Vec<_> = std::iter::from_fn(|| memory.try_reserve(MIB)).collect();
        assert_eq!(small.len(), 2);
        drop(large);
        let small: Vec<_> = std::iter::from_fn(|| memory.try_reserve(MIB)).collect();
        assert_eq!(small.len(), 6);
    }

    #[tokio::test]
    async fn a_reservation_waits_for_memory_and_can_be_abandoned() {
        let memory = memory();
        let held = memory.reserve(5 * MIB).await;
        let wait = Duration::from_millis(20);
        assert!(timeout(wait, memory.reserve(3 * MIB)).await.is_err());
        assert!(memory.try_reserve(1).is_some());
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.reserve(3 * MIB).await.bytes() }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.expect("no panic"), 3 * MIB);
        assert_eq!(memory.reserved(), 0);
    }

    #[tokio::test]
    async fn a_reservation_beyond_the_total_takes_all() {
        let memory = memory();
        let all = memory.reserve(100 * MIB).await;
        assert_eq!(all.bytes(), 6 * MIB);
        assert!(memory.try_reserve(MIB).is_some());
    }

    #[tokio::test]
    async fn relief_is_called_before_anybody_waits() {
        let memory = memory();
        let calls = Arc::new(AtomicU32::new(0));
        let called = Arc::clone(&calls);
        memory.on_scarcity(move || {
            called.fetch_add(1, Ordering::Relaxed);
        });
        let _held = memory.reserve(6 * MIB).await;
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        let wait = timeout(Duration::from_millis(20), memory.reserve(2 * MIB));
        let look = async {
            tokio::task::yield_now().await;
            memory.is_scarce()
        };
        let (waited, was_scarce) = tokio::join!(wait, look);
        assert!(waited.is_err() && was_scarce && !memory.is_scarce());
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn idle_work_gets_a_quarter_and_no_more() {
        let memory = memory();
        assert!(memory.reserve_idle(2 * MIB + 1).await.is_none());
        let share = memory.reserve_idle(2 * MIB).await.expect("a quarter");
        let wait = Duration::from_millis(20);
        assert!(timeout(wait, memory.reserve_idle(1)).await.is_err());
        drop(share);
        assert!(memory.reserve_idle(1).await.is_some());
    }
}

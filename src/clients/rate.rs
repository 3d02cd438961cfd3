//! The rate of misses of each client: a leaky bucket, as the time at which it will be empty (GCRA).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clients::id::ClientId;

/// The most clients that are remembered, 8 MB of them. Where there are more, those that asked longest ago start anew.
const MAX_CLIENTS: u64 = 65_536;

/// How often clients may cause a miss.
pub(super) struct MissRate {
    /// From one miss to the next, on average, in nanoseconds.
    interval: u64,
    /// How far the misses may run ahead of that, in nanoseconds.
    ahead: u64,
    start: Instant,
    /// For each client when it has paid for all its misses, in nanoseconds from the start.
    paid: Cache<ClientId, Arc<AtomicU64>>,
}

impl MissRate {
    /// `None` where `per_minute` is 0: there is no limit.
    pub(super) fn new(per_minute: u32, burst: NonZeroU32) -> Option<Self> {
        const MINUTE: u64 = 60_000_000_000;
        let interval = MINUTE.checked_div(per_minute.into())?.max(1);
        Some(MissRate {
            interval,
            ahead: interval.saturating_mul(burst.get().into()),
            start: Instant::now(),
            paid: Cache::builder()
                .max_capacity(MAX_CLIENTS)
                .eviction_policy(EvictionPolicy::lru())
                .build(),
        })
    }

    /// Counts a miss, or says how long the client has to wait.
    pub(super) fn take(&self, client: ClientId, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.start).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let paid = self.paid.get_with(client, Arc::default);
        let next = |paid: u64| {
            let next = paid.max(now).saturating_add(self.interval);
            (next.saturating_sub(now) <= self.ahead).then_some(next)
        };
        let taken = paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.map(drop).map_err(|paid| {
            let over = paid.saturating_add(self.interval).saturating_sub(now);
            Duration::from_nanos(over.saturating_sub(self.ahead))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_minute: u32, burst: u32) -> MissRate {
        let burst = NonZeroU32::new(burst).expect("not zero");
        MissRate::new(per_minute, burst).expect("a limit")
    }

    #[test]
    fn a_client_may_run_ahead_and_then_keeps_the_rate() {
        let rate = rate(60, 3);
        let [one, other] = [1, 2].map(ClientId::V4);
        let at = |ms: u64| rate.start + Duration::from_millis(ms);
        for _ in 0..3 {
            assert_eq!(rate.take(one, at(0)), Ok(()));
        }
        assert_eq!(rate.take(one, at(0)), Err(Duration::from_secs(1)));
        assert_eq!(rate.take(one, at(400)), Err(Duration::from_millis(600)));
        assert_eq!(rate.take(other, at(400)), Ok(()));
        assert_eq!(rate.take(one, at(1000)), Ok(()));
        assert_eq!(rate.take(one, at(1000)), Err(Duration::from_secs(1)));
        // After a pause, all of the burst is there again, and no more.
        let taken = (0..9).filter(|_| rate.take(one, at(90_000)).is_ok());
        assert_eq!(taken.count(), 3);
    }

    #[test]
    fn the_table_is_bounded() {
        let rate = rate(1, 1);
        let clients = u32::try_from(MAX_CLIENTS).expect("a small number") + 5000;
        for number in 0..clients {
            let _ = rate.take(ClientId::V4(number), rate.start);
        }
        rate.paid.run_pending_tasks();
        assert!(rate.paid.entry_count() <= MAX_CLIENTS);
        assert!(MissRate::new(0, NonZeroU32::MIN).is_none());
    }
}

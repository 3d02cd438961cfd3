//! Sources that have ended worker processes. One whose processes ended by its own fault twice is not tried again for a while, whatever is asked of it.
//!
//! A process that somebody else has killed says little of its source: where a system has no memory left, it kills the largest process, whoever took the
//! memory. Such a source rests, for a few seconds at first and for twice as long each time. So a good picture is soon tried again, and one that uses up
//! the memory of the system again and again is tried every five minutes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use blake3::Hash;

/// How many processes a source may end.
const TRIES: u32 = 2;
/// How long a source is remembered after it has ended a process.
const MEMORY: Duration = Duration::from_secs(10 * 60);
/// How long a source rests after its first process was killed.
const SHORTEST_REST: Duration = Duration::from_secs(5);
/// How long it rests at most: it is tried again before it is forgotten.
const LONGEST_REST: Duration = Duration::from_secs(5 * 60);
/// How many sources are remembered. The oldest is forgotten first.
const MOST: usize = 256;

/// A job that takes so many times its estimate does not end by itself.
const HANG: u32 = 10;

/// The sources that have ended processes of late, the oldest first.
#[derive(Debug, Default)]
pub(super) struct BlockedSources {
    sources: VecDeque<DeadlySource>,
}

#[derive(Debug)]
struct DeadlySource {
    length: usize,
    hash: Hash,
    /// Processes that it has ended.
    deaths: u32,
    /// Processes that somebody else has killed.
    kills: u32,
    last: Instant,
}

/// Why a source must not be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It has ended several processes.
    Blocked,
    /// Its process was killed. It may be tried after this time.
    Resting(Duration),
}

impl DeadlySource {
    fn refusal(&self, now: Instant) -> Option<Refusal> {
        let since = now.saturating_duration_since(self.last);
        if self.deaths >= TRIES && since < MEMORY {
            return Some(Refusal::Blocked);
        }
        let left = self.rest().saturating_sub(since);
        (!left.is_zero()).then_some(Refusal::Resting(left))
    }

    /// How long it rests after the last process that was killed.
    fn rest(&self) -> Duration {
        let Some(doublings) = self.kills.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        SHORTEST_REST.saturating_mul(factor).min(LONGEST_REST)
    }
}

impl BlockedSources {
    /// Whether a source must not be tried.
    pub(super) fn refusal(&self, hash: Hash, now: Instant) -> Option<Refusal> {
        let found = self.sources.iter().find(|source| source.hash == hash);
        found.and_then(|source| source.refusal(now))
    }

    /// Whether a source of this length may be refused, so that its hash is needed.
    pub(super) fn has_length(&self, length: usize, now: Instant) -> bool {
        let mut sources = self.sources.iter();
        sources.any(|source| source.length == length && source.refusal(now).is_some())
    }

    /// Remembers that a source has ended a process.
    pub(super) fn record_death(&mut self, length: usize, hash: Hash, now: Instant) {
        let mut source = self.take(length, hash, now);
        source.deaths = source.deaths.saturating_add(1);
        self.sources.push_back(source);
    }

    /// Remembers that somebody else has killed the process of a source. Returns how long the source rests.
    pub(super) fn record_kill(&mut self, length: usize, hash: Hash, now: Instant) -> Duration {
        let mut source = self.take(length, hash, now);
        source.kills = source.kills.saturating_add(1);
        let rest = source.rest();
        self.sources.push_back(source);
        rest
    }

    /// Takes out what is known of a source, to be put back as the newest. There is room for it then.
    fn take(&mut self, length: usize, hash: Hash, now: Instant) -> DeadlySource {
        self.sources
            .retain(|source| now.saturating_duration_since(source.last) < MEMORY);
        let known = self.sources.iter().position(|source| source.hash == hash);
        let known = known.and_then(|place| self.sources.remove(place));
        if self.sources.len() >= MOST {
            self.sources.pop_front();
        }
        let (deaths, kills) = known.map_or((0, 0), |source| (source.deaths, source.kills));
        DeadlySource {
            length,
            hash,
            deaths,
            kills,
            last: now,
        }
    }
}

/// Whether a job is overdue because it had little of a processor, and not because it takes long: good pictures are, on a busy machine. One that sleeps is
/// taken for such a job, but only a process that is taken over does.
pub(super) fn is_starved(used: Option<Duration>, elapsed: Duration, estimate: Duration) -> bool {
    let used = used.unwrap_or(elapsed);
    used < estimate.saturating_mul(HANG)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::BlockedSources;
    use super::LONGEST_REST;
    use super::MEMORY;
    use super::MOST;
    use super::Refusal;
    use super::SHORTEST_REST;
    use super::is_starved;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn a_source_is_blocked_after_two_deaths_and_for_a_while() {
        let (mut sources, now) = (BlockedSources::default(), Instant::now());
        let hash = blake3::hash(b"bad");
        sources.record_death(3, hash, now);
        assert_eq!(sources.refusal(hash, now), None);
        assert!(!sources.has_length(3, now));
        sources.record_death(3, hash, now);
        assert!(sources.has_length(3, now) && !sources.has_length(4, now));
        assert_eq!(sources.refusal(hash, now), Some(Refusal::Blocked));
        assert_eq!(sources.refusal(blake3::hash(b"odd"), now), None);
        let later = now + MEMORY;
        assert_eq!(
            sources.refusal(hash, later - MOMENT),
            Some(Refusal::Blocked)
        );
        assert_eq!(sources.refusal(hash, later), None);
        assert!(!sources.has_length(3, later));
    }

    #[test]
    fn a_source_whose_process_was_killed_rests_and_is_tried_again() {
        let (mut sources, mut now) = (BlockedSources::default(), Instant::now());
        let hash = blake3::hash(b"large");
        let mut rest = SHORTEST_REST;
        for kills in 0..20 {
            assert_eq!(sources.record_kill(5, hash, now), rest, "{kills}");
            let resting = Some(Refusal::Resting(rest));
            assert_eq!(sources.refusal(hash, now), resting, "{kills}");
            assert!(sources.has_length(5, now));
            now += rest;
            assert!(sources.refusal(hash, now - MOMENT).is_some(), "{kills}");
            assert_eq!(sources.refusal(hash, now), None, "{kills}");
            assert!(!sources.has_length(5, now));
            rest = (rest * 2).min(LONGEST_REST);
        }
        // A shortage of memory is forgotten.
        now += MEMORY;
        assert_eq!(sources.record_kill(5, hash, now), SHORTEST_REST);
    }

    #[test]
    fn many_sources_take_no_more_room() {
        let (mut sources, now) = (BlockedSources::default(), Instant::now());
        for number in 0..2 * MOST {
            sources.record_death(1, blake3::hash(&number.to_le_bytes()), now);
        }
        assert_eq!(sources.sources.len(), MOST);
    }

    #[test]
    fn a_job_is_starved_that_had_little_of_a_processor() {
        let estimate = Duration::from_millis(50);
        let elapsed = Duration::from_secs(11);
        for (used, starved) in [
            (Some(60), true),
            (Some(499), true),
            // It had ten times what it should take.
            (Some(500), false),
            (Some(11_000), false),
            (Some(0), true),
            // It cannot be told.
            (None, false),
        ] {
            let spent = used.map(Duration::from_millis);
            assert_eq!(is_starved(spent, elapsed, estimate), starved, "{used:?}");
        }
        let long = Duration::from_secs(10);
        assert!(is_starved(None, elapsed, long));
    }
}

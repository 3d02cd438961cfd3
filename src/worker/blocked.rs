//! Sources that have ended worker processes. One that has done so twice is not tried again for a while, whatever is asked of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use blake3::Hash;

/// How many processes a source may end.
const TRIES: u32 = 2;
/// How long a source is remembered after it has ended a process.
const MEMORY: Duration = Duration::from_secs(10 * 60);
/// How many sources are remembered. The oldest is forgotten first.
const MOST: usize = 256;

/// The sources that have ended processes of late, the oldest first.
#[derive(Debug, Default)]
pub(super) struct BlockedSources {
    sources: VecDeque<DeadlySource>,
}

#[derive(Debug)]
struct DeadlySource {
    length: usize,
    hash: Hash,
    deaths: u32,
    last: Instant,
}

impl BlockedSources {
    /// Whether a source must not be tried.
    pub(super) fn contains(&self, hash: Hash, now: Instant) -> bool {
        self.sources.iter().any(|source| {
            source.hash == hash
                && source.deaths >= TRIES
                && now.saturating_duration_since(source.last) < MEMORY
        })
    }

    /// Whether a source of this length may be blocked, so that its hash is needed.
    pub(super) fn has_length(&self, length: usize) -> bool {
        self.sources
            .iter()
            .any(|source| source.length == length && source.deaths >= TRIES)
    }

    /// Remembers that a source has ended a process.
    pub(super) fn record(&mut self, length: usize, hash: Hash, now: Instant) {
        self.sources
            .retain(|source| now.saturating_duration_since(source.last) < MEMORY);
        let known = self.sources.iter().position(|source| source.hash == hash);
        let before = known.and_then(|place| self.sources.remove(place));
        if self.sources.len() >= MOST {
            self.sources.pop_front();
        }
        self.sources.push_back(DeadlySource {
            length,
            hash,
            deaths: before.map_or(0, |source| source.deaths).saturating_add(1),
            last: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::BlockedSources;
    use super::MEMORY;
    use super::MOST;

    #[test]
    fn a_source_is_blocked_after_two_deaths_and_for_a_while() {
        let (mut sources, now) = (BlockedSources::default(), Instant::now());
        let hash = blake3::hash(b"bad");
        sources.record(3, hash, now);
        assert!(!sources.contains(hash, now));
        sources.record(3, hash, now);
        assert!(sources.has_length(3) && !sources.has_length(4));
        assert!(sources.contains(hash, now));
        assert!(!sources.contains(blake3::hash(b"odd"), now));
        let later = now + MEMORY;
        assert!(sources.contains(hash, later - Duration::from_millis(1)));
        assert!(!sources.contains(hash, later));
    }

    #[test]
    fn many_sources_take_no_more_room() {
        let (mut sources, now) = (BlockedSources::default(), Instant::now());
        for number in 0..2 * MOST {
            sources.record(1, blake3::hash(&number.to_le_bytes()), now);
        }
        assert_eq!(sources.sources.len(), MOST);
    }
}

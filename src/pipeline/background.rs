//! Work that nobody waits for: what is made under a key when a processor has nothing else to do. Each once, one at a time, and what
//! fails is left alone for a while.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Semaphore;

use crate::cache::RenditionKey;

/// BackgroundJobs that are waited for at once; what is beyond is asked for again.
const MOST: usize = 256;

/// How long nobody tries again what failed.
const REST: Duration = Duration::from_secs(10 * 60);

/// Which chores are under way, and which are better left alone.
pub(crate) struct BackgroundJobs {
    /// One at a time: what waits holds no source.
    pub turn: Semaphore,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    under_way: HashSet<RenditionKey>,
    failed: HashMap<RenditionKey, Instant>,
}

impl Default for BackgroundJobs {
    fn default() -> Self {
        BackgroundJobs {
            turn: Semaphore::new(1),
            state: Arc::default(),
        }
    }
}

/// The right to make one chore, given back when it is dropped.
pub(crate) struct JobGuard {
    state: Arc<Mutex<State>>,
    key: RenditionKey,
}

impl JobGuard {
    /// `None` if somebody is at it, or if it failed not long ago.
    pub fn of(chores: &BackgroundJobs, key: RenditionKey) -> Option<JobGuard> {
        let mut state = lock(&chores.state);
        let rests = |failed: &Instant| failed.elapsed() < REST;
        if state.under_way.len() >= MOST || state.failed.get(&key).is_some_and(rests) {
            return None;
        }
        state.under_way.insert(key).then(|| JobGuard {
            state: Arc::clone(&chores.state),
            key,
        })
    }

    /// Nobody tries again for a while.
    pub fn failed(&self) {
        let mut state = lock(&self.state);
        if state.failed.len() >= MOST {
            state.failed.retain(|_, failed| failed.elapsed() < REST);
        }
        if state.failed.len() >= MOST {
            state.failed.clear();
        }
        state.failed.insert(self.key, Instant::now());
    }
}

impl Drop for JobGuard {
    fn drop(&mut self) {
        lock(&self.state).under_way.remove(&self.key);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::BackgroundJobs;
    use super::JobGuard;
    use super::MOST;
    use super::RenditionKey;

    #[test]
    fn one_chore_is_under_way_and_a_failed_one_rests() {
        let chores = BackgroundJobs::default();
        let key = RenditionKey::numbered(1);
        let claim = JobGuard::of(&chores, key).expect("nobody is at it");
        assert!(JobGuard::of(&chores, key).is_none());
        assert!(JobGuard::of(&chores, RenditionKey::numbered(2)).is_some());
        drop(claim);
        let claim = JobGuard::of(&chores, key).expect("nobody is at it any more");
        claim.failed();
        drop(claim);
        assert!(JobGuard::of(&chores, key).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let chores = BackgroundJobs::default();
        let claims: Vec<JobGuard> = (0..2 * MOST as u64)
            .filter_map(|number| JobGuard::of(&chores, RenditionKey::numbered(number)))
            .collect();
        assert_eq!(claims.len(), MOST);
        for number in 0..2 * MOST as u64 {
            JobGuard {
                state: chores.state.clone(),
                key: RenditionKey::numbered(number),
            }
            .failed();
        }
        assert!(super::lock(&chores.state).failed.len() <= MOST);
    }
}

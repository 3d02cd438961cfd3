//! Which connections wait for a request, and since when: where all places are taken, the one that has waited longest makes room for a new client. Who
//! opens many connections and says nothing would else keep everybody out until each of them times out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;

/// How long a connection that is asked to leave may take before it is closed, or the next one is asked.
pub(super) const LEAVING: Duration = Duration::from_millis(100);

/// The connections that wait, the longest first.
#[derive(Clone, Default)]
pub(super) struct Idle(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    told: BTreeMap<u64, Arc<Notify>>,
}

/// One connection.
pub(super) struct Activity {
    idle: Idle,
    /// Whether some of an answer waits that the client does not take.
    is_full: Arc<AtomicBool>,
    leave: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    requests: usize,
    /// Its turn, while it waits.
    turn: u64,
}

/// A request that is answered, until it is dropped.
pub(super) struct Busy(Arc<Activity>);

impl Idle {
    /// Asks the connection to leave that has waited longest, if there is one.
    pub fn evict(&self) {
        if let Some((_, leave)) = self.lock().told.pop_first() {
            leave.notify_one();
        }
    }

    /// A new connection, which waits.
    pub fn connection(&self, is_full: Arc<AtomicBool>) -> Arc<Activity> {
        let leave = Arc::new(Notify::new());
        let turn = self.wait(&leave);
        Arc::new(Activity {
            idle: self.clone(),
            is_full,
            leave,
            state: Mutex::new(State { requests: 0, turn }),
        })
    }

    fn wait(&self, leave: &Arc<Notify>) -> u64 {
        let mut waiting = self.lock();
        let turn = waiting.next;
        waiting.next += 1;
        waiting.told.insert(turn, Arc::clone(leave));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Activity {
    /// Returns when it is asked to leave.
    pub async fn evicted(&self) {
        self.leave.notified().await;
    }

    /// Returns when no request is answered and the client has taken all of the answers: who has begun another request by then has not ended it.
    pub async fn quiet(&self) {
        loop {
            tokio::time::sleep(LEAVING).await;
            if self.state().requests == 0 && !self.is_full.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// A request has come.
    pub fn busy(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        if state.requests == 0 {
            self.idle.lock().told.remove(&state.turn);
        }
        state.requests += 1;
        drop(state);
        Busy(Arc::clone(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        let turn = self.state().turn;
        self.idle.lock().told.remove(&turn);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        if state.requests == 0 {
            state.turn = self.0.idle.wait(&self.0.leave);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::Activity;
    use super::Idle;

    fn is_evicted(connection: &Arc<Activity>) -> bool {
        connection.evicted().now_or_never().is_some()
    }

    #[test]
    fn who_has_waited_longest_leaves_and_who_is_answered_stays() {
        let idle = Idle::default();
        let connections: Vec<_> = (0..4).map(|_| idle.connection(Arc::default())).collect();
        // The first has two requests, one of which is answered; the second had one.
        let first = (connections[0].busy(), connections[0].busy());
        drop(first.0);
        drop(connections[1].busy());
        let expected = [2, 3, 1];
        for next in expected {
            idle.evict();
            let evicted: Vec<_> = (0..4)
                .filter(|&one| is_evicted(&connections[one]))
                .collect();
            assert_eq!(evicted, [next]);
        }
        idle.evict();
        assert!(!connections.iter().any(is_evicted));
        drop(first.1);
        idle.evict();
        assert!(is_evicted(&connections[0]));
        let gone = idle.connection(Arc::default());
        drop(gone);
        assert!(idle.lock().told.is_empty());
    }
}

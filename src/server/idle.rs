//! The connections without a request, in the order in which they became idle. When there are too many connections, the one that has been idle longest
//! is closed for a new client. Otherwise somebody who opens many connections and sends nothing could keep everybody else out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::clients::Place;

/// How long a connection that is asked to close may take, before it is closed or the next one is asked.
pub(super) const EVICTION_GRACE: Duration = Duration::from_millis(100);
/// The same where no new client waits. A request that is already on its way arrives within this time.
pub(super) const IDLE_GRACE: Duration = Duration::from_secs(1);

/// The idle connections, the one that has been idle longest first.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Mutex<IdleQueue>>);

#[derive(Default)]
struct IdleQueue {
    next: u64,
    connections: BTreeMap<u64, Arc<Notify>>,
}

/// What one connection does: whether it has requests, and since when it has none.
pub(super) struct ConnectionActivity {
    idle: IdleConnections,
    /// Whether part of an answer waits for the client to read it.
    is_full: Arc<AtomicBool>,
    leave: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    requests: usize,
    /// Whether there has been a request.
    is_used: bool,
    /// When the last request ended, or the connection was opened.
    since: Instant,
    /// Its number among the idle connections, while it is one.
    turn: u64,
}

/// Counts a request of a connection until it is dropped, and keeps the place of its client.
pub(super) struct RequestGuard(Arc<ConnectionActivity>, Place);

impl RequestGuard {
    /// Keeps a place as well.
    pub(super) fn holding(mut self, place: Place) -> Self {
        self.1 = place;
        self
    }
}

impl IdleConnections {
    /// Asks the connection that has been idle longest to close, if there is one.
    pub(super) fn evict(&self) {
        if let Some((_, leave)) = self.lock().connections.pop_first() {
            leave.notify_one();
        }
    }

    /// A new connection. It is idle.
    pub(super) fn connection(&self, is_full: Arc<AtomicBool>) -> Arc<ConnectionActivity> {
        let leave = Arc::new(Notify::new());
        let turn = self.wait(&leave);
        Arc::new(ConnectionActivity {
            idle: self.clone(),
            is_full,
            leave,
            state: Mutex::new(State {
                requests: 0,
                is_used: false,
                since: Instant::now(),
                turn,
            }),
        })
    }

    fn wait(&self, leave: &Arc<Notify>) -> u64 {
        let mut waiting = self.lock();
        let turn = waiting.next;
        waiting.next += 1;
        waiting.connections.insert(turn, Arc::clone(leave));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, IdleQueue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionActivity {
    /// Returns when the connection is asked to close.
    pub(super) async fn wait_for_eviction(&self) {
        self.leave.notified().await;
    }

    /// Returns when there has been a request, or the connection has been open for this long without one.
    pub(super) async fn wait_for_first_request(&self, within: Duration) {
        const STEP: Duration = Duration::from_millis(20);
        loop {
            let State { is_used, since, .. } = *self.state();
            if is_used || Instant::now() >= since + within {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
    }

    /// Returns when there has been no request for this long and the client has read all answers, once `is_counted` is set.
    pub(super) async fn wait_until_unused(&self, within: Duration, is_counted: &AtomicBool) {
        loop {
            let State {
                requests, since, ..
            } = *self.state();
            let is_quiet = requests == 0 && !self.is_full.load(Ordering::Relaxed);
            let end = since + within;
            if Instant::now() < end {
                tokio::time::sleep_until(end).await;
            } else if is_quiet && is_counted.load(Ordering::Relaxed) {
                return;
            } else {
                tokio::time::sleep(within).await;
            }
        }
    }

    /// Returns when there is no request and the client has read all answers, but not before a pause: a request that arrives during the pause keeps
    /// the connection open.
    pub(super) async fn wait_until_quiet(&self, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            if self.state().requests == 0 && !self.is_full.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        let mut state = self.state();
        if state.requests == 0 {
            self.idle.lock().connections.remove(&state.turn);
        }
        state.requests += 1;
        state.is_used = true;
        drop(state);
        RequestGuard(Arc::clone(self), Place::default())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionActivity {
    fn drop(&mut self) {
        let turn = self.state().turn;
        self.idle.lock().connections.remove(&turn);
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        if state.requests == 0 {
            state.since = Instant::now();
            state.turn = self.0.idle.wait(&self.0.leave);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    use super::ConnectionActivity;
    use super::IdleConnections;

    fn is_evicted(connection: &Arc<ConnectionActivity>) -> bool {
        connection.wait_for_eviction().now_or_never().is_some()
    }

    #[test]
    fn the_connection_that_is_idle_longest_is_closed_first() {
        let idle = IdleConnections::default();
        let connections: Vec<_> = (0..4).map(|_| idle.connection(Arc::default())).collect();
        // The first has two requests, one of which is answered; the second had one.
        let first = (
            connections[0].begin_request(),
            connections[0].begin_request(),
        );
        drop(first.0);
        drop(connections[1].begin_request());
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
        assert!(idle.lock().connections.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_request() {
        const WITHIN: Duration = Duration::from_secs(15);
        let begun = Instant::now();
        let activity = IdleConnections::default().connection(Arc::default());
        let requests = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            let (one, other) = (activity.begin_request(), activity.begin_request());
            drop(one);
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(other);
        };
        let is_counted = AtomicBool::new(true);
        tokio::join!(requests, activity.wait_until_unused(WITHIN, &is_counted));
        let took = begun.elapsed().as_secs();
        assert!((125..=130).contains(&took), "{took} s");
        let is_counted = AtomicBool::new(false);
        let others = activity.wait_until_unused(WITHIN, &is_counted);
        assert!(tokio::time::timeout(WITHIN * 10, others).await.is_err());
    }
}

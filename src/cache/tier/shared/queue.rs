//! The queue of changes to the bucket: bounded in number and bytes, the oldest first. Only the last change of each entry is stored, and changes of
//! one entry are never made out of order.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::cache::entry::EntryKey;
use crate::cache::stats::StoreSize;

/// How many changes may wait.
const MAX_CHANGES: usize = 1024;

/// How many bytes may wait. One entry may be larger, if nothing else waits.
const MAX_BYTES: u64 = 64 << 20;

/// How many changes are made at once.
const WORKERS: usize = 4;

pub(crate) enum Change {
    Write { head: Bytes, body: Bytes },
    Remove,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    /// Notified whenever a change is done.
    done: Notify,
}

#[derive(Default)]
struct QueueState {
    /// The number of the next change.
    next: u64,
    order: BTreeMap<u64, EntryKey>,
    waiting: HashMap<EntryKey, (u64, Change)>,
    /// Changes under way, each with its number and its bytes.
    busy: HashMap<EntryKey, (u64, u64)>,
    bytes: u64,
    workers: usize,
}

/// What happened to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushResult {
    Queued,
    /// Queued, and the caller must start a worker that calls [`Queue::take`] until nothing is left.
    NeedsWorker,
    /// Not queued, because too much is waiting.
    Dropped,
}

impl Change {
    fn bytes(&self) -> u64 {
        match self {
            Change::Write { head, body } => (head.len() + body.len()) as u64,
            Change::Remove => 0,
        }
    }
}

impl Queue {
    pub(crate) fn push(&self, key: EntryKey, change: Change) -> PushResult {
        let mut state = self.lock();
        if let Some((ticket, replaced)) = state.waiting.remove(&key) {
            state.order.remove(&ticket);
            state.bytes -= replaced.bytes();
        }
        let bytes = state.bytes.saturating_add(change.bytes());
        if state.waiting.len() >= MAX_CHANGES || (state.bytes > 0 && bytes > MAX_BYTES) {
            drop(state);
            // The change that was replaced is over, too.
            self.done.notify_waiters();
            return PushResult::Dropped;
        }
        let ticket = state.next;
        state.next += 1;
        state.bytes = bytes;
        state.order.insert(ticket, key);
        state.waiting.insert(key, (ticket, change));
        if state.workers < WORKERS {
            state.workers += 1;
            return PushResult::NeedsWorker;
        }
        PushResult::Queued
    }

    /// The next change to make. After `None`, the worker must end.
    pub(crate) fn take(&self) -> Option<(EntryKey, Change)> {
        let mut state = self.lock();
        let next = state
            .order
            .iter()
            .find(|(_, key)| !state.busy.contains_key(key))
            .map(|(ticket, key)| (*ticket, *key));
        let change = next.and_then(|(ticket, key)| {
            state.order.remove(&ticket);
            let (_, change) = state.waiting.remove(&key)?;
            state.busy.insert(key, (ticket, change.bytes()));
            Some((key, change))
        });
        if change.is_none() {
            state.workers -= 1;
        }
        change
    }

    /// Ends a change that was taken, made or not.
    pub(crate) fn done(&self, key: &EntryKey) {
        let mut state = self.lock();
        if let Some((_, bytes)) = state.busy.remove(key) {
            state.bytes -= bytes;
        }
        drop(state);
        self.done.notify_waiters();
    }

    /// Returns when every change that was queued until now is over.
    pub(crate) async fn flush(&self) {
        let upto = self.lock().next;
        loop {
            let done = self.done.notified();
            tokio::pin!(done);
            done.as_mut().enable();
            let oldest = {
                let state = self.lock();
                let busy = state.busy.values().map(|(ticket, _)| *ticket);
                busy.chain(state.order.keys().next().copied()).min()
            };
            if oldest.is_none_or(|oldest| oldest >= upto) {
                return;
            }
            done.await;
        }
    }

    /// The changes that wait and those under way.
    pub(crate) fn held(&self) -> StoreSize {
        let state = self.lock();
        StoreSize {
            entries: (state.waiting.len() + state.busy.len()) as u64,
            bytes: state.bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bytes;
    use super::Change;
    use super::EntryKey;
    use super::MAX_BYTES;
    use super::MAX_CHANGES;
    use super::PushResult;
    use super::Queue;
    use super::StoreSize;
    use super::WORKERS;
    use crate::cache::RenditionKey;

    fn key(number: usize) -> EntryKey {
        EntryKey::rendition(RenditionKey::numbered(number as u64))
    }

    fn write(bytes: usize) -> Change {
        Change::Write {
            head: Bytes::new(),
            body: Bytes::from(vec![0; bytes]),
        }
    }

    fn is_write(change: &Change) -> bool {
        matches!(change, Change::Write { .. })
    }

    #[test]
    fn it_is_bounded_in_number_and_bytes() {
        let queue = Queue::default();
        for number in 0..MAX_CHANGES {
            assert_ne!(queue.push(key(number), write(1)), PushResult::Dropped);
        }
        assert_eq!(queue.push(key(MAX_CHANGES), write(1)), PushResult::Dropped);
        assert_ne!(
            queue.push(key(0), write(1)),
            PushResult::Dropped,
            "it replaces a waiting change"
        );
        assert_eq!(queue.held().entries, MAX_CHANGES as u64);

        let queue = Queue::default();
        let most = usize::try_from(MAX_BYTES).expect("a small number");
        assert_ne!(queue.push(key(1), write(most + 1)), PushResult::Dropped);
        assert_eq!(queue.push(key(2), write(1)), PushResult::Dropped);
        assert_eq!(queue.push(key(2), Change::Remove), PushResult::Dropped);
        let (taken, _) = queue.take().expect("a change waits");
        assert_eq!(
            queue.push(key(2), write(1)),
            PushResult::Dropped,
            "a change under way counts"
        );
        queue.done(&taken);
        assert_ne!(queue.push(key(2), write(1)), PushResult::Dropped);
    }

    #[test]
    fn no_more_workers_are_started_than_allowed() {
        let queue = Queue::default();
        for number in 0..WORKERS {
            assert_eq!(queue.push(key(number), write(1)), PushResult::NeedsWorker);
        }
        assert_eq!(queue.push(key(99), write(1)), PushResult::Queued);
        while let Some((key, _)) = queue.take() {
            queue.done(&key);
        }
        assert_eq!(queue.held(), StoreSize::default());
        assert_eq!(queue.push(key(1), write(1)), PushResult::NeedsWorker);
    }

    #[test]
    fn a_later_change_replaces_a_waiting_one_and_overtakes_none() {
        let queue = Queue::default();
        queue.push(key(1), write(10));
        queue.push(key(2), write(10));
        let (first, change) = queue.take().expect("a change waits");
        assert!(first == key(1) && is_write(&change));
        queue.push(key(1), write(20));
        queue.push(key(1), Change::Remove);
        let (second, _) = queue.take().expect("a change waits");
        assert_eq!(second, key(2));
        assert!(queue.take().is_none(), "the first is still on its way");
        queue.done(&first);
        let (again, change) = queue.take().expect("a change waits");
        assert!(again == key(1) && !is_write(&change));
        assert_eq!(queue.held().bytes, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_only_for_changes_before_it() {
        let queue = std::sync::Arc::new(Queue::default());
        queue.flush().await;
        queue.push(key(1), write(1));
        let (taken, _) = queue.take().expect("a change waits");
        let waiting = std::sync::Arc::clone(&queue);
        let flush = tokio::spawn(async move { waiting.flush().await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!flush.is_finished());
        queue.push(key(2), write(1));
        queue.done(&taken);
        flush.await.expect("no panic");
        assert_eq!(queue.held().entries, 1);
    }
}

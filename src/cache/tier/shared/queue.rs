//! What waits to be written: bounded in number and bytes, the oldest first, and of each entry only the last change, so that nothing overtakes what
//! came after it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::cache::StoreSize;
use crate::cache::entry::EntryKey;

/// How many changes may wait.
const MOST: usize = 1024;

/// How many bytes may wait. One entry may be larger, if nothing else waits.
const MOST_BYTES: u64 = 64 << 20;

/// How many changes are made at once.
const WORKERS: usize = 4;

pub(crate) enum Change {
    Write { head: Bytes, body: Bytes },
    Remove,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// ResultReceiver whenever something was done.
    done: Notify,
}

#[derive(Default)]
struct State {
    /// Taken by the next change.
    next: u64,
    order: BTreeMap<u64, EntryKey>,
    waiting: HashMap<EntryKey, (u64, Change)>,
    /// Being made, with the bytes of each.
    busy: HashMap<EntryKey, (u64, u64)>,
    bytes: u64,
    workers: usize,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushResult {
    Waits,
    /// And somebody is needed who calls [`Queue::take`] until there is nothing left.
    NeedsWorker,
    /// Too much is waiting.
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
        if state.waiting.len() >= MOST || (state.bytes > 0 && bytes > MOST_BYTES) {
            drop(state);
            // What was replaced is done with.
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
        PushResult::Waits
    }

    /// The next change to make. With `None`, the worker is no longer one.
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

    /// A change that was taken has been made, or given up.
    pub(crate) fn done(&self, key: &EntryKey) {
        let mut state = self.lock();
        if let Some((_, bytes)) = state.busy.remove(key) {
            state.bytes -= bytes;
        }
        drop(state);
        self.done.notify_waiters();
    }

    /// Returns when everything pushed until now is done.
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

    /// What waits, and what is on its way.
    pub(crate) fn held(&self) -> StoreSize {
        let state = self.lock();
        StoreSize {
            entries: (state.waiting.len() + state.busy.len()) as u64,
            bytes: state.bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bytes;
    use super::Change;
    use super::EntryKey;
    use super::MOST;
    use super::MOST_BYTES;
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
        for number in 0..MOST {
            assert_ne!(queue.push(key(number), write(1)), PushResult::Dropped);
        }
        assert_eq!(queue.push(key(MOST), write(1)), PushResult::Dropped);
        assert_ne!(
            queue.push(key(0), write(1)),
            PushResult::Dropped,
            "in place"
        );
        assert_eq!(queue.held().entries, MOST as u64);

        let queue = Queue::default();
        let most = usize::try_from(MOST_BYTES).expect("a small number");
        assert_ne!(queue.push(key(1), write(most + 1)), PushResult::Dropped);
        assert_eq!(queue.push(key(2), write(1)), PushResult::Dropped);
        assert_eq!(queue.push(key(2), Change::Remove), PushResult::Dropped);
        let (taken, _) = queue.take().expect("something waits");
        assert_eq!(
            queue.push(key(2), write(1)),
            PushResult::Dropped,
            "on its way"
        );
        queue.done(&taken);
        assert_ne!(queue.push(key(2), write(1)), PushResult::Dropped);
    }

    #[test]
    fn so_many_work_and_none_is_asked_for_in_vain() {
        let queue = Queue::default();
        for number in 0..WORKERS {
            assert_eq!(queue.push(key(number), write(1)), PushResult::NeedsWorker);
        }
        assert_eq!(queue.push(key(99), write(1)), PushResult::Waits);
        while let Some((key, _)) = queue.take() {
            queue.done(&key);
        }
        assert_eq!(queue.held(), StoreSize::default());
        assert_eq!(queue.push(key(1), write(1)), PushResult::NeedsWorker);
    }

    #[test]
    fn a_later_change_takes_the_place_of_an_earlier_one_and_overtakes_none() {
        let queue = Queue::default();
        queue.push(key(1), write(10));
        queue.push(key(2), write(10));
        let (first, change) = queue.take().expect("something waits");
        assert!(first == key(1) && is_write(&change));
        queue.push(key(1), write(20));
        queue.push(key(1), Change::Remove);
        let (second, _) = queue.take().expect("something waits");
        assert_eq!(second, key(2));
        assert!(queue.take().is_none(), "the first is still on its way");
        queue.done(&first);
        let (again, change) = queue.take().expect("something waits");
        assert!(again == key(1) && !is_write(&change));
        assert_eq!(queue.held().bytes, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_waits_for_what_came_before_it_alone() {
        let queue = std::sync::Arc::new(Queue::default());
        queue.flush().await;
        queue.push(key(1), write(1));
        let (taken, _) = queue.take().expect("something waits");
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

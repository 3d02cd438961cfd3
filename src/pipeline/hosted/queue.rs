//! Which hosted images wait for the renditions that are made ahead of requests.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::hosted::ImageId;

/// The most images that wait by name. Where there are more, all images are looked at once these are done.
const MAX_WAITING: usize = 1000;

/// The longest that a listener sleeps, so that it sees when the server has ended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The pause before an image is tried for the second time. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10 * 60);

/// How often an image is tried again: for about half an hour.
const MAX_RETRIES: u32 = 12;

/// Which of all images are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scan {
    /// Those whose records lack a rendition.
    Missing,
    /// All, because a variant has changed.
    All,
}

/// The images that wait.
#[derive(Default)]
pub(crate) struct EagerQueue {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<ImageId>,
    known: HashSet<ImageId>,
    /// Images that are tried again, and when.
    retries: Vec<(Instant, ImageId)>,
    /// How often an image was tried in vain.
    failures: HashMap<ImageId, u32>,
    scan: Option<Scan>,
}

impl EagerQueue {
    /// Adds an image, unless it waits already.
    pub(crate) fn push(&self, id: &ImageId) {
        let mut state = self.state();
        state.forget(id);
        if state.waiting.len() >= MAX_WAITING {
            state.scan = state.scan.max(Some(Scan::Missing));
        } else if state.known.insert(id.clone()) {
            state.waiting.push_back(id.clone());
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Asks for a look at all images.
    pub(crate) fn scan(&self, scan: Scan) {
        let mut state = self.state();
        state.scan = state.scan.max(Some(scan));
        drop(state);
        self.wake.notify_one();
    }

    /// Puts back an image whose renditions cannot be made now. Returns false where it has been tried often enough.
    pub(crate) fn retry(&self, id: &ImageId) -> bool {
        let mut state = self.state();
        let failures = state.failures.get(id).copied().unwrap_or(0);
        if failures >= MAX_RETRIES || state.retries.len() >= MAX_WAITING {
            state.forget(id);
            return false;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << failures).min(LONGEST_PAUSE);
        state.failures.insert(id.clone(), failures + 1);
        state.retries.push((Instant::now() + pause, id.clone()));
        true
    }

    /// Ends the retries of an image.
    pub(crate) fn forget(&self, id: &ImageId) {
        self.state().forget(id);
    }

    /// Takes an image that is to be tried again now, or else the one that has waited longest.
    pub(crate) fn take(&self) -> Option<ImageId> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(at) = state.retries.iter().position(|(when, _)| *when <= now) {
            return Some(state.retries.swap_remove(at).1);
        }
        let id = state.waiting.pop_front()?;
        state.known.remove(&id);
        Some(id)
    }

    /// Takes the wish for a look at all images.
    pub(crate) fn take_scan(&self) -> Option<Scan> {
        self.state().scan.take()
    }

    /// How many images wait.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.retries.len()
    }

    /// Returns when there may be something to take, or after a while.
    pub(crate) async fn wait(&self) {
        // What comes between a look at the queue and this call is not missed: it leaves a permit.
        let next = self.state().retries.iter().map(|(when, _)| *when).min();
        let until_next = next.map(|next| next.saturating_duration_since(Instant::now()));
        let sleep = until_next.map_or(LONGEST_SLEEP, |left| left.min(LONGEST_SLEEP));
        let _ = timeout(sleep, self.wake.notified()).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, id: &ImageId) {
        if self.failures.remove(id).is_some() {
            self.retries.retain(|(_, waiting)| waiting != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_waits_once_and_too_many_become_a_look_at_all() {
        let queue = EagerQueue::default();
        let id = |number: usize| ImageId::new(&format!("image{number}")).expect("a name");
        queue.push(&id(1));
        queue.push(&id(1));
        assert_eq!((queue.take(), queue.take()), (Some(id(1)), None));
        queue.push(&id(1));
        assert_eq!(queue.take(), Some(id(1)));
        for number in 0..MAX_WAITING {
            queue.push(&id(number));
        }
        assert_eq!(queue.take_scan(), None);
        queue.push(&id(MAX_WAITING));
        assert_eq!(
            (queue.len(), queue.take_scan()),
            (MAX_WAITING, Some(Scan::Missing))
        );
        queue.scan(Scan::All);
        queue.scan(Scan::Missing);
        assert_eq!(
            (queue.take_scan(), queue.take_scan()),
            (Some(Scan::All), None)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_made_now_is_tried_again_ever_later_and_not_for_ever() {
        let queue = EagerQueue::default();
        let [busy, other] = ["busy", "other"].map(|name| ImageId::new(name).expect("a name"));
        let mut pauses = Vec::new();
        while queue.retry(&busy) {
            let begun = Instant::now();
            while queue.take().is_none() {
                queue.wait().await;
            }
            pauses.push(begun.elapsed().as_secs());
        }
        let doubled = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600];
        assert_eq!(pauses, doubled);
        // It counts from the beginning when it is made or replaced.
        for restart in [EagerQueue::forget, EagerQueue::push] {
            assert!(queue.retry(&busy) && queue.retry(&busy));
            restart(&queue, &busy);
            queue.take();
            assert_eq!(queue.len(), 0);
            assert!(queue.retry(&busy));
            tokio::time::advance(FIRST_PAUSE).await;
            assert_eq!(queue.take(), Some(busy.clone()));
            queue.forget(&busy);
        }
        // Others do not wait for it.
        assert!(queue.retry(&busy));
        queue.push(&other);
        assert_eq!((queue.len(), queue.take()), (2, Some(other)));
        assert_eq!(queue.take(), None);
    }
}

//! Which hosted images wait for the renditions that are made ahead of requests.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::hosted::ImageId;

/// The most images that wait by name. Where there are more, all images are looked at once these are done.
const MAX_WAITING: usize = 1000;

/// The longest that a listener sleeps, so that it sees when the server has ended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

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
    scan: Option<Scan>,
}

impl EagerQueue {
    /// Adds an image, unless it waits already.
    pub(crate) fn push(&self, id: &ImageId) {
        let mut state = self.state();
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

    /// Takes the image that has waited longest.
    pub(crate) fn take(&self) -> Option<ImageId> {
        let mut state = self.state();
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
        self.state().waiting.len()
    }

    /// Returns when there may be something to take, or after a while.
    pub(crate) async fn wait(&self) {
        // What comes between a look at the queue and this call is not missed: it leaves a permit.
        let _ = timeout(LONGEST_SLEEP, self.wake.notified()).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
}

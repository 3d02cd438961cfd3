//! Which interim renditions are upgraded next: those that are asked for most. They wait in a bounded queue until a worker is idle or the share
//! of background work allows one.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::cache::{RenditionKey, SourceName, SourceRecord};
use crate::cpu::Priority;
use crate::pipeline::Pipeline;
use crate::pipeline::background::{BackgroundJob, JobGuard, JobKind};
use crate::pipeline::render::RenderTask;
use crate::policy::Job;

/// The most upgrades that wait. One more takes the place of the one that is asked for least.
const MAX_WAITING: usize = 256;

/// After so long, requests count half. What is no longer asked for leaves the queue soon.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// How often it is looked whether there is time for an upgrade that waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The upgrades that wait for a worker.
pub(crate) struct UpgradeQueue<T> {
    state: Mutex<State<T>>,
    /// One permit for each thread of the share.
    share: Arc<Semaphore>,
    /// An upgrade has ended.
    ended: Arc<Notify>,
}

struct State<T> {
    waiting: HashMap<RenditionKey, Waiting<T>>,
    /// When requests were halved the last time.
    halved: Option<Instant>,
    /// Whether a task starts what waits.
    is_served: bool,
}

struct Waiting<T> {
    requests: u32,
    upgrade: Box<T>,
}

/// A rendition that is to be replaced by the settled one.
pub(crate) struct Upgrade {
    pub job: Job,
    pub name: SourceName,
    /// The state of the source for which the settled rendition is wanted.
    pub record: Arc<SourceRecord>,
    pub interim: RenditionKey,
}

/// What a request for an upgrade has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct QueueChange {
    /// How many upgrades have lost their place.
    dropped: u32,
    /// Whether the caller has to start the task that serves the queue.
    is_unserved: bool,
}

impl<T> UpgradeQueue<T> {
    pub(crate) fn new(share_threads: usize) -> Self {
        UpgradeQueue {
            state: Mutex::new(State {
                waiting: HashMap::new(),
                halved: None,
                is_served: false,
            }),
            share: Arc::new(Semaphore::new(share_threads)),
            ended: Arc::default(),
        }
    }

    /// Counts a request for a rendition. The first one puts its upgrade into the queue.
    fn note(&self, key: RenditionKey, now: Instant, upgrade: impl FnOnce() -> T) -> QueueChange {
        let mut state = self.lock();
        let mut dropped = state.halve(now);
        if let Some(waiting) = state.waiting.get_mut(&key) {
            waiting.requests = waiting.requests.saturating_add(1);
        } else {
            let mut requests = 1;
            if state.waiting.len() >= MAX_WAITING
                && let Some((least, found)) = state.least()
            {
                // It may have been asked for as often before it had a place. So what is asked for most is always found.
                requests = found.saturating_add(1);
                state.waiting.remove(&least);
                dropped += 1;
            }
            let upgrade = Box::new(upgrade());
            state.waiting.insert(key, Waiting { requests, upgrade });
        }
        QueueChange {
            dropped,
            is_unserved: !mem::replace(&mut state.is_served, true),
        }
    }

    /// Drops what is no longer asked for, and says how many upgrades that were and whether others still wait. If none does, nobody serves the
    /// queue any more.
    fn clean(&self, now: Instant) -> (u32, bool) {
        let mut state = self.lock();
        let dropped = state.halve(now);
        state.is_served = !state.waiting.is_empty();
        (dropped, state.is_served)
    }

    /// Takes out what is asked for most.
    fn take(&self) -> Option<(RenditionKey, T)> {
        let mut state = self.lock();
        let waiting = state.waiting.iter();
        let (&key, _) = waiting.max_by_key(|(_, waiting)| waiting.requests)?;
        let waiting = state.waiting.remove(&key)?;
        Some((key, *waiting.upgrade))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Halves the requests for each half-life that has passed, and says how many upgrades have none left and were dropped.
    fn halve(&mut self, now: Instant) -> u32 {
        let since = *self.halved.get_or_insert(now);
        let times = now.saturating_duration_since(since).as_secs() / HALF_LIFE.as_secs();
        let Some(times) = u32::try_from(times).ok().filter(|&times| times > 0) else {
            return 0;
        };
        self.halved = Some(now);
        let before = self.waiting.len();
        self.waiting.retain(|_, waiting| {
            waiting.requests = waiting.requests.checked_shr(times).unwrap_or(0);
            waiting.requests > 0
        });
        u32::try_from(before - self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// What is asked for least, and how often.
    fn least(&self) -> Option<(RenditionKey, u32)> {
        let waiting = self.waiting.iter();
        waiting
            .min_by_key(|(_, waiting)| waiting.requests)
            .map(|(&key, waiting)| (key, waiting.requests))
    }
}

impl Pipeline {
    /// Puts an upgrade into the queue, or counts one more request for it.
    pub(crate) fn request_upgrade(
        self: &Arc<Self>,
        key: RenditionKey,
        upgrade: impl FnOnce() -> Upgrade,
    ) {
        if !self.background.may_start(key) {
            return;
        }
        let change = self.upgrades.note(key, Instant::now(), upgrade);
        self.record_dropped(change.dropped);
        if !change.is_unserved {
            return;
        }
        let (weak, ended) = (Arc::downgrade(self), Arc::clone(&self.upgrades.ended));
        tokio::spawn(async move {
            while let Some(pipeline) = weak.upgrade() {
                pipeline.start_upgrades();
                let (dropped, waits) = pipeline.upgrades.clean(Instant::now());
                pipeline.record_dropped(dropped);
                if !waits {
                    return;
                }
                drop(pipeline);
                // Whether it was notified does not matter.
                let _ = tokio::time::timeout(POLL_INTERVAL, ended.notified()).await;
            }
        });
    }

    /// Starts as many upgrades as there is time for.
    fn start_upgrades(self: &Arc<Self>) {
        while let Some((priority, turn)) = self.turn() {
            let Some((key, upgrade)) = self.upgrades.take() else {
                return;
            };
            if let Some(guard) = JobGuard::of(&self.background, key) {
                self.start_upgrade(upgrade, guard, priority, turn);
            }
        }
    }

    /// The right to run an upgrade now. The share comes first: a job that began on an idle worker gets little time once clients come.
    fn turn(&self) -> Option<(Priority, OwnedSemaphorePermit)> {
        let share = self.cpu.has_share().then_some(&self.upgrades.share);
        if let Some(Ok(turn)) = share.map(|share| Arc::clone(share).try_acquire_owned()) {
            return Some((Priority::Share, turn));
        }
        let turn = self.cpu.is_idle().then(|| self.background.turn())??;
        Some((Priority::Idle, turn))
    }

    fn start_upgrade(
        self: &Arc<Self>,
        upgrade: Upgrade,
        guard: JobGuard,
        priority: Priority,
        turn: OwnedSemaphorePermit,
    ) {
        let Upgrade {
            job,
            name,
            record,
            interim,
        } = upgrade;
        let background = BackgroundJob {
            kind: JobKind::Upgrade,
            key: guard.key(),
            source: job.source.clone(),
            name: name.clone(),
            record,
            replaces: vec![interim],
        };
        let task = RenderTask {
            job,
            name,
            priority,
            asker: None,
            timings: Arc::new(OnceLock::new()),
        };
        let pipeline = Arc::clone(self);
        tokio::spawn(async move {
            let render = |pipeline: Arc<Self>, source| pipeline.render_upgrade(task, source);
            pipeline.do_job(background, guard, render).await;
            drop(turn);
            pipeline.upgrades.ended.notify_one();
        });
    }

    fn record_dropped(&self, dropped: u32) {
        for _ in 0..dropped {
            self.metrics.work.record_upgrade("skipped");
        }
    }
}

#[cfg(test)]
mod tests;

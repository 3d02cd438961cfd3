//! The worker threads. Each runs the jobs that the lanes give it, at a lower priority than the threads that answer requests.

use std::io;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::lanes::{Lanes, Worker};
use super::system;

/// The priority of foreground work and of the share of background work: cache hits and health checks are answered at once while every processor transforms.
pub(crate) const NICE: i32 = 5;

/// The priority of idle work, the lowest that there is: a fiftieth of a processor that another thread wants.
pub(crate) const IDLE_NICE: i32 = 19;

/// The stack of a worker, in bytes. The decoder of JPEG XL calls itself for each of up to 64 layers, for which 256 KiB are enough; all other work
/// fits into 2 MiB, the default. The part that is not used takes no memory.
const STACK_BYTES: usize = 4 << 20;

/// How long there must have been nothing to do before `on_idle` is called.
pub(super) const IDLE_DELAY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2000 });

/// The work of a job. It returns the notification for the caller, which is sent when the bytes of the job are free again.
pub(super) type Work = Box<dyn FnOnce() -> Notification + Send>;

pub(super) type Notification = Box<dyn FnOnce() + Send>;

/// The state that the workers share.
pub(super) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
}

pub(super) struct State {
    pub lanes: Lanes<Work>,
    pub is_closing: bool,
    /// Whether `on_idle` has been called since the last job.
    is_idle_reported: bool,
    /// Called once when there has been nothing to do for a while.
    on_idle: Arc<dyn Fn() + Send + Sync>,
}

impl Scheduler {
    pub(super) fn new(lanes: Lanes<Work>, on_idle: Arc<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Scheduler {
            state: Mutex::new(State {
                lanes,
                is_closing: false,
                is_idle_reported: true,
                on_idle,
            }),
            changed: Condvar::new(),
        })
    }

    /// The lock cannot be poisoned, because nothing that panics runs under it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there may be a job to start. The express worker calls `on_idle` when there is none for a while.
    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        worker: Worker,
    ) -> MutexGuard<'a, State> {
        let opens_after = match worker {
            Worker::Share => state.lanes.share_opens_after(Instant::now()),
            Worker::Regular | Worker::Express | Worker::Idle => None,
        };
        if let Some(delay) = opens_after {
            let waited = self.changed.wait_timeout(state, delay);
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if worker != Worker::Express || state.is_idle_reported {
            let waited = self.changed.wait(state);
            return waited.unwrap_or_else(PoisonError::into_inner);
        }
        let waited = self.changed.wait_timeout(state, IDLE_DELAY);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() && state.lanes.is_empty() {
            state.is_idle_reported = true;
            let on_idle = Arc::clone(&state.on_idle);
            drop(state);
            on_idle();
            state = self.lock();
        }
        state
    }

    /// Wakes the workers, because there may be a job to start.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }
}

/// Starts `workers` threads for foreground jobs, one more for fast jobs, as many as the share needs for its jobs, and `workers` threads for
/// idle jobs.
pub(super) fn start(scheduler: &Arc<Scheduler>, workers: usize) -> io::Result<()> {
    let regular = (0..workers).map(|_| Worker::Regular);
    let share = (0..scheduler.lock().lanes.share_threads()).map(|_| Worker::Share);
    let idle = (0..workers).map(|_| Worker::Idle);
    for worker in regular.chain([Worker::Express]).chain(share).chain(idle) {
        let (name, nice) = match worker {
            Worker::Regular => ("render", NICE),
            Worker::Express => ("render-fast", NICE),
            Worker::Share => ("render-share", NICE),
            Worker::Idle => ("render-idle", IDLE_NICE),
        };
        let scheduler = Arc::clone(scheduler);
        thread::Builder::new()
            .name(name.to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                system::lower_priority(nice);
                worker_loop(&scheduler, worker);
            })?;
    }
    Ok(())
}

/// Runs one job after the other until the pool closes.
fn worker_loop(scheduler: &Scheduler, worker: Worker) {
    let mut state = scheduler.lock();
    while !state.is_closing {
        let Some((id, work)) = state.lanes.start(worker, Instant::now()) else {
            state = scheduler.wait(state, worker);
            continue;
        };
        state.is_idle_reported = false;
        drop(state);
        let began = system::thread_time();
        let done = panic::catch_unwind(AssertUnwindSafe(work));
        let ended = system::thread_time();
        state = scheduler.lock();
        if let Some((began, ended)) = began.zip(ended) {
            state.lanes.correct_time(id, ended.saturating_sub(began));
        }
        state.lanes.record_pace(id, Instant::now());
        state.lanes.finish(id);
        drop(state);
        scheduler.wake();
        if let Ok(tell) = done {
            tell();
        }
        state = scheduler.lock();
    }
}

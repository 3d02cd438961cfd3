//! The only way from asynchronous code to CPU work. The workers, the memory of all jobs together and the queue are bounded; a job that does not fit
//! is rejected at once.
//!
//! Every job states its cost: the bytes that it will hold, and how long it will take. Its bytes are reserved before it starts and free when it
//! ends, so that memory is bounded however many jobs there are. A panic never costs a worker, a small job never waits for large ones without end,
//! a cancelled job never keeps its place in the queue, and a thread that answers requests never waits for one that transforms.

mod cost;
mod lanes;
mod memory;
mod place;
mod share;
mod system;
mod workers;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use self::lanes::{JobId, Lanes};
use self::share::Share;
use self::workers::{Notification, Scheduler};

use crate::clients::ClientId;

pub(crate) use self::cost::{Cost, Lane, Priority, Rejection};
pub(crate) use self::lanes::LaneCounts;
pub(crate) use self::memory::MemoryLimit;
pub(crate) use self::place::QueuePlace;
pub(crate) use self::system::charge;
pub(crate) use self::workers::{IDLE_NICE, NICE};

/// Worker threads for CPU work, with a bounded queue and bounded memory.
pub(crate) struct CpuPool {
    scheduler: Arc<Scheduler>,
}

/// The result of a job that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion<T> {
    /// What the job returned.
    pub value: T,
    /// The CPU time of the job, where the system tells it. Threads that the job starts are not counted.
    pub cpu_time: Option<Duration>,
}

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuError {
    /// It was not taken.
    Rejected {
        /// Why not.
        reason: Rejection,
        /// How long it would have waited, by the estimates of the jobs before it.
        wait: Duration,
    },
    /// It panicked. No other job is affected.
    Panicked,
}

/// How many workers a pool has; 0: one for each processor.
fn worker_count(configured: usize) -> usize {
    NonZeroUsize::new(configured)
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
}

/// How many threads a pool has: for foreground work and the share of background work, and for idle work.
pub(crate) fn thread_counts(configured: usize, share: u8) -> (usize, usize) {
    let workers = worker_count(configured);
    let share = Share::new(share, workers, Instant::now()).threads();
    (workers.saturating_add(1).saturating_add(share), workers)
}

impl CpuPool {
    /// A pool of `workers` threads (0: one for each processor) whose queue takes `queue` jobs, and whose jobs together may hold `budget` bytes.
    /// Jobs of the share may take `share` percent of the time of so many processors. `on_idle` is called once whenever there has been nothing
    /// to do for some seconds.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(crate) fn new(
        workers: usize,
        queue: usize,
        share: u8,
        budget: u64,
        on_idle: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let workers = worker_count(workers);
        let share = Share::new(share, workers, Instant::now());
        let pool = CpuPool {
            scheduler: Scheduler::new(Lanes::new(workers, queue, budget, share), Arc::new(on_idle)),
        };
        // Where a thread cannot be started, the pool is dropped, and its other threads end.
        workers::start(&pool.scheduler, workers)?;
        Ok(pool)
    }

    /// Takes a place in the queue for a render whose source has to be fetched first, and which must have ended at `deadline`.
    ///
    /// # Errors
    /// [`CpuError::Rejected`].
    pub(crate) fn take_place(
        &self,
        client: Option<ClientId>,
        deadline: Instant,
    ) -> Result<QueuePlace, CpuError> {
        let mut state = self.scheduler.lock();
        let taken = state.lanes.take_place(client, deadline, Instant::now());
        taken.map_err(|(reason, wait)| CpuError::Rejected { reason, wait })?;
        Ok(QueuePlace::of(&self.scheduler, client))
    }

    /// Holds a place for a render whose source was fetched, until its cost is known.
    pub(crate) fn hold_place(&self, client: Option<ClientId>) -> QueuePlace {
        self.scheduler.lock().lanes.hold_place(client);
        QueuePlace::of(&self.scheduler, client)
    }

    /// Takes account of the estimate of a render whose source was read, for those whose source is still on its way.
    pub(crate) fn record_estimate(&self, cost: &Cost) {
        let mut state = self.scheduler.lock();
        state.lanes.record_estimate(cost, Instant::now());
    }

    /// Runs `work` on a worker. When the future is dropped before the work has started, the work is taken out of the queue. Work that has
    /// started runs to its end and holds its bytes until then.
    ///
    /// # Errors
    /// [`CpuError`].
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        cost: Cost,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, CpuError> {
        let (tell, told) = oneshot::channel();
        let work = Box::new(move || -> Notification {
            let begun = system::thread_time();
            let value = panic::catch_unwind(AssertUnwindSafe(work)).map_err(drop);
            let ended = system::thread_time();
            Box::new(move || {
                let cpu_time = begun
                    .zip(ended)
                    .map(|(begun, ended)| ended.saturating_sub(begun));
                // An error means that the future was dropped.
                let _ = tell.send(value.map(|value| Completion { value, cpu_time }));
            })
        });
        let entered = self
            .scheduler
            .lock()
            .lanes
            .enqueue(cost, work, Instant::now());
        let id = entered.map_err(|(reason, wait)| CpuError::Rejected { reason, wait })?;
        self.scheduler.wake();
        let _guard = QueueGuard {
            scheduler: &self.scheduler,
            id,
        };
        match told.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(())) | Err(_) => Err(CpuError::Panicked),
        }
    }

    /// Threads for foreground work. There are as many for idle work.
    pub(crate) fn workers(&self) -> usize {
        self.scheduler.lock().lanes.workers()
    }

    /// How many jobs of the share can run at once.
    pub(crate) fn share_threads(&self) -> usize {
        self.scheduler.lock().lanes.share_threads()
    }

    /// Whether a job of the share could start now.
    pub(crate) fn has_share(&self) -> bool {
        self.scheduler.lock().lanes.has_share(Instant::now())
    }

    /// The most bytes that background work may hold.
    pub(crate) fn background_bytes(&self) -> u64 {
        self.scheduler.lock().lanes.background_bytes()
    }

    /// How many jobs a lane has now.
    pub(crate) fn count(&self, lane: Lane) -> LaneCounts {
        self.scheduler.lock().lanes.count(lane)
    }

    /// How many jobs run or wait now.
    pub(crate) fn load(&self) -> usize {
        let state = self.scheduler.lock();
        Lane::ALL
            .into_iter()
            .map(|lane| state.lanes.count(lane))
            .map(|count| count.waiting + count.running)
            .sum()
    }

    /// Whether a worker has nothing to do, and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.scheduler.lock().lanes.is_idle()
    }

    /// The bytes that running jobs have reserved.
    pub(crate) fn reserved(&self) -> u64 {
        self.scheduler.lock().lanes.reserved()
    }
}

impl Drop for CpuPool {
    /// Ends the threads when their running jobs have ended. Jobs that wait are dropped.
    fn drop(&mut self) {
        let mut state = self.scheduler.lock();
        state.is_closing = true;
        let waiting = state.lanes.clear();
        drop(state);
        drop(waiting);
        self.scheduler.wake();
    }
}

impl fmt::Debug for CpuPool {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CpuPool")
            .field("load", &self.load())
            .finish_non_exhaustive()
    }
}

/// Takes a job out of the queue when it is dropped, unless the job has started.
struct QueueGuard<'a> {
    scheduler: &'a Scheduler,
    id: JobId,
}

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        let work = self.scheduler.lock().lanes.cancel(self.id);
        if work.is_some() {
            // The next job may need less memory.
            self.scheduler.wake();
        }
    }
}

impl fmt::Display for CpuError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpuError::Rejected { reason, wait } => {
                let reason = match reason {
                    Rejection::Queue => "too many transformations are waiting",
                    Rejection::Wait(_) => "the transformation would start too late",
                    Rejection::Idle => "no worker is idle",
                };
                write!(out, "{reason} (expected wait {:.1} s)", wait.as_secs_f64())
            }
            CpuError::Panicked => out.write_str("the transformation crashed"),
        }
    }
}

impl std::error::Error for CpuError {}

#[cfg(test)]
mod tests;

//! The only door from asynchronous code to the processors: so many workers, so many bytes for all their work together, so long a queue,
//! and beyond it a refusal at once.
//!
//! Every job says beforehand what it will hold and how long it will take. Its bytes are reserved before it begins and free when it ends,
//! so that memory is bounded by one number however many jobs there are. Never: a worker lost to a panic, a large job before a small
//! one without end, a place held by work that nobody wants any more, a thread that answers requests waiting for one that transforms.

mod lanes;
mod memory;
mod system;
mod workers;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot;

use self::lanes::JobId;
use self::lanes::Lanes;
use self::workers::Notification;
use self::workers::Scheduler;

pub use self::lanes::Lane;
pub use self::lanes::LaneCounts;
pub use self::memory::MemoryLimit;

/// Bounded room for work that keeps a processor busy.
pub struct CpuPool {
    scheduler: Arc<Scheduler>,
}

/// What a job will take, as far as it can be told beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that it holds at its worst.
    pub bytes: u64,
    /// Time of one processor.
    pub time: Duration,
    /// When its outcome is of no use any more: it must begin before.
    pub deadline: Instant,
    /// Whether nobody waits for it.
    pub is_idle: bool,
}

/// What came of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion<T> {
    /// What it made.
    pub value: T,
    /// The time of the processor that it took, where the system tells it. Threads that it started are not counted.
    pub cpu_time: Option<Duration>,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuError {
    /// There was no room for it.
    Rejected {
        /// What there was too little of.
        reason: Rejection,
        /// How long it would have waited, by the estimates of what goes before it.
        wait: Duration,
    },
    /// The work panicked; nothing but itself is lost.
    Panicked,
}

/// What there was too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Places: as many jobs wait as may.
    Queue,
    /// Time: it would have begun after its deadline. There may be time for work of another lane.
    Wait(Lane),
    /// Idleness: nobody waits for it, and others like it wait already, or hold the memory that is for them.
    Idle,
}

impl Rejection {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Rejection::Queue => "queue",
            Rejection::Wait(_) => "wait",
            Rejection::Idle => "idle",
        }
    }
}

impl CpuPool {
    /// A pool of `workers` (0: one for each processor) with room for `queue` jobs that wait, which together may hold `budget` bytes.
    /// `on_idle` is called once whenever there has been nothing to do for some seconds.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(workers: usize, queue: usize, budget: u64, on_idle: fn()) -> io::Result<Self> {
        let workers = NonZeroUsize::new(workers)
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let pool = CpuPool {
            scheduler: Scheduler::new(Lanes::new(workers, queue, budget), on_idle),
        };
        // A pool that is dropped half started ends the threads that it has.
        workers::start(&pool.scheduler, workers)?;
        Ok(pool)
    }

    /// Runs `work` on a worker. Dropping the future while the work waits takes it out of the queue; work that has begun runs to
    /// its end and holds its bytes until then, whoever has lost interest.
    ///
    /// # Errors
    /// [`CpuError`].
    pub async fn run<T: Send + 'static>(
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
                // Nobody may be waiting any more.
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

    /// Threads for work that somebody waits for; there are as many for what nobody waits for.
    pub fn workers(&self) -> usize {
        self.scheduler.lock().lanes.workers()
    }

    /// Bytes that a job may hold for which nobody waits.
    pub fn idle_bytes(&self) -> u64 {
        self.scheduler.lock().lanes.idle_bytes()
    }

    /// Jobs of a lane now.
    pub fn count(&self, lane: Lane) -> LaneCounts {
        self.scheduler.lock().lanes.count(lane)
    }

    /// Jobs that run or wait now.
    pub fn load(&self) -> usize {
        let state = self.scheduler.lock();
        Lane::ALL
            .into_iter()
            .map(|lane| state.lanes.count(lane))
            .map(|count| count.waiting + count.running)
            .sum()
    }

    /// Whether a worker has nothing to do, and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.scheduler.lock().lanes.is_idle()
    }

    /// Bytes that are reserved now.
    pub fn reserved(&self) -> u64 {
        self.scheduler.lock().lanes.reserved()
    }
}

impl Drop for CpuPool {
    /// What runs, runs to its end; then its thread ends.
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

/// A place in the queue, left when it is dropped. Where the work has begun, there is nothing to leave.
struct QueueGuard<'a> {
    scheduler: &'a Scheduler,
    id: JobId,
}

impl Drop for QueueGuard<'_> {
    fn drop(&mut self) {
        let work = self.scheduler.lock().lanes.cancel(self.id);
        if work.is_some() {
            // What stood behind it may fit.
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
                    Rejection::Wait(_) => "the transformation would begin too late",
                    Rejection::Idle => "there is no idle time",
                };
                write!(out, "{reason} (expected wait {:.1} s)", wait.as_secs_f64())
            }
            CpuError::Panicked => out.write_str("the transformation crashed"),
        }
    }
}

impl std::error::Error for CpuError {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;
    use std::sync::mpsc;
    use std::time::Duration;
    use std::time::Instant;

    use super::Completion;
    use super::Cost;
    use super::CpuError;
    use super::CpuPool;
    use super::Lane;
    use super::Rejection;
    use super::workers::IDLE_DELAY;

    /// Work that is not small.
    fn cost() -> Cost {
        Cost {
            bytes: 10,
            time: Duration::from_millis(100),
            deadline: Instant::now() + Duration::from_secs(3600),
            is_idle: false,
        }
    }

    fn pool(workers: usize, queue: usize) -> CpuPool {
        CpuPool::new(workers, queue, 100, || ()).expect("there are threads")
    }

    #[tokio::test]
    async fn it_rests_once_after_work() {
        static RESTS: AtomicUsize = AtomicUsize::new(0);
        let on_idle = || {
            RESTS.fetch_add(1, Ordering::SeqCst);
        };
        let pool = CpuPool::new(1, 1, 100, on_idle).expect("there are threads");
        for round in 1..=2 {
            assert!(pool.run(cost(), || ()).await.is_ok());
            while RESTS.load(Ordering::SeqCst) < round {
                tokio::time::sleep(IDLE_DELAY).await;
            }
        }
        tokio::time::sleep(3 * IDLE_DELAY).await;
        assert_eq!(RESTS.load(Ordering::SeqCst), 2);
    }

    fn is_full<T>(outcome: Result<Completion<T>, CpuError>) -> bool {
        matches!(
            outcome,
            Err(CpuError::Rejected {
                reason: Rejection::Queue,
                ..
            })
        )
    }

    fn value<T>(outcome: Result<Completion<T>, CpuError>) -> Result<T, CpuError> {
        outcome.map(|done| done.value)
    }

    #[tokio::test]
    async fn a_full_queue_sheds_at_once_and_recovers() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(cost(), work).await })
        };
        let running = spawn(Box::new(move || gate.recv().expect("the test releases it")));
        while pool.load() < 1 {
            tokio::task::yield_now().await;
        }
        let waiting = spawn(Box::new(|| ()));
        while pool.load() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(is_full(pool.run(cost(), || ()).await));
        release.send(()).expect("the job waits for it");
        assert_eq!(value(running.await.expect("no panic")), Ok(()));
        assert_eq!(value(waiting.await.expect("no panic")), Ok(()));
        assert_eq!(value(pool.run(cost(), || 7).await), Ok(7));
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn a_panic_costs_one_job() {
        let pool = pool(1, 0);
        for _ in 0..3 {
            assert_eq!(
                value(pool.run(cost(), || panic!("as tested")).await),
                Err::<(), _>(CpuError::Panicked)
            );
        }
        assert_eq!(value(pool.run(cost(), || 7).await), Ok(7));
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn an_abandoned_job_holds_its_bytes_until_it_ends() {
        let pool = Arc::new(pool(1, 0));
        let (release, gate) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let task = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(cost(), move || {
                    begun.send(()).expect("the test listens");
                    gate.recv().expect("the test releases it");
                })
                .await
            }
        });
        has_begun.await.expect("the job begins");
        task.abort();
        assert!(task.await.is_err());
        assert!(is_full(pool.run(cost(), || ()).await));
        assert_eq!(pool.reserved(), 10);
        release.send(()).expect("the job still runs");
        while pool.load() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.reserved(), 0);
        assert_eq!(value(pool.run(cost(), || 7).await), Ok(7));
    }

    #[tokio::test]
    async fn an_abandoned_job_that_waits_leaves_the_queue() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                let work = move || gate.recv().expect("the test releases it");
                pool.run(cost(), work).await
            }
        });
        while pool.count(Lane::Normal).running < 1 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(cost(), || panic!("nobody wants it")).await }
        });
        while pool.count(Lane::Normal).waiting < 1 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(pool.count(Lane::Normal).waiting, 0);
        release.send(()).expect("the job waits for it");
        assert_eq!(value(running.await.expect("no panic")), Ok(()));
    }

    #[tokio::test]
    async fn small_work_does_not_wait_for_large_work() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let large = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                let work = move || gate.recv().expect("the test releases it");
                pool.run(cost(), work).await
            }
        });
        while pool.count(Lane::Normal).running < 1 {
            tokio::task::yield_now().await;
        }
        let small = Cost {
            time: Duration::from_millis(1),
            ..cost()
        };
        assert_eq!(value(pool.run(small, || 7).await), Ok(7));
        release.send(()).expect("the job waits for it");
        assert_eq!(value(large.await.expect("no panic")), Ok(()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn workers_give_way_and_count_their_own_time() {
        /// The value of the calling thread: the 19th field, and the name before it may hold spaces.
        fn nice() -> i32 {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux tells");
            let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
            let nice = fields.split_whitespace().nth(16).expect("many fields");
            nice.parse().expect("a number")
        }
        let pool = pool(1, 0);
        let idle = Cost {
            is_idle: true,
            ..cost()
        };
        let ours = nice();
        let theirs = pool.run(cost(), nice).await.expect("there is room").value;
        let idle = pool.run(idle, nice).await.expect("there is room").value;
        assert!(ours < theirs || ours >= 5, "{ours} {theirs}");
        assert!(theirs < idle || theirs == 19, "{theirs} {idle}");
        let work = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
        };
        let cpu_time = pool
            .run(cost(), work)
            .await
            .expect("there is room")
            .cpu_time;
        assert!(cpu_time.is_some_and(|cpu_time| cpu_time > Duration::ZERO));
    }
}

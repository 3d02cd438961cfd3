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

use self::lanes::Lanes;
use self::lanes::Ticket;
use self::workers::Shared;
use self::workers::Telling;

pub use self::lanes::Count;
pub use self::lanes::Lane;
pub use self::memory::Memory;

/// Bounded room for work that keeps a processor busy.
pub struct CpuPool {
    shared: Arc<Shared>,
}

/// What a job will take, as far as it can be told beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
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
pub struct Done<T> {
    /// What it made.
    pub made: T,
    /// The time of the processor that it took, where the system tells it. Threads that it started are not counted.
    pub used: Option<Duration>,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuError {
    /// There was no room for it.
    Refused {
        /// What there was too little of.
        lack: Refusal,
        /// How long it would have waited, by the estimates of what goes before it.
        wait: Duration,
    },
    /// The work panicked; nothing but itself is lost.
    Panicked,
}

/// What there was too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Places: as many jobs wait as may.
    Queue,
    /// Time: it would have begun after its deadline. There may be time for work of another lane.
    Wait(Lane),
    /// Idleness: nobody waits for it, and others like it wait already, or hold the memory that is for them.
    Idle,
}

impl Refusal {
    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Refusal::Queue => "queue",
            Refusal::Wait(_) => "wait",
            Refusal::Idle => "idle",
        }
    }
}

impl CpuPool {
    /// A pool of `workers` (0: one for each processor) with room for `queue` jobs that wait, which together may hold `budget` bytes.
    /// `rest` is called once whenever there has been nothing to do for some seconds.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(workers: usize, queue: usize, budget: u64, rest: fn()) -> io::Result<Self> {
        let workers = NonZeroUsize::new(workers)
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let pool = CpuPool {
            shared: Shared::new(Lanes::new(workers, queue, budget), rest),
        };
        // A pool that is dropped half started ends the threads that it has.
        workers::start(&pool.shared, workers)?;
        Ok(pool)
    }

    /// Runs `work` on a worker. Dropping the future while the work waits takes it out of the queue; work that has begun runs to
    /// its end and holds its bytes until then, whoever has lost interest.
    ///
    /// # Errors
    /// [`CpuError`].
    pub async fn run<T: Send + 'static>(
        &self,
        demand: Demand,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Done<T>, CpuError> {
        let (tell, told) = oneshot::channel();
        let work = Box::new(move || -> Telling {
            let begun = system::thread_time();
            let made = panic::catch_unwind(AssertUnwindSafe(work)).map_err(drop);
            let ended = system::thread_time();
            Box::new(move || {
                let used = begun
                    .zip(ended)
                    .map(|(begun, ended)| ended.saturating_sub(begun));
                // Nobody may be waiting any more.
                let _ = tell.send(made.map(|made| Done { made, used }));
            })
        });
        let entered = self.shared.lock().lanes.enter(demand, work, Instant::now());
        let ticket = entered.map_err(|(lack, wait)| CpuError::Refused { lack, wait })?;
        self.shared.wake();
        let _place = Place {
            shared: &self.shared,
            ticket,
        };
        match told.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(())) | Err(_) => Err(CpuError::Panicked),
        }
    }

    /// Threads for work that somebody waits for; there are as many for what nobody waits for.
    pub fn workers(&self) -> usize {
        self.shared.lock().lanes.workers()
    }

    /// Bytes that a job may hold for which nobody waits.
    pub fn idle_bytes(&self) -> u64 {
        self.shared.lock().lanes.idle_bytes()
    }

    /// Jobs of a lane now.
    pub fn count(&self, lane: Lane) -> Count {
        self.shared.lock().lanes.count(lane)
    }

    /// Jobs that run or wait now.
    pub fn load(&self) -> usize {
        let state = self.shared.lock();
        Lane::ALL
            .into_iter()
            .map(|lane| state.lanes.count(lane))
            .map(|count| count.waiting + count.running)
            .sum()
    }

    /// Whether a worker has nothing to do, and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.shared.lock().lanes.is_idle()
    }

    /// Bytes that are reserved now.
    pub fn reserved(&self) -> u64 {
        self.shared.lock().lanes.reserved()
    }
}

impl Drop for CpuPool {
    /// What runs, runs to its end; then its thread ends.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closing = true;
        let waiting = state.lanes.clear();
        drop(state);
        drop(waiting);
        self.shared.wake();
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
struct Place<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let work = self.shared.lock().lanes.leave(self.ticket);
        if work.is_some() {
            // What stood behind it may fit.
            self.shared.wake();
        }
    }
}

impl fmt::Display for CpuError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CpuError::Refused { lack, wait } => {
                let lack = match lack {
                    Refusal::Queue => "too many transformations are waiting",
                    Refusal::Wait(_) => "the transformation would begin too late",
                    Refusal::Idle => "there is no idle time",
                };
                write!(out, "{lack} (expected wait {:.1} s)", wait.as_secs_f64())
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

    use super::CpuError;
    use super::CpuPool;
    use super::Demand;
    use super::Done;
    use super::Lane;
    use super::Refusal;
    use super::workers::RESTLESS;

    /// Work that is not small.
    fn demand() -> Demand {
        Demand {
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
        let rest = || {
            RESTS.fetch_add(1, Ordering::SeqCst);
        };
        let pool = CpuPool::new(1, 1, 100, rest).expect("there are threads");
        for round in 1..=2 {
            assert!(pool.run(demand(), || ()).await.is_ok());
            while RESTS.load(Ordering::SeqCst) < round {
                tokio::time::sleep(RESTLESS).await;
            }
        }
        tokio::time::sleep(3 * RESTLESS).await;
        assert_eq!(RESTS.load(Ordering::SeqCst), 2);
    }

    fn is_full<T>(outcome: Result<Done<T>, CpuError>) -> bool {
        matches!(
            outcome,
            Err(CpuError::Refused {
                lack: Refusal::Queue,
                ..
            })
        )
    }

    fn made<T>(outcome: Result<Done<T>, CpuError>) -> Result<T, CpuError> {
        outcome.map(|done| done.made)
    }

    #[tokio::test]
    async fn a_full_queue_sheds_at_once_and_recovers() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(demand(), work).await })
        };
        let running = spawn(Box::new(move || gate.recv().expect("the test releases it")));
        while pool.load() < 1 {
            tokio::task::yield_now().await;
        }
        let waiting = spawn(Box::new(|| ()));
        while pool.load() < 2 {
            tokio::task::yield_now().await;
        }
        assert!(is_full(pool.run(demand(), || ()).await));
        release.send(()).expect("the job waits for it");
        assert_eq!(made(running.await.expect("no panic")), Ok(()));
        assert_eq!(made(waiting.await.expect("no panic")), Ok(()));
        assert_eq!(made(pool.run(demand(), || 7).await), Ok(7));
        assert_eq!(pool.reserved(), 0);
    }

    #[tokio::test]
    async fn a_panic_costs_one_job() {
        let pool = pool(1, 0);
        for _ in 0..3 {
            assert_eq!(
                made(pool.run(demand(), || panic!("as tested")).await),
                Err::<(), _>(CpuError::Panicked)
            );
        }
        assert_eq!(made(pool.run(demand(), || 7).await), Ok(7));
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
                pool.run(demand(), move || {
                    begun.send(()).expect("the test listens");
                    gate.recv().expect("the test releases it");
                })
                .await
            }
        });
        has_begun.await.expect("the job begins");
        task.abort();
        assert!(task.await.is_err());
        assert!(is_full(pool.run(demand(), || ()).await));
        assert_eq!(pool.reserved(), 10);
        release.send(()).expect("the job still runs");
        while pool.load() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.reserved(), 0);
        assert_eq!(made(pool.run(demand(), || 7).await), Ok(7));
    }

    #[tokio::test]
    async fn an_abandoned_job_that_waits_leaves_the_queue() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                let work = move || gate.recv().expect("the test releases it");
                pool.run(demand(), work).await
            }
        });
        while pool.count(Lane::Normal).running < 1 {
            tokio::task::yield_now().await;
        }
        let waiting = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(demand(), || panic!("nobody wants it")).await }
        });
        while pool.count(Lane::Normal).waiting < 1 {
            tokio::task::yield_now().await;
        }
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(pool.count(Lane::Normal).waiting, 0);
        release.send(()).expect("the job waits for it");
        assert_eq!(made(running.await.expect("no panic")), Ok(()));
    }

    #[tokio::test]
    async fn small_work_does_not_wait_for_large_work() {
        let pool = Arc::new(pool(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let large = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                let work = move || gate.recv().expect("the test releases it");
                pool.run(demand(), work).await
            }
        });
        while pool.count(Lane::Normal).running < 1 {
            tokio::task::yield_now().await;
        }
        let small = Demand {
            time: Duration::from_millis(1),
            ..demand()
        };
        assert_eq!(made(pool.run(small, || 7).await), Ok(7));
        release.send(()).expect("the job waits for it");
        assert_eq!(made(large.await.expect("no panic")), Ok(()));
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
        let idle = Demand {
            is_idle: true,
            ..demand()
        };
        let ours = nice();
        let theirs = pool.run(demand(), nice).await.expect("there is room").made;
        let idle = pool.run(idle, nice).await.expect("there is room").made;
        assert!(ours < theirs || ours >= 5, "{ours} {theirs}");
        assert!(theirs < idle || theirs == 19, "{theirs} {idle}");
        let work = || {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(30) {
                std::hint::spin_loop();
            }
        };
        let used = pool.run(demand(), work).await.expect("there is room").used;
        assert!(used.is_some_and(|used| used > Duration::ZERO));
    }
}

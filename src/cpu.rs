//! The only door from asynchronous code to the processors. So many workers, so long a queue, and beyond it a refusal at once.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;

/// Bounded room for work that keeps a processor busy.
#[derive(Debug)]
pub struct CpuPool {
    /// Places for work that runs or waits.
    places: Arc<Semaphore>,
    /// Permits of work that runs.
    workers: Arc<Semaphore>,
    capacity: usize,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuError {
    /// As much work waits as may.
    QueueFull,
    /// The work panicked; nothing but itself is lost.
    Panicked,
}

impl CpuPool {
    /// A pool of `workers` (0: one for each processor) with room for `queue` jobs that wait.
    pub fn new(workers: usize, queue: usize) -> Self {
        let workers = NonZeroUsize::new(workers)
            .or_else(|| thread::available_parallelism().ok())
            .map_or(1, NonZeroUsize::get);
        let capacity = workers.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        CpuPool {
            places: Arc::new(Semaphore::new(capacity)),
            workers: Arc::new(Semaphore::new(workers)),
            capacity,
        }
    }

    /// Runs `work` on a worker. Dropping the future while the work waits takes it out of the queue; work that has begun runs to
    /// its end and holds its permit until then, whoever has lost interest.
    ///
    /// # Errors
    /// [`CpuError`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CpuError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| CpuError::QueueFull)?;
        let permit = Arc::clone(&self.workers)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let task = tokio::task::spawn_blocking(move || {
            let _held = (place, permit);
            work()
        });
        task.await.map_err(|_| CpuError::Panicked)
    }

    /// Jobs that run or wait now.
    pub fn load(&self) -> usize {
        self.capacity - self.places.available_permits()
    }
}

impl fmt::Display for CpuError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CpuError::QueueFull => "too many transformations are waiting",
            CpuError::Panicked => "the transformation crashed",
        })
    }
}

impl std::error::Error for CpuError {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::CpuError;
    use super::CpuPool;

    #[tokio::test]
    async fn a_full_queue_sheds_at_once_and_recovers() {
        let pool = Arc::new(CpuPool::new(1, 1));
        let (release, gate) = mpsc::channel::<()>();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move { pool.run(work).await })
        };
        let running = spawn(Box::new(move || gate.recv().expect("the test releases it")));
        while pool.load() < 1 {
            tokio::task::yield_now().await;
        }
        let waiting = spawn(Box::new(|| ()));
        while pool.load() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| ()).await, Err(CpuError::QueueFull));
        release.send(()).expect("the job waits for it");
        assert_eq!(running.await.expect("no panic"), Ok(()));
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_costs_one_job() {
        let pool = CpuPool::new(1, 0);
        assert_eq!(
            pool.run(|| panic!("as tested")).await,
            Err::<(), _>(CpuError::Panicked)
        );
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn an_abandoned_job_holds_its_permit_until_it_ends() {
        let pool = Arc::new(CpuPool::new(1, 0));
        let (release, gate) = mpsc::channel::<()>();
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let task = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    begun.send(()).expect("the test listens");
                    gate.recv().expect("the test releases it");
                })
                .await
            }
        });
        has_begun.await.expect("the job begins");
        task.abort();
        assert!(task.await.is_err());
        assert_eq!(pool.run(|| ()).await, Err(CpuError::QueueFull));
        release.send(()).expect("the job still runs");
        while pool.load() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}

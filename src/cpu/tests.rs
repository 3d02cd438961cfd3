use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::Completion;
use super::Cost;
use super::CpuError;
use super::CpuPool;
use super::Lane;
use super::Priority;
use super::Rejection;
use super::workers::IDLE_DELAY;

/// The cost of a job that is not small.
fn cost() -> Cost {
    Cost {
        bytes: 10,
        time: Duration::from_millis(100),
        deadline: Instant::now() + Duration::from_secs(3600),
        priority: Priority::Foreground,
        client: None,
        reads_header: false,
    }
}

fn pool(workers: usize, queue: usize) -> CpuPool {
    CpuPool::new(workers, queue, 10, 100, || ()).expect("there are threads")
}

#[tokio::test]
async fn the_end_of_work_is_reported_once() {
    static RESTS: AtomicUsize = AtomicUsize::new(0);
    let on_idle = || {
        RESTS.fetch_add(1, Ordering::SeqCst);
    };
    let pool = CpuPool::new(1, 1, 10, 100, on_idle).expect("there are threads");
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
        priority: Priority::Idle,
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

#[tokio::test]
async fn work_of_the_share_runs_while_every_worker_is_busy() {
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
    assert!(!pool.is_idle());
    let share = Cost {
        priority: Priority::Share,
        ..cost()
    };
    let spin = || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
    };
    // The second one waits until what the first one took is earned again; nothing else wakes its thread.
    for round in 0..2 {
        assert_eq!(value(pool.run(share, spin).await), Ok(()), "{round}");
    }
    release.send(()).expect("the job waits for it");
    assert_eq!(value(running.await.expect("no panic")), Ok(()));
    assert_eq!(pool.reserved(), 0);
}

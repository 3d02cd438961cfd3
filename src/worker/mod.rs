//! Where pictures are read and made. Everything that a file from outside can attack is a [`Job`]: headers, decoders, encoders, drawings, metadata.
//!
//! The server only passes jobs on, with what they need as plain data and files, and takes their answers. It never reads a picture beyond its first
//! bytes. Where the system allows it, jobs are done in processes of their own, which have no files, no network and no other programs: a codec that
//! crashes or hangs costs one request. One that is taken over and goes on as if nothing had happened does later jobs as well, as long as its process is
//! used: it sees their sources, and may answer with another picture.

mod answer;
#[cfg(target_os = "linux")]
mod blocked;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod confinement;
mod death;
#[cfg(all(target_os = "linux", debug_assertions))]
mod fault;
mod job;
#[cfg(target_os = "linux")]
mod owned;
#[cfg(target_os = "linux")]
mod pool;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod size;
#[cfg(target_os = "linux")]
mod stat;
#[cfg(target_os = "linux")]
mod wire;

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::transform::{Budget, Cost, Encoded, TransformError};

pub(crate) use self::answer::Answer;
#[cfg(target_os = "linux")]
pub use self::child::serve_jobs;
pub use self::death::{Death, WorkerError};
pub(crate) use self::job::{BatchJob, Job};
#[cfg(target_os = "linux")]
use self::pool::Pool;
#[cfg(all(fuzzing, target_os = "linux"))]
pub use self::wire::read_for_fuzzer;

/// Open files of the server for each process: the socket, three files in memory, that of its size, and three that go with a job.
pub(crate) const FILES_OF_PROCESS: usize = 8;

/// Where jobs are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In processes where they can be started, or else in threads.
    #[default]
    Auto,
    /// In processes of their own, which need Linux.
    Process,
    /// In threads of the server.
    Thread,
}

/// How worker processes are started.
#[derive(Clone, Debug)]
pub(crate) struct ProcessConfig {
    /// The binary.
    pub program: PathBuf,
    /// Threads for foreground work, the one for small jobs among them.
    pub foreground: usize,
    /// Threads for idle work.
    pub idle: usize,
    /// The priorities of both.
    pub nice: (i32, i32),
    /// Whether drawings become pixels, which takes fonts.
    pub draws: bool,
    /// The largest file that a job may make.
    pub most: u64,
}

/// Takes the pictures of a batch, each as soon as it is made, with the number of its item. It may break the batch off.
pub(crate) type Sink<'a> =
    &'a mut dyn FnMut(usize, Result<Encoded, TransformError>) -> ControlFlow<()>;

/// A job as it is ordered.
#[derive(Debug)]
pub(crate) struct Order {
    pub job: Job,
    /// When the answer is of no use any more.
    pub deadline: Instant,
    /// What it was admitted with: its bytes are those that it may hold, its source among them.
    pub cost: Cost,
    /// Whether nobody waits for it.
    pub is_idle: bool,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Report {
    pub answer: Answer,
    /// The CPU time that another process took for it.
    pub cpu_time: Duration,
}

/// What has happened to worker processes, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerStats {
    pub ready: usize,
    pub busy: usize,
    pub started: u64,
    /// Jobs that were refused because of their source.
    pub blocked: u64,
    /// Jobs that have lost their process, by how it ended.
    pub deaths: Vec<(Death, u64)>,
    /// What confines the processes, and whether this system has it.
    pub confinement: [(&'static str, bool); 2],
}

/// Those who do the jobs.
#[derive(Clone, Debug)]
pub(crate) enum Workers {
    /// The threads that call.
    Threads,
    /// Processes.
    #[cfg(target_os = "linux")]
    Processes(Arc<Pool>),
}

impl Workers {
    /// Starts worker processes.
    ///
    /// # Errors
    /// The first process could not be started.
    #[cfg(target_os = "linux")]
    pub(crate) fn processes(config: ProcessConfig) -> io::Result<Self> {
        Pool::open(config).map(|pool| Workers::Processes(Arc::new(pool)))
    }

    /// Starts none: only Linux has what they need.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn processes(_: ProcessConfig) -> io::Result<Self> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "worker processes need Linux",
        ))
    }

    /// Whether jobs are done by other processes.
    pub(crate) fn are_processes(&self) -> bool {
        !matches!(self, Workers::Threads)
    }

    /// Does a job, and returns when it is done: to be called on a thread for CPU work.
    pub(crate) fn run(&self, order: Order, sink: Sink<'_>) -> Result<Report, WorkerError> {
        match self {
            Workers::Threads => Ok(Report {
                answer: {
                    let budget = Budget::until(order.deadline).holding(order.cost.bytes);
                    order.job.run(&budget, sink)
                },
                cpu_time: Duration::ZERO,
            }),
            #[cfg(target_os = "linux")]
            Workers::Processes(pool) => pool.run(order, sink),
        }
    }

    /// Gives memory back, when there is nothing to do.
    pub(crate) fn trim(&self) {
        match self {
            Workers::Threads => {}
            #[cfg(target_os = "linux")]
            Workers::Processes(pool) => pool.trim(),
        }
    }

    /// Of processes; `None` where there are none.
    pub(crate) fn stats(&self) -> Option<WorkerStats> {
        match self {
            Workers::Threads => None,
            #[cfg(target_os = "linux")]
            Workers::Processes(pool) => Some(pool.stats()),
        }
    }
}

/// The sink of a job that is no batch.
pub(crate) fn no_sink(_: usize, _: Result<Encoded, TransformError>) -> ControlFlow<()> {
    ControlFlow::Break(())
}

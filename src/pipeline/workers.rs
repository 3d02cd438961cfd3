//! Work on the worker threads: how urgent it is, and what is recorded of it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::clients::ClientId;
use crate::cpu;
use crate::cpu::{Completion, CpuError, Priority, QueuePlace};
use crate::deadline::{Deadline, Stage, Timeout};
use crate::error::Error;
use crate::pipeline::{Config, Pipeline};
use crate::telemetry::trace;
use crate::telemetry::trace::Step;
use crate::transform::{Cost, Encoded, Limits, Source, Timings, TransformError};
use crate::worker::{
    Answer, Death, Isolation, Job, Order, ProcessConfig, Sink, WorkerError, Workers, no_sink,
};

/// How long a render may take that no client waits for. On a busy machine one on an idle worker gets a fiftieth of a processor.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Who waits for work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The client, where that is known.
    pub client: Option<ClientId>,
    /// Until when it waits.
    pub deadline: Deadline,
}

/// When work must be done, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Urgency {
    pub deadline: Deadline,
    pub priority: Priority,
    /// Who asked for it first. Others may ask later, and wait for longer.
    pub asker: Option<Asker>,
    /// Whether it reads the header of a source.
    pub reads_header: bool,
}

impl Urgency {
    /// Work for a client, which may take so much time from now on.
    pub(crate) fn foreground(timeout: Duration) -> Self {
        Urgency {
            deadline: Deadline::after(timeout),
            priority: Priority::Foreground,
            asker: None,
            reads_header: false,
        }
    }

    /// The same for one who asks.
    pub(crate) fn asked_by(self, asker: Option<Asker>) -> Self {
        Urgency { asker, ..self }
    }

    /// Until when somebody waits for it, as far as that is known.
    fn wanted_until(self) -> Instant {
        self.asker
            .map_or(self.deadline, |asker| asker.deadline)
            .instant()
    }

    /// The cost of work that is so urgent.
    pub(crate) fn cost(self, cost: Cost) -> cpu::Cost {
        cpu::Cost {
            bytes: cost.bytes,
            time: cost.cpu,
            deadline: self.wanted_until(),
            priority: self.priority,
            client: self.asker.and_then(|asker| asker.client),
            reads_header: self.reads_header,
        }
    }

    /// Work that no client waits for, which may take so much time from now on.
    pub(crate) fn background(priority: Priority, timeout: Duration) -> Self {
        Urgency {
            deadline: Deadline::after(timeout),
            priority,
            asker: None,
            reads_header: false,
        }
    }

    /// The order of a job.
    pub(crate) fn order(self, job: Job, cost: Cost) -> Order {
        Order {
            job,
            deadline: self.deadline.instant(),
            cost,
            is_idle: self.priority == Priority::Idle,
        }
    }
}

/// Those who do the jobs, as the settings say.
///
/// # Errors
/// No process can be started, where the settings ask for processes.
pub(crate) fn open(config: &Config, limits: &Limits) -> io::Result<Workers> {
    let isolation = config.limits.isolation;
    let program = match (isolation, &config.worker_program) {
        (Isolation::Auto | Isolation::Process, Some(program)) => program,
        (Isolation::Thread, _) | (_, None) => return Ok(Workers::Threads),
    };
    let (foreground, idle) = cpu::thread_counts(config.limits.workers, config.limits.upgrade_share);
    let started = Workers::processes(ProcessConfig {
        program: program.clone(),
        foreground,
        idle,
        nice: (cpu::NICE, cpu::IDLE_NICE),
        draws: limits.rasterize_svg,
        most: limits
            .render_memory
            .bytes()
            .max(config.limits.source_bytes.bytes()),
    });
    match started {
        Err(error) if isolation == Isolation::Auto => {
            tracing::warn!(%error, "pictures are made in threads: worker processes cannot be started");
            Ok(Workers::Threads)
        }
        started => started,
    }
}

/// Does a job on the calling thread, to which the CPU time of the process that does it is charged.
pub(crate) fn run(workers: &Workers, order: Order, sink: Sink<'_>) -> Result<Answer, WorkerError> {
    let begun = Instant::now();
    let done = workers.run(order, sink);
    cpu::charge(match &done {
        Ok(report) => report.cpu_time,
        // Nobody knows what an ended process has used: at most all of this time.
        Err(WorkerError::Died(_) | WorkerError::Killed(_)) => begun.elapsed(),
        Err(WorkerError::Blocked | WorkerError::Unavailable) => Duration::ZERO,
    });
    done.map(|report| report.answer)
}

/// How often a render is admitted again: a drawing may be drawn three times for one picture. What a worker process says is not trusted.
pub(crate) const READMISSIONS: usize = 3;

/// The bytes that a render needs which was admitted with fewer; `None` where it needs no more, or more than any render may have.
pub(crate) fn bytes_needed(error: &TransformError, cost: Cost, limits: &Limits) -> Option<u64> {
    match *error {
        TransformError::TooCostly { bytes, .. } => {
            let most = limits.render_memory.bytes();
            (cost.bytes < bytes && bytes <= most).then_some(bytes)
        }
        _ => None,
    }
}

/// What came of a job.
pub(crate) struct JobEnd {
    pub answer: Answer,
    /// When it was begun.
    pub started: Instant,
    /// Its CPU time, that of another process included, where the system tells it.
    pub cpu_time: Option<Duration>,
}

impl Pipeline {
    /// Reads the header of a source on a worker, because a hostile header may take long and a copy of the file.
    pub(crate) async fn open_source(
        &self,
        bytes: Bytes,
        limits: Limits,
        urgency: Urgency,
    ) -> Result<Source, Error> {
        let _span = trace::step(Step::Open);
        let cost = Source::cost_of_open(&bytes);
        let job = Job::Open { bytes, limits };
        let urgency = Urgency {
            reads_header: true,
            ..urgency
        };
        let done = self.run_isolated(cost, urgency, job).await?;
        match done.answer {
            Answer::Source(opened) => Ok(opened?),
            _ => Err(CpuError::Panicked.into()),
        }
    }

    /// Does a job that makes a file, and records how the CPU time compares with its estimate. A drawing that turns out to need more memory than it was
    /// admitted with is admitted again.
    pub(crate) async fn render_on_worker(
        &self,
        cost: Cost,
        urgency: Urgency,
        job: Job,
    ) -> Result<Encoded, Error> {
        let mut span = trace::step(Step::Transform);
        let mut cost = cost;
        let mut done = self.run_isolated(cost, urgency, job.clone()).await?;
        for _ in 0..READMISSIONS {
            let Answer::Encoded(Err(error)) = &done.answer else {
                break;
            };
            let Some(bytes) = bytes_needed(error, cost, &self.limits) else {
                break;
            };
            cost.bytes = bytes;
            done = self.run_isolated(cost, urgency, job.clone()).await?;
        }
        let encoded = match done.answer {
            Answer::Encoded(Err(TransformError::OutOfTime)) => {
                return Err(self.out_of_time(Some(done.started), urgency));
            }
            Answer::Encoded(made) => made?,
            _ => return Err(CpuError::Panicked.into()),
        };
        record_steps(done.started, encoded.timings);
        span.set("safelight.format", encoded.format.extension());
        if let Some(cpu_time) = done.cpu_time {
            let format = encoded.format.extension();
            self.metrics
                .work
                .record_cpu_ratio(format, cpu_time, cost.cpu);
        }
        Ok(encoded)
    }

    /// Does a job on a worker.
    pub(crate) async fn run_isolated(
        &self,
        cost: Cost,
        urgency: Urgency,
        job: Job,
    ) -> Result<JobEnd, Error> {
        let (workers, order) = (self.workers.clone(), urgency.order(job, cost));
        let work = move || (Instant::now(), run(&workers, order, &mut no_sink));
        let done = self.run_on_worker(cost, urgency, work).await?;
        let (started, answer) = done.value;
        let answer = answer.map_err(|error| match error {
            WorkerError::Died(Death::Overdue) => self.out_of_time(Some(started), urgency),
            error => error.into(),
        })?;
        Ok(JobEnd {
            answer,
            started,
            cpu_time: done.cpu_time,
        })
    }

    /// The error of work that did not end in time. Work for a client that ran for at least half of the time of a request would hold
    /// a worker for as long again: its source is to blame, and that error is cached. Work that began later, or in the background, did not get enough
    /// time for that: its error is a timeout.
    fn out_of_time(&self, started: Option<Instant>, urgency: Urgency) -> Error {
        let until = urgency.deadline.instant();
        let had = started.map(|started| until.saturating_duration_since(started));
        match urgency.priority {
            Priority::Foreground if had.is_some_and(|had| had >= self.request_timeout / 2) => {
                TransformError::OutOfTime.into()
            }
            Priority::Foreground | Priority::Share | Priority::Idle => {
                Timeout(Stage::Render).into()
            }
        }
    }

    /// Runs work on a worker, once its cost can be reserved.
    pub(crate) async fn run_on_worker<T: Send + 'static>(
        &self,
        cost: Cost,
        urgency: Urgency,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Completion<T>, Error> {
        let cost = urgency.cost(cost);
        let queued = Instant::now();
        let started = Arc::new(OnceLock::new());
        let starts = Arc::clone(&started);
        let work = move || {
            starts.get_or_init(Instant::now);
            work()
        };
        let run = self.cpu.run(cost, work);
        let run = urgency.deadline.bound(Stage::Render, run).await;
        let wait = started
            .get()
            .unwrap_or(&Instant::now())
            .duration_since(queued);
        trace::record(Step::Queue, queued, wait);
        let Ok(done) = run else {
            return Err(self.out_of_time(started.get().copied(), urgency));
        };
        done.map_err(|error| self.count_rejection(error))
    }

    /// Takes a place in the queue for a render for a client whose source is not in memory yet. So what would be refused then is refused now, before the
    /// source is fetched.
    pub(crate) fn take_place(&self, asker: Asker) -> Result<QueuePlace, Error> {
        let Asker { client, deadline } = asker;
        let place = self.cpu.take_place(client, deadline.instant());
        place.map_err(|error| self.count_rejection(error))
    }

    fn count_rejection(&self, error: CpuError) -> Error {
        if let CpuError::Rejected { reason, .. } = error {
            self.metrics.work.record_cpu_rejection(reason.word());
        }
        error.into()
    }
}

/// Records the steps of a render, one after the other: row by row they take turns, and only their sums are known.
fn record_steps(started: Instant, timings: Timings) {
    let Timings {
        decode,
        resize,
        encode,
    } = timings;
    let mut next = started;
    for (step, took) in [
        (Step::Decode, decode),
        (Step::Resize, resize),
        (Step::Encode, encode),
    ] {
        trace::record(step, next, took);
        next += took;
    }
}

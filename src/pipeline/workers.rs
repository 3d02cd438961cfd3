//! Work on the worker threads: how urgent it is, and what is recorded of it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::clients::ClientId;
use crate::cpu;
use crate::cpu::{Completion, CpuError, Priority};
use crate::deadline::{Deadline, Stage, Timeout};
use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::transform::{Cost, Encoded, Source, TransformError};

/// How long a render may take that no client waits for. On a busy machine one on an idle worker gets a fiftieth of a processor.
pub(crate) const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// When work must be done, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Urgency {
    pub deadline: Deadline,
    pub priority: Priority,
    /// Who waits for it, where that is known.
    pub client: Option<ClientId>,
}

impl Urgency {
    /// Work for a client, which may take so much time from now on.
    pub(crate) fn foreground(timeout: Duration) -> Self {
        Urgency {
            deadline: Deadline::after(timeout),
            priority: Priority::Foreground,
            client: None,
        }
    }

    /// The same for this client.
    pub(crate) fn of_client(self, client: Option<ClientId>) -> Self {
        Urgency { client, ..self }
    }

    /// Work that no client waits for, which may take so much time from now on.
    pub(crate) fn background(priority: Priority, timeout: Duration) -> Self {
        Urgency {
            deadline: Deadline::after(timeout),
            priority,
            client: None,
        }
    }
}

impl Pipeline {
    /// Reads the header of a source on a worker, because a hostile header may take long and a copy of the file.
    pub(crate) async fn open_source(
        &self,
        bytes: Bytes,
        urgency: Urgency,
    ) -> Result<Source, Error> {
        let cost = Source::cost_of_open(&bytes);
        let limits = self.limits;
        let open = move || Source::open(bytes, &limits);
        let opened = self.run_on_worker(cost, urgency, open).await?;
        Ok(opened.value?)
    }

    /// Renders on a worker, and records how the CPU time compares with its estimate.
    pub(crate) async fn render_on_worker(
        &self,
        cost: Cost,
        urgency: Urgency,
        work: impl FnOnce() -> Result<Encoded, TransformError> + Send + 'static,
    ) -> Result<Encoded, Error> {
        let work = move || (Instant::now(), work());
        let done = self.run_on_worker(cost, urgency, work).await?;
        let (started, result) = done.value;
        let encoded = match result {
            Err(TransformError::OutOfTime) => {
                return Err(self.out_of_time(Some(started), urgency));
            }
            result => result?,
        };
        if let Some(cpu_time) = done.cpu_time {
            let format = encoded.format.extension();
            self.metrics
                .work
                .record_cpu_ratio(format, cpu_time, cost.cpu);
        }
        Ok(encoded)
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
        let cost = cpu::Cost {
            bytes: cost.bytes,
            time: cost.cpu,
            deadline: urgency.deadline.instant(),
            priority: urgency.priority,
            client: urgency.client,
        };
        let started = Arc::new(OnceLock::new());
        let starts = Arc::clone(&started);
        let work = move || {
            starts.get_or_init(Instant::now);
            work()
        };
        let run = self.cpu.run(cost, work);
        let Ok(done) = urgency.deadline.bound(Stage::Render, run).await else {
            return Err(self.out_of_time(started.get().copied(), urgency));
        };
        done.map_err(|error| {
            if let CpuError::Rejected { reason, .. } = error {
                self.metrics.work.record_cpu_rejection(reason.word());
            }
            error.into()
        })
    }
}

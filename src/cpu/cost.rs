//! What a job costs, which lane that puts it in, and why it may be rejected.

use std::time::{Duration, Instant};

use crate::clients::ClientId;

/// Jobs with at most this estimate take the fast lane: they end before a person notices.
const FAST_LIMIT: Duration = Duration::from_millis(30);

/// The cost of a job, as far as it can be estimated beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The most bytes that it holds at a time.
    pub bytes: u64,
    /// CPU time.
    pub time: Duration,
    /// When it must have ended. Afterwards nobody can use its result.
    pub deadline: Instant,
    /// For whom it is done.
    pub priority: Priority,
    /// Whose it is, where that is known. Clients take turns.
    pub client: Option<ClientId>,
    /// Whether it reads the header of a source, before it is known what the render of its client costs.
    pub reads_header: bool,
}

/// For whom a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// For a client that waits.
    Foreground,
    /// For later requests, within the share of the processors that such work has even while clients wait.
    Share,
    /// For later requests: it runs only while no client waits for a worker.
    Idle,
}

/// The queue of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Small foreground jobs. They start before large ones, and one thread runs nothing else.
    Fast,
    /// All other foreground jobs.
    Normal,
    /// Background jobs that start, whoever waits, while they have used less than their share of the processors.
    Share,
    /// Background jobs. They start only while a worker has nothing else to do.
    Idle,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Lane; 4] = [Lane::Fast, Lane::Normal, Lane::Share, Lane::Idle];

    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Lane::Fast => "fast",
            Lane::Normal => "normal",
            Lane::Share => "share",
            Lane::Idle => "idle",
        }
    }

    pub(super) fn of(cost: &Cost) -> Lane {
        match cost.priority {
            Priority::Foreground if cost.time <= FAST_LIMIT => Lane::Fast,
            Priority::Foreground => Lane::Normal,
            Priority::Share => Lane::Share,
            Priority::Idle => Lane::Idle,
        }
    }
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The queue is full.
    Queue,
    /// It would have started after its deadline. Jobs of another lane may still be in time.
    Wait(Lane),
    /// It is a background job, and the queue or the memory for background jobs is full.
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

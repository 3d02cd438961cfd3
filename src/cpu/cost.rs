//! What a job costs, which lane that puts it in, and why it may be rejected.

use std::time::{Duration, Instant};

/// Jobs with at most this estimate take the fast lane: they end before a person notices.
const FAST_LIMIT: Duration = Duration::from_millis(30);

/// The cost of a job, as far as it can be estimated beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The most bytes that it holds at a time.
    pub bytes: u64,
    /// CPU time.
    pub time: Duration,
    /// The latest moment at which it may start. Afterwards nobody can use its result.
    pub deadline: Instant,
    /// Whether it is background work, which nobody waits for.
    pub is_idle: bool,
}

/// The priority of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Small foreground jobs. They start before large ones, and one thread runs nothing else.
    Fast,
    /// All other foreground jobs.
    Normal,
    /// Background jobs. They start only while a worker has nothing else to do.
    Idle,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Lane; 3] = [Lane::Fast, Lane::Normal, Lane::Idle];

    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Lane::Fast => "fast",
            Lane::Normal => "normal",
            Lane::Idle => "idle",
        }
    }

    pub(super) fn of(cost: &Cost) -> Lane {
        if cost.is_idle {
            Lane::Idle
        } else if cost.time <= FAST_LIMIT {
            Lane::Fast
        } else {
            Lane::Normal
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
    /// It is an idle job, and the queue or the memory for idle jobs is full.
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

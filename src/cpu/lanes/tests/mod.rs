mod admission;
mod share;
mod turns;

use std::time::{Duration, Instant};

use super::{Cost, Lanes, Share};
use crate::cpu::Priority;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Lanes whose share is a tenth of the workers.
fn lanes(workers: usize, queue: usize, budget: u64, now: Instant) -> Lanes<&'static str> {
    Lanes::new(workers, queue, budget, Share::new(10, workers, now))
}

/// The deadline is far away, for all tests but those of deadlines.
fn cost(millis: u64, bytes: u64, now: Instant) -> Cost {
    Cost {
        bytes,
        time: Duration::from_millis(millis),
        deadline: now + 10 * MINUTE,
        priority: Priority::Foreground,
        client: None,
        reads_header: false,
    }
}

fn idle(bytes: u64, now: Instant) -> Cost {
    Cost {
        priority: Priority::Idle,
        ..cost(1, bytes, now)
    }
}

fn name_of(begun: Option<(u64, &'static str)>) -> Option<&'static str> {
    begun.map(|(_, name)| name)
}

/// What one more job of a lane is told of its wait; it has none of its own.
fn wait(lanes: &mut Lanes<&'static str>, millis: u64, now: Instant) -> Duration {
    let impatient = Cost {
        deadline: now,
        ..cost(millis, 1, now)
    };
    match lanes.enqueue(impatient, "one more", now) {
        Ok(id) => {
            lanes.cancel(id);
            Duration::ZERO
        }
        Err((_, wait)) => wait,
    }
}

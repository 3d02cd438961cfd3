//! Who goes next: what waits, what runs, and the bytes that are spoken for. Arithmetic alone; threads and locks are the workers'.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use super::Cost;
use super::Rejection;

/// Work up to this estimate takes the fast lane: it is over before a person notices.
const FAST_LIMIT: Duration = Duration::from_millis(30);

/// For so much fast work that goes first, the oldest work of the normal lane gets its turn.
const STARVATION_LIMIT: Duration = Duration::from_millis(250);

/// Jobs of the idle lane that may wait; what is beyond is not worth remembering.
const MAX_IDLE_QUEUE: usize = 64;

/// What is said of a wait whose end is not in sight. Nobody is asked to come back later than after a minute.
const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

/// How work is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Small work. It goes before large work, and one thread does nothing else.
    Fast,
    /// Everything else that somebody waits for.
    Normal,
    /// Nobody waits for it: it begins only while a processor has nothing else to do.
    Idle,
}

impl Lane {
    /// All of them.
    pub const ALL: [Lane; 3] = [Lane::Fast, Lane::Normal, Lane::Idle];

    /// The word for metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Lane::Fast => "fast",
            Lane::Normal => "normal",
            Lane::Idle => "idle",
        }
    }

    fn of(cost: &Cost) -> Lane {
        if cost.is_idle {
            Lane::Idle
        } else if cost.time <= FAST_LIMIT {
            Lane::Fast
        } else {
            Lane::Normal
        }
    }
}

/// What a thread takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worker {
    /// Fast and normal work.
    Regular,
    /// Fast work alone, so that it never waits for large work to end.
    Express,
    /// Idle work alone.
    Idle,
}

/// Jobs of one lane now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Not begun.
    pub waiting: usize,
    /// Begun.
    pub running: usize,
}

/// A name for a job that no other has.
pub(super) type JobId = u64;

/// Everything that waits and runs. `W` is the work itself, which is of no interest here.
pub(super) struct Lanes<W> {
    workers: usize,
    /// Places for work that waits, the idle lane apart.
    queue: usize,
    /// Bytes that all work together may hold.
    budget: u64,
    fast: VecDeque<QueuedJob<W>>,
    normal: VecDeque<QueuedJob<W>>,
    idle: VecDeque<QueuedJob<W>>,
    running: Vec<RunningJob>,
    reserved: u64,
    /// Estimated time of fast work that went before the oldest normal work.
    overtaken: Duration,
    next: JobId,
}

struct QueuedJob<W> {
    id: JobId,
    cost: Cost,
    work: W,
}

struct RunningJob {
    id: JobId,
    cost: Cost,
    worker: Worker,
    since: Instant,
}

impl RunningJob {
    /// How long it will still take: what its estimate leaves, and beyond that as long as it is overdue already. So work that takes somewhat
    /// longer than was thought keeps others waiting for that little, and what does not end seems soon to last longer than anybody can wait.
    ///
    /// `None` where it is past its deadline as well: work looks at its clock between two steps, so this has not come to the end of a step for as
    /// long as it was thought to take for all of them, and nobody knows when it will.
    fn remaining(&self, now: Instant) -> Option<Duration> {
        let spent = now.saturating_duration_since(self.since);
        let is_stuck = spent > self.cost.time && now > self.cost.deadline;
        (!is_stuck).then(|| spent.abs_diff(self.cost.time))
    }
}

impl<W> Lanes<W> {
    pub fn new(workers: usize, queue: usize, budget: u64) -> Self {
        Lanes {
            workers,
            queue,
            budget,
            fast: VecDeque::new(),
            normal: VecDeque::new(),
            idle: VecDeque::new(),
            running: Vec::new(),
            reserved: 0,
            overtaken: Duration::ZERO,
            next: 0,
        }
    }

    /// Takes work in, or says why not and how long it would have waited.
    pub fn enqueue(
        &mut self,
        mut cost: Cost,
        work: W,
        now: Instant,
    ) -> Result<JobId, (Rejection, Duration)> {
        // Alone, everything fits: whoever asks knows how much is too much.
        cost.bytes = cost.bytes.min(self.budget);
        let lane = Lane::of(&cost);
        if lane == Lane::Idle {
            if self.idle.len() >= MAX_IDLE_QUEUE || cost.bytes > self.idle_bytes() {
                return Err((Rejection::Idle, Duration::ZERO));
            }
        } else {
            let wait = self.wait(lane, cost.bytes, now);
            let said = wait.unwrap_or(UNKNOWN_WAIT);
            if self.occupied(lane) >= self.capacity(lane) {
                return Err((Rejection::Queue, said));
            }
            let patience = cost.deadline.saturating_duration_since(now);
            if wait.is_none_or(|wait| wait > patience) {
                return Err((Rejection::Wait(lane), said));
            }
        }
        let id = self.next;
        self.next += 1;
        self.lane(lane).push_back(QueuedJob { id, cost, work });
        Ok(id)
    }

    /// What this worker begins now, if anything: its bytes are reserved.
    pub fn start(&mut self, worker: Worker, now: Instant) -> Option<(JobId, W)> {
        let lane = self.choose(worker)?;
        let QueuedJob { id, cost, work } = self.lane(lane).pop_front()?;
        match lane {
            Lane::Fast if !self.normal.is_empty() => self.overtaken += cost.time,
            Lane::Fast | Lane::Idle => {}
            Lane::Normal => self.overtaken = Duration::ZERO,
        }
        self.reserved += cost.bytes;
        self.running.push(RunningJob {
            id,
            cost,
            worker,
            since: now,
        });
        Some((id, work))
    }

    /// Work has ended: its bytes are free.
    pub fn finish(&mut self, id: JobId) {
        if let Some(at) = self.running.iter().position(|job| job.id == id) {
            self.reserved -= self.running.swap_remove(at).cost.bytes;
        }
    }

    /// Takes out what still waits; nobody wants it any more. What runs, runs on.
    pub fn cancel(&mut self, id: JobId) -> Option<W> {
        [&mut self.fast, &mut self.normal, &mut self.idle]
            .into_iter()
            .find_map(|lane| {
                let at = lane.iter().position(|job| job.id == id)?;
                lane.remove(at).map(|job| job.work)
            })
    }

    /// Everything that waits.
    pub fn clear(&mut self) -> Vec<W> {
        [&mut self.fast, &mut self.normal, &mut self.idle]
            .into_iter()
            .flat_map(|lane| lane.drain(..).map(|job| job.work))
            .collect()
    }

    pub fn count(&self, lane: Lane) -> LaneCounts {
        let waiting = match lane {
            Lane::Fast => &self.fast,
            Lane::Normal => &self.normal,
            Lane::Idle => &self.idle,
        };
        let running = self.running.iter();
        LaneCounts {
            waiting: waiting.len(),
            running: running.filter(|job| Lane::of(&job.cost) == lane).count(),
        }
    }

    pub fn workers(&self) -> usize {
        self.workers
    }

    /// What all idle work together may hold: half of the budget stays free for those who do not choose their moment.
    pub fn idle_bytes(&self) -> u64 {
        self.budget / 2
    }

    pub fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Whether a worker has nothing to do, and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.running.len() < self.workers && !self.has_foreground_work()
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && !self.has_foreground_work() && self.idle.is_empty()
    }

    /// Whether somebody waits for a worker.
    fn has_foreground_work(&self) -> bool {
        !self.fast.is_empty() || !self.normal.is_empty()
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<QueuedJob<W>> {
        match lane {
            Lane::Fast => &mut self.fast,
            Lane::Normal => &mut self.normal,
            Lane::Idle => &mut self.idle,
        }
    }

    fn choose(&self, worker: Worker) -> Option<Lane> {
        let fits = |lane: &VecDeque<QueuedJob<W>>| {
            let bytes = lane.front()?.cost.bytes;
            Some(bytes <= self.budget - self.reserved)
        };
        let (fast, normal) = (fits(&self.fast), fits(&self.normal));
        // Its turn has come: if it lacks memory, nothing new may take any.
        let is_turn = self.overtaken >= STARVATION_LIMIT;
        if is_turn && normal == Some(false) {
            return None;
        }
        match worker {
            Worker::Regular if is_turn && normal == Some(true) => Some(Lane::Normal),
            Worker::Regular | Worker::Express if fast == Some(true) => Some(Lane::Fast),
            Worker::Regular if normal == Some(true) => Some(Lane::Normal),
            Worker::Regular | Worker::Express => None,
            Worker::Idle => {
                (self.is_idle() && fits(&self.idle) == Some(true) && self.has_idle_room())
                    .then_some(Lane::Idle)
            }
        }
    }

    /// Whether the next idle work leaves half of the budget to the other lanes.
    fn has_idle_room(&self) -> bool {
        let running = self.running.iter();
        let held: u64 = running
            .filter(|job| job.worker == Worker::Idle)
            .map(|job| job.cost.bytes)
            .sum();
        let next = self.idle.front().map_or(0, |job| job.cost.bytes);
        held + next <= self.idle_bytes()
    }

    /// Places for work of a lane, waiting or running.
    fn capacity(&self, lane: Lane) -> usize {
        let express = usize::from(lane == Lane::Fast);
        self.workers
            .saturating_add(self.queue)
            .saturating_add(express)
    }

    /// Work that takes up such places. What runs on the thread for fast work is in nobody else's way.
    fn occupied(&self, lane: Lane) -> usize {
        let running = self.running.iter().filter(|job| match job.worker {
            Worker::Regular => true,
            Worker::Express => lane == Lane::Fast,
            Worker::Idle => false,
        });
        self.fast.len() + self.normal.len() + running.count()
    }

    /// When new work of a lane would begin, by the estimates of all that goes before it: when it has a thread, and its bytes. `None` where
    /// threads or bytes that it needs are held by work of which nobody knows when it ends.
    fn wait(&self, lane: Lane, bytes: u64, now: Instant) -> Option<Duration> {
        let is_fast = lane == Lane::Fast;
        let mut threads = self.workers + usize::from(is_fast);
        let mut free = self.budget - self.reserved;
        // When a thread and bytes become free.
        let mut ends = BinaryHeap::new();
        for job in &self.running {
            let has_thread = match job.worker {
                Worker::Regular => true,
                Worker::Express => is_fast,
                Worker::Idle => false,
            };
            threads = threads.saturating_sub(usize::from(has_thread));
            if let Some(left) = job.remaining(now) {
                ends.push(Reverse((left, has_thread, job.cost.bytes)));
            }
        }
        let normal = self.normal.iter().filter(|_| !is_fast);
        let before = self.fast.iter().chain(normal);
        let mut begins = Duration::ZERO;
        for (time, bytes) in before
            .map(|job| (job.cost.time, job.cost.bytes))
            .chain([(Duration::ZERO, bytes)])
        {
            while threads == 0 || bytes > free {
                let Reverse((end, has_thread, held)) = ends.pop()?;
                begins = begins.max(end);
                threads += usize::from(has_thread);
                free += held;
            }
            threads -= 1;
            free -= bytes;
            ends.push(Reverse((begins.saturating_add(time), true, bytes)));
        }
        Some(begins)
    }
}

#[cfg(test)]
mod tests;

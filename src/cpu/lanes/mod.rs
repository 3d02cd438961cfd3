//! Which job starts next: the jobs that wait, the jobs that run, and the bytes that they reserve. No threads and no locks, those are in `workers`.

mod admission;
mod pace;
mod places;
mod turns;

use std::time::{Duration, Instant};

use self::pace::Pace;
use self::places::{Ahead, Places};
pub(super) use self::turns::JobId;
use self::turns::{QueuedJob, Turns};
use super::cost::{Cost, Lane, Rejection};
use super::share::Share;

/// When fast jobs of so much estimated time have started first, the oldest job of the normal lane is next.
const STARVATION_LIMIT: Duration = Duration::from_millis(250);

/// The longest queue of a background lane. Jobs beyond it are not worth keeping.
const MAX_BACKGROUND_QUEUE: usize = 64;

/// The jobs that a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worker {
    /// Fast and normal jobs.
    Regular,
    /// Fast jobs only, so that they never wait for a large job to end.
    Express,
    /// Jobs of the share only.
    Share,
    /// Idle jobs only.
    Idle,
}

/// How many jobs a lane has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneCounts {
    /// Jobs that have not started.
    pub waiting: usize,
    /// Jobs that have started.
    pub running: usize,
}

/// All jobs that wait or run. `W` is what a worker does for a job.
pub(super) struct Lanes<W> {
    workers: usize,
    /// How many foreground jobs may wait.
    queue: usize,
    /// The bytes that all jobs together may hold.
    budget: u64,
    fast: Turns<W>,
    normal: Turns<W>,
    background: Turns<W>,
    idle: Turns<W>,
    share: Share,
    pace: Pace,
    places: Places,
    running: Vec<RunningJob>,
    reserved: u64,
    /// The estimated time of the fast jobs that have started before the oldest normal job.
    overtaken: Duration,
    next: JobId,
}

struct RunningJob {
    id: JobId,
    cost: Cost,
    worker: Worker,
    since: Instant,
}

impl RunningJob {
    /// How long the job will still run: the rest of its estimate, or, when it has run for longer, the time by which it has exceeded the estimate.
    /// At its deadline it is ended, however long the estimate is. So a job that takes a little longer adds a little to the wait of others, and one that does not end soon adds more than anybody can wait.
    ///
    /// `None` when the job has also passed its deadline. A job looks at the clock between two steps, so one step of this job has taken longer than
    /// the estimate of all its steps, and nobody knows when it ends.
    fn remaining(&self, pace: Pace, now: Instant) -> Option<Duration> {
        let spent = now.saturating_duration_since(self.since);
        let time = pace.of(self.cost.time);
        let is_stuck = spent > time && now > self.cost.deadline;
        let most = self.cost.deadline.saturating_duration_since(self.since);
        (!is_stuck).then(|| spent.abs_diff(time.min(most)))
    }
}

impl<W> Lanes<W> {
    pub(super) fn new(workers: usize, queue: usize, budget: u64, share: Share) -> Self {
        Lanes {
            workers,
            queue,
            budget,
            fast: Turns::default(),
            normal: Turns::default(),
            background: Turns::default(),
            idle: Turns::default(),
            share,
            pace: Pace::default(),
            places: Places::default(),
            running: Vec::new(),
            reserved: 0,
            overtaken: Duration::ZERO,
            next: 0,
        }
    }

    /// Adds a job to the queue of its lane, or returns why not and how long it would have waited.
    pub(super) fn enqueue(
        &mut self,
        mut cost: Cost,
        work: W,
        now: Instant,
    ) -> Result<JobId, (Rejection, Duration)> {
        // A job that needs more than the budget runs alone. The caller has checked it against the limit of one job.
        cost.bytes = cost.bytes.min(self.budget);
        let lane = Lane::of(&cost);
        if matches!(lane, Lane::Share | Lane::Idle) {
            let is_full = self.lane(lane).len() >= MAX_BACKGROUND_QUEUE;
            let is_large = cost.bytes > self.background_bytes();
            if is_full || (is_large && lane == Lane::Share) {
                return Err((Rejection::Idle, Duration::ZERO));
            }
        } else if let Some(refusal) = self.refusal(lane, &cost, Ahead::default(), now) {
            return Err(refusal);
        }
        let id = self.next;
        self.next += 1;
        self.lane(lane).push(id, cost, work);
        Ok(id)
    }

    /// The job that this worker starts now, if there is one. Its bytes are reserved.
    pub(super) fn start(&mut self, worker: Worker, now: Instant) -> Option<(JobId, W)> {
        let lane = self.choose(worker, now)?;
        let QueuedJob { id, cost, work, .. } = self.lane(lane).pop()?;
        match lane {
            Lane::Fast if !self.normal.is_empty() => self.overtaken += cost.time,
            Lane::Fast | Lane::Idle => {}
            Lane::Normal => self.overtaken = Duration::ZERO,
            // Its estimate, until it is known what it took.
            Lane::Share => self.share.spend(cost.time),
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

    /// Corrects what a job of the share has spent: this CPU time in place of its estimate.
    pub(super) fn correct_time(&mut self, id: JobId, cpu_time: Duration) {
        let found = self.running.iter().find(|job| job.id == id);
        if let Some(job) = found.filter(|job| job.worker == Worker::Share) {
            self.share.give_back(job.cost.time);
            self.share.spend(cpu_time);
        }
    }

    /// Compares the time that a foreground job has taken with its estimate.
    pub(super) fn record_pace(&mut self, id: JobId, now: Instant) {
        let found = self.running.iter().find(|job| job.id == id);
        let is_foreground =
            |job: &&RunningJob| matches!(job.worker, Worker::Regular | Worker::Express);
        if let Some(job) = found.filter(is_foreground) {
            let time = now.saturating_duration_since(job.since);
            self.pace.record(job.cost.time, time);
        }
    }

    /// Frees the bytes of a job that has ended.
    pub(super) fn finish(&mut self, id: JobId) {
        if let Some(at) = self.running.iter().position(|job| job.id == id) {
            self.reserved -= self.running.swap_remove(at).cost.bytes;
        }
    }

    /// Takes a job out of the queue. One that has started runs on.
    pub(super) fn cancel(&mut self, id: JobId) -> Option<W> {
        self.queues().into_iter().find_map(|lane| lane.remove(id))
    }

    /// Takes all jobs out of the queue.
    pub(super) fn clear(&mut self) -> Vec<W> {
        self.queues().into_iter().flat_map(Turns::drain).collect()
    }

    pub(super) fn count(&self, lane: Lane) -> LaneCounts {
        let waiting = match lane {
            Lane::Fast => &self.fast,
            Lane::Normal => &self.normal,
            Lane::Share => &self.background,
            Lane::Idle => &self.idle,
        };
        let running = self.running.iter();
        LaneCounts {
            waiting: waiting.len(),
            running: running.filter(|job| Lane::of(&job.cost) == lane).count(),
        }
    }

    pub(super) fn workers(&self) -> usize {
        self.workers
    }

    /// The threads that jobs of the share have.
    pub(super) fn share_threads(&self) -> usize {
        self.share.threads()
    }

    /// Whether a job of the share could start now.
    pub(super) fn has_share(&mut self, now: Instant) -> bool {
        self.background.is_empty() && self.share.is_open(now)
    }

    /// When the next job of the share may start, if one waits for nothing but that.
    pub(super) fn share_opens_after(&mut self, now: Instant) -> Option<Duration> {
        if self.background.is_empty() || self.share.is_open(now) {
            return None;
        }
        self.share.opens_after(now)
    }

    /// The bytes that several background jobs together may hold: the other half of the budget stays free for foreground jobs. An idle job that needs
    /// more starts while nothing else runs.
    pub(super) fn background_bytes(&self) -> u64 {
        self.budget / 2
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }

    /// Whether a worker has nothing to do, and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.running.len() < self.workers && !self.has_foreground_work()
    }

    /// Whether nothing runs and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
            && !self.has_foreground_work()
            && self.idle.is_empty()
            && self.background.is_empty()
    }

    /// Whether a foreground job waits.
    fn has_foreground_work(&self) -> bool {
        !self.fast.is_empty() || !self.normal.is_empty()
    }

    fn lane(&mut self, lane: Lane) -> &mut Turns<W> {
        match lane {
            Lane::Fast => &mut self.fast,
            Lane::Normal => &mut self.normal,
            Lane::Share => &mut self.background,
            Lane::Idle => &mut self.idle,
        }
    }

    fn queues(&mut self) -> [&mut Turns<W>; 4] {
        [
            &mut self.fast,
            &mut self.normal,
            &mut self.background,
            &mut self.idle,
        ]
    }

    fn choose(&mut self, worker: Worker, now: Instant) -> Option<Lane> {
        let fits = |lane: &Turns<W>| {
            let bytes = lane.first()?.cost.bytes;
            Some(bytes <= self.budget - self.reserved)
        };
        let (fast, normal) = (fits(&self.fast), fits(&self.normal));
        let starts = |lane: &Turns<W>| fits(lane) == Some(true) && self.has_background_room(lane);
        let (background, idle) = (starts(&self.background), starts(&self.idle));
        // It is the turn of a normal job. While there is not enough memory for it, no other job may take any.
        let is_turn = self.overtaken >= STARVATION_LIMIT;
        if is_turn && normal == Some(false) {
            return None;
        }
        match worker {
            Worker::Regular if is_turn && normal == Some(true) => Some(Lane::Normal),
            Worker::Regular | Worker::Express if fast == Some(true) => Some(Lane::Fast),
            Worker::Regular if normal == Some(true) => Some(Lane::Normal),
            Worker::Regular | Worker::Express => None,
            Worker::Share => (background && self.share.is_open(now)).then_some(Lane::Share),
            Worker::Idle => (idle && self.is_idle()).then_some(Lane::Idle),
        }
    }

    /// Whether the next job of a background lane leaves half of the budget to the foreground, or has all of it for itself.
    fn has_background_room(&self, lane: &Turns<W>) -> bool {
        if self.running.is_empty() {
            return true;
        }
        let running = self.running.iter();
        let held: u64 = running
            .filter(|job| matches!(job.worker, Worker::Share | Worker::Idle))
            .map(|job| job.cost.bytes)
            .sum();
        let next = lane.first().map_or(0, |job| job.cost.bytes);
        held + next <= self.background_bytes()
    }
}

#[cfg(test)]
mod tests;

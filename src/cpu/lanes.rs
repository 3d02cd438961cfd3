//! Who goes next: what waits, what runs, and the bytes that are spoken for. Arithmetic alone; threads and locks are the workers'.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use super::Demand;
use super::Refusal;

/// Work up to this estimate takes the fast lane: it is over before a person notices.
const FAST: Duration = Duration::from_millis(30);

/// For so much fast work that goes first, the oldest work of the normal lane gets its turn.
const TURN: Duration = Duration::from_millis(250);

/// Jobs of the idle lane that may wait; what is beyond is not worth remembering.
const IDLE_QUEUE: usize = 64;

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

    fn of(demand: &Demand) -> Lane {
        if demand.is_idle {
            Lane::Idle
        } else if demand.time <= FAST {
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
pub struct Count {
    /// Not begun.
    pub waiting: usize,
    /// Begun.
    pub running: usize,
}

/// A name for a job that no other has.
pub(super) type Ticket = u64;

/// Everything that waits and runs. `W` is the work itself, which is of no interest here.
pub(super) struct Lanes<W> {
    workers: usize,
    /// Places for work that waits, the idle lane apart.
    queue: usize,
    /// Bytes that all work together may hold.
    budget: u64,
    fast: VecDeque<Waiting<W>>,
    normal: VecDeque<Waiting<W>>,
    idle: VecDeque<Waiting<W>>,
    running: Vec<Running>,
    reserved: u64,
    /// Estimated time of fast work that went before the oldest normal work.
    passed: Duration,
    next: Ticket,
}

struct Waiting<W> {
    ticket: Ticket,
    demand: Demand,
    work: W,
}

struct Running {
    ticket: Ticket,
    demand: Demand,
    worker: Worker,
    since: Instant,
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
            passed: Duration::ZERO,
            next: 0,
        }
    }

    /// Takes work in, or says why not and how long it would have waited.
    pub fn enter(
        &mut self,
        mut demand: Demand,
        work: W,
        now: Instant,
    ) -> Result<Ticket, (Refusal, Duration)> {
        // Alone, everything fits: whoever asks knows how much is too much.
        demand.bytes = demand.bytes.min(self.budget);
        let lane = Lane::of(&demand);
        if lane == Lane::Idle {
            if self.idle.len() >= IDLE_QUEUE || demand.bytes > self.idle_bytes() {
                return Err((Refusal::Idle, Duration::ZERO));
            }
        } else {
            let wait = self.wait(lane, now);
            if self.pressing(lane) >= self.places(lane) {
                return Err((Refusal::Queue, wait));
            }
            if now + wait > demand.deadline {
                return Err((Refusal::Wait(lane), wait));
            }
        }
        let ticket = self.next;
        self.next += 1;
        self.lane(lane).push_back(Waiting {
            ticket,
            demand,
            work,
        });
        Ok(ticket)
    }

    /// What this worker begins now, if anything: its bytes are reserved.
    pub fn begin(&mut self, worker: Worker, now: Instant) -> Option<(Ticket, W)> {
        let lane = self.choose(worker)?;
        let Waiting {
            ticket,
            demand,
            work,
        } = self.lane(lane).pop_front()?;
        match lane {
            Lane::Fast if !self.normal.is_empty() => self.passed += demand.time,
            Lane::Fast | Lane::Idle => {}
            Lane::Normal => self.passed = Duration::ZERO,
        }
        self.reserved += demand.bytes;
        self.running.push(Running {
            ticket,
            demand,
            worker,
            since: now,
        });
        Some((ticket, work))
    }

    /// Work has ended: its bytes are free.
    pub fn end(&mut self, ticket: Ticket) {
        if let Some(at) = self.running.iter().position(|job| job.ticket == ticket) {
            self.reserved -= self.running.swap_remove(at).demand.bytes;
        }
    }

    /// Takes out what still waits; nobody wants it any more. What runs, runs on.
    pub fn leave(&mut self, ticket: Ticket) -> Option<W> {
        [&mut self.fast, &mut self.normal, &mut self.idle]
            .into_iter()
            .find_map(|lane| {
                let at = lane.iter().position(|job| job.ticket == ticket)?;
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

    pub fn count(&self, lane: Lane) -> Count {
        let waiting = match lane {
            Lane::Fast => &self.fast,
            Lane::Normal => &self.normal,
            Lane::Idle => &self.idle,
        };
        let running = self.running.iter();
        Count {
            waiting: waiting.len(),
            running: running.filter(|job| Lane::of(&job.demand) == lane).count(),
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
        self.running.len() < self.workers && !self.is_busy()
    }

    /// Whether nothing runs and nothing waits.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && !self.is_busy() && self.idle.is_empty()
    }

    /// Whether somebody waits for a worker.
    fn is_busy(&self) -> bool {
        !self.fast.is_empty() || !self.normal.is_empty()
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting<W>> {
        match lane {
            Lane::Fast => &mut self.fast,
            Lane::Normal => &mut self.normal,
            Lane::Idle => &mut self.idle,
        }
    }

    fn choose(&self, worker: Worker) -> Option<Lane> {
        let fits = |lane: &VecDeque<Waiting<W>>| {
            let bytes = lane.front()?.demand.bytes;
            Some(bytes <= self.budget - self.reserved)
        };
        let (fast, normal) = (fits(&self.fast), fits(&self.normal));
        // Its turn has come: if it lacks memory, nothing new may take any.
        let is_turn = self.passed >= TURN;
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
            .map(|job| job.demand.bytes)
            .sum();
        let next = self.idle.front().map_or(0, |job| job.demand.bytes);
        held + next <= self.idle_bytes()
    }

    /// Places for work of a lane, waiting or running.
    fn places(&self, lane: Lane) -> usize {
        let express = usize::from(lane == Lane::Fast);
        self.workers
            .saturating_add(self.queue)
            .saturating_add(express)
    }

    /// Work that takes up such places. What runs on the thread for fast work is in nobody else's way.
    fn pressing(&self, lane: Lane) -> usize {
        let running = self.running.iter().filter(|job| match job.worker {
            Worker::Regular => true,
            Worker::Express => lane == Lane::Fast,
            Worker::Idle => false,
        });
        self.fast.len() + self.normal.len() + running.count()
    }

    /// When new work of a lane would begin, by the estimates of all that goes before it.
    fn wait(&self, lane: Lane, now: Instant) -> Duration {
        let running: Vec<&Running> = self
            .running
            .iter()
            .filter(|job| job.worker != Worker::Idle)
            .collect();
        if !self.is_busy() && running.len() < self.workers {
            return Duration::ZERO;
        }
        let sum = |lane: &VecDeque<Waiting<W>>| -> Duration {
            lane.iter().map(|job| job.demand.time).sum()
        };
        let left = |job: &&Running| {
            let spent = now.saturating_duration_since(job.since);
            job.demand.time.saturating_sub(spent)
        };
        let workers = u32::try_from(self.workers).unwrap_or(u32::MAX);
        match lane {
            // The thread for it has fast work alone to end.
            Lane::Fast => {
                let is_fast = |job: &&Running| Lane::of(&job.demand) == Lane::Fast;
                let ending: Duration = running
                    .into_iter()
                    .filter(is_fast)
                    .map(|job| left(&job))
                    .sum();
                ending + sum(&self.fast)
            }
            Lane::Normal | Lane::Idle => {
                let ending: Duration = running.iter().map(left).sum();
                (ending + sum(&self.fast) + sum(&self.normal)) / workers.max(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::Demand;
    use super::IDLE_QUEUE;
    use super::Lane;
    use super::Lanes;
    use super::Refusal;
    use super::TURN;
    use super::Worker;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Ten workers' worth of patience is enough for every test but those of deadlines.
    fn demand(millis: u64, bytes: u64, now: Instant) -> Demand {
        Demand {
            bytes,
            time: Duration::from_millis(millis),
            deadline: now + 10 * MINUTE,
            is_idle: false,
        }
    }

    fn idle(bytes: u64, now: Instant) -> Demand {
        Demand {
            is_idle: true,
            ..demand(1, bytes, now)
        }
    }

    fn name(begun: Option<(u64, &'static str)>) -> Option<&'static str> {
        begun.map(|(_, name)| name)
    }

    #[test]
    fn fast_work_goes_first_and_large_work_gets_its_turn() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1, 100, 100);
        lanes
            .enter(demand(1000, 1, now), "large", now)
            .expect("room");
        for _ in 0..20 {
            lanes.enter(demand(25, 1, now), "small", now).expect("room");
        }
        let mut order = Vec::new();
        while let Some((ticket, work)) = lanes.begin(Worker::Regular, now) {
            lanes.end(ticket);
            order.push(work);
        }
        let turn = usize::try_from(TURN.as_millis() / 25).expect("a small number");
        assert_eq!(order.iter().position(|&work| work == "large"), Some(turn));
        assert_eq!(order.len(), 21);
    }

    #[test]
    fn one_thread_takes_fast_work_alone() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1, 100, 100);
        lanes
            .enter(demand(1000, 1, now), "large", now)
            .expect("room");
        assert_eq!(lanes.begin(Worker::Express, now), None);
        assert_eq!(name(lanes.begin(Worker::Regular, now)), Some("large"));
        lanes.enter(demand(5, 1, now), "small", now).expect("room");
        assert_eq!(name(lanes.begin(Worker::Express, now)), Some("small"));
    }

    #[test]
    fn work_waits_for_memory_and_small_work_cannot_starve_it() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2, 1000, 100);
        lanes
            .enter(demand(500, 60, now), "first", now)
            .expect("room");
        let (first, _) = lanes.begin(Worker::Regular, now).expect("there is room");
        lanes
            .enter(demand(500, 60, now), "second", now)
            .expect("room");
        assert_eq!(lanes.begin(Worker::Regular, now), None);
        assert_eq!(lanes.reserved(), 60);
        for _ in 0..100 {
            lanes
                .enter(demand(25, 10, now), "small", now)
                .expect("room");
        }
        let mut passed = 0;
        while let Some((ticket, work)) = lanes.begin(Worker::Regular, now) {
            assert_eq!(work, "small");
            lanes.end(ticket);
            passed += 1;
        }
        assert_eq!(passed, 10, "then nothing begins until there is memory");
        assert_eq!(lanes.begin(Worker::Express, now), None);
        lanes.end(first);
        assert_eq!(name(lanes.begin(Worker::Regular, now)), Some("second"));
    }

    #[test]
    fn what_is_larger_than_the_budget_runs_alone() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2, 1, 100);
        lanes
            .enter(demand(500, 1000, now), "huge", now)
            .expect("room");
        let (huge, _) = lanes.begin(Worker::Regular, now).expect("it is alone");
        assert_eq!(lanes.reserved(), 100);
        lanes.end(huge);
        assert_eq!(lanes.reserved(), 0);
    }

    #[test]
    fn work_that_would_begin_too_late_is_refused_with_the_wait() {
        let now = Instant::now();
        let mut lanes = Lanes::new(2, 100, 100);
        let soon = |millis| Demand {
            deadline: now + Duration::from_secs(5),
            ..demand(millis, 1, now)
        };
        for _ in 0..2 {
            lanes
                .enter(soon(8000), "running", now)
                .expect("a worker is free");
            lanes.begin(Worker::Regular, now).expect("it fits");
        }
        assert_eq!(
            lanes.enter(soon(100), "late", now),
            Err((Refusal::Wait(Lane::Normal), Duration::from_secs(8)))
        );
        // The same work four seconds later: half of what runs is done.
        let later = now + Duration::from_secs(4);
        let patient = Demand {
            deadline: later + Duration::from_secs(5),
            ..demand(100, 1, now)
        };
        lanes
            .enter(patient, "in time", later)
            .expect("four seconds are left");
        // What is small does not wait for what is large.
        lanes
            .enter(soon(10), "small", now)
            .expect("it has a thread");
    }

    #[test]
    fn idle_work_begins_only_when_nothing_else_waits_or_runs() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1, 10, 100);
        lanes.enter(idle(10, now), "idle", now).expect("room");
        lanes
            .enter(demand(500, 1, now), "large", now)
            .expect("room");
        assert_eq!(lanes.begin(Worker::Idle, now), None);
        let (large, _) = lanes.begin(Worker::Regular, now).expect("it fits");
        assert_eq!(lanes.begin(Worker::Idle, now), None);
        lanes.end(large);
        assert_eq!(name(lanes.begin(Worker::Idle, now)), Some("idle"));
        // It takes nobody's place.
        lanes
            .enter(demand(500, 1, now), "large", now)
            .expect("room");
        assert_eq!(name(lanes.begin(Worker::Regular, now)), Some("large"));
    }

    #[test]
    fn idle_work_has_places_and_memory_of_its_own() {
        let now = Instant::now();
        let mut lanes = Lanes::new(4, 0, 100);
        let refused = Err((Refusal::Idle, Duration::ZERO));
        assert_eq!(lanes.enter(idle(51, now), "large", now), refused);
        for _ in 0..IDLE_QUEUE {
            lanes.enter(idle(30, now), "idle", now).expect("room");
        }
        assert_eq!(lanes.enter(idle(1, now), "one more", now), refused);
        let (first, _) = lanes.begin(Worker::Idle, now).expect("it fits");
        assert_eq!(lanes.begin(Worker::Idle, now), None, "half stays free");
        lanes.end(first);
        assert!(lanes.begin(Worker::Idle, now).is_some());
    }

    #[test]
    fn what_leaves_takes_nothing_with_it() {
        let now = Instant::now();
        let mut lanes = Lanes::new(1, 1, 100);
        lanes
            .enter(demand(500, 50, now), "running", now)
            .expect("room");
        let (running, _) = lanes.begin(Worker::Regular, now).expect("it fits");
        let waiting = lanes
            .enter(demand(500, 50, now), "waiting", now)
            .expect("room");
        let full = lanes.enter(demand(500, 50, now), "no place", now);
        assert_eq!(full, Err((Refusal::Queue, Duration::from_secs(1))));
        assert_eq!(lanes.leave(waiting), Some("waiting"));
        assert_eq!(lanes.leave(running), None, "what runs, runs on");
        assert_eq!(lanes.count(Lane::Normal).running, 1);
        lanes
            .enter(demand(500, 50, now), "next", now)
            .expect("room");
    }
}

//! The turns of clients in a lane: which waiting job is next, so that no client waits for all jobs of another.
//!
//! Each job gets a time on a clock that runs as jobs start (fair queueing): not before the clock, and not before the end of the last job of its client.
//! So the jobs of one client keep their order, and those of two take turns by their cost. Who is not known is one client.
//!
//! Headers of sources are read before the renders of the same client, but for one whose turn has come: only then it is known what a render costs, and whether it must be refused.

use std::collections::HashMap;
use std::time::Duration;

use crate::clients::ClientId;
use crate::cpu::cost::Cost;

/// The number of a job, which no other job has.
pub(in crate::cpu) type JobId = u64;

/// The jobs of a lane that wait, in the order in which they start.
pub(super) struct Turns<W> {
    jobs: Vec<QueuedJob<W>>,
    /// How far the jobs of a client would be that always had its share.
    clock: Duration,
    /// For each client when its last jobs end. There are no more entries than jobs that have come since the lane was empty; those that the clock
    /// has passed go.
    ends: HashMap<Option<ClientId>, Ends>,
}

/// When the last jobs of a client end.
#[derive(Clone, Copy, Default)]
struct Ends {
    /// The last that reads a header.
    header: Duration,
    /// The last of all.
    job: Duration,
}

pub(super) struct QueuedJob<W> {
    pub(super) id: JobId,
    pub(super) cost: Cost,
    pub(super) work: W,
    turn: Duration,
}

impl<W> Default for Turns<W> {
    fn default() -> Self {
        Turns {
            jobs: Vec::new(),
            clock: Duration::ZERO,
            ends: HashMap::new(),
        }
    }
}

impl<W> Turns<W> {
    /// Adds a job behind those that start before it.
    pub(super) fn push(&mut self, id: JobId, cost: Cost, work: W) {
        let turn = self.turn(&cost);
        let place = self.place(turn, cost.reads_header);
        let ends = self.ends.entry(cost.client).or_default();
        // A header that is read first puts off the renders of its client that come later.
        ends.job = ends.job.max(self.clock).saturating_add(cost.time);
        if cost.reads_header {
            ends.header = turn.saturating_add(cost.time);
        }
        let job = QueuedJob {
            id,
            cost,
            work,
            turn,
        };
        self.jobs.insert(place, job);
    }

    /// The next job.
    pub(super) fn first(&self) -> Option<&QueuedJob<W>> {
        self.jobs.first()
    }

    /// Takes the next job.
    pub(super) fn pop(&mut self) -> Option<QueuedJob<W>> {
        if self.jobs.is_empty() {
            return None;
        }
        let job = self.jobs.remove(0);
        // As much as each of the clients gets while the job runs, and one more that may come. Without that, clients that come for the first time
        // could go before the second job of another without end.
        let clients = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let advance = job.cost.time / clients.saturating_add(1);
        self.clock = self.clock.max(job.turn).saturating_add(advance);
        self.forget();
        Some(job)
    }

    /// Takes a job out.
    pub(super) fn remove(&mut self, id: JobId) -> Option<W> {
        let at = self.jobs.iter().position(|job| job.id == id)?;
        let job = self.jobs.remove(at);
        self.forget();
        Some(job.work)
    }

    /// Takes all jobs out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = W> {
        self.ends.clear();
        self.jobs.drain(..).map(|job| job.work)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The costs of the jobs that start before a new one.
    pub(super) fn before<'a>(&'a self, new: &Cost) -> impl Iterator<Item = &'a Cost> + use<'a, W> {
        let place = self.place(self.turn(new), new.reads_header);
        self.jobs.iter().take(place).map(|job| &job.cost)
    }

    /// The costs of all jobs, in the order in which they start.
    pub(super) fn all(&self) -> impl Iterator<Item = &Cost> {
        self.jobs.iter().map(|job| &job.cost)
    }

    /// How many jobs of a client wait.
    pub(super) fn count_of(&self, client: ClientId) -> usize {
        let of = self
            .jobs
            .iter()
            .filter(|job| job.cost.client == Some(client));
        of.count()
    }

    fn turn(&self, new: &Cost) -> Duration {
        let ends = self.ends.get(&new.client).copied().unwrap_or_default();
        let end = match new.reads_header {
            true => ends.header,
            false => ends.job,
        };
        end.max(self.clock)
    }

    /// Behind all jobs whose turn is not later; headers before the other jobs of the same turn.
    fn place(&self, turn: Duration, reads_header: bool) -> usize {
        let order = |turn, reads_header: bool| (turn, !reads_header);
        let new = order(turn, reads_header);
        self.jobs
            .partition_point(|job| order(job.turn, job.cost.reads_header) <= new)
    }

    /// Forgets clients that have no claim left.
    fn forget(&mut self) {
        if self.jobs.is_empty() {
            self.ends.clear();
        } else if self.ends.len() > 2 * self.jobs.len() {
            self.ends.retain(|_, ends| ends.job > self.clock);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::cpu::cost::Priority;

    fn cost(client: u32, ms: u64) -> Cost {
        Cost {
            bytes: 1,
            time: Duration::from_millis(ms),
            deadline: Instant::now(),
            priority: Priority::Foreground,
            client: (client > 0).then_some(ClientId::V4(client)),
            reads_header: false,
        }
    }

    fn push(turns: &mut Turns<&'static str>, client: u32, ms: u64, name: &'static str) {
        turns.push(0, cost(client, ms), name);
    }

    fn push_header(turns: &mut Turns<&'static str>, client: u32, ms: u64, name: &'static str) {
        let cost = Cost {
            reads_header: true,
            ..cost(client, ms)
        };
        turns.push(0, cost, name);
    }

    fn order(turns: &mut Turns<&'static str>) -> String {
        let jobs = std::iter::from_fn(|| turns.pop().map(|job| job.work));
        jobs.collect()
    }

    #[test]
    fn the_jobs_of_one_client_keep_their_order() {
        let mut turns = Turns::default();
        for (ms, name) in [(9, "a"), (1, "b"), (5, "c"), (0, "d"), (2, "e")] {
            push(&mut turns, 0, ms, name);
        }
        assert_eq!(order(&mut turns), "abcde");
        assert!(turns.ends.is_empty());
    }

    #[test]
    fn clients_take_turns() {
        let mut turns = Turns::default();
        for name in ["a", "b", "c", "d"] {
            push(&mut turns, 1, 10, name);
        }
        push(&mut turns, 2, 10, "X");
        push(&mut turns, 3, 10, "Y");
        push(&mut turns, 2, 10, "Z");
        assert_eq!(order(&mut turns), "aXYbZcd");
        // One who comes later does not catch up on the time in which it asked for nothing.
        for name in ["a", "b", "c", "d"] {
            push(&mut turns, 1, 10, name);
        }
        assert_eq!(turns.pop().map(|job| job.work), Some("a"));
        assert_eq!(turns.pop().map(|job| job.work), Some("b"));
        for name in ["X", "Y", "Z"] {
            push(&mut turns, 2, 10, name);
        }
        assert_eq!(order(&mut turns), "XcYdZ");
    }

    #[test]
    fn what_costs_more_takes_longer_for_its_next_turn() {
        let mut turns = Turns::default();
        for name in ["A", "B"] {
            push(&mut turns, 1, 30, name);
        }
        for name in ["x", "y", "z", "w"] {
            push(&mut turns, 2, 10, name);
        }
        assert_eq!(order(&mut turns), "AxyzBw");
    }

    #[test]
    fn clients_that_come_for_the_first_time_do_not_keep_a_second_job_waiting() {
        let mut turns = Turns::default();
        for name in ["a", "b"] {
            push(&mut turns, 1, 10, name);
        }
        let mut before = 0;
        for client in 2..1000 {
            push(&mut turns, client, 10, "x");
            push(&mut turns, client + 5000, 10, "x");
            if turns.pop().is_some_and(|job| job.work == "b") {
                break;
            }
            before += 1;
        }
        assert!(before < 60, "{before} jobs went before it");
    }

    #[test]
    fn headers_go_before_renders_of_their_client() {
        let mut turns = Turns::default();
        for name in ["a", "b", "c"] {
            push(&mut turns, 1, 10, name);
        }
        for name in ["1", "2"] {
            push_header(&mut turns, 1, 1, name);
        }
        assert_eq!(turns.pop().map(|job| job.work), Some("1"));
        push_header(&mut turns, 1, 1, "3");
        // The first render had its turn already.
        assert_eq!(order(&mut turns), "a23bc");
    }

    #[test]
    fn a_client_with_many_headers_gets_no_more_than_its_share() {
        let mut turns = Turns::default();
        for name in ["a", "b"] {
            push(&mut turns, 1, 10, name);
            push(&mut turns, 2, 10, "X");
        }
        for _ in 0..20 {
            push_header(&mut turns, 1, 10, "-");
        }
        push(&mut turns, 1, 10, "c");
        for _ in 0..3 {
            push(&mut turns, 2, 10, "X");
        }
        let order = order(&mut turns);
        let headers_before = |place: usize| order[..place].matches('-').count();
        let last = order.rfind('X').expect("it was taken");
        assert!(headers_before(last) <= 5, "{order}");
        assert!(order.ends_with('c'), "{order}");
    }

    #[test]
    fn clients_that_have_gone_are_forgotten() {
        let mut turns = Turns::default();
        push(&mut turns, 1, 1000, "a");
        push(&mut turns, 1, 1000, "b");
        for client in 2..1000 {
            push(&mut turns, client, 0, "x");
            let taken = turns.pop();
            assert!(taken.is_some());
        }
        assert!(turns.ends.len() < 8, "{}", turns.ends.len());
    }
}

//! Whether a foreground job is taken: whether there is room in the queue, and whether it would end in time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use super::places::Ahead;
use super::{Lanes, Worker};
use crate::clients::ClientId;
use crate::cpu::cost::{Cost, Lane, Priority, Rejection};

/// How many jobs of one client may wait for each place of the queue that is free.
const PLACES: usize = 4;

/// The wait that is reported where nobody knows how long it takes. Clients are never asked to wait for longer than a minute.
pub(super) const UNKNOWN_WAIT: Duration = Duration::from_secs(60);

impl<W> Lanes<W> {
    /// Takes a place for a render that must end before `deadline`, or returns why there is none and how long it would have waited. What would be refused
    /// when its cost is known is refused before its source is fetched.
    pub(in crate::cpu) fn take_place(
        &mut self,
        client: Option<ClientId>,
        deadline: Instant,
        now: Instant,
    ) -> Result<(), (Rejection, Duration)> {
        // The source may have to wait for memory, and estimates may be wrong: what has been fetched should not be refused.
        let patience = deadline.saturating_duration_since(now) / 2;
        let new = Cost {
            bytes: 0,
            time: self.places.usual(),
            deadline: now + patience,
            priority: Priority::Foreground,
            client,
            reads_header: false,
        };
        let ahead = self.ahead(Lane::Normal, client);
        if let Some(refusal) = self.refusal(Lane::Normal, &new, ahead, now) {
            // A small render may be in time where a large one would not; where neither is, nothing is tried.
            let small = Cost {
                time: self.places.usual_small(),
                ..new
            };
            let ahead = self.ahead(Lane::Fast, client);
            if let Some(lost) = self.refusal(Lane::Fast, &small, ahead, now) {
                return Err(lost);
            }
            if !self.places.try_one(now) {
                return Err(refusal);
            }
        }
        self.places.hold(client);
        Ok(())
    }

    /// The renders that have a place and come before one more of a client, if that is of this lane.
    fn ahead(&self, lane: Lane, client: Option<ClientId>) -> Ahead {
        let (usual, threads) = match lane {
            Lane::Fast => (self.places.small_part(), self.workers.saturating_add(1)),
            Lane::Normal | Lane::Share | Lane::Idle => (self.places.usual(), self.workers),
        };
        let time = usual.saturating_mul(self.places.count_before(client));
        let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
        Ahead {
            places: count(self.places.held()),
            own: count(self.places.held_by(client)),
            delay: self.pace.of(time) / threads,
        }
    }

    /// Holds a place for a render whose source was fetched.
    pub(in crate::cpu) fn hold_place(&mut self, client: Option<ClientId>) {
        self.places.hold(client);
    }

    /// Gives a place back: the cost is known, or there is no render.
    pub(in crate::cpu) fn return_place(&mut self, client: Option<ClientId>) {
        self.places.give_back(client);
    }

    /// Takes account of the estimate of a render whose source was read. It has a thread until its deadline at most, whatever its header makes of it.
    pub(in crate::cpu) fn record_estimate(&mut self, cost: &Cost, now: Instant) {
        let is_small = Lane::of(cost) == Lane::Fast;
        let most = cost.deadline.saturating_duration_since(now);
        self.places.record(cost.time.min(most), is_small);
    }

    /// Why a new foreground job is not taken, and how long it would have waited. `ahead` are those that are not in the queue yet.
    pub(super) fn refusal(
        &self,
        lane: Lane,
        new: &Cost,
        ahead: Ahead,
        now: Instant,
    ) -> Option<(Rejection, Duration)> {
        let wait = self.wait(lane, new, now);
        let wait = wait.map(|wait| wait.saturating_add(ahead.delay));
        let said = wait.unwrap_or(UNKNOWN_WAIT);
        let occupied = self.occupied(lane).saturating_add(ahead.places);
        let free = self.capacity(lane).saturating_sub(occupied);
        if free == 0 || self.has_its_share(new, free, ahead.own) {
            return Some((Rejection::Queue, said));
        }
        let patience = new.deadline.saturating_duration_since(now);
        (!wait.is_some_and(|wait| self.is_in_time(wait, new, patience)))
            .then_some((Rejection::Wait(lane), said))
    }

    /// Whether a job that waits for so long ends in time. One that need not wait is tried, since it has all the time that there is.
    fn is_in_time(&self, wait: Duration, new: &Cost, patience: Duration) -> bool {
        wait.is_zero() || wait.saturating_add(self.pace.of(new.time)) <= patience
    }

    /// How many jobs may wait or run for a job of this lane to be taken.
    fn capacity(&self, lane: Lane) -> usize {
        let express = usize::from(lane == Lane::Fast);
        self.workers
            .saturating_add(self.queue)
            .saturating_add(express)
    }

    /// How many jobs count against the capacity. Those on the thread for fast jobs delay fast jobs only.
    fn occupied(&self, lane: Lane) -> usize {
        let running = self.running.iter().filter(|job| match job.worker {
            Worker::Regular => true,
            Worker::Express => lane == Lane::Fast,
            Worker::Share | Worker::Idle => false,
        });
        self.fast.len() + self.normal.len() + running.count()
    }

    /// Whether so many jobs of a client wait that the `free` places of the queue are for others. It may have four times as many as are free, so
    /// that one alone gets four fifths of the queue, and there is always a place for a client that has none.
    fn has_its_share(&self, cost: &Cost, free: usize, own: usize) -> bool {
        cost.client.is_some_and(|client| {
            let waiting = self.fast.count_of(client) + self.normal.count_of(client);
            waiting.saturating_add(own) >= free.saturating_mul(PLACES)
        })
    }

    /// How long a new job of a lane would wait for a thread and for its bytes, by the estimates of all jobs before it. `None` where it needs the
    /// thread or the bytes of a job of which nobody knows when it ends.
    fn wait(&self, lane: Lane, new: &Cost, now: Instant) -> Option<Duration> {
        let is_fast = lane == Lane::Fast;
        let mut threads = self.workers + usize::from(is_fast);
        let mut free = self.budget - self.reserved;
        // When a thread and bytes become free.
        let mut ends = BinaryHeap::new();
        for job in &self.running {
            let has_thread = match job.worker {
                Worker::Regular => true,
                Worker::Express => is_fast,
                Worker::Share | Worker::Idle => false,
            };
            threads = threads.saturating_sub(usize::from(has_thread));
            if let Some(left) = job.remaining(self.pace, now) {
                ends.push(Reverse((left, has_thread, job.cost.bytes)));
            }
        }
        let mut begins = Duration::ZERO;
        for (time, bytes) in self
            .before(lane, new)
            .map(|cost| (self.pace.of(cost.time), cost.bytes))
            .chain([(Duration::ZERO, new.bytes)])
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

    /// The costs of the jobs that start before a new one.
    fn before<'a>(&'a self, lane: Lane, new: &Cost) -> Box<dyn Iterator<Item = &'a Cost> + 'a> {
        match lane {
            Lane::Fast => Box::new(self.fast.before(new)),
            // Fast jobs that come later go first as well; those that wait now surely do.
            Lane::Normal | Lane::Share | Lane::Idle => {
                Box::new(self.fast.all().chain(self.normal.before(new)))
            }
        }
    }
}

fn count(places: u32) -> usize {
    usize::try_from(places).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::lanes::Share;

    const SECOND: Duration = Duration::from_secs(1);

    fn lanes(queue: usize, now: Instant) -> Lanes<&'static str> {
        let mut lanes = Lanes::new(1, queue, 100, Share::new(10, 1, now));
        // The trial that there is at the beginning.
        assert!(lanes.places.try_one(now));
        lanes
    }

    fn cost(time: Duration, now: Instant) -> Cost {
        Cost {
            bytes: 1,
            time,
            deadline: now + 10 * SECOND,
            priority: Priority::Foreground,
            client: None,
            reads_header: false,
        }
    }

    fn enqueue(lanes: &mut Lanes<&'static str>, secs: u32, now: Instant) {
        let done = lanes.enqueue(cost(secs * SECOND, now), "render", now);
        done.expect("room");
    }

    #[test]
    fn a_place_is_refused_where_the_render_would_be() {
        let now = Instant::now();
        let mut lanes = lanes(1, now);
        let soon = now + 9 * SECOND;
        enqueue(&mut lanes, 4, now);
        lanes.start(Worker::Regular, now).expect("a thread is free");
        assert_eq!(lanes.take_place(None, soon, now), Ok(()));
        // The queue is full: one runs, and one has a place.
        let full = lanes.take_place(None, soon, now);
        assert_eq!(full.map_err(|(reason, _)| reason), Err(Rejection::Queue));
        lanes.return_place(None);
        let late = lanes.take_place(None, now + 3 * SECOND, now);
        assert_eq!(late, Err((Rejection::Wait(Lane::Normal), 4 * SECOND)));
        assert_eq!(lanes.take_place(None, soon, now), Ok(()));
    }

    #[test]
    fn renders_whose_source_is_on_its_way_count() {
        let now = Instant::now();
        let mut lanes = lanes(100, now);
        for _ in 0..100 {
            lanes.record_estimate(&cost(2 * SECOND, now), now);
        }
        // Each takes two seconds, so the second ends after four, and a third would after six; half of the time is for the queue.
        let soon = now + 10 * SECOND;
        for _ in 0..2 {
            assert_eq!(lanes.take_place(None, soon, now), Ok(()));
        }
        let late = lanes.take_place(None, soon, now);
        assert!(
            matches!(late, Err((Rejection::Wait(Lane::Normal), _))),
            "{late:?}"
        );
    }

    #[test]
    fn a_client_with_few_jobs_has_a_place_while_another_has_many() {
        let now = Instant::now();
        let mut lanes = lanes(100, now);
        let [greedy, other] = [1, 2].map(|number| Some(ClientId::V4(number)));
        for _ in 0..6 {
            let cost = Cost {
                client: greedy,
                ..cost(SECOND, now)
            };
            lanes.enqueue(cost, "render", now).expect("room");
        }
        let soon = now + 6 * SECOND;
        assert!(lanes.take_place(greedy, soon, now).is_err());
        assert_eq!(lanes.take_place(other, soon, now), Ok(()));
    }

    #[test]
    fn small_renders_that_are_found_pay_for_trials() {
        let now = Instant::now();
        let mut lanes = lanes(100, now);
        enqueue(&mut lanes, 20, now);
        let tried = |lanes: &mut Lanes<_>, now| {
            let tries = (0..100).filter(|_| lanes.take_place(None, now + 10 * SECOND, now).is_ok());
            let count = tries.count();
            (0..count).for_each(|_| lanes.return_place(None));
            count
        };
        assert_eq!(tried(&mut lanes, now), 0);
        lanes.record_estimate(&cost(SECOND, now), now);
        assert_eq!(tried(&mut lanes, now), 0);
        lanes.record_estimate(&cost(SECOND / 100, now), now);
        assert_eq!(tried(&mut lanes, now), 4);
        assert_eq!(tried(&mut lanes, now + SECOND), 2);
        assert_eq!(tried(&mut lanes, now + 3600 * SECOND), 8);
    }

    #[test]
    fn nothing_is_tried_where_even_a_small_render_would_be_late() {
        let now = Instant::now();
        let mut lanes = lanes(1000, now);
        let small = Cost {
            deadline: now + 2 * SECOND,
            ..cost(SECOND / 50, now)
        };
        let mut taken = 0;
        // As many renders as are in time; each is found to be small.
        while lanes.enqueue(small, "render", now).is_ok() {
            lanes.record_estimate(&small, now);
            taken += 1;
        }
        assert!(taken > 150, "{taken}");
        assert!(lanes.take_place(None, now + 2 * SECOND, now).is_err());
        // Three quarters of them have ended.
        for _ in 0..taken / 4 * 3 {
            let (id, _) = lanes.start(Worker::Express, now).expect("one waits");
            lanes.finish(id);
        }
        let places = (0..1000).filter(|_| lanes.take_place(None, now + 2 * SECOND, now).is_ok());
        let places = places.count();
        assert!((5..=50).contains(&places), "{places} of {taken}");
    }

    #[test]
    fn a_thousand_jobs_of_one_client_do_not_delay_the_first_of_another() {
        let now = Instant::now();
        let mut lanes = lanes(200, now);
        let of = |client, millis| Cost {
            client: Some(ClientId::V4(client)),
            deadline: now + 3600 * SECOND,
            ..cost(Duration::from_millis(millis), now)
        };
        let taken = |lanes: &mut Lanes<_>| {
            let jobs = (0..1000).filter(|_| lanes.enqueue(of(1, 100), "greedy", now).is_ok());
            jobs.count()
        };
        assert_eq!(taken(&mut lanes), 161, "four fifths of the places");
        for _ in 0..3 {
            let (id, _) = lanes.start(Worker::Regular, now).expect("one waits");
            lanes.finish(id);
        }
        lanes.enqueue(of(2, 100), "first", now).expect("room");
        taken(&mut lanes);
        let begun = std::iter::from_fn(|| {
            let (id, work) = lanes.start(Worker::Regular, now)?;
            lanes.finish(id);
            Some(work)
        });
        let order: Vec<_> = begun.take(3).collect();
        assert!(order.contains(&"first"), "{order:?}");
    }

    #[test]
    fn an_absurd_estimate_keeps_nobody_out() {
        let now = Instant::now();
        let mut lanes = lanes(100, now);
        let absurd = cost(10_000 * SECOND, now);
        lanes.record_estimate(&absurd, now);
        lanes.enqueue(absurd, "absurd", now).expect("room");
        lanes.start(Worker::Regular, now).expect("a thread is free");
        // It ends after ten seconds, and takes more than one off the next one; half of the time is for the queue.
        let late = now + 24 * SECOND;
        assert!(lanes.take_place(None, now + 20 * SECOND, now).is_err());
        assert_eq!(lanes.take_place(None, late, now), Ok(()));
        lanes.return_place(None);
        let small = Cost {
            deadline: late,
            ..cost(SECOND, now)
        };
        lanes.enqueue(small, "small", now).expect("it is in time");
    }

    #[test]
    fn places_of_one_client_leave_some_to_others() {
        let now = Instant::now();
        let mut lanes = lanes(200, now);
        let [greedy, other] = [1, 2].map(|number| Some(ClientId::V4(number)));
        lanes.record_estimate(&cost(8 * SECOND, now), now);
        let end = now + 36_000 * SECOND;
        let taken = |lanes: &mut Lanes<_>, client| {
            let tries = (0..1000).filter(|_| lanes.take_place(client, end, now).is_ok());
            tries.count()
        };
        assert_eq!(taken(&mut lanes, greedy), 161, "four fifths of the places");
        // One second for each: it waits for one of the other client, and not for all of them.
        assert_eq!(lanes.take_place(other, now + 5 * SECOND, now), Ok(()));
        for _ in 0..161 {
            lanes.return_place(greedy);
        }
        assert_eq!(lanes.places.held(), 1);
        assert_eq!(lanes.places.held_by(greedy), 0);
    }
}

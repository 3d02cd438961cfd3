use std::time::{Duration, Instant};

use super::Cost;
use super::Lane;
use super::Lanes;
use super::MAX_BACKGROUND_QUEUE;
use super::Rejection;
use super::STARVATION_LIMIT;
use super::Share;
use super::Worker;
use crate::cpu::Priority;

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

#[test]
fn fast_work_goes_first_and_large_work_gets_its_turn() {
    let now = Instant::now();
    let mut lanes = lanes(1, 100, 100, now);
    lanes
        .enqueue(cost(1000, 1, now), "large", now)
        .expect("room");
    for _ in 0..20 {
        lanes.enqueue(cost(25, 1, now), "small", now).expect("room");
    }
    let mut order = Vec::new();
    while let Some((id, work)) = lanes.start(Worker::Regular, now) {
        lanes.finish(id);
        order.push(work);
    }
    let turn = usize::try_from(STARVATION_LIMIT.as_millis() / 25).expect("a small number");
    assert_eq!(order.iter().position(|&work| work == "large"), Some(turn));
    assert_eq!(order.len(), 21);
}

#[test]
fn one_thread_takes_fast_work_alone() {
    let now = Instant::now();
    let mut lanes = lanes(1, 100, 100, now);
    lanes
        .enqueue(cost(1000, 1, now), "large", now)
        .expect("room");
    assert_eq!(lanes.start(Worker::Express, now), None);
    assert_eq!(name_of(lanes.start(Worker::Regular, now)), Some("large"));
    lanes.enqueue(cost(5, 1, now), "small", now).expect("room");
    assert_eq!(name_of(lanes.start(Worker::Express, now)), Some("small"));
}

#[test]
fn work_waits_for_memory_and_small_work_cannot_starve_it() {
    let now = Instant::now();
    let mut lanes = lanes(2, 1000, 100, now);
    lanes
        .enqueue(cost(500, 60, now), "first", now)
        .expect("room");
    let (first, _) = lanes.start(Worker::Regular, now).expect("there is room");
    lanes
        .enqueue(cost(500, 60, now), "second", now)
        .expect("room");
    assert_eq!(lanes.start(Worker::Regular, now), None);
    assert_eq!(lanes.reserved(), 60);
    for _ in 0..100 {
        lanes
            .enqueue(cost(25, 10, now), "small", now)
            .expect("room");
    }
    let mut passed = 0;
    while let Some((id, work)) = lanes.start(Worker::Regular, now) {
        assert_eq!(work, "small");
        lanes.finish(id);
        passed += 1;
    }
    assert_eq!(passed, 10, "then nothing begins until there is memory");
    assert_eq!(lanes.start(Worker::Express, now), None);
    lanes.finish(first);
    assert_eq!(name_of(lanes.start(Worker::Regular, now)), Some("second"));
}

#[test]
fn what_is_larger_than_the_budget_runs_alone() {
    let now = Instant::now();
    let mut lanes = lanes(2, 1, 100, now);
    lanes
        .enqueue(cost(500, 1000, now), "huge", now)
        .expect("room");
    let (huge, _) = lanes.start(Worker::Regular, now).expect("it is alone");
    assert_eq!(lanes.reserved(), 100);
    lanes.finish(huge);
    assert_eq!(lanes.reserved(), 0);
}

#[test]
fn work_that_would_begin_too_late_is_refused_with_the_wait() {
    let now = Instant::now();
    let mut lanes = lanes(2, 100, 100, now);
    let soon = |millis| Cost {
        deadline: now + Duration::from_secs(5),
        ..cost(millis, 1, now)
    };
    for _ in 0..2 {
        lanes
            .enqueue(soon(8000), "running", now)
            .expect("a worker is free");
        lanes.start(Worker::Regular, now).expect("it fits");
    }
    assert_eq!(
        lanes.enqueue(soon(100), "late", now),
        Err((Rejection::Wait(Lane::Normal), Duration::from_secs(8)))
    );
    // The same work four seconds later: half of what runs is done.
    let later = now + Duration::from_secs(4);
    let patient = Cost {
        deadline: later + Duration::from_secs(6),
        ..cost(100, 1, now)
    };
    lanes
        .enqueue(patient, "in time", later)
        .expect("four seconds are left");
    // What is small does not wait for what is large.
    lanes
        .enqueue(soon(10), "small", now)
        .expect("it has a thread");
}

#[test]
fn idle_work_begins_only_when_nothing_else_waits_or_runs() {
    let now = Instant::now();
    let mut lanes = lanes(1, 10, 100, now);
    lanes.enqueue(idle(10, now), "idle", now).expect("room");
    lanes
        .enqueue(cost(500, 1, now), "large", now)
        .expect("room");
    assert_eq!(lanes.start(Worker::Idle, now), None);
    let (large, _) = lanes.start(Worker::Regular, now).expect("it fits");
    assert_eq!(lanes.start(Worker::Idle, now), None);
    lanes.finish(large);
    assert_eq!(name_of(lanes.start(Worker::Idle, now)), Some("idle"));
    // It takes nobody's place.
    lanes
        .enqueue(cost(500, 1, now), "large", now)
        .expect("room");
    assert_eq!(name_of(lanes.start(Worker::Regular, now)), Some("large"));
}

#[test]
fn idle_work_has_places_and_memory_of_its_own() {
    let now = Instant::now();
    let mut lanes = lanes(4, 0, 100, now);
    let refused = Err((Rejection::Idle, Duration::ZERO));
    for _ in 0..MAX_BACKGROUND_QUEUE {
        lanes.enqueue(idle(30, now), "idle", now).expect("room");
    }
    assert_eq!(lanes.enqueue(idle(1, now), "one more", now), refused);
    let (first, _) = lanes.start(Worker::Idle, now).expect("it fits");
    assert_eq!(lanes.start(Worker::Idle, now), None, "half stays free");
    lanes.finish(first);
    assert!(lanes.start(Worker::Idle, now).is_some());
}

#[test]
fn idle_work_that_needs_more_than_half_of_the_memory_runs_while_nothing_else_does() {
    let now = Instant::now();
    let mut lanes = lanes(3, 10, 100, now);
    for (bytes, name) in [(20, "small"), (70, "large"), (20, "next")] {
        lanes.enqueue(idle(bytes, now), name, now).expect("room");
    }
    let (small, _) = lanes.start(Worker::Idle, now).expect("it fits");
    assert_eq!(
        lanes.start(Worker::Idle, now),
        None,
        "it would be 90 of 100"
    );
    lanes
        .enqueue(cost(500, 10, now), "client", now)
        .expect("room");
    let (client, _) = lanes.start(Worker::Regular, now).expect("it fits");
    lanes.finish(small);
    assert_eq!(lanes.start(Worker::Idle, now), None, "a client has a job");
    lanes.finish(client);
    let (large, name) = lanes.start(Worker::Idle, now).expect("it is alone");
    assert_eq!((name, lanes.reserved()), ("large", 70));
    assert_eq!(lanes.start(Worker::Idle, now), None, "half is exceeded");
    // What a client wants beside it has the rest.
    lanes
        .enqueue(cost(500, 30, now), "client", now)
        .expect("room");
    assert_eq!(name_of(lanes.start(Worker::Regular, now)), Some("client"));
    lanes.finish(large);
    assert_eq!(
        lanes.start(Worker::Idle, now).map(|(_, name)| name),
        Some("next")
    );
    // Beyond the budget, the estimate of what is alone is no reason to wait for ever.
    let mut lanes = Lanes::new(1, 10, 100, Share::new(10, 1, now));
    lanes.enqueue(idle(1000, now), "huge", now).expect("room");
    assert_eq!(name_of(lanes.start(Worker::Idle, now)), Some("huge"));
    // The share of a busy server has no such time.
    let share = Cost {
        priority: Priority::Share,
        ..idle(51, now)
    };
    let refused = Err((Rejection::Idle, Duration::ZERO));
    assert_eq!(lanes.enqueue(share, "share", now), refused);
}

#[test]
fn a_client_waits_for_the_memory_of_idle_work_and_is_told_how_long() {
    let now = Instant::now();
    let mut lanes = Lanes::new(1, 10, 100, Share::new(10, 1, now));
    let large = Cost {
        time: 4 * SECOND,
        ..idle(90, now)
    };
    lanes.enqueue(large, "large", now).expect("room");
    let (large, _) = lanes.start(Worker::Idle, now).expect("it is alone");
    let client = |patience| Cost {
        deadline: now + patience,
        ..cost(100, 50, now)
    };
    assert_eq!(
        lanes.enqueue(client(3 * SECOND), "client", now),
        Err((Rejection::Wait(Lane::Normal), 4 * SECOND))
    );
    lanes
        .enqueue(client(5 * SECOND), "client", now)
        .expect("it waits");
    assert_eq!(lanes.start(Worker::Regular, now), None);
    lanes.finish(large);
    assert_eq!(name_of(lanes.start(Worker::Regular, now)), Some("client"));
}

#[test]
fn what_leaves_takes_nothing_with_it() {
    let now = Instant::now();
    let mut lanes = lanes(1, 1, 100, now);
    lanes
        .enqueue(cost(500, 50, now), "running", now)
        .expect("room");
    let (running, _) = lanes.start(Worker::Regular, now).expect("it fits");
    let waiting = lanes
        .enqueue(cost(500, 50, now), "waiting", now)
        .expect("room");
    let full = lanes.enqueue(cost(500, 50, now), "no place", now);
    assert_eq!(full, Err((Rejection::Queue, Duration::from_secs(1))));
    assert_eq!(lanes.cancel(waiting), Some("waiting"));
    assert_eq!(lanes.cancel(running), None, "what runs, runs on");
    assert_eq!(lanes.count(Lane::Normal).running, 1);
    lanes
        .enqueue(cost(500, 50, now), "next", now)
        .expect("room");
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

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn overdue_work_is_expected_to_go_on_for_as_long_as_it_is_overdue() {
    let now = Instant::now();
    let mut lanes = lanes(1, 10, 100, now);
    lanes
        .enqueue(cost(10_000, 1, now), "slow", now)
        .expect("room");
    lanes.start(Worker::Regular, now).expect("it fits");
    for (spent, left) in [(0, 10), (4, 6), (10, 0), (11, 1), (15, 5), (70, 60)] {
        let later = now + spent * SECOND;
        assert_eq!(wait(&mut lanes, 100, later), left * SECOND, "{spent} s");
    }
    // Half as long again as was thought, and others still wait for it.
    let later = now + 15 * SECOND;
    let patient = |now| Cost {
        deadline: now + MINUTE,
        ..cost(100, 1, now)
    };
    let waits = lanes
        .enqueue(patient(later), "patient", later)
        .expect("room");
    lanes.cancel(waits);
    let later = now + 71 * SECOND;
    assert_eq!(
        lanes.enqueue(patient(later), "patient", later),
        Err((Rejection::Wait(Lane::Normal), 61 * SECOND))
    );
}

#[test]
fn work_past_its_deadline_holds_a_thread_for_nobody_knows_how_long() {
    let now = Instant::now();
    let mut lanes = lanes(2, 10, 100, now);
    let short = |time, now| Cost {
        deadline: now + 10 * SECOND,
        ..cost(time, 40, now)
    };
    lanes.enqueue(short(500, now), "stuck", now).expect("room");
    lanes.enqueue(short(8000, now), "slow", now).expect("room");
    let (stuck, _) = lanes.start(Worker::Regular, now).expect("it fits");
    let (slow, _) = lanes.start(Worker::Regular, now).expect("it fits");
    let later = now + 11 * SECOND;
    // Both are past their deadlines: work is refused at once, however long it could wait.
    let refused = Err((
        Rejection::Wait(Lane::Normal),
        super::admission::UNKNOWN_WAIT,
    ));
    assert_eq!(lanes.enqueue(cost(100, 1, later), "new", later), refused);
    // What is small has a thread of its own.
    let small = lanes.enqueue(cost(1, 1, later), "small", later);
    assert_eq!(lanes.cancel(small.expect("room")), Some("small"));
    // With one thread left, it counts alone.
    lanes.finish(slow);
    for _ in 0..2 {
        lanes
            .enqueue(cost(3000, 10, later), "next", later)
            .expect("a thread is free");
    }
    assert_eq!(wait(&mut lanes, 100, later), 6 * SECOND);
    // Its bytes are not there either.
    assert_eq!(lanes.enqueue(cost(100, 61, later), "large", later), refused);
    lanes.finish(stuck);
    assert_eq!(wait(&mut lanes, 100, later), 3 * SECOND);
}

#[test]
fn stuck_small_work_stops_small_work_only_where_no_other_thread_takes_it() {
    let now = Instant::now();
    let mut lanes = lanes(1, 10, 100, now);
    let small = Cost {
        deadline: now + SECOND,
        ..cost(5, 1, now)
    };
    lanes.enqueue(small, "stuck", now).expect("room");
    lanes.start(Worker::Express, now).expect("it fits");
    let later = now + 2 * SECOND;
    assert_eq!(wait(&mut lanes, 5, later), Duration::ZERO);
    lanes
        .enqueue(cost(4000, 1, later), "large", later)
        .expect("room");
    lanes.start(Worker::Regular, later).expect("it fits");
    assert_eq!(wait(&mut lanes, 5, later), 4 * SECOND);
    let later = later + 11 * MINUTE;
    assert_eq!(
        lanes.enqueue(cost(5, 1, later), "small", later),
        Err((Rejection::Wait(Lane::Fast), super::admission::UNKNOWN_WAIT))
    );
}

#[test]
fn a_wait_for_memory_is_part_of_the_wait() {
    let now = Instant::now();
    let mut lanes = lanes(4, 10, 100, now);
    for name in ["first", "second"] {
        lanes.enqueue(cost(5000, 60, now), name, now).expect("room");
    }
    lanes.start(Worker::Regular, now).expect("it fits");
    assert_eq!(lanes.start(Worker::Regular, now), None);
    // It stands behind the second one, which fits when the first has ended.
    assert_eq!(wait(&mut lanes, 100, now), 5 * SECOND);
}

fn share(millis: u64, bytes: u64, now: Instant) -> Cost {
    Cost {
        priority: Priority::Share,
        ..cost(millis, bytes, now)
    }
}

#[test]
fn the_share_is_a_tenth_of_the_time_of_busy_workers() {
    let begun = Instant::now();
    let mut lanes = lanes(2, 100, 100, begun);
    for _ in 0..2 {
        lanes
            .enqueue(cost(500, 1, begun), "large", begun)
            .expect("room");
        lanes.start(Worker::Regular, begun).expect("it fits");
    }
    let (mut now, mut spent) = (begun, Duration::ZERO);
    while now < begun + 5 * MINUTE {
        now += Duration::from_millis(100);
        if lanes.has_share(now) {
            lanes
                .enqueue(share(1000, 1, now), "upgrade", now)
                .expect("room");
            let (id, _) = lanes.start(Worker::Share, now).expect("it may start");
            assert!(!lanes.has_share(now), "its estimate is spent");
            // It takes twice its estimate.
            now += 2 * SECOND;
            spent += 2 * SECOND;
            lanes.correct_time(id, 2 * SECOND);
            lanes.finish(id);
        }
    }
    assert!(spent.abs_diff(MINUTE) <= 2 * SECOND, "{spent:?}");
}

#[test]
fn the_share_of_a_quiet_time_is_bounded() {
    let now = Instant::now();
    let mut lanes = lanes(2, 100, 100, now);
    let later = now + 60 * MINUTE;
    let mut started = 0;
    while lanes.has_share(later) {
        lanes
            .enqueue(share(100, 1, later), "upgrade", later)
            .expect("room");
        let (id, _) = lanes.start(Worker::Share, later).expect("it may start");
        lanes.finish(id);
        started += 1;
    }
    assert!(
        (20..=21).contains(&started),
        "{started}: two seconds in all"
    );
    lanes
        .enqueue(share(100, 1, later), "upgrade", later)
        .expect("room");
    assert_eq!(lanes.start(Worker::Share, later), None);
    let delay = lanes
        .share_opens_after(later)
        .expect("it waits for time alone");
    assert!(delay <= SECOND, "{delay:?}");
    assert!(lanes.start(Worker::Share, later + delay).is_some());
}

#[test]
fn without_a_share_nothing_starts_while_workers_are_busy() {
    let now = Instant::now();
    let mut lanes = Lanes::<&str>::new(2, 100, 100, Share::new(0, 2, now));
    assert_eq!(lanes.share_threads(), 0);
    assert!(!lanes.has_share(now + MINUTE));
}

#[test]
fn work_of_the_share_leaves_half_of_the_memory_and_delays_nobody() {
    let now = Instant::now();
    let mut lanes = lanes(1, 10, 100, now);
    let later = now + MINUTE;
    let refused = Err((Rejection::Idle, Duration::ZERO));
    assert_eq!(lanes.enqueue(share(1, 51, later), "large", later), refused);
    lanes.enqueue(idle(30, later), "idle", later).expect("room");
    let (idle, _) = lanes.start(Worker::Idle, later).expect("it fits");
    lanes
        .enqueue(share(1, 30, later), "upgrade", later)
        .expect("room");
    assert_eq!(lanes.start(Worker::Share, later), None, "half stays free");
    lanes.finish(idle);
    assert!(lanes.start(Worker::Share, later).is_some());
    assert_eq!(wait(&mut lanes, 100, later), Duration::ZERO);
    lanes
        .enqueue(cost(500, 1, later), "large", later)
        .expect("room");
    assert_eq!(name_of(lanes.start(Worker::Regular, later)), Some("large"));
}

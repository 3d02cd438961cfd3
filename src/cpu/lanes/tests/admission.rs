//! Which jobs may wait, and what is told to the others.

use std::time::{Duration, Instant};

use super::{MINUTE, SECOND, cost, idle, lanes, name_of, wait};
use crate::cpu::lanes::admission::UNKNOWN_WAIT;
use crate::cpu::lanes::{Cost, Lane, Lanes, Rejection, Share, Worker};

#[test]
fn work_that_would_begin_too_late_is_refused_with_the_wait() {
    let now = Instant::now();
    let mut lanes = lanes(2, 100, 100, now);
    let soon = |millis| Cost {
        deadline: now + Duration::from_secs(5),
        ..cost(millis, 1, now)
    };
    for _ in 0..2 {
        let long = Cost {
            deadline: now + Duration::from_secs(10),
            ..cost(8000, 1, now)
        };
        lanes
            .enqueue(long, "running", now)
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
    let refused = Err((Rejection::Wait(Lane::Normal), UNKNOWN_WAIT));
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
        Err((Rejection::Wait(Lane::Fast), UNKNOWN_WAIT))
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

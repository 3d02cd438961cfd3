//! Which job starts next.

use std::time::{Duration, Instant};

use super::{cost, idle, lanes, name_of};
use crate::cpu::Priority;
use crate::cpu::lanes::{
    Cost, Lanes, MAX_BACKGROUND_QUEUE, Rejection, STARVATION_LIMIT, Share, Worker,
};

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

//! The share of busy workers that upgrades get.

use std::time::{Duration, Instant};

use super::{MINUTE, SECOND, cost, idle, lanes, name_of, wait};
use crate::cpu::Priority;
use crate::cpu::lanes::{Cost, Lanes, Rejection, Share, Worker};

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

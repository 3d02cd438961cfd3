use std::time::{Duration, Instant};

use super::HALF_LIFE;
use super::MAX_WAITING;
use super::QueueChange;
use super::RenditionKey;
use super::UpgradeQueue;

const NOTHING: QueueChange = QueueChange {
    dropped: 0,
    is_unserved: false,
};

fn key(number: usize) -> RenditionKey {
    RenditionKey::numbered(u64::try_from(number).expect("small"))
}

/// A queue whose upgrades are numbers.
fn queue() -> UpgradeQueue<usize> {
    UpgradeQueue::new(1)
}

#[test]
fn what_is_asked_for_most_is_first() {
    let (queue, now) = (queue(), Instant::now());
    for number in [1, 2, 3, 2, 3, 2] {
        queue.note(key(number), now, || number);
    }
    let order: Vec<usize> = std::iter::from_fn(|| queue.take())
        .map(|(_, number)| number)
        .collect();
    assert_eq!(order, [2, 3, 1]);
}

#[test]
fn one_task_serves_the_queue_until_it_is_empty() {
    let (queue, now) = (queue(), Instant::now());
    assert!(queue.note(key(1), now, || 1).is_unserved);
    assert_eq!(queue.note(key(2), now, || 2), NOTHING);
    queue.take().expect("two wait");
    assert_eq!(queue.clean(now), (0, true));
    queue.take().expect("one waits");
    assert_eq!(queue.clean(now), (0, false));
    assert!(queue.note(key(3), now, || 3).is_unserved);
}

#[test]
fn what_nobody_asks_for_leaves() {
    let (queue, now) = (queue(), Instant::now());
    for number in [1, 2, 2, 2, 2] {
        queue.note(key(number), now, || number);
    }
    let later = |half_lives| now + half_lives * HALF_LIFE;
    assert_eq!(queue.clean(later(1) - Duration::from_millis(1)), (0, true));
    assert_eq!(queue.clean(later(1)), (1, true));
    let noted = queue.note(key(3), later(3), || 3);
    let expected = QueueChange {
        dropped: 1,
        ..NOTHING
    };
    assert_eq!(noted, expected);
    assert_eq!(queue.clean(later(1000)), (1, false));
}

#[test]
fn a_crowd_of_rare_requests_hides_no_frequent_one() {
    let (queue, now) = (queue(), Instant::now());
    // Every tenth request is for the same rendition, and no other is asked for twice.
    let numbers = (1..20 * MAX_WAITING).map(|number| if number % 10 == 0 { 0 } else { number });
    for number in numbers {
        queue.note(key(number), now, || number);
    }
    assert!(queue.lock().waiting.len() <= MAX_WAITING);
    assert_eq!(queue.take().map(|(_, number)| number), Some(0));
}

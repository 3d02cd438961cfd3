//! Random histories, checked by a model of the allowed answers.
//!
//! The model knows the whole history of each origin: its states, and when it failed. It does not predict what the cache does. It checks each answer:
//! how long ago its content was the current state, whether it was purged since, whether the origin could be asked. So it needs no knowledge of tiers,
//! flights and files, and finds every fault in them that leads to a wrong answer.
//!
//! There may be two caches that share a bucket: each learns of the purges of the other before it is asked again.

mod life;
mod world;

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_oneof;
use proptest::proptest;
use proptest::test_runner::TestCaseError;

use self::life::Health;
use self::world::World;
use crate::cache::tests::bucket::TestBucket;

const SOURCES: u64 = 3;
const HOUR: u64 = 60 * 60;

#[derive(Clone, Debug)]
enum Step {
    /// Ask one cache for a rendition of a source.
    Ask(u64, usize),
    /// The source changes.
    Change(u64),
    Health(u64, Health),
    /// From now on the origin allows its source to be stored, or does not.
    Storable(u64, bool),
    /// So many seconds pass.
    Pass(u64),
    Purge(Aim, bool, usize),
    Restart(usize),
    /// The process is killed.
    Kill(usize),
    /// The memory tier is cleared.
    Forget,
    /// Some files on disk are deleted or damaged.
    Damage(u8),
}

#[derive(Clone, Copy, Debug)]
enum Aim {
    Source(u64),
    Prefix,
    Everything,
}

fn step(caches: usize) -> impl Strategy<Value = Step> {
    let (source, who) = (1..=SOURCES, 0..caches);
    let health = prop_oneof![
        3 => Just(Health::Up),
        2 => Just(Health::Down),
        1 => Just(Health::Gone),
    ];
    let pass = prop_oneof![
        Just(1),
        Just(4),
        Just(20),
        Just(HOUR / 2),
        Just(HOUR),
        Just(3 * HOUR)
    ];
    let aim = prop_oneof![
        4 => source.clone().prop_map(Aim::Source),
        1 => Just(Aim::Prefix),
        1 => Just(Aim::Everything),
    ];
    prop_oneof![
        12 => (source.clone(), who.clone()).prop_map(|(source, who)| Step::Ask(source, who)),
        3 => source.clone().prop_map(Step::Change),
        3 => (source.clone(), health).prop_map(|(source, health)| Step::Health(source, health)),
        2 => (source, any::<bool>()).prop_map(|(source, may_be)| Step::Storable(source, may_be)),
        4 => pass.prop_map(Step::Pass),
        2 => (aim, any::<bool>(), who.clone()).prop_map(|(aim, soft, who)| Step::Purge(aim, soft, who)),
        1 => who.clone().prop_map(Step::Restart),
        1 => who.prop_map(Step::Kill),
        1 => Just(Step::Forget),
        1 => any::<u8>().prop_map(Step::Damage),
    ]
}

fn check(steps: &[Step], is_shared: bool) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bucket = if is_shared {
            Some(TestBucket::start().await)
        } else {
            None
        };
        let mut world = World::new(bucket).await;
        for step in steps {
            world.told.push_str(&format!("{} s: {step:?}\n", world.now));
            if let Err(wrong) = world.step(step).await {
                return Err(TestCaseError::fail(format!(
                    "{wrong}, after\n{}",
                    world.told
                )));
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 200,
        max_shrink_iters: 2000,
        ..proptest::test_runner::Config::default()
    })]
    #[test]
    fn no_history_leads_to_a_wrong_answer(steps in vec(step(1), 1..60)) {
        check(&steps, false)?;
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config {
        cases: 10,
        max_shrink_iters: 100,
        ..proptest::test_runner::Config::default()
    })]
    #[test]
    fn no_history_of_two_replicas_leads_to_a_wrong_answer(steps in vec(step(2), 1..40)) {
        check(&steps, true)?;
    }
}

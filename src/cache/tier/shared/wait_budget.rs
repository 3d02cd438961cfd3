//! How long one request waits for the tier that replicas share: for all its reads together no longer than one read may take, so that a slow bucket
//! never makes a miss slower than a render by more than that.
//!
//! WaitBudget goes with a task instead of through every signature: between the request and the read lie flights, renders and looks that know nothing
//! of a bucket. A flight takes that of whoever started it. Whoever joins it lends it no more than is left of their own, and has spent what the
//! flight spends meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio::time::sleep;

tokio::task_local! {
    /// Of the request that a task works for; `None` where nothing is shared.
    static CURRENT: Option<WaitBudget>;
}

/// Longer than any read may take: what nobody waits for.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub(crate) struct WaitBudget(Arc<Inner>);

struct Inner {
    account: Mutex<Balance>,
    shortened: Notify,
}

struct Balance {
    limit: Duration,
    /// By reads that have ended, and until the last change of their number by those that have not.
    spent: Duration,
    /// How many are waited for. What several take at once is spent once.
    reads: u32,
    since: Instant,
}

impl Balance {
    fn settle(&mut self) {
        let now = Instant::now();
        if self.reads > 0 {
            self.spent += now.duration_since(self.since);
        }
        self.since = now;
    }

    fn left(&self) -> Duration {
        self.limit.saturating_sub(self.spent)
    }
}

/// One read is waited for, until this is dropped.
struct ReadTimer<'a>(&'a WaitBudget);

impl<'a> ReadTimer<'a> {
    fn of(wait_budget: &'a WaitBudget) -> Self {
        wait_budget.settled().reads += 1;
        ReadTimer(wait_budget)
    }
}

impl Drop for ReadTimer<'_> {
    fn drop(&mut self) {
        self.0.settled().reads -= 1;
    }
}

impl WaitBudget {
    pub(crate) fn new(limit: Duration) -> Self {
        WaitBudget(Arc::new(Inner {
            account: Mutex::new(Balance {
                limit,
                spent: Duration::ZERO,
                reads: 0,
                since: Instant::now(),
            }),
            shortened: Notify::new(),
        }))
    }

    /// That of work for which nobody waits, or not yet.
    pub(crate) fn unlimited() -> Self {
        WaitBudget::new(ENDLESS)
    }

    /// That of the request for which the current task works.
    pub(crate) fn current() -> Self {
        let current = CURRENT.try_with(Clone::clone).ok().flatten();
        current.unwrap_or_else(WaitBudget::unlimited)
    }

    /// Does `work` with this wait_budget, where there is any to have.
    pub(crate) fn scope<F: Future>(
        wait_budget: Option<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> {
        CURRENT.scope(wait_budget, work)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.settled().left().is_zero()
    }

    /// Waits for `read` as long as there is wait_budget, and for no longer than `most`.
    pub(crate) async fn wait<T>(&self, most: Duration, read: impl Future<Output = T>) -> Option<T> {
        let _reading = ReadTimer::of(self);
        let begun = Instant::now();
        let mut read = pin!(read);
        loop {
            let mut shortened = pin!(self.0.shortened.notified());
            // Before the look at what is left, so that no change is missed.
            shortened.as_mut().enable();
            let left = self.settled().left();
            let left = left.min(most.saturating_sub(begun.elapsed()));
            tokio::select! {
                biased;
                done = &mut read => return Some(done),
                () = sleep(left) => return None,
                () = shortened => {}
            }
        }
    }

    /// Waits for a flight that others began, with the wait_budget of `flight`.
    pub(crate) async fn join<T>(&self, flight: &WaitBudget, landing: impl Future<Output = T>) -> T {
        let before = flight.shorten(self.settled().left());
        let landing = landing.await;
        let spent = flight.settled().spent.saturating_sub(before);
        self.settled().spent += spent;
        landing
    }

    /// Leaves no more than `most`; says what was spent until now.
    fn shorten(&self, most: Duration) -> Duration {
        let mut account = self.settled();
        if account.left() > most {
            account.limit = account.spent.saturating_add(most);
            self.0.shortened.notify_waiters();
        }
        account.spent
    }

    /// The account as it stands now.
    fn settled(&self) -> MutexGuard<'_, Balance> {
        let mut account = self
            .0
            .account
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        account.settle();
        account
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;
    use std::time::Duration;

    use tokio::time::Instant;
    use tokio::time::sleep;

    use super::WaitBudget;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn reads_one_after_the_other_spend_one_patience() {
        let (wait_budget, begun) = (WaitBudget::new(millis(300)), Instant::now());
        assert_eq!(wait_budget.wait(LONG, sleep(millis(100))).await, Some(()));
        // What is no read is not spent.
        sleep(millis(1000)).await;
        assert_eq!(wait_budget.wait(LONG, sleep(millis(100))).await, Some(()));
        assert_eq!(wait_budget.wait(LONG, sleep(millis(150))).await, None);
        assert!(wait_budget.is_spent());
        assert_eq!(wait_budget.wait(LONG, pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), millis(1300));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_at_once_spend_their_time_once() {
        let wait_budget = WaitBudget::new(millis(300));
        let (one, other) = tokio::join!(
            wait_budget.wait(LONG, sleep(millis(200))),
            wait_budget.wait(LONG, sleep(millis(250))),
        );
        assert!(one.is_some() && other.is_some());
        let begun = Instant::now();
        let (one, other) = tokio::join!(
            wait_budget.wait(LONG, pending::<()>()),
            wait_budget.wait(LONG, pending::<()>()),
        );
        assert!(one.is_none() && other.is_none());
        assert_eq!(begun.elapsed(), millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn one_read_takes_no_more_than_it_may() {
        let (wait_budget, begun) = (WaitBudget::unlimited(), Instant::now());
        for _ in 0..5 {
            assert_eq!(wait_budget.wait(millis(300), pending::<()>()).await, None);
        }
        assert_eq!(begun.elapsed(), millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_is_dropped_spends_no_more() {
        let wait_budget = WaitBudget::new(millis(300));
        let read = wait_budget.wait(LONG, pending::<()>());
        assert!(tokio::time::timeout(millis(100), read).await.is_err());
        sleep(LONG).await;
        assert_eq!(wait_budget.wait(LONG, sleep(millis(190))).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_joins_a_flight_spends_what_it_spends() {
        let (flight, joining) = (WaitBudget::new(millis(300)), WaitBudget::new(millis(300)));
        let read = flight.wait(LONG, pending::<()>());
        let landing = async {
            sleep(millis(100)).await;
            joining.join(&flight, sleep(millis(900))).await;
        };
        assert_eq!(tokio::join!(read, landing), (None, ()));
        let begun = Instant::now();
        assert_eq!(joining.wait(LONG, pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_flight_waits_no_longer_than_whoever_joins_it() {
        for flight in [WaitBudget::new(millis(300)), WaitBudget::unlimited()] {
            let (joining, begun) = (WaitBudget::new(millis(50)), Instant::now());
            let read = async {
                assert_eq!(flight.wait(LONG, pending::<()>()).await, None);
                begun.elapsed()
            };
            let landing = joining.join(&flight, ready(()));
            assert_eq!(tokio::join!(read, landing), (millis(50), ()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_goes_with_the_task() {
        let wait_budget = WaitBudget::new(millis(300));
        let work = async {
            let current = WaitBudget::current();
            current.wait(LONG, sleep(millis(200))).await
        };
        assert!(
            WaitBudget::scope(Some(wait_budget.clone()), work)
                .await
                .is_some()
        );
        assert_eq!(wait_budget.wait(LONG, sleep(millis(200))).await, None);
    }
}

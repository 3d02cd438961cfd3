//! The wait budget of a request: all its reads of the shared tier together wait no longer than one read may take. So a slow bucket delays a miss by
//! no more than that.
//!
//! The budget belongs to a task and is not passed as an argument, because the functions between the request and the read (flights, renders) have
//! nothing to do with a bucket. A flight uses the budget of the request that started it. A request that joins the flight limits the flight to what is
//! left of its own budget, and pays for the time that the flight waits meanwhile.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

tokio::task_local! {
    /// The budget of the request that a task works for; `None` without a shared tier.
    static CURRENT: Option<WaitBudget>;
}

/// Longer than any read: for work that nobody waits for.
const ENDLESS: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone)]
pub(crate) struct WaitBudget(Arc<Account>);

struct Account {
    balance: Mutex<Balance>,
    shortened: Notify,
}

struct Balance {
    limit: Duration,
    /// The time of all reads that have ended, and that of the others until the last change of their number.
    spent: Duration,
    /// The number of reads under way. Time that several reads wait at once is counted once.
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

/// A read under way, until this is dropped.
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
        WaitBudget(Arc::new(Account {
            balance: Mutex::new(Balance {
                limit,
                spent: Duration::ZERO,
                reads: 0,
                since: Instant::now(),
            }),
            shortened: Notify::new(),
        }))
    }

    /// A budget for work that nobody waits for.
    pub(crate) fn unlimited() -> Self {
        WaitBudget::new(ENDLESS)
    }

    /// The budget of the request that the current task works for.
    pub(crate) fn current() -> Self {
        let current = CURRENT.try_with(Clone::clone).ok().flatten();
        current.unwrap_or_else(WaitBudget::unlimited)
    }

    /// Does `work` with this budget, if there is one.
    pub(crate) fn scope<F: Future>(
        wait_budget: Option<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> {
        CURRENT.scope(wait_budget, work)
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.settled().left().is_zero()
    }

    /// Waits for `read` until the budget is spent, and for no longer than `max`.
    pub(crate) async fn wait<T>(&self, max: Duration, read: impl Future<Output = T>) -> Option<T> {
        let _reading = ReadTimer::of(self);
        let started = Instant::now();
        let mut read = pin!(read);
        loop {
            let mut shortened = pin!(self.0.shortened.notified());
            // Enabled before the budget is read, so that no change is missed.
            shortened.as_mut().enable();
            let left = self.settled().left();
            let left = left.min(max.saturating_sub(started.elapsed()));
            tokio::select! {
                biased;
                done = &mut read => return Some(done),
                () = sleep(left) => return None,
                () = shortened => {}
            }
        }
    }

    /// Waits for the result of a flight that another request started with the budget `flight`.
    pub(crate) async fn join<T>(&self, flight: &WaitBudget, work: impl Future<Output = T>) -> T {
        let before = flight.shorten(self.settled().left());
        let work = work.await;
        let spent = flight.settled().spent.saturating_sub(before);
        self.settled().spent += spent;
        work
    }

    /// Leaves no more than `max` of the budget, and returns what is spent until now.
    fn shorten(&self, max: Duration) -> Duration {
        let mut balance = self.settled();
        if balance.left() > max {
            balance.limit = balance.spent.saturating_add(max);
            self.0.shortened.notify_waiters();
        }
        balance.spent
    }

    /// The balance at this moment.
    fn settled(&self) -> MutexGuard<'_, Balance> {
        let mut balance = self
            .0
            .balance
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        balance.settle();
        balance
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::WaitBudget;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn reads_in_a_row_share_one_budget() {
        let (wait_budget, started) = (WaitBudget::new(millis(300)), Instant::now());
        assert_eq!(wait_budget.wait(LONG, sleep(millis(100))).await, Some(()));
        // Only reads spend the budget.
        sleep(millis(1000)).await;
        assert_eq!(wait_budget.wait(LONG, sleep(millis(100))).await, Some(()));
        assert_eq!(wait_budget.wait(LONG, sleep(millis(150))).await, None);
        assert!(wait_budget.is_spent());
        assert_eq!(wait_budget.wait(LONG, pending::<()>()).await, None);
        assert_eq!(started.elapsed(), millis(1300));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_at_the_same_time_are_counted_once() {
        let wait_budget = WaitBudget::new(millis(300));
        let (one, other) = tokio::join!(
            wait_budget.wait(LONG, sleep(millis(200))),
            wait_budget.wait(LONG, sleep(millis(250))),
        );
        assert!(one.is_some() && other.is_some());
        let started = Instant::now();
        let (one, other) = tokio::join!(
            wait_budget.wait(LONG, pending::<()>()),
            wait_budget.wait(LONG, pending::<()>()),
        );
        assert!(one.is_none() && other.is_none());
        assert_eq!(started.elapsed(), millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn one_read_takes_no_longer_than_its_limit() {
        let (wait_budget, started) = (WaitBudget::unlimited(), Instant::now());
        for _ in 0..5 {
            assert_eq!(wait_budget.wait(millis(300), pending::<()>()).await, None);
        }
        assert_eq!(started.elapsed(), millis(1500));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_read_spends_no_more() {
        let wait_budget = WaitBudget::new(millis(300));
        let read = wait_budget.wait(LONG, pending::<()>());
        assert!(tokio::time::timeout(millis(100), read).await.is_err());
        sleep(LONG).await;
        assert_eq!(wait_budget.wait(LONG, sleep(millis(190))).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn joining_a_flight_spends_what_the_flight_spends() {
        let (flight, joining) = (WaitBudget::new(millis(300)), WaitBudget::new(millis(300)));
        let read = flight.wait(LONG, pending::<()>());
        let work = async {
            sleep(millis(100)).await;
            joining.join(&flight, sleep(millis(900))).await;
        };
        assert_eq!(tokio::join!(read, work), (None, ()));
        let started = Instant::now();
        assert_eq!(joining.wait(LONG, pending::<()>()).await, None);
        assert_eq!(started.elapsed(), millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn joining_a_flight_limits_the_flight() {
        for flight in [WaitBudget::new(millis(300)), WaitBudget::unlimited()] {
            let (joining, started) = (WaitBudget::new(millis(50)), Instant::now());
            let read = async {
                assert_eq!(flight.wait(LONG, pending::<()>()).await, None);
                started.elapsed()
            };
            let work = joining.join(&flight, ready(()));
            assert_eq!(tokio::join!(read, work), (millis(50), ()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_belongs_to_the_task() {
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

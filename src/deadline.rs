//! The deadline of a piece of work: set once, passed on, and exceeded with an error that names the stage.

use std::fmt;
use std::time::Duration;

use futures_util::TryFutureExt as _;
use tokio::time::{Instant, timeout_at};

/// A point in time after which a result is of no use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Instant);

/// The stages of a render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The source is fetched.
    Fetch,
    /// The render waits for a worker, and runs.
    Render,
}

/// The deadline passed during this stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeout<S = Stage>(pub S);

impl Deadline {
    /// A deadline in so much time.
    pub(crate) fn after(time: Duration) -> Self {
        Deadline(Instant::now() + time)
    }

    /// A deadline so much time after `start`.
    pub(crate) fn since(start: std::time::Instant, time: Duration) -> Self {
        Deadline(Instant::from_std(start) + time)
    }

    /// This deadline, or one in so much time, whichever comes first.
    pub(crate) fn within(self, time: Duration) -> Self {
        Deadline(self.0.min(Instant::now() + time))
    }

    /// The point in time.
    pub(crate) fn instant(self) -> std::time::Instant {
        self.0.into_std()
    }

    /// Whether the deadline has passed.
    pub(crate) fn has_passed(self) -> bool {
        Instant::now() >= self.0
    }

    /// Waits for `work` until the deadline; then drops it.
    ///
    /// # Errors
    /// [`Timeout`] names `stage`.
    pub(crate) fn bound<S, F: Future>(
        self,
        stage: S,
        work: F,
    ) -> impl Future<Output = Result<F::Output, Timeout<S>>> {
        // As an `async fn` it would hold `work` twice.
        timeout_at(self.0, work).map_err(|_| Timeout(stage))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Stage::Fetch => out.write_str("the source did not arrive in time"),
            Stage::Render => out.write_str("the transformation did not end in time"),
        }
    }
}

impl std::error::Error for Timeout {}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::Deadline;
    use super::Stage;
    use super::Timeout;

    #[tokio::test(start_paused = true)]
    async fn a_timeout_names_its_stage() {
        let deadline = Deadline::after(Duration::from_millis(20));
        assert_eq!(deadline.bound(Stage::Fetch, ready(7)).await, Ok(7));
        assert_eq!(
            deadline.bound(Stage::Render, pending::<()>()).await,
            Err(Timeout(Stage::Render))
        );
        assert!(deadline.has_passed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_deadlines_counts() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(9));
        for deadline in [
            Deadline::after(long).within(short),
            Deadline::after(short).within(long),
        ] {
            let start = tokio::time::Instant::now();
            let waited = deadline.bound(Stage::Fetch, pending::<()>()).await;
            assert_eq!(waited, Err(Timeout(Stage::Fetch)));
            assert!(start.elapsed() < Duration::from_secs(2));
        }
    }
}

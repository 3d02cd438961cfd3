//! A request's one clock: set once, passed on, and naming the stage that spent it.

use std::fmt;
use std::time::Duration;
use std::time::Instant;

use tokio::time::timeout_at;

/// A point in time by which an answer is of use.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The source.
    Fetch,
    /// A place at a processor, and the transformation itself.
    Render,
}

/// The deadline passed during a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut(pub Stage);

impl Deadline {
    /// A deadline that lies ahead by `time`.
    pub fn after(time: Duration) -> Self {
        Self::since(Instant::now(), time)
    }

    /// A deadline that lay ahead by `time` at `start`.
    pub fn since(start: Instant, time: Duration) -> Self {
        Deadline(start + time)
    }

    /// The point in time.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Waits for `work` until the deadline; then drops it.
    ///
    /// # Errors
    /// [`TimedOut`] names `stage`.
    pub async fn bound<T>(
        self,
        stage: Stage,
        work: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        timeout_at(self.0.into(), work)
            .await
            .map_err(|_| TimedOut(stage))
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Stage::Fetch => out.write_str("the source did not arrive in time"),
            Stage::Render => out.write_str("the transformation did not end in time"),
        }
    }
}

impl std::error::Error for TimedOut {}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;
    use std::time::Duration;

    use super::Deadline;
    use super::Stage;
    use super::TimedOut;

    #[tokio::test(start_paused = true)]
    async fn a_timeout_names_its_stage() {
        let deadline = Deadline::after(Duration::from_millis(20));
        assert_eq!(deadline.bound(Stage::Fetch, ready(7)).await, Ok(7));
        assert_eq!(
            deadline.bound(Stage::Render, pending::<()>()).await,
            Err(TimedOut(Stage::Render))
        );
    }
}

//! One fetch has one end, whatever its stages may take each.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::timeout_at;

use super::FetchStage;
use super::SourceError;

/// When a whole fetch must be over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn starting_now(total: Duration) -> Self {
        Clock(Instant::now() + total)
    }

    /// Waits for `work`, at most `patience` and never past the end. The error names the stage that was waited for.
    pub(super) async fn bound<T>(
        self,
        stage: FetchStage,
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, SourceError> {
        let end = self.0.min(Instant::now() + patience);
        timeout_at(end, work)
            .await
            .map_err(|_| SourceError::Timeout(stage))
    }

    /// Whether the end has come.
    pub(super) fn is_over(self) -> bool {
        Instant::now() >= self.0
    }

    /// Waits for `work` until the end.
    pub(super) async fn bound_by_end<T>(
        self,
        stage: FetchStage,
        work: impl Future<Output = T>,
    ) -> Result<T, SourceError> {
        timeout_at(self.0, work)
            .await
            .map_err(|_| SourceError::Timeout(stage))
    }
}

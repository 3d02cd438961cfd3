//! The first words with the store. A bucket that does not answer when the server starts keeps nobody from starting: it is asked again until it does,
//! and meanwhile everything about hosted images is refused.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::hosted::error::HostedError;
use crate::hosted::images::Hosted;
use crate::hosted::store::{Objects, OpenError};

/// The longest that a start waits for a bucket.
const START: Duration = Duration::from_secs(10);

impl Hosted {
    /// Whether uploads are sent to a bucket as a whole.
    pub fn is_in_bucket(&self) -> bool {
        matches!(self.objects, Objects::Bucket(_))
    }

    /// Whether the store has been reached since the start.
    pub(super) fn is_open(&self) -> bool {
        self.stats.is_open.load(Ordering::Acquire)
    }

    /// Refuses what needs the store until it has been reached: without its settings nobody knows who may do what.
    ///
    /// # Errors
    /// [`HostedError::Store`].
    pub fn check_open(&self) -> Result<(), HostedError> {
        if self.is_open() {
            return Ok(());
        }
        let reason = self.closed.lock();
        let reason = reason.unwrap_or_else(PoisonError::into_inner);
        Err(HostedError::Store(reason.clone()))
    }

    /// Opens the store, or leaves that for later.
    pub(super) async fn open_at_start(&self) -> Result<(), HostedError> {
        let opened = match tokio::time::timeout(START, self.open_store()).await {
            Ok(opened) => opened,
            Err(_) => {
                let reason = format!("{} does not answer", self.objects.place());
                Err(OpenError::Unreachable(HostedError::Store(reason)))
            }
        };
        match opened {
            Ok(()) => Ok(()),
            Err(OpenError::Refused(error)) => Err(error),
            Err(OpenError::Unreachable(error)) => {
                self.stay_closed(&error);
                Ok(())
            }
        }
    }

    /// Tries again.
    pub(super) async fn open_later(&self) {
        match self.open_store().await {
            Ok(()) => tracing::info!("the store of hosted images answers now"),
            Err(OpenError::Refused(error) | OpenError::Unreachable(error)) => {
                self.stay_closed(&error);
            }
        }
    }

    fn stay_closed(&self, error: &HostedError) {
        tracing::error!(%error, "hosted images cannot be used now, and will be when their store can");
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = error.to_string();
    }

    async fn open_store(&self) -> Result<(), OpenError> {
        self.objects.check(self.config.replicas).await?;
        let read = self.account.refresh(&self.objects).await;
        read.map_err(|error| match &self.objects {
            Objects::Folder(_) => OpenError::Refused(error),
            Objects::Bucket(_) => OpenError::Unreachable(error),
        })?;
        self.stats.is_open.store(true, Ordering::Release);
        self.tell_missing_variants();
        Ok(())
    }

    /// Warns of variants that are to be made ahead and do not exist. They are made as soon as they do.
    fn tell_missing_variants(&self) {
        let settings = self.account.settings();
        let known = || {
            let names: Vec<&str> = settings.variants.keys().map(String::as_str).collect();
            names.join(", ")
        };
        for name in &self.config.eager {
            if !settings.variants.contains_key(name) {
                tracing::warn!(
                    variant = name,
                    known = known(),
                    "`hosted.eager` names a variant that does not exist: it is made ahead once the API has it"
                );
            }
        }
    }
}

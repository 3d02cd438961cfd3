//! Follows what happens to hosted images: what is gone is purged from all caches, and renditions that are to be there ahead of requests are made.

mod eager;
mod walk;

use std::sync::{Arc, Weak};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::AbortHandle;

use crate::cache::{Purge, SourceKey, Target};
use crate::hosted::{DeliveryUrl, Event, Hosted, ImageId, Record};
use crate::operator::purge::host_and_target;
use crate::pipeline::{Pipeline, Scan};
use crate::policy::{Allowlist, ApprovedSource};

/// What the canonical address of an original begins with.
const CANONICAL: &str = "hosted:";

/// The most events that are handled at once.
const BATCH: usize = 100;

impl Pipeline {
    /// Starts to follow hosted images, where there are any, for as long as the pipeline exists. The tasks can be ended before, when another pipeline
    /// follows them.
    pub fn follow_hosted(self: &Arc<Self>) -> Vec<AbortHandle> {
        let Some(hosted) = self.hosted() else {
            return Vec::new();
        };
        let events = hosted.subscribe();
        let mut tasks = vec![tokio::spawn(follow(Arc::downgrade(self), events)).abort_handle()];
        if !hosted.config().eager.is_empty() {
            // Those that were not made when the server was stopped.
            self.eager.scan(Scan::Missing);
            let rendering = eager::keep_rendering(Arc::downgrade(self), Arc::clone(&self.eager));
            tasks.push(tokio::spawn(rendering).abort_handle());
        }
        tasks
    }

    /// Whether a text names a hosted image: `hosted:KEY`, with the key of its original, or a delivery URL.
    pub(super) fn names_hosted(&self, text: &str) -> bool {
        let Some(hosted) = self.hosted() else {
            return false;
        };
        let (host, target) = host_and_target(text);
        let mut hosts = hosted.config().delivery_hosts.iter();
        text.starts_with(CANONICAL)
            || DeliveryUrl::is_path(target)
            || hosts.any(|own| own.eq_ignore_ascii_case(host))
    }

    /// The original of the image that a text names.
    pub(super) async fn hosted_source(&self, text: &str) -> Result<ApprovedSource, String> {
        if let Some(key) = text.strip_prefix(CANONICAL) {
            return Ok(Allowlist::approve_hosted(key, ""));
        }
        let missing = || "must be the delivery URL of a hosted image".to_owned();
        let hosted = self.hosted().ok_or_else(missing)?;
        let (_, target) = host_and_target(text);
        let url = DeliveryUrl::parse(target).map_err(|error| error.to_string())?;
        let id = ImageId::new(&url.id).map_err(|_| missing())?;
        let record = hosted.find(&id).await.map_err(|error| error.to_string())?;
        let original = record.as_ref().and_then(|record| record.original.as_ref());
        let original = original.ok_or_else(missing)?;
        Ok(Allowlist::approve_hosted(&original.key, ""))
    }

    async fn handle(&self, hosted: &Hosted, events: &[Event]) {
        let mut purges = Vec::new();
        for event in events {
            match event {
                Event::Uploaded { record, .. } => self.eager.push(&record.id),
                Event::Replaced { before, record } | Event::Renamed { before, record } => {
                    purges.extend(purge_of(before));
                    self.eager.push(&record.id);
                }
                Event::Deleted { before } => purges.extend(purge_of(before)),
                Event::VariantChanged { name } if hosted.config().eager.contains(name) => {
                    self.eager.scan(Scan::All);
                }
                Event::Updated { .. }
                | Event::Rendered { .. }
                | Event::Failed { .. }
                | Event::VariantChanged { .. } => {}
            }
        }
        let count = purges.len();
        if let Err(error) = self.cache.purge(purges).await {
            tracing::error!(%error, "hosted images that are gone may stay in the caches of other servers");
        }
        for _ in 0..count {
            self.metrics.caches.record_purge("hosted", false);
        }
    }
}

/// Takes the original of a record out of all caches, with everything that was made of it.
fn purge_of(record: &Record) -> Option<Purge> {
    let original = record.original.as_ref()?;
    let source = Allowlist::approve_hosted(&original.key, "");
    Some(Purge {
        target: Target::Source(SourceKey::of(&source)),
        soft: false,
    })
}

async fn follow(pipeline: Weak<Pipeline>, mut events: Receiver<Event>) {
    loop {
        let mut batch = Vec::new();
        let mut has_missed = false;
        match events.recv().await {
            Ok(event) => batch.push(event),
            Err(RecvError::Lagged(_)) => has_missed = true,
            Err(RecvError::Closed) => return,
        }
        while batch.len() < BATCH {
            match events.try_recv() {
                Ok(event) => batch.push(event),
                Err(TryRecvError::Lagged(_)) => has_missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        let Some(hosted) = pipeline.hosted() else {
            return;
        };
        if has_missed {
            pipeline.eager.scan(Scan::All);
        }
        pipeline.handle(hosted, &batch).await;
    }
}

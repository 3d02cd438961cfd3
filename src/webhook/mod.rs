//! Webhooks: tells others what happens to hosted images. A message is written to a file before it is sent, and is sent until its receiver takes it,
//! eight times at most.
//!
//! Never sends to a private address unless the webhook says so, never follows a redirect, and delays no upload unless thousands of events wait for the
//! disk.

mod delivery;
mod error;
mod message;
mod outbox;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver as Events;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::hosted::{Event, Hosted, WebhookConfig};
use crate::pipeline::Pipeline;
use crate::source::GuardedClient;
use crate::telemetry::Metrics;
use delivery::{Receiver, now};
pub use error::WebhookError;
use message::message;
use outbox::Outbox;

/// The webhooks of a server. They stop when it is dropped.
pub struct Webhooks {
    stop: oneshot::Sender<()>,
    listener: JoinHandle<()>,
    receivers: Vec<JoinHandle<()>>,
}

/// Takes events, and writes messages.
struct Listener {
    metrics: Arc<Metrics>,
    hosted: Arc<Hosted>,
    outbox: Outbox,
    hooks: Vec<(WebhookConfig, Arc<Notify>)>,
}

impl Webhooks {
    /// Opens the outbox and begins to deliver, if there are webhooks.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub async fn open(pipeline: &Arc<Pipeline>) -> Result<Option<Self>, WebhookError> {
        let Some(hosted) = pipeline.hosted() else {
            return Ok(None);
        };
        let config = hosted.config();
        if config.webhook.is_empty() {
            return Ok(None);
        }
        let urls = config
            .webhook
            .iter()
            .map(|hook| hook.url.as_str().to_owned());
        let outbox = Outbox::open(&config.index, urls.collect()).await?;
        pipeline
            .metrics()
            .webhooks
            .set_backlog(outbox.count().await?);
        let mut hooks = Vec::new();
        let mut receivers = Vec::new();
        for hook in &config.webhook {
            let wake = Arc::new(Notify::new());
            let receiver = Receiver {
                config: hook.clone(),
                client: GuardedClient::new(hook.private).map_err(WebhookError::Client)?,
                outbox: outbox.clone(),
                wake: Arc::clone(&wake),
                metrics: Arc::clone(pipeline.metrics()),
            };
            hooks.push((hook.clone(), wake));
            receivers.push(tokio::spawn(receiver.run()));
        }
        let listener = Listener {
            metrics: Arc::clone(pipeline.metrics()),
            hosted: Arc::clone(hosted),
            outbox,
            hooks,
        };
        let Some(events) = hosted.subscribe_completely() else {
            return Ok(None);
        };
        let (stop, stopped) = oneshot::channel();
        Ok(Some(Webhooks {
            stop,
            listener: tokio::spawn(listener.run(events, stopped)),
            receivers,
        }))
    }

    /// Writes what has happened to the outbox, for no longer than `within`, and stops.
    pub async fn close(self, within: Duration) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(within, self.listener).await;
        for receiver in &self.receivers {
            receiver.abort();
        }
    }
}

impl Listener {
    async fn run(self, mut events: Events<Event>, mut stopped: oneshot::Receiver<()>) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.take(&event).await,
                    None => return,
                },
                _ = &mut stopped => break,
            }
        }
        while let Ok(event) = events.try_recv() {
            self.take(&event).await;
        }
    }

    async fn take(&self, event: &Event) {
        let Some((kind, body)) = message(&self.hosted, event, now()) else {
            return;
        };
        let hooks = self.hooks.iter();
        let hooks: Vec<_> = hooks
            .filter(|(hook, _)| hook.events.contains(&kind))
            .collect();
        if hooks.is_empty() {
            return;
        }
        let urls = hooks.iter().map(|(hook, _)| hook.url.as_str().to_owned());
        let metrics = &self.metrics.webhooks;
        match self
            .outbox
            .add(urls.collect(), body.to_string(), now())
            .await
        {
            Ok(dropped) => (0..dropped).for_each(|_| metrics.record("dropped")),
            Err(error) => tracing::error!(%error, "a webhook is lost"),
        }
        if let Ok(count) = self.outbox.count().await {
            metrics.set_backlog(count);
        }
        hooks.iter().for_each(|(_, wake)| wake.notify_one());
    }
}

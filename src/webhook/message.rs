//! What a webhook says: the envelope of Cloudflare's notifications.

use serde_json::{Value, json};
use ulid::Ulid;

use crate::api::image_object;
use crate::hosted::{Event, Hosted, Record, WebhookEvent};

/// What is told of an event: its kind, and the body. `None` for what nobody is told of.
pub(super) fn message(hosted: &Hosted, event: &Event, now: u64) -> Option<(WebhookEvent, Value)> {
    let (kind, change, record, before) = match event {
        Event::Uploaded { record, .. } => (WebhookEvent::Uploaded, "uploaded", record, None),
        Event::Updated { before, record } => {
            (WebhookEvent::Updated, "updated", record, Some(before))
        }
        Event::Replaced { before, record } => {
            (WebhookEvent::Updated, "replaced", record, Some(before))
        }
        Event::Renamed { before, record } => {
            (WebhookEvent::Updated, "renamed", record, Some(before))
        }
        Event::Deleted { before } => (WebhookEvent::Deleted, "deleted", before, None),
        Event::Rendered { record } => (WebhookEvent::Ready, "ready", record, None),
        Event::Failed { record, .. } => (WebhookEvent::Failed, "failed", record, None),
        Event::VariantChanged { .. } => return None,
    };
    // Nobody is told of drafts: they are no images yet.
    record.original.as_ref()?;
    let mut data = json!({
        "event": kind.word(),
        "change": change,
        "image": image_object(hosted, record),
    });
    if let Some(before) = before.filter(|before| before.id != record.id) {
        data["previous_id"] = json!(before.id.as_str());
    }
    if let Event::Failed { reason, .. } = event {
        data["error"] = json!({"message": reason});
    }
    Some((kind, envelope(hosted, record, change, data, now)))
}

fn envelope(hosted: &Hosted, record: &Record, change: &str, data: Value, now: u64) -> Value {
    let text = match change {
        "ready" => format!("The variants of image `{}` are ready", record.id),
        "failed" => format!("A variant of image `{}` could not be made", record.id),
        change => format!("Image `{}` was {change}", record.id),
    };
    json!({
        "name": "safelight hosted images",
        "text": text,
        "data": data,
        "ts": now / 1000,
        "account_id": hosted.config().account,
        "policy_id": "hosted.webhook",
        "policy_name": "hosted.webhook",
        "alert_type": format!("image_{change}"),
        // The same for every try, so that a receiver can tell what it has seen.
        "alert_correlation_id": Ulid::generate().to_string(),
        "alert_event": "ALERT_STATE_EVENT_START",
    })
}

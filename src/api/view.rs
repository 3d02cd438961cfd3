//! Images, variants and keys as answers show them.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::api::call::Base;
use crate::hosted::{AccountSettings, Config, Record, Rendition, Variant};

/// What is encoded in the ID of a delivery URL: all but the unreserved characters and slashes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// What is needed to show images.
pub(super) struct View {
    settings: Arc<AccountSettings>,
    /// What delivery URLs begin with, up to the ID.
    delivery: String,
}

impl View {
    pub(super) fn new(config: &Config, settings: Arc<AccountSettings>, base: &Base) -> Self {
        let hash = &config.hash;
        let delivery = match (config.public_url.as_str(), config.delivery_hosts.first()) {
            (None, Some(host)) => format!("https://{host}/{hash}/"),
            _ => format!("{}/cdn-cgi/imagedelivery/{hash}/", base.0),
        };
        View { settings, delivery }
    }

    fn url(&self, record: &Record, variant: &str) -> String {
        let id = utf8_percent_encode(record.id.as_str(), ENCODED);
        format!("{}{id}/{variant}", self.delivery)
    }

    /// An image or a draft.
    pub(super) fn image(&self, record: &Record) -> Value {
        let variants: Vec<_> = self
            .settings
            .variants
            .keys()
            .map(|name| self.url(record, name))
            .collect();
        let mut image = json!({
            "id": record.id.as_str(),
            "filename": record.filename,
            "meta": record.meta,
            "requireSignedURLs": record.require_signed_urls,
            "uploaded": time(record.uploaded),
            "variants": variants,
        });
        if let Some(creator) = &record.creator {
            image["creator"] = json!(creator);
        }
        match &record.original {
            Some(original) => {
                let facts = &original.facts;
                image["safelight"] = json!({
                    "width": facts.width,
                    "height": facts.height,
                    "frames": facts.frames,
                    "format": facts.format,
                    "bytes": original.bytes,
                    "sha256": original.sha256,
                    "thumbhash": facts.thumbhash,
                    "dominant_color": facts.color,
                    "renditions": self.renditions(record),
                });
            }
            None => {
                image["draft"] = json!(true);
                if let Some(expires) = record.expires {
                    image["safelight"] = json!({"expires": time(expires.saturating_mul(1000))});
                }
            }
        }
        image
    }

    fn renditions(&self, record: &Record) -> Vec<Value> {
        let rendition = |rendition: &Rendition| {
            json!({
                "variant": rendition.variant,
                "format": rendition.format,
                "width": rendition.width,
                "height": rendition.height,
                "bytes": rendition.bytes,
                "url": self.url(record, &rendition.variant),
            })
        };
        record.renditions.iter().map(rendition).collect()
    }

    pub(super) fn images(&self, records: &[Arc<Record>]) -> Vec<Value> {
        records.iter().map(|record| self.image(record)).collect()
    }
}

/// A variant. Clients rely on `fit` and `metadata`, so they are told where they are what holds unless a variant says otherwise.
pub(super) fn variant(name: &str, variant: &Variant) -> Value {
    let mut options = variant.options.clone();
    for (option, default) in [("fit", "scale-down"), ("metadata", "copyright")] {
        let value = options.entry(option).or_insert(Value::Null);
        if value.is_null() {
            *value = json!(default);
        }
    }
    json!({
        "id": name,
        "options": options,
        "neverRequireSignedURLs": variant.never_require_signed_urls,
    })
}

/// All variants, by their names.
pub(super) fn variants(settings: &AccountSettings) -> Value {
    let all = settings.variants.iter();
    let all: Map<_, _> = all
        .map(|(name, found)| (name.clone(), variant(name, found)))
        .collect();
    json!({"variants": all})
}

/// All keys.
pub(super) fn keys(settings: &AccountSettings) -> Value {
    let keys = settings.keys.iter();
    let keys: Vec<_> = keys
        .map(|key| json!({"name": key.name, "value": key.value}))
        .collect();
    json!({"keys": keys})
}

/// A time in milliseconds since 1970, as RFC 3339 writes it with three decimals.
pub(super) fn time(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH);
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_have_three_decimals() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(time(u64::MAX), "1970-01-01T00:00:00.000Z");
    }
}

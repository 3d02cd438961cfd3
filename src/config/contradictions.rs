//! Settings that are right alone, and wrong beside others.

use toml::Table;
use toml::Value;

use crate::bucket::BucketAddress;
use crate::hosted::{Store, WebhookConfig};
use crate::source::AddressClass;

use super::Config;

/// A setting that cannot be as it is, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Contradiction {
    pub(super) setting: String,
    pub(super) reason: String,
}

/// Everything that contradicts itself in settings that were read from a table.
pub(super) fn contradictions(config: &Config, table: &Table) -> Vec<Contradiction> {
    let mut found = buckets(config);
    found.extend(missing_store(config, table));
    found.extend(webhooks(&config.hosted.webhook));
    found.extend(one_place(config));
    found
}

/// Each bucket must have an address.
fn buckets(config: &Config) -> Vec<Contradiction> {
    let sections = config.bucket.iter().enumerate();
    let wrong = sections.filter_map(|(index, section)| {
        let error = BucketAddress::of(section).err()?;
        Some(Contradiction {
            setting: format!("bucket[{index}]"),
            reason: format!("{error}, in the [[bucket]] `{}`", section.name),
        })
    });
    wrong.collect()
}

/// Settings of hosted images do nothing without a store. An empty one says that this is meant.
fn missing_store(config: &Config, table: &Table) -> Option<Contradiction> {
    let section = table.get("hosted").and_then(Value::as_table)?;
    let other = section.keys().find(|key| *key != "store")?;
    let is_missing = config.hosted.store == Store::Off && !section.contains_key("store");
    is_missing.then(|| Contradiction {
        setting: "hosted.store".to_owned(),
        reason: format!(
            "must be there beside `hosted.{other}`: `file:DIR`, `bucket:NAME`, or empty for no hosted images"
        ),
    })
}

/// A webhook must be able to reach its receiver, and no other may have the same: messages wait by their receiver.
fn webhooks(hooks: &[WebhookConfig]) -> Vec<Contradiction> {
    let wrong = hooks.iter().enumerate().filter_map(|(index, hook)| {
        let host = hook.url.url().host_str().unwrap_or_default();
        let mut before = hooks[..index].iter();
        let same = before.position(|other| other.url == hook.url);
        let reason = match (AddressClass::of_host(hook.url.url()), same) {
            (Some(AddressClass::Private), _) if !hook.private => format!(
                "must not be at a private address, got `{host}`: set `private = true` beside it if that is meant"
            ),
            (Some(AddressClass::Special), _) => {
                format!("must not be at an address that is reserved, got `{host}`")
            }
            (_, Some(same)) => format!(
                "must be another one than `hosted.webhook[{same}].url`, got the same on `{host}`"
            ),
            _ => return None,
        };
        Some(Contradiction {
            setting: format!("hosted.webhook[{index}].url"),
            reason,
        })
    });
    wrong.collect()
}

/// The shared cache and hosted images may be in one bucket, but neither among the objects of the other: those of the cache are deleted by purges, and
/// whoever shares the cache would read private images.
fn one_place(config: &Config) -> Option<Contradiction> {
    let Store::Bucket { name, prefix } = &config.hosted.store else {
        return None;
    };
    let shared = &config.cache.shared;
    let address = |name: &str| {
        let section = config.bucket.iter().find(|section| section.name == name)?;
        BucketAddress::of(section).ok()
    };
    let is_same = address(name)?.is_same_bucket(&address(&shared.bucket)?);
    let (store, cache) = (format!("{prefix}/"), format!("{}/", shared.prefix));
    let overlap = prefix.is_empty() || store.starts_with(&cache) || cache.starts_with(&store);
    (is_same && overlap).then(|| Contradiction {
        setting: "hosted.store".to_owned(),
        reason: format!(
            "must not be around or among the objects of `cache.shared`, which are at `{0}/{1}`, got `bucket:{name}{2}{prefix}`: give it a prefix of its own",
            shared.bucket,
            shared.prefix,
            if prefix.is_empty() { "" } else { "/" },
        ),
    })
}

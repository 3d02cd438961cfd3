//! Hosted images: originals, records and named renditions in a bucket or a folder, and an index of the records. The store is the truth; the index
//! can be deleted at any time.
//!
//! A record is changed only by a conditional write, so that several processes can share one bucket; but an old tombstone is deleted, which knows no
//! condition, so who takes its place looks again. An original is never overwritten: a new one has a new name. Nothing is acknowledged before it is
//! stored.

mod account;
mod blocking;
mod changes;
mod clock;
mod config;
mod delivery;
mod error;
mod event;
mod fault;
mod id;
mod images;
mod index;
mod keys;
mod locks;
mod memory;
mod opening;
mod query;
mod record;
mod settings;
mod signature;
mod spool;
mod stats;
mod store;
mod sweep;
mod sync;
mod tail;
mod tombstone;
mod write;

pub use config::Config;
pub use config::EagerFormat;
pub use config::FetchConfig;
pub use config::PublicUrl;
pub use config::PublicUrlError;
pub use config::Rights;
pub use config::Store;
pub use config::StoreNameError;
pub use config::Strip;
pub use config::TokenConfig;
pub use config::Verify;
pub use config::WebhookConfig;
pub use config::WebhookEvent;
pub use config::WebhookUrl;
pub use config::WebhookUrlError;
pub use delivery::DeliveryError;
pub use delivery::DeliveryUrl;
pub use error::HostedError;
pub use event::Event;
pub use id::IdError;
pub use id::ImageId;
pub use images::Hosted;
pub use query::ImageQuery;
pub use query::MetaFilter;
pub use query::MetaTest;
pub use query::Page;
pub use record::Changes;
pub use record::Draft;
pub use record::Facts;
pub use record::NewImage;
pub use record::Original;
pub use record::Record;
pub use record::Rendition;
pub use record::State;
pub use record::Upload;
pub use settings::AccountSettings;
pub use settings::ORIGINAL;
pub use settings::SigningKey;
pub use settings::Variant;
pub use settings::is_variant_name;
pub use signature::SignatureError;
pub use signature::SignedUrl;
pub use spool::SpooledFile;
pub use stats::Stats;

#[cfg(test)]
mod tests;

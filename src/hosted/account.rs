//! The settings of the account in the store: one object for the variants, one for the keys, one for the switches.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::hosted::error::HostedError;
use crate::hosted::settings::{AccountSettings, SigningKey, Variant};
use crate::hosted::store::{Condition, Fetched, Objects, Put};

/// How often a change is tried that others overtake.
const TRIES: usize = 5;
const VARIANTS: &str = "variants.json";
const KEYS: &str = "keys.json";
const SWITCHES: &str = "config.json";

/// The settings of the account, and how they are stored.
pub(super) struct Account {
    settings: RwLock<Arc<AccountSettings>>,
    stored: Mutex<Stored>,
    /// What holds until the API says otherwise.
    flexible_variants: bool,
}

/// The settings before a change and after it.
pub(super) struct Change {
    pub(super) before: Arc<AccountSettings>,
    pub(super) after: Arc<AccountSettings>,
}

/// The objects as they were last seen.
#[derive(Clone, Default)]
struct Stored {
    variants: Stamped<BTreeMap<String, Variant>>,
    keys: Stamped<Keys>,
    switches: Stamped<Switches>,
}

/// An object and its tag.
#[derive(Clone)]
struct Stamped<T> {
    etag: Option<String>,
    value: Option<T>,
}

impl<T> Default for Stamped<T> {
    fn default() -> Self {
        Stamped {
            etag: None,
            value: None,
        }
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Keys {
    secret: String,
    keys: Vec<SigningKey>,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Switches {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    flexible_variants: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser_ttl: Option<u32>,
}

impl Account {
    /// Settings that have not been read yet.
    pub(super) fn new(flexible_variants: bool) -> Self {
        Account {
            settings: RwLock::default(),
            stored: Mutex::default(),
            flexible_variants,
        }
    }

    /// The settings.
    pub(super) fn settings(&self) -> Arc<AccountSettings> {
        let settings = self.settings.read();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the settings, or what others changed of them, and stores the first keys.
    pub(super) async fn refresh(&self, objects: &Objects) -> Result<(), HostedError> {
        let mut stored = self.stored.lock().await;
        self.read(objects, &mut stored).await
    }

    /// Changes the settings. Returns them as they were and as they are.
    pub(super) async fn change<E>(
        &self,
        objects: &Objects,
        change: impl Fn(&mut AccountSettings) -> Result<(), E> + Send,
    ) -> Result<Result<Change, E>, HostedError> {
        let mut stored = self.stored.lock().await;
        for _ in 0..TRIES {
            let before = self.settings();
            let mut after = AccountSettings::clone(&before);
            if let Err(refused) = change(&mut after) {
                return Ok(Err(refused));
            }
            complete(&mut after);
            if self.write(objects, &mut stored, &before, after).await? {
                return Ok(Ok(Change {
                    before,
                    after: self.settings(),
                }));
            }
            self.read(objects, &mut stored).await?;
        }
        Err(HostedError::Busy)
    }

    async fn read(&self, objects: &Objects, stored: &mut Stored) -> Result<(), HostedError> {
        read(objects, VARIANTS, &mut stored.variants).await?;
        read(objects, SWITCHES, &mut stored.switches).await?;
        read(objects, KEYS, &mut stored.keys).await?;
        if stored.keys.value.is_none() {
            let keys = Keys {
                secret: format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
                keys: vec![new_key()],
            };
            if !write(objects, KEYS, &mut stored.keys, keys).await? {
                // Another process was first.
                read(objects, KEYS, &mut stored.keys).await?;
            }
        }
        self.publish(stored);
        Ok(())
    }

    /// Stores what differs. Returns false if another process changed it at the same time.
    async fn write(
        &self,
        objects: &Objects,
        stored: &mut Stored,
        before: &AccountSettings,
        after: AccountSettings,
    ) -> Result<bool, HostedError> {
        let is_stored = async {
            if before.variants != after.variants
                && !write(objects, VARIANTS, &mut stored.variants, after.variants).await?
            {
                return Ok(false);
            }
            let keys = Keys {
                secret: before.secret.clone(),
                keys: after.keys,
            };
            if before.keys != keys.keys && !write(objects, KEYS, &mut stored.keys, keys).await? {
                return Ok(false);
            }
            let switches = Switches {
                flexible_variants: Some(after.flexible_variants),
                browser_ttl: after.browser_ttl,
            };
            let are_switches_same = before.flexible_variants == after.flexible_variants
                && before.browser_ttl == after.browser_ttl;
            Ok(are_switches_same
                || write(objects, SWITCHES, &mut stored.switches, switches).await?)
        }
        .await;
        self.publish(stored);
        is_stored
    }

    fn publish(&self, stored: &Stored) {
        let keys = stored.keys.value.clone();
        let switches = stored.switches.value.clone().unwrap_or_default();
        let mut settings = AccountSettings {
            variants: stored.variants.value.clone().unwrap_or_default(),
            secret: keys
                .as_ref()
                .map_or_else(String::new, |keys| keys.secret.clone()),
            keys: keys.map_or_else(Vec::new, |keys| keys.keys),
            flexible_variants: switches.flexible_variants.unwrap_or(self.flexible_variants),
            browser_ttl: switches.browser_ttl,
        };
        settings.variants.entry("public".to_owned()).or_default();
        let mut now = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if **now != settings {
            *now = Arc::new(settings);
        }
    }
}

/// There is always a key, and always the variant `public`.
fn complete(settings: &mut AccountSettings) {
    settings.variants.entry("public".to_owned()).or_default();
    if settings.keys.is_empty() {
        settings.keys.push(new_key());
    }
}

fn new_key() -> SigningKey {
    SigningKey {
        name: "default".to_owned(),
        value: data_encoding::BASE64URL_NOPAD
            .encode(&[*Uuid::new_v4().as_bytes(), *Uuid::new_v4().as_bytes()].concat()),
    }
}

async fn read<T: DeserializeOwned>(
    objects: &Objects,
    key: &str,
    stored: &mut Stamped<T>,
) -> Result<(), HostedError> {
    match objects.get(key, stored.etag.as_deref()).await? {
        Fetched::Same => {}
        Fetched::Missing => {
            *stored = Stamped::default();
        }
        Fetched::Object(bytes, etag) => {
            let value = serde_json::from_slice(&bytes).map_err(|error| {
                HostedError::Store(format!("`{key}` in {}: {error}", objects.place()))
            })?;
            *stored = Stamped {
                etag: Some(etag),
                value: Some(value),
            };
        }
    }
    Ok(())
}

/// Stores a value if nobody changed it. Returns whether it is stored.
async fn write<T: Serialize>(
    objects: &Objects,
    key: &str,
    stored: &mut Stamped<T>,
    value: T,
) -> Result<bool, HostedError> {
    let json = serde_json::to_vec(&value).map_err(|error| HostedError::Store(error.to_string()))?;
    let condition = match &stored.etag {
        None => Condition::Absent,
        Some(etag) => Condition::Matches(etag),
    };
    match objects
        .put_surely(key, Bytes::from(json), condition)
        .await?
    {
        Put::Stored(etag) => {
            *stored = Stamped {
                etag: Some(etag),
                value: Some(value),
            };
            Ok(true)
        }
        Put::Refused => Ok(false),
    }
}

//! The keys of those who sign URLs, each with its name.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::signature::config::{KeyConfig, MIN_LENGTH, Secret};
use crate::signature::mac::MacKey;

/// The longest name of a key, in characters.
pub(crate) const MAX_ID_LENGTH: usize = 32;
/// The largest file with a secret, in bytes.
const MAX_FILE_BYTES: u64 = 4096;

/// The keys by their names. Several may be there at once, so that one can take the place of another without a gap.
#[derive(Clone, Default)]
pub struct SigningKeys(Vec<(String, MacKey)>);

/// Why a `[[signatures.key]]` cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// Its name is none.
    Id(String),
    /// Two keys have the same name.
    Repeated(String),
    /// It has no secret, or two.
    Unclear(String),
    /// The file with its secret cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The file holds no secret.
    NoSecret(PathBuf),
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("setting `signatures.key`: ")?;
        match self {
            KeyError::Id(id) => write!(
                out,
                "`id` must be 1 to 32 letters, digits, `-` and `_`, got `{id}`"
            ),
            KeyError::Repeated(id) => {
                write!(out, "each `id` must be there once, got `{id}` twice")
            }
            KeyError::Unclear(id) => write!(
                out,
                "each [[signatures.key]] must have a `secret` or a `secret_file`: see `{id}`"
            ),
            KeyError::Unreadable(path, error) => {
                write!(
                    out,
                    "`secret_file` cannot be read: {}: {error}",
                    path.display()
                )
            }
            KeyError::NoSecret(path) => write!(
                out,
                "`secret_file` must hold one line of at least 16 bytes (`openssl rand -hex 32` prints one): {}",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl SigningKeys {
    /// Reads the keys, and the files with their secrets.
    ///
    /// # Errors
    /// [`KeyError`] names the first that is wrong, and never a secret.
    pub fn open(configs: &[KeyConfig]) -> Result<Self, KeyError> {
        let mut keys = SigningKeys::default();
        for config in configs {
            if !is_id(&config.id) {
                return Err(KeyError::Id(config.id.clone()));
            }
            if keys.find(&config.id).is_some() {
                return Err(KeyError::Repeated(config.id.clone()));
            }
            let secret = secret_of(config)?;
            let unclear = || KeyError::Unclear(config.id.clone());
            let secret = secret.text().ok_or_else(unclear)?;
            let key = MacKey::new(secret.as_bytes()).ok_or_else(unclear)?;
            keys.0.push((config.id.clone(), key));
        }
        Ok(keys)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the first key, which signs where no other is named.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|(id, _)| id.as_str())
    }

    /// The key of this name.
    pub(crate) fn find(&self, id: &str) -> Option<&MacKey> {
        self.0
            .iter()
            .find_map(|(named, key)| (named == id).then_some(key))
    }
}

/// The names alone: a secret must not show.
impl fmt::Debug for SigningKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.0.iter().map(|(id, _)| id))
            .finish()
    }
}

/// Whether a text can be the name of a key. It ends at a dot in URLs, and holds nothing that anybody encodes.
pub(crate) fn is_id(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_ID_LENGTH).contains(&text.len()) && text.bytes().all(is_fine)
}

fn secret_of(config: &KeyConfig) -> Result<Secret, KeyError> {
    match (&config.secret_file, config.secret.text()) {
        (None, Some(_)) => Ok(config.secret.clone()),
        (Some(path), None) => {
            let text =
                read_small(path).map_err(|error| KeyError::Unreadable(path.clone(), error))?;
            let line = text.trim_end_matches(['\r', '\n']);
            let is_secret = line.len() >= MIN_LENGTH && !line.contains('\n');
            Secret::new(line)
                .filter(|_| is_secret)
                .ok_or_else(|| KeyError::NoSecret(path.clone()))
        }
        _ => Err(KeyError::Unclear(config.id.clone())),
    }
}

fn read_small(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn key(id: &str, secret: &str, file: Option<&Path>) -> KeyConfig {
        KeyConfig {
            id: id.to_owned(),
            secret: Secret::new(secret).expect("long enough"),
            secret_file: file.map(Path::to_owned),
        }
    }

    #[test]
    fn a_secret_comes_from_the_settings_or_from_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("a fresh file");
            path
        };
        let right = file("right", &format!("{SECRET}\n"));
        let keys = [key("a", SECRET, None), key("b-2_", "", Some(&right))];
        let keys = SigningKeys::open(&keys).expect("both are right");
        assert_eq!(keys.first(), Some("a"));
        let sign = |id: &str| keys.find(id).map(|key| key.sign(&["x"]));
        assert_eq!(sign("a"), sign("b-2_"));
        assert!(sign("a").is_some() && sign("c").is_none());
        assert_eq!(format!("{keys:?}"), "[\"a\", \"b-2_\"]");
        for (wrong, says) in [
            (vec![key("", SECRET, None)], "`id` must be"),
            (vec![key("a.b", SECRET, None)], "got `a.b`"),
            (vec![key(&"a".repeat(33), SECRET, None)], "`id` must be"),
            (
                vec![key("a", SECRET, None), key("a", SECRET, None)],
                "got `a` twice",
            ),
            (vec![key("a", "", None)], "see `a`"),
            (vec![key("a", SECRET, Some(&right))], "see `a`"),
            (
                vec![key("a", "", Some(&file("short", "0123\n")))],
                "must hold one line",
            ),
            (
                vec![key(
                    "a",
                    "",
                    Some(&file("two", &format!("{SECRET}\n{SECRET}"))),
                )],
                "must hold one line",
            ),
            (
                vec![key("a", "", Some(&folder.path().join("none")))],
                "cannot be read",
            ),
        ] {
            let error = SigningKeys::open(&wrong).expect_err(says).to_string();
            assert!(error.contains(says) && !error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn no_secret_shows() {
        let config = key("a", SECRET, None);
        assert!(!format!("{config:?}").contains(SECRET));
        for text in ["'short'", "7", "true", "1.5"] {
            let error = toml::from_str::<KeyConfig>(&format!("id = 'a'\nsecret = {text}"));
            let error = error.expect_err(text);
            assert!(error.message().contains("at least 16 bytes"), "{error}");
        }
    }
}

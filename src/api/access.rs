//! Who may do what: tokens with rights, tokens that are bound to creators, and batch tokens.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::api::error::{ApiError, Failure};
use crate::api::seal;
use crate::api::spool;
use crate::hosted::{Config, Rights, TokenConfig};
use crate::token::Token;

/// The header with which clients of Cloudflare send an API key.
const API_KEY: &str = "x-auth-key";
/// How long a batch token can be used.
const BATCH_TIME: Duration = Duration::from_secs(3600);

/// Why the API cannot be opened.
#[derive(Debug)]
pub enum AccessError {
    /// The file of a token cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The file of a token holds no token.
    NoToken(PathBuf),
    /// Two `[[hosted.token]]`, counted from zero, have the same token.
    Twice(usize, usize),
    /// The `[[hosted.token]]` with this number has the token of operators.
    OfOperators(usize),
}

impl fmt::Display for AccessError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::Unreadable(path, error) => write!(
                out,
                "setting `hosted.token`: `token_file` cannot be read: {}: {error}",
                path.display()
            ),
            AccessError::NoToken(path) => write!(
                out,
                "setting `hosted.token`: `token_file` must hold at least 16 visible ASCII characters without spaces: {}",
                path.display()
            ),
            AccessError::Twice(first, second) => write!(
                out,
                "setting `hosted.token[{second}]`: must have a token of its own, has that of `hosted.token[{first}]`"
            ),
            AccessError::OfOperators(index) => write!(
                out,
                "setting `hosted.token[{index}]`: must have a token of its own, has that of `admin.token`"
            ),
        }
    }
}

impl std::error::Error for AccessError {}

/// The tokens in the settings.
pub(super) struct Tokens(Vec<(Token, Access)>);

/// What a request may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    rights: Rights,
    /// The creators whose images it is for; empty: all.
    creators: Vec<String>,
    /// Whether it comes from a batch token, which is for images alone.
    is_batch: bool,
}

/// What a batch token says.
#[derive(Serialize, Deserialize)]
struct BatchClaims {
    sub: String,
    exp: u64,
    write: bool,
    creators: Vec<String>,
}

impl Tokens {
    /// Reads the tokens. No two may be the same, and none may be `operators`, that of the admin listener: its rights would be unclear.
    pub(super) fn open(config: &Config, operators: &Token) -> Result<Self, AccessError> {
        let tokens = config.token.iter().map(|entry| {
            let token = token_of(entry)?;
            let access = Access {
                rights: entry.rights,
                creators: entry.creators.clone(),
                is_batch: false,
            };
            Ok((token, access))
        });
        let tokens: Vec<(Token, Access)> = tokens.collect::<Result<_, _>>()?;
        for (second, (token, _)) in tokens.iter().enumerate() {
            let mut before = tokens[..second].iter();
            if let Some(first) = before.position(|(other, _)| other == token) {
                return Err(AccessError::Twice(first, second));
            }
            if token == operators {
                return Err(AccessError::OfOperators(second));
            }
        }
        Ok(Tokens(tokens))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the token of a request allows. All tokens are compared, so that the time does not tell which one is nearly right.
    fn find(&self, given: &[u8]) -> Option<&Access> {
        let mut found = None;
        for (token, access) in &self.0 {
            if token.matches(given) {
                found = Some(access);
            }
        }
        found
    }

    /// Checks that a request may do something. `secret` and `hash` are those of the account.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        secret: &str,
        hash: &str,
    ) -> Result<Access, ApiError> {
        let key = headers.get(API_KEY).map(|key| key.as_bytes());
        let given = Token::bearer(headers).or(key);
        let Some(given) = given else {
            let message = "Authentication error: send the header `Authorization: Bearer TOKEN`";
            return Err(ApiError::new(Failure::NoToken, message));
        };
        if let Some(access) = self.find(given) {
            return Ok(access.clone());
        }
        let batch = std::str::from_utf8(given).ok();
        batch
            .and_then(|token| of_batch(secret, hash, token))
            .ok_or_else(|| ApiError::new(Failure::NoToken, "Authentication error: wrong token"))
    }
}

fn token_of(entry: &TokenConfig) -> Result<Token, AccessError> {
    let Some(path) = &entry.token_file else {
        return Ok(entry.token.clone());
    };
    let text =
        spool::read_small(path).map_err(|error| AccessError::Unreadable(path.clone(), error))?;
    Token::new(text.trim())
        .filter(|token| !token.is_empty())
        .ok_or_else(|| AccessError::NoToken(path.clone()))
}

fn of_batch(secret: &str, hash: &str, token: &str) -> Option<Access> {
    let claims = seal::open_jwt(secret, token)?;
    let claims: BatchClaims = serde_json::from_slice(&claims).ok()?;
    (claims.sub == hash && now_secs() < claims.exp).then_some(Access {
        rights: if claims.write {
            Rights::Write
        } else {
            Rights::Read
        },
        creators: claims.creators,
        is_batch: true,
    })
}

/// The time, in seconds since 1970.
pub(super) fn now_secs() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

impl Access {
    /// Checks that it may change things.
    pub(super) fn writes(self) -> Result<Self, ApiError> {
        if self.rights == Rights::Write {
            return Ok(self);
        }
        let message = "Authentication error: this token may read only";
        Err(ApiError::new(Failure::NoRight, message))
    }

    /// Checks that it is for the whole account.
    pub(super) fn whole_account(self) -> Result<Self, ApiError> {
        if self.creators.is_empty() && !self.is_batch {
            return Ok(self);
        }
        let message =
            "Authentication error: this token is for images only, and not for the account";
        Err(ApiError::new(Failure::NoRight, message))
    }

    /// Whether it is for images of this creator.
    pub(super) fn covers(&self, creator: Option<&str>) -> bool {
        self.creators.is_empty()
            || creator.is_some_and(|creator| self.creators.iter().any(|bound| bound == creator))
    }

    /// The creator of what it uploads or lists, where a request says `wanted`. A token for one creator need not name it.
    pub(super) fn creator(&self, wanted: Option<&str>) -> Result<Option<String>, ApiError> {
        if let (None, [only]) = (wanted, self.creators.as_slice()) {
            return Ok(Some(only.clone()));
        }
        if self.covers(wanted) {
            return Ok(wanted.map(str::to_owned));
        }
        let message = "Authentication error: this token is for images of other creators";
        Err(ApiError::new(Failure::NoRight, message))
    }

    /// Checks that it is a token of the settings. A batch token cannot get another, or it would live for ever.
    pub(super) fn outlives_batches(self) -> Result<Self, ApiError> {
        if !self.is_batch {
            return Ok(self);
        }
        let message = "Authentication error: a batch token cannot get another one";
        Err(ApiError::new(Failure::NoRight, message))
    }

    /// A batch token with the same rights, and when it ends, in seconds since 1970.
    pub(super) fn batch(self, secret: &str, hash: &str) -> Option<(String, u64)> {
        let exp = now_secs() + BATCH_TIME.as_secs();
        let claims = BatchClaims {
            sub: hash.to_owned(),
            exp,
            write: self.rights == Rights::Write,
            creators: self.creators,
        };
        let claims = serde_json::to_vec(&claims).ok()?;
        Some((seal::jwt(secret, &claims)?, exp))
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, AccessError, BatchClaims, Rights, Tokens, of_batch};
    use crate::api::seal;
    use crate::hosted::{Config, TokenConfig};
    use crate::token::Token;

    fn access(rights: Rights, creators: &[&str]) -> Access {
        Access {
            rights,
            creators: creators.iter().map(|name| (*name).to_owned()).collect(),
            is_batch: false,
        }
    }

    fn open(entries: &[TokenConfig], operators: &str) -> Result<Tokens, AccessError> {
        let config = Config {
            token: entries.to_vec(),
            ..Config::default()
        };
        Tokens::open(&config, &Token::new(operators).expect("a token"))
    }

    #[test]
    fn every_token_is_there_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "a-token-in-a-file\n").expect("a file");
        let entry = |token: &str| match token {
            "file" => TokenConfig {
                token_file: Some(file.path().to_owned()),
                ..TokenConfig::default()
            },
            token => TokenConfig {
                token: Token::new(token).expect("a token"),
                ..TokenConfig::default()
            },
        };
        let (one, two, of_file) = (
            "a-token-of-one-app",
            "a-token-of-another",
            "a-token-in-a-file",
        );
        for (tokens, operators, told) in [
            (vec![one, two, "file"], "", None),
            (vec![one, two, "file"], "a-token-of-operators", None),
            (
                vec![one, two, one],
                "",
                Some(
                    "`hosted.token[2]`: must have a token of its own, has that of `hosted.token[0]`",
                ),
            ),
            (
                vec!["file", one, of_file],
                "",
                Some(
                    "`hosted.token[2]`: must have a token of its own, has that of `hosted.token[0]`",
                ),
            ),
            (
                vec![one, two],
                two,
                Some("`hosted.token[1]`: must have a token of its own, has that of `admin.token`"),
            ),
            (
                vec!["file"],
                of_file,
                Some("`hosted.token[0]`: must have a token of its own, has that of `admin.token`"),
            ),
        ] {
            let entries: Vec<_> = tokens.iter().map(|token| entry(token)).collect();
            let error = open(&entries, operators)
                .err()
                .map(|error| error.to_string());
            let told = told.map(|told| format!("setting {told}"));
            assert_eq!(error, told, "{tokens:?} {operators}");
        }
    }

    #[test]
    fn tokens_are_in_the_settings_or_in_a_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "a-token-in-a-file\n").expect("a file");
        let entry = |token: &str, file: Option<&std::path::Path>| TokenConfig {
            token: Token::new(token).expect("a token"),
            token_file: file.map(std::path::Path::to_owned),
            ..TokenConfig::default()
        };
        let open = |entry| open(&[entry], "");
        let tokens = open(entry("", Some(file.path()))).expect("a token");
        assert!(tokens.find(b"a-token-in-a-file").is_some());
        assert!(tokens.find(b"a-token-in-a-fil").is_none());
        assert!(tokens.find(b"").is_none());
        assert!(open(entry("", Some(std::path::Path::new("/nowhere")))).is_err());
        std::fs::write(file.path(), "short").expect("a file");
        let error = open(entry("", Some(file.path()))).err().expect("too short");
        assert!(!error.to_string().contains("short\n"));
    }

    #[test]
    fn a_token_for_creators_sees_theirs_only() {
        let one = access(Rights::Write, &["u1"]);
        assert_eq!(one.creator(None).ok(), Some(Some("u1".to_owned())));
        assert_eq!(one.creator(Some("u1")).ok(), Some(Some("u1".to_owned())));
        assert!(one.creator(Some("u2")).is_err());
        assert!(!one.covers(None) && one.covers(Some("u1")));
        let two = access(Rights::Write, &["u1", "u2"]);
        assert!(two.creator(None).is_err());
        assert!(two.creator(Some("u2")).is_ok());
        let all = access(Rights::Read, &[]);
        assert_eq!(all.creator(None).ok(), Some(None));
        assert!(all.covers(None) && all.covers(Some("x")));
        assert!(all.clone().writes().is_err() && one.clone().writes().is_ok());
        assert!(all.whole_account().is_ok() && one.whole_account().is_err());
    }

    #[test]
    fn a_batch_token_has_the_rights_of_its_maker_for_an_hour() {
        let made = access(Rights::Write, &["u1"]);
        let (token, _) = made.clone().batch("a secret", "hash").expect("a token");
        let batch = of_batch("a secret", "hash", &token).expect("a token");
        assert!(batch.clone().outlives_batches().is_err());
        let all = Access {
            creators: Vec::new(),
            ..batch.clone()
        };
        assert!(all.whole_account().is_err());
        let is_batch = true;
        assert_eq!(batch, Access { is_batch, ..made });
        assert_eq!(of_batch("a secret", "other", &token), None);
        assert_eq!(of_batch("another", "hash", &token), None);
        let claims = BatchClaims {
            sub: "hash".to_owned(),
            exp: super::now_secs(),
            write: true,
            creators: Vec::new(),
        };
        let claims = serde_json::to_vec(&claims).expect("claims");
        let old = seal::jwt("a secret", &claims).expect("a token");
        assert_eq!(of_batch("a secret", "hash", &old), None);
    }
}

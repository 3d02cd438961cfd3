//! `[[hosted.token]]` of the settings: who may use the API.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use crate::token::Token;

/// A `[[hosted.token]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Section")]
pub struct TokenConfig {
    /// The token; none where it is in a file.
    pub token: Token,
    /// A file with the token, in its place.
    pub token_file: Option<PathBuf>,
    /// What it allows.
    pub rights: Rights,
    /// The creators whose images it is for; empty: all images, and the settings of the account.
    pub creators: Vec<String>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rights {
    /// To look.
    #[default]
    Read,
    /// To change things, and to look.
    Write,
}

/// The section as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    #[serde(default)]
    token: Token,
    token_file: Option<PathBuf>,
    rights: Option<Rights>,
    #[serde(default)]
    creators: Vec<String>,
}

/// What is wrong with a section as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SectionError {
    NoToken,
    TwoTokens,
    NoRights,
}

impl fmt::Display for SectionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            SectionError::NoToken => "must have a `token` or a `token_file`, has neither",
            SectionError::TwoTokens => "must have a `token` or a `token_file`, has both",
            SectionError::NoRights => {
                "must have `rights`, which are \"write\" (to change images) or \"read\" (to look at them), has none"
            }
        })
    }
}

impl TryFrom<Section> for TokenConfig {
    type Error = SectionError;

    fn try_from(section: Section) -> Result<Self, SectionError> {
        let Section {
            token,
            token_file,
            rights,
            creators,
        } = section;
        match (token.is_empty(), &token_file) {
            (true, None) => return Err(SectionError::NoToken),
            (false, Some(_)) => return Err(SectionError::TwoTokens),
            (true, Some(_)) | (false, None) => {}
        }
        Ok(TokenConfig {
            token,
            token_file,
            rights: rights.ok_or(SectionError::NoRights)?,
            creators,
        })
    }
}

//! The settings of flows: section `[[flow]]`, as often as needed.

use std::fmt;

use globset::{Glob, GlobBuilder};
use serde::Deserialize;

use crate::options::{OptionName, Preset};

/// One flow: plain URLs that become requests for images.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowConfig {
    /// The paths that it takes.
    #[serde(rename = "match")]
    pub(super) paths: PathGlobs,
    /// The options of each of its requests.
    pub(super) options: Preset,
    /// The query parameters that are options.
    #[serde(default)]
    pub(super) query: QueryNames,
}

/// Globs on the path of a URL, at least one. `*` and `?` match no slash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct PathGlobs(pub(super) Vec<Glob>);

/// Names of query parameters, each with the option that it sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub(super) struct QueryNames(pub(super) Vec<(String, OptionName)>);

/// A glob that no path could match, or that is not a glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PathGlobError {
    /// There is none.
    Missing,
    /// It begins like no path.
    Relative(String),
    /// `**` is a part of a segment, and would mean the same as `*`.
    PartOfSegment(String),
    /// It cannot be read.
    Malformed {
        /// The glob.
        glob: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// A name that is not the name of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct QueryNameError(String);

impl TryFrom<Vec<String>> for PathGlobs {
    type Error = PathGlobError;

    fn try_from(globs: Vec<String>) -> Result<Self, PathGlobError> {
        if globs.is_empty() {
            return Err(PathGlobError::Missing);
        }
        let globs: Result<_, _> = globs.into_iter().map(glob).collect();
        globs.map(PathGlobs)
    }
}

fn glob(text: String) -> Result<Glob, PathGlobError> {
    if !text.starts_with('/') && !text.starts_with("**/") {
        return Err(PathGlobError::Relative(text));
    }
    let built = GlobBuilder::new(&text)
        .literal_separator(true)
        .backslash_escape(true)
        .empty_alternates(true)
        .build();
    match built {
        Ok(_) if !has_whole_segments(&text) => Err(PathGlobError::PartOfSegment(text)),
        Ok(glob) => Ok(glob),
        Err(error) => Err(PathGlobError::Malformed {
            cause: error.kind().to_string(),
            glob: text,
        }),
    }
}

/// Whether each `**` is a whole segment, so that it matches any number of them.
fn has_whole_segments(glob: &str) -> bool {
    glob.match_indices("**").all(|(at, stars)| {
        let before = glob[..at].chars().next_back();
        let after = glob[at + stars.len()..].chars().next();
        matches!(before, None | Some('/' | '{' | ','))
            && matches!(after, None | Some('/' | '}' | ','))
    })
}

impl TryFrom<Vec<String>> for QueryNames {
    type Error = QueryNameError;

    fn try_from(names: Vec<String>) -> Result<Self, QueryNameError> {
        let named = names.into_iter().map(|name| match OptionName::find(&name) {
            Some(option) => Ok((name, option)),
            None => Err(QueryNameError(name)),
        });
        named.collect::<Result<_, _>>().map(QueryNames)
    }
}

impl fmt::Display for PathGlobError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PathGlobError::Missing => {
                out.write_str("must hold at least one glob, as in `/uploads/**`")
            }
            PathGlobError::Relative(glob) => write!(
                out,
                "a glob must begin with `/` or `**/`, as in `/uploads/**`, got `{glob}`"
            ),
            PathGlobError::PartOfSegment(glob) => write!(
                out,
                "`**` in a glob must be a whole segment, as in `/uploads/**/*.jpg`, got `{glob}`"
            ),
            PathGlobError::Malformed { glob, cause } => write!(
                out,
                "a glob must be written as in `/uploads/**/*.{{jpg,png}}`, got `{glob}`: {cause}"
            ),
        }
    }
}

impl std::error::Error for PathGlobError {}

impl fmt::Display for QueryNameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "must hold names of options, such as `width` and `q`, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for QueryNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FlowConfig, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn a_flow_needs_paths_and_options() {
        let flow = parse("match = ['/a/**']\noptions = 'width=80'\nquery = ['w', 'height']");
        let flow = flow.expect("a flow");
        assert_eq!(flow.query.0[0], ("w".to_owned(), OptionName::width));
        assert_eq!(flow.query.0[1], ("height".to_owned(), OptionName::height));
        for (text, message) in [
            ("options = 'width=80'", "missing field `match`"),
            ("match = ['/a']", "missing field `options`"),
            (
                "match = []\noptions = 'width=80'",
                "must hold at least one glob, as in `/uploads/**`",
            ),
            (
                "match = ['/a']\noptions = ''",
                "at least one option is needed, as in `width=640`",
            ),
            (
                "match = ['/a']\noptions = 'quality=0'",
                "option `quality` must be a whole number from 1 to 100, got `0`",
            ),
            (
                "match = ['/a']\noptions = 'width=80'\nquery = ['width', 'v']",
                "must hold names of options, such as `width` and `q`, got `v`",
            ),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
        let unknown = parse("match = ['/a']\noptions = 'width=80'\nmethod = 'GET'");
        let unknown = unknown.expect_err("there is no such setting");
        assert!(unknown.contains("unknown field `method`"), "{unknown}");
    }

    #[test]
    fn wrong_globs_are_named() {
        for (text, message) in [
            ("uploads/**", "must begin with `/` or `**/`"),
            ("*.jpg", "must begin with `/` or `**/`"),
            ("", "must begin with `/` or `**/`"),
            ("https://h.test/**", "must begin with `/` or `**/`"),
            ("/a/**.jpg", "must be a whole segment"),
            ("/a**/b", "must be a whole segment"),
            ("/***/b", "must be a whole segment"),
            ("/a/*.{jpg", "unclosed alternate group"),
            ("/a/*.jpg}", "unopened alternate group"),
            ("/a/[b", "unclosed character class"),
            ("/a/[z-a]", "invalid range"),
            ("/a/\\", "dangling"),
        ] {
            let error = glob(text.to_owned()).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
            assert!(error.contains(&format!("got `{text}`")), "{text}: {error}");
        }
        for text in [
            "/**",
            "**/*.jpg",
            "/{a,b/**}/*.png",
            "/{**,x}/a",
            "/a/\\*.jpg",
        ] {
            assert!(glob(text.to_owned()).is_ok(), "{text}");
        }
    }
}

//! Names of files that are made, by a template.

use std::fmt;
use std::str::FromStr;

use crate::cli::placeholders;

/// How the path of a file that is made follows from the path of its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Folder,
    Name,
    Width,
    Height,
    Extension,
}

/// What a name is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameParts<'a> {
    /// The path of the source below what was named, with slashes.
    pub source: &'a str,
    pub width: u32,
    pub height: u32,
    pub extension: &'a str,
}

/// A template that cannot be read.
#[derive(Debug)]
pub(super) struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a name must be relative, and may hold {{folder}}, {{name}}, {{width}}, {{height}} and {{extension}}, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for TemplateError {}

impl FromStr for NameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let wrong = || TemplateError(text.to_owned());
        let leaves = text.split('/').any(|segment| segment == "..");
        if text.is_empty() || text.starts_with('/') || leaves {
            return Err(wrong());
        }
        let named = |name: &str| match name {
            "folder" => Some(Part::Folder),
            "name" => Some(Part::Name),
            "width" => Some(Part::Width),
            "height" => Some(Part::Height),
            "extension" => Some(Part::Extension),
            _ => None,
        };
        placeholders::parts(text, Part::Text, named)
            .map(NameTemplate)
            .ok_or_else(wrong)
    }
}

impl NameTemplate {
    /// The path of a file, relative, with slashes.
    pub(super) fn path(&self, parts: NameParts<'_>) -> String {
        let (folder, file) = parts.source.rsplit_once('/').unwrap_or(("", parts.source));
        let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
        let mut path = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => path.push_str(text),
                Part::Folder => path.push_str(folder),
                Part::Name => path.push_str(name),
                Part::Width => path.push_str(&parts.width.to_string()),
                Part::Height => path.push_str(&parts.height.to_string()),
                Part::Extension => path.push_str(parts.extension),
            }
        }
        // Without a folder, a slash that follows its name is one too many.
        path.trim_start_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{NameParts, NameTemplate};

    #[test]
    fn a_name_follows_from_the_source() {
        for (template, source, path) in [
            (
                "{folder}/{name}-{width}.{extension}",
                "cats/tom.big.jpg",
                "cats/tom.big-320.webp",
            ),
            (
                "{folder}/{name}-{width}.{extension}",
                "tom.jpg",
                "tom-320.webp",
            ),
            (
                "{width}x{height}/{folder}/{name}.{extension}",
                "a/b/tom",
                "320x240/a/b/tom.webp",
            ),
            ("all/{name}.{extension}", "tom.jpg", "all/tom.webp"),
        ] {
            let template: NameTemplate = template.parse().expect("a template");
            let parts = NameParts {
                source,
                width: 320,
                height: 240,
                extension: "webp",
            };
            assert_eq!(template.path(parts), path);
        }
        for wrong in ["", "/x", "../x", "a/../b", "{nam}", "{name", "name}"] {
            assert!(wrong.parse::<NameTemplate>().is_err(), "{wrong}");
        }
    }
}

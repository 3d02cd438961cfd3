//! Names of images, made of the paths of files.

use std::fmt;

use crate::cli::placeholders;

/// How the name of an image is made of the path of its file.
#[derive(Clone, Debug)]
pub(super) struct NameTemplate(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Path,
    Folder,
    File,
    Name,
    Extension,
    Sha256,
}

/// A template that cannot be read.
#[derive(Debug)]
pub(super) struct TemplateError(String);

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "a name may hold {{path}}, {{folder}}, {{file}}, {{name}}, {{extension}} and {{sha256}}, got `{}`",
            self.0
        )
    }
}

impl std::error::Error for TemplateError {}

impl std::str::FromStr for NameTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let named = |name: &str| match name {
            "path" => Some(Part::Path),
            "folder" => Some(Part::Folder),
            "file" => Some(Part::File),
            "name" => Some(Part::Name),
            "extension" => Some(Part::Extension),
            "sha256" => Some(Part::Sha256),
            _ => None,
        };
        placeholders::parts(text, Part::Text, named)
            .map(NameTemplate)
            .ok_or_else(|| TemplateError(text.to_owned()))
    }
}

impl NameTemplate {
    /// The name for a file with this path, with slashes, below what was named. Slashes that nothing stands before, after or between are left out.
    pub(super) fn name(&self, path: &str, sha256: &str) -> String {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Path => path,
            Part::Folder => folder,
            Part::File => file,
            Part::Name => stem,
            Part::Extension => extension,
            Part::Sha256 => sha256,
        });
        let name: String = parts.collect();
        let segments: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
        segments.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::NameTemplate;

    #[test]
    fn names_follow_their_template() {
        for (template, path, name) in [
            ("{path}", "a/b.jpg", "a/b.jpg"),
            ("pets/{path}", "b.jpg", "pets/b.jpg"),
            ("{folder}/{name}", "a/b.c.jpg", "a/b.c"),
            ("{folder}/{name}", "b.jpg", "b"),
            ("{name}-{sha256}.{extension}", "x/b.jpg", "b-5e.jpg"),
            ("{file}", "x/y/b", "b"),
            ("one", "b.jpg", "one"),
        ] {
            let template: NameTemplate = template.parse().expect("a template");
            assert_eq!(template.name(path, "5e"), name);
        }
        for template in ["{title}", "{", "a}", "{path"] {
            assert!(template.parse::<NameTemplate>().is_err(), "{template}");
        }
    }
}

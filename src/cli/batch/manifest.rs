//! The manifest: what was made of which picture, for build tools, and for the next run, which leaves out what is up to date.

use std::fs;
use std::io;
use std::path::Path;

use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// Everything that a run has made or found up to date.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// What the files depend on beside their sources: the program, and what was asked.
    pub made_by: String,
    pub pictures: Vec<Picture>,
}

/// A source, and what was made of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Picture {
    /// Its path below what was named.
    pub source: String,
    pub bytes: u64,
    /// When it was changed, in milliseconds since 1970.
    pub modified: u64,
    pub width: u32,
    pub height: u32,
    pub thumbhash: String,
    pub dominant_color: String,
    pub files: Vec<MadeFile>,
    /// HTML with all of the files.
    pub html: String,
}

/// A file that was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct MadeFile {
    /// Its path in the folder of the results.
    pub path: String,
    pub format: String,
    pub width: u32,
    pub height: u32,
    pub bytes: u64,
}

impl Manifest {
    /// The manifest of the last run; an empty one where there is none that can be read.
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Writes it in one step, so that a run that is ended leaves the old one.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let beside = path.with_extension("json.part");
        fs::write(&beside, text)?;
        fs::rename(&beside, path)
    }

    /// What the last run made of a source, if the source, what was asked and the files are the same.
    pub(super) fn up_to_date(
        &self,
        made_by: &str,
        source: &Picture,
        folder: &Path,
    ) -> Option<Picture> {
        // They are written in the order of their sources.
        let place = |picture: &Picture| picture.source.cmp(&source.source);
        let place = self.pictures.binary_search_by(place).ok()?;
        let known = self.pictures.get(place)?;
        let is_same = (known.bytes, known.modified) == (source.bytes, source.modified);
        let is_there = |file: &MadeFile| {
            fs::metadata(folder.join(&file.path)).is_ok_and(|found| found.len() == file.bytes)
        };
        let is_current = is_same && self.made_by == made_by && known.files.iter().all(is_there);
        is_current.then(|| known.clone())
    }
}

impl Picture {
    /// A `<picture>` with a `<source>` for each format, those that were asked for in their order, or an `<img>` where there is one format alone.
    pub(super) fn with_html(mut self, asked: &[String]) -> Self {
        let of = |format: &str| -> Vec<&MadeFile> {
            let files = self.files.iter();
            files.filter(|file| file.format == format).collect()
        };
        // There are none of a format where all were too large for it, and became another.
        let mut formats: Vec<&str> = asked.iter().map(String::as_str).collect();
        formats.retain(|format| !of(format).is_empty());
        for file in &self.files {
            if !formats.contains(&file.format.as_str()) {
                formats.insert(0, &file.format);
            }
        }
        let srcset = |files: &[&MadeFile]| {
            let entries = files
                .iter()
                .map(|file| format!("{} {}w", escaped(&file.path), file.width));
            entries.collect::<Vec<_>>().join(", ")
        };
        let (Some(fallback), better) = (formats.last(), formats.split_last()) else {
            return self;
        };
        let files = of(fallback);
        let Some(largest) = files.iter().max_by_key(|file| file.width) else {
            return self;
        };
        let set = match files.len() {
            1 => String::new(),
            _ => format!(" srcset=\"{}\" sizes=\"100vw\"", srcset(&files)),
        };
        let image = format!(
            "<img src=\"{}\"{set} width=\"{}\" height=\"{}\" alt=\"\">",
            escaped(&largest.path),
            largest.width,
            largest.height
        );
        let better = better.map(|(_, better)| better).unwrap_or_default();
        let sources: String = better
            .iter()
            .map(|format| {
                let set = srcset(&of(format));
                format!("<source type=\"image/{format}\" srcset=\"{set}\" sizes=\"100vw\">")
            })
            .collect();
        self.html = match sources.is_empty() {
            true => image,
            false => format!("<picture>{sources}{image}</picture>"),
        };
        self
    }
}

/// What paths have encoded in an attribute with several of them.
const IN_ATTRIBUTE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b',')
    .add(b'<')
    .add(b'>')
    .add(b'?');

/// A path as it stands in an attribute.
fn escaped(path: &str) -> PercentEncode<'_> {
    utf8_percent_encode(path, IN_ATTRIBUTE)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{MadeFile, Manifest, Picture};

    fn file(path: &str, format: &str, width: u32) -> MadeFile {
        MadeFile {
            path: path.to_owned(),
            format: format.to_owned(),
            width,
            height: width / 2,
            bytes: 3,
        }
    }

    #[test]
    fn html_has_the_best_format_first() {
        let picture = Picture {
            files: vec![
                file("a b-8.avif", "avif", 8),
                file("a b-16.avif", "avif", 16),
                file("a b-8.jpg", "jpeg", 8),
                file("a b-16.jpg", "jpeg", 16),
            ],
            ..Picture::default()
        };
        let formats = ["avif".to_owned(), "jpeg".to_owned()];
        assert_eq!(
            picture.clone().with_html(&formats).html,
            "<picture><source type=\"image/avif\" srcset=\"a%20b-8.avif 8w, a%20b-16.avif 16w\" sizes=\"100vw\">\
             <img src=\"a%20b-16.jpg\" srcset=\"a%20b-8.jpg 8w, a%20b-16.jpg 16w\" sizes=\"100vw\" width=\"16\" height=\"8\" alt=\"\"></picture>"
        );
        let single = Picture {
            files: vec![file("c.jpg", "jpeg", 8)],
            ..Picture::default()
        };
        let image = "<img src=\"c.jpg\" width=\"8\" height=\"4\" alt=\"\">";
        for asked in [&formats[1..], &[]] {
            assert_eq!(single.clone().with_html(asked).html, image);
        }
    }

    #[test]
    fn html_names_the_formats_that_there_are() {
        let picture = Picture {
            files: vec![file("a.webp", "webp", 8), file("a\n&.jpg", "jpeg", 8)],
            ..Picture::default()
        };
        let asked = ["avif", "jpeg"].map(str::to_owned);
        assert_eq!(
            picture.with_html(&asked).html,
            "<picture><source type=\"image/webp\" srcset=\"a.webp 8w\" sizes=\"100vw\">\
             <img src=\"a%0A%26.jpg\" width=\"8\" height=\"4\" alt=\"\"></picture>"
        );
    }

    #[test]
    fn what_has_changed_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("a.jpg"), "abc").expect("a fresh folder");
        let picture = Picture {
            source: "a.png".to_owned(),
            bytes: 9,
            modified: 7,
            files: vec![file("a.jpg", "jpeg", 8)],
            ..Picture::default()
        };
        let manifest = Manifest {
            made_by: "x".to_owned(),
            pictures: vec![picture.clone()],
        };
        let path = folder.path().join("manifest.json");
        manifest.write(&path).expect("a folder of ours");
        let read = Manifest::read(&path);
        assert_eq!(read, manifest);
        let current = |made_by: &str, source: &Picture| {
            read.up_to_date(made_by, source, folder.path()).is_some()
        };
        assert!(current("x", &picture));
        assert!(!current("y", &picture));
        assert!(!current(
            "x",
            &Picture {
                modified: 8,
                ..picture.clone()
            }
        ));
        assert!(!current(
            "x",
            &Picture {
                bytes: 8,
                ..picture.clone()
            }
        ));
        fs::write(folder.path().join("a.jpg"), "abcd").expect("a folder of ours");
        assert!(!current("x", &picture));
        assert_eq!(
            Manifest::read(&folder.path().join("none")),
            Manifest::default()
        );
    }
}

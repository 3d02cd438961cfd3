//! As much of Markdown as the documents use: blocks between fences, code between back quotes, links, headings and tables.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The top of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One document.
pub struct Page {
    /// From the top of the project.
    pub path: PathBuf,
    pub text: String,
}

/// What stands between two fences.
pub struct Block {
    /// `sh`, `toml` and so on.
    pub language: String,
    /// Whether it is marked as one that cannot be run by a test.
    pub is_norun: bool,
    pub text: String,
}

impl Page {
    pub fn read(path: impl Into<PathBuf>) -> Page {
        let path = path.into();
        let text = fs::read_to_string(root().join(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path, text }
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(info), None) => {
                    let mut words = info.split_whitespace();
                    open = Some(Block {
                        language: words.next().unwrap_or_default().to_owned(),
                        is_norun: words.any(|word| word == "norun"),
                        text: String::new(),
                    });
                }
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a fence is not closed", self.name());
        blocks
    }

    /// The text without what stands between fences.
    pub fn prose(&self) -> String {
        let mut is_open = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            if line.starts_with("```") {
                is_open = !is_open;
            } else if !is_open {
                prose.push_str(line);
                prose.push('\n');
            }
        }
        prose
    }

    /// What stands between back quotes in the prose. A span ends on its own line. Rows of a page about another program count by their second cell:
    /// the others have its words.
    pub fn spans(&self) -> Vec<String> {
        let mut prose = self.prose();
        if self.is_about_another_program() {
            let lines = prose.lines().map(|line| match line.starts_with('|') {
                true => line.split(" | ").nth(1).unwrap_or_default(),
                false => line,
            });
            prose = lines.collect::<Vec<_>>().join("\n");
        }
        let mut spans = Vec::new();
        // Two back quotes hold text with single ones in it, which is an example of a message.
        for (index, part) in prose.split("``").enumerate() {
            if index % 2 == 0 {
                spans.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
            }
        }
        spans
    }

    fn is_about_another_program(&self) -> bool {
        let name = self.name();
        ["thumbor", "imgix", "cloudinary"]
            .iter()
            .any(|program| name.ends_with(&format!("migrate-from-{program}.md")))
    }

    /// Where links and pictures lead.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let targets = prose.split("](").skip(1);
        targets
            .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
            .collect()
    }

    /// The anchors of its headings, spelled as GitHub and mdBook do.
    pub fn anchors(&self) -> BTreeSet<String> {
        self.headings().iter().map(|text| anchor(text)).collect()
    }

    pub fn headings(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings
            .map(|line| line.trim_start_matches('#').trim().to_owned())
            .collect()
    }

    /// The rows of all tables, cell by cell, without heads.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let prose = self.prose();
        let lines: Vec<&str> = prose.lines().collect();
        let is_row = |line: &str| line.starts_with('|');
        let is_rule = |line: &str| is_row(line) && line.contains("---");
        let mut rows = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
            if is_row(line) && !is_rule(line) && !is_head {
                let inner = line.trim().trim_start_matches('|');
                let inner = inner.strip_suffix('|').unwrap_or(inner);
                rows.push(
                    inner
                        .split('|')
                        .map(|cell| cell.trim().to_owned())
                        .collect(),
                );
            }
        }
        rows
    }
}

/// The texts between back quotes of a cell.
pub fn quoted(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    let kept = heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

/// The README and the pages of `docs`.
pub fn manual() -> Vec<Page> {
    let mut pages = vec![Page::read("README.md")];
    pages.extend(markdown_in("docs"));
    pages
}

/// Every document of the project that somebody reads.
pub fn everything() -> Vec<Page> {
    let mut pages = manual();
    for path in [
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
        "examples/cat-gallery/README.md",
        "examples/cluster/README.md",
        "examples/nextjs-loader/README.md",
        "examples/photos/README.md",
        "tests/benches/README.md",
        "tests/oracle/README.md",
        "tests/ADVISORIES.md",
        "tests/REPORTS.md",
    ] {
        pages.push(Page::read(path));
    }
    pages
}

fn markdown_in(folder: &str) -> Vec<Page> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of pages");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("a readable folder").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    let paths = names.iter().map(|name| Path::new(folder).join(name));
    paths.map(Page::read).collect()
}

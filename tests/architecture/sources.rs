//! Reads the sources as text: which file refers to which, without compiling anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A line of code, without comments.
pub struct Line {
    pub file: String,
    /// The module of the library that the file belongs to; `src/lib.rs` and `src/main.rs` have their own name here.
    pub module: String,
    pub number: usize,
    pub text: String,
    /// Whether it is compiled for tests alone.
    pub is_test: bool,
}

/// A file of the library, by the path of its module: `["cache", "key"]`.
pub struct Source {
    pub module: Vec<String>,
    pub file: String,
    /// Paths into this crate that its code names, from the root of the crate, with whether only a test names them.
    pub paths: BTreeSet<(Vec<String>, bool)>,
}

impl Line {
    pub fn complaint(&self, what: &str) -> String {
        let Line {
            file, number, text, ..
        } = self;
        format!("{file}:{number}: {what}: {}", text.trim())
    }

    /// Whether `path` begins somewhere in this line: `hyper` in `hyper::Method`, not in `a_hyper::x` or `self::hyper::x`.
    pub fn names(&self, path: &str) -> bool {
        identifiers_after(&self.text, "").any(|(before, rest)| {
            rest.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with("::") || rest.starts_with(';'))
                && !before.ends_with("::")
        })
    }
}

/// What comes before and after each `prefix` in `text` that begins an identifier.
pub fn identifiers_after<'a>(
    text: &'a str,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.char_indices().filter_map(move |(at, _)| {
        let (before, rest) = text.split_at(at);
        let inside = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let rest = rest.strip_prefix(prefix)?;
        (!inside).then_some((before, rest))
    })
}

/// The identifier that `path` begins with; empty for `{…}` and `*`.
pub fn leading_identifier(path: &str) -> String {
    path.chars()
        .take_while(|&character| character.is_alphanumeric() || character == '_')
        .collect()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of code below `src`, in the order of their names.
fn files() -> Vec<PathBuf> {
    fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the sources are readable") {
            let path = entry.expect("the sources are readable").path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    paths.sort();
    paths
}

/// The lines of code of all files.
pub fn lines() -> Vec<Line> {
    files().iter().flat_map(|path| lines_of(path)).collect()
}

/// The parts of the path of a file below `src`, without its extension.
fn parts(path: &Path) -> Vec<String> {
    let below = path.strip_prefix(root().join("src"));
    let below = below.expect("it was found there").with_extension("");
    below
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect()
}

fn lines_of(path: &Path) -> Vec<Line> {
    let parts = parts(path);
    let is_test_file = parts.iter().any(|part| part == "tests");
    let text = fs::read_to_string(path).expect("the sources are text");
    // Unit tests stand at the foot of their file.
    let tests_begin = text
        .lines()
        .position(|line| line.ends_with("mod tests {"))
        .unwrap_or(usize::MAX);
    let file = path.strip_prefix(root()).expect("it was found there");
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| Line {
            file: file.display().to_string(),
            module: parts[0].clone(),
            number: index + 1,
            text: line.to_owned(),
            is_test: is_test_file || index > tests_begin,
        })
        .collect()
}

/// All files, with the paths into this crate that each names.
pub fn sources() -> Vec<Source> {
    let files = files();
    files.iter().map(|path| source_of(path)).collect()
}

fn source_of(path: &Path) -> Source {
    let mut module = parts(path);
    if module
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        module.pop();
    }
    let lines = lines_of(path);
    let mut paths = BTreeSet::new();
    let mut lines = lines.iter();
    while let Some(line) = lines.next() {
        let mut statement = line.text.clone();
        // An import of several names goes on to its semicolon.
        if is_import(&statement) {
            while !statement.contains(';') {
                let Some(next) = lines.next() else { break };
                statement.push_str(next.text.trim());
            }
        }
        // Inside `mod tests { … }` the module is one level deeper.
        let is_inline_test =
            line.is_test && line.text.starts_with(' ') && !module.contains(&"tests".to_owned());
        let base = match is_inline_test {
            true => [module.clone(), vec!["tests".to_owned()]].concat(),
            false => module.clone(),
        };
        for named in named_paths(&statement) {
            if let Some(path) = absolute(&named, &base) {
                paths.insert((path, line.is_test));
            }
        }
    }
    let file = path.strip_prefix(root()).expect("it was found there");
    Source {
        module,
        file: file.display().to_string(),
        paths,
    }
}

/// Whether a line begins an import.
pub fn is_import(line: &str) -> bool {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.trim_start_matches(|character| character != ' '),
        None => line,
    };
    line.trim_start().starts_with("use ")
}

/// The paths in a statement that begin with `crate`, `self` or `super`, with groups written out.
fn named_paths(statement: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "self::", "super::"] {
        for (before, rest) in identifiers_after(statement, start) {
            if !before.ends_with("::") {
                expand(&[start.trim_end_matches(':').to_owned()], rest, &mut found);
            }
        }
    }
    found
}

/// Follows a path, and each path of a group.
fn expand(so_far: &[String], rest: &str, into: &mut Vec<Vec<String>>) {
    if let Some(group) = rest.strip_prefix('{') {
        for item in items(group) {
            expand(so_far, item.trim_start(), into);
        }
        return;
    }
    let name = leading_identifier(rest);
    if name.is_empty() {
        into.push(so_far.to_vec());
        return;
    }
    let path = [so_far, std::slice::from_ref(&name)].concat();
    match rest[name.len()..].strip_prefix("::") {
        Some(rest) => expand(&path, rest, into),
        None => into.push(path),
    }
}

/// The items of a group, up to its closing brace.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut items) = (0_usize, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[begin..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// A path from the root of the crate; `None` where it leads out of it.
fn absolute(path: &[String], base: &[String]) -> Option<Vec<String>> {
    let mut place = base.to_vec();
    let mut rest = path;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => place.clear(),
            "self" => {}
            "super" => {
                place.pop()?;
            }
            _ => break,
        }
        rest = others;
    }
    Some([place.as_slice(), rest].concat())
}

/// Which file refers to which, by their places in `sources`. What tests refer to is left out, and what a file takes from the head of a
/// module that it is part of: a module's head may call its files, and give them its types.
pub fn references(sources: &[Source]) -> BTreeMap<usize, BTreeSet<usize>> {
    let places: BTreeMap<&[String], usize> = sources
        .iter()
        .enumerate()
        .map(|(at, source)| (source.module.as_slice(), at))
        .collect();
    let mut references: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (from, source) in sources.iter().enumerate() {
        for (path, is_test) in &source.paths {
            if *is_test {
                continue;
            }
            let file = (0..=path.len())
                .rev()
                .find_map(|length| places.get(&path[..length]));
            let Some(&to) = file else { continue };
            if !source.module.starts_with(&sources[to].module) {
                references.entry(from).or_default().insert(to);
            }
        }
    }
    references
}

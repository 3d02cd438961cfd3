//! Every text that people may see, in one list: log lines, errors, warnings, `--help`, and what each setting says of a wrong value.
//!
//! The list is `tests/messages.txt`, so that a change of wording is a diff that can be read. Where it differs, the test writes the new list to
//! `target/messages.txt` and names the command that takes it over.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Command;
use clap::CommandFactory;
use safelight::cli::Arguments;
use safelight::config::Config;
use toml::Table;
use toml::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_message_is_in_the_list() {
    let (logs, texts) = texts();
    let list = format!(
        "# Every text that people may see. `cargo nextest run --test messages` compares it with the sources.\n\n\
         ## Log lines\n\n{}\n\n## Errors, warnings and answers\n\n{}\n\n## Wrong settings\n\n{}\n\n## Help\n\n{}\n",
        joined(&logs),
        joined(&texts),
        joined(&wrong_settings()),
        help(),
    );
    let path = root().join("tests/messages.txt");
    let known = fs::read_to_string(&path).unwrap_or_default();
    // Shown by `--no-capture`.
    let _ = std::io::stdout().write_all(list.as_bytes());
    if list != known {
        let actual = root().join("target/messages.txt");
        fs::write(&actual, &list).expect("the target folder can be written to");
        let changes: Vec<String> = list
            .lines()
            .filter(|line| !known.lines().any(|old| old == *line))
            .map(|line| format!("+ {line}"))
            .chain(
                known
                    .lines()
                    .filter(|line| !list.lines().any(|new| new == *line))
                    .map(|line| format!("- {line}")),
            )
            .collect();
        panic!(
            "texts have changed; if they read well: cp target/messages.txt tests/messages.txt\n{}",
            changes.join("\n")
        );
    }
}

fn joined(lines: &BTreeSet<String>) -> String {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.join("\n")
}

/// The log lines with their level, and all other texts.
fn texts() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut logs, mut texts) = (BTreeSet::new(), BTreeSet::new());
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    for path in paths {
        let source = fs::read_to_string(&path).expect("the sources are text");
        for Literal { text, before, log } in literals(without_tests(&source)) {
            let is_for_programmers = before.ends_with("expect(") || before.ends_with("reason =");
            // A text that begins with a line break is a table of words.
            let is_table = text.starts_with('\n');
            let line = text.replace('\n', "\\n").replace('\r', "\\r");
            match log {
                Some("debug" | "trace") => {}
                Some(level) if !is_table => {
                    logs.insert(format!("{level}: {line}"));
                }
                _ if is_for_programmers || is_table || !is_prose(&text) => {}
                _ => {
                    texts.insert(line);
                }
            }
        }
    }
    (logs, texts)
}

/// Sources that are not compiled for tests alone.
fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("the sources can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the sources can be read").path())
        .collect();
    paths.sort();
    let modules: Vec<String> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).expect("the sources are text");
            test_modules(&text)
        })
        .collect();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if modules.iter().any(|module| *module == *stem) || stem.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The names of modules that are declared for tests alone, in files of their own.
fn test_modules(source: &str) -> Vec<String> {
    source
        .match_indices("#[cfg(test)]")
        .filter_map(|(at, _)| module_line(&source[at..])?.strip_suffix(';'))
        .map(str::to_owned)
        .collect()
}

/// What comes before the unit tests at the foot of a file.
fn without_tests(source: &str) -> &str {
    let tests = source
        .match_indices("#[cfg(test)]")
        .find(|(at, _)| module_line(&source[*at..]).is_some_and(|line| line.ends_with('{')));
    tests.map_or(source, |(at, _)| &source[..at])
}

/// What follows `mod` where the item behind some attributes is a module.
fn module_line(attributes: &str) -> Option<&str> {
    let is_attribute = |line: &&str| line.trim_start().starts_with("#[");
    let line = attributes.lines().find(|line| !is_attribute(line))?.trim();
    let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
    line.strip_prefix("mod ")
}

/// A string literal.
struct Literal<'a> {
    text: String,
    /// The code before it, without the space between.
    before: &'a str,
    /// The level of the log macro that it is an argument of.
    log: Option<&'static str>,
}

/// The string literals of a source, comments left out.
fn literals(source: &str) -> Vec<Literal<'_>> {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let mut literals = Vec::new();
    // For each open bracket, the level of the log macro that it belongs to.
    let mut open: Vec<Option<&'static str>> = Vec::new();
    let mut at = 0;
    while let Some(next) = source[at..].chars().next() {
        let rest = &source[at..];
        let before = &source[..at];
        let is_name = before.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some((length, hashes)) = raw_string(rest).filter(|_| !is_name) {
            let end = format!("\"{}", "#".repeat(hashes));
            let text = &rest[length..];
            let length_of_text = text.find(&end).unwrap_or(text.len());
            literals.push(Literal {
                text: text[..length_of_text].to_owned(),
                before: before.trim_end(),
                log: open.last().copied().flatten(),
            });
            at += length + length_of_text + end.len();
        } else if next == '"' {
            let length = string_length(rest);
            literals.push(Literal {
                text: unescaped(&rest[1..length.saturating_sub(1)]),
                before: before.trim_end(),
                log: open.last().copied().flatten(),
            });
            at += length;
        } else if let Some(length) = character_length(rest) {
            at += length;
        } else {
            match next {
                '(' | '[' | '{' => {
                    let called = before.strip_suffix('!').unwrap_or_default();
                    let level = LEVELS.into_iter().find(|level| called.ends_with(level));
                    open.push(level.or(open.last().copied().flatten()));
                }
                ')' | ']' | '}' => {
                    open.pop();
                }
                _ => {}
            }
            at += next.len_utf8();
        }
    }
    literals
}

/// The length of what a raw string begins with, and how many `#` are in that.
fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let after = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    after[hashes..].starts_with('"').then(|| {
        let prefix = rest.len() - after.len();
        (prefix + hashes + 1, hashes)
    })
}

/// The length of a string literal, quotes included.
fn string_length(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; lifetimes are none.
fn character_length(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let length = match inside.strip_prefix('\\') {
        Some(escape) => 2 + escape.get(1..)?.find('\'')? + 1,
        None => {
            let first = inside.chars().next()?.len_utf8();
            inside[first..].starts_with('\'').then_some(first + 1)?
        }
    };
    Some(1 + length)
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some('t') => plain.push('\t'),
                Some('\n') => while characters.next_if(|next| next.is_whitespace()).is_some() {},
                Some(other) => plain.push(other),
                None => {}
            },
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a text has two words, of which one may be put in later.
fn is_prose(text: &str) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let has_word = words
        .iter()
        .any(|word| word.chars().filter(|letter| letter.is_alphabetic()).count() > 1);
    words.len() > 1 && has_word && !text.contains("</") && !text.contains("://www.w3.org")
}

/// What is said of a wrong value of each setting in the shipped file.
fn wrong_settings() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("config.toml")).expect("the shipped file");
    // The settings that are commented out are settings as well.
    let text: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") || setting.starts_with("[[") => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let shipped: Table = text.parse().expect("the shipped file is TOML");
    let mut messages = BTreeSet::new();
    for path in leaves(&Value::Table(shipped.clone())) {
        for wrong in [
            Value::String("?!".to_owned()),
            Value::Integer(-1),
            Value::Boolean(true),
        ] {
            let mut table = Value::Table(shipped.clone());
            *path.iter().fold(&mut table, |value, key| match value {
                Value::Array(entries) => &mut entries[0][key.as_str()],
                other => &mut other[key.as_str()],
            }) = wrong;
            let text = toml::to_string(&table).expect("a table can be written");
            if let Err(error) = Config::parse(&text, []) {
                messages.extend(error.to_string().lines().map(str::to_owned));
            }
        }
    }
    for text in [
        "[server]\nport = 1\n",
        "[nonsense]\nx = 1\n",
        "not TOML",
        "server = 1\n",
    ] {
        if let Err(error) = Config::parse(text, []) {
            messages.extend(error.to_string().lines().map(str::to_owned));
        }
    }
    messages
}

/// The paths of all values that are no sections. Of a list of sections the first counts.
fn leaves(value: &Value) -> Vec<Vec<String>> {
    let table = match value {
        Value::Table(table) => table,
        Value::Array(entries) => match entries.first() {
            Some(Value::Table(table)) => table,
            _ => return vec![Vec::new()],
        },
        _ => return vec![Vec::new()],
    };
    let mut paths = Vec::new();
    for (key, inner) in table {
        for rest in leaves(inner) {
            paths.push([vec![key.clone()], rest].concat());
        }
    }
    paths
}

/// The help of the binary and of each command.
fn help() -> String {
    let mut root = Arguments::command().term_width(0);
    root.build();
    let mut texts = vec![root.render_long_help().to_string()];
    let names: Vec<String> = root
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    for name in names {
        if let Some(command) = root.find_subcommand_mut(&name).filter(|_| name != "help") {
            texts.push(Command::render_long_help(command).to_string());
        }
    }
    texts.join("\n---\n\n")
}

//! What the documents say, compared with the sources that they are about. Nothing runs for this.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use safelight::config::Config;

use super::check;
use super::markdown::{Page, everything, manual, quoted, root};

/// `[section] name` of every line of `config.toml`, those in comments included.
fn settings() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("config.toml")).expect("the settings");
    let mut settings = BTreeSet::new();
    let mut section = String::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        let inner = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
        if let Some((name, _)) = inner {
            section = name.trim_start_matches('[').to_owned();
            settings.insert(section.clone());
        } else if let Some((name, _)) = line.split_once(" = ")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            settings.insert(format!("{section}.{name}"));
        }
    }
    settings
}

const SECTIONS: [&str; 19] = [
    "server",
    "clients",
    "admin",
    "zone",
    "sources",
    "flow",
    "bucket",
    "fetch",
    "defaults",
    "policy",
    "signatures",
    "presets",
    "cors",
    "response",
    "cache",
    "hosted",
    "limits",
    "log",
    "traces",
];

/// The setting that a text names, if it looks like one: `cache.disk.path`, `zone.origin = "file:DIR"`, `SAFELIGHT__ZONE__ORIGIN`.
fn named_setting(text: &str) -> Option<String> {
    let name = text.split([' ', '=']).next().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("SAFELIGHT__") {
        return Some(rest.to_lowercase().replace("__", "."));
    }
    let (section, rest) = name.split_once('.')?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'.');
    let is_file = ["rs", "md", "toml"].contains(&rest);
    (SECTIONS.contains(&section) && !is_file && rest.bytes().all(is_name)).then(|| name.to_owned())
}

/// Names with underscores that are no settings: fields of JSON, and what others call theirs.
const OTHER_NAMES: [&str; 17] = [
    "continuation_token",
    "max_bytes",
    "per_page",
    "sort_order",
    "uploaded_after",
    "uploaded_before",
    "previous_id",
    "alert_correlation_id",
    "browser_ttl",
    "file_size",
    "dominant_color",
    "purge_cache",
    "purge_everything",
    "unwrap_used",
    "section_2_7_dpr",
    "rasterize_svg",
    "json",
];

#[test]
fn settings_are_in_the_file_of_settings() {
    let settings = settings();
    assert!(settings.len() > 60, "{settings:?}");
    let last_names: BTreeSet<&str> = settings
        .iter()
        .filter_map(|name| name.rsplit('.').next())
        .collect();
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    for page in everything() {
        for span in page.spans() {
            if let Some(setting) = named_setting(&span) {
                if !settings.contains(&setting) {
                    wrong.push(format!("{}: no such setting: {setting}", page.name()));
                }
                named.insert(setting);
                continue;
            }
            // `min_ttl` alone, or with a value.
            let name = span.split(" = ").next().unwrap_or_default();
            let is_name = name.contains('_')
                && !name.starts_with('_')
                && !name.contains("__")
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let is_setting = last_names.contains(name) || OTHER_NAMES.contains(&name);
            let is_manual = page.name() == "README.md" || page.path.starts_with("docs");
            let is_metric = name.starts_with("safelight_");
            if is_name && is_manual && !is_metric && !is_setting {
                wrong.push(format!("{}: no such setting: {name}", page.name()));
            }
        }
        for block in page
            .blocks()
            .iter()
            .filter(|block| block.language == "toml")
        {
            if let Err(error) = Config::parse(&block.text, []) {
                wrong.push(format!("{}: {error} in:\n{}", page.name(), block.text));
            }
        }
    }
    // The keys of `[[cache.rule]]` are those of `[cache]`, and told there.
    let is_told = |name: &&String| named.contains(*name) || name.starts_with("cache.rule.");
    let is_section = |name: &&String| {
        let inner = format!("{name}.");
        settings.iter().any(|other| other.starts_with(&inner))
    };
    for name in settings
        .iter()
        .filter(|name| !is_told(name) && !is_section(name))
    {
        wrong.push(format!("no page tells of the setting {name}"));
    }
    check(&wrong);
}

#[test]
fn sections_that_tests_cite_are_headings() {
    let headings = Page::read("docs/cloudflare.md").headings();
    let numbers: BTreeSet<String> = headings
        .iter()
        .filter_map(|heading| heading.split(' ').next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .collect();
    let mut cited = BTreeSet::new();
    for folder in ["src", "tests"] {
        for text in sources_below(&root().join(folder)) {
            for rest in text.split("fn section_").skip(1) {
                let name = rest.split('(').next().unwrap_or_default();
                cited.extend(section_of(name));
                if let Some((_, last)) = name.split_once("_to_") {
                    cited.extend(section_of(last));
                }
            }
        }
    }
    assert!(cited.len() > 20, "{cited:?}");
    let missing: Vec<_> = cited.difference(&numbers).cloned().collect();
    check(&missing);
}

/// `2_7_dpr` is of section `2.7`.
fn section_of(name: &str) -> Option<String> {
    let digits = name
        .split('_')
        .take_while(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.take(2).collect::<Vec<_>>().join(".");
    (!number.is_empty()).then_some(number)
}

fn sources_below(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            texts.extend(sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            texts.push(fs::read_to_string(&path).expect("a source"));
        }
    }
    texts
}

/// How an error is answered: status, number, name, and the setting that bounds how long it is kept.
type Answer = (String, String, String, String);

/// The rows of the table in `src/error`: `(404, 9404, "not-found", …::NotFound)`.
fn answers_in_code() -> BTreeSet<Answer> {
    let mut answers = BTreeSet::new();
    for text in sources_below(&root().join("src/error")) {
        for rest in text.split('(').skip(1) {
            let row = rest.split(')').next().unwrap_or_default();
            let cells: Vec<&str> = row.split(',').map(str::trim).collect();
            let [status, number, name, class] = cells[..] else {
                continue;
            };
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number(status) || !is_number(number) || !name.starts_with('"') {
                continue;
            }
            let kept = match class.rsplit("::").next().unwrap_or_default() {
                "NotFound" => "`cache.errors.not_found`",
                "Options" => "`cache.errors.options`",
                "Source" => "`cache.errors.source`",
                _ => "no",
            };
            answers.insert((
                number.to_owned(),
                name.trim_matches('"').to_owned(),
                status.to_owned(),
                kept.to_owned(),
            ));
        }
    }
    answers
}

#[test]
fn errors_are_those_of_the_table_in_the_code() {
    let code = answers_in_code();
    assert!(code.len() > 40, "{code:?}");
    let page = Page::read("docs/errors.md");
    let rows = page.rows().into_iter().filter(|row| row.len() == 5);
    let told: BTreeSet<Answer> = rows
        .map(|row| {
            let [number, name, status, _, kept] = <[String; 5]>::try_from(row).expect("five cells");
            (number, quoted(&name).concat(), status, kept)
        })
        .collect();
    let missing = code
        .difference(&told)
        .map(|answer| format!("not told: {answer:?}"));
    let wrong = told
        .difference(&code)
        .map(|answer| format!("not so: {answer:?}"));
    check(&missing.chain(wrong).collect::<Vec<_>>());
}

#[test]
fn texts_of_headers_are_those_of_the_code() {
    let code = sources_below(&root().join("src")).concat();
    let mut wrong = Vec::new();
    for (path, heading) in [
        ("docs/errors.md", "## Warnings"),
        ("docs/caching.md", "## What an answer says"),
    ] {
        let page = Page::read(path);
        let (_, section) = page.text.split_once(heading).expect("a heading");
        let section = section.split("\n## ").next().unwrap_or_default();
        let text = section.to_owned();
        let rows = Page { text, ..page }.rows();
        assert!(rows.len() > 8, "{path}: {rows:?}");
        for text in rows.iter().flat_map(|row| quoted(&row[0])) {
            // What differs from one answer to the next is left out, and the first word may be any option.
            let parts = text
                .split(['…', '1', '2'])
                .map(str::trim)
                .filter(|part| part.len() > 3);
            let is_there = |part: &str| {
                let rest = part.split_once(' ').map_or(part, |(_, rest)| rest);
                code.contains(part) || (rest.contains(' ') && code.contains(rest))
            };
            wrong.extend(
                parts
                    .filter(|part| !is_there(part))
                    .map(|part| format!("{path}: {part}")),
            );
        }
    }
    check(&wrong);
}

/// Names of options, from the table of the page about them.
pub fn option_names() -> BTreeSet<String> {
    let page = Page::read("docs/options.md");
    let (_, rest) = page.text.split_once("<!-- options -->").expect("a marker");
    let (table, _) = rest.split_once("<!-- /options -->").expect("a marker");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|line| line.split(" | ").next());
    cells.flat_map(quoted).collect()
}

/// Names before `=` that are no options: parameters of headers and of the API, and what shows where something stands.
const OTHER_PAIRS: [&str; 11] = [
    "max-age", "s-maxage", "err", "internal", "fwd", "detail", "name", "key", "draft", "import",
    "preset",
];

/// The options that a text asks for, if it looks like some: `width=800,format=auto`. What stands for a value is left out (`width=`).
pub fn named_options(text: &str) -> Option<Vec<(&str, &str)>> {
    let pairs: Vec<(&str, &str)> = text
        .split(',')
        .map(|pair| pair.split_once('='))
        .collect::<Option<_>>()?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'.'))
    };
    pairs.iter().all(|(name, _)| is_name(name)).then_some(pairs)
}

#[test]
fn options_are_in_the_table_of_options() {
    let names = option_names();
    assert!(names.len() > 40, "{names:?}");
    let mut wrong = Vec::new();
    for page in manual() {
        for span in page.spans() {
            for (name, _) in named_options(&span).unwrap_or_default() {
                let is_known = names.contains(name) || OTHER_PAIRS.contains(&name);
                if !is_known && named_setting(&span).is_none() {
                    wrong.push(format!("{}: no such option: {span}", page.name()));
                }
            }
        }
    }
    check(&wrong);
}

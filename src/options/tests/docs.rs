//! The table of options in `docs/options.md` and the types of options in the client library are made from their definitions.
//!
//! Where they differ, the test leaves the page with the new table in `target/options.md`, and the types in `target/options.ts`.

use std::fs;
use std::path::Path;

use crate::options::definitions::OPTION_ROWS;
use crate::options::row::OptionRow;

const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->\n";

fn table() -> String {
    let mut table = "<!-- made from src/options/definitions.rs -->\n".to_owned();
    table.push_str("| option | value | without it | meaning |\n| --- | --- | --- | --- |\n");
    for row in OPTION_ROWS {
        let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
        let names = names.join(", ");
        let values = row.values.trim_start_matches("a ");
        let meaning = row.meaning.trim().trim_end_matches('.');
        let line = format!("| {names} | {values} | {} | {meaning} |\n", row.default);
        assert_eq!(line.matches('|').count(), 5, "a column too many: {line}");
        table.push_str(&line);
    }
    table
}

#[test]
fn the_page_of_options_holds_the_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/options.md")).expect("the page is readable");
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    let expected = table();
    if found != expected {
        let page = format!("{before}{BEGIN}{expected}{END}{after}");
        fs::write(root.join("target/options.md"), page).expect("the folder is writable");
        let missing = expected.lines().find(|line| !found.contains(line));
        panic!("the table has changed: run `cp target/options.md docs/`; it lacks {missing:?}");
    }
}

/// The type of an option in TypeScript.
fn type_of(row: &OptionRow) -> String {
    let domain = row.domain;
    if domain.words == ["true", "false"] {
        return "boolean".to_owned();
    }
    let mut types = Vec::new();
    if domain.numbers.is_some() {
        types.push("number".to_owned());
    }
    let is_number = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_digit());
    types.extend(domain.words.iter().map(|word| match is_number(&word) {
        true => (*word).to_owned(),
        false => format!("\"{word}\""),
    }));
    match (domain.example, types.is_empty()) {
        (Some(_), true) => types.push("string".to_owned()),
        // So that editors still offer the words.
        (Some(_), false) => types.push("(string & {})".to_owned()),
        (None, _) => {}
    }
    types.join(" | ")
}

fn types() -> String {
    let mut text = "// Made from src/options/definitions.rs.\n\n/** The options of a URL, by their long names. */\nexport interface Options {\n".to_owned();
    for row in OPTION_ROWS {
        let name = row.names[0];
        let key = match name.contains(['.', '-']) {
            true => format!("\"{name}\""),
            false => name.to_owned(),
        };
        let meaning = row.meaning.trim();
        let values = row.values;
        let without = match row.default {
            "" => String::new(),
            default => format!(" Without it: {default}."),
        };
        text.push_str(&format!(
            "  /** {meaning} Takes {values}.{without} */\n  {key}?: {} | undefined;\n",
            type_of(row)
        ));
    }
    text.push_str("}\n\n/** The long name of every option. */\nexport const OPTION_NAMES: readonly (keyof Options)[] = [\n");
    for row in OPTION_ROWS {
        text.push_str(&format!("  \"{}\",\n", row.names[0]));
    }
    text.push_str("];\n");
    text
}

#[test]
fn the_client_library_has_the_types() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("packages/safelight/src/options.ts");
    let expected = types();
    if fs::read_to_string(path).unwrap_or_default() != expected {
        fs::write(root.join("target/options.ts"), expected).expect("the folder is writable");
        panic!("the options have changed: run `cp target/options.ts packages/safelight/src/`");
    }
}

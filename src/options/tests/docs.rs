//! The table of options in `docs/options.md` is made from their definitions.
//!
//! `UPDATE_DOCS=1 cargo nextest run --lib the_page_of_options_holds_the_table` writes it anew.

use std::fs;
use std::path::Path;

use crate::options::definitions::ROWS;

const NAME: &str = "the_page_of_options_holds_the_table";
const BEGIN: &str = "<!-- options -->\n";
const END: &str = "<!-- /options -->\n";

/// What the table says of one option.
pub(crate) struct Row {
    /// The long name, then the aliases.
    pub names: &'static [&'static str],
    /// What its values must be.
    pub values: &'static str,
    /// What applies without the option.
    pub default: &'static str,
    /// What it does: the comment of its definition, one space before each line.
    pub meaning: &'static str,
}

fn table() -> String {
    let mut table = "<!-- made from src/options/definitions.rs -->\n".to_owned();
    table.push_str("| option | value | without it | meaning |\n| --- | --- | --- | --- |\n");
    for row in ROWS {
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

#[expect(
    clippy::disallowed_methods,
    reason = "this is a switch of the tests, no setting of the program"
)]
fn is_update() -> bool {
    std::env::var_os("UPDATE_DOCS").is_some()
}

#[test]
fn the_page_of_options_holds_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/options.md");
    let page = fs::read_to_string(&path).expect("the page is readable");
    let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
    let (found, after) = rest.split_once(END).expect("the table has an end");
    let expected = table();
    if is_update() && found != expected {
        let page = format!("{before}{BEGIN}{expected}{END}{after}");
        fs::write(&path, page).expect("the page is writable");
    } else {
        let missing = expected.lines().find(|line| !found.contains(line));
        assert!(
            found == expected,
            "write the table anew: UPDATE_DOCS=1 cargo nextest run --lib {NAME}; it lacks {missing:?}"
        );
    }
}

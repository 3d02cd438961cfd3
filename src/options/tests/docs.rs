//! The table of options in `docs/options.md` is made from their definitions.
//!
//! Where they differ, the test leaves the page with the new table in `target/options.md`.

use std::fs;
use std::path::Path;

use crate::options::definitions::OPTION_ROWS;

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

//! The tables of what others met, `ADVISORIES.md` and `REPORTS.md`: every test that they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Names of all tests in the sources below a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            let mut is_test = false;
            for line in text.lines().map(str::trim) {
                let name = line
                    .trim_start_matches("async ")
                    .strip_prefix("fn ")
                    .and_then(|rest| rest.split_once('('));
                match name {
                    Some((name, _)) if is_test => {
                        found.insert(name.to_owned());
                        is_test = false;
                    }
                    Some(_) => is_test = false,
                    None => {
                        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test")
                    }
                }
            }
        }
    }
}

/// The last cell of each line of a table, below its head.
fn last_cells(table: &str) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---"))
        .filter_map(|line| line.trim_end().strip_suffix('|')?.rsplit(" | ").next())
        .map(str::trim)
        .filter(|cell| !cell.starts_with("the kind here") && !cell.starts_with("held by"))
}

/// What stands between back quotes and could be the name of a test.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let is_name = |text: &&str| {
        text.contains('_')
            && text.chars().all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_'
            })
    };
    cell.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn every_test_that_a_table_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    tests_below(&root.join("src"), &mut known);
    tests_below(&root.join("tests"), &mut known);
    assert!(known.contains("every_test_that_a_table_names_is_there"));
    let mut missing = Vec::new();
    for (table, text) in [
        ("ADVISORIES.md", include_str!("ADVISORIES.md")),
        ("REPORTS.md", include_str!("REPORTS.md")),
    ] {
        let mut named = 0;
        for cell in last_cells(text) {
            assert!(
                !cell.is_empty(),
                "{table}: a line says nothing of what holds it"
            );
            for name in names(cell) {
                named += 1;
                if !known.contains(name) {
                    missing.push(format!("{table}: {name}"));
                }
            }
        }
        assert!(
            named > 10,
            "{table} names {named} tests: is it still read right?"
        );
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

//! The documents as files: their sizes, their links, and the files and commands that they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::check;
use super::markdown::{Page, everything, manual, root};

#[test]
fn pages_are_short() {
    for page in manual() {
        let limit = if page.name() == "README.md" { 8 } else { 12 } << 10;
        let length = page.text.len();
        assert!(length <= limit, "{}: {length} bytes", page.name());
    }
}

#[test]
fn every_page_is_listed() {
    let summary = Page::read("docs/SUMMARY.md").links();
    let index = Page::read("docs/README.md").links();
    let readme = Page::read("README.md").links();
    let mut wrong = Vec::new();
    for page in manual() {
        let Ok(name) = page.path.strip_prefix("docs") else {
            continue;
        };
        let name = name.display().to_string();
        if name == "SUMMARY.md" {
            continue;
        }
        if !summary.contains(&name) {
            wrong.push(format!("docs/SUMMARY.md does not list {name}"));
        }
        if name == "README.md" {
            continue;
        }
        if !index.contains(&name) {
            wrong.push(format!("docs/README.md does not list {name}"));
        }
        if !readme.contains(&format!("docs/{name}")) {
            wrong.push(format!("README.md does not list docs/{name}"));
        }
    }
    check(&wrong);
}

#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in everything() {
        let folder = page.path.parent().unwrap_or(Path::new(""));
        for link in page.links() {
            if link.contains("://") {
                continue;
            }
            count += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.path.clone(),
                path => folder.join(path),
            };
            if !root().join(&target).exists() {
                wrong.push(format!("{}: no such file: {link}", page.name()));
            } else if !anchor.is_empty() && !Page::read(target).anchors().contains(anchor) {
                wrong.push(format!("{}: no such heading: {link}", page.name()));
            }
        }
    }
    assert!(count > 100, "{count} links: are they still read right?");
    check(&wrong);
}

#[test]
fn targets_of_make_and_features_of_cargo_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("a Makefile");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let mut wrong = Vec::new();
    for page in everything() {
        let mut commands = page.spans();
        let blocks = page.blocks();
        commands.extend(
            blocks
                .iter()
                .flat_map(|block| block.text.lines().map(str::to_owned)),
        );
        for command in commands {
            let mut words = command.split_whitespace();
            if words.next() == Some("make")
                && let Some(target) = words.next()
                && !makefile.contains(&format!("\n{target}:"))
            {
                wrong.push(format!("{}: no such target: {command}", page.name()));
            }
            if let Some((_, feature)) = command.split_once("--features ") {
                let feature = feature.split_whitespace().next().unwrap_or_default();
                if !manifest.contains(&format!("\n{feature} = [")) {
                    wrong.push(format!("{}: no such feature: {command}", page.name()));
                }
            }
        }
    }
    check(&wrong);
}

#[test]
fn every_folder_of_the_source_has_its_line() {
    let page = Page::read("CONTRIBUTING.md");
    let told: BTreeSet<String> = page.spans().into_iter().collect();
    let modules = Page::read("docs/architecture.md").spans();
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root().join("src")).expect("a folder of sources") {
        let name = entry.expect("a readable folder").file_name();
        let name = format!("src/{}", name.to_string_lossy());
        if !told.contains(&name) && !["src/lib.rs", "src/main.rs"].contains(&name.as_str()) {
            wrong.push(format!("CONTRIBUTING.md has no line for {name}"));
        }
        let module = name.trim_start_matches("src/").trim_end_matches(".rs");
        if !modules.iter().any(|known| known == module) && !["lib", "main"].contains(&module) {
            wrong.push(format!("docs/architecture.md does not tell of {module}"));
        }
    }
    for span in told.iter().filter(|span| span.starts_with("src/")) {
        if !root().join(span).exists() {
            wrong.push(format!("CONTRIBUTING.md: no such file: {span}"));
        }
    }
    check(&wrong);
}

//! The floor plan as a test: which room may import which, and what no room may touch. A new arrow is a line here, with its reason.
//! Nothing is compiled for this: the sources are read as text, which rustfmt and the one-import-per-line rule make easy to read.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Rooms in the order in which a request meets them, each with the rooms that it imports: no more than these, and no fewer.
const ROOMS: [(&str, &[&str]); 25] = [
    ("units", &[]),
    ("deadline", &[]),
    // Nothing of ours, and `main` alone calls it.
    ("allocator", &[]),
    ("files", &[]),
    ("outbound", &[]),
    ("options", &[]),
    ("request", &["options"]),
    ("freshness", &[]),
    // `outbound`, here and below: all outgoing HTTP has the same client settings. `freshness`: dates that HTTP can write.
    ("bucket", &["outbound", "freshness"]),
    // `bucket`: a URL that spells a configured bucket is told from others by the bucket's own addresses.
    ("policy", &["options", "request", "bucket"]),
    // `units`, here and below: sizes and times in settings are typed. `files`, here and in `cache`: no link leads out of a folder.
    (
        "source",
        &[
            "units",
            "deadline",
            "files",
            "outbound",
            "freshness",
            "bucket",
            "policy",
        ],
    ),
    // `options`: orientation, canvas and effects take what a recipe says of them.
    ("pixels", &["options"]),
    ("codecs", &["units", "options", "pixels"]),
    ("transform", &["units", "options", "pixels", "codecs"]),
    // `source`: the store of fetched sources keeps what `source` fetches. `bucket`: the tier that replicas share is one.
    (
        "cache",
        &[
            "units",
            "files",
            "options",
            "bucket",
            "policy",
            "freshness",
            "source",
        ],
    ),
    ("cpu", &[]),
    // `bucket`: what went wrong with a bucket decides the status. `cache`: so does a flight that was lost.
    (
        "error",
        &[
            "request",
            "bucket",
            "policy",
            "source",
            "pixels",
            "transform",
            "cache",
            "cpu",
            "deadline",
        ],
    ),
    ("telemetry", &[]),
    // `transform`: the times of its steps are told in `Server-Timing`.
    (
        "response",
        &[
            "options",
            "request",
            "freshness",
            "transform",
            "cache",
            "error",
        ],
    ),
    // `units`: the share of memory that renders have.
    (
        "pipeline",
        &[
            "units",
            "allocator",
            "options",
            "request",
            "bucket",
            "policy",
            "freshness",
            "source",
            "transform",
            "cache",
            "cpu",
            "deadline",
            "error",
            "telemetry",
            "response",
        ],
    ),
    (
        "operator",
        &[
            "options",
            "policy",
            "freshness",
            "transform",
            "cache",
            "cpu",
            "deadline",
            "request",
            "error",
            "telemetry",
            "pipeline",
        ],
    ),
    // `request`: the router tells picture URLs by the configured prefixes. `units`: timeouts. `telemetry`: how often errors are logged.
    (
        "server",
        &["units", "request", "telemetry", "response", "pipeline"],
    ),
    // Beside `server`, on an address of its own; what a request's host is, both read alike. `telemetry`: how often refusals are logged.
    (
        "admin",
        &["telemetry", "response", "pipeline", "operator", "server"],
    ),
    // The settings of each module; it makes those of the pipeline.
    (
        "config",
        &[
            "units",
            "options",
            "bucket",
            "policy",
            "source",
            "cache",
            "telemetry",
            "pipeline",
            "server",
            "admin",
        ],
    ),
    // The commands: `transform` is the policy and the renderer without a server. `bucket`: what is in one is to be warmed. `cpu`: how much
    // memory there is.
    (
        "cli",
        &[
            "outbound",
            "options",
            "request",
            "bucket",
            "policy",
            "transform",
            "cpu",
            "telemetry",
            "config",
            "pipeline",
            "server",
            "admin",
        ],
    ),
];

/// What `main` uses: one command, and the allocator before the first thread.
const MAIN: [&str; 2] = ["allocator", "cli"];

/// Crates whose types are HTTP.
const HTTP: [&str; 6] = [
    "hyper",
    "hyper_util",
    "http",
    "http_body",
    "http_body_util",
    "reqwest",
];

/// Files that bind a C library, ask the system for something or name instructions of a processor, and so may contain unsafe code.
const UNSAFE: [&str; 15] = [
    "src/allocator.rs",
    "src/codecs/decode/frames/webp.rs",
    "src/codecs/decode/heic.rs",
    "src/codecs/decode/jpeg/baseline/mod.rs",
    "src/codecs/decode/jpeg/turbo.rs",
    "src/codecs/decode/webp.rs",
    "src/codecs/decode/webp_demux.rs",
    "src/codecs/encode/animated_webp.rs",
    "src/codecs/encode/avif/aom.rs",
    "src/codecs/encode/jpeg/jpegli.rs",
    "src/codecs/encode/jpeg/turbo.rs",
    "src/codecs/encode/webp.rs",
    "src/cpu/system.rs",
    "src/pixels/resize/kernel.rs",
    "src/pixels/simd.rs",
    "src/server/write_timeout.rs",
];

/// Rooms that may say `StatusCode`: three that hear it from an origin, and those that answer. `error` alone makes one of a number.
const STATUSES: [&str; 7] = [
    "admin", "bucket", "error", "outbound", "response", "server", "source",
];

/// A line of code, without comments.
struct Line {
    file: String,
    /// `src/lib.rs` and `src/main.rs` belong to none, and have their own name here.
    room: String,
    number: usize,
    text: String,
    /// How many `super` lead from here to the root of the crate.
    depth: usize,
    /// Whether it is compiled for tests alone.
    is_test: bool,
}

impl Line {
    fn complaint(&self, what: &str) -> String {
        format!(
            "{}:{}: {what}: {}",
            self.file,
            self.number,
            self.text.trim()
        )
    }

    /// Whether `path` begins somewhere in this line: `hyper` in `hyper::Method`, not in `a_hyper::x` or `self::hyper::x`.
    fn names(&self, path: &str) -> bool {
        identifiers_after(&self.text, "").any(|(before, rest)| {
            rest.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with("::") || rest.starts_with(';'))
                && !before.ends_with("::")
        })
    }

    /// The rooms that paths of this line lead to, through `crate::` or through enough `super::`.
    fn targets(&self) -> Vec<String> {
        let mut targets: Vec<String> = identifiers_after(&self.text, "crate::")
            .map(|(_, rest)| leading_identifier(rest))
            .collect();
        for (before, rest) in identifiers_after(&self.text, "super::") {
            let ups = 1 + before
                .len()
                .saturating_sub(before.trim_end_matches("super::").len())
                / 7;
            let target = leading_identifier(rest);
            // An inline module makes the root one further away: what is no room there is none.
            if ups >= self.depth && ROOMS.iter().any(|(room, _)| *room == target) {
                targets.push(target);
            }
        }
        targets
    }
}

/// What comes before and after each `prefix` in `text` that begins an identifier.
fn identifiers_after<'a>(
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

/// Empty for `{…}` and `*`, so grouped imports are no room.
fn leading_identifier(path: &str) -> String {
    path.chars()
        .take_while(|&character| character.is_alphanumeric() || character == '_')
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are readable") {
        let path = entry.expect("the sources are readable").path();
        if path.is_dir() {
            files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn lines() -> Vec<Line> {
    let mut paths = Vec::new();
    files(&root().join("src"), &mut paths);
    paths.sort();
    paths.iter().flat_map(|path| lines_of(path)).collect()
}

fn lines_of(path: &Path) -> Vec<Line> {
    let below_root = path.strip_prefix(root()).expect("it was found there");
    let parts: Vec<String> = below_root
        .with_extension("")
        .iter()
        .skip(1)
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    let stem = parts.last().expect("a file has a name").as_str();
    // `foo_tests.rs` is the module `tests` inside `foo`, and `mod.rs` is its folder.
    let depth = match stem {
        "mod" | "lib" | "main" => parts.len() - 1,
        _ if stem.ends_with("_tests") => parts.len() + 1,
        _ => parts.len(),
    };
    let is_test_file = stem.ends_with("_tests") || parts.iter().any(|part| part == "tests");
    let text = fs::read_to_string(path).expect("the sources are text");
    // Unit tests stand at the foot of their file.
    let tests_begin = text
        .lines()
        .position(|line| line.ends_with("mod tests {"))
        .unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        if line.trim_start().starts_with("//") {
            continue;
        }
        // Inside `mod tests { … }` an import is indented once, and one `super` further from the root.
        let nested = usize::from(line.trim_start().starts_with("use ") && indentation >= 4);
        lines.push(Line {
            file: below_root.display().to_string(),
            room: parts[0].clone(),
            number: index + 1,
            text: line.to_owned(),
            depth: depth + nested,
            is_test: is_test_file || index > tests_begin,
        });
    }
    lines
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_the_rooms_of_the_library_in_their_order() {
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("the library has a root");
    let declared: Vec<&str> = library
        .lines()
        .filter_map(|line| {
            let name = line
                .strip_prefix("pub mod ")
                .or_else(|| line.strip_prefix("pub(crate) mod "))?;
            name.strip_suffix(';')
        })
        .collect();
    let listed: Vec<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    assert_eq!(listed, declared);
    assert!(
        !library.lines().any(|line| line.starts_with("mod ")),
        "a room is public, or part of another"
    );
}

#[test]
fn the_table_has_no_arrow_to_a_later_room() {
    let place = |wanted: &str| ROOMS.iter().position(|(room, _)| *room == wanted);
    let mut wrong = Vec::new();
    for (room, imports) in ROOMS {
        for import in imports {
            if place(import) >= place(room) {
                wrong.push(format!("`{room}` comes before `{import}`"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn rooms_import_what_the_table_says() {
    let mut wrong = Vec::new();
    let mut unused: BTreeMap<&str, BTreeSet<&str>> = ROOMS
        .iter()
        .map(|(room, imports)| (*room, imports.iter().copied().collect()))
        .collect();
    for line in lines() {
        let Some((room, imports)) = ROOMS.iter().find(|(room, _)| *room == line.room) else {
            continue;
        };
        for target in line.targets() {
            // What a file of broken parts becomes is tested by the whole render.
            if line.is_test && (*room, target.as_str()) == ("codecs", "transform") {
                continue;
            }
            if target != *room && !imports.contains(&target.as_str()) {
                wrong.push(line.complaint(&format!("`{room}` must not import `{target}`")));
            }
            if let Some(unused) = unused.get_mut(room) {
                unused.remove(target.as_str());
            }
        }
    }
    for (room, imports) in unused {
        for import in imports {
            wrong.push(format!(
                "`{room}` imports `{import}` no more: take it out of the table"
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn main_uses_commands_alone() {
    let mut wrong = Vec::new();
    for line in lines().iter().filter(|line| line.room == "main") {
        for (_, rest) in identifiers_after(&line.text, "safelight::") {
            if !MAIN.contains(&leading_identifier(rest).as_str()) {
                wrong.push(line.complaint("`main` goes through `cli`"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_import_has_a_line_of_its_own() {
    let mut wrong = Vec::new();
    for line in lines() {
        let text = line.text.trim();
        let is_import = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
            .iter()
            .any(|start| text.starts_with(start));
        // A unit test may see all of the one file that it tests.
        let is_own_file = line.is_test && text == "use super::*;";
        if is_import && !is_own_file && (text.contains('{') || text.contains('*')) {
            wrong.push(line.complaint("one name for each `use`"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn six_rooms_never_see_http() {
    let mut wrong = Vec::new();
    for line in lines() {
        let sees_urls = ["policy", "cache"].contains(&line.room.as_str());
        if line.is_test
            || !(sees_urls
                || ["options", "pixels", "codecs", "transform"].contains(&line.room.as_str()))
        {
            continue;
        }
        let seen = HTTP.iter().find(|name| line.names(name));
        let seen = seen.or((!sees_urls && line.names("url")).then_some(&"url"));
        if let Some(name) = seen {
            wrong.push(line.complaint(&format!("`{}` must not see `{name}`", line.room)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn eight_rooms_are_synchronous() {
    const SYNCHRONOUS: [&str; 8] = [
        "request",
        "options",
        "policy",
        "pixels",
        "codecs",
        "transform",
        "response",
        "error",
    ];
    let mut wrong = Vec::new();
    for line in lines() {
        let waits = line.names("tokio")
            || line.names("std::fs")
            || line.text.contains(".await")
            || line.text.contains("async ");
        if waits && !line.is_test && SYNCHRONOUS.contains(&line.room.as_str()) {
            wrong.push(line.complaint("neither sockets nor files nor waiting here"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn unsafe_code_is_where_libraries_and_instructions_are_bound() {
    let lifted: BTreeSet<String> = lines()
        .into_iter()
        .filter(|line| line.text.contains("unsafe_code"))
        .map(|line| line.file)
        .collect();
    assert_eq!(lifted, UNSAFE.map(str::to_owned).into());
}

#[test]
fn config_alone_reads_the_environment() {
    let mut wrong = Vec::new();
    for line in lines() {
        // `var`, `var_os`, `vars` and `vars_os`, and names that could stand for the module.
        let reads = line.text.contains("env::var")
            || line.text.trim() == "use std::env;"
            || line.text.contains("std::env as");
        if reads && line.room != "config" {
            wrong.push(line.complaint("settings come from `config`"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn error_alone_makes_a_status_of_a_number() {
    let mut wrong = Vec::new();
    for line in lines() {
        if line.text.contains("from_u16") && line.text.contains("Status") && line.room != "error" {
            wrong.push(line.complaint("the table of statuses is in `error`"));
        }
        let says_status = identifiers_after(&line.text, "")
            .any(|(_, rest)| leading_identifier(rest) == "StatusCode");
        if says_status && !STATUSES.contains(&line.room.as_str()) {
            wrong.push(line.complaint(&format!("`{}` knows nothing of statuses", line.room)));
        }
    }
    assert_none(&wrong);
}

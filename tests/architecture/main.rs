//! The architecture as a test: which module may import which, that no files import each other in a circle, and what only some modules may
//! touch. A new import between modules is a line here, with its reason.

mod circles;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use circles::circles;
use sources::identifiers_after;
use sources::is_import;
use sources::leading_identifier;
use sources::lines;
use sources::references;
use sources::root;
use sources::sources;

/// Modules in the order in which a request meets them, each with the modules that it imports: no more than these, and no fewer.
const MODULES: [(&str, &[&str]); 33] = [
    ("units", &[]),
    ("deadline", &[]),
    // Operators have one, and clients of the API have theirs.
    ("token", &[]),
    // HMAC for URLs of transformations and of hosted images, and the keys.
    ("signature", &[]),
    // Who a request comes from.
    ("clients", &[]),
    // Nothing of ours, and `main` alone calls it.
    ("allocator", &[]),
    ("memfd", &[]),
    ("files", &[]),
    ("outbound", &[]),
    // `outbound`: spans are sent to a collector.
    ("telemetry", &["outbound"]),
    ("options", &[]),
    // `signature`, here and below: URLs may be signed.
    ("request", &["signature", "options"]),
    ("freshness", &[]),
    // `outbound`, here and below: all outgoing HTTP has the same client settings. `freshness`: dates that HTTP can write.
    // `telemetry`, here and below: each step is a span, and each request for a source has the trace in its header.
    ("bucket", &["outbound", "telemetry", "freshness"]),
    // `bucket`: a URL that spells a configured bucket is told from others by the bucket's own addresses.
    ("policy", &["signature", "options", "request", "bucket"]),
    // `units`, here and below: sizes and times in settings are typed. `files`, here and in `cache`: no link leads out of a folder. `request`:
    // conditions and ranges of originals in a folder are evaluated as those of renditions.
    (
        "source",
        &[
            "units",
            "deadline",
            "files",
            "outbound",
            "telemetry",
            "request",
            "freshness",
            "bucket",
            "policy",
            // Sources that other processes will read arrive in memory that these can map.
            "memfd",
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
            "telemetry",
            "options",
            "bucket",
            "policy",
            "freshness",
            "source",
        ],
    ),
    // `clients`, here and below: they take turns.
    ("cpu", &["clients"]),
    // The jobs that a process of its own may do. `allocator`: such a process gives memory back as well.
    // `memfd`: files reach such a process as memory.
    ("worker", &["allocator", "memfd", "options", "transform"]),
    // `policy`: which origins an image may be fetched from. `bucket`: images are kept in one.
    (
        "hosted",
        &["units", "token", "signature", "bucket", "policy"],
    ),
    // `bucket`: what went wrong with a bucket decides the status. `cache`: so does a flight that was lost. `hosted`: so does a delivery URL.
    (
        "error",
        &[
            "clients",
            "request",
            "hosted",
            "bucket",
            "policy",
            "source",
            "pixels",
            "transform",
            "cache",
            "cpu",
            "worker",
            "deadline",
        ],
    ),
    // `transform`: the times of its steps are told in `Server-Timing`. `source`: originals are passed on while they arrive.
    (
        "response",
        &[
            "options",
            "request",
            "freshness",
            "source",
            "transform",
            "cache",
            "error",
        ],
    ),
    // `units`: the share of memory that renders have. `memfd`: how many open files that takes.
    (
        "pipeline",
        &[
            "units",
            "allocator",
            "memfd",
            "signature",
            "clients",
            "options",
            "request",
            "bucket",
            "policy",
            "freshness",
            "source",
            "transform",
            "cache",
            "cpu",
            "worker",
            "hosted",
            "deadline",
            "error",
            "telemetry",
            "response",
        ],
    ),
    // `hosted`: images that were deleted are purged, and the variants of new ones are made. `response`: the answer to a client as operators see it.
    (
        "operator",
        &[
            "hosted",
            "options",
            "policy",
            "freshness",
            "transform",
            "cache",
            "cpu",
            "worker",
            "deadline",
            "request",
            "error",
            "telemetry",
            "response",
            "pipeline",
        ],
    ),
    // `source`, `error`: why a file could not be fetched or read. `request`: conditions and ranges of uploaded files.
    (
        "api",
        &[
            "token",
            "request",
            "source",
            "hosted",
            "telemetry",
            "error",
            "response",
            "pipeline",
        ],
    ),
    // `api`: what is told of an image is what the API says of it. `source`: receivers are reached through the guard of addresses.
    (
        "webhook",
        &[
            "outbound",
            "source",
            "hosted",
            "telemetry",
            "api",
            "pipeline",
        ],
    ),
    // `request`: the router tells picture URLs by the configured prefixes. `units`: timeouts. `telemetry`: how often errors are logged.
    (
        "server",
        &[
            "units",
            "clients",
            "request",
            "telemetry",
            "response",
            "pipeline",
            "api",
        ],
    ),
    // Beside `server`, on an address of its own; what a request's host is, both read alike. `telemetry`: how often refusals are logged. `options`:
    // the playground has a control for each.
    (
        "admin",
        &[
            "token",
            "telemetry",
            "options",
            "response",
            "pipeline",
            "operator",
            "server",
        ],
    ),
    // The settings of each module; it makes those of the pipeline. `request`: those of flows. `response`: which sites may read answers, and how
    // they are saved.
    (
        "config",
        &[
            "units",
            "clients",
            "options",
            "request",
            "bucket",
            "policy",
            "source",
            "cache",
            "hosted",
            "telemetry",
            "response",
            "pipeline",
            "server",
            "admin",
        ],
    ),
    // The commands: `transform` is the policy and the renderer without a server. `bucket`: what is in one is to be warmed. `cpu`: how much
    // memory there is. `files`: the folder of a cache is made so that nobody else can read it. `hosted`: which token of the settings may write.
    // `units`: how long a signed URL is valid. `operator`: `check` says what would become of a URL.
    (
        "cli",
        &[
            "units",
            "signature",
            "files",
            "outbound",
            "options",
            "request",
            "bucket",
            "policy",
            "transform",
            "cpu",
            "worker",
            "hosted",
            "telemetry",
            "config",
            "pipeline",
            "operator",
            "server",
            "api",
            "webhook",
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
const UNSAFE: [&str; 24] = [
    "src/allocator.rs",
    "src/codecs/decode/frames/webp.rs",
    "src/codecs/decode/heic.rs",
    "src/codecs/decode/jpeg/baseline/mod.rs",
    "src/codecs/decode/jpeg/turbo.rs",
    "src/codecs/decode/webp.rs",
    "src/codecs/decode/webp_demux.rs",
    "src/codecs/encode/animated_webp.rs",
    "src/codecs/encode/avif/aom.rs",
    "src/codecs/encode/jpeg/jpegli/compressor.rs",
    "src/codecs/encode/jpeg/jpegli/mod.rs",
    "src/codecs/encode/jpeg/turbo.rs",
    "src/codecs/encode/jxl/libjxl.rs",
    "src/codecs/encode/jxl/memory.rs",
    "src/codecs/encode/webp/mod.rs",
    "src/codecs/encode/webp/planes.rs",
    "src/codecs/svg/draw.rs",
    "src/cpu/system.rs",
    "src/memfd.rs",
    "src/pixels/resize/kernel.rs",
    "src/pixels/simd.rs",
    "src/server/write_timeout.rs",
    "src/worker/confinement.rs",
    "src/worker/fault.rs",
];

/// Modules that may say `StatusCode`: three that hear it from an origin, and those that answer. `error` alone makes one of a number.
const STATUSES: [&str; 8] = [
    "admin", "api", "bucket", "error", "outbound", "response", "server", "source",
];

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_table_has_the_modules_of_the_library_in_their_order() {
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
    let listed: Vec<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    assert_eq!(listed, declared);
    assert!(
        !library.lines().any(|line| line.starts_with("mod ")),
        "a module has an entry in the table, or is part of another"
    );
}

#[test]
fn the_table_has_no_import_of_a_later_module() {
    let place = |wanted: &str| MODULES.iter().position(|(module, _)| *module == wanted);
    let mut wrong = Vec::new();
    for (module, imports) in MODULES {
        for import in imports {
            if place(import) >= place(module) {
                wrong.push(format!("`{module}` comes before `{import}`"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn modules_import_what_the_table_says() {
    let mut wrong = Vec::new();
    let mut unused: BTreeMap<&str, BTreeSet<&str>> = MODULES
        .iter()
        .map(|(module, imports)| (*module, imports.iter().copied().collect()))
        .collect();
    for source in sources() {
        let first = source.module.first().map_or("", String::as_str);
        let Some((module, imports)) = MODULES.iter().find(|(module, _)| *module == first) else {
            continue;
        };
        for (path, is_test) in &source.paths {
            let Some(target) = path.first().map(String::as_str) else {
                continue;
            };
            // What becomes of a broken file is tested by a whole render.
            if *is_test && (*module, target) == ("codecs", "transform") {
                continue;
            }
            if target != *module && !imports.contains(&target) {
                let file = &source.file;
                wrong.push(format!("{file}: `{module}` must not import `{target}`"));
            }
            if let Some(unused) = unused.get_mut(module) {
                unused.remove(target);
            }
        }
    }
    for (module, imports) in unused {
        for import in imports {
            wrong.push(format!(
                "`{module}` imports `{import}` no more: take it out of the table"
            ));
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let references = references(&sources);
    // A reader of the sources that finds nothing would find no circle.
    let count: usize = references.values().map(BTreeSet::len).sum();
    assert!(count > 1000, "{count} references between files");
    let wrong: Vec<String> = circles(&references)
        .iter()
        .map(|circle| {
            let files: Vec<&str> = circle.iter().map(|&at| sources[at].file.as_str()).collect();
            format!("a circle of imports: {}", files.join(", "))
        })
        .collect();
    assert_none(&wrong);
}

#[test]
fn main_uses_commands_alone() {
    let mut wrong = Vec::new();
    for line in lines().iter().filter(|line| line.module == "main") {
        for (_, rest) in identifiers_after(&line.text, "safelight::") {
            if !MAIN.contains(&leading_identifier(rest).as_str()) {
                wrong.push(line.complaint("`main` goes through `cli`"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn imports_name_one_module_each() {
    let mut wrong = Vec::new();
    for line in lines().iter().filter(|line| is_import(&line.text)) {
        let text = line.text.trim();
        // A unit test may see all of the one file that it tests.
        let is_own_file = line.is_test && text == "use super::*;";
        if text.contains('*') && !is_own_file {
            wrong.push(line.complaint("a glob hides where names come from"));
        }
        if text.matches('{').count() > 1 || text.contains("::{self") {
            wrong.push(line.complaint("one `use` for each module"));
        }
        if text.contains("super::super") {
            wrong.push(line.complaint("`crate::` tells where that is"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn six_modules_never_see_http() {
    let mut wrong = Vec::new();
    for line in lines() {
        let sees_urls = ["policy", "cache"].contains(&line.module.as_str());
        if line.is_test
            || !(sees_urls
                || ["options", "pixels", "codecs", "transform"].contains(&line.module.as_str()))
        {
            continue;
        }
        let seen = HTTP.iter().find(|name| line.names(name));
        let seen = seen.or((!sees_urls && line.names("url")).then_some(&"url"));
        if let Some(name) = seen {
            wrong.push(line.complaint(&format!("`{}` must not see `{name}`", line.module)));
        }
    }
    assert_none(&wrong);
}

#[test]
fn eight_modules_are_synchronous() {
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
        if waits && !line.is_test && SYNCHRONOUS.contains(&line.module.as_str()) {
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
        if reads && !line.is_test && line.module != "config" {
            wrong.push(line.complaint("settings come from `config`"));
        }
    }
    assert_none(&wrong);
}

#[test]
fn error_alone_makes_a_status_of_a_number() {
    let mut wrong = Vec::new();
    for line in lines() {
        if line.text.contains("from_u16") && line.text.contains("Status") && line.module != "error"
        {
            wrong.push(line.complaint("the table of statuses is in `error`"));
        }
        let says_status = identifiers_after(&line.text, "")
            .any(|(_, rest)| leading_identifier(rest) == "StatusCode");
        if says_status && !STATUSES.contains(&line.module.as_str()) {
            wrong.push(line.complaint(&format!("`{}` knows nothing of statuses", line.module)));
        }
    }
    assert_none(&wrong);
}

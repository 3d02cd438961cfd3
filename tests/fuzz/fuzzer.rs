//! The program that `make fuzz` runs: the variable `SAFELIGHT_FUZZ` names the body.

#![no_main]

mod bodies;

use std::env;
use std::process;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static BODY: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = env::var("SAFELIGHT_FUZZ").unwrap_or_default();
    let found = bodies::ALL.iter().find(|(other, _)| *other == name);
    found.map(|(_, body)| *body).unwrap_or_else(|| {
        eprintln!(
            "SAFELIGHT_FUZZ must be the name of a body in tests/fuzz/bodies.rs, got `{name}`"
        );
        process::exit(2)
    })
});

fuzz_target!(|bytes: &[u8]| BODY(bytes));

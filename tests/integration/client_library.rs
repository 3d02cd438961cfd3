//! The library for JavaScript in `packages/safelight`: compiled, and its tests run against the real binary.

use std::fs;
use std::path::Path;

use crate::hosted::clients::{command, node_packages};
use crate::support::process::Process;
use crate::support::{bounded, samples};

#[tokio::test]
async fn the_library_writes_urls_that_are_answered() {
    let packages = match node_packages() {
        Ok(folder) => folder,
        Err(reason) => {
            eprintln!("not tested: {reason}");
            return;
        }
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("packages/safelight");
    let dist = folder.path().join("dist");
    let modules = packages.join("node_modules");
    let compiler = modules.join("typescript/bin/tsc");
    let types = modules.join("@types");
    let words = [
        "node",
        &compiler.display().to_string(),
        "--outDir",
        &dist.display().to_string(),
        "--typeRoots",
        &types.display().to_string(),
    ];
    let mut compile = tokio::process::Command::from(command(&library, &words));
    let compiled = bounded("the compiler", compile.output())
        .await
        .expect("there is a node");
    let said = String::from_utf8_lossy(&compiled.stdout);
    assert!(compiled.status.success(), "{said}");
    fs::write(dist.join("package.json"), "{\"type\":\"module\"}").expect("a folder of ours");

    let zone = folder.path().join("zone");
    fs::create_dir_all(zone.join("a b")).expect("a fresh folder");
    fs::write(zone.join("cat.jpg"), samples::jpeg(64, 48)).expect("a fresh folder");
    fs::write(zone.join("a b/ü?.png"), samples::png(32, 24)).expect("a fresh folder");
    let settings = format!(
        "[zone]\norigin = 'file:{}'\n[cache.disk]\npath = ''\n",
        zone.display()
    );
    let strict = format!("{settings}[policy]\nstrict = true\n");
    let signed = format!(
        "{settings}[signatures]\nrequired = 'always'\n[[signatures.key]]\nid = 'web'\nsecret = '0123456789abcdef0123456789abcdef'\n"
    );
    let server = Process::start(&strict).await;
    let signed = Process::start(&signed).await;
    let test = ["node", "--test", "test/safelight.test.mjs"];
    let mut run = tokio::process::Command::from(command(&library, &test));
    run.env("SAFELIGHT", format!("http://{}", server.client.address()))
        .env("SIGNED", format!("http://{}", signed.client.address()))
        .env("DIST", &dist)
        .kill_on_drop(true);
    let tested = bounded("the tests of the library", run.output())
        .await
        .expect("there is a node");
    let said = String::from_utf8_lossy(&tested.stdout);
    assert!(
        tested.status.success() && said.contains("# pass 6"),
        "{said}"
    );
}

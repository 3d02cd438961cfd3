//! How the program is linked with libheif. That is a library of the system, as are those under it, and a linker makes what they ask for
//! by name visible to them where the program has it as well: libheif would call our libaom and rav1d by the structs of the versions that
//! it was built with, and whatever AV1 is in a HEIC would overwrite the stack. What we link statically is for us alone.
//!
//! And whether the codecs are new enough: one with a known fault ends the build.

mod floors;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> Result<(), String> {
    println!("cargo:rerun-if-changed=.cargo/build.rs");
    println!("cargo:rerun-if-changed=.cargo/floors.rs");
    println!("cargo:rerun-if-changed=Cargo.lock");
    let is_elf = variable("CARGO_CFG_TARGET_OS").is_some_and(|system| system == "linux");
    let has_heic = variable("CARGO_FEATURE_HEIC").is_some();
    if is_elf && has_heic {
        println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");
    }
    floors::check("libwebp", &libwebp()?)?;
    if variable("CARGO_FEATURE_NATIVE").is_some() {
        floors::check("libaom", &libaom()?)?;
        floors::check("libjpeg-turbo", &libjpeg_turbo()?)?;
    }
    if has_heic {
        floors::check("libheif", &libheif()?)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cargo tells things this way")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// The version of libwebp is not told by its crate. The crate has it in its sources, and which crate that is says the lock file: each release of the crate
/// from 0.9.3 on has libwebp 1.3.2 or newer.
fn libwebp() -> Result<String, String> {
    let locked = locked("libwebp-sys")?;
    let mut parts = locked
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let crate_version = [(); 3].map(|()| parts.next().unwrap_or(0));
    Ok(match crate_version {
        version if version >= [0, 14, 0] => "1.6.0",
        version if version >= [0, 9, 3] => "1.3.2",
        _ => "1.3.1",
    }
    .to_owned())
}

/// `aom.pc` of the library that was built, or found.
fn libaom() -> Result<String, String> {
    let folder = variable("DEP_AOM_PKGCONFIG").ok_or("libaom-sys does not tell where libaom is")?;
    let file = PathBuf::from(folder).join("aom.pc");
    let text = read(&file)?;
    let version = text.lines().find_map(|line| line.strip_prefix("Version:"));
    version
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| format!("no version in {}", file.display()))
}

/// `jconfig.h` of the library that was built, or found.
fn libjpeg_turbo() -> Result<String, String> {
    let folders = variable("DEP_TURBOJPEG_INCLUDE");
    let folders = folders.ok_or("turbojpeg-sys does not tell where libjpeg-turbo is")?;
    let files = folders
        .split(',')
        .map(|folder| Path::new(folder).join("jconfig.h"));
    let text = files
        .filter_map(|file| fs::read_to_string(file).ok())
        .next();
    let text = text.ok_or_else(|| format!("no jconfig.h in {folders}"))?;
    let version = text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("#define")?.trim();
        Some(
            rest.strip_prefix("LIBJPEG_TURBO_VERSION ")?
                .trim()
                .to_owned(),
        )
    });
    version.ok_or_else(|| format!("no version in jconfig.h of {folders}"))
}

/// The library of the system.
fn libheif() -> Result<String, String> {
    let told = Command::new("pkg-config")
        .args(["--modversion", "libheif"])
        .output();
    let told = told.map_err(|error| format!("pkg-config cannot be run: {error}"))?;
    Ok(String::from_utf8_lossy(&told.stdout).trim().to_owned())
}

/// The version of a crate in the lock file.
fn locked(name: &str) -> Result<String, String> {
    let text = read(Path::new("Cargo.lock"))?;
    let wanted = format!("name = \"{name}\"\nversion = \"");
    let version = text
        .split(&wanted)
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    version
        .map(str::to_owned)
        .ok_or_else(|| format!("no {name} in Cargo.lock"))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

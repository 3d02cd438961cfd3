//! How the program is linked with libheif. That is a library of the system, as are those under it, and a linker makes what they ask for
//! by name visible to them where the program has it as well: libheif would call our libaom and rav1d by the structs of the versions that
//! it was built with, and whatever AV1 is in a HEIC would overwrite the stack. What we link statically is for us alone.

use std::env;

#[expect(clippy::disallowed_methods, reason = "cargo tells things this way")]
fn main() {
    println!("cargo:rerun-if-changed=.cargo/build.rs");
    let is_elf = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if is_elf && env::var_os("CARGO_FEATURE_HEIC").is_some() {
        println!("cargo:rustc-link-arg=-Wl,--exclude-libs,ALL");
    }
}

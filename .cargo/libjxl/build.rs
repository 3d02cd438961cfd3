//! Compiles libjxl. What of it is compiled, and how, stands in `.cargo/libraries.cmake`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    jpegxl_src::build();
}

//! The oldest versions of C codecs that may be linked: `.cargo/floors.rs`, which the build script asks.

#[path = "../.cargo/floors.rs"]
mod floors;

use floors::{FLOORS, check};

#[test]
fn a_library_with_a_known_fault_ends_the_build() {
    for (library, old, new) in [
        ("libwebp", "1.3.1", "1.3.2"),
        ("libaom", "3.9.0", "3.9.1"),
        ("libaom", "3.8.3", "3.11.0-dirty"),
        ("libjpeg-turbo", "2.1.5.1", "3.0.0"),
        ("libjpeg-turbo", "2.99", "v3.1"),
        ("libheif", "1.14.2", "1.15.1"),
    ] {
        assert_eq!(check(library, new), Ok(()));
        let error = check(library, old).expect_err(old);
        assert!(error.contains(&format!("got {old}: CVE-")), "{error}");
    }
    for nonsense in ["", "newest", "1", "1.x"] {
        let error = check("libwebp", nonsense).expect_err(nonsense);
        assert!(error.contains("must be 1.3.2 or newer"), "{error}");
    }
    assert!(check("libpng", "1.6.0").is_err());
    assert!(
        FLOORS
            .iter()
            .all(|floor| floor.advisory.starts_with("CVE-"))
    );
}

#[test]
fn libwebp_is_as_new_as_its_crate_says() {
    // SAFETY: they take nothing, and return a number.
    #[expect(unsafe_code, reason = "asks the library that is linked")]
    let versions = unsafe {
        [
            libwebp_sys::WebPGetDecoderVersion(),
            libwebp_sys::WebPGetEncoderVersion(),
        ]
    };
    for version in versions {
        let text = format!("{}.{}.{}", version >> 16, version >> 8 & 255, version & 255);
        assert_eq!(check("libwebp", &text), Ok(()));
        assert!(text.starts_with("1.6."), "tell .cargo/build.rs: {text}");
    }
}

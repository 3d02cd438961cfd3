use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use super::redacted;

#[test]
fn queries_are_removed_in_every_encoding() {
    for (text, told) in [
        (
            "/w=9/https://h.test/k?X-Amz-Signature=abc",
            "/w=9/https://h.test/k",
        ),
        (
            "/w=9/https%3A%2F%2Fh.test%2Fk%3Fsig=abc",
            "/w=9/https%3A%2F%2Fh.test%2Fk",
        ),
        (
            "/w=9/https%3a%2f%2fh.test%2fk%3fsig=abc?x",
            "/w=9/https%3a%2f%2fh.test%2fk",
        ),
        (
            "/w=9/https%3A%2F%2Fh.test%2Fk%253Fsig=abc",
            "/w=9/https%3A%2F%2Fh.test%2Fk",
        ),
        ("/w=9/k%25253Fsig=abc", "/w=9/k"),
        ("/w=9/k%25%33%46sig=abc", "/w=9/k"),
        ("/w=9/k&X-Amz-Signature=abc", "/w=9/k"),
        ("/w=9/https://h.test/k#abc", "/w=9/https://h.test/k"),
    ] {
        assert_eq!(redacted(text), told, "{text}");
    }
}

#[test]
fn users_and_passwords_are_removed() {
    for (text, told) in [
        ("https://u:p@h.test/a.jpg", "https://***h.test/a.jpg"),
        ("/w=9/https:/u@h.test/a.jpg", "/w=9/https:/***h.test/a.jpg"),
        (
            "/w=9/https%3A%2F%2Fu%3Ap%40h.test%2Fa",
            "/w=9/https%3A%2F%2F***h.test%2Fa",
        ),
        (
            "/w=9/https%253A%252F%252Fu%2540h.test",
            "/w=9/https%253A%252F%252F***h.test",
        ),
        ("/w=9/https://u%3Ap%40h.test/a", "/w=9/https://***h.test/a"),
        ("/w=9/https://u:p/q@h.test/a", "/w=9/https://***h.test/a"),
        ("/w=9/https://u:p%2Fq@h.test/a", "/w=9/https://***h.test/a"),
        ("/w=9/https:u:p@h.test/a", "/w=9/***h.test/a"),
        ("/w=9/u:p@h.test/a", "/w=9/***h.test/a"),
        ("/w=9/https://u:p@ss@h.test/a", "/w=9/https://***h.test/a"),
        ("//u@h.test/a", "//***h.test/a"),
        (
            "must be a URL, got `https://u:pass",
            "must be a URL, got `https://***",
        ),
        (
            "got `https://u:p@h` and `http://v@i`",
            "got `https://***h` and `http://***i`",
        ),
    ] {
        assert_eq!(redacted(text), told, "{text}");
    }
}

#[test]
fn a_text_without_secrets_stays() {
    for text in [
        "",
        "/cdn-cgi/image/width=80,background=%23f4e9d8/photos/me@2x.png",
        "/cdn-cgi/image/width=80/https://h.test:8080/R&B/a%20b@2x.png",
        "/cdn-cgi/image/width=80/https%3A%2F%2Fh.test%2Fa%2520b.jpg",
        "/cdn-cgi/image/width=80/http://[::1]:80/a.jpg",
        "/cdn-cgi/image/trim=1;2;3;4/https:/h.test/100%.jpg",
        "source host `h.test` is not in the list of allowed origins",
        "bucket `b`: answered 403; may these `credentials` do that?",
        "origin `b`: cannot connect: 10.0.0.7:80 refused: `caf\u{e9}`",
    ] {
        assert_eq!(redacted(text), text);
    }
}

#[test]
fn the_longest_head_takes_no_time() {
    for text in [
        "%25".repeat(20_000),
        "/".repeat(60_000),
        ":@".repeat(30_000),
        "//u:@".repeat(12_000),
        "&".repeat(60_000),
    ] {
        let begun = std::time::Instant::now();
        let _ = redacted(&text);
        assert!(begun.elapsed().as_secs() < 2, "{}", &text[..6]);
    }
}

/// The secret in generated texts.
const MARKER: &str = "Hunter2";
/// The characters that `encodeURIComponent` encodes.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Everything,
    Component,
    Separators,
}

fn encode(text: &str, encoding: Encoding) -> String {
    const SEPARATORS: &AsciiSet = &CONTROLS.add(b'%').add(b'/').add(b':').add(b'?');
    match encoding {
        Encoding::Everything => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        Encoding::Component => utf8_percent_encode(text, COMPONENT).to_string(),
        Encoding::Separators => utf8_percent_encode(text, SEPARATORS).to_string(),
    }
}

/// A URL with the marker in its user, password, query or fragment.
fn url_with_a_secret() -> impl Strategy<Value = String> {
    let scheme = select(vec!["http:", "HTTPS:", "ftp:", "s3:", ""]);
    let slashes = select(vec!["//", "///", "\\\\", "/\\"]);
    let user = select(vec![
        "", "M@", "M:@", ":M@", "u:M@", "M:M@", "u:1M@", "u:M@M@", "u:%4dM@",
    ]);
    let path = select(vec!["", "/", "/a.jpg", "/me@2x.png", "//a", "/a%20b.jpg"]);
    let query = select(vec![
        "",
        "?M",
        "?X-Amz-Signature=M",
        "?a=b&sig=M",
        "??M=M",
        "#M",
        "?a#M",
        "&token=M",
    ]);
    (scheme, slashes, user, path, query).prop_map(|(scheme, slashes, user, path, query)| {
        let host = "h.test:8080";
        format!("{scheme}{slashes}{user}{host}{path}{query}").replace('M', MARKER)
    })
}

fn encoded(url: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let encoding = prop_oneof![
        Just(Encoding::Everything),
        Just(Encoding::Component),
        Just(Encoding::Separators)
    ];
    let encodings = proptest::collection::vec(encoding, 0..4);
    (url, encodings).prop_map(|(url, encodings)| {
        encodings
            .into_iter()
            .fold(url, |url, encoding| encode(&url, encoding))
    })
}

/// Whether a text contains the secret, in any encoding.
fn tells(text: &str) -> bool {
    let mut text = text.to_owned();
    for _ in 0..6 {
        if text.contains(MARKER) {
            return true;
        }
        text = percent_encoding::percent_decode_str(&text)
            .decode_utf8_lossy()
            .into_owned();
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn no_secret_is_left_in_any_encoding(url in encoded(url_with_a_secret()), is_quoted in any::<bool>()) {
        let path = format!("/cdn-cgi/image/width=9,background=%23fff/{url}");
        let told = redacted(&path).into_owned();
        assert!(!tells(&told), "{path}: {told}");
        assert!(told.starts_with("/cdn-cgi/image/width=9,background=%23fff/"), "{told}");
        let message = if is_quoted { format!("must be one, got `{url}`, not two") } else { url };
        let told = redacted(&message).into_owned();
        assert!(!tells(&told), "{message}: {told}");
    }

    #[test]
    fn any_text_is_taken(text in "[/\\\\:@%?#&=`25a3F\\[\\] \u{e9}]{0,60}") {
        let told = redacted(&text).into_owned();
        assert!(told.len() <= text.len() + 3 * text.len());
    }
}

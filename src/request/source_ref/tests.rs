//! The forms of a source, and the texts that are none.

use super::*;

#[track_caller]
fn check(text: &str, zone_or_url: &str) {
    let source = SourceRef::parse(text).expect(text);
    let shown = match &source {
        SourceRef::Zone(path) => path,
        SourceRef::Absolute(url) => url.as_str(),
    };
    assert_eq!(shown, zone_or_url, "{text}");
    assert_eq!(
        matches!(source, SourceRef::Zone(_)),
        zone_or_url.starts_with('/'),
        "{text}"
    );
}

#[track_caller]
fn check_fault(text: &str, message: &str) {
    let fault = SourceRef::parse(text).expect_err(text).to_string();
    assert!(fault.contains(message), "{text}: {fault}");
}

#[test]
fn plain_urls_stay_as_they_are() {
    check("https://h.test/a.jpg", "https://h.test/a.jpg");
    check("http://h.test:8080/a.jpg", "http://h.test:8080/a.jpg");
    check("HTTPS://H.test/A.jpg", "https://h.test/A.jpg");
    check(
        "https://h.test/a%20b%2Fc.jpg",
        "https://h.test/a%20b%2Fc.jpg",
    );
    check(
        "https://h.test/a.jpg?v=1&w=2%203",
        "https://h.test/a.jpg?v=1&w=2%203",
    );
    check(
        "https://h.test/a.jpg?u=https://x.test/?y",
        "https://h.test/a.jpg?u=https://x.test/?y",
    );
    check("https://h.test/a.jpg%3Fv=1", "https://h.test/a.jpg%3Fv=1");
    check("https://h.test", "https://h.test/");
    check(
        "https://b\u{fc}cher.test/a"
            .replace('\u{fc}', "%C3%BC")
            .as_str(),
        "https://xn--bcher-kva.test/a",
    );
}

#[test]
fn encoded_urls_are_decoded_once() {
    check(
        "https%3A%2F%2Fh.test%2Fa.jpg%3Fv%3D1%262",
        "https://h.test/a.jpg?v=1&2",
    );
    check("https%3a%2f%2fh.test%2fa.jpg", "https://h.test/a.jpg");
    check("HTTP%3A%2F%2Fh.test%2Fa.jpg", "http://h.test/a.jpg");
    check("https%3A//h.test/a%2520b.jpg", "https://h.test/a%20b.jpg");
    check("https%3A%2Fh.test%2Fa.jpg", "https://h.test/a.jpg");
    check("https:%2F%2Fh.test%2Fa.jpg", "https://h.test/a.jpg");
    check(
        "https:%2f%2Fh.test%2Fa.jpg%3Fv=1",
        "https://h.test/a.jpg?v=1",
    );
    check("http:%2Fh.test/a.jpg", "http://h.test/a.jpg");
    check("https%3A%2F%2Fh.test%2Fa.jpg%23top", "https://h.test/a.jpg");
    check(
        "https%3A%2F%2Fh.test%2Fa%252Fb%253Fc",
        "https://h.test/a%2Fb%3Fc",
    );
}

#[test]
fn an_encoded_url_is_read_as_people_wrote_it() {
    let spelling = "https://h.test/a%20b%20%C3%BC.jpg";
    for text in [
        // `encodeURIComponent` of a URL with a space and a letter outside ASCII, and of the same URL encoded.
        "https%3A%2F%2Fh.test%2Fa%20b%20%C3%BC.jpg",
        "https%3A%2F%2Fh.test%2Fa%2520b%2520%25C3%25BC.jpg",
        "https%3A%2F%2Fh.test%2Fa%2520b%20%C3%BC.jpg",
        "https%3a%2f%2fh.test%2fa%20b%20%c3%bc.jpg",
        // `quote` of Python, which keeps slashes.
        "https%3A//h.test/a%20b%20%C3%BC.jpg",
        "https%3A//h.test/a%2520b%2520%25C3%25BC.jpg",
        "https:%2F%2Fh.test%2Fa%20b%20%C3%BC.jpg",
        "https%3A/h.test/a%20b%20%C3%BC.jpg",
        "https%3A%2F%2Fh.test%2Fa%20b%20%C3%BC.jpg%23top",
    ] {
        check(text, spelling);
    }
    for (text, url) in [
        (
            "https%3A%2F%2Fh.test%2Fa%20b.jpg%3Ft%3Dc%20d%20%C3%BC",
            "https://h.test/a%20b.jpg?t=c%20d%20%C3%BC",
        ),
        (
            "https%3A%2F%2Fb%C3%BCcher.test%2Fa",
            "https://xn--bcher-kva.test/a",
        ),
        // A plus is a plus: only in a query does it stand for a space.
        (
            "https%3A%2F%2Fh.test%2Fa+b%2Bc.jpg",
            "https://h.test/a+b+c.jpg",
        ),
        (
            "https%3A%2F%2Fh.test%2F100%25%20a.jpg",
            "https://h.test/100%%20a.jpg",
        ),
        (
            "https%3A%2F%2Fh.test%2F%F0%9F%98%80.jpg",
            "https://h.test/%F0%9F%98%80.jpg",
        ),
        (
            "https%3A%2F%2Fh.test%2Fa%22%3C%27~.jpg",
            "https://h.test/a%22%3C'~.jpg",
        ),
        // As browsers do, spaces around a URL are no part of it; an encoded one is.
        ("https%3A%2F%2Fh.test%2Fa.jpg%20", "https://h.test/a.jpg"),
        (
            "https%3A%2F%2Fh.test%2Fa.jpg%2520",
            "https://h.test/a.jpg%20",
        ),
        (
            "https%3A%2F%2Fh.test%2F%2Flead.png",
            "https://h.test//lead.png",
        ),
        (
            "https%3A%2F%2Fh.test%2Fb%2F%2Fc.png",
            "https://h.test/b//c.png",
        ),
    ] {
        check(text, url);
    }
    // It is decoded once, so a URL that was encoded twice is a path, as every other text without a scheme.
    check(
        "https%253A%252F%252Fh.test%252Fa.jpg",
        "/https%253A%252F%252Fh.test%252Fa.jpg",
    );
    check(
        "uploads%2Fa%20b%20%C3%BC.jpg",
        "/uploads%2Fa%20b%20%C3%BC.jpg",
    );
}

#[test]
fn a_query_that_was_added_to_an_encoded_url_is_not_decoded() {
    let url = "https://h.test/a%20b.jpg?v=c%26d%23e%2Bf%20g";
    for text in [
        "https%3A%2F%2Fh.test%2Fa%20b.jpg?v=c%26d%23e%2Bf%20g",
        "https:%2F%2Fh.test%2Fa%2520b.jpg?v=c%26d%23e%2Bf%20g",
        "https%3A%2F%2Fh.test%2Fa%2520b.jpg%3Fv%3Dc%2526d%2523e%252Bf%20g",
    ] {
        check(text, url);
    }
    check(
        "https%3A%2F%2Fh.test%2Fa.jpg%3Fv%3D1?w=%2F",
        "https://h.test/a.jpg?v=1?w=%2F",
    );
    check("https%3A%2F%2Fh.test?v=%3F", "https://h.test/?v=%3F");
}

#[test]
fn merged_slashes_are_restored() {
    check("https:/h.test/a.jpg", "https://h.test/a.jpg");
    check("https:///h.test/a.jpg", "https://h.test/a.jpg");
    check("http://////h.test//a.jpg", "http://h.test//a.jpg");
}

#[test]
fn the_rest_is_a_path_of_the_zone() {
    check("me.png", "/me.png");
    check("/me.png", "/me.png");
    check("//me.png", "/me.png");
    check("///evil.test/me.png", "/evil.test/me.png");
    check("\\\\evil.test\\me.png", "/evil.test/me.png");
    check("/\\evil.test", "/evil.test");
    check("uploads/a%20b.jpg?v=1?2", "/uploads/a%20b.jpg?v=1?2");
    check("uploads/a.jpg%3Fv=1", "/uploads/a.jpg%3Fv=1");
    check("a//b.jpg", "/a//b.jpg");
    check("/https://h.test/a.jpg", "/https://h.test/a.jpg");
    check("httpsx/a:b.jpg", "/httpsx/a:b.jpg");
    check("@evil.test/a", "/@evil.test/a");
    check(":8080/a", "/:8080/a");
    check("a.jpg?", "/a.jpg?");
}

#[test]
fn dot_segments_stay_inside() {
    check("../../etc/passwd", "/etc/passwd");
    check("a/../../../etc/passwd", "/etc/passwd");
    check("%2e%2e/%2E%2E/etc/passwd", "/etc/passwd");
    check(".%2e/a/%2e/b", "/a/b");
    check("a/..//../b", "/b");
    check("..//evil.test/a", "/evil.test/a");
    check("..\\..\\evil.test", "/evil.test");
    // Left to the policy: only there is known who will decode it.
    check("..%2f..%2fetc", "/..%2f..%2fetc");
    check("https://h.test/themes/../private", "https://h.test/private");
    check(
        "https://h.test/themes/%2e%2e/private",
        "https://h.test/private",
    );
}

#[test]
fn other_schemes_are_refused() {
    for text in [
        "ftp://h.test/a",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "s3://b/k",
        "javascript:1",
        "gopher:a",
        "a.b:c",
    ] {
        check_fault(text, "must be a path or an `http://` or `https://` URL");
    }
    check_fault("httpx%3A//h.test/:a b", "must be percent-encoded");
}

#[test]
fn credentials_are_refused() {
    for text in [
        "https://u:p@h.test/a",
        "https://u@h.test/a",
        "https://:p@h.test/a",
        "https%3A%2F%2Fu%40h.test%2Fa",
        "ftp://u:p@h.test/a",
        "token:x-oauth-basic@h.test/a",
    ] {
        check_fault(text, "must not hold a user or password");
    }
}

#[test]
fn unfit_characters_are_refused() {
    for text in [
        "a b.jpg",
        "caf\u{e9}.jpg",
        "https://h.test/a b",
        "a\u{0}",
        "a\tb",
        // What comes raw is refused in the encoded forms as well.
        "https%3A%2F%2Fh.test%2Fa b",
        "https%3A%2F%2Fh.test%2Fcaf\u{e9}.jpg",
        "https%3A%2F%2Fh.test%2F%0A",
        "https%3A%2F%2Fh.test%2Fa%09b",
        "https%3A%2F%2Fh.test%2Fa%00b",
        "https%3A%2F%2Fh.test%2Fa%7Fb",
        "https%3A%2F%2Fh.test%2Fa%C2%85b",
        "https:%2F%2Fh.test%0A%2Fa",
    ] {
        check_fault(text, "must be percent-encoded in the source");
    }
    check_fault("https%3A%2F%2Fh.test%2F%FF", "percent-encoded UTF-8");
}

#[test]
fn malformed_urls_are_refused() {
    for text in [
        "https:",
        "https:/",
        "https://",
        "https:///",
        "https:h.test/a",
        "https://[::1/a",
        "https://h.test:99999/a",
        "https%3Ah.test",
        "https%3A%2F%2Fh%20i.test%2Fa",
        "https%3A%2F%2F%20%2Fa",
    ] {
        check_fault(text, "the source must be a URL");
    }
}

#[test]
fn a_message_repeats_a_part_only() {
    let fault = SourceRef::parse(&format!("{}:a", "s".repeat(9000))).expect_err("no such scheme");
    assert!(fault.to_string().len() < 200);
}

//! `Content-Disposition` (RFC 6266): under which name a browser saves an answer, and whether it shows it first.
//!
//! The name comes out of a URL, so it is hostile: whatever could end the header, leave the folder of downloads or deceive a reader is taken out.

use hyper::header::HeaderValue;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

/// The longest name before its extension, in bytes. File systems take names of 255.
const LONGEST_STEM: usize = 200;
/// The longest extension, in characters, as in `.jpeg` and `.shtml`.
const LONGEST_EXTENSION: usize = 5;
/// The name of a source that has none.
const UNNAMED: &str = "image";
/// All but `attr-char` of RFC 8187.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Section `[response]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a browser does with an answer that a person opens.
    pub disposition: Disposition,
}

/// What a browser does with an answer that a person opens. Pictures in pages are shown in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// It shows the answer.
    #[default]
    Inline,
    /// It saves the answer.
    Attachment,
}

impl Disposition {
    /// The header for an answer that is called as `source`, the last segment of a path, decoded. `extension` is that of the format that was made of
    /// the source, and takes the place of its own; without it the source's own stays.
    pub(crate) fn header(self, source: &str, extension: Option<&str>) -> HeaderValue {
        let word = match self {
            Disposition::Inline => "inline",
            Disposition::Attachment => "attachment",
        };
        let name = file_name(source, extension);
        // Some browsers decode `%20` in this form.
        let ascii = |character: char| match character {
            ' '..='~' if character != '%' => character,
            _ => '_',
        };
        let fallback: String = name.chars().map(ascii).collect();
        let mut text = format!("{word}; filename=\"{fallback}\"");
        if fallback != name {
            text.push_str("; filename*=UTF-8''");
            text.extend(utf8_percent_encode(&name, ENCODED));
        }
        // The text is printable ASCII, so the conversion does not fail.
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(word))
    }
}

/// The name of a file for what is called as `source`.
fn file_name(source: &str, extension: Option<&str>) -> String {
    let last = source.rsplit(['/', '\\']).next().unwrap_or_default();
    let safe: String = last
        .chars()
        .map(|character| if is_unsafe(character) { '_' } else { character })
        .collect();
    let (stem, own) = split_extension(trim(&safe));
    let stem = trim(&stem[..stem.floor_char_boundary(LONGEST_STEM)]);
    let stem = if stem.is_empty() { UNNAMED } else { stem };
    let mark = if is_device(stem) { "_" } else { "" };
    match extension.or(own) {
        Some(extension) => format!("{mark}{stem}.{extension}"),
        None => format!("{mark}{stem}"),
    }
}

/// Without dots and spaces around it: a dot in front hides a file, and Windows drops those at the end.
fn trim(name: &str) -> &str {
    name.trim_matches(|character: char| character == '.' || character.is_whitespace())
}

/// The name and its extension: up to five letters and digits after a dot, but not digits alone, as in `v1.2`.
fn split_extension(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('.') {
        Some((stem, extension))
            if (1..=LONGEST_EXTENSION).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
                && extension.bytes().any(|byte| byte.is_ascii_alphabetic()) =>
        {
            (stem, Some(extension))
        }
        _ => (name, None),
    }
}

/// Whether Windows takes a name for a device, whatever its extension is.
fn is_device(stem: &str) -> bool {
    let name = stem.split('.').next().unwrap_or_default().trim_end();
    let name = name.to_ascii_uppercase();
    let numbered = name
        .strip_prefix("COM")
        .or_else(|| name.strip_prefix("LPT"));
    matches!(name.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered.is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']))
}

/// Whether a character is none for the name of a file: controls, what Windows reserves, and what turns the direction of a text or is not seen,
/// and so can make `gpj.exe` of `exe.jpg`. Joiners stay: letters and emoji need them.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '"' | '\\' | '/' | ':' | '*' | '?' | '<' | '>' | '|'
            // What stands for bytes that are not UTF-8.
            | '\u{fffd}'
            | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::Just;
    use proptest::prelude::any;
    use proptest::prelude::prop;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::prop_oneof;
    use proptest::proptest;

    use super::*;

    #[track_caller]
    fn check(source: &str, parameters: &str) {
        let header = Disposition::Inline.header(source, Some("webp"));
        assert_eq!(header, format!("inline; {parameters}"), "{source:?}");
    }

    /// A plain name.
    #[track_caller]
    fn check_plain(source: &str, name: &str) {
        check(source, &format!("filename=\"{name}\""));
    }

    #[test]
    fn the_extension_of_the_format_takes_the_place_of_the_source_s() {
        check_plain("cat.jpg", "cat.webp");
        check_plain("cat.JPEG", "cat.webp");
        check_plain("cat.webp", "cat.webp");
        check_plain("cat", "cat.webp");
        check_plain("my cat.png", "my cat.webp");
        check_plain("cat.min.svg", "cat.min.webp");
        check_plain("archive.tar.gz", "archive.tar.webp");
        check_plain("image.php", "image.webp");
        // No extensions.
        check_plain("v1.2", "v1.2.webp");
        check_plain("Dr. Who", "Dr. Who.webp");
        check_plain("cat.jpg_large", "cat.jpg_large.webp");
        check_plain("cat.2024-01-01", "cat.2024-01-01.webp");
    }

    #[test]
    fn a_source_without_a_name_is_an_image() {
        for source in ["", ".", "..", "...", " ", "a/", "\\", ". .", "\u{3000}"] {
            check_plain(source, "image.webp");
        }
    }

    #[test]
    fn nothing_leaves_the_header_or_the_folder() {
        check_plain("../../etc/passwd", "passwd.webp");
        check_plain("..\\..\\boot.ini", "boot.webp");
        check_plain("folder/cat.jpg", "cat.webp");
        check_plain("C:evil.exe", "C_evil.webp");
        check_plain("a\"; filename=\"b.exe", "a_; filename=_b.webp");
        check_plain("a\r\nSet-Cookie: b=c", "a__Set-Cookie_ b=c.webp");
        check_plain("a\0\u{7f}\u{85}b.jpg", "a___b.webp");
        check_plain("<a>|b?*.jpg", "_a__b__.webp");
        check_plain(".htaccess", "htaccess.webp");
        check_plain("cat.jpg. . ", "cat.webp");
        check_plain("cat .jpg", "cat.webp");
        for device in [
            "con.png",
            "AUX.jpg",
            "nul",
            "Com1.png",
            "lpt9.tar.gz",
            "con .png",
        ] {
            let name = file_name(device, Some("webp"));
            assert!(name.starts_with('_'), "{name}");
        }
        check_plain("comb.png", "comb.webp");
        check_plain("com0.png", "com0.webp");
        // Characters that are not seen, and those that turn a text.
        check_plain("a\u{ad}\u{180e}\u{e0041}.jpg", "a___.webp");
        check_plain("cat\u{202e}gpj.exe", "cat_gpj.webp");
        check_plain(
            "\u{feff}\u{200b}\u{2066}\u{2028}a\u{fffd}.jpg",
            "____a_.webp",
        );
    }

    #[test]
    fn names_in_all_scripts_have_a_fallback() {
        check(
            "k\u{e4}se.jpg",
            "filename=\"k_se.webp\"; filename*=UTF-8''k%C3%A4se.webp",
        );
        check(
            "\u{732b} 1.jpg",
            "filename=\"_ 1.webp\"; filename*=UTF-8''%E7%8C%AB%201.webp",
        );
        // Some browsers would decode the first form.
        check(
            "100%25.jpg",
            "filename=\"100_25.webp\"; filename*=UTF-8''100%2525.webp",
        );
        check(
            "it's (1)\u{1f408}.jpg",
            "filename=\"it's (1)_.webp\"; filename*=UTF-8''it%27s%20%281%29%F0%9F%90%88.webp",
        );
    }

    #[test]
    fn long_names_end_between_characters() {
        let name = file_name(&format!("{}.jpeg", "a".repeat(70_000)), Some("webp"));
        assert_eq!(name, format!("{}.webp", "a".repeat(200)));
        let name = file_name(&format!("a{}.jpg", "\u{732b}".repeat(300)), None);
        assert_eq!(name, format!("a{}.jpg", "\u{732b}".repeat(66)));
        // Not a dot and a space more.
        let name = file_name(&format!("{} .{}", "a".repeat(198), "b".repeat(9)), None);
        assert_eq!(name, "a".repeat(198));
    }

    #[test]
    fn what_is_no_rendition_keeps_its_extension() {
        for (source, header) in [
            ("a/cat.JPEG", "attachment; filename=\"cat.JPEG\""),
            ("cat", "attachment; filename=\"cat\""),
            ("v1.2", "attachment; filename=\"v1.2\""),
            ("", "attachment; filename=\"image\""),
        ] {
            assert_eq!(Disposition::Attachment.header(source, None), header);
        }
    }

    /// The names in a header: that of the first form, and the one that counts.
    fn names_in(header: &str) -> (&str, String) {
        let rest = header
            .strip_prefix("inline; filename=\"")
            .expect("quoted text");
        let (fallback, rest) = rest.split_once('"').expect("the end of the quoted text");
        let name =
            match rest.strip_prefix("; filename*=UTF-8''") {
                Some(encoded) => {
                    assert!(encoded.bytes().all(
                        |byte| byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~%".contains(&byte)
                    ));
                    let decoded = percent_decode_str(encoded).decode_utf8();
                    decoded.expect("UTF-8").into_owned()
                }
                None => {
                    assert_eq!(rest, "");
                    fallback.to_owned()
                }
            };
        (fallback, name)
    }

    proptest! {
        #[test]
        fn every_header_is_valid_and_names_a_harmless_file(
            source in prop_oneof![
                any::<String>(),
                "[a-z./\\\\\"%;: \r\n\u{202a}-\u{202e}\u{e4}\u{732b}]{0,400}",
            ],
            extension in prop::option::of(Just("webp")),
        ) {
            let header = Disposition::Inline.header(&source, extension);
            let (fallback, name) = names_in(header.to_str().expect("ASCII"));
            prop_assert_eq!(&name, &file_name(&source, extension));
            prop_assert!(fallback.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\%".contains(&byte)));
            prop_assert!(!name.is_empty() && name.len() <= "_".len() + LONGEST_STEM + 1 + LONGEST_EXTENSION);
            prop_assert!(!name.chars().any(is_unsafe), "{name:?}");
            prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
            if extension.is_some() {
                prop_assert!(name.ends_with(".webp") && name.len() > ".webp".len());
            }
        }
    }
}

//! Any text is refused or has one canonical spelling, within linear time and without a panic.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any};
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use crate::options::definitions::OptionName;
use crate::options::tests::arbitrary::any_options;
use crate::options::{OptionError, Options};

proptest! {
    #[test]
    fn canonical_spelling_round_trips(options in any_options()) {
        let spelling = options.to_string();
        prop_assert_eq!(spelling.parse::<Options>().expect(&spelling), options);
    }

    #[test]
    fn canonical_spelling_needs_no_warning_and_no_escape(options in any_options()) {
        let spelling = options.to_string();
        prop_assert!(spelling.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=,.;-%".contains(&byte)), "{spelling}");
        if !spelling.is_empty() {
            prop_assert_eq!(Options::parse(&spelling).expect(&spelling).1, vec![]);
        }
    }

    #[test]
    fn any_text_is_refused_or_has_a_canonical_spelling(text in any::<String>()) {
        check_canonical(&text)?;
    }

    #[test]
    fn near_misses_are_refused_or_have_a_canonical_spelling(text in near_miss()) {
        check_canonical(&text)?;
    }

    #[test]
    fn canonical_spelling_with_one_byte_changed(options in any_options(), place in any::<usize>(), byte in 0..128_u8) {
        let mut bytes = options.to_string().into_bytes();
        if let Some(place) = place.checked_rem(bytes.len()) {
            bytes[place] = byte;
        }
        check_canonical(&String::from_utf8(bytes).expect("one ASCII character took another's place"))?;
    }
}

/// A text that is accepted has a canonical spelling that means the same. The message about one that is refused is printable.
fn check_canonical(text: &str) -> Result<(), proptest::test_runner::TestCaseError> {
    let is_printable = |text: &str| text.chars().all(|character| matches!(character, ' '..='~'));
    match Options::parse(text) {
        Ok((options, warnings)) => {
            for warning in warnings {
                let warning = warning.to_string();
                prop_assert!(
                    is_printable(&warning) && !warning.contains(['"', '\\']),
                    "{warning}"
                );
            }
            prop_assert_eq!(options.to_string().parse::<Options>().expect(text), options);
        }
        Err(error) => prop_assert!(is_printable(&error.to_string()), "{error}"),
    }
    Ok(())
}

/// Segments that are almost right: real names, odd values, odd separators.
fn near_miss() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        8 => select(OptionName::ALL).prop_map(|name| name.as_str().to_owned()),
        2 => select(vec!["w", "h", "q", "f", "g", "scq", "face-zoom", "trim.border", "border", "W", ""]).prop_map(String::from),
        1 => "[a-z.-]{0,12}",
    ];
    let odd = vec![
        "",
        "0",
        "1",
        "-1",
        "100",
        "101",
        "255",
        "256",
        "0.5",
        ".5",
        "5.",
        "1e3",
        "1e-7",
        "1e999",
        "nan",
        "inf",
        "4294967296",
        "0.9999999",
        "0.0000001",
        "0.5x0.5",
        "1x0",
        "1.1x0",
        "x",
        "1;2;3;4",
        "0.1;0.2;0.3;0.4",
        "1;2",
        ";;;",
        "320;768",
        "border",
        "auto",
        "true",
        "red",
        "%23fff",
        "#12345678",
        "rgb(1,2,3)",
        "rgb%281%2C2%2C3%29",
        "rgb(1+2+3)",
        "rgb(",
        ")",
        "%00",
        "%ff",
        "%",
        "%2",
        "jpeg",
        "mp4",
        "cover",
        "h",
        "90",
        "high",
        "mid",
        "keep",
        "redirect",
        "=",
        "a=b",
        " 5 ",
        "\u{e9}",
        "\"",
    ];
    let value = prop_oneof![4 => select(odd).prop_map(String::from), 1 => "\\PC{0,8}", 1 => "-?[0-9]{0,12}(\\.[0-9]{0,9})?"];
    let glue = prop_oneof![6 => Just(","), 1 => Just("%2C"), 1 => Just(",,"), 1 => Just(" , ")];
    let pieces = vec((name, value, glue), 0..12);
    pieces.prop_map(|pieces| {
        pieces
            .into_iter()
            .map(|(name, value, glue)| format!("{name}={value}{glue}"))
            .collect()
    })
}

#[test]
fn hostile_text_takes_linear_time() {
    let started = Instant::now();
    let size = 1_000_000;
    let texts = [
        ",".repeat(size),
        "(".repeat(size),
        "%2C".repeat(size / 3),
        "%00".repeat(size / 3),
        "w=".repeat(size / 2),
        "width=a,".repeat(size / 8),
        format!("width={}", "1".repeat(size)),
        format!("blur=0.{}", "1".repeat(size)),
        format!("gravity={}", "0x".repeat(size / 2)),
        format!("trim={}", "1;".repeat(size / 2)),
        format!("wbreakpoints={}", "1;".repeat(size / 2)),
        format!("background={}", "rgb(from ".repeat(size / 9)),
        format!("width=5,{}", "a=b,".repeat(size / 4)),
        "no-pair,".repeat(size / 8),
    ];
    for text in &texts {
        if let Ok((_, warnings)) = Options::parse(text) {
            assert!(warnings.len() <= 1, "{}", warnings.len());
        }
    }
    // Some hundred milliseconds at most; anything quadratic takes many minutes.
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn options_that_ask_for_nothing_print_nothing() {
    assert_eq!(Options::default().to_string(), "");
    assert_eq!("".parse::<Options>(), Ok(Options::default()));
    assert_eq!(Options::parse(""), Err(OptionError::NoUsableOption));
}

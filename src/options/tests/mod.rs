//! Options as a URL asks for them: what a segment means, and which warnings and errors it causes.

pub(crate) mod arbitrary;
mod canonical;
pub(crate) mod docs;
mod domains;
mod generators;
mod grammar;
mod values;
mod warnings;

use super::Options;
use super::Warning;

/// Compares what `segment` means, as its canonical spelling, and the number of its warnings.
#[track_caller]
fn check_warned(segment: &str, canonical: &str, warnings: usize) {
    let (options, given) = Options::parse(segment).expect(segment);
    assert_eq!(options.to_string(), canonical, "{segment}");
    assert_eq!(given.len(), warnings, "{segment}: {given:?}");
}

#[track_caller]
fn check(segment: &str, canonical: &str) {
    check_warned(segment, canonical, 0);
}

#[track_caller]
fn check_error(segment: &str, text: &str) {
    let error = Options::parse(segment).expect_err(segment);
    assert_eq!(error.to_string(), text, "{segment}");
}

/// Each of these values is refused with a message that says what is accepted.
#[track_caller]
fn check_refused(option: &str, must_be: &str, values: &[&str]) {
    for value in values {
        check_error(
            &format!("{option}={value}"),
            &format!("option `{option}` must be {must_be}, got `{value}`"),
        );
    }
}

#[track_caller]
fn check_warning(segment: &str, text: &str) {
    let (_, warnings) = Options::parse(segment).expect(segment);
    let texts: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(texts, [text], "{segment}");
}

//! What programs are told of the values of options is what the parser takes.

use crate::options::domain::NumberRange;
use crate::options::{OPTION_ROWS, Options};

/// Whether a value is taken as it is.
fn takes(name: &str, value: &str) -> bool {
    let parsed = Options::parse(&format!("{name}={value}"));
    parsed.is_ok_and(|(options, warnings)| options != Options::default() && warnings.is_empty())
}

#[test]
fn every_word_and_every_example_is_taken() {
    for row in OPTION_ROWS {
        let name = row.names[0];
        for value in row.domain.words.iter().chain(&row.domain.example) {
            // `segment`, `zoom` and others are read, but warn that they have no effect.
            let parsed = Options::parse(&format!("{name}={value}"));
            let (options, _) = parsed.unwrap_or_else(|error| panic!("{name}={value}: {error}"));
            assert_ne!(options, Options::default(), "{name}={value}");
        }
        let named = row.domain.words.iter();
        let missing: Vec<_> = named.filter(|word| !row.values.contains(**word)).collect();
        assert!(missing.is_empty(), "{name}: the table lacks {missing:?}");
    }
}

#[test]
fn numbers_are_taken_from_end_to_end() {
    let mut count = 0;
    for row in OPTION_ROWS {
        let (name, Some(range)) = (row.names[0], row.domain.numbers) else {
            continue;
        };
        let NumberRange { min, max, is_whole } = range;
        count += 1;
        assert!(takes(name, &min.to_string()), "{name}={min}");
        assert!(!takes(name, &(min - 1.0).to_string()), "{name} below {min}");
        if let Some(max) = max {
            assert!(takes(name, &max.to_string()), "{name}={max}");
            assert!(!takes(name, &(max + 1.0).to_string()), "{name} above {max}");
        } else {
            assert!(takes(name, "100000"), "{name} has no upper end");
        }
        let fraction = format!("{name}={}", min + 0.25);
        let (options, _) = Options::parse(&fraction).expect(&fraction);
        let is_kept = options.to_string() == fraction;
        assert!(is_kept != is_whole, "{fraction} is {options}");
    }
    assert!(count > 20, "{count} options with numbers");
}

#[test]
fn options_with_neither_numbers_nor_words_have_an_example() {
    for row in OPTION_ROWS {
        let domain = row.domain;
        let is_told = domain.numbers.is_some() || !domain.words.is_empty();
        assert!(is_told || domain.example.is_some(), "{:?}", row.names);
    }
}

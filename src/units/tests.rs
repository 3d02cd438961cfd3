use std::time::Duration;

use super::AutoByteSize;
use super::ByteSize;
use super::Seconds;

#[test]
fn sizes_are_powers_of_1024() {
    for (text, bytes) in [
        ("0", 0),
        ("17", 17),
        ("17 B", 17),
        ("1KiB", 1024),
        ("100 MiB", 104_857_600),
        ("10 GiB", 10_737_418_240),
        ("2 TiB", 2_199_023_255_552),
    ] {
        assert_eq!(
            text.parse::<ByteSize>().map(ByteSize::bytes),
            Ok(bytes),
            "{text}"
        );
    }
}

#[test]
fn a_size_may_be_left_to_the_server() {
    for (text, size) in [
        ("auto", AutoByteSize::Auto),
        (" auto ", AutoByteSize::Auto),
        ("1 GiB", AutoByteSize::Fixed(ByteSize::gib(1))),
        ("17", AutoByteSize::Fixed(ByteSize::new(17))),
    ] {
        assert_eq!(text.parse(), Ok(size), "{text}");
    }
    for text in ["", "Auto", "automatic", "1 GB", "-1 GiB", "25 %"] {
        let error = text.parse::<AutoByteSize>().expect_err("is no size");
        let told = error.to_string();
        assert!(told.contains("\"auto\" or a size"), "{told}");
        assert!(told.ends_with(&format!("got `{text}`")), "{told}");
    }
}

#[test]
fn lengths_of_time_need_a_unit() {
    for (text, millis) in [
        ("500 ms", 500),
        ("30 s", 30_000),
        ("2min", 120_000),
        ("1 h", 3_600_000),
        ("365 d", 31_536_000_000),
    ] {
        assert_eq!(
            text.parse::<Seconds>().map(Seconds::duration),
            Ok(Duration::from_millis(millis)),
            "{text}"
        );
    }
    assert!("30".parse::<Seconds>().is_err());
}

#[test]
fn a_malformed_quantity_is_named() {
    let error = "12 MB"
        .parse::<ByteSize>()
        .expect_err("MB is not a unit here");
    assert_eq!(
        error.to_string(),
        "must be a size such as \"100 MiB\" (units B, KiB, MiB, GiB, TiB), got `12 MB`"
    );
    for text in ["", "MiB", "-1 MiB", "1.5 GiB"] {
        let error = text.parse::<ByteSize>().expect_err("is no size");
        assert!(error.to_string().contains("a size such as"), "{error}");
    }
}

#[test]
fn what_is_too_large_is_called_so() {
    for text in [
        "99999999999999999999",
        "99999999999 TiB",
        "18446744073709551616 B",
    ] {
        let told = format!("must be a smaller size, below 16777216 TiB, got `{text}`");
        let size = text.parse::<ByteSize>();
        assert_eq!(size.expect_err("is too large").to_string(), told);
        let size = text.parse::<AutoByteSize>();
        assert_eq!(size.expect_err("is too large").to_string(), told);
    }
    let error = "9999999999999999 d".parse::<Seconds>();
    assert_eq!(
        error.expect_err("is too large").to_string(),
        "must be a shorter time, below 213503982335 d, got `9999999999999999 d`"
    );
    assert!("18446744073709551615".parse::<ByteSize>().is_ok());
}

#[test]
fn lengths_of_time_are_shown_in_their_largest_unit() {
    for (text, shown) in [
        ("0 ms", "0 s"),
        ("1500 ms", "1500 ms"),
        ("60 s", "1 min"),
        ("90 min", "90 min"),
        ("48 h", "2 d"),
    ] {
        let time: Seconds = text.parse().expect("a length of time");
        assert_eq!(time.to_string(), shown);
    }
}

//! The bodies of the fuzzers, on stable: with bytes that were found or thought of, and with random ones. `make fuzz` runs them for longer.

#[allow(
    dead_code,
    reason = "`picture` has its tests in `mutations`, `svg` and `worker` in their modules"
)]
mod bodies;

use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::test_runner::Config;
use safelight::transform::{Limits, Source};

/// Words of which requests are made, and what separates them, in the form that libFuzzer reads.
const WORDS: &str = include_str!("words.dict");

fn words() -> Vec<String> {
    let lines = WORDS.lines().filter_map(|line| line.strip_prefix('"'));
    let words = lines.filter_map(|line| line.strip_suffix('"'));
    words.map(|word| word.replace("\\x0a", "\n")).collect()
}

/// What was found, and what others have fallen over.
const REQUESTS: [&[u8]; 12] = [
    b"",
    b"/",
    b"*",
    b"/cdn-cgi/image/",
    b"/cdn-cgi/image/sig=k1./a.jpg",
    b"/cdn-cgi/image/width=80,sig=k1.99999999999999999999.0/a.jpg",
    b"/cdn-cgi/image/width=80,sig=k1.\xc3\xa9/a.jpg",
    b"/cdn-cgi/image/width=80/%",
    b"/cdn-cgi/image/width=80/http://a.allowed.test:99999/",
    b"/uploads/a.jpg?width=80&width=&sig",
    b"/_next/image?url=%2Fa.jpg&w=640&q=75&sig=k1.",
    b"http://h/cdn-cgi/image/width=80/a.jpg\naccept: image/*;q=1e999\naccept: ,;,",
];

#[test]
fn kept_requests_are_jobs_or_errors() {
    REQUESTS.iter().for_each(|bytes| bodies::request(bytes));
}

#[test]
fn sizes_at_the_limits_have_a_layout_or_an_error() {
    const SIDES: [u16; 7] = [0, 1, 2, 255, 4096, 16_383, u16::MAX];
    for (width, height) in SIDES.iter().flat_map(|w| SIDES.map(|h| (*w, h))) {
        for options in [
            "",
            "width=1",
            "height=1,fit=pad",
            "width=12000,height=1,fit=cover",
            "fit=crop,width=1,height=12000,gravity=1x1",
            "rotate=90,trim=1;2;3;4",
            "width=8,dpr=3,border.width=7,border.color=red",
            "format=avif,width=9,height=9,fit=squeeze",
        ] {
            let [a, b] = width.to_be_bytes();
            let [c, d] = height.to_be_bytes();
            bodies::layout(&[&[a, b, c, d], options.as_bytes()].concat());
        }
    }
    // The header is one that is read, or nothing of this was tried.
    assert!(Source::open(bodies::png_header(9, 9).into(), &Limits::default()).is_ok());
}

proptest! {
    #![proptest_config(Config::with_cases(1000))]

    #[test]
    fn random_requests_are_jobs_or_errors(words in vec(any::<usize>(), 0..24)) {
        let all = self::words();
        let text: String = words.into_iter().map(|at| &*all[at % all.len()]).collect();
        bodies::request(text.as_bytes());
        bodies::request(format!("/cdn-cgi/image/{text}").as_bytes());
        bodies::options(text.as_bytes());
        bodies::signature(text.as_bytes());
    }

    #[test]
    fn random_bytes_are_jobs_or_errors(bytes in vec(any::<u8>(), 0..200)) {
        bodies::request(&bytes);
        bodies::request(&[b"/cdn-cgi/image/", &*bytes].concat());
        bodies::options(&bytes);
        bodies::headers(&bytes);
        bodies::signature(&bytes);
        bodies::layout(&bytes);
    }
}

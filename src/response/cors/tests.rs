use super::*;

fn cors(entries: &[&str]) -> Cors {
    let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
    Cors {
        origins: Origins::try_from(entries).expect("a list"),
    }
}

fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).expect("a value"),
        );
    }
    map
}

/// The headers as text in the order of the alphabet, without the long list of exposed ones.
fn shown(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| *name != ACCESS_CONTROL_EXPOSE_HEADERS)
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("ASCII")))
        .collect();
    lines.sort();
    lines
}

#[track_caller]
fn check(cors: &Cors, request: &[(&'static str, &str)], answer: &[&str]) {
    let mut headers = HeaderMap::new();
    cors.apply(&map(request), &mut headers);
    assert_eq!(shown(&headers), answer, "{request:?}");
    let has = |name| headers.contains_key(name);
    assert_eq!(
        has(ACCESS_CONTROL_EXPOSE_HEADERS),
        has(ACCESS_CONTROL_ALLOW_ORIGIN)
    );
    let once = headers.clone();
    cors.apply(&map(request), &mut headers);
    assert_eq!(headers, once, "applied twice: {request:?}");
}

const OPEN: [&str; 3] = [
    "access-control-allow-origin: *",
    "cross-origin-resource-policy: cross-origin",
    "timing-allow-origin: *",
];

#[test]
fn every_origin_gets_the_same_headers() {
    let all = cors(&["*"]);
    assert_eq!(all, Cors::default());
    for origin in ["https://a.test", "null", "\u{fc}", "https://a.test, x"] {
        check(&all, &[("origin", origin)], &OPEN);
    }
    check(&all, &[], &OPEN);
    check(&all, &[("origin", "a"), ("origin", "b")], &OPEN);
}

#[test]
fn an_empty_list_adds_nothing() {
    check(&cors(&[]), &[], &[]);
    check(&cors(&[]), &[("origin", "https://a.test")], &[]);
}

#[test]
fn only_origins_of_the_list_are_repeated() {
    let list = cors(&["https://a.test", "https://*.b.test"]);
    for origin in ["https://a.test", "https://b.test", "https://x.b.test"] {
        let allow = format!("access-control-allow-origin: {origin}");
        let timing = format!("timing-allow-origin: {origin}");
        let policy = "cross-origin-resource-policy: cross-origin";
        check(
            &list,
            &[("origin", origin)],
            &[&allow, policy, &timing, "vary: Origin"],
        );
    }
    let others = ["cross-origin-resource-policy: cross-origin", "vary: Origin"];
    check(&list, &[], &others);
    for origin in ["null", "https://c.test", "*", "", "\u{fc}"] {
        check(&list, &[("origin", origin)], &others);
    }
    let twice = [("origin", "https://a.test"), ("origin", "https://a.test")];
    check(&list, &twice, &others);
}

#[test]
fn vary_stays_one_line() {
    let list = cors(&["https://a.test"]);
    let mut headers = map(&[("vary", "Accept")]);
    list.apply(&HeaderMap::new(), &mut headers);
    assert_eq!(headers.get_all(VARY).iter().count(), 1);
    assert_eq!(headers[VARY], "Accept, Origin");
    let mut headers = map(&[("vary", "Accept")]);
    cors(&["*"]).apply(&HeaderMap::new(), &mut headers);
    assert_eq!(headers[VARY], "Accept");
}

#[test]
fn a_preflight_of_an_origin_that_may_hears_what_it_may() {
    let asked = [
        ("origin", "https://a.test"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-hostile\u{fc}"),
    ];
    let methods = [
        "access-control-allow-headers: *",
        "access-control-allow-methods: GET, HEAD, OPTIONS",
    ];
    let answer =
        |cors: &Cors, request: &[(&'static str, &str)]| shown(&cors.of_options(&map(request)));
    let open = [
        &methods[..],
        &[
            "access-control-allow-origin: *",
            "access-control-max-age: 86400",
        ],
        &["allow: GET, HEAD, OPTIONS"],
        &OPEN[1..],
    ]
    .concat();
    assert_eq!(answer(&cors(&["*"]), &asked), open);
    let plain = [&OPEN[..1], &["allow: GET, HEAD, OPTIONS"], &OPEN[1..]].concat();
    assert_eq!(answer(&cors(&["*"]), &asked[..1]), plain);
    assert_eq!(answer(&cors(&[]), &asked), ["allow: GET, HEAD, OPTIONS"]);
    assert_eq!(
        answer(&cors(&["https://b.test"]), &asked),
        [
            "allow: GET, HEAD, OPTIONS",
            "cross-origin-resource-policy: cross-origin",
            "vary: Origin"
        ]
    );
    let listed = answer(&cors(&["https://a.test"]), &asked);
    assert_eq!(listed[..2], methods);
    assert!(listed.contains(&"access-control-allow-origin: https://a.test".to_owned()));
}

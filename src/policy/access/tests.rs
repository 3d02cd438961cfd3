use hyper::Request;

use super::*;
use crate::policy::access::config::SignaturesConfig;
use crate::request::{Extensions, FlowConfig, Flows, Prefixes, Presets, RequestKeyRef, sign};
use crate::signature::{KeyConfig, MacKey, Secret};

const OLD: &str = "an old secret of 32 bytes.......";
const NEW: &str = "a new secret of 32 bytes........";

fn access(text: &str, keys: &[(&str, &str)]) -> Access {
    let mut config: SignaturesConfig = toml::from_str(text).expect("a section");
    config.key = keys
        .iter()
        .map(|(id, secret)| KeyConfig {
            id: (*id).to_owned(),
            secret: Secret::new(secret).expect("long enough"),
            secret_file: None,
        })
        .collect();
    let keys = SigningKeys::open(&config.key).expect("sound keys");
    Access::new(&config, keys)
}

fn request(target: &str, headers: &[(&str, &str)]) -> ImageRequest {
    let mut head = Request::builder().uri(target).header("host", "zone.test");
    for (name, value) in headers {
        head = head.header(*name, *value);
    }
    let head = head.body(()).expect(target).into_parts().0;
    let key = RequestKeyRef::of(&head).expect("GET and a path");
    let presets: Presets = toml::from_str("thumb = 'width=200,height=200,fit=cover'").expect("one");
    let extensions = Extensions {
        presets,
        signatures: true,
    };
    let prefixes = Prefixes::default();
    let flow: FlowConfig = toml::from_str(
        "match = ['/uploads/**']\noptions = 'format=auto,quality=80'\nquery = ['width']",
    )
    .expect("a flow");
    let flows = Flows::new(&[flow], &prefixes).expect("a flow");
    match ImageRequest::by_flow(&key, &flows.with_signatures(true), &prefixes) {
        Some((_, request)) => request,
        None => ImageRequest::of(&key, &prefixes, &extensions).expect(target),
    }
}

fn signed(target: &str, id: &str, secret: &str, expires: Option<u64>) -> String {
    let key = MacKey::new(secret.as_bytes()).expect("any key");
    sign(target, &Prefixes::default(), (id, &key), expires).expect("it can be signed")
}

fn verdict(access: &Access, target: &str) -> String {
    let wanted = |_: &Options| Pixels::new(700).expect("not zero");
    match access.terms(&request(target, &[]), wanted) {
        Ok(terms) => {
            let width = terms.width.map_or(0, Pixels::get);
            format!("fine, until {:?}, width {width}", terms.expires)
        }
        Err(denial) => denial.to_string(),
    }
}

const FINE: &str = "fine, until None, width 0";
const MISSING: &str =
    "the URL must be signed: its last option, or its last parameter, must be `sig`";
const WRONG: &str = "the signature of the URL does not match";

#[test]
fn signatures_of_other_languages_are_right() {
    // Made by Python's `hmac`: see docs/signed-urls.md.
    let access = access(
        "required = 'always'",
        &[("web", "0123456789abcdef0123456789abcdef")],
    );
    for (target, until) in VECTORS {
        assert_eq!(
            verdict(&access, target),
            format!("fine, until {until:?}, width 0"),
            "{target}"
        );
    }
}

const VECTORS: [(&str, Option<u64>); 5] = [
    (
        "/cdn-cgi/image/width=80,format=auto,sig=web.cee2e0db2a03a0431bd16dc01028300e705b028ae1c9adb13fe5e9093d8ac45b/cat.jpg",
        None,
    ),
    (
        "/cdn-cgi/image/width=80,sig=web.4102444800.cf1cf821f396fa4170e231dfad842ca731658dbc2bb6c2dd76dc45589659304c/photos/a%20b.jpg?v=1&sig=x",
        Some(4_102_444_800),
    ),
    (
        "/cdn-cgi/image/preset=thumb,sig=web.2424499d78acdb9db93f0702a67c2ba121479776d16f45ab8b160409003c0ed0/https://b.test/cat.jpg",
        None,
    ),
    (
        "/_next/image?url=%2Fcat.jpg&w=640&q=75&sig=web.4102444800.b7a9335ffe1755a6b4dcd6f530b5032809c3de68ded5464afb477319391a2133",
        Some(4_102_444_800),
    ),
    (
        "/uploads/cat.jpg?width=320&sig=web.9da083cf56edd9226a5d984f470c9999b974201e5d5b469efd571b926e53a91b",
        None,
    ),
];

#[test]
fn a_url_that_was_changed_is_refused() {
    let access = access("required = 'always'", &[("a", NEW), ("b", OLD)]);
    let target = "/cdn-cgi/image/width=80,height=90/cat.jpg?v=1";
    let right = signed(target, "a", NEW, None);
    assert_eq!(verdict(&access, &right), FINE);
    assert_eq!(verdict(&access, target), MISSING);
    let until = signed(target, "a", NEW, Some(u64::MAX));
    assert_eq!(
        verdict(&access, &until),
        format!("fine, until {:?}, width 0", Some(u64::MAX))
    );
    for changed in [
        right.replace("width=80", "width=81"),
        // The order counts, although the picture is the same.
        right.replace("width=80,height=90", "height=90,width=80"),
        right.replace("cat", "dog"),
        right.replace("cat", "c%61t"),
        right.replace("cat", "c%2561t"),
        right.replace("?v=1", ""),
        right.replace("?v=1", "?v=1&w=2"),
        right.replace("/cat", "//cat"),
        right.replace("/cat", "/./cat"),
        // The other key, and a key that there is not.
        right.replace("sig=a.", "sig=b."),
        right.replace("sig=a.", "sig=c."),
        // An expiry that was added, changed or taken away.
        right.replace("sig=a.", "sig=a.99999999999."),
        until.replace(&u64::MAX.to_string(), "99999999999"),
        until.replace(&format!("{}.", u64::MAX), ""),
        signed(target, "a", OLD, None),
        signed("/cdn-cgi/image/width=80/cat.jpg", "a", NEW, None)
            .replace("width=80", "width=80,height=90"),
    ] {
        assert_eq!(verdict(&access, &changed), WRONG, "{changed}");
    }
    for malformed in [
        right.replace("sig=a.", "sig="),
        right.replace("/cat", "0/cat"),
        signed(target, "a", NEW, Some(7)).replace(".7.", ".+7."),
    ] {
        assert!(
            verdict(&access, &malformed).contains("`sig` must be"),
            "{malformed}"
        );
    }
    for elsewhere in [
        right.replace(",sig", "%2Csig"),
        right.replace("/cat", ",fit=cover/cat"),
    ] {
        assert_eq!(verdict(&access, &elsewhere), MISSING, "{elsewhere}");
    }
}

#[test]
fn only_a_signature_that_is_right_is_told_to_be_expired() {
    let access = access("required = 'always'", &[("a", NEW)]);
    let target = "/cdn-cgi/image/width=80/cat.jpg";
    let past = signed(target, "a", NEW, Some(1_000_000_000));
    assert_eq!(verdict(&access, &past), "the URL has expired");
    assert_eq!(
        verdict(&access, &past.replace("width=80", "width=81")),
        WRONG
    );
    assert_eq!(verdict(&access, &signed(target, "a", OLD, Some(1))), WRONG);
    let text = request(&signed(target, "a", NEW, Some(100)), &[]).signature;
    assert_eq!(access.verify(text.as_ref(), 99), Ok(Some(100)));
    assert_eq!(
        access.verify(text.as_ref(), 100),
        Err(SignatureError::Expired)
    );
}

#[test]
fn keys_change_without_a_gap() {
    let target = "/cdn-cgi/image/width=80/cat.jpg";
    let (old, new) = (
        signed(target, "2025", OLD, None),
        signed(target, "2026", NEW, None),
    );
    let before = access("required = 'always'", &[("2025", OLD)]);
    let both = access("required = 'always'", &[("2025", OLD), ("2026", NEW)]);
    let after = access("required = 'always'", &[("2026", NEW)]);
    for (access, of_old, of_new) in [
        (before, FINE, WRONG),
        (both, FINE, FINE),
        (after, WRONG, FINE),
    ] {
        assert_eq!(verdict(&access, &old), of_old);
        assert_eq!(verdict(&access, &new), of_new);
    }
}

const LISTS: &str = "required = 'unlisted'\n[allowed]\nwidths = [320, 720, 1080]\nqualities = [75]\nformats = ['auto']";

#[test]
fn what_everybody_may_choose_needs_no_signature() {
    let lists = access(LISTS, &[("a", NEW)]);
    let rounds = access(&format!("{LISTS}\nround_widths = true"), &[]);
    let unlisted =
        "`width=333` is not allowed in a URL without a signature: it must be 320, 720, 1080";
    for (target, of_lists, of_rounds) in [
        ("/cdn-cgi/image/width=320,format=auto/cat.jpg", FINE, FINE),
        ("/cdn-cgi/image/preset=thumb/cat.jpg", FINE, FINE),
        ("/cdn-cgi/image/preset=thumb,quality=75/cat.jpg", FINE, FINE),
        (
            "/cdn-cgi/image/width=333/cat.jpg",
            unlisted,
            "fine, until None, width 720",
        ),
        (
            "/cdn-cgi/image/width=9999/cat.jpg",
            "",
            "fine, until None, width 1080",
        ),
        (
            "/cdn-cgi/image/width=auto/cat.jpg",
            "fine, until None, width 720",
            "fine, until None, width 720",
        ),
        ("/_next/image?url=%2Fcat.jpg&w=320&q=75", FINE, FINE),
        (
            "/_next/image?url=%2Fcat.jpg&w=333&q=75",
            unlisted,
            "fine, until None, width 720",
        ),
        (
            "/_next/image?url=%2Fcat.jpg&w=320&q=76",
            "`quality=76` is not allowed in a URL without a signature: it must be 75",
            "",
        ),
        ("/uploads/cat.jpg", FINE, FINE),
        ("/uploads/cat.jpg?width=320", FINE, FINE),
        (
            "/uploads/cat.jpg?width=333",
            unlisted,
            "fine, until None, width 720",
        ),
        (
            "/cdn-cgi/image/blur=7/cat.jpg",
            "`blur=7` is not allowed in a URL without a signature",
            "",
        ),
        // What is wrong with options is told by those who read them.
        ("/cdn-cgi/image/width/cat.jpg", FINE, FINE),
    ] {
        for (access, says) in [(&lists, of_lists), (&rounds, of_rounds)] {
            let told = verdict(access, target);
            assert!(
                if says.is_empty() {
                    told != FINE
                } else {
                    told == says
                },
                "{target}: {told}"
            );
        }
    }
    let target = "/cdn-cgi/image/width=333/cat.jpg";
    assert_eq!(verdict(&lists, &signed(target, "a", NEW, None)), FINE);
    assert_eq!(verdict(&lists, &signed(target, "a", OLD, None)), WRONG);
    // It needs none, so nobody looks at it.
    let listed = signed("/cdn-cgi/image/width=320/cat.jpg", "a", OLD, Some(1));
    assert_eq!(verdict(&lists, &listed), FINE);
}

#[test]
fn where_all_urls_are_signed_only_the_settings_choose_freely() {
    let always = access(&LISTS.replace("unlisted", "always"), &[("a", NEW)]);
    for target in [
        "/cdn-cgi/image/width=320/cat.jpg",
        "/cdn-cgi/image/preset=thumb/cat.jpg",
        "/_next/image?url=%2Fcat.jpg&w=320&q=75",
        "/uploads/cat.jpg?width=320",
    ] {
        assert_eq!(verdict(&always, target), MISSING, "{target}");
        assert_eq!(
            verdict(&always, &signed(target, "a", NEW, None)),
            FINE,
            "{target}"
        );
    }
    assert_eq!(verdict(&always, "/uploads/cat.jpg"), FINE);
    let never = access("", &[("a", NEW)]);
    let forged = signed("/cdn-cgi/image/width=80/cat.jpg", "a", OLD, Some(1));
    assert_eq!(verdict(&never, &forged), FINE);
}

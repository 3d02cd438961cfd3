//! The signature of a URL: `sig=KEY.MAC` or `sig=KEY.SECONDS.MAC`, the last option of a transformation URL and the last parameter of every other.
//!
//! What is signed is the URL as it came, from the slash of its path on, without the MAC. So all of it counts: prefix, options, source, the name of the
//! key, and when the URL expires. The place of the MAC follows from the rest, so no text is signed for two URLs.

use std::borrow::Cow;

use crate::request::cloudflare;
use crate::request::prefixes;
use crate::request::prefixes::Prefixes;
use crate::signature::{HEX_LENGTH, MacKey, is_id, parse_mac, parse_seconds};

/// What the option or the parameter begins with.
const NAME: &str = "sig=";

/// A signature as it came. Nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UrlSignature {
    /// It has the form of a signature.
    Complete(SignedText),
    /// It has another form.
    Malformed,
}

/// What a signature says, and what it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The name of the key.
    pub key: String,
    /// When the URL expires, in seconds since 1970.
    pub expires: Option<u64>,
    /// The URL up to the MAC.
    before: String,
    /// The URL behind the MAC.
    after: String,
    mac: Vec<u8>,
}

impl SignedText {
    /// Whether this key signed it.
    pub(crate) fn is_of(&self, key: &MacKey) -> bool {
        key.verify(&[&self.before, &self.after], &self.mac)
    }
}

/// Splits the signature from options: what is left of them, and the signature. `target` is the URL, and `behind` its part behind the options.
pub(super) fn of_options<'a>(
    target: &str,
    options: &'a str,
    behind: &str,
) -> (&'a str, Option<UrlSignature>) {
    let (rest, last) = options.rsplit_once(',').unwrap_or(("", options));
    if !last.starts_with(NAME) {
        return (options, None);
    }
    // With the slash behind the options.
    let end = target.len().saturating_sub(behind.len() + 1);
    (rest, Some(read(last, target, end)))
}

/// Splits the signature from a query: what is left of it, and the signature. `target` is the URL, which ends with the query.
pub(super) fn of_query<'a>(target: &str, query: &'a str) -> (&'a str, Option<UrlSignature>) {
    let (rest, last) = query.rsplit_once('&').unwrap_or(("", query));
    if !last.starts_with(NAME) {
        return (query, None);
    }
    (rest, Some(read(last, target, target.len())))
}

/// Reads an option or a parameter that ends at `end` of the URL.
fn read(parameter: &str, target: &str, end: usize) -> UrlSignature {
    let complete = || {
        let value = parameter.strip_prefix(NAME)?;
        let (signer, mac) = value.rsplit_once('.')?;
        let (key, expires) = match signer.split_once('.') {
            Some((key, expires)) => (key, Some(parse_seconds(expires)?)),
            None => (signer, None),
        };
        let before = target.get(..end.checked_sub(mac.len())?)?;
        let is_sound = is_id(key) && mac.len() == HEX_LENGTH;
        is_sound.then_some(SignedText {
            key: key.to_owned(),
            expires,
            before: before.to_owned(),
            after: target.get(end..)?.to_owned(),
            mac: parse_mac(mac)?,
        })
    };
    complete().map_or(UrlSignature::Malformed, UrlSignature::Complete)
}

/// A path without the MAC in it, for logs: who reads them must not get a URL that works.
pub(crate) fn without_mac(path: &str) -> Cow<'_, str> {
    let Some(at) = path.find(NAME) else {
        return Cow::Borrowed(path);
    };
    let end = path[at..].find('/').map_or(path.len(), |end| at + end);
    let mac = path[at..end]
        .rfind('.')
        .map_or(at + NAME.len(), |dot| at + dot + 1);
    Cow::Owned(format!("{}***{}", &path[..mac], &path[end..]))
}

/// Signs a URL, from the slash of its path on. One that is no transformation URL is signed in its query. `None` where nothing stands before or
/// behind the options.
pub(crate) fn sign(
    target: &str,
    prefixes: &Prefixes,
    (id, key): (&str, &MacKey),
    expires: Option<u64>,
) -> Option<String> {
    let expires = expires.map_or_else(String::new, |expires| format!("{expires}."));
    let path = target.split('?').next().unwrap_or_default();
    let (start, separator, after) = match prefixes.strip(target) {
        Some(rest) if !prefixes::is_next_image(path) => {
            let (_, source) = cloudflare::split(rest).ok()?;
            let (start, after) = target.split_at(target.len() - source.len() - 1);
            (start, ",", after)
        }
        _ if target.contains('?') => (target, "&", ""),
        _ => (target, "?", ""),
    };
    let before = format!("{start}{separator}{NAME}{id}.{expires}");
    let mac = key.sign(&[&before, after]);
    Some(format!("{before}{mac}{after}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn key() -> MacKey {
        MacKey::new(b"0123456789abcdef0123456789abcdef").expect("any key")
    }

    fn of(target: &str) -> (String, Option<UrlSignature>) {
        let prefixes = Prefixes::default();
        let Some(rest) = prefixes.strip(target) else {
            let (_, query) = target.split_once('?').unwrap_or((target, ""));
            let (rest, signature) = of_query(target, query);
            return (rest.to_owned(), signature);
        };
        let (options, source) = cloudflare::split(rest).expect("options and a source");
        let (rest, signature) = of_options(target, options, source);
        (rest.to_owned(), signature)
    }

    #[track_caller]
    fn check(target: &str, expires: Option<u64>, rest: &str, before: &str, after: &str) {
        let signed = sign(target, &Prefixes::default(), ("web", &key()), expires);
        let signed = signed.expect("it can be signed");
        let (left, signature) = of(&signed);
        assert_eq!(left, rest, "{signed}");
        let Some(UrlSignature::Complete(text)) = signature else {
            panic!("no signature: {signed}");
        };
        assert_eq!((&*text.before, &*text.after), (before, after));
        assert_eq!((&*text.key, text.expires), ("web", expires));
        assert!(text.is_of(&key()));
        assert!(!text.is_of(&MacKey::new(b"another key").expect("any key")));
    }

    #[test]
    fn the_mac_stands_behind_the_options_or_at_the_end() {
        check(
            "/cdn-cgi/image/width=80,format=auto/a.jpg?v=1",
            None,
            "width=80,format=auto",
            "/cdn-cgi/image/width=80,format=auto,sig=web.",
            "/a.jpg?v=1",
        );
        check(
            "/cdn-cgi/image/flow/width=80/https://b.test/a.jpg?sig=x.y",
            Some(1_767_225_600),
            "width=80",
            "/cdn-cgi/image/flow/width=80,sig=web.1767225600.",
            "/https://b.test/a.jpg?sig=x.y",
        );
        check(
            "/_next/image?url=%2Fa.jpg&w=640&q=75",
            Some(0),
            "url=%2Fa.jpg&w=640&q=75",
            "/_next/image?url=%2Fa.jpg&w=640&q=75&sig=web.0.",
            "",
        );
        check("/uploads/a.jpg", None, "", "/uploads/a.jpg?sig=web.", "");
        let nothing = sign(
            "/cdn-cgi/image/width=80",
            &Prefixes::default(),
            ("web", &key()),
            None,
        );
        assert_eq!(nothing, None);
    }

    #[test]
    fn what_has_another_form_is_malformed() {
        let mac = "0".repeat(HEX_LENGTH);
        for value in [
            String::new(),
            ".".to_owned(),
            mac.clone(),
            format!(".{mac}"),
            format!("web.{}", &mac[1..]),
            format!("web.{mac}0"),
            format!("web.{}A", &mac[1..]),
            format!("web..{mac}"),
            format!("web.-1.{mac}"),
            format!("web.1.2.{mac}"),
            format!("w%65b.{mac}"),
            format!("web%2E{mac}"),
        ] {
            let (rest, signature) = of(&format!("/cdn-cgi/image/width=80,sig={value}/a.jpg"));
            assert_eq!(signature, Some(UrlSignature::Malformed), "{value}");
            assert_eq!(rest, "width=80");
        }
        for target in [
            format!("/cdn-cgi/image/sig=web.{mac},width=80/a.jpg"),
            format!("/cdn-cgi/image/width=80,Sig=web.{mac}/a.jpg"),
            format!("/cdn-cgi/image/width=80%2Csig=web.{mac}/a.jpg"),
            format!("/cdn-cgi/image/width=80/a.jpg?sig=web.{mac}"),
            format!("/a.jpg?sig=web.{mac}&v=1"),
        ] {
            assert_eq!(of(&target).1, None, "{target}");
        }
    }

    #[test]
    fn logs_have_no_mac() {
        for (path, logged) in [
            ("/a/width=8/b.jpg", "/a/width=8/b.jpg"),
            (
                "/a/width=8,sig=web.00ff/b.jpg",
                "/a/width=8,sig=web.***/b.jpg",
            ),
            (
                "/a/width=8,sig=web.7.00ff/b.c.jpg",
                "/a/width=8,sig=web.7.***/b.c.jpg",
            ),
            (
                "/a/sig=x.1,sig=web.00ff/b.jpg",
                "/a/sig=x.1,sig=web.***/b.jpg",
            ),
            ("/a/sig=00ff", "/a/sig=***"),
        ] {
            assert_eq!(without_mac(path), logged);
        }
    }

    proptest! {
        #[test]
        fn no_other_url_has_the_signature_of_a_url(
            options in "[a-z=,.0-9]{1,12}",
            source in "[a-z/.?&=,0-9]{1,12}",
            other in "/cdn-cgi/image/[a-z=,.0-9]{1,12}/[a-z/.?&=,0-9]{1,12}",
        ) {
            let target = format!("/cdn-cgi/image/{options}/{source}");
            let prefixes = Prefixes::default();
            if let Some(signed) = sign(&target, &prefixes, ("web", &key()), Some(7)) {
                let (left, signature) = of(&signed);
                let Some(UrlSignature::Complete(text)) = signature else {
                    panic!("no signature: {signed}");
                };
                prop_assert!(text.is_of(&key()));
                let start = format!("/cdn-cgi/image/{left}");
                prop_assert!(signed.starts_with(&start));
                let mac = signed.rsplit_once("web.7.").map(|(_, rest)| &rest[..HEX_LENGTH]);
                let moved = sign(&other, &prefixes, ("web", &key()), Some(7));
                if let (Some(mac), Some(moved)) = (mac, moved) && other != target {
                    prop_assert!(!moved.contains(mac));
                }
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(target in "/(cdn-cgi/image/)?[ -~é]{0,60}", query in "[ -~é]{0,60}") {
            let _ = of_query(&format!("{target}?{query}"), &query);
            if let Some(rest) = Prefixes::default().strip(&target)
                && let Ok((options, source)) = cloudflare::split(rest)
            {
                let (left, _) = of_options(&target, options, source);
                prop_assert_eq!(&options[..left.len()], left);
            }
        }
    }
}

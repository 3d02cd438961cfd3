use cssparser::ParseError;
use cssparser::Parser;
use cssparser::Token;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy};
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use crate::codecs::svg::sanitize::style::filter;

const LIMIT: usize = 1 << 20;
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[track_caller]
fn filtered(style: &str) -> String {
    filter(style, LIMIT).expect("it is short").into_owned()
}

#[test]
fn styles_lose_everything_that_loads() {
    for same in [
        "",
        "fill:red",
        "a{fill:url(#b)}",
        ".a\\:b{fill:url(#b)}.\\31 23{x:calc(1px + 2%)}",
        "@font-face{font-family:\"a (b)\";src:local('a') format(\"woff\")}",
        "@media screen and (min-width:1px) and (prefers-color-scheme: dark){a:not(.b)>c::before{content:\"url(x)\"}}",
        "@supports (display: grid){@layer a{b{c:d}}}",
        "@-webkit-keyframes a{0%{transform:scale3d(1,-.5e+3,+1)}}",
        "a[href^='http']{color:rgb(1 2 3/50%)}",
        "@namespace svg url(http://www.w3.org/2000/svg);svg|a{b:var(--c)}",
        "@namespace 'http://www.w3.org/2000/svg';",
        "grüße{font:12px/1 'ü', serif} \u{7F}{}",
        "a{d:path(\"M0 0\")}",
    ] {
        assert_eq!(filtered(same), same);
    }
    let font = "url(data:font/woff2;base64,d09GMgABAAAAAA==)";
    assert_eq!(filtered(font), font);
    let picture = format!("mask:url({PIXEL})");
    assert_eq!(filtered(&picture), picture);
    for (source, expected) in [
        ("a{b:url(https://evil.test/)}", "a{b:url(#)}"),
        ("a{b:URL( \"//evil.test\" ) c}", "a{b:url(#) c}"),
        ("a{b:url('#c')}", "a{b:url(#c)}"),
        ("a{b:url('#c d\\')')}", "a{b:url(\"#c d')\")}"),
        ("a{b:\\75rl(/a)}", "a{b:url(#)}"),
        ("a{b:\\55 \\52\n\\4c(\"/a\")}", "a{b:url(#)}"),
        ("a{b:u/**/rl(/a)}", "a{b:u/**/x()}"),
        ("a{b:url/**/(/a)}", "a{b:url/**/(/a)}"),
        ("a{b:url(/a\\)b)}", "a{b:url(#)}"),
        ("a{b:url(a b)c}", "a{b:/**/x()c}"),
        ("a{b:url(a(b)c}", "a{b:/**/x()c}"),
        ("a{b:url(\"/a\" c)}", "a{b:x()}"),
        ("a{b:url(", "a{b:url(#)"),
        ("a{b:url(\"#a", "a{b:url(#a)"),
        ("a{b:url(data:text/html,a)}", "a{b:url(#)}"),
        ("a{b:url(data:image/svg+xml,a)}", "a{b:url(#)}"),
        ("@import 'a';b{c:d(e)}", "/**/b{c:x()}"),
        ("@import url(a) layer(b) screen;c{}", "/**/c{}"),
        ("@\\69mport \"a\";b{}", "/**/b{}"),
        ("@IMPORT/**/url(a", "/**/"),
        ("<!-- @import 'a'; -->b{}", "/**/ /**/ /**/b{}"),
        ("a{@import 'b'}c{}", "a{/**/}c{}"),
        (
            "font-family:@a,b;fill:url(#c)",
            "font-family:/**/x(),b;fill:url(#c)",
        ),
        ("a @import 'b';c(d)", "a /**/x() 'b';x()"),
        ("@unknown a{b{c}}d(e)", "/**/x()"),
        ("@namespace a url(https://evil.test/);b{}", "/**/b{}"),
        ("@charset 'utf-7';a{}", "/**/a{}"),
        (
            "a{b:image-set('//evil.test' 1x, url(c) 2x) d}",
            "a{b:x() d}",
        ),
        ("a{b:src('//evil.test')}", "a{b:x()}"),
        ("a{b:-webkit-image-set(url(c) 1x)}", "a{b:x()}"),
        ("a{b:expression(alert(1))}", "a{b:x()}"),
        ("a{b:exp/**/ression(alert(1))}", "a{b:exp/**/x()}"),
        ("a{b:\\65xpression(alert(1))}", "a{b:x()}"),
        (
            "a{filter:progid:DXImageTransform.Microsoft.AlphaImageLoader(src='//evil.test')}",
            "a{filter:progid:DXImageTransform.Microsoft.x()}",
        ),
        (
            "a{-moz-binding:url(#b);BEHAVIOR : url(#c);behavi\\6fr:url(#d)}",
            "a{x-removed:url(#b);x-removed : url(#c);x-removed:url(#d)}",
        ),
        (".behavior{b:url(#c)}", ".behavior{b:url(#c)}"),
        // Each of these differs for a parser that ends strings and names elsewhere.
        ("a{b:'\\\n';c:url(/d)}", "a{b:'\\\n';c:url(#)}"),
        ("a{b:'\\a\n;c:url(/d)'}", "a{b:'\\a\n;c:url(/d)'}"),
        ("a{b:'\n;c:url(/d);'}", "a{b:/**/x()\n;c:url(#);'}'"),
        (
            "a{b:\"\\\"url(/c)\";d:url(/e)}",
            "a{b:\"\\\"url(/c)\";d:url(#)}",
        ),
        ("a{b:'\\\\';c:url(/d)}", "a{b:'\\\\';c:url(#)}"),
        ("#url(/a)", "#url/**/(/a)"),
        ("1url(/a)", "1url/**/(/a)"),
        ("1e3url(/a)", "1e3url/**/(/a)"),
        ("1.url(/a)", "1.url(#)"),
        ("1e+url(/a)", "1e+url(#)"),
        ("1%url(/a)", "1%url(#)"),
        ("-url(/a)", "x()"),
        ("--url(/a)", "x()"),
        ("+url(/a)", "+url(#)"),
        ("-->url(/a)", "/**/url(#)"),
        ("@url(/a)", "/**/"),
        ("\u{D7}url(/a)", "x()"),
        ("#\u{D7}url(/a)", "#\u{D7}url/**/(/a)"),
        ("a\\\nurl(/a)", "a/**/\nurl(#)"),
        ("/* url(/a) */url(/b)/* ", "/**/url(#)/**/"),
        ("/*/url(/a)*/url(/b)", "/**/url(#)"),
        ("'(", "'('"),
        ("'(\\", "'('"),
        ("'(\\\\", "'(\\\\'"),
        ("a\r(\r\n)", "a\n(\n)"),
    ] {
        assert_eq!(filtered(source), expected, "{source}");
        assert_harmless(expected);
    }
}

/// Asks another tokenizer, that of Firefox, whether the style loads anything.
pub fn assert_harmless(style: &str) {
    fn walk(parser: &mut Parser<'_>, style: &str) {
        loop {
            let token = match parser.next_including_whitespace_and_comments() {
                Ok(token) => token.clone(),
                Err(_) => return,
            };
            let harmless = |url: &str| {
                url.starts_with('#')
                    || url.starts_with("data:image/")
                    || url.starts_with("data:font/")
            };
            match &token {
                Token::UnquotedUrl(url) => assert!(harmless(url), "{style:?}"),
                Token::BadUrl(url) => panic!("{url} in {style:?}"),
                Token::AtKeyword(name) => {
                    assert!(
                        !["import", "charset", "document"].contains(&&*name.to_ascii_lowercase()),
                        "{style:?}"
                    );
                }
                Token::Function(name) if name.eq_ignore_ascii_case("url") => {
                    let _ = parser.parse_nested_block(|parser| {
                        let url = parser.expect_string().expect("an address in quotes");
                        assert!(harmless(url), "{style:?}");
                        Ok::<_, ParseError<()>>(())
                    });
                    continue;
                }
                Token::Function(name) => {
                    let name = name.to_ascii_lowercase();
                    for loads in [
                        "image",
                        "src",
                        "element",
                        "expression",
                        "cross-fade",
                        "loader",
                        "attr",
                    ] {
                        assert!(
                            !name.contains(loads) && !name.is_empty(),
                            "{name} in {style:?}"
                        );
                    }
                }
                _ => {}
            }
            if matches!(
                token,
                Token::Function(_)
                    | Token::ParenthesisBlock
                    | Token::SquareBracketBlock
                    | Token::CurlyBracketBlock
            ) {
                let _ = parser.parse_nested_block(|parser| {
                    walk(parser, style);
                    Ok::<_, ParseError<()>>(())
                });
            }
        }
    }
    walk(&mut Parser::new(style), style);
}

/// Pieces of styles whose ends parsers disagree about.
pub fn any_style() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "url(",
            "URL(",
            "u",
            "rl(",
            "\\75",
            "\\",
            "\n",
            "\"",
            "'",
            "(",
            ")",
            "{",
            "}",
            "[",
            "]",
            ";",
            ":",
            "/*",
            "*/",
            "/",
            "*",
            "@import",
            "@",
            "import",
            "@media",
            "@namespace",
            "#",
            "1",
            "e",
            "+",
            "-",
            ".",
            "%",
            "<!--",
            "-->",
            "--",
            "é",
            "\u{D7}",
            "\u{A0}",
            "image-set(",
            "expression(",
            "rgb(",
            "var(",
            " ",
            "\t",
            "//evil.test",
            "http:",
            "data:image/png,",
            "#a",
            "a",
            "é(",
            "\r",
            "src(",
            "behavior",
            "\\6f",
            "0",
            "U+",
            "?",
            "!",
            ",",
            "\\28",
            "\\29",
            "\\22",
            "\\a",
        ])
        .prop_map(str::to_owned),
        "[ -~]{1,3}",
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_style_loads_anything(style in any_style()) {
        let made = filtered(&style);
        assert_harmless(&made);
        prop_assert_eq!(filtered(&made), made);
    }
}

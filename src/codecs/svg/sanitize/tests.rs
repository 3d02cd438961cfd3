use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, TestCaseError, any};
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;
use resvg::usvg::roxmltree::{Document, ParsingOptions};

use crate::codecs::svg::clean;
use crate::codecs::svg::sanitize::style::tests::{any_style, assert_harmless};
use crate::codecs::svg::sanitize::vocabulary::SVG;
use crate::codecs::svg::sanitize::{XLINK, XML, sanitize, vocabulary};

pub(crate) const LIMIT: usize = 1 << 20;
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A sanitized document with this content.
fn svg(inside: &str) -> String {
    format!("<svg xmlns=\"{SVG}\">{inside}</svg>")
}

#[track_caller]
fn cleaned(source: &str) -> String {
    sanitize(source, LIMIT).unwrap_or_else(|error| panic!("{error}: {source}"))
}

/// The content after sanitizing.
#[track_caller]
pub(crate) fn inside(source: &str) -> String {
    let made = cleaned(&format!(
        "<svg xmlns='{SVG}' xmlns:xlink='{XLINK}'>{source}</svg>"
    ));
    let from = made.find('>').expect("a root") + 1;
    let to = made.rfind("</svg>").expect("a root with contents");
    made[from..to].to_owned()
}

#[test]
fn drawing_content_is_kept() {
    for same in [
        // White space between elements of text is drawn, so none may be added or removed.
        "<text x=\"1\"><tspan>Spar</tspan><tspan>kasse</tspan> <tspan>&amp;</tspan>\n\t<tspan>Co</tspan></text>",
        "<text xml:space=\"preserve\">a   b    c</text>",
        "<text xml:lang=\"sr\" lang=\"sr\">ж</text>",
        "<text font-family=\"Größe, &quot;a b&quot;\">Größe &lt;b&gt; ]]&gt; &#13; 'x' \"y\"</text>",
        "<path id=\"Weg&#9;\" d=\"M0 0h9\"/><text><textPath href=\"#Weg\" startOffset=\"10%\">along</textPath></text>",
        "<g id=\"a\"></g><g/>",
        "<use href=\"#a\"/><linearGradient id=\"a\" href=\"#b\"/><pattern href=\"#p\"/><filter href=\"#f\"/>",
        "<feImage href=\"#a\"/><tref href=\"#a\"/>",
        "<animateMotion dur=\"3s\" rotate=\"auto\"><mpath href=\"#p\"/></animateMotion>",
        "<animate href=\"#a\" attributeName=\"fill\" values=\"red;url(#g);rgb(1,2,3)\" begin=\"a.click+1s;accessKey(a)\" keySplines=\"0 0 1 1\"/>",
        "<animateTransform attributeName=\"transform\" attributeType=\"XML\" type=\"rotate\" from=\"0 5 5\" to=\"360 5 5\" repeatCount=\"indefinite\"/>",
        "<set attributeName=\"visibility\" to=\"hidden\"/>",
        "<rect style=\"fill:url(#a) red;mix-blend-mode:multiply;--own:var(--x, 3px)\" fill=\"url(#a)\" transform=\"translate(1 2)rotate (3)\"/>",
        "<rect data-name=\"Layer 1\" aria-label=\"a\" role=\"img\" class=\"a ü\" paint-order=\"stroke\" transform-origin=\"50% 50%\"/>",
        "<style type=\"text/css\" media=\"all\">.a &gt; .b{fill:url(#c)}\n@media (prefers-color-scheme:dark){.a{fill:#fff}}\n@keyframes k{to{transform:rotate(1turn)}}</style>",
        "<title>a</title><desc>b</desc>",
        "<switch><g requiredExtensions=\"http://ns.test/\"/><g systemLanguage=\"de\"/></switch>",
        "<svg viewBox=\"0 0 1 1\" preserveAspectRatio=\"none\"/>",
        "<mesh href=\"#m\"/><solidColor/><hatch/><flowRoot><flowPara>a</flowPara></flowRoot>",
        "<font-face font-family=\"a\" units-per-em=\"1000\"/>",
    ] {
        assert_eq!(inside(same), same);
        assert_eq!(cleaned(&svg(same)), svg(same));
    }
    for kind in ["image", "feImage"] {
        let same = format!("<{kind} href=\"{PIXEL}\"/>");
        assert_eq!(inside(&same), same);
    }
}

#[test]
fn names_are_those_of_their_namespace() {
    for source in [
        format!("<svg:svg xmlns:svg='{SVG}' width='4'><svg:rect width='4'/></svg:svg>"),
        format!("<ns0:svg xmlns:ns0=\"{SVG}\" width=\"4\"><ns0:rect width=\"4\" /></ns0:svg>"),
        format!(
            "<a:svg xmlns:a='{SVG}' xmlns='http://other.test/' width='4'><script/><a:rect width='4'/></a:svg>"
        ),
        format!(
            "<svg xmlns='{SVG}' width='4'><b:rect xmlns:b='{SVG}' width='4' b:height='5'/></svg>"
        ),
        format!(
            "<svg xmlns='{SVG}' width='4'><g xmlns='http://www.w3.org/1999/xhtml'><rect/></g><x:rect xmlns:x='http://other.test/'/><rect width='4'/></svg>"
        ),
        format!(
            "<svg xmlns='&#104;ttp://www.w3.org/2000/svg' xmlns:xmlns='{XLINK}' xmlns:='{XLINK}' width='4'><rect width='4'/></svg>"
        ),
        format!(
            "<svg xmlns='{SVG}' width='4'><a xmlns='http://other.test/'/><rect width='4'/></svg>"
        ),
    ] {
        let expected = format!("<svg xmlns=\"{SVG}\" width=\"4\"><rect width=\"4\"/></svg>");
        let made = cleaned(&source);
        assert_eq!(made.replace("  ", " "), expected, "{source}");
    }
    let linked = |inside: &str| {
        format!("<svg xmlns=\"{SVG}\" xmlns:xlink=\"{XLINK}\" id=\"r\">{inside}</svg>")
    };
    for (source, expected) in [
        (
            format!(
                "<svg xmlns='{SVG}' id='r' xmlns:l='{XLINK}'><use l:href='#a' l:title='b' l:type='simple'/></svg>"
            ),
            linked("<use xlink:href=\"#a\"/>"),
        ),
        // An undeclared prefix is not the same as no prefix.
        (
            format!(
                "<svg xmlns='{SVG}' xmlns:l='{XLINK}' id='r'><use id='a' x:id='b' xmlns:x='' l:href='#a'/></svg>"
            ),
            linked("<use id=\"a\" xlink:href=\"#a\"/>"),
        ),
        // A second prefix for a namespace.
        (
            format!(
                "<svg xmlns='{SVG}' id='r' xmlns:l='{XLINK}' xmlns:y='{XML}'><use xml:lang='de' y:lang='en' l:href='#a'/></svg>"
            ),
            linked("<use xml:lang=\"de\" xlink:href=\"#a\"/>"),
        ),
        // One of two references, the one that browsers follow.
        (
            format!(
                "<svg xmlns='{SVG}' id='r' xmlns:l='{XLINK}' xmlns:k='{XLINK}'><use l:href='#a' k:href='#b'/></svg>"
            ),
            linked("<use xlink:href=\"#a\"/>"),
        ),
        (
            format!(
                "<svg xmlns='{SVG}' xmlns:l='{XLINK}'><use l:href='#a' href='https://evil.test/'/><use l:href='#a' href='#b'/></svg>"
            ),
            svg("<use/><use href=\"#b\"/>"),
        ),
    ] {
        assert_eq!(cleaned(&source), expected);
    }
}

#[test]
fn invalid_xml_is_refused() {
    for inside in [
        "<g a='1' a='2'/>",
        "<g a=1/>",
        "<g a/>",
        "<g x:a='1'/>",
        "<x:g/>",
        "<g></G>",
        "<g>",
        "</g>",
        "&nbsp;",
        "&#0;",
        "&#x1;",
        "&#xFFFE;",
        "&",
        "<text>\u{1}</text>",
        "<g id='\u{8}'/>",
        "<!DOCTYPE svg>",
        "<!ENTITY a 'b'>",
        "<![CDATA[",
        "<!-- ",
        "<?a",
        "</svg><svg>",
        "</svg>a<svg>",
    ] {
        let outcome = sanitize(&svg(inside), LIMIT);
        assert!(outcome.is_err(), "{inside} became {outcome:?}");
    }
    for source in [
        "",
        " ",
        "a",
        "<svg/>",
        "<g xmlns='http://www.w3.org/2000/svg'/>",
        "<svg xmlns='http://www.w3.org/2000/svg/'/>",
        "<svg xmlns='http://www.w3.org/2000/svg'/>a",
        "<svg xmlns='http://www.w3.org/2000/svg'/><!DOCTYPE a>",
    ] {
        assert!(sanitize(source, LIMIT).is_err(), "{source}");
    }
    let after = format!("{}<!-- a --><?b?>\n", svg(""));
    assert_eq!(cleaned(&after), svg(""));
}

#[test]
fn nothing_grows_beyond_the_limit() {
    // Each character becomes five or six.
    for inside in [
        format!("<text>{}</text>", ">".repeat(1000)),
        format!("<g id='{}'/>", "\"".repeat(1000)),
        format!("<style>a{}</style>", "\\\n".repeat(1000)),
        format!("<g style='{}'/>", "1(".repeat(1000)),
    ] {
        let source = svg(&inside);
        assert!(
            sanitize(&source, source.len()).is_err(),
            "{:?}",
            &inside[..20]
        );
        assert!(sanitize(&source, 8 * source.len()).is_ok());
    }
    let attributes: String = (0..201).map(|index| format!(" data-a{index}=''")).collect();
    assert!(sanitize(&svg(&format!("<g{attributes}/>")), LIMIT).is_err());
    let namespaces: String = (0..129)
        .map(|index| format!(" xmlns:a{index}=''"))
        .collect();
    assert!(sanitize(&svg(&format!("<g{namespaces}/>")), LIMIT).is_err());
    let linked = format!("<svg xmlns=\"{SVG}\" xmlns:l=\"{XLINK}\"><use l:href=\"#a\"/></svg>");
    assert!(sanitize(&linked, linked.len()).is_err());
}

fn any_markup() -> impl Strategy<Value = String> {
    let name = || {
        select(vec![
            "g",
            "a",
            "script",
            "style",
            "title",
            "animate",
            "set",
            "use",
            "image",
            "x:g",
            "x:script",
            "text",
            "foreignObject",
            "svg",
            "y:use",
        ])
    };
    let attribute = (
        select(vec![
            "id",
            "onload",
            "href",
            "xlink:href",
            "y:href",
            "xlink:onload",
            "style",
            "fill",
            "xmlns",
            "xmlns:x",
            "xmlns:y",
            "attributeName",
            "to",
            "values",
            "data-a",
            "d",
            "x:d",
            "xml:space",
            "xml:base",
        ]),
        prop_oneof![
            any_style(),
            select(vec![
                SVG,
                XLINK,
                XML,
                "http://www.w3.org/1999/xhtml",
                "href",
                "onload",
                "javascript:alert(1)",
                "#a",
                "https://evil.test/",
                PIXEL,
                "",
            ])
            .prop_map(str::to_owned),
        ],
    )
        .prop_map(|(name, value)| {
            let value = value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('\'', "&apos;");
            format!(" {name}='{value}'")
        });
    let attributes = move || vec(attribute.clone(), 0..4).prop_map(|all| all.concat());
    let text = any_style().prop_map(|text| text.replace('&', "&amp;").replace('<', "&lt;"));
    let leaf = prop_oneof![
        text,
        (name(), attributes()).prop_map(|(name, attributes)| format!("<{name}{attributes}/>")),
        select(vec![
            "<!-- a -->",
            "<?a b?>",
            "<![CDATA[</style><script>]]>",
            "&#60;",
            "&lt;/svg>"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        (name(), attributes(), vec(inner, 0..4)).prop_map(|(name, attributes, inner)| {
            format!("<{name}{attributes}>{}</{name}>", inner.concat())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_markup_acts(inside in any_markup()) {
        let source = format!("<svg xmlns='{SVG}' xmlns:x='{SVG}' xmlns:y='{XLINK}' xmlns:xlink='{XLINK}'>{inside}</svg>");
        let Ok(made) = sanitize(&source, LIMIT) else { return Ok(()) };
        let document = Document::parse_with_options(&made, ParsingOptions::default());
        let document = document.map_err(|error| TestCaseError::fail(format!("{error}: {made}")))?;
        for node in document.descendants().filter(|node| node.is_element()) {
            prop_assert_eq!(node.tag_name().namespace(), Some(SVG));
            prop_assert!(vocabulary::element(node.tag_name().name().as_bytes()).is_some(), "{}", made);
            if node.has_tag_name("style") {
                assert_harmless(node.text().unwrap_or_default());
                prop_assert!(node.children().all(|child| child.is_text()));
            }
            for attribute in node.attributes() {
                let (name, value) = (attribute.name(), attribute.value());
                prop_assert!(!name.starts_with("on"), "{}", made);
                match attribute.namespace() {
                    None if name == "href" => prop_assert!(value.starts_with('#') || value == PIXEL, "{}", made),
                    None => prop_assert!(vocabulary::attribute(name.as_bytes()).is_some(), "{}", made),
                    Some(XLINK) => prop_assert!(name == "href" && (value.starts_with('#') || value == PIXEL), "{}", made),
                    Some(XML) => prop_assert!(name == "space" || name == "lang", "{}", made),
                    Some(_) => prop_assert!(false, "{}", made),
                }
                if ["style", "fill", "to", "values"].contains(&name) {
                    assert_harmless(value);
                }
                if name == "attributeName" {
                    prop_assert!(vocabulary::may_be_animated(value), "{}", made);
                }
            }
        }
        prop_assert_eq!(cleaned(&made), made);
    }

    #[test]
    fn no_bytes_are_too_much(bytes in vec(any::<u8>(), 0..200)) {
        let _ = clean(&[svg("").as_bytes(), &bytes].concat(), 1 << 20);
        let _ = clean(&[b"<svg xmlns='http://www.w3.org/2000/svg'><style>(", &bytes[..], b"</style></svg>"].concat(), 1 << 20);
    }
}

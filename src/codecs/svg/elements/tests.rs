//! Drawings whose parts multiply, and the largest ordinary ones.

use resvg::usvg::roxmltree::{Document, ParsingOptions};

use crate::codecs::TransformError;
use crate::codecs::svg::elements::{check_attributes, check_elements};
use crate::codecs::svg::properties::DocumentProperties;

fn checked(inside: &str) -> Result<(), TransformError> {
    let text = format!("<svg xmlns='http://www.w3.org/2000/svg'>{inside}</svg>");
    let options = ParsingOptions {
        nodes_limit: 1_000_000,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(&text, options).expect("is XML");
    check_elements(&document, &DocumentProperties::of(&document)?)
}

/// The given number of parts, each made from its index.
fn many(count: u32, one: impl Fn(u32) -> String) -> String {
    (0..count).map(one).collect()
}

fn style(sheet: &str) -> String {
    format!("<style>{sheet}</style>")
}

/// Patterns, each painted with the previous one.
fn chain(count: u32, painted: impl Fn(&str) -> String) -> String {
    many(count, |number| {
        let below = painted(&format!("url(#p{})", number.saturating_sub(1)));
        format!("<pattern id='p{number}'>{below}</pattern>")
    })
}

#[test]
fn multiplying_references_are_refused_before_expansion() {
    const RECT: &str = "<rect width='1' height='1'/>";
    let rules = |rule: &str, count| style(&rule.repeat(count));
    let ones = "1 ".repeat(200_000);
    let selectors = many(50_000, |number| format!("a{number},"));
    let declarations = "fill:red;".repeat(50_000);
    for (what, inside) in [
        (
            "rules on elements",
            rules("*{fill:url(#p)}", 90_000) + &RECT.repeat(90_000),
        ),
        (
            "rules of short names on elements",
            style(&many(2000, |number| format!(".a{number}{{fill:red}}"))) + &RECT.repeat(60_000),
        ),
        (
            "parts of selectors on ancestors",
            style("b g g g g g g g a{fill:red}")
                + &"<g>".repeat(200)
                + "<a/>"
                + &"</g>".repeat(200),
        ),
        (
            "comments before elements",
            rules("a:first-child{fill:red}", 2000) + &"<!---->".repeat(100_000) + "<a/>",
        ),
        (
            "classes of an element",
            format!(
                "{}<rect class='{}'/>",
                rules(".x{fill:red}", 20_000),
                "y ".repeat(200_000)
            ),
        ),
        ("style sheets", rules("a{fill:red}", 1).repeat(5000)),
        (
            "selectors with declarations",
            style(&format!("{selectors}b{{{declarations}}}")),
        ),
        (
            "selectors with declarations behind a brace in quotes",
            style(&format!("{selectors}b[c='}}'],d{{{declarations}}}")),
        ),
        (
            "selectors with declarations behind a brace in a comment",
            style(&format!("{selectors}b/*}}*/,d{{{declarations}}}")),
        ),
        ("errors in a sheet", rules("@", 200_000)),
        (
            "values for elements",
            style(&format!("*{{font-family:{}}}", "x".repeat(100_000))) + &RECT.repeat(5000),
        ),
        (
            "inherited lists",
            format!("<g stroke-dasharray='{ones}'>{}</g>", RECT.repeat(5000)),
        ),
        (
            "declarations of a used element",
            format!("<rect id='r' style='{}'/>", "fill:red;".repeat(20_000))
                + &"<use href='#r'/>".repeat(5000),
        ),
        (
            "circles",
            format!(
                "<pattern id='p'>{}</pattern>",
                "<rect fill='url(#p)'/>".repeat(20_000)
            ),
        ),
        (
            "circles of two",
            format!(
                "<mask id='q'>{}</mask><mask id='p'><rect mask='url(#q)'/></mask>",
                "<rect mask='url(#p)'/>".repeat(20_000)
            ),
        ),
        (
            "patterns in patterns of the same names",
            many(27, |number| {
                format!("<pattern id='p{number}'><rect/></pattern>")
            }) + &chain(27, |below| format!("<rect fill='{below}'/>").repeat(2))
                + "<rect fill='url(#p26)'/>",
        ),
        (
            "patterns that are inherited",
            chain(27, |below| {
                format!("<g fill='{below}'>{}</g>", RECT.repeat(2))
            }),
        ),
        (
            "patterns that are inherited from above a pattern",
            many(27, |number| {
                format!(
                    "<g fill='url(#p{})'><pattern id='p{}'>{}</pattern></g>",
                    number,
                    number + 1,
                    RECT.repeat(2)
                )
            }) + "<pattern id='p0'><rect/></pattern>",
        ),
        (
            "patterns of pieces of text",
            chain(20, |below| {
                format!("<text fill='{below}'><tspan>a</tspan><tspan>b</tspan></text>")
            }),
        ),
        (
            "patterns of markers",
            "<marker id='m'><path fill='context-fill' d='M0 0'/></marker>".to_owned()
                + &chain(20, |below| {
                    format!("<path fill='{below}' marker-mid='url(#m)' d='M0 0L1 1 2 2 3 3'/>")
                }),
        ),
        (
            "masks of the element above",
            many(27, |number| {
                format!(
                    "<mask id='p{}'><g mask='url(#p{number})'>{}</g></mask>",
                    number + 1,
                    "<rect mask='inherit'/>".repeat(2)
                )
            }) + "<mask id='p0'><rect/></mask>",
        ),
        (
            "declarations of a rule",
            style(&format!("a{{{}}}", "b:c;".repeat(30_000))),
        ),
        (
            "declarations of an element",
            format!("<rect style='{}'/>", "b:c;".repeat(30_000)),
        ),
        (
            "stops for shapes",
            format!(
                "<linearGradient id='g'>{}</linearGradient>",
                "<stop/>".repeat(20_000)
            ) + &"<rect fill='url(#g)'/>".repeat(5000),
        ),
        (
            "names that are searched for",
            RECT.repeat(50_000) + "<text>" + &"<tref href='#x'/>".repeat(5000) + "</text>",
        ),
        (
            "pieces of a line of text",
            format!("<text>{}</text>", "<tspan>a</tspan>".repeat(4000)),
        ),
        (
            "characters of a line of text",
            format!("<text x='1'>{}</text>", "a".repeat(160_000)),
        ),
        (
            "text that is referred to",
            format!(
                "<text id='t' x='1'>{}</text><text>{}</text>",
                "a".repeat(9000),
                "<tref href='#t'/>".repeat(80)
            ),
        ),
    ] {
        let outcome = checked(&inside);
        assert!(
            matches!(outcome, Err(TransformError::Decode(_))),
            "{what}: {outcome:?}"
        );
    }
}

#[test]
fn large_drawings_of_editors_are_far_below_the_limits() {
    let path = |number: u32| format!("M{number} 4.25c-1.1 2.25 7.5-3.125 9 0").repeat(4);
    let illustrator = style(&many(400, |number| {
        format!(
            ".cls-{number},.cls-{}{{fill:#{number:06x};stroke:none;stroke-width:.{number}px;font-family:'Myriad Pro',sans-serif}}",
            number + 1
        )
    })) + &many(10_000, |number| {
        format!("<path class='cls-{}' d='{}'/>", number % 400, path(number))
    });
    let mermaid = style(&many(150, |number| {
        format!("#m .node{number} rect,#m .cluster > text{{fill:#ECECFF;stroke:#9370DB}}")
    })) + "<g id='m'>"
        + &many(1000, |number| {
            format!(
                "<g class='nodes'><g class='node{number} default'><g><rect class='box'/><g class='label'><text><tspan>Step {number}</tspan></text></g></g></g></g>"
            )
        })
        + "</g>";
    let inkscape = many(300, |number| {
        format!(
            "<linearGradient id='s{number}'><stop/><stop/><stop/></linearGradient><linearGradient id='g{number}' href='#s{number}'/>"
        )
    }) + &many(10_000, |number| {
        format!(
            "<path style='fill:url(#g{});{}' d='{}'/>",
            number % 300,
            "stroke-linejoin:miter;stroke-miterlimit:4;".repeat(8),
            path(number)
        )
    });
    let matplotlib = style("*{stroke-linejoin: round; stroke-linecap: butt}")
        + "<defs><path id='k' d='M0 3C.8 3 1.56 2.68 2.12 2.12z'/></defs>"
        + &many(15_000, |number| {
            format!("<use href='#k' x='{number}' y='9' style='fill: #1f77b4; stroke: #1f77b4'/>")
        });
    let drawio = format!(
        "<g content='{}'>{}</g>",
        "x".repeat(500_000),
        "<rect fill='#fff' stroke='#000'/>".repeat(2000)
    );
    let page = many(2, |_| {
        let line = many(8, |word| format!("<tspan>a word {word}</tspan>"));
        let lines = many(100, |number| {
            format!("<tspan x='9' y='{number}'>{line}</tspan>")
        });
        format!("<text>{lines}</text>")
    });
    for (what, inside) in [
        ("illustrator", illustrator),
        ("mermaid", mermaid),
        ("inkscape", inkscape),
        ("matplotlib", matplotlib),
        ("draw.io", drawio),
        ("a page of text", page),
    ] {
        assert_eq!(checked(&inside), Ok(()), "{what}");
    }
}

#[test]
fn attributes_are_counted_before_the_document_is_parsed() {
    let element = |count| {
        let attributes = many(count, |number| format!(" data-a{number} = '&quot;=1'"));
        format!(
            "<svg><g content=\"{}\"/><rect{attributes}/></svg>",
            "a='".repeat(9)
        )
    };
    assert_eq!(check_attributes(&element(200)), Ok(()));
    assert!(check_attributes(&element(300)).is_err());
}

#[test]
fn circles_in_small_drawings_are_let_pass() {
    let circle = "<pattern id='p'><rect fill='url(#p)'/></pattern>";
    assert_eq!(
        checked(&format!("{circle}{}", "<rect/>".repeat(10_000))),
        Ok(())
    );
    // These are links, whose targets are not drawn.
    let links = "<a href='#g'><rect/></a>".repeat(10_000);
    assert_eq!(checked(&format!("<g id='g'>{links}</g>")), Ok(()));
}

//! Drawings as pixels.

use crate::codecs::svg::tests::{LIMIT, drawn, pixel, svg, usual};
use crate::codecs::svg::{clean, rasterize};
use crate::codecs::{Limits, TransformError};
use crate::pixels::Size;

#[test]
fn drawings_are_sharp_at_the_asked_size() {
    let source = clean(
        svg("<rect width='4' height='8' fill='#00f'/><rect x='4' width='4' height='8' fill='#f00' fill-opacity='.5'/>")
            .as_bytes(),
        LIMIT,
    )
    .expect("is a picture");
    let raster = rasterize(
        &source,
        |own| {
            assert_eq!(own, Size::new(8, 8));
            Size::new(40, 20)
        },
        &Limits::default(),
        usual,
    )
    .expect("can be drawn");
    assert_eq!(raster.size, Size::new(40, 20));
    // The edge is between two pixels, and colours are not premultiplied.
    assert_eq!(pixel(&raster, 19), [0, 0, 255, 255]);
    let [red, green, blue, alpha] = pixel(&raster, 20);
    assert!(alpha.abs_diff(128) <= 1 && red >= 254 && green <= 1 && blue <= 1);
}

#[test]
fn drawings_fetch_nothing() {
    // As if the sanitizer had missed them.
    for reference in [
        "file:///etc/hostname",
        "/etc/hostname",
        "http://127.0.0.1:9/a.png",
        "data:image/svg+xml,&lt;svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'&gt;&lt;rect width='8' height='8'/&gt;&lt;/svg&gt;",
        "data:text/plain,hello",
    ] {
        let source = svg(&format!(
            "<image width='8' height='8' href=\"{reference}\"/>"
        ));
        let raster = drawn(source.as_bytes()).expect("draws nothing");
        assert_eq!(pixel(&raster, 0), [0; 4], "{reference}");
    }
}

#[test]
fn embedded_pictures_are_drawn_within_the_limit() {
    let source = svg(
        "<image width='8' height='8' href='data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='/>",
    );
    let cleaned = clean(source.as_bytes(), LIMIT).expect("is a picture");
    assert_ne!(pixel(&drawn(&cleaned).expect("can be drawn"), 9)[3], 0);
    let limits = Limits {
        source_pixels: 64,
        ..Limits::default()
    };
    let many = source.replace("<image", "<g/><image").replace(
        "</svg>",
        &format!(
            "{}</svg>",
            &source[source.find("<image").expect("it has one")..source.len() - 6].repeat(100)
        ),
    );
    // The canvas has 64 pixels; pictures beyond that many are not drawn.
    assert!(rasterize(many.as_bytes(), |own| own, &limits, usual).is_ok());
}

#[test]
fn sizes_are_checked_before_anything_is_drawn() {
    let source = svg("<rect width='8' height='8'/>");
    let at = |width, height| {
        rasterize(
            source.as_bytes(),
            |_| Size::new(width, height),
            &Limits::default(),
            usual,
        )
    };
    assert!(matches!(
        at(12_001, 1),
        Err(TransformError::OutputTooLarge { .. })
    ));
    assert!(matches!(
        at(12_000, 12_000),
        Err(TransformError::TooManyPixels { .. })
    ));
    assert!(matches!(at(0, 5), Err(TransformError::ZeroSized)));
    assert!(at(3, 2).is_ok());
}

#[test]
fn drawings_that_would_take_too_long_are_refused() {
    let uses = (1..12).fold(
        "<rect id='u0' width='1' height='1'/>".to_owned(),
        |uses, level| {
            let uses_below = format!("<use href='#u{}'/>", level - 1).repeat(10);
            format!("{uses}<g id='u{level}'>{uses_below}</g>")
        },
    );
    let masks = (1..60).fold(
        "<mask id='m0'><rect width='1' height='1'/></mask>".to_owned(),
        |masks, level| {
            let below = level - 1;
            format!(
                "{masks}<mask id='m{level}' maskContentUnits='objectBoundingBox'><rect width='1' height='1' mask='url(#m{below})'/><rect width='1' height='1' mask='url(#m{below})'/></mask>"
            )
        },
    );
    let by_sheet = masks.replace("mask='url", "class='c' data-m='url")
        + "<style>.c{mask:url(#m59)} mask .c{mask:url(#m58)}</style>";
    let turbulent = |octaves: u32| {
        format!(
            "<filter id='f'><feTurbulence baseFrequency='.1' numOctaves='{octaves}'/></filter><rect width='8' height='8' filter='url(#f)'/>"
        )
    };
    let across = |count: u32| -> String {
        (0..count)
            .map(|line| format!("M{} 0L{} 9", line * 7919 % 1009, line * 7907 % 1013))
            .collect()
    };
    for (what, inside) in [
        ("uses", uses),
        ("masks", format!("{masks}<rect width='8' height='8' mask='url(#m59)'/>")),
        (
            "depth",
            format!("{}<rect/>{}", "<g>".repeat(300), "</g>".repeat(300)),
        ),
        (
            "morphology",
            "<filter id='f'><feMorphology radius='100'/></filter><rect width='8' height='8' filter='url(#f)'/>"
                .to_owned(),
        ),
        ("octaves", turbulent(1_000_000)),
        (
            "markers",
            format!(
                "<marker id='k' markerWidth='9' markerHeight='9'>{}</marker><path marker-mid='url(#k)' d='M0 0{}'/>",
                "<rect width='9' height='9'/>".repeat(100),
                "h1".repeat(10_000)
            ),
        ),
        (
            "layers",
            format!(
                "{}<rect width='8' height='8'/>{}",
                "<g opacity='.9'>".repeat(250),
                "</g>".repeat(250)
            ),
        ),
        (
            "pattern",
            "<pattern id='p' width='1e6' height='1e6' patternUnits='userSpaceOnUse'><rect width='9' height='9'/></pattern><rect width='8' height='8' fill='url(#p)'/>"
                .to_owned(),
        ),
        ("text", format!("<text>{}</text>", "word ".repeat(200_000))),
        ("lines across", format!("<path d='{}'/>", across(60_000))),
        (
            "outlines across",
            format!("<path fill='none' stroke='red' d='{}'/>", across(20_000)),
        ),
    ] {
        let outcome = rasterize(
            svg(&inside).as_bytes(),
            |_| Size::new(2000, 2000),
            &Limits::default(),
            usual,
        );
        assert!(
            matches!(
                outcome,
                Err(TransformError::Decode(_) | TransformError::TooCostly { .. })
            ),
            "{what}: {:?}",
            outcome.map(|raster| raster.size)
        );
    }
    let sheet = svg(&by_sheet);
    let _ = rasterize(sheet.as_bytes(), |own| own, &Limits::default(), usual);
    let little = rasterize(
        svg(&turbulent(3)).as_bytes(),
        |own| own,
        &Limits::default(),
        usual,
    );
    assert!(little.is_ok());
}

#[test]
fn long_coasts_and_many_letters_are_drawn() {
    let coast: String = (0..100_000)
        .map(|at| format!("L{} {}", f64::from(at) / 1e4, at % 7))
        .collect();
    let missing: String = (0x4E00..0x5200)
        .filter_map(char::from_u32)
        .map(|letter| format!("<text>{letter}</text>"))
        .collect();
    for inside in [
        format!("<g transform='rotate(90) scale(.1)'><path stroke='red' d='M0 0{coast}'/></g>"),
        missing,
        format!("<text font-size='.1'>{}</text>", "word ".repeat(5000)),
    ] {
        let drawn = rasterize(
            svg(&inside).as_bytes(),
            |own| own,
            &Limits::default(),
            usual,
        );
        assert!(drawn.is_ok(), "{:?}", drawn.err());
    }
}

#[test]
fn text_along_paths_takes_no_time() {
    let long = format!(
        "<path id='p' d='M0 0{}'/><text><textPath href='#p'>{}</textPath></text>",
        "h1".repeat(1_000_000),
        "word ".repeat(50_000)
    );
    // The scale is so large that the precision of every curve becomes zero.
    let precise = format!(
        "<path id='p' d='M0 0{}'/><g transform='scale(1e25)'><text><textPath href='#p'>words</textPath></text></g>",
        "c1 2 3 4 5 6".repeat(1000)
    );
    for inside in [long, precise] {
        let source = clean(svg(&inside).as_bytes(), 8 * LIMIT).expect("is a picture");
        assert!(String::from_utf8_lossy(&source).contains("href=\"#p\""));
        let _ = drawn(&source);
    }
}

#[test]
fn references_to_themselves_end() {
    for inside in [
        "<g id='a'><use href='#a'/></g>",
        "<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g><use href='#a'/>",
        "<mask id='m'><rect width='8' height='8' mask='url(#m)'/></mask><rect width='8' height='8' mask='url(#m)'/>",
        "<pattern id='p' width='1' height='1'><rect width='8' height='8' fill='url(#p)'/></pattern><rect width='8' height='8' fill='url(#p)'/>",
        "<filter id='f'><feImage href='#x'/></filter><g id='x' filter='url(#f)'><rect width='8' height='8'/></g>",
        "<clipPath id='c' clip-path='url(#c)'><rect width='8' height='8' clip-path='url(#c)'/></clipPath><rect clip-path='url(#c)'/>",
        "<style>*{mask:url(#m)}</style><mask id='m'><rect width='8' height='8'/></mask><rect width='8' height='8'/>",
    ] {
        let _ = drawn(svg(inside).as_bytes());
    }
}

#[test]
fn what_is_deep_but_small_is_drawn() {
    let groups = format!(
        "{}<rect width='8' height='8' fill='#0f0'/>{}",
        "<g opacity='.999'>".repeat(250),
        "</g>".repeat(250)
    );
    let masks = (1..80).fold(
        "<mask id='m0'><rect width='8' height='8' fill='#fff'/></mask>".to_owned(),
        |masks, level| {
            format!(
                "{masks}<mask id='m{level}'><rect width='8' height='8' fill='#fff' mask='url(#m{})'/></mask>",
                level - 1
            )
        },
    );
    let masked = format!("{masks}<rect width='8' height='8' fill='#0f0' mask='url(#m79)'/>");
    for inside in [groups, masked] {
        let raster = drawn(svg(&inside).as_bytes()).expect("can be drawn");
        let [red, green, blue, alpha] = pixel(&raster, 27);
        assert!(
            red < 9 && green > 246 && blue < 9 && alpha > 0,
            "{raster:?}"
        );
    }
}

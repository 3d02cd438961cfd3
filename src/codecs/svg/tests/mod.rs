use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::codecs::svg::detect::is_svg;
use crate::codecs::svg::{clean, rasterize, size};
use crate::codecs::{Limits, TransformError};
use crate::pixels::{Raster, Samples, Size};

mod draw;

const LIMIT: u64 = 1 << 20;

/// An SVG with this content.
fn svg(inside: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink' width='8' height='8'>{inside}</svg>"
    )
}

#[track_caller]
fn cleaned(source: impl AsRef<[u8]>) -> String {
    let cleaned = clean(source.as_ref(), LIMIT).expect("is a picture");
    String::from_utf8(cleaned).expect("is UTF-8")
}

fn refused(source: &[u8]) -> bool {
    matches!(clean(source, LIMIT), Err(TransformError::Decode(_)))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("writes to memory");
    encoder.finish().expect("writes to memory")
}

fn utf16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xFEFF);
    mark.into_iter()
        .chain(text.encode_utf16())
        .flat_map(bytes)
        .collect()
}

/// Refuses what takes more memory than a render usually may.
fn usual(bytes: u64) -> Result<(), TransformError> {
    let limit = Limits::default().render_memory.bytes();
    if bytes > limit {
        return Err(TransformError::TooCostly { bytes, limit });
    }
    Ok(())
}

fn drawn(cleaned: &[u8]) -> Result<Raster, TransformError> {
    rasterize(cleaned, |own| own, &Limits::default(), usual)
}

fn pixel(raster: &Raster, index: usize) -> [u8; 4] {
    match &raster.samples {
        Samples::U8(samples) => samples.as_chunks().0[index],
        Samples::U16(_) => panic!("8 bits"),
    }
}

#[test]
fn active_parts_are_removed() {
    for (inside, gone) in [
        ("<script>alert(1)</script>", "alert"),
        ("<SCRIPT>alert(1)</SCRIPT>", "alert"),
        (
            "<h:script xmlns:h='http://www.w3.org/1999/xhtml'>alert(1)</h:script>",
            "alert",
        ),
        ("<rect width='1' height='1' onload='alert(1)'/>", "alert"),
        ("<g onclick='alert(1)'/>", "alert"),
        (
            "<foreignObject><iframe xmlns='http://www.w3.org/1999/xhtml' src='https://evil.test/'/></foreignObject>",
            "evil",
        ),
        ("<a href='javascript:alert(1)'><rect/></a>", "alert"),
        ("<a xlink:href='jAvascript:alert(1)'><rect/></a>", "lert"),
        ("<a href='https://evil.test/'><rect/></a>", "evil"),
        ("<image href='http://evil.test/a.png'/>", "evil"),
        ("<image xlink:href='//evil.test/a.png'/>", "evil"),
        ("<image href='file:///etc/passwd'/>", "file:"),
        ("<use href='https://evil.test/other.svg#a'/>", "evil"),
        ("<use href='data:image/svg+xml,&lt;svg/&gt;#a'/>", "data:"),
        (
            "<image href='data:text/html;base64,PHNjcmlwdD4='/>",
            "data:",
        ),
        (
            "<image href='data:image/svg+xml;base64,PHN2Zy8+'/>",
            "data:",
        ),
        // A document with the media type of a PNG.
        (
            "<image href='data:image/png;base64,PHNjcmlwdD4='/>",
            "data:",
        ),
        (
            "<style>@import url(https://evil.test/a.css);</style>",
            "url(",
        ),
        (
            "<style>@import 'https://evil.test/a.css';</style>",
            "import",
        ),
        (
            "<style>rect{background:url(https://evil.test/a.png)}</style>",
            "evil",
        ),
        (
            "<style>@font-face{font-family:a;src:url('//evil.test/a.woff')}</style>",
            "evil",
        ),
        ("<rect style='fill:url(https://evil.test/a#b)'/>", "evil"),
        ("<rect fill='url(https://evil.test/a.svg#b)'/>", "evil"),
        ("<set attributeName='onload' to='alert(1)'/>", "onload"),
        (
            "<animate attributeName='href' to='javascript:alert(1)'/>",
            "attributeName",
        ),
        ("<handler>alert(1)</handler>", "alert"),
        ("<?xml-stylesheet href='https://evil.test/a.css'?>", "evil"),
    ] {
        let made = cleaned(svg(inside));
        assert!(!made.contains(gone), "{inside} became {made}");
        assert!(made.contains("<svg"), "{inside} became {made}");
    }
}

#[test]
fn parts_of_the_picture_stay() {
    const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let made = cleaned(svg(&format!(
        "<defs><linearGradient id='g'><stop offset='0' stop-color='red'/></linearGradient></defs>\
         <style>.a{{fill:url(#g)}}</style><rect class='a' fill='url(#g)'/><use href='#g'/><text>grün &amp; blau</text>\
         <image href='{PIXEL}'/>"
    )));
    for kept in [
        "linearGradient",
        ".a{fill:url(#g)}",
        "fill=\"url(#g)\"",
        "href=\"#g\"",
        "grün &amp; blau",
        PIXEL,
        "http://www.w3.org/2000/svg",
    ] {
        assert!(made.contains(kept), "{kept} is missing in {made}");
    }
}

#[test]
fn a_prefixed_picture_is_still_a_picture() {
    let source = "<s:svg xmlns:s='http://www.w3.org/2000/svg' width='4' height='3'><s:rect width='4' height='3' fill='#f00'/></s:svg>";
    assert!(is_svg(source.as_bytes()));
    let made = clean(source.as_bytes(), LIMIT).expect("is a picture");
    // Browsers show nothing without it.
    assert!(made.starts_with(b"<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert_eq!(size(&made), Some(Size::new(4, 3)));
    assert_eq!(
        pixel(&drawn(&made).expect("can be drawn"), 0),
        [255, 0, 0, 255]
    );
}

#[test]
fn every_prologue_is_recognised() {
    let long = "x".repeat(20_000);
    for prologue in [
        String::new(),
        " \r\n\t".to_owned(),
        "\u{FEFF}".to_owned(),
        "<?xml version='1.0'?>".to_owned(),
        "\n<?xml version='1.0' encoding='utf-16'?>".to_owned(),
        "<?xml version='1.0' encoding='koi8-r' standalone='no'?>\n".to_owned(),
        format!("<?xml version='1.0'?><?note {long}?>"),
        format!("<!-- {long} <html> -->"),
        "<!DOCTYPE svg>".to_owned(),
        "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\">"
            .to_owned(),
        "<!DOCTYPE svg [ <!-- it's ]> --> <!ENTITY a \"]>'<html>\"> <?p ]> ?> ]>".to_owned(),
        "<!DOCTYPE svg [<!ENTITY ns 'http://www.w3.org/2000/svg'>]>\n<!-- a --> <!-- b -->".to_owned(),
    ] {
        let source = format!("{prologue}{}", svg("<script>alert(1)</script><rect/>"));
        for bytes in [
            source.clone().into_bytes(),
            utf16(&source, false, u16::to_le_bytes),
            utf16(&source, false, u16::to_be_bytes),
            utf16(&source, true, u16::to_le_bytes),
            utf16(&source, true, u16::to_be_bytes),
            gzipped(source.as_bytes()),
            gzipped(&gzipped(source.as_bytes())),
        ] {
            // A mark and one more character of the same kind.
            let twice = prologue.starts_with('\u{FEFF}') && bytes.len() % 2 == 0;
            assert!(is_svg(&bytes) || twice, "{source}");
            match clean(&bytes, LIMIT) {
                Ok(made) => {
                    let made = String::from_utf8(made).expect("is UTF-8");
                    assert!(!made.contains("alert"), "{made}");
                    assert!(made.contains("<rect"), "{made}");
                }
                Err(error) => assert!(twice, "{error}: {source}"),
            }
        }
    }
}

#[test]
fn other_documents_are_not_svg() {
    for source in [
        &b"<!doctype html><html><body><svg xmlns='http://www.w3.org/2000/svg'/></body></html>"[..],
        b"<html><svg></svg></html>",
        b"<!-- <svg> --><html>",
        b"<?x <svg ?><p>",
        b"<!DOCTYPE svg [<!ENTITY a '<svg>'>]><html>",
        b"<svgfoo>",
        b"<svg",
        b"svg>",
        b"",
        b"\x1F\x8B",
        b"\xFF\xFE",
    ] {
        assert!(!is_svg(source), "{}", String::from_utf8_lossy(source));
    }
    assert!(!is_svg(&gzipped(b"a log of something else, gzipped")));
    assert!(!is_svg(&gzipped(&gzipped(&gzipped(b"<svg>")))));
    // A late root element is not found, which bounds the work.
    let late = format!("<!-- {} --><svg>", "x".repeat(100_000));
    assert!(!is_svg(late.as_bytes()));
}

#[test]
fn letters_beyond_ascii_survive_every_encoding() {
    let text = svg("<text>Größe €</text>");
    for bytes in [
        text.clone().into_bytes(),
        utf16(&text, true, u16::to_le_bytes),
        utf16(&text, false, u16::to_be_bytes),
    ] {
        assert!(cleaned(bytes).contains("Größe €"));
    }
    let latin = format!(
        "<?xml version='1.0' encoding='ISO-8859-1'?>{}",
        svg("<text>Gr@e</text>")
    );
    let latin: Vec<u8> = latin
        .bytes()
        .map(|byte| if byte == b'@' { 0xF6 } else { byte })
        .collect();
    assert!(cleaned(&latin).contains("Gröe"));
    // The same prologue without the root element.
    let undeclared: Vec<u8> = svg("<text>Gr@e</text>")
        .bytes()
        .map(|byte| if byte == b'@' { 0xF6 } else { byte })
        .collect();
    assert!(refused(&undeclared));
    assert!(refused(&utf16(&text, true, u16::to_le_bytes)[..41]));
}

#[test]
fn entities_are_short_or_refused() {
    let document = |subset: &str, inside: &str| {
        format!("<!DOCTYPE svg [{subset}]>{}", svg(inside)).into_bytes()
    };
    // As drawing programs write them.
    let known = document(
        "<!ENTITY name 'plain'><!ENTITY ns_x 'http://ns.test/'>",
        "<text>&name; &#65;</text>",
    );
    assert!(cleaned(&known).contains("plain A"));
    let file = document(
        "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
        "<text>[&x;]</text>",
    );
    match clean(&file, LIMIT) {
        Ok(made) => assert!(!String::from_utf8_lossy(&made).contains("root:")),
        Err(error) => assert!(matches!(error, TransformError::Decode(_))),
    }
    let laughs = document(
        "<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;'><!ENTITY c '&b;&b;&b;&b;'>",
        "<text>&c;</text>",
    );
    assert!(refused(&laughs));
    let long = format!("<!ENTITY a '{}'>", "ha".repeat(10_000));
    assert!(refused(&document(
        &long,
        &format!("<foo>{}</foo>", "&a;".repeat(10_000))
    )));
    let parameter = document("<!ENTITY % p '<!ENTITY a \"x\">'> %p;", "<text>a</text>");
    let _ = clean(&parameter, LIMIT);
    assert!(refused(&document("", "<text>&undefined;</text>")));
}

#[test]
fn bombs_are_bounded() {
    // 64 MiB in 64 KiB.
    assert!(refused(&gzipped(&vec![b' '; 64 << 20])));
    let bomb = gzipped(&[svg("<rect/>").into_bytes(), vec![b' '; 8 << 20]].concat());
    assert!(is_svg(&bomb));
    assert!(refused(&bomb));
    // Deeper than any editor nests, and any browser reads.
    let deep = svg(&format!(
        "{}{}",
        "<g>".repeat(10_000),
        "</g>".repeat(10_000)
    ));
    assert!(refused(deep.as_bytes()));
    let large = svg(&"<rect/>".repeat(200_000));
    assert!(refused(large.as_bytes()));
    // Elements that are removed, among more declarations than any editor writes.
    let declared: String = (0..150)
        .map(|index| format!(" xmlns:n{index}='{}'", "u".repeat(1000)))
        .collect();
    let wide = svg(&format!("<x{declared}>{}</x>", "<x/>".repeat(20_000)));
    assert!(refused(wide.as_bytes()));
    let hidden = svg(&format!(
        "{}{}",
        "<x a='>'><!-- </x> --><![CDATA[</x>]]>".repeat(1000),
        "</x>".repeat(1000)
    ));
    assert!(refused(hidden.as_bytes()));
}

#[test]
fn truncated_documents_are_refused() {
    let whole = svg("<rect width='1' height='1'/>");
    for length in 0..whole.len() {
        assert!(refused(&whole.as_bytes()[..length]), "{length}");
    }
    for source in [
        "<svg width='1' height='1'><rect/></svg>",
        "<svg xmlns='http://other.test/'><rect/></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'><rect></svg>",
        "<svg xmlns='http://www.w3.org/2000/svg'/><svg xmlns='http://www.w3.org/2000/svg'/>",
        "<svg xmlns='http://www.w3.org/2000/svg' a=b/>",
    ] {
        assert!(refused(source.as_bytes()), "{source}");
    }
    let mut cut = gzipped(whole.as_bytes());
    cut.truncate(cut.len() / 2);
    assert!(refused(&cut));
}

#[test]
fn sizes_are_those_of_a_replaced_element() {
    for (attributes, expected) in [
        ("width='10' height='20'", Some((10, 20))),
        ("width='10px' height='20.4px'", Some((10, 20))),
        ("width='1in' height='2.54cm'", Some((96, 96))),
        ("width='12pt' height='1pc'", Some((16, 16))),
        ("width='2em' height='1e1'", Some((32, 10))),
        ("viewBox='0 0 30 40'", Some((30, 40))),
        ("viewBox='-5,-5, 30,40' width='60'", Some((60, 80))),
        ("viewBox='0 0 30 40' height='20'", Some((15, 20))),
        (
            "viewBox='0 0 30 40' width='100%' height='100%'",
            Some((30, 40)),
        ),
        ("viewBox='0 0 0 40'", None),
        ("width='100%'", None),
        ("width='-3' height='4'", None),
        ("", None),
        ("width='0.1' height='1e30'", Some((1, u32::MAX))),
    ] {
        let source =
            format!("<svg xmlns='http://www.w3.org/2000/svg' {attributes}><rect width='7'/></svg>");
        let made = clean(source.as_bytes(), LIMIT).expect("is a picture");
        assert_eq!(
            size(&made),
            expected.map(|(width, height)| Size::new(width, height)),
            "{attributes}"
        );
    }
    assert_eq!(size(b"not a picture"), None);
}

//! Drawings of editors, generators and icon sets look the same after sanitizing: `tests/drawings/README.md` says where each is from.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::roxmltree::{Document, ParsingOptions};
use resvg::usvg::{Group, ImageHrefResolver, Node, Options, Tree};

use crate::codecs::svg::clean;
use crate::codecs::svg::prologue::Encoding;

/// Fonts that are the same on all machines.
static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    for font in [
        dejavu::sans::regular(),
        dejavu::sans::bold(),
        dejavu::sans_mono::regular(),
    ] {
        fonts.load_font_data(font.to_vec());
    }
    fonts.set_sans_serif_family("DejaVu Sans");
    fonts.set_serif_family("DejaVu Sans");
    fonts.set_monospace_family("DejaVu Sans Mono");
    Arc::new(fonts)
});

/// Renders a drawing; returns its pixels, its texts, and the number of pixels that are not empty.
fn drawn(name: &str, text: &str) -> (Pixmap, String, usize) {
    let parsing = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, parsing)
        .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    let options = Options {
        fontdb: Arc::clone(&FONTS),
        font_family: "DejaVu Sans".to_owned(),
        languages: vec!["en".to_owned(), "de".to_owned()],
        image_href_resolver: ImageHrefResolver {
            resolve_data: ImageHrefResolver::default_data_resolver(),
            resolve_string: Box::new(|_, _| None),
        },
        ..Options::default()
    };
    let tree = Tree::from_xmltree(&document, &options)
        .unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
    let mut texts = String::new();
    collect(tree.root(), &mut texts);
    let size = tree.size().to_int_size();
    let mut canvas = Pixmap::new(2 * size.width(), 2 * size.height()).expect("has a size");
    resvg::render(&tree, Transform::from_scale(2.0, 2.0), &mut canvas.as_mut());
    let filled = canvas.pixels().iter().filter(|pixel| pixel.alpha() > 0);
    let filled = filled.count();
    (canvas, texts, filled)
}

fn collect(group: &Group, texts: &mut String) {
    for node in group.children() {
        match node {
            Node::Group(group) => collect(group, texts),
            Node::Text(text) => {
                for chunk in text.chunks() {
                    texts.push_str(chunk.text());
                    texts.push('|');
                }
            }
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

/// Compares the rendered source with the rendered result.
#[track_caller]
fn assert_looks_the_same(name: &str, source: &[u8]) {
    let (encoding, text) = Encoding::of(source);
    let before = encoding.exact(text).expect("is text");
    let made = clean(source, 1 << 20).unwrap_or_else(|error| panic!("{name}: {error}"));
    let after = String::from_utf8(made).expect("is UTF-8");
    let (pixels, texts, filled) = drawn(name, &before);
    let (pixels_after, texts_after, _) = drawn(name, &after);
    assert!(filled > 100, "{name} is empty");
    assert_eq!(texts_after, texts, "{name} became {after}");
    let different = pixels.width() != pixels_after.width()
        || pixels.height() != pixels_after.height()
        || pixels.data() != pixels_after.data();
    assert!(!different, "{name} became {after}");
}

/// Names and contents of files in the folder `tests/drawings`.
macro_rules! files {
    ($($name:literal)*) => {
        [$(($name, include_bytes!(concat!("../../../../tests/drawings/", $name)) as &[u8])),*]
    };
}

const DRAWINGS: [(&str, &[u8]); 46] = files! {
    "bootstrap-icons.svg" "by-hand.svg" "carbon-icons.svg" "circle-flags.svg" "cryptocurrency-icons.svg" "d3.svg" "devicon.svg"
    "elementtree.svg" "eva-icons.svg" "feather-icons.svg" "flag-icons.svg" "graphviz.svg" "heroicons.svg" "inkscape-plain.svg"
    "inkscape.svg" "ionicons.svg" "like-affinity.svg" "like-cairo.svg" "like-coreldraw.svg" "like-drawio.svg" "like-excalidraw.svg"
    "like-figma.svg" "like-illustrator-cc.svg" "like-illustrator-cs.svg" "like-libreoffice.svg" "like-potrace.svg" "like-sketch.svg"
    "like-utf16.svg" "like-visio.svg" "like-wikimedia.svg" "material-icon-theme.svg" "matplotlib-paths.svg" "matplotlib-text.svg"
    "mermaid-flow.svg" "mermaid-pie.svg" "mermaid-sequence.svg" "octicons.svg" "plantuml.svg" "qrcode.svg" "simple-icons.svg"
    "super-tiny-icons.svg" "svg-spinners.svg" "svgwrite.svg" "tabler-icons.svg" "vega.svg" "weather-icons.svg"
};

#[test]
fn drawings_of_editors_and_generators_stay_as_they_look() {
    let listed = include_str!("../../../../tests/drawings/README.md");
    let listed: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();
    for name in &listed {
        assert!(DRAWINGS.iter().any(|(known, _)| known == name), "{name}");
    }
    for (name, source) in DRAWINGS {
        assert!(listed.contains(&name), "{name} is from nowhere");
        assert_looks_the_same(name, source);
    }
}

#[test]
fn texts_stay_as_they_look() {
    for inside in [
        "<text x='10' y='60' font-size='24'><tspan fill='#c22'>Spar</tspan><tspan fill='#22c'>kasse</tspan><tspan fill='#2a2'>&amp;</tspan><tspan>Co</tspan></text>",
        "<text x='10' y='60' font-family='DejaVu Sans Mono' font-size='20' xml:space='preserve'>a   b    c</text>",
        "<text x='10' y='60' font-size='20'>a   b\n    c<!-- -->d</text>",
        "<defs><path id='q' d='M10 90Q120 10 230 90'/></defs><text font-size='18'><textPath href='#q' startOffset='10%'>along the curve</textPath></text>",
        "<defs><path id='q' d='M10 90Q120 10 230 90'/></defs><text font-size='18'><textPath xlink:href='#q'>along</textPath></text>",
        "<text x='10' y='60' xml:space='preserve'> a\t<tspan> b </tspan>\n<tspan xml:space='default'> c  d </tspan></text>",
        "<switch><foreignObject requiredExtensions='a'/><text x='10' y='60'><![CDATA[a < b]]></text></switch>",
    ] {
        let attributes = "width='240' height='120' font-family='DejaVu Sans'";
        let namespaces =
            "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'";
        let source = format!("<svg {namespaces} {attributes}>{inside}</svg>");
        assert_looks_the_same(inside, source.as_bytes());
        if !inside.contains("xlink") {
            let prefixed = inside.replace('<', "<s:").replace("<s:/", "</s:");
            let prefixed = prefixed.replace("<s:!", "<!").replace("a <s: b", "a < b");
            let namespaces = "xmlns:s='http://www.w3.org/2000/svg'";
            let source = format!("<s:svg {namespaces} {attributes}>{prefixed}</s:svg>");
            assert_looks_the_same(inside, source.as_bytes());
        }
    }
}

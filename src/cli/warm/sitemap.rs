//! Parses a sitemap: the pictures and the other sitemaps that it names. A sitemap may be hostile, so no entity is expanded, and nothing is fetched here.

use std::fmt;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, Event};

use crate::cli::extensions::is_picture_path;

/// The deepest nesting of elements. A sitemap with pictures has four levels.
const MAX_DEPTH: usize = 32;
/// The longest address, in bytes. The sitemap protocol allows 2048.
const MAX_ADDRESS_BYTES: usize = 8 << 10;

/// What a sitemap names, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sitemap {
    pub pictures: Vec<String>,
    pub sitemaps: Vec<String>,
}

/// Why a file is not a sitemap.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SitemapError {
    /// The message of the XML parser.
    Xml(String),
    /// It ends early.
    Unclosed,
    /// The root is another element.
    Root,
    /// Elements are nested too deeply.
    Deep,
    /// An address is too long for any browser.
    LongAddress,
    /// It uses an entity that it defines itself.
    Entity(String),
}

impl fmt::Display for SitemapError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SitemapError::Xml(reason) => write!(out, "must be XML: {reason}"),
            SitemapError::Unclosed => out.write_str("ends early"),
            SitemapError::Root => out.write_str("must be XML that begins with <urlset> or <sitemapindex>; plain lists are read with `--file`"),
            SitemapError::Deep => write!(out, "must not nest elements more than {MAX_DEPTH} deep"),
            SitemapError::LongAddress => write!(out, "must not have addresses longer than {MAX_ADDRESS_BYTES} bytes"),
            SitemapError::Entity(name) => write!(out, "must not use entities of its own, as `&{name};`"),
        }
    }
}

impl std::error::Error for SitemapError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    UrlSet,
    Index,
    Url,
    Sitemap,
    Image,
    Loc,
    Other,
}

impl Element {
    /// The element of a name without its prefix, which every sitemap may choose.
    fn of(name: &[u8]) -> Self {
        match name {
            b"urlset" => Element::UrlSet,
            b"sitemapindex" => Element::Index,
            b"url" => Element::Url,
            b"sitemap" => Element::Sitemap,
            b"image" => Element::Image,
            b"loc" => Element::Loc,
            _ => Element::Other,
        }
    }

    /// Checks that the element may be inside these.
    fn check(self, within: &[Element]) -> Result<(), SitemapError> {
        if within.is_empty() && !matches!(self, Element::UrlSet | Element::Index) {
            return Err(SitemapError::Root);
        }
        if within.len() == MAX_DEPTH {
            return Err(SitemapError::Deep);
        }
        Ok(())
    }
}

/// Parses a sitemap or an index of sitemaps. Pictures are those of image sitemaps, and pages with the extension of a picture.
pub(super) fn parse(bytes: &[u8]) -> Result<Sitemap, SitemapError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = Reader::from_reader(bytes);
    let mut sitemap = Sitemap::default();
    let mut open: Vec<Element> = Vec::new();
    let mut has_root = false;
    let mut address = String::new();
    loop {
        let event = reader
            .read_event()
            .map_err(|error| SitemapError::Xml(error.to_string()))?;
        let is_address = open.last() == Some(&Element::Loc);
        match event {
            Event::Start(start) => {
                let element = Element::of(start.local_name().as_ref());
                element.check(&open)?;
                has_root = true;
                open.push(element);
                address.clear();
            }
            Event::Empty(empty) => {
                Element::of(empty.local_name().as_ref()).check(&open)?;
                has_root = true;
            }
            Event::End(_) => {
                let closed = open.pop();
                if closed == Some(Element::Loc) {
                    sitemap.take(&open, address.trim());
                }
            }
            Event::Text(text) if is_address => {
                let text = text.decode();
                address += &text.map_err(|error| SitemapError::Xml(error.to_string()))?;
            }
            Event::CData(text) if is_address => {
                let text = text.decode();
                address += &text.map_err(|error| SitemapError::Xml(error.to_string()))?;
            }
            Event::GeneralRef(reference) if is_address => address.push(character(&reference)?),
            Event::Eof => break,
            _ => {}
        }
        if address.len() > MAX_ADDRESS_BYTES {
            return Err(SitemapError::LongAddress);
        }
    }
    if !open.is_empty() {
        return Err(SitemapError::Unclosed);
    }
    if !has_root {
        return Err(SitemapError::Root);
    }
    Ok(sitemap)
}

impl Sitemap {
    fn take(&mut self, within: &[Element], address: &str) {
        // No address contains control characters such as line breaks.
        if address.is_empty() || address.chars().any(char::is_control) {
            return;
        }
        match within {
            [Element::Index, Element::Sitemap] => self.sitemaps.push(address.to_owned()),
            [Element::UrlSet, Element::Url, Element::Image] => {
                self.pictures.push(address.to_owned());
            }
            [Element::UrlSet, Element::Url] if is_picture_path(address) => {
                self.pictures.push(address.to_owned());
            }
            _ => {}
        }
    }
}

/// The character of a reference `&…;`: one of the five entities of XML, or a number.
fn character(reference: &BytesRef<'_>) -> Result<char, SitemapError> {
    let unreadable = |error: &dyn fmt::Display| SitemapError::Xml(error.to_string());
    let number = reference.resolve_char_ref();
    if let Some(character) = number.map_err(|error| unreadable(&error))? {
        return Ok(character);
    }
    let name = reference.decode().map_err(|error| unreadable(&error))?;
    resolve_xml_entity(&name)
        .and_then(|text| text.chars().next())
        .ok_or_else(|| SitemapError::Entity(name.chars().take(40).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::proptest;

    use super::Sitemap;
    use super::SitemapError;
    use super::parse;

    const IMAGES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- <url><loc>https://a.test/comment.jpg</loc></url> -->
        <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
                xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
          <url><loc>https://a.test/page</loc>
            <image:image><image:loc> https://a.test/1.jpg?v=1&amp;w=&#50; </image:loc></image:image>
            <image:image><image:loc><![CDATA[https://a.test/2?a&b]]></image:loc><image:title>x.jpg</image:title></image:image>
          </url>
          <url><loc>https://a.test/3.PNG</loc><lastmod/></url>
          <loc>https://a.test/stray.jpg</loc>
          <url><loc/><loc>https://a.test/a
b.jpg</loc></url>
        </urlset>"#;

    fn pictures(addresses: &[&str]) -> Sitemap {
        Sitemap {
            pictures: addresses
                .iter()
                .map(|&address| address.to_owned())
                .collect(),
            sitemaps: Vec::new(),
        }
    }

    #[test]
    fn pictures_are_found_in_image_sitemaps_and_by_extension() {
        let found = pictures(&[
            "https://a.test/1.jpg?v=1&w=2",
            "https://a.test/2?a&b",
            "https://a.test/3.PNG",
        ]);
        assert_eq!(parse(IMAGES.as_bytes()), Ok(found));
        for empty in ["\u{feff}<urlset></urlset>", "<urlset/>"] {
            assert_eq!(parse(empty.as_bytes()), Ok(pictures(&[])));
        }
    }

    #[test]
    fn an_index_names_sitemaps() {
        let text = "<sitemapindex><sitemap><loc>https://a.test/1.xml</loc></sitemap><sitemap><loc>https://a.test/2.xml.gz</loc></sitemap><url><loc>https://a.test/no.jpg</loc></url></sitemapindex>";
        let sitemaps = ["https://a.test/1.xml", "https://a.test/2.xml.gz"];
        let found = Sitemap {
            pictures: Vec::new(),
            sitemaps: sitemaps.map(str::to_owned).to_vec(),
        };
        assert_eq!(parse(text.as_bytes()), Ok(found));
    }

    #[test]
    fn hostile_sitemaps_are_refused() {
        let laughs = r#"<!DOCTYPE urlset [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
            <urlset><url><loc>https://x/&b;.jpg</loc></url></urlset>"#;
        let named = SitemapError::Entity("b".to_owned());
        assert_eq!(parse(laughs.as_bytes()), Err(named));
        let file = r#"<!DOCTYPE urlset [<!ENTITY f SYSTEM "file:///etc/passwd">]>
            <urlset><url><loc>https://x/&f;.jpg</loc></url></urlset>"#;
        let named = SitemapError::Entity("f".to_owned());
        assert_eq!(parse(file.as_bytes()), Err(named));
        let deep = format!("<urlset>{}", "<a>".repeat(100_000));
        assert_eq!(parse(deep.as_bytes()), Err(SitemapError::Deep));
        let long = format!("<urlset><url><loc>{}", "a".repeat(1 << 20));
        assert_eq!(parse(long.as_bytes()), Err(SitemapError::LongAddress));
        for unclosed in ["<urlset>", "<urlset><url><loc>https://x/a.jpg</loc></url>"] {
            assert_eq!(parse(unclosed.as_bytes()), Err(SitemapError::Unclosed));
        }
        for other in [
            "",
            "https://x/a.jpg\n",
            "<html></html>",
            "<rss/>",
            "<urlset/>x<html></html>",
        ] {
            assert_eq!(parse(other.as_bytes()), Err(SitemapError::Root), "{other}");
        }
        for broken in [
            "<urlset><url></urlset></url>",
            "<urlset><url><loc>&#0;</loc></url></urlset>",
            "<urlset><url><loc>&#x110000;</loc></url></urlset>",
            "<urlset><url><loc>\u{0}<",
            "<urlset><!-- ",
        ] {
            let found = parse(broken.as_bytes());
            assert!(
                matches!(found, Err(SitemapError::Xml(_))),
                "{broken}: {found:?}"
            );
        }
        let latin = b"<urlset><url><loc>https://x/\xe9.jpg</loc></url></urlset>";
        assert!(matches!(parse(latin), Err(SitemapError::Xml(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_sitemap_or_not(bytes in any::<Vec<u8>>()) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_mixture_of_its_parts_is_a_sitemap_or_not(
            parts in proptest::collection::vec(
                "<urlset>|</urlset>|<sitemapindex>|<sitemap>|<url>|</url>|<loc>|</loc>|<image:image>|</image:image>|&[a-z#0-9]{0,4};|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<!DOCTYPE|<\\?xml|[a-z.]{0,6}",
                0..24,
            ),
        ) {
            if let Ok(found) = parse(format!("<urlset>{}", parts.concat()).as_bytes()) {
                assert!(found.pictures.iter().all(|address| !address.is_empty()));
            }
        }
    }
}

//! The SVG sanitizer: it parses the document and writes it again without anything active.
//!
//! Only what is known is written: elements and attributes by the lists in `vocabulary`, in the namespace of their prefix; references to the
//! document itself and embedded pictures, by `reference`; style sheets token by token, by `style`. All text is unescaped and escaped again,
//! so the result is markup of our own making, whatever the source was, also for an HTML parser. White space is kept, because it is drawn
//! between elements of text.
//!
//! This began with the lists of `svg-hush`, which is not used itself: it indents, so that words fall apart; it removes `xml:space`, most
//! local references and the names of animated attributes; and it removes a prefix but not its declaration, which leaves no picture. It has
//! no settings for these.

mod reference;
mod style;
mod vocabulary;

use std::borrow::Cow;
use std::fmt::Display;
use std::mem;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;

use self::vocabulary::{AttributeKind, Element, ElementContent, SVG};

/// The known namespaces beside that of SVG: all others are treated alike.
const XLINK: &str = "http://www.w3.org/1999/xlink";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Nesting depth. Editors nest a dozen, and browsers give up at a few thousand.
const DEPTH: usize = 512;
/// Attributes of one element. Each is compared with all others, because a repeated name is invalid XML.
const ATTRIBUTES: usize = 200;
/// Namespace declarations in force at one place, which are searched for each name. Editors declare a dozen.
const NAMESPACES: usize = 128;

/// Sanitizes `text`, which begins with the root element. The result has at most `limit` bytes.
///
/// # Errors
/// `Decode` for a document that is not valid to its last byte, is nested too deeply, or becomes too large.
pub(crate) fn sanitize(text: &str, limit: usize) -> Result<String, TransformError> {
    let mut reader = Reader::from_str(text);
    let mut writer = SvgWriter::new(limit);
    loop {
        match well_formed(reader.read_event())? {
            Event::Start(tag) => writer.start(&tag, false)?,
            Event::Empty(tag) => writer.start(&tag, true)?,
            Event::End(_) => writer.end()?,
            Event::Text(text) => writer.text(&well_formed(text.xml10_content())?)?,
            Event::CData(text) => writer.text(&well_formed(text.xml10_content())?)?,
            Event::GeneralRef(name) => {
                let reference = format!("&{};", well_formed(name.decode())?);
                writer.text(&well_formed(unescape(&reference))?)?;
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::DocType(_) => return Err(broken("a declaration among its elements")),
            Event::Eof => return writer.finish(),
        }
    }
}

/// The namespace of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Namespace {
    None,
    Svg,
    Xlink,
    Xml,
    Other,
}

impl Namespace {
    fn of(name: &str) -> Self {
        match name {
            "" => Namespace::None,
            SVG => Namespace::Svg,
            XLINK => Namespace::Xlink,
            XML => Namespace::Xml,
            _ => Namespace::Other,
        }
    }
}

/// An element whose end is not written yet.
struct OpenElement {
    element: &'static Element,
    /// The number of namespace declarations in force around it.
    declared: usize,
}

/// Writes the sanitized document.
struct SvgWriter {
    text: String,
    limit: usize,
    /// Prefixes and their namespaces, the innermost last.
    declared: Vec<(Vec<u8>, Namespace)>,
    open: Vec<OpenElement>,
    /// The depth inside a removed element: nothing in there is examined.
    left_out: usize,
    /// The text of the current style element so far.
    sheet: String,
    /// The position at which the root declares its namespaces.
    root: Option<usize>,
    /// Whether an XLink attribute was written.
    linked: bool,
}

impl SvgWriter {
    fn new(limit: usize) -> Self {
        SvgWriter {
            text: String::new(),
            limit,
            declared: Vec::new(),
            open: Vec::new(),
            left_out: 0,
            sheet: String::new(),
            root: None,
            linked: false,
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, empty: bool) -> Result<(), TransformError> {
        if self.open.len() + self.left_out >= DEPTH {
            return Err(broken("elements that are nested too deeply"));
        }
        if self.left_out > 0 {
            self.left_out += usize::from(!empty);
            return Ok(());
        }
        let declared = self.declared.len();
        self.declare(tag)?;
        let (prefix, local) = split(tag.name().into_inner());
        let known = (self.resolve(prefix)? == Namespace::Svg)
            .then(|| vocabulary::element(local))
            .flatten();
        if self.open.is_empty()
            && (self.root.is_some() || known.is_none_or(|known| !known.is_svg()))
        {
            return Err(broken("its root is no svg element, or it has two"));
        }
        // These elements contain only text; elements inside them are a way to confuse HTML parsers.
        let within_text = self
            .open
            .last()
            .is_some_and(|open| open.element.content != ElementContent::Elements);
        match known.filter(|_| !within_text) {
            Some(element) if self.animates_what_may_change(element, tag)? => {
                self.write("<")?;
                self.write(element.name)?;
                if self.root.is_none() {
                    self.write(" xmlns=\"")?;
                    self.write(SVG)?;
                    self.write("\"")?;
                    self.root = Some(self.text.len());
                }
                self.attributes(element, tag)?;
                if empty {
                    self.write("/>")?;
                    self.declared.truncate(declared);
                } else {
                    self.write(">")?;
                    self.open.push(OpenElement { element, declared });
                }
            }
            _ => {
                self.left_out += usize::from(!empty);
                self.declared.truncate(declared);
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TransformError> {
        if self.left_out > 0 {
            self.left_out -= 1;
            return Ok(());
        }
        // The reader has already compared the names of start and end tags.
        let Some(open) = self.open.pop() else {
            return Err(broken("an element ends that did not begin"));
        };
        if open.element.content == ElementContent::Style {
            let sheet = mem::take(&mut self.sheet);
            let clean = style::filter(&sheet, self.limit).ok_or_else(too_large)?;
            self.escape(&clean, false)?;
        }
        self.declared.truncate(open.declared);
        self.write("</")?;
        self.write(open.element.name)?;
        self.write(">")
    }

    fn text(&mut self, text: &str) -> Result<(), TransformError> {
        if self.left_out > 0 {
            return Ok(());
        }
        match self.open.last() {
            None if text.bytes().all(|byte| b" \t\r\n".contains(&byte)) => Ok(()),
            None => Err(broken("text outside of its root")),
            Some(open) if open.element.content == ElementContent::Style => {
                self.sheet.push_str(text);
                Ok(())
            }
            Some(_) => self.escape(text, false),
        }
    }

    fn finish(mut self) -> Result<String, TransformError> {
        if !self.open.is_empty() || self.left_out > 0 {
            return Err(broken("it ends early"));
        }
        let root = self.root.ok_or_else(|| broken("it has no elements"))?;
        if self.linked {
            let declaration = format!(" xmlns:xlink=\"{XLINK}\"");
            if self.text.len() + declaration.len() > self.limit {
                return Err(too_large());
            }
            self.text.insert_str(root, &declaration);
        }
        Ok(self.text)
    }

    /// Records the namespaces that a tag declares, and checks that its attributes are well-formed.
    fn declare(&mut self, tag: &BytesStart<'_>) -> Result<(), TransformError> {
        for (index, attribute) in tag.attributes().enumerate() {
            let attribute = well_formed(attribute)?;
            if index >= ATTRIBUTES {
                return Err(broken("too many attributes of one element"));
            }
            let prefix = match split(attribute.key.into_inner()) {
                (b"", b"xmlns") => &b""[..],
                (b"xmlns", prefix) if !prefix.is_empty() => prefix,
                _ => continue,
            };
            if self.declared.len() >= NAMESPACES {
                return Err(broken("too many namespaces"));
            }
            let name = match Namespace::of(&value(&attribute)?) {
                // This is invalid XML. It is treated as another namespace, because names without a prefix must stay distinct.
                Namespace::None if !prefix.is_empty() => Namespace::Other,
                // This is invalid too, except for the prefix `xml`; so is a prefix that is declared twice.
                Namespace::Xml => Namespace::Other,
                name => name,
            };
            self.declared.push((prefix.to_owned(), name));
        }
        Ok(())
    }

    fn resolve(&self, prefix: &[u8]) -> Result<Namespace, TransformError> {
        if prefix == b"xml" {
            return Ok(Namespace::Xml);
        }
        let declared = self.declared.iter().rev();
        match declared.into_iter().find(|(name, _)| name == prefix) {
            Some((_, namespace)) => Ok(*namespace),
            None if prefix.is_empty() => Ok(Namespace::None),
            None => Err(broken("a prefix that stands for no namespace")),
        }
    }

    /// Whether an element is not an animation, or animates an attribute that may be animated: no reference, style or event handler.
    fn animates_what_may_change(
        &self,
        element: &Element,
        tag: &BytesStart<'_>,
    ) -> Result<bool, TransformError> {
        if !element.is_animation() {
            return Ok(true);
        }
        for attribute in tag.attributes().with_checks(false).flatten() {
            let (prefix, local) = split(attribute.key.into_inner());
            if local == b"attributeName"
                && (!prefix.is_empty() || !vocabulary::may_be_animated(value(&attribute)?.trim()))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn attributes(
        &mut self,
        element: &Element,
        tag: &BytesStart<'_>,
    ) -> Result<(), TransformError> {
        // If there are both, the one without a namespace counts (SVG 2, section 16.1.3).
        let referred = tag.try_get_attribute("href").ok().flatten().is_some();
        let mut linked = false;
        for attribute in tag.attributes().with_checks(false).flatten() {
            let (prefix, local) = split(attribute.key.into_inner());
            if prefix == b"xmlns" || (prefix.is_empty() && local == b"xmlns") {
                continue;
            }
            let namespace = match prefix {
                b"" => Namespace::None,
                prefix => self.resolve(prefix)?,
            };
            match (namespace, local) {
                (Namespace::None, b"href") => {
                    let url = value(&attribute)?;
                    if let Some(url) = element.reference(&url) {
                        self.attribute("href", url)?;
                    }
                }
                (Namespace::Xlink, b"href") if !referred && !linked => {
                    let url = value(&attribute)?;
                    if let Some(url) = element.reference(&url) {
                        linked = true;
                        self.linked = true;
                        self.attribute("xlink:href", url)?;
                    }
                }
                (Namespace::Xml, b"space") => self.attribute("xml:space", &value(&attribute)?)?,
                (Namespace::Xml, b"lang") => self.attribute("xml:lang", &value(&attribute)?)?,
                (Namespace::None, local) => {
                    let known = vocabulary::attribute(local);
                    let known = known.filter(|known| element.may_have(*known));
                    if let Some((name, meaning)) = known {
                        self.known(name, meaning, &value(&attribute)?)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes an SVG attribute with as much of its value as is allowed.
    fn known(
        &mut self,
        name: &str,
        meaning: AttributeKind,
        value: &str,
    ) -> Result<(), TransformError> {
        match meaning {
            AttributeKind::Plain => self.attribute(name, value),
            AttributeKind::Animated => self.attribute(name, value.trim()),
            AttributeKind::Style => {
                let clean = style::filter(value, self.limit).ok_or_else(too_large)?;
                self.attribute(name, &clean)
            }
            // No animated value contains a URL scheme.
            AttributeKind::Animation if value.contains(':') => Ok(()),
            AttributeKind::Animation => {
                let clean = style::filter(value, self.limit).ok_or_else(too_large)?;
                self.attribute(name, &clean)
            }
        }
    }

    fn attribute(&mut self, name: &str, value: &str) -> Result<(), TransformError> {
        self.write(" ")?;
        self.write(name)?;
        self.write("=\"")?;
        self.escape(value, true)?;
        self.write("\"")
    }

    /// Writes text, escaped for an attribute or for content.
    fn escape(&mut self, text: &str, attribute: bool) -> Result<(), TransformError> {
        let mut from = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escaped = match byte {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'\r' => "&#13;",
                b'"' if attribute => "&quot;",
                b'\t' if attribute => "&#9;",
                b'\n' if attribute => "&#10;",
                b'\t' | b'\n' => continue,
                0..0x20 => return Err(broken("characters that no XML may hold")),
                // U+FFFE and U+FFFF.
                0xEF if text.as_bytes()[at..].starts_with(b"\xEF\xBF\xBE")
                    || text.as_bytes()[at..].starts_with(b"\xEF\xBF\xBF") =>
                {
                    return Err(broken("characters that no XML may hold"));
                }
                _ => continue,
            };
            self.write(&text[from..at])?;
            self.write(escaped)?;
            from = at + 1;
        }
        self.write(&text[from..])
    }

    fn write(&mut self, text: &str) -> Result<(), TransformError> {
        if self.text.len() + text.len() > self.limit {
            return Err(too_large());
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// Prefix and local part of a name; a name with several colons matches nothing known.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|byte| *byte == b':') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (&name[..0], name),
    }
}

/// The value of an attribute as a parser reads it: references resolved, line ends and tabs as spaces.
fn value<'a>(attribute: &Attribute<'a>) -> Result<Cow<'a, str>, TransformError> {
    well_formed(attribute.normalized_value(XmlVersion::Explicit1_0))
}

fn well_formed<T>(outcome: Result<T, impl Display>) -> Result<T, TransformError> {
    outcome.map_err(|error| broken(&error.to_string()))
}

fn too_large() -> TransformError {
    broken("it is too large once it is cleaned")
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod drawings;

//! An SVG without what could do more than be looked at: what was read is written again, character for character, but for what acts.
//!
//! Nothing is copied that is not known: elements and attributes by the names of `vocabulary`, in the namespace that their prefix stands
//! for; references to the document itself and embedded pictures, by `reference`; style sheets token by token, by `style`. All texts are
//! taken out of their markup and escaped anew, so that the result is markup of our own making, whatever the source was, also to a parser
//! of HTML. White space stays: between elements of text it is drawn.
//!
//! Not by `svg-hush`, with whose lists this began: it indents, so that words fall apart, drops `xml:space`, most local references and
//! the names of what is animated, and takes a prefix away but not its declaration, which leaves no picture at all. It has no setting for
//! any of it, and writing XML from events is what is left when these are mended.

mod reference;
mod style;
mod vocabulary;

use std::borrow::Cow;
use std::fmt::Display;
use std::mem;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;
use quick_xml::events::attributes::Attribute;

use crate::codecs::TransformError;
use crate::codecs::svg::broken;

use self::vocabulary::AttributeKind;
use self::vocabulary::Element;
use self::vocabulary::ElementContent;

/// The namespaces that are known: all others are as good as one.
pub(crate) const SVG: &str = "http://www.w3.org/2000/svg";
const XLINK: &str = "http://www.w3.org/1999/xlink";
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// Elements within elements. Editors nest a dozen, and browsers give up at a few thousand.
const DEPTH: usize = 512;
/// Attributes of one element. Each is compared with all, because two of one name are no XML.
const ATTRIBUTES: usize = 200;
/// Declarations of namespaces in force at one place, of which each name may be any. Editors declare a dozen.
const NAMESPACES: usize = 128;

/// The root element of `text` and everything in it that may stay, in at most `limit` bytes. `text` begins with the root element.
///
/// # Errors
/// `Decode` for what is no SVG to its last byte, is nested too deeply, or becomes too large.
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

/// What a name belongs to.
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

/// An element that is being written.
struct OpenElement {
    element: &'static Element,
    /// Declarations in force around it.
    declared: usize,
}

/// The document that is written.
struct SvgWriter {
    text: String,
    limit: usize,
    /// Prefixes and what they stand for, the innermost last.
    declared: Vec<(Vec<u8>, Namespace)>,
    open: Vec<OpenElement>,
    /// How deep in an element that is left out: nothing in there is looked at.
    left_out: usize,
    /// The text of a style element so far.
    sheet: String,
    /// Where in the text the root declares its namespaces.
    root: Option<usize>,
    /// Whether a name of XLink was written.
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
        // Text alone means something in these; what is within is a way to confuse parsers of HTML.
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
        // The reader has compared their names.
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

    /// Notes the namespaces that a tag declares, and that its attributes are well-formed.
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
                // No XML: as if it were another, because names without a prefix must stay different.
                Namespace::None if !prefix.is_empty() => Namespace::Other,
                // Nor is this, but for its own prefix, and what is written twice is none either.
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

    /// Whether an element is no animation, or one of what may be animated: not of references, styles and handlers.
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
        // Where there are both, the one without a namespace counts (SVG 2, section 16.1.3).
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

    /// An attribute of SVG, with as much of its value as may stay.
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
            // Nothing that may be animated has a scheme in it.
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

    /// Text as it is written between tags, or in an attribute.
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
                // The last two of the plane, U+FFFE and U+FFFF.
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

/// Prefix and local part of a name; one with more colons than one is none that is known.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|byte| *byte == b':') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (&name[..0], name),
    }
}

/// The value that a parser makes of an attribute: references resolved, line ends and tabs as spaces.
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

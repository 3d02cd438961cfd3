//! The references of all elements of a drawing, read once for all checks before rendering: from attributes, style sheets, `style`
//! attributes, and inheritance. The winner among several values is not determined, so all count.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

use crate::codecs::TransformError;
use crate::codecs::svg::limits::{ELEMENT_PARSING, ELEMENTS, too_many};
use crate::codecs::svg::style::{Styles, declarations, parsing, references, referred};

/// Inherited properties that draw something; all marker properties count as one.
pub(crate) const INHERITED: [&str; 3] = ["fill", "stroke", "marker"];
/// The index of markers in this list, after the paints.
pub(crate) const MARKER: usize = 2;
/// Properties that draw something and are not inherited unless a value says so.
const LINKS: [&str; 3] = ["clip-path", "mask", "filter"];
/// Elements that are drawn only where something refers to them.
const REFERRED: [&str; 6] = ["pattern", "mask", "clipPath", "marker", "filter", "symbol"];

/// References of all elements together, counted for each property and element.
const NAMES: usize = 1_000_000;

/// The references in a property of one element.
#[derive(Clone, Default)]
pub(crate) struct PropertyReferences<'a> {
    pub names: Vec<&'a str>,
    /// Whether a value is `inherit`.
    pub is_passed_on: bool,
}

impl<'a> PropertyReferences<'a> {
    /// Only filters may have several references.
    fn add(&mut self, value: &'a str, several: bool, is_named: &impl Fn(&str) -> bool) {
        let most = if several { usize::MAX } else { 1 };
        let names = references(value).take(most);
        self.names.extend(names.filter(|name| is_named(name)));
        self.is_passed_on |= value.trim() == "inherit";
    }
}

/// The properties of one element, without inheritance.
#[derive(Default)]
pub(crate) struct ElementProperties<'a> {
    /// In the order of `INHERITED`.
    pub paints: [Option<PropertyReferences<'a>>; INHERITED.len()],
    /// The properties that are not inherited, and their references.
    pub links: Vec<(&'static str, PropertyReferences<'a>)>,
    /// Selector matching steps.
    pub steps: u64,
    /// Bytes of values, without points and values that are never read.
    pub bytes: u64,
    /// Bytes that are scanned for its `style` attribute: see `parsing`.
    pub parsing: u64,
    /// The number of references in all of it.
    names: usize,
}

impl<'a> ElementProperties<'a> {
    fn add(&mut self, property: &str, value: &'a str, is_named: &impl Fn(&str) -> bool) {
        if let Some(link) = LINKS.into_iter().find(|link| *link == property) {
            let at = self.links.iter().position(|(known, _)| *known == link);
            let at = at.unwrap_or_else(|| {
                self.links.push((link, PropertyReferences::default()));
                self.links.len() - 1
            });
            self.links[at].1.add(value, link == "filter", is_named);
        }
        for (of, paint) in INHERITED.iter().zip(&mut self.paints) {
            let is_of = match *of {
                "marker" => property.starts_with("marker"),
                of => property == of,
            };
            if is_of {
                paint.get_or_insert_default().add(value, false, is_named);
            }
        }
    }

    /// Removes repeated names, because thousands of rules may have the same, and returns the number of names.
    fn settle(&mut self) -> usize {
        let paints = self.paints.iter_mut().flatten();
        let links = self.links.iter_mut().map(|(_, paint)| paint);
        let mut count = 0;
        for PropertyReferences { names, .. } in paints.chain(links) {
            names.sort_unstable();
            names.dedup();
            names.shrink_to_fit();
            count += names.len();
        }
        count
    }
}

pub(crate) struct DocumentProperties<'a, 'b> {
    /// Elements by `id`. Of several with one `id`, `usvg` uses the first for some references and the last for others.
    pub named: HashMap<&'a str, Vec<Node<'a, 'b>>>,
    own: HashMap<NodeId, Rc<ElementProperties<'a>>>,
    /// The targets of `feImage`, which inherit from their ancestors in the document.
    shown: HashSet<NodeId>,
    /// Whether any element inherits a clip path, mask or filter.
    pub passes_links_on: bool,
    /// Whether any marker uses the paint of its path (`context-fill`).
    pub paints_by_context: bool,
}

impl<'a, 'b> DocumentProperties<'a, 'b> {
    /// # Errors
    /// `Decode` where finding them would take too long.
    pub(super) fn of(document: &'a Document<'b>) -> Result<Self, TransformError> {
        let elements = document.descendants().filter(Node::is_element);
        if elements.clone().count() as u64 > ELEMENTS {
            return Err(too_many());
        }
        let styles = Styles::of(document)?;
        let mut named: HashMap<&str, Vec<Node<'_, '_>>> = HashMap::new();
        for node in elements.clone() {
            if let Some(id) = node.attribute("id") {
                named.entry(id).or_default().push(node);
            }
        }
        let mut properties = DocumentProperties {
            named,
            own: HashMap::new(),
            shown: HashSet::new(),
            passes_links_on: false,
            paints_by_context: false,
        };
        let (mut parsed, mut names) = (0, 0);
        for node in elements {
            let own = properties.read(node, &styles)?;
            // Every element counts at least once.
            parsed += own.parsing;
            names += own.names;
            if parsed > ELEMENTS * ELEMENT_PARSING || names > NAMES {
                return Err(too_many());
            }
            properties.own.insert(node.id(), Rc::new(own));
        }
        Ok(properties)
    }

    fn read(
        &mut self,
        node: Node<'a, 'b>,
        styles: &Styles<'a>,
    ) -> Result<ElementProperties<'a>, TransformError> {
        let mut own = ElementProperties::default();
        let (named, by_context) = (&self.named, &mut self.paints_by_context);
        let is_named = |name: &str| named.contains_key(name);
        let mut add = |property: &str, value: &'a str| {
            *by_context |= value.contains("context-");
            own.add(property, value, &is_named);
        };
        let (mut bytes, mut parsed) = (0, 0);
        for attribute in node.attributes() {
            let value = attribute.value();
            match attribute.name() {
                // `d` and `points` are counted as points, `href` is read once, and `content` (the source of a diagram) is never read.
                "d" | "points" | "href" | "content" => continue,
                "style" => {
                    parsed = parsing(value);
                    if parsed > ELEMENTS * ELEMENT_PARSING {
                        return Err(too_many());
                    }
                    for declaration in declarations(value) {
                        add(declaration.name, declaration.value);
                    }
                }
                name => add(name, value),
            }
            bytes += value.len() as u64;
        }
        let steps = styles.applied(node, |declaration| {
            bytes += declaration.value.len() as u64;
            add(declaration.name, declaration.value);
        })?;
        (own.steps, own.bytes, own.parsing) = (steps, bytes, parsed);
        let above = node
            .parent_element()
            .and_then(|above| self.own.get(&above.id()));
        for (link, paint) in own.links.iter_mut().filter(|(_, paint)| paint.is_passed_on) {
            self.passes_links_on = true;
            let above = above.iter().flat_map(|above| &above.links);
            for (_, inherited) in above.filter(|(of, _)| of == link) {
                paint.names.extend(&inherited.names);
            }
        }
        if node.tag_name().name() == "feImage" {
            let targets = hrefs(node)
                .filter_map(|name| self.named.get(name))
                .flatten();
            self.shown.extend(targets.map(Node::id));
        }
        own.names = own.settle();
        Ok(own)
    }

    /// The properties of an element; none for other nodes.
    pub(super) fn own(&self, node: Node<'_, '_>) -> Rc<ElementProperties<'a>> {
        self.own.get(&node.id()).map(Rc::clone).unwrap_or_default()
    }

    /// Whether an element is drawn only where something refers to it.
    pub(super) fn is_drawn_elsewhere(&self, node: Node<'_, '_>) -> bool {
        is_referred(node) || self.shown.contains(&node.id())
    }
}

/// Whether an element is drawn only where something refers to it.
pub(crate) fn is_referred(node: Node<'_, '_>) -> bool {
    REFERRED.contains(&node.tag_name().name())
}

/// The names in `href="#name"`, in any namespace.
pub(crate) fn hrefs<'a>(node: Node<'a, '_>) -> impl Iterator<Item = &'a str> {
    let hrefs = node
        .attributes()
        .filter(|attribute| attribute.name() == "href");
    hrefs.filter_map(|attribute| referred(attribute.value()))
}

//! Counts what an SVG consists of after all references are replaced by their targets, before anything expands them: elements, their depth,
//! and everything else that multiplies. Every count is an upper bound.

use std::collections::HashMap;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;
use crate::codecs::svg::limits::{DEPTH, ELEMENT_PARSING, ELEMENTS, too_many};
use crate::codecs::svg::properties::{DocumentProperties, MARKER, hrefs};

/// The namespace of SVG.
const SVG: &str = "http://www.w3.org/2000/svg";

/// Bytes of attributes and declarations that cost as much as an element, because they are copied for each.
const ELEMENT_BYTES: u64 = 1024;
/// Bytes of attributes and declarations of one element that are processed again for each descendant, because they are inherited.
const INHERITED_BYTES: u64 = 4096;
/// Selector matching steps that cost as much as an element.
const ELEMENT_STEPS: u64 = 2000;

/// Points of a path that count as an element.
const POINTS: u64 = 32;
/// Gradient stops that cost as much as an element, each time that they are copied for a shape.
const STOPS: u64 = 16;
/// Each piece of text shapes its whole line: pieces times bytes of the line that cost as much as an element.
const SHAPED: u64 = 80;
/// Laying out a line takes quadratic time: the square of its bytes that costs as much as an element.
const LAID_OUT: u64 = 100_000;
/// Limit for references times nodes if something refers to itself: the whole document is searched again after each such reference.
const SEARCHED: u64 = 16_000_000;

/// Attributes of one element: the parser compares each with all before it. Editors write some dozens.
const ATTRIBUTES: usize = 256;

/// Checks the number of attributes in each tag before the document is parsed, by counting equals signs before quotes.
pub(crate) fn check_attributes(text: &str) -> Result<(), TransformError> {
    let is_too_much = |tag: &str| {
        let values = tag.split('=').skip(1);
        let quoted = values.filter(|value| value.trim_start().starts_with(['"', '\'']));
        quoted.count() > ATTRIBUTES
    };
    if text.split('<').any(is_too_much) {
        return Err(broken("an element of too many attributes"));
    }
    Ok(())
}

/// Checks the number and depth of the elements after all references are replaced by their targets.
pub(crate) fn check_elements(
    document: &Document<'_>,
    properties: &DocumentProperties<'_, '_>,
) -> Result<(), TransformError> {
    let (mut nodes, mut text) = (0, 0);
    for node in document.descendants() {
        nodes += 1;
        text += characters(node);
    }
    let mut counting = ElementCounter {
        properties,
        nodes,
        text,
        references: 0,
        is_circular: false,
        known: HashMap::new(),
    };
    let ElementCount { depth, .. } = counting.count(document.root_element(), 0)?;
    if depth > DEPTH {
        return Err(too_many());
    }
    if counting.is_circular && counting.references.saturating_mul(nodes) > SEARCHED {
        return Err(broken("elements that are parts of themselves"));
    }
    Ok(())
}

struct ElementCounter<'p, 'a, 'b> {
    properties: &'p DocumentProperties<'a, 'b>,
    /// All nodes of the document.
    nodes: u64,
    /// Bytes of text in it.
    text: u64,
    /// References to elements so far.
    references: u64,
    /// Whether an element contains a reference to itself, directly or not.
    is_circular: bool,
    /// The finished counts, so that each element is counted once; `None` while an element is being counted.
    known: HashMap<NodeId, Option<ElementCount>>,
}

/// The size of an element after its references are replaced.
#[derive(Clone, Copy, Default)]
struct ElementCount {
    elements: u64,
    /// How many of them inherit from it.
    heirs: u64,
    depth: u32,
}

impl ElementCount {
    fn add(&mut self, elements: u64, depth: u32) {
        self.elements = self.elements.saturating_add(elements);
        self.depth = self.depth.max(depth);
    }

    /// Adds what replaces a part of it.
    fn add_heir(&mut self, below: ElementCount) {
        self.add(below.elements, below.depth);
        self.heirs = self.heirs.saturating_add(below.heirs);
    }
}

impl<'a, 'b> ElementCounter<'_, 'a, 'b> {
    fn count(&mut self, node: Node<'a, 'b>, above: u32) -> Result<ElementCount, TransformError> {
        if above > DEPTH {
            return Err(broken("elements that are nested too deeply"));
        }
        match self.known.get(&node.id()) {
            Some(Some(known)) => return Ok(*known),
            // The element contains itself, which draws nothing.
            Some(None) => {
                self.is_circular = true;
                return Ok(ElementCount::default());
            }
            None => {}
        }
        self.known.insert(node.id(), None);
        let length = |text: Option<&str>| text.map_or(0, |text| text.len() as u64);
        let points = length(node.attribute("d")) + length(node.attribute("points"));
        let text: u64 = node.children().map(|child| length(child.text())).sum();
        let own = self.properties.own(node);
        let drawn = 1 + points / (2 * POINTS) + text / 8;
        let mut counted = ElementCount {
            elements: drawn,
            heirs: drawn,
            depth: 0,
        };
        counted.elements +=
            own.bytes / ELEMENT_BYTES + own.steps / ELEMENT_STEPS + own.parsing / ELEMENT_PARSING;
        if node.has_tag_name((SVG, "text")) {
            counted.add(lines(node, self.text), 0);
        }
        if node.has_tag_name((SVG, "tref")) {
            // The target is searched among all nodes.
            counted.add(self.nodes / 100, 0);
        }
        for child in node.children().filter(Node::is_element) {
            counted.add_heir(self.count(child, above + 1)?);
        }
        // The target of a link is not drawn.
        if !node.has_tag_name((SVG, "a")) {
            for name in hrefs(node) {
                let below = self.dearest(name, 1, above)?;
                counted.add_heir(below);
            }
        }
        // A marker is drawn at every point. A point takes two bytes at least, in the element and in all that inherit from it.
        let markers = 1 + points / 2 + counted.heirs.saturating_sub(drawn).saturating_mul(POINTS);
        self.count_properties(node, &mut counted, markers, above)?;
        counted.elements = counted
            .elements
            .saturating_mul(1 + own.bytes / INHERITED_BYTES);
        if counted.elements > ELEMENTS {
            return Err(too_many());
        }
        counted.depth += 1;
        self.known.insert(node.id(), Some(counted));
        Ok(counted)
    }

    /// Adds the paints and markers of an element, and its clip paths, masks and filters.
    fn count_properties(
        &mut self,
        node: Node<'a, 'b>,
        counted: &mut ElementCount,
        markers: u64,
        above: u32,
    ) -> Result<(), TransformError> {
        let mut owns = vec![self.properties.own(node)];
        if self.properties.is_drawn_elsewhere(node) {
            // The element also inherits from its ancestors in the document.
            let around = node.ancestors().skip(1);
            owns.extend(around.map(|above| self.properties.own(above)));
        }
        let heirs = counted.heirs;
        let mut painted = heirs;
        for own in &owns {
            for name in own.paints[MARKER].iter().flat_map(|paint| &paint.names) {
                let below = self.dearest(name, markers, above)?;
                counted.add(below.elements, below.depth);
                painted = painted.saturating_add(below.elements);
            }
        }
        if !self.properties.paints_by_context {
            painted = heirs;
        }
        for own in &owns {
            let paints = own.paints[..MARKER].iter().flatten();
            for name in paints.flat_map(|paint| &paint.names) {
                let below = self.dearest(name, painted, above)?;
                counted.add(below.elements, below.depth);
            }
        }
        for (_, link) in &owns[0].links {
            let times = if self.properties.passes_links_on {
                heirs
            } else {
                1
            };
            for name in &link.names {
                let below = self.dearest(name, times, above)?;
                counted.add(below.elements, below.depth);
            }
        }
        Ok(())
    }

    /// The largest element with this `id`, repeated `times` times: of several with one `id`, the reference decides which is used.
    fn dearest(
        &mut self,
        name: &str,
        times: u64,
        above: u32,
    ) -> Result<ElementCount, TransformError> {
        let mut dearest = ElementCount::default();
        let properties = self.properties;
        for target in properties.named.get(name).into_iter().flatten() {
            self.references += 1;
            if self.references > SEARCHED {
                return Err(too_many());
            }
            let ElementCount {
                elements,
                heirs,
                depth,
            } = self.count(*target, above + 1)?;
            let part = match target.tag_name().name() {
                "linearGradient" | "radialGradient" | "solidColor" => STOPS,
                _ => 1,
            };
            let elements = elements.saturating_mul(times).div_ceil(part);
            dearest.elements = dearest.elements.max(elements);
            dearest.heirs = dearest.heirs.max(heirs);
            dearest.depth = dearest.depth.max(depth);
        }
        Ok(dearest)
    }
}

/// The length of a text node in bytes.
fn characters(node: Node<'_, '_>) -> u64 {
    let text = node.text().filter(|_| node.is_text());
    text.map_or(0, |text| text.len() as u64)
}

/// The cost of laying out the lines of a text. A line ends at an element with its own position. `longest` is the largest text that a
/// reference may insert.
fn lines(text: Node<'_, '_>, longest: u64) -> u64 {
    let (mut elements, mut pieces, mut bytes) = (0_u64, 0_u64, 0_u64);
    let line = |pieces: u64, bytes: u64| {
        pieces.saturating_mul(bytes) / SHAPED + bytes.saturating_mul(bytes) / LAID_OUT
    };
    for node in text.descendants() {
        if node.has_attribute("x") || node.has_attribute("y") {
            elements = elements.saturating_add(line(pieces, bytes));
            (pieces, bytes) = (0, 0);
        }
        let more = if node.has_tag_name((SVG, "tref")) {
            longest
        } else {
            characters(node)
        };
        if more > 0 {
            (pieces, bytes) = (pieces + 1, bytes.saturating_add(more));
        }
    }
    elements.saturating_add(line(pieces, bytes))
}

#[cfg(test)]
mod tests;

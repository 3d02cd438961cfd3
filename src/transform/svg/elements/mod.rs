//! What an SVG is made of once every reference stands for what it refers to, before anything expands it: elements, their depth, and
//! everything else that multiplies on the way to a drawing. All of it is estimated from above.

use std::collections::HashMap;

use resvg::usvg::roxmltree;
use resvg::usvg::roxmltree::Document;
use resvg::usvg::roxmltree::NodeId;

use super::super::TransformError;
use super::broken;
use super::style::Styles;
use super::style::references;

/// The namespace of SVG.
const SVG: &str = "http://www.w3.org/2000/svg";
/// Elements after every reference stands for what it refers to; long paths and texts count as several. Each takes about a kibibyte;
/// the largest maps have a tenth.
pub(super) const ELEMENTS: u64 = 100_000;
/// Elements within elements, a reference counted as what it refers to. Editors nest a dozen.
pub(super) const DEPTH: u32 = 256;
/// Bytes of attributes and declarations that cost as much as an element: they are copied for each.
const ELEMENT_BYTES: u64 = 1024;
/// Bytes of attributes and declarations of one element that are read again for each element inside, because they are inherited.
const INHERITED_BYTES: u64 = 4096;
/// Steps of trying rules that cost as much as an element.
const ELEMENT_STEPS: u64 = 2000;
/// Stops of a gradient that cost as much as an element, each time that they are copied for a shape.
const STOPS: u64 = 16;
/// What each piece of text takes for each byte of the line that it is in, in such parts of what an element takes: the whole line is shaped for it.
const SHAPED: u64 = 80;
/// What each byte of a line of text takes for each other one.
const LAID_OUT: u64 = 100_000;
/// References times nodes where something refers to itself: all is searched again after each such reference.
const SEARCHED: u64 = 16_000_000;

/// Attributes of one element: the parser compares each with all before it. Editors write some dozens.
const ATTRIBUTES: usize = 256;

/// Counts what may be attributes in each tag, before the document is parsed: an equals sign before a quote.
pub(super) fn check_attributes(text: &str) -> Result<(), TransformError> {
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

/// Counts elements and their depth as they are after everything that is referred to takes the place of its reference.
pub(super) fn check_elements(document: &Document<'_>) -> Result<(), TransformError> {
    let styles = Styles::of(document)?;
    let (mut named, mut nodes, mut text) = (HashMap::new(), 0, 0);
    for node in document.descendants() {
        nodes += 1;
        text += characters(node);
        if let Some(id) = node.attribute("id") {
            named.entry(id).or_insert(node);
        }
    }
    let mut counted = Counted {
        named,
        styles,
        nodes,
        text,
        references: 0,
        is_circular: false,
        known: HashMap::new(),
    };
    let (elements, depth) = counted.count(document.root_element(), 0)?;
    if elements > ELEMENTS || depth > DEPTH {
        return Err(broken("too many elements, or too deeply nested ones"));
    }
    if counted.is_circular && counted.references.saturating_mul(nodes) > SEARCHED {
        return Err(broken("elements that are parts of themselves"));
    }
    Ok(())
}

struct Counted<'a, 'b> {
    named: HashMap<&'a str, roxmltree::Node<'a, 'b>>,
    styles: Styles<'a>,
    /// All nodes of the document.
    nodes: u64,
    /// Bytes of text in it.
    text: u64,
    /// References to elements so far.
    references: u64,
    /// Whether something refers to what it is in, at whatever distance.
    is_circular: bool,
    /// Elements and depth of what was counted, so that a use of uses is counted once; nothing while it is being counted.
    known: HashMap<NodeId, Option<(u64, u32)>>,
}

/// What an element has drawn beside itself.
struct Below<'a, 'b> {
    node: roxmltree::Node<'a, 'b>,
    /// How often it is drawn: a marker is at every point of its path.
    times: u64,
    /// What part of it counts.
    part: u64,
}

impl<'a, 'b> Counted<'a, 'b> {
    fn count(
        &mut self,
        node: roxmltree::Node<'a, 'b>,
        above: u32,
    ) -> Result<(u64, u32), TransformError> {
        if above > DEPTH {
            return Err(broken("elements that are nested too deeply"));
        }
        match self.known.get(&node.id()) {
            Some(Some(known)) => return Ok(*known),
            // It refers to itself, which draws nothing.
            Some(None) => {
                self.is_circular = true;
                return Ok((0, 0));
            }
            None => {}
        }
        self.known.insert(node.id(), None);
        let length = |text: Option<&str>| text.map_or(0, |text| text.len() as u64);
        let points = length(node.attribute("d")) + length(node.attribute("points"));
        let text: u64 = node.children().map(|child| length(child.text())).sum();
        let styled = self.styles.applied(node)?;
        let bytes = styled.bytes
            + node
                .attributes()
                // Counted as points, read once, and never read: the source of a diagram that is its own drawing.
                .filter(|attribute| {
                    !matches!(attribute.name(), "d" | "points" | "href" | "content")
                })
                .map(|attribute| attribute.value().len() as u64)
                .sum::<u64>();
        let (mut elements, mut depth) = (1 + points / 64 + text / 8, 0);
        elements += bytes / ELEMENT_BYTES + styled.steps / ELEMENT_STEPS;
        if node.has_tag_name((SVG, "text")) {
            elements = elements.saturating_add(lines(node, self.text));
        }
        if node.has_tag_name((SVG, "tref")) {
            // Its target is searched for among all.
            elements += self.nodes / 100;
        }
        for Below { node, times, part } in self.below(node, points, styled.references) {
            let (more, below) = self.count(node, above + 1)?;
            elements = elements.saturating_add(more.saturating_mul(times) / part);
            depth = depth.max(below);
        }
        let counted = (
            elements.saturating_mul(1 + bytes / INHERITED_BYTES),
            depth + 1,
        );
        self.known.insert(node.id(), Some(counted));
        Ok(counted)
    }

    /// Children and what is referred to.
    fn below(
        &mut self,
        node: roxmltree::Node<'a, 'b>,
        points: u64,
        styled: Vec<&'a str>,
    ) -> Vec<Below<'a, 'b>> {
        let once = |node| Below {
            node,
            times: 1,
            part: 1,
        };
        let mut below: Vec<_> = node
            .children()
            .filter(roxmltree::Node::is_element)
            .map(once)
            .collect();
        let mut refer = |name: &str| {
            let Some(target) = self.named.get(name) else {
                return;
            };
            self.references += 1;
            below.push(match target.tag_name().name() {
                "linearGradient" | "radialGradient" | "solidColor" => Below {
                    part: STOPS,
                    ..once(*target)
                },
                "marker" => Below {
                    times: 1 + points / 2,
                    ..once(*target)
                },
                _ => once(*target),
            });
        };
        // Where a link leads is not drawn.
        let is_link = node.has_tag_name((SVG, "a"));
        for attribute in node.attributes() {
            if attribute.name() == "href" {
                let name = attribute.value().strip_prefix('#');
                name.filter(|_| !is_link).into_iter().for_each(&mut refer);
            } else {
                references(attribute.value()).for_each(&mut refer);
            }
        }
        styled.into_iter().for_each(refer);
        below
    }
}

/// Bytes of a node that is text.
fn characters(node: roxmltree::Node<'_, '_>) -> u64 {
    let text = node.text().filter(|_| node.is_text());
    text.map_or(0, |text| text.len() as u64)
}

/// What laying out the lines of a text takes. A line goes on until an element has a place of its own. `longest` is what a reference to
/// text brings at most.
fn lines(text: roxmltree::Node<'_, '_>, longest: u64) -> u64 {
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

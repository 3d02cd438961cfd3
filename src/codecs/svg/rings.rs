//! Refuses drawings with circular references. `usvg` cuts the short circles that it knows, and follows all others until its stack
//! overflows, which ends the process.
//!
//! Browsers ignore what is in such a circle. Nobody draws circular references on purpose.

use std::collections::HashSet;

use resvg::usvg::roxmltree::{Document, Node, NodeId};

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;
use crate::codecs::svg::limits::{DEPTH, ELEMENTS};
use crate::codecs::svg::properties::{
    DocumentProperties, ElementProperties, INHERITED, MARKER, hrefs, is_referred,
};

/// Refuses a drawing with circular references. The elements must have been counted before, which bounds the work here.
pub(crate) fn check_rings(
    document: &Document<'_>,
    properties: &DocumentProperties<'_, '_>,
) -> Result<(), TransformError> {
    if !properties
        .named
        .values()
        .flatten()
        .any(|node| is_referred(*node))
    {
        return Ok(());
    }
    let mut walk = ReferenceWalk {
        properties,
        open: Vec::new(),
        uses: Vec::new(),
        done: HashSet::new(),
        left: ELEMENTS,
    };
    walk.visit(document.root_element(), &PaintNames::default(), 0)
}

/// The references of inherited paints and markers, in the order of `INHERITED`.
#[derive(Clone, Default)]
struct PaintNames<'a>([Vec<&'a str>; INHERITED.len()]);

/// A reference that is being followed.
struct OpenReference {
    node: NodeId,
    role: ReferenceRole,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReferenceRole {
    Marker,
    /// The paints inside do not count.
    Clip,
    /// The target of an `feImage`.
    Shown,
    Other,
}

struct ReferenceWalk<'p, 'a, 'b> {
    properties: &'p DocumentProperties<'a, 'b>,
    open: Vec<OpenReference>,
    /// The targets of `use` that are being followed; `usvg` cuts circles of these itself.
    uses: Vec<NodeId>,
    /// Elements that lead to no circle, wherever they are referred to.
    done: HashSet<NodeId>,
    /// Elements that may still be visited.
    left: u64,
}

impl<'p, 'a, 'b> ReferenceWalk<'p, 'a, 'b> {
    fn visit(
        &mut self,
        node: Node<'a, 'b>,
        above: &PaintNames<'a>,
        depth: u32,
    ) -> Result<(), TransformError> {
        self.left = self.left.saturating_sub(1);
        if depth > DEPTH || self.left == 0 {
            return Err(broken("too many elements, or too deeply nested ones"));
        }
        let own = self.properties.own(node);
        let inherited = self.inherited(&own, above, true);
        for (property, link) in &own.links {
            for name in &link.names {
                if !self.is_cut(node, property, name) {
                    self.enter(name, ReferenceRole::Other, depth)?;
                }
            }
        }
        let is_clip = self
            .open
            .last()
            .is_some_and(|open| open.role == ReferenceRole::Clip);
        if is_drawn(node) && !is_clip {
            for name in inherited.0.iter().flatten() {
                self.enter(name, ReferenceRole::Other, depth)?;
            }
        }
        for name in hrefs(node) {
            match node.tag_name().name() {
                "use" => self.use_of(name, &inherited, depth)?,
                "feImage" => self.enter(name, ReferenceRole::Shown, depth)?,
                "pattern" => self.enter(name, ReferenceRole::Other, depth)?,
                _ => {}
            }
        }
        for child in node.children().filter(Node::is_element) {
            if !is_referred(child) {
                self.visit(child, &inherited, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Follows a `use`, which draws its target in its place.
    fn use_of(
        &mut self,
        name: &str,
        inherited: &PaintNames<'a>,
        depth: u32,
    ) -> Result<(), TransformError> {
        let properties = self.properties;
        for &target in properties.named.get(name).into_iter().flatten() {
            if self.uses.contains(&target.id()) {
                continue;
            }
            self.uses.push(target.id());
            self.visit(target, inherited, depth + 1)?;
            self.uses.pop();
        }
        Ok(())
    }

    /// Follows a reference to an element that inherits from its ancestors in the document, not from the referring element.
    fn enter(&mut self, name: &str, role: ReferenceRole, depth: u32) -> Result<(), TransformError> {
        let properties = self.properties;
        for &target in properties.named.get(name).into_iter().flatten() {
            let is_shown = role == ReferenceRole::Shown;
            if !(is_shown || is_referred(target)) || self.done.contains(&target.id()) {
                continue;
            }
            let role = match target.tag_name().name() {
                "marker" => ReferenceRole::Marker,
                "clipPath" => ReferenceRole::Clip,
                _ => role,
            };
            if let Some(at) = self.open.iter().rposition(|open| open.node == target.id()) {
                // A marker on the path of a marker is not drawn.
                if self.open[at..]
                    .iter()
                    .all(|open| open.role == ReferenceRole::Marker)
                {
                    continue;
                }
                return Err(broken("elements that are parts of themselves"));
            }
            let above: Vec<_> = target
                .ancestors()
                .skip(1)
                .filter(Node::is_element)
                .collect();
            let mut inherited = PaintNames::default();
            for node in above.into_iter().rev() {
                let own = self.properties.own(node);
                inherited = self.inherited(&own, &inherited, false);
            }
            self.open.push(OpenReference {
                node: target.id(),
                role,
            });
            self.visit(target, &inherited, depth + 1)?;
            self.open.pop();
            self.done.insert(target.id());
        }
        Ok(())
    }

    /// Whether `usvg` removes this reference, because it leads directly back to the element that contains it.
    fn is_cut(&self, node: Node<'_, '_>, property: &str, name: &str) -> bool {
        match (&self.open[..], property) {
            ([.., filter, shown], "filter") => {
                shown.role == ReferenceRole::Shown
                    && shown.node == node.id()
                    && self.is_alone(filter, name)
            }
            (_, "filter") => false,
            (opens, _) => opens.last().is_some_and(|open| self.is_alone(open, name)),
        }
    }

    /// Whether `name` refers to this element, and no other element has that `id`.
    fn is_alone(&self, open: &OpenReference, name: &str) -> bool {
        let targets = self
            .properties
            .named
            .get(name)
            .map_or(&[][..], |targets| &targets[..]);
        matches!(targets, [target] if target.id() == open.node)
    }

    /// The references that descendants inherit. `is_inside` tells whether the element is inside the innermost followed reference, which its
    /// own paints must not refer to.
    fn inherited(
        &self,
        own: &ElementProperties<'a>,
        above: &PaintNames<'a>,
        is_inside: bool,
    ) -> PaintNames<'a> {
        let mut inherited = above.clone();
        let innermost = self.open.last().filter(|_| is_inside);
        let paints = own.paints.iter().enumerate();
        for ((of, paint), names) in paints.zip(&mut inherited.0) {
            let Some(paint) = paint else {
                continue;
            };
            if !paint.is_passed_on {
                names.clear();
            }
            let is_cut = |name: &str| {
                of != MARKER && innermost.is_some_and(|open| self.is_alone(open, name))
            };
            names.extend(paint.names.iter().copied().filter(|name| !is_cut(name)));
        }
        inherited
    }
}

fn is_drawn(node: Node<'_, '_>) -> bool {
    matches!(
        node.tag_name().name(),
        "path"
            | "rect"
            | "circle"
            | "ellipse"
            | "line"
            | "polyline"
            | "polygon"
            | "text"
            | "tspan"
            | "textPath"
            | "tref"
            | "a"
    )
}

#[cfg(test)]
mod tests {
    use resvg::usvg::roxmltree::Document;

    use super::DocumentProperties;
    use super::check_rings;

    fn check(inside: &str) -> Result<(), String> {
        let text = format!(
            "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>{}</svg>",
            inside.replace(
                "[pattern",
                "<pattern width='5' height='5' patternUnits='userSpaceOnUse'"
            )
        );
        let document = Document::parse(&text).expect("well-formed");
        DocumentProperties::of(&document)
            .and_then(|properties| check_rings(&document, &properties))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn circular_references_are_refused() {
        for inside in [
            // The circle leads over an inherited property.
            "<g fill='url(#a)'>[pattern id='a'><rect width='5' height='5'/></pattern><rect width='9' height='9'/></g>",
            "<g stroke='url(#a)'>[pattern id='a'><use href='#r'/></pattern><rect id='r' width='9' height='9'/></g>",
            "<g fill='url(#a)'>[pattern id='a' href='#b'/>[pattern id='b'><rect width='5' height='5'/></pattern><rect width='9' height='9'/></g>",
            "<g fill='url(#a)'>[pattern id='a'><text>x</text></pattern><rect width='9' height='9'/></g>",
            "<style>.k{fill:url(#a)}</style><g class='k'>[pattern id='a'><rect width='5' height='5'/></pattern><rect width='9' height='9'/></g>",
            "<defs style='fill: url(#a)'>[pattern id='a'><rect width='5' height='5'/></pattern></defs><rect fill='url(#a)' width='9' height='9'/>",
            "<g style='fill:url(#a)'><symbol id='s'>[pattern id='a'><rect width='5' height='5'/></pattern><rect width='9' height='9'/></symbol></g><use href='#s' fill='url(#a)'/>",
            // Circles of three elements, and of two properties.
            "[pattern id='a'><rect width='5' height='5' fill='url(#b)'/></pattern>[pattern id='b'><rect width='5' height='5' fill='url(#c)'/></pattern>[pattern id='c'><rect width='5' height='5' fill='url(#a)'/></pattern><rect width='9' height='9' fill='url(#a)'/>",
            "[pattern id='a'><rect width='5' height='5' stroke='url(#b)'/></pattern>[pattern id='b'><rect width='5' height='5' fill='url(#a)'/></pattern><rect width='9' height='9' fill='url(#a)'/>",
            "<clipPath id='a'><rect width='9' height='9' clip-path='url(#b)'/></clipPath><clipPath id='b'><rect width='9' height='9' clip-path='url(#c)'/></clipPath><clipPath id='c'><rect width='9' height='9' clip-path='url(#a)'/></clipPath><rect width='9' height='9' clip-path='url(#a)'/>",
            "<clipPath id='a' clip-path='url(#b)'><rect width='9' height='9'/></clipPath><clipPath id='b' clip-path='url(#c)'><rect width='9' height='9'/></clipPath><clipPath id='c' clip-path='url(#a)'><rect width='9' height='9'/></clipPath><rect width='9' height='9' clip-path='url(#a)'/>",
            "<mask id='a'><rect width='9' height='9' mask='url(#b)'/></mask><mask id='b'><rect width='9' height='9' mask='url(#c)'/></mask><mask id='c'><rect width='9' height='9' mask='url(#a)'/></mask><rect width='9' height='9' mask='url(#a)'/>",
            "[pattern id='a'><rect width='5' height='5' mask='url(#m)'/></pattern><mask id='m'><rect width='5' height='5' fill='url(#a)'/></mask><rect width='9' height='9' fill='url(#a)'/>",
            "<filter id='f'><feImage href='#u'/></filter><g id='u' filter='url(#g)'><rect width='9' height='9'/></g><filter id='g'><feImage href='#v'/></filter><g id='v'><rect width='9' height='9' filter='url(#f)'/></g><rect width='9' height='9' filter='url(#f)'/>",
            // All kinds of names and declarations.
            "[pattern id='a)'><rect width='5' height='5' fill='url(\"#b)\")'/></pattern>[pattern id='b)'><rect width='5' height='5' fill='url(\"#c)\")'/></pattern>[pattern id='c)'><rect width='5' height='5' fill='url(\"#a)\")'/></pattern><rect width='9' height='9' fill='url(\"#a)\")'/>",
            "[pattern id='a\u{2003}'><rect width='5' height='5' fill='url(#b\u{2003})'/></pattern>[pattern id='b\u{2003}'><rect width='5' height='5' fill='url(#c\u{2003})'/></pattern>[pattern id='c\u{2003}'><rect width='5' height='5' fill='url(#a\u{2003})'/></pattern><rect width='9' height='9' fill='url(#a\u{2003})'/>",
            "[pattern id='a url('><rect width='5' height='5' fill='url(\"#b url(\")'/></pattern>[pattern id='b url('><rect width='5' height='5' fill='url(\"#c url(\")'/></pattern>[pattern id='c url('><rect width='5' height='5' fill='url(\"#a url(\")'/></pattern><rect width='9' height='9' fill='url(\"#a url(\")'/>",
            "[pattern id='a;'><rect width='5' height='5' style='fill:url(\"#b;\")'/></pattern>[pattern id='b;'><rect width='5' height='5' style='fill:url(\"#c;\")'/></pattern>[pattern id='c;'><rect width='5' height='5' style='fill:url(\"#a;\")'/></pattern><rect width='9' height='9' style='fill:url(\"#a;\")'/>",
            "[pattern id='a'><rect width='5' height='5' style='/**/fill:url(#b)'/></pattern>[pattern id='b'><rect width='5' height='5' style='/*;*/fill:url(#c)'/></pattern>[pattern id='c'><rect width='5' height='5' style='*fill:url(#a)'/></pattern><rect width='9' height='9' fill='url(#a)'/>",
            // A mask that is inherited from the parent.
            "<g mask='url(#b)'><mask id='a' mask='inherit'><rect width='9' height='9'/></mask></g><g mask='url(#c)'><mask id='b' mask='inherit'><rect width='9' height='9'/></mask></g><g mask='url(#a)'><mask id='c' style='mask:inherit'><rect width='9' height='9'/></mask></g><rect width='9' height='9' mask='url(#a)'/>",
            // Of two elements with one `id`, the second one is used.
            "[pattern id='a'><rect width='5' height='5'/></pattern>[pattern id='a'><rect width='5' height='5' fill='url(#b)'/></pattern>[pattern id='b'><rect width='5' height='5' stroke='url(#a)'/></pattern><rect width='9' height='9' fill='url(#a)'/>",
        ] {
            let told = check(inside).expect_err(inside);
            assert!(told.contains("parts of themselves"), "{inside}: {told}");
        }
    }

    #[test]
    fn references_that_only_look_circular_are_drawn() {
        for inside in [
            "<rect width='9' height='9'/>",
            // Written inside the element that refers to it, with its own colours.
            "<g fill='url(#a)'>[pattern id='a'><rect width='5' height='5' fill='red'/></pattern><rect width='9' height='9'/></g>",
            "<style>rect{fill:red}</style><g fill='url(#a)'>[pattern id='a'><rect width='5' height='5'/></pattern><circle r='5'/></g>",
            "<g clip-path='url(#c)'><clipPath id='c'><rect width='5' height='5'/></clipPath><rect width='9' height='9'/></g>",
            "<g mask='url(#m)'><defs><mask id='m'><rect width='5' height='5' fill='#fff'/></mask></defs><rect width='9' height='9'/></g>",
            // A `use` inherits from its own ancestors.
            "[pattern id='a'><use href='#r'/></pattern><g fill='url(#a)'><rect id='r' width='9' height='9'/></g>",
            // Circles that `usvg` cuts itself.
            "[pattern id='a'><rect width='5' height='5' fill='url(#a)'/></pattern><rect width='9' height='9' fill='url(#a)'/>",
            "<style>rect{fill:url(#a)}</style>[pattern id='a'><rect width='5' height='5'/></pattern><rect width='9' height='9'/>",
            "<mask id='m'><rect width='8' height='8' mask='url(#m)'/></mask><rect width='8' height='8' mask='url(#m)'/>",
            "<filter id='f'><feImage href='#x'/></filter><g id='x' filter='url(#f)'><rect width='8' height='8'/></g>",
            "<style>path{marker-end:url(#m)}</style><marker id='m'><path d='M0 0L9 9'/></marker><path d='M0 0L9 9'/>",
            "<marker id='a'><path d='M0 0L9 9' marker-end='url(#b)'/></marker><marker id='b'><path d='M0 0L9 9' marker-end='url(#a)'/></marker><path d='M0 0L9 9' marker-end='url(#a)'/>",
            "<g id='a'><use href='#b'/></g><g id='b'><use href='#a'/></g><use href='#a'/>",
        ] {
            assert_eq!(check(inside), Ok(()), "{inside}");
        }
    }
}

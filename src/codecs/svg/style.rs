//! Applies the style sheets of a drawing to each of its elements, with the crate that `usvg` uses, and counts the work.
//!
//! `usvg` tries every rule on every element, and for a selector of several parts it walks up the ancestors once for each part: a file of
//! some megabytes may take hours. Here the same is done first, with every step counted, up to a limit.

use std::cell::Cell;
use std::iter;

use resvg::usvg::roxmltree::{Document, Node};
use simplecss::AttributeOperator;
use simplecss::Declaration;
use simplecss::DeclarationTokenizer;
use simplecss::Element;
use simplecss::PseudoClass;
use simplecss::StyleSheet;

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;

/// Selector matching steps for all elements together: about a second. An export of 500 classes and 10,000 elements takes 5 million.
const STEPS: u64 = 100_000_000;
/// Declarations in memory, which are copied for each selector of a rule. Exports have some thousands.
const COPIES: u64 = 2_000_000;
/// Style sheets times rules: all rules are sorted again after each sheet.
const SORTED: u64 = 4_000_000;
/// Rules and declarations times bytes of a sheet: the parser ends each one with an error, for which it counts the lines from the beginning.
const PARSED: u64 = 1 << 31;
/// The white space that `usvg` skips around names.
const SPACES: [char; 4] = [' ', '\t', '\n', '\r'];

pub(crate) struct Styles<'a> {
    sheet: StyleSheet<'a>,
    /// Steps that are left.
    left: Cell<u64>,
}

impl<'a> Styles<'a> {
    /// Parses all style sheets of a document.
    ///
    /// # Errors
    /// `Decode` if parsing them, or matching them with so many elements, would take too long.
    pub(super) fn of(document: &'a Document<'_>) -> Result<Self, TransformError> {
        let (mut sheet, mut texts, mut rules, mut elements) = (StyleSheet::new(), vec![], 0, 0);
        for node in document.descendants().filter(Node::is_element) {
            elements += 1;
            if node.has_tag_name("style")
                && let Some(text) = node.text()
            {
                // A rule ends with a brace, or begins with an at sign.
                let own = 1 + count(text, b"{@");
                if own.saturating_mul(text.len() as u64) + parsing(text) > PARSED
                    || copies(text) > COPIES
                {
                    return Err(too_many());
                }
                rules += own;
                texts.push(text);
            }
        }
        if rules.saturating_mul(texts.len() as u64) > SORTED {
            return Err(too_many());
        }
        for text in texts {
            sheet.parse_more(text);
        }
        if elements * sheet.rules.len() as u64 > STEPS {
            return Err(too_many());
        }
        Ok(Styles {
            sheet,
            left: Cell::new(STEPS),
        })
    }

    /// Passes each declaration that applies to an element to `take`, and returns the steps that this took.
    ///
    /// # Errors
    /// `Decode` once all elements together have taken too long.
    pub(super) fn applied(
        &self,
        node: Node<'_, '_>,
        mut take: impl FnMut(&Declaration<'a>),
    ) -> Result<u64, TransformError> {
        let left = self.left.get();
        let element = MatchCounter {
            node,
            left: &self.left,
        };
        for rule in &self.sheet.rules {
            element.spend(1);
            if !rule.selector.matches(&element) {
                continue;
            }
            for declaration in &rule.declarations {
                element.spend(1 + declaration.value.len() / 32);
                take(declaration);
            }
        }
        if self.left.get() == 0 {
            return Err(too_many());
        }
        Ok(left - self.left.get())
    }
}

/// The declarations of a `style` attribute.
pub(crate) fn declarations(style: &str) -> DeclarationTokenizer<'_> {
    DeclarationTokenizer::from(style)
}

/// The bytes that are scanned to parse declarations: each one ends with an error, for which the lines before it are counted.
pub(crate) fn parsing(text: &str) -> u64 {
    count(text, b":").saturating_mul(text.len() as u64)
}

/// The names in `url(#name)`, parsed as `usvg` does: up to the closing quote, or else to a space or parenthesis. All other characters are a
/// part of the name.
pub(crate) fn references(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = value;
    iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once("url(")?;
            rest = after;
            let inside = after.trim_start_matches(SPACES);
            let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''));
            let inside = inside[usize::from(quote.is_some())..].trim_start_matches(SPACES);
            let Some(name) = inside.strip_prefix('#') else {
                continue;
            };
            let end = match quote {
                Some(quote) => name.find(quote),
                None => name.find([' ', ')']),
            };
            let (name, after) = name.split_at(end.unwrap_or(name.len()));
            rest = after;
            return Some(if quote.is_some() {
                name.trim_end()
            } else {
                name
            });
        }
    })
}

/// The name in the value `#name` of an `href`.
pub(crate) fn referred(href: &str) -> Option<&str> {
    href.trim_matches(SPACES).strip_prefix('#')
}

fn count(text: &str, of: &[u8]) -> u64 {
    text.bytes().filter(|byte| of.contains(byte)).count() as u64
}

/// An upper bound for the declarations of a sheet: those of each rule for each of its selectors.
fn copies(text: &str) -> u64 {
    let (selectors, declarations) = (
        |text: &str| 1 + count(text, b","),
        |text: &str| 1 + count(text, b";"),
    );
    if hides_braces(text) {
        return selectors(text).saturating_mul(declarations(text));
    }
    let parts: Vec<&str> = text.split(['{', '}']).collect();
    parts
        .windows(2)
        .map(|pair| selectors(pair[0]).saturating_mul(declarations(pair[1])))
        .fold(0, u64::saturating_add)
}

/// Whether a brace is in a comment or in quotes, so that it separates nothing.
fn hides_braces(text: &str) -> bool {
    let mut inside = None;
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (inside, byte) {
            (Some(_), b'{' | b'}') => return true,
            (Some(b'*'), b'*') if after.first() == Some(&b'/') => inside = None,
            (Some(b'*'), _) => {}
            (Some(_), b'\\') => rest = after.get(1..).unwrap_or_default(),
            (Some(quote), byte) if quote == *byte => inside = None,
            (None, b'"' | b'\'') => inside = Some(*byte),
            (None, b'/') if after.first() == Some(&b'*') => {
                (inside, rest) = (Some(b'*'), &after[1..]);
            }
            _ => {}
        }
    }
    false
}

/// An element that counts the questions of the selector matcher. When no steps are left, it answers that nothing matches, which ends every
/// search.
struct MatchCounter<'a, 'd, 'i> {
    node: Node<'d, 'i>,
    left: &'a Cell<u64>,
}

impl MatchCounter<'_, '_, '_> {
    fn spend(&self, steps: usize) {
        self.left.set(self.left.get().saturating_sub(steps as u64));
    }

    fn may_go_on(&self) -> bool {
        self.spend(1);
        self.left.get() > 0
    }
}

impl Element for MatchCounter<'_, '_, '_> {
    fn parent_element(&self) -> Option<Self> {
        let node = self.node.parent_element().filter(|_| self.may_go_on())?;
        Some(MatchCounter { node, ..*self })
    }

    fn prev_sibling_element(&self) -> Option<Self> {
        let mut node = self.node.prev_sibling();
        while let Some(other) = node.filter(|_| self.may_go_on()) {
            if other.is_element() {
                return Some(MatchCounter {
                    node: other,
                    ..*self
                });
            }
            node = other.prev_sibling();
        }
        None
    }

    fn has_local_name(&self, name: &str) -> bool {
        self.may_go_on() && self.node.tag_name().name() == name
    }

    fn attribute_matches(&self, name: &str, operator: AttributeOperator<'_>) -> bool {
        self.spend(self.node.attributes().len() / 4);
        let value = self.node.attribute(name).filter(|_| self.may_go_on());
        value.is_some_and(|value| {
            self.spend(value.len() / 32);
            operator.matches(value)
        })
    }

    fn pseudo_class_matches(&self, class: PseudoClass<'_>) -> bool {
        class == PseudoClass::FirstChild
            && self.prev_sibling_element().is_none()
            && self.left.get() > 0
    }
}

fn too_many() -> TransformError {
    broken("its style sheets have too many rules for so many elements")
}

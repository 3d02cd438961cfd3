//! Sanitizes style sheets, declarations and values: nothing that loads something stays. The text is tokenized as in browsers (CSS Syntax 3,
//! section 4). Token boundaries depend only on the text, so browsers see the same tokens that are checked here. Each token that stays is
//! harmless by itself: a URL refers to this document or to an embedded picture or font, and functions and at-rules are known ones. Comments
//! become empty comments, so that the tokens around them do not merge.

mod tokens;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use crate::codecs::svg::sanitize::reference;

use self::tokens::{Token, Tokenizer, unescaped};

/// Replaces an unknown function. It is invalid in every grammar, so the declaration or selector around it is ignored.
const REMOVED: &str = "x()";
/// Separates tokens.
const GAP: &str = "/**/";

/// Functions of values and selectors that take no URL, neither as such nor as a string: not `image-set`, `src`, `element` and the like.
/// `url` is checked separately.
const FUNCTIONS: &str = "
    abs acos asin atan atan2 blur brightness calc circle clamp color color-mix conic-gradient contrast cos cubic-bezier device-cmyk dir
    drop-shadow ellipse env exp fit-content format grayscale has hsl hsla hue-rotate hwb hypot icc-color inset invert is lab lang lch
    light-dark linear linear-gradient local log matches matrix matrix3d max min minmax mod not nth-child nth-last-child nth-last-of-type
    nth-of-type oklab oklch opacity path perspective polygon pow radial-gradient ray rect rem repeat repeating-conic-gradient
    repeating-linear-gradient repeating-radial-gradient rgb rgba rotate rotate3d rotatex rotatey rotatez round saturate scale scale3d
    scalex scaley scalez selector sepia shape sign sin skew skewx skewy sqrt steps tan tech translate translate3d translatex translatey
    translatez var where xywh
";

static KNOWN_FUNCTIONS: LazyLock<HashSet<&str>> =
    LazyLock::new(|| FUNCTIONS.split_whitespace().collect());

/// Allowed at-rules. Not: `import`, which loads another sheet, and `document`, `charset` and `page`, which are for other kinds of
/// documents.
const RULES: &str = "
    -moz-keyframes -webkit-keyframes container counter-style font-face font-palette-values keyframes layer media property scope
    starting-style supports
";

/// Properties that make old browsers run code.
const PROPERTIES: &str = "-moz-binding -ms-behavior behavior";

/// Sanitizes a style; `None` if the result is longer than `limit`.
pub(crate) fn filter(style: &str, limit: usize) -> Option<Cow<'_, str>> {
    // Without these characters there is no URL, no function and no at-rule.
    if !style.contains(['(', '\\', '@']) {
        return Some(Cow::Borrowed(style));
    }
    let style = if style.contains('\r') {
        Cow::Owned(style.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(style)
    };
    let mut tokens = Tokenizer::of(&style);
    let mut clean = String::with_capacity(style.len());
    // Whether an at-rule may begin here: elsewhere it is an error inside a value.
    let mut begins = true;
    while let Some((token, text)) = tokens.next() {
        let began = begins;
        begins = match token {
            Token::Semicolon | Token::OpenBracket(b'{') | Token::CloseBracket(b'}') => true,
            Token::Whitespace | Token::Comment | Token::AtKeyword => began,
            _ => false,
        };
        match token {
            Token::Comment => clean.push_str(GAP),
            Token::Bad => {
                clean.push_str(GAP);
                clean.push_str(REMOVED);
            }
            Token::UnclosedString(quote) => {
                // The string ends with the style, where a single backslash at the end means nothing.
                let backslashes = text.bytes().rev().take_while(|byte| *byte == b'\\').count();
                clean.push_str(&text[..text.len() - backslashes % 2]);
                clean.push(quote);
            }
            Token::Function => {
                let name = unescaped(&text[..text.len() - 1]).to_ascii_lowercase();
                if name == "url" {
                    match tokens.quoted_address() {
                        Some(url) => push_address(&mut clean, &url),
                        None => clean.push_str(REMOVED),
                    }
                } else if KNOWN_FUNCTIONS.contains(&*name) {
                    clean.push_str(if text.contains('\\') {
                        &name
                    } else {
                        &text[..text.len() - 1]
                    });
                    clean.push('(');
                } else {
                    tokens.skip_block(b')');
                    clean.push_str(REMOVED);
                }
            }
            Token::Url(url) => push_address(&mut clean, &url),
            Token::AtKeyword => {
                let rest = tokens.rest();
                let name = unescaped(&text[1..]).to_ascii_lowercase();
                if listed(RULES, &name) {
                    clean.push('@');
                    clean.push_str(&name);
                } else if name == "namespace" && tokens.skip_known_namespace() {
                    // It declares the namespace of all elements.
                    clean.push_str(text);
                    clean.push_str(&rest[..rest.len() - tokens.rest().len()]);
                } else if began {
                    tokens.skip_rule();
                    clean.push_str(GAP);
                } else {
                    clean.push_str(GAP);
                    clean.push_str(REMOVED);
                }
            }
            // Browsers disagree about the characters of a name, and so about where a function begins.
            Token::OpenBracket(b'(') if !clean.ends_with([' ', '\t', '\n', '(', ',', ':', '/']) => {
                clean.push_str(GAP);
                clean.push_str(text);
            }
            Token::Ident if listed(PROPERTIES, &unescaped(text)) && tokens.is_property() => {
                clean.push_str("x-removed");
            }
            Token::Ident
            | Token::OpenBracket(_)
            | Token::CloseBracket(_)
            | Token::Semicolon
            | Token::Whitespace
            | Token::String
            | Token::Other => {
                clean.push_str(text);
            }
        }
        if clean.len() > limit {
            return None;
        }
    }
    Some(Cow::Owned(clean))
}

fn listed(list: &str, name: &str) -> bool {
    list.split_whitespace()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// Writes a URL if it is allowed, or else a URL that refers to nothing: the value without any URL could mean something else.
fn push_address(clean: &mut String, url: &str) {
    let url = reference::local(url)
        .or_else(|| reference::picture(url))
        .or_else(|| reference::font(url))
        .unwrap_or("#");
    // Browsers remove control characters as well, and a line end would end the string.
    let url = url.replace(|character: char| character.is_ascii_control(), "");
    let is_plain = |byte: u8| {
        byte >= 0x80 || byte.is_ascii_alphanumeric() || b"#%&*+,-./:;=?@_~!$".contains(&byte)
    };
    clean.push_str("url(");
    if url.bytes().all(is_plain) {
        clean.push_str(&url);
    } else {
        clean.push('"');
        for character in url.chars() {
            if matches!(character, '"' | '\\') {
                clean.push('\\');
            }
            clean.push(character);
        }
        clean.push('"');
    }
    clean.push(')');
}

#[cfg(test)]
pub(crate) mod tests;

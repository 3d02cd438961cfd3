//! Prepares the markup of an SVG for the parser: encoding, prologue and entities. Everything here takes linear time. Nothing here decides
//! what is safe: that is the work of `sanitize`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::codecs::TransformError;
use crate::codecs::svg::broken;

/// Bytes that all entities of a document may add to it. Drawing programs declare namespaces as entities; "billion laughs" attacks are
/// longer.
const ENTITIES: usize = 1 << 20;

/// A character encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16Little,
    Utf16Big,
    Latin1,
}

impl Encoding {
    /// Detects the encoding, and returns the bytes after a byte order mark. Markup begins with `<`, which identifies UTF-16 without a mark.
    /// The declaration in the document counts only for Latin-1, which cannot be recognised otherwise, so a false declaration does no harm.
    pub fn of(bytes: &[u8]) -> (Self, &[u8]) {
        match bytes {
            [0xEF, 0xBB, 0xBF, text @ ..] => (Encoding::Utf8, text),
            [0xFF, 0xFE, text @ ..] => (Encoding::Utf16Little, text),
            [0xFE, 0xFF, text @ ..] => (Encoding::Utf16Big, text),
            [b'<' | b'\t' | b'\n' | b'\r' | b' ', 0, ..] => (Encoding::Utf16Little, bytes),
            [0, b'<' | b'\t' | b'\n' | b'\r' | b' ', ..] => (Encoding::Utf16Big, bytes),
            _ if declares_latin1(bytes) => (Encoding::Latin1, bytes),
            _ => (Encoding::Utf8, bytes),
        }
    }

    /// Decodes the bytes; `None` if some are invalid.
    pub fn exact(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Encoding::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Encoding::Latin1 => Some(bytes.iter().copied().map(char::from).collect()),
            Encoding::Utf16Little | Encoding::Utf16Big => {
                if !bytes.len().is_multiple_of(2) {
                    return None;
                }
                char::decode_utf16(self.words(bytes))
                    .collect::<Result<String, _>>()
                    .ok()
                    .map(Cow::Owned)
            }
        }
    }

    /// Decodes the bytes, with a replacement character for invalid ones.
    pub fn lossy(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Encoding::Utf8 => String::from_utf8_lossy(bytes),
            Encoding::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Encoding::Utf16Little | Encoding::Utf16Big => char::decode_utf16(self.words(bytes))
                .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        }
    }

    fn words(self, bytes: &[u8]) -> impl Iterator<Item = u16> {
        bytes.as_chunks().0.iter().map(move |pair| match self {
            Encoding::Utf16Big => u16::from_be_bytes(*pair),
            _ => u16::from_le_bytes(*pair),
        })
    }
}

fn declares_latin1(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(256)];
    let Some(declaration) = head.trim_ascii_start().strip_prefix(b"<?xml") else {
        return false;
    };
    let declaration = String::from_utf8_lossy(declaration).to_ascii_lowercase();
    let declaration = declaration.split("?>").next().unwrap_or_default();
    declaration
        .split_once("encoding")
        .and_then(|(_, after)| after.split(['"', '\'']).nth(1))
        .is_some_and(|name| matches!(name.trim(), "iso-8859-1" | "latin1" | "latin-1"))
}

/// The name of the root element, and the text from there on, if the text contains the whole prologue.
pub(crate) fn root(text: &str) -> Option<(&str, &str)> {
    let mut text = text;
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
        text = if text.starts_with("<?") {
            text.split_once("?>")?.1
        } else if let Some(comment) = text.strip_prefix("<!--") {
            comment.split_once("-->")?.1
        } else if let Some(declaration) = text.strip_prefix("<!") {
            after_document_type(declaration)?
        } else {
            let element = text.strip_prefix('<')?;
            let end = element.find(|c: char| c.is_whitespace() || matches!(c, '/' | '>'))?;
            return Some((&element[..end], element));
        };
    }
}

/// The text after a document type. Its end is neither in quotes nor in brackets, and quotes in comments do not count.
fn after_document_type(text: &str) -> Option<&str> {
    let mut rest = text;
    let mut depth = 0_u32;
    loop {
        let at = rest.find(['"', '\'', '[', ']', '>', '<'])?;
        rest = &rest[at..];
        rest = if let Some(comment) = rest.strip_prefix("<!--") {
            comment.split_once("-->")?.1
        } else if rest.starts_with("<?") {
            rest.split_once("?>")?.1
        } else {
            let mark = rest.chars().next()?;
            let after = &rest[1..];
            match mark {
                '"' | '\'' => after.split_once(mark)?.1,
                '[' => {
                    depth += 1;
                    after
                }
                ']' => {
                    depth = depth.saturating_sub(1);
                    after
                }
                '>' if depth == 0 => return Some(after),
                _ => after,
            }
        };
    }
}

/// The root element and what follows, with the entities of the document type expanded.
///
/// # Errors
/// `Decode` for a document type with more than names and plain texts: with entities that contain markup or other entities, a small
/// document could become a large one, or a different one.
pub(crate) fn document(text: &str) -> Result<Cow<'_, str>, TransformError> {
    let unread = || broken("a prologue that is not read");
    let mut text = text;
    let mut entities = Vec::new();
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
        text = if text.starts_with("<?") {
            text.split_once("?>").ok_or_else(unread)?.1
        } else if let Some(comment) = text.strip_prefix("<!--") {
            comment.split_once("-->").ok_or_else(unread)?.1
        } else if let Some(declaration) = text.strip_prefix("<!DOCTYPE") {
            let end = declaration.find(['[', '>']).ok_or_else(unread)?;
            // Quoted strings hold addresses, which contain neither character.
            let after = &declaration[end..];
            match after.strip_prefix('[') {
                Some(subset) => {
                    let after = declarations(subset, &mut entities).ok_or_else(unread)?;
                    after.trim_start().strip_prefix('>').ok_or_else(unread)?
                }
                None => &after[1..],
            }
        } else {
            return with_entities(text, &entities);
        };
    }
}

/// Reads the declarations between the brackets of a document type, and returns what follows them; `None` for anything unusual.
fn declarations<'a>(subset: &'a str, entities: &mut Vec<(&'a str, &'a str)>) -> Option<&'a str> {
    let mut rest = subset;
    loop {
        rest = rest.trim_start();
        rest = if rest.starts_with("<?") {
            rest.split_once("?>")?.1
        } else if let Some(comment) = rest.strip_prefix("<!--") {
            comment.split_once("-->")?.1
        } else if let Some(entity) = rest.strip_prefix("<!ENTITY") {
            let name = entity.trim_start();
            let (name, after) = name.split_at(name.find(char::is_whitespace)?);
            let after = after.trim_start();
            if let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) {
                let (value, after) = after[1..].split_once(quote)?;
                entities.push((name, value));
                after.trim_start().strip_prefix('>')?
            } else {
                // External entities are empty, and parameter entities are ignored.
                if !name.starts_with('%') {
                    entities.push((name, ""));
                }
                after_document_type(entity)?
            }
        } else if rest.starts_with("<!ELEMENT")
            || rest.starts_with("<!ATTLIST")
            || rest.starts_with("<!NOTATION")
        {
            after_document_type(rest[2..].trim_start())?
        } else {
            return rest.strip_prefix(']');
        };
    }
}

/// Expands the entities in the text. Unknown names stay, for the parser to judge.
fn with_entities<'a>(
    text: &'a str,
    entities: &[(&str, &str)],
) -> Result<Cow<'a, str>, TransformError> {
    if entities.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut values = HashMap::new();
    for &(name, value) in entities {
        let plain = !value.contains(['<', '%']) && !value.replace("&#", "").contains('&');
        let quoted = plain.then(|| value.replace('"', "&quot;").replace('\'', "&apos;"));
        // The first declaration of a name counts.
        values.entry(name).or_insert(quoted);
    }
    let mut added = 0;
    let mut parts = text.split('&');
    let mut made = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let value = part
            .split_once(';')
            .and_then(|(name, after)| Some((values.get(name)?, after)));
        match value {
            Some((None, _)) => return Err(broken("entities with markup or entities in them")),
            Some((Some(value), after)) => {
                added += value.len();
                if added > ENTITIES {
                    return Err(broken("entities that are too long"));
                }
                made.push_str(value);
                made.push_str(after);
            }
            None => {
                made.push('&');
                made.push_str(part);
            }
        }
    }
    Ok(Cow::Owned(made))
}

/// Names and values of the attributes of a tag. `tag` begins after the name of the tag.
pub(crate) fn attributes(tag: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = tag;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_end();
        if name.contains(['>', '<', '/']) {
            return None;
        }
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, after) = after[1..].split_once(quote)?;
        rest = after;
        Some((name, value))
    })
}

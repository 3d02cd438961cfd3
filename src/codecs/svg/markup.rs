//! Prepares the markup of an SVG for the parser: removes the prologue and expands entities. Everything here takes linear time. Nothing here
//! decides what is safe: that is the work of `sanitize`.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;
use crate::codecs::svg::prologue::after_document_type;

/// Bytes that all entities of a document may add to it. Drawing programs declare namespaces as entities; "billion laughs" attacks are
/// longer.
const ENTITIES: usize = 1 << 20;

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

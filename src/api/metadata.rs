//! Metadata in the three ways in which clients send it: as JSON in one field, as `metadata[a][b]`, and as `metadata.a.b`.

use serde_json::{Map, Value};

use crate::api::error::ApiError;

/// The longest metadata, as JSON, in bytes.
const MAX_BYTES: usize = 1024;
/// How deep fields may nest.
const MAX_DEPTH: usize = 16;

/// The metadata in the fields of a form; `None` where there is none. Values of flattened fields are texts, whatever they look like.
pub(super) fn of_fields(
    fields: &[(String, String)],
) -> Result<Option<Map<String, Value>>, ApiError> {
    let mut meta: Option<Map<String, Value>> = None;
    for (name, text) in fields {
        let Some(rest) = name.strip_prefix("metadata") else {
            continue;
        };
        if rest.is_empty() {
            if !text.trim().is_empty() {
                meta.get_or_insert_default().append(&mut parse(text)?);
            }
            continue;
        }
        if !rest.starts_with(['[', '.']) {
            continue;
        }
        let path = path(rest).ok_or_else(|| unreadable(name))?;
        let root = meta.get_or_insert_default();
        insert(root, &path, text).ok_or_else(|| unreadable(name))?;
    }
    meta.map(checked).transpose()
}

/// Metadata that may be stored.
pub(super) fn checked(meta: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let text = serde_json::to_string(&meta).map_err(ApiError::internal)?;
    if text.len() > MAX_BYTES {
        let length = text.len();
        let message = format!("`metadata` must have at most {MAX_BYTES} bytes, got {length}");
        return Err(refused(message));
    }
    if meta.values().any(|value| is_deeper(value, MAX_DEPTH - 1)) {
        let message = format!("`metadata` must nest at most {MAX_DEPTH} levels deep");
        return Err(refused(message));
    }
    if text.contains("\\u0000") {
        return Err(refused("`metadata` must not contain NUL"));
    }
    Ok(meta)
}

fn parse(text: &str) -> Result<Map<String, Value>, ApiError> {
    if text.len() > MAX_BYTES * 64 {
        return Err(refused(format!(
            "`metadata` must have at most {MAX_BYTES} bytes"
        )));
    }
    serde_json::from_str(text).map_err(|_| {
        let got: String = text.chars().take(100).collect();
        refused(format!("`metadata` must be a JSON object, got `{got}`"))
    })
}

/// Whether values nest deeper than so many levels. The record of an image that cannot be read again would be lost.
fn is_deeper(value: &Value, levels: usize) -> bool {
    let is_deep = |value: &Value| match levels.checked_sub(1) {
        Some(levels) => is_deeper(value, levels),
        None => true,
    };
    match value {
        Value::Array(values) => levels == 0 || values.iter().any(is_deep),
        Value::Object(object) => levels == 0 || object.values().any(is_deep),
        _ => false,
    }
}

/// The names in `[a][b]` or `.a.b`; an empty one, as in `[]`, stands for the next place of a list.
fn path(mut rest: &str) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    while !rest.is_empty() {
        let name;
        if let Some(inside) = rest.strip_prefix('[') {
            (name, rest) = inside.split_once(']')?;
        } else {
            let inside = rest.strip_prefix('.')?;
            let end = inside.find(['.', '[']).unwrap_or(inside.len());
            (name, rest) = inside.split_at(end);
            if name.is_empty() {
                return None;
            }
        }
        names.push(name);
        if names.len() > MAX_DEPTH {
            return None;
        }
    }
    let first = names.first()?;
    (!first.is_empty()).then_some(names)
}

/// Puts a text at a path. `None` if something else is in the way.
fn insert(root: &mut Map<String, Value>, path: &[&str], text: &str) -> Option<()> {
    let (first, rest) = path.split_first()?;
    let place = root.entry(*first).or_insert(Value::Null);
    insert_into(place, rest, text)
}

fn insert_into(place: &mut Value, path: &[&str], text: &str) -> Option<()> {
    let Some((name, rest)) = path.split_first() else {
        *place = Value::String(text.to_owned());
        return Some(());
    };
    if place.is_null() {
        *place = if name.is_empty() {
            Value::Array(Vec::new())
        } else {
            Value::Object(Map::new())
        };
    }
    match place {
        Value::Array(list) if name.is_empty() => {
            list.push(Value::Null);
            insert_into(list.last_mut()?, rest, text)
        }
        Value::Object(object) if !name.is_empty() => {
            insert_into(object.entry(*name).or_insert(Value::Null), rest, text)
        }
        _ => None,
    }
}

fn unreadable(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    refused(format!(
        "field `{name}` must be as `metadata[name]` or `metadata.name`, and fit the other fields"
    ))
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::bad_request(message).at("/metadata")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{checked, of_fields};

    #[track_caller]
    fn check(fields: &[(&str, &str)], expected: Option<Value>) {
        let owned: Vec<_> = fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let read = of_fields(&owned).map(|meta| meta.map(Value::Object));
        assert_eq!(read.ok().flatten(), expected, "{fields:?}");
    }

    #[test]
    fn all_three_encodings_are_read() {
        let nested = json!({"k": "1", "deep": {"x": "y"}, "arr": ["a", "b"]});
        check(
            &[
                ("metadata[k]", "1"),
                ("metadata[deep][x]", "y"),
                ("metadata[arr][]", "a"),
                ("metadata[arr][]", "b"),
            ],
            Some(nested.clone()),
        );
        check(
            &[
                ("metadata.k", "1"),
                ("metadata.deep.x", "y"),
                ("metadata.arr[]", "a"),
                ("metadata.arr[]", "b"),
            ],
            Some(nested),
        );
        check(
            &[("metadata", r#"{"k":1,"t":true}"#)],
            Some(json!({"k": 1, "t": true})),
        );
        check(&[("metadata", "")], None);
        check(&[("metadata", " ")], None);
        check(&[("metadatas", "x"), ("id", "y")], None);
        check(&[("metadata[k]", "")], Some(json!({"k": ""})));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1024));
        let deep = format!("metadata{}", "[a]".repeat(17));
        for (name, text) in [
            ("metadata", "[]"),
            ("metadata", "1"),
            ("metadata", "{"),
            ("metadata", &*long),
            ("metadata", "{\"a\":\"\\u0000\"}"),
            ("metadata[k]", "\u{0}"),
            ("metadata[", "x"),
            ("metadata[]", "x"),
            ("metadata.", "x"),
            ("metadata..a", "x"),
            (&*deep, "x"),
        ] {
            let fields = [(name.to_owned(), text.to_owned())];
            assert!(of_fields(&fields).is_err(), "{name}={text}");
        }
        let fields = [
            ("metadata[a]".to_owned(), "x".to_owned()),
            ("metadata[a][b]".to_owned(), "y".to_owned()),
        ];
        assert!(of_fields(&fields).is_err());
    }

    #[test]
    fn sixteen_levels_are_the_most() {
        let of_depth = |levels: usize| {
            let text = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
            of_fields(&[("metadata".to_owned(), text)])
        };
        assert!(of_depth(16).is_ok());
        assert!(of_depth(17).is_err());
        assert!(of_depth(127).is_err());
        let lists = format!("{{\"a\":{}1{}}}", "[".repeat(16), "]".repeat(16));
        assert!(of_fields(&[("metadata".to_owned(), lists)]).is_err());
    }

    #[test]
    fn a_kilobyte_is_the_most() {
        let of_length = |length: usize| {
            let filler = "x".repeat(length - r#"{"a":""}"#.len());
            checked(json!({"a": filler}).as_object().expect("an object").clone())
        };
        assert!(of_length(1024).is_ok());
        assert!(of_length(1025).is_err());
    }
}

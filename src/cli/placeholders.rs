//! Reads templates with placeholders in braces, as in `{folder}/{name}.webp`.

/// The parts of a template: texts, and placeholders by name. `None` if a name is unknown or a brace has no other one.
pub(super) fn parts<P>(
    template: &str,
    text: impl Fn(String) -> P,
    named: impl Fn(&str) -> Option<P>,
) -> Option<Vec<P>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        parts.push(text(before.to_owned()));
        parts.push(named(name)?);
        rest = after;
    }
    if rest.contains('}') {
        return None;
    }
    parts.push(text(rest.to_owned()));
    Some(parts)
}

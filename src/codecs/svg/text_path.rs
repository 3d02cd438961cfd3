//! Removes text along paths before rasterization. `usvg` lays it out while it parses a drawing, before anything can be measured: it goes
//! through all glyphs for each piece of the path, and it halves each curve up to a million times if the scale makes its precision zero.
//! Browsers draw such text.

use std::borrow::Cow;

/// A sanitized drawing in which text paths refer to no path. In it, `<` and `>` are always markup.
pub(crate) fn without_text_paths(cleaned: &str) -> Cow<'_, str> {
    const TAG: &str = "<textPath";
    let mut parts = cleaned.split(TAG);
    let Some(first) = parts.next().filter(|first| first.len() < cleaned.len()) else {
        return Cow::Borrowed(cleaned);
    };
    let mut made = String::with_capacity(cleaned.len());
    made.push_str(first);
    for part in parts {
        made.push_str(TAG);
        let (tag, rest) = part.split_at(part.find('>').unwrap_or(part.len()));
        let mut attributes = tag.split_inclusive('"');
        while let Some(name) = attributes.next() {
            let value = attributes.next().unwrap_or_default();
            if !matches!(name.trim(), "href=\"" | "xlink:href=\"") {
                made.push_str(name);
                made.push_str(value);
            }
        }
        made.push_str(rest);
    }
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_references_of_text_paths_are_removed() {
        for (source, expected) in [
            ("<g href=\"#a\"/>", "<g href=\"#a\"/>"),
            (
                "<textPath href=\"#a\">b</textPath><use href=\"#a\"/>",
                "<textPath>b</textPath><use href=\"#a\"/>",
            ),
            (
                "<textPath id=\"c\" xlink:href=\"#a\" side=\"href=\">b</textPath>",
                "<textPath id=\"c\" side=\"href=\">b</textPath>",
            ),
            (
                "<textPath/><textPath href=\"#a\"/>",
                "<textPath/><textPath/>",
            ),
            ("<textPath", "<textPath"),
        ] {
            assert_eq!(without_text_paths(source), expected);
        }
    }
}

//! The beginning of a document: its encoding, and the prologue before its root element.

use std::borrow::Cow;

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
    pub(super) fn of(bytes: &[u8]) -> (Self, &[u8]) {
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
    pub(super) fn exact(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
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
    pub(super) fn lossy(self, bytes: &[u8]) -> Cow<'_, str> {
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
pub(crate) fn after_document_type(text: &str) -> Option<&str> {
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

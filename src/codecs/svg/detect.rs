//! Recognises an SVG by its root element.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::GzDecoder;

use crate::codecs::svg::prologue::{Encoding, root};

/// Bytes that are searched for the root element. A file with a longer prologue is not recognised.
const HEAD: usize = 64 << 10;
/// How many times a file may be gzipped: some servers compress files that are compressed already; more is an attack.
pub(crate) const LAYERS: usize = 2;

/// Whether the root element is `svg`, with any prefix, after a byte order mark, white space, processing instructions, comments and a
/// document type; in UTF-8, UTF-16 or an encoding that contains ASCII; gzipped or not.
pub(crate) fn is_svg(bytes: &[u8]) -> bool {
    let head = unpacked(bytes);
    let (encoding, text) = Encoding::of(&head);
    root(&encoding.lossy(text)).is_some_and(|(name, _)| local(name) == "svg")
}

/// Whether more bytes of a file that begins with these could show that it is an SVG: they are the beginning of a prologue.
pub(crate) fn could_become_svg(bytes: &[u8]) -> bool {
    let head = unpacked(bytes);
    if bytes.len() >= HEAD || head.len() >= HEAD {
        return false;
    }
    let (encoding, text) = Encoding::of(&head);
    let text = encoding.lossy(text);
    let markup = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    (markup.is_empty() || markup.starts_with('<')) && root(markup).is_none()
}

/// The beginning of a file, decompressed if it is gzipped.
fn unpacked(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut head = Cow::Borrowed(&bytes[..bytes.len().min(HEAD)]);
    for _ in 0..LAYERS {
        if !is_gzip(&head) {
            break;
        }
        let mut unpacked = Vec::new();
        // The stream is cut, so it ends with an error: what was decompressed before is enough.
        let _ = GzDecoder::new(&head[..])
            .take(HEAD as u64)
            .read_to_end(&mut unpacked);
        head = Cow::Owned(unpacked);
    }
    head
}

pub(crate) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1F, 0x8B])
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

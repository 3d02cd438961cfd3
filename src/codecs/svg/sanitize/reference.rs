//! The allowed references: to parts of the drawing itself, and to embedded pictures and fonts.

use data_url::DataUrl;
use data_url::mime::Mime;

use crate::codecs::sniff::{SourceFormat, sniff};

/// Bytes that identify a file format.
const MAGIC: usize = 64;

/// The URL, if it is a data URL with an allowed type, and the bytes have that type.
pub(crate) fn local(url: &str) -> Option<&str> {
    let url = trimmed(url);
    url.starts_with('#').then_some(url)
}

/// The URL, if it is a data URL with a raster picture. Any other data could be a document.
pub(crate) fn picture(url: &str) -> Option<&str> {
    let is_picture = |mime: &Mime| {
        mime.type_ == "image"
            && matches!(
                mime.subtype.as_str(),
                "png" | "jpeg" | "jpg" | "gif" | "webp" | "avif"
            )
    };
    // Browsers look at the bytes, so a JPEG with the type of a PNG is accepted.
    embedded(url, is_picture, |magic| {
        matches!(
            sniff(magic),
            Some(
                SourceFormat::Png
                    | SourceFormat::Jpeg
                    | SourceFormat::Gif
                    | SourceFormat::Webp
                    | SourceFormat::Avif
            )
        )
    })
}

/// The URL, if it is a data URL with a font, as editors embed them. Browsers check fonts before they use them.
pub(crate) fn font(url: &str) -> Option<&str> {
    let is_font = |mime: &Mime| match mime.type_.as_str() {
        "font" => true,
        "application" => mime.subtype.starts_with("font-") || mime.subtype.starts_with("x-font-"),
        _ => false,
    };
    embedded(url, is_font, |magic| {
        [b"wOF2", b"wOFF", b"OTTO", b"true", b"\0\x01\0\0"]
            .iter()
            .any(|begin| magic.starts_with(*begin))
    })
}

/// The URL, if it is a data URL of a type that may be, with bytes of that type.
fn embedded(
    url: &str,
    type_may: impl Fn(&Mime) -> bool,
    bytes_are: impl Fn(&[u8]) -> bool,
) -> Option<&str> {
    let url = trimmed(url);
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let data = DataUrl::process(url).ok()?;
    if !type_may(data.mime_type()) {
        return None;
    }
    let mut magic = Vec::with_capacity(2 * MAGIC);
    // The error ends decoding when there are enough bytes. Truncated or damaged data is not drawn.
    let _ = data.decode(|bytes| {
        magic.extend_from_slice(&bytes[..bytes.len().min(MAGIC)]);
        if magic.len() < MAGIC { Ok(()) } else { Err(()) }
    });
    bytes_are(&magic).then_some(url)
}

/// Trims a URL as browsers do.
fn trimmed(url: &str) -> &str {
    url.trim_matches(|c: char| c <= ' ')
}

//! What a drawing may refer to: parts of itself, and pictures and fonts that are in it.

use data_url::DataUrl;
use data_url::mime::Mime;

use crate::codecs::sniff::SourceFormat;
use crate::codecs::sniff::sniff;

/// Bytes that tell what a file is.
const MAGIC: usize = 64;

/// A reference to a part of the document itself.
pub(crate) fn local(url: &str) -> Option<&str> {
    let url = trimmed(url);
    url.starts_with('#').then_some(url)
}

/// A picture of pixels in a data URL. Anything else in one might be a document.
pub(crate) fn picture(url: &str) -> Option<&str> {
    let is_picture = |mime: &Mime| {
        mime.type_ == "image"
            && matches!(
                mime.subtype.as_str(),
                "png" | "jpeg" | "jpg" | "gif" | "webp" | "avif"
            )
    };
    // Browsers look at the bytes, so a JPEG that is called a PNG is one.
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

/// A font in a data URL, as editors embed them; browsers check fonts before they use them.
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
    // An error ends it as soon as there is enough, and what is cut or damaged is not drawn.
    let _ = data.decode(|bytes| {
        magic.extend_from_slice(&bytes[..bytes.len().min(MAGIC)]);
        if magic.len() < MAGIC { Ok(()) } else { Err(()) }
    });
    bytes_are(&magic).then_some(url)
}

/// As URLs are trimmed before they are read.
fn trimmed(url: &str) -> &str {
    url.trim_matches(|c: char| c <= ' ')
}

//! A rendition, and its stored form.

use bytes::Bytes;

use crate::cache::key::RenditionKey;
use crate::options::{Format, Warning};

/// A picture as clients receive it: its bytes and what headers say about them. Its freshness is that of its source, and is not stored here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// The encoded picture.
    pub bytes: Bytes,
    /// The format of the bytes.
    pub format: Format,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Messages for the client about the options that it chose.
    pub warnings: Vec<String>,
    /// A strong entity tag, with its quotes.
    pub etag: String,
}

impl Rendition {
    /// The rendition for `key`. It will be stored under this key only.
    pub fn new(
        key: &RenditionKey,
        mut bytes: Vec<u8>,
        format: Format,
        (width, height): (u32, u32),
        warnings: Vec<String>,
    ) -> Self {
        // Encoders double their buffers when they grow; the unused part would take memory that nobody counts.
        bytes.shrink_to_fit();
        Rendition {
            bytes: Bytes::from(bytes),
            format,
            width,
            height,
            warnings,
            etag: key.etag(),
        }
    }

    /// Whether the end of its source is missing.
    pub fn is_of_truncated(&self) -> bool {
        let mut texts = self.warnings.iter();
        texts.any(|text| Warning::is_truncated_source(text))
    }

    /// Its size in memory, in bytes, without the map entry.
    pub(crate) fn weight(&self) -> usize {
        let warnings: usize = self
            .warnings
            .iter()
            .map(|warning| warning.len() + size_of::<String>())
            .sum();
        size_of::<Rendition>() + self.bytes.len() + self.etag.len() + warnings
    }

    /// The stored form before the bytes: format, width, height, the number of warnings, and each warning with its length. Numbers are little-endian.
    /// `None` if a number is too large for its field, as in no real rendition.
    pub(crate) fn stored_head(&self) -> Option<Vec<u8>> {
        let mut head = vec![format_code(self.format)];
        head.extend(self.width.to_le_bytes());
        head.extend(self.height.to_le_bytes());
        head.extend(u16::try_from(self.warnings.len()).ok()?.to_le_bytes());
        for warning in &self.warnings {
            head.extend(u16::try_from(warning.len()).ok()?.to_le_bytes());
            head.extend(warning.as_bytes());
        }
        Some(head)
    }

    /// The format, read from the first byte of the stored form.
    pub(crate) fn stored_format(beginning: &[u8]) -> Option<Format> {
        format_of(*beginning.first()?)
    }

    /// Parses the stored form; `None` if it is malformed.
    pub(crate) fn from_stored(key: &RenditionKey, mut stored: Bytes) -> Option<Self> {
        let format = format_of(take::<1>(&mut stored)?[0])?;
        let width = u32::from_le_bytes(take(&mut stored)?);
        let height = u32::from_le_bytes(take(&mut stored)?);
        let count = u16::from_le_bytes(take(&mut stored)?);
        // Allocated as warnings are read, so that a false count cannot reserve memory.
        let mut warnings = Vec::new();
        for _ in 0..count {
            let length = usize::from(u16::from_le_bytes(take(&mut stored)?));
            let text = (length <= stored.len()).then(|| stored.split_to(length))?;
            warnings.push(String::from_utf8(text.to_vec()).ok()?);
        }
        (!stored.is_empty()).then(|| Rendition {
            bytes: stored,
            format,
            width,
            height,
            warnings,
            etag: key.etag(),
        })
    }
}

fn take<const N: usize>(from: &mut Bytes) -> Option<[u8; N]> {
    let (taken, _) = from.split_first_chunk::<N>()?;
    let taken = *taken;
    drop(from.split_to(N));
    Some(taken)
}

const FORMATS: [Format; 8] = [
    Format::Jpeg,
    Format::Png,
    Format::Webp,
    Format::Avif,
    Format::Gif,
    Format::Svg,
    Format::Json,
    Format::Jxl,
];

/// These numbers are in files on disks: add new ones, never change one.
fn format_code(format: Format) -> u8 {
    match format {
        Format::Jpeg => 1,
        Format::Png => 2,
        Format::Webp => 3,
        Format::Avif => 4,
        Format::Gif => 5,
        Format::Svg => 6,
        Format::Json => 7,
        Format::Jxl => 8,
    }
}

fn format_of(code: u8) -> Option<Format> {
    FORMATS
        .into_iter()
        .find(|format| format_code(*format) == code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::Bytes;
    use super::FORMATS;
    use super::Format;
    use super::Rendition;
    use super::RenditionKey;
    use super::format_code;
    use super::format_of;

    fn rendition() -> Rendition {
        let warnings = vec![
            "cache-control is too restrictive".to_owned(),
            "héllo".to_owned(),
        ];
        Rendition::new(
            &RenditionKey::numbered(7),
            b"picture".to_vec(),
            Format::Avif,
            (800, 600),
            warnings,
        )
    }

    fn stored(rendition: &Rendition) -> Vec<u8> {
        let mut stored = rendition.stored_head().expect("a small head");
        stored.extend_from_slice(&rendition.bytes);
        stored
    }

    #[test]
    fn the_stored_form_is_parsed_as_it_was_written() {
        let read = Rendition::from_stored(
            &RenditionKey::numbered(7),
            Bytes::from(stored(&rendition())),
        );
        assert_eq!(read, Some(rendition()));
    }

    #[test]
    fn every_format_has_its_own_number() {
        for format in FORMATS {
            assert_eq!(format_of(format_code(format)), Some(format));
        }
        assert_eq!(format_of(0), None);
    }

    #[test]
    fn a_truncated_head_or_an_empty_picture_is_refused() {
        let whole = stored(&rendition());
        let head = whole.len() - rendition().bytes.len();
        for cut in 0..=head {
            let part = Bytes::copy_from_slice(&whole[..cut]);
            assert_eq!(
                Rendition::from_stored(&RenditionKey::numbered(7), part),
                None,
                "{cut} bytes"
            );
        }
    }

    #[test]
    fn a_warning_that_is_too_long_is_not_truncated() {
        let mut long = rendition();
        long.warnings.push("x".repeat(70_000));
        assert_eq!(long.stored_head(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_that_parse_are_written_back_equal(bytes in any::<Vec<u8>>()) {
            if let Some(read) = Rendition::from_stored(&RenditionKey::numbered(1), Bytes::from(bytes.clone())) {
                prop_assert_eq!(stored(&read), bytes);
            }
        }
    }
}

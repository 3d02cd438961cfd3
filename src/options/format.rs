//! Formats: of encoded bytes, and as a URL asks for them.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;

use crate::options::keywords::keywords;
use crate::options::value::ValueError;

/// The format of encoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG, with a palette or without.
    Png,
    /// WebP, lossy or lossless, still or animated.
    Webp,
    /// AVIF, still pictures only.
    Avif,
    /// JPEG XL, still pictures only.
    Jxl,
    /// GIF, for animations.
    Gif,
    /// SVG, without scripts.
    Svg,
    /// Facts about a picture, in place of the picture.
    Json,
}

impl Format {
    /// Every format.
    #[cfg(test)]
    pub(crate) const ALL: &'static [Format] = &[
        Format::Jpeg,
        Format::Png,
        Format::Webp,
        Format::Avif,
        Format::Jxl,
        Format::Gif,
        Format::Svg,
        Format::Json,
    ];

    /// The MIME type, for `Content-Type`.
    pub const fn mime(self) -> &'static str {
        match self {
            Format::Jpeg => "image/jpeg",
            Format::Png => "image/png",
            Format::Webp => "image/webp",
            Format::Avif => "image/avif",
            Format::Jxl => "image/jxl",
            Format::Gif => "image/gif",
            Format::Svg => "image/svg+xml",
            Format::Json => "application/json",
        }
    }

    /// The usual extension of a file name, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Jpeg => "jpg",
            Format::Png => "png",
            Format::Webp => "webp",
            Format::Avif => "avif",
            Format::Jxl => "jxl",
            Format::Gif => "gif",
            Format::Svg => "svg",
            Format::Json => "json",
        }
    }

    /// Whether this build has an encoder for the format: JPEG XL needs libjxl, which is in the native build only.
    pub const fn is_written(self) -> bool {
        !matches!(self, Format::Jxl) || cfg!(feature = "native")
    }

    /// Whether the format can carry transparency.
    pub(crate) const fn has_alpha(self) -> bool {
        match self {
            Format::Jpeg | Format::Json => false,
            Format::Png | Format::Webp | Format::Avif | Format::Jxl | Format::Gif | Format::Svg => {
                true
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Jpeg => "jpeg",
            Format::Png => "png",
            Format::Webp => "webp",
            Format::Avif => "avif",
            Format::Jxl => "jxl",
            Format::Gif => "gif",
            Format::Svg => "svg",
            Format::Json => "json",
        })
    }
}

keywords! {
    /// The value of `format`. Without one, the result is JPEG, or PNG where the picture needs it.
    FormatChoice, unknown: ValueError::UnsupportedFormat, {
        /// The best that the client says it can show.
        Auto = "auto",
        /// AVIF, or WebP where the picture is too large for it.
        Avif = "avif",
        /// JPEG XL, or WebP where the picture moves.
        Jxl = "jxl",
        /// WebP.
        Webp = "webp",
        /// Progressive JPEG.
        Jpeg = "jpeg" | "jpg",
        /// Sequential JPEG.
        BaselineJpeg = "baseline-jpeg",
        /// A hint only: JPEG or PNG is still chosen by what the picture needs.
        Png = "png",
        /// PNG whatever the picture.
        PngForce = "png-force",
        /// Facts about the picture in place of the picture.
        Json = "json",
        /// The source itself, without scripts, where it is SVG.
        Svg = "svg",
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn mime_types_are_registered_names() {
        let types: Vec<_> = Format::ALL.iter().map(|format| format.mime()).collect();
        assert_eq!(
            types,
            [
                "image/jpeg",
                "image/png",
                "image/webp",
                "image/avif",
                "image/jxl",
                "image/gif",
                "image/svg+xml",
                "application/json"
            ]
        );
    }
}

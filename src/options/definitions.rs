//! Every option of the URL dialect, each in one place. `define.rs` says what follows from a definition.

use crate::options::color::Color;
use crate::options::decimals::{Blur, Dpr, Factor, Gamma, Sharpen, Zoom};
use crate::options::define::options;
use crate::options::fit::{Fit, Flip, Gravity, Rotation};
use crate::options::format::FormatChoice;
use crate::options::keywords::{Compression, Metadata, OnError, Segment, Upscale};
use crate::options::quality::QualityChoice;
use crate::options::quality_target::{FileSize, Score};
use crate::options::size::{Breakpoints, Pixels, Width};
use crate::options::trim::{Length, TrimValue};

options! {
    /// A transformation as a URL asks for it. A field is `None` where the URL does not say. `Display` is the canonical spelling (long names in
    /// alphabetical order, one form for each value, safe in a URL path), and `FromStr` its exact inverse.
    pub struct Options;

    /// `false` makes a still picture of an animation.
    anim: bool = "anim", default: "`true`";

    /// The quality is the lowest that reaches this SSIMULACRA2 score, compared with the picture before encoding.
    auto_quality: Score = "auto-quality";

    /// The colour behind transparent pixels and around the picture with `fit=pad`.
    background: Color = "background", default: "none; white around `pad`";

    /// Standard deviation of a blur in output pixels, whatever `dpr` is. Below 1 nothing changes.
    blur: Blur = "blur", default: "0";

    /// Width of the border at the bottom.
    border_bottom: u32 = "border.bottom", default: "`border.width`";

    /// Colour of the border.
    border_color: Color = "border.color", default: "black";

    /// Width of the border on the left.
    border_left: u32 = "border.left", default: "`border.width`";

    /// Width of the border on the right.
    border_right: u32 = "border.right", default: "`border.width`";

    /// Width of the border at the top.
    border_top: u32 = "border.top", default: "`border.width`";

    /// Width of a border around the result.
    border_width: u32 = "border.width", default: "0";

    /// Factor for the brightness. 1 and 0 change nothing.
    brightness: Factor = "brightness", default: "1";

    /// `fast` uses the quickest codec, whatever `format` says.
    compression: Compression = "compression";

    /// Factor for the contrast. 1 and 0 change nothing.
    contrast: Factor = "contrast", default: "1";

    /// Multiplies the pixels of `width`, `height`, `trim` and `border`. More than 3 counts as 3.
    dpr: Dpr = "dpr", default: "1";

    /// How the box of `width` and `height` is filled.
    fit: Fit = "fit", default: "`scale-down`";

    /// Mirrors the picture before it is rotated: `h` swaps left and right, `v` top and bottom.
    flip: Flip = "flip";

    /// The format of the result. `auto` follows the `Accept` header. `png` is a hint and changes nothing.
    format: FormatChoice = "format" | "f", default: "JPEG, or PNG with transparency";

    /// Exponent of the tone curve; below 1 is lighter. 1 and 0 change nothing.
    gamma: Gamma = "gamma", default: "1";

    /// The part that a crop keeps. `auto` is the part that attracts the eye, `entropy` the one with most detail. `face` is read, but keeps the centre.
    gravity: Gravity = "gravity" | "g", default: "`center`";

    /// Height of the box.
    height: Pixels = "height" | "h", default: "from the source";

    /// The quality is the highest, up to `quality`, whose file has no more bytes.
    max_bytes: FileSize = "max-bytes";

    /// Which metadata of the source is kept.
    metadata: Metadata = "metadata", default: "`copyright`";

    /// Where no picture can be made, the client is sent to the source.
    onerror: OnError = "onerror";

    /// Quality of JPEG, WebP, AVIF and JPEG XL. 100 with WebP and JPEG XL is lossless. Where it is given, PNG may have a palette.
    quality: QualityChoice = "quality" | "q", default: "85";

    /// Clockwise rotation in degrees, after `flip` and before the box is filled.
    rotate: Rotation = "rotate", default: "0";

    /// Factor for the saturation. 1 changes nothing, 0 is grey.
    saturation: Factor = "saturation", default: "1";

    /// Read, but without effect yet.
    segment: Segment = "segment";

    /// Strength of sharpening. 0 changes nothing, 1 suits a reduced picture.
    sharpen: Sharpen = "sharpen", default: "0";

    /// Takes the place of `quality` for clients on a slow connection.
    slow_connection_quality: QualityChoice = "slow-connection-quality" | "scq", default: "`quality`";

    /// What is cut away before everything else: a border of one colour, or so much of top, right, bottom and left.
    trim: TrimValue = "trim";

    /// Colour of the border that is cut.
    trim_border_color: Color = "trim.border.color", default: "from the picture";

    /// How many pixels of the border stay.
    trim_border_keep: u32 = "trim.border.keep", default: "0";

    /// The largest difference from the colour that still is border.
    trim_border_tolerance: u8 = "trim.border.tolerance", default: "5";

    /// What is cut from the bottom.
    trim_bottom: Length = "trim.bottom", default: "`trim`";

    /// The height that is kept, counted from the end of `trim.top`.
    trim_height: Length = "trim.height", default: "all";

    /// What is cut from the left.
    trim_left: Length = "trim.left", default: "`trim`";

    /// What is cut from the right.
    trim_right: Length = "trim.right", default: "`trim`";

    /// What is cut from the top.
    trim_top: Length = "trim.top", default: "`trim`";

    /// The width that is kept, counted from the end of `trim.left`.
    trim_width: Length = "trim.width", default: "all";

    /// Where the pixels of an enlarged picture come from. `generate` is read, but interpolates.
    upscale: Upscale = "upscale", default: "`interpolate`";

    /// The widths that `width=auto` chooses from.
    wbreakpoints: Breakpoints = "wbreakpoints", default: "320;768;960;1200";

    /// What `width=auto` is on a desktop without client hints.
    wdesktop: Pixels = "wdesktop", default: "1200";

    /// Width of the box. `auto` is the smallest breakpoint that is as wide as the viewport.
    width: Width = "width" | "w", default: "from the source";

    /// What `width=auto` is on a phone without client hints.
    wmobile: Pixels = "wmobile", default: "768";

    /// Read, but without effect yet.
    zoom: Zoom = "zoom" | "face-zoom", default: "0";
}

//! The canonical spelling: long names in the order of the alphabet, one form for each value, safe in a URL path as it stands.

use std::fmt;
use std::fmt::Display;

use super::Options;
use super::border::BorderOptions;
use super::color::Color;
use super::grammar::Key;
use super::trim::Trim;
use super::trim::TrimBorder;

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without `..`, so that a new field stops the build until it has a spelling.
        let Options {
            anim,
            auto_quality,
            background,
            blur,
            border,
            brightness,
            compression,
            contrast,
            dpr,
            fit,
            flip,
            format,
            gamma,
            gravity,
            height,
            max_bytes,
            metadata,
            onerror,
            quality,
            rotate,
            saturation,
            segment,
            sharpen,
            slow_connection_quality,
            trim,
            upscale,
            wbreakpoints,
            wdesktop,
            width,
            wmobile,
            zoom,
        } = self;
        let mut pairs = Pairs {
            out: f,
            is_first: true,
        };
        pairs.add(Key::Anim, anim)?;
        pairs.add(Key::AutoQuality, auto_quality)?;
        pairs.add(Key::Background, &background.map(UrlColor))?;
        pairs.add(Key::Blur, blur)?;
        pairs.add_border(border)?;
        pairs.add(Key::Brightness, brightness)?;
        pairs.add(Key::Compression, compression)?;
        pairs.add(Key::Contrast, contrast)?;
        pairs.add(Key::Dpr, dpr)?;
        pairs.add(Key::Fit, fit)?;
        pairs.add(Key::Flip, flip)?;
        pairs.add(Key::Format, format)?;
        pairs.add(Key::Gamma, gamma)?;
        pairs.add(Key::Gravity, gravity)?;
        pairs.add(Key::Height, height)?;
        pairs.add(Key::MaxBytes, max_bytes)?;
        pairs.add(Key::Metadata, metadata)?;
        pairs.add(Key::OnError, onerror)?;
        pairs.add(Key::Quality, quality)?;
        pairs.add(Key::Rotate, rotate)?;
        pairs.add(Key::Saturation, saturation)?;
        pairs.add(Key::Segment, segment)?;
        pairs.add(Key::Sharpen, sharpen)?;
        pairs.add(Key::SlowConnectionQuality, slow_connection_quality)?;
        pairs.add_trim(trim)?;
        pairs.add(Key::Upscale, upscale)?;
        pairs.add(Key::Wbreakpoints, wbreakpoints)?;
        pairs.add(Key::Wdesktop, wdesktop)?;
        pairs.add(Key::Width, width)?;
        pairs.add(Key::Wmobile, wmobile)?;
        pairs.add(Key::Zoom, zoom)
    }
}

/// Writes `name=value` pairs with commas between.
struct Pairs<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    is_first: bool,
}

impl Pairs<'_, '_> {
    fn add(&mut self, key: Key, value: &Option<impl Display>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        write!(self.out, "{comma}{key}={value}")
    }

    fn add_border(&mut self, border: &BorderOptions) -> fmt::Result {
        let BorderOptions {
            color,
            width,
            top,
            right,
            bottom,
            left,
        } = border;
        self.add(Key::BorderBottom, bottom)?;
        self.add(Key::BorderColor, &color.map(UrlColor))?;
        self.add(Key::BorderLeft, left)?;
        self.add(Key::BorderRight, right)?;
        self.add(Key::BorderTop, top)?;
        self.add(Key::BorderWidth, width)
    }

    fn add_trim(&mut self, trim: &Trim) -> fmt::Result {
        let Trim {
            top,
            right,
            bottom,
            left,
            width,
            height,
            border,
        } = trim;
        self.add(Key::Trim, &border.map(|_| "border"))?;
        let TrimBorder {
            color,
            tolerance,
            keep,
        } = border.unwrap_or_default();
        self.add(Key::TrimBorderColor, &color.map(UrlColor))?;
        self.add(Key::TrimBorderKeep, &keep)?;
        self.add(Key::TrimBorderTolerance, &tolerance)?;
        self.add(Key::TrimBottom, bottom)?;
        self.add(Key::TrimHeight, height)?;
        self.add(Key::TrimLeft, left)?;
        self.add(Key::TrimRight, right)?;
        self.add(Key::TrimTop, top)?;
        self.add(Key::TrimWidth, width)
    }
}

/// A colour with its `#` percent-encoded, because a bare one would end the path of a URL.
struct UrlColor(Color);

impl Display for UrlColor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = self.0.to_string();
        write!(f, "%23{}", spelling.trim_start_matches('#'))
    }
}

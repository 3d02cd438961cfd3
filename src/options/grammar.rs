//! The grammar of an options segment: decode once, split, resolve names, read values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::OptionError;
use super::Options;
use super::Warning;
use super::color::Color;
use super::fit::Fit;
use super::fit::Flip;
use super::fit::Gravity;
use super::fit::Rotation;
use super::format::FormatChoice;
use super::keywords::Compression;
use super::keywords::Metadata;
use super::keywords::OnError;
use super::keywords::Segment;
use super::keywords::Upscale;
use super::keywords::keywords;
use super::parsed::ParsedOptions;
use super::quality::QualityChoice;
use super::quality_target::FileSize;
use super::quality_target::Score;
use super::size::Breakpoints;
use super::size::Pixels;
use super::size::Width;
use super::size::whole_pixels;
use super::trim;
use super::trim::Length;
use super::values::Blur;
use super::values::Dpr;
use super::values::Factor;
use super::values::Gamma;
use super::values::Sharpen;
use super::values::ValueError;
use super::values::Zoom;

/// The most of a client's text that a message repeats, in characters.
const MAX_SHOWN: usize = 40;

keywords! {
    /// The long names, in the order of the canonical spelling.
    #[derive(PartialOrd, Ord)]
    Key, "the name of an option" {
        Anim = "anim",
        AutoQuality = "auto-quality",
        Background = "background",
        Blur = "blur",
        BorderBottom = "border.bottom",
        BorderColor = "border.color",
        BorderLeft = "border.left",
        BorderRight = "border.right",
        BorderTop = "border.top",
        BorderWidth = "border.width",
        Brightness = "brightness",
        Compression = "compression",
        Contrast = "contrast",
        Dpr = "dpr",
        Fit = "fit",
        Flip = "flip",
        Format = "format",
        Gamma = "gamma",
        Gravity = "gravity",
        Height = "height",
        MaxBytes = "max-bytes",
        Metadata = "metadata",
        OnError = "onerror",
        Quality = "quality",
        Rotate = "rotate",
        Saturation = "saturation",
        Segment = "segment",
        Sharpen = "sharpen",
        SlowConnectionQuality = "slow-connection-quality",
        /// Before the options with longer names, which override what it says.
        Trim = "trim",
        TrimBorderColor = "trim.border.color",
        TrimBorderKeep = "trim.border.keep",
        TrimBorderTolerance = "trim.border.tolerance",
        TrimBottom = "trim.bottom",
        TrimHeight = "trim.height",
        TrimLeft = "trim.left",
        TrimRight = "trim.right",
        TrimTop = "trim.top",
        TrimWidth = "trim.width",
        Upscale = "upscale",
        Wbreakpoints = "wbreakpoints",
        Wdesktop = "wdesktop",
        Width = "width",
        Wmobile = "wmobile",
        Zoom = "zoom",
    }
}

/// Reads a segment that is still percent-encoded; [`Options::parse`] says how.
pub(super) fn read(segment: &str) -> ParsedOptions {
    let mut reading = ParsedOptions::default();
    let text = match decode(segment) {
        Ok(text) => text,
        Err(error) => {
            reading.fail(error);
            // Whatever the rest means, this is where the client wants to go instead.
            if pieces(segment).any(|piece| piece.trim() == "onerror=redirect") {
                reading.options.onerror = Some(OnError::Redirect);
            }
            return reading;
        }
    };
    // Duplicates are settled before any value is read: the last one alone counts, errors included, and no text can
    // cause more warnings than there are options.
    let mut asked = BTreeMap::new();
    for piece in pieces(&text).map(str::trim) {
        if piece.is_empty() {
            reading.strict_only.add("nothing stands between two commas");
            continue;
        }
        let Some((name, value)) = piece.split_once('=') else {
            reading.fail(OptionError::NotAPair {
                piece: shown(piece),
            });
            continue;
        };
        let value = value.trim();
        match key(name.trim()) {
            None => {
                let name = shown(name.trim());
                reading
                    .strict_only
                    .add(format_args!("option `{name}` is unknown"));
            }
            Some(key) if value.is_empty() => {
                reading
                    .strict_only
                    .add(format_args!("option `{key}` is empty"));
            }
            Some(key) => {
                if asked.insert(key, value).is_some() {
                    let reason = format_args!("option `{key}` is given twice: the last one counts");
                    reading.strict_only.add(reason);
                }
            }
        }
    }
    if asked.is_empty() && reading.error.is_none() {
        reading.fail(OptionError::NoUsableOption);
    }
    for (key, asked) in asked {
        let value = native(key, asked);
        if value != asked {
            let reason = format_args!("option `{key}` knows no `{asked}`, only `{value}`");
            reading.strict_only.add(reason);
        }
        let asked = Asked {
            key,
            value,
            warnings: &mut reading.warnings,
        };
        if let Err(error) = take(&mut reading.options, asked) {
            reading.fail(error);
        }
    }
    reading
}

fn decode(segment: &str) -> Result<Cow<'_, str>, OptionError> {
    let mut escapes = segment.split('%');
    // What stands before the first `%` is no escape.
    escapes.next();
    let is_escape =
        |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !escapes.all(is_escape) {
        return Err(OptionError::BadEncoding);
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| OptionError::BadEncoding)
}

/// Splits on commas outside parentheses, so that both `%2C` as a separator and `rgb(240,40,145)` work. A parenthesis that
/// is never closed swallows the rest, which then is a malformed colour.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
}

fn key(name: &str) -> Option<Key> {
    match name {
        "f" => Some(Key::Format),
        "face-zoom" => Some(Key::Zoom),
        "g" => Some(Key::Gravity),
        "h" => Some(Key::Height),
        "q" => Some(Key::Quality),
        "scq" => Some(Key::SlowConnectionQuality),
        "w" => Some(Key::Width),
        long => Key::parse(long).ok(),
    }
}

/// Our word for one that generators pass through from another vocabulary, where only one picture can be meant. `mid` and `max`
/// come from a scale of four keywords (low, mid, high, max) and take the neighbouring steps of ours; `max` is not 100, which would
/// make WebP lossless. `fill` is to stretch, as in CSS. `inside`, `outside`, `none` and the gravity `side` are left to be
/// ignored: the default comes as close to them as anything else.
fn native(key: Key, value: &str) -> &str {
    match (key, value) {
        (Key::Fit, "fill") => "squeeze",
        (Key::Format, "jpg") => "jpeg",
        (Key::Gravity, "centre") => "center",
        (Key::Quality | Key::SlowConnectionQuality, "mid") => "medium-high",
        (Key::Quality | Key::SlowConnectionQuality, "max") => "high",
        _ => value,
    }
}

/// One option with its text.
struct Asked<'a> {
    key: Key,
    value: &'a str,
    warnings: &'a mut Vec<Warning>,
}

impl Asked<'_> {
    /// The value, or `None` and a warning where the text makes no sense.
    fn read<T>(
        self,
        parse: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Result<Option<T>, OptionError> {
        match parse(self.value) {
            Ok(value) => Ok(Some(value)),
            Err(ValueError::Malformed(expected)) => {
                let text = format!(
                    "{} must be {expected}, got {}: ignored",
                    self.key,
                    shown(self.value)
                );
                self.warnings.push(Warning::new(text));
                Ok(None)
            }
            Err(ValueError::OutOfRange(expected)) => Err(OptionError::OutOfRange {
                option: self.key.keyword(),
                expected,
                got: shown(self.value),
            }),
        }
    }
}

fn take(options: &mut Options, asked: Asked<'_>) -> Result<(), OptionError> {
    match asked.key {
        Key::Anim => options.anim = asked.read(flag)?,
        Key::AutoQuality => options.auto_quality = asked.read(Score::parse)?,
        Key::Background => options.background = asked.read(Color::parse)?,
        Key::Blur => options.blur = asked.read(Blur::parse)?,
        Key::BorderBottom => options.border.bottom = asked.read(whole_pixels)?,
        Key::BorderColor => options.border.color = asked.read(Color::parse)?,
        Key::BorderLeft => options.border.left = asked.read(whole_pixels)?,
        Key::BorderRight => options.border.right = asked.read(whole_pixels)?,
        Key::BorderTop => options.border.top = asked.read(whole_pixels)?,
        Key::BorderWidth => options.border.width = asked.read(whole_pixels)?,
        Key::Brightness => options.brightness = asked.read(Factor::parse)?,
        Key::Compression => options.compression = asked.read(Compression::parse)?,
        Key::Contrast => options.contrast = asked.read(Factor::parse)?,
        Key::Dpr if Dpr::is_above_range(asked.value) => {
            asked.warnings.push(Warning::new(Dpr::CLAMPED));
            options.dpr = Some(Dpr::MAX);
        }
        // What is below is no reason for no picture either.
        Key::Dpr => {
            options.dpr = asked.read(|text| Dpr::parse(text).map_err(ValueError::ignored))?;
        }
        Key::Fit => options.fit = asked.read(Fit::parse)?,
        Key::Flip => options.flip = asked.read(Flip::parse)?,
        Key::Format => options.format = Some(format(asked.value)?),
        Key::Gamma => options.gamma = asked.read(Gamma::parse)?,
        Key::Gravity => options.gravity = asked.read(Gravity::parse)?,
        Key::Height => options.height = asked.read(Pixels::parse)?,
        Key::MaxBytes => options.max_bytes = asked.read(FileSize::parse)?,
        Key::Metadata => options.metadata = asked.read(Metadata::parse)?,
        Key::OnError => options.onerror = asked.read(OnError::parse)?,
        Key::Quality => options.quality = asked.read(QualityChoice::parse)?,
        Key::Rotate => options.rotate = asked.read(Rotation::parse)?,
        Key::Saturation => options.saturation = asked.read(Factor::parse)?,
        Key::Segment => options.segment = asked.read(Segment::parse)?,
        Key::Sharpen => options.sharpen = asked.read(Sharpen::parse)?,
        Key::SlowConnectionQuality => {
            options.slow_connection_quality = asked.read(QualityChoice::parse)?
        }
        Key::Trim => match asked.read(trim::TrimValue::parse)? {
            Some(trim::TrimValue::BorderOptions) => {
                options.trim.border = Some(trim::TrimBorder::default())
            }
            Some(trim::TrimValue::Sides([top, right, bottom, left])) => {
                (options.trim.top, options.trim.right) = (Some(top), Some(right));
                (options.trim.bottom, options.trim.left) = (Some(bottom), Some(left));
            }
            None => {}
        },
        Key::TrimBorderColor => {
            if let Some(color) = asked.read(Color::parse)? {
                options.trim.border.get_or_insert_default().color = Some(color);
            }
        }
        Key::TrimBorderKeep => {
            if let Some(keep) = asked.read(whole_pixels)? {
                options.trim.border.get_or_insert_default().keep = Some(keep);
            }
        }
        Key::TrimBorderTolerance => {
            if let Some(tolerance) = asked.read(trim::tolerance)? {
                options.trim.border.get_or_insert_default().tolerance = Some(tolerance);
            }
        }
        Key::TrimBottom => options.trim.bottom = asked.read(Length::parse)?.or(options.trim.bottom),
        Key::TrimHeight => options.trim.height = asked.read(Length::parse)?,
        Key::TrimLeft => options.trim.left = asked.read(Length::parse)?.or(options.trim.left),
        Key::TrimRight => options.trim.right = asked.read(Length::parse)?.or(options.trim.right),
        Key::TrimTop => options.trim.top = asked.read(Length::parse)?.or(options.trim.top),
        Key::TrimWidth => options.trim.width = asked.read(Length::parse)?,
        Key::Upscale => options.upscale = asked.read(Upscale::parse)?,
        Key::Wbreakpoints => options.wbreakpoints = asked.read(Breakpoints::parse)?,
        Key::Wdesktop => options.wdesktop = asked.read(Pixels::parse)?,
        Key::Width => options.width = asked.read(Width::parse)?,
        Key::Wmobile => options.wmobile = asked.read(Pixels::parse)?,
        Key::Zoom => options.zoom = asked.read(Zoom::parse)?,
    }
    Ok(())
}

fn flag(text: &str) -> Result<bool, ValueError> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(ValueError::Malformed("true or false")),
    }
}

/// The one list of keywords where an unknown one is an error: a client that gets another format than it can read is not helped.
fn format(text: &str) -> Result<FormatChoice, OptionError> {
    FormatChoice::parse(text).map_err(|_| OptionError::UnsupportedFormat {
        format: shown(text),
    })
}

/// A client's text as messages may repeat it: short, printable ASCII.
fn shown(text: &str) -> String {
    let is_fit = |character: char| matches!(character, ' '..='~');
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|character| if is_fit(character) { character } else { '?' })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

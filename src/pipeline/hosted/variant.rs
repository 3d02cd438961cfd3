//! From the options of a variant to those of a transformation.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::hosted::Variant;
use crate::options::ParsedOptions;
use crate::pipeline::Pipeline;
use crate::request::{Accept, ClientHints, Dialect, ImageRequest, SourceRef};

/// What a variant says to browsers, which is no option of the picture.
const BROWSER_TTL: &str = "browser_ttl";

/// The least and the most seconds of it.
const BROWSER_TTLS: std::ops::RangeInclusive<u64> = 3600..=31_536_000;

/// The options of a variant, or what is wrong with them. A drawing stays a drawing whatever format the variant names.
pub(crate) fn options_of(variant: &Variant, is_drawing: bool) -> Result<ParsedOptions, String> {
    let mut pieces = Vec::new();
    for (name, value) in &variant.options {
        if name == BROWSER_TTL || is_drawing && matches!(name.as_str(), "format" | "f") {
            continue;
        }
        if let Some(text) = text_of(name, value)? {
            let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
            let text = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            pieces.push(format!("{name}={text}"));
        }
    }
    Ok(parse_options(&pieces.join(",")))
}

/// Reads options as they stand in a URL. Where they name no format, the client's `Accept` does.
pub(crate) fn parse_options(text: &str) -> ParsedOptions {
    if text.is_empty() {
        return ParsedOptions::parse("format=auto");
    }
    let parsed = ParsedOptions::parse(text);
    match parsed.as_result() {
        Ok(options) if options.format.is_none() => {
            ParsedOptions::parse(&format!("{text},format=auto"))
        }
        _ => parsed,
    }
}

/// How long browsers may keep a picture of this variant, in seconds.
pub(crate) fn browser_ttl(variant: &Variant) -> Option<u32> {
    let seconds = variant.options.get(BROWSER_TTL)?.as_u64()?;
    u32::try_from(seconds).ok()
}

/// The text of a value; `None` for none.
fn text_of(name: &str, value: &Value) -> Result<Option<String>, String> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) => value.to_string(),
        // Any letter case, as other tools write it.
        Value::String(text) if matches!(name, "fit" | "metadata") => text.to_ascii_lowercase(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e15 => format!("{whole:.0}"),
            _ => number.to_string(),
        },
        Value::Object(point) if name == "gravity" => {
            let coordinate = |axis| point.get(axis).and_then(Value::as_f64);
            match (coordinate("x"), coordinate("y")) {
                (Some(x), Some(y)) => format!("{x}x{y}"),
                _ => return Err("option `gravity` must have `x` and `y` as numbers".to_owned()),
            }
        }
        Value::Array(_) | Value::Object(_) => {
            return Err(format!(
                "option `{name}` must be a number, a text or a boolean"
            ));
        }
    }))
}

/// A request for a picture of a variant by a client that sends no hints.
pub(crate) fn request(options: ParsedOptions, accept: Accept) -> ImageRequest {
    ImageRequest {
        options,
        chosen: None,
        signature: None,
        source: SourceRef::Zone("/".to_owned()),
        accept,
        hints: ClientHints::default(),
        host: None,
        via_image_resizing: false,
        dialect: Dialect::Cloudflare,
    }
}

impl Pipeline {
    /// Checks the options of a variant before it is stored.
    ///
    /// # Errors
    /// A text for the client that names the option.
    pub fn check_variant(&self, variant: &Variant) -> Result<(), String> {
        if let Some(ttl) = variant.options.get(BROWSER_TTL)
            && !ttl.as_u64().is_some_and(|ttl| BROWSER_TTLS.contains(&ttl))
        {
            let (least, most) = (BROWSER_TTLS.start(), BROWSER_TTLS.end());
            return Err(format!(
                "option `{BROWSER_TTL}` must be a whole number from {least} to {most}, got `{ttl}`"
            ));
        }
        let options = options_of(variant, false)?;
        let diagnostics = options.diagnostics();
        if !diagnostics.is_empty() {
            return Err(diagnostics.to_string());
        }
        let recipe = self.policy.recipe(&request(options, Accept::default()));
        recipe.map(|_| ()).map_err(|denied| denied.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variant(options: &Value) -> Variant {
        Variant {
            options: options.as_object().cloned().unwrap_or_default(),
            never_require_signed_urls: false,
        }
    }

    #[test]
    fn options_of_a_variant_are_those_of_a_url() {
        for (options, url) in [
            (json!({}), "format=auto"),
            (
                json!({"fit": "Scale-Down", "width": 1366, "height": 768.0, "metadata": "NONE"}),
                "fit=scale-down,width=1366,height=768,metadata=none,format=auto",
            ),
            (
                json!({"width": 100, "browser_ttl": 3600, "blur": 2.5, "height": null}),
                "width=100,blur=2.5,format=auto",
            ),
            (
                json!({"width": 100, "format": "webp", "background": "rgb(1,2,3)"}),
                "width=100,format=webp,background=rgb(1,2,3)",
            ),
            (
                json!({"width": 10, "height": 10, "fit": "cover", "gravity": {"x": 0.5, "y": 1}}),
                "width=10,height=10,fit=cover,gravity=0.5x1,format=auto",
            ),
            (
                json!({"width": 10, "anim": false}),
                "width=10,anim=false,format=auto",
            ),
        ] {
            let read = options_of(&variant(&options), false).expect("right options");
            assert!(
                read.diagnostics().is_empty(),
                "{options}: {}",
                read.diagnostics()
            );
            assert_eq!(read, ParsedOptions::parse(url), "{options}");
        }
        let drawing = options_of(&variant(&json!({"format": "webp"})), true);
        assert_eq!(drawing, Ok(ParsedOptions::parse("format=auto")));
        assert!(options_of(&variant(&json!({"width": [1]})), false).is_err());
        assert_eq!(
            browser_ttl(&variant(&json!({"browser_ttl": 7200}))),
            Some(7200)
        );
    }
}

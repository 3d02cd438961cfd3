//! `safelight transform`: transforms one picture with the policy and the renderer of the server.

use std::fs;
use std::path::Path;
use std::time::Instant;

use super::error::CommandError;
use super::extensions::is_picture_extension;
use crate::config::Config;
use crate::options::{Format, FormatChoice, Options};
use crate::policy::Policy;
use crate::request::Accept;
use crate::transform::{Budget, Hints, Source};

/// Transforms the file `input` into the file `output`, and returns the lines to print.
///
/// # Errors
/// [`CommandError`] when the options are wrong, a file cannot be read or written, or the picture cannot be made.
pub fn transform(
    input: &Path,
    options: &str,
    output: &Path,
    config: Option<&Path>,
) -> Result<Vec<String>, CommandError> {
    let config = config
        .map_or_else(|| Ok(Config::default()), Config::load)
        .map_err(CommandError::new)?;
    let (mut options, mut warnings) = Options::parse(options).map_err(CommandError::new)?;
    let extension = output
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    options.format = options.format.or(format_of(extension));
    // Nothing is fetched here, so any zone will do.
    let policy = Policy::new(&config.policy(), Config::default().zone, Vec::new())
        .map_err(CommandError::new)?;
    let (recipe, more) = policy
        .decide(
            &options,
            Accept {
                jxl: true,
                avif: true,
                webp: true,
            },
        )
        .map_err(CommandError::new)?;
    warnings.extend(more);
    let named =
        |path: &Path, error: std::io::Error| CommandError(format!("`{}`: {error}", path.display()));
    let source = fs::read(input).map_err(|error| named(input, error))?;
    let render_memory = config.limits.render_memory(super::memory());
    let deadline = Instant::now() + config.server.request_timeout.duration();
    let length = source.len();
    let limits = config.limits.of_render(render_memory);
    let source = Source::open(source.into(), &limits).map_err(CommandError::new)?;
    let plan = source
        .plan(&recipe, &Hints::default())
        .map_err(CommandError::new)?;
    let made = plan
        .render(&Budget::until(deadline))
        .map_err(CommandError::new)?;
    policy
        .check_output(&options, made.format)
        .map_err(CommandError::new)?;
    if options.format.is_none() {
        check_name(output, extension, made.format)?;
    }
    fs::write(output, &made.bytes).map_err(|error| named(output, error))?;
    warnings.extend(made.warnings);
    let mut lines: Vec<String> = warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .collect();
    lines.push(format!(
        "{}: {} {}x{}, {} bytes (source {} bytes)",
        output.display(),
        made.format,
        made.size.width,
        made.size.height,
        made.bytes.len(),
        length
    ));
    Ok(lines)
}

/// Refuses to write a picture under a name that says another format, where nobody asked for the format that it has.
fn check_name(output: &Path, extension: &str, format: Format) -> Result<(), CommandError> {
    if !is_picture_extension(extension) || extension.eq_ignore_ascii_case(format.extension()) {
        return Ok(());
    }
    Err(CommandError(format!(
        "the output `{}` would contain {format}: use the extension `.{}`, or add a `format` to the options",
        output.display(),
        format.extension()
    )))
}

/// The format that the extension of an output file asks for.
fn format_of(extension: &str) -> Option<FormatChoice> {
    match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "jpe" | "jfif" => Some(FormatChoice::Jpeg),
        "png" => Some(FormatChoice::PngForce),
        "webp" => Some(FormatChoice::Webp),
        "avif" => Some(FormatChoice::Avif),
        "jxl" => Some(FormatChoice::Jxl),
        "json" => Some(FormatChoice::Json),
        "svg" => Some(FormatChoice::Svg),
        _ => None,
    }
}

//! Which files are made of a picture.

use crate::options::{FormatChoice, Options, Pixels, Width};

/// What is made of each picture.
pub(super) struct Wishes {
    pub options: Options,
    /// From small to large; empty: the one that the options say.
    pub widths: Vec<u32>,
    /// The best first; empty: the one that the options say.
    pub formats: Vec<String>,
}

impl Wishes {
    /// The options of each file of a picture that is so wide.
    pub(super) fn of(&self, source_width: u32) -> Vec<Options> {
        let formats = match self.formats.is_empty() {
            true => vec![self.options.format],
            false => self.formats.iter().map(|name| format_of(name)).collect(),
        };
        // Wider ones would be the same picture again.
        let mut widths: Vec<Option<Width>> = self
            .widths
            .iter()
            .filter(|width| **width <= source_width)
            .map(|width| Pixels::new(*width).map(Width::Pixels))
            .collect();
        if widths.is_empty() {
            widths.push(match self.widths.is_empty() {
                true => self.options.width,
                false => Pixels::new(source_width).map(Width::Pixels),
            });
        }
        let of_format = |format: Option<FormatChoice>| {
            widths.clone().into_iter().map(move |width| (format, width))
        };
        formats
            .into_iter()
            .flat_map(of_format)
            .map(|(format, width)| Options {
                format,
                width,
                height: self.height(width),
                ..self.options.clone()
            })
            .collect()
    }

    /// The height beside a width: that of the options belongs to the width there, or else to the largest one, and follows the others in proportion.
    fn height(&self, width: Option<Width>) -> Option<Pixels> {
        let height = self.options.height?;
        let (Some(Width::Pixels(width)), false) = (width, self.widths.is_empty()) else {
            return Some(height);
        };
        let base = match self.options.width {
            Some(Width::Pixels(base)) => base.get(),
            Some(Width::Auto) | None => self.widths.last().copied()?,
        };
        let scaled = u64::from(height.get()) * u64::from(width.get()) / u64::from(base.max(1));
        Pixels::new(u32::try_from(scaled.max(1)).unwrap_or(u32::MAX))
    }
}

/// What tells the facts of a picture.
pub(super) fn facts_options() -> Options {
    Options {
        format: Some(FormatChoice::Json),
        ..Options::default()
    }
}

fn format_of(name: &str) -> Option<FormatChoice> {
    match name {
        "avif" => Some(FormatChoice::Avif),
        "jxl" => Some(FormatChoice::Jxl),
        "webp" => Some(FormatChoice::Webp),
        "jpeg" => Some(FormatChoice::Jpeg),
        "png" => Some(FormatChoice::PngForce),
        _ => None,
    }
}

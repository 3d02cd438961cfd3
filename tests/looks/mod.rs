//! What several tests of pictures use: renders, and the pixels of files.

use std::time::{Duration, Instant};

use image::ImageFormat;
use image::RgbaImage;
use safelight::options::{Output, Recipe};
use safelight::transform::{Budget, Encoded, Hints, Limits, Source, TransformError};

/// A recipe with a width and an output, and nothing else.
pub fn recipe(width: Option<u32>, output: Output) -> Recipe {
    Recipe {
        width,
        output,
        ..Recipe::default()
    }
}

/// Renders within the limits of the shipped settings, with SVG rasterized, and with plenty of time.
pub fn render(source: &[u8], recipe: &Recipe) -> Result<Encoded, TransformError> {
    let limits = Limits {
        rasterize_svg: true,
        ..Limits::default()
    };
    let source = Source::open(source.to_vec().into(), &limits)?;
    let plan = source.plan(recipe, &Hints::default())?;
    plan.render(&Budget::until(Instant::now() + Duration::from_secs(120)))
}

/// The pixels of a file of any format. The file is converted to PNG first, which `image` decodes without our code.
pub fn pixels(file: &[u8]) -> RgbaImage {
    let png = render(file, &recipe(None, Output::Png)).expect("what was rendered can be a source");
    image::load_from_memory_with_format(&png.bytes, ImageFormat::Png)
        .expect("the PNG is whole")
        .into_rgba8()
}

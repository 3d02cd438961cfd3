//! What the tests of pictures share: renders, and files as pixels.

use std::time::Duration;
use std::time::Instant;

use image::ImageFormat;
use image::RgbaImage;
use safelight::options::Output;
use safelight::options::Recipe;
use safelight::transform::Budget;
use safelight::transform::Encoded;
use safelight::transform::Hints;
use safelight::transform::Limits;
use safelight::transform::Source;
use safelight::transform::TransformError;

/// A recipe that asks for a width and an output, and for nothing else.
pub fn recipe(width: Option<u32>, output: Output) -> Recipe {
    Recipe {
        width,
        output,
        ..Recipe::default()
    }
}

/// A render within the limits of the shipped settings, drawings made into pixels, and far more time than it needs.
pub fn render(source: &[u8], recipe: &Recipe) -> Result<Encoded, TransformError> {
    let limits = Limits {
        rasterize_svg: true,
        ..Limits::default()
    };
    let source = Source::open(source.to_vec().into(), &limits)?;
    let plan = source.plan(recipe, &Hints::default())?;
    plan.render(&Budget::until(Instant::now() + Duration::from_secs(120)))
}

/// The pixels of a file of any format: it is made a PNG, which `image` reads without any code of ours.
pub fn pixels(file: &[u8]) -> RgbaImage {
    let png = render(file, &recipe(None, Output::Png)).expect("what was rendered can be a source");
    image::load_from_memory_with_format(&png.bytes, ImageFormat::Png)
        .expect("the PNG is whole")
        .into_rgba8()
}

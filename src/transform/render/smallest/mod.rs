//! The file of a finished picture. That of a photograph is written in one way; a graphic is also written without loss, and the smallest file
//! is taken.

use crate::options::{Effort, Format, Quality, Recipe, Warning};

use crate::codecs::encode::{Chroma, Content, Picture, Settings};
use crate::codecs::{Limits, TransformError, encode};
use crate::pixels::Subsampling;
use crate::transform::budget::Budget;
use crate::transform::plan::output;
use crate::transform::plan::output::FileFacts;
use crate::transform::render::compose::Encodable;
use crate::transform::render::quality_search::QualitySearch;

/// A file, and where it differs from what was asked for.
pub(super) struct File {
    pub format: Format,
    pub bytes: Vec<u8>,
    pub warnings: Vec<Warning>,
}

/// The limits of a render, and its deadline.
type Within<'a> = (&'a Limits, &'a Budget);

/// Puts metadata into a file of a format.
type Finish<'a> = &'a dyn Fn(Format, Vec<u8>) -> Result<Vec<u8>, TransformError>;

/// The smallest file that shows the picture as its recipe asks.
pub(super) fn file(
    encodable: Encodable,
    recipe: &Recipe,
    within: Within<'_>,
    finish: impl Fn(Format, Vec<u8>) -> Result<Vec<u8>, TransformError>,
) -> Result<File, TransformError> {
    let (limits, budget) = within;
    let size = encodable.picture.size();
    let lossless = match without_loss(&encodable, recipe, budget)? {
        Some((format, bytes)) => {
            let file = File {
                format,
                bytes: finish(format, bytes)?,
                warnings: Vec::new(),
            };
            if is_final(&file, recipe, &encodable) {
                return Ok(file);
            }
            budget.check()?;
            Some((file, has_edges(&encodable.picture)))
        }
        None => None,
    };
    let mut lossy = with_loss(&encodable, recipe, within, &finish)?;
    let facts = FileFacts {
        format: lossy.format,
        size,
        bytes: lossy.bytes.len(),
    };
    if let Some(other) = output::alternative(recipe, recipe.effort, &facts)
        && size.area() <= limits.avif_pixels
    {
        budget.check()?;
        let other = with_loss(&encodable.into_format(other)?, recipe, within, &finish)?;
        if output::takes_alternative(recipe, lossy.bytes.len(), other.bytes.len()) {
            lossy = other;
        }
    }
    Ok(match lossless {
        Some((lossless, has_edges)) if is_better(&lossless, &lossy, has_edges) => lossless,
        _ => lossy,
    })
}

/// The picture as its format is written.
fn with_loss(
    encodable: &Encodable,
    recipe: &Recipe,
    (limits, budget): Within<'_>,
    finish: Finish<'_>,
) -> Result<File, TransformError> {
    let format = encodable.format;
    let search = QualitySearch {
        picture: &encodable.picture,
        format,
        limits,
        budget,
    };
    let (bytes, missed) = search.run(recipe.quality, recipe.quality_target, |quality| {
        finish(format, encodable.encode(recipe, quality)?)
    })?;
    let mut warnings: Vec<Warning> = encodable.warning.clone().into_iter().collect();
    warnings.extend(missed);
    Ok(File {
        format,
        bytes,
        warnings,
    })
}

/// A graphic without loss, or with as many colours as its quality allows where that is smaller; `None` for what is no graphic, and where the
/// recipe leaves no choice.
fn without_loss(
    encodable: &Encodable,
    recipe: &Recipe,
    budget: &Budget,
) -> Result<Option<(Format, Vec<u8>)>, TransformError> {
    let picture = &encodable.picture;
    let Some(format) = output::lossless_format(recipe, picture.size()) else {
        return Ok(None);
    };
    let is_of_pixels = matches!(picture, Picture::Rgb(..) | Picture::Rgba(..));
    let is_lossless_anyway = recipe.quality == Quality::BEST && encodable.format == format;
    if !is_of_pixels || is_lossless_anyway {
        return Ok(None);
    }
    let content = Content::of(picture);
    if !content.suits_lossless() {
        return Ok(None);
    }
    let visible = picture.without_hidden_colors()?;
    let picture = visible.as_ref().unwrap_or(picture);
    let write = |picture: &Picture| {
        let settings = Settings {
            quality: Quality::BEST,
            progressive: false,
            palette: false,
            effort: recipe.effort,
            profile: None,
        };
        encode::encode(picture, format, settings)
    };
    let exact = write(picture)?;
    // A score is a promise that fewer colours may break.
    let may_reduce = recipe.quality != Quality::BEST && recipe.quality_target.score.is_none();
    if !may_reduce || content.colors.is_some() || has_at_most(TENTH_OF_A_BIT, exact.len(), picture)
    {
        return Ok(Some((format, exact)));
    }
    budget.check()?;
    let reduced = write(&encode::reduced_to_palette(picture, recipe.quality)?)?;
    let smaller = if reduced.len() < exact.len() {
        reduced
    } else {
        exact
    };
    Ok(Some((format, smaller)))
}

/// Whether no lossy file need be tried.
fn is_final(file: &File, recipe: &Recipe, encodable: &Encodable) -> bool {
    let fits = |limit: u32| u64::try_from(file.bytes.len()).is_ok_and(|len| len <= limit.into());
    let enough = match recipe.effort {
        Effort::Quick => FIFTH_OF_A_BIT,
        Effort::Settled => TENTH_OF_A_BIT,
    };
    encodable.format == Format::Png
        || has_at_most(enough, file.bytes.len(), &encodable.picture)
        || recipe
            .quality_target
            .size
            .is_some_and(|limit| fits(limit.get()))
}

/// Pixels for each byte. Next to nothing is to be saved of a file without loss that has a tenth of a bit for each pixel.
const TENTH_OF_A_BIT: u64 = 80;
/// Of one with a fifth of a bit, AVIF saves up to a fifth, but takes a second for a screenshot of 1.3 megapixels: too long for a first answer.
const FIFTH_OF_A_BIT: u64 = 40;

fn has_at_most(pixels_per_byte: u64, length: usize, picture: &Picture) -> bool {
    u64::try_from(length).is_ok_and(|length| length * pixels_per_byte <= picture.size().area())
}

/// Whether a picture has coloured edges, which blur where chroma has half the size: those for which a JPEG has chroma at full size.
fn has_edges(picture: &Picture) -> bool {
    let chroma = match picture {
        Picture::Rgb(size, samples) => Chroma::Pixels(*size, samples, 3),
        Picture::Rgba(size, samples) => Chroma::Pixels(*size, samples, 4),
        Picture::Planar(..) | Picture::Deep(..) => Chroma::Halved,
    };
    encode::subsampling(Format::Jpeg, Quality::DEFAULT, chroma) == Subsampling::None
}

/// Whether a file without loss is to be preferred: if it is smaller, or not much larger than a lossy WebP of a picture with coloured edges,
/// which WebP blurs because its chroma has half the size.
fn is_better(lossless: &File, lossy: &File, has_edges: bool) -> bool {
    let allowed = if lossy.format == Format::Webp && has_edges {
        lossy.bytes.len() / 5 * 7
    } else {
        lossy.bytes.len()
    };
    lossless.bytes.len() <= allowed
}

#[cfg(test)]
mod tests;

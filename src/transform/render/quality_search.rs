//! The search for a quality: for the lowest one with a given score, or for the highest one that fits into a number of bytes. Each try
//! is an encode, so there are few of them.

use crate::options::{Format, Quality, QualityTarget, Warning};

use crate::codecs::encode::Picture;
use crate::codecs::{Limits, TransformError};
use crate::transform::budget::Budget;
use crate::transform::render::ssimulacra2::Comparison;

/// The most encodes that a search by score takes.
const ENCODES: usize = 5;

/// A score that is above the wanted one by less than this many points ends the search.
const NEAR: f64 = 1.0;

/// About how many points one step of quality changes, where nothing else is known.
const POINTS_PER_STEP: f64 = 0.45;

/// Scores, and the qualities at which most photographs have them.
const GUESSES: [(u8, u8); 6] = [(30, 20), (60, 42), (70, 62), (80, 80), (90, 96), (95, 100)];

/// A search among the files of one picture. Only lossy formats have something to search for.
pub(crate) struct QualitySearch<'a> {
    pub picture: &'a Picture,
    pub format: Format,
    pub limits: &'a Limits,
    pub budget: &'a Budget,
}

impl QualitySearch<'_> {
    /// The file that `write` makes at a quality: at the one that was asked for, or at the one that the target leads to. The deadline is
    /// checked between tries.
    pub(super) fn run(
        &self,
        quality: Quality,
        target: QualityTarget,
        write: impl Fn(Quality) -> Result<Vec<u8>, TransformError>,
    ) -> Result<(Vec<u8>, Vec<Warning>), TransformError> {
        // Of WebP, 100 is lossless.
        let best = match self.format {
            Format::Jpeg | Format::Avif => 100,
            // Of JPEG XL as well.
            Format::Webp | Format::Jxl => 99,
            Format::Png | Format::Gif | Format::Svg | Format::Json => {
                return Ok((write(quality)?, Vec::new()));
            }
        };
        let attempt = |quality: u8| {
            self.budget.check()?;
            write(Quality::new(quality).unwrap_or(Quality::DEFAULT))
        };
        let mut warnings = Vec::new();
        let comparison = match target.score {
            Some(score) => match Comparison::of(self.picture, self.limits)? {
                Some(comparison) => Some((comparison, score)),
                None => {
                    warnings.push(Warning::new("image too large for auto-quality"));
                    None
                }
            },
            None => None,
        };
        let (quality, mut file) = match comparison {
            Some((comparison, score)) => {
                let wanted = f64::from(score.get());
                let found = by_score(wanted, best, |quality| -> Result<_, TransformError> {
                    let file = attempt(quality)?;
                    self.budget.check()?;
                    Ok((comparison.score(&file)?, file))
                })?;
                if found.score < wanted {
                    warnings.push(Warning::new("auto-quality was not reached"));
                }
                (found.quality, found.file)
            }
            None => (quality.get(), write(quality)?),
        };
        if let Some(limit) = target.size {
            let fits =
                |file: &[u8]| u64::try_from(file.len()).is_ok_and(|len| len <= limit.get().into());
            if !fits(&file) {
                file = by_size(file, quality - 1, fits, attempt)?;
            }
            if !fits(&file) {
                warnings.push(Warning::new("max-bytes was not reached"));
            }
        }
        Ok((file, warnings))
    }
}

/// A file that was tried.
struct Attempt<T> {
    quality: u8,
    score: f64,
    file: T,
}

/// The lowest quality with at least the wanted score, as far as few tries find it, or else the one that comes nearest.
fn by_score<T, E>(
    wanted: f64,
    best: u8,
    mut attempt: impl FnMut(u8) -> Result<(f64, T), E>,
) -> Result<Attempt<T>, E> {
    let mut try_at = |quality| {
        let (score, file) = attempt(quality)?;
        Ok(Attempt {
            quality,
            score,
            file,
        })
    };
    let mut kept = try_at(guess(wanted).clamp(1, best))?;
    // Qualities that are too low and high enough, with their scores; the outermost ones are not known to be.
    let (mut low, mut high) = ((0, None), (best + 1, None));
    let mut last = (kept.quality, kept.score);
    for _ in 1..ENCODES {
        let (quality, score) = last;
        if score < wanted {
            low = (quality, Some(score));
        } else {
            high = (quality, Some(score));
        }
        let is_near = (wanted..wanted + NEAR).contains(&score);
        if is_near || high.0 - low.0 <= 1 {
            break;
        }
        let found = try_at(between(low, high, wanted + NEAR / 2.0))?;
        last = (found.quality, found.score);
        let is_better = match (kept.score >= wanted, found.score >= wanted) {
            (true, true) => found.quality < kept.quality,
            (false, false) => found.score > kept.score,
            (_, is_good) => is_good,
        };
        if is_better {
            kept = found;
        }
    }
    Ok(kept)
}

/// The quality between two others, of which at least one has a score, where the wanted score is to be expected.
fn between(low: (u8, Option<f64>), high: (u8, Option<f64>), wanted: f64) -> u8 {
    let (lowest, highest) = (f64::from(low.0), f64::from(high.0));
    let expected = match (low.1, high.1) {
        (Some(worse), Some(better)) if better > worse => {
            lowest + (highest - lowest) * (wanted - worse) / (better - worse)
        }
        (Some(worse), None) => lowest + (wanted - worse) / POINTS_PER_STEP,
        (None, Some(better)) => highest - (better - wanted) / POINTS_PER_STEP,
        _ => f64::midpoint(lowest, highest),
    };
    rounded(expected).clamp(low.0 + 1, high.0 - 1)
}

fn guess(wanted: f64) -> u8 {
    let part = |(low, high): ((u8, u8), (u8, u8))| {
        let from = f64::from(low.0);
        let (start, end) = (f64::from(low.1), f64::from(high.1));
        start + (end - start) * (wanted - from) / (f64::from(high.0) - from)
    };
    let after = GUESSES
        .iter()
        .position(|&(score, _)| f64::from(score) >= wanted)
        .unwrap_or(GUESSES.len() - 1)
        .max(1);
    rounded(part((GUESSES[after - 1], GUESSES[after])))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of qualities"
)]
fn rounded(quality: f64) -> u8 {
    quality.round().clamp(1.0, 100.0) as u8
}

/// The file of the best quality up to `best` that fits, or else the smallest of all that were tried, `too_large` included. Halving 1 to
/// 99 takes 7 encodes.
fn by_size<E>(
    too_large: Vec<u8>,
    best: u8,
    fits: impl Fn(&[u8]) -> bool,
    mut attempt: impl FnMut(u8) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut kept = too_large;
    let (mut least, mut most) = (1, best);
    while least <= most {
        let quality = u8::midpoint(least, most);
        let file = attempt(quality)?;
        if fits(&file) {
            least = quality + 1;
            kept = file;
        } else {
            most = quality - 1;
            if !fits(&kept) && file.len() < kept.len() {
                kept = file;
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::by_score;
    use super::by_size;

    /// The quality that is found, and the encodes that it took, where qualities score as told.
    fn found(wanted: f64, best: u8, score: impl Fn(u8) -> f64) -> (u8, usize) {
        let mut tries = 0;
        let found = by_score(wanted, best, |quality| {
            tries += 1;
            Ok::<_, Infallible>((score(quality), ()))
        });
        (
            found.map_or_else(|never| match never {}, |found| found.quality),
            tries,
        )
    }

    #[test]
    fn scores_are_reached_in_few_encodes_and_not_passed_by_far() {
        // Easy pictures, hard ones, and those of a kink.
        let curves: [fn(f64) -> f64; 4] = [
            |quality| 60.0 + quality * 0.35,
            |quality| quality * 0.85,
            |quality| 100.0 - (100.0 - quality).powi(2) / 60.0,
            |quality| {
                if quality < 60.0 {
                    quality
                } else {
                    quality / 4.0 + 45.0
                }
            },
        ];
        for curve in curves {
            let score = |quality: u8| curve(f64::from(quality));
            for wanted in 30..=69 {
                let wanted = f64::from(wanted);
                let (quality, tries) = found(wanted, 100, score);
                assert!(tries <= 5, "{tries}");
                assert!(score(quality) >= wanted, "{wanted}: {quality}");
                let is_lowest = quality == 1 || score(quality - 1) < wanted;
                assert!(
                    is_lowest || score(quality) < wanted + 4.0,
                    "{wanted}: {quality}"
                );
            }
        }
    }

    #[test]
    fn what_no_quality_reaches_comes_as_near_as_it_can() {
        assert_eq!(found(90.0, 99, |quality| f64::from(quality) / 2.0).0, 99);
        assert_eq!(found(30.0, 100, |_| 100.0).0, 1);
    }

    #[test]
    fn scores_that_rise_and_fall_do_no_harm() {
        for wanted in 30..=95 {
            let (quality, tries) = found(f64::from(wanted), 100, |quality| {
                f64::from(quality.wrapping_mul(37) % 100)
            });
            assert!((1..=100).contains(&quality) && tries <= 5);
        }
    }

    /// The file that is found among files of as many bytes as their quality, times ten.
    fn fitting(limit: usize, best: u8) -> (Vec<u8>, usize) {
        let file = |quality: u8| vec![quality; usize::from(quality) * 10];
        let mut tries = 0;
        let found = by_size(
            file(best + 1),
            best,
            |file| file.len() <= limit,
            |quality| {
                tries += 1;
                Ok::<_, Infallible>(file(quality))
            },
        );
        (found.unwrap_or_else(|never| match never {}), tries)
    }

    #[test]
    fn the_best_quality_that_fits_is_found_in_seven_encodes() {
        for best in [1, 2, 84, 99] {
            for limit in (10..usize::from(best) * 10).step_by(7) {
                let (file, tries) = fitting(limit, best);
                assert_eq!(file.len(), (limit / 10).min(best.into()) * 10, "{limit}");
                assert!(tries <= 7, "{tries}");
            }
        }
    }

    #[test]
    fn where_none_fits_the_smallest_is_given() {
        assert_eq!(fitting(5, 99).0, vec![1; 10]);
        assert_eq!(fitting(5, 0), (vec![1; 10], 0));
    }
}

//! JPEG XL by libjxl, which the native build alone has: lossy as blocks of DCT, lossless at quality 100, and the coefficients of a JPEG in
//! fewer bytes.

#[cfg(feature = "native")]
mod libjxl;
#[cfg(feature = "native")]
mod memory;
#[cfg(feature = "native")]
mod samples;
#[cfg(all(test, feature = "native"))]
mod tests;

use crate::options::{Effort, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::picture::Picture;
#[cfg(feature = "native")]
use crate::codecs::encode::scale;
use crate::codecs::encode::settings::Settings;
use crate::pixels::Size;

/// The distance of libjxl (0 best, 25 worst) that looks like a JPEG of each quality: the same median of SSIMULACRA2 over 15 photographs and 5
/// drawings, 800 pixels wide (`make bench-calibrate`). For efforts from 5 on.
#[cfg(feature = "native")]
const DISTANCES: [(u8, f32); 22] = [
    (1, 25.0),
    (15, 18.8),
    (20, 10.0),
    (25, 9.0),
    (30, 7.5),
    (35, 6.3),
    (40, 5.03),
    (45, 4.58),
    (50, 4.1),
    (55, 3.73),
    (60, 3.52),
    (65, 3.04),
    (70, 2.82),
    (75, 2.53),
    (80, 2.07),
    (84, 1.7),
    (88, 1.38),
    (91, 0.68),
    (94, 0.51),
    (96, 0.36),
    (98, 0.15),
    (100, 0.1),
];

/// The same for effort 4, which decides less, and so loses more at the same distance.
#[cfg(feature = "native")]
const QUICK_DISTANCES: [(u8, f32); 22] = [
    (1, 25.0),
    (15, 23.1),
    (20, 11.6),
    (25, 9.17),
    (30, 7.41),
    (35, 6.53),
    (40, 5.15),
    (45, 4.66),
    (50, 4.13),
    (55, 3.53),
    (60, 3.15),
    (65, 2.5),
    (70, 2.27),
    (75, 1.97),
    (80, 1.66),
    (84, 1.44),
    (88, 1.16),
    (91, 0.57),
    (94, 0.4),
    (96, 0.28),
    (98, 0.15),
    (100, 0.1),
];

/// Artifacts at the edges of alpha are very visible. Without loss, a fade would take as many bytes as half of the colours.
#[cfg(feature = "native")]
const WORST_ALPHA_DISTANCE: f32 = 1.0;

/// Efforts of libjxl. Effort 5 takes 16 % fewer bytes than 4 at equal looks, in five times its time; 6 and 7 take twice the time of 5, and
/// 3 to 4 % more bytes. Without loss, 3 takes 4 % more bytes than 5, in a third of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
enum Level {
    QuickLossless = 3,
    Quick = 4,
    Good = 5,
}

/// Pictures up to this size are good at once: a client waits for 280 ms at most.
const GOOD_AT_ONCE: u64 = 2_000_000;
/// Larger ones never are, so that none blocks a processor for many seconds.
const TOO_LARGE: u64 = 24_000_000;

fn level(size: Size, quality: Quality, effort: Effort) -> Level {
    let is_lossless = is_lossless(quality);
    let is_good = match effort {
        Effort::Quick => size.area() <= GOOD_AT_ONCE && !is_lossless,
        Effort::Settled => size.area() <= TOO_LARGE,
    };
    match (is_good, is_lossless) {
        (true, _) => Level::Good,
        (false, true) => Level::QuickLossless,
        (false, false) => Level::Quick,
    }
}

/// Quality 100 means lossless.
pub(crate) fn is_lossless(quality: Quality) -> bool {
    quality.get() == 100
}

/// Whether a greater effort would not make a picture smaller.
pub(crate) fn is_settled(size: Size, quality: Quality, effort: Effort) -> bool {
    level(size, quality, effort) == level(size, quality, Effort::Settled)
}

/// Bytes for each pixel that an encode holds, the picture included: for noise at 16 bits, which takes the most. Pictures beyond 4 megapixels are
/// encoded part by part: only the picture and its file grow with what is beyond. So it is 60 bytes for each pixel of noise up to there,
/// 29 at 12 megapixels, and 13 at 24.
pub(crate) fn bytes(size: Size, alpha: bool) -> u64 {
    const STREAMED_FROM: u64 = 5_000_000;
    const BEYOND: u64 = 16;
    let area = size.area();
    let each = if alpha { 96 } else { 70 };
    let sum = area.min(STREAMED_FROM) * each + area.saturating_sub(STREAMED_FROM) * BEYOND;
    sum.div_ceil(area.max(1))
}

/// Nanoseconds for each pixel.
pub(crate) fn time(size: Size, quality: Quality, effort: Effort) -> u64 {
    match level(size, quality, effort) {
        Level::QuickLossless => 160,
        Level::Quick => 30,
        Level::Good if is_lossless(quality) => 520,
        Level::Good => 140,
    }
}

/// Encodes a picture. What colours other than sRGB mean is in the file.
#[cfg(feature = "native")]
pub(crate) fn encode(picture: &Picture, settings: Settings<'_>) -> Result<Vec<u8>, TransformError> {
    let Settings {
        quality,
        effort,
        profile,
        ..
    } = settings;
    let size = picture.size();
    let level = level(size, quality, effort);
    let distance = if is_lossless(quality) {
        0.0
    } else if level == Level::Quick {
        scale::at(&QUICK_DISTANCES, quality)
    } else {
        scale::at(&DISTANCES, quality) * in_size(size)
    };
    let samples = samples::Samples::of(picture)?;
    let job = libjxl::Job {
        distance,
        alpha_distance: distance.min(WORST_ALPHA_DISTANCE),
        effort: level as i64,
        profile,
    };
    libjxl::encode(size, &samples, job)
}

/// The part of a distance that looks the same in a picture of this size: at 320 pixels, four fifths of that at 800; at 1600, the same within
/// 5 %. At effort 4 it is the same everywhere.
#[cfg(feature = "native")]
fn in_size(size: Size) -> f32 {
    const USUAL: f32 = 400_000.0;
    const SMALL: f32 = 70_000.0;
    let area = (size.area() as f32).clamp(SMALL, USUAL);
    (area / USUAL).powf(0.12)
}

/// The coefficients of a JPEG in fewer bytes: it decodes to the same picture.
#[cfg(feature = "native")]
pub(crate) fn repack(jpeg: &[u8], size: Size) -> Result<Vec<u8>, TransformError> {
    libjxl::repack(jpeg, size, Level::Good as i64)
}

/// Refused: see [`Format::is_written`](crate::options::Format::is_written).
#[cfg(not(feature = "native"))]
pub(crate) fn encode(_: &Picture, _: Settings<'_>) -> Result<Vec<u8>, TransformError> {
    Err(TransformError::NotWritten(crate::options::Format::Jxl))
}

/// Refused as well.
#[cfg(not(feature = "native"))]
pub(crate) fn repack(_: &[u8], _: Size) -> Result<Vec<u8>, TransformError> {
    Err(TransformError::NotWritten(crate::options::Format::Jxl))
}

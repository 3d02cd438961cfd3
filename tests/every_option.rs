//! Every option together with every other, on ten sources: covering arrays hold every pair of values, where no value is one too. The results have the
//! sizes that this file computes in its own way, and no error is the server's fault.

use std::collections::BTreeSet;
use std::env;
use std::io::Cursor;
use std::time::{Duration, Instant};

use image::DynamicImage;
use image::ImageFormat;
use image::Rgba;
use image::RgbaImage;
use safelight::config::Config;
use safelight::error::Error;
use safelight::options::{Format, Options, Width};
use safelight::policy::Policy;
use safelight::request::Accept;
use safelight::transform;
use safelight::transform::{Budget, Encoded, Hints, Limits};

/// Up to three values for each option, and all of them where they are words. The empty text leaves the option out.
const OPTIONS: &[&[&str]] = &[
    &["", "anim=true", "anim=false"],
    &["", "auto-quality=60"],
    &["", "background=red", "background=rgb(0 0 255 / 50%25)"],
    &["", "blur=2", "blur=250"],
    &[
        "",
        "border.width=3,border.color=lime",
        "border.top=5,border.left=1",
    ],
    &["", "brightness=0.5", "brightness=3"],
    &["", "compression=fast"],
    &["", "contrast=0.5", "contrast=2"],
    &["", "dpr=2", "dpr=0.5"],
    &[
        "",
        "fit=scale-down",
        "fit=contain",
        "fit=cover",
        "fit=crop",
        "fit=aspect-crop",
        "fit=pad",
        "fit=squeeze",
        "fit=scale-up",
    ],
    &["", "flip=h", "flip=v", "flip=hv"],
    &[
        "",
        "format=auto",
        "format=avif",
        #[cfg(feature = "native")]
        "format=jxl",
        "format=webp",
        "format=jpeg",
        "format=baseline-jpeg",
        "format=png",
        "format=png-force",
        "format=json",
    ],
    &["", "gamma=0.5", "gamma=2"],
    &[
        "",
        "gravity=auto",
        "gravity=entropy",
        "gravity=face",
        "gravity=left",
        "gravity=0.2x1",
    ],
    &["", "height=24", "height=61"],
    &["", "max-bytes=900"],
    &["", "metadata=keep", "metadata=none"],
    &["", "onerror=redirect"],
    &["", "quality=10", "quality=100", "quality=high"],
    &["", "rotate=90", "rotate=180", "rotate=270"],
    &["", "saturation=0", "saturation=2"],
    &["", "scq=10"],
    &["", "segment=foreground"],
    &["", "sharpen=1", "sharpen=10"],
    &[
        "",
        "trim=3;0.1;2;1",
        "trim.width=20,trim.height=0.5",
        "trim.left=2",
        "trim.top=40",
    ],
    &[
        "",
        "trim=border",
        "trim.border.tolerance=3,trim.border.keep=2",
    ],
    &["", "upscale=generate", "upscale=interpolate"],
    &["", "width=40", "width=7", "width=auto,wdesktop=33"],
    &["", "zoom=0.5"],
];

/// Pseudo-random numbers, the same in every run (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("fewer than the sides")
    }
}

/// Rows that together hold every pair of values of every pair of options. Each row starts with a pair that is still missing, and the rest of the row
/// is the best of ten random ones: the one that adds most pairs.
fn covering_rows(dice: &mut Dice) -> Vec<Vec<usize>> {
    let pairs_of = |row: &[usize]| {
        let mut pairs = BTreeSet::new();
        for first in 0..row.len() {
            for second in first + 1..row.len() {
                pairs.insert((first, row[first], second, row[second]));
            }
        }
        pairs
    };
    let mut missing = BTreeSet::new();
    for (one, values) in OPTIONS.iter().enumerate() {
        for (other, others) in OPTIONS.iter().enumerate().skip(one + 1) {
            for first in 0..values.len() {
                missing.extend((0..others.len()).map(|second| (one, first, other, second)));
            }
        }
    }
    let mut rows = Vec::new();
    while let Some(&(one, first, other, second)) = missing.last() {
        let best = (0..10)
            .map(|_| {
                let mut row: Vec<usize> = OPTIONS
                    .iter()
                    .map(|values| dice.roll(values.len()))
                    .collect();
                (row[one], row[other]) = (first, second);
                row
            })
            .max_by_key(|row| pairs_of(row).intersection(&missing).count())
            .expect("ten rows");
        for pair in pairs_of(&best) {
            missing.remove(&pair);
        }
        rows.push(best);
    }
    rows
}

fn spelled(row: &[usize]) -> String {
    let chosen = row
        .iter()
        .zip(OPTIONS)
        .map(|(&value, option)| option[value]);
    let chosen: Vec<&str> = chosen.filter(|text| !text.is_empty()).collect();
    chosen.join(",")
}

/// A source, and its size after its orientation is applied.
struct Source {
    name: &'static str,
    bytes: Vec<u8>,
    size: (u32, u32),
}

fn picture(width: u32, height: u32, alpha: bool) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let veil = if alpha && (x / 5 + y / 5) % 2 == 0 {
            90
        } else {
            255
        };
        let [red, green, ..] = (x * 97 + y * 57 + x * y * 31).to_le_bytes();
        Rgba([red, green.wrapping_add(red), red ^ 60, veil])
    })
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, format)
        .expect("a picture in memory");
    bytes.into_inner()
}

fn gif(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let side = |side| u16::try_from(side).expect("test pictures are small");
    let mut encoder =
        gif::Encoder::new(&mut bytes, side(width), side(height), &[]).expect("a GIF in memory");
    for frame in 0..3 {
        let mut samples = picture(width + frame, height, true).into_raw();
        samples.truncate((width * height * 4) as usize);
        let mut frame = gif::Frame::from_rgba(side(width), side(height), &mut samples);
        frame.delay = 7;
        frame.dispose = gif::DisposalMethod::Background;
        encoder.write_frame(&frame).expect("a frame in memory");
    }
    drop(encoder);
    bytes
}

fn made(source: &[u8], options: &str) -> Vec<u8> {
    render(source, options).expect("a good source").bytes
}

fn sources() -> Vec<Source> {
    let source = |name, bytes, size| Source { name, bytes, size };
    let photo = DynamicImage::ImageRgba8(picture(48, 32, false));
    let veiled = DynamicImage::ImageRgba8(picture(31, 50, true));
    let png = encoded(&photo, ImageFormat::Png);
    let clear = encoded(&veiled, ImageFormat::Png);
    let deep = encoded(
        &DynamicImage::ImageRgb16(photo.to_rgb16()),
        ImageFormat::Png,
    );
    let grey = encoded(
        &DynamicImage::ImageLuma8(photo.to_luma8()),
        ImageFormat::Png,
    );
    let mut framed = RgbaImage::from_pixel(60, 40, Rgba([250, 250, 250, 255]));
    image::imageops::replace(&mut framed, &picture(30, 20, false), 20, 10);
    let moving = gif(33, 21);
    vec![
        source("jpeg", made(&png, "format=jpeg"), (48, 32)),
        source("png", png.clone(), (48, 32)),
        source("alpha", clear.clone(), (31, 50)),
        source("sixteen bits", deep, (48, 32)),
        source("grey", grey, (48, 32)),
        source("webp", made(&clear, "format=webp"), (31, 50)),
        source("avif", made(&png, "format=avif"), (48, 32)),
        source("animated webp", made(&moving, "format=webp"), (33, 21)),
        source("gif", moving, (33, 21)),
        source(
            "bordered",
            encoded(&DynamicImage::ImageRgba8(framed), ImageFormat::Png),
            (60, 40),
        ),
    ]
}

fn render(source: &[u8], options: &str) -> Result<Encoded, Error> {
    let config = Config::default();
    let policy = Policy::new(&config.policy(), config.zone, Vec::new())
        .expect("the shipped settings are right");
    let (parsed, _) = Options::parse(options).expect(options);
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let (recipe, _) = policy.decide(&parsed, accept).map_err(Error::from)?;
    let source = transform::Source::open(source.to_vec().into(), &Limits::default())?;
    let plan = source.plan(&recipe, &Hints::default())?;
    let budget = Budget::until(Instant::now() + Duration::from_secs(300));
    plan.render(&budget).map_err(Error::from)
}

/// The size of the result, computed from the documentation and not with the code under test. `None` where nothing is left.
fn predicted(source: (u32, u32), options: &Options) -> Option<(u32, u32)> {
    use safelight::options::{Fit, Length, Rotation};
    let dpr = options.dpr.map_or(1.0, |dpr| dpr.get());
    let cut = |side: u32, length: Option<Length>| match length {
        None => None,
        Some(Length::Pixels(pixels)) => Some((f64::from(pixels) * dpr).round()),
        Some(Length::Share(share)) => Some((f64::from(side) * share.get()).round()),
    };
    let trimmed = |side, before, after, extent| {
        let rest =
            f64::from(side) - cut(side, before).unwrap_or(0.0) - cut(side, after).unwrap_or(0.0);
        cut(side, extent).map_or(rest, |extent| extent.min(rest))
    };
    let (mut width, mut height) = (
        trimmed(
            source.0,
            options.trim_left,
            options.trim_right,
            options.trim_width,
        ),
        trimmed(
            source.1,
            options.trim_top,
            options.trim_bottom,
            options.trim_height,
        ),
    );
    if width < 1.0 || height < 1.0 {
        return None;
    }
    if matches!(
        options.rotate,
        Some(Rotation::Clockwise90 | Rotation::Clockwise270)
    ) {
        std::mem::swap(&mut width, &mut height);
    }
    let wide = match options.width {
        Some(Width::Pixels(width)) => Some((f64::from(width.get()) * dpr).round().max(1.0)),
        // The client sends no hints and is no phone.
        Some(Width::Auto) => options
            .wdesktop
            .map(|width| (f64::from(width.get()) * dpr).round()),
        None => None,
    };
    let high = options
        .height
        .map(|height| (f64::from(height.get()) * dpr).round().max(1.0));
    let fit = options.fit.unwrap_or(Fit::ScaleDown);
    let (across, down) = match (wide, high) {
        (None, None) => (width, height),
        (Some(wide), Some(high)) => {
            let (inside, around) = (
                (wide / width).min(high / height),
                (wide / width).max(high / height),
            );
            match fit {
                Fit::ScaleDown => (width * inside.min(1.0), height * inside.min(1.0)),
                Fit::ScaleUp => (width * inside.max(1.0), height * inside.max(1.0)),
                Fit::Contain => (width * inside, height * inside),
                Fit::Cover | Fit::Pad | Fit::Squeeze => (wide, high),
                Fit::Crop => (width.min(wide), height.min(high)),
                Fit::AspectCrop if around <= 1.0 => (wide, high),
                Fit::AspectCrop => {
                    let most = (width / wide).min(height / high);
                    (wide * most, high * most)
                }
            }
        }
        (one, other) => {
            let scale =
                one.map_or(0.0, |wide| wide / width) + other.map_or(0.0, |high| high / height);
            let scale = match fit {
                Fit::ScaleDown | Fit::Crop | Fit::AspectCrop => scale.min(1.0),
                Fit::ScaleUp => scale.max(1.0),
                Fit::Contain | Fit::Cover | Fit::Pad | Fit::Squeeze => scale,
            };
            (width * scale, height * scale)
        }
    };
    let line =
        |side: Option<u32>| (f64::from(side.or(options.border_width).unwrap_or(0)) * dpr).round();
    let whole = |inner: f64, one, other| {
        let whole = inner.round().max(1.0) + line(one) + line(other);
        format!("{whole}").parse().expect("a whole number")
    };
    Some((
        whole(across, options.border_left, options.border_right),
        whole(down, options.border_top, options.border_bottom),
    ))
}

/// The number of covering arrays: one, or as many as `SAFELIGHT_ROUNDS` says.
#[expect(
    clippy::disallowed_methods,
    reason = "this is a switch of the tests, no setting of the program"
)]
fn rounds() -> usize {
    env::var("SAFELIGHT_ROUNDS").map_or(1, |rounds| rounds.parse().expect("a number of rounds"))
}

#[test]
fn every_pair_of_values_has_its_size_and_no_server_error() {
    let sources = sources();
    let mut dice = Dice(0x5AFE_1164);
    let mut checked = 0;
    for _ in 0..rounds() {
        for row in covering_rows(&mut dice) {
            let options = spelled(&row);
            for source in &sources {
                check(source, &options);
                checked += 1;
            }
        }
    }
    assert!(checked > 200, "{checked} pictures were made");
}

#[track_caller]
fn check(source: &Source, options: &str) {
    let about = format!("{} by {options}", source.name);
    let (parsed, _) = Options::parse(options).expect(options);
    let expected = predicted(source.size, &parsed);
    // How much `trim=border` cuts depends on the pixels, and cannot be predicted for tiny pictures.
    let searched = parsed.trim.is_some();
    match render(&source.bytes, options) {
        Ok(made) => {
            let size = (made.size.width, made.size.height);
            if !searched {
                assert_eq!(Some(size), expected, "{about}");
            }
            if made.format == Format::Json {
                return;
            }
            let shown = render(&made.bytes, "format=png-force,anim=false")
                .unwrap_or_else(|error| panic!("{about}: what was made cannot be read: {error}"));
            assert_eq!((shown.size.width, shown.size.height), size, "{about}");
        }
        Err(error) => {
            let status = error.info().status;
            assert!(status.is_client_error(), "{about}: {status} {error}");
            assert_eq!(expected, None, "{about}: {error}");
        }
    }
}

//! What a render is thought to hold, and what it holds: the peak of a process that renders one picture.

use std::fs;
use std::io::Cursor;
use std::io::Read;
use std::process::Command;
use std::process::Stdio;

use image::Delay;
use image::DynamicImage;
use image::Frame;
use image::ImageFormat;
use image::Rgba;
use image::RgbaImage;
use image::codecs::gif::GifEncoder;
use safelight::options::Options;
use safelight::policy::Config;
use safelight::policy::Policy;
use safelight::policy::ZoneOrigin;
use safelight::request::Accept;
use safelight::transform;
use safelight::transform::Clues;
use safelight::transform::Limits;
use safelight::transform::Source;

use crate::support::process::BINARY;
use crate::support::samples;

/// What the process holds before it looks at a picture, and what its allocator rounds up: 10 MiB optimised, three times as much of code
/// that is not.
const BASE: u64 = 32 << 20;

/// Compares estimate and peak of one render, whose output must not fit into a pipe.
#[track_caller]
fn check(what: &str, source: &[u8], options: &str, extension: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("source");
    let output = folder.path().join("made").with_extension(extension);
    fs::write(&input, source).expect("a fresh folder");
    // Whoever writes to it waits for its reader, so that the peak can be looked at after the last step and before the end.
    let made = Command::new("mkfifo").arg(&output).status();
    assert!(made.expect("there is a mkfifo").success());
    let mut child = Command::new(BINARY)
        .arg("transform")
        .arg(&input)
        .arg(options)
        .arg("-o")
        .arg(&output)
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary was built");
    let mut pipe = fs::File::open(&output).expect("a pipe");
    let peak = peak(child.id());
    let mut written = Vec::new();
    pipe.read_to_end(&mut written).expect("a picture");
    assert!(child.wait().expect("it ran").success(), "{what}");
    assert!(
        written.len() > 65_536,
        "{what}: {} bytes fit into a pipe",
        written.len()
    );

    let policy = Policy::new(&Config::default(), ZoneOrigin::default(), Vec::new())
        .expect("the default policy");
    let asked = match format_of(extension) {
        Some(format) => format!("{options},format={format}"),
        None => options.to_owned(),
    };
    let (options, _) = Options::parse(&asked).expect("right options");
    let accept = Accept {
        avif: true,
        webp: true,
    };
    let (recipe, _) = policy.decide(&options, accept).expect("within the limits");
    let limits = Limits::default();
    let source = Source::open(source.to_vec().into(), &limits).expect("a header");
    let price = transform::price(&source, &recipe, &Clues::default(), &limits).expect("a picture");
    let Some(peak) = peak else { return };
    let (peak, bytes) = (peak >> 10, price.bytes >> 10);
    assert!(
        peak <= bytes + (BASE >> 10),
        "{what}: {peak} KiB resident, the estimate is {bytes} KiB"
    );
    assert!(
        bytes <= 6 * peak,
        "{what}: {peak} KiB resident, the estimate of {bytes} KiB keeps others out"
    );
}

/// What the command makes of the extension of its output.
fn format_of(extension: &str) -> Option<&str> {
    match extension {
        "png" => Some("png-force"),
        "jpg" => Some("jpeg"),
        "gif" => None,
        other => Some(other),
    }
}

/// The most bytes of a process that were resident; `None` where the system does not tell.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

fn translucent(width: u32, height: u32) -> RgbaImage {
    let opaque = image::load_from_memory(&samples::png(width, height)).expect("a PNG of our own");
    let mut picture = opaque.into_rgba8();
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        pixel.0[3] = u8::try_from((x ^ y) & 0xFF).unwrap_or(u8::MAX);
    }
    picture
}

fn png(picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .expect("a PNG in memory");
    bytes
}

#[test]
fn a_jpeg_stays_within_its_price() {
    let source = samples::jpeg(2400, 1800);
    check(
        "progressive JPEG, smaller",
        &source,
        "width=1000,quality=98",
        "jpg",
    );
    check(
        "progressive JPEG, as it is",
        &source,
        "width=2399,quality=95",
        "jpg",
    );
    check(
        "progressive JPEG, larger",
        &source,
        "width=3600,fit=contain",
        "jpg",
    );
    check(
        "progressive JPEG to AVIF",
        &source,
        "width=1600,quality=98",
        "avif",
    );
    let source = samples::rendered(&source, "format=baseline-jpeg,quality=80").bytes;
    check(
        "sequential JPEG, smaller",
        &source,
        "width=1000,quality=98",
        "jpg",
    );
    check(
        "sequential JPEG to WebP",
        &source,
        "width=2000,quality=95",
        "webp",
    );
    check(
        "sequential JPEG, turned and blurred",
        &source,
        "rotate=90,blur=3,width=1500",
        "png",
    );
}

#[test]
fn a_png_with_alpha_stays_within_its_price() {
    let source = png(&translucent(1800, 1400).into());
    check("PNG with alpha, smaller", &source, "width=900", "png");
    check(
        "PNG with alpha, nearly as it is",
        &source,
        "width=1799",
        "png",
    );
    check("PNG with alpha to WebP", &source, "width=1400", "webp");
    check(
        "PNG with alpha to AVIF",
        &source,
        "width=1400,quality=95",
        "avif",
    );
}

#[test]
fn a_deep_png_stays_within_its_price() {
    let source = png(&DynamicImage::from(translucent(1800, 1400))
        .into_rgba16()
        .into());
    check("deep PNG with alpha", &source, "width=1799", "png");
    let source = png(&DynamicImage::from(translucent(1800, 1400))
        .into_rgb16()
        .into());
    check("deep PNG", &source, "width=800", "png");
}

#[test]
fn a_webp_stays_within_its_price() {
    let opaque = samples::png(1800, 1400);
    let source = samples::rendered(&opaque, "format=webp,quality=100").bytes;
    check("lossless WebP", &source, "width=900,quality=98", "jpg");
    check(
        "lossless WebP, nearly as it is",
        &source,
        "width=1799",
        "jpg",
    );
    check(
        "lossless WebP to lossless WebP",
        &source,
        "width=900,quality=100",
        "webp",
    );
    let source = samples::webp(1800, 1400);
    check("lossy WebP", &source, "width=900,quality=98", "jpg");
}

#[test]
fn an_animation_stays_within_its_price() {
    let mut source = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut source, 30);
    for frame in 0..4u32 {
        let picture = RgbaImage::from_fn(600, 450, |x, y| {
            let mixed = (x * 7 + frame * 31) ^ (y * 5);
            Rgba([
                (mixed & 0xFF) as u8,
                (x & 0xFF) as u8,
                (y & 0xFF) as u8,
                255,
            ])
        });
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder
            .encode_frame(Frame::from_parts(picture, 0, 0, delay))
            .expect("a GIF in memory");
    }
    drop(encoder);
    check("GIF to GIF", &source, "width=400", "gif");
    check("GIF to WebP", &source, "width=400", "webp");
}

//! Pictures made by code: they are deterministic, and pictures of different sizes differ.

use std::io::Cursor;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use image::ImageFormat;
use image::Rgb;
use image::RgbImage;
use image::RgbaImage;
use safelight::options::{Options, Recipe};
use safelight::policy::{Config, Policy, ZoneConfig};
use safelight::request::Accept;
use safelight::transform::{Budget, Encoded, Hints, Limits, Source};

/// A picture like a photograph: smooth gradients with some grain.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    encoded(&textured(width, height, 12))
}

pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    rendered(&png(width, height), "format=jpeg,quality=90").bytes
}

pub fn webp(width: u32, height: u32) -> Vec<u8> {
    rendered(&png(width, height), "format=webp").bytes
}

/// A PNG of which one half is transparent.
pub fn translucent_png(width: u32, height: u32) -> Vec<u8> {
    let picture = RgbaImage::from_fn(width, height, |x, _| {
        image::Rgba([200, 40, 40, if x < width / 2 { 0 } else { 255 }])
    });
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .expect("a PNG in memory");
    bytes
}

/// Width and height of a picture that takes long to encode. The portable encoder takes ten times as long.
pub const LABORIOUS_SIZE: (u32, u32) = if cfg!(feature = "native") {
    (800, 600)
} else {
    (480, 360)
};

/// A picture with so much grain that an AVIF encoder takes a second or more.
pub fn laborious() -> Vec<u8> {
    rendered(
        &encoded(&textured(LABORIOUS_SIZE.0, LABORIOUS_SIZE.1, 200)),
        "format=jpeg,quality=90",
    )
    .bytes
}

/// The options that make its encoding slow.
pub const LABORIOUS: &str = "quality=95,format=avif";

/// Width and height, after decoding the whole picture.
#[track_caller]
pub fn size_of(bytes: &[u8]) -> (u32, u32) {
    let size = rendered(bytes, "format=png-force").size;
    (size.width, size.height)
}

/// The pixels, for comparing.
#[track_caller]
pub fn pixels_of(bytes: &[u8]) -> RgbaImage {
    let png = rendered(bytes, "format=png-force").bytes;
    image::load_from_memory(&png)
        .expect("a PNG of our own")
        .into_rgba8()
}

/// The type that the first bytes show.
pub fn mime_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        [
            _,
            _,
            _,
            _,
            b'f',
            b't',
            b'y',
            b'p',
            b'a',
            b'v',
            b'i',
            b'f',
            ..,
        ] => "image/avif",
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => "image/jxl",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        _ => "something else",
    }
}

/// The recipe for these options, by the default policy, for clients that accept every format.
#[track_caller]
pub fn recipe(options: &str) -> Recipe {
    let policy = Policy::new(&Config::default(), ZoneConfig::default(), Vec::new())
        .expect("the default policy");
    let (options, _) = Options::parse(options).expect("right options");
    let accept = Accept {
        avif: true,
        webp: true,
        ..Accept::default()
    };
    let (recipe, _) = policy.decide(&options, accept).expect("within the limits");
    recipe
}

/// Renders a source without server and cache.
#[track_caller]
pub fn rendered(source: &[u8], options: &str) -> Encoded {
    let recipe = recipe(options);
    let source = Source::open(source.to_vec().into(), &Limits::default()).expect("a header");
    let plan = source.plan(&recipe, &Hints::default()).expect("a plan");
    let budget = Budget::until(Instant::now() + Duration::from_secs(300));
    plan.render(&budget).expect("a picture")
}

fn textured(width: u32, height: u32, grain: u32) -> RgbImage {
    // An xorshift generator: grain that is the same on every machine.
    let mut state = 0x2545_f491_u32 ^ (width << 16) ^ height;
    let mut noise = move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % grain
    };
    RgbImage::from_fn(width, height, |x, y| {
        let slope = |part: u32, whole: u32| part * (255 - grain) / whole.max(1);
        let channels = [
            slope(x, width) + noise(),
            slope(y, height) + noise(),
            slope(x + y, width + height) + noise(),
        ];
        Rgb(channels.map(|value| u8::try_from(value).unwrap_or(u8::MAX)))
    })
}

fn encoded(picture: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .expect("a PNG in memory");
    bytes
}

/// A GIF of one pixel after a comment of `bytes` bytes, in blocks of one byte.
pub fn gif_of_comments(bytes: usize) -> Vec<u8> {
    let mut gif = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xFF\xFF\xFF\x21\xFE".to_vec();
    gif.extend(b"\x01x".repeat(bytes / 2));
    gif.extend(b"\0\x2C\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3B");
    gif
}

/// A GIF with so many frames, each in a colour of its own.
pub fn animated_gif(width: u32, height: u32, frames: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for number in 0..frames {
        let color = image::Rgba([number.wrapping_mul(40), 90, 200, 255]);
        let frame = image::Frame::new(RgbaImage::from_pixel(width, height, color));
        encoder.encode_frame(frame).expect("a GIF in memory");
    }
    drop(encoder);
    bytes
}

/// A drawing with three large pictures, each of which takes twelve bytes for a pixel while it is drawn.
pub fn heavy_drawing(width: u32, height: u32) -> String {
    let mut picture = Cursor::new(Vec::new());
    RgbImage::from_pixel(width, height, Rgb([40, 90, 160]))
        .write_to(&mut picture, ImageFormat::Png)
        .expect("a PNG in memory");
    let picture = BASE64_STANDARD.encode(picture.into_inner());
    let images: String = (0..3)
        .map(|at| {
            format!("<image x='{}' width='100' height='100' preserveAspectRatio='none' href='data:image/png;base64,{picture}'/>", at * 100)
        })
        .collect();
    format!("<svg xmlns='http://www.w3.org/2000/svg' width='300' height='100'>{images}</svg>")
}

/// A JPEG with an EXIF block that holds a text.
pub fn jpeg_with_exif(text: &[u8]) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x82\x98\0\x02".to_vec();
    exif.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
    exif.extend(26_u32.to_be_bytes());
    exif.extend([0; 4]);
    exif.extend(text);
    let length = u16::try_from(exif.len() + 2).expect("short").to_be_bytes();
    let plain = jpeg(64, 48);
    [&plain[..2], b"\xFF\xE1", &length, &exif, &plain[2..]].concat()
}

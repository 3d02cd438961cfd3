//! The pictures that are measured: noise, the worst case for an encoder, in every kind of source.

use std::io::Cursor;
use std::iter;

use image::Delay;
use image::DynamicImage;
use image::Frame;
use image::GrayImage;
use image::ImageBuffer;
use image::ImageFormat;
use image::RgbImage;
use image::Rgba;
use image::RgbaImage;
use image::codecs::gif::GifEncoder;
use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;

use crate::support::samples;

/// Kinds of sources.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Jpeg,
    JpegProgressive,
    JpegInks,
    JpegWithExif,
    Png,
    PngAlpha,
    Gray16,
    Rgba16,
    WebpAlpha,
    WebpLossless,
    Gif,
    Avif,
    AvifAlpha,
    JpegXl,
    Tiff,
    TiffPalette,
    Bmp,
    Pnm,
    Qoi,
    MovingGif,
    MovingPng,
    MovingWebp,
}

/// One colour in 24x16 and in 1100x800 pixels, by cjxl with loss: all of them are decoded the same way.
const JPEG_XL: [&str; 2] = [
    "ff0a03070013080100d000671328010050a132cab8c1cbb99e2f3f74584cdbb8ced056db1696248a8c639374028724b146038832666e0200e8000c042a4900",
    "ff0afa1868890c0013080100e081060c00000000000000000000000000000000000000000000000000000000000000671328010050a132cab8c1cbb99e2f3f74584cdbb8ced056db1656b2220505857be819f1620cd67894761004590000606eca0b639d4e01eef191f7493a10ee213c168a06335da2e175ed41a3ebe4e3217477cc7aa3f0f50aa8dfc4ff4f6918443b3d6d900f2332f2d3655f390b29b061630cc6c68dc19c050c18193884497ee9c33aa5705e4fe1c46000da2e10f263ed9402819204",
];

impl Kind {
    pub const OF_BROWSERS: [Kind; 11] = [
        Kind::Jpeg,
        Kind::JpegProgressive,
        Kind::Png,
        Kind::PngAlpha,
        Kind::Rgba16,
        Kind::WebpAlpha,
        Kind::WebpLossless,
        Kind::Gif,
        Kind::Avif,
        Kind::AvifAlpha,
        Kind::MovingWebp,
    ];

    pub const OF_DESKTOPS: [Kind; 8] = [
        Kind::JpegInks,
        Kind::Gray16,
        Kind::JpegXl,
        Kind::Tiff,
        Kind::TiffPalette,
        Kind::Bmp,
        Kind::Pnm,
        Kind::Qoi,
    ];

    /// A picture of this kind.
    pub fn picture(self, (width, height): (u32, u32)) -> Vec<u8> {
        let rgb = || RgbImage::from_vec(width, height, noise(width * height * 3));
        let rgb = || DynamicImage::from(rgb().expect("as many samples"));
        let rgba = || RgbaImage::from_vec(width, height, noise(width * height * 4));
        let rgba = || DynamicImage::from(rgba().expect("as many samples"));
        match self {
            Kind::Jpeg => jpeg((width, height), ColorType::Rgb, false),
            Kind::JpegProgressive => jpeg((width, height), ColorType::Rgb, true),
            Kind::JpegInks => jpeg((width, height), ColorType::Cmyk, false),
            Kind::JpegWithExif => with_exif(&jpeg((width, height), ColorType::Rgb, true)),
            Kind::Png => file(&rgb(), ImageFormat::Png),
            Kind::PngAlpha => file(&rgba(), ImageFormat::Png),
            Kind::Gray16 => {
                let samples = deep(width * height);
                let picture = ImageBuffer::from_vec(width, height, samples);
                file(
                    &DynamicImage::ImageLuma16(picture.expect("as many samples")),
                    ImageFormat::Png,
                )
            }
            Kind::Rgba16 => {
                let samples = deep(width * height * 4);
                let picture = ImageBuffer::from_vec(width, height, samples);
                file(
                    &DynamicImage::ImageRgba16(picture.expect("as many samples")),
                    ImageFormat::Png,
                )
            }
            Kind::WebpAlpha => of_png(&rgba(), "format=webp"),
            Kind::WebpLossless => of_png(&rgba(), "format=webp,quality=100"),
            Kind::Gif => moving_gif((width, height), 1),
            // A simple picture: with noise the encoder of the portable build would take a minute.
            Kind::Avif => samples::rendered(&samples::png(width, height), "format=avif").bytes,
            Kind::AvifAlpha => {
                samples::rendered(&samples::translucent_png(width, height), "format=avif").bytes
            }
            Kind::JpegXl => bytes(JPEG_XL[usize::from(width > 24)]),
            Kind::Tiff => file(&rgb(), ImageFormat::Tiff),
            Kind::TiffPalette => palette_tiff_of((width, height), 0),
            Kind::Bmp => file(&rgb(), ImageFormat::Bmp),
            Kind::Pnm => file(&rgb(), ImageFormat::Pnm),
            Kind::Qoi => file(&rgb(), ImageFormat::Qoi),
            Kind::MovingGif => moving_gif((width, height), FRAMES),
            Kind::MovingPng => moving_png((width, height)),
            Kind::MovingWebp => {
                samples::rendered(
                    &moving_gif((width, height), FRAMES),
                    &format!("width={},format=webp,quality=100", width - 1),
                )
                .bytes
            }
        }
    }
}

/// The number of frames of animations.
const FRAMES: u32 = 5;

/// Random samples that are the same on every machine, by an xorshift generator.
fn noise(length: u32) -> Vec<u8> {
    deep(length)
        .into_iter()
        .map(|sample| sample.to_le_bytes()[0])
        .collect()
}

fn deep(length: u32) -> Vec<u16> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [_, _, low, high, ..] = state.to_le_bytes();
        u16::from_le_bytes([low, high])
    };
    iter::repeat_with(next).take(length as usize).collect()
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut bytes), format)
        .expect("a file in memory");
    bytes
}

fn of_png(picture: &DynamicImage, options: &str) -> Vec<u8> {
    samples::rendered(&file(picture, ImageFormat::Png), options).bytes
}

fn jpeg((width, height): (u32, u32), color: ColorType, is_progressive: bool) -> Vec<u8> {
    let channels = if color == ColorType::Cmyk { 4 } else { 3 };
    let samples = noise(width * height * channels);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_progressive(is_progressive);
    let side = |side: u32| u16::try_from(side).expect("a small picture");
    encoder
        .encode(&samples, side(width), side(height), color)
        .expect("a JPEG in memory");
    bytes
}

/// Inserts segments after the first marker of a JPEG.
fn with_segments(jpeg: &[u8], marker: u8, contents: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let (start, rest) = jpeg.split_at(2);
    let mut made = start.to_vec();
    for content in contents {
        let length = u16::try_from(content.len() + 2).expect("fits into a segment");
        made.extend([0xFF, marker]);
        made.extend(length.to_be_bytes());
        made.extend(content);
    }
    made.extend(rest);
    made
}

/// Adds an EXIF segment with a photographer's name and a description that fills it.
fn with_exif(jpeg: &[u8]) -> Vec<u8> {
    let text = vec![b'x'; 60_000];
    let mut block = b"Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x82\x98\0\x02".to_vec();
    block.extend(60_000_u32.to_be_bytes());
    block.extend([0, 0, 0, 26, 0, 0, 0, 0]);
    block.extend(text);
    with_segments(jpeg, 0xE1, iter::once(block))
}

/// A JPEG with a colour profile in `parts` segments of the greatest length.
pub fn jpeg_with_profile(size: (u32, u32), parts: u8) -> Vec<u8> {
    let contents = (1..=parts).map(|number| {
        let mut content = b"ICC_PROFILE\0".to_vec();
        content.extend([number, parts]);
        content.resize(65_533, 0);
        content
    });
    with_segments(&jpeg(size, ColorType::Rgb, false), 0xE2, contents)
}

/// A TIFF of 8x8 palette indices, followed by many unused bytes.
pub fn palette_tiff(padding: usize) -> Vec<u8> {
    palette_tiff_of((8, 8), padding)
}

fn palette_tiff_of((width, height): (u32, u32), padding: usize) -> Vec<u8> {
    let area = width * height;
    const MAP: u32 = 8;
    const DATA: u32 = MAP + 3 * 256 * 2;
    let directory = DATA + area;
    let mut file = b"II\x2A\0".to_vec();
    file.extend(directory.to_le_bytes());
    file.extend(deep(3 * 256).into_iter().flat_map(u16::to_le_bytes));
    file.extend(noise(area));
    // Tag, type, count, value: sides, 8 bits, no compression, a palette, one strip.
    let entries: [(u16, u16, u32, u32); 9] = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 3),
        (273, 4, 1, DATA),
        (278, 4, 1, height),
        (279, 4, 1, area),
        (320, 3, 768, MAP),
    ];
    file.extend([9, 0]);
    for (tag, kind, count, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    file.resize(file.len() + padding, 0);
    file
}

fn moving_gif((width, height): (u32, u32), frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, 30);
    for number in 0..frames {
        let shades = GrayImage::from_vec(width, height, noise(width * height));
        let shades = shades.expect("as many samples");
        let picture = RgbaImage::from_fn(width, height, |x, y| {
            let [shade] = shades.get_pixel(x, y).0;
            let moved = shade.wrapping_add(u8::try_from(number * 40 % 256).unwrap_or(0));
            Rgba([moved & 0xE0, shade & 0xE0, moved << 6, 255])
        });
        let delay = Delay::from_numer_denom_ms(100, 1);
        encoder
            .encode_frame(Frame::from_parts(picture, 0, 0, delay))
            .expect("a GIF in memory");
    }
    drop(encoder);
    bytes
}

fn moving_png((width, height): (u32, u32)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(FRAMES, 0).expect("some frames");
    let mut writer = encoder.write_header().expect("a PNG in memory");
    for number in 0..FRAMES {
        let mut samples = noise(width * height * 4);
        samples.rotate_left(number as usize);
        writer.write_image_data(&samples).expect("as many samples");
    }
    drop(writer);
    bytes
}

/// An animated WebP of one pixel and very many frames.
pub fn many_frames(count: usize) -> Vec<u8> {
    let pixel = samples::rendered(&samples::png(1, 1), "format=webp,quality=100").bytes;
    let (_, picture) = pixel.split_at(12);
    let mut frame = vec![0; 12];
    frame.extend([10, 0, 0, 0]);
    frame.extend(picture);
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    let mut chunk = |name: &[u8; 4], content: &[u8]| {
        file.extend(name);
        let length = u32::try_from(content.len()).expect("a small chunk");
        file.extend(length.to_le_bytes());
        file.extend(content);
        file.resize(file.len().next_multiple_of(2), 0);
    };
    chunk(b"VP8X", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    chunk(b"ANIM", &[0; 6]);
    for _ in 0..count {
        chunk(b"ANMF", &frame);
    }
    let length = u32::try_from(file.len() - 8).expect("a small file");
    file[4..8].copy_from_slice(&length.to_le_bytes());
    file
}

/// Makes a file of about this many bytes.
type Maker = fn(usize) -> Vec<u8>;

/// Hostile files with their names: their headers take as much time and memory as possible.
pub const HOSTILE_HEADERS: [(&str, Maker); 5] = [
    ("TIFF with a palette", palette_tiff),
    ("JPEG XL in parts", jpeg_xl_in_parts),
    ("truncated WebP", truncated_webp),
    ("SVG of attributes", svg_of_attributes),
    ("PNM of white space", pnm_of_white_space),
];

/// A JPEG XL whose codestream is split into parts of one byte, and later of a kilobyte.
fn jpeg_xl_in_parts(length: usize) -> Vec<u8> {
    const LARGE: usize = 1 << 10;
    let mut file = bytes("0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20");
    let mut number = 0_u32;
    let mut part = |content: &[u8]| {
        let length = u32::try_from(12 + content.len()).expect("a small part");
        file.extend(length.to_be_bytes());
        file.extend(b"jxlp");
        file.extend(number.to_be_bytes());
        file.extend(content);
        number += 1;
        file.len()
    };
    let codestream = Kind::JpegXl.picture((24, 16));
    for byte in codestream.chunks(1) {
        part(byte);
    }
    while part(&[0; LARGE]) + LARGE < length {}
    file
}

/// An animated WebP of very many frames, of which the last is cut off.
fn truncated_webp(length: usize) -> Vec<u8> {
    let frame = many_frames(2).len() - many_frames(1).len();
    let mut file = many_frames(length / frame);
    file.truncate(file.len() - frame / 2);
    file
}

/// A drawing whose root element has very many attributes, but no more than a build without optimisation parses in a few seconds.
fn svg_of_attributes(length: usize) -> Vec<u8> {
    const LONGEST: usize = 2 << 20;
    let mut file = b"<svg xmlns=\"http://www.w3.org/2000/svg\"".to_vec();
    while file.len() < length.min(LONGEST) {
        file.extend(b" a=\"\"");
    }
    file.extend(b"/>");
    file
}

fn pnm_of_white_space(length: usize) -> Vec<u8> {
    let mut file = b"P5".to_vec();
    file.resize(length, b' ');
    file
}

/// A drawing with a gradient under blended layers.
pub fn drawing((width, height): (u32, u32)) -> Vec<u8> {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 100 100\">\
         <linearGradient id=\"g\"><stop stop-color=\"red\"/><stop offset=\"1\" stop-color=\"blue\"/></linearGradient>\
         <rect width=\"100\" height=\"100\" fill=\"url(#g)\"/>"
    );
    for number in 0..3 {
        svg += &format!(
            "<g opacity=\"0.5\"><circle cx=\"{0}\" cy=\"{0}\" r=\"40\"/>",
            30 + number * 20
        );
    }
    svg += "</g></g></g></svg>";
    svg.into_bytes()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("is ASCII");
            u8::from_str_radix(pair, 16).expect("is hexadecimal")
        })
        .collect()
}

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::pixels::{Channels, Raster, Samples, Size};
use crate::transform::render::placeholders::{ImageInfo, Placeholders, SourceInfo, of_picture};

/// A picture whose pixels are given by their place.
fn painted(width: u32, height: u32, paint: impl Fn(u32, u32) -> [u8; 4]) -> Raster {
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    Raster {
        size: Size::new(width, height),
        channels: Channels::Rgba,
        samples: Samples::U8(places.flat_map(|(x, y)| paint(x, y)).collect()),
    }
}

/// Two thirds orange sky, which gets a little darker, and a third of green meadow.
fn landscape(width: u32, height: u32) -> Raster {
    painted(width, height, |x, y| {
        if y * 3 < height * 2 {
            [240, 150, u8::try_from(40 + x % 8).unwrap_or(40), 255]
        } else {
            [30, 120, 40, 255]
        }
    })
}

fn average(samples: &[u8]) -> [f64; 3] {
    let pixels = samples.chunks_exact(4);
    let count = pixels.len() as f64;
    pixels.fold([0.0; 3], |sum, pixel| {
        [0, 1, 2].map(|channel| sum[channel] + f64::from(pixel[channel]) / count)
    })
}

#[track_caller]
fn assert_near(made: [f64; 3], expected: [f64; 3], tolerance: f64) {
    assert!(
        made.iter()
            .zip(expected)
            .all(|(made, expected)| (made - expected).abs() <= tolerance),
        "{made:?} is not {expected:?}"
    );
}

fn color(placeholders: &Placeholders) -> Option<[f64; 3]> {
    let hex = placeholders.dominant_color.as_ref()?.strip_prefix('#')?;
    let number = u32::from_str_radix(hex, 16).ok()?;
    assert_eq!(hex.len(), 6);
    Some([16, 8, 0].map(|shift| f64::from(number >> shift & 0xFF)))
}

/// The picture in a data URI.
fn lqip(placeholders: &Placeholders) -> Raster {
    let data = placeholders
        .lqip
        .strip_prefix("data:image/webp;base64,")
        .expect("a data URI");
    let file = STANDARD.decode(data).expect("base64");
    let header = decode::header(&file).expect("a header");
    let scale = DecodeScale::WHOLE;
    decode::pixels(&file, &header, scale)
        .expect("pixels")
        .raster
}

#[test]
fn the_shape_is_cloudflares_with_ours_beside() {
    let original = SourceInfo {
        file_size: 12_345,
        width: 200,
        height: 100,
        format: "image/png",
    };
    let mut facts = ImageInfo {
        width: 50,
        height: 25,
        original,
        frames: None,
        placeholders: None,
    };
    assert_eq!(
        String::from_utf8_lossy(&facts.to_json().expect("serializes")),
        r#"{"width":50,"height":25,"original":{"file_size":12345,"width":200,"height":100,"format":"image/png"}}"#
    );
    facts.frames = Some(3);
    facts.placeholders = Some(Placeholders {
        dominant_color: None,
        thumbhash: "AA==".to_owned(),
        blurhash: "L\"\\".to_owned(),
        lqip: "data:".to_owned(),
    });
    let read: Value =
        serde_json::from_slice(&facts.to_json().expect("serializes")).expect("is JSON");
    assert_eq!(
        read,
        json!({
            "width": 50, "height": 25,
            "original": { "file_size": 12345, "width": 200, "height": 100, "format": "image/png" },
            "frames": 3, "thumbhash": "AA==", "blurhash": "L\"\\", "lqip": "data:",
        })
    );
}

#[test]
fn placeholders_show_the_picture() {
    let picture = landscape(100, 60);
    let made = of_picture(&picture).expect("makes placeholders");
    assert_eq!(of_picture(&picture), Ok(made.clone()), "always the same");
    let expected = average(&picture.clone().into_u8().expect("there is memory"));

    let hash = STANDARD.decode(&made.thumbhash).expect("base64");
    let (width, height, samples) = thumbhash::thumb_hash_to_rgba(&hash).expect("a hash");
    assert!(width > height);
    assert_near(average(&samples), expected, 12.0);

    // Without contrast BlurHash is the average of light, not of codes; with it, sky is above the meadow.
    let light = |samples: &[u8]| {
        let pixels = average(samples);
        pixels.map(|code| 255.0 * (code / 255.0).powf(2.2))
    };
    let samples = blurhash::decode(&made.blurhash, 2, 2, 0.0).expect("a hash");
    let (sky, meadow) = (light(&[240, 150, 43, 255]), light(&[30, 120, 40, 255]));
    let mixed = [0, 1, 2].map(|channel| (2.0 * sky[channel] + meadow[channel]) / 3.0);
    // Where sky meets meadow, what would be darker than black is black: a little light too much.
    assert_near(light(&samples), mixed, 6.0);
    let samples = blurhash::decode(&made.blurhash, 1, 8, 1.0).expect("a hash");
    assert!(samples[0] > samples[7 * 4] + 100);
    // Four waves across, three down.
    assert_eq!(made.blurhash.len(), 1 + 1 + 4 + 2 * 11);

    let tiny = lqip(&made);
    assert_eq!(tiny.size, Size::new(16, 10));
    assert!(made.lqip.len() < 250, "{}", made.lqip);
    let samples: Vec<u8> = tiny
        .into_u8()
        .expect("there is memory")
        .chunks_exact(3)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], 255])
        .collect();
    assert_near(average(&samples), expected, 12.0);

    assert_near(color(&made).expect("a colour"), [240.0, 150.0, 43.0], 4.0);
}

#[test]
fn the_dominant_color_is_no_mixture() {
    // Red and blue in equal parts but for one pixel: purple is nowhere.
    let picture = painted(10, 10, |x, y| {
        if x < 5 || (x, y) == (5, 0) {
            [200, 10, 10, 255]
        } else {
            [10, 10, 200, 255]
        }
    });
    let made = of_picture(&picture).expect("makes placeholders");
    assert_eq!(made.dominant_color.as_deref(), Some("#c80a0a"));
}

#[test]
fn transparent_pixels_have_no_color() {
    let logo = painted(30, 60, |x, _| {
        if x < 5 {
            [0, 90, 180, 255]
        } else {
            [255, 0, 0, 0]
        }
    });
    let made = of_picture(&logo).expect("makes placeholders");
    assert_eq!(made.dominant_color.as_deref(), Some("#005ab4"));
    let tiny = lqip(&made);
    assert_eq!(
        (tiny.size, tiny.channels),
        (Size::new(8, 16), Channels::Rgba)
    );
    let hash = STANDARD.decode(&made.thumbhash).expect("base64");
    let (.., alpha) = thumbhash::thumb_hash_to_average_rgba(&hash).expect("a hash");
    assert!(alpha < 0.3, "{alpha}");

    let nothing = of_picture(&painted(3, 3, |_, _| [9, 9, 9, 0])).expect("makes placeholders");
    assert_eq!(nothing.dominant_color, None);
}

#[test]
fn every_size_and_depth_is_taken() {
    for (width, height, tiny) in [
        (1, 1, (1, 1)),
        (300, 1, (16, 1)),
        (1, 200, (1, 16)),
        (250, 200, (16, 13)),
    ] {
        let made = of_picture(&landscape(width, height)).expect("makes placeholders");
        let size = lqip(&made).size;
        assert_eq!((size.width, size.height), tiny, "{width}x{height}");
        assert!(made.dominant_color.is_some());
    }
    let deep = Raster {
        size: Size::new(2, 1),
        channels: Channels::Rgb,
        samples: Samples::U16(vec![0xFFFF, 0x8080, 0, 0xFFFF, 0x8080, 0]),
    };
    let made = of_picture(&deep).expect("makes placeholders");
    assert_eq!(made.dominant_color.as_deref(), Some("#ff8000"));
}

//! Pictures drawn by hand, where it is plain what catches the eye.

use crate::pixels::orientation::Orientation;
use crate::pixels::{Channels, Raster, Rect, Samples, Size};
use crate::transform::plan::saliency::SaliencyMap;

const WHOLE: Rect = Rect {
    left: 0.0,
    top: 0.0,
    width: 1.0,
    height: 1.0,
};

/// A disc of a colour on grey of a little grain, its centre in shares of the sides, its radius in pixels.
fn disc(size: Size, (x, y): (f64, f64), radius: f64, color: [u8; 4]) -> Raster {
    let (x, y) = (x * f64::from(size.width), y * f64::from(size.height));
    let samples = (0..size.height)
        .flat_map(|row| (0..size.width).map(move |column| (column, row)))
        .flat_map(|(column, row)| {
            let (across, down) = (f64::from(column) + 0.5 - x, f64::from(row) + 0.5 - y);
            let grain = u8::from((column * 7 + row * 13) % 5 == 0) * 4;
            if across * across + down * down < radius * radius {
                color
            } else {
                [120 + grain, 120 + grain, 120 + grain, 255]
            }
        })
        .collect();
    Raster {
        size,
        channels: Channels::Rgba,
        samples: Samples::U8(samples),
    }
}

fn plain(size: Size, color: [u8; 4]) -> Raster {
    Raster {
        size,
        channels: Channels::Rgba,
        samples: Samples::U8(color.repeat(size.len())),
    }
}

const ORANGE: [u8; 4] = [240, 120, 20, 255];

#[test]
fn a_window_goes_where_the_disc_is() {
    let size = Size::new(180, 120);
    for (x, y) in [(0.12, 0.2), (0.5, 0.5), (0.85, 0.2), (0.3, 0.8), (0.9, 0.9)] {
        let raster = disc(size, (x, y), 12.0, ORANGE);
        for map in [SaliencyMap::of(&raster), SaliencyMap::detail_of(&raster)] {
            let window = (0.4, 0.5);
            let (left, top) = map.focus(WHOLE, window);
            let (left, top) = (left * 0.6, top * 0.5);
            assert!(
                left <= x - 0.05
                    && x + 0.05 <= left + 0.4
                    && top <= y - 0.08
                    && y + 0.08 <= top + 0.5,
                "a disc at {x}, {y}, a window at {left}, {top}"
            );
        }
    }
}

#[test]
fn a_part_is_searched_and_nothing_else() {
    // Two discs; the part holds the paler one alone, at its right end.
    let size = Size::new(160, 80);
    let mut raster = disc(size, (0.1, 0.5), 12.0, ORANGE);
    let pale = disc(size, (0.8, 0.5), 10.0, [150, 150, 120, 255]);
    if let (Samples::U8(samples), Samples::U8(pale)) = (&mut raster.samples, pale.samples) {
        for (row, line) in samples
            .chunks_exact_mut(160 * 4)
            .zip(pale.chunks_exact(160 * 4))
        {
            row[320..].copy_from_slice(&line[320..]);
        }
    }
    let map = SaliencyMap::of(&raster);
    let right = Rect {
        left: 0.4,
        top: 0.0,
        width: 0.6,
        height: 1.0,
    };
    assert!(map.focus(WHOLE, (0.3, 1.0)).0 < 0.1);
    let (x, _) = map.focus(right, (0.3, 1.0));
    let centre = 0.4 + 0.6 * (x * 0.7 + 0.15);
    assert!((centre - 0.8).abs() < 0.06, "{centre}");
}

#[test]
fn a_picture_without_anything_in_it_is_cut_in_the_middle() {
    for raster in [
        plain(Size::new(200, 100), [13, 130, 230, 255]),
        plain(Size::new(200, 100), [13, 130, 230, 0]),
        plain(Size::new(1, 1), ORANGE),
        plain(Size::new(1, 300), ORANGE),
        plain(Size::new(300, 1), [0, 0, 0, 255]),
    ] {
        for map in [SaliencyMap::of(&raster), SaliencyMap::detail_of(&raster)] {
            for window in [(0.3, 1.0), (1.0, 0.21), (0.5, 0.5), (0.01, 0.01)] {
                assert_eq!(map.focus(WHOLE, window), (0.5, 0.5), "{:?}", raster.size);
            }
        }
    }
}

#[test]
fn windows_and_parts_beyond_reason_are_answered_within() {
    let map = SaliencyMap::of(&disc(Size::new(64, 48), (0.2, 0.2), 6.0, ORANGE));
    let wild = [-3.0, 0.0, 1e-300, 0.5, 1.0, 7.0, f64::NAN, f64::INFINITY];
    for a in wild {
        for b in wild {
            let part = Rect {
                left: a,
                top: b,
                width: b,
                height: a,
            };
            for (x, y) in [map.focus(WHOLE, (a, b)), map.focus(part, (b, 0.5))] {
                assert!(
                    (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y),
                    "{a} {b}"
                );
            }
        }
    }
    assert_eq!(map.focus(WHOLE, (1.0, 1.0)), (0.5, 0.5));
}

#[test]
fn what_is_transparent_catches_no_eye() {
    let size = Size::new(160, 80);
    // An orange disc that cannot be seen at the left, a grey one that can at the right.
    let mut raster = disc(size, (0.2, 0.5), 14.0, [255, 90, 0, 0]);
    let seen = disc(size, (0.8, 0.5), 14.0, [60, 60, 60, 255]);
    if let (Samples::U8(samples), Samples::U8(seen)) = (&mut raster.samples, seen.samples) {
        for (row, line) in samples
            .chunks_exact_mut(160 * 4)
            .zip(seen.chunks_exact(160 * 4))
        {
            for pixel in row[..320]
                .chunks_exact_mut(4)
                .filter(|pixel| pixel[3] == 255)
            {
                pixel.copy_from_slice(&[0, 255, 0, 0]);
            }
            row[320..].copy_from_slice(&line[320..]);
        }
    }
    let (x, _) = SaliencyMap::of(&raster).focus(WHOLE, (0.3, 1.0));
    assert!(x > 0.8, "{x}");
}

#[test]
fn a_map_turned_is_the_map_of_the_turned_picture() {
    // Sides that divide into cells, so that the same pixels make a cell from either end.
    let raster = disc(Size::new(256, 128), (0.2, 0.3), 20.0, ORANGE);
    for tag in 1..=8 {
        let orientation = Orientation::from_exif(tag);
        let turned = SaliencyMap::of(&raster).turned(orientation);
        let expected = SaliencyMap::of(
            &orientation
                .upright(raster.clone())
                .expect("there is memory"),
        );
        assert_eq!(turned.size, expected.size);
        let furthest = turned
            .cells
            .iter()
            .zip(&expected.cells)
            .map(|(one, other)| one.abs_diff(*other))
            .max();
        assert!(
            furthest.is_some_and(|most| most <= 2),
            "{tag}: {furthest:?}"
        );
        let (x, y) = turned.focus(WHOLE, (0.5, 0.5));
        let (expected_x, expected_y) = expected.focus(WHOLE, (0.5, 0.5));
        assert!(
            (x - expected_x).abs() < 0.1 && (y - expected_y).abs() < 0.1,
            "{tag}: {x} {y}, expected {expected_x} {expected_y}"
        );
    }
}

#[test]
fn depth_and_an_idle_alpha_make_no_difference() {
    let raster = disc(Size::new(150, 100), (0.2, 0.3), 14.0, ORANGE);
    let map = SaliencyMap::of(&raster);
    assert_eq!(
        SaliencyMap::of(&raster.clone().without_alpha().expect("there is memory")),
        map
    );
    let Samples::U8(samples) = &raster.samples else {
        panic!("8 bits")
    };
    let deep = Raster {
        samples: Samples::U16(samples.iter().map(|&byte| u16::from(byte) * 257).collect()),
        ..raster.clone()
    };
    assert_eq!(SaliencyMap::of(&deep), map);
}

#[test]
fn a_map_is_small_whatever_the_picture() {
    for (size, expected) in [
        (Size::new(256, 128), Size::new(64, 32)),
        (Size::new(90, 3), Size::new(64, 2)),
        (Size::new(1, 500), Size::new(1, 64)),
        (Size::new(10, 20), Size::new(10, 20)),
    ] {
        let map = SaliencyMap::of(&plain(size, ORANGE));
        assert_eq!(map.size, expected, "{size:?}");
        assert_eq!(map.cells.len(), expected.len());
    }
}

#[test]
fn a_map_survives_as_a_picture() {
    let map = SaliencyMap::of(&disc(Size::new(150, 100), (0.2, 0.3), 14.0, ORANGE));
    let png = map.to_png().expect("a map is a picture");
    assert_eq!(SaliencyMap::from_png(&png), Some(map));
}

#[test]
fn other_pictures_are_no_maps() {
    let map = SaliencyMap::of(&disc(Size::new(150, 100), (0.2, 0.3), 14.0, ORANGE));
    let png = map.to_png().expect("a map is a picture");
    assert_eq!(SaliencyMap::from_png(b""), None);
    assert_eq!(SaliencyMap::from_png(b"not a picture"), None);
    assert_eq!(SaliencyMap::from_png(&png[..png.len() / 2]), None);
    let large = SaliencyMap {
        size: Size::new(65, 1),
        cells: vec![0; 65],
    };
    let large = large.to_png().expect("any size is a picture");
    assert_eq!(SaliencyMap::from_png(&large), None);
    let mut colorful = Vec::new();
    let mut encoder = png::Encoder::new(&mut colorful, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&[1, 2, 3]))
        .expect("a picture of one pixel");
    assert_eq!(SaliencyMap::from_png(&colorful), None);
}

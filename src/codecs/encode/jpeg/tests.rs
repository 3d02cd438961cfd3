//! The requirements for a JPEG encoder, in every build.

use crate::options::{Effort, Format, Quality};

use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::encode;
use crate::codecs::encode::picture::Picture;
#[cfg(feature = "native")]
use crate::codecs::encode::planes;
use crate::codecs::encode::settings::Settings;
#[cfg(feature = "native")]
use crate::pixels::Plane;
use crate::pixels::Size;
#[cfg(feature = "native")]
use crate::pixels::Subsampling;

fn written(picture: &Picture, quality: u8, progressive: bool) -> Vec<u8> {
    let settings = Settings {
        effort: Effort::Settled,
        quality: Quality::new(quality).expect("a quality"),
        progressive,
        palette: false,
        profile: None,
    };
    encode(picture, Format::Jpeg, settings).expect("a picture")
}

/// Red rising to the right, blue rising downwards, both so slowly that halved chroma loses nothing.
fn gradient(size: Size) -> Vec<u8> {
    let rise = |at: u32| u8::try_from(60 + at % 160).expect("below 220");
    (0..size.height)
        .flat_map(|y| (0..size.width).map(move |x| (x, y)))
        .flat_map(|(x, y)| [rise(x), 90, rise(y)])
        .collect()
}

/// The largest difference of any sample between what was written and what a file shows.
fn difference(file: &[u8], size: Size, samples: &[u8]) -> u8 {
    let header = decode::header(file).expect("a header");
    assert_eq!(header.size, size);
    let scale = DecodeScale::WHOLE;
    let decoded = decode::pixels(file, &header, scale).expect("a whole file");
    let raster = decoded.raster;
    let channels = raster.channels.count();
    let shown = raster.into_u8().expect("there is memory");
    assert_eq!(shown.len(), size.len() * channels);
    // A grey file has one sample for three.
    let shown = shown
        .iter()
        .flat_map(|&sample| std::iter::repeat_n(sample, 3 / channels));
    samples
        .iter()
        .zip(shown)
        .map(|(&sample, shown)| sample.abs_diff(shown))
        .max()
        .expect("a pixel")
}

/// The segment that describes the frame: its marker, and what stands behind the sides.
fn frame(file: &[u8]) -> (u8, Vec<u8>) {
    let mut rest = &file[2..];
    loop {
        let length = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let (segment, after) = rest.split_at(2 + length);
        if let 0xc0..=0xc2 = segment[1] {
            return (segment[1], segment[9..].to_vec());
        }
        rest = after;
    }
}

#[test]
fn every_small_size_comes_back() {
    for (width, height) in (1..=17).flat_map(|width| (1..=17).map(move |height| (width, height))) {
        let size = Size::new(width, height);
        let samples = gradient(size);
        for (quality, progressive) in [(85, false), (85, true), (95, false), (95, true)] {
            let file = written(&Picture::Rgb(size, samples.clone()), quality, progressive);
            let worst = difference(&file, size, &samples);
            assert!(worst <= 8, "{size:?} {quality} {progressive}: {worst}");
        }
    }
}

#[test]
fn scans_are_as_asked() {
    let size = Size::new(40, 30);
    let picture = Picture::Rgb(size, gradient(size));
    assert_eq!(frame(&written(&picture, 80, false)).0, 0xc0);
    assert_eq!(frame(&written(&picture, 80, true)).0, 0xc2);
}

#[test]
fn better_quality_costs_bytes() {
    let size = Size::new(160, 120);
    let mut samples = gradient(size);
    // A pattern that low qualities must lose.
    for (index, sample) in samples.iter_mut().enumerate() {
        *sample = sample.wrapping_add(u8::try_from(index * 7_919 % 23).expect("below 23"));
    }
    let picture = Picture::Rgb(size, samples);
    let lengths: Vec<_> = [1, 10, 30, 50, 70, 80, 90, 95, 100]
        .map(|quality| written(&picture, quality, true).len())
        .into();
    assert!(
        lengths.is_sorted_by(|worse, better| worse < better),
        "{lengths:?}"
    );
}

#[cfg(feature = "native")]
#[test]
fn planes_of_every_small_size_come_back() {
    for (width, height) in (1..=17).flat_map(|width| (1..=17).map(move |height| (width, height))) {
        let size = Size::new(width, height);
        let samples = gradient(size);
        for subsampling in [Subsampling::None, Subsampling::Both] {
            for progressive in [false, true] {
                let planar =
                    planes::of_rgb(size, &samples, 3, subsampling).expect("there is memory");
                let file = written(&Picture::Planar(planar, subsampling), 90, progressive);
                let worst = difference(&file, size, &samples);
                assert!(
                    worst <= 8,
                    "{size:?} {subsampling:?} {progressive}: {worst}"
                );
                let luma = frame(&file).1[2];
                assert_eq!(
                    luma,
                    if subsampling == Subsampling::Both {
                        0x22
                    } else {
                        0x11
                    }
                );
            }
        }
    }
}

#[cfg(feature = "native")]
#[test]
fn grey_stays_one_component() {
    for (width, height) in [(1, 1), (7, 9), (8, 8), (17, 16), (33, 40)] {
        let size = Size::new(width, height);
        let mut planar =
            planes::of_rgb(size, &gradient(size), 3, Subsampling::None).expect("there is memory");
        planar.chroma = None;
        let grey: Vec<u8> = planar
            .luma
            .samples
            .iter()
            .flat_map(|&sample| [sample; 3])
            .collect();
        for progressive in [false, true] {
            let picture = Picture::Planar(planar.clone(), Subsampling::Both);
            let file = written(&picture, 90, progressive);
            assert_eq!(frame(&file).1[0], 1, "components");
            let worst = difference(&file, size, &grey);
            assert!(worst <= 8, "{size:?} {progressive}: {worst}");
        }
    }
}

#[cfg(feature = "native")]
#[test]
fn planes_that_do_not_fit_each_other_are_refused() {
    let size = Size::new(20, 20);
    let settings = Settings {
        effort: Effort::Settled,
        quality: Quality::DEFAULT,
        progressive: false,
        palette: false,
        profile: None,
    };
    let good =
        planes::of_rgb(size, &gradient(size), 3, Subsampling::Both).expect("there is memory");
    let mut short = good.clone();
    short.luma.samples.pop();
    let mut large = good.clone();
    large.chroma = Some([(); 2].map(|()| Plane::filled(size, 128).expect("there is memory")));
    for planar in [short, large] {
        let picture = Picture::Planar(planar, Subsampling::Both);
        encode(&picture, Format::Jpeg, settings).expect_err("no picture");
    }
    encode(&Picture::Rgb(size, vec![0; 5]), Format::Jpeg, settings).expect_err("no picture");
    encode(
        &Picture::Planar(good, Subsampling::Both),
        Format::Jpeg,
        settings,
    )
    .expect("a picture");
}

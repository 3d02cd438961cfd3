use crate::codecs::decode::yuv::{ChromaInterpolator, Matrix, SampleScale, YuvFrame, to_raster};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Samples, Size};

fn frame(depth: u32, planes: &[&[u16]], size: Size, subsampled: (bool, bool)) -> YuvFrame {
    YuvFrame {
        size,
        subsampled,
        depth,
        planes: planes.iter().map(|plane| plane.to_vec()).collect(),
        matrix: Matrix::from_cicp(6),
        full_range: true,
        space: ColorSpace::Srgb,
    }
}

fn one(depth: u32, planes: [u16; 3], code: u8, full: bool) -> Samples {
    let [y, cb, cr] = planes;
    let frame = frame(
        depth,
        &[&[y], &[cb], &[cr]],
        Size::new(1, 1),
        (false, false),
    );
    to_raster(&frame, None, Matrix::from_cicp(code), full, false)
        .expect("there is memory")
        .samples
}

#[test]
fn colours_follow_their_matrix_and_range() {
    assert_eq!(
        one(8, [255, 128, 128], 6, true),
        Samples::U8(vec![255, 255, 255])
    );
    assert_eq!(
        one(8, [235, 128, 128], 6, false),
        Samples::U8(vec![255, 255, 255])
    );
    assert_eq!(one(8, [16, 128, 128], 1, false), Samples::U8(vec![0, 0, 0]));
    // Pure red: luma 76, Cb 85, Cr 255 in BT.601 full range (JFIF, section 7); 63, 102, 240 in BT.709 limited range.
    assert_eq!(one(8, [76, 85, 255], 6, true), Samples::U8(vec![254, 0, 0]));
    assert_eq!(
        one(8, [63, 102, 240], 1, false),
        Samples::U8(vec![255, 1, 0])
    );
    assert_eq!(one(8, [10, 20, 30], 0, true), Samples::U8(vec![30, 10, 20]));
    assert_eq!(
        one(10, [1023, 512, 512], 9, true),
        Samples::U16(vec![65_535; 3])
    );
}

/// A row of the last component, as it is.
fn chroma(frame: &YuvFrame, y: usize) -> Vec<f32> {
    let scale = SampleScale {
        factor: 1.0,
        added: 0.0,
    };
    let mut row = Vec::new();
    let mut interpolator = ChromaInterpolator {
        scale,
        rows: Default::default(),
    };
    interpolator.row(&frame.planes[2], frame, y, &mut row);
    row
}

#[test]
fn chroma_is_interpolated_between_samples() {
    let size = Size::new(4, 2);
    let planes: [&[u16]; 3] = [&[128; 8], &[128, 128], &[100, 200]];
    let across = frame(8, &planes, size, (true, true));
    assert_eq!(chroma(&across, 0), [100.0, 125.0, 175.0, 200.0]);
    // Odd sides: two rows and two columns of chroma.
    let size = Size::new(3, 3);
    let planes: [&[u16]; 3] = [&[128; 9], &[128; 4], &[0, 40, 80, 120]];
    let odd = frame(8, &planes, size, (true, true));
    assert_eq!(chroma(&odd, 0), [0.0, 10.0, 30.0]);
    assert_eq!(chroma(&odd, 1), [20.0, 30.0, 50.0]);
    assert_eq!(chroma(&odd, 2), [60.0, 70.0, 90.0]);
    // 4:2:2: halved across alone.
    let planes: [&[u16]; 3] = [&[128; 9], &[128; 6], &[0, 40, 80, 120, 4, 8]];
    let across = frame(8, &planes, size, (true, false));
    assert_eq!(chroma(&across, 1), [80.0, 90.0, 110.0]);
}

#[test]
fn tiles_are_joined_and_cut() {
    let tile = |value: u16| frame(8, &[&[value; 4]], Size::new(2, 2), (false, false));
    let joined = |tiles: Vec<YuvFrame>, columns: usize, size: Size| {
        YuvFrame::joined(tiles, columns, size).expect("there is memory")
    };
    let four = vec![tile(1), tile(2), tile(3), tile(4)];
    let whole = joined(four, 2, Size::new(3, 3)).expect("they fit");
    assert_eq!(whole.planes[0], [1, 1, 2, 1, 1, 2, 3, 3, 4]);
    assert!(joined(vec![tile(1), tile(2)], 2, Size::new(5, 2)).is_none());
    assert!(joined(vec![tile(1), tile(2), tile(3)], 2, Size::new(4, 4)).is_none());
    assert!(joined(vec![], 2, Size::new(1, 1)).is_none());
    assert!(joined(vec![tile(1)], 0, Size::new(1, 1)).is_none());
}

#[test]
fn premultiplied_colours_are_divided() {
    let color = frame(8, &[&[64], &[128], &[128]], Size::new(1, 1), (false, false));
    let alpha = frame(8, &[&[128]], Size::new(1, 1), (false, false));
    let made =
        to_raster(&color, Some(&alpha), Matrix::from_cicp(6), true, true).expect("there is memory");
    assert_eq!(made.samples, Samples::U8(vec![128, 128, 128, 128]));
}

#[test]
fn nothing_becomes_nothing() {
    let none = frame(8, &[&[], &[], &[]], Size::new(0, 0), (true, true));
    let made = to_raster(&none, None, Matrix::from_cicp(6), true, false).expect("there is memory");
    assert_eq!(made.samples, Samples::U8(vec![]));
}

use super::Flip;
use super::Orientation;
use super::Rotation;
use crate::pixels::{Channels, Raster, Rect, Samples, Size};

/// Stored forms of the upright picture `123/456`, by EXIF tag.
const STORED: [(u32, u32, &[u8]); 8] = [
    (1, 3, &[1, 2, 3, 4, 5, 6]),
    (2, 3, &[3, 2, 1, 6, 5, 4]),
    (3, 3, &[6, 5, 4, 3, 2, 1]),
    (4, 3, &[4, 5, 6, 1, 2, 3]),
    (5, 2, &[1, 4, 2, 5, 3, 6]),
    (6, 2, &[3, 6, 2, 5, 1, 4]),
    (7, 2, &[6, 3, 5, 2, 4, 1]),
    (8, 2, &[4, 1, 5, 2, 6, 3]),
];

fn stored(width: u32, samples: &[u8]) -> Raster {
    Raster {
        size: Size::new(width, 6 / width),
        channels: Channels::Gray,
        samples: Samples::U8(samples.to_vec()),
    }
}

#[test]
fn every_exif_orientation_comes_out_upright() {
    for (tag, width, samples) in STORED {
        let upright = Orientation::from_exif(tag).upright(stored(width, samples));
        let expected = stored(3, &[1, 2, 3, 4, 5, 6]);
        assert_eq!(upright, Ok(expected), "orientation {tag}");
    }
}

#[test]
fn a_rectangle_of_the_upright_picture_is_found_in_the_stored_one() {
    // The `6` of the upright picture: right column, lower row.
    let six = Rect {
        left: 2.0,
        top: 1.0,
        width: 1.0,
        height: 1.0,
    };
    for (tag, width, samples) in STORED {
        let Rect { left, top, .. } = Orientation::from_exif(tag).stored_rect(six, Size::new(3, 2));
        let found = samples
            .iter()
            .position(|&sample| sample == 6)
            .expect("every stored form has a 6");
        assert_eq!(
            (left, top),
            (
                (found % width as usize) as f64,
                (found / width as usize) as f64
            ),
            "orientation {tag}"
        );
    }
}

#[test]
fn heif_rotates_counter_clockwise_and_mirrors_afterwards() {
    for (rotation, mirror, tag) in [
        (0, None, 1),
        (90, None, 8),
        (180, None, 3),
        (270, None, 6),
        (0, Some(0), 4),
        (0, Some(1), 2),
        (90, Some(0), 5),
        (90, Some(1), 7),
        (180, Some(1), 4),
        (270, Some(0), 7),
        (270, Some(1), 5),
    ] {
        assert_eq!(
            Orientation::from_heif(rotation, mirror),
            Orientation::from_exif(tag),
            "{rotation} {mirror:?}"
        );
    }
}

#[test]
fn two_turns_are_one() {
    for (first, ..) in STORED {
        for (second, ..) in STORED {
            let (first, second) = (
                Orientation::from_exif(first),
                Orientation::from_exif(second),
            );
            let picture = stored(3, &[1, 2, 3, 4, 5, 6]);
            assert_eq!(
                first.then(second).upright(picture.clone()),
                first
                    .upright(picture)
                    .and_then(|turned| second.upright(turned)),
                "{first:?} then {second:?}"
            );
        }
        let turn = Orientation::from_exif(first);
        assert!(turn.then(turn.inverse()).is_upright(), "{turn:?}");
        assert!(turn.inverse().then(turn).is_upright(), "{turn:?}");
    }
}

#[test]
fn a_url_mirrors_first_and_turns_clockwise() {
    let rows: [(Option<Flip>, Rotation, u32, &[u8]); 6] = [
        (None, Rotation::Upright, 3, &[1, 2, 3, 4, 5, 6]),
        (
            Some(Flip::Horizontal),
            Rotation::Upright,
            3,
            &[3, 2, 1, 6, 5, 4],
        ),
        (
            Some(Flip::Both),
            Rotation::Clockwise180,
            3,
            &[1, 2, 3, 4, 5, 6],
        ),
        (None, Rotation::Clockwise90, 2, &[4, 1, 5, 2, 6, 3]),
        (None, Rotation::Clockwise270, 2, &[3, 6, 2, 5, 1, 4]),
        (
            Some(Flip::Vertical),
            Rotation::Clockwise90,
            2,
            &[1, 4, 2, 5, 3, 6],
        ),
    ];
    for (flip, rotate, width, expected) in rows {
        let made = Orientation::asked(flip, rotate).upright(stored(3, &[1, 2, 3, 4, 5, 6]));
        assert_eq!(made, Ok(stored(width, expected)), "{flip:?} {rotate:?}");
    }
}

#[test]
fn out_of_range_tags_mean_upright() {
    assert!(
        [0, 1, 9, 65_535]
            .into_iter()
            .all(|tag| Orientation::from_exif(tag).is_upright())
    );
}

use moxcms::ColorProfile;

use super::ColorSpace;
use super::to_srgb;
use super::to_wide;
use crate::pixels::{Channels, Raster, Samples, Size};

fn one_pixel(channels: Channels, samples: &[u8]) -> Raster {
    Raster {
        size: Size::new(1, 1),
        channels,
        samples: Samples::U8(samples.to_vec()),
    }
}

fn icc(profile: &ColorProfile) -> ColorSpace {
    ColorSpace::from_icc(Some(
        profile.encode().expect("moxcms writes its own profiles"),
    ))
}

#[test]
fn an_srgb_profile_is_recognised_by_its_colours() {
    assert_eq!(icc(&ColorProfile::new_srgb()), ColorSpace::Srgb);
    assert_ne!(icc(&ColorProfile::new_display_p3()), ColorSpace::Srgb);
    assert_eq!(
        ColorSpace::from_icc(Some(b"not a profile".to_vec())),
        ColorSpace::Srgb
    );
    assert_eq!(ColorSpace::from_icc(None), ColorSpace::Srgb);
}

#[test]
fn display_p3_becomes_srgb() {
    // P3 (200, 100, 50) is sRGB (215, 93, 31) by the matrices of CSS Color 4.
    let made = to_srgb(
        one_pixel(Channels::Rgb, &[200, 100, 50]),
        &icc(&ColorProfile::new_display_p3()),
    )
    .expect("converts");
    let [red, green, blue] = made.into_u8().expect("there is memory")[..] else {
        panic!("three samples")
    };
    assert!(
        red.abs_diff(215) <= 1 && green.abs_diff(93) <= 1 && blue.abs_diff(31) <= 1,
        "{red} {green} {blue}"
    );
}

#[test]
fn alpha_is_no_colour() {
    let made = to_srgb(
        one_pixel(Channels::Rgba, &[200, 100, 50, 77]),
        &icc(&ColorProfile::new_display_p3()),
    )
    .expect("converts");
    assert_eq!(made.into_u8().expect("there is memory")[3], 77);
}

#[test]
fn cmyk_without_a_profile_darkens_the_paper() {
    for (inks, rgb) in [
        ([0, 0, 0, 0], [255; 3]),
        ([0, 0, 0, 255], [0; 3]),
        ([255, 0, 0, 0], [0, 255, 255]),
        ([0, 0, 0, 128], [127; 3]),
    ] {
        let made =
            to_srgb(one_pixel(Channels::Cmyk, &inks), &ColorSpace::Srgb).expect("needs no profile");
        assert_eq!(made.into_u8().expect("there is memory"), rgb, "{inks:?}");
    }
}

#[test]
fn a_profile_of_another_kind_is_ignored() {
    let made = to_srgb(
        one_pixel(Channels::Cmyk, &[0, 0, 0, 0]),
        &icc(&ColorProfile::new_display_p3()),
    )
    .expect("is ignored");
    assert_eq!(made.into_u8().expect("there is memory"), [255; 3]);
}

#[test]
fn usual_code_points_are_srgb() {
    for (primaries, transfer) in [(1, 13), (2, 2), (1, 1), (6, 6)] {
        assert_eq!(ColorSpace::from_cicp(primaries, transfer), ColorSpace::Srgb);
    }
    assert_ne!(ColorSpace::from_cicp(12, 13), ColorSpace::Srgb);
    assert_ne!(ColorSpace::from_cicp(9, 16), ColorSpace::Srgb);
}

#[test]
fn code_points_of_display_p3_become_srgb() {
    let made = to_srgb(
        one_pixel(Channels::Rgb, &[200, 100, 50]),
        &ColorSpace::from_cicp(12, 13),
    )
    .expect("converts");
    assert!(near(
        &made.into_u8().expect("there is memory"),
        [215, 93, 31]
    ));
}

fn near(samples: &[u8], expected: [u8; 3]) -> bool {
    samples
        .iter()
        .zip(expected)
        .all(|(&sample, expected)| sample.abs_diff(expected) <= 1)
}

#[test]
fn wide_spaces_are_kept_with_their_profile() {
    let own = |profile: ColorProfile| icc(&profile);
    for space in [
        own(ColorProfile::new_display_p3()),
        own(ColorProfile::new_adobe_rgb()),
        own(ColorProfile::new_pro_photo_rgb()),
        own(ColorProfile::new_bt2020()),
        ColorSpace::from_cicp(12, 13),
        ColorSpace::from_cicp(9, 13),
        ColorSpace::from_cicp(9, 14),
    ] {
        let pixel = one_pixel(Channels::Rgba, &[200, 100, 50, 9]);
        let (kept, profile) = to_wide(pixel.clone(), &space).expect("is kept");
        assert_eq!(kept, pixel, "{space:?}");
        let profile = profile.expect("a wide space needs its profile");
        if let ColorSpace::Icc(bytes) = &space {
            assert_eq!(&profile, bytes);
        }
        // The profile that goes out says the same as the space that came in.
        let read = to_srgb(pixel.clone(), &ColorSpace::from_icc(Some(profile)))
            .expect("converts")
            .into_u8()
            .expect("there is memory");
        let meant = to_srgb(pixel, &space)
            .expect("converts")
            .into_u8()
            .expect("there is memory");
        assert!(
            near(&read[..3], [meant[0], meant[1], meant[2]]),
            "{read:?} {meant:?}"
        );
    }
    // A grey raster in an RGB profile.
    let (grey, profile) = to_wide(
        one_pixel(Channels::Gray, &[7]),
        &icc(&ColorProfile::new_display_p3()),
    )
    .expect("is kept");
    assert_eq!(grey.into_u8().expect("there is memory"), [7; 3]);
    assert!(profile.is_some());
}

#[test]
fn other_spaces_become_srgb_also_where_wide_ones_are_kept() {
    let mut swapped = ColorProfile::new_display_p3();
    std::mem::swap(&mut swapped.red_colorant, &mut swapped.green_colorant);
    let mut linear = ColorProfile::new_display_p3();
    let curve = Some(moxcms::ToneReprCurve::Lut(vec![]));
    (linear.red_trc, linear.green_trc, linear.blue_trc) = (curve.clone(), curve.clone(), curve);
    (swapped.cicp, linear.cicp) = (None, None);
    for (channels, space) in [
        (Channels::Rgb, ColorSpace::Srgb),
        (Channels::Rgb, icc(&swapped)),
        (Channels::Rgb, icc(&linear)),
        (Channels::Rgb, icc(&ColorProfile::new_display_p3_pq())),
        (Channels::Rgb, icc(&ColorProfile::new_gray_with_gamma(1.8))),
        (Channels::Rgb, ColorSpace::from_cicp(9, 16)),
        (Channels::Rgb, ColorSpace::from_cicp(12, 18)),
        (Channels::Rgb, ColorSpace::from_cicp(12, 8)),
        (Channels::Rgb, ColorSpace::from_cicp(77, 13)),
        (Channels::Gray, icc(&ColorProfile::new_gray_with_gamma(1.8))),
        (Channels::Cmyk, icc(&ColorProfile::new_display_p3())),
    ] {
        let pixel = one_pixel(channels, &[200, 100, 50, 9][..channels.count()]);
        let made = to_wide(pixel.clone(), &space).expect("is converted");
        let expected = to_srgb(pixel, &space).expect("is converted");
        assert_eq!(made, (expected, None), "{channels:?} {space:?}");
    }
}

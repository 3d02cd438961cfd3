//! What holds in every animated format.

use std::time::Duration;

use gif::DisposalMethod;
use png::BlendOp;
use png::DisposeOp;

use crate::codecs::decode::frames::animation;
use crate::codecs::decode::frames::tests::apng::apng;
use crate::codecs::decode::frames::tests::frames;
use crate::codecs::decode::frames::tests::gif::gif;
use crate::codecs::decode::frames::tests::webp::webp;
use crate::codecs::sniff::SourceFormat;

#[test]
fn delays_are_as_stored() {
    let delays: Vec<Duration> = frames(
        &gif(&[
            (0, "R", DisposalMethod::Keep),
            (0, "G", DisposalMethod::Keep),
        ]),
        SourceFormat::Gif,
    )
    .expect("decodes")
    .iter()
    .map(|frame| frame.delay)
    .collect();
    assert_eq!(delays, [Duration::from_millis(70); 2]);
}

#[test]
fn one_frame_is_a_still() {
    assert_eq!(
        animation(&gif(&[(0, "R", DisposalMethod::Keep)]), SourceFormat::Gif),
        None
    );
    assert_eq!(
        animation(
            &apng(None, 1, &[(0, "RRRR", DisposeOp::None, BlendOp::Source)]),
            SourceFormat::Png
        ),
        None
    );
    assert_eq!(animation(&webp(1), SourceFormat::Webp), None);
    for kind in [
        SourceFormat::Gif,
        SourceFormat::Png,
        SourceFormat::Webp,
        SourceFormat::Jpeg,
        SourceFormat::Avif,
    ] {
        assert_eq!(animation(b"", kind), None);
        assert_eq!(animation(b"GIF89a\x01\0\x01\0\0\0\0\x2C", kind), None);
    }
}

/// From a truncated file, the complete frames are decoded as in the whole file, and as many as were counted.
#[test]
fn complete_frames_of_a_truncated_file_are_shown() {
    let gif = gif(&[
        (0, "RRRR", DisposalMethod::Keep),
        (0, "GG", DisposalMethod::Previous),
        (1, "BB", DisposalMethod::Background),
        (3, "G", DisposalMethod::Keep),
    ]);
    let apng = apng(
        None,
        4,
        &[
            (0, "RRRR", DisposeOp::None, BlendOp::Source),
            (0, "GG", DisposeOp::Previous, BlendOp::Over),
            (1, "BB", DisposeOp::Background, BlendOp::Over),
            (3, "G", DisposeOp::None, BlendOp::Over),
        ],
    );
    for (source, kind) in [
        (gif, SourceFormat::Gif),
        (apng, SourceFormat::Png),
        (webp(4), SourceFormat::Webp),
    ] {
        let whole = frames(&source, kind).expect("decodes");
        assert_eq!(whole.len(), 4, "{kind:?}");
        let mut most = 0;
        for length in 0..source.len() {
            let cut = &source[..length];
            let counted = animation(cut, kind).map_or(0, |found| found.frames as usize);
            let shown = frames(cut, kind).unwrap_or_default();
            assert!(
                shown.len() <= 4 && whole.starts_with(&shown),
                "{kind:?} {length}"
            );
            // The count looks at containers: a frame may be complete in one and cut in the other by a byte or two.
            assert!(
                shown.len().abs_diff(counted) <= 1 || counted == 0,
                "{kind:?} {length}"
            );
            most = most.max(shown.len());
        }
        assert!(most >= 3, "{kind:?}");
    }
}

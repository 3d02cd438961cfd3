//! What is believed of an answer, and what is not.

use std::time::Duration;

use bytes::Bytes;

use super::Answer;
use super::Expectation;
use super::Kind;
use crate::options::{Format, Output, Warning};
use crate::transform::{Encoded, Limits, Size, Timings, TransformError};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0";
const LONG: Duration = Duration::from_secs(9);
const SHORT: Duration = Duration::from_secs(1);

fn expectation(kind: Kind) -> Expectation {
    Expectation {
        kind,
        source: Bytes::from_static(GIF),
        limits: Limits::default(),
        price: 1000,
        items: 0,
    }
}

fn picture(format: Format, width: u32) -> Encoded {
    Encoded {
        bytes: Vec::new(),
        format,
        size: Size { width, height: 10 },
        warnings: Vec::new(),
        timings: Timings {
            decode: LONG,
            resize: LONG,
            encode: LONG,
        },
    }
}

fn made(format: Format, width: u32) -> Answer {
    Answer::Encoded(Ok(picture(format, width)))
}

#[test]
fn an_answer_fits_its_job() {
    let png = || Some(PNG.to_vec());
    let side = u32::MAX;
    for (what, kind, answer, file, is_believed) in [
        (
            "a PNG",
            Kind::File(Format::Png),
            made(Format::Png, 10),
            png(),
            true,
        ),
        (
            "no file",
            Kind::File(Format::Png),
            made(Format::Png, 10),
            None,
            false,
        ),
        (
            "another format",
            Kind::File(Format::Png),
            made(Format::Gif, 10),
            Some(GIF.to_vec()),
            false,
        ),
        (
            "other bytes",
            Kind::File(Format::Png),
            made(Format::Png, 10),
            Some(GIF.to_vec()),
            false,
        ),
        (
            "a size that cannot be",
            Kind::File(Format::Png),
            made(Format::Png, side),
            png(),
            false,
        ),
        (
            "another answer",
            Kind::File(Format::Png),
            Answer::Done,
            None,
            false,
        ),
        (
            "a drawing of a photograph",
            Kind::Pictures(vec![Output::Webp]),
            made(Format::Svg, 10),
            Some(b"<svg".to_vec()),
            false,
        ),
        (
            "facts in place of a picture",
            Kind::Pictures(vec![Output::Webp]),
            made(Format::Json, 10),
            Some(b"{}".to_vec()),
            false,
        ),
        (
            "one answer for several pictures",
            Kind::Pictures(vec![Output::Png; 2]),
            made(Format::Png, 10),
            png(),
            false,
        ),
        (
            "the same kind of file",
            Kind::Stripped,
            Answer::Stripped(None),
            Some(GIF.to_vec()),
            true,
        ),
        (
            "a file of another kind",
            Kind::Stripped,
            Answer::Stripped(None),
            png(),
            false,
        ),
    ] {
        let answer = expectation(kind).answer(answer, file, SHORT);
        assert_eq!(answer.is_some(), is_believed, "{what}");
    }
}

#[test]
fn a_batch_has_as_many_pictures_as_were_asked_for() {
    let mut expected = expectation(Kind::Pictures(vec![Output::Png; 2]));
    let mut item = |index| {
        let made = Ok(picture(Format::Png, 10));
        let item = expected.item(index, made, Some(PNG.to_vec()), SHORT);
        item.map(|(index, _)| index)
    };
    assert_eq!(item(2), None);
    assert_eq!(item(u64::MAX), None);
    assert_eq!([item(1), item(0), item(0)], [Some(1), Some(0), None]);
}

#[test]
fn what_is_said_of_a_picture_is_bounded() {
    let mut said = picture(Format::Png, 10);
    said.warnings = vec![Warning::new("short"); 40];
    said.warnings.insert(1, Warning::new("long ".repeat(1000)));
    let expected = expectation(Kind::File(Format::Png));
    let answer = expected.answer(Answer::Encoded(Ok(said)), Some(PNG.to_vec()), SHORT);
    let Some(Answer::Encoded(Ok(encoded))) = answer else {
        panic!("it fits");
    };
    assert!(encoded.warnings.len() <= 16, "{:?}", encoded.warnings);
    assert!(
        encoded
            .warnings
            .iter()
            .all(|warning| warning.as_str() == "short")
    );
    assert_eq!(encoded.timings.decode, SHORT);
    let error = TransformError::Decode("a\r\nb".repeat(1000));
    let answer = expected.answer(Answer::Encoded(Err(error)), None, SHORT);
    let Some(Answer::Encoded(Err(TransformError::Decode(text)))) = answer else {
        panic!("errors are answers");
    };
    assert!(text.len() <= 400 && !text.contains('\n'), "{text}");
}

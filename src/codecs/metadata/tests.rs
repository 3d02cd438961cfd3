use std::io::Cursor;

use exif::Field;
use exif::In;
use exif::Rational;
use exif::Tag;
use exif::Value;
use exif::experimental::Writer;

use crate::options::{Effort, Format, Metadata, Quality};

use crate::codecs::decode::DecodeScale;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::metadata::{
    MAX_BLOCK, OutputMetadata, SourceMetadata, attach, jpeg, orientation, read, select,
    select_from_source,
};
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{decode, encode};
use crate::pixels::orientation::Orientation;
use crate::pixels::{Raster, Size};

/// A TIFF header with one directory of one entry: the orientation.
pub fn exif_block(tag: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([tag, 0, 0, 0, 0, 0, 0]);
    block
}

pub(super) fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2)
        .expect("test segments are short")
        .to_be_bytes();
    [&[0xFF, marker], &length[..], content].concat()
}

#[test]
fn markers_are_read_in_any_order() {
    let file = [
        vec![0xFF, 0xD8],
        segment(0xE2, b"ICC_PROFILE\0\x02\x02second"),
        vec![0xFF],
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
        segment(0xE1, &[b"Exif\0\0", &exif_block(6)[..]].concat()),
        segment(0xEE, b"Adobe\0d\0\0\0\0\0"),
        segment(0xE2, b"ICC_PROFILE\0\x01\x02first "),
        segment(0xDA, b"scan"),
        segment(0xE1, b"Exif\0\0after the scan"),
    ]
    .concat();
    let found = jpeg(&file);
    assert_eq!(found.icc.as_deref(), Some(&b"first second"[..]));
    assert_eq!(
        orientation(found.exif.as_deref()),
        Orientation::from_exif(6)
    );
    for length in 0..file.len() {
        let _ = jpeg(&file[..length]);
    }
}

#[test]
fn broken_exif_means_upright() {
    for block in [&b""[..], b"MM", b"II*\0\xFF\xFF\xFF\xFF", b"Exif\0\0"] {
        assert_eq!(orientation(Some(block)), Orientation::default());
    }
    let mut wild = exif_block(6);
    wild[21] = 0xFF;
    let _ = orientation(Some(&wild));
}

const PACKET: &str = "<?xpacket begin=\"\"?><x:xmpmeta><rdf:Description tiff:Orientation=\"6\" dc:rights=\"all\"/></x:xmpmeta>";
pub(super) const THUMBNAIL: &[u8] = b"\xFF\xD8 a picture of what was cropped away \xFF\xD9";
pub(super) const NOTE: &[u8] = b"only its maker knows";
pub(super) const RIGHTS: &[u8] = b"Ansel\0Some Magazine";

/// What a camera writes: orientation, copyright of two persons, a maker note, a place, a thumbnail.
fn camera_block(little: bool) -> Vec<u8> {
    let field = |tag, value| Field {
        tag,
        ifd_num: In::PRIMARY,
        value,
    };
    let degrees = [(51, 1), (30, 1), (0, 1)].map(|(num, denom)| Rational { num, denom });
    let fields = [
        field(Tag::Orientation, Value::Short(vec![6])),
        field(Tag::Make, Value::Ascii(vec![b"Graflex".to_vec()])),
        field(
            Tag::Copyright,
            Value::Ascii(vec![b"Ansel".to_vec(), b"Some Magazine".to_vec()]),
        ),
        field(Tag::MakerNote, Value::Undefined(NOTE.to_vec(), 0)),
        field(Tag::GPSLatitude, Value::Rational(degrees.to_vec())),
        field(Tag::GPSLatitudeRef, Value::Ascii(vec![b"N".to_vec()])),
    ];
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    writer.set_jpeg(THUMBNAIL, In::THUMBNAIL);
    let mut block = Cursor::new(Vec::new());
    writer
        .write(&mut block, little)
        .expect("the fields are well made");
    block.into_inner()
}

fn read_block(block: &[u8]) -> exif::Exif {
    exif::Reader::new()
        .read_raw(block.to_vec())
        .expect("a block without fault")
}

pub(super) fn contains(block: &[u8], wanted: &[u8]) -> bool {
    block.windows(wanted.len()).any(|window| window == wanted)
}

pub(super) fn carried() -> SourceMetadata {
    SourceMetadata {
        exif: Some(camera_block(true)),
        xmp: Some(PACKET.into()),
        icc: None,
    }
}

fn picture(alpha: bool) -> Picture {
    let size = Size::new(24, 17);
    let samples = (0..size.len()).flat_map(|at| {
        let (x, y) = (at % 24 * 10, at / 24 * 15);
        let shade = |value: usize| u8::try_from(value % 256).unwrap_or(0);
        [shade(x), shade(y), shade(x + y), shade(255 - y / 2)]
    });
    if alpha {
        Picture::Rgba(size, samples.collect())
    } else {
        let samples = samples.enumerate().filter(|(at, _)| at % 4 < 3);
        Picture::Rgb(size, samples.map(|(_, sample)| sample).collect())
    }
}

/// A file of each shape that the encoders here write.
pub(super) fn files() -> Vec<(Format, SourceFormat, Vec<u8>)> {
    let shapes = [
        (Format::Jpeg, SourceFormat::Jpeg, false, 80),
        (Format::Png, SourceFormat::Png, false, 80),
        (Format::Png, SourceFormat::Png, true, 80),
        (Format::Webp, SourceFormat::Webp, false, 80),
        (Format::Webp, SourceFormat::Webp, true, 80),
        (Format::Webp, SourceFormat::Webp, false, 100),
        (Format::Webp, SourceFormat::Webp, true, 100),
        (Format::Avif, SourceFormat::Avif, false, 80),
        (Format::Avif, SourceFormat::Avif, true, 80),
    ];
    let file = |(format, source_format, alpha, quality)| {
        let settings = Settings {
            quality: Quality::new(quality).expect("from 1 to 100"),
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        };
        let bytes = encode::encode(&picture(alpha), format, settings).expect("encodes");
        (format, source_format, bytes)
    };
    shapes.into_iter().map(file).collect()
}

fn pixels(file: &[u8]) -> Raster {
    let scale = DecodeScale::WHOLE;
    let header = decode::header(file).expect("a header");
    assert!(header.orientation.is_upright());
    assert_eq!(header.size, Size::new(24, 17));
    decode::pixels(file, &header, scale).expect("pixels").raster
}

#[test]
fn blocks_go_into_every_format_and_come_out_again() {
    let profile = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("moxcms writes its own profiles");
    let carried = carried();
    for (format, source_format, file) in files() {
        let all = select(&carried, Metadata::Keep, format);
        assert!(all.exif.is_some() && all.xmp.is_some());
        let exif = || OutputMetadata {
            xmp: None,
            ..all.clone()
        };
        let xmp = || OutputMetadata {
            exif: None,
            ..all.clone()
        };
        for (kept, icc) in [
            (all.clone(), Some(&profile[..])),
            (all.clone(), None),
            (exif(), None),
            (xmp(), None),
            (OutputMetadata::default(), Some(&profile[..])),
            (OutputMetadata::default(), None),
        ] {
            let made = attach(file.clone(), format, &kept, icc).expect("attaches");
            let expected = SourceMetadata {
                exif: kept.exif,
                xmp: kept.xmp,
                icc: icc.map(<[u8]>::to_vec),
            };
            assert_eq!(read(&made, source_format), expected, "{format}");
            assert_eq!(pixels(&made), pixels(&file), "{format}");
            if expected == SourceMetadata::default() {
                assert_eq!(made, file);
            }
        }
    }
}

#[test]
fn the_decoders_see_the_profile() {
    let profile = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("moxcms writes its own profiles");
    for (format, _, file) in files() {
        let made =
            attach(file, format, &OutputMetadata::default(), Some(&profile)).expect("attaches");
        let header = decode::header(&made).expect("a header");
        let scale = DecodeScale::WHOLE;
        let decoded = decode::pixels(&made, &header, scale).expect("pixels");
        assert_eq!(
            decoded.space,
            crate::pixels::color::ColorSpace::Icc(profile.clone()),
            "{format}"
        );
    }
}

#[test]
fn keeping_leaves_all_but_orientation_and_thumbnail() {
    for little in [true, false] {
        let block = camera_block(little);
        assert!(contains(&block, THUMBNAIL));
        let carried = SourceMetadata {
            exif: Some(block.clone()),
            ..SourceMetadata::default()
        };
        let made = select(&carried, Metadata::Keep, Format::Jpeg)
            .exif
            .expect("EXIF is kept");
        assert!(!contains(&made, b"cropped away"));
        assert!(made.len() < block.len());
        assert!(orientation(Some(&made)).is_upright());
        let (before, after) = (read_block(&block), read_block(&made));
        assert!(after.fields().all(|field| field.ifd_num == In::PRIMARY));
        for field in before
            .fields()
            .filter(|field| field.ifd_num == In::PRIMARY && field.tag != Tag::Orientation)
        {
            let same = after
                .get_field(field.tag, In::PRIMARY)
                .map(|field| field.display_value().to_string());
            assert_eq!(same, Some(field.display_value().to_string()), "{field:?}");
        }
        // Nothing has moved: maker notes hold offsets.
        let place = |block: &[u8]| block.windows(NOTE.len()).position(|window| window == NOTE);
        assert_eq!(place(&made), place(&block));
    }
}

#[test]
fn a_thumbnail_in_the_middle_is_erased() {
    // Directory, second directory, five bytes of thumbnail, two bytes behind it.
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0\x1A\0\0\0".to_vec();
    block.extend(
        b"\x02\0\x01\x02\x04\0\x01\0\0\0\x38\0\0\0\x02\x02\x04\0\x01\0\0\0\x05\0\0\0\0\0\0\0",
    );
    block.extend(b"thumbno");
    let mut expected = block.clone();
    expected[18] = 1;
    expected[22..26].fill(0);
    expected[56..61].fill(0);
    let carried = SourceMetadata {
        exif: Some(block),
        ..SourceMetadata::default()
    };
    assert_eq!(
        select(&carried, Metadata::Keep, Format::Webp).exif,
        Some(expected)
    );
}

#[test]
fn copyright_leaves_both_parts_and_nothing_else() {
    for little in [true, false] {
        let carried = SourceMetadata {
            exif: Some(camera_block(little)),
            ..carried()
        };
        let made = select(&carried, Metadata::Copyright, Format::Jpeg);
        let block = made.exif.expect("there is a copyright");
        assert_eq!(made.xmp, None);
        let exif = read_block(&block);
        assert_eq!(exif.fields().count(), 1);
        let field = exif
            .get_field(Tag::Copyright, In::PRIMARY)
            .expect("the only field");
        let Value::Ascii(parts) = &field.value else {
            panic!("text stays text")
        };
        assert_eq!(parts.join(&0), RIGHTS);
    }
}

#[test]
fn short_and_blank_copyrights() {
    let block = |text: &[u8; 4]| {
        let mut block = b"MM\0*\0\0\0\x08\0\x01\x82\x98\0\x02\0\0\0\x04".to_vec();
        block.extend(text);
        block.extend([0; 4]);
        block
    };
    let copyright = |text| {
        let carried = SourceMetadata {
            exif: Some(block(text)),
            ..SourceMetadata::default()
        };
        select(&carried, Metadata::Copyright, Format::Jpeg).exif
    };
    assert_eq!(copyright(b"me \0"), Some(block(b"me \0")));
    assert_eq!(copyright(b"   \0"), None);
    let unended = copyright(b"mine").expect("a missing zero is added");
    let field = read_block(&unended);
    let field = field
        .get_field(Tag::Copyright, In::PRIMARY)
        .expect("is there");
    assert_eq!(field.display_value().to_string(), "\"mine\"");
}

#[test]
fn modes_and_formats_meet_in_one_table() {
    let carried = carried();
    for &format in Format::ALL {
        let can = matches!(
            format,
            Format::Jpeg | Format::Png | Format::Webp | Format::Avif | Format::Jxl
        );
        let what = |wanted| {
            let kept = select(&carried, wanted, format);
            (kept.exif.is_some(), kept.xmp.is_some())
        };
        assert_eq!(what(Metadata::Keep), (can, can), "{format}");
        assert_eq!(
            what(Metadata::Copyright),
            (format == Format::Jpeg, false),
            "{format}"
        );
        assert_eq!(what(Metadata::Nothing), (false, false), "{format}");
    }
    let packet = select(&carried, Metadata::Keep, Format::Webp).xmp;
    assert_eq!(
        packet,
        Some(PACKET.replace("Orientation=\"6", "Orientation=\"1").into())
    );
}

#[test]
fn blocks_that_are_not_kept_are_not_read() {
    for (format, source_format, file) in files() {
        let all = select(&carried(), Metadata::Keep, format);
        let source = attach(file, format, &all, None).expect("blocks fit");
        for wanted in [Metadata::Copyright, Metadata::Keep, Metadata::Nothing] {
            for &into in Format::ALL {
                let read = select(&read(&source, source_format), wanted, into);
                let direct = select_from_source(&source, source_format, wanted, into);
                assert_eq!(direct, read, "{source_format:?} {wanted} {into}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_into_a_jpeg_is_left_out() {
    let (format, source_format, file) = files().swap_remove(0);
    let long = OutputMetadata {
        exif: Some([&camera_block(true)[..], &[0; 65_536]].concat()),
        xmp: Some(vec![b'x'; 65_536]),
    };
    let profile = vec![7; 200_000];
    let made = attach(file.clone(), format, &long, Some(&profile)).expect("leaves out");
    let expected = SourceMetadata {
        icc: Some(profile),
        ..SourceMetadata::default()
    };
    assert_eq!(read(&made, source_format), expected);
    let endless = vec![7; MAX_BLOCK + 1];
    assert!(attach(file, format, &long, Some(&endless)).is_err());
}

#[test]
fn packed_texts_of_a_png_are_read_and_bombs_are_not() {
    use std::io::Write;
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&length, &name[..], content, &[0; 4]].concat()
    };
    let packed = |content: &[u8]| {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(content).expect("packs");
        packer.finish().expect("packs")
    };
    let read = |text: &[u8], profile: &[u8]| {
        let head = b"XML:com.adobe.xmp\0\x01\0en\0XMP\0";
        read(
            &[
                b"\x89PNG\r\n\x1a\n".to_vec(),
                chunk(b"iTXt", &[head, &packed(text)[..]].concat()),
                chunk(b"iCCP", &[b"name\0\0", &packed(profile)[..]].concat()),
                chunk(b"eXIf", &[b"Exif\0\0", &exif_block(6)[..]].concat()),
                chunk(b"IEND", b""),
                chunk(b"eXIf", b"MM\0*"),
            ]
            .concat(),
            SourceFormat::Png,
        )
    };
    let sound = read(PACKET.as_bytes(), b"a profile");
    assert_eq!(
        sound,
        SourceMetadata {
            exif: Some(exif_block(6)),
            xmp: Some(PACKET.into()),
            icc: Some(b"a profile".to_vec()),
        }
    );
    let bomb = vec![0; MAX_BLOCK + 1];
    let bombed = read(&bomb, &bomb);
    assert_eq!((bombed.xmp, bombed.icc), (None, None));
}

#[test]
fn code_points_of_a_png_come_before_its_profile() {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&length, &name[..], content, &[0; 4]].concat()
    };
    let read = |content: &[u8], before: &[u8; 4]| {
        let file = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(before, b""),
            chunk(b"cICP", content),
        ];
        crate::codecs::metadata::png_cicp(&file.concat())
    };
    assert_eq!(read(&[12, 13, 0, 1], b"IHDR"), Some((12, 13)));
    assert_eq!(read(&[12, 13, 0, 1], b"IDAT"), None);
    assert_eq!(read(&[12, 13, 0, 0], b"IHDR"), None);
    assert_eq!(read(&[12, 13, 1, 1], b"IHDR"), None);
    assert_eq!(read(&[12, 13], b"IHDR"), None);
}

#[test]
fn every_cut_and_every_wrong_byte_is_answered() {
    let carried = carried();
    for (format, source_format, file) in files() {
        let all = select(&carried, Metadata::Keep, format);
        let file = attach(file, format, &all, Some(b"a profile")).expect("attaches");
        for length in 0..file.len() {
            let _ = read(&file[..length], source_format);
        }
        let mut wrong = file.clone();
        for at in 0..file.len() {
            for value in [0, 0x7F, 0xFF] {
                wrong[at] = value;
                let carried = read(&wrong, source_format);
                let _ = select(&carried, Metadata::Keep, format);
                let _ = select(&carried, Metadata::Copyright, format);
                let _ = crate::codecs::metadata::avif_is_bounded(&wrong);
            }
            wrong[at] = file[at];
        }
    }
}

#[test]
fn an_avif_whose_items_repeat_its_bytes_is_refused() {
    let boxed = |kind: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len() + 8).expect("short");
        [&length.to_be_bytes()[..], kind, content].concat()
    };
    let (_, _, file) = files().swap_remove(7);
    assert!(crate::codecs::metadata::avif_is_bounded(&file));
    // One item of 65535 parts without a place and a length: all of the file each time.
    let locations = boxed(b"iloc", b"\0\0\0\0\0\0\0\x01\0\x01\0\0\xFF\xFF");
    let hostile = [
        boxed(b"ftyp", b"avif\0\0\0\0avifmif1"),
        boxed(b"meta", &[&[0; 4], &locations[..]].concat()),
        boxed(b"mdat", &[0; 1000]),
    ]
    .concat();
    assert!(!crate::codecs::metadata::avif_is_bounded(&hostile));
    let refused = decode::header(&hostile).expect_err("such a file is refused");
    assert!(refused.to_string().contains("larger than the file"));
    assert_eq!(
        read(&hostile, SourceFormat::Avif),
        SourceMetadata::default()
    );
}

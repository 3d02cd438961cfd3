use crate::codecs::decode;
use crate::codecs::decode::DecodeScale;
use crate::codecs::metadata::strip::Stripper;
use crate::codecs::metadata::tests::{
    NOTE, RIGHTS, THUMBNAIL, carried, contains, exif_block, files, segment,
};
use crate::codecs::metadata::{OutputMetadata, attach, orientation, read};
use crate::codecs::sniff::{SourceFormat, sniff};
use crate::pixels::Raster;
use crate::pixels::orientation::Orientation;

const SECRET: &[u8] = b"latitude and name";

/// The same comes out, however small the pieces are in which a file comes.
fn stripped(file: &[u8]) -> Vec<u8> {
    let format = sniff(file).expect("a picture");
    let in_pieces = |length: usize| {
        let mut stripper = Stripper::of(format).expect("it can be stripped");
        let mut output = Vec::new();
        for piece in file.chunks(length) {
            stripper.push(piece, &mut output);
        }
        output
    };
    let whole = in_pieces(file.len());
    for length in (1..20).chain([100, 4096]) {
        assert!(in_pieces(length) == whole, "pieces of {length}");
    }
    whole
}

fn pixels(file: &[u8]) -> Raster {
    let header = decode::header(file).expect("a header");
    let decoded = decode::pixels(file, &header, DecodeScale::WHOLE);
    decoded.expect("pixels").raster
}

#[test]
fn orientation_profile_and_pixels_stay_and_all_else_goes() {
    let profile = moxcms::ColorProfile::new_display_p3()
        .encode()
        .expect("moxcms writes its own profiles");
    let carried = carried();
    let kept = OutputMetadata {
        exif: carried.exif,
        xmp: carried.xmp,
    };
    for (format, source_format, file) in files() {
        if source_format == SourceFormat::Avif {
            assert!(Stripper::of(source_format).is_none());
            continue;
        }
        let made = attach(file.clone(), format, &kept, Some(&profile)).expect("attaches");
        let clean = stripped(&made);
        for secret in [
            NOTE,
            THUMBNAIL,
            RIGHTS,
            b"Graflex",
            b"xpacket",
            b"dc:rights",
        ] {
            assert!(contains(&made, secret), "{format}");
            assert!(!contains(&clean, secret), "{format}");
        }
        let left = read(&clean, source_format);
        assert_eq!(left.icc.as_deref(), Some(&profile[..]), "{format}");
        assert_eq!(left.xmp, None, "{format}");
        let exif = left.exif.map(|block| block[..26].to_vec());
        assert_eq!(exif, Some(exif_block(6)), "{format}");
        let upright = Orientation::from_exif(6);
        assert_eq!(orientation(exif.as_deref()), upright, "{format}");
        assert_eq!(pixels(&clean), pixels(&made), "{format}");
        // Nothing is left to remove, and a file without metadata stays as it is.
        assert!(stripped(&clean) == clean, "{format}");
        assert!(stripped(&file) == file, "{format}");
        // What follows the end goes.
        assert!(stripped(&[&made[..], SECRET].concat()) == clean, "{format}");
        // A file that ends early or is damaged does no harm.
        for length in 0..made.len() {
            let mut stripper = Stripper::of(source_format).expect("it can be stripped");
            stripper.push(&made[..length], &mut Vec::new());
        }
    }
}

#[test]
fn segments_of_a_jpeg_are_kept_by_what_they_are() {
    let jfif = b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0";
    let adobe = b"Adobe\0d\0\0\0\0\0";
    let thumbnail = [&jfif[..12], &[1, 1], b"RGB"].concat();
    let mpf = [b"MPF\0", SECRET].concat();
    let file = |with_secrets: bool| {
        let only = |bytes: Vec<u8>| if with_secrets { bytes } else { Vec::new() };
        [
            vec![0xFF, 0xD8],
            match with_secrets {
                true => segment(0xE0, &thumbnail),
                false => segment(0xE0, jfif),
            },
            only(segment(0xE0, b"JFXX\0 latitude")),
            only(segment(
                0xE1,
                &[b"http://ns.adobe.com/xap/1.0/\0", SECRET].concat(),
            )),
            only(segment(0xED, &[b"Photoshop 3.0\0", SECRET].concat())),
            only(segment(0xFE, SECRET)),
            segment(0xE2, b"ICC_PROFILE\0\x01\x01profile"),
            only(segment(0xE2, &mpf)),
            only(segment(0xEB, &[b"JP\0\0 C2PA", SECRET].concat())),
            only(b"garbage".to_vec()),
            only(vec![0xFF, 0xFF]),
            segment(0xEE, adobe),
            segment(0xDB, b"tables"),
            segment(0xC2, b"frame"),
            segment(0xC4, b"codes"),
            segment(0xDA, b"scan"),
            b"data\xFF\0data\xFF\xD0data".to_vec(),
            only(segment(0xFE, SECRET)),
            segment(0xC4, b"codes"),
            segment(0xDA, b"scan"),
            b"data".to_vec(),
            vec![0xFF, 0xD9],
            only([&[0xFF, 0xD8][..], SECRET].concat()),
        ]
        .concat()
    };
    let clean = stripped(&file(true));
    assert!(!contains(&clean, SECRET));
    assert_eq!(clean, file(false));
    assert_eq!(stripped(&clean), clean);
}

#[test]
fn chunks_of_a_png_are_kept_by_their_names() {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len()).expect("a short chunk");
        [&length.to_be_bytes()[..], name, content, b"crc!"].concat()
    };
    let signature = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut file = signature.clone();
    let mut expected = signature;
    for (name, is_kept) in [
        (b"IHDR", true),
        (b"tEXt", false),
        (b"acTL", true),
        (b"iCCP", true),
        (b"caBX", false),
        (b"fcTL", true),
        (b"IDAT", true),
        (b"zTXt", false),
        (b"fdAT", true),
        (b"iTXt", false),
        (b"tIME", false),
        (b"prVt", false),
        (b"eXIf", false),
        (b"IEND", true),
    ] {
        let made = chunk(name, SECRET);
        file.extend_from_slice(&made);
        if is_kept {
            expected.extend_from_slice(&made);
        }
    }
    file.extend_from_slice(SECRET);
    assert_eq!(stripped(&file), expected);
}

#[test]
fn comments_of_a_gif_go_and_its_loop_stays() {
    let file = |with_secrets: bool| {
        let only = |bytes: &[u8]| {
            if with_secrets {
                bytes.to_vec()
            } else {
                Vec::new()
            }
        };
        let xmp = [b"\x21\xFF\x0BXMP DataXMP\x11", SECRET, b"\0"].concat();
        [
            b"GIF89a\x01\0\x01\0\x80\0\0palett".to_vec(),
            only(&[b"\x21\xFE\x11", SECRET, b"\x11", SECRET, b"\0"].concat()),
            b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0".to_vec(),
            only(&xmp),
            only(b"\0"),
            b"\x21\xF9\x04\0\x0A\0\0\0".to_vec(),
            b"\x2C\0\0\0\0\x01\0\x01\0\x80palett\x02\x02\x44\x01\0".to_vec(),
            b"\x3B".to_vec(),
            only(SECRET),
        ]
        .concat()
    };
    assert_eq!(stripped(&file(true)), file(false));
    // Nothing passes that is no block.
    let broken = [&b"GIF89a\x01\0\x01\0\0\0\0\x99"[..], SECRET].concat();
    assert_eq!(stripped(&broken), &broken[..13]);
}

#[test]
fn boxes_of_a_jpeg_xl_are_kept_by_their_names() {
    let container = b"\0\0\0\x0CJXL \r\n\x87\n";
    let boxed = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len() + 8).expect("a short box");
        [&length.to_be_bytes()[..], name, content].concat()
    };
    let long = [&b"\0\0\0\x01Exif\0\0\0\0\0\0\0\x21"[..], SECRET].concat();
    let last = [&b"\0\0\0\0jxlp"[..], b"codestream to the end"].concat();
    let kept = [
        &container[..],
        &boxed(b"ftyp", b"jxl "),
        &boxed(b"jxlc", b"codes"),
        &last,
    ];
    let file = [
        kept[0],
        kept[1],
        &boxed(b"Exif", SECRET),
        &boxed(b"brob", SECRET),
        &long,
        kept[2],
        &boxed(b"xml ", SECRET),
        &boxed(b"jbrd", SECRET),
        &boxed(b"jumb", SECRET),
        kept[3],
    ]
    .concat();
    assert_eq!(stripped(&file), kept.concat());
    let bare = b"\xFF\x0A codestream";
    assert_eq!(stripped(bare), bare);
}

#[test]
fn a_webp_keeps_the_length_that_its_header_states() {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let length = u32::try_from(content.len()).expect("a short chunk");
        let padding = vec![0; content.len() % 2];
        [&name[..], &length.to_le_bytes(), content, &padding].concat()
    };
    let chunks = [
        chunk(b"VP8X", b"\x2C\0\0\0\x01\0\0\x01\0\0"),
        chunk(b"VP8L", b"pixels"),
        chunk(b"EXIF", SECRET),
        chunk(b"XMP ", SECRET),
        chunk(b"C2PA", &SECRET.repeat(10_000)),
    ]
    .concat();
    let length = u32::try_from(chunks.len() + 4).expect("short");
    let file = [b"RIFF", &length.to_le_bytes()[..], b"WEBP", &chunks].concat();
    let clean = stripped(&file);
    assert_eq!(clean.len(), file.len());
    assert!(!contains(&clean, b"latitude") && !contains(&clean, b"name"));
    assert!(contains(&clean, b"VP8X\x0A\0\0\0\x28"));
    assert!(contains(&clean, b"JUNK\x11\0\0\0\0"));
}

//! AVIF grids with alpha grids, built from pictures that the encoder here writes.

use zenavif_parse::AvifParser;

use crate::options::{Effort, Format, Quality};

use crate::codecs::decode::image::DecodeScale;
use crate::codecs::decode::{header, pixels};
use crate::codecs::encode;
use crate::codecs::encode::{Picture, Settings};
use crate::pixels::{Channels, Samples, Size};

/// Side of a tile.
const SIDE: u32 = 64;
/// The colour and the alpha of each of four tiles.
const TILES: [[u8; 4]; 4] = [
    // The portable encoder leaves out alpha that is 255 everywhere.
    [220, 30, 40, 250],
    [30, 170, 60, 200],
    [40, 60, 200, 96],
    [240, 240, 240, 32],
];

fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).expect("short");
    [&length.to_be_bytes()[..], kind, content].concat()
}

/// The AV1 data of a tile of one colour: its picture and its alpha.
fn tile(pixel: [u8; 4]) -> (Vec<u8>, Vec<u8>) {
    let size = Size::new(SIDE, SIDE);
    let picture = Picture::Rgba(size, pixel.repeat(size.len()));
    let settings = Settings {
        quality: Quality::new(100).expect("from 1 to 100"),
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    let file = encode::encode(&picture, Format::Avif, settings).expect("encodes");
    let parsed = AvifParser::from_bytes(&file).expect("it is an AVIF");
    let color = parsed.primary_data().expect("a picture").into_owned();
    let alpha = parsed.alpha_data().expect("alpha").expect("its data");
    (color, alpha.into_owned())
}

/// A file of two by two tiles. Items 1 and 6 are the grids, 2 to 5 and 7 to 10 their tiles; the kind of auxiliary picture that the second
/// one is goes by its name.
fn file(auxiliary: &[u8]) -> Vec<u8> {
    let (colors, alphas): (Vec<_>, Vec<_>) = TILES.into_iter().map(tile).unzip();
    let grid = vec![0, 0, 1, 1, 0, 128, 0, 128];
    let contents: Vec<Vec<u8>> = [vec![grid.clone()], colors, vec![grid], alphas].concat();
    let item = |id: u8, kind: &[u8; 4]| {
        boxed(
            b"infe",
            &[&[2, 0, 0, 0, 0, id, 0, 0], &kind[..], &[0]].concat(),
        )
    };
    let kinds = (1..=10).map(|id| match id {
        1 | 6 => item(id, b"grid"),
        _ => item(id, b"av01"),
    });
    let items = [
        &[0, 0, 0, 0, 0, 10][..],
        &kinds.collect::<Vec<_>>().concat(),
    ]
    .concat();
    let references = [
        &[0; 4][..],
        &boxed(b"dimg", &[0, 1, 0, 4, 0, 2, 0, 3, 0, 4, 0, 5]),
        &boxed(b"dimg", &[0, 6, 0, 4, 0, 7, 0, 8, 0, 9, 0, 10]),
        &boxed(b"auxl", &[0, 6, 0, 1, 0, 1]),
    ]
    .concat();
    let size = |side: u32| {
        let side = side.to_be_bytes();
        boxed(b"ispe", &[&[0; 4][..], &side, &side].concat())
    };
    let properties = [
        size(2 * SIDE),
        size(SIDE),
        boxed(b"auxC", &[&[0; 4], auxiliary, &[0]].concat()),
    ]
    .concat();
    let mut associations = vec![0, 0, 0, 0, 0, 0, 0, 10];
    for id in 1..=10 {
        associations.extend(match id {
            1 => vec![0, id, 1, 1],
            6 => vec![0, id, 2, 1, 3],
            _ => vec![0, id, 1, 2],
        });
    }
    let described = [boxed(b"ipco", &properties), boxed(b"ipma", &associations)].concat();
    let start = boxed(b"ftyp", b"avif\0\0\0\0avifmif1");
    let meta = |data: usize| {
        let mut locations = vec![0, 0, 0, 0, 0x44, 0, 0, 10];
        let mut at = data;
        for (id, content) in (1..).zip(&contents) {
            locations.extend([0, id, 0, 0, 0, 1]);
            for number in [at, content.len()] {
                locations.extend(u32::try_from(number).expect("short").to_be_bytes());
            }
            at += content.len();
        }
        let handler = [&[0; 8][..], b"pict", &[0; 13]].concat();
        let parts = [
            boxed(b"hdlr", &handler),
            boxed(b"pitm", &[0, 0, 0, 0, 0, 1]),
            boxed(b"iloc", &locations),
            boxed(b"iinf", &items),
            boxed(b"iref", &references),
            boxed(b"iprp", &described),
        ];
        boxed(b"meta", &[&[0; 4], &parts.concat()[..]].concat())
    };
    let data = start.len() + meta(0).len() + 8;
    [start, meta(data), boxed(b"mdat", &contents.concat())].concat()
}

/// The pixels in the middle of the tiles.
fn middles(file: &[u8]) -> (Channels, Vec<Vec<u8>>) {
    let header = header(file).expect("a header");
    assert_eq!(header.size, Size::new(2 * SIDE, 2 * SIDE));
    let raster = pixels(file, &header, DecodeScale::WHOLE)
        .expect("pixels")
        .raster;
    let Samples::U8(samples) = &raster.samples else {
        panic!("8 bits were encoded");
    };
    let middle = |index: u32| {
        let (x, y) = (index % 2 * SIDE + SIDE / 2, index / 2 * SIDE + SIDE / 2);
        let count = raster.channels.count();
        let at = (y * 2 * SIDE + x) as usize * count;
        samples[at..at + count].to_vec()
    };
    (raster.channels, (0..4).map(middle).collect())
}

#[test]
fn alpha_may_be_in_tiles_like_its_picture() {
    let (channels, found) = middles(&file(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha"));
    assert_eq!(channels, Channels::Rgba);
    for (found, tile) in found.iter().zip(TILES) {
        let is_near = found.iter().zip(tile).all(|(a, b)| a.abs_diff(b) <= 4);
        assert!(is_near, "{found:?} for {tile:?}");
    }
}

#[test]
fn depths_in_tiles_are_no_alpha() {
    let (channels, _) = middles(&file(b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth"));
    assert_eq!(channels, Channels::Rgb);
}

#[test]
fn missing_tiles_are_errors() {
    let whole = file(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha");
    let at = whole
        .windows(12)
        .rposition(|bytes| bytes == [0, 6, 0, 4, 0, 7, 0, 8, 0, 9, 0, 10])
        .expect("the tiles of the alpha");
    let mut fewer = whole;
    // The ID of an item that does not exist.
    fewer[at + 5] = 99;
    let header = header(&fewer).expect("the picture is whole");
    let refused = pixels(&fewer, &header, DecodeScale::WHOLE).err();
    let told = refused.expect("the alpha is not whole").to_string();
    assert!(told.contains("a tile of the alpha"), "{told}");
}

#[test]
fn every_wrong_byte_is_answered() {
    let whole = file(b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha");
    let meta = whole.windows(4).position(|name| name == b"mdat");
    for at in 0..meta.expect("there is data") {
        for byte in [0, 1, 0x7F, 0xFF] {
            let mut wrong = whole.clone();
            wrong[at] = byte;
            // The result does not matter, but nothing may panic.
            let _ =
                crate::codecs::metadata::avif_alpha_grid(&wrong).map(|grid| grid.tile(0).is_some());
        }
    }
}

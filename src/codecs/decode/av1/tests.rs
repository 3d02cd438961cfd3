use zenavif_parse::AvifParser;
use zenavif_parse::DecodeConfig;

use crate::options::{Effort, Format, Quality};

use crate::codecs::decode::av1::{FRAMES, FirstPicture};
use crate::codecs::decode::avif;
use crate::codecs::encode::{Picture, Settings};
use crate::codecs::{TransformError, encode};
use crate::pixels::color::to_srgb;
use crate::pixels::{Samples, Size};

const SIDE: u32 = 32;
const UNSPECIFIED: u8 = 2;

/// Bits, one for each element.
fn bits(bytes: &[u8]) -> Vec<bool> {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1 == 1;
    (0..bytes.len() * 8).map(bit).collect()
}

fn bytes(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| {
        let set = bits.iter().enumerate().filter(|(_, bit)| **bit);
        set.fold(0, |byte, (at, _)| byte | 0x80 >> at)
    };
    bits.chunks(8).map(byte).collect()
}

fn number(value: u32, count: usize) -> Vec<bool> {
    bits(&value.to_be_bytes()).split_off(32 - count)
}

fn unit(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short");
    let mut unit = vec![kind << 3 | 2];
    unit.extend((0..4).map(|index| {
        let more = if index < 3 { 0x80 } else { 0 };
        u8::try_from(length >> (7 * index) & 0x7F).expect("7 bits") | more
    }));
    unit.extend(payload);
    unit
}

/// A unit of a spatial layer.
fn layer(kind: u8, layer: u8, payload: &[u8]) -> Vec<u8> {
    let mut unit = unit(kind, payload);
    unit[0] |= 4;
    unit.insert(1, layer << 3);
    unit
}

/// A picture as the encoder here writes it, which is with a reduced sequence header: that, and its one frame.
fn coded() -> (Vec<u8>, Vec<u8>) {
    let samples = (0..SIDE * SIDE * 3).map(|at| u8::try_from(at * 7 % 251).expect("below 251"));
    let picture = Picture::Rgb(Size::new(SIDE, SIDE), samples.collect());
    let settings = Settings {
        quality: Quality::new(60).expect("in range"),
        progressive: false,
        palette: false,
        effort: Effort::Settled,
        profile: None,
    };
    let file = encode::encode(&picture, Format::Avif, settings).expect("a small picture");
    let parser =
        AvifParser::from_bytes_with_config(&file, &DecodeConfig::default(), &enough::Unstoppable)
            .expect("what was written is read");
    let data = parser.primary_data().expect("a still").to_vec();
    let mut rest = &data[..];
    let (mut sequence, mut frame) = (Vec::new(), Vec::new());
    while let Some(unit) = crate::codecs::decode::av1::Obu::next(&mut rest) {
        match unit.kind {
            crate::codecs::decode::av1::SEQUENCE_HEADER => sequence = unit.payload.to_vec(),
            crate::codecs::decode::av1::FRAME => frame = unit.payload.to_vec(),
            _ => {}
        }
    }
    (sequence, frame)
}

/// Where the parts of a reduced sequence header are that a full one has others between: behind the sides, and behind three flags of tools.
fn places(sequence: &[bool]) -> (usize, usize) {
    let side = |at: usize| bytes(&sequence[at..at + 4])[0] as usize / 16 + 1;
    let sides = 18 + side(10) + side(14);
    (sides, sides + 3)
}

/// A sequence header with everything that a reduced one leaves out, of these layers.
fn full(sequence: &[u8], layers: u32) -> Vec<u8> {
    let old = bits(sequence);
    let (sides, tools) = places(&old);
    let mut new = old[..3].to_vec();
    // No still, not reduced, no timing, no delay, one operating point.
    new.extend([false; 9]);
    new.extend(number(layers, 12));
    new.extend(&old[5..sides]);
    // No numbers of frames.
    new.push(false);
    new.extend(&old[sides..tools]);
    // No tools for motion, no order; screen content is each frame's own choice.
    new.extend([false, false, false, false, false, true, true]);
    new.extend(&old[tools..]);
    bytes(&new)
}

/// The same with code points, whether there are some already or not.
fn described(sequence: &[u8], points: [u8; 3]) -> Vec<u8> {
    let mut bits = bits(sequence);
    let (_, tools) = places(&bits);
    // Scaling, two filters, depth, grey where the profile has it, and whether there is a description.
    let present = tools + if bits[2] { 4 } else { 5 };
    let end = present + 1 + if bits[present] { 24 } else { 0 };
    let points = points.map(|point| number(point.into(), 8)).concat();
    bits.splice(present..end, [vec![true], points].concat());
    bytes(&bits)
}

/// The frame as one of a full sequence that is not shown, but may be by another.
fn hidden(sequence: &[u8], frame: &[u8]) -> Vec<u8> {
    let (header, old) = (bits(sequence), bits(frame));
    let (_, tools) = places(&header);
    let mut new = vec![false, false, false, false, true, true];
    // Whether contexts are kept as they are, and whether there is screen content, by which vectors have a flag.
    let own = if old[1] { 3 } else { 2 };
    new.extend(&old[..own]);
    // Its size is that of the sequence; it may stay in all places.
    new.push(false);
    new.extend([true; 8]);
    // No scaling, no other size on the screen, and whether blocks are copied from the frame itself.
    let mut at = own;
    for has in [header[tools], true, old[1]] {
        if has {
            assert!(at == own + usize::from(header[tools]) + 1 || !old[at]);
            new.push(old[at]);
            at += 1;
        }
    }
    if !old[0] {
        new.push(true);
    }
    assert_eq!(new.len() - at, 16, "tiles begin at whole bytes");
    new.extend(&old[at..]);
    bytes(&new)
}

/// The unit that shows the first of the frames that are kept.
fn shown() -> Vec<u8> {
    unit(crate::codecs::decode::av1::FRAME_HEADER, &[0x88])
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len() + 8).expect("short");
    [&length.to_be_bytes()[..], kind, &content].concat()
}

/// A file of items, the first of which is the picture, and of references from one to others.
fn file(
    items: &[(&[u8; 4], &[u8])],
    references: &[(&[u8; 4], u8, &[u8])],
    nclx: Option<[u16; 3]>,
) -> Vec<u8> {
    let count = u8::try_from(items.len()).expect("few");
    let build = |data: usize| {
        let (mut at, mut places, mut kinds, mut owners) = (data, vec![], vec![], vec![]);
        for ((kind, content), id) in items.iter().zip(1..) {
            let place = u32::try_from(at).expect("short").to_be_bytes();
            let length = u32::try_from(content.len()).expect("short").to_be_bytes();
            places.extend([&[0, id, 0, 0, 0, 1][..], &place, &length].concat());
            let entry: [&[u8]; 3] = [&[2, 0, 0, 0, 0, id, 0, 0], *kind, &[0]];
            kinds.extend(boxed(b"infe", &entry));
            let is_alpha = references.contains(&(b"auxl", id, &[1]));
            owners.extend(match (*kind, is_alpha) {
                (b"grid", _) => [0, id, 3, 5, 3, 3],
                (_, true) => [0, id, 3, 1, 2, 4],
                _ => [0, id, 3, 1, 2, 3],
            });
            at += content.len();
        }
        let side = SIDE.to_be_bytes();
        let points = nclx.map_or(vec![], |points| points.map(u16::to_be_bytes).concat());
        let color = match nclx {
            Some(_) => boxed(b"colr", &[b"nclx", &points, &[0x80]]),
            None => boxed(b"free", &[]),
        };
        let properties = [
            boxed(b"ispe", &[&[0; 4], &side, &side]),
            boxed(b"av1C", &[&[0x81, 0, 0x0C, 0]]),
            color,
            boxed(
                b"auxC",
                &[&[0; 4], b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"],
            ),
            boxed(b"ispe", &[&[0; 4], &(2 * SIDE).to_be_bytes(), &side]),
        ]
        .concat();
        let refer = |(kind, from, to): &(&[u8; 4], u8, &[u8])| {
            let to: Vec<u8> = to.iter().flat_map(|&id| [0, id]).collect();
            let length = u8::try_from(to.len() / 2).expect("few");
            boxed(kind, &[&[0, *from, 0, length], &to])
        };
        let meta = [
            boxed(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]),
            boxed(b"pitm", &[&[0, 0, 0, 0, 0, 1]]),
            boxed(b"iloc", &[&[0, 0, 0, 0, 0x44, 0, 0, count], &places]),
            boxed(b"iinf", &[&[0, 0, 0, 0, 0, count], &kinds]),
            boxed(
                b"iref",
                &[
                    &[0; 4],
                    &references.iter().flat_map(refer).collect::<Vec<_>>(),
                ],
            ),
            boxed(
                b"iprp",
                &[
                    &boxed(b"ipco", &[&properties]),
                    &boxed(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, count], &owners]),
                ],
            ),
        ]
        .concat();
        [
            boxed(b"ftyp", &[b"avif\0\0\0\0avifmif1"]),
            boxed(b"meta", &[&[0; 4], &meta]),
        ]
        .concat()
    };
    let length = build(0).len() + 8;
    let contents: Vec<&[u8]> = items.iter().map(|(_, content)| *content).collect();
    [build(length), boxed(b"mdat", &contents)].concat()
}

fn still(data: &[u8], nclx: Option<[u16; 3]>) -> Vec<u8> {
    file(&[(b"av01", data)], &[], nclx)
}

/// The pixels in sRGB.
fn pixels(file: &[u8]) -> Result<Samples, TransformError> {
    let header = avif::header(file)?;
    let decoded = avif::decode(file, &header)?;
    Ok(to_srgb(decoded.raster, &decoded.space)?.samples)
}

#[track_caller]
fn assert_refused(data: &[u8], why: &str) {
    let refused = FirstPicture::of(data).expect_err("this is no picture");
    assert!(refused.to_string().contains(why), "{refused}");
    let refused = pixels(&still(data, None)).expect_err("this is no picture");
    assert!(refused.to_string().contains("AVIF: "), "{refused}");
}

#[test]
fn hidden_frames_are_decoded_within_the_limit() {
    let (reduced, frame) = coded();
    let plain = [unit(1, &reduced), unit(6, &frame)].concat();
    let expected = pixels(&still(&plain, None)).expect("as the encoder wrote it");
    let sequence = unit(1, &full(&reduced, 0));
    let one = unit(6, &hidden(&reduced, &frame));
    for count in 1..FRAMES as usize {
        let data = [&sequence[..], &one.repeat(count), &shown()].concat();
        assert_eq!(
            pixels(&still(&data, None)).as_ref(),
            Ok(&expected),
            "{count} hidden frames"
        );
    }
    let header = |data: &[u8]| avif::header(&still(data, None)).expect("a picture");
    let two = [&sequence[..], &one, &shown()].concat();
    assert!(header(&two).bytes_per_pixel > header(&plain).bytes_per_pixel);
}

#[test]
fn more_frames_than_a_picture_needs_are_refused_before_any_is_decoded() {
    let (reduced, frame) = coded();
    let sequence = unit(1, &full(&reduced, 0));
    let one = unit(6, &hidden(&reduced, &frame));
    for count in [FRAMES as usize, 12_000] {
        let data = [&sequence[..], &one.repeat(count), &shown()].concat();
        assert_refused(&data, "more than 4 frames");
        // As alpha, and as a tile, beside a picture without hidden frames.
        let plain = [unit(1, &reduced), unit(6, &frame)].concat();
        let alpha = [(b"av01", &plain[..]), (b"av01", &data)];
        let alpha = file(&alpha, &[(b"auxl", 2, &[1])], None);
        let grid = [
            (b"grid", &[0, 0, 0, 1, 0, 64, 0, 32][..]),
            (b"av01", &plain),
            (b"av01", &data),
        ];
        let grid = file(&grid, &[(b"dimg", 1, &[2, 3])], None);
        for hostile in [alpha, grid] {
            let refused = avif::header(&hostile).expect_err("too many frames");
            assert!(
                refused.to_string().contains("more than 4 frames"),
                "{refused}"
            );
        }
    }
    // The generator is right: the same files without hidden frames are valid.
    let plain = [unit(1, &reduced), unit(6, &frame)].concat();
    let alpha = [(b"av01", &plain[..]), (b"av01", &plain)];
    pixels(&file(&alpha, &[(b"auxl", 2, &[1])], None)).expect("a picture with alpha");
    let grid = [
        (b"grid", &[0, 0, 0, 1, 0, 64, 0, 32][..]),
        (b"av01", &plain),
        (b"av01", &plain),
    ];
    let grid = file(&grid, &[(b"dimg", 1, &[2, 3])], None);
    pixels(&grid).expect("a picture of two tiles");
}

#[test]
fn data_that_is_no_picture_is_refused() {
    let (reduced, frame) = coded();
    let sequence = unit(1, &full(&reduced, 0));
    let one = unit(6, &hidden(&reduced, &frame));
    let reduced = unit(1, &reduced);
    let frame = unit(6, &frame);
    let inter = unit(6, &[0b0011_0000]);
    let other = unit(1, &full(&coded().0, 0x101));
    for (data, why) in [
        (&[][..], "no frame that is shown"),
        (&[&reduced[..]][..], "no frame that is shown"),
        (&[&sequence, &one], "no frame that is shown"),
        (&[&frame, &reduced], "a frame before the sequence header"),
        (&[&sequence, &one, &inter], "made of other pictures"),
        (&[&sequence, &other, &one, &shown()], "two sequences"),
        (&[&unit(1, &[0]), &frame], "a damaged sequence header"),
        (&[&sequence, &unit(6, &[])], "a damaged frame header"),
        (
            &[&reduced, &[0x12, 0].repeat(50_000), &frame],
            "too many parts",
        ),
        (
            &[&reduced, &frame[..frame.len() - 1]],
            "no frame that is shown",
        ),
    ] {
        assert_refused(&data.concat(), why);
    }
}

#[test]
fn units_without_pixels_are_removed() {
    let (reduced, frame) = coded();
    let (sequence, frame) = (unit(1, &reduced), unit(6, &frame));
    let plain = [&sequence[..], &frame].concat();
    let expected = pixels(&still(&plain, None));
    assert!(expected.is_ok());
    // Messages of ITU-T T.35 without a country and without an end, padding, tile lists, what is reserved, and a copy of the header.
    let noise = [
        unit(5, &[4]),
        unit(5, &[0x84, 0x80, 0]),
        unit(5, &[4, 0xFF, 0xFF]),
        unit(5, &[]),
        unit(15, &[1, 2, 3]),
        unit(8, &[0; 40]),
        unit(9, &[]),
        unit(7, &[0xFF]),
        unit(2, &[]),
        sequence.clone(),
    ]
    .concat();
    let data = [&noise[noise.len() - sequence.len()..], &noise, &frame].concat();
    assert_eq!(pixels(&still(&data, None)), expected);
    // Nothing after the picture is read.
    for behind in [
        &noise[..],
        &frame,
        &[0xFF; 9],
        &unit(1, &[0]),
        &unit(6, &[]),
    ] {
        let data = [&plain[..], behind].concat();
        assert_eq!(pixels(&still(&data, None)), expected);
        let first = FirstPicture::of(&data).expect("a picture");
        assert_eq!((first.frames, first.bytes()), (1, Ok(plain.clone())));
    }
}

#[test]
fn layers_are_read_up_to_the_finest_one() {
    let (reduced, frame) = coded();
    let sequence = unit(1, &full(&reduced, 0x301));
    let lower = layer(6, 0, &hidden(&reduced, &frame));
    let (inter, key) = ([0b0011_0000], [0b0001_0000]);
    let (shown, upper, other) = (layer(6, 0, &key), layer(6, 1, &inter), layer(6, 2, &key));
    for (data, frames) in [
        (&[&sequence[..], &shown, &upper, &lower][..], 2),
        (&[&sequence, &shown, &other, &upper, &upper], 2),
        (&[&sequence, &shown, &unit(2, &[]), &upper], 1),
        (&[&sequence, &shown], 1),
        (&[&sequence, &lower, &shown, &upper], 3),
    ] {
        let data = data.concat();
        assert_eq!(FirstPicture::of(&data).expect("a picture").frames, frames);
    }
    let many = [&sequence[..], &shown.repeat(5)].concat();
    assert_refused(&many, "more than 4 frames");
    let expected = [unit(1, &reduced), unit(6, &frame)].concat();
    let existing = layer(3, 1, &[0x88]);
    let data = [&sequence[..], &lower, &existing].concat();
    assert_eq!(pixels(&still(&data, None)), pixels(&still(&expected, None)));
}

/// Table 2 to 4 of ITU-T H.273: what has a meaning, of all that a byte can say.
fn is_reserved(index: usize, point: u16) -> bool {
    match index {
        0 => matches!(point, 0 | 3 | 13..=21 | 23..),
        1 => matches!(point, 0 | 3 | 19..),
        _ => matches!(point, 3 | 15..),
    }
}

#[test]
fn every_code_point_is_read_and_reserved_ones_count_as_unspecified() {
    let (reduced, frame) = coded();
    let usual = [1, 13, 6];
    let of_data = |points: [u8; 3]| {
        let data = [unit(1, &described(&reduced, points)), unit(6, &frame)].concat();
        pixels(&still(&data, None)).expect("a picture")
    };
    let plain = [unit(1, &reduced), unit(6, &frame)].concat();
    let of_box = |points| pixels(&still(&plain, Some(points))).expect("a picture");
    for index in 0..3 {
        let mut points = usual;
        points[index] = UNSPECIFIED;
        let unspecified = of_data(points);
        for point in 0..=u8::MAX {
            // Red, green and blue themselves have a syntax of their own.
            if (index, point) == (2, 0) {
                continue;
            }
            points[index] = point;
            let made = of_data(points);
            if is_reserved(index, point.into()) {
                assert_eq!(made, unspecified, "{points:?}");
            }
        }
        let mut points = usual.map(u16::from);
        for point in (0..=300).chain([u16::MAX]) {
            points[index] = point;
            let made = of_box(points);
            if is_reserved(index, point) {
                assert_eq!(made, unspecified, "{points:?} in the box");
            }
        }
    }
}

/// Changes of headers, data and boxes: whatever the result is, the process and its thread survive.
#[test]
fn changed_files_end_neither_the_process_nor_their_thread() {
    const ROUNDS: u32 = 1500;
    let (reduced, frame) = coded();
    let sequence = full(&reduced, 0);
    let hidden = hidden(&reduced, &frame);
    let plain = [unit(1, &reduced), unit(6, &frame)].concat();
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).expect("below a usize")
    };
    let mut flip = |bytes: &mut [u8], within: usize| {
        for _ in 0..=random(6) {
            let at = random(bytes.len().min(within));
            bytes[at] ^= 1 << random(8);
        }
    };
    for round in 0..ROUNDS {
        let (mut sequence, mut first) = (sequence.clone(), hidden.clone());
        let mut second = hidden.clone();
        match round % 4 {
            0 => flip(&mut sequence, 40),
            1 => flip(&mut first, 24),
            2 => flip(&mut second, 400),
            _ => {
                // A shown frame that refers at most to the first one.
                second[0] = 0b0011_0000;
                flip(&mut second, 40);
            }
        }
        let data = [
            unit(1, &sequence),
            unit(6, &first),
            unit(6, &second),
            shown(),
        ]
        .concat();
        let _ = pixels(&still(&data, None));
        let layers = [
            unit(1, &full(&reduced, 0x301)),
            layer(6, 0, &first),
            layer(6, 1, &second),
            layer(3, 1, &[0x88]),
        ]
        .concat();
        let _ = pixels(&still(&layers, None));
        let (mut reduced, mut frame) = (reduced.clone(), frame.clone());
        flip(&mut reduced, 40);
        flip(&mut frame, 4000);
        let data = [unit(1, &reduced), unit(6, &frame)].concat();
        let _ = pixels(&still(&data, None));
        let mut file = file(
            &[(b"av01", &plain), (b"av01", &plain)],
            &[(b"auxl", 2, &[1])],
            Some([1, 13, 6]),
        );
        let length = file.len();
        flip(&mut file, if round % 2 == 0 { 500 } else { length });
        let _ = pixels(&file);
    }
}

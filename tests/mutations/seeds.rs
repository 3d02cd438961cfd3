//! The files that are changed: small files of every format that is decoded, and those of the corpus if there is one.

use std::env;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::DynamicImage;
use image::ImageFormat;
use image::Rgba;
use image::RgbaImage;
use jpeg_encoder::ColorType;
use jpeg_encoder::Encoder;
use jpeg_encoder::SamplingFactor;

/// A file before it is changed.
pub struct Seed {
    /// Its kind, and after a slash its name within that kind.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Seed {
    pub fn kind(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }
}

/// The longest file of the corpus that counts as small. Longer ones would take too long, ten thousand times.
const SMALL: u64 = 64 << 10;

/// JPEG XL files by libjxl, because no encoder is at hand: waves of 24 by 20 pixels, lossy at two qualities, and lossless with alpha.
const JPEG_XL: [&str; 4] = [
    "ff0a98a001001408020024026b570a00800a9551c60d5ecef57cf9a1c362dac67586b6dab6b02451641c9ba413382489943cdf0d1f159f611d3537a6bda5bdfdbdfe695bba38fc563f129bd473ac798603800004a0420a7a0600a3aaa2628cd4d4fa5301cc7946efcc7b7e130010fba397946d07f99d18818eab276133f2cf74f5204c514a8799a29de5c614e473efe7ae701ff019",
    "ff0a98a001001448005c0201791400800a9551c60d5ecef57cf9a1c362dac67586b6dab6b084b1d95e1824a4d039d431bc4a02fb35f2444994d9355a6a59292387fd4177ceb8815d12ec765ed9c0b76838ce5d9109997dec0200a0420a9c01b4557591f1ee0e2f101ac0fc8917a65dab127889a52efcd3868f4121107778f07eacb7190f029ea69f06a63bdf0e89ac28fae9efaa0f62d4e01309b0efa6630b0aa056",
    "ff0a0840b0a0b81008081000b8004b188b15526c806ef3116f6ff1f0151a0531edec0043fdf9d34eb5c547ef3ff596b9fc3fc3bf72bfed8f478d1705",
    "ff0a0840c100028a4b0208029209000098004b188b15526c80def078dd727815511a4e07189a8faf66ac69bc747fd52e7bf13f83ef994f0108029205008c004b188b15525cdf6dccf13d2f0c1b11d4e90043980f5b2415c0fe7e7de3f9ef1f9c2d21",
];

/// HEIC files by x265, because no encoder is at hand: the same waves, without and with alpha.
const HEIC: [&str; 2] = [
    "0000001c6674797068656963000000006d696631686569636d696166000001ad6d657461000000000000002168646c72000000000000000070696374000000000000000000000000000000000e7069746d0000000000020000001069646174000000000018001400000038696c6f630100000044400002000100000000000001d10001000000000000006d00020001000000000000000100000000000000080000003869696e6600000000000200000015696e66650200000100010000687663310000000015696e666502000000000200006772696400000000d869707270000000b66970636f00000076687663430103700000000000000000001ef000fcfdf8f800000f03200001001840010c01ffff03700000030090000003000003001eba0240210001002a42010103700000030090000003000003001ea020810596eaae9ae6e04040c0800000030080000003008422000100064401c173c18900000014697370650000000000000040000000400000001469737065000000000000001800000014000000107069786900000000030808080000001a69706d610000000000000002000102810200020203840000001a69726566000000000000000e64696d67000200010001000000756d646174000000692801af521a898b80e6fd918161af563e848a559b17af090ae66f582538bde1baaf5b6f9999a530c30564c5bc729c58a5b4c2369c9af45adb1fe7d028a717b3037faed165fc157b6bfd884020390486cbba34f63b43a3c740d0639b163ab89e31f47b2a74adb5b6fccb",
    "0000001c6674797068656963000000006d696631686569636d696166000002fc6d657461000000000000002168646c72000000000000000070696374000000000000000000000000000000000e7069746d00000000000200000018696461740000000000180014000000000018001400000060696c6f630100000044400004000100000000000003200001000000000000006d00020001000000000000000100000000000000080003000000000000038d000100000000000000ad00040001000000000000000100000008000000080000006269696e6600000000000400000015696e66650200000100010000687663310000000015696e66650200000000020000677269640000000015696e66650200000100030000687663310000000015696e666502000000000400006772696400000001b169707270000001846970636f00000076687663430103700000000000000000001ef000fcfdf8f800000f03200001001840010c01ffff03700000030090000003000003001eba0240210001002a42010103700000030090000003000003001ea020810596eaae9ae6e04040c0800000030080000003008422000100064401c173c189000000146973706500000000000000400000004000000014697370650000000000000018000000140000001070697869000000000308080800000071687663430104080000000000000000001ef000fcfcf8f800000f03200001001740010c01ffff0408000003009ff800000300001eba024021000100264201010408000003009ff800000300001ec08204165baaba6b9b02000003000200000300021022000100064401c173c189000000146973706500000000000000400000004000000014697370650000000000000018000000140000000e7069786900000000010800000027617578430000000075726e3a6d7065673a686576633a323031353a61757869643a31000000002569706d6100000000000000040001028102000202038400030285060004030788890000003669726566000000000000000e64696d670002000100010000000e64696d670004000100030000000e6175786c000400010002000001226d646174000000692801af521a898b80e6fd918161af563e848a559b17af090ae66f582538bde1baaf5b6f9999a530c30564c5bc729c58a5b4c2369c9af45adb1fe7d028a717b3037faed165fc157b6bfd884020390486cbba34f63b43a3c740d0639b163ab89e31f47b2a74adb5b6fccb000000a92801aea410fe2a09b13b44d84db4074ccd5a2f6d770050ae808c4946ee2ca23702443c1ba2f37142a5403580d0b042de19b3e3c33538cfef06415fb3be683f474a8d824e639ced048645ef6061fc5b242cef44cffde556d493682630691157abfda8a6e1f089b0ed657fe2ed830cc1d5c599e956dc233aab4b4d65b907c5c28a26064e989faef888bac9bce1795b53d929e4ca43d0c9eaac5256237315ddb2b10908403c72c5bd20e0",
];

/// All small files. `made` renders the formats for which only the program itself has an encoder.
pub fn all(made: impl Fn(&[u8], &str) -> Vec<u8>) -> Vec<Seed> {
    let mut seeds = of_libraries();
    seeds.extend(jpegs());
    let of = |name: &str| {
        let found = seeds.iter().find(|seed| seed.name == name);
        found.expect("one that was made").bytes.clone()
    };
    let (photo, veiled, moving) = (of("png/opaque"), of("png/veiled"), of("gif/moving"));
    for (name, source, options) in [
        ("jpeg/progressive", &photo, "format=jpeg"),
        ("webp/lossy", &photo, "format=webp,quality=60"),
        ("webp/veiled", &veiled, "format=webp,quality=60"),
        ("webp/lossless", &veiled, "format=webp,quality=100"),
        ("webp/moving", &moving, "format=webp"),
        ("avif/opaque", &photo, "format=avif"),
        ("avif/veiled", &veiled, "format=avif,quality=95"),
        ("png/palette", &photo, "format=png"),
    ] {
        let bytes = made(source, options);
        seeds.push(seed(name, bytes));
    }
    for (at, hex) in JPEG_XL.iter().enumerate() {
        seeds.push(seed(&format!("jxl/{at}"), bytes(hex)));
    }
    for (at, hex) in HEIC.iter().enumerate() {
        seeds.push(seed(&format!("heif/{at}"), bytes(hex)));
    }
    let avif = seeds.iter().find(|seed| seed.name == "avif/veiled");
    let av1 = as_heic(&avif.expect("one that was made").bytes);
    seeds.push(seed("heif/av1", av1));
    seeds.push(seed("svg/plain", SVG.as_bytes().to_vec()));
    seeds.extend(of_corpus(|length| length <= SMALL));
    seeds
}

/// The files of the corpus that are too long for [`all`].
pub fn large() -> Vec<Seed> {
    of_corpus(|length| length > SMALL)
}

const SVG: &str = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 90 90'><defs><linearGradient id='g'><stop offset='0' \
    stop-color='red'/></linearGradient><filter id='f'><feGaussianBlur stdDeviation='2'/></filter></defs><g filter='url(#f)'><rect \
    width='50' height='50' fill='url(#g)'/><path d='M0 0L9 9' stroke-dasharray='1 2'/></g></svg>";

fn seed(name: &str, bytes: Vec<u8>) -> Seed {
    Seed {
        name: name.to_owned(),
        bytes,
    }
}

fn picture(width: u32, height: u32, is_veiled: bool) -> RgbaImage {
    RgbaImage::from_fn(width, height, |x, y| {
        let alpha = if is_veiled && (x / 5 + y / 5) % 2 == 0 {
            90
        } else {
            255
        };
        let [red, green, ..] = (x * 97 + y * 57 + x * y * 31).to_le_bytes();
        Rgba([red, green.wrapping_add(red), red ^ 60, alpha])
    })
}

/// Files written by the encoders of libraries.
fn of_libraries() -> Vec<Seed> {
    let opaque = DynamicImage::from(picture(61, 43, false).clone());
    let veiled = DynamicImage::from(picture(40, 30, true));
    let rgb = DynamicImage::from(opaque.to_rgb8());
    let written = |picture: &DynamicImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        picture
            .write_to(&mut bytes, format)
            .expect("a picture in memory");
        bytes.into_inner()
    };
    let deep = DynamicImage::from(opaque.to_rgb16());
    vec![
        seed("png/opaque", written(&rgb, ImageFormat::Png)),
        seed("png/veiled", written(&veiled, ImageFormat::Png)),
        seed("png/deep", written(&deep, ImageFormat::Png)),
        seed("bmp/opaque", written(&rgb, ImageFormat::Bmp)),
        seed("bmp/veiled", written(&veiled, ImageFormat::Bmp)),
        seed("ico/png", written(&veiled, ImageFormat::Ico)),
        seed("qoi/veiled", written(&veiled, ImageFormat::Qoi)),
        seed("pnm/opaque", written(&rgb, ImageFormat::Pnm)),
        seed("tiff/opaque", written(&rgb, ImageFormat::Tiff)),
        seed("tiff/deep", written(&deep, ImageFormat::Tiff)),
        seed("gif/moving", gif(33, 21)),
    ]
}

fn gif(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[]).expect("a GIF in memory");
    for frame in 0..3_u16 {
        let mut samples = picture(u32::from(width + frame), u32::from(height), true).into_raw();
        samples.truncate(usize::from(width) * usize::from(height) * 4);
        let mut frame = gif::Frame::from_rgba(width, height, &mut samples);
        frame.delay = 7;
        frame.dispose = gif::DisposalMethod::Background;
        encoder.write_frame(&frame).expect("a frame in memory");
    }
    drop(encoder);
    bytes
}

/// JPEG files with every sampling, with and without restart markers, with one scan and with several, and lossless ones.
fn jpegs() -> Vec<Seed> {
    let (width, height) = (97, 65);
    let picture = DynamicImage::from(picture(97, 65, false));
    let rgb = picture.to_rgb8().into_raw();
    let gray = picture.to_luma8().into_raw();
    let inks = picture.to_rgba8().into_raw();
    let written = |samples: &[u8], colors, sampling, scans, restarts: u16| {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 80);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(scans > 1);
        if restarts > 0 {
            encoder.set_restart_interval(restarts);
        }
        encoder
            .encode(samples, width, height, colors)
            .expect("a JPEG in memory");
        bytes
    };
    let mut seeds = vec![
        seed(
            "jpeg/gray",
            written(&gray, ColorType::Luma, SamplingFactor::F_1_1, 1, 0),
        ),
        seed(
            "jpeg/inks",
            written(&inks, ColorType::Cmyk, SamplingFactor::F_1_1, 1, 0),
        ),
        seed("jpeg/lossless", lossless(256, 192)),
    ];
    for (name, sampling) in [
        ("444", SamplingFactor::F_1_1),
        ("422", SamplingFactor::F_2_1),
        ("420", SamplingFactor::F_2_2),
        ("440", SamplingFactor::F_1_2),
        ("411", SamplingFactor::F_4_1),
    ] {
        for (scans, restarts) in [(1, 0), (1, 3), (10, 0)] {
            let bytes = written(&rgb, ColorType::Rgb, sampling, scans, restarts);
            seeds.push(seed(&format!("jpeg/{name}-{scans}-{restarts}"), bytes));
        }
    }
    seeds
}

/// A lossless grey JPEG (ITU-T T.81, annex H): no sample differs from the one before it, which takes one bit each.
fn lossless(width: u16, height: u16) -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).expect("is short");
        [&[0xFF, marker], &length.to_be_bytes()[..], content].concat()
    };
    let ([high, low], [wide, narrow]) = (height.to_be_bytes(), width.to_be_bytes());
    let mut codes = vec![0; 18];
    codes[1] = 1;
    [
        vec![0xFF, 0xD8],
        segment(0xC3, &[8, high, low, wide, narrow, 1, 1, 0x11, 0]),
        segment(0xC4, &codes),
        segment(0xDA, &[1, 1, 0, 1, 0, 0]),
        vec![0; usize::from(width) * usize::from(height) / 8],
        vec![0xFF, 0xD9],
    ]
    .concat()
}

/// AV1 in what libheif is given: the brands of an AVIF as those of no format.
fn as_heic(avif: &[u8]) -> Vec<u8> {
    let ftyp = u32::from_be_bytes(*avif.first_chunk().expect("a box")) as usize;
    let mut bytes = avif.to_vec();
    for at in (8..ftyp).step_by(4) {
        bytes[at..at + 4].copy_from_slice(b"mif1");
    }
    bytes
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks_exact(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("is ASCII");
            u8::from_str_radix(pair, 16).expect("is hexadecimal")
        })
        .collect()
}

/// The files of the corpus that have one of the lengths, in a fixed order.
#[expect(
    clippy::disallowed_methods,
    reason = "tells where test data is, no setting of the program"
)]
fn of_corpus(is_wanted: impl Fn(u64) -> bool) -> Vec<Seed> {
    let corpus = env::var_os("SAFELIGHT_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    let mut found = Vec::new();
    for folder in fs::read_dir(&corpus).into_iter().flatten().flatten() {
        for file in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let is_wanted = file.metadata().is_ok_and(|about| is_wanted(about.len()));
            let name = file.path();
            let name = name.strip_prefix(&corpus).expect("it was found there");
            let name = name.to_string_lossy().into_owned();
            if let (true, Ok(bytes)) = (is_wanted, fs::read(file.path()))
                && !bytes.is_empty()
            {
                found.push(Seed { name, bytes });
            }
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

//! JPEG XL by `jxl-oxide`: the still picture, or the first frame of an animation, in 8 or 16 bits, upright. Colours leave as they are
//! meant to be shown, with a profile that is part of the file or made from its header; high dynamic range by its code points.

use std::borrow::Cow;

use jxl_bitstream::Bitstream;
use jxl_oxide::AllocTracker;
use jxl_oxide::FrameBufferSample;
use jxl_oxide::ImageStream;
use jxl_oxide::InitializeResult;
use jxl_oxide::JxlImage;
use jxl_oxide::PixelFormat;
use jxl_oxide::image::BitDepth;
use jxl_oxide::image::ImageHeader;
use jxl_oxide_common::Bundle;

use super::super::TransformError;
use super::super::color::ColorSpace;
use super::super::hdr;
use super::super::orientation::Orientation;
use super::super::pixels::Channels;
use super::super::pixels::Raster;
use super::super::pixels::Samples;
use super::super::pixels::Size;
use super::super::sniff::Kind;
use super::Decoded;
use super::Header;
use super::unmultiplied;
use super::whole;

/// Bytes of a packed profile: 4 MiB is already enormous, and a few bytes can stand for 256 MiB.
const MAX_PROFILE: u64 = 4 << 20;
/// Bytes that the decoder may hold beside what the pixels take: tables, and a picture's smallest parts.
const TABLES: u64 = 16 << 20;
/// How many times the area of the picture all frames together may have that are composed into it: layers of an editor, parts that are
/// used again. A few bytes make a frame, and each takes the time of a whole picture.
const LAYERS: u64 = 16;
/// Bytes that are handed over at a time, so that frames after the first are mostly not looked at.
const STEP: usize = 64 << 10;

pub(super) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let header = image_header(&codestream(source))?;
    Ok(Header {
        kind: Kind::JpegXl,
        size: size(&header),
        // The decoder turns it.
        orientation: Orientation::default(),
        bytes_per_pixel: bytes_per_pixel(&header),
        coefficient_bytes: 0,
        pixel_bytes: 8,
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(super) fn decode(source: &[u8], header: &Header) -> Result<Decoded, TransformError> {
    let codestream = codestream(source);
    let image_header = image_header(&codestream)?;
    let size = size(&image_header);
    if size != header.size {
        return Err(broken("the size changed"));
    }
    let limit = size.area() * bytes_per_pixel(&image_header) + TABLES;
    let tracker = AllocTracker::with_limit(usize::try_from(limit).unwrap_or(usize::MAX));
    let image = load(&codestream, tracker, size)?;

    let space = match image.rendered_cicp() {
        Some([primaries, transfer, ..]) if hdr::is_hdr(transfer) => ColorSpace::Cicp {
            primaries,
            transfer,
        },
        _ => ColorSpace::from_icc(Some(image.rendered_icc())),
    };
    let render = image.render_frame(0).map_err(failed)?;
    let (channels, mut stream) = match image.pixel_format() {
        PixelFormat::Gray => (Channels::Gray, render.stream()),
        PixelFormat::Graya => (Channels::GrayAlpha, render.stream()),
        PixelFormat::Rgb => (Channels::Rgb, render.stream()),
        PixelFormat::Rgba => (Channels::Rgba, render.stream()),
        PixelFormat::Cmyk | PixelFormat::Cmyka => (Channels::Cmyk, render.stream_no_alpha()),
    };
    let length = size.len() * channels.count();
    let samples = if is_deep(&image_header, &space) {
        Samples::U16(samples(&mut stream, length)?)
    } else {
        Samples::U8(samples(&mut stream, length)?)
    };
    let samples = if channels == Channels::Cmyk {
        inks(samples)
    } else {
        samples
    };
    let mut alphas = image_header.metadata.ec_info.iter();
    let premultiplied = alphas.find_map(|channel| channel.alpha_associated()) == Some(true);
    let samples = if premultiplied && channels.has_alpha() {
        unmultiplied(samples, channels.count())
    } else {
        samples
    };
    Ok(Decoded {
        raster: Raster {
            size,
            channels,
            samples,
        },
        extent: whole(size),
        space,
    })
}

/// The compressed picture without its container, whose other boxes may unpack to any size (ISO/IEC 18181-2, clause 9).
fn codestream(source: &[u8]) -> Cow<'_, [u8]> {
    if source.starts_with(&[0xFF, 0x0A]) {
        return Cow::Borrowed(source);
    }
    let mut parts = Vec::new();
    let mut rest = source;
    while let Some((length, after)) = rest.split_first_chunk::<4>()
        && let Some((name, after)) = after.split_first_chunk::<4>()
    {
        let (length, head, after) = match u32::from_be_bytes(*length) {
            1 => match after.split_first_chunk::<8>() {
                Some((length, after)) => (u64::from_be_bytes(*length), 16, after),
                None => break,
            },
            0 => (u64::MAX, 8, after),
            length => (u64::from(length), 8, after),
        };
        let length = usize::try_from(length.saturating_sub(head)).unwrap_or(usize::MAX);
        let (content, next) = after.split_at(length.min(after.len()));
        match name {
            b"jxlc" => return Cow::Borrowed(content),
            // After the number of the part.
            b"jxlp" => parts.push(content.get(4..).unwrap_or_default()),
            _ => {}
        }
        rest = next;
    }
    Cow::Owned(parts.concat())
}

/// The header of the picture; a profile after it is not unpacked, but must not be absurd.
fn image_header(codestream: &[u8]) -> Result<ImageHeader, TransformError> {
    let mut bits = Bitstream::new(codestream);
    let header = ImageHeader::parse(&mut bits, ()).map_err(failed)?;
    if header.metadata.colour_encoding.want_icc() {
        let length = bits.read_u64().map_err(failed)?;
        if length > MAX_PROFILE {
            return Err(broken("a profile that is too large"));
        }
    }
    Ok(header)
}

fn size(header: &ImageHeader) -> Size {
    Size::new(
        header.width_with_orientation(),
        header.height_with_orientation(),
    )
}

/// Channels in the decoder's 32 bits, three times over: as decoded, as filtered, and as blended; and the samples that leave.
fn bytes_per_pixel(header: &ImageHeader) -> u64 {
    let extra = u64::try_from(header.metadata.ec_info.len()).unwrap_or(u64::MAX);
    (3 + extra) * 8 + 8
}

/// Hands the file over until the first picture is there that would be shown.
fn load(codestream: &[u8], tracker: AllocTracker, size: Size) -> Result<JxlImage, TransformError> {
    let mut state =
        InitializeResult::NeedMoreData(JxlImage::builder().alloc_tracker(tracker).build_uninit());
    let mut rest = codestream;
    while !rest.is_empty() {
        let step = &rest[..rest.len().min(STEP)];
        let taken;
        state = match state {
            InitializeResult::NeedMoreData(mut image) => {
                taken = image.feed_bytes(step).map_err(failed)?;
                image.try_init().map_err(failed)?
            }
            InitializeResult::Initialized(mut image) => {
                taken = image.feed_bytes(step).map_err(failed)?;
                InitializeResult::Initialized(image)
            }
        };
        if taken == 0 {
            break;
        }
        rest = rest.get(taken..).unwrap_or_default();
        if let InitializeResult::Initialized(image) = &state {
            let first = image.frame_by_keyframe(0).map(|frame| frame.index());
            let last = first.unwrap_or_else(|| image.num_loaded_frames());
            let area: u64 = (0..=last)
                .filter_map(|index| image.frame(index))
                .map(|frame| Size::new(frame.header().width, frame.header().height).area())
                .fold(0, u64::saturating_add);
            if area > size.area().saturating_mul(LAYERS).saturating_add(1 << 20) {
                return Err(broken("too many layers"));
            }
            if image.num_loaded_keyframes() > 0 {
                break;
            }
        }
    }
    match state {
        InitializeResult::Initialized(image) if image.num_loaded_keyframes() > 0 => Ok(image),
        _ => Err(broken("it ends early")),
    }
}

/// More than 8 bits, or light that 8 bits are too few for.
fn is_deep(header: &ImageHeader, space: &ColorSpace) -> bool {
    let metadata = &header.metadata;
    let deep = |depth: BitDepth| !matches!(depth, BitDepth::IntegerSample { bits_per_sample } if bits_per_sample <= 8);
    deep(metadata.bit_depth)
        || matches!(space, ColorSpace::Cicp { .. })
        || metadata.xyb_encoded && *space != ColorSpace::Srgb
}

fn samples<T: FrameBufferSample>(
    stream: &mut ImageStream<'_>,
    length: usize,
) -> Result<Vec<T>, TransformError> {
    let mut samples: Vec<T> = std::iter::repeat_with(T::default).take(length).collect();
    if stream.write_to_buffer(&mut samples) == length {
        Ok(samples)
    } else {
        Err(broken("fewer samples than its header says"))
    }
}

/// JPEG XL stores what is left of the paper, 0 being all ink.
fn inks(samples: Samples) -> Samples {
    match samples {
        Samples::U8(samples) => Samples::U8(samples.into_iter().map(|sample| !sample).collect()),
        Samples::U16(samples) => Samples::U16(samples.into_iter().map(|sample| !sample).collect()),
    }
}

fn failed(cause: impl std::fmt::Display) -> TransformError {
    broken(&cause.to_string())
}

fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("JPEG XL: {what}"))
}

#[cfg(test)]
mod tests {
    use super::super::super::TransformError;
    use super::super::super::color::ColorSpace;
    use super::super::super::pixels::Channels;
    use super::super::super::pixels::Raster;
    use super::super::super::pixels::Samples;
    use super::super::super::pixels::Size;
    use super::codestream;
    use super::decode;
    use super::header;

    /// Three by two: red, green, blue / white, black, (10, 20, 30). By cjxl, without loss, like the other samples here.
    const RGB: &str = "ff0a084010505c080802010098004b188b15526c80def078dd727815511a4e07189a8faf66ac69bc747fd52e7bf13f83ef994f01";
    /// The same, with alpha 255, 128, 0 / 1, 2, 3.
    const RGBA: &str = "ff0a0840b0a0b81008081000b8004b188b15526c806ef3116f6ff1f0151a0531edec0043fdf9d34eb5c547ef3ff596b9fc3fc3bf72bfed8f478d1705";
    /// Three by one in 16 bits of grey, in a container: 0, 1000, 65535.
    const GRAY: &str = "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000096a786c6c0a000000256a786c63ff0a000004e007282e040802010034004b188b15428a042b8ea0df051f";
    /// `RGB` and then its negative, a tenth of a second each.
    const ANIMATION: &str = "ff0a0840c100028a4b0208029209000098004b188b15526c80def078dd727815511a4e07189a8faf66ac69bc747fd52e7bf13f83ef994f0108029205008c004b188b15525cdf6dccf13d2f0c1b11d4e90043980f5b2415c0fe7e7de3f9ef1f9c2d21";
    /// The header of 512 by 512 pixels, and one layer that is not the last one.
    const HEADER: &str = "ff0af81fc10082e292";
    const LAYER: &str = "080208000018000000400004400004004b188b15820103030303";

    const COLORS: [u8; 18] = [
        255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 10, 20, 30,
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks_exact(2)
            .map(|pair| {
                let pair = std::str::from_utf8(pair).expect("is ASCII");
                u8::from_str_radix(pair, 16).expect("is hexadecimal")
            })
            .collect()
    }

    fn raster(source: &[u8]) -> Result<(Raster, ColorSpace), TransformError> {
        let header = header(source)?;
        let decoded = decode(source, &header)?;
        Ok((decoded.raster, decoded.space))
    }

    #[test]
    fn samples_keep_their_depth_and_their_alpha() {
        let (rgb, space) = raster(&bytes(RGB)).expect("is whole");
        assert_eq!(rgb.size, Size::new(3, 2));
        assert_eq!(rgb.channels, Channels::Rgb);
        assert_eq!(rgb.samples, Samples::U8(COLORS.to_vec()));
        assert_eq!(space, ColorSpace::Srgb);
        let (rgba, _) = raster(&bytes(RGBA)).expect("is whole");
        assert_eq!(rgba.channels, Channels::Rgba);
        let alphas = [255, 128, 0, 1, 2, 3];
        assert!(rgba.into_u8().iter().skip(3).step_by(4).eq(&alphas));
        let (gray, _) = raster(&bytes(GRAY)).expect("is whole");
        assert_eq!(gray.channels, Channels::Gray);
        assert_eq!(gray.samples, Samples::U16(vec![0, 1000, 65_535]));
    }

    #[test]
    fn the_first_frame_of_an_animation_is_the_picture() {
        let (frame, _) = raster(&bytes(ANIMATION)).expect("is whole");
        assert_eq!(frame.into_u8(), COLORS);
    }

    #[test]
    fn a_codestream_may_be_in_parts() {
        let whole = bytes(RGB);
        let boxed = |name: &[u8; 4], content: &[u8]| {
            let length = u32::try_from(content.len() + 8).expect("is short");
            [&length.to_be_bytes(), &name[..], content].concat()
        };
        let part =
            |number: u32, bytes: &[u8]| boxed(b"jxlp", &[&number.to_be_bytes(), bytes].concat());
        let file = [
            boxed(b"JXL ", b"\r\n\x87\n"),
            // An empty `brob` would be refused, and a full one unpacked without end, by those who look into it.
            boxed(b"brob", b"Exif"),
            part(0, &whole[..7]),
            part(0x8000_0001, &whole[7..]),
        ]
        .concat();
        assert_eq!(codestream(&file), &whole[..]);
        let (rgb, _) = raster(&file).expect("is whole");
        assert_eq!(rgb.into_u8(), COLORS);
        // Lengths that lie.
        for length in [0_u32, 1, 2, 7, u32::MAX] {
            let mut wrong = file.clone();
            wrong[12..16].copy_from_slice(&length.to_be_bytes());
            let _ = raster(&wrong);
        }
    }

    #[test]
    fn layers_beyond_measure_are_refused_before_they_are_drawn() {
        let file = |layers| bytes(&format!("{HEADER}{}", LAYER.repeat(layers)));
        let error = |layers| {
            raster(&file(layers))
                .expect_err("has no last layer")
                .to_string()
        };
        assert!(error(3).contains("ends early"), "{}", error(3));
        assert!(error(30).contains("too many layers"), "{}", error(30));
    }

    #[test]
    fn cut_and_wild_files_are_damaged_and_nothing_worse() {
        for file in [RGB, RGBA, GRAY, ANIMATION].map(bytes) {
            for length in 0..file.len() {
                match raster(&file[..length]) {
                    Ok(_) | Err(TransformError::Decode(_)) => {}
                    Err(other) => panic!("{length}: {other}"),
                }
                let mut wild = file.clone();
                wild[length] ^= 0x55;
                let Ok(found) = header(&wild) else {
                    continue;
                };
                // As the limits would.
                if found.size.area() <= 1 << 20 {
                    let _ = decode(&wild, &found);
                }
            }
        }
    }
}

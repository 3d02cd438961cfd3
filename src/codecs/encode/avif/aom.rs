//! AVIF by libaom as one intra frame, in the container of `avif-serialize`.
#![expect(unsafe_code, reason = "binds libaom")]

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::slice;

use avif_serialize::Aviffy;
use avif_serialize::constants::{ColorPrimaries, MatrixCoefficients, TransferCharacteristics};
use libaom_sys as aom;

use crate::options::{Effort, Format, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::avif::quantizer::quantizer;
use crate::codecs::encode::avif::smoothness::is_smooth;
use crate::codecs::encode::chroma::{Chroma, subsampling};
use crate::codecs::encode::content::Content;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::planes;
use crate::pixels::buffer::FileBuffer;
use crate::pixels::{Planar, Plane, Size, Subsampling, buffer};

/// Artifacts at the edges of alpha are very visible, and good alpha takes few bytes.
const WORST_ALPHA_QUANTIZER: u32 = 20;
/// Alpha is flat nearly everywhere. A fade of 800 pixels takes 25 ms and 2.7 kB at speed 8, the same time and 1.1 kB at 6, 100 ms and 1.0
/// kB at 5. A sheet of icons takes 41 kB at speeds 7 to 9, and 27 kB at 6.
const ALPHA_SPEED: c_int = 6;
/// Pixels from which on alpha is as quick as the colours.
const LARGE_ALPHA: u64 = 4_000_000;

pub(crate) fn encode(
    picture: &Picture,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, TransformError> {
    let size = picture.size();
    let converted;
    let (planar, sampling, alpha) = match picture {
        Picture::Planar(planar, sampling) => (planar, *sampling, None),
        Picture::Rgb(_, samples) => {
            let chroma = Chroma::Pixels(size, samples, 3);
            let sampling = subsampling(Format::Avif, quality, chroma);
            converted = planes::of_rgb(size, samples, 3, sampling)?;
            (&converted, sampling, None)
        }
        Picture::Rgba(_, samples) => {
            // Subsampled chroma bleeds over the edges of alpha.
            let sampling = Subsampling::None;
            converted = planes::of_rgb(size, samples, 4, sampling)?;
            let alpha = Planar {
                luma: planes::alpha(size, samples)?,
                chroma: None,
            };
            (&converted, sampling, Some(alpha))
        }
        Picture::Deep(..) => return Err(failed("AVIF has samples of 8 bits here")),
    };
    let speed = speed_for(size, effort, picture, &planar.luma);
    let quantizer = quantizer(quality, speed > THOROUGH);
    let color = frame(planar, sampling, quantizer, speed)?;
    let encode_alpha = |alpha: Planar| {
        let quantizer = quantizer.min(WORST_ALPHA_QUANTIZER);
        let speed = if size.area() > LARGE_ALPHA {
            speed.max(ALPHA_SPEED)
        } else {
            ALPHA_SPEED
        };
        frame(&alpha, Subsampling::Both, quantizer, speed)
    };
    let alpha = alpha.map(encode_alpha).transpose()?;
    let monochrome = matches!(picture, Picture::Planar(Planar { chroma: None, .. }, _));
    let halved = sampling == Subsampling::Both;
    let mut container = Aviffy::new();
    container
        .set_matrix_coefficients(MatrixCoefficients::Bt601)
        .set_transfer_characteristics(TransferCharacteristics::Srgb)
        .set_color_primaries(ColorPrimaries::Bt709)
        .set_full_color_range(true)
        .set_monochrome(monochrome)
        .set_chroma_subsampling((halved, halved));
    let mut file = FileBuffer::default();
    let end = container
        .write(
            &mut file,
            &color,
            alpha.as_deref(),
            size.width,
            size.height,
            8,
        )
        .map_err(failed);
    file.finish(end)
}

/// The speed of libaom (0 slow, 9 fast) by size and effort, for pictures that are not smooth. Over six photographs 800 pixels wide, at the looks
/// of `quality` 50 to 85, compared with speed 6 (160 ms): speed 5 takes three times as long for 1 % more to 2 % fewer bytes, 7 takes 0.6 of the
/// time and 5 to 8 % more, 9 takes 0.1 and 19 to 24 % more; sharp takes about 1,000 ms. Speed 8 (0.4 of the time, 7 to 13 % more) takes four times
/// the bytes for some smooth pictures. Larger pictures use higher speeds, so that none blocks a processor for many seconds. Thumbnails are quick at
/// any speed.
pub(crate) fn speed(size: Size, effort: Effort) -> c_int {
    match (effort, size.area()) {
        (_, 0..=65_536) => THOROUGH,
        (Effort::Quick, _) => QUICKEST,
        (Effort::Settled, 65_537..=4_000_000) => THOROUGH,
        (Effort::Settled, 4_000_001..=8_000_000) => 7,
        (Effort::Settled, _) => QUICKEST,
    }
}

/// The speed for a picture with this luma. Speed 6 and above have no blocks above 32x32: speed 5 saves 7 to 33 % of the bytes of smooth pictures
/// 800 and 1,600 pixels wide (gradients most), and 13 to 18 % at 320, in the time that speed 6 needs for a picture of fine detail. Speed 9 takes
/// 1.1 to 2.5 times the bytes of speed 5 for them, in 10 ms at 800 pixels; 7 takes 1.15 to 1.6 times, in 40 to 95 ms.
///
/// Speed 9 does not compare the ways to predict a block, which costs little in photographs, and 1.3 to 4 times the bytes of speed 8 for edges
/// without noise, as in drawings and text. There 8 takes 1.1 times its time.
fn speed_for(size: Size, effort: Effort, picture: &Picture, luma: &Plane) -> c_int {
    const LARGE: u64 = 2_000_000;
    match speed(size, effort) {
        THOROUGH if is_smooth(luma) => SLOWEST,
        QUICKEST if effort == Effort::Quick && size.area() <= LARGE => {
            if is_smooth(luma) {
                7
            } else if is_drawn(picture) {
                8
            } else {
                QUICKEST
            }
        }
        speed => speed,
    }
}

/// Whether a picture is a graphic. What became planes while it was resampled is none: see `compose`.
fn is_drawn(picture: &Picture) -> bool {
    matches!(picture, Picture::Rgb(..) | Picture::Rgba(..)) && Content::of(picture).is_graphic()
}

/// The speed of settled pictures.
const THOROUGH: c_int = 6;
/// The slowest speed that is used. Some tools are disabled for it: with subsampled chroma blocks of 4x4 and the search for transform sizes,
/// which saves 40 % of the time and costs no bytes; with full chroma rectangular partitions, which saves 60 % and costs 2 to 4 %.
const SLOWEST: c_int = 5;
/// The fastest speed, with almost no search.
const QUICKEST: c_int = 9;
/// The quantisation matrix of libaom (0 steep, 15 flat) for a quantiser: a steep matrix quantises fine detail more. With a search that
/// weights errors by the same matrix, photographs of 320 and 800 pixels take 7 to 13 % fewer bytes than with the flat one, and noise up to 20 %
/// fewer. 8 in place of 5 takes 1 to 5 % more bytes from quantiser 17 on, and 2 % fewer at 9; of smooth pictures, which have the slowest speed, 1
/// to 8 % fewer at all. Nearly lossless pictures get the flat matrix.
const fn matrix(quantizer: u32, speed: c_int) -> c_int {
    match quantizer {
        0..=3 => 15,
        4..=11 => 8,
        _ if speed == SLOWEST => 8,
        12..=25 => 5,
        _ => 3,
    }
}

/// Nanoseconds for each pixel at a speed, for photographs at quality 85; at the slowest, for smooth ones.
pub(crate) fn time(speed: c_int) -> u64 {
    match speed {
        ..=THOROUGH => 500,
        7 => 260,
        _ => 80,
    }
}

/// Encodes planes, or luma alone, as one AV1 frame of 8 bits. With 10 bits, photographs with texture take 10 % more bytes at the same look,
/// because the search of libaom does not weight errors by the matrix then, and a third more time. Seven smooth ones take 4 % fewer (13 % fewer to
/// 1 % more), in 1.2 to 1.3 times the time and with twice the memory for samples.
fn frame(
    planar: &Planar,
    sampling: Subsampling,
    quantizer: u32,
    speed: c_int,
) -> Result<Vec<u8>, TransformError> {
    let size = planar.luma.size;
    let monochrome = planar.chroma.is_none();
    // libaom reads chroma of a monochrome picture too, although it ignores it, and does not support monochrome 4:4:4.
    let sampling = if monochrome {
        Subsampling::Both
    } else {
        sampling
    };
    let grey;
    let [cb, cr] = match &planar.chroma {
        Some([cb, cr]) => [cb, cr],
        None => {
            grey = Plane::filled(sampling.chroma_size(size), 128)?;
            [&grey, &grey]
        }
    };
    let input = Input::new([&planar.luma, cb, cr], sampling, monochrome)?;
    let mut encoder = Encoder::new(size, sampling, monochrome)?;
    for (control, value) in [
        (aom::AOME_SET_CPUUSED, speed),
        (aom::AV1E_SET_ENABLE_QM, 1),
        (aom::AV1E_SET_QM_MIN, matrix(quantizer, speed)),
        (aom::AV1E_SET_QM_MAX, matrix(quantizer, speed)),
        (aom::AOME_SET_TUNING, aom::AOM_TUNE_SSIM.cast_signed()),
        (aom::AOME_SET_CQ_LEVEL, quantizer.cast_signed()),
        (aom::AV1E_SET_COLOR_RANGE, 1),
    ] {
        // SAFETY: each of these controls takes one int.
        unsafe { encoder.control(control, value)? };
    }
    let tools: &[_] = match (speed, sampling) {
        (SLOWEST, Subsampling::Both) => &[
            (aom::AV1E_SET_MIN_PARTITION_SIZE, 8),
            (aom::AV1E_SET_ENABLE_TX_SIZE_SEARCH, 0),
        ],
        (SLOWEST, Subsampling::None) => &[(aom::AV1E_SET_ENABLE_RECT_PARTITIONS, 0)],
        _ => &[],
    };
    for &(control, value) in tools {
        // SAFETY: each of these controls takes one int.
        unsafe { encoder.control(control, value)? };
    }
    encoder.option(c"dist-metric", c"qm-psnr")?;
    let mut made = Vec::new();
    for input in [Some(&input), None] {
        encoder.encode(input)?;
        encoder.take(&mut made)?;
    }
    if made.is_empty() {
        return Err(failed("libaom gave nothing back"));
    }
    Ok(made)
}

/// The planes of a picture, as libaom takes them.
struct Input<'a> {
    image: aom::aom_image,
    planes: PhantomData<&'a Plane>,
}

impl<'a> Input<'a> {
    fn new(
        planes: [&'a Plane; 3],
        sampling: Subsampling,
        monochrome: bool,
    ) -> Result<Self, TransformError> {
        let [luma, cb, cr] = planes;
        let (size, chroma_size) = (luma.size, sampling.chroma_size(luma.size));
        let fits =
            |plane: &Plane, size: Size| plane.size == size && plane.samples.len() == size.len();
        if !fits(luma, size) || !fits(cb, chroma_size) || !fits(cr, chroma_size) {
            return Err(failed("planes that do not make the picture"));
        }
        let format = match sampling {
            Subsampling::None => aom::AOM_IMG_FMT_I444,
            Subsampling::Both => aom::AOM_IMG_FMT_I420,
        };
        // SAFETY: the structure holds numbers and pointers, which may be zero.
        let mut image: aom::aom_image = unsafe { mem::zeroed() };
        let first = luma.samples.as_ptr().cast_mut();
        // SAFETY: the structure is ours. The library keeps the pointer; what it reads through the pointers is set and checked below.
        let wrapped =
            unsafe { aom::aom_img_wrap(&mut image, format, size.width, size.height, 1, first) };
        if wrapped.is_null() {
            return Err(failed("libaom refused the size"));
        }
        let shift = u32::from(sampling == Subsampling::Both);
        if (image.d_w, image.d_h) != (size.width, size.height)
            || (image.x_chroma_shift, image.y_chroma_shift) != (shift, shift)
        {
            return Err(failed("libaom reads another size than there is"));
        }
        for (index, plane) in planes.into_iter().enumerate() {
            image.planes[index] = plane.samples.as_ptr().cast_mut();
            image.stride[index] = plane.size.width.cast_signed();
        }
        image.range = aom::AOM_CR_FULL_RANGE;
        image.cp = aom::AOM_CICP_CP_BT_709;
        image.tc = aom::AOM_CICP_TC_SRGB;
        image.mc = aom::AOM_CICP_MC_BT_601;
        image.monochrome = c_int::from(monochrome);
        Ok(Input {
            image,
            planes: PhantomData,
        })
    }
}

/// An encoder of libaom. It is initialised.
struct Encoder(aom::aom_codec_ctx_t);

impl Encoder {
    fn new(size: Size, sampling: Subsampling, monochrome: bool) -> Result<Self, TransformError> {
        // SAFETY: the structure holds numbers and pointers, which may be zero.
        let mut config: aom::aom_codec_enc_cfg = unsafe { mem::zeroed() };
        let usage = aom::AOM_USAGE_ALL_INTRA;
        // SAFETY: the interface is a static of the library, which fills our structure.
        let (interface, status) = unsafe {
            let interface = aom::aom_codec_av1_cx();
            let status = aom::aom_codec_enc_config_default(interface, &mut config, usage);
            (interface, status)
        };
        if status != aom::AOM_CODEC_OK {
            return Err(failed("libaom without its intra mode"));
        }
        config.g_w = size.width;
        config.g_h = size.height;
        config.g_threads = 1;
        config.g_limit = 1;
        config.g_lag_in_frames = 0;
        config.g_profile = u32::from(sampling == Subsampling::None);
        config.rc_end_usage = aom::AOM_Q;
        config.rc_min_quantizer = 0;
        config.rc_max_quantizer = 63;
        config.monochrome = u32::from(monochrome);
        // SAFETY: the structure holds numbers and pointers, which may be zero.
        let mut encoder = Encoder(unsafe { mem::zeroed() });
        let version = aom::AOM_ENCODER_ABI_VERSION.cast_signed();
        // SAFETY: the structures are ours and as large as this version of the library says, which it checks.
        let status =
            unsafe { aom::aom_codec_enc_init_ver(&mut encoder.0, interface, &config, 0, version) };
        if status == aom::AOM_CODEC_OK {
            Ok(encoder)
        } else {
            Err(failed("libaom refused its settings"))
        }
    }

    /// # Safety
    /// The control takes one int.
    unsafe fn control(
        &mut self,
        control: impl TryInto<c_int>,
        value: c_int,
    ) -> Result<(), TransformError> {
        let control = control
            .try_into()
            .map_err(|_| failed("libaom of another version"))?;
        // SAFETY: the encoder is initialised; the rest is the caller's promise.
        let status = unsafe { aom::aom_codec_control(&mut self.0, control, value) };
        if status == aom::AOM_CODEC_OK {
            Ok(())
        } else {
            Err(failed(format_args!("libaom refused control {control}")))
        }
    }

    fn option(&mut self, name: &CStr, value: &CStr) -> Result<(), TransformError> {
        // SAFETY: the encoder is initialised; both texts end with a zero and are only read.
        let status =
            unsafe { aom::aom_codec_set_option(&mut self.0, name.as_ptr(), value.as_ptr()) };
        if status == aom::AOM_CODEC_OK {
            Ok(())
        } else {
            Err(failed(format_args!("libaom refused {name:?}")))
        }
    }

    /// Encodes a picture, or without one what is left of the last.
    fn encode(&mut self, input: Option<&Input<'_>>) -> Result<(), TransformError> {
        let image = input.map_or(ptr::null(), |input| &raw const input.image);
        // SAFETY: the encoder is initialised. It only reads the planes, which outlive the call, in the size and with the strides of the image,
        // which are compared with theirs.
        let status = unsafe { aom::aom_codec_encode(&mut self.0, image, 0, 1, 0) };
        if status == aom::AOM_CODEC_OK {
            Ok(())
        } else {
            Err(failed("libaom could not encode the picture"))
        }
    }

    /// Appends what the encoder has made.
    fn take(&mut self, made: &mut Vec<u8>) -> Result<(), TransformError> {
        let mut iterator: aom::aom_codec_iter_t = ptr::null();
        // SAFETY: the encoder is initialised. A packet is valid until the encoder is used for something else.
        while let Some(packet) =
            unsafe { aom::aom_codec_get_cx_data(&mut self.0, &mut iterator).as_ref() }
        {
            if packet.kind == aom::AOM_CODEC_CX_FRAME_PKT {
                // SAFETY: a packet of this kind holds a frame.
                let frame = unsafe { packet.data.frame };
                buffer::reserve(made, frame.sz)?;
                // SAFETY: the frame is as long as the library says.
                let bytes = unsafe { slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz) };
                made.extend_from_slice(bytes);
            }
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: zeroed or initialised; the library accepts both and is told once.
        unsafe { aom::aom_codec_destroy(&mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::codecs::encode::picture::Picture;
    use crate::options::{Effort, Quality};
    use crate::pixels::{Size, eight_bits};

    /// Coloured rings on nothing, with smooth edges.
    fn icons() -> Picture {
        const COLORS: [[u8; 3]; 4] = [[230, 25, 75], [60, 180, 75], [67, 99, 216], [70, 240, 240]];
        let size = Size::new(400, 300);
        let mut samples = Vec::new();
        for y in 0..size.height {
            for x in 0..size.width {
                let from_center =
                    |at: u32| f32::from(u8::try_from(at % 50).expect("below 50")) - 25.0;
                let (across, down) = (from_center(x), from_center(y));
                let covered = (4.5 - (across.hypot(down) - 16.0).abs()).clamp(0.0, 1.0);
                let color = COLORS[(x / 50 + y / 50) as usize % COLORS.len()];
                samples.extend(if covered > 0.0 { color } else { [0; 3] });
                samples.push(eight_bits(covered));
            }
        }
        Picture::Rgba(size, samples)
    }

    #[test]
    fn a_quick_drawing_is_not_much_larger_than_a_settled_one() {
        let length = |effort| {
            let made = encode(&icons(), Quality::DEFAULT, effort);
            made.expect("it can be encoded").len()
        };
        let (quick, settled) = (length(Effort::Quick), length(Effort::Settled));
        assert!(quick < settled * 2, "{quick} bytes, and {settled}");
    }
}

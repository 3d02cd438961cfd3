//! AVIF by libaom as one intra frame, in the container of `avif-serialize`.
#![expect(unsafe_code, reason = "binds libaom")]

use std::ffi::{CStr, c_int};
use std::mem;
use std::ptr;
use std::slice;

use avif_serialize::Aviffy;
use avif_serialize::constants::{ColorPrimaries, MatrixCoefficients, TransferCharacteristics};
use libaom_sys as aom;

use crate::options::{Effort, Format, Quality};

use crate::codecs::TransformError;
use crate::codecs::encode::chroma::{Chroma, subsampling};
use crate::codecs::encode::error::failed;
use crate::codecs::encode::picture::Picture;
use crate::codecs::encode::{planes, scale};
use crate::pixels::buffer::FileBuffer;
use crate::pixels::{Planar, Plane, Size, Subsampling, buffer};

/// The quantiser of libaom (0 best, 63 worst) that looks like a JPEG of each quality: the same median of SSIMULACRA2 over 15 photographs
/// and 5 drawings, 800 pixels wide, at speed 5 (`make bench-calibrate`). From 90 on, both have full chroma.
const QUANTIZERS: [(u8, f32); 22] = [
    (1, 63.0),
    (15, 53.2),
    (20, 44.9),
    (25, 41.5),
    (30, 38.3),
    (35, 35.4),
    (40, 32.7),
    (45, 31.1),
    (50, 29.7),
    (55, 27.1),
    (60, 25.7),
    (65, 21.4),
    (70, 19.5),
    (75, 17.1),
    (80, 12.5),
    (84, 10.8),
    (88, 8.0),
    (91, 6.2),
    (94, 4.3),
    (96, 3.0),
    (98, 2.0),
    (100, 1.0),
];
/// Artifacts at the edges of alpha are very visible, and good alpha takes few bytes.
const WORST_ALPHA_QUANTIZER: u32 = 20;
/// Alpha is flat nearly everywhere. A fade of 800 pixels takes 25 ms and 2.7 kB at speed 8, the same time and 1.1 kB at 6, 100 ms and 1.0
/// kB at 5.
const ALPHA_SPEED: c_int = 6;

pub(crate) fn encode(
    picture: &Picture,
    quality: Quality,
    effort: Effort,
) -> Result<Vec<u8>, TransformError> {
    let quantizer = quantizer(quality);
    let size = picture.size();
    let speed = speed(size, effort);
    let (color, sampling, alpha) = match picture {
        Picture::Planar(planar, sampling) => {
            (frame(planar, *sampling, quantizer, speed)?, *sampling, None)
        }
        Picture::Rgb(_, samples) => {
            let chroma = Chroma::Pixels(size, samples, 3);
            let sampling = subsampling(Format::Avif, quality, chroma);
            (
                frame(
                    &planes::of_rgb(size, samples, 3, sampling)?,
                    sampling,
                    quantizer,
                    speed,
                )?,
                sampling,
                None,
            )
        }
        Picture::Rgba(_, samples) => {
            // Subsampled chroma bleeds over the edges of alpha.
            let sampling = Subsampling::None;
            let planar = Planar {
                luma: planes::alpha(size, samples)?,
                chroma: None,
            };
            let alpha = frame(
                &planar,
                Subsampling::Both,
                quantizer.min(WORST_ALPHA_QUANTIZER),
                speed.max(ALPHA_SPEED),
            )?;
            (
                frame(
                    &planes::of_rgb(size, samples, 4, sampling)?,
                    sampling,
                    quantizer,
                    speed,
                )?,
                sampling,
                Some(alpha),
            )
        }
        Picture::Deep(..) => return Err(failed("AVIF has samples of 8 bits here")),
    };
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

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the scale goes from 63 to 2"
)]
fn quantizer(quality: Quality) -> u32 {
    scale::at(&QUANTIZERS, quality).round() as u32
}

/// The speed of libaom (0 slow, 9 fast) by size and effort. Over eight photographs 800 pixels wide, at the same visual quality as
/// `quality=50` of sharp: speed 9 takes 17 ms and 1.24 times the bytes of sharp, 6 takes 145 ms and 6 % fewer bytes, 5 takes 470 ms and 9 %
/// fewer; sharp takes 1150 ms. Larger pictures use higher speeds, so that none blocks a processor for many seconds. Thumbnails are quick at
/// any speed.
pub(crate) fn speed(size: Size, effort: Effort) -> c_int {
    match (effort, size.area()) {
        (_, 0..=65_536) => 6,
        (Effort::Quick, _) => QUICKEST,
        (Effort::Settled, 65_537..=750_000) => SLOWEST,
        (Effort::Settled, 750_001..=2_000_000) => 6,
        (Effort::Settled, 2_000_001..=4_000_000) => 7,
        (Effort::Settled, 4_000_001..=8_000_000) => 8,
        (Effort::Settled, _) => QUICKEST,
    }
}

/// The fastest speed, with almost no search.
const QUICKEST: c_int = 9;
/// The slowest speed that is used. Some tools are disabled for it. Photographs (subsampled chroma): no blocks of 4x4, and no search for
/// transform sizes, which saves 37 % of the time and costs no bytes. Other pictures: no rectangular partitions, which saves half of the
/// time and costs 2 to 9 % of the bytes; without blocks of 4x4, text would take 20 % more.
const SLOWEST: c_int = 5;
/// The quantisation matrix of libaom (0 steep, 15 flat) for a quantiser: a steep matrix quantises fine detail more. With a search that
/// weights errors by the same matrix, the photographs take 2 % (at speed 5) to 7 % (at 7) fewer bytes at the visual quality of `quality=50`
/// of sharp, and 15 % fewer in the finest detail. A steeper matrix risks more loss: compared with 5, 3 saves 1 % from quantiser 28 on, and
/// 8 saves 2 % at 8. Nearly lossless pictures get the flat matrix.
const fn matrix(quantizer: u32) -> c_int {
    match quantizer {
        0..=3 => 15,
        4..=11 => 8,
        12..=25 => 5,
        _ => 3,
    }
}

/// Nanoseconds for each pixel at a speed, for photographs at quality 85.
pub(crate) fn time(speed: c_int) -> u64 {
    match speed {
        ..=SLOWEST => 900,
        6 => 380,
        7 => 260,
        8 => 160,
        _ => 60,
    }
}

/// Encodes planes, or luma alone, as one AV1 frame.
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
    let chroma_size = sampling.chroma_size(size);
    let fits = |plane: &Plane, size: Size| plane.size == size && plane.samples.len() == size.len();
    if !fits(&planar.luma, size) || !fits(cb, chroma_size) || !fits(cr, chroma_size) {
        return Err(failed("planes that do not make the picture"));
    }
    // SAFETY: every structure is filled by the library or zeroed first, where zero is valid; the planes outlive the encoder and
    // are only read, in the size and with the shift of chroma that the library says its image has, which are compared with theirs, and
    // with their strides; every packet is copied, as long as the library says it is, before the encoder is used again; the encoder is
    // destroyed on every way out.
    unsafe {
        let interface = aom::aom_codec_av1_cx();
        let mut config: aom::aom_codec_enc_cfg = mem::zeroed();
        if aom::aom_codec_enc_config_default(interface, &mut config, aom::AOM_USAGE_ALL_INTRA)
            != aom::AOM_CODEC_OK
        {
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
        let mut encoder = Encoder(mem::zeroed());
        let version = aom::AOM_ENCODER_ABI_VERSION.cast_signed();
        if aom::aom_codec_enc_init_ver(&mut encoder.0, interface, &config, 0, version)
            != aom::AOM_CODEC_OK
        {
            return Err(failed("libaom refused its settings"));
        }
        encoder.control(aom::AOME_SET_CPUUSED, speed)?;
        match (speed, sampling) {
            (SLOWEST, Subsampling::Both) => {
                encoder.control(aom::AV1E_SET_MIN_PARTITION_SIZE, 8)?;
                encoder.control(aom::AV1E_SET_ENABLE_TX_SIZE_SEARCH, 0)?;
            }
            (SLOWEST, _) => encoder.control(aom::AV1E_SET_ENABLE_RECT_PARTITIONS, 0)?,
            _ => {}
        }
        encoder.control(aom::AV1E_SET_ENABLE_QM, 1)?;
        encoder.control(aom::AV1E_SET_QM_MIN, matrix(quantizer))?;
        encoder.control(aom::AV1E_SET_QM_MAX, matrix(quantizer))?;
        encoder.option(c"dist-metric", c"qm-psnr")?;
        encoder.control(aom::AOME_SET_TUNING, aom::AOM_TUNE_SSIM.cast_signed())?;
        encoder.control(aom::AOME_SET_CQ_LEVEL, quantizer.cast_signed())?;
        encoder.control(aom::AV1E_SET_COLOR_RANGE, 1)?;
        let mut image: aom::aom_image = mem::zeroed();
        let format = if sampling == Subsampling::None {
            aom::AOM_IMG_FMT_I444
        } else {
            aom::AOM_IMG_FMT_I420
        };
        let luma = planar.luma.samples.as_ptr().cast_mut();
        if aom::aom_img_wrap(&mut image, format, size.width, size.height, 1, luma).is_null() {
            return Err(failed("libaom refused the size"));
        }
        let shift = u32::from(sampling == Subsampling::Both);
        if (image.d_w, image.d_h) != (size.width, size.height)
            || (image.x_chroma_shift, image.y_chroma_shift) != (shift, shift)
        {
            return Err(failed("libaom reads another size than there is"));
        }
        for (index, plane) in [&planar.luma, cb, cr].into_iter().enumerate() {
            image.planes[index] = plane.samples.as_ptr().cast_mut();
            image.stride[index] = plane.size.width.cast_signed();
        }
        image.range = aom::AOM_CR_FULL_RANGE;
        image.cp = aom::AOM_CICP_CP_BT_709;
        image.tc = aom::AOM_CICP_TC_SRGB;
        image.mc = aom::AOM_CICP_MC_BT_601;
        image.monochrome = c_int::from(monochrome);
        let mut made = Vec::new();
        for input in [&raw const image, ptr::null()] {
            if aom::aom_codec_encode(&mut encoder.0, input, 0, 1, 0) != aom::AOM_CODEC_OK {
                return Err(failed("libaom could not encode the picture"));
            }
            let mut iterator: aom::aom_codec_iter_t = ptr::null();
            while let Some(packet) =
                aom::aom_codec_get_cx_data(&mut encoder.0, &mut iterator).as_ref()
            {
                if packet.kind == aom::AOM_CODEC_CX_FRAME_PKT {
                    let frame = packet.data.frame;
                    buffer::reserve(&mut made, frame.sz)?;
                    made.extend_from_slice(slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz));
                }
            }
        }
        if made.is_empty() {
            Err(failed("libaom gave nothing back"))
        } else {
            Ok(made)
        }
    }
}

struct Encoder(aom::aom_codec_ctx_t);

impl Encoder {
    /// # Safety
    /// The encoder is initialised, and the control takes one int.
    unsafe fn control(
        &mut self,
        control: impl TryInto<c_int>,
        value: c_int,
    ) -> Result<(), TransformError> {
        let control = control
            .try_into()
            .map_err(|_| failed("libaom of another version"))?;
        // SAFETY: the caller's promise.
        let status = unsafe { aom::aom_codec_control(&mut self.0, control, value) };
        if status == aom::AOM_CODEC_OK {
            Ok(())
        } else {
            Err(failed(format_args!("libaom refused control {control}")))
        }
    }

    /// # Safety
    /// The encoder is initialised.
    unsafe fn option(&mut self, name: &CStr, value: &CStr) -> Result<(), TransformError> {
        // SAFETY: the caller's promise; both texts are only read.
        let status =
            unsafe { aom::aom_codec_set_option(&mut self.0, name.as_ptr(), value.as_ptr()) };
        if status == aom::AOM_CODEC_OK {
            Ok(())
        } else {
            Err(failed(format_args!("libaom refused {name:?}")))
        }
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
    use crate::options::Quality;

    use super::quantizer;

    #[test]
    fn better_quality_means_a_finer_quantizer() {
        let quantizers: Vec<u32> = (1..=100).filter_map(Quality::new).map(quantizer).collect();
        assert!(quantizers.is_sorted_by(|better, worse| better >= worse));
    }
}

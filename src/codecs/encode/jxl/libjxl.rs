//! JPEG XL by libjxl, on one thread: pictures, and JPEG files that are packed again.
#![expect(unsafe_code, reason = "binds libjxl")]

use std::ffi::c_int;
use std::mem;
use std::ptr;

use libjxl as jxl;

use crate::codecs::TransformError;
use crate::codecs::encode::error::failed;
use crate::codecs::encode::jxl::memory::Memory;
use crate::codecs::encode::jxl::samples::Samples;
use crate::pixels::{PixelError, Size, buffer};

/// The room for a file to begin with.
const FIRST_ROOM: usize = 64 << 10;

/// How a picture is encoded.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    /// How far the result may be from the picture; 0 is lossless.
    pub distance: f32,
    /// How far its transparency may be.
    pub alpha_distance: f32,
    /// The effort of libjxl, 1 to 10.
    pub effort: i64,
    /// The ICC profile of the colours, where they are not sRGB.
    pub profile: Option<&'a [u8]>,
}

/// Encodes the samples of a picture.
pub(super) fn encode(
    size: Size,
    samples: &Samples<'_>,
    job: Job<'_>,
) -> Result<Vec<u8>, TransformError> {
    let (bytes, bits) = match samples {
        Samples::Eight(samples, _) => (bytemuck::cast_slice(samples), 8),
        Samples::Sixteen(samples, _) => (bytemuck::cast_slice::<u16, u8>(samples), 16),
    };
    let channels = samples.channels();
    if bytes.len() != size.len() * channels * bits / 8 {
        return Err(failed("samples that do not make the picture"));
    }
    let memory = Memory::of_picture(size);
    let mut encoder = Encoder::new(&memory)?;
    encoder.describe(size, channels, bits, job)?;
    let settings = encoder.frame_settings(job.effort)?;
    let format = jxl::PixelFormat {
        num_channels: u32::try_from(channels).map_err(failed)?,
        data_type: if bits == 8 { jxl::UINT8 } else { jxl::UINT16 },
        endianness: jxl::NATIVE_ENDIAN,
        align: 0,
    };
    // SAFETY: the settings belong to the encoder, which lives.
    encoder.check(unsafe {
        if job.distance == 0.0 {
            jxl::encoder_set_frame_lossless(settings, 1)
        } else {
            jxl::encoder_set_frame_distance(settings, job.distance)
        }
    })?;
    if channels.is_multiple_of(2) && job.distance > 0.0 {
        // SAFETY: the settings belong to the encoder, which lives; the only extra channel is alpha.
        let status =
            unsafe { jxl::encoder_set_extra_channel_distance(settings, 0, job.alpha_distance) };
        encoder.check(status)?;
    }
    // SAFETY: the library copies as many samples as the format and the size that it was told have: all that there are, as was checked.
    encoder.check(unsafe {
        jxl::encoder_add_image_frame(settings, &format, bytes.as_ptr().cast(), bytes.len())
    })?;
    encoder.finish(bytes.len() / 8)
}

/// The coefficients of a JPEG in a smaller file: it decodes to the same picture. Nothing is kept to get the JPEG back from it.
pub(super) fn repack(jpeg: &[u8], size: Size, effort: i64) -> Result<Vec<u8>, TransformError> {
    let memory = Memory::of_picture(size);
    let mut encoder = Encoder::new(&memory)?;
    let settings = encoder.frame_settings(effort)?;
    // With it, chroma is told from luma: the coefficients can be restored, but who just shows the picture is off by 25 of 256. It saves 0.3 %.
    encoder.set(settings, jxl::JPEG_RECON_CFL, 0)?;
    // SAFETY: the settings belong to the encoder, which lives; the library copies the file, which is as long as it is told.
    encoder.check(unsafe { jxl::encoder_add_jpeg_frame(settings, jpeg.as_ptr(), jpeg.len()) })?;
    encoder.finish(jpeg.len())
}

/// An encoder, and the memory that it may take.
struct Encoder<'a> {
    encoder: *mut jxl::Encoder,
    memory: &'a Memory,
}

impl<'a> Encoder<'a> {
    fn new(memory: &'a Memory) -> Result<Self, TransformError> {
        let manager = memory.manager();
        // SAFETY: the library copies the structure; what it points at outlives the encoder, as the lifetime says.
        let encoder = unsafe { jxl::encoder_create(&manager) };
        if encoder.is_null() {
            return Err(PixelError::OutOfMemory { bytes: 0 }.into());
        }
        Ok(Encoder { encoder, memory })
    }

    /// Tells the library what picture it will be given.
    fn describe(
        &mut self,
        size: Size,
        channels: usize,
        bits: usize,
        job: Job<'_>,
    ) -> Result<(), TransformError> {
        let is_gray = channels <= 2;
        let has_alpha = channels.is_multiple_of(2);
        let bits = u32::try_from(bits).map_err(failed)?;
        // SAFETY: plain numbers, for which zero is valid, and initialised at once.
        let mut info: jxl::BasicInfo = unsafe { mem::zeroed() };
        // SAFETY: a valid reference.
        unsafe { jxl::encoder_init_basic_info(&mut info) };
        info.xsize = size.width;
        info.ysize = size.height;
        info.bits_per_sample = bits;
        info.num_color_channels = if is_gray { 1 } else { 3 };
        if has_alpha {
            info.num_extra_channels = 1;
            info.alpha_bits = bits;
        }
        info.uses_original_profile = c_int::from(job.distance == 0.0);
        // SAFETY: the encoder lives, and the structure is only read.
        self.check(unsafe { jxl::encoder_set_basic_info(self.encoder, &info) })?;
        match job.profile {
            Some(profile) => {
                // SAFETY: the encoder lives; the profile is copied, as long as it is.
                self.check(unsafe {
                    jxl::encoder_set_icc_profile(self.encoder, profile.as_ptr(), profile.len())
                })
            }
            None => {
                // SAFETY: plain numbers, for which zero is valid, and initialised at once.
                let mut color: jxl::ColorEncoding = unsafe { mem::zeroed() };
                // SAFETY: a valid reference.
                unsafe { jxl::color_encoding_set_to_srgb(&mut color, c_int::from(is_gray)) };
                // SAFETY: the encoder lives, and the structure is only read.
                self.check(unsafe { jxl::encoder_set_color_encoding(self.encoder, &color) })
            }
        }
    }

    /// The settings of the one frame.
    fn frame_settings(&mut self, effort: i64) -> Result<*mut jxl::FrameSettings, TransformError> {
        // SAFETY: the encoder lives, and owns what is made.
        let settings = unsafe { jxl::encoder_frame_settings_create(self.encoder, ptr::null()) };
        if settings.is_null() {
            return Err(self.failure());
        }
        self.set(settings, jxl::EFFORT, effort)?;
        Ok(settings)
    }

    /// Sets an option of the frame.
    fn set(
        &self,
        settings: *mut jxl::FrameSettings,
        option: c_int,
        value: i64,
    ) -> Result<(), TransformError> {
        // SAFETY: the settings belong to this encoder, which lives.
        self.check(unsafe { jxl::encoder_frame_settings_set_option(settings, option, value) })
    }

    /// The file, once the frame was added.
    fn finish(self, expected: usize) -> Result<Vec<u8>, TransformError> {
        // SAFETY: the encoder lives.
        unsafe { jxl::encoder_close_input(self.encoder) };
        let mut file: Vec<u8> = buffer::with_room(expected.max(FIRST_ROOM))?;
        loop {
            let room = file.spare_capacity_mut();
            let available = room.len();
            let (mut next, mut left) = (room.as_mut_ptr().cast::<u8>(), available);
            // SAFETY: the library writes `left` bytes at most from `next` on, which is the room of the buffer, and moves both.
            let status = unsafe { jxl::encoder_process_output(self.encoder, &mut next, &mut left) };
            let written = available
                .checked_sub(left)
                .ok_or_else(|| failed("libjxl left more room than there was"))?;
            // SAFETY: so many bytes of the room have been written, as the library says.
            unsafe { file.set_len(file.len() + written) };
            match status {
                jxl::SUCCESS => return Ok(file),
                jxl::NEED_MORE_OUTPUT => buffer::reserve(&mut file, available.max(FIRST_ROOM))?,
                _ => return Err(self.failure()),
            }
        }
    }

    fn check(&self, status: c_int) -> Result<(), TransformError> {
        if status == jxl::SUCCESS {
            Ok(())
        } else {
            Err(self.failure())
        }
    }

    /// Why the last call failed.
    fn failure(&self) -> TransformError {
        // SAFETY: the encoder lives.
        let error = unsafe { jxl::encoder_get_error(self.encoder) };
        match self.memory.refused() {
            Some(bytes) => PixelError::OutOfMemory { bytes }.into(),
            None if error == jxl::OUT_OF_MEMORY => PixelError::OutOfMemory { bytes: 0 }.into(),
            None => failed(format_args!("libjxl: error {error}")),
        }
    }
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        // SAFETY: made by the library, and destroyed once; its settings go with it.
        unsafe { jxl::encoder_destroy(self.encoder) };
    }
}

#[cfg(test)]
mod tests {
    use libjxl as jxl;

    /// The structures are declared by hand, as that version has them.
    #[test]
    fn the_library_is_the_one_that_is_declared() {
        // SAFETY: it takes nothing.
        assert_eq!(unsafe { jxl::encoder_version() }, 12_000);
    }
}

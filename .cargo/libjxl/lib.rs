//! What safelight calls of libjxl 0.12, declared by hand from its headers `jxl/encode.h`, `jxl/codestream_header.h`, `jxl/color_encoding.h`,
//! `jxl/types.h` and `jxl/memory_manager.h`. Names are those of the library without `Jxl`.

use std::ffi::{c_int, c_void};
use std::marker::{PhantomData, PhantomPinned};

/// A type of which only the library knows what is in it.
#[repr(C)]
pub struct Opaque {
    _data: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// `JxlEncoder`.
pub type Encoder = Opaque;
/// `JxlEncoderFrameSettings`.
pub type FrameSettings = Opaque;

/// `JXL_ENC_SUCCESS`.
pub const SUCCESS: c_int = 0;
/// `JXL_ENC_NEED_MORE_OUTPUT`.
pub const NEED_MORE_OUTPUT: c_int = 2;

/// `JXL_ENC_ERR_OOM`.
pub const OUT_OF_MEMORY: c_int = 2;

/// `JXL_ENC_FRAME_SETTING_EFFORT`.
pub const EFFORT: c_int = 0;
/// `JXL_ENC_FRAME_SETTING_JPEG_RECON_CFL`.
pub const JPEG_RECON_CFL: c_int = 30;

/// `JXL_TYPE_UINT8`.
pub const UINT8: c_int = 2;
/// `JXL_TYPE_UINT16`.
pub const UINT16: c_int = 3;

/// `JXL_NATIVE_ENDIAN`.
pub const NATIVE_ENDIAN: c_int = 0;

/// `JxlMemoryManager`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MemoryManager {
    pub opaque: *mut c_void,
    pub alloc: Option<unsafe extern "C" fn(opaque: *mut c_void, size: usize) -> *mut c_void>,
    pub free: Option<unsafe extern "C" fn(opaque: *mut c_void, address: *mut c_void)>,
}

/// `JxlPixelFormat`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PixelFormat {
    pub num_channels: u32,
    pub data_type: c_int,
    pub endianness: c_int,
    pub align: usize,
}

/// `JxlBasicInfo`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct BasicInfo {
    pub have_container: c_int,
    pub xsize: u32,
    pub ysize: u32,
    pub bits_per_sample: u32,
    pub exponent_bits_per_sample: u32,
    pub intensity_target: f32,
    pub min_nits: f32,
    pub relative_to_max_display: c_int,
    pub linear_below: f32,
    pub uses_original_profile: c_int,
    pub have_preview: c_int,
    pub have_animation: c_int,
    pub orientation: c_int,
    pub num_color_channels: u32,
    pub num_extra_channels: u32,
    pub alpha_bits: u32,
    pub alpha_exponent_bits: u32,
    pub alpha_premultiplied: c_int,
    /// `JxlPreviewHeader`: width and height.
    pub preview: [u32; 2],
    /// `JxlAnimationHeader`: ticks of a second as a fraction, loops, and whether there are time codes.
    pub animation: [u32; 4],
    pub intrinsic_xsize: u32,
    pub intrinsic_ysize: u32,
    pub padding: [u8; 100],
}

/// `JxlColorEncoding`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ColorEncoding {
    pub color_space: c_int,
    pub white_point: c_int,
    pub white_point_xy: [f64; 2],
    pub primaries: c_int,
    pub primaries_red_xy: [f64; 2],
    pub primaries_green_xy: [f64; 2],
    pub primaries_blue_xy: [f64; 2],
    pub transfer_function: c_int,
    pub gamma: f64,
    pub rendering_intent: c_int,
}

unsafe extern "C" {
    #[link_name = "JxlEncoderVersion"]
    pub fn encoder_version() -> u32;
    #[link_name = "JxlEncoderCreate"]
    pub fn encoder_create(memory_manager: *const MemoryManager) -> *mut Encoder;
    #[link_name = "JxlEncoderDestroy"]
    pub fn encoder_destroy(encoder: *mut Encoder);
    #[link_name = "JxlEncoderGetError"]
    pub fn encoder_get_error(encoder: *mut Encoder) -> c_int;
    #[link_name = "JxlEncoderProcessOutput"]
    pub fn encoder_process_output(
        encoder: *mut Encoder,
        next_out: *mut *mut u8,
        avail_out: *mut usize,
    ) -> c_int;
    #[link_name = "JxlEncoderCloseInput"]
    pub fn encoder_close_input(encoder: *mut Encoder);
    #[link_name = "JxlEncoderInitBasicInfo"]
    pub fn encoder_init_basic_info(info: *mut BasicInfo);
    #[link_name = "JxlEncoderSetBasicInfo"]
    pub fn encoder_set_basic_info(encoder: *mut Encoder, info: *const BasicInfo) -> c_int;
    #[link_name = "JxlColorEncodingSetToSRGB"]
    pub fn color_encoding_set_to_srgb(color: *mut ColorEncoding, is_gray: c_int);
    #[link_name = "JxlEncoderSetColorEncoding"]
    pub fn encoder_set_color_encoding(
        encoder: *mut Encoder,
        color: *const ColorEncoding,
    ) -> c_int;
    #[link_name = "JxlEncoderSetICCProfile"]
    pub fn encoder_set_icc_profile(
        encoder: *mut Encoder,
        icc_profile: *const u8,
        size: usize,
    ) -> c_int;
    #[link_name = "JxlEncoderFrameSettingsCreate"]
    pub fn encoder_frame_settings_create(
        encoder: *mut Encoder,
        source: *const FrameSettings,
    ) -> *mut FrameSettings;
    #[link_name = "JxlEncoderFrameSettingsSetOption"]
    pub fn encoder_frame_settings_set_option(
        settings: *mut FrameSettings,
        option: c_int,
        value: i64,
    ) -> c_int;
    #[link_name = "JxlEncoderSetFrameLossless"]
    pub fn encoder_set_frame_lossless(settings: *mut FrameSettings, lossless: c_int) -> c_int;
    #[link_name = "JxlEncoderSetFrameDistance"]
    pub fn encoder_set_frame_distance(settings: *mut FrameSettings, distance: f32) -> c_int;
    #[link_name = "JxlEncoderSetExtraChannelDistance"]
    pub fn encoder_set_extra_channel_distance(
        settings: *mut FrameSettings,
        index: usize,
        distance: f32,
    ) -> c_int;
    #[link_name = "JxlEncoderAddImageFrame"]
    pub fn encoder_add_image_frame(
        settings: *const FrameSettings,
        format: *const PixelFormat,
        buffer: *const c_void,
        size: usize,
    ) -> c_int;
    #[link_name = "JxlEncoderAddJPEGFrame"]
    pub fn encoder_add_jpeg_frame(
        settings: *const FrameSettings,
        buffer: *const u8,
        size: usize,
    ) -> c_int;
}

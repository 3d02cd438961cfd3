//! WebP by libwebp: lossy and lossless, RGB or RGBA; of an animation the first frame on its canvas.
#![expect(unsafe_code, reason = "binds libwebp")]

use std::ffi::c_char;
use std::mem;
use std::slice;

use libwebp_sys as webp;

use super::super::TransformError;
use super::super::color::ColorSpace;
use super::super::metadata;
use super::super::pixels::Channels;
use super::super::pixels::Raster;
use super::super::pixels::Samples;
use super::super::pixels::Size;
use super::super::sniff::Kind;
use super::Decoded;
use super::Header;
use super::frames::webp::Frames;
use super::size_of;
use super::whole;

pub(super) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let features = features(source)?;
    let size = size_of(features.width, features.height)?;
    let exif = Demuxer::open(source).and_then(|demuxer| demuxer.chunk(c"EXIF"));
    Ok(Header {
        kind: Kind::Webp,
        size,
        orientation: metadata::orientation(exif.as_deref()),
        // Pixels, and what libwebp keeps beside them: all of them again where they are lossless. An animation keeps two canvases and
        // a frame, which may be lossless as well.
        bytes_per_pixel: match (features.has_animation != 0, is_lossless(features)) {
            (true, _) => 16,
            (false, true) => 9,
            (false, false) => 6,
        },
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: if features.has_alpha != 0 { 4 } else { 3 },
        alpha: features.has_alpha != 0,
        is_lossless: is_lossless(features),
        is_scalable: false,
    })
}

pub(super) fn decode(source: &[u8], header: &Header) -> Result<Decoded, TransformError> {
    let features = features(source)?;
    if size_of(features.width, features.height)? != header.size {
        return Err(another_size());
    }
    let space =
        ColorSpace::from_icc(Demuxer::open(source).and_then(|demuxer| demuxer.chunk(c"ICCP")));
    let raster = if features.has_animation != 0 {
        first_frame(source, header.size)?
    } else {
        still(source, header.size, features.has_alpha != 0)?
    };
    Ok(Decoded {
        raster,
        extent: whole(header.size),
        space,
    })
}

/// The format is 0 where it is mixed, 1 where it is lossy and 2 where it is lossless.
const fn is_lossless(features: webp::WebPBitstreamFeatures) -> bool {
    features.format == 2
}

fn still(source: &[u8], size: Size, alpha: bool) -> Result<Raster, TransformError> {
    let channels = if alpha { Channels::Rgba } else { Channels::Rgb };
    let into = if alpha {
        webp::WebPDecodeRGBAInto
    } else {
        webp::WebPDecodeRGBInto
    };
    let row = size.width as usize * channels.count();
    let mut samples = vec![0; row * size.height as usize];
    let stride = i32::try_from(row).map_err(|_| broken())?;
    // SAFETY: the size is the one that libwebp read from the same bytes, and the format has `channels` bytes for each pixel. The library
    // is told the length of the buffer and the bytes of a row, and refuses a picture that does not fit them before it writes.
    let made = unsafe {
        into(
            source.as_ptr(),
            source.len(),
            samples.as_mut_ptr(),
            samples.len(),
            stride,
        )
    };
    if made.is_null() {
        return Err(broken());
    }
    Ok(Raster {
        size,
        channels,
        samples: Samples::U8(samples),
    })
}

fn first_frame(source: &[u8], size: Size) -> Result<Raster, TransformError> {
    // The header was priced, so there is no second limit.
    let first = Frames::open(source, u64::MAX)?.next()?;
    let raster = first.ok_or_else(broken)?.raster;
    if raster.size == size {
        Ok(raster)
    } else {
        Err(another_size())
    }
}

fn features(source: &[u8]) -> Result<webp::WebPBitstreamFeatures, TransformError> {
    // SAFETY: plain numbers, for which zero is valid; pointer and length are of one slice.
    let (status, features) = unsafe {
        let mut features: webp::WebPBitstreamFeatures = mem::zeroed();
        (
            webp::WebPGetFeatures(source.as_ptr(), source.len(), &mut features),
            features,
        )
    };
    if status == webp::VP8StatusCode::VP8_STATUS_OK {
        Ok(features)
    } else {
        Err(broken())
    }
}

pub(super) fn broken() -> TransformError {
    TransformError::Decode("the WebP data is damaged or ends early".to_owned())
}

pub(super) fn another_size() -> TransformError {
    TransformError::Decode("the WebP has another size than its header says".to_owned())
}

/// The container of a file: where the chunks beside the pixels are found.
pub(super) struct Demuxer<'a> {
    handle: *mut webp::WebPDemuxer,
    _source: &'a [u8],
}

impl Drop for Demuxer<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle came from WebPDemux and is deleted once.
        unsafe { webp::WebPDemuxDelete(self.handle) }
    }
}

impl<'a> Demuxer<'a> {
    pub fn open(source: &'a [u8]) -> Option<Self> {
        let data = webp::WebPData {
            bytes: source.as_ptr(),
            size: source.len(),
        };
        // SAFETY: the handle borrows the source, which outlives it by the lifetime above.
        let handle = unsafe {
            webp::WebPDemuxInternal(
                &data,
                0,
                std::ptr::null_mut(),
                webp::WEBP_DEMUX_ABI_VERSION.cast_signed(),
            )
        };
        (!handle.is_null()).then_some(Demuxer {
            handle,
            _source: source,
        })
    }

    /// A number of the container.
    pub fn feature(&self, feature: webp::WebPFormatFeature) -> u32 {
        // SAFETY: a valid handle.
        unsafe { webp::WebPDemuxGetI(self.handle, feature) }
    }

    pub fn chunk(&self, name: &std::ffi::CStr) -> Option<Vec<u8>> {
        let name: *const c_char = name.as_ptr();
        // SAFETY: a valid handle; the name has four characters; the library says where in the source the chunk lies and how long it is,
        // which it has checked against the length of the source; it is copied before the iterator goes.
        unsafe {
            let mut found: webp::WebPChunkIterator = mem::zeroed();
            let content = (webp::WebPDemuxGetChunk(self.handle, name, 1, &mut found) != 0
                && !found.chunk.bytes.is_null())
            .then(|| slice::from_raw_parts(found.chunk.bytes, found.chunk.size).to_vec());
            webp::WebPDemuxReleaseChunkIterator(&mut found);
            content
        }
    }
}

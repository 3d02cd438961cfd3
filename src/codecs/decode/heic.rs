//! HEIC by libheif: the primary picture, in 8 or 16 bits with alpha, with rotation and crop already applied. A build has it only with the
//! feature `heic`. Versions 1.19 and later of the library refuse hostile pictures by their own limits; the size in the container is checked
//! before any version decodes.
#![expect(unsafe_code, reason = "binds libheif")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;
use std::slice;
use std::sync::Once;

use libheif_sys as heif;

use crate::codecs::TransformError;
use crate::codecs::decode::image::{DecodedImage, Header, full_extent, size_of};
use crate::codecs::decode::samples::unmultiplied;
use crate::codecs::sniff::SourceFormat;
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// Profiles of 4 MiB are already enormous.
const MAX_PROFILE: usize = 4 << 20;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let file = HeifContext::open(source)?;
    let picture = ImageHandle::primary(&file)?;
    Ok(Header {
        format: SourceFormat::Heic,
        size: picture.size()?,
        orientation: Orientation::default(),
        // YCbCr as decoded and as copied out of the decoder, the RGB(A) of the library, and our own.
        bytes_per_pixel: if picture.is_deep() { 28 } else { 14 },
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: if picture.is_deep() { 8 } else { 4 },
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let file = HeifContext::open(source)?;
    file.limit(header.size.width.max(header.size.height));
    let picture = ImageHandle::primary(&file)?;
    let space = picture.space();
    let channels = if picture.has_alpha() {
        Channels::Rgba
    } else {
        Channels::Rgb
    };
    let plane = HeifImage::decode(&picture, channels)?;
    let samples = plane.samples(header.size, channels)?;
    let samples = if channels.has_alpha() && picture.is_premultiplied() {
        unmultiplied(samples, channels.count())
    } else {
        samples
    };
    Ok(DecodedImage {
        raster: Raster {
            size: header.size,
            channels,
            samples,
        },
        extent: full_extent(header.size),
        space,
    })
}

/// A container of libheif, which borrows the source.
struct HeifContext<'a> {
    context: *mut heif::heif_context,
    _source: PhantomData<&'a [u8]>,
}

impl Drop for HeifContext<'_> {
    fn drop(&mut self) {
        // SAFETY: came from heif_context_alloc, and is freed once, after everything that was taken from it.
        unsafe { heif::heif_context_free(self.context) }
    }
}

impl<'a> HeifContext<'a> {
    fn open(source: &'a [u8]) -> Result<Self, TransformError> {
        static LOADED: Once = Once::new();
        LOADED.call_once(|| {
            // SAFETY: without parameters; it loads plugins, where the decoder is one. Its failure shows when a decoder is missing.
            unsafe { heif::heif_init(ptr::null_mut()) };
        });
        // SAFETY: takes nothing; the pointer is checked.
        let context = unsafe { heif::heif_context_alloc() };
        if context.is_null() {
            return Err(broken("no memory for its container"));
        }
        let file = HeifContext {
            context,
            _source: PhantomData,
        };
        // SAFETY: a valid context, which keeps a pointer to the source: `HeifContext` borrows it for as long. No threads: the renders that
        // run at once are bounded, each on its own.
        let error = unsafe {
            heif::heif_context_set_max_decoding_threads(file.context, 0);
            heif::heif_context_read_from_memory_without_copy(
                file.context,
                source.as_ptr().cast(),
                source.len(),
                ptr::null(),
            )
        };
        checked(error)?;
        Ok(file)
    }

    /// Refuses tiles, and grids of tiles, with a longer side.
    fn limit(&self, side: u32) {
        let side = i32::try_from(side).unwrap_or(i32::MAX);
        // SAFETY: a valid context and a number.
        unsafe { heif::heif_context_set_maximum_image_size_limit(self.context, side) }
    }
}

/// The primary picture of a container, before it is decoded.
struct ImageHandle<'a> {
    handle: *mut heif::heif_image_handle,
    _file: PhantomData<&'a HeifContext<'a>>,
}

impl Drop for ImageHandle<'_> {
    fn drop(&mut self) {
        // SAFETY: came from the context, and is released once, before it.
        unsafe { heif::heif_image_handle_release(self.handle) }
    }
}

impl<'a> ImageHandle<'a> {
    fn primary(file: &'a HeifContext<'a>) -> Result<Self, TransformError> {
        let mut handle = ptr::null_mut();
        // SAFETY: a valid context and a place for the handle, which is checked.
        checked(unsafe {
            heif::heif_context_get_primary_image_handle(file.context, &raw mut handle)
        })?;
        if handle.is_null() {
            return Err(broken("no picture in it"));
        }
        Ok(ImageHandle {
            handle,
            _file: PhantomData,
        })
    }

    /// The size after rotation and crop.
    fn size(&self) -> Result<Size, TransformError> {
        // SAFETY: a valid handle.
        let (width, height) = unsafe {
            (
                heif::heif_image_handle_get_width(self.handle),
                heif::heif_image_handle_get_height(self.handle),
            )
        };
        size_of(width, height)
    }

    fn has_alpha(&self) -> bool {
        // SAFETY: a valid handle.
        unsafe { heif::heif_image_handle_has_alpha_channel(self.handle) != 0 }
    }

    fn is_premultiplied(&self) -> bool {
        // SAFETY: a valid handle.
        unsafe { heif::heif_image_handle_is_premultiplied_alpha(self.handle) != 0 }
    }

    fn is_deep(&self) -> bool {
        // SAFETY: a valid handle.
        unsafe { heif::heif_image_handle_get_luma_bits_per_pixel(self.handle) > 8 }
    }

    /// An ICC profile has precedence over code points, as in browsers.
    fn space(&self) -> ColorSpace {
        self.profile()
            .map(|profile| ColorSpace::from_icc(Some(profile)))
            .or_else(|| self.code_points())
            .unwrap_or_default()
    }

    fn profile(&self) -> Option<Vec<u8>> {
        // SAFETY: a valid handle.
        let length = unsafe { heif::heif_image_handle_get_raw_color_profile_size(self.handle) };
        if length == 0 || length > MAX_PROFILE {
            return None;
        }
        let mut profile = vec![0_u8; length];
        // SAFETY: a valid handle, and room for the bytes that it just said the profile has.
        let error = unsafe {
            heif::heif_image_handle_get_raw_color_profile(self.handle, profile.as_mut_ptr().cast())
        };
        checked(error).ok().map(|()| profile)
    }

    fn code_points(&self) -> Option<ColorSpace> {
        let mut points = ptr::null_mut();
        // SAFETY: a valid handle and a place for the pointer, which is checked, read once, and freed.
        let (primaries, transfer) = unsafe {
            let error =
                heif::heif_image_handle_get_nclx_color_profile(self.handle, &raw mut points);
            if checked(error).is_err() || points.is_null() {
                return None;
            }
            let found = (
                (*points).color_primaries,
                (*points).transfer_characteristics,
            );
            heif::heif_nclx_color_profile_free(points);
            found
        };
        let point = |value: u32| u8::try_from(value).unwrap_or(2);
        Some(ColorSpace::from_cicp(point(primaries), point(transfer)))
    }
}

/// A decoded picture with interleaved samples.
struct HeifImage {
    image: *mut heif::heif_image,
    /// The requested sample layout.
    chroma: heif::heif_chroma,
}

impl Drop for HeifImage {
    fn drop(&mut self) {
        // SAFETY: came from heif_decode_image, and is released once.
        unsafe { heif::heif_image_release(self.image) }
    }
}

impl HeifImage {
    fn decode(picture: &ImageHandle<'_>, channels: Channels) -> Result<Self, TransformError> {
        let chroma = match (channels, picture.is_deep()) {
            (Channels::Rgba, true) => heif::heif_chroma_heif_chroma_interleaved_RRGGBBAA_LE,
            (Channels::Rgba, false) => heif::heif_chroma_heif_chroma_interleaved_RGBA,
            (_, true) => heif::heif_chroma_heif_chroma_interleaved_RRGGBB_LE,
            (_, false) => heif::heif_chroma_heif_chroma_interleaved_RGB,
        };
        let mut image = ptr::null_mut();
        // SAFETY: a valid handle, a place for the image, which is checked, and no options: its own are to turn and to cut.
        checked(unsafe {
            heif::heif_decode_image(
                picture.handle,
                &raw mut image,
                heif::heif_colorspace_heif_colorspace_RGB,
                chroma,
                ptr::null(),
            )
        })?;
        if image.is_null() {
            return Err(broken("no picture came of it"));
        }
        Ok(HeifImage { image, chroma })
    }

    /// Copies the samples without the gaps between rows. Samples of 9 to 15 bits are scaled up to 16.
    fn samples(&self, size: Size, channels: Channels) -> Result<Samples, TransformError> {
        const CHANNEL: heif::heif_channel = heif::heif_channel_heif_channel_interleaved;
        let mut stride = 0;
        // SAFETY: a valid image and a place for the stride; the pointer is checked.
        let (chroma, bits, made, plane) = unsafe {
            (
                heif::heif_image_get_chroma_format(self.image),
                heif::heif_image_get_bits_per_pixel_range(self.image, CHANNEL),
                size_of(
                    heif::heif_image_get_width(self.image, CHANNEL),
                    heif::heif_image_get_height(self.image, CHANNEL),
                )?,
                heif::heif_image_get_plane_readonly(self.image, CHANNEL, &raw mut stride),
            )
        };
        let deep = match bits {
            8 => false,
            9..=16 => true,
            _ => return Err(broken("a bit depth that is not 8 to 16")),
        };
        let row = size.width as usize * channels.count() * if deep { 2 } else { 1 };
        let stride = usize::try_from(stride).unwrap_or(0);
        if plane.is_null() || chroma != self.chroma || made != size || stride < row || row == 0 {
            return Err(broken("a picture of another size than its header says"));
        }
        let height = size.height as usize;
        // SAFETY: the library made the plane and says how many rows of how many pixels it has, in which layout, and how many bytes lie
        // from one row to the next; all of that is what is read here. The last row reaches at least up to its last sample, and the
        // image outlives the slice.
        let bytes = unsafe { slice::from_raw_parts(plane, stride * (height - 1) + row) };
        let rows = bytes.chunks(stride).map(|bytes| &bytes[..row]);
        if !deep {
            let samples = rows.flatten().copied();
            return Ok(Samples::U8(buffer::collected(row * height, samples)?));
        }
        // The upper bits are repeated in the lower ones, so that the largest value stays the largest.
        let (up, down) = (16 - bits, 2 * bits - 16);
        let wide = |sample: u16| match up {
            0 => sample,
            _ => sample << up | sample >> down,
        };
        let samples = rows
            .flat_map(|row| row.as_chunks::<2>().0)
            .map(|pair| wide(u16::from_le_bytes(*pair)));
        Ok(Samples::U16(buffer::collected(row * height / 2, samples)?))
    }
}

fn checked(error: heif::heif_error) -> Result<(), TransformError> {
    if error.code == heif::heif_error_code_heif_error_Ok {
        return Ok(());
    }
    let message = if error.message.is_null() {
        "unknown".into()
    } else {
        // SAFETY: the library's messages are static or live in the context, end with a zero, and are copied here.
        unsafe { CStr::from_ptr(error.message) }.to_string_lossy()
    };
    Err(broken(&message))
}

fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("HEIC: {what}"))
}

#[cfg(test)]
mod tests {
    use crate::codecs::decode::{DecodeScale, header, pixels};
    use crate::codecs::encode;
    use crate::codecs::encode::{Picture, Settings};
    use crate::codecs::sniff::SourceFormat;
    use crate::options::{Effort, Format, Quality};
    use crate::pixels::{Samples, Size};

    /// libheif decodes it by a library of the system that has the names of ours: were those seen, it would call ours by the other's structs.
    #[test]
    fn av1_in_a_heic_leaves_our_own_decoder_alone() {
        let size = Size::new(64, 48);
        let color = [200, 40, 90];
        let picture = Picture::Rgb(size, color.repeat(size.len()));
        let settings = Settings {
            quality: Quality::new(90).expect("from 1 to 100"),
            progressive: false,
            palette: false,
            effort: Effort::Settled,
            profile: None,
        };
        let mut file = encode::encode(&picture, Format::Avif, settings).expect("encodes");
        let brands = u32::from_be_bytes(*file.first_chunk().expect("a box")) as usize;
        for at in (8..brands).step_by(4) {
            file[at..at + 4].copy_from_slice(b"mif1");
        }

        let header = header(&file).expect("a container");
        assert_eq!((header.format, header.size), (SourceFormat::Heic, size));
        // Some builds of libheif have no decoder for it.
        if let Ok(decoded) = pixels(&file, &header, DecodeScale::WHOLE) {
            let Samples::U8(samples) = decoded.raster.samples else {
                panic!("8 bits");
            };
            for (sample, expected) in samples.iter().zip(color.iter().cycle()) {
                assert!(sample.abs_diff(*expected) < 12, "{sample} {expected}");
            }
        }
    }
}

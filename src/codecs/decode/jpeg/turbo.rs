//! JPEG by libjpeg-turbo, at 1/1, 1/2, 3/8, 1/4 or 1/8 scale directly from the DCT. Subsampled chroma is then decoded at the scale of luma.
//! The result is RGB, grey or CMYK.
#![expect(unsafe_code, reason = "binds libjpeg-turbo")]

use std::ffi::{CStr, c_int};

use turbojpeg_sys as tj;

use crate::codecs::decode::image::{DecodeScale, DecodedImage, Header, size_of};
use crate::codecs::decode::jpeg::upright_inks;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::{Channels, Raster, Samples, Size, buffer};

/// Scans that a progressive file may have; more would be an attack on the processor. Cameras write 1, encoders about 10.
const MAX_SCANS: c_int = 100;
/// Bits of a sample here. Other depths need other functions of the library, with other types.
const BITS: c_int = 8;
/// Texts in warnings after which every pixel is still correct.
const HARMLESS: [&str; 6] = [
    "extraneous bytes",
    "unknown JFIF revision",
    "Unknown Adobe",
    "Inconsistent progression",
    "Invalid SOS",
    "bad ICC marker",
];
/// The end-of-image marker.
const END: [u8; 2] = [0xFF, 0xD9];

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let decoder = Decompressor::open(source)?;
    let size = decoder.size()?;
    let markers = metadata::jpeg(source);
    let in_several_scans =
        decoder.get(tj::TJPARAM_TJPARAM_PROGRESSIVE) != 0 || metadata::is_in_several_scans(source);
    Ok(Header {
        format: SourceFormat::Jpeg,
        size,
        orientation: metadata::orientation(markers.exif.as_deref()),
        // Padded planes, cropped to the size; CMYK has four samples anyway.
        bytes_per_pixel: 4,
        // With several scans the library holds all coefficients, of 16 bits each.
        coefficient_bytes: if in_several_scans {
            decoder.coefficient_bytes()
        } else {
            0
        },
        hidden_pixels: 0,
        pixel_bytes: decoder.pixel_bytes(),
        alpha: false,
        is_lossless: decoder.is_lossless(),
        is_scalable: !in_several_scans && !decoder.is_lossless(),
    })
}

pub(crate) fn decode(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    let end = |failure| match failure {
        // Perhaps only the last marker is missing. If data is missing too, the added marker makes the library report it.
        TurboError::NoEnd => {
            let ended = buffer::joined(&[source, &END])
                .map_err(TransformError::from)
                .map_err(TurboError::Other)?;
            attempts(&ended, header, scale)
        }
        other => Err(other),
    };
    attempts(source, header, scale)
        .or_else(end)
        .map_err(TurboError::into_error)
}

/// Decodes a file whose data is known to end early, with an added end marker. Missing rows are grey.
pub(crate) fn decode_truncated(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TransformError> {
    decode_once(source, header, scale, WarningPolicy::Expected).map_err(TurboError::into_error)
}

/// The library reports only the last of its warnings, so the first decode stops at the first warning; if that is harmless, a second decode
/// ignores warnings.
fn attempts(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
) -> Result<DecodedImage, TurboError> {
    match decode_once(source, header, scale, WarningPolicy::Stop) {
        Err(TurboError::Odd) => decode_once(source, header, scale, WarningPolicy::GoOn),
        other => other,
    }
}

fn decode_once(
    source: &[u8],
    header: &Header,
    scale: DecodeScale,
    on_warning: WarningPolicy,
) -> Result<DecodedImage, TurboError> {
    let decoder = Decompressor::open(source).map_err(TurboError::Other)?;
    decoder.set(
        tj::TJPARAM_TJPARAM_STOPONWARNING,
        c_int::from(on_warning == WarningPolicy::Stop),
    );
    let scaled = decoder.scale(scale)?;
    if scaled != header.decoded(scale) {
        return Err(TurboError::Other(TransformError::Decode(
            "a JPEG of another size than its header says".to_owned(),
        )));
    }
    let markers = metadata::jpeg(source);
    let colors = decoder.get(tj::TJPARAM_TJPARAM_COLORSPACE).cast_unsigned();
    let space = ColorSpace::from_icc(markers.icc);
    let raster = match colors {
        tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK => {
            let mut samples =
                decoder.packed(source, scaled, (tj::TJPF_TJPF_CMYK, 4), on_warning)?;
            upright_inks(&mut samples);
            Raster {
                size: scaled,
                channels: Channels::Cmyk,
                samples: Samples::U8(samples),
            }
        }
        tj::TJCS_TJCS_GRAY => {
            let samples = decoder.packed(source, scaled, (tj::TJPF_TJPF_GRAY, 1), on_warning)?;
            Raster {
                size: scaled,
                channels: Channels::Gray,
                samples: Samples::U8(samples),
            }
        }
        _ => {
            let samples = decoder.packed(source, scaled, (tj::TJPF_TJPF_RGB, 3), on_warning)?;
            Raster {
                size: scaled,
                channels: Channels::Rgb,
                samples: Samples::U8(samples),
            }
        }
    };
    Ok(DecodedImage {
        raster,
        extent: header.extent(scale),
        space,
    })
}

/// What a warning of the library does to a decode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WarningPolicy {
    Stop,
    GoOn,
    /// It is ignored: the damage is known.
    Expected,
}

/// Why a decode failed.
enum TurboError {
    /// At a harmless warning.
    Odd,
    /// The data ended early.
    NoEnd,
    Other(TransformError),
}

impl TurboError {
    fn into_error(self) -> TransformError {
        match self {
            TurboError::NoEnd => TransformError::Decode("the JPEG data ends early".to_owned()),
            TurboError::Odd => TransformError::Decode("the JPEG data is odd".to_owned()),
            TurboError::Other(error) => error,
        }
    }
}

/// A decompressor that has read the header of one file.
struct Decompressor(tj::tjhandle);

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: the handle came from tj3Init and is destroyed once.
        unsafe { tj::tj3Destroy(self.0) }
    }
}

impl Decompressor {
    fn open(source: &[u8]) -> Result<Self, TransformError> {
        // SAFETY: no arguments that could be wrong; a null handle is checked.
        let handle = unsafe { tj::tj3Init(tj::TJINIT_TJINIT_DECOMPRESS.cast_signed()) };
        if handle.is_null() {
            return Err(TransformError::Decode(
                "no memory for a JPEG decoder".to_owned(),
            ));
        }
        let decoder = Decompressor(handle);
        decoder.set(tj::TJPARAM_TJPARAM_SCANLIMIT, MAX_SCANS);
        // ICC profiles are read by `metadata`. The library would hold another copy, of any length, as long as the decoder lives.
        decoder.set(tj::TJPARAM_TJPARAM_SAVEMARKERS, 0);
        // SAFETY: pointer and length are of one slice; the library does not keep them.
        if unsafe {
            tj::tj3DecompressHeader(decoder.0, source.as_ptr(), source.len() as tj::size_t)
        } != 0
            && decoder.size().is_err()
        {
            return Err(TransformError::Decode(decoder.message()));
        }
        let bits = decoder.get(tj::TJPARAM_TJPARAM_PRECISION);
        if bits > BITS {
            return Err(TransformError::UnsupportedCoding(format!(
                "a JPEG with samples of {bits} bits"
            )));
        }
        Ok(decoder)
    }

    fn get(&self, parameter: tj::TJPARAM) -> c_int {
        // SAFETY: a valid handle; an unknown parameter gives -1.
        unsafe { tj::tj3Get(self.0, parameter.cast_signed()) }
    }

    fn set(&self, parameter: tj::TJPARAM, value: c_int) {
        // SAFETY: a valid handle; a value out of range is refused.
        unsafe { tj::tj3Set(self.0, parameter.cast_signed(), value) };
    }

    fn message(&self) -> String {
        // SAFETY: a valid handle; the text lives until the next call and is copied at once.
        unsafe { CStr::from_ptr(tj::tj3GetErrorStr(self.0)) }
            .to_string_lossy()
            .into_owned()
    }

    fn size(&self) -> Result<Size, TransformError> {
        size_of(
            self.get(tj::TJPARAM_TJPARAM_JPEGWIDTH),
            self.get(tj::TJPARAM_TJPARAM_JPEGHEIGHT),
        )
    }

    /// Whether the file is lossless JPEG (ITU-T T.81, annex H), which can only be decoded at 1/1.
    fn is_lossless(&self) -> bool {
        self.get(tj::TJPARAM_TJPARAM_LOSSLESS) == 1
    }

    /// Bytes of the coefficients for each pixel, padding of the blocks included.
    fn coefficient_bytes(&self) -> u64 {
        match self.get(tj::TJPARAM_TJPARAM_SUBSAMP) {
            _ if self.is_inked() => 8,
            tj::TJSAMP_TJSAMP_GRAY => 2,
            tj::TJSAMP_TJSAMP_420 | tj::TJSAMP_TJSAMP_411 | tj::TJSAMP_TJSAMP_441 => 3,
            tj::TJSAMP_TJSAMP_422 | tj::TJSAMP_TJSAMP_440 => 4,
            _ => 6,
        }
    }

    /// Bytes of a decoded pixel.
    fn pixel_bytes(&self) -> u64 {
        match self.get(tj::TJPARAM_TJPARAM_SUBSAMP) {
            _ if self.is_inked() => 4,
            tj::TJSAMP_TJSAMP_GRAY => 1,
            _ => 3,
        }
    }

    fn is_inked(&self) -> bool {
        matches!(
            self.get(tj::TJPARAM_TJPARAM_COLORSPACE).cast_unsigned(),
            tj::TJCS_TJCS_CMYK | tj::TJCS_TJCS_YCCK
        )
    }

    /// Sets the decode scale and returns the size that the library will write: rounded up; or the full size of a lossless file, for which
    /// the library ignores the scale.
    fn scale(&self, scale: DecodeScale) -> Result<Size, TurboError> {
        // The library accepts only fractions in lowest terms.
        let common = scale.eighths.trailing_zeros();
        let factor = tj::tjscalingfactor {
            num: (scale.eighths >> common).cast_signed(),
            denom: 8 >> common,
        };
        // SAFETY: a valid handle; a factor that is not offered is refused.
        if unsafe { tj::tj3SetScalingFactor(self.0, factor) } != 0 {
            return Err(TurboError::Other(TransformError::Decode(self.message())));
        }
        let stored = self.size().map_err(TurboError::Other)?;
        Ok(if self.is_lossless() {
            stored
        } else {
            scale.of(stored)
        })
    }

    /// Decodes the pixels, whose size is the result of `scale`, in a format with the given bytes for each pixel.
    fn packed(
        &self,
        source: &[u8],
        size: Size,
        (format, channels): (tj::TJPF, usize),
        on_warning: WarningPolicy,
    ) -> Result<Vec<u8>, TurboError> {
        let row = size.width as usize * channels;
        let pitch = c_int::try_from(row)
            .map_err(|_| TurboError::Other(TransformError::Decode("too wide a JPEG".to_owned())))?;
        let mut samples = buffer::zeroed(row * size.height as usize)
            .map_err(TransformError::from)
            .map_err(TurboError::Other)?;
        // SAFETY: the library writes `size.height` rows of `size.width` pixels, each row `pitch` bytes after the one before, and the
        // buffer has exactly as many: `size` was made from the library's own account of the same bytes, after the scale was set and by
        // the rule that it follows itself; no region of the picture was chosen, and its samples have one byte, see `open`.
        let status = unsafe {
            tj::tj3Decompress8(
                self.0,
                source.as_ptr(),
                source.len() as tj::size_t,
                samples.as_mut_ptr(),
                pitch,
                format,
            )
        };
        self.judge(status, on_warning)?;
        self.widen(&mut samples);
        Ok(samples)
    }

    /// Lossless samples may have fewer than eight bits and are not scaled by the library: the largest value becomes white here.
    fn widen(&self, samples: &mut [u8]) {
        let bits = self.get(tj::TJPARAM_TJPARAM_PRECISION);
        if !(1..BITS).contains(&bits) {
            return;
        }
        let largest = (1_u32 << bits) - 1;
        let wide = |sample: u8| {
            let sample = u32::from(sample).min(largest);
            u8::try_from((sample * 255 + largest / 2) / largest).unwrap_or(u8::MAX)
        };
        samples
            .iter_mut()
            .for_each(|sample| *sample = wide(*sample));
    }

    /// Distinguishes damage from harmless warnings. The library continues after both and fills missing parts with grey, which must not be
    /// cached.
    fn judge(&self, status: c_int, on_warning: WarningPolicy) -> Result<(), TurboError> {
        // SAFETY: a valid handle.
        let kind = unsafe { tj::tj3GetErrorCode(self.0) };
        let is_warning = kind.cast_unsigned() == tj::TJERR_TJERR_WARNING;
        if status == 0 || (is_warning && on_warning == WarningPolicy::Expected) {
            return Ok(());
        }
        let message = self.message();
        if message.contains("Premature end of JPEG file") {
            return Err(TurboError::NoEnd);
        }
        if !HARMLESS.iter().any(|sign| message.contains(sign)) {
            return Err(TurboError::Other(TransformError::Decode(message)));
        }
        // Warnings were ignored, so the picture is complete.
        if self.get(tj::TJPARAM_TJPARAM_STOPONWARNING) == 0 {
            Ok(())
        } else {
            Err(TurboError::Odd)
        }
    }
}

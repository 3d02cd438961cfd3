//! The structure of a WebP file: its features, the size of its canvas, and the frames of an animation, without decoding any of them.
#![expect(unsafe_code, reason = "binds libwebp")]

use std::borrow::Cow;
use std::mem;

use libwebp_sys as webp;

use crate::codecs::animation::{Animation, LoopCount};
use crate::codecs::decode::image::size_of;
use crate::codecs::{TransformError, metadata};
use crate::pixels::{Size, buffer};

/// Bytes of an animation frame before its picture.
pub(crate) const FRAME_HEAD: usize = 16;

pub(crate) fn features(source: &[u8]) -> Result<webp::WebPBitstreamFeatures, TransformError> {
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

/// The size of a picture, or of the canvas of an animation.
pub(crate) fn canvas_size(source: &[u8]) -> Result<Size, TransformError> {
    let features = features(source)?;
    size_of(features.width, features.height)
}

/// Counts the frames whose data is complete. The library would build a table with a hundred bytes for each frame, and a frame may have only
/// a few bytes.
pub(crate) fn animation(source: &[u8]) -> Option<Animation> {
    let header = metadata::webp_extended(source).filter(|header| header.is_animated())?;
    let mut found = Animation {
        frames: 0,
        loops: LoopCount::ONCE,
        size: header.size,
        // Frames may hold what their header denies.
        may_be_transparent: true,
        // The library decodes into one of the canvases that `header` already counts.
        frame_bytes: 0,
    };
    for (name, content) in metadata::webp_chunks(source) {
        match (name, content) {
            // The loop count follows the background colour.
            (b"ANIM", &[_, _, _, _, low, high, ..]) => {
                found.loops = LoopCount(u32::from(u16::from_le_bytes([low, high])));
            }
            (b"ANMF", _) if content.len() > FRAME_HEAD => {
                found.frames = found.frames.saturating_add(1);
            }
            _ => {}
        }
    }
    Some(found)
}

/// Cuts a truncated file to its last complete chunk: libwebp would refuse the whole file.
pub(crate) fn complete(source: &[u8]) -> Result<Cow<'_, [u8]>, TransformError> {
    const HEAD: usize = 12;
    const CHUNK_HEAD: usize = 8;
    let length = |offset: usize| {
        let bytes = source.get(offset..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    match length(4) {
        Some(claimed) if claimed > source.len().saturating_sub(CHUNK_HEAD) => {}
        _ => return Ok(Cow::Borrowed(source)),
    }
    let mut end = HEAD;
    while let Some(content) = length(end + 4) {
        // Chunks are padded to an even length.
        let next = content
            .checked_add(content & 1)
            .and_then(|content| content.checked_add(end + CHUNK_HEAD));
        match next {
            Some(next) if next <= source.len() => end = next,
            _ => break,
        }
    }
    let mut cut = buffer::copied(source.get(..end).unwrap_or(source))?;
    if let (Some(field), Ok(claimed)) = (cut.get_mut(4..8), u32::try_from(end - CHUNK_HEAD)) {
        field.copy_from_slice(&claimed.to_le_bytes());
    }
    Ok(Cow::Owned(cut))
}

pub(crate) fn broken() -> TransformError {
    TransformError::Decode("the WebP data is damaged or ends early".to_owned())
}

pub(crate) fn another_size() -> TransformError {
    TransformError::Decode("the WebP has another size than its header says".to_owned())
}

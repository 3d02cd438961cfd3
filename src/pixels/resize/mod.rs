//! Resampling: Lanczos3 for reduction, in linear light; Catmull-Rom for enlargement, on encoded values, because linear light would cause
//! halos around dark areas. Alpha is premultiplied meanwhile, and the edges of the source are as exact as those of `Rect`.

mod axis;
mod kernel;
mod light;
mod reduced;
mod sink;

use crate::pixels::error::PixelError;
use crate::pixels::{
    Channels, Pixels, Plane, Raster, Rect, Samples, Size, Subsampling, buffer, of_both,
};

use axis::Axis;
use kernel::KernelSource;
use sink::RowSink;
use sink::SinkBuffer;

pub(crate) use reduced::reduced;

/// The space in which samples are averaged when a picture is reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResampleSpace {
    /// Linear light: the samples are encoded with the curve of sRGB, or a similar one.
    Linear,
    /// The encoded values: for CMYK, and for samples with another curve.
    Encoded,
}

/// YCbCr planes of a picture in full-range BT.601, with chroma at each requested size; a grey picture has no chroma.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub luma: Plane,
    /// Cb and Cr of the size of luma (4:4:4).
    pub full: Option<[Plane; 2]>,
    /// Cb and Cr of half the size on each axis (4:2:0).
    pub halved: Option<[Plane; 2]>,
}

/// Resamples the part `crop` of a picture to `target` pixels.
pub(crate) fn raster(
    pixels: Pixels<'_>,
    crop: Rect,
    target: Size,
    mixing: ResampleSpace,
) -> Result<Raster, PixelError> {
    if is_whole(crop, pixels.size()) && pixels.size() == target {
        return pixels.into_raster();
    }
    let channels = pixels.channels();
    let length = target.len() * channels.count();
    let into = if pixels.is_deep() {
        SinkBuffer::U16(buffer::with_room(length)?)
    } else {
        SinkBuffer::U8(buffer::with_room(length)?)
    };
    let samples = match resample(pixels, crop, target, mixing, into)? {
        SinkBuffer::U8(samples) => Samples::U8(samples),
        SinkBuffer::U16(samples) => Samples::U16(samples),
        SinkBuffer::Planes { .. } => unreachable!("a sink stays what it is"),
    };
    Ok(Raster {
        size: target,
        channels,
        samples,
    })
}

/// Resamples the part `crop` of a grey or RGB picture in sRGB to planes of `target` luma pixels, with chroma for each `subsampling` that is
/// requested. The encoders take these planes, which are rounded only once.
pub(crate) fn planes(
    pixels: Pixels<'_>,
    crop: Rect,
    target: Size,
    mixing: ResampleSpace,
    subsampling: impl Fn(Subsampling) -> bool,
) -> Result<Planes, PixelError> {
    let channels = pixels.channels();
    let room = |wanted: Subsampling| {
        let is_wanted = channels == Channels::Rgb && subsampling(wanted);
        let length = wanted.chroma_size(target).len();
        is_wanted
            .then(|| of_both([length; 2], buffer::with_room))
            .transpose()
    };
    let into = SinkBuffer::Planes {
        luma: buffer::with_room(target.len())?,
        full: room(Subsampling::None)?,
        halved: room(Subsampling::Both)?,
    };
    let SinkBuffer::Planes { luma, full, halved } = resample(pixels, crop, target, mixing, into)?
    else {
        unreachable!("a sink stays what it is");
    };
    let plane = |size| move |samples| Plane { size, samples };
    Ok(Planes {
        luma: plane(target)(luma),
        full: full.map(|chroma| chroma.map(plane(target))),
        halved: halved.map(|chroma| chroma.map(plane(Subsampling::Both.chroma_size(target)))),
    })
}

fn resample(
    mut pixels: Pixels<'_>,
    crop: Rect,
    target: Size,
    mixing: ResampleSpace,
    into: SinkBuffer,
) -> Result<SinkBuffer, PixelError> {
    let (Size { width, height }, channels) = (pixels.size(), pixels.channels());
    let across = Axis::new(crop.left, crop.width, width, target.width)?;
    let down = Axis::new(crop.top, crop.height, height, target.height)?;
    let light = mixing == ResampleSpace::Linear
        && channels != Channels::Cmyk
        && !across.enlarges
        && !down.enlarges;
    let alpha = channels.has_alpha();
    let mut sink = RowSink::new(light, alpha, target.width as usize, into)?;
    let source = KernelSource {
        samples: match &mut pixels {
            Pixels::Raster(raster) => match &raster.samples {
                Samples::U8(samples) => kernel::SampleSource::U8(samples),
                Samples::U16(samples) => kernel::SampleSource::U16(samples),
            },
            Pixels::Scanlines(rows) => kernel::SampleSource::Scanlines(*rows),
        },
        width: width as usize,
        channels: channels.count(),
        alpha,
        light,
    };
    kernel::resample(source, &across, &down, &mut sink)?;
    Ok(sink.into())
}

fn is_whole(crop: Rect, size: Size) -> bool {
    crop == Rect {
        left: 0.0,
        top: 0.0,
        width: f64::from(size.width),
        height: f64::from(size.height),
    }
}

#[cfg(test)]
mod tests;

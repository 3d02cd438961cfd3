//! AVIF: `zenavif-parse` reads the container and `re_rav1d` decodes AV1, with every depth, subsampling, matrix and range. Grids, layers and
//! the first frame of sequences are supported. Crop, rotation and mirroring of the container are applied.

mod aperture;

use std::borrow::Cow;

use re_rav1d::dav1d;
use re_rav1d::dav1d::{PixelLayout, PlanarImageComponent};
use zenavif_parse::AvifParser;
use zenavif_parse::ColorInformation;
use zenavif_parse::DecodeConfig;

use crate::codecs::decode::av1::{ColorDescription, FirstPicture};
use crate::codecs::decode::image::{DecodedImage, Header, full_extent};
use crate::codecs::decode::yuv;
use crate::codecs::decode::yuv::{Matrix, YuvFrame};
use crate::codecs::metadata::AvifAlphaGrid;
use crate::codecs::sniff::SourceFormat;
use crate::codecs::{TransformError, metadata};
use crate::pixels::color::ColorSpace;
use crate::pixels::orientation::Orientation;
use crate::pixels::{Size, buffer};
use aperture::clean;
use aperture::cut;

pub(crate) fn header(source: &[u8]) -> Result<Header, TransformError> {
    let container = open(source)?;
    let coded = coded_size(&container)?;
    let frames = most_frames(source, &container)?;
    Ok(Header {
        format: SourceFormat::Avif,
        size: container
            .clean_aperture()
            .and_then(|aperture| clean(aperture, coded))
            .map_or(coded, |(_, size)| size),
        orientation: Orientation::from_heif(
            container.rotation().map_or(0, |rotation| rotation.angle),
            container.mirror().map(|mirror| mirror.axis),
        ),
        // The decoder's frame, our copy of it in 16 bits, alpha of both, and RGB(A) of up to 16 bits. Each further frame is held with its
        // motion vectors and segmentation until the picture is complete.
        bytes_per_pixel: 20 + 7 * u64::from(frames - 1),
        coefficient_bytes: 0,
        hidden_pixels: 0,
        pixel_bytes: 8,
        alpha: true,
        is_lossless: false,
        is_scalable: false,
    })
}

pub(crate) fn decode(source: &[u8], header: &Header) -> Result<DecodedImage, TransformError> {
    let container = open(source)?;
    let coded = coded_size(&container)?;
    let frame = match container.grid_config() {
        Some(grid) => tiled(
            (u32::from(grid.columns), u32::from(grid.rows)),
            container.grid_tile_count(),
            |index| container.tile_data(index).map_err(failed),
            coded,
        )?,
        None => av1(&color_data(&container)?, coded)?,
    };
    if frame.size != coded {
        return Err(broken("a frame of another size than its header says"));
    }
    let (matrix, full_range, space) = match container.color_info() {
        Some(ColorInformation::Nclx {
            color_primaries,
            transfer_characteristics,
            matrix_coefficients,
            full_range,
        }) => {
            let point = |value: u16| u8::try_from(value).unwrap_or(2);
            let space =
                ColorSpace::from_cicp(point(*color_primaries), point(*transfer_characteristics));
            (
                Matrix::from_cicp(point(*matrix_coefficients)),
                *full_range,
                space,
            )
        }
        Some(ColorInformation::IccProfile(profile)) => (
            frame.matrix,
            frame.full_range,
            ColorSpace::from_icc(Some(profile.clone())),
        ),
        None => (frame.matrix, frame.full_range, frame.space.clone()),
    };
    let alpha = match (alpha_grid(source, &container), alpha_data(&container)?) {
        (Some(grid), _) => Some(tiled(
            (grid.columns, grid.rows),
            grid.len(),
            |index| {
                grid.tile(index)
                    .ok_or_else(|| broken("a tile of the alpha"))
            },
            coded,
        )?),
        (None, Some(data)) => Some(av1(&data, coded)?),
        (None, None) => None,
    }
    .filter(|alpha| alpha.size == coded);
    let raster = yuv::to_raster(
        &frame,
        alpha.as_ref(),
        matrix,
        full_range,
        container.premultiplied_alpha(),
    )?;
    let raster = match container
        .clean_aperture()
        .and_then(|aperture| clean(aperture, coded))
    {
        Some((corner, size)) => cut(&raster, corner, size)?,
        None => raster,
    };
    Ok(DecodedImage {
        raster,
        extent: full_extent(header.size),
        space,
    })
}

fn open(source: &[u8]) -> Result<AvifParser<'_>, TransformError> {
    // The parser concatenates the extents of an item, also if they repeat the same bytes many times.
    if !metadata::avif_is_bounded(source) {
        return Err(broken("items that are larger than the file"));
    }
    let config = DecodeConfig::default()
        .with_peak_memory_limit(256 << 20)
        .lenient(true);
    AvifParser::from_bytes_with_config(source, &config, &enough::Unstoppable).map_err(failed)
}

/// The size of the decoded picture before crop and rotation.
fn coded_size(container: &AvifParser<'_>) -> Result<Size, TransformError> {
    if let Some(grid) = container.grid_config()
        && grid.output_width > 0
        && grid.output_height > 0
    {
        return Ok(Size::new(grid.output_width, grid.output_height));
    }
    let metadata = match container.primary_metadata() {
        Ok(metadata) => metadata,
        Err(_) => zenavif_parse::AV1Metadata::parse_av1_bitstream(&color_data(container)?)
            .map_err(failed)?,
    };
    Ok(Size::new(
        metadata.max_frame_width.get(),
        metadata.max_frame_height.get(),
    ))
}

/// The largest number of frames that are decoded for one picture or tile of the file.
fn most_frames(source: &[u8], container: &AvifParser<'_>) -> Result<u32, TransformError> {
    let frames = |data: &[u8]| FirstPicture::of(data).map(|picture| picture.frames);
    let mut most = 1;
    match (alpha_grid(source, container), alpha_data(container)?) {
        (Some(grid), _) => {
            // A missing tile is reported when it is decoded.
            for tile in (0..grid.len()).filter_map(|index| grid.tile(index)) {
                most = most.max(frames(&tile)?);
            }
        }
        (None, Some(data)) => most = frames(&data)?,
        (None, None) => {}
    }
    if container.grid_config().is_none() {
        return Ok(most.max(frames(&color_data(container)?)?));
    }
    for index in 0..container.grid_tile_count() {
        most = most.max(frames(&container.tile_data(index).map_err(failed)?)?);
    }
    Ok(most)
}

/// The AV1 data of the still picture, or of the first frame of a sequence.
fn color_data<'a>(container: &'a AvifParser<'_>) -> Result<Cow<'a, [u8]>, TransformError> {
    if is_sequence(container) {
        Ok(container.frame(0).map_err(failed)?.data)
    } else {
        container.primary_data().map_err(failed)
    }
}

/// Whether the file is mainly a sequence: its still picture may then lack parts such as alpha.
fn is_sequence(container: &AvifParser<'_>) -> bool {
    let still = container.primary_data().is_ok_and(|data| !data.is_empty());
    container.animation_info().is_some() && (container.major_brand() == b"avis" || !still)
}

fn alpha_data<'a>(container: &'a AvifParser<'_>) -> Result<Option<Cow<'a, [u8]>>, TransformError> {
    if is_sequence(container) {
        return Ok(container.frame(0).map_err(failed)?.alpha_data);
    }
    container.alpha_data().transpose().map_err(failed)
}

/// The alpha grid of a still picture. If the alpha is in tiles, what the parser gives as alpha is no picture.
fn alpha_grid<'a>(source: &'a [u8], container: &AvifParser<'_>) -> Option<AvifAlphaGrid<'a>> {
    metadata::avif_alpha_grid(source).filter(|_| !is_sequence(container))
}

/// Decodes a grid of tiles, row by row. `grid` is the number of columns and rows.
fn tiled<'a>(
    grid: (u32, u32),
    count: usize,
    data: impl Fn(usize) -> Result<Cow<'a, [u8]>, TransformError>,
    coded: Size,
) -> Result<YuvFrame, TransformError> {
    let (columns, rows) = grid;
    let first = av1(&data(0)?, coded)?;
    let limit = first.size;
    // All tiles are held in memory at once, so none may be useless: the last column and the last row must begin inside the picture.
    let begins_inside = |count: u32, tile: u32, side: u32| {
        u64::from(count.saturating_sub(1)) * u64::from(tile) < u64::from(side)
    };
    if !begins_inside(columns, limit.width, coded.width)
        || !begins_inside(rows, limit.height, coded.height)
        || count != columns as usize * rows as usize
    {
        return Err(broken("more tiles than make the picture"));
    }
    let mut tiles = vec![first];
    for index in 1..count {
        tiles.push(av1(&data(index)?, limit)?);
    }
    YuvFrame::joined(tiles, columns as usize, coded)?
        .ok_or_else(|| broken("tiles that do not make a picture"))
}

/// Decodes one AV1 picture on this thread.
fn av1(data: &[u8], limit: Size) -> Result<YuvFrame, TransformError> {
    let first = FirstPicture::of(data)?;
    let mut settings = dav1d::Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    // The highest spatial layer is the picture.
    settings.set_all_layers(false);
    // A frame may be larger than the header says only by padding to whole blocks.
    let pixels = limit.transposed().area().saturating_add(1 << 16);
    settings.set_frame_size_limit(u32::try_from(pixels).unwrap_or(u32::MAX));
    let failed = |cause: dav1d::Error| broken(&cause.to_string());
    let mut decoder = dav1d::Decoder::with_settings(&settings).map_err(failed)?;
    match decoder.send_data(first.bytes()?, None, None, None) {
        Ok(()) | Err(dav1d::Error::Again) => {}
        Err(cause) => return Err(failed(cause)),
    }
    let picture = loop {
        match decoder.get_picture() {
            Ok(picture) => break picture,
            Err(dav1d::Error::Again) => match decoder.send_pending_data() {
                Ok(()) => break decoder.get_picture().map_err(failed)?,
                Err(dav1d::Error::Again) => {}
                Err(cause) => return Err(failed(cause)),
            },
            Err(cause) => return Err(failed(cause)),
        }
    };
    frame(&picture, first.color)
}

/// Copies a decoded picture, every sample as 16 bits. The colour description comes from our own parser, because the library panics if it is
/// asked for a reserved code point.
fn frame(picture: &dav1d::Picture, color: ColorDescription) -> Result<YuvFrame, TransformError> {
    let size = Size::new(picture.width(), picture.height());
    let (across, down, components) = match picture.pixel_layout() {
        PixelLayout::I400 => (1, 1, 1),
        PixelLayout::I420 => (2, 2, 3),
        PixelLayout::I422 => (2, 1, 3),
        PixelLayout::I444 => (1, 1, 3),
    };
    let depth = u32::try_from(picture.bit_depth())
        .ok()
        .filter(|depth| (8..=16).contains(depth))
        .ok_or_else(|| broken("a bit depth that is not 8 to 16"))?;
    let chroma = Size::new(size.width.div_ceil(across), size.height.div_ceil(down));
    let mut planes = Vec::with_capacity(components);
    for component in [
        PlanarImageComponent::Y,
        PlanarImageComponent::U,
        PlanarImageComponent::V,
    ]
    .into_iter()
    .take(components)
    {
        let of = if component == PlanarImageComponent::Y {
            size
        } else {
            chroma
        };
        let stride = picture.stride(component) as usize;
        let bytes = picture.plane(component);
        let width = of.width as usize;
        let mut samples = buffer::with_room(of.len())?;
        for row in bytes.chunks(stride.max(1)).take(of.height as usize) {
            if depth == 8 {
                samples.extend(row.iter().take(width).map(|&sample| u16::from(sample)));
            } else {
                samples.extend(
                    row.as_chunks()
                        .0
                        .iter()
                        .take(width)
                        .map(|pair| u16::from_ne_bytes(*pair)),
                );
            }
        }
        if samples.len() != of.len() {
            return Err(broken("a plane that is too short"));
        }
        planes.push(samples);
    }
    Ok(YuvFrame {
        size,
        subsampled: (across == 2, down == 2),
        depth,
        planes,
        matrix: Matrix::from_cicp(color.matrix),
        full_range: picture.color_range() == dav1d::pixel::YUVRange::Full,
        space: ColorSpace::from_cicp(color.primaries, color.transfer),
    })
}

fn failed(cause: impl std::fmt::Display) -> TransformError {
    broken(&cause.to_string())
}

fn broken(what: &str) -> TransformError {
    TransformError::Decode(format!("AVIF: {what}"))
}

// The tests need an encoder that writes 8 bits.
#[cfg(all(test, feature = "native"))]
mod tests;

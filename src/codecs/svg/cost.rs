//! Estimates the cost of rendering an SVG before it is rendered: the pixels that each shape, layer, mask, pattern and filter touches. Every
//! estimate is an upper bound.

use resvg::tiny_skia::Rect;
use resvg::usvg;
use resvg::usvg::filter::{Filter, Kind as Primitive};
use resvg::usvg::{Group, Node, Paint, Tree};

use crate::codecs::TransformError;
use crate::codecs::svg::error::broken;
use crate::codecs::svg::size::whole;
use crate::pixels::Size;

/// Pixels that may be touched, counted each time: fills at this limit take up to 8 seconds of one processor.
const WORK: u64 = 1 << 30;
/// The cost of an element with few pixels, in pixels.
const ELEMENT_WORK: u64 = 500;

/// What an embedded picture takes for each of its pixels, with some room: a progressive JPEG with all chroma ten bytes, a WebP eight and a half, a PNG seven.
const DECODED_BYTES: u64 = 12;

/// The cost of rendering.
pub(crate) struct DrawingCost {
    /// Pixels touched so far.
    work: u64,
    /// Peak memory in bytes.
    pub memory: u64,
    scale: (f64, f64),
    canvas: Size,
}

impl DrawingCost {
    pub(super) fn of(tree: &Tree, scale: (f64, f64), canvas: Size) -> Result<Self, TransformError> {
        let mut estimate = DrawingCost {
            work: 0,
            memory: 0,
            scale,
            canvas,
        };
        // Two copies: as rendered, and as returned.
        estimate.group(tree.root(), 8 * canvas.area(), None)?;
        Ok(estimate)
    }

    fn spend(&mut self, pixels: u64, times: u64) -> Result<(), TransformError> {
        self.work = self
            .work
            .saturating_add(pixels.saturating_mul(times))
            .saturating_add(ELEMENT_WORK);
        if self.work > WORK {
            return Err(broken("it would take too long to draw"));
        }
        Ok(())
    }

    /// Pixels of a bounding box on the canvas; with `surroundings`, also outside it, up to twice its size on each side, which is the limit
    /// of `resvg` for layers.
    fn area(&self, bounds: Rect, surroundings: bool) -> u64 {
        let margin = if surroundings { 2.0 } else { 0.0 };
        let side = |from: f32, to: f32, scale: f64, side: u32| {
            let side = f64::from(side);
            let from = (f64::from(from) * scale).max(-margin * side);
            let to = (f64::from(to) * scale).min((1.0 + margin) * side);
            // A diagonal line covers pixels even if it is thin, and layers have a border.
            u64::from(whole((to - from).max(0.0) + 4.0))
        };
        side(
            bounds.left(),
            bounds.right(),
            self.scale.0,
            self.canvas.width,
        ) * side(
            bounds.top(),
            bounds.bottom(),
            self.scale.1,
            self.canvas.height,
        )
    }

    /// Adds a group. The canvas and the layers around it take `held` bytes. `all` is the area of everything in it if its bounding boxes are
    /// in another coordinate system than the canvas, as in masks and patterns.
    fn group(&mut self, group: &Group, held: u64, all: Option<u64>) -> Result<(), TransformError> {
        self.memory = self.memory.max(held);
        for node in group.children() {
            match node {
                Node::Group(inner) => self.inner(inner, held, all)?,
                Node::Path(path) => {
                    let area =
                        all.unwrap_or_else(|| self.area(path.abs_stroke_bounding_box(), false));
                    let points = u64::try_from(path.data().len()).unwrap_or(u64::MAX);
                    self.spend(area, 2)?;
                    self.spend(points, 50)?;
                    self.spend(dashes(path), 100)?;
                    let crossings = crossings(path);
                    if path.fill().is_some() {
                        self.spend(crossings / 2, 1)?;
                    }
                    if path.stroke().is_some() {
                        // The outline of a line has four or more lines.
                        self.spend(crossings, 2)?;
                    }
                    let fill = path.fill().map(usvg::Fill::paint);
                    let stroke = path.stroke().map(usvg::Stroke::paint);
                    for paint in fill.into_iter().chain(stroke) {
                        if let Paint::Pattern(pattern) = paint {
                            let (horizontal, vertical) = path
                                .abs_transform()
                                .pre_concat(pattern.transform())
                                .get_scale();
                            let rect = pattern.rect();
                            let side = |side: f32, own: f32, scale: f64| {
                                u64::from(whole(f64::from(side) * f64::from(own) * scale))
                            };
                            let tile = side(rect.width(), horizontal, self.scale.0)
                                .saturating_mul(side(rect.height(), vertical, self.scale.1));
                            self.spend(tile, 1)?;
                            let held = held.saturating_add(tile.saturating_mul(4));
                            self.group(pattern.root(), held, Some(tile))?;
                        }
                    }
                }
                Node::Image(image) => {
                    let area = all.unwrap_or_else(|| self.area(image.abs_bounding_box(), false));
                    let size = image.size();
                    let own = u64::from(whole(f64::from(size.width())))
                        .saturating_mul(u64::from(whole(f64::from(size.height()))));
                    // Bicubic sampling, and decoding the picture.
                    self.spend(area, 8)?;
                    self.spend(own, 4)?;
                    let decoded = own.saturating_mul(DECODED_BYTES);
                    self.memory = self.memory.max(held.saturating_add(decoded));
                }
                Node::Text(text) => self.group(text.flattened(), held, all)?,
            }
        }
        Ok(())
    }

    /// Adds a nested group, which gets its own layer if it has an effect.
    fn inner(&mut self, group: &Group, held: u64, all: Option<u64>) -> Result<(), TransformError> {
        self.spend(0, 0)?;
        if !group.should_isolate() {
            return self.group(group, held, all);
        }
        let layer = match all {
            // Filters in masks and patterns may reach as far as those on the canvas.
            Some(all) if !group.filters().is_empty() => all.saturating_mul(25),
            Some(all) => all,
            None => self.area(group.abs_layer_bounding_box().to_rect(), true),
        };
        self.spend(layer, 3)?;
        let mut held = held.saturating_add(layer.saturating_mul(4));
        self.group(group, held, all)?;
        for filter in group.filters() {
            let (horizontal, vertical) = group.abs_transform().get_scale();
            let scale = (
                f64::from(horizontal) * self.scale.0,
                f64::from(vertical) * self.scale.1,
            );
            // Every result is held until the last one is finished.
            let results = u64::try_from(filter.primitives().len()).unwrap_or(u64::MAX);
            let held = held.saturating_add(layer.saturating_mul(4 * (results + 4)));
            self.memory = self.memory.max(held);
            self.filter(filter, layer, scale, held)?;
        }
        if let Some(mut clip) = group.clip_path() {
            loop {
                self.spend(layer, 4)?;
                self.group(clip.root(), held.saturating_add(layer * 8), Some(layer))?;
                match clip.clip_path() {
                    Some(next) => clip = next,
                    None => break,
                }
            }
        }
        let mut mask = group.mask();
        while let Some(found) = mask {
            self.spend(layer, 10)?;
            held = held.saturating_add(layer.saturating_mul(8));
            self.group(found.root(), held, Some(layer))?;
            mask = found.mask();
        }
        Ok(())
    }

    fn filter(
        &mut self,
        filter: &Filter,
        layer: u64,
        scale: (f64, f64),
        held: u64,
    ) -> Result<(), TransformError> {
        for primitive in filter.primitives() {
            let times = match primitive.kind() {
                Primitive::Turbulence(noise) => u64::from(noise.num_octaves()).saturating_mul(120),
                Primitive::Morphology(shape) => {
                    let window = |radius: f32, scale: f64| {
                        u64::from(whole(2.0 * f64::from(radius) * scale + 2.0))
                    };
                    window(shape.radius_x().get(), scale.0)
                        .saturating_mul(window(shape.radius_y().get(), scale.1))
                        .saturating_mul(2)
                }
                Primitive::ConvolveMatrix(matrix) => u64::from(matrix.matrix().columns())
                    .saturating_mul(u64::from(matrix.matrix().rows()))
                    .saturating_mul(8),
                Primitive::DiffuseLighting(_) | Primitive::SpecularLighting(_) => 60,
                Primitive::GaussianBlur(_) | Primitive::DropShadow(_) => 40,
                Primitive::Image(image) => {
                    self.group(image.root(), held, Some(layer))?;
                    4
                }
                Primitive::Merge(merge) => u64::try_from(merge.inputs().len())
                    .unwrap_or(u64::MAX)
                    .saturating_mul(6),
                _ => 20,
            };
            self.spend(layer, times.saturating_add(6))?;
        }
        Ok(())
    }
}

/// An upper bound for the number of dashes of a path: no piece between two points is longer than its bounding box. The renderer gives up at
/// a million.
fn dashes(path: &usvg::Path) -> u64 {
    const MOST: u64 = 1_000_000;
    let Some(pattern) = path.stroke().and_then(usvg::Stroke::dasharray) else {
        return 0;
    };
    let bounds = path.data().bounds();
    let pieces = f64::from(u32::try_from(path.data().len()).unwrap_or(u32::MAX));
    let longest = pieces * 2.0 * f64::from(bounds.width() + bounds.height());
    let period: f64 = pattern.iter().copied().map(f64::from).sum();
    let count = u32::try_from(pattern.len()).map_or(f64::MAX, f64::from);
    u64::from(whole((longest / period * count).min(1e9))).min(MOST)
}

/// An upper bound for the number of crossing lines of a path. Filling goes from row to row and swaps two lines where they cross. In maps
/// and texts few lines cross, in scribbles nearly all.
fn crossings(path: &usvg::Path) -> u64 {
    const FEW: usize = 1000;
    let points = path.data().points();
    if points.len() < FEW {
        return 0;
    }
    let transform = path.abs_transform();
    let across = |x: f32, y: f32| f64::from(transform.sx * x) + f64::from(transform.kx * y);
    let down = |x: f32, y: f32| f64::from(transform.ky * x) + f64::from(transform.sy * y);
    let beside = overlaps(points.iter().map(|point| down(point.x, point.y)));
    let above = overlaps(points.iter().map(|point| across(point.x, point.y)));
    beside.min(above)
}

/// Counts pairs of intervals, from each position to the next, that overlap.
fn overlaps(places: impl Iterator<Item = f64> + Clone) -> u64 {
    const PLACES: f64 = 1024.0;
    let (low, high) = places
        .clone()
        .fold((f64::MAX, f64::MIN), |(low, high), at| {
            (low.min(at), high.max(at))
        });
    let places: Vec<_> = places
        .map(|at| whole((at - low) / (high - low) * PLACES) as usize)
        .collect();
    let length = places.iter().max().map_or(0, |most| most + 2);
    let (mut begin, mut end) = (vec![0_u64; length], vec![0_u64; length]);
    for line in places.windows(2) {
        begin[line[0].min(line[1])] += 1;
        end[line[0].max(line[1]) + 1] += 1;
    }
    let (mut lines, mut pairs) = (0, 0_u64);
    for (begin, end) in begin.into_iter().zip(end) {
        lines += begin;
        lines -= end;
        pairs = pairs.saturating_add(begin.saturating_mul(lines));
    }
    pairs
}

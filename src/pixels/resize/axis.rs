//! The resampling weights of one axis: Lanczos3 for reduction, Catmull-Rom for enlargement.

use std::f64::consts::PI;

use crate::pixels::buffer;
use crate::pixels::error::PixelError;

/// Weights below this part of a whole of 1 are dropped: a hundredth of a step of 16 bits.
const NOTHING: f64 = 1e-7;

/// The weights for every output sample of one axis.
pub(crate) struct Axis {
    /// For each output sample, the start of its window and of its weights.
    windows: Vec<Window>,
    weights: Vec<f32>,
    /// Whether there are more output samples than source samples.
    pub enlarges: bool,
}

#[derive(Clone, Copy)]
struct Window {
    start: usize,
    length: usize,
    weights: usize,
}

impl Axis {
    /// Weights for `target` output samples that cover the part of an axis of `side` samples from `start` on, `extent` long. The part may
    /// begin and end inside a sample. Samples completely outside the part have no weight, so that nothing cropped off affects the result.
    pub(super) fn new(start: f64, extent: f64, side: u32, target: u32) -> Result<Axis, PixelError> {
        let scale = extent / f64::from(target);
        let enlarges = scale < 1.0;
        let (kernel, support): (fn(f64) -> f64, f64) = if enlarges {
            (catmull_rom, 2.0)
        } else {
            (lanczos3, 3.0)
        };
        let stretch = scale.max(1.0);
        let reach = support * stretch;
        let first = index(start.floor()).min(side as usize - 1);
        let last = index((start + extent - NOTHING).ceil()).clamp(first + 1, side as usize);
        let mut windows = buffer::with_room(target as usize)?;
        let mut weights = Vec::new();
        let mut shares: Vec<f64> = Vec::new();
        for sample in 0..target {
            let center = start + (f64::from(sample) + 0.5) * scale;
            let from = index((center - reach).floor()).clamp(first, last - 1);
            let to = index((center + reach).ceil()).clamp(from + 1, last);
            shares.clear();
            buffer::reserve(&mut shares, to - from)?;
            buffer::reserve(&mut weights, to - from)?;
            shares.extend((from..to).map(|at| kernel((position(at) + 0.5 - center) / stretch)));
            let whole: f64 = shares.iter().sum();
            let is_part = |share: &f64| (share / whole).abs() > NOTHING;
            let Some(skipped) = shares.iter().position(is_part) else {
                // No sample has a weight, which happens for no finite picture: the nearest sample is used.
                windows.push(Window {
                    start: from,
                    length: 1,
                    weights: weights.len(),
                });
                weights.push(1.0);
                continue;
            };
            let end = shares.iter().rposition(is_part).map_or(1, |last| last + 1);
            let kept = &shares[skipped..end];
            let whole: f64 = kept.iter().sum();
            windows.push(Window {
                start: from + skipped,
                length: kept.len(),
                weights: weights.len(),
            });
            weights.extend(kept.iter().map(|share| single(share / whole)));
        }
        // Small Lanczos weights at the edges may be dropped in one window and kept in the next; the resampler needs starts and ends that
        // never decrease.
        let mut axis = Axis {
            windows,
            weights,
            enlarges,
        };
        axis.settle()?;
        Ok(axis)
    }

    /// Number of output samples.
    pub(super) fn len(&self) -> usize {
        self.windows.len()
    }

    /// The source samples of an output sample: the index of the first, and the weight of each from there on.
    #[inline(always)]
    pub(super) fn window(&self, sample: usize) -> (usize, &[f32]) {
        let Window {
            start,
            length,
            weights,
        } = self.windows[sample];
        (start, &self.weights[weights..weights + length])
    }

    /// The first used source sample and the one after the last.
    pub(super) fn used(&self) -> (usize, usize) {
        let start = self.windows.first().map_or(0, |window| window.start);
        let end = self.windows.last().map_or(0, Window::end);
        (start, end)
    }

    /// The largest number of consecutive output samples whose windows overlap at one source sample.
    pub(super) fn most_open(&self) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (sample, window) in self.windows.iter().enumerate() {
            while self.windows[first].end() <= window.start {
                first += 1;
            }
            most = most.max(sample - first + 1);
        }
        most
    }

    /// The length of the longest window.
    pub(super) fn longest(&self) -> usize {
        let lengths = self.windows.iter().map(|window| window.length);
        lengths.max().unwrap_or(0)
    }

    /// Extends windows by zero weights until no window begins or ends before the previous one.
    fn settle(&mut self) -> Result<(), PixelError> {
        let mut settled = buffer::with_room(self.weights.len())?;
        let mut start_after = usize::MAX;
        let mut starts = buffer::filled(0, self.windows.len())?;
        for (sample, window) in self.windows.iter().enumerate().rev() {
            start_after = start_after.min(window.start);
            starts[sample] = start_after;
        }
        let mut end_before = 0;
        for (window, start) in self.windows.iter_mut().zip(starts) {
            let end = window.end().max(end_before);
            end_before = end;
            let at = settled.len();
            buffer::reserve(&mut settled, end - start)?;
            settled.resize(at + (window.start - start), 0.0);
            settled
                .extend_from_slice(&self.weights[window.weights..window.weights + window.length]);
            settled.resize(at + (end - start), 0.0);
            *window = Window {
                start,
                length: end - start,
                weights: at,
            };
        }
        self.weights = settled;
        Ok(())
    }
}

impl Window {
    fn end(&self) -> usize {
        self.start + self.length
    }
}

/// `sinc(x) sinc(x / 3)`, by the sine of three times an angle from the sine of one: sines are what takes time here.
fn lanczos3(x: f64) -> f64 {
    let angle = PI * x.abs() / 3.0;
    if angle >= PI {
        0.0
    } else if angle < 1e-6 {
        1.0
    } else {
        let sine = angle.sin();
        let part = sine / angle;
        part * part * (1.0 - 4.0 / 3.0 * sine * sine)
    }
}

/// The cubic of Keys with a = -1/2.
fn catmull_rom(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

/// A position on an axis as an index; positions before the first sample become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, and sides are 32 bits"
)]
fn index(place: f64) -> usize {
    place.max(0.0) as usize
}

#[expect(clippy::cast_precision_loss, reason = "sides are 32 bits")]
fn position(index: usize) -> f64 {
    index as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share of about 1 at most"
)]
fn single(share: f64) -> f32 {
    share as f32
}

#[cfg(test)]
mod tests {
    use proptest::prop_assert;
    use proptest::proptest;

    use super::Axis;
    use super::PI;
    use super::lanczos3;

    fn axis(start: f64, extent: f64, side: u32, target: u32) -> Axis {
        Axis::new(start, extent, side, target).expect("there is memory")
    }

    #[test]
    fn an_equal_number_of_samples_changes_none() {
        let axis = axis(0.0, 7.0, 7, 7);
        for sample in 0..7 {
            assert_eq!(axis.window(sample), (sample, &[1.0][..]));
        }
        assert_eq!((axis.most_open(), axis.longest()), (1, 1));
    }

    #[test]
    fn a_part_takes_nothing_from_outside() {
        // Samples 4 to 7 of 12, to half as many and to twice as many.
        for target in [2, 8] {
            let axis = axis(4.0, 4.0, 12, target);
            assert_eq!(axis.used(), (4, 8), "{target}");
        }
        // A part that ends inside a sample takes that sample.
        assert_eq!(axis(0.0, 340.625, 341, 100).used(), (0, 341));
    }

    #[test]
    fn the_kernel_is_lanczos() {
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                (PI * x).sin() / (PI * x)
            }
        };
        for step in -320..=320 {
            let x = f64::from(step) / 100.0;
            let expected = if x.abs() < 3.0 {
                sinc(x) * sinc(x / 3.0)
            } else {
                0.0
            };
            assert!((lanczos3(x) - expected).abs() < 1e-12, "at {x}");
        }
    }

    #[test]
    fn windows_widen_with_the_reduction() {
        let axis = axis(0.0, 1000.0, 1000, 100);
        let (start, weights) = axis.window(50);
        // The centre is at 505, and three outputs to either side have a share.
        assert!((475..=476).contains(&start), "{start}");
        assert!((59..=60).contains(&weights.len()), "{}", weights.len());
        assert!((6..=7).contains(&axis.most_open()), "{}", axis.most_open());
    }

    proptest! {
        #[test]
        fn weights_are_a_whole_and_windows_go_forward(
            side in 1..=500_u32,
            target in 1..=500_u32,
            from in 0.0..1.0_f64,
            part in 0.001..=1.0_f64,
        ) {
            let start = from * f64::from(side);
            let extent = (part * f64::from(side)).min(f64::from(side) - start).max(1e-3);
            let axis = axis(start, extent, side, target);
            prop_assert!(axis.len() == target as usize);
            let (mut before, mut ended) = (0, 0);
            for sample in 0..axis.len() {
                let (start, weights) = axis.window(sample);
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
                prop_assert!(start >= before && start + weights.len() >= ended);
                prop_assert!(start + weights.len() <= side as usize);
                (before, ended) = (start, start + weights.len());
            }
        }
    }
}

//! The place on a map where a window keeps most of what is salient.

use crate::pixels::{Rect, Size};
use crate::transform::plan::saliency::view::CELLS;

/// By what share a place must be better than one nearer to the centre.
const NOTICEABLE: f64 = 0.002;

/// The best place for a window; see [`SaliencyMap::focus`](super::SaliencyMap::focus).
pub(super) fn best_place(size: Size, cells: &[u8], part: Rect, window: (f64, f64)) -> (f64, f64) {
    let sums = Sums::of(size, cells);
    let (left, top) = (share(part.left, 0.0), share(part.top, 0.0));
    let part = Rect {
        left,
        top,
        width: share(part.width, 1.0).min(1.0 - left),
        height: share(part.height, 1.0).min(1.0 - top),
    }
    .scaled(f64::from(size.width), f64::from(size.height));
    let (width, height) = (
        part.width * share(window.0, 1.0),
        part.height * share(window.1, 1.0),
    );
    let (slack_x, slack_y) = (part.width - width, part.height - height);
    let mut best = (-1.0, 0.5, 0.5);
    for (x, y) in places(slack_x, slack_y) {
        let score = sums.score(Rect {
            left: part.left + x * slack_x,
            top: part.top + y * slack_y,
            width,
            height,
        });
        if score > best.0 * (1.0 + NOTICEABLE) {
            best = (score, x, y);
        }
    }
    (best.1, best.2)
}

/// A number in 0..1, or what stands for it where it is none.
fn share(value: f64, otherwise: f64) -> f64 {
    if value.is_nan() {
        otherwise
    } else {
        value.clamp(0.0, 1.0)
    }
}

/// Places for a window with so many cells of room, half a cell apart, the nearest to the centre first.
fn places(slack_x: f64, slack_y: f64) -> Vec<(f64, f64)> {
    let along = |slack: f64| -> Vec<f64> {
        let steps = (1..=CELLS)
            .find(|&steps| f64::from(steps) >= slack)
            .unwrap_or(CELLS)
            * 2;
        if slack > 0.0 {
            (0..=steps)
                .map(|step| f64::from(step) / f64::from(steps))
                .collect()
        } else {
            vec![0.5]
        }
    };
    let across = along(slack_x);
    let mut places: Vec<(f64, f64)> = along(slack_y)
        .into_iter()
        .flat_map(|y| across.iter().map(move |&x| (x, y)))
        .collect();
    let distance = |(x, y): (f64, f64)| (x - 0.5) * (x - 0.5) + (y - 0.5) * (y - 0.5);
    places.sort_by(|&one, &other| distance(one).total_cmp(&distance(other)));
    places
}

/// Sums of all cells to the left of and above each corner between cells.
struct Sums {
    size: Size,
    corners: Vec<u32>,
}

impl Sums {
    fn of(size: Size, cells: &[u8]) -> Sums {
        let (width, stride) = (size.width as usize, size.width as usize + 1);
        let mut corners = vec![0; stride * (size.height as usize + 1)];
        for (y, row) in cells.chunks_exact(width).enumerate() {
            let mut sum = 0;
            for (x, &cell) in row.iter().enumerate() {
                sum += u32::from(cell);
                corners[(y + 1) * stride + x + 1] = corners[y * stride + x + 1] + sum;
            }
        }
        Sums { size, corners }
    }

    /// What a window is worth: all in it, and what lies within its inner parts once more for each of them. They leave more at the top
    /// than at the bottom, so that a subject too high for the window loses its feet and not its head.
    fn score(&self, window: Rect) -> f64 {
        /// Shares of the window that stay outside: on the left and on the right, at the top, at the bottom.
        const MARGINS: [(f64, f64, f64); 3] =
            [(0.0, 0.0, 0.0), (0.1, 0.12, 0.06), (0.25, 0.32, 0.18)];
        MARGINS
            .into_iter()
            .map(|(beside, above, below)| {
                self.within(Rect {
                    left: window.left + beside * window.width,
                    top: window.top + above * window.height,
                    width: window.width * (1.0 - 2.0 * beside),
                    height: window.height * (1.0 - above - below),
                })
            })
            .sum()
    }

    fn within(&self, window: Rect) -> f64 {
        let (right, bottom) = (window.left + window.width, window.top + window.height);
        self.before(right, bottom)
            - self.before(window.left, bottom)
            - self.before(right, window.top)
            + self.before(window.left, window.top)
    }

    /// The sum of everything to the left of `x` and above `y`, parts of cells included: cells are even within themselves, so it is
    /// the bilinear mean of the four corners around the point.
    fn before(&self, x: f64, y: f64) -> f64 {
        let (column, across) = split(x, self.size.width);
        let (row, down) = split(y, self.size.height);
        let stride = self.size.width as usize + 1;
        let at = |column: usize, row: usize| f64::from(self.corners[row * stride + column]);
        let upper = at(column, row) * (1.0 - across) + at(column + 1, row) * across;
        let lower = at(column, row + 1) * (1.0 - across) + at(column + 1, row + 1) * across;
        upper * (1.0 - down) + lower * down
    }
}

/// The cell that a position lies in, and where in it, 0 to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the cells of a map first"
)]
fn split(position: f64, cells: u32) -> (usize, f64) {
    let cell = position.floor().clamp(0.0, f64::from(cells - 1));
    (cell as usize, (position - cell).clamp(0.0, 1.0))
}

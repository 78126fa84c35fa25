//! From the network's grids to boxes.

use super::{Detection, MAX_DETECTIONS};
use crate::geometry::Rect;

/// The three grids, each row by row: `heat` `[h, w]`, `size` and `offset` `[2, h, w]`.
pub(super) struct Grids<'a> {
    pub columns: usize,
    pub rows: usize,
    pub heat: &'a [f32],
    pub size: &'a [f32],
    pub offset: &'a [f32],
}

/// Boxes in input pixels: every cell that is at least as hot as its eight neighbours and as `threshold`, the hottest
/// [`MAX_DETECTIONS`] of them, by falling score (equal scores from top left to bottom right).
///
/// Cells with a size or offset that is not finite, or a size not above 0, give no box.
pub(super) fn boxes(g: &Grids<'_>, stride: f32, threshold: f32) -> Vec<Detection> {
    let cells = g.columns * g.rows;
    let mut peaks: Vec<usize> = (0..cells).filter(|&at| g.heat[at] >= threshold && is_peak(g, at)).collect();
    peaks.sort_by(|&a, &b| g.heat[b].total_cmp(&g.heat[a]).then(a.cmp(&b)));
    let to_box = |at: usize| {
        let (column, row) = ((at % g.columns) as f32, (at / g.columns) as f32);
        let (w, h) = (g.size[at], g.size[cells + at]);
        let (x, y) = ((column + g.offset[at]) * stride, (row + g.offset[cells + at]) * stride);
        let usable = [x, y, w, h].iter().all(|v| v.is_finite()) && w > 0.0 && h > 0.0;
        let rect = Rect::new(x - w / 2.0, y - h / 2.0, w, h);
        usable.then(|| Detection { rect, score: g.heat[at].clamp(0.0, 1.0) })
    };
    peaks.into_iter().filter_map(to_box).take(MAX_DETECTIONS).collect()
}

/// No neighbour is hotter; of equally hot neighbours the first in reading order counts, so that a flat top (a
/// saturated sigmoid, or int8 steps) is one peak and not many.
fn is_peak(g: &Grids<'_>, at: usize) -> bool {
    let (column, row) = (at % g.columns, at / g.columns);
    let around = |v: usize, limit: usize| v.saturating_sub(1)..(v + 2).min(limit);
    around(row, g.rows).all(|r| {
        around(column, g.columns).all(|c| {
            let other = r * g.columns + c;
            g.heat[other] < g.heat[at] || g.heat[other] == g.heat[at] && other >= at || g.heat[other].is_nan()
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grids<'a>(columns: usize, heat: &'a [f32], size: &'a [f32], offset: &'a [f32]) -> Grids<'a> {
        Grids { columns, rows: heat.len() / columns, heat, size, offset }
    }

    #[test]
    fn reads_centre_size_and_offset() {
        let mut heat = [0.0; 12];
        heat[6] = 0.9; // column 2, row 1 of 4 × 3
        let mut size = [0.0; 24];
        (size[6], size[18]) = (10.0, 6.0);
        let mut offset = [0.0; 24];
        (offset[6], offset[18]) = (0.5, 0.25);
        let found = boxes(&grids(4, &heat, &size, &offset), 8.0, 0.3);
        assert_eq!(found, [Detection { rect: Rect::new(15.0, 7.0, 10.0, 6.0), score: 0.9 }]);
    }

    #[test]
    fn a_flat_top_is_one_peak_and_a_lesser_neighbour_none() {
        let heat = [0.8, 0.8, 0.7, 0.0, 0.0, 0.5];
        let found = boxes(&grids(6, &heat, &[4.0; 12], &[0.0; 12]), 1.0, 0.3);
        assert_eq!(found.iter().map(|d| d.score).collect::<Vec<_>>(), [0.8, 0.5]);
        assert_eq!(found[0].rect.x, -2.0);
    }

    #[test]
    fn what_is_not_finite_gives_no_box() {
        let heat = [0.9, 0.0, 0.9, 0.0, f32::NAN, 0.0, 0.9];
        let mut size = [4.0; 14];
        (size[0], size[2]) = (f32::INFINITY, -1.0);
        let mut offset = [0.0; 14];
        offset[6] = f32::NAN;
        assert_eq!(boxes(&grids(7, &heat, &size, &offset), 8.0, 0.3), []);
    }

    proptest! {
        #[test]
        fn finds_every_strict_peak_and_no_two_neighbours(
            columns in 1usize..8,
            heat in prop::collection::vec(0u8..10, 8..64),
        ) {
            let rows = heat.len() / columns;
            let heat: Vec<f32> = heat[..rows * columns].iter().map(|&v| f32::from(v) / 10.0).collect();
            // Boxes of one pixel, so that a corner tells the cell.
            let (size, offset) = (vec![1.0; heat.len() * 2], vec![0.5; heat.len() * 2]);
            let found = boxes(&grids(columns, &heat, &size, &offset), 1.0, 0.3);
            let cells: Vec<(usize, usize)> =
                found.iter().map(|d| (d.rect.x as usize, d.rect.y as usize)).collect();
            for (i, a) in cells.iter().enumerate() {
                let touches = |b: &(usize, usize)| a.0.abs_diff(b.0) <= 1 && a.1.abs_diff(b.1) <= 1;
                prop_assert!(!cells[i + 1..].iter().any(touches));
            }
            for at in 0..heat.len() {
                let (c, r) = (at % columns, at / columns);
                let strict = (0..heat.len()).filter(|&o| o != at).all(|o| {
                    (o % columns).abs_diff(c) > 1 || (o / columns).abs_diff(r) > 1 || heat[o] < heat[at]
                });
                if strict && heat[at] >= 0.3 {
                    prop_assert!(cells.contains(&(c, r)));
                }
            }
        }
    }
}

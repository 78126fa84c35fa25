//! A region turned upright: rows of samples across the bars.

use super::locate::Region;
use super::luma::Luma;

/// Rows of samples, the bars standing upright.
pub(super) struct Patch {
    pub columns: usize,
    pub rows: usize,
    pub data: Vec<f32>,
    /// Picture pixels a column.
    pub step: f32,
    /// Picture pixels from the first column to the centre of the region.
    pub half: f32,
}

/// Most samples a row: ten a module of an EAN-13 with its margins.
const MAX_COLUMNS: f32 = 1200.0;
const MAX_ROWS: f32 = 64.0;

impl Patch {
    /// Samples `region`, with margins left and right for quiet zones and for bars the region missed.
    pub fn sample(luma: &Luma, region: &Region) -> Self {
        let half = region.half_length * 1.2 + 8.0;
        let step = (2.0 * half / MAX_COLUMNS).max(0.5);
        let columns = (2.0 * half / step) as usize + 1;
        let height = 2.0 * region.half_height;
        let rows = (height.min(MAX_ROWS) as usize).max(3);
        let spacing = height / rows as f32;
        let mut data = Vec::with_capacity(columns * rows);
        for r in 0..rows {
            let v = (r as f32 + 0.5) * spacing - region.half_height;
            let (x0, y0) = (region.cx - v * region.uy, region.cy + v * region.ux);
            for c in 0..columns {
                let u = c as f32 * step - half;
                data.push(luma.at(x0 + u * region.ux, y0 + u * region.uy));
            }
        }
        let mut patch = Self { columns, rows, data, step, half };
        patch.straighten(spacing);
        patch
    }

    fn row(&self, r: usize) -> &[f32] {
        &self.data[r * self.columns..(r + 1) * self.columns]
    }

    /// Shears the rows so that bars which lean stand upright: the lean under which the sum of all rows has the
    /// strongest edges.
    fn straighten(&mut self, spacing: f32) {
        let middle = (self.rows as f32 - 1.0) / 2.0;
        // Up to 8 degrees either way.
        let slopes = (-20..=20).map(|i| i as f32 * 0.007 * spacing / self.step);
        let energy = |slope: f32| {
            let mut sum = vec![0.0f32; self.columns];
            for r in 0..self.rows {
                let shift = ((r as f32 - middle) * slope).round() as isize;
                add_shifted(&mut sum, self.row(r), shift);
            }
            sum.windows(2).map(|w| (w[1] - w[0]).powi(2)).sum::<f32>()
        };
        let best = slopes.map(|s| (energy(s), s)).max_by(|a, b| a.0.total_cmp(&b.0));
        let slope = best.map_or(0.0, |(_, s)| s);
        if slope == 0.0 {
            return;
        }
        let mut data = Vec::with_capacity(self.data.len());
        for r in 0..self.rows {
            let shift = (r as f32 - middle) * slope;
            let row = self.row(r);
            data.extend((0..self.columns).map(|c| linear(row, c as f32 + shift)));
        }
        self.data = data;
    }

    /// Mean of the rows from `from` to `to`.
    pub fn mean(&self, from: usize, to: usize) -> Vec<f32> {
        let mut sum = vec![0.0f32; self.columns];
        for r in from..to {
            sum.iter_mut().zip(self.row(r)).for_each(|(s, v)| *s += v);
        }
        let n = (to - from).max(1) as f32;
        sum.iter_mut().for_each(|s| *s /= n);
        sum
    }
}

fn add_shifted(sum: &mut [f32], row: &[f32], shift: isize) {
    let last = row.len() as isize - 1;
    for (c, s) in sum.iter_mut().enumerate() {
        *s += row[(c as isize + shift).clamp(0, last) as usize];
    }
}

/// Value between samples, ends repeated.
pub(super) fn linear(row: &[f32], x: f32) -> f32 {
    let last = row.len() - 1;
    let x = x.clamp(0.0, last as f32);
    let i = (x as usize).min(last.saturating_sub(1));
    let t = x - i as f32;
    row[i] + (row[(i + 1).min(last)] - row[i]) * t
}

//! Finds where barcodes may lie: patches of strong edges that all point one way.
//!
//! The structure tensor (Bigün and Granlund 1987) of a small window tells how much its edges agree; neighbouring
//! windows of one direction are joined, and each joined patch is measured along and across its edges.

use super::luma::Luma;

/// A patch that may be a barcode, in pixels of the picture searched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// Centre.
    pub cx: f32,
    pub cy: f32,
    /// Unit vector across the bars.
    pub ux: f32,
    pub uy: f32,
    /// Half the extent across the bars (along the reading direction).
    pub half_length: f32,
    /// Half the extent along the bars.
    pub half_height: f32,
    /// How much it looks like a barcode; larger is better.
    pub score: f32,
}

impl Region {
    /// Box around the part from `a` to `b` across the bars (pixels from the centre): left, top, right, bottom.
    pub fn bounds(&self, a: f32, b: f32) -> [f32; 4] {
        let mut bounds = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for u in [a, b] {
            for v in [-self.half_height, self.half_height] {
                let (x, y) = (self.cx + u * self.ux - v * self.uy, self.cy + u * self.uy + v * self.ux);
                bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
            }
        }
        bounds
    }

    /// The same region in a picture `factor` times as large.
    pub fn scaled(&self, factor: f32) -> Self {
        // Pixel centres lie at whole numbers, so block means are centred at (factor - 1) / 2.
        let move_to = |v: f32| v * factor + (factor - 1.0) / 2.0;
        Self {
            cx: move_to(self.cx),
            cy: move_to(self.cy),
            half_length: self.half_length * factor,
            half_height: self.half_height * factor,
            ..*self
        }
    }
}

/// Pixels from one window to the next.
const STEP: usize = 4;
/// Windows are this many steps wide.
const WINDOW: usize = 4;
/// Least agreement of the edges in a window, 0 to 1.
const COHERENCE: f32 = 0.55;
/// Least mean squared gradient of a window (grey levels squared a pixel).
const ENERGY: f32 = 60.0;
/// Largest angle between neighbouring windows of one patch, as the cosine of twice the angle.
const ALIGNED: f32 = 0.82;

/// Edge sums of a block or window: squared gradient along x, along y, and their product.
#[derive(Clone, Copy, Default)]
struct Tensor {
    xx: f32,
    yy: f32,
    xy: f32,
}

impl Tensor {
    fn add(&mut self, other: &Self) {
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    fn energy(&self) -> f32 {
        self.xx + self.yy
    }

    /// Twice the edge direction as a vector; its length over the energy is the coherence.
    fn double_angle(&self) -> (f32, f32) {
        (self.xx - self.yy, 2.0 * self.xy)
    }
}

/// Patches that may be barcodes, best first.
pub(super) fn regions(luma: &Luma) -> Vec<Region> {
    let (columns, rows) = (luma.width / STEP, luma.height / STEP);
    if columns < WINDOW || rows < WINDOW {
        return Vec::new();
    }
    let cells = windows(&blocks(luma, columns, rows), columns, rows);
    let (columns, rows) = (columns - WINDOW + 1, rows - WINDOW + 1);
    let area = (STEP * STEP * WINDOW * WINDOW) as f32;
    let direction: Vec<Option<(f32, f32)>> = cells
        .iter()
        .map(|t| {
            let (c, s) = t.double_angle();
            let length = c.hypot(s);
            let strong = t.energy() > ENERGY * area && length > COHERENCE * t.energy();
            strong.then(|| (c / length, s / length))
        })
        .collect();
    let mut seen = vec![false; cells.len()];
    let mut found = Vec::new();
    for start in 0..cells.len() {
        if seen[start] || direction[start].is_none() {
            continue;
        }
        let patch = flood(start, &direction, &mut seen, columns, rows);
        found.extend(measure(&patch, &cells, columns));
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

fn blocks(luma: &Luma, columns: usize, rows: usize) -> Vec<Tensor> {
    let width = luma.width;
    let mut blocks = vec![Tensor::default(); columns * rows];
    for y in 1..(rows * STEP).min(luma.height - 1) {
        let (above, here, below) =
            (&luma.data[(y - 1) * width..], &luma.data[y * width..], &luma.data[(y + 1) * width..]);
        let row = &mut blocks[y / STEP * columns..][..columns];
        for x in 1..(columns * STEP).min(width - 1) {
            let gx = f32::from(i16::from(here[x + 1]) - i16::from(here[x - 1]));
            let gy = f32::from(i16::from(below[x]) - i16::from(above[x]));
            row[x / STEP].add(&Tensor { xx: gx * gx, yy: gy * gy, xy: gx * gy });
        }
    }
    blocks
}

fn windows(blocks: &[Tensor], columns: usize, rows: usize) -> Vec<Tensor> {
    let (wide, high) = (columns - WINDOW + 1, rows - WINDOW + 1);
    let mut cells = vec![Tensor::default(); wide * high];
    for (i, cell) in cells.iter_mut().enumerate() {
        let (x, y) = (i % wide, i / wide);
        for row in blocks[y * columns..].chunks(columns).take(WINDOW) {
            row[x..x + WINDOW].iter().for_each(|t| cell.add(t));
        }
    }
    cells
}

fn flood(
    start: usize,
    direction: &[Option<(f32, f32)>],
    seen: &mut [bool],
    columns: usize,
    rows: usize,
) -> Vec<usize> {
    let mut patch = vec![start];
    seen[start] = true;
    let mut next = 0;
    while let Some(&i) = patch.get(next) {
        next += 1;
        let Some((c, s)) = direction[i] else { continue };
        let (x, y) = (i % columns, i / columns);
        for (nx, ny) in [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)] {
            if nx >= columns || ny >= rows {
                continue;
            }
            let n = ny * columns + nx;
            let aligned = direction[n].is_some_and(|(nc, ns)| c * nc + s * ns > ALIGNED);
            if aligned && !seen[n] {
                seen[n] = true;
                patch.push(n);
            }
        }
    }
    patch
}

fn measure(patch: &[usize], cells: &[Tensor], columns: usize) -> Option<Region> {
    if patch.len() < 6 {
        return None;
    }
    let mut all = Tensor::default();
    patch.iter().for_each(|&i| all.add(&cells[i]));
    let (c, s) = all.double_angle();
    let angle = s.atan2(c) / 2.0;
    let (ux, uy) = (angle.cos(), angle.sin());
    let centre = |i: usize| ((i % columns * STEP) as f32, (i / columns * STEP) as f32);
    let mut along: Vec<f32> = Vec::with_capacity(patch.len());
    let mut across: Vec<f32> = Vec::with_capacity(patch.len());
    for &i in patch {
        let (x, y) = centre(i);
        along.push(x * ux + y * uy);
        across.push(y * ux - x * uy);
    }
    along.sort_by(f32::total_cmp);
    across.sort_by(f32::total_cmp);
    let cut = |v: &[f32], share: f32| v[((v.len() - 1) as f32 * share) as usize];
    let half_window = (STEP * WINDOW) as f32 / 2.0;
    let (a0, a1) = (cut(&along, 0.01), cut(&along, 0.99));
    let (b0, b1) = (cut(&across, 0.04), cut(&across, 0.96));
    let half_length = (a1 - a0) / 2.0 + half_window;
    let half_height = (b1 - b0) / 2.0 + half_window / 2.0;
    if half_length < 14.0 {
        return None;
    }
    let (am, bm) = ((a0 + a1) / 2.0, (b0 + b1) / 2.0);
    let shift = half_window - 0.5;
    let filled = patch.len() as f32 * (STEP * STEP) as f32 / (4.0 * half_length * half_height);
    let mean_energy = all.energy() / patch.len() as f32;
    Some(Region {
        cx: am * ux - bm * uy + shift,
        cy: am * uy + bm * ux + shift,
        ux,
        uy,
        half_length,
        half_height,
        score: filled.min(1.0)
            * mean_energy.sqrt()
            * (c.hypot(s) / all.energy())
            * (half_length * half_height.min(half_length)).sqrt(),
    })
}

//! Grey pictures: shrinking and sampling between pixels.

/// A grey picture, tightly packed.
#[derive(Clone, Debug)]
pub(super) struct Luma {
    pub width: usize,
    pub height: usize,
    pub data: Vec<u8>,
}

impl Luma {
    /// Mean of `factor × factor` blocks; a part block at the right and bottom edge is dropped unless nothing else is
    /// left.
    pub fn shrink(&self, factor: usize) -> Self {
        let (width, height) = ((self.width / factor).max(1), (self.height / factor).max(1));
        let (bw, bh) = (factor.min(self.width), factor.min(self.height));
        let mut sums = vec![0u32; width];
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            sums.fill(0);
            for row in self.data[y * bh * self.width..].chunks(self.width).take(bh) {
                for (sum, block) in sums.iter_mut().zip(row.chunks_exact(bw)) {
                    *sum += block.iter().map(|&v| u32::from(v)).sum::<u32>();
                }
            }
            data.extend(sums.iter().map(|&s| (s / (bw * bh) as u32) as u8));
        }
        Self { width, height, data }
    }

    /// Twice the size, linear between pixels.
    pub fn double(&self) -> Self {
        let (width, height) = (self.width * 2, self.height * 2);
        let mut data = Vec::with_capacity(width * height);
        let mut mixed = vec![0u16; self.width];
        for y in 0..height {
            // The nearer row or column counts three times, the farther once.
            let near = &self.data[y / 2 * self.width..][..self.width];
            let far = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(self.height - 1) };
            let far = &self.data[far * self.width..][..self.width];
            for ((m, &n), &f) in mixed.iter_mut().zip(near).zip(far) {
                *m = 3 * u16::from(n) + u16::from(f);
            }
            for (x, &middle) in mixed.iter().enumerate() {
                let (left, right) = (mixed[x.saturating_sub(1)], mixed[(x + 1).min(self.width - 1)]);
                data.extend([left, right].map(|side| ((3 * middle + side + 8) / 16) as u8));
            }
        }
        Self { width, height, data }
    }

    /// Brightness at a point (pixel centres at whole numbers), Catmull-Rom between pixels, edges repeated.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let (wx, wy) = (cubic(x - fx), cubic(y - fy));
        let (ix, iy) = (fx as isize - 1, fy as isize - 1);
        let inside = ix >= 0 && iy >= 0 && ix + 4 <= self.width as isize && iy + 4 <= self.height as isize;
        let mut sum = 0.0;
        if inside {
            for (j, wy) in wy.iter().enumerate() {
                let start = (iy as usize + j) * self.width + ix as usize;
                let row = &self.data[start..start + 4];
                sum += wy * row.iter().zip(&wx).map(|(&v, w)| f32::from(v) * w).sum::<f32>();
            }
            return sum;
        }
        let clamp = |v: isize, side: usize| v.clamp(0, side as isize - 1) as usize;
        for (j, wy) in wy.iter().enumerate() {
            let row = clamp(iy + j as isize, self.height) * self.width;
            for (i, wx) in wx.iter().enumerate() {
                sum += wy * wx * f32::from(self.data[row + clamp(ix + i as isize, self.width)]);
            }
        }
        sum
    }
}

fn cubic(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1.0, -1.5 * t3 + 2.0 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2]
}

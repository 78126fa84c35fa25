//! A tiny grey picture of a frame, to compare frames by.

use crate::frame::{Frame, Pixels, Plane, Rotation};

/// Cells along the longer side.
const SIDE: u32 = 64;

/// Samples across and down a cell: enough that sensor noise and print average out.
const SAMPLES: u32 = 4;

/// Brightness levels by which a cell must differ to count as changed: the noise of a dim phone picture, averaged over
/// a cell, stays below.
const NOISE: f32 = 8.0;

/// Share of changed cells below which a picture is the same.
const SAME: f32 = 0.01;

/// Farthest motion looked for, in cells each way; an eighth of the picture between two frames.
const REACH: i32 = 8;

/// Mean difference, in brightness levels, above which two pictures do not show the same scene even when moved.
const LOST: f32 = 18.0;

/// A frame's upright brightness on a coarse grid, one value a cell, at most 64 cells a side.
#[derive(Clone, Debug, PartialEq)]
pub struct Thumb {
    width: usize,
    height: usize,
    cells: Vec<f32>,
    /// Frame pixels a cell.
    scale: f32,
}

/// How much of a picture differs from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Share of cells that changed, in `0..=1`, after an even change of light is taken off.
    pub share: f32,
}

impl Change {
    /// Nothing in the picture changed but noise and light.
    pub fn is_none(&self) -> bool {
        self.share < SAME
    }
}

/// How far a picture moved, in pixels of the upright frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// To the right.
    pub dx: f32,
    /// Downwards.
    pub dy: f32,
    /// Mean difference left after moving, in brightness levels.
    pub residual: f32,
}

impl Motion {
    /// The pictures do not show the same scene, or moved farther than was looked for.
    pub fn is_lost(&self) -> bool {
        self.residual > LOST
    }
}

impl Thumb {
    /// Samples a frame; some 50,000 reads whatever its size, nothing is copied.
    pub fn new(frame: &Frame<'_>) -> Self {
        let (w, h) = frame.stored_size();
        let long = w.max(h);
        let scale = (long as f32 / SIDE as f32).max(1.0);
        let cells = |side: u32| ((side as f32 / scale).round() as u32).clamp(1, SIDE);
        let (cw, ch) = (cells(w), cells(h));
        let luma = Luma::of(frame);
        // The places of samples along one side, in stored pixels.
        let places = |cells: u32, side: u32| -> Vec<usize> {
            let samples = cells * SAMPLES;
            let at = |i: u32| ((2 * u64::from(i) + 1) * u64::from(side) / (2 * u64::from(samples))) as usize;
            (0..samples).map(at).collect()
        };
        let (xs, ys) = (places(cw, w), places(ch, h));
        let mut stored = vec![0.0; (cw * ch) as usize];
        for (row, ys) in ys.chunks_exact(SAMPLES as usize).enumerate() {
            for (column, xs) in xs.chunks_exact(SAMPLES as usize).enumerate() {
                let sum: u32 = ys.iter().map(|&y| xs.iter().map(|&x| luma.at(x, y)).sum::<u32>()).sum();
                stored[row * cw as usize + column] = sum as f32 / (SAMPLES * SAMPLES) as f32;
            }
        }
        let (cw, ch) = (cw as usize, ch as usize);
        let (width, height) = match frame.rotation() {
            Rotation::R0 | Rotation::R180 => (cw, ch),
            Rotation::R90 | Rotation::R270 => (ch, cw),
        };
        let upright = |x: usize, y: usize| match frame.rotation() {
            Rotation::R0 => stored[y * cw + x],
            Rotation::R90 => stored[(ch - 1 - x) * cw + y],
            Rotation::R180 => stored[(ch - 1 - y) * cw + cw - 1 - x],
            Rotation::R270 => stored[x * cw + cw - 1 - y],
        };
        let cells = (0..width * height).map(|i| upright(i % width, i / width)).collect();
        Self { width, height, cells, scale }
    }

    /// What changed since `before`; everything, if the pictures differ in size.
    pub fn change(&self, before: &Self) -> Change {
        if !self.same_shape(before) {
            return Change { share: 1.0 };
        }
        let light = self.mean() - before.mean();
        let pairs = self.cells.iter().zip(&before.cells);
        let changed = pairs.filter(|&(now, then)| (now - then - light).abs() > NOISE).count();
        Change { share: changed as f32 / self.cells.len() as f32 }
    }

    /// How the picture moved since `before`: the shift with the least difference, between cells by a parabola through
    /// its neighbours. `None` if the pictures differ in size.
    pub fn motion(&self, before: &Self) -> Option<Motion> {
        if !self.same_shape(before) {
            return None;
        }
        let light = self.mean() - before.mean();
        let reach_x = REACH.min(self.width as i32 / 4);
        let reach_y = REACH.min(self.height as i32 / 4);
        let (mut best, mut at) = (f32::INFINITY, (0, 0));
        for dy in -reach_y..=reach_y {
            for dx in -reach_x..=reach_x {
                let cost = self.difference(before, dx, dy, light);
                // Of equals, the smallest move: a wall without print has not moved.
                let nearer = dx * dx + dy * dy < at.0 * at.0 + at.1 * at.1;
                if cost < best || (cost == best && nearer) {
                    (best, at) = (cost, (dx, dy));
                }
            }
        }
        let (dx, dy) = at;
        let between = |before: f32, after: f32| {
            let bend = before - 2.0 * best + after;
            if bend > 1e-3 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 }
        };
        let cost = |x, y| self.difference(before, x, y, light);
        let fx = if dx.abs() < reach_x { between(cost(dx - 1, dy), cost(dx + 1, dy)) } else { 0.0 };
        let fy = if dy.abs() < reach_y { between(cost(dx, dy - 1), cost(dx, dy + 1)) } else { 0.0 };
        let pixels = |cells: i32, part: f32| (cells as f32 + part) * self.scale;
        Some(Motion { dx: pixels(dx, fx), dy: pixels(dy, fy), residual: best })
    }

    /// Mean absolute difference where the two overlap if `before` is moved by `(dx, dy)` cells.
    fn difference(&self, before: &Self, dx: i32, dy: i32, light: f32) -> f32 {
        let (w, h) = (self.width as i32, self.height as i32);
        let (x0, x1) = (dx.max(0) as usize, (w + dx.min(0)) as usize);
        let (y0, y1) = (dy.max(0) as usize, (h + dy.min(0)) as usize);
        let mut sum = 0.0;
        for y in y0..y1 {
            let then = (y as i32 - dy) as usize * self.width;
            let then = &before.cells[then + (x0 as i32 - dx) as usize..][..x1 - x0];
            let now = &self.cells[y * self.width + x0..][..x1 - x0];
            sum += now.iter().zip(then).map(|(a, b)| (a - b - light).abs()).sum::<f32>();
        }
        sum / ((x1 - x0) * (y1 - y0)).max(1) as f32
    }

    fn same_shape(&self, other: &Self) -> bool {
        (self.width, self.height, self.scale) == (other.width, other.height, other.scale)
    }

    fn mean(&self) -> f32 {
        self.cells.iter().sum::<f32>() / self.cells.len() as f32
    }
}

/// Brightness of stored pixels; green stands for it in colour pictures.
struct Luma<'a> {
    plane: Plane<'a>,
    offset: usize,
}

impl<'a> Luma<'a> {
    fn of(frame: &Frame<'a>) -> Self {
        match *frame.pixels() {
            Pixels::Gray(plane) | Pixels::Yuv420 { y: plane, .. } => Self { plane, offset: 0 },
            Pixels::Rgb(plane) | Pixels::Bgr(plane) => Self { plane, offset: 1 },
        }
    }

    fn at(&self, x: usize, y: usize) -> u32 {
        let at = y * self.plane.row_stride + x * self.plane.pixel_stride + self.offset;
        self.plane.data.get(at).copied().unwrap_or(0).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall of boxes of many greys, seen from `(left, top)`.
    fn wall(width: u32, height: u32, left: u32, top: u32, light: i32) -> Vec<u8> {
        let mut seen = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (bx, by) = ((x + left) / 37, (y + top) / 53);
                let grey =
                    (bx.wrapping_mul(2_654_435_761) ^ by.wrapping_mul(40_503)).wrapping_mul(97) >> 13 & 127;
                seen.push((grey as i32 + 60 + light).clamp(0, 255) as u8);
            }
        }
        seen
    }

    fn gray(data: &[u8], width: u32, height: u32) -> Frame<'_> {
        let plane = Plane { data, row_stride: width as usize, pixel_stride: 1 };
        Frame::new(Pixels::Gray(plane), width, height).unwrap()
    }

    #[test]
    fn the_same_scene_in_other_light_is_unchanged() {
        let (a, b) = (wall(640, 480, 0, 0, 0), wall(640, 480, 0, 0, 15));
        let (a, b) = (Thumb::new(&gray(&a, 640, 480)), Thumb::new(&gray(&b, 640, 480)));
        assert!(b.change(&a).is_none(), "{:?}", b.change(&a));
        // A hand's width of the shelf emptied.
        let mut c = wall(640, 480, 0, 0, 0);
        for y in 100..220 {
            c[y * 640 + 200..y * 640 + 330].fill(20);
        }
        let c = Thumb::new(&gray(&c, 640, 480));
        assert!(!c.change(&a).is_none() && c.change(&a).share < 0.2, "{:?}", c.change(&a));
    }

    #[test]
    fn motion_is_found_to_a_fraction_of_a_cell() {
        for (dx, dy) in [(0, 0), (30, 0), (0, 40), (44, 23), (7, 3), (60, 60)] {
            let (a, b) = (wall(640, 480, 100, 100, 0), wall(640, 480, 100 - dx, 100 - dy, 6));
            let (a, b) = (Thumb::new(&gray(&a, 640, 480)), Thumb::new(&gray(&b, 640, 480)));
            let motion = b.motion(&a).unwrap();
            let (ex, ey) = (motion.dx - dx as f32, motion.dy - dy as f32);
            assert!(ex.abs() < 4.0 && ey.abs() < 4.0 && !motion.is_lost(), "{dx} {dy} {motion:?}");
        }
    }

    #[test]
    fn another_scene_is_lost() {
        let (a, b) = (wall(640, 480, 0, 0, 0), wall(640, 480, 5000, 7000, 0));
        let motion = Thumb::new(&gray(&b, 640, 480)).motion(&Thumb::new(&gray(&a, 640, 480)));
        assert!(motion.unwrap().is_lost(), "{motion:?}");
        let small = wall(320, 480, 0, 0, 0);
        assert_eq!(Thumb::new(&gray(&small, 320, 480)).motion(&Thumb::new(&gray(&a, 640, 480))), None);
    }

    #[test]
    fn a_camera_lying_on_its_side_sees_the_same() {
        let upright = wall(480, 640, 0, 0, 0);
        let want = Thumb::new(&gray(&upright, 480, 640));
        // Stored pixels of a picture that a turn by 90° clockwise makes upright.
        let mut lying = vec![0; upright.len()];
        for y in 0..640 {
            for x in 0..480 {
                lying[(479 - x) * 640 + y] = upright[y * 480 + x];
            }
        }
        let turned = gray(&lying, 640, 480).rotated(Rotation::R90);
        let seen = Thumb::new(&turned);
        assert_eq!((seen.width, seen.height), (want.width, want.height));
        assert!(seen.change(&want).is_none());
        let mut over = lying.clone();
        over.reverse();
        assert!(Thumb::new(&gray(&over, 640, 480).rotated(Rotation::R270)).change(&want).is_none());
    }

    #[test]
    fn tiny_and_padded_frames_are_read_inside() {
        for (width, height) in [(1, 1), (3, 2), (64, 1), (65, 1000)] {
            let data = wall(width, height, 0, 0, 0);
            let thumb = Thumb::new(&gray(&data, width, height));
            assert!(thumb.change(&thumb).is_none());
            assert_eq!(thumb.motion(&thumb).map(|m| (m.dx, m.dy)), Some((0.0, 0.0)));
        }
    }
}

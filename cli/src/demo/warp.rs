//! Perspective: a projection fixed by four corners (Heckbert, Fundamentals of Texture Mapping, 1989, section 2.2).

use image::RgbImage;
use tiny_skia::Pixmap;

use crate::canvas::Rgb;

/// A point.
pub(crate) type Point = (f32, f32);

/// A projective map of the plane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Projection([f64; 9]);

impl Projection {
    /// Takes the corners of `w × h` (upper left, upper right, lower right, lower left) to four points in general
    /// position.
    pub(crate) fn to_quad(w: f32, h: f32, q: [Point; 4]) -> Self {
        let [(x0, y0), (x1, y1), (x2, y2), (x3, y3)] = q.map(|(x, y)| (f64::from(x), f64::from(y)));
        let (dx1, dx2, sx) = (x1 - x2, x3 - x2, x0 - x1 + x2 - x3);
        let (dy1, dy2, sy) = (y1 - y2, y3 - y2, y0 - y1 + y2 - y3);
        let det = dx1 * dy2 - dx2 * dy1;
        let (g, k) = ((sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det);
        let (w, h) = (f64::from(w), f64::from(h));
        Self([
            (x1 - x0 + g * x1) / w,
            (x3 - x0 + k * x3) / h,
            x0,
            (y1 - y0 + g * y1) / w,
            (y3 - y0 + k * y3) / h,
            y0,
            g / w,
            k / h,
            1.0,
        ])
    }

    /// Where a point goes.
    pub(crate) fn apply(&self, (x, y): Point) -> Point {
        let m = &self.0;
        let (x, y) = (f64::from(x), f64::from(y));
        let z = m[6] * x + m[7] * y + m[8];
        (((m[0] * x + m[1] * y + m[2]) / z) as f32, ((m[3] * x + m[4] * y + m[5]) / z) as f32)
    }

    /// The map back.
    pub(crate) fn inverse(&self) -> Self {
        let [a, b, c, d, e, f, g, h, i] = self.0;
        Self([
            e * i - f * h,
            c * h - b * i,
            b * f - c * e,
            f * g - d * i,
            a * i - c * g,
            c * d - a * f,
            d * h - e * g,
            b * g - a * h,
            a * e - b * d,
        ])
    }
}

/// Premultiplied colour at a point of a picture, bilinear, transparent outside.
fn sample(map: &Pixmap, (x, y): Point) -> [f32; 4] {
    let (w, h) = (map.width() as i32, map.height() as i32);
    let (x, y) = (x - 0.5, y - 0.5);
    if !(x > -1.0 && y > -1.0 && x < w as f32 && y < h as f32) {
        return [0.0; 4];
    }
    let (x0, y0) = (x.floor() as i32, y.floor() as i32);
    let (fx, fy) = (x - x0 as f32, y - y0 as f32);
    let mut out = [0.0; 4];
    for (dx, dy, weight) in
        [(0, 0, (1.0 - fx) * (1.0 - fy)), (1, 0, fx * (1.0 - fy)), (0, 1, (1.0 - fx) * fy), (1, 1, fx * fy)]
    {
        let (px, py) = (x0 + dx, y0 + dy);
        if px >= 0 && py >= 0 && px < w && py < h {
            let p = map.pixels()[(py * w + px) as usize];
            for (o, v) in out.iter_mut().zip([p.red(), p.green(), p.blue(), p.alpha()]) {
                *o += weight * f32::from(v);
            }
        }
    }
    out
}

/// Draws a cut-out picture over another through a projection that does not shrink it much.
pub(crate) fn over(picture: &mut RgbImage, map: &Pixmap, to: &Projection) {
    let (w, h) = (map.width() as f32, map.height() as f32);
    let corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)].map(|p| to.apply(p));
    let (low, high) = bounds(&corners);
    let back = to.inverse();
    let clamp = |v: f32, max: u32| v.clamp(0.0, max as f32) as u32;
    let (x0, y0) = (clamp(low.0.floor(), picture.width()), clamp(low.1.floor(), picture.height()));
    let (x1, y1) = (clamp(high.0.ceil(), picture.width()), clamp(high.1.ceil(), picture.height()));
    for y in y0..y1 {
        for x in x0..x1 {
            let s = sample(map, back.apply((x as f32 + 0.5, y as f32 + 0.5)));
            if s[3] > 0.0 {
                let keep = 1.0 - s[3] / 255.0;
                let pixel = picture.get_pixel_mut(x, y);
                for (p, s) in pixel.0.iter_mut().zip(s) {
                    *p = (f32::from(*p) * keep + s + 0.5) as u8;
                }
            }
        }
    }
}

/// A `width × height` view of an opaque scene: `to` takes the scene to the view.
pub(crate) fn view(scene: &Pixmap, to: &Projection, width: u32, height: u32) -> RgbImage {
    let back = to.inverse();
    let edge = Rgb(60, 60, 62);
    RgbImage::from_fn(width, height, |x, y| {
        let s = sample(scene, back.apply((x as f32 + 0.5, y as f32 + 0.5)));
        let keep = 1.0 - s[3] / 255.0;
        image::Rgb(
            [(edge.0, s[0]), (edge.1, s[1]), (edge.2, s[2])]
                .map(|(e, s)| (f32::from(e) * keep + s + 0.5) as u8),
        )
    })
}

/// A larger picture of the same, bilinear.
pub(crate) fn enlarge(from: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (w, h) = (from.width(), from.height());
    let step = |at: u32, to: u32, of: u32| {
        let v = ((at as f32 + 0.5) / to as f32 * of as f32 - 0.5).clamp(0.0, of.saturating_sub(1) as f32);
        let low = v as u32;
        (low, (low + 1).min(of.saturating_sub(1)), v - low as f32)
    };
    RgbImage::from_fn(width, height, |x, y| {
        let ((x0, x1, fx), (y0, y1, fy)) = (step(x, width, w), step(y, height, h));
        let [a, b, c, d] =
            [(x0, y0), (x1, y0), (x0, y1), (x1, y1)].map(|(x, y)| from.get_pixel(x, y).0.map(f32::from));
        image::Rgb([0, 1, 2].map(|i| {
            let (top, bottom) = (a[i] + (b[i] - a[i]) * fx, c[i] + (d[i] - c[i]) * fx);
            (top + (bottom - top) * fy + 0.5) as u8
        }))
    })
}

/// Least and greatest coordinates.
pub(crate) fn bounds(points: &[Point]) -> (Point, Point) {
    points.iter().fold(((f32::MAX, f32::MAX), (f32::MIN, f32::MIN)), |(a, b), p| {
        ((a.0.min(p.0), a.1.min(p.1)), (b.0.max(p.0), b.1.max(p.1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_go_to_corners_and_back() {
        let quad = [(10.0, 5.0), (220.0, 30.0), (190.0, 150.0), (0.0, 170.0)];
        let p = Projection::to_quad(200.0, 100.0, quad);
        let near =
            |a: Point, b: Point| assert!((a.0 - b.0).abs() < 1e-3 && (a.1 - b.1).abs() < 1e-3, "{a:?} {b:?}");
        for (from, to) in [(0.0, 0.0), (200.0, 0.0), (200.0, 100.0), (0.0, 100.0)].into_iter().zip(quad) {
            near(p.apply(from), to);
            near(p.inverse().apply(to), from);
        }
        // a projection keeps lines: the crossing of the diagonals stays on both
        let centre = p.apply((100.0, 50.0));
        let cross = |a: Point, b: Point| (b.0 - a.0) * (centre.1 - a.1) - (b.1 - a.1) * (centre.0 - a.0);
        assert!(cross(quad[0], quad[2]).abs() < 0.1 && cross(quad[1], quad[3]).abs() < 0.1);
    }
}

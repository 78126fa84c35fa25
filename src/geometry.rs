//! Boxes in pictures.

/// An axis-aligned box in pixels: `x`, `y` the top left corner, `w`, `h` the extent. The origin is the top left
/// corner of the upright picture, so pixel `(0, 0)` covers `[0, 1) × [0, 1)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

impl Rect {
    /// A box from its corner and extent.
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Self {
        Self { x, y, w, h }
    }

    /// Area in square pixels; 0 if the extent is negative or not a number.
    pub fn area(&self) -> f32 {
        let area = self.w.max(0.0) * self.h.max(0.0);
        if area.is_nan() { 0.0 } else { area }
    }

    /// Area of the overlap.
    pub fn intersection(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        Self::new(0.0, 0.0, w, h).area()
    }

    /// Intersection over union, in `0..=1`; 0 where both are empty.
    pub fn iou(&self, other: &Self) -> f32 {
        let both = self.intersection(other);
        let union = self.area() + other.area() - both;
        if union > 0.0 { both / union } else { 0.0 }
    }

    /// The part inside a `width × height` picture, or `None` if less than a pixel a side is left or a coordinate
    /// is not finite.
    pub fn clip(&self, width: u32, height: u32) -> Option<Self> {
        if ![self.x, self.y, self.w, self.h].iter().all(|v| v.is_finite()) {
            return None;
        }
        let (x0, y0) = (self.x.max(0.0), self.y.max(0.0));
        let (x1, y1) = ((self.x + self.w).min(width as f32), (self.y + self.h).min(height as f32));
        (x1 - x0 >= 1.0 && y1 - y0 >= 1.0).then(|| Self::new(x0, y0, x1 - x0, y1 - y0))
    }

    /// The box grown by `fraction` of its extent on every side (a margin around a detection).
    pub fn grow(&self, fraction: f32) -> Self {
        let (dx, dy) = (self.w * fraction, self.h * fraction);
        Self::new(self.x - dx, self.y - dy, self.w + 2.0 * dx, self.h + 2.0 * dy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap() {
        let a = Rect::new(0.0, 0.0, 10.0, 10.0);
        assert_eq!(a.iou(&a), 1.0);
        assert_eq!(a.iou(&Rect::new(5.0, 0.0, 10.0, 10.0)), 50.0 / 150.0);
        assert_eq!(a.iou(&Rect::new(20.0, 0.0, 1.0, 1.0)), 0.0);
        assert_eq!(Rect::new(0.0, 0.0, -1.0, 1.0).iou(&Rect::new(0.0, 0.0, f32::NAN, 1.0)), 0.0);
    }

    #[test]
    fn clipping() {
        let r = Rect::new(-5.0, 2.0, 10.0, 10.0);
        assert_eq!(r.clip(100, 8), Some(Rect::new(0.0, 2.0, 5.0, 6.0)));
        assert_eq!(r.clip(0, 8), None);
        assert_eq!(Rect::new(f32::NAN, 0.0, 5.0, 5.0).clip(9, 9), None);
        assert_eq!(Rect::new(2.0, 2.0, 4.0, 4.0).grow(0.25), Rect::new(1.0, 1.0, 6.0, 6.0));
    }
}

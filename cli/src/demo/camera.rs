//! What a phone's camera does to a scene: uneven light, glare, lens blur, noise, JPEG.

use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::jpeg::JpegEncoder};

use super::rng::Rng;

/// How a picture is taken.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// Standard deviation of the lens blur in pixels.
    pub blur: f32,
    /// Gain at the four corners (upper left, upper right, lower left, lower right).
    pub light: [f32; 4],
    /// Gain of red and blue.
    pub warmth: (f32, f32),
    /// Darkening of the corners.
    pub vignette: f32,
    /// Reflections: centre and radii as fractions of the picture, strength.
    pub glare: Vec<([f32; 4], f32)>,
    /// Standard deviation of the noise in levels, at mid grey.
    pub noise: f32,
    /// JPEG quality.
    pub quality: u8,
}

impl Look {
    /// A shop's light and a steady hand, more or less.
    pub(crate) fn shop(rng: &mut Rng) -> Self {
        let base = rng.between(0.86, 1.06);
        let glare = (0..rng.below(3)).map(|_| {
            (
                [rng.unit(), rng.unit(), rng.between(0.05, 0.14), rng.between(0.03, 0.1)],
                rng.between(50.0, 110.0),
            )
        });
        Self {
            glare: glare.collect(),
            blur: rng.between(0.5, 0.95),
            light: [(); 4].map(|()| base * rng.between(0.82, 1.12)),
            warmth: (rng.between(0.96, 1.07), rng.between(0.9, 1.04)),
            vignette: rng.between(0.12, 0.3),
            noise: rng.between(2.0, 5.0),
            quality: 78 + rng.below(14) as u8,
        }
    }

    /// A kitchen at night, a hurried hand: wider of everything.
    pub(crate) fn handheld(rng: &mut Rng) -> Self {
        let base = rng.between(0.7, 1.1);
        Self {
            blur: rng.between(0.5, 2.0),
            light: [(); 4].map(|()| base * rng.between(0.75, 1.15)),
            warmth: (rng.between(0.94, 1.14), rng.between(0.78, 1.06)),
            noise: rng.between(2.0, 8.0),
            quality: 68 + rng.below(24) as u8,
            ..Self::shop(rng)
        }
    }

    /// Takes the picture.
    pub(crate) fn expose(&self, scene: &RgbImage, rng: &mut Rng) -> RgbImage {
        let mut picture = blur(scene, self.blur);
        self.light_and_noise(&mut picture, rng);
        jpeg(&picture, self.quality).unwrap_or(picture)
    }

    fn light_and_noise(&self, picture: &mut RgbImage, rng: &mut Rng) {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let (u, v) = (x as f32 / w, y as f32 / h);
            let [a, b, c, d] = self.light;
            let lamp = (a + (b - a) * u) * (1.0 - v) + (c + (d - c) * u) * v;
            let r2 = (u - 0.5) * (u - 0.5) + (v - 0.5) * (v - 0.5);
            let gain = lamp * (1.0 - self.vignette * 2.0 * r2);
            let mut veil = 0.0;
            for ([cx, cy, rx, ry], strength) in &self.glare {
                let d = ((u - cx) / rx) * ((u - cx) / rx) + ((v - cy) / ry) * ((v - cy) / ry);
                veil += strength / (1.0 + d * d);
            }
            let bits = rng.next().to_le_bytes();
            for (i, p) in pixel.0.iter_mut().enumerate() {
                let tint = [self.warmth.0, 1.0, self.warmth.1][i];
                // two bytes make a triangle of standard deviation 104; shot noise grows with the root of the light
                let random = (f32::from(bits[2 * i]) + f32::from(bits[2 * i + 1]) - 255.0) / 104.0;
                let level = f32::from(*p) * gain * tint + veil;
                let grain = self.noise * (0.4 + (level.max(0.0) / 360.0).sqrt());
                *p = (level + random * grain + 0.5).clamp(0.0, 255.0) as u8;
            }
        }
    }
}

/// A Gaussian along rows, then along columns, in 16-bit fixed point: the same on every machine.
pub(crate) fn blur(picture: &RgbImage, sigma: f32) -> RgbImage {
    let radius = (sigma * 2.6).ceil() as usize;
    if radius == 0 || picture.is_empty() {
        return picture.clone();
    }
    let raw: Vec<f32> = (0..=radius).map(|i| libm::expf(-((i * i) as f32) / (2.0 * sigma * sigma))).collect();
    let sum = raw[0] + 2.0 * raw[1..].iter().sum::<f32>();
    let side: Vec<u32> = raw[1..].iter().map(|v| (v / sum * 65536.0) as u32).collect();
    let middle = 65536 - 2 * side.iter().sum::<u32>();
    let (w, h) = (picture.width() as usize, picture.height() as usize);
    let rows = pass(picture.as_raw(), w, h, middle, &side, |x, y, d, plus| {
        (if plus { (x + d).min(w - 1) } else { x.saturating_sub(d) }, y)
    });
    let both = pass(&rows, w, h, middle, &side, |x, y, d, plus| {
        (x, if plus { (y + d).min(h - 1) } else { y.saturating_sub(d) })
    });
    RgbImage::from_raw(picture.width(), picture.height(), both).unwrap_or_default()
}

fn pass(
    from: &[u8],
    w: usize,
    h: usize,
    middle: u32,
    side: &[u32],
    neighbour: impl Fn(usize, usize, usize, bool) -> (usize, usize),
) -> Vec<u8> {
    let mut to = vec![0; from.len()];
    for y in 0..h {
        for x in 0..w {
            let at = (y * w + x) * 3;
            let mut sum = [0, 1, 2].map(|c| u32::from(from[at + c]) * middle + 32768);
            for (i, weight) in side.iter().enumerate() {
                let ((ax, ay), (bx, by)) = (neighbour(x, y, i + 1, false), neighbour(x, y, i + 1, true));
                let (a, b) = ((ay * w + ax) * 3, (by * w + bx) * 3);
                for c in 0..3 {
                    sum[c] += (u32::from(from[a + c]) + u32::from(from[b + c])) * weight;
                }
            }
            for c in 0..3 {
                to[at + c] = (sum[c] >> 16) as u8;
            }
        }
    }
    to
}

/// Through a JPEG file and back.
fn jpeg(picture: &RgbImage, quality: u8) -> Option<RgbImage> {
    let mut bytes = vec![];
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .write_image(picture.as_raw(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .ok()?;
    image::load_from_memory(&bytes).ok().map(|p| p.to_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_the_mean_and_spreads_a_point() {
        let mut picture = RgbImage::from_pixel(21, 15, image::Rgb([40, 40, 40]));
        assert_eq!(blur(&picture, 1.2), picture);
        picture.put_pixel(10, 7, image::Rgb([255, 40, 40]));
        let soft = blur(&picture, 1.2);
        let sum = |p: &RgbImage| p.pixels().map(|p| i64::from(p.0[0])).sum::<i64>();
        assert!((sum(&soft) - sum(&picture)).abs() <= 25, "{} {}", sum(&soft), sum(&picture));
        let red = |x, y| soft.get_pixel(x, y).0[0];
        assert!(
            red(10, 7) < 80 && red(10, 7) > red(11, 7) && red(11, 7) == red(9, 7) && red(11, 7) == red(10, 8)
        );
        assert_eq!(blur(&RgbImage::new(0, 0), 1.0).len(), 0);
    }

    #[test]
    fn light_falls_where_told() {
        let look = Look {
            blur: 0.0,
            light: [0.5, 1.0, 0.5, 1.0],
            warmth: (1.0, 1.0),
            vignette: 0.0,
            glare: vec![],
            noise: 0.0,
            quality: 95,
        };
        let out = look.expose(&RgbImage::from_pixel(64, 64, image::Rgb([200; 3])), &mut Rng::new(1));
        let (left, right) = (out.get_pixel(2, 30).0[1], out.get_pixel(61, 30).0[1]);
        assert!((95..115).contains(&left) && (185..205).contains(&right), "{left} {right}");
    }
}

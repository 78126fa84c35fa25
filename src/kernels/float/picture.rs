//! Layers over float pictures `[height, width, channels]`.

/// Where a window lies; what is outside the picture counts as zeros, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Rows of the picture.
    pub height: usize,
    /// Columns of the picture.
    pub width: usize,
    /// Channels of the picture.
    pub channels: usize,
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Pixels from one window to the next, down and right.
    pub stride: [usize; 2],
    /// Rows above and columns left of the picture.
    pub pad: [usize; 2],
    /// Pixels from one tap to the next, down and right.
    pub dilation: [usize; 2],
    /// Windows in a row.
    pub out_width: usize,
}

impl Windows {
    /// Number and first value in the picture of each tap of window `window` that is inside the picture.
    #[inline(always)]
    fn taps(&self, window: usize, mut each: impl FnMut(usize, usize)) {
        let (oy, ox) = (window / self.out_width, window % self.out_width);
        for ky in 0..self.kernel[0] {
            let y = (oy * self.stride[0] + ky * self.dilation[0]).checked_sub(self.pad[0]);
            let Some(y) = y.filter(|y| *y < self.height) else { continue };
            for kx in 0..self.kernel[1] {
                let x = (ox * self.stride[1] + kx * self.dilation[1]).checked_sub(self.pad[1]);
                let Some(x) = x.filter(|x| *x < self.width) else { continue };
                each(ky * self.kernel[1] + kx, (y * self.width + x) * self.channels);
            }
        }
    }
}

/// Copies windows from `first` on into rows of `taps · channels` values, zeros outside the picture.
pub fn gather(w: &Windows, x: &[f32], first: usize, rows: &mut [f32]) {
    let k = w.kernel[0] * w.kernel[1] * w.channels;
    for (i, row) in rows.chunks_exact_mut(k).enumerate() {
        row.fill(0.0);
        w.taps(first + i, |tap, at| {
            row[tap * w.channels..][..w.channels].copy_from_slice(&x[at..at + w.channels]);
        });
    }
}

widest! {
    /// Depthwise convolution of windows from `first` on: `out[c] = bias[c] + Σ_tap x[tap, c] · weights[tap, c]`, taps
    /// from the first to the last. `out` is `[_, channels]`.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn depthwise = depthwise_body(w: &Windows, x: &[f32], weights: &[f32], bias: &[f32], first: usize, out: &mut [f32])
}

#[inline(always)]
fn depthwise_body(w: &Windows, x: &[f32], weights: &[f32], bias: &[f32], first: usize, out: &mut [f32]) {
    for (i, out) in out.chunks_exact_mut(w.channels).enumerate() {
        out.copy_from_slice(&bias[..w.channels]);
        w.taps(first + i, |tap, at| {
            let taps = x[at..at + w.channels].iter().zip(&weights[tap * w.channels..]);
            for (out, (&x, &w)) in out.iter_mut().zip(taps) {
                *out += x * w;
            }
        });
    }
}

/// Greatest value of each window from `first` on, channel by channel; `least` where a window is wholly outside.
pub fn max_pool<T: Copy + PartialOrd>(w: &Windows, x: &[T], least: T, first: usize, out: &mut [T]) {
    for (i, out) in out.chunks_exact_mut(w.channels).enumerate() {
        out.fill(least);
        w.taps(first + i, |_, at| {
            for (out, &x) in out.iter_mut().zip(&x[at..at + w.channels]) {
                if x > *out {
                    *out = x;
                }
            }
        });
    }
}

/// Mean of each window from `first` on, channel by channel, over the taps inside or, with `all`, over all.
pub fn mean_pool(w: &Windows, x: &[f32], all: bool, first: usize, out: &mut [f32]) {
    for (i, out) in out.chunks_exact_mut(w.channels).enumerate() {
        out.fill(0.0);
        let mut count = 0usize;
        w.taps(first + i, |_, at| {
            count += 1;
            for (out, &x) in out.iter_mut().zip(&x[at..at + w.channels]) {
                *out += x;
            }
        });
        let count = if all { w.kernel[0] * w.kernel[1] } else { count.max(1) };
        out.iter_mut().for_each(|out| *out /= count as f32);
    }
}

/// Adds the products of pixels from `first` on, rows of `[taps, channels of the output]`, to the output pixels that a
/// transposed convolution of these windows sends them to. `out_height` rows of `w.out_width` pixels.
pub fn scatter(w: &Windows, products: &[f32], row: usize, first: usize, out_height: usize, out: &mut [f32]) {
    let n = out.len() / (out_height * w.out_width);
    for (i, products) in products.chunks_exact(row).enumerate() {
        let (iy, ix) = ((first + i) / w.width, (first + i) % w.width);
        for ky in 0..w.kernel[0] {
            let y = (iy * w.stride[0] + ky * w.dilation[0]).checked_sub(w.pad[0]);
            let Some(y) = y.filter(|y| *y < out_height) else { continue };
            for kx in 0..w.kernel[1] {
                let x = (ix * w.stride[1] + kx * w.dilation[1]).checked_sub(w.pad[1]);
                let Some(x) = x.filter(|x| *x < w.out_width) else { continue };
                let tap = &products[(ky * w.kernel[1] + kx) * n..][..n];
                for (out, &v) in out[(y * w.out_width + x) * n..][..n].iter_mut().zip(tap) {
                    *out += v;
                }
            }
        }
    }
}

widest! {
    /// Each channel of `[pixels, channels]` normalised over the pixels: `(x − mean) / √(variance + epsilon) · gain +
    /// shift`, sums from the first pixel to the last.
    ///
    /// # Panics
    /// If a slice is shorter than the shapes say.
    pub fn channel_norm = channel_norm_body(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, y: &mut [f32])
}

#[inline(always)]
fn channel_norm_body(x: &[f32], gain: &[f32], shift: &[f32], epsilon: f32, y: &mut [f32]) {
    /// Channels that are summed side by side.
    const LANES: usize = 16;
    let channels = gain.len();
    let pixels = (x.len() / channels) as f32;
    for first in (0..channels).step_by(LANES) {
        let lanes = LANES.min(channels - first);
        let (mut mean, mut deviation) = ([0.0f32; LANES], [0.0f32; LANES]);
        for row in x.chunks_exact(channels) {
            for (sum, &x) in mean.iter_mut().zip(&row[first..first + lanes]) {
                *sum += x;
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= pixels);
        for row in x.chunks_exact(channels) {
            for ((sum, &x), mean) in deviation.iter_mut().zip(&row[first..first + lanes]).zip(mean) {
                *sum += (x - mean) * (x - mean);
            }
        }
        deviation.iter_mut().for_each(|sum| *sum = (*sum / pixels + epsilon).sqrt());
        for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
            for lane in 0..lanes {
                let c = first + lane;
                y[c] = (x[c] - mean[lane]) / deviation[lane] * gain[c] + shift[c];
            }
        }
    }
}

/// The two pixels beside an output pixel on one axis, and how far it is on the way from the first to the second.
pub fn between(place: f32, side: usize) -> (usize, usize, f32) {
    let place = place.clamp(0.0, (side - 1) as f32);
    let first = place as usize;
    (first, (first + 1).min(side - 1), place - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(len: usize, seed: u32) -> Vec<f32> {
        (0..len as u32)
            .map(|i| {
                let bits = (i ^ seed.wrapping_mul(977)).wrapping_mul(2_654_435_761);
                (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// Value of tap `(ky, kx)` of an output pixel, by the definition.
    fn tap(
        w: &Windows,
        x: &[f32],
        (oy, ox): (usize, usize),
        (ky, kx): (usize, usize),
        c: usize,
    ) -> Option<f32> {
        let y = (oy * w.stride[0] + ky * w.dilation[0]) as isize - w.pad[0] as isize;
        let column = (ox * w.stride[1] + kx * w.dilation[1]) as isize - w.pad[1] as isize;
        let inside = (0..w.height as isize).contains(&y) && (0..w.width as isize).contains(&column);
        inside.then(|| x[(y as usize * w.width + column as usize) * w.channels + c])
    }

    prop_compose! {
        fn windows()(
            height in 1usize..9, width in 1usize..9, channels in 1usize..40,
            kh in 1usize..4, kw in 1usize..4, sh in 1usize..3, sw in 1usize..3,
            ph in 0usize..3, pw in 0usize..3, dh in 1usize..3, dw in 1usize..3, out_width in 1usize..7,
        ) -> Windows {
            Windows { height, width, channels, kernel: [kh, kw], stride: [sh, sw], pad: [ph, pw], dilation: [dh, dw], out_width }
        }
    }

    proptest! {
        #[test]
        fn windows_are_what_their_definition_says(w in windows(), rows in 1usize..5, first in 0usize..6, seed in any::<u32>()) {
            let x = numbers(w.height * w.width * w.channels, seed);
            let taps = w.kernel[0] * w.kernel[1];
            let (weights, bias) = (numbers(taps * w.channels, seed ^ 1), numbers(w.channels, seed ^ 2));
            let len = rows * w.channels;
            let (mut dw, mut plain, mut max, mut mean) = (vec![0.0; len], vec![0.0; len], vec![0.0; len], vec![0.0; len]);
            let mut gathered = vec![9.0; rows * taps * w.channels];
            depthwise(&w, &x, &weights, &bias, first, &mut dw);
            depthwise_body(&w, &x, &weights, &bias, first, &mut plain);
            max_pool(&w, &x, f32::NEG_INFINITY, first, &mut max);
            mean_pool(&w, &x, false, first, &mut mean);
            gather(&w, &x, first, &mut gathered);
            for r in 0..rows {
                let at = ((first + r) / w.out_width, (first + r) % w.out_width);
                for c in 0..w.channels {
                    let (mut sum, mut most, mut total, mut count) = (bias[c], f32::NEG_INFINITY, 0.0f32, 0);
                    for t in 0..taps {
                        let value = tap(&w, &x, at, (t / w.kernel[1], t % w.kernel[1]), c);
                        prop_assert_eq!(gathered[(r * taps + t) * w.channels + c], value.unwrap_or(0.0));
                        if let Some(value) = value {
                            sum += value * weights[t * w.channels + c];
                            most = most.max(value);
                            total += value;
                            count += 1;
                        }
                    }
                    let i = r * w.channels + c;
                    prop_assert_eq!(dw[i].to_bits(), sum.to_bits());
                    prop_assert_eq!(dw[i].to_bits(), plain[i].to_bits());
                    prop_assert_eq!(max[i], most);
                    prop_assert_eq!(mean[i], total / count.max(1) as f32);
                }
            }
        }

        #[test]
        fn a_transposed_convolution_is_the_adjoint(w in windows(), out_height in 1usize..7, seed in any::<u32>()) {
            // ⟨scatter(p), o⟩ = ⟨p, gather(o)⟩ for windows over a picture of one channel.
            let (inputs, taps) = (w.height * w.width, w.kernel[0] * w.kernel[1]);
            let products = numbers(inputs * taps, seed);
            let mut sent = vec![0.0; out_height * w.out_width];
            scatter(&w, &products, taps, 0, out_height, &mut sent);
            let o = numbers(sent.len(), seed ^ 3);
            let back = Windows { height: out_height, width: w.out_width, channels: 1, out_width: w.width, ..w };
            let mut gathered = vec![0.0; inputs * taps];
            gather(&back, &o, 0, &mut gathered);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
            prop_assert!((dot(&sent, &o) - dot(&products, &gathered)).abs() < 1e-3);
        }

        #[test]
        fn channels_are_normalised(pixels in 1usize..30, channels in 1usize..40, seed in any::<u32>()) {
            let x = numbers(pixels * channels, seed);
            let (gain, shift) = (numbers(channels, seed ^ 4), numbers(channels, seed ^ 5));
            let (mut y, mut plain) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            channel_norm(&x, &gain, &shift, 1e-3, &mut y);
            channel_norm_body(&x, &gain, &shift, 1e-3, &mut plain);
            for (i, (&y, plain)) in y.iter().zip(plain).enumerate() {
                prop_assert_eq!(y.to_bits(), plain.to_bits());
                let column: Vec<f64> = x[i % channels..].iter().step_by(channels).map(|&v| v.into()).collect();
                let mean = column.iter().sum::<f64>() / pixels as f64;
                let variance = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / pixels as f64;
                let c = i % channels;
                let want = (f64::from(x[i]) - mean) / (variance + 1e-3).sqrt() * f64::from(gain[c]) + f64::from(shift[c]);
                prop_assert!((f64::from(y) - want).abs() < 1e-3, "{y} {want}");
            }
        }
    }
}

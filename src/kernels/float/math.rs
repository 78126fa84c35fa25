//! Functions and sums of floats in plain arithmetic of a fixed order.
//!
//! Only IEEE additions, multiplications, divisions and square roots, never fused: every machine gives the same bits,
//! and compilers turn the loops into vectors without changing them.

/// Added to a magnitude below 2²², this leaves the nearest whole number (ties to even) in the low bits.
pub(super) const MAGIC: f32 = 12_582_912.0;

/// Nearest whole number as a float and as an integer, for magnitudes below 2²².
#[inline(always)]
fn nearest(x: f32) -> (f32, i32) {
    let shifted = x + MAGIC;
    (shifted - MAGIC, shifted.to_bits().wrapping_sub(MAGIC.to_bits()) as i32)
}

/// `e^x` to about 2 units in the last place; 0 below −87.3, `e^88.3` above 88.3.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let held = x.clamp(-87.3, 88.3);
    let (n, whole) = nearest(held * std::f32::consts::LOG2_E);
    let r = held - n * LN2_HIGH - n * LN2_LOW;
    // Cephes expf: minimax over [−ln 2 / 2, ln 2 / 2].
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let value = p * (r * r) + r + 1.0;
    let power = f32::from_bits(((whole + 127) as u32) << 23);
    if x < -87.3 { 0.0 } else { value * power }
}

/// `1 / (1 + e^−x)`
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent, to about 3 units in the last place.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let s = x * x;
    // Cephes tanhf: a polynomial near 0, where the exponential form loses digits.
    let mut p = -5.704_988_7e-3;
    p = p * s + 2.063_909e-2;
    p = p * s - 5.373_971_6e-2;
    p = p * s + 1.333_144_2e-1;
    p = p * s - 3.333_328e-1;
    let near = x + x * s * p;
    let far = 1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0);
    if x.abs() < 0.625 { near } else { far.copysign(x) }
}

/// Natural logarithm to about 2 units in the last place; −∞ of 0, NaN below.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const TWO_23: f32 = 8_388_608.0;
    if x <= 0.0 || !x.is_finite() {
        return if x == 0.0 {
            f32::NEG_INFINITY
        } else if x > 0.0 {
            x
        } else {
            f32::NAN
        };
    }
    let (normal, less) = if x < f32::MIN_POSITIVE { (x * TWO_23, 23) } else { (x, 0) };
    let bits = normal.to_bits();
    let half_to_one = f32::from_bits(bits & 0x007f_ffff | 0x3f00_0000);
    let small = half_to_one < std::f32::consts::FRAC_1_SQRT_2;
    let power = ((bits >> 23) as i32 - 126 - less - i32::from(small)) as f32;
    let m = if small { half_to_one + half_to_one - 1.0 } else { half_to_one - 1.0 };
    let square = m * m;
    // Cephes logf.
    let mut p = 7.037_683_6e-2;
    p = p * m - 1.151_461e-1;
    p = p * m + 1.167_699_9e-1;
    p = p * m - 1.242_014_1e-1;
    p = p * m + 1.424_932_3e-1;
    p = p * m - 1.666_805_8e-1;
    p = p * m + 2.000_071_5e-1;
    p = p * m - 2.499_999_4e-1;
    p = p * m + 3.333_333e-1;
    let rest = p * m * square + power * LN2_LOW - 0.5 * square;
    m + rest + power * LN2_HIGH
}

/// Error function, to 2·10⁻⁷ (Abramowitz and Stegun 7.1.26).
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let a = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let mut p = 1.061_405_4;
    p = p * t - 1.453_152;
    p = p * t + 1.421_413_7;
    p = p * t - 0.284_496_74;
    p = p * t + 0.254_829_6;
    (1.0 - p * t * exp(-a * a)).copysign(x)
}

/// Lanes of [`sum`].
const LANES: usize = 16;

/// Sum of `f(x)`: sixteen running sums, then neighbours, in this order everywhere.
#[inline(always)]
pub fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += f(x);
    }
    fold(lanes)
}

/// Least and greatest value, 0 among them; NaN never wins.
#[inline(always)]
pub(super) fn range_with_zero(values: &[f32]) -> (f32, f32) {
    let (mut low, mut high) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut take = |chunk: &[f32]| {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(chunk) {
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
        }
    };
    whole.iter().for_each(|chunk| take(chunk));
    take(rest);
    (low.into_iter().fold(0.0, f32::min), high.into_iter().fold(0.0, f32::max))
}

/// Greatest value; −∞ of none, and NaN never wins.
#[inline(always)]
pub(super) fn greatest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = if x > *lane { x } else { *lane };
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = if x > *lane { x } else { *lane };
    }
    // None of them is NaN.
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = if lanes[i + width] > lanes[i] { lanes[i + width] } else { lanes[i] };
        }
        width /= 2;
    }
    lanes[0]
}

/// Sum of lanes: halves onto each other.
#[inline(always)]
pub(super) fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| from + (to - from) * i as f32 / 20_000.0)
    }

    #[test]
    fn functions_are_close_to_double_precision() {
        for x in grid(-87.0, 88.0) {
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= want * 3e-7, "exp({x}) = {}", exp(x));
        }
        for x in grid(-10.0, 10.0) {
            assert!((f64::from(tanh(x)) - f64::from(x).tanh()).abs() <= 3e-7, "tanh({x}) = {}", tanh(x));
            let want = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - want).abs() <= 2e-7, "sigmoid({x})");
        }
        for x in grid(-30.0, 30.0).map(|x| x.exp2()).chain([f32::MIN_POSITIVE / 64.0, f32::MAX]) {
            let want = f64::from(x).ln();
            assert!((f64::from(ln(x)) - want).abs() <= 2e-7 + want.abs() * 2e-7, "ln({x}) = {}", ln(x));
        }
        assert_eq!((ln(0.0), ln(1.0), ln(f32::INFINITY)), (f32::NEG_INFINITY, 0.0, f32::INFINITY));
        assert!(ln(-1.0).is_nan() && ln(f32::NAN).is_nan());
        // erf at a few places, from tables.
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_9),
            (0.5, 0.520_499_9),
            (1.0, 0.842_700_8),
            (2.0, 0.995_322_3),
            (4.0, 1.0),
        ] {
            assert!((erf(x) - want).abs() < 4e-7 && (erf(-x) + want).abs() < 4e-7, "erf({x}) = {}", erf(x));
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-88.0), 0.0);
        assert!(exp(1000.0).is_finite() && exp(f32::NAN).is_nan());
        assert_eq!((tanh(50.0), tanh(-50.0)), (1.0, -1.0));
    }

    #[test]
    fn sums_take_every_value_once() {
        for n in 0..70 {
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(sum(&values, |x| x), (0..n).sum::<i32>() as f32);
        }
    }
}

//! IEEE half floats as 16 bits.
//!
//! Decoding never yields NaN or infinity: the exponent of all ones, which encoding never writes, continues the
//! scale (up to 131,008). So whatever bits a file holds, scores stay finite.

const SIGN: u32 = 0x8000;

/// The half float's value. Branch-free, so loops over it vectorise.
#[inline]
pub fn decode(half: u16) -> f32 {
    let bits = u32::from(half);
    // Exponent and fraction in place, biased by 15 instead of 127: 2^112 corrects it, also for subnormals.
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | (bits & SIGN) << 16)
}

/// The nearest half float, ties to even; beyond ±65504 it saturates, and NaN becomes 0.
#[inline]
pub fn encode(value: f32) -> u16 {
    if value.is_nan() {
        return 0;
    }
    let sign = (value.to_bits() >> 16 & SIGN) as u16;
    let magnitude = value.abs().min(65504.0);
    let half = if magnitude < 6.103_515_6e-5 {
        // Subnormal: adding 0.5 leaves the rounded count of 2^-24 steps in the fraction's low bits.
        (magnitude + 0.5).to_bits() - 0.5f32.to_bits()
    } else {
        let bits = magnitude.to_bits() - (112 << 23);
        (bits + 0xfff + (bits >> 13 & 1)) >> 13
    };
    sign | half.min(0x7bff) as u16
}

/// Little-endian bytes of many values.
pub fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&v| encode(v).to_le_bytes()).collect()
}

/// Values of little-endian bytes; an odd last byte is ignored.
pub fn from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| decode(u16::from_le_bytes(*b))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_float_round_trips() {
        for half in 0..=u16::MAX {
            let value = decode(half);
            assert!(value.is_finite());
            if half & 0x7c00 != 0x7c00 {
                assert_eq!(encode(value), half, "{value}");
            } else {
                assert_eq!(encode(value), (half & 0x8000) | 0x7bff);
            }
        }
    }

    #[test]
    fn rounds_to_nearest_even() {
        let cases = [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65520.0, 0x7bff),
            (f32::INFINITY, 0x7bff),
            (f32::NEG_INFINITY, 0xfbff),
            (f32::NAN, 0),
            (5.960_464_5e-8, 1),
            (2.980_232_2e-8, 0),          // half of the smallest: to even
            (1.0 + 1.0 / 2048.0, 0x3c00), // tie: to even
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (6.1e-5, 0x03ff),
            (6.101e-5, 0x0400), // up into the normal range
        ];
        for (value, half) in cases {
            assert_eq!(encode(value), half, "{value}");
        }
        for i in 0..100_000u32 {
            let v = (i as f32 - 50_000.0) / 40_000.0;
            assert!((decode(encode(v)) - v).abs() <= v.abs() / 2048.0 + 3e-8);
        }
    }
}

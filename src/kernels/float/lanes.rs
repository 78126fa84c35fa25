//! Sixteen floats side by side in the registers of an instruction set.
//!
//! For the few loops that keep a block of sums in registers, which compilers do not find in plain code. Every operation
//! is exact as IEEE has it, the fused product with one rounding, so all sets give the same bits.

/// Floats side by side.
pub(super) const LANES: usize = 16;

/// Sixteen floats of one instruction set.
///
/// # Safety
/// Functions may only be called where the processor has the set's features.
pub(super) trait Lanes: Copy {
    unsafe fn zero() -> Self;
    unsafe fn load(from: &[f32; LANES]) -> Self;
    unsafe fn store(self, to: &mut [f32; LANES]);
    /// `self + factor · x`, rounded once.
    unsafe fn add_scaled(self, factor: f32, x: Self) -> Self;
    unsafe fn add(self, x: Self) -> Self;
}

/// Any processor; where it has no fused product this is slow.
#[cfg(any(test, not(target_arch = "aarch64")))]
#[derive(Clone, Copy)]
pub(super) struct Plain([f32; LANES]);

#[cfg(any(test, not(target_arch = "aarch64")))]
impl Lanes for Plain {
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: &[f32; LANES]) -> Self {
        Self(*from)
    }
    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; LANES]) {
        *to = self.0;
    }
    #[inline(always)]
    unsafe fn add_scaled(mut self, factor: f32, x: Self) -> Self {
        for (sum, x) in self.0.iter_mut().zip(x.0) {
            *sum = factor.mul_add(x, *sum);
        }
        self
    }
    #[inline(always)]
    unsafe fn add(mut self, x: Self) -> Self {
        for (sum, x) in self.0.iter_mut().zip(x.0) {
            *sum += x;
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Lanes};
    use std::arch::x86_64::*;

    /// Needs `avx512f`.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Lanes for Avx512 {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller has the feature.
            Self(unsafe { _mm512_setzero_ps() })
        }
        #[inline(always)]
        unsafe fn load(from: &[f32; LANES]) -> Self {
            // SAFETY: the caller has the feature, and an array of sixteen floats is 64 readable bytes.
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }
        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; LANES]) {
            // SAFETY: the caller has the feature, and an array of sixteen floats is 64 writable bytes.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }
        #[inline(always)]
        unsafe fn add_scaled(self, factor: f32, x: Self) -> Self {
            // SAFETY: the caller has the feature.
            Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(factor), x.0, self.0) })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the caller has the feature.
            Self(unsafe { _mm512_add_ps(self.0, x.0) })
        }
    }

    /// Needs `avx2` and `fma`.
    #[derive(Clone, Copy)]
    pub struct Avx2([__m256; 2]);

    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller has the features.
            Self(unsafe { [_mm256_setzero_ps(); 2] })
        }
        #[inline(always)]
        unsafe fn load(from: &[f32; LANES]) -> Self {
            let (low, high) = from.split_at(LANES / 2);
            // SAFETY: the caller has the features, and eight floats are 32 readable bytes.
            Self(unsafe { [_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())] })
        }
        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; LANES]) {
            let (low, high) = to.split_at_mut(LANES / 2);
            // SAFETY: the caller has the features, and eight floats are 32 writable bytes.
            unsafe {
                _mm256_storeu_ps(low.as_mut_ptr(), self.0[0]);
                _mm256_storeu_ps(high.as_mut_ptr(), self.0[1]);
            }
        }
        #[inline(always)]
        unsafe fn add_scaled(self, factor: f32, x: Self) -> Self {
            // SAFETY: the caller has the features.
            Self(unsafe {
                let factor = _mm256_set1_ps(factor);
                [_mm256_fmadd_ps(factor, x.0[0], self.0[0]), _mm256_fmadd_ps(factor, x.0[1], self.0[1])]
            })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the caller has the features.
            Self(unsafe { [_mm256_add_ps(self.0[0], x.0[0]), _mm256_add_ps(self.0[1], x.0[1])] })
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use arm::Neon;

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::{LANES, Lanes};
    use std::arch::aarch64::*;

    /// Needs `neon`, which every 64-bit ARM has.
    #[derive(Clone, Copy)]
    pub struct Neon([float32x4_t; 4]);

    impl Lanes for Neon {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: NEON is there.
            Self(unsafe { [vdupq_n_f32(0.0); 4] })
        }
        #[inline(always)]
        unsafe fn load(from: &[f32; LANES]) -> Self {
            let at = from.as_ptr();
            // SAFETY: NEON is there, and an array of sixteen floats is four times 16 readable bytes.
            Self(unsafe {
                [vld1q_f32(at), vld1q_f32(at.add(4)), vld1q_f32(at.add(8)), vld1q_f32(at.add(12))]
            })
        }
        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; LANES]) {
            let at = to.as_mut_ptr();
            // SAFETY: NEON is there, and an array of sixteen floats is four times 16 writable bytes.
            unsafe {
                vst1q_f32(at, self.0[0]);
                vst1q_f32(at.add(4), self.0[1]);
                vst1q_f32(at.add(8), self.0[2]);
                vst1q_f32(at.add(12), self.0[3]);
            }
        }
        #[inline(always)]
        unsafe fn add_scaled(self, factor: f32, x: Self) -> Self {
            let Self([a, b, c, d]) = self;
            // SAFETY: NEON is there.
            Self(unsafe {
                [
                    vfmaq_n_f32(a, x.0[0], factor),
                    vfmaq_n_f32(b, x.0[1], factor),
                    vfmaq_n_f32(c, x.0[2], factor),
                    vfmaq_n_f32(d, x.0[3], factor),
                ]
            })
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            let Self([a, b, c, d]) = self;
            // SAFETY: NEON is there.
            Self(unsafe {
                [vaddq_f32(a, x.0[0]), vaddq_f32(b, x.0[1]), vaddq_f32(c, x.0[2]), vaddq_f32(d, x.0[3])]
            })
        }
    }
}

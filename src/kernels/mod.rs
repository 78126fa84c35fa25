//! Numeric inner loops behind one choice made at run time. Imports only `core::arch`.
//!
//! Every operation is one function here and one field of [`Kernels`]; [`Isa`] forces a path in tests and bug
//! reports. Paths may differ in the last bits, each is the same on every run: sums have a fixed order.
//! [`reference`](mod@reference) is slow, plain and apart from production; property tests hold every path to it.
//!
//! Floats from a file are read as little-endian bytes, which needs no alignment and no `unsafe`.

#[macro_use]
mod widest;

pub mod f16;
pub mod float;
pub mod int8;
pub mod pool;
pub mod reference;
pub mod rows;
mod scalar;
pub mod scan;

use std::sync::OnceLock;

/// Centroids interleaved in a packed codebook: `[k / LANES, d, LANES]`.
pub const LANES: usize = 16;
/// Entries of one table of [`adc`]: one for each value of a code byte.
pub const TABLE: usize = 256;

/// Which implementation to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// The fastest this CPU has.
    Auto,
    /// Portable code for the compiler to vectorise.
    Scalar,
    /// Slow and plain, for tests.
    Reference,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX2 and 256-bit VNNI.
    AvxVnni,
    /// x86-64 with AVX-512 and VNNI.
    Avx512,
    /// Any 64-bit ARM.
    Neon,
    /// 64-bit ARM with the 8-bit dot product (ARMv8.2 SDOT).
    Dotprod,
    /// 64-bit ARM with 8-bit matrix products (ARMv8.6 SMMLA, USDOT).
    I8mm,
}

impl Isa {
    /// What this CPU has of the paths of [`int8`], the fastest first; always ends with [`Isa::Scalar`].
    pub fn available() -> &'static [Self] {
        static FOUND: OnceLock<Vec<Isa>> = OnceLock::new();
        const ALL: [Isa; 7] =
            [Isa::Avx512, Isa::AvxVnni, Isa::Avx2, Isa::I8mm, Isa::Dotprod, Isa::Neon, Isa::Scalar];
        FOUND.get_or_init(|| ALL.into_iter().filter(|&isa| int8::Int8::of(isa).is_some()).collect())
    }
}

/// One implementation of every operation.
#[derive(Clone, Copy, Debug)]
pub struct Kernels {
    /// See [`dot`].
    pub dot: fn(&[f32], &[f32]) -> f32,
    /// See [`l2`].
    pub l2: fn(&[f32], &[f32]) -> f32,
    /// See [`dot_f16`].
    pub dot_f16: fn(&[f32], &[u8]) -> f32,
    /// See [`dots_packed`].
    pub dots_packed: fn(&[f32], &[f32], &mut [f32]),
    /// See [`dots_packed_f16`].
    pub dots_packed_f16: fn(&[f32], &[u8], &mut [f32]),
    /// See [`argmin`].
    pub argmin: fn(&[f32]) -> usize,
    /// See [`adc`].
    pub adc: fn(&[f32], &[u8], usize, &mut [f32]),
}

impl Kernels {
    /// The implementation asked for.
    pub fn of(isa: Isa) -> &'static Self {
        static BEST: OnceLock<Kernels> = OnceLock::new();
        match isa {
            // The one place that looks at the CPU.
            Isa::Auto => BEST.get_or_init(|| scalar::KERNELS),
            Isa::Reference => &reference::KERNELS,
            _ => &scalar::KERNELS,
        }
    }
}

/// Length of a vector. Of f64: squares of large finite f32 would overflow.
pub fn length(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt()
}

/// Inner product over the shorter length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    (Kernels::of(Isa::Auto).dot)(a, b)
}

/// Squared Euclidean distance over the shorter length.
pub fn l2(a: &[f32], b: &[f32]) -> f32 {
    (Kernels::of(Isa::Auto).l2)(a, b)
}

/// Inner product with a row of little-endian half floats, over the shorter length.
pub fn dot_f16(a: &[f32], row: &[u8]) -> f32 {
    (Kernels::of(Isa::Auto).dot_f16)(a, row)
}

/// Inner products of `x`, shape `[d]`, with `k` packed centroids, shape `[k / LANES, d, LANES]`, into `out`, `[k]`.
///
/// Centroids missing from `packed` leave `out` as it was.
pub fn dots_packed(x: &[f32], packed: &[f32], out: &mut [f32]) {
    (Kernels::of(Isa::Auto).dots_packed)(x, packed, out);
}

/// [`dots_packed`] with centroids as little-endian half floats.
pub fn dots_packed_f16(x: &[f32], packed: &[u8], out: &mut [f32]) {
    (Kernels::of(Isa::Auto).dots_packed_f16)(x, packed, out);
}

/// Position of the smallest value, the first of equals; NaN never wins, and 0 stands for nothing to choose from.
pub fn argmin(values: &[f32]) -> usize {
    (Kernels::of(Isa::Auto).argmin)(values)
}

/// Sums of table entries chosen by codes: `out[i] = Σ_j tables[j][codes[i][j]]`.
///
/// `tables` is `[m, TABLE]`, `codes` is `[n, stride]` of which the first `m` bytes a row count, `out` is `[n]`.
/// Rows missing from `codes` leave `out` as it was.
pub fn adc(tables: &[f32], codes: &[u8], stride: usize, out: &mut [f32]) {
    (Kernels::of(Isa::Auto).adc)(tables, codes, stride, out);
}

/// Asks for the first `bytes` bytes of memory to be brought near. Changes nothing but time, and on processors other than
/// x86-64 not even that: theirs prefetch across pages by themselves.
#[inline(always)]
pub fn prefetch(memory: &[u8], bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in memory.get(..bytes.min(memory.len())).unwrap_or_default().chunks(64) {
        // SAFETY: SSE is part of x86-64, and prefetching cannot fault.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast())
        };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (memory, bytes);
}

/// [`prefetch`] of one line this many bytes after the start of `row`, there or not.
#[inline(always)]
fn prefetch_after<T>(row: &T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let at = std::ptr::from_ref(row).cast::<i8>().wrapping_add(bytes);
        // SAFETY: SSE is part of x86-64, and prefetching cannot fault, whatever the address.
        unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every path that is not the reference; later ones join here.
    const PATHS: [Isa; 2] = [Isa::Auto, Isa::Scalar];

    fn floats(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(-2.0f32..2.0, n)
    }

    /// A sum of n terms in any order errs by at most n·eps·Σ|terms|; 2 for the products' own rounding.
    fn close(got: f32, want: f32, terms: usize, sum_abs: f32) -> bool {
        (got - want).abs() <= 2.0 * (terms as f32 + 1.0) * f32::EPSILON * sum_abs + f32::MIN_POSITIVE
    }

    proptest! {
        #[test]
        fn sums_match_the_reference(a in floats(0..200), b in floats(0..200)) {
            let reference = Kernels::of(Isa::Reference);
            let dots: f32 = a.iter().zip(&b).map(|(x, y)| (x * y).abs()).sum();
            let halves = f16::to_bytes(&b);
            let n = a.len().min(b.len());
            for path in PATHS.map(Kernels::of) {
                prop_assert!(close((path.dot)(&a, &b), (reference.dot)(&a, &b), n, dots));
                let want = (reference.l2)(&a, &b);
                prop_assert!(close((path.l2)(&a, &b), want, n, want));
                let (got, want) = ((path.dot_f16)(&a, &halves), (reference.dot_f16)(&a, &halves));
                prop_assert!(close(got, want, n, dots * 1.001));
            }
        }

        #[test]
        fn packed_products_match_the_reference(d in 0usize..40, blocks in 0usize..5, seed in any::<u32>()) {
            let value = |i: usize| ((i as u32).wrapping_mul(2_654_435_761) ^ seed) as f32 / u32::MAX as f32 - 0.5;
            let x: Vec<_> = (0..d).map(value).collect();
            let packed: Vec<_> = (0..blocks * d * LANES).map(|i| value(i + 1000)).collect();
            let halves = f16::to_bytes(&packed);
            let reference = Kernels::of(Isa::Reference);
            let (mut got, mut want) = (vec![7.0; blocks * LANES], vec![7.0; blocks * LANES]);
            for path in PATHS.map(Kernels::of) {
                (path.dots_packed)(&x, &packed, &mut got);
                (reference.dots_packed)(&x, &packed, &mut want);
                prop_assert!(got.iter().zip(&want).all(|(g, w)| close(*g, *w, d, d as f32 / 4.0)));
                (path.dots_packed_f16)(&x, &halves, &mut got);
                (reference.dots_packed_f16)(&x, &halves, &mut want);
                prop_assert!(got.iter().zip(&want).all(|(g, w)| close(*g, *w, d, d as f32 / 4.0)));
            }
        }

        #[test]
        fn table_sums_match_the_reference(
            m in 0usize..20, extra in 0usize..3, codes in prop::collection::vec(any::<u8>(), 0..300), seed in any::<u32>(),
        ) {
            let tables: Vec<_> =
                (0..m * TABLE).map(|i| (i as u32).wrapping_mul(seed | 1) as f32 / u32::MAX as f32).collect();
            let n = codes.len().checked_div(m + extra).unwrap_or(3);
            let reference = Kernels::of(Isa::Reference);
            let (mut got, mut want) = (vec![7.0; n + 1], vec![7.0; n + 1]);
            (reference.adc)(&tables, &codes, m + extra, &mut want);
            for path in PATHS.map(Kernels::of) {
                (path.adc)(&tables, &codes, m + extra, &mut got);
                prop_assert!(got.iter().zip(&want).all(|(g, w)| close(*g, *w, m, m as f32)));
            }
        }

        #[test]
        fn argmin_is_the_first_smallest(values in prop::collection::vec(prop_oneof![Just(f32::NAN), -3.0f32..3.0, Just(1.0)], 0..80)) {
            for path in PATHS.map(Kernels::of) {
                prop_assert_eq!((path.argmin)(&values), (Kernels::of(Isa::Reference).argmin)(&values));
            }
        }
    }
}

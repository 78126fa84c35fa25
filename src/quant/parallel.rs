//! Loops over rows: on all cores with feature `build`, else one by one. Results do not depend on which.

/// `f(i)` for each `i < n`, in order.
pub(crate) fn map<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    #[cfg(feature = "build")]
    {
        use rayon::prelude::*;
        (0..n).into_par_iter().with_min_len(16).map(f).collect()
    }
    #[cfg(not(feature = "build"))]
    (0..n).map(f).collect()
}

/// [`map`] for few long pieces of work.
pub(crate) fn map_long<T: Send>(n: usize, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    #[cfg(feature = "build")]
    {
        use rayon::prelude::*;
        (0..n).into_par_iter().with_max_len(1).map(f).collect()
    }
    #[cfg(not(feature = "build"))]
    (0..n).map(f).collect()
}

/// `f(i, row)` for each row of `width` bytes of `out`.
pub(super) fn for_rows(out: &mut [u8], width: usize, f: impl Fn(usize, &mut [u8]) + Sync + Send) {
    let width = width.max(1);
    #[cfg(feature = "build")]
    {
        use rayon::prelude::*;
        out.par_chunks_exact_mut(width).with_min_len(16).enumerate().for_each(|(i, row)| f(i, row));
    }
    #[cfg(not(feature = "build"))]
    out.chunks_exact_mut(width).enumerate().for_each(|(i, row)| f(i, row));
}

//! Which bytes a depthwise filter reads: the part that every instruction set shares.

use super::{Depthwise, INPUTS, MAX_TAPS, reference};

/// What an instruction set adds: one output pixel.
pub(super) trait Pixel {
    /// Computes all channels of one output pixel.
    ///
    /// # Safety
    /// The CPU must have the path's instructions, the layer must have passed the checks of `Int8::depthwise`, `tap(t)`
    /// must point to `channels` bytes and `SLACK` more for every `t < KH · KW`, and `out` must be `channels` long.
    unsafe fn pixel<const KH: usize, const KW: usize>(
        layer: &Depthwise,
        out: &mut [u8],
        tap: impl Fn(usize) -> *const u8,
    );
}

/// [`Int8::depthwise`](super::Int8::depthwise) by a path's [`Pixel`], where the filter has one of the usual shapes.
///
/// It has no instruction set of its own: inlined into a function that has one, it takes that one.
///
/// # Safety
/// The CPU must have the path's instructions and the layer have passed the checks of `Int8::depthwise`.
#[inline(always)]
pub(super) unsafe fn depthwise<P: Pixel>(layer: &Depthwise, first: usize, out: &mut [u8]) {
    // SAFETY: the caller's.
    unsafe {
        match layer.kernel {
            [3, 3] => rows::<P, 3, 3>(layer, first, out),
            [5, 5] => rows::<P, 5, 5>(layer, first, out),
            [7, 7] => rows::<P, 7, 7>(layer, first, out),
            _ => reference::INT8.depthwise(layer, first, out),
        }
    }
}

/// # Safety
/// See [`depthwise`].
#[inline(always)]
unsafe fn rows<P: Pixel, const KH: usize, const KW: usize>(d: &Depthwise, first: usize, out: &mut [u8]) {
    let (down, right) = (d.width * d.channels, d.channels);
    let mut offsets = [0; MAX_TAPS];
    for (tap, offset) in offsets.iter_mut().take(KH * KW).enumerate() {
        *offset = tap / KW * down + tap % KW * right;
    }
    for (i, out) in out.chunks_exact_mut(d.out_width * d.channels).enumerate() {
        let top = (first + i) * d.stride[0];
        let rows_inside = top >= d.pad[0] && top + KH <= d.pad[0] + d.height;
        for (ox, out) in out.chunks_exact_mut(d.channels).enumerate() {
            let left = ox * d.stride[1];
            // SAFETY: where all taps are inside, each is a whole pixel of `x` with `SLACK` after it; otherwise each
            // pointer is such a pixel or `outside`, which is as long.
            unsafe {
                if rows_inside && left >= d.pad[1] && left + KW <= d.pad[1] + d.width {
                    let base = d.x.as_ptr().add((top - d.pad[0]) * down + (left - d.pad[1]) * right);
                    P::pixel::<KH, KW>(d, out, |tap| base.add(offsets[tap]));
                } else {
                    let mut taps = [d.outside.as_ptr(); MAX_TAPS];
                    for (tap, pointer) in taps.iter_mut().take(KH * KW).enumerate() {
                        let y = (top + tap / KW).checked_sub(d.pad[0]).filter(|y| *y < d.height);
                        let x = (left + tap % KW).checked_sub(d.pad[1]).filter(|x| *x < d.width);
                        if let (Some(y), Some(x)) = (y, x) {
                            *pointer = d.x.as_ptr().add(y * down + x * right);
                        }
                    }
                    P::pixel::<KH, KW>(d, out, |tap| taps[tap]);
                }
            }
        }
    }
}

/// Rows of the tallest filter of [`neighbours`], and quads of columns that its outputs read.
pub(super) const ROWS: usize = 5;
pub(super) const QUADS: usize = 2;
/// Vectors of sums that a block of channels takes.
pub(super) const VECTORS: usize = 4;

/// What an instruction set adds to filters of stride 1, where neighbouring outputs share the interleaving of their inputs.
///
/// A product instruction takes four taps of a channel side by side, which takes shuffles of four pixels. Those four pixels
/// are a row of the filter for more than one output: with the filter's row `w` at places `w₀ w₁ w₂ ·` it gives the first,
/// at `· w₀ w₁ w₂` the second. So `P` outputs, reading `4 · Q` columns, take `Q` interleavings a row instead of a quarter
/// of `P · KH · KW`.
pub(super) trait Neighbours {
    /// Channels of a block.
    const BLOCK: usize;
    /// A vector of weights.
    type Weights: Copy;

    /// Weights of the block with first channel `at`, by row, quad of columns and output, each [`tap`] at its place.
    ///
    /// # Safety
    /// The CPU must have the path's instructions and the layer have passed the checks of `Int8::depthwise`; `at` must be
    /// the first channel of a block.
    unsafe fn placed<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        at: usize,
    ) -> Placed<Self::Weights, P>;

    /// The first `outputs` of `P` neighbours, `channels` of each, to `out`, a pixel `d.channels` after the other.
    ///
    /// # Safety
    /// As [`placed`](Self::placed), which gave `weights`. `pixel` must point to a block of channels (of the last, to those
    /// there are and `SLACK`) for every row below `K` and column below `4 · Q`, and `out` hold the last output's channels.
    unsafe fn group<const K: usize, const P: usize, const Q: usize>(
        d: &Depthwise,
        weights: &Placed<Self::Weights, P>,
        at: usize,
        outputs: usize,
        channels: usize,
        out: &mut [u8],
        pixel: impl Fn(usize, usize) -> *const u8,
    );
}

/// Weights by row, quad of columns and output.
pub(super) type Placed<W, const P: usize> = [[[[W; VECTORS]; P]; QUADS]; ROWS];

/// The tap of a `K · K` filter that output `output` reads at a place of a quad of columns, if it reads one.
pub(super) fn tap<const K: usize>(row: usize, quad: usize, place: usize, output: usize) -> Option<usize> {
    let column = (quad * INPUTS + place).checked_sub(output).filter(|column| *column < K)?;
    Some(row * K + column)
}

/// [`Int8::depthwise`](super::Int8::depthwise) of `K · K` taps and stride 1, `P` outputs at a time out of `Q` quads of
/// columns.
///
/// It has no instruction set of its own: inlined into a function that has one, it takes that one.
///
/// # Safety
/// The CPU must have the path's instructions and the layer have passed the checks of `Int8::depthwise`.
#[inline(always)]
pub(super) unsafe fn neighbours<N: Neighbours, const K: usize, const P: usize, const Q: usize>(
    d: &Depthwise,
    first: usize,
    out: &mut [u8],
) {
    let (down, right) = (d.width * d.channels, d.channels);
    for at in (0..d.channels).step_by(N::BLOCK) {
        let channels = N::BLOCK.min(d.channels - at);
        // SAFETY: the caller's; `at` is the first channel of a block.
        let weights = unsafe { N::placed::<K, P, Q>(d, at) };
        for (i, out) in out.chunks_exact_mut(d.out_width * d.channels).enumerate() {
            let top = first + i;
            let rows_inside = top >= d.pad[0] && top + K <= d.pad[0] + d.height;
            for left in (0..d.out_width).step_by(P) {
                let outputs = P.min(d.out_width - left);
                let out = &mut out[left * d.channels + at..];
                // SAFETY: where all rows and columns are inside, each is a whole pixel of `x` with `SLACK` after it;
                // otherwise each pointer is such a pixel or `outside`, which is as long. `out` reaches from the first
                // channel of the block in the first of so many pixels to the row's end.
                unsafe {
                    if rows_inside && left >= d.pad[1] && left + Q * INPUTS <= d.pad[1] + d.width {
                        let x = d.x.as_ptr().add((top - d.pad[0]) * down + (left - d.pad[1]) * right + at);
                        let pixel = |row: usize, column: usize| x.add(row * down + column * right);
                        N::group::<K, P, Q>(d, &weights, at, outputs, channels, out, pixel);
                    } else {
                        let mut pixels = [[d.outside.as_ptr().add(at); QUADS * INPUTS]; ROWS];
                        for (row, pixels) in pixels.iter_mut().take(K).enumerate() {
                            let y = (top + row).checked_sub(d.pad[0]).filter(|y| *y < d.height);
                            for (column, pixel) in pixels.iter_mut().take(Q * INPUTS).enumerate() {
                                let x = (left + column).checked_sub(d.pad[1]).filter(|x| *x < d.width);
                                if let (Some(y), Some(x)) = (y, x) {
                                    *pixel = d.x.as_ptr().add(y * down + x * right + at);
                                }
                            }
                        }
                        let pixel = |row: usize, column: usize| pixels[row][column];
                        N::group::<K, P, Q>(d, &weights, at, outputs, channels, out, pixel);
                    }
                }
            }
        }
    }
}

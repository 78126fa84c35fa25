//! Which bytes a depthwise filter reads: the part that every instruction set shares.

use super::{Depthwise, MAX_TAPS, reference};

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

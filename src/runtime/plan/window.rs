//! Windows of a dense convolution as rows of a matrix.

use super::program::{Conv, ConvTranspose, Step, Window};
use crate::kernels::float::picture::Windows;
use crate::kernels::int8::{INPUTS, SLACK};

/// Bytes of gathered windows that are multiplied at once.
const PANEL: usize = 64 << 10;

/// Values of a window.
pub(super) fn inputs(w: &Window) -> usize {
    w.kernel_h as usize * w.kernel_w as usize * w.channels as usize
}

/// Whether the picture's pixels are the rows of the product.
pub(super) fn plain(w: &Window) -> bool {
    let one = [w.kernel_h, w.kernel_w, w.stride_h, w.stride_w].iter().all(|&v| v == 1);
    one && w.pad_top == 0 && w.pad_left == 0 && w.out_height == w.height && w.out_width == w.width
}

/// Windows gathered at once.
pub(super) fn panel(w: &Window) -> usize {
    (PANEL / inputs(w).next_multiple_of(INPUTS)).max(8)
}

/// Rows of so many floats that are made at once.
pub(super) fn panel_f32(row: usize) -> usize {
    (PANEL / 4 / row).max(4)
}

/// Products of one input pixel of a transposed convolution.
pub(super) fn products(s: &ConvTranspose) -> usize {
    (s.window.kernel_h * s.window.kernel_w * s.out_channels) as usize
}

/// The window as the float kernels take it.
pub(super) fn windows(w: &Window) -> Windows {
    let both = |a: u32, b: u32| [a as usize, b as usize];
    Windows {
        height: w.height as usize,
        width: w.width as usize,
        channels: w.channels as usize,
        kernel: both(w.kernel_h, w.kernel_w),
        stride: both(w.stride_h, w.stride_w),
        pad: both(w.pad_top, w.pad_left),
        dilation: both(w.dilation_h, w.dilation_w),
        out_width: w.out_width as usize,
    }
}

/// Bytes of scratch memory that a step needs.
pub(super) fn scratch(step: &Step) -> usize {
    match step {
        Step::Conv(s) if !plain(&s.window) => {
            panel(&s.window) * inputs(&s.window).next_multiple_of(INPUTS) + SLACK
        }
        Step::Depthwise(s) => s.window.channels as usize + SLACK,
        _ => 0,
    }
}

/// Copies the windows of output pixels `first..` into rows of `k` values and zeros up to a multiple of four.
pub(super) fn gather(s: &Conv, x: &[u8], first: usize, rows: &mut [u8]) {
    let w = &s.window;
    let (height, width, channels) = (w.height as usize, w.width as usize, w.channels as usize);
    let (kh, kw) = (w.kernel_h as usize, w.kernel_w as usize);
    let (dh, dw) = (w.dilation_h as usize, w.dilation_w as usize);
    let stride = inputs(w).next_multiple_of(INPUTS);
    for (i, row) in rows.chunks_exact_mut(stride).enumerate() {
        let pixel = first + i;
        let (oy, ox) = (pixel / w.out_width as usize, pixel % w.out_width as usize);
        let (top, left) = (oy * w.stride_h as usize, ox * w.stride_w as usize);
        for (ky, part) in row.chunks_exact_mut(kw * channels).take(kh).enumerate() {
            let y = (top + ky * dh).checked_sub(w.pad_top as usize).filter(|y| *y < height);
            let Some(y) = y else {
                part.fill(s.outside);
                continue;
            };
            let start = left.checked_sub(w.pad_left as usize);
            if let Some(start) = start.filter(|start| dw == 1 && start + kw <= width) {
                part.copy_from_slice(&x[(y * width + start) * channels..][..kw * channels]);
                continue;
            }
            for (kx, tap) in part.chunks_exact_mut(channels).enumerate() {
                match (left + kx * dw).checked_sub(w.pad_left as usize).filter(|x| *x < width) {
                    Some(column) => tap.copy_from_slice(&x[(y * width + column) * channels..][..channels]),
                    None => tap.fill(s.outside),
                }
            }
        }
        row[inputs(w)..].fill(0);
    }
}

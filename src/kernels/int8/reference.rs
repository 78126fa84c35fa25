//! Slow and plain: what every other path is held to, and what runs where there is no other.

use super::{
    Add, CHANNELS, COLUMNS, Depthwise, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, depthwise_order, to_u8,
};
use crate::kernels::Isa;

pub(super) const INT8: Int8 = Int8 { isa: Isa::Scalar, matrix_u8, matrix_f32, depthwise, add };

/// Sum of one row and one column, the bias in it.
fn sum(row: &[u8], matrix: &Matrix, column: usize) -> i32 {
    let quads = matrix.k.div_ceil(INPUTS);
    let block = &matrix.weights[column / COLUMNS * quads * COLUMNS * INPUTS..];
    let mut sum = matrix.bias[column];
    for (quad, inputs) in row.chunks(INPUTS).enumerate() {
        let lane = &block[(quad * COLUMNS + column % COLUMNS) * INPUTS..][..INPUTS];
        for (&x, &w) in inputs.iter().zip(lane) {
            sum = sum.wrapping_add(i32::from(x) * i32::from(w as i8));
        }
    }
    sum
}

fn matrix_u8(rows: &Rows, matrix: &Matrix, quant: Quant, out: &mut [u8]) {
    let bounds = quant.bounds();
    for (i, out) in out.chunks_exact_mut(matrix.n).enumerate() {
        let row = &rows.data[i * rows.stride..][..matrix.k];
        for (column, out) in out.iter_mut().enumerate() {
            let value = sum(row, matrix, column) as f32 * matrix.scale[column];
            *out = to_u8(value, bounds, quant.zero);
        }
    }
}

fn matrix_f32(rows: &Rows, matrix: &Matrix, ranges: Option<&[RowQuant]>, offset: &[f32], out: &mut [f32]) {
    for (i, out) in out.chunks_exact_mut(matrix.n).enumerate() {
        let row = &rows.data[i * rows.stride..][..matrix.k];
        let range = ranges.map_or(RowQuant { zero: 0, scale: 1.0 }, |r| r[i]);
        for (column, out) in out.iter_mut().enumerate() {
            let away = i32::from(range.zero).wrapping_mul(matrix.sums[column]);
            let value = sum(row, matrix, column).wrapping_sub(away) as f32;
            *out = value * (matrix.scale[column] * range.scale) + offset.get(column).copied().unwrap_or(0.0);
        }
    }
}

fn depthwise(layer: &Depthwise, first: usize, out: &mut [u8]) {
    let d = layer;
    let [kh, kw] = d.kernel;
    let groups = (kh * kw).div_ceil(INPUTS);
    let bounds = d.quant.bounds();
    let pixels = out.chunks_exact_mut(d.channels);
    for (pixel, out) in pixels.enumerate() {
        let (oy, ox) = (first + pixel / d.out_width, pixel % d.out_width);
        for (channel, out) in out.iter_mut().enumerate() {
            let place = depthwise_order(channel);
            let weights = &d.weights[place / CHANNELS * groups * CHANNELS * INPUTS..];
            let mut sum = d.bias[place];
            for tap in 0..kh * kw {
                let (y, x) = (oy * d.stride[0] + tap / kw, ox * d.stride[1] + tap % kw);
                let inside = (d.pad[0]..d.pad[0] + d.height).contains(&y)
                    && (d.pad[1]..d.pad[1] + d.width).contains(&x);
                let value = if inside {
                    d.x[((y - d.pad[0]) * d.width + x - d.pad[1]) * d.channels + channel]
                } else {
                    d.outside[channel]
                };
                let lane = (tap / INPUTS * CHANNELS + place % CHANNELS) * INPUTS + tap % INPUTS;
                sum = sum.wrapping_add(i32::from(value) * i32::from(weights[lane] as i8));
            }
            *out = to_u8(sum as f32 * d.scale[place], bounds, d.quant.zero);
        }
    }
}

/// Also the path of every instruction set: compilers turn it into vectors.
#[inline(always)]
pub(super) fn add(a: &[u8], b: &[u8], add: &Add, out: &mut [u8]) {
    let bounds = add.quant.bounds();
    for ((&a, &b), out) in a.iter().zip(b).zip(out) {
        let value = f32::from(a) * add.ma + (f32::from(b) * add.mb + add.c);
        *out = to_u8(value, bounds, add.quant.zero);
    }
}

//! Steps over plain values: level by level, value by value.

use super::program::{
    BinaryOp, Place, Quantize, QuantizeInput, ReduceOp, Repeat, ResizeLinear, Select, Spread, UnaryOp,
};
use crate::kernels::float::picture::between;
use crate::kernels::float::{self, math};
use crate::runtime::Picture;

/// Pixels whose planes are put together at once.
const PIXELS: usize = 256;

pub(super) fn quantize_input(s: &QuantizeInput, x: &[f32], y: &mut [u8]) {
    let (pixels, channels) = (s.pixels as usize, s.channels as usize);
    let mut plane = [0; PIXELS];
    for (block, y) in y[..pixels * channels].chunks_mut(PIXELS * channels).enumerate() {
        let plane = &mut plane[..y.len() / channels];
        for channel in 0..channels {
            let x = &x[channel * pixels + block * PIXELS..][..plane.len()];
            float::levels(x, s.scale, s.zero, plane);
            for (y, &level) in y[channel..].iter_mut().step_by(channels).zip(&*plane) {
                *y = level;
            }
        }
    }
}

/// As [`quantize_input`] of the picture's floats, by a table: the same bits, without the floats.
pub(super) fn quantize_picture(s: &QuantizeInput, picture: &Picture<'_>, y: &mut [u8]) {
    let mut tables = [[0u8; 256]; 3];
    for (values, table) in picture.values.iter().zip(&mut tables) {
        float::levels(values, s.scale, s.zero, table);
    }
    let y = &mut y[..s.pixels as usize * 3];
    if picture.pixels.len() < y.len() {
        let mut border = [0];
        float::levels(&[0.0], s.scale, s.zero, &mut border);
        y.fill(border[0]);
    }
    let ([left, top, columns, _], [.., width]) = (picture.window, picture.shape);
    let rows = y.chunks_exact_mut(width * 3).skip(top);
    for (y, pixels) in rows.zip(picture.pixels.chunks_exact(columns * 3)) {
        let y = &mut y[left * 3..][..pixels.len()];
        for (y, pixel) in y.as_chunks_mut::<3>().0.iter_mut().zip(pixels.as_chunks::<3>().0) {
            *y = [0, 1, 2].map(|c| tables[c][usize::from(pixel[c])]);
        }
    }
}

pub(super) fn quantize(s: &Quantize, x: &[f32], y: &mut [u8]) {
    float::levels(x, s.scale, s.zero, y);
}

pub(super) fn unary(op: UnaryOp, a: f32, b: f32, x: &[f32], y: &mut [f32]) {
    fn each(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = f(x);
        }
    }
    match op {
        UnaryOp::Exp => each(x, y, math::exp),
        UnaryOp::Sigmoid => each(x, y, math::sigmoid),
        UnaryOp::Tanh => each(x, y, math::tanh),
        UnaryOp::Erf => each(x, y, math::erf),
        UnaryOp::Sqrt => each(x, y, f32::sqrt),
        UnaryOp::Neg => each(x, y, |v| -v),
        UnaryOp::Clip => each(x, y, |v| v.max(a).min(b)),
        UnaryOp::Gelu => float::gelu(x, y),
        UnaryOp::Swish => float::swish(x, a, y),
        UnaryOp::HardSigmoid => each(x, y, |v| (a * v + b).clamp(0.0, 1.0)),
        UnaryOp::HardSwish => each(x, y, |v| v * (v * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)),
        UnaryOp::Abs => each(x, y, f32::abs),
        UnaryOp::LeakyRelu => each(x, y, |v| if v < 0.0 { a * v } else { v }),
        UnaryOp::GeluTanh => float::gelu_tanh(x, y),
        UnaryOp::Elu => each(x, y, |v| if v < 0.0 { a * (math::exp(v) - 1.0) } else { v }),
        UnaryOp::Log => each(x, y, math::ln),
    }
}

pub(super) fn binary(op: BinaryOp, spread: Spread, a: &[f32], b: &[f32], y: &mut [f32], inner: usize) {
    fn lay(spread: Spread, a: &[f32], b: &[f32], y: &mut [f32], inner: usize, f: impl Fn(f32, f32) -> f32) {
        let rows = y.chunks_exact_mut(inner).zip(a.chunks_exact(inner));
        match spread {
            Spread::Same => {
                for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                    *y = f(a, b);
                }
            }
            Spread::Row => {
                for (y, a) in rows {
                    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
                        *y = f(a, b);
                    }
                }
            }
            Spread::Column => {
                for ((y, a), &b) in rows.zip(b) {
                    for (y, &a) in y.iter_mut().zip(a) {
                        *y = f(a, b);
                    }
                }
            }
            Spread::Single => {
                let b = b[0];
                for (y, &a) in y.iter_mut().zip(a) {
                    *y = f(a, b);
                }
            }
        }
    }
    match op {
        BinaryOp::Add => lay(spread, a, b, y, inner, |a, b| a + b),
        BinaryOp::Sub => lay(spread, a, b, y, inner, |a, b| a - b),
        BinaryOp::Mul => lay(spread, a, b, y, inner, |a, b| a * b),
        BinaryOp::Div => lay(spread, a, b, y, inner, |a, b| a / b),
        BinaryOp::SubFrom => lay(spread, a, b, y, inner, |a, b| b - a),
        BinaryOp::DivInto => lay(spread, a, b, y, inner, |a, b| b / a),
        BinaryOp::Min => lay(spread, a, b, y, inner, f32::min),
        BinaryOp::Max => lay(spread, a, b, y, inner, f32::max),
        BinaryOp::Pow => lay(spread, a, b, y, inner, |a, b| match b {
            3.0 => a * a * a,
            2.0 => a * a,
            0.5 => a.sqrt(),
            -0.5 => 1.0 / a.sqrt(),
            -1.0 => 1.0 / a,
            _ => a,
        }),
        BinaryOp::Equal => lay(spread, a, b, y, inner, |a, b| truth(a == b)),
        BinaryOp::Less => lay(spread, a, b, y, inner, |a, b| truth(a < b)),
        BinaryOp::AtMost => lay(spread, a, b, y, inner, |a, b| truth(a <= b)),
        BinaryOp::Greater => lay(spread, a, b, y, inner, |a, b| truth(a > b)),
        BinaryOp::AtLeast => lay(spread, a, b, y, inner, |a, b| truth(a >= b)),
        BinaryOp::Differs => lay(spread, a, b, y, inner, |a, b| truth(a != b)),
    }
}

fn truth(holds: bool) -> f32 {
    if holds { 1.0 } else { 0.0 }
}

/// `when`, `a` and `b` of a [`Select`] over rows of `inner` values.
pub(super) fn select(s: &Select, [when, a, b]: [&[f32]; 3], y: &mut [f32], inner: usize) {
    let row = |x: &[f32], spread: Spread, o: usize, i: usize| match spread {
        Spread::Same => x[o * inner + i],
        Spread::Row => x[i],
        Spread::Column => x[o],
        Spread::Single => x[0],
    };
    for (o, y) in y.chunks_exact_mut(inner).enumerate() {
        for (i, y) in y.iter_mut().enumerate() {
            let holds = row(when, s.when_spread, o, i) != 0.0;
            *y = if holds { row(a, s.a_spread, o, i) } else { row(b, s.b_spread, o, i) };
        }
    }
}

/// Place of the greatest value, the first or the last of equals; NaN never wins.
pub(super) fn arg_max(x: &[f32], last: bool) -> usize {
    let (mut best, mut place) = (f32::NEG_INFINITY, 0);
    for (i, &v) in x.iter().enumerate() {
        if v > best || last && v == best {
            (best, place) = (v, i);
        }
    }
    place
}

pub(super) fn reduce(op: ReduceOp, [outer, middle, inner]: [usize; 3], x: &[f32], y: &mut [f32]) {
    let finish = |sum: f32| match op {
        ReduceOp::Mean => sum / middle as f32,
        ReduceOp::L2 => sum.sqrt(),
        _ => sum,
    };
    if inner == 1 {
        for (y, x) in y[..outer].iter_mut().zip(x.chunks_exact(middle)) {
            *y = match op {
                ReduceOp::Max => x.iter().copied().fold(f32::NEG_INFINITY, f32::max),
                ReduceOp::Min => x.iter().copied().fold(f32::INFINITY, f32::min),
                ReduceOp::L2 => finish(math::sum(x, |v| v * v)),
                ReduceOp::Sum | ReduceOp::Mean => finish(math::sum(x, |v| v)),
            };
        }
        return;
    }
    for (y, x) in y[..outer * inner].chunks_exact_mut(inner).zip(x.chunks_exact(middle * inner)) {
        let (first, rest) = x.split_at(inner);
        for (y, &x) in y.iter_mut().zip(first) {
            *y = if op == ReduceOp::L2 { x * x } else { x };
        }
        for row in rest.chunks_exact(inner) {
            for (y, &x) in y.iter_mut().zip(row) {
                *y = match op {
                    ReduceOp::Max => y.max(x),
                    ReduceOp::Min => y.min(x),
                    ReduceOp::L2 => *y + x * x,
                    ReduceOp::Sum | ReduceOp::Mean => *y + x,
                };
            }
        }
        y.iter_mut().for_each(|y| *y = finish(*y));
    }
}

pub(super) fn resize_linear(s: &ResizeLinear, x: &[f32], y: &mut [f32]) {
    let place = |o: usize, side: u32, out: u32| {
        let (o, side, out) = (o as f32, side as f32, out as f32);
        match s.place {
            Place::HalfPixel => (o + 0.5) * side / out - 0.5,
            Place::Asymmetric => o * side / out,
            Place::AlignCorners => o * (side - 1.0) / (out - 1.0).max(1.0),
        }
    };
    let (width, channels) = (s.width as usize, s.channels as usize);
    let rows = y.chunks_exact_mut(s.out_width as usize * channels).take(s.out_height as usize);
    for (oy, row) in rows.enumerate() {
        let (top, bottom, down) = between(place(oy, s.height, s.out_height), s.height as usize);
        for (ox, y) in row.chunks_exact_mut(channels).enumerate() {
            let (left, right, along) = between(place(ox, s.width, s.out_width), width);
            let pixel = |row: usize, column: usize| &x[(row * width + column) * channels..][..channels];
            let above = pixel(top, left).iter().zip(pixel(top, right));
            let below = pixel(bottom, left).iter().zip(pixel(bottom, right));
            for (y, ((a, b), (c, d))) in y.iter_mut().zip(above.zip(below)) {
                let (first, second) = (a + (b - a) * along, c + (d - c) * along);
                *y = first + (second - first) * down;
            }
        }
    }
}

pub(super) fn repeat<T: Copy>(s: &Repeat, x: &[T], y: &mut [T]) {
    let (width, channels) = (s.width as usize, s.channels as usize);
    let (down, right) = (s.down as usize, s.right as usize);
    let row = width * right * channels;
    let rows = x.chunks_exact(width * channels).take(s.height as usize);
    for (x, y) in rows.zip(y.chunks_exact_mut(row * down)) {
        let (first, rest) = y.split_at_mut(row);
        for (x, y) in x.chunks_exact(channels).zip(first.chunks_exact_mut(channels * right)) {
            y.chunks_exact_mut(channels).for_each(|y| y.copy_from_slice(x));
        }
        rest.chunks_exact_mut(row).for_each(|y| y.copy_from_slice(first));
    }
}

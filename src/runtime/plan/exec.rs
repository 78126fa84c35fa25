//! Runs a checked program. Every access is a checked slice; [`check`](super::check) has proved that none fails.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::StepTime;
use super::check::MAX_AXES;
use super::ops::{arg_max, binary, quantize, quantize_input, reduce, repeat, resize_linear, select, unary};
use super::program::{
    Attention, AttentionCausal, Conv, ConvF32, ConvTranspose, Depthwise, Element, Packed, Permute, Pool,
    PoolOp, Program, Range8, Size, Step, Window,
};
use super::state::{Numbers, State, parts, slice, words};
use super::window::{gather, inputs, panel, panel_f32, plain, products, windows};
use crate::cancel::{Cancel, cancelled};
use crate::kernels::float::{self, RowLevels, picture};
use crate::kernels::int8::{self, COLUMNS, INPUTS, Int8, Matrix, Quant, RowQuant, Rows, SLACK};
use crate::kernels::pool::{self, MAX_PARTS};

/// Multiplications that are worth the while of another thread: some microseconds.
const LEAST: usize = 600_000;
/// Multiplications of 8-bit values in the time of one of floats.
const FLOAT: usize = 4;
/// Multiplications of 8-bit values in the time of a function (exponential, error function, a row's norm) of one float.
const FUNCTION: usize = 128;
/// Rows that the kernels take at once; parts are whole numbers of them.
const TILE: usize = 2;

/// One pass over a program.
pub(super) struct Run<'a> {
    pub program: &'a Program,
    pub numbers: &'a [Option<Numbers>],
    pub weights: &'a [u8],
    pub kernels: &'static Int8,
    pub length: u32,
    pub pool: Option<&'a pool::Pool>,
    pub cancel: Option<&'a Cancel>,
}

impl Run<'_> {
    /// Runs all steps from number `first` on; whether the pass came to its end.
    pub fn from(&self, first: usize, state: &mut State, mut times: Option<&mut Vec<StepTime>>) -> bool {
        for (step, numbers) in self.program.steps.iter().zip(self.numbers).skip(first) {
            if cancelled(self.cancel) {
                return false;
            }
            let start = times.is_some().then(Instant::now);
            self.step(step, numbers.as_ref(), state);
            if let (Some(times), Some(start)) = (&mut times, start) {
                times.push(StepTime { name: step.name(), time: start.elapsed() });
            }
        }
        true
    }

    /// Whole rows of `y`, `unit` values each, computed part by part by `work(part, first row, rows)`. Rows do not
    /// depend on each other, so every cut gives the same bits. `cost` is of one row, in multiplications or the like.
    fn rows<T: Send>(
        &self,
        y: &mut [T],
        unit: usize,
        cost: usize,
        work: impl Fn(usize, usize, &mut [T]) + Sync,
    ) {
        let worth = y.len() / unit * cost / LEAST;
        match self.pool.filter(|_| worth > 1) {
            Some(pool) => pool.rows(y, unit, TILE, worth.min(parts(Some(pool))), &work),
            None => work(0, 0, y),
        }
    }

    fn at(&self, size: Size) -> usize {
        size.at(self.length) as usize
    }

    fn step(&self, step: &Step, numbers: Option<&Numbers>, state: &mut State) {
        match (step, numbers) {
            (Step::QuantizeInput(s), _) => {
                state.with_u8(s.y, |state, y| quantize_input(s, state.f32(s.x), y))
            }
            (Step::Conv(s), Some(numbers)) => self.conv(s, numbers, state),
            (Step::Linear(s), Some(numbers)) => {
                let (k, n, rows) = (s.k as usize, s.n as usize, self.at(s.rows));
                let matrix = self.matrix(&s.packed, numbers, k, n);
                self.multiply(state, s.x, rows, &matrix, s.y, s.to.as_ref());
            }
            (Step::Depthwise(s), Some(numbers)) => self.depthwise(s, numbers, state),
            (Step::AddU8(s), _) => {
                let len = self.at(s.len);
                let add = int8::Add { ma: s.ma, mb: s.mb, c: s.c, quant: quant(&s.to) };
                state.with_u8(s.y, |state, y| {
                    self.kernels.add(&state.u8(s.a)[..len], &state.u8(s.b)[..len], &add, &mut y[..len]);
                });
            }
            (Step::Lookup(s), _) => {
                let table = slice(self.weights, s.table);
                let len = self.at(s.len);
                state.with_u8(s.y, |state, y| {
                    for (y, &x) in y[..len].iter_mut().zip(state.u8(s.x)) {
                        *y = table[usize::from(x)];
                    }
                });
            }
            (Step::MeanU8(s), _) => state.with_f32(s.y, |state, y| {
                let channels = s.channels as usize;
                let x = &state.u8(s.x)[..s.pixels as usize * channels];
                let factor = s.scale / s.pixels as f32;
                // A block of channels at a time keeps the sums in registers.
                for (block, y) in y[..channels].chunks_mut(64).enumerate() {
                    let mut sums = [0u32; 64];
                    for pixel in x.chunks_exact(channels) {
                        for (sum, &v) in sums.iter_mut().zip(&pixel[block * 64..]) {
                            *sum += u32::from(v);
                        }
                    }
                    for (y, sum) in y.iter_mut().zip(sums) {
                        *y = (i64::from(sum) - i64::from(s.pixels) * i64::from(s.zero)) as f32 * factor;
                    }
                }
            }),
            (Step::Dequantize(s), _) => state.with_f32(s.y, |state, y| {
                for (y, &x) in y[..self.at(s.len)].iter_mut().zip(state.u8(s.x)) {
                    *y = (i32::from(x) - i32::from(s.zero)) as f32 * s.scale;
                }
            }),
            (Step::Quantize(s), _) => {
                let len = self.at(s.len);
                state.with_u8(s.y, |state, y| quantize(s, &state.f32(s.x)[..len], y));
            }
            (Step::Unary(s), _) => {
                let len = self.at(s.len);
                state.with_f32(s.y, |state, y| {
                    let x = &state.f32(s.x)[..len];
                    self.rows(&mut y[..len], 1, FUNCTION, |_, first, y| {
                        unary(s.op, s.a, s.b, &x[first..][..y.len()], y);
                    });
                });
            }
            (Step::Binary(s), _) => {
                let (outer, inner) = (self.at(s.outer), self.at(s.inner));
                state.with_f32(s.y, |state, y| {
                    let (a, y) = (&state.f32(s.a)[..outer * inner], &mut y[..outer * inner]);
                    binary(s.op, s.spread, a, state.f32(s.b), y, inner);
                });
            }
            (Step::Reduce(s), _) => {
                let shape = [self.at(s.outer), self.at(s.middle), self.at(s.inner)];
                state.with_f32(s.y, |state, y| reduce(s.op, shape, state.f32(s.x), y));
            }
            (Step::Copy(s), _) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                let from = (self.at(s.x_at), self.at(s.x_step));
                let to = (self.at(s.y_at), self.at(s.y_step));
                fn rows_of<T: Copy>(
                    x: &[T],
                    y: &mut [T],
                    rows: usize,
                    width: usize,
                    from: (usize, usize),
                    to: (usize, usize),
                ) {
                    for row in 0..rows {
                        let x = &x[from.0 + row * from.1..][..width];
                        y[to.0 + row * to.1..][..width].copy_from_slice(x);
                    }
                }
                self.any(
                    state,
                    s.x,
                    s.y,
                    |x, y| rows_of(x, y, rows, width, from, to),
                    |x, y| {
                        rows_of(x, y, rows, width, from, to);
                    },
                );
            }
            (Step::Permute(s), _) => {
                self.any(state, s.x, s.y, |x, y| self.permute(s, x, y), |x, y| self.permute(s, x, y));
            }
            (Step::Repeat(s), _) => self.any(state, s.x, s.y, |x, y| repeat(s, x, y), |x, y| repeat(s, x, y)),
            (Step::LinearF32(s), Some(numbers)) => {
                let (rows, k, n) = (self.at(s.rows), s.k as usize, s.n as usize);
                state.with_f32(s.y, |state, y| {
                    let x = &state.f32(s.x)[..rows * k];
                    self.rows(&mut y[..rows * n], n, k * n * FLOAT, |_, first, y| {
                        let x = &x[first * k..][..y.len() / n * k];
                        float::linear(x, k, &numbers.first, &numbers.second, n, y);
                    });
                });
            }
            (Step::QuantizeRows(s), _) => {
                let (rows, width) = (self.at(s.rows), s.width as usize);
                let mut ranges = std::mem::take(&mut state.ranges);
                state.with_u8(s.y, |state, y| {
                    let mut out = RowLevels { values: &mut y[..rows * width], ranges: &mut ranges[..rows] };
                    float::quantize_rows(&state.f32(s.x)[..rows * width], width, &mut out);
                });
                state.with_f32(s.ranges, |_, y| {
                    for (y, range) in y.chunks_exact_mut(2).zip(&ranges[..rows]) {
                        y.copy_from_slice(&[f32::from(range.zero), range.scale]);
                    }
                });
                state.ranges = ranges;
            }
            (Step::LinearRows(s), Some(numbers)) => {
                let (rows, k, n) = (self.at(s.rows), s.k as usize, s.n as usize);
                let matrix = self.matrix(&s.packed, numbers, k, n);
                let mut ranges = std::mem::take(&mut state.ranges);
                for (range, pair) in ranges[..rows].iter_mut().zip(state.f32(s.ranges).chunks_exact(2)) {
                    *range = RowQuant { zero: pair[0] as u8, scale: pair[1] };
                }
                state.with_f32(s.y, |state, y| {
                    let x = state.u8(s.x);
                    self.rows(&mut y[..rows * n], n, k * n, |_, first, y| {
                        let input = Rows { data: &x[first * k..], stride: k, count: y.len() / n };
                        let ranges = Some(&ranges[first..rows]);
                        self.kernels.matrix_f32(&input, &matrix, ranges, &numbers.first, y);
                    });
                });
                state.ranges = ranges;
            }
            (Step::LayerNorm(s), Some(numbers)) => {
                let (rows, width) = (self.at(s.rows), s.width as usize);
                state.with_f32(s.y, |state, y| {
                    let x = &state.f32(s.x)[..rows * width];
                    self.rows(&mut y[..rows * width], width, width * FUNCTION, |_, first, y| {
                        let x = &x[first * width..][..y.len()];
                        float::layer_norm(x, &numbers.first, &numbers.second, s.epsilon, y);
                    });
                });
            }
            (Step::Attention(s), _) => self.attention(s, false, state),
            (Step::AttentionCausal(s), _) => {
                let AttentionCausal { q, k, v, mask, y, rows, heads, width, scale } = *s;
                let all = Attention { q, k, v, mask, y, rows, keys: rows, heads, width, scale };
                self.attention(&all, true, state);
            }
            (Step::ArgMax(s), _) => {
                let (rows, width) = (self.at(s.rows), self.at(s.width));
                state.with_i32(s.y, |state, y| {
                    for (y, x) in y[..rows].iter_mut().zip(state.f32(s.x).chunks_exact(width)) {
                        *y = arg_max(x, s.last) as i32;
                    }
                });
            }
            (Step::Take(s), _) => {
                let (count, rows, width) = (self.at(s.count), self.at(s.rows), self.at(s.width));
                state.with_f32(s.y, |state, y| {
                    let (x, ids) = (state.f32(s.x), &state.i32(s.ids)[..count]);
                    for (y, &id) in y.chunks_exact_mut(width).zip(ids) {
                        let from_start = if id < 0 { i64::from(id) + rows as i64 } else { id.into() };
                        let row = from_start.clamp(0, rows as i64 - 1) as usize;
                        y.copy_from_slice(&x[row * width..][..width]);
                    }
                });
            }
            (Step::Select(s), _) => {
                let (outer, inner) = (self.at(s.outer), self.at(s.inner));
                state.with_f32(s.y, |state, y| {
                    select(s, [s.when, s.a, s.b].map(|slot| state.f32(slot)), &mut y[..outer * inner], inner);
                });
            }
            (Step::Embed(s), _) => {
                let (count, width) = (self.at(s.count), s.width as usize);
                let table = slice(self.weights, s.table);
                let scale = s.scale.map(|range| slice(self.weights, range));
                state.with_f32(s.y, |state, y| {
                    for (y, &id) in y.chunks_exact_mut(width).zip(&state.i32(s.ids)[..count]) {
                        // Numbers below 0 count from the end. Those outside the table read its nearest end: tokenizer
                        // and model then do not fit, which the encoder's identity tells.
                        let from_start = if id < 0 { id.saturating_add(s.words as i32) } else { id };
                        let row = from_start.clamp(0, s.words as i32 - 1) as usize;
                        if let Some(scale) = scale {
                            let bytes = &scale[row * 4..][..4];
                            let scale = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                            for (y, &q) in y.iter_mut().zip(&table[row * width..]) {
                                *y = f32::from(q as i8) * scale;
                            }
                        } else {
                            for (y, word) in y.iter_mut().zip(words(&table[row * width * 4..])) {
                                *y = f32::from_le_bytes(word);
                            }
                        }
                    }
                });
            }
            (Step::ToFloat(s), _) => state.with_f32(s.y, |state, y| {
                for (y, &x) in y[..self.at(s.len)].iter_mut().zip(state.i32(s.x)) {
                    *y = x as f32;
                }
            }),
            (Step::ConvF32(s), Some(numbers)) => self.conv_f32(s, numbers, state),
            (Step::DepthwiseF32(s), Some(numbers)) => {
                let (w, channels) = (windows(&s.window), s.window.channels as usize);
                let cost = inputs(&s.window) * FLOAT;
                state.with_f32(s.y, |state, y| {
                    let (x, y) = (state.f32(s.x), &mut y[..pixels(&s.window) * channels]);
                    self.rows(y, channels, cost, |_, first, y| {
                        picture::depthwise(&w, x, &numbers.first, &numbers.second, first, y);
                    });
                });
            }
            (Step::ConvTranspose(s), Some(numbers)) => self.conv_transpose(s, numbers, state),
            (Step::Pool(s), _) => self.pool(s, state),
            (Step::Softmax(s), _) => {
                let (width, len) = (self.at(s.width), self.at(s.rows) * self.at(s.width));
                state.with_f32(s.y, |state, y| float::softmax(&state.f32(s.x)[..len], width, &mut y[..len]));
            }
            (Step::Product(s), _) => state.with_f32(s.y, |state, y| {
                let [batch, rows, k, n] = [s.batch, s.rows, s.k, s.n].map(|side| self.at(side));
                for item in 0..batch {
                    let b = if s.shared { 0 } else { item * k * n };
                    let (a, b) = (&state.f32(s.a)[item * rows * k..], &state.f32(s.b)[b..][..k * n]);
                    self.rows(&mut y[item * rows * n..][..rows * n], n, k * n * FLOAT, |_, first, y| {
                        float::product(&a[first * k..][..y.len() / n * k], k, b, n, y);
                    });
                }
            }),
            (Step::ResizeLinear(s), _) => {
                state.with_f32(s.y, |state, y| resize_linear(s, state.f32(s.x), y));
            }
            (Step::ChannelNorm(s), Some(numbers)) => {
                let len = s.pixels as usize * s.channels as usize;
                state.with_f32(s.y, |state, y| {
                    let (x, y) = (&state.f32(s.x)[..len], &mut y[..len]);
                    picture::channel_norm(x, &numbers.first, &numbers.second, s.epsilon, y);
                });
            }
            (Step::Fill(s), _) => {
                let len = self.at(s.len);
                if self.program.slots[s.y as usize].element == Element::U8 {
                    state.with_u8(s.y, |_, y| y[..len].fill(s.value as u8));
                } else {
                    state.with_f32(s.y, |_, y| y[..len].fill(s.value));
                }
            }
            (
                Step::Conv(_)
                | Step::ConvF32(_)
                | Step::DepthwiseF32(_)
                | Step::ConvTranspose(_)
                | Step::ChannelNorm(_)
                | Step::Linear(_)
                | Step::Depthwise(_)
                | Step::LinearF32(_)
                | Step::LinearRows(_)
                | Step::LayerNorm(_),
                None,
            ) => {
                unreachable!("`numbers` reads those of every such step")
            }
        }
    }

    /// Steps that move values of either kind.
    fn any(
        &self,
        state: &mut State,
        x: u32,
        y: u32,
        bytes: impl FnOnce(&[u8], &mut [u8]),
        floats: impl FnOnce(&[f32], &mut [f32]),
    ) {
        if self.program.slots[y as usize].element == Element::U8 {
            state.with_u8(y, |state, y| bytes(state.u8(x), y));
        } else {
            state.with_f32(y, |state, y| floats(state.f32(x), y));
        }
    }

    fn attention(&self, s: &Attention, causal: bool, state: &mut State) {
        let (heads, width) = (s.heads as usize, s.width as usize);
        let (rows, keys) = (self.at(s.rows) * heads * width, self.at(s.keys) * heads * width);
        let mut floats = std::mem::take(&mut state.floats);
        state.with_f32(s.y, |state, y| {
            let (row, each) = (heads * width, floats.len() / parts(self.pool));
            let places = places(&mut floats, each);
            self.rows(&mut y[..rows], row, 2 * keys * FLOAT, |part, first, y| {
                let layer = float::Attention {
                    q: &state.f32(s.q)[first * row..][..y.len()],
                    k: &state.f32(s.k)[..keys],
                    v: &state.f32(s.v)[..keys],
                    mask: s.mask.map_or(&[], |mask| state.f32(mask)),
                    heads,
                    width,
                    scale: s.scale,
                    causal: causal.then_some(first),
                };
                float::attention(&layer, &mut lock(&places[part]), y);
            });
        });
        state.floats = floats;
    }

    fn matrix<'a>(&'a self, packed: &Packed, numbers: &'a Numbers, k: usize, n: usize) -> Matrix<'a> {
        Matrix {
            k,
            n,
            weights: slice(self.weights, packed.weights),
            bias: &numbers.bias,
            sums: &numbers.sums,
            scale: &numbers.scale,
        }
    }

    /// Rows without gaps times a matrix.
    fn multiply(
        &self,
        state: &mut State,
        x: u32,
        count: usize,
        matrix: &Matrix,
        y: u32,
        to: Option<&Range8>,
    ) {
        let (k, n) = (matrix.k, matrix.n);
        if let Some(to) = to {
            state.with_u8(y, |state, y| {
                let x = state.u8(x);
                self.rows(&mut y[..count * n], n, k * n, |_, first, y| {
                    let rows = Rows { data: &x[first * k..], stride: k, count: y.len() / n };
                    self.kernels.matrix_u8(&rows, matrix, quant(to), y);
                });
            });
        } else {
            state.with_f32(y, |state, y| {
                let x = state.u8(x);
                self.rows(&mut y[..count * n], n, k * n, |_, first, y| {
                    let rows = Rows { data: &x[first * k..], stride: k, count: y.len() / n };
                    self.kernels.matrix_f32(&rows, matrix, None, &[], y);
                });
            });
        }
    }

    fn conv(&self, s: &Conv, numbers: &Numbers, state: &mut State) {
        let w = &s.window;
        let (n, pixels) = (s.out_channels as usize, (w.out_height * w.out_width) as usize);
        let k = inputs(w);
        let matrix = self.matrix(&s.packed, numbers, k, n);
        if plain(w) {
            return self.multiply(state, s.x, pixels, &matrix, s.y, s.to.as_ref());
        }
        let mut scratch = std::mem::take(&mut state.scratch);
        let places = places(&mut scratch, panel(w) * k.next_multiple_of(INPUTS) + SLACK);
        match &s.to {
            Some(to) => state.with_u8(s.y, |state, y| {
                self.rows(&mut y[..pixels * n], n, k * n, |part, first, y| {
                    let multiply = |rows: &Rows, y: &mut [u8]| {
                        self.kernels.matrix_u8(rows, &matrix, quant(to), y);
                    };
                    panels(s, state.u8(s.x), first, &mut lock(&places[part]), y, multiply);
                });
            }),
            None => state.with_f32(s.y, |state, y| {
                self.rows(&mut y[..pixels * n], n, k * n, |part, first, y| {
                    let multiply = |rows: &Rows, y: &mut [f32]| {
                        self.kernels.matrix_f32(rows, &matrix, None, &[], y);
                    };
                    panels(s, state.u8(s.x), first, &mut lock(&places[part]), y, multiply);
                });
            }),
        }
        state.scratch = scratch;
    }

    fn conv_f32(&self, s: &ConvF32, numbers: &Numbers, state: &mut State) {
        let (w, n, k) = (windows(&s.window), s.out_channels as usize, inputs(&s.window));
        let mut floats = std::mem::take(&mut state.floats);
        let panel = panel_f32(k);
        let places = places(&mut floats, panel * k);
        let still = plain(&s.window);
        state.with_f32(s.y, |state, y| {
            let (x, y) = (state.f32(s.x), &mut y[..pixels(&s.window) * n]);
            self.rows(y, n, k * n * FLOAT, |part, first, y| {
                if still {
                    let x = &x[first * k..][..y.len() / n * k];
                    return float::linear(x, k, &numbers.first, &numbers.second, n, y);
                }
                let mut rows = lock(&places[part]);
                for (i, y) in y.chunks_mut(panel * n).enumerate() {
                    let rows = &mut rows[..y.len() / n * k];
                    picture::gather(&w, x, first + i * panel, rows);
                    float::linear(rows, k, &numbers.first, &numbers.second, n, y);
                }
            });
        });
        state.floats = floats;
    }

    /// Products pixel by pixel, then added up where they belong, in the order of the input's pixels.
    fn conv_transpose(&self, s: &ConvTranspose, numbers: &Numbers, state: &mut State) {
        let (w, k, n, columns) =
            (windows(&s.window), s.window.channels as usize, s.out_channels as usize, products(s));
        let mut floats = std::mem::take(&mut state.floats);
        let (zeros, rows) = floats.split_at_mut(columns.next_multiple_of(COLUMNS));
        zeros.fill(0.0);
        let panel = panel_f32(columns);
        state.with_f32(s.y, |state, y| {
            let y = &mut y[..pixels(&s.window) * n];
            y.chunks_exact_mut(n).for_each(|y| y.copy_from_slice(&numbers.second[..n]));
            let x = &state.f32(s.x)[..w.height * w.width * k];
            for (i, x) in x.chunks(panel * k).enumerate() {
                let rows = &mut rows[..x.len() / k * columns];
                self.rows(rows, columns, k * columns * FLOAT, |_, first, rows| {
                    let x = &x[first * k..][..rows.len() / columns * k];
                    float::linear(x, k, &numbers.first, zeros, columns, rows);
                });
                picture::scatter(&w, rows, columns, i * panel, s.window.out_height as usize, y);
            }
        });
        state.floats = floats;
    }

    fn pool(&self, s: &Pool, state: &mut State) {
        let (w, channels) = (windows(&s.window), s.window.channels as usize);
        let (len, cost) = (pixels(&s.window) * channels, inputs(&s.window) * FLOAT);
        if self.program.slots[s.y as usize].element == Element::U8 {
            return state.with_u8(s.y, |state, y| {
                self.rows(&mut y[..len], channels, cost, |_, first, y| {
                    picture::max_pool(&w, state.u8(s.x), 0, first, y);
                });
            });
        }
        state.with_f32(s.y, |state, y| {
            let x = state.f32(s.x);
            self.rows(&mut y[..len], channels, cost, |_, first, y| match s.op {
                PoolOp::Max => picture::max_pool(&w, x, f32::NEG_INFINITY, first, y),
                PoolOp::Mean => picture::mean_pool(&w, x, s.all, first, y),
            });
        });
    }

    fn depthwise(&self, s: &Depthwise, numbers: &Numbers, state: &mut State) {
        let w = &s.window;
        let channels = w.channels as usize;
        let mut scratch = std::mem::take(&mut state.scratch);
        let outside = &mut scratch[..channels + SLACK];
        outside.fill(s.outside);
        let row = w.out_width as usize * channels;
        let cost = row * w.kernel_h as usize * w.kernel_w as usize;
        state.with_u8(s.y, |state, y| {
            let layer = int8::Depthwise {
                x: state.u8(s.x),
                height: w.height as usize,
                width: w.width as usize,
                channels,
                kernel: [w.kernel_h as usize, w.kernel_w as usize],
                stride: [w.stride_h as usize, w.stride_w as usize],
                pad: [w.pad_top as usize, w.pad_left as usize],
                out_width: w.out_width as usize,
                outside,
                weights: slice(self.weights, s.packed.weights),
                bias: &numbers.bias,
                sums: &numbers.sums,
                scale: &numbers.scale,
                quant: quant(&s.to),
            };
            let y = &mut y[..w.out_height as usize * row];
            self.rows(y, row, cost, |_, first, y| self.kernels.depthwise(&layer, first, y));
        });
        state.scratch = scratch;
    }

    fn permute<T: Copy>(&self, s: &Permute, x: &[T], y: &mut [T]) {
        let axes = s.dims.len();
        let mut sides = [1; MAX_AXES];
        for (side, dim) in sides.iter_mut().zip(&s.dims) {
            *side = self.at(*dim);
        }
        let mut strides = [1; MAX_AXES];
        for axis in (1..axes).rev() {
            strides[axis - 1] = strides[axis] * sides[axis];
        }
        // Side and step in `x` of each axis of `y`.
        let mut out = [(1, 0); MAX_AXES];
        for (to, &axis) in out.iter_mut().zip(&s.perm) {
            *to = (sides[axis as usize], strides[axis as usize]);
        }
        let len = sides[..axes].iter().product();
        let (last, step) = out[axes - 1];
        let mut at = [0; MAX_AXES];
        for run in y[..len].chunks_exact_mut(last) {
            let from: usize = at[..axes].iter().zip(&out).map(|(i, (_, step))| i * step).sum();
            for (i, y) in run.iter_mut().enumerate() {
                *y = x[from + i * step];
            }
            for axis in (0..axes - 1).rev() {
                at[axis] += 1;
                if at[axis] < out[axis].0 {
                    break;
                }
                at[axis] = 0;
            }
        }
    }
}

/// Windows of a step.
fn pixels(w: &Window) -> usize {
    w.out_height as usize * w.out_width as usize
}

/// Stretches of scratch memory, one for each part of a step.
fn places<T>(scratch: &mut [T], each: usize) -> [Mutex<&mut [T]>; MAX_PARTS] {
    let mut stretches = scratch.chunks_mut(each.max(1));
    std::array::from_fn(|_| Mutex::new(stretches.next().unwrap_or_default()))
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    // Scratch memory means nothing between parts.
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gathers windows from output pixel `first` on, as many as `scratch` holds at a time, and multiplies them into `y`.
fn panels<T>(
    s: &Conv,
    x: &[u8],
    first: usize,
    scratch: &mut [u8],
    y: &mut [T],
    multiply: impl Fn(&Rows, &mut [T]),
) {
    let (n, stride) = (s.out_channels as usize, inputs(&s.window).next_multiple_of(INPUTS));
    let panel = panel(&s.window);
    for (i, y) in y.chunks_mut(panel * n).enumerate() {
        let count = y.len() / n;
        gather(s, x, first + i * panel, &mut scratch[..count * stride]);
        multiply(&Rows { data: scratch, stride, count }, y);
    }
}

fn quant(range: &Range8) -> Quant {
    Quant { zero: range.zero, low: range.low, high: range.high }
}

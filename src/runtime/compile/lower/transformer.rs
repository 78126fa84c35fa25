//! Transformers: embeddings, layers quantised row by row, attention, and the patterns that exporters write out for
//! LayerNorm and GELU.

use std::collections::HashMap;

use super::{Lowering, Value, axis_of, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Data, Node};
use crate::runtime::compile::weights::Layer;
use crate::runtime::plan::program::{
    Attention, Element, Embed, LayerNorm, LinearF32, LinearRows, QuantizeRows, Range, Size, Step, ToFloat,
    Unary, UnaryOp,
};

/// One number of a shape that the graph computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Batch,
    Side(Size),
    Whole(i64),
}

/// A value split into heads: it lies in memory as `[rows, heads, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Seen as `[heads, rows, width]`.
    Rows,
    /// Seen as `[heads, width, rows]`.
    Columns,
}

/// Scores of queries and keys before they meet the values.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    q: Value,
    k: Value,
    scale: f32,
    mask: Option<Value>,
    normalised: bool,
}

/// Rows as DynamicQuantizeLinear leaves them.
#[derive(Clone, Debug)]
pub(super) struct QuantisedRows {
    values: Value,
    ranges: u32,
}

/// What only transformers need while they are lowered.
#[derive(Default)]
pub(super) struct Known {
    pub numbers: HashMap<String, Vec<Number>>,
    scores: HashMap<String, Scores>,
    rows: HashMap<String, QuantisedRows>,
    /// Names of the rows' scales and zero points, which steps keep to themselves.
    inner: HashMap<String, ()>,
}

impl Lowering<'_> {
    pub(super) fn cast(&mut self, node: &Node) -> Result<(), CompileError> {
        if let Some(numbers) = node.input(0).and_then(|n| self.known.numbers.get(n)) {
            let numbers = numbers.clone();
            self.known.numbers.insert(node.outputs[0].clone(), numbers);
            return Ok(());
        }
        let value = self.value(node, 0)?;
        let float = node.int("to", 1) == 1;
        let out = match (self.buffers[value.buffer as usize].element, float) {
            (Element::I32, true) => self.floats(&value),
            (Element::F32, true) | (Element::I32, false) => value,
            _ => return Err(node.refuse("only whole numbers are cast to f32")),
        };
        self.set(node, out);
        Ok(())
    }

    pub(super) fn wholes_as_floats(&mut self, value: &Value) -> Value {
        let mut out = value.clone();
        out.buffer = self.buffer(Element::F32, value.len());
        self.step(Step::ToFloat(ToFloat { x: value.buffer, y: out.buffer, len: value.len() }));
        out
    }

    /// Numbers behind an input: computed from shapes, or constant.
    pub(super) fn numbers(&self, node: &Node, input: usize) -> Option<Vec<Number>> {
        let name = node.input(input)?;
        self.known.numbers.get(name).cloned().or_else(|| {
            let wholes = self.graph.constants.get(name)?.wholes()?;
            Some(wholes.into_iter().map(Number::Whole).collect())
        })
    }

    pub(super) fn shape(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let sides = value.dims.iter().map(|d| Number::Side(*d));
        let numbers = std::iter::once(Number::Batch).chain(sides).collect();
        self.known.numbers.insert(node.outputs[0].clone(), numbers);
        Ok(())
    }

    /// Operators over shapes; `false` if the node is about values.
    pub(super) fn over_numbers(&mut self, node: &Node) -> Result<bool, CompileError> {
        if !node.inputs.iter().any(|name| self.known.numbers.contains_key(name)) {
            return Ok(false);
        }
        let first = self.numbers(node, 0);
        let found = match (node.op.as_str(), first) {
            ("Gather", Some(numbers)) => {
                let at = self.constant(node, 1).and_then(Constant::wholes);
                let rank = numbers.len() as i64;
                at.and_then(|at| {
                    at.iter()
                        .map(|&i| numbers.get((if i < 0 { i + rank } else { i }) as usize).copied())
                        .collect()
                })
            }
            ("Unsqueeze" | "Squeeze" | "Identity", Some(numbers)) => Some(numbers),
            ("Concat", _) => {
                let parts: Option<Vec<_>> = (0..node.inputs.len()).map(|i| self.numbers(node, i)).collect();
                parts.map(|parts| parts.concat())
            }
            _ => None,
        };
        match found {
            Some(numbers) => {
                self.known.numbers.insert(node.outputs[0].clone(), numbers);
                Ok(true)
            }
            None if matches!(node.op.as_str(), "Reshape" | "Slice") => Ok(false),
            None => Err(node.refuse("it computes with shapes in a way that no plan holds")),
        }
    }

    /// The first rows of a constant, as many as the text is long: position embeddings.
    pub(super) fn constant_rows(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some(constant) = self.constant(node, 0) else { return Ok(false) };
        let refuse = || node.refuse("only the first rows of a constant can be cut to a free length");
        let (Some(values), [1, rows, width]) = (constant.floats(), &constant.dims[..]) else {
            return Err(refuse());
        };
        let (rows, width, values) = (*rows, *width, values.to_vec());
        let start = self.numbers(node, 1).ok_or_else(refuse)?;
        let end = self.numbers(node, 2).ok_or_else(refuse)?;
        let axis = self.numbers(node, 3);
        let (start, end) = (start[..].to_vec(), end[..].to_vec());
        let ([Number::Whole(0)], [Number::Side(side)], Some([Number::Whole(1)])) =
            (&start[..], &end[..], axis.as_deref())
        else {
            return Err(refuse());
        };
        if *side != (Size { fixed: 0, per: 1 }) {
            return Err(refuse());
        }
        // The text cannot be longer than there are positions.
        self.program.max_length = self.program.max_length.min(rows as u32);
        let constant = self.weights.floats(&values)?;
        let buffer = self.buffer(Element::F32, Size::of((rows * width) as u32));
        self.buffers[buffer as usize].constant = constant;
        let dims = vec![*side, Size::of(width as u32)];
        self.set(node, Value { buffer, dims, picture: false, levels: None, heads: None });
        Ok(true)
    }

    pub(super) fn embed(&mut self, node: &Node) -> Result<(), CompileError> {
        let ids = self.value(node, 1)?;
        let refuse = || node.refuse("only rows of a constant table are gathered, by whole numbers");
        let table = self.constant(node, 0).ok_or_else(refuse)?.clone();
        let ([words, width], Element::I32, 0) =
            (&table.dims[..], self.buffers[ids.buffer as usize].element, node.int("axis", 0))
        else {
            return Err(refuse());
        };
        let (words, width) = (*words, *width);
        let mut dims = ids.dims.clone();
        let mut done = vec![];
        let mut out = node.outputs[0].clone();
        let (table, scale) = match &table.data {
            Data::F32(values) => (self.weights.floats(values)?, None),
            Data::I8(values) => {
                let (scale, taken, name) = self.row_scales(node, words).ok_or_else(|| {
                    node.refuse("the scales of its 8-bit rows are not gathered and multiplied right after")
                })?;
                done = taken;
                out = name;
                let bytes: Vec<u8> = values.iter().map(|&v| v as u8).collect();
                (self.weights.add(&bytes)?, Some(self.weights.floats(&scale)?))
            }
            _ => return Err(refuse()),
        };
        dims.push(Size::of(width as u32));
        let y = self.fresh(dims, false, None)?;
        let step = Embed {
            ids: ids.buffer,
            y: y.buffer,
            count: ids.len(),
            words: words as u32,
            width: width as u32,
            table,
            scale,
        };
        self.step(Step::Embed(step));
        self.done.extend(done);
        self.values.insert(out, y);
        Ok(())
    }

    /// `Gather(i8) → Cast → Mul(Gather(scales))`: scales, nodes taken in, name of the product.
    fn row_scales(&self, node: &Node, words: usize) -> Option<(Vec<f32>, Vec<String>, String)> {
        let cast = self.graph.only_reader(&node.outputs[0]).filter(|n| n.op == "Cast")?;
        let mul = self.graph.only_reader(&cast.outputs[0]).filter(|n| n.op == "Mul")?;
        let other = mul.inputs.iter().find(|i| **i != cast.outputs[0])?;
        let scales = self.graph.maker(other).filter(|n| n.op == "Gather" && n.input(1) == node.input(1))?;
        let constant = self.graph.constants.get(scales.input(0)?)?;
        let values = constant.floats().filter(|_| constant.dims == [words, 1])?.to_vec();
        let taken = [cast, mul, scales].map(|n| n.outputs[0].clone()).to_vec();
        Some((values, taken, mul.outputs[0].clone()))
    }

    pub(super) fn quantize_rows(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        self.plain(&mut x);
        let (Some(last), 3) = (x.dims.last().copied(), node.outputs.len()) else {
            return Err(node.refuse("it has no rows"));
        };
        let rows =
            product(&x.dims[..x.dims.len() - 1]).ok_or_else(|| node.refuse("its shape is too large"))?;
        let y = self.buffer(Element::U8, x.len());
        let two = product(&[rows, Size::of(2)]).ok_or_else(|| node.refuse("its shape is too large"))?;
        let ranges = self.buffer(Element::F32, two);
        if last.per != 0 {
            return Err(node.refuse("its rows have a free length"));
        }
        self.step(Step::QuantizeRows(QuantizeRows { x: x.buffer, y, ranges, rows, width: last.fixed }));
        let values = Value { buffer: y, ..x };
        self.known.rows.insert(node.outputs[0].clone(), QuantisedRows { values, ranges });
        for name in &node.outputs[1..] {
            self.known.inner.insert(name.clone(), ());
        }
        Ok(())
    }

    /// Whether a node only combines scales that a step keeps to itself.
    pub(super) fn is_inner(&self, node: &Node) -> bool {
        node.inputs.iter().any(|name| self.known.inner.contains_key(name))
    }

    /// `MatMulInteger → Cast → Mul(row scale · weight scale) [→ Add(bias)]`.
    pub(super) fn rows_times_matrix(&mut self, node: &Node) -> Result<(), CompileError> {
        let refuse = |why: &str| node.refuse(why.to_owned());
        let rows = node.input(0).and_then(|name| self.known.rows.get(name)).cloned();
        let rows = rows.ok_or_else(|| refuse("its left side is not what DynamicQuantizeLinear made"))?;
        let weights = self.constant(node, 1).ok_or_else(|| refuse("its right side is not constant"))?;
        let [k, n] = weights.dims[..] else { return Err(refuse("its right side is no matrix")) };
        let values = weights.wholes().ok_or_else(|| refuse("its right side is not 8-bit"))?;
        let zero = self.constant(node, 3).and_then(Constant::wholes).unwrap_or_else(|| vec![0]);
        let zero_of = |i: usize| zero[if zero.len() == n { i % n } else { 0 }];
        let fits = zero.len() == 1 || zero.len() == n;
        let s8: Option<Vec<i8>> =
            values.iter().enumerate().map(|(i, v)| i8::try_from(v - zero_of(i)).ok()).collect();
        let s8 = s8.filter(|_| fits).ok_or_else(|| refuse("its weights do not fit into signed 8 bits"))?;
        let pattern =
            || refuse("it is not followed by Cast and a product with the scales of rows and columns");
        let cast = self.graph.only_reader(&node.outputs[0]).filter(|n| n.op == "Cast").ok_or_else(pattern)?;
        let mul = self.graph.only_reader(&cast.outputs[0]).filter(|n| n.op == "Mul").ok_or_else(pattern)?;
        let other = mul.inputs.iter().find(|i| **i != cast.outputs[0]).ok_or_else(pattern)?;
        let scales =
            self.graph.maker(other).filter(|n| n.op == "Mul" && self.is_inner(n)).ok_or_else(pattern)?;
        let scale = scales.inputs.iter().find_map(|i| self.graph.constants.get(i)).ok_or_else(pattern)?;
        let scale = scale.floats().filter(|s| s.len() == 1 || s.len() == n).ok_or_else(pattern)?;
        let scale: Vec<f32> = (0..n).map(|i| scale[if scale.len() == 1 { 0 } else { i }]).collect();
        let mut taken = vec![cast.outputs[0].clone(), scales.outputs[0].clone(), mul.outputs[0].clone()];
        let mut out = mul.outputs[0].clone();
        let mut offset = vec![0.0; n];
        if let Some((add, bias)) = self.bias_after(&out, n) {
            offset = bias;
            out = add.outputs[0].clone();
            taken.push(out.clone());
        }
        offset.resize(n.next_multiple_of(16), 0.0);
        if rows.values.dims.last() != Some(&Size::of(k as u32)) || n == 0 {
            return Err(refuse("its sides do not fit"));
        }
        let layer = Layer { weights: s8, k, n, bias: vec![0; n], scale, zero: 0 };
        let packed = self.weights.dense(&layer)?;
        let offset = self.weights.floats(&offset)?;
        let (dims, count) = rows_of(&rows.values, n).ok_or_else(|| refuse("its shape is too large"))?;
        let y = self.fresh(dims, false, None)?;
        let step = LinearRows {
            x: rows.values.buffer,
            ranges: rows.ranges,
            y: y.buffer,
            rows: count,
            k: k as u32,
            n: n as u32,
            packed,
            offset,
        };
        self.step(Step::LinearRows(step));
        self.done.extend(taken);
        self.values.insert(out, y);
        Ok(())
    }

    /// An Add of a constant for each of `n` columns that alone reads a value.
    fn bias_after(&self, name: &str, n: usize) -> Option<(&Node, Vec<f32>)> {
        let add = self.graph.only_reader(name).filter(|node| node.op == "Add")?;
        let other = add.inputs.iter().find(|i| *i != name)?;
        let constant = self.graph.constants.get(other)?;
        let values = constant.floats().filter(|v| v.len() == n && constant.dims.last() == Some(&n))?;
        Some((add, values.to_vec()))
    }

    /// A float product with a constant matrix.
    pub(super) fn linear_f32(&mut self, node: &Node, x: Value) -> Result<(), CompileError> {
        let mut x = self.floats(&x);
        self.plain(&mut x);
        let refuse = |why: &str| node.refuse(why.to_owned());
        let constant =
            self.constant(node, 1).ok_or_else(|| refuse("both sides are computed while running"))?;
        let (Some(values), [rows, columns]) = (constant.floats(), &constant.dims[..]) else {
            return Err(refuse("its right side is no float matrix"));
        };
        let transposed = node.op == "Gemm" && node.int("transB", 0) != 0;
        let (k, n) = if transposed { (*columns, *rows) } else { (*rows, *columns) };
        if x.dims.last() != Some(&Size::of(k as u32)) || n == 0 {
            return Err(refuse("its sides do not fit"));
        }
        let at = |i: usize, c: usize| if transposed { values[c * k + i] } else { values[i * n + c] };
        let padded = n.next_multiple_of(16);
        let mut matrix = vec![0.0; k * padded];
        for (i, row) in matrix.chunks_exact_mut(padded).enumerate() {
            row[..n].iter_mut().enumerate().for_each(|(c, w)| *w = at(i, c));
        }
        let mut taken = None;
        let mut out = node.outputs[0].clone();
        let mut bias = match node.input(2) {
            Some(name) => {
                let bias = self.graph.constants.get(name).and_then(|c| c.floats());
                bias.filter(|b| b.len() == n)
                    .ok_or_else(|| refuse("its bias is not a constant a column"))?
                    .to_vec()
            }
            None => match self.bias_after(&out, n) {
                Some((add, bias)) => {
                    out = add.outputs[0].clone();
                    taken = Some(out.clone());
                    bias
                }
                None => vec![0.0; n],
            },
        };
        bias.resize(padded, 0.0);
        let (weights, bias) = (self.weights.floats(&matrix)?, self.weights.floats(&bias)?);
        let (dims, count) = rows_of(&x, n).ok_or_else(|| refuse("its shape is too large"))?;
        let y = self.fresh(dims, false, None)?;
        self.product_f32(x.buffer, y.buffer, count, [k, n], weights, bias);
        self.done.extend(taken);
        self.values.insert(out, y);
        Ok(())
    }

    pub(super) fn product_f32(
        &mut self,
        x: u32,
        y: u32,
        rows: Size,
        [k, n]: [usize; 2],
        weights: Range,
        bias: Range,
    ) {
        self.step(Step::LinearF32(LinearF32 { x, y, rows, k: k as u32, n: n as u32, weights, bias }));
    }

    /// `false` if the two sides are no heads.
    pub(super) fn attention(&mut self, node: &Node) -> Result<bool, CompileError> {
        let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Ok(false) };
        if let Some(scores) = self.known.scores.get(a).cloned() {
            let v = self.values.get(b).filter(|v| v.heads == Some(Heads::Rows)).cloned();
            let fits = |v: &Value| scores.normalised && v.dims == scores.k_rows();
            let v = v
                .filter(fits)
                .ok_or_else(|| node.refuse("softmax scores meet something else than values"))?;
            let [heads, keys, width] = v.dims[..] else { return Err(node.refuse("its heads are no heads")) };
            let rows = scores.q.dims[1];
            let mut y = self.fresh(vec![heads, rows, width], false, None)?;
            y.heads = Some(Heads::Rows);
            let step = Attention {
                q: scores.q.buffer,
                k: scores.k.buffer,
                v: v.buffer,
                mask: scores.mask.map(|m| m.buffer),
                y: y.buffer,
                rows,
                keys,
                heads: heads.fixed,
                width: width.fixed,
                scale: scores.scale,
            };
            self.step(Step::Attention(step));
            self.set(node, y);
            return Ok(true);
        }
        let (Some(q), Some(k)) = (self.values.get(a), self.values.get(b)) else { return Ok(false) };
        if q.heads != Some(Heads::Rows) || k.heads != Some(Heads::Columns) {
            return Ok(false);
        }
        let fits =
            q.dims[0] == k.dims[0] && q.dims[2] == k.dims[1] && q.dims[0].per == 0 && q.dims[2].per == 0;
        if !fits {
            return Err(node.refuse("queries and keys have other heads"));
        }
        let scores = Scores { q: q.clone(), k: k.clone(), scale: 1.0, mask: None, normalised: false };
        self.known.scores.insert(node.outputs[0].clone(), scores);
        Ok(true)
    }

    /// Scale, mask and softmax of scores; `false` if the node reads none.
    pub(super) fn over_scores(&mut self, node: &Node) -> Result<bool, CompileError> {
        let found = node.inputs.iter().position(|name| self.known.scores.contains_key(name));
        let Some(at) = found.filter(|_| node.op != "MatMul") else { return Ok(false) };
        let mut scores = self.known.scores[&node.inputs[at]].clone();
        let other = 1 - at.min(1);
        let refuse = || node.refuse("attention has another form than softmax(q · k · scale + mask) · v");
        if scores.normalised {
            return Err(refuse());
        }
        match node.op.as_str() {
            "Mul" | "Div" if scores.mask.is_none() => {
                let factor = self.constant(node, other).and_then(Constant::float).ok_or_else(refuse)?;
                match node.op.as_str() {
                    "Mul" => scores.scale *= factor,
                    _ if at == 0 => scores.scale /= factor,
                    _ => return Err(refuse()),
                }
            }
            "Add" if scores.mask.is_none() => {
                let value = self.value(node, other)?;
                let mask = self.floats(&value);
                let keys = scores.k.dims[2];
                let (last, rest) = mask.dims.split_last().ok_or_else(refuse)?;
                if *last != keys || rest.iter().any(|d| *d != Size::of(1)) {
                    return Err(node.refuse("only masks of keys, the same for every query, are held"));
                }
                scores.mask = Some(mask);
            }
            "Softmax" => {
                if ![-1, 3].contains(&node.int("axis", -1)) {
                    return Err(refuse());
                }
                scores.normalised = true;
            }
            _ => return Err(refuse()),
        }
        self.known.scores.insert(node.outputs[0].clone(), scores);
        Ok(true)
    }

    /// `x − mean`, squared, meaned, root, divided, gain and shift, beginning at the first mean.
    pub(super) fn written_out_norm(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some(found) = self.find_norm(node) else { return Ok(false) };
        let x = self.value(node, 0)?;
        self.norm(node, &x, &found.gain, &found.shift, found.epsilon, &found.out)?;
        self.done.extend(found.taken);
        Ok(true)
    }

    pub(super) fn layer_norm(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let x = self.floats(&value);
        let last = x.dims.len();
        if axis_of(node.int("axis", -1), last) != Some(last - 1) || node.outputs.len() != 1 {
            return Err(node.refuse("only the last axis is normalised"));
        }
        let width = x.dims[last - 1].fixed as usize;
        let floats = |input: usize| self.constant(node, input).and_then(|c| c.floats()).map(<[f32]>::to_vec);
        let gain = floats(1).ok_or_else(|| node.refuse("its gain is computed while running"))?;
        let shift = floats(2).unwrap_or_else(|| vec![0.0; width]);
        self.norm(node, &x, &gain, &shift, node.float("epsilon", 1e-5), &node.outputs[0])
    }

    fn norm(
        &mut self,
        node: &Node,
        x: &Value,
        gain: &[f32],
        shift: &[f32],
        epsilon: f32,
        out: &str,
    ) -> Result<(), CompileError> {
        let mut x = self.floats(x);
        self.plain(&mut x);
        let width = gain.len();
        if x.dims.last() != Some(&Size::of(width as u32)) || shift.len() != width {
            return Err(node.refuse("gain and shift do not fit its rows"));
        }
        let (dims, rows) = rows_of(&x, width).ok_or_else(|| node.refuse("its shape is too large"))?;
        let y = self.fresh(dims, false, None)?;
        let (gain, shift) = (self.weights.floats(gain)?, self.weights.floats(shift)?);
        let width = width as u32;
        self.step(Step::LayerNorm(LayerNorm { x: x.buffer, y: y.buffer, rows, width, gain, shift, epsilon }));
        self.values.insert(out.to_owned(), y);
        Ok(())
    }

    fn find_norm(&self, mean: &Node) -> Option<Norm> {
        let g = self.graph;
        let x = mean.input(0)?;
        let last =
            |n: &Node| n.op == "ReduceMean" && n.ints("axes") == Some(&[-1]) && n.int("keepdims", 1) == 1;
        let other = |n: &Node, name: &str| n.inputs.iter().find(|i| *i != name).cloned();
        let constant = |n: &Node, name: &str| g.constants.get(&other(n, name)?);
        let sub = g
            .only_reader(&mean.outputs[0])
            .filter(|n| last(mean) && n.op == "Sub" && n.input(0) == Some(x))?;
        let readers = g.readers(&sub.outputs[0]);
        let square = *readers.iter().find(|n| n.op == "Pow")?;
        let div = *readers.iter().find(|n| n.op == "Div")?;
        if readers.len() != 2 || g.constants.get(square.input(1)?)?.float() != Some(2.0) {
            return None;
        }
        let variance = g.only_reader(&square.outputs[0]).filter(|n| last(n))?;
        let plus = g.only_reader(&variance.outputs[0]).filter(|n| n.op == "Add")?;
        let epsilon = constant(plus, &variance.outputs[0])?.float()?;
        let root = g.only_reader(&plus.outputs[0]).filter(|n| n.op == "Sqrt")?;
        if g.only_reader(&root.outputs[0])?.name != div.name || div.input(0) != Some(&sub.outputs[0]) {
            return None;
        }
        let gained = g.only_reader(&div.outputs[0]).filter(|n| n.op == "Mul")?;
        let gain = constant(gained, &div.outputs[0])?.floats()?.to_vec();
        let shifted = g.only_reader(&gained.outputs[0]).filter(|n| n.op == "Add")?;
        let shift = constant(shifted, &gained.outputs[0])?.floats()?.to_vec();
        let parts = [sub, square, variance, plus, root, div, gained, shifted];
        Some(Norm {
            gain,
            shift,
            epsilon,
            out: shifted.outputs[0].clone(),
            taken: parts.map(|n| n.outputs[0].clone()).to_vec(),
        })
    }

    /// `x / √2 → Erf → + 1 → · x → · 0.5`.
    pub(super) fn written_out_gelu(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some((taken, out)) = self.find_gelu(node) else { return Ok(false) };
        let value = self.value(node, 0)?;
        let x = self.floats(&value);
        let y = self.fresh(x.dims.clone(), x.picture, None)?;
        let step = Unary { op: UnaryOp::Gelu, x: x.buffer, y: y.buffer, len: x.len(), a: 0.0, b: 0.0 };
        self.step(Step::Unary(step));
        self.done.extend(taken);
        self.values.insert(out, y);
        Ok(true)
    }

    fn find_gelu(&self, node: &Node) -> Option<(Vec<String>, String)> {
        let g = self.graph;
        let x = node.input(0)?;
        let by = g.constants.get(node.input(1)?)?.float()?;
        let near = |v: f32, want: f32| (v - want).abs() < 1e-5;
        let start = node.op == "Div" && near(by, std::f32::consts::SQRT_2)
            || node.op == "Mul" && near(by, std::f32::consts::FRAC_1_SQRT_2);
        let erf = g.only_reader(&node.outputs[0]).filter(|n| start && n.op == "Erf")?;
        let constant = |n: &Node, name: &str| {
            let other = n.inputs.iter().find(|i| *i != name)?;
            g.constants.get(other)?.float()
        };
        let plus = g.only_reader(&erf.outputs[0]).filter(|n| n.op == "Add")?;
        let times = g.only_reader(&plus.outputs[0]).filter(|n| n.op == "Mul")?;
        let half = g.only_reader(&times.outputs[0]).filter(|n| n.op == "Mul")?;
        let fits = constant(plus, &erf.outputs[0])? == 1.0
            && times.inputs.iter().any(|i| i == x)
            && constant(half, &times.outputs[0])? == 0.5;
        let taken = [erf, plus, times, half].map(|n| n.outputs[0].clone()).to_vec();
        fits.then(|| (taken, half.outputs[0].clone()))
    }
}

/// A written-out layer normalisation.
struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
    out: String,
    taken: Vec<String>,
}

impl Scores {
    /// Keys as rows, which is the shape of the values.
    fn k_rows(&self) -> Vec<Size> {
        vec![self.k.dims[0], self.k.dims[2], self.k.dims[1]]
    }
}

/// Shape with another last side, and the count of rows.
fn rows_of(value: &Value, last: usize) -> Option<(Vec<Size>, Size)> {
    let mut dims = value.dims.clone();
    let rows = product(&dims[..dims.len().checked_sub(1)?])?;
    *dims.last_mut()? = Size::of(u32::try_from(last).ok()?);
    Some((dims, rows))
}

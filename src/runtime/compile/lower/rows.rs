//! Layers over rows (tokens): embeddings, products of rows quantised one by one, float products.

use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Data, Node};
use crate::runtime::compile::weights::Layer;
use crate::runtime::plan::program::{Element, Embed, LinearF32, LinearRows, QuantizeRows, Range, Size, Step};

/// Rows as DynamicQuantizeLinear leaves them.
#[derive(Clone, Debug)]
pub(super) struct QuantisedRows {
    values: Value,
    ranges: u32,
    /// Names of their scale and zero point.
    scale: String,
    zero: String,
}

impl Lowering<'_> {
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
        let y = self.fresh_like(&ids, dims)?;
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
        self.keep(out, y);
        Ok(())
    }

    /// `Gather(i8) → Cast → Mul(Gather(scales))`: scales, nodes taken in, name of the product.
    fn row_scales(&self, node: &Node, words: usize) -> Option<(Vec<f32>, Vec<String>, String)> {
        let cast = self.graph.only_reader(&node.outputs[0]).filter(|n| n.op == "Cast")?;
        let mul = self.graph.only_reader(&cast.outputs[0]).filter(|n| n.op == "Mul")?;
        let other = mul.inputs.iter().find(|i| **i != cast.outputs[0])?;
        let scales = self.graph.maker(other).filter(|n| n.op == "Gather" && n.input(1) == node.input(1))?;
        let constant = self.constants_by_name(scales.input(0)?)?;
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
        let (scale, zero) = (node.outputs[1].clone(), node.outputs[2].clone());
        self.known.rows.insert(node.outputs[0].clone(), QuantisedRows { values, ranges, scale, zero });
        for name in &node.outputs[1..] {
            self.known.inner.insert(name.clone());
        }
        Ok(())
    }

    /// Whether a node only combines scales that a step keeps to itself.
    pub(super) fn is_inner(&self, node: &Node) -> bool {
        node.inputs.iter().any(|name| self.known.inner.contains(name))
    }

    /// `MatMulInteger → Cast → Mul(row scale · weight scale) [→ Add(bias)]`.
    pub(super) fn rows_times_matrix(&mut self, node: &Node) -> Result<(), CompileError> {
        let refuse = |why: &str| node.refuse(why.to_owned());
        let rows = node.input(0).and_then(|name| self.known.rows.get(name)).cloned();
        let rows = rows.ok_or_else(|| refuse("its left side is not what DynamicQuantizeLinear made"))?;
        let weights = self.constant(node, 1).ok_or_else(|| refuse("its right side is not constant"))?;
        let [k, n] = weights.dims[..] else { return Err(refuse("its right side is no matrix")) };
        let values = weights.wholes().ok_or_else(|| refuse("its right side is not 8-bit"))?;
        if node.input(2) != Some(&rows.zero) {
            return Err(refuse("its left side's zero point is left out or another's"));
        }
        let zero = match node.input(3) {
            None => vec![0],
            Some(_) => self.constant(node, 3).and_then(Constant::wholes).unwrap_or_default(),
        };
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
        let scales = self
            .graph
            .maker(other)
            .filter(|n| n.op == "Mul" && n.inputs.contains(&rows.scale))
            .ok_or_else(pattern)?;
        let scale = scales.inputs.iter().find_map(|i| self.constants_by_name(i)).ok_or_else(pattern)?;
        let scale = scale.floats().filter(|s| s.len() == 1 || s.len() == n).ok_or_else(pattern)?;
        let scale: Vec<f32> = (0..n).map(|i| scale[if scale.len() == 1 { 0 } else { i }]).collect();
        let mut taken = vec![cast.outputs[0].clone(), scales.outputs[0].clone(), mul.outputs[0].clone()];
        let mut out = mul.outputs[0].clone();
        let mut offset = vec![0.0; n];
        if let Some((add, bias)) = self.bias_after(&out, &rows.values, n) {
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
        let y = self.fresh_like(&rows.values, dims)?;
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
        self.keep(out, y);
        Ok(())
    }

    /// An Add of a constant for each of `n` columns that alone reads a value with as many axes as `like`.
    fn bias_after(&self, name: &str, like: &Value, n: usize) -> Option<(&Node, Vec<f32>)> {
        let add = self.graph.only_reader(name).filter(|node| node.op == "Add")?;
        let other = add.inputs.iter().find(|i| *i != name)?;
        let constant = self.constants_by_name(other)?;
        let fits = constant.dims.last() == Some(&n) && constant.dims.len() <= like.rank();
        let values = constant.floats().filter(|v| v.len() == n && fits)?;
        Some((add, values.to_vec()))
    }

    /// A float product with a constant matrix.
    pub(super) fn linear_f32(&mut self, node: &Node, x: Value) -> Result<(), CompileError> {
        let mut x = self.floats(&x);
        self.plain(&mut x);
        let refuse = |why: &str| node.refuse(why.to_owned());
        let transposed = node.op == "Gemm" && node.int("transB", 0) != 0;
        let (values, sides) = self.float_weights(node, 1)?;
        let [rows, columns] = sides[..] else { return Err(refuse("its right side is no float matrix")) };
        let (k, n) = if transposed { (columns, rows) } else { (rows, columns) };
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
        let mut bias = self.float_bias(node, n)?;
        if node.input(2).is_none()
            && let Some((add, after)) = self.bias_after(&out, &x, n)
        {
            out = add.outputs[0].clone();
            taken = Some(out.clone());
            bias = after;
        }
        bias.resize(padded, 0.0);
        let (weights, bias) = (self.weights.floats(&matrix)?, self.weights.floats(&bias)?);
        let (dims, count) = rows_of(&x, n).ok_or_else(|| refuse("its shape is too large"))?;
        let y = self.fresh_like(&x, dims)?;
        self.product_f32(x.buffer, y.buffer, count, [k, n], weights, bias);
        self.done.extend(taken);
        self.keep(out, y);
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
}

/// Shape with another last side, and the count of rows.
pub(super) fn rows_of(value: &Value, last: usize) -> Option<(Vec<Size>, Size)> {
    let mut dims = value.dims.clone();
    let rows = product(&dims[..dims.len().checked_sub(1)?])?;
    *dims.last_mut()? = Size::of(u32::try_from(last).ok()?);
    Some((dims, rows))
}

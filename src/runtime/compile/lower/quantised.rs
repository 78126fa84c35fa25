//! Quantised operators: integer sums with the requantisation fused in.

use super::window::{Filters, window};
use super::{Levels, Lowering, Quantised, Value};
use crate::kernels::float::math;
use crate::kernels::int8::MAX_TAPS;
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Data, Node};
use crate::runtime::compile::weights::Layer;
use crate::runtime::plan::program::{
    AddU8, Conv, Depthwise, Linear, Lookup, MeanU8, Quantize, QuantizeInput, Range8, Size, Step,
};

/// A quantised output that an operator may write itself.
struct Target {
    /// What its reader gets.
    name: String,
    levels: Levels,
    range: Range8,
    /// Nodes taken in.
    taken: Vec<String>,
}

/// s8 weights, a scale for each output, and the weights' shape.
type Weights8 = (Vec<i8>, Vec<f32>, Vec<usize>);

/// Nearest level of a number, ties to even, held in 0 to 255.
fn level(value: f32, levels: Levels) -> u8 {
    (f64::from(value / levels.scale).round_ties_even() + f64::from(levels.zero)).clamp(0.0, 255.0) as u8
}

impl Lowering<'_> {
    /// Scale and zero point (inputs 1 and 2) of a quantised activation.
    fn levels(&self, node: &Node) -> Result<Levels, CompileError> {
        const U8: i64 = 2;
        const I8: i64 = 3;
        let scale = self.constant(node, 1).and_then(|c| c.float());
        let scale = scale.filter(|s| s.is_finite() && *s > 0.0);
        let scale = scale.ok_or_else(|| node.refuse("its scale is not one positive number"))?;
        let zero = match self.constant(node, 2).map(|c| &c.data) {
            None if node.input(2).is_some() => {
                return Err(node.refuse("its zero point is computed while running"));
            }
            None if matches!(node.int("output_dtype", 0), 0 | U8) => 0,
            None if node.int("output_dtype", 0) == I8 => 128,
            Some(Data::U8(zero)) if zero.len() == 1 => zero[0],
            // Signed values are kept 128 higher.
            Some(Data::I8(zero)) if zero.len() == 1 => (i16::from(zero[0]) + 128) as u8,
            _ => return Err(node.refuse("its zero point is not one 8-bit number")),
        };
        Ok(Levels { scale, zero })
    }

    pub(super) fn quantize(&mut self, node: &Node) -> Result<(), CompileError> {
        let levels = self.levels(node)?;
        let value = self.value(node, 0)?;
        let out = self.requantised(value, levels)?;
        self.set(node, out);
        Ok(())
    }

    /// The value in other (or first) levels.
    fn requantised(&mut self, value: Value, levels: Levels) -> Result<Value, CompileError> {
        let Some(old) = value.levels else {
            let plain = !value.picture && !value.bare;
            if let (3, true, Some(dims)) = (value.dims.len(), plain, value.fixed()) {
                let out = self.fresh(value.dims.clone(), true, Some(levels))?;
                let step = QuantizeInput {
                    x: value.buffer,
                    y: out.buffer,
                    pixels: (dims[1] * dims[2]) as u32,
                    channels: dims[0] as u32,
                    scale: levels.scale,
                    zero: levels.zero,
                };
                self.step(Step::QuantizeInput(step));
                return Ok(out);
            }
            let out = self.fresh(value.dims.clone(), value.picture, Some(levels))?;
            let out = Value { bare: value.bare, ..out };
            let Levels { scale, zero } = levels;
            let step = Quantize { x: value.buffer, y: out.buffer, len: value.len(), scale, zero };
            self.step(Step::Quantize(step));
            return Ok(out);
        };
        if old == levels {
            return Ok(value);
        }
        self.looked_up(&value, levels, |v| v)
    }

    /// Each level through a function, by table.
    fn looked_up(
        &mut self,
        value: &Value,
        to: Levels,
        f: impl Fn(f32) -> f32,
    ) -> Result<Value, CompileError> {
        let from = value.levels.unwrap_or(to);
        let table: Vec<u8> = (0..=255u8)
            .map(|q| level(f((i32::from(q) - i32::from(from.zero)) as f32 * from.scale), to))
            .collect();
        let table = self.weights.add(&table)?;
        let out = self.fresh(value.dims.clone(), value.picture, Some(to))?;
        let out = Value { bare: value.bare, ..out };
        self.step(Step::Lookup(Lookup { x: value.buffer, y: out.buffer, len: value.len(), table }));
        Ok(out)
    }

    pub(super) fn dequantize(&mut self, node: &Node) -> Result<(), CompileError> {
        let name = node.input(0).unwrap_or_default();
        if let Some(value) = self.values.get(name) {
            let value = value.clone();
            if value.levels != Some(self.levels(node)?) {
                return Err(node.refuse("its scale is not the one its input was quantised by"));
            }
            self.set(node, value);
            return Ok(());
        }
        if self.constants_by_name(name).is_none() {
            return Err(node.refuse(format!("no node before it makes its input `{name}`")));
        }
        let scale = self.constant(node, 1).and_then(|c| c.floats()).map(<[f32]>::to_vec);
        let scale = scale.filter(|s| s.iter().all(|v| v.is_finite()));
        let scale = scale.ok_or_else(|| node.refuse("its scale is computed while running or not finite"))?;
        let zero = match node.input(2) {
            None => vec![0; scale.len()],
            Some(_) => self.constant(node, 2).and_then(|c| c.wholes()).unwrap_or_default(),
        };
        if zero.len() != scale.len() || scale.is_empty() {
            return Err(node.refuse("scale and zero point differ in length, or are computed while running"));
        }
        if node.int("block_size", 0) != 0 {
            return Err(node.refuse("scales of blocks are not held; quantise by tensor or by axis"));
        }
        let rank = self.constants_by_name(name).map_or(0, |c| c.dims.len());
        let axis = node.int("axis", 1);
        let axis = usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).unwrap_or(rank);
        // A vector has only one.
        let axis = if rank == 1 { 0 } else { axis };
        let constant = name.to_owned();
        self.quantised.insert(node.outputs[0].clone(), Quantised { constant, scale, zero, axis });
        Ok(())
    }

    /// The QuantizeLinear that alone reads `output`, perhaps behind a ReLU or Clip.
    fn target(&self, output: &str) -> Option<Target> {
        let mut taken = vec![];
        let mut reader = self.graph.only_reader(output)?;
        let (mut low, mut high) = (f32::NEG_INFINITY, f32::INFINITY);
        if matches!(reader.op.as_str(), "Relu" | "Clip") {
            (low, high) = self.bounds(reader)?;
            taken.push(reader.outputs[0].clone());
            reader = self.graph.only_reader(&reader.outputs[0])?;
        }
        if reader.op != "QuantizeLinear" {
            return None;
        }
        let levels = self.levels(reader).ok()?;
        // Where the bounds of a Clip cross, the greatest holds.
        let low = level(low.min(high), levels);
        let range = Range8 { zero: levels.zero, low, high: level(high, levels) };
        taken.push(reader.outputs[0].clone());
        Some(Target { name: reader.outputs[0].clone(), levels, range, taken })
    }

    /// What Relu and Clip hold values in.
    pub(super) fn bounds(&self, node: &Node) -> Option<(f32, f32)> {
        if node.op == "Relu" {
            return Some((0.0, f32::INFINITY));
        }
        let bound = |input: usize, name: &str, open: f32| match node.input(input) {
            Some(_) => self.constant(node, input)?.float(),
            None => Some(node.float(name, open)),
        };
        Some((bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?))
    }

    /// A value for a node's output: u8 as its reader wants it, or floats.
    fn result(
        &mut self,
        node: &Node,
        dims: Vec<Size>,
        like: &Value,
    ) -> Result<(Value, Option<Range8>), CompileError> {
        match self.target(&node.outputs[0]) {
            Some(target) => {
                let out = self.fresh(dims, like.picture, Some(target.levels))?;
                let out = Value { bare: like.bare, ..out };
                self.done.extend(target.taken);
                self.keep(target.name, out.clone());
                Ok((out, Some(target.range)))
            }
            None => {
                let out = self.fresh_like(like, dims)?;
                self.set(node, out.clone());
                Ok((out, None))
            }
        }
    }

    /// s8 weights with a scale for each of `n` along `axis`, and their shape.
    fn quantised_weights(&self, node: &Node, axis: usize) -> Result<Weights8, CompileError> {
        let refuse = |why: &str| node.refuse(why.to_owned());
        let weights = node.input(1).and_then(|name| self.quantised.get(name));
        let weights = weights.ok_or_else(|| {
            refuse("its weights are not 8-bit constants; only statically quantised layers (QDQ) are compiled yet")
        })?;
        let constant =
            self.constants_by_name(&weights.constant).ok_or_else(|| refuse("its weights went away"))?;
        let values = constant.wholes().ok_or_else(|| refuse("its weights are floats"))?;
        let side = *constant.dims.get(axis).ok_or_else(|| refuse("its weights have too few axes"))?;
        let inner: usize = constant.dims[axis + 1..].iter().product();
        if weights.scale.len() != 1 && (weights.scale.len() != side || weights.axis != axis) {
            return Err(refuse("its weights are not scaled by output"));
        }
        let of = |i: usize| if weights.scale.len() == 1 { 0 } else { i / inner % side };
        let s8: Option<Vec<i8>> =
            values.iter().enumerate().map(|(i, &v)| i8::try_from(v - weights.zero[of(i)]).ok()).collect();
        let s8 =
            s8.ok_or_else(|| refuse("its weights do not fit into signed 8 bits around their zero point"))?;
        let scale = (0..side).map(|i| weights.scale[if weights.scale.len() == 1 { 0 } else { i }]).collect();
        Ok((s8, scale, constant.dims.clone()))
    }

    /// The bias in steps of `scale`.
    fn bias(&self, node: &Node, scale: &[f64]) -> Result<Vec<i32>, CompileError> {
        let n = scale.len();
        let Some(name) = node.input(2) else { return Ok(vec![0; n]) };
        let floats: Option<Vec<f64>> = if let Some(q) = self.quantised.get(name) {
            let steps = self.constants_by_name(&q.constant).and_then(Constant::wholes);
            let scale = |i: usize| f64::from(q.scale[if q.scale.len() == 1 { 0 } else { i }]);
            steps
                .filter(|s| q.scale.len() == 1 || q.scale.len() == s.len())
                .map(|steps| steps.iter().enumerate().map(|(i, &v)| v as f64 * scale(i)).collect())
        } else {
            let floats = self.constants_by_name(name).and_then(Constant::floats);
            floats.map(|f| f.iter().map(|&v| v.into()).collect())
        };
        let floats = floats
            .filter(|f| f.len() == n && self.by_column(node, n))
            .ok_or_else(|| node.refuse("its bias is not a constant a column"))?;
        let whole =
            |(bias, scale): (&f64, &f64)| if *scale == 0.0 { 0 } else { (bias / scale).round() as i32 };
        Ok(floats.iter().zip(scale).map(whole).collect())
    }

    /// Numbers of a layer: `weights` are `[k, n]` already.
    fn layer(
        &self,
        node: &Node,
        input: Levels,
        output: Option<Levels>,
        weights: Vec<i8>,
        scale: &[f32],
    ) -> Result<Layer, CompileError> {
        let sums: Vec<f64> = scale.iter().map(|&s| f64::from(s) * f64::from(input.scale)).collect();
        let bias = self.bias(node, &sums)?;
        let scale: Vec<f32> =
            sums.iter().map(|&s| output.map_or(s, |o| s / f64::from(o.scale)) as f32).collect();
        if scale.iter().any(|s| !s.is_finite()) {
            return Err(node.refuse("its scales are out of range"));
        }
        let n = scale.len();
        Ok(Layer { k: weights.len() / n, n, weights, bias, scale, zero: input.zero })
    }

    pub(super) fn conv(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut x = self.value(node, 0)?;
        let quantised = node.input(1).is_some_and(|name| self.quantised.contains_key(name));
        let Some(levels) = x.levels.filter(|_| quantised) else {
            return self.conv_f32(node);
        };
        self.picture(node, &mut x)?;
        let (weights, scale, dims) = self.quantised_weights(node, 0)?;
        let [channels, height, width] = x.sides(node)?;
        let filters = Filters::of(node, &dims, channels)?;
        let (out, taps) = (filters.out, filters.taps());
        let window = window(node, [height, width, channels], filters.kernel)?;
        let shape = vec![Size::of(out as u32), Size::of(window.out_height), Size::of(window.out_width)];
        let (y, to) = self.result(node, shape, &x)?;
        let apart = window.dilation_h == 1 && window.dilation_w == 1 && taps <= MAX_TAPS;
        if let (true, Some(to)) = (filters.depthwise() && apart, to.clone()) {
            let layer = self.layer(node, levels, y.levels, filters.by_tap(&weights), &scale)?;
            let packed = self.weights.depthwise(&layer)?;
            let step = Depthwise { x: x.buffer, y: y.buffer, window, outside: levels.zero, packed, to };
            self.step(Step::Depthwise(step));
            return Ok(());
        }
        let matrix = filters.matrix(&weights, out);
        let layer = self.layer(node, levels, y.levels, matrix, &scale)?;
        let packed = self.weights.dense(&layer)?;
        let out_channels = out as u32;
        let step = Conv { x: x.buffer, y: y.buffer, window, outside: levels.zero, out_channels, packed, to };
        self.step(Step::Conv(step));
        Ok(())
    }

    pub(super) fn linear(&mut self, node: &Node) -> Result<(), CompileError> {
        let gemm = node.op == "Gemm";
        let transposed = gemm && node.int("transB", 0) != 0;
        if gemm
            && (node.float("alpha", 1.0) != 1.0
                || node.float("beta", 1.0) != 1.0
                || node.int("transA", 0) != 0)
        {
            return Err(node.refuse("alpha, beta and transA must be 1, 1 and 0"));
        }
        let quantised = node.input(1).is_some_and(|name| self.quantised.contains_key(name));
        if !node.input(0).is_some_and(|name| self.values.contains_key(name)) {
            return self.values_product(node);
        }
        let mut x = self.value(node, 0)?;
        let Some(levels) = x.levels.filter(|_| quantised) else {
            let known = quantised || self.constant(node, 1).is_some();
            return if known { self.linear_f32(node, x) } else { self.values_product(node) };
        };
        self.plain(&mut x);
        let (weights, scale, dims) = self.quantised_weights(node, usize::from(!transposed))?;
        let [rows, columns] = dims[..] else { return Err(node.refuse("its weights are no matrix")) };
        let (k, n) = if transposed { (columns, rows) } else { (rows, columns) };
        if x.dims.last() != Some(&Size::of(k as u32)) || n == 0 {
            return Err(node.refuse(format!("weights {dims:?} do not fit its input")));
        }
        let matrix =
            if transposed { (0..k * n).map(|i| weights[i % n * k + i / n]).collect() } else { weights };
        let mut shape = x.dims.clone();
        let rows = super::product(&shape[..shape.len() - 1]).unwrap_or_default();
        if let Some(last) = shape.last_mut() {
            *last = Size::of(n as u32);
        }
        let (y, to) = self.result(node, shape, &x)?;
        let layer = self.layer(node, levels, y.levels, matrix, &scale)?;
        let packed = self.weights.dense(&layer)?;
        let (k, n) = (k as u32, n as u32);
        self.step(Step::Linear(Linear { x: x.buffer, y: y.buffer, rows, k, n, packed, to }));
        Ok(())
    }

    /// The sum of two quantised values of one shape, if its reader wants u8; `false` leaves it to floats.
    pub(super) fn add_quantised(&mut self, node: &Node) -> Result<bool, CompileError> {
        let (Ok(a), Ok(mut b)) = (self.seen(node, 0), self.seen(node, 1)) else { return Ok(false) };
        let (Some(la), Some(lb)) = (a.levels, b.levels) else { return Ok(false) };
        let odd = a.bare != b.bare || a.wide.is_some() || b.wide.is_some();
        if odd || a.dims != b.dims || self.target(&node.outputs[0]).is_none() {
            return Ok(false);
        }
        if a.picture != b.picture {
            if a.picture { self.picture(node, &mut b)? } else { self.plain(&mut b) }
        }
        let (y, to) = self.result(node, a.dims.clone(), &a)?;
        let (Some(to), Some(ly)) = (to, y.levels) else { return Ok(false) };
        let (ma, mb) = (la.scale / ly.scale, lb.scale / ly.scale);
        let c = -(f64::from(la.zero) * f64::from(ma) + f64::from(lb.zero) * f64::from(mb)) as f32;
        let step = AddU8 { a: a.buffer, b: b.buffer, y: y.buffer, len: a.len(), ma, mb, c, to };
        self.step(Step::AddU8(step));
        Ok(true)
    }

    /// One function on each level, if its reader wants u8.
    pub(super) fn unary_quantised(
        &mut self,
        node: &Node,
        f: &dyn Fn(f32) -> f32,
    ) -> Result<bool, CompileError> {
        let value = self.value(node, 0)?;
        let (Some(_), Some(target)) = (value.levels, self.target(&node.outputs[0])) else { return Ok(false) };
        let (low, high) = (target.range.low, target.range.high);
        let to = target.levels;
        let held = |v: f32| {
            let worth = |q: u8| (f32::from(q) - f32::from(to.zero)) * to.scale;
            f(v).max(worth(low)).min(worth(high))
        };
        let out = self.looked_up(&value, to, held)?;
        self.done.extend(target.taken);
        self.keep(target.name, out);
        Ok(true)
    }

    pub(super) fn global_mean(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut x = self.value(node, 0)?;
        self.picture(node, &mut x)?;
        let Some(dims) = x.fixed() else { return Err(node.refuse("it takes a picture of fixed size")) };
        let shape = vec![x.dims[0], Size::of(1), Size::of(1)];
        let out = self.fresh(shape, true, None)?;
        let (pixels, channels) = ((dims[1] * dims[2]) as u32, dims[0] as u32);
        match x.levels {
            Some(Levels { scale, zero }) => {
                self.step(Step::MeanU8(MeanU8 { x: x.buffer, y: out.buffer, pixels, channels, scale, zero }));
            }
            None => self.mean_of_pixels(x.buffer, out.buffer, pixels, channels),
        }
        self.set(node, out);
        Ok(())
    }

    pub(super) fn concat(&mut self, node: &Node) -> Result<(), CompileError> {
        let part = |i| {
            let value = self.given(node, i)?;
            Ok(self.movable(value))
        };
        let mut parts = (0..node.inputs.len()).map(part).collect::<Result<Vec<_>, CompileError>>()?;
        let axis = parts.first().and_then(|first| first.axis(node.int("axis", 1)));
        if axis.is_none() || parts.iter().any(|part| part.bare) {
            parts.iter_mut().for_each(|part| self.lift(part));
        }
        let Some(first) = parts.first() else { return Err(node.refuse("it has no inputs")) };
        let axis = first.axis(node.int("axis", 1)).ok_or_else(|| node.refuse("its axis is not there"))?;
        let picture = first.picture;
        for part in &mut parts {
            if part.picture != picture {
                if picture { self.picture(node, part)? } else { self.plain(part) }
            }
        }
        let target = self.target(&node.outputs[0]).filter(|t| {
            t.taken.len() == 1 && parts.iter().all(|p| p.levels.is_some()) && t.range.zero == t.levels.zero
        });
        if let Some(target) = target {
            let parts = parts
                .into_iter()
                .map(|p| self.requantised(p, target.levels))
                .collect::<Result<Vec<_>, _>>()?;
            let out = self.join(node, &parts, axis)?;
            self.done.extend(target.taken);
            self.keep(target.name, out);
            return Ok(());
        }
        if !parts.iter().all(|p| p.levels == parts[0].levels) {
            parts = parts.iter().map(|p| self.floats(p)).collect();
        }
        let out = self.join(node, &parts, axis)?;
        self.set(node, out);
        Ok(())
    }
}

/// The function of a one-input operator, for tables.
pub(super) fn function(node: &Node) -> Option<Box<dyn Fn(f32) -> f32>> {
    let (alpha, beta) = (node.float("alpha", 0.2), node.float("beta", 0.5));
    let leak = node.float("alpha", 0.01);
    Some(match node.op.as_str() {
        "Sigmoid" => Box::new(math::sigmoid),
        "Tanh" => Box::new(math::tanh),
        "Exp" => Box::new(math::exp),
        "Erf" => Box::new(math::erf),
        "Sqrt" => Box::new(|v: f32| v.max(0.0).sqrt()),
        "Neg" => Box::new(|v: f32| -v),
        "Abs" => Box::new(f32::abs),
        "HardSigmoid" => Box::new(move |v: f32| (alpha * v + beta).clamp(0.0, 1.0)),
        "HardSwish" => Box::new(|v: f32| v * (v / 6.0 + 0.5).clamp(0.0, 1.0)),
        "LeakyRelu" => Box::new(move |v: f32| if v < 0.0 { leak * v } else { v }),
        _ => return None,
    })
}

//! LayerNorm and GELU, as operators or written out by an exporter.

use super::rows::rows_of;
use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::{LayerNorm, Size, Step, Unary, UnaryOp};

impl Lowering<'_> {
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
        if x.axis(node.int("axis", -1)).is_none_or(|axis| axis + 1 != last) || node.outputs.len() != 1 {
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
        let y = self.fresh_like(&x, dims)?;
        let (gain, shift) = (self.weights.floats(gain)?, self.weights.floats(shift)?);
        let width = width as u32;
        self.step(Step::LayerNorm(LayerNorm { x: x.buffer, y: y.buffer, rows, width, gain, shift, epsilon }));
        self.keep(out.to_owned(), y);
        Ok(())
    }

    fn find_norm(&self, mean: &Node) -> Option<Norm> {
        let g = self.graph;
        let x = mean.input(0)?;
        let last = |n: &Node| {
            let axes = n.ints("axes").map(<[i64]>::to_vec).or_else(|| self.constant(n, 1)?.wholes());
            n.op == "ReduceMean" && axes.as_deref() == Some(&[-1]) && n.int("keepdims", 1) == 1
        };
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
        let y = self.fresh_like(&x, x.dims.clone())?;
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
        let (mut taken, out) = self.times_half(x, plus)?;
        taken.push(erf.outputs[0].clone());
        (constant(plus, &erf.outputs[0])? == 1.0).then_some((taken, out))
    }

    /// `plus · x · 0.5`: nodes taken in, and the name of the product.
    fn times_half(&self, x: &str, plus: &Node) -> Option<(Vec<String>, String)> {
        let g = self.graph;
        let other = |n: &Node, name: &str| n.inputs.iter().find(|i| *i != name).cloned();
        let is_half = |name: &str| Some(g.constants.get(name)?.float()? == 0.5);
        let times = g.only_reader(&plus.outputs[0]).filter(|n| n.op == "Mul")?;
        let by = other(times, &plus.outputs[0])?;
        let mut alone = None;
        let end = if by == x {
            let half = g.only_reader(&times.outputs[0]).filter(|n| n.op == "Mul")?;
            is_half(&other(half, &times.outputs[0])?)?.then_some(half)?
        } else {
            // Half of x was made before.
            let half = g.maker(&by).filter(|n| n.op == "Mul" && n.inputs.iter().any(|i| i == x))?;
            alone = g.only_reader(&half.outputs[0]).map(|_| half.outputs[0].clone());
            is_half(&other(half, x)?)?.then_some(times)?
        };
        let mut taken = [plus, times, end].map(|n| n.outputs[0].clone()).to_vec();
        taken.extend(alone);
        Some((taken, end.outputs[0].clone()))
    }

    /// GELU by tanh, `x · sigmoid(a · x)` and `x · sigmoid(x)`, beginning at the first node that reads x.
    pub(super) fn written_out_unit(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some(unit) = self.find_tanh(node).or_else(|| self.find_swish(node)) else { return Ok(false) };
        let value = self.value(node, 0)?;
        if value.levels.is_some() {
            return Ok(false);
        }
        let x = self.floats(&value);
        let y = self.fresh_like(&x, x.dims.clone())?;
        let step = Unary { op: unit.op, x: x.buffer, y: y.buffer, len: x.len(), a: unit.a, b: 0.0 };
        self.step(Step::Unary(step));
        self.done.extend(unit.taken);
        self.keep(unit.out, y);
        Ok(true)
    }

    fn find_swish(&self, node: &Node) -> Option<Unit> {
        let g = self.graph;
        let x = node.input(0).filter(|x| self.values.contains_key(*x))?;
        let (sigmoid, a) = match node.op.as_str() {
            "Sigmoid" => (node, 1.0),
            "Mul" => {
                let a = self.constant(node, 1).filter(|c| c.dims.len() < 2)?.float()?;
                (g.only_reader(&node.outputs[0]).filter(|n| n.op == "Sigmoid")?, a)
            }
            _ => return None,
        };
        let times = g.only_reader(&sigmoid.outputs[0]).filter(|n| n.op == "Mul")?;
        let fits = times.inputs.iter().any(|i| i == x);
        let taken = [sigmoid, times].map(|n| n.outputs[0].clone()).to_vec();
        fits.then(|| Unit { op: UnaryOp::Swish, a, taken, out: times.outputs[0].clone() })
    }

    /// `x³ → · 0.044715 → + x → · √(2/π) → Tanh → + 1 → · x → · 0.5`.
    fn find_tanh(&self, node: &Node) -> Option<Unit> {
        let g = self.graph;
        let x = node.input(0)?;
        let near = |name: &String, want: f32| {
            g.constants.get(name).and_then(|c| c.float()).is_some_and(|v| (v - want).abs() < 1e-4)
        };
        let next = |n: &Node, op: &str| g.only_reader(&n.outputs[0]).filter(|n| n.op == op);
        let by = |n: &&Node, want: f32| n.inputs.iter().any(|i| near(i, want));
        let cube = match (node.op.as_str(), node.input(1)?) {
            ("Pow", power) if near(&power.to_owned(), 3.0) => node,
            ("Mul", again) if again == x => next(node, "Mul").filter(|n| n.inputs.iter().any(|i| i == x))?,
            _ => return None,
        };
        let scaled = next(cube, "Mul").filter(|n| by(n, 0.044_715))?;
        let sum = next(scaled, "Add").filter(|n| n.inputs.iter().any(|i| i == x))?;
        let inner = next(sum, "Mul").filter(|n| by(n, 0.797_884_6))?;
        let tanh = next(inner, "Tanh")?;
        let plus = next(tanh, "Add").filter(|n| by(n, 1.0))?;
        let (mut taken, out) = self.times_half(x, plus)?;
        taken.extend([cube, scaled, sum, inner, tanh].map(|n| n.outputs[0].clone()));
        Some(Unit { op: UnaryOp::GeluTanh, a: 0.0, taken, out })
    }
}

/// A function of one value written out.
struct Unit {
    op: UnaryOp,
    a: f32,
    taken: Vec<String>,
    out: String,
}

/// A written-out layer normalisation.
struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
    epsilon: f32,
    out: String,
    taken: Vec<String>,
}

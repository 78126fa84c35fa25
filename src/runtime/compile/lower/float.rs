//! Float operators.

use super::quantised::function;
use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{Binary, BinaryOp, Reduce, ReduceOp, Size, Spread, Step, Unary, UnaryOp};

impl Lowering<'_> {
    pub(super) fn unary(&mut self, node: &Node) -> Result<(), CompileError> {
        let bounds = match node.op.as_str() {
            "Relu" | "Clip" => {
                Some(self.bounds(node).ok_or_else(|| node.refuse("its bounds are computed while running"))?)
            }
            _ => None,
        };
        let table: Option<Box<dyn Fn(f32) -> f32>> = match bounds {
            Some((low, high)) => Some(Box::new(move |v: f32| v.max(low).min(high))),
            None => function(node),
        };
        if let Some(f) = table
            && self.unary_quantised(node, &*f)?
        {
            return Ok(());
        }
        let value = self.value(node, 0)?;
        let x = self.floats(&value);
        let (op, a, b) = match node.op.as_str() {
            "Relu" | "Clip" => {
                let (low, high) = bounds.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
                (UnaryOp::Clip, low, high)
            }
            "Sigmoid" => (UnaryOp::Sigmoid, 0.0, 0.0),
            "Tanh" => (UnaryOp::Tanh, 0.0, 0.0),
            "Exp" => (UnaryOp::Exp, 0.0, 0.0),
            "Erf" => (UnaryOp::Erf, 0.0, 0.0),
            "Sqrt" => (UnaryOp::Sqrt, 0.0, 0.0),
            "Neg" => (UnaryOp::Neg, 0.0, 0.0),
            "Abs" => (UnaryOp::Abs, 0.0, 0.0),
            "HardSigmoid" => (UnaryOp::HardSigmoid, node.float("alpha", 0.2), node.float("beta", 0.5)),
            "HardSwish" => (UnaryOp::HardSwish, 0.0, 0.0),
            "LeakyRelu" => (UnaryOp::LeakyRelu, node.float("alpha", 0.01), 0.0),
            "Gelu" if node.text("approximate", "none") == "none" => (UnaryOp::Gelu, 0.0, 0.0),
            "Gelu" => (UnaryOp::GeluTanh, 0.0, 0.0),
            "Elu" => (UnaryOp::Elu, node.float("alpha", 1.0), 0.0),
            "Log" => (UnaryOp::Log, 0.0, 0.0),
            _ => return Err(node.refuse("plans have no such step yet; use the ONNX file as it is")),
        };
        let out = self.fresh_like(&x, x.dims.clone())?;
        self.step(Step::Unary(Unary { op, x: x.buffer, y: out.buffer, len: x.len(), a, b }));
        self.set(node, out);
        Ok(())
    }

    pub(super) fn binary(&mut self, node: &Node) -> Result<(), CompileError> {
        if node.op == "Add" && (self.add_quantised(node)? || self.same_places(node)?) {
            return Ok(());
        }
        let ops = match node.op.as_str() {
            "Add" => (BinaryOp::Add, BinaryOp::Add),
            "Sub" => (BinaryOp::Sub, BinaryOp::SubFrom),
            "Mul" => (BinaryOp::Mul, BinaryOp::Mul),
            "Div" => (BinaryOp::Div, BinaryOp::DivInto),
            "Min" => (BinaryOp::Min, BinaryOp::Min),
            "Max" => (BinaryOp::Max, BinaryOp::Max),
            _ => (BinaryOp::Pow, BinaryOp::Pow),
        };
        if node.inputs.len() != 2 {
            return Err(node.refuse("it takes two inputs"));
        }
        if ops.0 == BinaryOp::Pow {
            let power = self.constant(node, 1).map(Constant::as_floats).unwrap_or_default();
            if !matches!(power[..], [p] if [3.0, 2.0, 1.0, 0.5, -0.5, -1.0].contains(&p)) {
                return Err(node.refuse("only powers of 3, 2, 1, 1/2, -1/2 and -1 are held"));
            }
        }
        if self.beside_number(node, ops)? {
            return Ok(());
        }
        self.combine(node, ops)
    }

    /// A repeated value or one of heads stays as it lies beside a single number; `false` if the node is about others.
    fn beside_number(&mut self, node: &Node, (op, back): (BinaryOp, BinaryOp)) -> Result<bool, CompileError> {
        for (at, other, op) in [(0, 1, op), (1, 0, back)] {
            let number = self.constant(node, other).map(Constant::as_floats).filter(|v| v.len() == 1);
            let value = node
                .input(at)
                .and_then(|name| self.values.get(name))
                .filter(|v| v.wide.is_some() || v.heads.is_some());
            if let (Some(number), Some(value)) = (number, value.cloned()) {
                let out = self.against(&value, op, number[0])?;
                self.set(node, out);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Two operands over one another by `ops.0`, or by `ops.1` with the second first.
    pub(super) fn combine(
        &mut self,
        node: &Node,
        (op, back): (BinaryOp, BinaryOp),
    ) -> Result<(), CompileError> {
        let operand = |this: &mut Self, input: usize| -> Result<Option<Value>, CompileError> {
            if this.constant(node, input).is_some() {
                return Ok(None);
            }
            let value = this.given(node, input)?;
            Ok(Some(this.floats(&value)))
        };
        let (a, b, op) = match (operand(self, 0)?, operand(self, 1)?) {
            (Some(mut a), Some(mut b)) => {
                if a.picture && !b.picture && !b.bare && b.dims.len() == 3 {
                    self.picture(node, &mut b)?;
                }
                if b.picture && !a.picture && !a.bare && a.dims.len() == 3 {
                    self.picture(node, &mut a)?;
                }
                let larger = |v: &Value| v.dims.iter().filter(|d| **d != Size::of(1)).count();
                if larger(&b) > larger(&a) { (b, a, back) } else { (a, b, op) }
            }
            (Some(a), None) => {
                let b = self.laid_out(node, 1, &a)?;
                (a, b, op)
            }
            (None, Some(b)) => {
                let a = self.laid_out(node, 0, &b)?;
                (b, a, back)
            }
            (None, None) => return Err(node.refuse("both inputs are constants")),
        };
        let out = match spread(&a, &b) {
            Some((spread, outer, inner)) => {
                let out = self.fresh_like(&a, a.dims.clone())?;
                let step = Binary { op, spread, a: a.buffer, b: b.buffer, y: out.buffer, outer, inner };
                self.step(Step::Binary(step));
                out
            }
            None => self.over_one_another(node, op, [a, b])?,
        };
        self.set(node, out);
        Ok(())
    }

    /// Two values whose shapes broadcast; the first is repeated where it must be.
    pub(super) fn over_one_another(
        &mut self,
        node: &Node,
        op: BinaryOp,
        mut both: [Value; 2],
    ) -> Result<Value, CompileError> {
        let sides = self.aligned(node, &mut both)?;
        let [a, b] = both;
        let a = self.repeated(node, a, &sides)?;
        let ([(a, _), (b, spread)], outer, inner) = self.laid(node, [a, b], &sides)?;
        let y = self.fresh(sides, false, None)?;
        self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
        Ok(Value { bare: true, ..y })
    }

    /// A constant operand beside `other`, in its layout where it fits without repeating `other`.
    fn laid_out(&mut self, node: &Node, input: usize, other: &Value) -> Result<Value, CompileError> {
        let refuse = || node.refuse("its constant does not fit the other operand");
        let constant = self.constant(node, input).ok_or_else(refuse)?.clone();
        let values = constant.as_floats();
        if values.is_empty() {
            return Err(refuse());
        }
        // Without the batch axis, which must be 1, and with as many axes as the other operand.
        let rank = other.dims.len();
        let mut dims = constant.dims.clone();
        if dims.len() == rank + 1 && !other.bare && dims[0] == 1 {
            dims.remove(0);
        }
        if dims.len() > rank {
            let buffer = self.constant_values(&values)?;
            let dims = constant.dims.iter().map(|&d| Size::of(d as u32)).collect();
            return Ok(Value { bare: true, ..Value::plain(buffer, dims) });
        }
        while dims.len() < rank {
            dims.insert(0, 1);
        }
        let values = if other.picture {
            let (c, pixels) = (dims[0], dims[1] * dims[2]);
            (0..values.len()).map(|i| values[i % c * pixels + i / c]).collect()
        } else {
            values
        };
        let buffer = self.constant_values(&values)?;
        let dims = dims.into_iter().map(|d| Size::of(d as u32)).collect();
        Ok(Value { picture: other.picture, bare: other.bare, ..Value::plain(buffer, dims) })
    }

    /// `max(x, 0) + slope · min(x, 0)`
    pub(super) fn prelu(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let x = self.floats(&value);
        let zero = self.constant_values(&[0.0])?;
        let slope = self.laid_out(node, 1, &x)?;
        let mut parts = Vec::with_capacity(2);
        for op in [BinaryOp::Max, BinaryOp::Min] {
            let y = self.fresh_like(&x, x.dims.clone())?;
            let (spread, outer, inner) = (Spread::Single, Size::of(1), x.len());
            self.step(Step::Binary(Binary { op, spread, a: x.buffer, b: zero, y: y.buffer, outer, inner }));
            parts.push(y);
        }
        let (spread, outer, inner) =
            spread(&x, &slope).ok_or_else(|| node.refuse("its slopes do not fit its input"))?;
        let sloped = self.fresh_like(&x, x.dims.clone())?;
        let (op, a, b, y) = (BinaryOp::Mul, parts[1].buffer, slope.buffer, sloped.buffer);
        self.step(Step::Binary(Binary { op, spread, a, b, y, outer, inner }));
        let out = self.fresh_like(&x, x.dims.clone())?;
        let (op, spread, a, b) = (BinaryOp::Add, Spread::Same, parts[0].buffer, sloped.buffer);
        let (outer, inner) = (Size::of(1), x.len());
        self.step(Step::Binary(Binary { op, spread, a, b, y: out.buffer, outer, inner }));
        self.set(node, out);
        Ok(())
    }

    pub(super) fn reciprocal(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let out = self.against(&value, BinaryOp::DivInto, 1.0)?;
        self.set(node, out);
        Ok(())
    }

    pub(super) fn mean_of_pixels(&mut self, x: u32, y: u32, pixels: u32, channels: u32) {
        let (outer, middle, inner) = (Size::of(1), Size::of(pixels), Size::of(channels));
        self.step(Step::Reduce(Reduce { op: ReduceOp::Mean, x, y, outer, middle, inner }));
    }

    pub(super) fn reduce(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        let rank = x.dims.len();
        let axes = match self.constant(node, 1).and_then(Constant::wholes) {
            Some(axes) => axes,
            None => node.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
        };
        let gone: Option<Vec<usize>> = axes.iter().map(|&a| x.axis(a)).collect();
        let gone = gone.filter(|g| !g.is_empty());
        let gone =
            gone.ok_or_else(|| node.refuse("it reduces the batch axis, or axes that are not there"))?;
        let keep = node.int("keepdims", 1) != 0;
        if x.picture && (gone == [1] || !keep && gone.len() < 2) {
            self.plain(&mut x);
        }
        // The axes must lie side by side in memory.
        let order = x.order();
        let places: Vec<usize> = (0..rank).filter(|&at| gone.contains(&order[at])).collect();
        let (first, last) = (places[0], places[places.len() - 1]);
        if last - first + 1 != places.len() {
            return Err(node.refuse("it reduces axes that do not lie side by side"));
        }
        let memory = x.memory();
        let size = |dims: &[Size]| product(dims).ok_or_else(|| node.refuse("its shape is too large"));
        let (outer, middle, inner) =
            (size(&memory[..first])?, size(&memory[first..=last])?, size(&memory[last + 1..])?);
        let op = match node.op.as_str() {
            "ReduceMean" => ReduceOp::Mean,
            "ReduceSum" => ReduceOp::Sum,
            "ReduceMax" => ReduceOp::Max,
            "ReduceMin" => ReduceOp::Min,
            _ => ReduceOp::L2,
        };
        let dims: Vec<Size> = (0..rank)
            .filter(|axis| keep || !gone.contains(axis))
            .map(|axis| if gone.contains(&axis) { Size::of(1) } else { x.dims[axis] })
            .collect();
        let out = Value { bare: x.bare, ..self.fresh(dims, x.picture && keep, None)? };
        self.step(Step::Reduce(Reduce { op, x: x.buffer, y: out.buffer, outer, middle, inner }));
        self.set(node, out);
        Ok(())
    }
}

/// How `b` is laid over `a`, and `a` as `[outer, inner]`.
fn spread(a: &Value, b: &Value) -> Option<(Spread, Size, Size)> {
    let one = Size::of(1);
    let all = a.memory();
    if b.rank() > a.rank() {
        return None;
    }
    if b.dims.iter().all(|d| *d == one) {
        return Some((Spread::Single, one, product(&all)?));
    }
    if a.picture != b.picture {
        return None;
    }
    let mut other = b.memory();
    if other.len() > all.len() {
        return None;
    }
    while other.len() < all.len() {
        other.insert(0, one);
    }
    if other == all {
        return Some((Spread::Same, one, product(&all)?));
    }
    // Ones in front and the same behind, or the reverse.
    let front = other.iter().take_while(|d| **d == one).count();
    if other[front..] == all[front..] {
        return Some((Spread::Row, product(&all[..front])?, product(&all[front..])?));
    }
    let back = other.iter().rev().take_while(|d| **d == one).count();
    let cut = all.len() - back;
    if other[..cut] == all[..cut] {
        return Some((Spread::Column, product(&all[..cut])?, product(&all[cut..])?));
    }
    None
}

//! Comparisons, truths and choices between values.

use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{Binary, BinaryOp, Select, Size, Spread, Step};

impl Lowering<'_> {
    /// A value against one number, value by value. Heads and repeats stay as they lie.
    pub(super) fn against(
        &mut self,
        value: &Value,
        op: BinaryOp,
        number: f32,
    ) -> Result<Value, CompileError> {
        let x = self.floats(value);
        let b = self.constant_values(&[number])?;
        let y = self.fresh(x.dims.clone(), x.picture, None)?;
        let (a, spread, outer, inner) = (x.buffer, Spread::Single, Size::of(1), x.len());
        self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
        if matches!(op, BinaryOp::Differs | BinaryOp::Equal) {
            self.known.truths.insert(y.buffer);
        }
        Ok(Value { buffer: y.buffer, ..x })
    }

    /// Marks a node's output as 0 or 1 everywhere.
    fn holds(&mut self, node: &Node) {
        if let Some(value) = self.values.get(&node.outputs[0]) {
            self.known.truths.insert(value.buffer);
        }
    }

    pub(super) fn compare(&mut self, node: &Node) -> Result<(), CompileError> {
        // One number on the right leaves the value as it lies, repeated or not.
        let rank = node.input(0).and_then(|name| self.values.get(name)).map_or(0, Value::rank);
        let one = |c: &&Constant| c.dims.iter().product::<usize>() == 1 && c.dims.len() <= rank;
        let number = self.constant(node, 1).filter(one);
        let number = number.map(|c| c.as_floats()[0]);
        let ops = ops(&node.op);
        match number {
            Some(number) => {
                let value = self.seen(node, 0)?;
                let out = self.against(&value, ops.0, number)?;
                self.set(node, out);
            }
            None => self.combine(node, ops)?,
        }
        self.holds(node);
        Ok(())
    }

    pub(super) fn logic(&mut self, node: &Node) -> Result<(), CompileError> {
        match node.op.as_str() {
            "Not" => {
                let value = self.seen(node, 0)?;
                let out = self.against(&value, BinaryOp::Equal, 0.0)?;
                self.set(node, out);
            }
            "And" => self.combine(node, (BinaryOp::Mul, BinaryOp::Mul))?,
            _ => self.combine(node, (BinaryOp::Max, BinaryOp::Max))?,
        }
        self.holds(node);
        Ok(())
    }

    /// Where.
    pub(super) fn choose(&mut self, node: &Node) -> Result<(), CompileError> {
        // A repeated condition between two numbers, or a number and itself, stays as it lies.
        let when = node.input(0).and_then(|name| self.values.get(name)).filter(|value| !value.bare);
        let wide = when.and_then(|value| value.wide.clone());
        let mut operands = Vec::with_capacity(3);
        let mut narrow = wide.is_some();
        for input in 0..3 {
            let seen = match self.constant_as_value(node, input)? {
                Some(constant) => constant,
                None => self.seen(node, input)?,
            };
            narrow &= seen.wide == wide || seen.dims.iter().all(|d| *d == Size::of(1));
            operands.push(seen);
        }
        for value in &mut operands {
            let mut seen = value.clone();
            self.rows(&mut seen);
            if narrow {
                seen.wide = None;
            } else {
                seen = self.widen(node, seen)?;
            }
            *value = self.floats(&seen);
        }
        let sides = self.aligned(node, &mut operands)?;
        let Ok([when, a, b]) = <[Value; 3]>::try_from(operands) else {
            return Err(node.refuse("it takes three inputs"));
        };
        let ([when, a, b], outer, inner) = self.laid(node, [when, a, b], &sides)?;
        let mut y = self.fresh(sides, false, None)?;
        self.step(Step::Select(Select {
            when: when.0,
            when_spread: when.1,
            a: a.0,
            a_spread: a.1,
            b: b.0,
            b_spread: b.1,
            y: y.buffer,
            outer,
            inner,
        }));
        y.bare = true;
        self.set(node, y);
        if narrow && let Some(value) = self.values.get_mut(&node.outputs[0]) {
            value.wide = wide;
        }
        Ok(())
    }
}

/// What a comparison does, and what it does with its sides swapped.
fn ops(name: &str) -> (BinaryOp, BinaryOp) {
    match name {
        "Less" => (BinaryOp::Less, BinaryOp::Greater),
        "LessOrEqual" => (BinaryOp::AtMost, BinaryOp::AtLeast),
        "Greater" => (BinaryOp::Greater, BinaryOp::Less),
        "GreaterOrEqual" => (BinaryOp::AtLeast, BinaryOp::AtMost),
        _ => (BinaryOp::Equal, BinaryOp::Equal),
    }
}

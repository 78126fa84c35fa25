//! What follows from the free length alone (shapes, positions, masks), and casts.

use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Data, Node};
use crate::runtime::plan::program::{BinaryOp, Element, Size, Step, ToFloat};

/// One number of a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Side(Size),
    Whole(i64),
}

/// An array at each of [`Lowering::lengths`]. What grows evenly over them is taken to grow so;
/// [`compile_model`](crate::build::compile_model) compares plan and graph at further lengths.
#[derive(Clone, Debug)]
pub(super) struct Sampled(pub [Constant; 4]);

impl Sampled {
    /// The array, if it is the same at every length.
    pub fn still(&self) -> Option<&Constant> {
        self.0.iter().all(|c| *c == self.0[0]).then_some(&self.0[0])
    }
}

impl Lowering<'_> {
    /// Three lengths and the greatest.
    pub(super) fn lengths(&self) -> [u32; 4] {
        let [a, b, c] = if self.longest > 8 { [3, 5, 8] } else { [2, 3, 4] };
        [a, b, c, self.longest]
    }

    /// The count that has these values at [`lengths`](Self::lengths).
    pub(super) fn count(&self, at: [i64; 4]) -> Option<Number> {
        if at.iter().all(|v| *v == at[0]) {
            return Some(Number::Whole(at[0]));
        }
        let lengths = self.lengths().map(i64::from);
        let per = (at[1] - at[0]) / (lengths[1] - lengths[0]);
        let fixed = at[0] - per * lengths[0];
        let even = at.iter().zip(lengths).all(|(v, length)| *v == fixed + per * length);
        let size = Size { fixed: u32::try_from(fixed).ok()?, per: u32::try_from(per).ok()? };
        even.then_some(Number::Side(size))
    }

    /// Keeps what ONNX calls whole numbers apart, and refuses the operators that cut a fraction off.
    pub(super) fn note_wholes(&mut self, node: &Node) -> Result<(), CompileError> {
        const WHOLE: [i64; 2] = [6, 7];
        let of = |input: usize| {
            let constant = self.constant(node, input).is_some_and(|c| c.wholes().is_some());
            constant || node.input(input).is_some_and(|name| self.known.wholes.contains(name))
        };
        let whole = match node.op.as_str() {
            "ArgMax" => true,
            "Cast" => WHOLE.contains(&node.int("to", 1)),
            "Where" => of(1),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "DequantizeLinear" => false,
            _ => of(0),
        };
        let computed = node.inputs.iter().any(|name| self.values.contains_key(name));
        if whole && computed && matches!(node.op.as_str(), "Div" | "ReduceMean") {
            return Err(node.refuse("whole numbers are not divided while running; cast to floats before"));
        }
        if whole {
            self.known.wholes.extend(node.outputs.iter().cloned());
        }
        Ok(())
    }

    pub(super) fn cast(&mut self, node: &Node) -> Result<(), CompileError> {
        const F64: i64 = 11;
        const BOOL: i64 = 9;
        let value = self.seen(node, 0)?;
        let whole = self.buffers[value.buffer as usize].element == Element::I32;
        let truth = self.known.truths.contains(&value.buffer);
        let out = match (node.int("to", 1), whole) {
            (1 | F64, true) => self.floats(&value),
            (BOOL, _) if !truth => self.against(&value, BinaryOp::Differs, 0.0)?,
            // A truth is 0 or 1 in every kind.
            (6 | 7, false) if !truth => {
                return Err(node.refuse("floats are not cast to whole numbers while running"));
            }
            (1 | 6 | 7 | F64 | BOOL, _) => value,
            _ => return Err(node.refuse("only f32, whole numbers and truths are cast to one another")),
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

    /// Numbers behind an input: constant, or computed from shapes.
    pub(super) fn numbers(&self, node: &Node, input: usize) -> Option<Vec<Number>> {
        let name = node.input(input)?;
        if let Some(constant) = self.constants_by_name(name) {
            return Some(constant.wholes()?.into_iter().map(Number::Whole).collect());
        }
        let Sampled(at) = self.known.sampled.get(name)?;
        let at: Vec<Vec<i64>> = at.iter().map(Constant::wholes).collect::<Option<_>>()?;
        let same = at.iter().all(|v| v.len() == at[0].len());
        same.then_some(())?;
        (0..at[0].len()).map(|i| self.count([at[0][i], at[1][i], at[2][i], at[3][i]])).collect()
    }

    /// The first rows of a table, as many as the text is long: a value from here on, which fixes its place among the weights.
    pub(super) fn rows_of_table(&mut self, node: &Node) -> Result<(), CompileError> {
        let table = self.constant(node, 0).filter(|c| c.floats().is_some() && c.dims.len() == 3);
        let name = &node.outputs[0];
        if node.op == "Slice"
            && table.is_some_and(|c| c.dims[0] == 1)
            && let Some(rows) = self.over_length(node, name)?
        {
            self.keep(name.clone(), rows);
        }
        Ok(())
    }

    /// An array that follows from the free length as a constant of the greatest length, of which a run reads the
    /// beginning: positions and what is looked up by them.
    pub(super) fn over_length(&mut self, node: &Node, name: &str) -> Result<Option<Value>, CompileError> {
        let Some(sampled) = self.known.sampled.get(name) else { return Ok(None) };
        let refuse = |why: &str| node.refuse(format!("its input `{name}` {why}; fix the length"));
        let rank = sampled.0[0].dims.len();
        if sampled.0.iter().any(|c| c.dims.len() != rank) {
            return Err(refuse("has more axes at one length than at another"));
        }
        let counts = (0..rank).map(|i| self.count([0, 1, 2, 3].map(|at| sampled.0[at].dims[i] as i64)));
        let Some(counts) = counts.collect::<Option<Vec<Number>>>() else {
            // A table that ends before the greatest length.
            let ends = (0..rank).filter(|&i| sampled.0[2].dims[i] != sampled.0[1].dims[i]);
            self.shorter = ends.map(|i| sampled.0[3].dims[i] as u32).min();
            return Err(refuse("does not grow with the free length"));
        };
        let dims = counts.iter().map(|count| match count {
            Number::Side(size) => *size,
            Number::Whole(side) => Size::of(*side as u32),
        });
        let dims: Vec<Size> = dims.collect();
        let values = sampled.0.each_ref().map(Constant::as_floats);
        let begins = values[..3].iter().all(|v| values[3].starts_with(v));
        let first = dims.iter().position(|d| *d != Size::of(1)).unwrap_or(rank);
        if !begins || dims.iter().skip(first + 1).any(|d| d.per != 0) {
            return Err(refuse("changes with the free length in a way that no plan holds"));
        }
        let values = values[3].clone();
        let buffer = self.constant_values(&values)?;
        Ok(Some(Value { bare: true, ..Value::plain(buffer, dims) }))
    }
}

impl Constant {
    /// Its values as floats, truths as 0 and 1.
    pub fn as_floats(&self) -> Vec<f32> {
        match &self.data {
            Data::F32(values) => values.clone(),
            Data::Bool(values) => values.iter().map(|&v| f32::from(u8::from(v))).collect(),
            Data::I64(values) => values.iter().map(|&v| v as f32).collect(),
            Data::I32(values) => values.iter().map(|&v| v as f32).collect(),
            Data::I8(values) => values.iter().map(|&v| v.into()).collect(),
            Data::U8(values) => values.iter().map(|&v| v.into()).collect(),
        }
    }
}

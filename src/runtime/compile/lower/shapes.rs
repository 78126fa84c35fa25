//! Numbers that the graph computes from shapes, and casts.

use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{Element, Size, Step, ToFloat};

/// One number of a shape that the graph computes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Batch,
    Side(Size),
    Whole(i64),
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
            let wholes = self.constants_by_name(name)?.wholes()?;
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
            ("Unsqueeze" | "Squeeze" | "Identity" | "Cast", Some(numbers)) => Some(numbers),
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
            None if matches!(node.op.as_str(), "Reshape" | "Slice" | "Expand") => Ok(false),
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
        let buffer = self.constant_values(&values)?;
        let dims = vec![*side, Size::of(width as u32)];
        self.set(node, Value { buffer, dims, picture: false, levels: None, heads: None });
        Ok(true)
    }
}

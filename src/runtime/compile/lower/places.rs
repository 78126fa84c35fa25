//! Places computed while running: the greatest value's, and rows taken from there.

use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::{ArgMax, Element, Size, Step, Take};

const ONE: Size = Size { fixed: 1, per: 0 };

impl Lowering<'_> {
    pub(super) fn arg_max(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        self.plain(&mut x);
        let last = x.dims.len().wrapping_sub(1);
        let axis = x.axis(node.int("axis", 0)).filter(|axis| *axis == last);
        let (Some(axis), Some(rows)) = (axis, product(&x.dims[..last.min(x.dims.len())])) else {
            return Err(node.refuse("only the place along the last axis is found"));
        };
        let width = x.dims[axis];
        let mut dims = x.dims.clone();
        if node.int("keepdims", 1) == 0 {
            dims.remove(axis);
        } else {
            dims[axis] = ONE;
        }
        let y = self.buffer(Element::I32, rows);
        let last = node.int("select_last_index", 0) != 0;
        self.step(Step::ArgMax(ArgMax { x: x.buffer, y, rows, width, last }));
        self.set(node, Value { bare: x.bare, ..Value::plain(y, dims) });
        Ok(())
    }

    /// Gather of rows by computed places; `false` if the node is another Gather.
    pub(super) fn take(&mut self, node: &Node) -> Result<bool, CompileError> {
        let computed = |input: usize| node.input(input).is_some_and(|name| self.values.contains_key(name));
        if !computed(0) || !computed(1) {
            return Ok(false);
        }
        let (mut x, mut ids) = (self.value(node, 0)?, self.value(node, 1)?);
        if self.buffers[ids.buffer as usize].element != Element::I32 {
            return Err(node.refuse("its places are no whole numbers"));
        }
        self.lift(&mut x);
        self.lift(&mut ids);
        let axis = x.axis(node.int("axis", 0)).filter(|axis| x.dims[..*axis].iter().all(|d| *d == ONE));
        let axis = axis.ok_or_else(|| node.refuse("only the first axis that is not 1 is gathered from"))?;
        let out = self.taken(node, &x, axis, &ids)?;
        self.set(node, out);
        Ok(true)
    }

    /// Rows of `x` along `axis`, before which all sides are 1.
    fn taken(&mut self, node: &Node, x: &Value, axis: usize, ids: &Value) -> Result<Value, CompileError> {
        let x = self.floats(x);
        let refuse = || node.refuse("its shape is too large");
        let dims = [&x.dims[..axis], &ids.dims, &x.dims[axis + 1..]].concat();
        let y = self.fresh_like(&x, dims)?;
        let step = Take {
            x: x.buffer,
            ids: ids.buffer,
            y: y.buffer,
            count: ids.len(),
            rows: x.dims[axis],
            width: product(&x.dims[axis + 1..]).ok_or_else(refuse)?,
        };
        self.step(Step::Take(step));
        Ok(y)
    }

    /// A sum of computed places with zeros (the beginning of the first item): the same places. `false` if it is another
    /// sum.
    pub(super) fn same_places(&mut self, node: &Node) -> Result<bool, CompileError> {
        for (zero, input) in [(0, 1), (1, 0)] {
            let zeros = self.constant(node, zero).filter(|c| c.as_floats().iter().all(|v| *v == 0.0));
            let Some(axes) = zeros.map(|c| c.dims.len()) else { continue };
            let Some(value) = node.input(input).and_then(|name| self.values.get(name)).cloned() else {
                continue;
            };
            let whole = self.buffers[value.buffer as usize].element == Element::I32;
            if whole && axes <= value.dims.len() + usize::from(!value.bare) {
                self.set(node, value);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Numbers of items (0) and places side by side, as GatherND reads them; `false` if it joins anything else.
    pub(super) fn pairs(&mut self, node: &Node) -> Result<bool, CompileError> {
        let [first, second] = &node.inputs[..] else { return Ok(false) };
        let zeros = self.constants_by_name(first).is_some_and(|c| {
            c.wholes().is_some_and(|w| w.iter().all(|v| *v == 0)) && c.dims.last() == Some(&1)
        });
        let Some(places) = self.values.get(second).filter(|_| zeros).cloned() else { return Ok(false) };
        if self.buffers[places.buffer as usize].element != Element::I32 || places.dims.last() != Some(&ONE) {
            return Ok(false);
        }
        self.known.places.insert(node.outputs[0].clone(), places);
        Ok(true)
    }

    /// GatherND by an item's number and a place in it.
    pub(super) fn take_by_pairs(&mut self, node: &Node) -> Result<(), CompileError> {
        let refuse = || node.refuse("only whole rows by an item's number and a place are gathered");
        let places = node.input(1).and_then(|name| self.known.places.get(name)).cloned();
        let mut ids = places.filter(|_| node.int("batch_dims", 0) == 0).ok_or_else(refuse)?;
        let mut x = self.value(node, 0)?;
        self.lift(&mut x);
        self.lift(&mut ids);
        if x.dims.len() < 2 || ids.dims.pop() != Some(ONE) {
            return Err(refuse());
        }
        // `[items, pairs of a number and a place] → [items, …]`
        let mut out = self.taken(node, &x, 1, &ids)?;
        out.dims.remove(0);
        self.set(node, out);
        Ok(())
    }
}

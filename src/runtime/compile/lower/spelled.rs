//! Operators of transformers that no fused step takes in: products of two computed values, softmax, splits.

use super::attention::Scores;
use super::{Lowering, Value, axis_of, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{
    Binary, BinaryOp, Copy, Place, Product, ResizeLinear, Size, Softmax, Spread, Step,
};

impl Lowering<'_> {
    /// Scores of queries and keys as a value, for whatever the fused attention does not take in.
    pub(super) fn scores_as_value(&mut self, node: &Node, scores: &Scores) -> Result<Value, CompileError> {
        let (mut q, mut k) = (scores.q.clone(), scores.k.clone());
        self.rows(&mut q);
        self.rows(&mut k);
        let mut value = self.times(node, &q, &k)?;
        if scores.scale != 1.0 {
            let b = self.constant_values(&[scores.scale])?;
            let y = self.fresh(value.dims.clone(), false, None)?;
            let (op, spread, outer) = (BinaryOp::Mul, Spread::Single, Size::of(1));
            let (a, inner) = (value.buffer, value.len());
            self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
            value = y;
        }
        if let Some(mask) = &scores.mask {
            let y = self.fresh(value.dims.clone(), false, None)?;
            let outer = product(&value.dims[..2]).ok_or_else(|| node.refuse("its shape is too large"))?;
            let (op, spread, inner) = (BinaryOp::Add, Spread::Row, value.dims[2]);
            let (a, b) = (value.buffer, mask.buffer);
            self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
            value = y;
        }
        if scores.normalised {
            value = self.normalised(node, &value)?;
        }
        Ok(value)
    }

    /// Softmax over the last axis.
    fn normalised(&mut self, node: &Node, x: &Value) -> Result<Value, CompileError> {
        let (width, outer) = x.dims.split_last().ok_or_else(|| node.refuse("it has no axes"))?;
        let rows = product(outer).ok_or_else(|| node.refuse("its shape is too large"))?;
        let y = self.fresh(x.dims.clone(), false, None)?;
        self.step(Step::Softmax(Softmax { x: x.buffer, y: y.buffer, rows, width: *width }));
        Ok(y)
    }

    pub(super) fn softmax(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        self.plain(&mut x);
        let rank = x.dims.len();
        // Before opset 13 the default was axis 1, with all that follow: the same where there are no more.
        let axis = axis_of(node.int("axis", -1), rank);
        if axis.is_none_or(|axis| axis + 1 != rank) {
            return Err(node.refuse("only softmax over the last axis is held"));
        }
        let y = self.normalised(node, &x)?;
        self.set(node, y);
        Ok(())
    }

    /// A product of two computed values.
    pub(super) fn values_product(&mut self, node: &Node) -> Result<(), CompileError> {
        if node.op == "Gemm" {
            return Err(node.refuse("both sides are computed while running; export it as MatMul"));
        }
        let mut sides = [self.value(node, 0)?, self.value(node, 1)?];
        for side in &mut sides {
            *side = self.floats(side);
            self.plain(side);
        }
        let y = self.times(node, &sides[0], &sides[1])?;
        self.set(node, y);
        Ok(())
    }

    /// `[…, rows, k]` times `[…, k, n]`.
    fn times(&mut self, node: &Node, a: &Value, b: &Value) -> Result<Value, CompileError> {
        let refuse = || node.refuse("its sides do not fit");
        let ([outer @ .., rows, k], [others @ .., again, n]) = (&a.dims[..], &b.dims[..]) else {
            return Err(refuse());
        };
        let ones = others.iter().all(|d| *d == Size::of(1));
        let shared = ones && outer.iter().any(|d| *d != Size::of(1));
        if k != again || !(shared || outer == others) {
            return Err(refuse());
        }
        let batch = product(outer).ok_or_else(refuse)?;
        let mut dims = a.dims.clone();
        if let Some(last) = dims.last_mut() {
            *last = *n;
        }
        // Rows of a shared matrix need no batch.
        let (batch, rows) = match product(&[batch, *rows]) {
            Some(all) if shared => (Size::of(1), all),
            _ => (batch, *rows),
        };
        let y = self.fresh(dims, false, None)?;
        let (k, n) = (*k, *n);
        let step = Product { a: a.buffer, b: b.buffer, y: y.buffer, batch, rows, k, n, shared };
        self.step(Step::Product(step));
        Ok(y)
    }

    /// A part of a value along an axis, `from..from + len`.
    pub(super) fn part(
        &mut self,
        node: &Node,
        value: &Value,
        axis: usize,
        from: u32,
        len: u32,
    ) -> Result<Value, CompileError> {
        let refuse = || node.refuse("its shape is too large");
        let (outer, side, inner) = value.around(axis).ok_or_else(refuse)?;
        let by = |n: u32| product(&[Size::of(n), inner]).ok_or_else(refuse);
        let mut dims = value.dims.clone();
        dims[axis] = Size::of(len);
        let out = self.fresh(dims, value.picture, value.levels)?;
        let step = Copy {
            x: value.buffer,
            y: out.buffer,
            rows: outer,
            width: by(len)?,
            x_at: by(from)?,
            x_step: product(&[side, inner]).ok_or_else(refuse)?,
            y_at: Size::of(0),
            y_step: by(len)?,
        };
        self.step(Step::Copy(step));
        Ok(out)
    }

    pub(super) fn split(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let axis = axis_of(node.int("axis", 0), value.dims.len());
        let axis = axis.ok_or_else(|| node.refuse("it splits the batch axis"))?;
        let side = value.dims[axis];
        let given = match self.constant(node, 1).and_then(Constant::wholes) {
            Some(parts) => Some(parts),
            None => node.ints("split").map(<[i64]>::to_vec),
        };
        let count = node.outputs.len() as u32;
        let parts: Vec<u32> = match given {
            Some(parts) => parts.iter().map(|&p| u32::try_from(p).unwrap_or(u32::MAX)).collect(),
            None => {
                let each = side.fixed.div_ceil(count);
                (0..count).map(|i| each.min(side.fixed.saturating_sub(i * each))).collect()
            }
        };
        let all = parts.iter().try_fold(0u32, |n, &p| n.checked_add(p));
        if side.per != 0 || all != Some(side.fixed) || parts.len() != node.outputs.len() || parts.contains(&0)
        {
            return Err(node.refuse("its parts do not add up to the axis, or the axis is free"));
        }
        let mut from = 0;
        for (name, len) in node.outputs.iter().zip(parts) {
            let part = self.part(node, &value, axis, from, len)?;
            self.values.insert(name.clone(), part);
            from += len;
        }
        Ok(())
    }

    /// Gather of one constant place along an axis: that axis goes away. `false` if the node is another Gather.
    pub(super) fn one_of_axis(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some(places) = self.constant(node, 1) else { return Ok(false) };
        let moved = node.input(0).and_then(|x| self.moved.get(x)).cloned();
        let (Some(at), true) =
            (places.wholes(), moved.is_some() || node.input(0).is_some_and(|x| self.values.contains_key(x)))
        else {
            return Ok(false);
        };
        let ([at], scalar) = (&at[..], places.dims.is_empty()) else {
            return Err(node.refuse("only one place of an axis is gathered"));
        };
        let at = *at;
        let whole = moved.is_some();
        let (value, axis) = match moved {
            Some(value) => {
                let (axis, rank) = (node.int("axis", 0), value.dims.len() as i64);
                let axis = if axis < 0 { axis + rank } else { axis };
                (value, usize::try_from(axis).ok().filter(|_| axis < rank))
            }
            None => {
                let mut value = self.value(node, 0)?;
                self.plain(&mut value);
                let axis = axis_of(node.int("axis", 0), value.dims.len());
                (value, axis)
            }
        };
        let axis = axis.ok_or_else(|| node.refuse("it gathers from the batch axis"))?;
        let side = value.dims[axis];
        let from = if at < 0 { at + i64::from(side.fixed) } else { at };
        // The last place of a free length would move.
        let known = side.per == 0 && from < i64::from(side.fixed) || at >= 0 && side.per != 0 && at < 1;
        let from = u32::try_from(from).ok().filter(|_| known);
        let from = from.ok_or_else(|| node.refuse("its place is not in the axis"))?;
        let mut part = self.part(node, &value, axis, from, 1)?;
        if scalar {
            part.dims.remove(axis);
        }
        if !whole {
            self.set(node, part);
        } else if part.dims.first() == Some(&Size::of(1)) {
            part.dims.remove(0);
            self.set(node, part);
        } else {
            self.moved.insert(node.outputs[0].clone(), part);
        }
        Ok(true)
    }

    /// Expand, where only the batch grows.
    pub(super) fn expand(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = match self.constant_as_value(node, 0)? {
            Some(constant) => constant,
            None => self.value(node, 0)?,
        };
        let wanted =
            self.numbers(node, 1).ok_or_else(|| node.refuse("its shape is computed while running"))?;
        use super::shapes::Number;
        let same = |(number, side): (&Number, &Size)| match number {
            Number::Side(wanted) => wanted == side,
            Number::Whole(wanted) => *wanted == 1 || *side == Size::of(*wanted as u32),
            Number::Batch => false,
        };
        if wanted.len() != value.dims.len() + 1 || !wanted[1..].iter().zip(&value.dims).all(same) {
            return Err(node.refuse("it repeats more than the batch"));
        }
        self.set(node, value);
        Ok(())
    }

    /// Bilinear resize of a picture.
    pub(super) fn resize_linear(&mut self, node: &Node) -> Result<(), CompileError> {
        let (x, [channels, height, width]) = self.float_picture(node)?;
        let refuse = |why: &str| node.refuse(why.to_owned());
        let sizes = self.constant(node, 3).and_then(Constant::wholes);
        let scales = self.constant(node, if node.op == "Upsample" { 1 } else { 2 });
        let sides = match (sizes, scales.and_then(Constant::floats)) {
            (Some(sizes), _) => match sizes[..] {
                [_, c, h, w] if c == channels as i64 => Some([h as f64, w as f64]),
                _ => None,
            },
            (None, Some(&[1.0, 1.0, down, right])) => {
                Some([(height as f64 * f64::from(down)).floor(), (width as f64 * f64::from(right)).floor()])
            }
            _ => None,
        };
        let sides = sides.filter(|s| s.iter().all(|s| (1.0..32_768.0).contains(s)));
        let [out_height, out_width] = sides.ok_or_else(|| refuse("its size is computed while running"))?;
        let place = match node.text("coordinate_transformation_mode", "half_pixel") {
            "half_pixel" => Place::HalfPixel,
            "pytorch_half_pixel" if out_height > 1.0 && out_width > 1.0 => Place::HalfPixel,
            "asymmetric" => Place::Asymmetric,
            "align_corners" => Place::AlignCorners,
            other => return Err(node.refuse(format!("coordinates {other}"))),
        };
        if node.int("antialias", 0) != 0 || node.int("exclude_outside", 0) != 0 {
            return Err(refuse("antialias and exclude_outside must be 0"));
        }
        let (out_height, out_width) = (out_height as u32, out_width as u32);
        let y = self.fresh(vec![x.dims[0], Size::of(out_height), Size::of(out_width)], true, None)?;
        self.step(Step::ResizeLinear(ResizeLinear {
            x: x.buffer,
            y: y.buffer,
            height: height as u32,
            width: width as u32,
            channels: channels as u32,
            out_height,
            out_width,
            place,
        }));
        self.set(node, y);
        Ok(())
    }

    /// A constant as a value with a batch axis of 1, for operators that join or compare values.
    pub(super) fn constant_as_value(
        &mut self,
        node: &Node,
        input: usize,
    ) -> Result<Option<Value>, CompileError> {
        let Some(constant) = self.constant(node, input).cloned() else { return Ok(None) };
        let (Some(floats), Some(1)) = (constant.floats(), constant.dims.first()) else {
            return Err(node.refuse("its constant is not float or has a batch axis longer than 1"));
        };
        let dims = constant.dims[1..].iter().map(|&d| Size::of(d as u32)).collect();
        let buffer = self.constant_values(floats)?;
        Ok(Some(Value { buffer, dims, picture: false, levels: None, heads: None }))
    }
}

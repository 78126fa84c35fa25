//! Operators of transformers that no fused step takes in: products of two computed values, softmax, splits.

use super::attention::Scores;
use super::layout::plain_sizes;
use super::shapes::Number;
use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{
    Binary, BinaryOp, Copy, Permute, Place, Product, ResizeLinear, Size, Softmax, Spread, Step,
};

/// Most places that a Gather of constant places copies one by one.
const MAX_PARTS: usize = 64;

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
            value = Value { bare: value.bare, ..y };
        }
        if scores.mask.causal {
            let sides = value.fixed().and_then(|d| <[usize; 3]>::try_from(d).ok());
            let [_, rows, keys] = sides
                .ok_or_else(|| node.refuse("a causal mask over a free length that no attention takes in"))?;
            let hidden = |at: usize| if at % keys > at / keys { f32::MIN } else { 0.0 };
            let b = self.constant_values(&(0..rows * keys).map(hidden).collect::<Vec<_>>())?;
            let y = self.fresh(value.dims.clone(), false, None)?;
            let (op, spread, outer) = (BinaryOp::Add, Spread::Row, value.dims[0]);
            let (a, inner) = (value.buffer, Size::of((rows * keys) as u32));
            self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
            value = Value { bare: value.bare, ..y };
        }
        if let Some(mask) = &scores.mask.keys {
            let y = self.fresh(value.dims.clone(), false, None)?;
            let outer = product(&value.dims[..2]).ok_or_else(|| node.refuse("its shape is too large"))?;
            let (op, spread, inner) = (BinaryOp::Add, Spread::Row, value.dims[2]);
            let (a, b) = (value.buffer, mask.buffer);
            self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
            value = Value { bare: value.bare, ..y };
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
        let y = self.fresh_like(x, x.dims.clone())?;
        self.step(Step::Softmax(Softmax { x: x.buffer, y: y.buffer, rows, width: *width }));
        Ok(y)
    }

    pub(super) fn softmax(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let mut x = self.floats(&value);
        self.plain(&mut x);
        let rank = x.dims.len();
        let axis = x.axis(node.int("axis", if self.opset < 13 { 1 } else { -1 }));
        let axis = axis.ok_or_else(|| node.refuse("it is over the batch axis"))?;
        if self.opset < 13 {
            // Then it was over all axes from there on.
            let last = product(&x.dims[axis..]).ok_or_else(|| node.refuse("its shape is too large"))?;
            let dims = std::mem::replace(&mut x.dims, [&value.dims[..axis], &[last]].concat());
            let y = Value { dims, ..self.normalised(node, &x)? };
            self.set(node, y);
            return Ok(());
        }
        // Another axis than the last changes places with it, before and after.
        let mut perm: Vec<u32> = (0..rank as u32).collect();
        perm.swap(axis, rank - 1);
        if axis + 1 != rank {
            x = self.turned(&x, &perm)?;
        }
        let mut y = self.normalised(node, &x)?;
        if axis + 1 != rank {
            y = self.turned(&y, &perm)?;
        }
        self.set(node, y);
        Ok(())
    }

    /// Floats with their axes in another order.
    fn turned(&mut self, x: &Value, perm: &[u32]) -> Result<Value, CompileError> {
        let y = self.fresh_like(x, perm.iter().map(|&axis| x.dims[axis as usize]).collect())?;
        let step = Permute { x: x.buffer, y: y.buffer, dims: x.dims.clone(), perm: perm.to_vec() };
        self.step(Step::Permute(step));
        Ok(y)
    }

    /// A product of two computed values.
    pub(super) fn values_product(&mut self, node: &Node) -> Result<(), CompileError> {
        if node.op == "Gemm" {
            return Err(node.refuse("its right side is computed while running; export it as MatMul"));
        }
        let mut sides = [self.given(node, 0)?, self.given(node, 1)?];
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
        let (mut a, mut b) = (a.clone(), b.clone());
        if a.bare || b.bare || a.dims.len() != b.dims.len() {
            // All axes shown, and as many on both sides.
            for side in [&mut a, &mut b] {
                self.lift(side);
            }
            let rank = a.dims.len().max(b.dims.len());
            for side in [&mut a, &mut b] {
                while side.dims.len() < rank {
                    side.dims.insert(0, Size::of(1));
                }
            }
        }
        if let ([outer @ .., rows, k], [others @ .., _, _]) = (&a.dims[..], &b.dims[..])
            && outer != others
            && !outer.is_empty()
            && outer.iter().all(|d| *d == Size::of(1))
        {
            // One left side for many right ones.
            let sides = [others, &[*rows, *k]].concat();
            a = self.repeated(node, a.clone(), &sides)?;
        }
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
        let (k, n) = (*k, *n);
        let y = self.fresh_like(&a, dims)?;
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
        let out = Value { bare: value.bare, ..self.fresh(dims, value.picture, value.levels)? };
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
        let value = self.movable(value);
        let axis = value.axis(node.int("axis", 0)).ok_or_else(|| node.refuse("it splits the batch axis"))?;
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
            self.keep(name.clone(), part);
            from += len;
        }
        Ok(())
    }

    /// Gather of constant places along an axis of a computed value: runs of them are copied. `false` if the node is
    /// another Gather.
    pub(super) fn parts_of_axis(&mut self, node: &Node) -> Result<bool, CompileError> {
        let computed = node.input(0).is_some_and(|x| self.values.contains_key(x));
        let Some(places) = self.constant(node, 1).filter(|_| computed) else { return Ok(false) };
        let scalar = places.dims.is_empty();
        let at = places.wholes().filter(|at| places.dims.len() < 2 && (1..=MAX_PARTS).contains(&at.len()));
        let at =
            at.ok_or_else(|| node.refuse(format!("only 1 to {MAX_PARTS} places in a row are gathered")))?;
        let value = self.value(node, 0)?;
        let mut value = self.movable(value);
        self.plain(&mut value);
        if value.axis(node.int("axis", 0)).is_none() {
            self.lift(&mut value);
        }
        let axis = value.axis(node.int("axis", 0)).ok_or_else(|| node.refuse("its axis is not there"))?;
        let side = value.dims[axis];
        let mut parts = Vec::with_capacity(at.len());
        for at in at {
            // The last places of a free length would move.
            let from = if at < 0 && side.per == 0 { at + i64::from(side.fixed) } else { at };
            let least = if side.per == 0 { side.fixed } else { side.at(1).min(u32::MAX.into()) as u32 };
            let from = u32::try_from(from).ok().filter(|from| *from < least);
            let from = from.ok_or_else(|| node.refuse("its place is not in the axis at every length"))?;
            parts.push(self.part(node, &value, axis, from, 1)?);
        }
        let mut out = if parts.len() == 1 { parts.remove(0) } else { self.join(node, &parts, axis)? };
        if scalar {
            out.dims.remove(axis);
        }
        self.set(node, out);
        Ok(true)
    }

    /// Expand: repeats are put off.
    pub(super) fn expand(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut value = self.given(node, 0)?;
        let wanted =
            self.numbers(node, 1).ok_or_else(|| node.refuse("its shape is computed while running"))?;
        self.lift(&mut value);
        let rank = wanted.len().max(value.dims.len());
        while value.dims.len() < rank {
            value.dims.insert(0, Size::of(1));
        }
        let ahead = rank - wanted.len();
        let mut wide = value.dims.clone();
        for (side, number) in wide[ahead..].iter_mut().zip(&wanted) {
            let asked = match number {
                Number::Side(asked) => *asked,
                Number::Whole(asked) => Size::of(u32::try_from(*asked).unwrap_or(0)),
            };
            if *side == Size::of(1) {
                *side = asked;
            } else if asked != *side && asked != Size::of(1) {
                return Err(node.refuse("its sides do not fit"));
            }
        }
        if wide.iter().any(|side| *side == Size::of(0)) {
            return Err(node.refuse("it leaves nothing"));
        }
        let put_off = wide != value.dims;
        if put_off && wide[0] == Size::of(1) {
            wide.remove(0);
            value.dims.remove(0);
            value.bare = false;
        }
        value.wide = put_off.then_some(wide);
        self.set(node, value);
        Ok(())
    }

    /// Bilinear resize of a picture.
    pub(super) fn resize_linear(&mut self, node: &Node) -> Result<(), CompileError> {
        let (x, [channels, height, width]) = self.float_picture(node)?;
        let refuse = |why: &str| node.refuse(why.to_owned());
        plain_sizes(node)?;
        let sizes = self.constant(node, 3).and_then(Constant::wholes);
        let scales = self.constant(node, if node.op == "Upsample" { 1 } else { 2 });
        let sides = match (sizes, scales.and_then(Constant::floats)) {
            (Some(sizes), _) => match sizes[..] {
                [_, c, h, w] if c == channels as i64 => Some([h as f64, w as f64]),
                _ => None,
            },
            (None, Some(&[1.0, 1.0, down, right])) => {
                // As factors count, in floats; a rest would move every pixel.
                let sides = [height as f32 * down, width as f32 * right];
                if sides.iter().any(|side| side.fract() != 0.0) {
                    return Err(refuse("its factors leave part of a pixel over; export it with sizes"));
                }
                Some(sides.map(f64::from))
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

    /// A constant, or an array that follows from the free length, as a value.
    pub(super) fn constant_as_value(
        &mut self,
        node: &Node,
        input: usize,
    ) -> Result<Option<Value>, CompileError> {
        let Some(name) = node.input(input).filter(|name| !self.values.contains_key(*name)) else {
            return Ok(None);
        };
        let value = match self.constants_by_name(name) {
            Some(constant) => {
                let dims = constant.dims.iter().map(|&d| Size::of(d as u32)).collect();
                let values = constant.as_floats();
                Some(Value { bare: true, ..Value::plain(self.constant_values(&values)?, dims) })
            }
            None => {
                let name = name.to_owned();
                self.over_length(node, &name)?
            }
        };
        Ok(value.map(Value::settled))
    }
}

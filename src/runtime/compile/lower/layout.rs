//! Steps that move values or only change how they are looked at.

use super::attention::Heads;
use super::shapes::Number;
use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::{Copy, Dequantize, Element, Permute, Repeat, Size, Step};

impl Lowering<'_> {
    /// The value as floats.
    pub(super) fn floats(&mut self, value: &Value) -> Value {
        if self.buffers[value.buffer as usize].element == Element::I32 {
            return self.wholes_as_floats(value);
        }
        let Some(levels) = value.levels else { return value.clone() };
        let mut out = value.clone();
        out.levels = None;
        out.buffer = self.buffer(Element::F32, value.len());
        self.step(Step::Dequantize(Dequantize {
            x: value.buffer,
            y: out.buffer,
            len: value.len(),
            scale: levels.scale,
            zero: levels.zero,
        }));
        out
    }

    /// The value where values are moved: whole numbers as floats, since no step moves those.
    pub(super) fn movable(&mut self, value: Value) -> Value {
        if self.buffers[value.buffer as usize].element == Element::I32 { self.floats(&value) } else { value }
    }

    /// Lays a picture out as ONNX has it.
    pub(super) fn plain(&mut self, value: &mut Value) {
        if value.picture {
            self.relay(value, [2, 0, 1], false);
        }
    }

    /// Lays `[channels, height, width]` out as a picture.
    pub(super) fn picture(&mut self, node: &Node, value: &mut Value) -> Result<(), CompileError> {
        if value.dims.len() != 3 || value.bare {
            let axes = value.dims.len() + usize::from(!value.bare);
            return Err(node.refuse(format!("it takes a picture, not {axes} axes")));
        }
        if !value.picture {
            self.relay(value, [1, 2, 0], true);
        }
        Ok(())
    }

    /// Lays heads out as ONNX sees them.
    pub(super) fn rows(&mut self, value: &mut Value) {
        let perm = match value.heads.take() {
            None => return,
            Some(Heads::Rows) => [1, 0, 2],
            Some(Heads::Columns) => [1, 2, 0],
        };
        // In memory `[rows, heads, width]`.
        let mut dims = value.dims.clone();
        for (at, &axis) in perm.iter().enumerate() {
            dims[axis as usize] = value.dims[at];
        }
        let y = self.buffer(Element::F32, value.len());
        self.step(Step::Permute(Permute { x: value.buffer, y, dims, perm: perm.to_vec() }));
        value.buffer = y;
    }

    /// Swaps the axes of heads without moving anything; `false` where that cannot be.
    fn as_heads(&mut self, node: &Node) -> Result<bool, CompileError> {
        let mut value = self.seen(node, 0)?;
        let Some(perm) = node.ints("perm") else { return Ok(false) };
        let axes: Option<Vec<usize>> = match (value.bare, perm) {
            (false, [0, rest @ ..]) => rest.iter().map(|&axis| value.axis(axis)).collect(),
            (true, all) => all.iter().map(|&axis| value.axis(axis)).collect(),
            _ => None,
        };
        let heads = match (value.heads, axes.as_deref()) {
            (None, Some([1, 0, 2])) => Some(Heads::Rows),
            (None, Some([1, 2, 0])) => Some(Heads::Columns),
            (Some(Heads::Rows), Some([1, 0, 2])) => None,
            (Some(Heads::Rows), Some([0, 2, 1])) => Some(Heads::Columns),
            _ => return Ok(false),
        };
        let float = self.buffers[value.buffer as usize].element == Element::F32;
        let (3, Some(axes), false, None) = (value.dims.len(), axes, value.picture, &value.wide) else {
            return Ok(false);
        };
        if !float {
            return Ok(false);
        }
        value.dims = axes.iter().map(|&axis| value.dims[axis]).collect();
        value.heads = heads;
        // Kept as it is: a batch axis of 1 would be another axis of the heads.
        self.values.insert(node.outputs[0].clone(), value);
        Ok(true)
    }

    fn relay(&mut self, value: &mut Value, perm: [u32; 3], picture: bool) {
        let one = Size::of(1);
        let dims = value.memory();
        let flat = value.dims[0] == one || (value.dims[1] == one && value.dims[2] == one);
        value.picture = picture;
        if flat {
            return; // One channel or one pixel lies the same either way.
        }
        let element = self.buffers[value.buffer as usize].element;
        let y = self.buffer(element, value.len());
        self.step(Step::Permute(Permute { x: value.buffer, y, dims, perm: perm.to_vec() }));
        value.buffer = y;
    }

    pub(super) fn same(&mut self, node: &Node) -> Result<(), CompileError> {
        let trains = || !self.constant(node, 2).is_some_and(|c| c.as_floats() == [0.0]);
        if node.op == "Dropout" && node.input(2).is_some() && trains() {
            return Err(node.refuse("it is in training mode; export the model in evaluation mode"));
        }
        let value = self.seen(node, 0)?;
        self.set(node, value);
        Ok(())
    }

    pub(super) fn reshape(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut value = self.value(node, 0)?;
        let mut full = value.dims.clone();
        if !value.bare {
            full.insert(0, Size::of(1));
        }
        let refuse = |why: &str| node.refuse(why.to_owned());
        let dims = match node.op.as_str() {
            "Flatten" => {
                let (axis, rank) = (node.int("axis", 1), full.len() as i64);
                let at = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
                let (front, back) =
                    full.split_at_checked(at).ok_or_else(|| refuse("its axis is not there"))?;
                let side = |dims| product(dims).ok_or_else(|| refuse("its shape is too large"));
                vec![side(front)?, side(back)?]
            }
            "Reshape" => {
                let wanted = self.numbers(node, 1);
                let wanted = wanted.ok_or_else(|| refuse("its shape is computed while running"))?;
                reshaped(node, &full, &wanted)?
            }
            op => {
                let axes = match self.constant(node, 1).and_then(|c| c.wholes()) {
                    Some(axes) => axes,
                    None => node.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
                };
                squeezed(node, &full, &axes, op == "Squeeze")?
            }
        };
        self.plain(&mut value);
        (value.dims, value.bare) = (dims, true);
        self.set(node, value);
        Ok(())
    }

    pub(super) fn transpose(&mut self, node: &Node) -> Result<(), CompileError> {
        if self.as_heads(node)? {
            return Ok(());
        }
        let mut value = self.value(node, 0)?;
        let rank = value.dims.len() + usize::from(!value.bare);
        let perm: Vec<i64> = match node.ints("perm") {
            Some(perm) => perm.to_vec(),
            None => (0..rank as i64).rev().collect(),
        };
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..rank as i64) {
            return Err(node.refuse("its axes are no permutation"));
        }
        if self.relabel(node, &mut value, &perm) {
            return Ok(());
        }
        self.plain(&mut value);
        // In memory without the batch axis, wherever it goes.
        let axes: Vec<u32> = perm.iter().filter_map(|&a| value.axis(a)).map(|a| a as u32).collect();
        let mut dims: Vec<Size> = axes.iter().map(|&a| value.dims[a as usize]).collect();
        let mut y = value.buffer;
        if !axes.is_sorted() {
            value = self.movable(value);
            y = self.fresh(dims.clone(), false, value.levels)?.buffer;
            self.step(Step::Permute(Permute { x: value.buffer, y, dims: value.dims.clone(), perm: axes }));
        }
        if !value.bare {
            let at = perm.iter().position(|&a| a == 0).unwrap_or(0);
            dims.insert(at, Size::of(1));
        }
        (value.buffer, value.dims, value.bare) = (y, dims, true);
        self.set(node, value);
        Ok(())
    }

    /// A picture seen with its channels last, or the reverse: nothing moves.
    fn relabel(&mut self, node: &Node, value: &mut Value, perm: &[i64]) -> bool {
        let [a, b, c] = value.dims[..] else { return false };
        match (value.bare, value.picture, perm) {
            (false, true, [0, 2, 3, 1]) => (value.dims, value.picture) = (vec![b, c, a], false),
            (false, false, [0, 3, 1, 2]) => (value.dims, value.picture) = (vec![c, a, b], true),
            _ => return false,
        }
        self.set(node, value.clone());
        true
    }

    pub(super) fn slice(&mut self, node: &Node) -> Result<(), CompileError> {
        let value = self.value(node, 0)?;
        let value = self.movable(value);
        let list = |input: usize| self.constant(node, input).and_then(|c| c.wholes());
        let (Some(starts), Some(ends)) = (list(1), list(2)) else {
            return Err(node.refuse("its bounds are computed while running"));
        };
        let axes = list(3).unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list(4).unwrap_or_else(|| vec![1; starts.len()]);
        let ([start], [end], [axis], [1]) = (&starts[..], &ends[..], &axes[..], &steps[..]) else {
            return Err(node.refuse("only one axis is cut at a time, by steps of 1"));
        };
        let axis = value.axis(*axis).ok_or_else(|| node.refuse("it cuts the batch axis"))?;
        let side = value.dims[axis];
        if side.per != 0 {
            // The beginning is there at every length.
            let least = side.at(1) as i64;
            if !(0 <= *start && start < end && *end <= least) {
                return Err(node.refuse("it cuts a free length elsewhere than at its beginning"));
            }
            let out = self.part(node, &value, axis, *start as u32, (end - start) as u32)?;
            self.set(node, out);
            return Ok(());
        }
        let bound =
            |v: i64| (if v < 0 { v + i64::from(side.fixed) } else { v }).clamp(0, side.fixed.into()) as u32;
        let (start, end) = (bound(*start), bound(*end));
        if end <= start {
            return Err(node.refuse("it leaves nothing"));
        }
        let out = self.part(node, &value, axis, start, end - start)?;
        self.set(node, out);
        Ok(())
    }

    /// Values put side by side along an axis; all of one kind and layout.
    pub(super) fn join(&mut self, node: &Node, parts: &[Value], axis: usize) -> Result<Value, CompileError> {
        let refuse = || node.refuse("its parts do not fit together");
        let mut side = Size::of(0);
        for part in parts {
            let fits = part.dims.len() == parts[0].dims.len()
                && part.dims.iter().zip(&parts[0].dims).enumerate().all(|(at, (a, b))| at == axis || a == b);
            let more = part.dims.get(axis).filter(|_| fits).ok_or_else(refuse)?;
            side.fixed = side.fixed.checked_add(more.fixed).ok_or_else(refuse)?;
            side.per = side.per.checked_add(more.per).ok_or_else(refuse)?;
        }
        let mut dims = parts[0].dims.clone();
        dims[axis] = side;
        let out = Value { bare: parts[0].bare, ..self.fresh(dims, parts[0].picture, parts[0].levels)? };
        let (outer, _, inner) = out.around(axis).ok_or_else(refuse)?;
        let y_step = product(&[side, inner]).ok_or_else(refuse)?;
        let mut at = Size::of(0);
        for part in parts {
            let width = product(&[part.dims[axis], inner]).ok_or_else(refuse)?;
            let step = Copy {
                x: part.buffer,
                y: out.buffer,
                rows: outer,
                width,
                x_at: Size::of(0),
                x_step: width,
                y_at: at,
                y_step,
            };
            self.step(Step::Copy(step));
            at = Size { fixed: at.fixed + width.fixed, per: at.per + width.per };
        }
        Ok(out)
    }

    pub(super) fn resize(&mut self, node: &Node) -> Result<(), CompileError> {
        let mut value = self.value(node, 0)?;
        self.picture(node, &mut value)?;
        let refuse = |why: &str| node.refuse(why.to_owned());
        let [channels, height, width] = value.sides(node)?;
        plain_sizes(node)?;
        let factors = if let Some(sizes) = self.constant(node, 3).and_then(|c| c.wholes()) {
            let [_, c, h, w] = sizes[..] else {
                return Err(refuse("it resizes other axes than height and width"));
            };
            [c as f32 / channels as f32, h as f32 / height as f32, w as f32 / width as f32]
        } else {
            let scales = self.constant(node, if node.op == "Upsample" { 1 } else { 2 });
            match scales.and_then(|c| c.floats()) {
                Some(&[1.0, c, h, w]) => [c, h, w],
                _ => return Err(refuse("its factors are computed while running")),
            }
        };
        let whole = |f: f32| ((1.0..=64.0).contains(&f) && f.fract() == 0.0).then_some(f as u32);
        let (Some(1), Some(down), Some(right)) = (whole(factors[0]), whole(factors[1]), whole(factors[2]))
        else {
            return Err(refuse("only whole factors are supported"));
        };
        let place = node.text("coordinate_transformation_mode", "half_pixel");
        let rounding = node.text("nearest_mode", "round_prefer_floor");
        let two = down <= 2 && right <= 2;
        let known = node.text("mode", "nearest") == "nearest"
            && (place == "asymmetric" && rounding == "floor"
                || node.op == "Upsample"
                || two && place.ends_with("half_pixel") && rounding == "round_prefer_floor");
        if !known {
            return Err(refuse("only the nearest pixel (asymmetric, floor) is supported"));
        }
        let dims = vec![value.dims[0], Size::of(height as u32 * down), Size::of(width as u32 * right)];
        let out = self.fresh(dims, true, value.levels)?;
        let (height, width, channels) = (height as u32, width as u32, channels as u32);
        let step = Repeat { x: value.buffer, y: out.buffer, height, width, channels, down, right };
        self.step(Step::Repeat(step));
        self.set(node, out);
        Ok(())
    }
}

/// Refuses what changes the sizes that a Resize is given.
pub(super) fn plain_sizes(node: &Node) -> Result<(), CompileError> {
    let all = node.ints("axes").is_none_or(|axes| axes == [0, 1, 2, 3]);
    if !all || node.text("keep_aspect_ratio_policy", "stretch") != "stretch" {
        return Err(node.refuse("its sizes must be of all axes as they are, without a policy"));
    }
    Ok(())
}

fn reshaped(node: &Node, full: &[Size], wanted: &[Number]) -> Result<Vec<Size>, CompileError> {
    let refuse = || node.refuse("its shape does not hold as many values, or not the free length");
    let keeps_zero = node.int("allowzero", 0) == 0;
    let mut dims = Vec::new();
    let mut open = None;
    for (at, side) in wanted.iter().enumerate() {
        dims.push(match side {
            Number::Whole(0) if keeps_zero => *full.get(at).ok_or_else(refuse)?,
            Number::Whole(-1) if open.is_none() => {
                open = Some(at);
                Size::of(1)
            }
            Number::Whole(side) => Size::of(u32::try_from(*side).map_err(|_| refuse())?),
            Number::Side(side) => *side,
        });
    }
    let all = product(full).ok_or_else(refuse)?;
    if let Some(at) = open {
        let known = product(&dims).filter(|k| k.per != 0 || k.fixed > 0).ok_or_else(refuse)?;
        dims[at] = match all.per.checked_div(known.per) {
            // The free length is among the others.
            Some(side) => Size::of(side),
            None => Size { fixed: all.fixed / known.fixed, per: all.per / known.fixed },
        };
    }
    if product(&dims) == Some(all) { Ok(dims) } else { Err(refuse()) }
}

fn squeezed(node: &Node, full: &[Size], axes: &[i64], drop: bool) -> Result<Vec<Size>, CompileError> {
    let refuse = || node.refuse(format!("the axes {axes:?} are not there, or not of 1"));
    let rank = full.len() + if drop { 0 } else { axes.len() };
    let place = |&axis: &i64| {
        let axis = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(axis).ok().filter(|axis| *axis < rank).ok_or_else(refuse)
    };
    let mut places = axes.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    places.sort_unstable();
    let mut dims = full.to_vec();
    if drop {
        if places.is_empty() {
            // All of 1, but a batch axis in front stays.
            places = (1..rank).filter(|&axis| full[axis] == Size::of(1)).collect();
        }
        for &axis in places.iter().rev() {
            if dims[axis] != Size::of(1) {
                return Err(refuse());
            }
            dims.remove(axis);
        }
    } else {
        for axis in places {
            if axis > dims.len() {
                return Err(refuse());
            }
            dims.insert(axis, Size::of(1));
        }
    }
    Ok(dims)
}

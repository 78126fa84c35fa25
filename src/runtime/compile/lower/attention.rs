//! Attention, written out as MatMul, scale, mask, Softmax, MatMul over heads.

use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Data, Node};
use crate::runtime::plan::program::{
    Attention, AttentionCausal, Binary, BinaryOp, Element, Permute, Size, Spread, Step,
};

/// What hides a key when it is added to a score: far below any score, so that nothing of the key is left.
const HIDDEN: f32 = -1e4;

/// A value split into heads: it lies in memory as `[rows, heads, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heads {
    /// Seen as `[heads, rows, width]`.
    Rows,
    /// Seen as `[heads, width, rows]`.
    Columns,
}

/// Scores of queries and keys before they meet the values.
#[derive(Clone, Debug)]
pub(super) struct Scores {
    pub q: Value,
    pub k: Value,
    pub scale: f32,
    pub mask: Mask,
    pub normalised: bool,
}

/// What is added to scores.
#[derive(Clone, Debug, Default)]
pub(super) struct Mask {
    /// For each key, the same for every query.
    pub keys: Option<Value>,
    /// Whether keys behind the query are hidden.
    pub causal: bool,
}

/// A mask of keys and the array of a causal one, not put together yet.
#[derive(Clone, Debug)]
pub(super) struct PutOff {
    keys: Value,
    causal: String,
    /// Whether 1 says what is seen, instead of a sum that hides.
    truth: bool,
}

impl PutOff {
    /// The causal one.
    pub fn array(&self) -> &str {
        &self.causal
    }
}

impl Mask {
    fn is_none(&self) -> bool {
        self.keys.is_none() && !self.causal
    }

    /// Both, where no two of a kind meet.
    fn and(&self, other: &Self) -> Option<Self> {
        let keys = match (&self.keys, &other.keys) {
            (Some(_), Some(_)) => return None,
            (keys, None) | (None, keys) => keys.clone(),
        };
        Some(Self { keys, causal: self.causal || other.causal })
    }
}

impl Lowering<'_> {
    /// `false` if the two sides are no heads.
    pub(super) fn attention(&mut self, node: &Node) -> Result<bool, CompileError> {
        let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Ok(false) };
        if let Some(scores) = self.known.scores.get(a).cloned() {
            let fits = |v: &Value| scores.normalised && v.dims == scores.k_rows();
            let v = self.values.get(b).filter(|v| fits(v)).cloned();
            let v = v.and_then(|v| self.as_rows_of_heads(&v, Heads::Rows));
            let Some(v) = v.filter(fits) else {
                self.spell_out(node, a)?;
                return Ok(false);
            };
            self.attend(node, scores, &v)?;
            return Ok(true);
        }
        let (Some(q), Some(k)) = (self.values.get(a).cloned(), self.values.get(b).cloned()) else {
            return Ok(false);
        };
        let ([h, _, width], [same_h, same_width, _]) = (&q.dims[..], &k.dims[..]) else { return Ok(false) };
        let fits = h == same_h && width == same_width && h.per == 0 && width.per == 0 && q.bare == k.bare;
        let lazy = q.heads == Some(Heads::Rows) && k.heads == Some(Heads::Columns);
        if !fits || !(lazy || self.leads_to_attention(node)) {
            return Ok(false);
        }
        let q = self.as_rows_of_heads(&q, Heads::Rows);
        let (Some(q), Some(k)) = (q, self.as_rows_of_heads(&k, Heads::Columns)) else { return Ok(false) };
        let scores = Scores { q, k, scale: 1.0, mask: Mask::default(), normalised: false };
        self.known.scores.insert(node.outputs[0].clone(), scores);
        Ok(true)
    }

    /// Whether a product is scaled, masked, normalised over its last axis and multiplied with values, and read by nothing
    /// else.
    fn leads_to_attention(&self, node: &Node) -> bool {
        let mut at = node;
        // Scale, two masks and casts between them.
        for _ in 0..8 {
            let Some(next) = self.graph.only_reader(&at.outputs[0]) else { return false };
            match next.op.as_str() {
                "Mul" | "Div" | "Add" | "Where" | "Cast" => at = next,
                "Softmax" => {
                    let mut reader = self.graph.only_reader(&next.outputs[0]);
                    let mut name = &next.outputs[0];
                    while let Some(cast) = reader.filter(|n| n.op == "Cast") {
                        name = &cast.outputs[0];
                        reader = self.graph.only_reader(name);
                    }
                    return reader.is_some_and(|n| n.op == "MatMul" && n.input(0) == Some(name));
                }
                _ => return false,
            }
        }
        false
    }

    /// A value seen as heads, moved to where attention reads them; as it is if it lies there. `None` if it is no such
    /// value.
    fn as_rows_of_heads(&mut self, value: &Value, seen: Heads) -> Option<Value> {
        if value.heads == Some(seen) {
            return Some(value.clone());
        }
        let plain = value.heads.is_none() && !value.picture && value.wide.is_none() && value.levels.is_none();
        let float = self.buffers[value.buffer as usize].element == Element::F32;
        if !plain || !float || value.dims.len() != 3 {
            return None;
        }
        let perm = if seen == Heads::Rows { vec![1, 0, 2] } else { vec![2, 0, 1] };
        let y = self.buffer(Element::F32, value.len());
        self.step(Step::Permute(Permute { x: value.buffer, y, dims: value.dims.clone(), perm }));
        Some(Value { buffer: y, heads: Some(seen), ..value.clone() })
    }

    fn attend(&mut self, node: &Node, scores: Scores, v: &Value) -> Result<(), CompileError> {
        let [heads, keys, width] = v.dims[..] else { return Err(node.refuse("its heads are no heads")) };
        let rows = scores.q.dims[1];
        let mut y = self.fresh(vec![heads, rows, width], false, None)?;
        (y.heads, y.bare) = (Some(Heads::Rows), scores.q.bare);
        let (q, k, v, scale) = (scores.q.buffer, scores.k.buffer, v.buffer, scores.scale);
        let (mask, heads, width) = (scores.mask.keys.map(|m| m.buffer), heads.fixed, width.fixed);
        if scores.mask.causal {
            let step = AttentionCausal { q, k, v, mask, y: y.buffer, rows, heads, width, scale };
            self.step(Step::AttentionCausal(step));
        } else {
            let step = Attention { q, k, v, mask, y: y.buffer, rows, keys, heads, width, scale };
            self.step(Step::Attention(step));
        }
        // Kept as it is: a batch axis of 1 would be another axis of the heads.
        self.values.insert(node.outputs[0].clone(), y);
        Ok(())
    }

    /// Scale, mask and softmax of scores; `false` if the node reads none.
    pub(super) fn over_scores(&mut self, node: &Node) -> Result<bool, CompileError> {
        let found = node.inputs.iter().position(|name| self.known.scores.contains_key(name));
        let Some(at) = found.filter(|_| node.op != "MatMul") else { return Ok(false) };
        let name = node.inputs[at].clone();
        let mut scores = self.known.scores[&name].clone();
        let other = 1 - at.min(1);
        let factor = self.constant(node, other).and_then(Constant::float);
        let alone = self.graph.only_reader(&name).is_some();
        let fused = alone
            && match (node.op.as_str(), factor) {
                // A truth or another kind of float: the same scores.
                ("Cast", _) => node.int("to", 1) == 1,
                _ if scores.normalised => false,
                ("Mul", Some(factor)) if scores.mask.is_none() => {
                    scores.scale *= factor;
                    true
                }
                ("Div", Some(factor)) if scores.mask.is_none() && at == 0 => {
                    scores.scale /= factor;
                    true
                }
                ("Add", _) => self.masked(node, other, &mut scores)?,
                ("Where", _) => self.hidden(node, at, &mut scores)?,
                ("Softmax", _)
                    if [-1, scores.q.dims.len() as i64 - i64::from(scores.q.bare)]
                        .contains(&node.int("axis", if self.opset < 13 { 1 } else { -1 })) =>
                {
                    scores.normalised = true;
                    true
                }
                _ => false,
            };
        if !fused {
            self.spell_out(node, &name)?;
            return Ok(false);
        }
        self.known.scores.insert(node.outputs[0].clone(), scores);
        Ok(true)
    }

    /// Scores that no fused step takes in become a value, step by step.
    fn spell_out(&mut self, node: &Node, name: &str) -> Result<(), CompileError> {
        if let Some(scores) = self.known.scores.remove(name) {
            let value = self.scores_as_value(node, &scores)?;
            self.values.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Adds what an input holds to the mask of scores; `false` where only a written-out sum can.
    fn masked(&mut self, node: &Node, input: usize, scores: &mut Scores) -> Result<bool, CompileError> {
        let found = match node.input(input).and_then(|name| self.known.masks.get(name)) {
            Some(sum) => Some(Mask { keys: Some(sum.keys.clone()), causal: true })
                .filter(|_| !sum.truth && of_keys(&sum.keys, Some(scores.k.dims[2]))),
            None => self.mask(node, input, Some(scores.k.dims[2]))?,
        };
        let square = scores.q.dims[1] == scores.k.dims[2];
        let sum = found.and_then(|found| scores.mask.and(&found)).filter(|sum| square || !sum.causal);
        let fused = sum.is_some();
        scores.mask = sum.unwrap_or_else(|| scores.mask.clone());
        Ok(fused)
    }

    /// `Where(truth of keys, scores, hidden)` or the reverse, as a sum.
    fn hidden(&mut self, node: &Node, at: usize, scores: &mut Scores) -> Result<bool, CompileError> {
        let fill = self.constant(node, 3 - at.min(2)).and_then(Constant::float);
        let Some(fill) = fill.filter(|fill| at > 0 && *fill <= HIDDEN) else { return Ok(false) };
        if let Some(seen) = self.lower_triangle(node, 0, |v| v != 0.0) {
            // What is seen must be what stays a score.
            let square = scores.q.dims[1] == scores.k.dims[2];
            scores.mask.causal |= square && seen == (at == 1);
            return Ok(square && seen == (at == 1));
        }
        let Some(name) = node.input(0) else { return Ok(false) };
        let both = self.known.masks.get(name).filter(|both| both.truth && at == 1).cloned();
        let causal = both.is_some();
        let truth = both.map(|both| both.keys).or_else(|| self.values.get(name).cloned());
        let square = scores.q.dims[1] == scores.k.dims[2];
        let fits = |truth: &Value| {
            of_keys(truth, Some(scores.k.dims[2])) && scores.mask.keys.is_none() && (square || !causal)
        };
        let Some(truth) = truth.filter(fits) else { return Ok(false) };
        scores.mask.keys = Some(self.as_sum(&truth, at == 1, fill)?);
        scores.mask.causal |= causal;
        Ok(true)
    }

    /// A truth over keys as a sum: 0 where it is `seen`, else the fill.
    fn as_sum(&mut self, truth: &Value, seen: bool, fill: f32) -> Result<Value, CompileError> {
        let narrow = Value { wide: None, ..truth.clone() };
        let gone = self.against(&narrow, if seen { BinaryOp::Equal } else { BinaryOp::Differs }, 0.0)?;
        let b = self.constant_values(&[fill.max(f32::MIN)])?;
        let y = self.fresh_like(&gone, gone.dims.clone())?;
        let (op, spread, outer) = (BinaryOp::Mul, Spread::Single, Size::of(1));
        let (a, inner) = (gone.buffer, gone.len());
        self.step(Step::Binary(Binary { op, spread, a, b, y: y.buffer, outer, inner }));
        Ok(y)
    }

    /// Sums of masks, put off until attention takes them in; `false` if the node is no such sum.
    pub(super) fn over_masks(&mut self, node: &Node) -> Result<bool, CompileError> {
        if matches!(node.op.as_str(), "Cast" | "Unsqueeze" | "Identity" | "Expand")
            && let Some(sum) = node.input(0).and_then(|name| self.known.masks.get(name)).cloned()
        {
            self.known.masks.insert(node.outputs[0].clone(), sum);
            return Ok(true);
        }
        if node.op == "Where" {
            return self.chosen_mask(node);
        }
        // Only a causal part asks for it: without one the sum is a value as any other.
        let truth = node.op == "And";
        let seen = |v: f32| if truth { v != 0.0 } else { v == 0.0 };
        let causal = |this: &Self, input| this.lower_triangle(node, input, seen) == Some(true);
        let found = (0..2).find(|&input| (truth || node.op == "Add") && causal(self, input));
        let Some(at) = found else { return Ok(false) };
        let Some(Mask { keys: Some(keys), .. }) = self.mask(node, 1 - at, None)? else { return Ok(false) };
        let both = PutOff { keys, causal: node.inputs[at].clone(), truth };
        self.known.masks.insert(node.outputs[0].clone(), both);
        Ok(true)
    }

    /// `Where(both truths, 0, hidden)`: the same as sums.
    fn chosen_mask(&mut self, node: &Node) -> Result<bool, CompileError> {
        let Some(name) = node.input(0) else { return Ok(false) };
        let Some(both) = self.known.masks.get(name).filter(|both| both.truth).cloned() else {
            return Ok(false);
        };
        let number = |input| self.constant(node, input).and_then(Constant::float);
        let (Some(0.0), Some(fill)) = (number(1), number(2)) else { return Ok(false) };
        if fill > HIDDEN {
            return Ok(false);
        }
        let array = self.constants_by_name(&both.causal).cloned();
        let keys = self.as_sum(&both.keys, true, fill)?;
        let causal = node.outputs[0].clone();
        if let Some(array) = array {
            // As a sum too, for whoever has it written out.
            let hides =
                array.as_floats().iter().map(|v| if *v != 0.0 { 0.0 } else { fill.max(f32::MIN) }).collect();
            self.folded
                .insert(causal.clone() + "/causal", Constant { dims: array.dims, data: Data::F32(hides) });
        }
        let sum = PutOff { keys, causal: causal.clone() + "/causal", truth: false };
        self.known.masks.insert(causal, sum);
        Ok(true)
    }

    /// Writes out a sum of masks that something else than attention reads.
    pub(super) fn put_on(&mut self, node: &Node, input: usize) -> Result<(), CompileError> {
        let name = node.input(input).unwrap_or_default();
        let Some(PutOff { keys, causal, truth }) = self.known.masks.remove(name) else { return Ok(()) };
        let array = self.constants_by_name(&causal).cloned();
        let array =
            array.ok_or_else(|| node.refuse("it reads a mask over two free lengths; fix the length"))?;
        let (values, dims) = (array.as_floats(), array.dims.iter().map(|&d| Size::of(d as u32)));
        let all = Value { bare: true, ..Value::plain(self.constant_values(&values)?, dims.collect()) };
        let op = if truth { BinaryOp::Mul } else { BinaryOp::Add };
        let both = self.over_one_another(node, op, [keys, all])?;
        self.keep(name.to_owned(), both);
        Ok(())
    }

    /// The mask behind an input: over so many keys, where their count is known.
    fn mask(&mut self, node: &Node, input: usize, keys: Option<Size>) -> Result<Option<Mask>, CompileError> {
        if self.lower_triangle(node, input, |v| v == 0.0) == Some(true) {
            return Ok(Some(Mask { keys: None, causal: true }));
        }
        let Some(value) = node.input(input).and_then(|name| self.values.get(name)).cloned() else {
            return Ok(None);
        };
        if value.heads.is_some() || !of_keys(&value, keys) {
            return Ok(None);
        }
        let value = self.floats(&Value { wide: None, ..value });
        Ok(Some(Mask { keys: Some(value), causal: false }))
    }

    /// Whether an array of known values, constant or following from the free length, says `seen` of what lies on and
    /// below its diagonal and hides the rest, or (`Some(false)`) the reverse. Numbers that are seen must be all alike.
    fn lower_triangle(&self, node: &Node, input: usize, seen: impl Fn(f32) -> bool) -> Option<bool> {
        let name = node.input(input)?;
        let arrays: Vec<&Constant> = match (self.constants_by_name(name), self.known.sampled.get(name)) {
            (Some(constant), _) => vec![constant],
            (None, Some(sampled)) => sampled.0.iter().collect(),
            (None, None) => return None,
        };
        let direction = |array: &&Constant| -> Option<bool> {
            let [ones @ .., rows, keys] = &array.dims[..] else { return None };
            if rows != keys || *rows < 2 || ones.iter().any(|d| *d != 1) {
                return None;
            }
            let values = array.as_floats();
            let hides = |v: f32| if array.floats().is_some() { v <= HIDDEN } else { !seen(v) };
            let is = |lower: bool| {
                let place = |(i, &v): (usize, &f32)| {
                    if (i % keys <= i / keys) == lower { seen(v) } else { hides(v) }
                };
                values.iter().enumerate().all(place)
            };
            if is(true) { Some(true) } else { is(false).then_some(false) }
        };
        let mut found = arrays.iter().map(direction);
        let first = found.next()??;
        found.all(|next| next == Some(first)).then_some(first)
    }
}

/// Whether a value is the same for every query: all its sides are 1 but the last.
fn of_keys(value: &Value, keys: Option<Size>) -> bool {
    let Some((last, rest)) = value.dims.split_last() else { return false };
    keys.is_none_or(|keys| *last == keys) && *last != Size::of(1) && rest.iter().all(|d| *d == Size::of(1))
}

impl Scores {
    /// Keys as rows, which is the shape of the values.
    fn k_rows(&self) -> Vec<Size> {
        vec![self.k.dims[0], self.k.dims[2], self.k.dims[1]]
    }
}

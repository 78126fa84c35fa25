//! Attention, written out as MatMul, scale, mask, Softmax, MatMul over heads.

use super::{Lowering, Value};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::{Constant, Node};
use crate::runtime::plan::program::{Attention, Size, Step};

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
    pub mask: Option<Value>,
    pub normalised: bool,
}

impl Lowering<'_> {
    /// `false` if the two sides are no heads.
    pub(super) fn attention(&mut self, node: &Node) -> Result<bool, CompileError> {
        let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Ok(false) };
        if let Some(scores) = self.known.scores.get(a).cloned() {
            let v = self.values.get(b).filter(|v| v.heads == Some(Heads::Rows)).cloned();
            let fits = |v: &Value| scores.normalised && v.dims == scores.k_rows();
            let Some(v) = v.filter(fits) else {
                self.spell_out(node, a)?;
                return Ok(false);
            };
            let [heads, keys, width] = v.dims[..] else { return Err(node.refuse("its heads are no heads")) };
            let rows = scores.q.dims[1];
            let mut y = self.fresh(vec![heads, rows, width], false, None)?;
            y.heads = Some(Heads::Rows);
            let step = Attention {
                q: scores.q.buffer,
                k: scores.k.buffer,
                v: v.buffer,
                mask: scores.mask.map(|m| m.buffer),
                y: y.buffer,
                rows,
                keys,
                heads: heads.fixed,
                width: width.fixed,
                scale: scores.scale,
            };
            self.step(Step::Attention(step));
            self.set(node, y);
            return Ok(true);
        }
        let (Some(q), Some(k)) = (self.values.get(a), self.values.get(b)) else { return Ok(false) };
        if q.heads != Some(Heads::Rows) || k.heads != Some(Heads::Columns) {
            return Ok(false);
        }
        let fits =
            q.dims[0] == k.dims[0] && q.dims[2] == k.dims[1] && q.dims[0].per == 0 && q.dims[2].per == 0;
        if !fits {
            return Err(node.refuse("queries and keys have other heads"));
        }
        let scores = Scores { q: q.clone(), k: k.clone(), scale: 1.0, mask: None, normalised: false };
        self.known.scores.insert(node.outputs[0].clone(), scores);
        Ok(true)
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
            && !scores.normalised
            && match (node.op.as_str(), factor) {
                ("Mul", Some(factor)) if scores.mask.is_none() => {
                    scores.scale *= factor;
                    true
                }
                ("Div", Some(factor)) if scores.mask.is_none() && at == 0 => {
                    scores.scale /= factor;
                    true
                }
                ("Add", _) if scores.mask.is_none() => {
                    scores.mask = self.mask_of_keys(node, other, scores.k.dims[2])?;
                    scores.mask.is_some()
                }
                ("Softmax", _) if [-1, 3].contains(&node.int("axis", -1)) => {
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
}

impl Lowering<'_> {
    /// Scores that no fused step takes in become a value, step by step.
    fn spell_out(&mut self, node: &Node, name: &str) -> Result<(), CompileError> {
        if let Some(scores) = self.known.scores.remove(name) {
            let value = self.scores_as_value(node, &scores)?;
            self.values.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// A computed mask that is the same for every query.
    fn mask_of_keys(&mut self, node: &Node, input: usize, keys: Size) -> Result<Option<Value>, CompileError> {
        if self.constant(node, input).is_some() {
            return Ok(None);
        }
        let value = self.value(node, input)?;
        let of_keys = value
            .dims
            .split_last()
            .is_some_and(|(last, rest)| *last == keys && rest.iter().all(|d| *d == Size::of(1)));
        Ok(of_keys.then(|| self.floats(&value)))
    }
}

impl Scores {
    /// Keys as rows, which is the shape of the values.
    fn k_rows(&self) -> Vec<Size> {
        vec![self.k.dims[0], self.k.dims[2], self.k.dims[1]]
    }
}

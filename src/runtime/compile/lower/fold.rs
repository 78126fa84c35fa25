//! Nodes whose inputs are all known, or follow from the free length alone, are computed here, by tract: shapes, ranges,
//! positions, masks.

use super::Lowering;
use super::shapes::Sampled;
use crate::runtime::compile::graph::{Constant, Data, Node, constant};

/// Largest constant that is made: masks and positions of texts are far smaller, and a hostile file asks for more.
const MAX_VALUES: usize = 1 << 22;

/// Operators whose result could be huge for small inputs, or that are about weights, which stay as they are.
const KEPT: [&str; 5] =
    ["DequantizeLinear", "QuantizeLinear", "Constant", "DynamicQuantizeLinear", "BatchNormalization"];

/// An input's name and what is known of it.
type Given<'a> = (&'a String, &'a Constant);

impl Lowering<'_> {
    /// Computes a node over what is known; `false` if it reads anything else, or tract does not know it.
    pub(super) fn fold(&mut self, node: &Node) -> bool {
        if node.op == "Shape" {
            return self.fold_shape(node);
        }
        let inputs: Vec<&String> = node.inputs.iter().filter(|name| !name.is_empty()).collect();
        if KEPT.contains(&node.op.as_str()) || inputs.is_empty() {
            return false;
        }
        let given: Option<Vec<Given>> =
            inputs.iter().map(|&name| Some((name, self.constants_by_name(name)?))).collect();
        if let Some(given) = given {
            let Some(made) = computed(node, &given, self.opset) else { return false };
            for (name, constant) in node.outputs.iter().zip(made) {
                self.folded.insert(name.clone(), constant);
            }
            return true;
        }
        let mut made = Vec::new();
        for at in 0..self.lengths().len() {
            let of = |name| match self.constants_by_name(name) {
                Some(constant) => Some(constant),
                None => self.known.sampled.get(name).map(|sampled| &sampled.0[at]),
            };
            let given: Option<Vec<Given>> = inputs.iter().map(|&name| Some((name, of(name)?))).collect();
            let Some(given) = given else { return false };
            let Some(outputs) = computed(node, &given, self.opset) else {
                // A table of positions that is shorter than the greatest length.
                if node.op == "Gather" && made.len() == 3 {
                    self.shorter = given[0].1.dims.first().map(|&rows| rows as u32);
                }
                return false;
            };
            made.push(outputs);
        }
        let [a, b, c, d] = &made[..] else { return false };
        for (i, name) in node.outputs.iter().enumerate() {
            let at = [a, b, c, d].map(|outputs| outputs.get(i).cloned());
            let [Some(a), Some(b), Some(c), Some(d)] = at else { return false };
            self.remember(name, Sampled([a, b, c, d]));
        }
        true
    }

    fn remember(&mut self, name: &str, sampled: Sampled) {
        match sampled.still() {
            Some(constant) => {
                let constant = constant.clone();
                self.folded.insert(name.to_owned(), constant);
            }
            None => {
                self.known.sampled.insert(name.to_owned(), sampled);
            }
        }
    }

    /// A shape; the batch is 1.
    fn fold_shape(&mut self, node: &Node) -> bool {
        let Some(name) = node.input(0) else { return false };
        let at = |at: usize| -> Option<Vec<i64>> {
            let length = self.lengths()[at];
            if let Some(value) = self.values.get(name) {
                let dims = value.wide.as_ref().unwrap_or(&value.dims);
                let sides = dims.iter().map(|side| side.at(length) as i64);
                return Some((!value.bare).then_some(1).into_iter().chain(sides).collect());
            }
            if let Some(scores) = self.known.scores.get(name) {
                let sides = [scores.q.dims[0], scores.q.dims[1], scores.k.dims[2]];
                let batch = (!scores.q.bare).then_some(1);
                return Some(batch.into_iter().chain(sides.map(|side| side.at(length) as i64)).collect());
            }
            let name = self.known.masks.get(name).map_or(name, |both| both.array());
            let array = self.constants_by_name(name);
            let array = array.or_else(|| self.known.sampled.get(name).map(|sampled| &sampled.0[at]))?;
            Some(array.dims.iter().map(|&d| d as i64).collect())
        };
        let (Some(a), Some(b), Some(c), Some(d)) = (at(0), at(1), at(2), at(3)) else { return false };
        let shape = |dims: Vec<i64>| {
            // `start` and `end` (opset 15).
            let rank = dims.len() as i64;
            let bound = |name: &str, default: i64| {
                let at = node.int(name, default);
                (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize
            };
            let data = dims.get(bound("start", 0)..bound("end", rank)).unwrap_or_default().to_vec();
            Constant { dims: vec![data.len()], data: Data::I64(data) }
        };
        self.remember(&node.outputs[0], Sampled([a, b, c, d].map(shape)));
        true
    }
}

/// Whether a node asks for an output beyond [`MAX_VALUES`].
fn grows_beyond_bounds(node: &Node, given: &[Given]) -> bool {
    let of = |input: usize| {
        let name = node.input(input)?;
        given.iter().find(|(known, _)| *known == name).map(|(_, constant)| *constant)
    };
    let wholes = |input: usize| of(input).and_then(Constant::wholes);
    let size = |sides: Vec<i64>| {
        let side = |n: i64, side: &i64| n.saturating_mul((*side).max(1));
        sides.iter().fold(1, side)
    };
    let values = |input: usize| of(input).map_or(1, |c| c.dims.iter().product::<usize>() as i64);
    let asked = match node.op.as_str() {
        "ConstantOfShape" => wholes(0).map_or(i64::MAX, size),
        "Expand" | "Tile" => wholes(1).map_or(i64::MAX, |w| size(w).saturating_mul(values(0))),
        "Range" => match (wholes(0), wholes(1)) {
            (Some(from), Some(to)) => match (&from[..], &to[..]) {
                ([from], [to]) => to.saturating_sub(*from).saturating_abs(),
                _ => i64::MAX,
            },
            _ => i64::MAX,
        },
        "Pad" | "Resize" | "Upsample" | "Loop" | "If" | "Scan" | "OneHot" => i64::MAX,
        "Where" | "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "And" | "Or" | "Xor"
        | "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            let rank = given.iter().map(|(_, c)| c.dims.len()).max().unwrap_or(0);
            let side = |back: usize| {
                let sides = given.iter().filter_map(|(_, c)| c.dims.iter().rev().nth(back));
                sides.max().map_or(1, |&side| side as i64)
            };
            size((0..rank).map(side).collect())
        }
        // Joins and products of sides.
        _ => (0..node.inputs.len())
            .map(values)
            .fold(1i64, i64::saturating_mul)
            .min((0..node.inputs.len()).map(values).max().unwrap_or(1).saturating_mul(1 << 12)),
    };
    asked > MAX_VALUES as i64
}

/// Whether a Gather's places are not in its table: a text longer than there are positions.
fn reads_outside(node: &Node, given: &[Given]) -> bool {
    let of = |input: usize| given.iter().find(|(name, _)| Some(name.as_str()) == node.input(input));
    let (Some((_, table)), Some((_, places))) = (of(0), of(1)) else { return false };
    let rank = table.dims.len() as i64;
    let axis = node.int("axis", 0);
    let side =
        table.dims.get((if axis < 0 { axis + rank } else { axis }) as usize).map_or(0, |&side| side as i64);
    let outside = |at: &i64| !(-side..side).contains(at);
    node.op == "Gather" && places.wholes().is_none_or(|places| places.iter().any(outside))
}

/// What tract makes of one node; `None` if it cannot, or if it is too much.
fn computed(node: &Node, given: &[Given], opset: i64) -> Option<Vec<Constant>> {
    let large = given.iter().any(|(_, constant)| constant.dims.iter().product::<usize>() > MAX_VALUES);
    if large || grows_beyond_bounds(node, given) || reads_outside(node, given) {
        return None;
    }
    let mut tensors: Vec<_> = given.iter().map(|(name, constant)| constant.to_proto(name)).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors.dedup_by(|a, b| a.name == b.name);
    let outputs = shelfsight_tract::compute(&node.proto, tensors, opset)?;
    outputs.iter().map(|tensor| constant(tensor, &node.name).ok()).collect()
}

//! Nodes whose inputs are all known are computed here, once, by tract: shapes, ranges, masks.

use super::Lowering;
use super::shapes::Number;
use crate::runtime::compile::graph::{Constant, Data, Node, constant};

/// Largest constant that is made: masks and positions of texts are far smaller, and a hostile file asks for more.
const MAX_VALUES: usize = 1 << 22;

/// Operators whose result could be huge for small inputs, or that are about weights, which stay as they are.
const KEPT: [&str; 4] = ["DequantizeLinear", "QuantizeLinear", "Constant", "DynamicQuantizeLinear"];

impl Lowering<'_> {
    /// Computes a node over constants; `false` if it reads anything else, or tract does not know it.
    pub(super) fn fold(&mut self, node: &Node) -> bool {
        if node.op == "Shape" {
            return self.fold_shape(node);
        }
        let known = |name: &String| name.is_empty() || self.constants_by_name(name).is_some();
        if KEPT.contains(&node.op.as_str()) || !node.inputs.iter().all(known) || node.inputs.is_empty() {
            return false;
        }
        let given: Vec<(&String, &Constant)> = node
            .inputs
            .iter()
            .filter(|name| !name.is_empty())
            .filter_map(|name| Some((name, self.constants_by_name(name)?)))
            .collect();
        if given.iter().any(|(_, constant)| constant.dims.iter().product::<usize>() > MAX_VALUES)
            || self.grows_beyond_bounds(node)
        {
            return false;
        }
        let Some(made) = computed(node, &given, self.opset) else { return false };
        for (name, constant) in node.outputs.iter().zip(made) {
            self.folded.insert(name.clone(), constant);
        }
        true
    }

    /// Whether the node's inputs ask for an output beyond [`MAX_VALUES`].
    fn grows_beyond_bounds(&self, node: &Node) -> bool {
        let wholes = |input: usize| self.constant(node, input).and_then(Constant::wholes);
        let size = |sides: Vec<i64>| {
            let side = |n: i64, side: &i64| n.saturating_mul((*side).max(1));
            sides.iter().fold(1, side)
        };
        let values =
            |input: usize| self.constant(node, input).map_or(1, |c| c.dims.iter().product::<usize>() as i64);
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
            // Broadcasts and products of sides.
            _ => (0..node.inputs.len())
                .map(values)
                .fold(1i64, i64::saturating_mul)
                .min((0..node.inputs.len()).map(values).max().unwrap_or(1).saturating_mul(1 << 12)),
        };
        asked > MAX_VALUES as i64
    }

    /// A shape without a free side. A plan runs items one by one, so the batch is 1.
    fn fold_shape(&mut self, node: &Node) -> bool {
        let dims: Option<Vec<i64>> = match node.input(0) {
            Some(name) => match (self.values.get(name), self.constants_by_name(name)) {
                (Some(value), _) => value
                    .fixed()
                    .map(|sides| std::iter::once(1).chain(sides.iter().map(|&s| s as i64)).collect()),
                (None, Some(constant)) => Some(constant.dims.iter().map(|&d| d as i64).collect()),
                (None, None) => None,
            },
            None => None,
        };
        // `start` and `end` (opset 15).
        let Some(dims) = dims else { return false };
        let rank = dims.len() as i64;
        let bound = |name: &str, default: i64| {
            let at = node.int(name, default);
            (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", rank));
        let data = dims.get(start..end).unwrap_or_default().to_vec();
        let constant = Constant { dims: vec![data.len()], data: Data::I64(data) };
        self.folded.insert(node.outputs[0].clone(), constant);
        true
    }

    /// Numbers of shapes that turned out to be all known become constants.
    pub(super) fn settle(&mut self, name: &str) {
        let Some(numbers) = self.known.numbers.get(name) else { return };
        let whole = |number: &Number| match number {
            Number::Whole(v) => Some(*v),
            Number::Batch => Some(1),
            Number::Side(side) => (side.per == 0).then_some(side.fixed.into()),
        };
        if let Some(data) = numbers.iter().map(whole).collect::<Option<Vec<i64>>>() {
            let dims = vec![data.len()];
            self.folded.insert(name.to_owned(), Constant { dims, data: Data::I64(data) });
        }
    }
}

/// What tract makes of one node.
fn computed(node: &Node, given: &[(&String, &Constant)], opset: i64) -> Option<Vec<Constant>> {
    let mut tensors: Vec<_> = given.iter().map(|(name, constant)| constant.to_proto(name)).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors.dedup_by(|a, b| a.name == b.name);
    let outputs = shelfsight_tract::compute(&node.proto, tensors, opset)?;
    outputs.iter().map(|tensor| constant(tensor, &node.name).ok()).collect()
}

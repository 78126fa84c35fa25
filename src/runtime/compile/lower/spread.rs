//! Operands of different shapes over one another: numpy's broadcasting.

use super::{Lowering, Value, product};
use crate::runtime::compile::CompileError;
use crate::runtime::compile::graph::Node;
use crate::runtime::plan::program::{Binary, BinaryOp, Copy, Fill, Repeat, Size, Spread, Step};

/// Operands' memory and how each lies over `[outer, inner]`, which follow.
type Laid<const N: usize> = ([(u32, Spread); N], Size, Size);

const ONE: Size = Size { fixed: 1, per: 0 };

impl Lowering<'_> {
    /// Does what was put off, see [`Value::wide`].
    pub(super) fn widen(&mut self, node: &Node, mut value: Value) -> Result<Value, CompileError> {
        let Some(wide) = value.wide.take() else { return Ok(value) };
        let bare = value.bare;
        let mut out = self.floats(&value);
        self.plain(&mut out);
        let mut out = self.repeated(node, out, &wide)?;
        out.bare = bare;
        Ok(out)
    }

    /// Floats repeated along axes of 1; as many axes as `sides` has.
    pub(super) fn repeated(&mut self, node: &Node, x: Value, sides: &[Size]) -> Result<Value, CompileError> {
        let refuse = || node.refuse("it repeats values in a way that no step has");
        let mut x = x;
        for axis in (0..sides.len()).rev() {
            let side = sides[axis];
            if x.dims[axis] == side {
                continue;
            }
            if x.dims[axis] != ONE {
                return Err(node.refuse("its shapes do not fit each other"));
            }
            let (outer, inner) = (product(&x.dims[..axis]), product(&x.dims[axis + 1..]));
            let (outer, inner) = (outer.ok_or_else(refuse)?, inner.ok_or_else(refuse)?);
            let mut dims = x.dims.clone();
            dims[axis] = side;
            let y = self.fresh_like(&x, dims)?;
            if outer == ONE {
                let (x_at, y_at) = (Size::of(0), Size::of(0));
                let (x_step, y_step) = (Size::of(0), inner);
                let (x, y) = (x.buffer, y.buffer);
                self.step(Step::Copy(Copy { x, y, rows: side, width: inner, x_at, x_step, y_at, y_step }));
            } else if inner == ONE {
                let zeros = self.fresh_like(&y, y.dims.clone())?;
                self.step(Step::Fill(Fill { y: zeros.buffer, len: y.len(), value: 0.0 }));
                let (a, b, y, inner) = (zeros.buffer, x.buffer, y.buffer, side);
                let (op, spread) = (BinaryOp::Add, Spread::Column);
                self.step(Step::Binary(Binary { op, spread, a, b, y, outer, inner }));
            } else {
                if [outer, inner, side].iter().any(|s| s.per != 0) || side.fixed > 64 {
                    return Err(refuse());
                }
                let (width, channels, right) = (outer.fixed, inner.fixed, side.fixed);
                let (x, y, height, down) = (x.buffer, y.buffer, 1, 1);
                self.step(Step::Repeat(Repeat { x, y, height, width, channels, down, right }));
            }
            x = y;
        }
        Ok(x)
    }

    /// Shows all axes of every operand, ones in front where one has fewer; gives the sides of the result.
    pub(super) fn aligned(&mut self, node: &Node, operands: &mut [Value]) -> Result<Vec<Size>, CompileError> {
        for value in operands.iter_mut() {
            self.lift(value);
        }
        let rank = operands.iter().map(|v| v.dims.len()).max().unwrap_or(0);
        let mut sides = vec![ONE; rank];
        for value in operands.iter_mut() {
            while value.dims.len() < rank {
                value.dims.insert(0, ONE);
            }
            for (side, &own) in sides.iter_mut().zip(&value.dims) {
                if *side == ONE {
                    *side = own;
                } else if own != ONE && own != *side {
                    return Err(node.refuse("its shapes do not fit each other"));
                }
            }
        }
        Ok(sides)
    }

    /// Operands that [`aligned`](Self::aligned) has seen, laid over `[outer, inner]`; those that do not lie well are
    /// repeated first.
    pub(super) fn laid<const N: usize>(
        &mut self,
        node: &Node,
        operands: [Value; N],
        sides: &[Size],
    ) -> Result<Laid<N>, CompileError> {
        let too_large = || node.refuse("two free lengths meet in one value; fix the length");
        let fits = |cut: usize| operands.iter().filter(|v| spread_at(&v.dims, sides, cut).is_some()).count();
        let cut = (0..=sides.len()).max_by_key(|&cut| fits(cut)).unwrap_or(0);
        let (outer, inner) = (product(&sides[..cut]), product(&sides[cut..]));
        let (outer, inner) = (outer.ok_or_else(too_large)?, inner.ok_or_else(too_large)?);
        let mut laid = [(0, Spread::Same); N];
        for (place, value) in laid.iter_mut().zip(operands) {
            *place = match spread_at(&value.dims, sides, cut) {
                Some(spread) => (value.buffer, spread),
                None => (self.repeated(node, value, sides)?.buffer, Spread::Same),
            };
        }
        Ok((laid, outer, inner))
    }
}

/// How an operand lies over `sides` cut into `[outer, inner]` before axis `cut`.
fn spread_at(own: &[Size], sides: &[Size], cut: usize) -> Option<Spread> {
    let ones = |dims: &[Size]| dims.iter().all(|d| *d == ONE);
    match () {
        () if own == sides => Some(Spread::Same),
        () if ones(own) => Some(Spread::Single),
        () if ones(&own[..cut]) && own[cut..] == sides[cut..] => Some(Spread::Row),
        () if own[..cut] == sides[..cut] && ones(&own[cut..]) => Some(Spread::Column),
        () => None,
    }
}

//! What a search needs of a quantizer: distances to lists, the query turned, tables, exact distances of single codes.
//!
//! All in [`Trq::unit`](super::Trq::unit)s, each sum in one order: the same bits on every machine.

use super::{Levels, Table, Trq, step_value};
use crate::kernels::{self, LANES, f16, rows};

/// Beyond this a component of a query is cut off: squares must stay finite.
const FAR: f32 = 1e12;

impl Trq<'_> {
    /// A query in units, `[d]`.
    pub fn query(&self, x: &[f32]) -> Vec<f32> {
        x.iter().map(|v| (v / self.unit).clamp(-FAR, FAR)).collect()
    }

    /// Squared distances of a query in units to every coarse centroid, `[lists]`.
    pub fn coarse_l2(&self, query: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.lists.next_multiple_of(LANES)];
        rows::l2_packed(query, self.table(Table::Coarse), &mut out);
        out.truncate(self.lists);
        out
    }

    /// Inner products of a query in units with every coarse centroid, `[lists]`.
    pub fn coarse_dots(&self, query: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; self.lists.next_multiple_of(LANES)];
        rows::dots_packed_bytes(query, self.table(Table::Coarse), &mut out);
        out.truncate(self.lists);
        out
    }

    /// The query turned as in a cell, `[d]`; unchanged without a cell.
    pub fn turned(&self, query: &[f32], cell: Option<u32>, out: &mut [f32]) {
        self.turn(cell, query, out);
    }

    /// A turned query less the turned centroid of a list, `[d]`.
    pub fn residual(&self, turned: &[f32], list: u32, out: &mut [f32]) {
        let centroid = self.turned_centroid(list).as_chunks::<2>().0;
        for ((out, t), c) in out.iter_mut().zip(turned).zip(centroid) {
            *out = t - f16::decode(u16::from_le_bytes(*c));
        }
    }

    /// Inner product of a turned query with the turned centroid of a list.
    pub fn centroid_dot(&self, turned: &[f32], list: u32) -> f32 {
        kernels::dot_f16(turned, self.turned_centroid(list))
    }

    /// Squared distances of the parts of a residual to level 1, `[m]` tables.
    pub fn l2_tables(&self, residual: &[f32], out: &mut [[f32; LANES]]) {
        rows::l2_tables(residual, self.table(Table::Parents), &mut out[..self.m]);
    }

    /// [`l2_tables`](Self::l2_tables) in steps, as the bytes of a scan, 16 a part.
    pub fn l2_levels(&self, residual: &[f32], inverse_step: f32, out: &mut [u8]) {
        rows::l2_levels(residual, self.table(Table::Parents), self.m, inverse_step, out);
    }

    /// Inner products of the parts of a turned query with level 1, signs turned, `[m]` tables.
    pub fn dot_tables(&self, turned: &[f32], out: &mut [[f32; LANES]]) {
        rows::dot_tables(turned, self.table(Table::Parents), &mut out[..self.m]);
    }

    /// The codes of a row, gathered for [`l2`](Self::l2) and [`dot`](Self::dot): half floats of levels 1 and 2 into
    /// `buffer`, `[2 d]`.
    pub fn gather(&self, code: &[u8], buffer: &mut [u8]) {
        let members = self.table(Table::Members);
        let (short, longer) = (self.dim / self.m, self.dim % self.m);
        if self.levels >= Levels::Two && longer == 0 && short == 2 {
            // Two components a part, the usual case at 64 bytes: one word each.
            let members = members.as_chunks::<4>().0.as_chunks::<256>().0;
            for ((out, table), code) in buffer.as_chunks_mut::<4>().0.iter_mut().zip(members).zip(code) {
                *out = table[usize::from(*code)];
            }
            return;
        }
        if self.levels >= Levels::Two && longer == 0 && short == 4 {
            let members = members.as_chunks::<8>().0.as_chunks::<256>().0;
            for ((out, table), code) in buffer.as_chunks_mut::<8>().0.iter_mut().zip(members).zip(code) {
                *out = table[usize::from(*code)];
            }
            return;
        }
        if self.levels >= Levels::Two && short < 4 {
            // Up to 4 components: 8 bytes are copied, the next part covers what was too much.
            let (mut from, mut out) = (0, 0);
            for (j, &code) in code.iter().enumerate().take(self.m) {
                let len = 2 * (short + usize::from(j < longer));
                let at = from + usize::from(code) * len;
                match (members.get(at..at + 8), buffer.get_mut(out..out + 8)) {
                    (Some(member), Some(place)) => place.copy_from_slice(member),
                    // The last parts: what they have and no more.
                    _ => {
                        let (member, place) = (members.get(at..at + len), buffer.get_mut(out..out + len));
                        if let Some((place, member)) = place.zip(member) {
                            place.copy_from_slice(member);
                        }
                    }
                }
                from += 256 * len;
                out += len;
            }
            return;
        }
        for (j, &code) in code.iter().enumerate().take(self.m) {
            let part = self.part(j);
            let Some(out) = buffer.get_mut(part.start * 2..part.end * 2) else { return };
            if self.levels >= Levels::Two {
                let member = self.member(j, code);
                if member.len() == out.len() {
                    out.copy_from_slice(member);
                }
            } else {
                let parents = self.table(Table::Parents).as_chunks::<4>().0;
                for (i, out) in part.zip(out.as_chunks_mut::<2>().0) {
                    let value = parents.get(i * LANES + usize::from(code & 15));
                    *out = f16::encode(value.map_or(0.0, |b| f32::from_le_bytes(*b))).to_le_bytes();
                }
            }
        }
    }

    /// Level-3 values of packed codes, two a byte, low half first, into `out`, `[d]`.
    pub fn steps(&self, packed: &[u8], out: &mut [f32]) {
        let steps = self.table(Table::Steps).as_chunks::<4>().0;
        for (i, (out, step)) in out.iter_mut().zip(steps).enumerate() {
            let byte = packed.get(i / 2).copied().unwrap_or_default();
            let code = if i % 2 == 0 { byte & 15 } else { byte >> 4 };
            *out = step_value(code, f32::from_le_bytes(*step));
        }
    }

    /// Squared distance of a residual to gathered codes.
    pub fn l2(&self, residual: &[f32], gathered: &[u8]) -> f32 {
        rows::l2_f16(residual, gathered)
    }

    /// Inner product of a turned query with gathered codes.
    pub fn dot(&self, turned: &[f32], gathered: &[u8]) -> f32 {
        kernels::dot_f16(turned, gathered)
    }
}

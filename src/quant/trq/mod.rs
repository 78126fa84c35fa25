//! Transformed residual quantization (Yuan and Liu 2015), with the coarse step of inverted lists (Jégou, Douze and
//! Schmid 2011, section IV).
//!
//! A vector belongs to the list of its nearest coarse centroid. Lists near one another form a cell, and each cell has a
//! rotation R that lays the axes of its residuals over those of every other cell, so that one product codebook serves
//! all. With `z = Rᵀ x` and the centroid turned likewise, `y = z − Rᵀ c` is coded part by part:
//! - level 1: 16 centroids a part, 4 bits: what a scan sums in registers;
//! - level 2: those 16 are families of 256, 8 bits: the high half of a byte is level 1, so no byte is kept twice;
//! - level 3: 4 bits a component for what level 2 leaves, in steps fitted to each component;
//! - kept: instead of level 3 the vector itself, as half floats.
//!
//! One list and one cell is OPQ; no cells at all (rotations left out) is residual PQ. Cells are fewer than lists (64 for
//! 1,024) because a rotation costs d² bytes and d² products a query; one made of k reflections costs k·d of both and lays
//! the k widest axes only (`quant/reflections.rs`).

mod encode;
mod scan;
#[cfg(test)]
mod tests;
mod train;

pub use encode::TrqEncoder;
pub use train::{Trained, TrqParams};

use super::{MAX_DIM, OpenQuantizerError, part, reflections, rotation};
use crate::kernels::{LANES, f16, scan::MAX_TABLES};
use std::borrow::Cow;
use std::ops::Range;

/// Bytes before the first table.
pub const TRQ_HEADER_LEN: usize = 32;
/// Most lists.
pub const MAX_LISTS: usize = 65_536;
/// Steps of a component at level 3.
const STEPS: u8 = 16;
/// Largest component of the middle of kept vectors, in their units: 2⁹⁹ such units are more than any f32.
const FARTHEST: f32 = (1 << 30) as f32;

/// How much of a vector is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Levels {
    /// 4 bits a part.
    One = 1,
    /// 8 bits a part, of which 4 can be scanned alone.
    Two = 2,
    /// 8 bits a part and 4 bits a component.
    Three = 3,
    /// 8 bits a part and the vector itself, 2 bytes a component: half floats of how far it lies from the middle of all, in
    /// units of about their deviation. Components 65,504 units and further from the middle are kept as if they were there.
    Kept = 4,
}

impl Levels {
    /// `1`, `2`, `3` or `kept`.
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
            Self::Kept => "kept",
        }
    }

    fn of(number: u32) -> Option<Self> {
        [Self::One, Self::Two, Self::Three, Self::Kept].into_iter().find(|l| *l as u32 == number)
    }
}

/// A trained quantizer; borrows its tables when read from a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct Trq<'a> {
    dim: usize,
    m: usize,
    lists: usize,
    cells: usize,
    /// Of each cell's rotation; 0 if it is kept whole.
    reflections: usize,
    levels: Levels,
    /// What a component is divided by before anything else.
    unit: f32,
    bytes: Cow<'a, [u8]>,
}

/// The tables, in file order.
#[derive(Clone, Copy)]
enum Table {
    Cells,
    Coarse,
    Turned,
    Rotations,
    Parents,
    Members,
    Steps,
    /// Middle and unit of vectors that are kept.
    Kept,
}

impl<'a> Trq<'a> {
    /// Reads what [`to_bytes`](Self::to_bytes) wrote, borrowing the tables.
    ///
    /// # Errors
    /// [`OpenQuantizerError`]
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, OpenQuantizerError> {
        let found = bytes.len() as u64;
        let Some(head) = bytes.first_chunk::<TRQ_HEADER_LEN>() else {
            return Err(OpenQuantizerError::Length { expected: TRQ_HEADER_LEN as u64, found });
        };
        let word = |i: usize| head.as_chunks().0.get(i).map_or([0; 4], |b| *b);
        let [dim, m, lists, cells, levels, turns] = [0, 1, 2, 3, 4, 6].map(|i| u32::from_le_bytes(word(i)));
        let unit = f32::from_le_bytes(word(5));
        let counts = OpenQuantizerError::Counts { dim, bytes: m, k: lists };
        let (d, parts, k, c) = (dim as usize, m as usize, lists as usize, cells as usize);
        let sound = (1..=MAX_DIM).contains(&d)
            && (1..=d.min(MAX_TABLES)).contains(&parts)
            && (1..=MAX_LISTS).contains(&k)
            && c <= k
            && (1e-30..1e30).contains(&unit)
            && turns as usize <= if c > 0 { d } else { 0 }
            && word(7) == [0; 4];
        let (true, Some(levels)) = (sound, Levels::of(levels)) else { return Err(counts) };
        let reflections = turns as usize;
        let trq = Self {
            dim: d,
            m: parts,
            lists: k,
            cells: c,
            reflections,
            levels,
            unit,
            bytes: Cow::Borrowed(bytes),
        };
        // At most 65,536 · 8,192 · 4 bytes a table: no overflow of u64, and usize is compared only once it fits.
        let expected = trq.ends().last().copied().unwrap_or_default();
        if expected != found {
            return Err(OpenQuantizerError::Length { expected, found });
        }
        if !trq.cell_starts_rise() {
            return Err(counts);
        }
        // Products of a query with the middle stay finite.
        let near = |m: f32| m.abs() <= FARTHEST;
        if levels == Levels::Kept && !((1e-30..1e30).contains(&trq.kept_unit()) && trq.middle().all(near)) {
            return Err(OpenQuantizerError::Kept);
        }
        Ok(trq)
    }

    /// Header and tables.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// End of each table, counted from the start of the header.
    fn ends(&self) -> [u64; 8] {
        let [d, lists, cells] = [self.dim, self.lists, self.cells].map(|v| v as u64);
        let rotations = cells * self.rotation_len() as u64;
        let lens = [
            4 * (cells + 1),
            lists.next_multiple_of(LANES as u64) * d * 4,
            lists * d * 2,
            rotations,
            16 * d * 4,
            if self.levels >= Levels::Two { 256 * d * 2 } else { 0 },
            if self.levels == Levels::Three { d * 4 } else { 0 },
            if self.levels == Levels::Kept { (d + 1) * 4 } else { 0 },
        ];
        let mut end = TRQ_HEADER_LEN as u64;
        lens.map(|len| {
            end += len;
            end
        })
    }

    fn table(&self, table: Table) -> &[u8] {
        let ends = self.ends();
        let at = table as usize;
        let start = if at == 0 { TRQ_HEADER_LEN as u64 } else { ends[at - 1] };
        self.bytes.get(start as usize..ends[at] as usize).unwrap_or_default()
    }

    /// Whether the lists of the cells follow one another and are all there.
    fn cell_starts_rise(&self) -> bool {
        let starts: Vec<u32> = self.cell_starts().collect();
        match self.cells {
            0 => starts == [0],
            _ => {
                starts.first() == Some(&0)
                    && starts.last() == Some(&(self.lists as u32))
                    && starts.is_sorted()
            }
        }
    }

    fn cell_starts(&self) -> impl Iterator<Item = u32> + '_ {
        self.table(Table::Cells).as_chunks().0.iter().map(|b| u32::from_le_bytes(*b))
    }

    /// Components of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Parts of a vector.
    pub fn parts(&self) -> usize {
        self.m
    }

    /// Coarse centroids.
    pub fn lists(&self) -> usize {
        self.lists
    }

    /// Rotations; 0 if vectors are not turned.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// What is coded.
    pub fn levels(&self) -> Levels {
        self.levels
    }

    /// What a component is divided by: distances of codes are smaller than true ones by its square.
    pub fn unit(&self) -> f32 {
        self.unit
    }

    /// Bytes of a code before it is packed: one a part; one a component at level 3, two where vectors are kept.
    pub fn code_len(&self) -> usize {
        self.m
            + match self.levels {
                Levels::One | Levels::Two => 0,
                Levels::Three => self.dim,
                Levels::Kept => self.dim * 2,
            }
    }

    /// Bytes of the second half of a code, if there is one, and of level 3 or the vector kept.
    pub fn tail_len(&self) -> usize {
        let members = self.m.div_ceil(2);
        match self.levels {
            Levels::One => 0,
            Levels::Two => members,
            Levels::Three => members + self.dim.div_ceil(2),
            Levels::Kept => members + self.dim * 2,
        }
    }

    /// Reflections that each rotation is made of; 0 if rotations are kept whole.
    pub fn reflections(&self) -> usize {
        self.reflections
    }

    /// The rotation cell of a list; `None` if vectors are not turned.
    pub fn cell(&self, list: u32) -> Option<u32> {
        if self.cells == 0 {
            return None;
        }
        let starts = self.table(Table::Cells).as_chunks::<4>().0;
        // The last cell that starts at or before the list: empty cells before it start there too.
        let after = starts.partition_point(|b| u32::from_le_bytes(*b) <= list);
        Some(after.clamp(1, self.cells) as u32 - 1)
    }

    fn part(&self, j: usize) -> Range<usize> {
        part(self.dim, self.m, j)
    }

    /// The stored rotation of a cell.
    fn rotation(&self, cell: u32) -> &[u8] {
        self.table(Table::Rotations).chunks_exact(self.rotation_len()).nth(cell as usize).unwrap_or_default()
    }

    /// Bytes of a stored rotation.
    fn rotation_len(&self) -> usize {
        match self.reflections {
            0 => rotation::stored_len(self.dim),
            count => reflections::stored_len(self.dim, count),
        }
    }

    /// `x` turned as in a cell, `[d]`; unchanged without one.
    fn turn(&self, cell: Option<u32>, x: &[f32], out: &mut [f32]) {
        turn(cell.map(|cell| self.rotation(cell)), self.reflections, x, out);
    }

    /// The turned centroid of a list, half floats.
    fn turned_centroid(&self, list: u32) -> &[u8] {
        self.table(Table::Turned).chunks_exact(self.dim * 2).nth(list as usize).unwrap_or_default()
    }

    /// Half floats of a member of part `j`.
    fn member(&self, j: usize, code: u8) -> &[u8] {
        let part = self.part(j);
        let at = 256 * part.start + usize::from(code) * part.len();
        self.table(Table::Members).get(at * 2..(at + part.len()) * 2).unwrap_or_default()
    }

    /// The vector that a code of a list stands for, `[d]`. `code` is as [`TrqEncoder::encode`] made it.
    pub fn decode(&self, list: u32, code: &[u8]) -> Vec<f32> {
        if self.levels == Levels::Kept {
            let kept = f16::from_bytes(code.get(self.m..).unwrap_or_default());
            let kept = kept.into_iter().chain(std::iter::repeat(0.0));
            let unit = self.kept_unit();
            return self.middle().zip(kept).map(|(m, v)| (m + v) * unit).collect();
        }
        self.restore(list, &self.decode_turned(code))
    }

    /// What components are divided by where vectors are kept.
    pub fn kept_unit(&self) -> f32 {
        let table = self.table(Table::Kept).as_chunks::<4>().0;
        table.get(self.dim).map_or(1.0, |b| f32::from_le_bytes(*b))
    }

    /// The middle of the vectors where they are kept, in units of [`kept_unit`](Self::kept_unit), `[d]`.
    pub fn middle(&self) -> impl Iterator<Item = f32> + '_ {
        self.table(Table::Kept).as_chunks::<4>().0.iter().take(self.dim).map(|b| f32::from_le_bytes(*b))
    }

    /// The vector of which [`TrqEncoder::residuals`] left `y` in a list, `[d]`.
    pub fn restore(&self, list: u32, y: &[f32]) -> Vec<f32> {
        let mut x = match self.cell(list) {
            Some(cell) if self.reflections > 0 => reflections::invert(self.rotation(cell), y),
            Some(cell) => rotation::invert(self.rotation(cell), y),
            None => y.to_vec(),
        };
        // The centroid as it was before it was turned: rotations of bytes would not bring it back exactly.
        let coarse = self.table(Table::Coarse).as_chunks::<4>().0;
        let (block, lane) = (list as usize / LANES, list as usize % LANES);
        for (i, x) in x.iter_mut().enumerate() {
            let centroid = coarse.get((block * self.dim + i) * LANES + lane);
            *x = (*x + centroid.map_or(0.0, |c| f32::from_le_bytes(*c))) * self.unit;
        }
        x
    }

    /// What a code stands for before it is turned back and the centroid is added, `[d]`.
    fn decode_turned(&self, code: &[u8]) -> Vec<f32> {
        let mut y = self.decode_parts(code);
        let steps = self.table(Table::Steps).as_chunks::<4>().0;
        for (i, (y, step)) in y.iter_mut().zip(steps).enumerate() {
            let level = code.get(self.m + i).copied().unwrap_or_default();
            *y += step_value(level, f32::from_le_bytes(*step));
        }
        y
    }

    /// Levels 1 and 2 of a code.
    fn decode_parts(&self, code: &[u8]) -> Vec<f32> {
        let mut y = vec![0.0; self.dim];
        for j in 0..self.m {
            let (part, byte) = (self.part(j), code.get(j).copied().unwrap_or_default());
            if self.levels == Levels::One {
                let parents = self.table(Table::Parents).as_chunks::<4>().0;
                for (i, y) in part.clone().zip(&mut y[part]) {
                    let v = parents.get(i * LANES + usize::from(byte & 15));
                    *y = v.map_or(0.0, |b| f32::from_le_bytes(*b));
                }
            } else {
                for (y, v) in y[part].iter_mut().zip(f16::from_bytes(self.member(j, byte))) {
                    *y = v;
                }
            }
        }
        y
    }
}

/// `x` turned by a stored rotation, of so many reflections or whole (0); unchanged without one.
fn turn(stored: Option<&[u8]>, reflections: usize, x: &[f32], out: &mut [f32]) {
    match stored {
        None => out.copy_from_slice(x),
        Some(stored) if reflections > 0 => reflections::apply(stored, x, out),
        Some(stored) => rotation::apply(stored, x, out),
    }
}

/// The value of a level-3 code.
fn step_value(code: u8, step: f32) -> f32 {
    (f32::from(code & (STEPS - 1)) - f32::from(STEPS - 1) / 2.0) * step
}

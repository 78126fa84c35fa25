//! Local descriptors as whole numbers: 8 bits of a query, 4 bits of a catalogue picture.
//!
//! | a picture's cells | bytes |
//! |---|---|
//! | numbers | cells · width / 2: signed 4-bit numbers, −7 to 7, the lower half of a byte first; of each cell the largest is ±7 |
//! | lengths | cells: of each cell, 255 for the longest of the picture; all 0: the picture has no cells |

use crate::embedding::Cells;
use crate::pack::CellLayout;

/// Largest number in 4 bits and in 8.
const MOST_4: f32 = 7.0;
const MOST_8: f32 = 127.0;

/// A catalogue picture's cells as bytes; zeros, which stand for none, without cells or with others than these.
pub fn stored(layout: &CellLayout, cells: Option<&Cells>) -> Vec<u8> {
    let Some(cells) = cells.filter(|c| c.len() == layout.cells() && c.width() == usize::from(layout.width))
    else {
        return vec![0; layout.bytes()];
    };
    let mut out = Vec::with_capacity(layout.bytes());
    for cell in cells.iter() {
        let scale = scale(cell, MOST_4);
        let nibble = |value: f32| (value * scale).round() as i8 as u8 & 15;
        out.extend(cell.chunks_exact(2).map(|two| nibble(two[0]) | nibble(two[1]) << 4));
    }
    let lengths: Vec<f32> = cells.iter().map(length).collect();
    let longest = lengths.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    // At least 1 where there is something, so that a picture with cells never reads as one without.
    out.extend(
        lengths.iter().map(|&l| if l > 0.0 { (l / longest * 255.0).round().max(1.0) as u8 } else { 0 }),
    );
    out
}

/// The cells of a picture, ready to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct CellCodes {
    pub(super) width: usize,
    /// `[cells, width]`
    pub(super) values: Vec<i8>,
    /// One over the length of each cell's values; 0 for a cell of zeros.
    pub(super) inverse: Vec<f32>,
    /// How much each cell stands out; their sum is 1.
    pub(super) weights: Vec<f32>,
}

impl CellCodes {
    /// Those of a query.
    pub fn of(cells: &Cells) -> Self {
        let mut values = Vec::with_capacity(cells.len() * cells.width());
        for cell in cells.iter() {
            let scale = scale(cell, MOST_8);
            values.extend(cell.iter().map(|value| (value * scale).round() as i8));
        }
        Self::new(cells.width(), values, cells.iter().map(length).collect())
    }

    /// Those of a catalogue picture, from the bytes that [`stored`] made; `None` if it has none, or the bytes
    /// are not of this layout.
    pub fn read(layout: &CellLayout, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != layout.bytes() {
            return None;
        }
        let (numbers, lengths) = bytes.split_at(bytes.len() - layout.cells());
        if lengths.iter().all(|&l| l == 0) {
            return None;
        }
        let nibble = |half: u8| (half << 4) as i8 >> 4;
        let values = numbers.iter().flat_map(|&byte| [nibble(byte), nibble(byte >> 4)]).collect();
        Some(Self::new(layout.width.into(), values, lengths.iter().map(|&l| f32::from(l)).collect()))
    }

    fn new(width: usize, values: Vec<i8>, mut weights: Vec<f32>) -> Self {
        let square = |cell: &[i8]| cell.iter().map(|&v| i32::from(v) * i32::from(v)).sum::<i32>();
        let inverse = |cell: &[i8]| if square(cell) == 0 { 0.0 } else { 1.0 / (square(cell) as f32).sqrt() };
        let inverse = values.chunks_exact(width).map(inverse).collect();
        let sum = weights.iter().sum::<f32>().max(f32::MIN_POSITIVE);
        weights.iter_mut().for_each(|w| *w /= sum);
        Self { width, values, inverse, weights }
    }

    /// Cells.
    pub(super) fn len(&self) -> usize {
        self.inverse.len()
    }
}

fn length(cell: &[f32]) -> f32 {
    crate::kernels::length(cell).min(f64::from(f32::MAX)) as f32
}

/// What brings a cell's largest number to `most`; 0 for a cell of zeros.
fn scale(cell: &[f32], most: f32) -> f32 {
    let largest = cell.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    if largest > f32::MIN_POSITIVE * most { most / largest } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYOUT: CellLayout = CellLayout { side: 2, width: 6 };

    fn cells() -> impl Strategy<Value = Cells> {
        prop::collection::vec(-9.0f32..9.0, 24).prop_map(|values| Cells::new(values, 6).unwrap())
    }

    proptest! {
        #[test]
        fn stored_cells_point_where_they_did(cells in cells()) {
            let bytes = stored(&LAYOUT, Some(&cells));
            prop_assert_eq!(bytes.len(), LAYOUT.bytes());
            let stored = CellCodes::read(&LAYOUT, &bytes).unwrap();
            prop_assert!((stored.weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            for (codes, bits) in [(&stored, MOST_4), (&CellCodes::of(&cells), MOST_8)] {
                for (cell, at) in cells.iter().zip(0..) {
                    let largest = cell.iter().fold(0.0f32, |m, v| m.max(v.abs()));
                    for (value, code) in cell.iter().zip(&codes.values[at * 6..]) {
                        let back = f32::from(*code) * largest / bits;
                        prop_assert!((value - back).abs() <= 0.501 * largest / bits, "{} {}", value, back);
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_cells_or_none(bytes in prop::collection::vec(any::<u8>(), LAYOUT.bytes())) {
            let none = bytes[12..].iter().all(|&b| b == 0);
            let read = CellCodes::read(&LAYOUT, &bytes);
            prop_assert_eq!(read.is_none(), none);
            if let Some(codes) = read {
                prop_assert!(codes.inverse.iter().chain(&codes.weights).all(|v| v.is_finite()));
            }
        }
    }

    #[test]
    fn pictures_without_cells_read_as_none() {
        let none = stored(&LAYOUT, None);
        assert_eq!(none, vec![0; 16]);
        assert!(CellCodes::read(&LAYOUT, &none).is_none());
        assert!(CellCodes::read(&LAYOUT, &none[1..]).is_none());
        let other = Cells::new(vec![1.0; 12], 6).unwrap();
        assert_eq!(stored(&LAYOUT, Some(&other)), none);
        // A blank cell beside others stays blank.
        let mut values = vec![0.0; 24];
        values[23] = -3.0;
        let stored =
            CellCodes::read(&LAYOUT, &stored(&LAYOUT, Some(&Cells::new(values, 6).unwrap()))).unwrap();
        assert_eq!(stored.inverse, [0.0, 0.0, 0.0, 1.0 / 7.0]);
        assert_eq!(stored.weights, [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(stored.values[18..], [0, 0, 0, 0, 0, -7]);
    }

    #[test]
    fn tiny_and_huge_cells_stay_finite() {
        for size in [1e-38f32, 1e-44, 3e38] {
            let cells = Cells::new(vec![size; 24], 6).unwrap();
            let stored = stored(&LAYOUT, Some(&cells));
            for codes in
                [Some(CellCodes::of(&cells)), CellCodes::read(&LAYOUT, &stored)].into_iter().flatten()
            {
                assert!(codes.inverse.iter().chain(&codes.weights).all(|v| v.is_finite()), "{size}");
            }
        }
    }
}

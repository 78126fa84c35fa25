//! Local descriptors of the catalogue's pictures, a row of bytes for each row of the image index.
//!
//! | offset | bytes | field | meaning |
//! |---:|---:|---|---|
//! | 0 | 2 | version | 1 |
//! | 2 | 2 | bits | 4 |
//! | 4 | 2 | side | cells a side of the grid |
//! | 6 | 2 | width | numbers a cell, even |
//! | 8 | 4 | rows | rows |
//! | 12 | 4 | reserved | 0 |
//! | 16 | side² · (width / 2 + 1) · rows | data | rows |

const HEADER: usize = 16;
const VERSION: u16 = 1;
const BITS: u16 = 4;

/// What the pictures of a pack have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellLayout {
    /// Cells a side of the grid.
    pub side: u16,
    /// Numbers a cell, even.
    pub width: u16,
}

impl CellLayout {
    /// Cells of a picture.
    pub fn cells(&self) -> usize {
        usize::from(self.side) * usize::from(self.side)
    }

    /// Bytes of a picture.
    pub fn bytes(&self) -> usize {
        self.cells() * (usize::from(self.width) / 2 + 1)
    }
}

/// The local descriptors of a pack's pictures.
#[derive(Clone, Copy, Debug)]
pub struct CellsView<'a> {
    layout: CellLayout,
    rows: &'a [u8],
}

impl<'a> CellsView<'a> {
    /// Checks a section's header and length against the number of rows of the image index.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn open(bytes: &'a [u8], rows: u32) -> Result<Self, String> {
        let Some((head, data)) = bytes.split_at_checked(HEADER) else {
            return Err("its local descriptors end too early".to_owned());
        };
        let two = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let four = |at: usize| u32::from(two(at)) | u32::from(two(at + 2)) << 16;
        let layout = CellLayout { side: two(4), width: two(6) };
        let CellLayout { side, width } = layout;
        if [two(0), two(2)] != [VERSION, BITS]
            || side == 0
            || width == 0
            || !width.is_multiple_of(2)
            || four(12) != 0
        {
            return Err("its local descriptors are of a kind that this version does not read".to_owned());
        }
        if four(8) != rows || Some(data.len()) != layout.bytes().checked_mul(rows as usize) {
            return Err(format!("{} rows of local descriptors for {rows} rows", four(8)));
        }
        Ok(Self { layout, rows: data })
    }

    /// How each row lies.
    pub fn layout(&self) -> CellLayout {
        self.layout
    }

    /// Rows.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> u32 {
        (self.rows.len() / self.layout.bytes()) as u32
    }

    /// The bytes of a row.
    pub fn row(&self, row: u32) -> Option<&'a [u8]> {
        let bytes = self.layout.bytes();
        let from = bytes.checked_mul(row as usize)?;
        self.rows.get(from..from.checked_add(bytes)?)
    }

    /// A section of rows, each as long as every other.
    pub fn to_bytes(layout: CellLayout, rows: u32, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + data.len());
        [VERSION, BITS, layout.side, layout.width].iter().for_each(|n| out.extend(n.to_le_bytes()));
        [rows, 0].iter().for_each(|n| out.extend(n.to_le_bytes()));
        out.extend(data);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: CellLayout = CellLayout { side: 2, width: 4 };

    #[test]
    fn rows_come_back_as_they_went() {
        let data: Vec<u8> = (0..3 * 4 * 3).collect();
        let bytes = CellsView::to_bytes(LAYOUT, 3, &data);
        let view = CellsView::open(&bytes, 3).unwrap();
        assert_eq!((view.layout(), view.layout().bytes()), (LAYOUT, 12));
        assert_eq!(view.row(2), Some(&data[24..]));
        assert_eq!((view.row(3), view.row(u32::MAX)), (None, None));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let bytes = CellsView::to_bytes(LAYOUT, 3, &[0; 36]);
        for rows in [2, 4, u32::MAX] {
            assert!(CellsView::open(&bytes, rows).is_err());
        }
        for at in 0..HEADER {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(CellsView::open(&other, 3).is_err(), "{at}");
        }
        for cut in 0..bytes.len() {
            assert!(CellsView::open(&bytes[..cut], 3).is_err(), "{cut}");
        }
        const HUGE: CellLayout = CellLayout { side: u16::MAX, width: u16::MAX - 1 };
        assert!(CellsView::open(&CellsView::to_bytes(HUGE, u32::MAX, &[]), u32::MAX).is_err());
    }
}

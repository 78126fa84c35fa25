//! One entry of a journal: a product added or deleted.
//!
//! | entry | bytes |
//! |---|---|
//! | add | 1; length of a records section of one product (4 bytes), the section; then for pictures and for texts: rows (4 bytes), bytes a row (4 bytes), the rows as the index's encoder gave them; then, where the pack keeps local descriptors, those of the pictures likewise |
//! | remove | 2; product (4 bytes) |
//! | replace | 3; product (4 bytes) to delete, then as for add |
//!
//! Numbers are little-endian. Products are numbered on from those of the pack, in the order of the entries.

use super::error::EntryError;

const ADD: u8 = 1;
const REMOVE: u8 = 2;
const REPLACE: u8 = 3;

/// A parsed entry, borrowing from its bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Entry<'a> {
    Add { replaces: Option<u32>, record: &'a [u8], rows: [Vec<&'a [u8]>; 2], cells: Vec<&'a [u8]> },
    Remove { product: u32 },
}

impl<'a> Entry<'a> {
    /// Reads an entry. Its rows are checked against the pack when it is applied.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let parse = || {
            let (&kind, mut rest) = bytes.split_first()?;
            let entry = match kind {
                ADD | REPLACE => {
                    let replaces = if kind == REPLACE { Some(take_u32(&mut rest)?) } else { None };
                    let record_len = take_u32(&mut rest)? as usize;
                    let record = take(&mut rest, record_len)?;
                    let rows = [take_rows(&mut rest)?, take_rows(&mut rest)?];
                    let cells = if rest.is_empty() { Vec::new() } else { take_rows(&mut rest)? };
                    Self::Add { replaces, record, rows, cells }
                }
                REMOVE => Self::Remove { product: take_u32(&mut rest)? },
                _ => return None,
            };
            rest.is_empty().then_some(entry)
        };
        parse().ok_or(EntryError::Malformed)
    }

    /// The entry of a product to add, and of one to delete with it.
    pub fn add(replaces: Option<u32>, record: &[u8], rows: &[Vec<Vec<u8>>; 2], cells: &[Vec<u8>]) -> Vec<u8> {
        // A record of 4 GiB or more is refused by the journal long before these casts could lose anything.
        let number = |n: usize| (n as u32).to_le_bytes();
        let mut out = match replaces {
            None => vec![ADD],
            Some(product) => [REPLACE].into_iter().chain(product.to_le_bytes()).collect(),
        };
        out.extend(number(record.len()));
        out.extend(record);
        let cells = (!cells.is_empty()).then_some(cells);
        for rows in rows.iter().map(Vec::as_slice).chain(cells) {
            out.extend(number(rows.len()));
            out.extend(number(rows.first().map_or(0, Vec::len)));
            rows.iter().for_each(|row| out.extend(row));
        }
        out
    }

    /// The entry of a product to delete.
    pub fn remove(product: u32) -> Vec<u8> {
        let mut out = vec![REMOVE];
        out.extend(product.to_le_bytes());
        out
    }
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(len)?;
    *rest = left;
    Some(taken)
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn take_rows<'a>(rest: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let (count, len) = (take_u32(rest)? as usize, take_u32(rest)? as usize);
    if count == 0 {
        return (len == 0).then(Vec::new);
    }
    // An empty row is no row, and would make any count fit.
    let rows = take(rest, count.checked_mul(len)?)?;
    (len > 0).then(|| rows.chunks_exact(len).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn entries_come_back_as_they_went() {
        let rows = [vec![vec![1, 2], vec![3, 4]], vec![]];
        for replaces in [None, Some(4)] {
            for cells in [vec![], vec![vec![5; 3], vec![6; 3]]] {
                let bytes = Entry::add(replaces, b"record", &rows, &cells);
                let rows = [vec![&[1, 2][..], &[3, 4]], vec![]];
                let short = Entry::add(
                    replaces,
                    b"record",
                    &[rows[0].iter().map(|r| r.to_vec()).collect(), vec![]],
                    &[],
                );
                let want = Entry::Add {
                    replaces,
                    record: b"record",
                    rows,
                    cells: cells.iter().map(Vec::as_slice).collect(),
                };
                assert_eq!(Entry::parse(&bytes).unwrap(), want);
                // An entry without its cells is a whole one of a pack that keeps none.
                for cut in (0..bytes.len()).filter(|&cut| cut != short.len()) {
                    assert!(Entry::parse(&bytes[..cut]).is_err(), "{cut}");
                }
                assert!(Entry::parse(&[&bytes[..], &[0]].concat()).is_err());
            }
        }
        let bytes = Entry::remove(7);
        assert_eq!(Entry::parse(&bytes).unwrap(), Entry::Remove { product: 7 });
        assert!(Entry::parse(&bytes[..4]).is_err());
        assert!(Entry::parse(&[9, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn counts_that_lie_are_refused() {
        // 4 billion rows of nothing; more bytes than there are; a length without rows.
        for (count, len) in [(u32::MAX, 0u32), (u32::MAX, u32::MAX), (2, 3), (0, 1)] {
            let mut bytes = vec![ADD, 0, 0, 0, 0];
            bytes.extend([count, len, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
            assert!(Entry::parse(&bytes).is_err(), "{count} {len}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0u8..5) {
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            let _ = Entry::parse(&bytes);
        }
    }
}

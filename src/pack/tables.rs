//! Small integer tables: row to product, GTIN to product, deleted products.
//!
//! Each is checked once when opened, so that a number read later is always a product that exists.

use super::format::Le;
use super::records::MAX_GTIN;

/// Why a table is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Not as long as its counts say, or not a whole number of entries.
    #[error("{found} bytes, which no count of entries makes")]
    Length {
        /// Bytes.
        found: u64,
    },
    /// An entry names a product that does not exist.
    #[error("entry {entry} names product {product}, but there are {count}")]
    Product {
        /// The entry.
        entry: u32,
        /// The product.
        product: u32,
        /// Products in the pack.
        count: u32,
    },
    /// Entries out of order or repeated.
    #[error("entry {entry} is out of order")]
    Order {
        /// The entry.
        entry: u32,
    },
    /// A GTIN that is zero or has more than 14 digits.
    #[error("entry {entry} has a GTIN that is zero or has more than 14 digits")]
    Gtin {
        /// The entry.
        entry: u32,
    },
    /// Reserved bytes or bits past the last product are not zero.
    #[error("unused bits are not zero")]
    Reserved,
    /// The bitmap is for another number of products, or does not hold as many bits as it says.
    #[error("it counts {found}, but there are {expected}")]
    Count {
        /// What it says.
        found: u32,
        /// What is there.
        expected: u32,
    },
}

/// Product of each row of an index: `u32` a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowsView<'a>(&'a [[u8; 4]]);

impl<'a> RowsView<'a> {
    /// Checks that every row names one of `products`.
    ///
    /// # Errors
    /// [`TableError`]
    pub fn open(bytes: &'a [u8], products: u32) -> Result<Self, TableError> {
        let rows = Self::checked(bytes);
        if !bytes.len().is_multiple_of(4) || u32::try_from(rows.0.len()).is_err() {
            return Err(TableError::Length { found: bytes.len() as u64 });
        }
        for (entry, product) in rows.iter().enumerate() {
            if product >= products {
                return Err(TableError::Product { entry: entry as u32, product, count: products });
            }
        }
        Ok(rows)
    }

    pub(super) fn checked(bytes: &'a [u8]) -> Self {
        Self(bytes.as_chunks().0)
    }

    /// Rows.
    pub fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Product of a row.
    pub fn product(&self, row: u32) -> Option<u32> {
        self.0.get(row as usize).map(|b| u32::from_le_bytes(*b))
    }

    /// Product of each row, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.iter().map(|b| u32::from_le_bytes(*b))
    }

    /// Bytes of the section.
    pub fn to_bytes(products: &[u32]) -> Vec<u8> {
        products.iter().flat_map(|p| p.to_le_bytes()).collect()
    }
}

/// Bytes before the first GTIN.
pub const GTINS_HEADER_LEN: usize = 8;

/// GTIN to products: all GTINs in order, then the product of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct GtinView<'a> {
    gtins: &'a [[u8; 8]],
    products: &'a [[u8; 4]],
}

impl<'a> GtinView<'a> {
    /// Checks order, range and products.
    ///
    /// # Errors
    /// [`TableError`]
    pub fn open(bytes: &'a [u8], products: u32) -> Result<Self, TableError> {
        let length = TableError::Length { found: bytes.len() as u64 };
        let le = Le(bytes);
        let (count, reserved) = le.u32(0).zip(le.u32(4)).ok_or(length)?;
        if reserved != 0 {
            return Err(TableError::Reserved);
        }
        if GTINS_HEADER_LEN as u64 + u64::from(count) * 12 != bytes.len() as u64 {
            return Err(length);
        }
        let view = Self::checked(bytes);
        let mut last = (0, 0);
        for (entry, pair) in (0..count).zip(view.pairs()) {
            if pair.0 == 0 || pair.0 > MAX_GTIN {
                return Err(TableError::Gtin { entry });
            }
            if entry > 0 && pair <= last {
                return Err(TableError::Order { entry });
            }
            if pair.1 >= products {
                return Err(TableError::Product { entry, product: pair.1, count: products });
            }
            last = pair;
        }
        Ok(view)
    }

    pub(super) fn checked(bytes: &'a [u8]) -> Self {
        let count = Le(bytes).u32(0).unwrap_or_default() as usize;
        let rest = bytes.get(GTINS_HEADER_LEN..).unwrap_or_default();
        match count.checked_mul(8).and_then(|at| rest.split_at_checked(at)) {
            Some((gtins, products)) => Self { gtins: gtins.as_chunks().0, products: products.as_chunks().0 },
            None => Self::default(),
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (u64, u32)> + use<'a> {
        self.gtins.iter().zip(self.products).map(|(g, p)| (u64::from_le_bytes(*g), u32::from_le_bytes(*p)))
    }

    /// Entries.
    pub fn len(&self) -> u32 {
        self.gtins.len() as u32
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.gtins.is_empty()
    }

    /// The first product with this GTIN.
    pub fn find(&self, gtin: u64) -> Option<u32> {
        self.find_all(gtin).next()
    }

    /// Every product with this GTIN, in order.
    pub fn find_all(&self, gtin: u64) -> impl Iterator<Item = u32> + use<'a> {
        let from = self.gtins.partition_point(|g| u64::from_le_bytes(*g) < gtin);
        let products = self.products.get(from..).unwrap_or_default();
        let same = self.gtins.get(from..).unwrap_or_default();
        let same = same.iter().take_while(move |g| u64::from_le_bytes(**g) == gtin);
        same.zip(products).map(|(_, p)| u32::from_le_bytes(*p))
    }

    /// Bytes of the section. Pairs are sorted and repeated ones dropped.
    pub fn to_bytes(mut pairs: Vec<(u64, u32)>) -> Vec<u8> {
        pairs.sort_unstable();
        pairs.dedup();
        let mut out = Vec::with_capacity(GTINS_HEADER_LEN + pairs.len() * 12);
        out.extend((pairs.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend(pairs.iter().flat_map(|p| p.0.to_le_bytes()));
        out.extend(pairs.iter().flat_map(|p| p.1.to_le_bytes()));
        out
    }
}

/// Bytes before the first bit.
pub const TOMBSTONES_HEADER_LEN: usize = 8;

/// Which products are deleted: one bit a product.
#[derive(Clone, Copy, Debug, Default)]
pub struct TombstonesView<'a> {
    bits: &'a [u8],
    deleted: u32,
}

impl<'a> TombstonesView<'a> {
    /// Checks length, count and unused bits.
    ///
    /// # Errors
    /// [`TableError`]
    pub fn open(bytes: &'a [u8], products: u32) -> Result<Self, TableError> {
        let le = Le(bytes);
        let length = TableError::Length { found: bytes.len() as u64 };
        let (count, deleted) = le.u32(0).zip(le.u32(4)).ok_or(length)?;
        if count != products {
            return Err(TableError::Count { found: count, expected: products });
        }
        let view = Self::checked(bytes);
        if view.bits.len() as u64 != u64::from(count).div_ceil(8) {
            return Err(length);
        }
        let unused = !count.is_multiple_of(8) && view.bits.last().is_some_and(|b| b >> (count % 8) != 0);
        if unused {
            return Err(TableError::Reserved);
        }
        let set = view.bits.iter().map(|b| b.count_ones()).sum();
        if set != deleted {
            return Err(TableError::Count { found: deleted, expected: set });
        }
        Ok(view)
    }

    pub(super) fn checked(bytes: &'a [u8]) -> Self {
        let bits = bytes.get(TOMBSTONES_HEADER_LEN..).unwrap_or_default();
        Self { bits, deleted: Le(bytes).u32(4).unwrap_or_default() }
    }

    /// Deleted products.
    pub fn deleted(&self) -> u32 {
        self.deleted
    }

    /// Whether a product is deleted.
    pub fn contains(&self, product: u32) -> bool {
        self.bits.get(product as usize / 8).is_some_and(|b| b >> (product % 8) & 1 == 1)
    }

    /// Bytes of the section; numbers at or past `products` are ignored.
    pub fn to_bytes(products: u32, deleted: impl IntoIterator<Item = u32>) -> Vec<u8> {
        let mut bits = vec![0u8; (products as usize).div_ceil(8)];
        for p in deleted.into_iter().filter(|&p| p < products) {
            bits[p as usize / 8] |= 1 << (p % 8);
        }
        let count: u32 = bits.iter().map(|b| b.count_ones()).sum();
        let mut out = Vec::with_capacity(TOMBSTONES_HEADER_LEN + bits.len());
        out.extend(products.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(bits);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows() {
        let bytes = RowsView::to_bytes(&[0, 2, 1]);
        let view = RowsView::open(&bytes, 3).unwrap();
        assert_eq!((view.len(), view.product(1), view.product(3)), (3, Some(2), None));
        let want = TableError::Product { entry: 1, product: 2, count: 2 };
        assert_eq!(RowsView::open(&bytes, 2).unwrap_err(), want);
        assert_eq!(RowsView::open(&bytes[..11], 3).unwrap_err(), TableError::Length { found: 11 });
        assert!(RowsView::open(&[], 0).unwrap().is_empty());
    }

    #[test]
    fn gtins() {
        let bytes = GtinView::to_bytes(vec![(9, 1), (5, 2), (5, 0), (5, 0)]);
        let view = GtinView::open(&bytes, 3).unwrap();
        assert_eq!(view.find_all(5).collect::<Vec<_>>(), [0, 2]);
        assert_eq!((view.find(9), view.find(6), view.find(u64::MAX)), (Some(1), None, None));
        assert!(matches!(GtinView::open(&bytes, 2), Err(TableError::Product { entry: 1, .. })));
        for len in 0..bytes.len() {
            assert!(GtinView::open(&bytes[..len], 3).is_err());
        }
        let poke = |at: usize, value: u8| {
            let mut b = bytes.clone();
            b[at] = value;
            GtinView::open(&b, 3).unwrap_err()
        };
        assert_eq!(poke(4, 1), TableError::Reserved);
        assert_eq!(poke(8, 0), TableError::Gtin { entry: 0 });
        assert_eq!(poke(15, 1), TableError::Gtin { entry: 0 });
        assert_eq!(poke(8, 6), TableError::Order { entry: 1 });
        assert_eq!(poke(32, 2), TableError::Order { entry: 1 });
    }

    #[test]
    fn tombstones() {
        let bytes = TombstonesView::to_bytes(10, [0, 9, 9, 10]);
        let view = TombstonesView::open(&bytes, 10).unwrap();
        assert_eq!(view.deleted(), 2);
        assert_eq!((0..12).filter(|&p| view.contains(p)).collect::<Vec<_>>(), [0, 9]);
        assert!(matches!(TombstonesView::open(&bytes, 9), Err(TableError::Count { .. })));
        let poke = |at: usize, value: u8| {
            let mut b = bytes.clone();
            b[at] = value;
            TombstonesView::open(&b, 10).unwrap_err()
        };
        assert_eq!(poke(4, 3), TableError::Count { found: 3, expected: 2 });
        assert_eq!(poke(9, 0b110), TableError::Reserved);
        for len in 0..bytes.len() {
            assert!(TombstonesView::open(&bytes[..len], 10).is_err());
        }
        assert_eq!(TombstonesView::default().deleted(), 0);
        assert!(!TombstonesView::default().contains(0));
    }
}

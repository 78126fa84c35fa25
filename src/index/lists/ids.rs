//! Rising row numbers in about `2 + log2(rows / n)` bits each (Elias 1974; Fano 1971): low bits as they are, high bits
//! as the gaps between ones of a bitmap.

/// Low bits of each of `n` numbers below `rows`.
fn low_bits(n: u64, rows: u64) -> u32 {
    rows.checked_div(n).map_or(0, |gap| gap.max(1).ilog2())
}

fn low_len(n: u64, low: u32) -> u64 {
    (n * u64::from(low)).div_ceil(8)
}

/// Bytes of `n` numbers below `rows`; all of them take none.
pub(super) fn len(n: u64, rows: u64) -> u64 {
    if n == 0 || n == rows {
        return 0;
    }
    let low = low_bits(n, rows);
    low_len(n, low) + (n + (rows >> low)).div_ceil(8)
}

/// Bytes of strictly rising numbers below `rows`.
pub(super) fn encode(ids: &[u32], rows: u32) -> Vec<u8> {
    let (n, rows) = (ids.len() as u64, u64::from(rows));
    let mut out = vec![0; len(n, rows) as usize];
    if out.is_empty() {
        return out;
    }
    let low = low_bits(n, rows);
    let high_at = low_len(n, low) * 8;
    let mut set = |bit: u64| out[(bit / 8) as usize] |= 1 << (bit % 8);
    for (i, &id) in ids.iter().enumerate() {
        let (i, id) = (i as u64, u64::from(id));
        for b in (0..low).filter(|b| id >> b & 1 == 1) {
            set(i * u64::from(low) + u64::from(b));
        }
        set(high_at + (id >> low) + i);
    }
    out
}

/// Encoded numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids<'a> {
    bytes: &'a [u8],
    n: u64,
    rows: u64,
}

impl<'a> Ids<'a> {
    pub fn new(bytes: &'a [u8], n: u32, rows: u32) -> Self {
        Self { bytes, n: u64::from(n), rows: u64::from(rows) }
    }

    /// Number `i`. Broken bytes give a number that is not right, but below `rows` (0 if there are none).
    pub fn get(&self, i: u32) -> u32 {
        if self.n == self.rows {
            return i;
        }
        let low = low_bits(self.n, self.rows);
        let high = self.high(low);
        // The place of the i-th one.
        let mut left = i;
        let mut place = 0;
        for (at, bytes) in high.chunks(8).enumerate() {
            let mut word = word(bytes);
            let ones = word.count_ones();
            if left >= ones {
                left -= ones;
                continue;
            }
            for _ in 0..left {
                word &= word - 1;
            }
            place = at as u64 * 64 + u64::from(word.trailing_zeros());
            break;
        }
        self.joined(u64::from(i), place, low)
    }

    /// Calls `f` with each number in order.
    pub fn for_each(&self, mut f: impl FnMut(u32, u32)) {
        if self.n == self.rows {
            (0..self.n as u32).for_each(|i| f(i, i));
            return;
        }
        let low = low_bits(self.n, self.rows);
        let mut i = 0;
        for (at, bytes) in self.high(low).chunks(8).enumerate() {
            let mut word = word(bytes);
            while word != 0 && i < self.n {
                let place = at as u64 * 64 + u64::from(word.trailing_zeros());
                f(i as u32, self.joined(i, place, low));
                word &= word - 1;
                i += 1;
            }
        }
    }

    fn high(&self, low: u32) -> &'a [u8] {
        self.bytes.get(low_len(self.n, low) as usize..).unwrap_or_default()
    }

    fn joined(&self, i: u64, place: u64, low: u32) -> u32 {
        let at = i * u64::from(low);
        let word = word(self.bytes.get((at / 8) as usize..).unwrap_or_default());
        // low is at most 32, and 7 bits of shift leave 57.
        let low_part = word >> (at % 8) & ((1 << low) - 1);
        let id = (place.saturating_sub(i) << low) | low_part;
        id.min(self.rows.saturating_sub(1)) as u32
    }
}

/// The first 8 bytes, or fewer and zeros.
fn word(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(all) => u64::from_le_bytes(*all),
        None => bytes.iter().enumerate().fold(0, |w, (i, b)| w | u64::from(*b) << (8 * i)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(ids in prop::collection::btree_set(0u32..5000, 0..300), more in 0u32..100_000) {
            let ids: Vec<u32> = ids.into_iter().collect();
            let rows = ids.last().map_or(0, |l| l + 1) + more;
            let bytes = encode(&ids, rows);
            prop_assert_eq!(bytes.len() as u64, len(ids.len() as u64, u64::from(rows)));
            let view = Ids::new(&bytes, ids.len() as u32, rows);
            for (i, &id) in ids.iter().enumerate() {
                prop_assert_eq!(view.get(i as u32), id);
            }
            let mut all = Vec::new();
            view.for_each(|i, id| all.push((i as usize, id)));
            prop_assert!(all.into_iter().eq(ids.into_iter().enumerate()));
        }

        #[test]
        fn any_bytes_give_numbers_that_exist(bytes in prop::collection::vec(any::<u8>(), 0..60), n in 0u32..70, rows in 1u32..3000) {
            let view = Ids::new(&bytes, n, rows);
            for i in 0..n.min(rows) {
                prop_assert!(view.get(i) < rows);
            }
            let mut count = 0;
            view.for_each(|_, id| { assert!(id < rows.max(n)); count += 1; });
            prop_assert!(count <= n);
        }
    }

    #[test]
    fn a_thousand_lists_cost_a_byte_and_a_half() {
        let ids: Vec<u32> = (0..1074).map(|i| i * 1024 + i % 7).collect();
        assert!(encode(&ids, 1_100_000).len() * 8 <= 1074 * 12 + 1100);
        assert!(encode(&(0..500).collect::<Vec<_>>(), 500).is_empty());
    }
}

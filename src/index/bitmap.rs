//! Sets of rows or products as bits: what filters are combined with.

/// A set of numbers below a length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: u32,
}

impl Bitmap {
    /// None of `len`.
    pub fn none(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len }
    }

    /// All of `len`.
    pub fn all(len: u32) -> Self {
        let mut all = Self { words: vec![u64::MAX; (len as usize).div_ceil(64)], len };
        all.trim();
        all
    }

    /// Those numbers below `len` that `keep` admits.
    pub fn of(len: u32, mut keep: impl FnMut(u32) -> bool) -> Self {
        let mut set = Self::none(len);
        for (w, word) in set.words.iter_mut().enumerate() {
            let first = w as u32 * 64;
            for bit in 0..64.min(len - first) {
                *word |= u64::from(keep(first + bit)) << bit;
            }
        }
        set
    }

    /// A list of numbers; those at or past `len` are left out.
    pub fn of_list(len: u32, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut set = Self::none(len);
        numbers.into_iter().for_each(|n| set.insert(n));
        set
    }

    /// Numbers it may hold: those below this.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&w| w == 0)
    }

    /// How many it holds.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    /// Whether it holds `n`.
    #[inline]
    pub fn contains(&self, n: u32) -> bool {
        self.words.get(n as usize / 64).is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    /// Adds `n` if it is below the length.
    pub fn insert(&mut self, n: u32) {
        if n < self.len {
            self.words[n as usize / 64] |= 1 << (n % 64);
        }
    }

    /// Takes `n` out.
    pub fn remove(&mut self, n: u32) {
        if let Some(word) = self.words.get_mut(n as usize / 64) {
            *word &= !(1 << (n % 64));
        }
    }

    /// Makes room for `len` numbers; new ones are not in the set.
    pub fn grow(&mut self, len: u32) {
        if len > self.len {
            self.words.resize((len as usize).div_ceil(64), 0);
            self.len = len;
        }
    }

    /// Numbers in both. The shorter length counts.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.with(other, self.len.min(other.len), |a, b| a & b)
    }

    /// Numbers in either. The longer length counts.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.with(other, self.len.max(other.len), |a, b| a | b)
    }

    /// Numbers below the length that it does not hold.
    #[must_use]
    pub fn not(&self) -> Self {
        let mut out = Self { words: self.words.iter().map(|w| !w).collect(), len: self.len };
        out.trim();
        out
    }

    fn with(&self, other: &Self, len: u32, op: impl Fn(u64, u64) -> u64) -> Self {
        let word = |set: &Self, i: usize| set.words.get(i).copied().unwrap_or(0);
        let words = (0..(len as usize).div_ceil(64)).map(|i| op(word(self, i), word(other, i))).collect();
        let mut out = Self { words, len };
        out.trim();
        out
    }

    /// Bits past the length are 0.
    fn trim(&mut self) {
        let used = self.len % 64;
        if used > 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1 << used) - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn sets_combine_as_sets_do(len in 0u32..200, other_len in 0u32..200, a in prop::collection::btree_set(0u32..250, 0..60), b in prop::collection::btree_set(0u32..250, 0..60)) {
            let within = |set: &BTreeSet<u32>, len| set.iter().copied().filter(|&n| n < len).collect::<BTreeSet<u32>>();
            let (x, y) = (Bitmap::of_list(len, a.iter().copied()), Bitmap::of(other_len, |n| b.contains(&n)));
            let (a, b) = (within(&a, len), within(&b, other_len));
            let list = |set: &Bitmap| (0..300).filter(|&n| set.contains(n)).collect::<BTreeSet<u32>>();
            prop_assert_eq!(list(&x), a.clone());
            prop_assert_eq!(x.count() as usize, a.len());
            prop_assert_eq!(list(&x.and(&y)), a.intersection(&b).copied().collect());
            prop_assert_eq!(list(&x.or(&y)), a.union(&b).copied().collect());
            prop_assert_eq!(list(&x.not()), (0..len).filter(|n| !a.contains(n)).collect());
            prop_assert_eq!(x.not().not(), x.clone());
            prop_assert_eq!(x.or(&x.not()), Bitmap::all(len));
            prop_assert!(x.and(&x.not()).is_empty());
            let mut grown = x.clone();
            grown.grow(len + 70);
            grown.insert(len);
            grown.remove(*a.first().unwrap_or(&999));
            prop_assert_eq!(grown.count() as usize, a.len().saturating_sub(1) + 1);
        }
    }
}

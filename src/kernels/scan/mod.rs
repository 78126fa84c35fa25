//! Sums of table entries named by 4-bit codes: 32 rows a block, tables in registers (André, Kermarrec and Le Scouarnec
//! 2015, section 3; FAISS FastScan for the blocks).
//!
//! # Layout
//! `m` tables of 16 entries each, `m` a multiple of [`GROUP`]. A block holds the codes of [`ROWS`] rows in groups of
//! [`GROUP`] tables: `[m / 4][4 tables][16 bytes]`, where byte v of a table has the code of row v in its low half and
//! that of row v + 16 in its high half. So 16 bytes meet one table, on registers of 16, 32 and 64 bytes alike.
//!
//! # No overflow
//! Entries are at most [`TOP`] = 127: two fit a byte, so half as many sums are widened. At most [`MAX_TABLES`] = 512
//! tables of them make 65,024, which fits 16 bits. Sums are integers, the same on every path.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub mod reference;

use super::Isa;

/// Rows of a block.
pub const ROWS: usize = 32;
/// Tables of a group.
pub const GROUP: usize = 4;
/// Entries of a table.
pub const ENTRIES: usize = 16;
/// Bytes of a group, in a block as well as of its tables.
pub const GROUP_LEN: usize = GROUP * ENTRIES;
/// Largest entry.
pub const TOP: u8 = 127;
/// Most tables.
pub const MAX_TABLES: usize = 512;

type Blocks = fn(&[u8], &[u8], u16, &mut [[u16; ROWS]], &mut [u32]);

/// One implementation.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// Its instruction set.
    pub isa: Isa,
    blocks: Blocks,
}

impl Scan {
    /// The implementation for `isa`, if this CPU has it.
    pub fn of(isa: Isa) -> Option<&'static Self> {
        match isa {
            Isa::Auto => Isa::available().iter().find_map(|&isa| Self::of(isa)),
            Isa::Scalar | Isa::Reference => Some(&reference::SCAN),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::available().then_some(&avx512::SCAN),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::AvxVnni => avx2::available().then_some(&avx2::SCAN),
            #[cfg(target_arch = "aarch64")]
            Isa::Neon | Isa::Dotprod | Isa::I8mm => Some(&neon::SCAN),
            _ => None,
        }
    }

    /// Sums of every row of `sums.len()` blocks; bit v of `hits[b]` says whether row v of block b stays below `bound`.
    ///
    /// `tables` is `[m, 16]` with entries of at most [`TOP`], `codes` is `[blocks, m / 4, 64]`.
    ///
    /// # Panics
    /// If `tables` is no whole number of groups or more than [`MAX_TABLES`] tables, or `codes` and `hits` are not as
    /// long as `sums` says.
    pub fn blocks(
        &self,
        tables: &[u8],
        codes: &[u8],
        bound: u16,
        sums: &mut [[u16; ROWS]],
        hits: &mut [u32],
    ) {
        assert!(tables.len().is_multiple_of(GROUP_LEN) && tables.len() <= MAX_TABLES * ENTRIES);
        assert!(codes.len() == sums.len() * tables.len() && hits.len() == sums.len());
        (self.blocks)(tables, codes, bound, sums, hits);
    }
}

/// Where the code of row `v` of a block for table `t` lies, in bytes from the block's start.
pub fn position(t: usize, v: usize) -> usize {
    t / GROUP * GROUP_LEN + t % GROUP * ENTRIES + v % ENTRIES
}

/// The 4-bit code of row `v` for table `t` of a block.
pub fn code(block: &[u8], t: usize, v: usize) -> u8 {
    let byte = block.get(position(t, v)).copied().unwrap_or_default();
    if v < ENTRIES { byte & 15 } else { byte >> 4 }
}

/// Sets the code of row `v` for table `t`, which was 0.
///
/// # Panics
/// If the block is too short.
pub fn set_code(block: &mut [u8], t: usize, v: usize, code: u8) {
    block[position(t, v)] |= if v < ENTRIES { code & 15 } else { code << 4 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every path this CPU has but the reference, named so that a log shows what was covered.
    fn paths() -> Vec<&'static Scan> {
        let found: Vec<_> = Isa::available().iter().filter_map(|&isa| Scan::of(isa)).collect();
        println!("paths: {:?}", found.iter().map(|p| p.isa).collect::<Vec<_>>());
        // One for each entry of the list of instruction sets: none is left out without a word.
        assert_eq!(found.len(), Isa::available().len());
        found
    }

    fn bytes(n: usize, seed: u64, top: u8) -> Vec<u8> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // The ends of the range are what overflows.
                match state >> 61 {
                    0 => top,
                    1 => 0,
                    _ => ((state >> 33) % (u64::from(top) + 1)) as u8,
                }
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn every_path_gives_the_same_sums(groups in 0usize..40, blocks in 0usize..9, bound in any::<u16>(), seed in any::<u64>()) {
            let tables = bytes(groups * GROUP_LEN, seed, TOP);
            let codes = bytes(groups * GROUP_LEN * blocks, seed ^ 1, 255);
            // Bounds near the sums that come up.
            let bound = if bound % 3 == 0 { bound } else { (groups * GROUP * 64) as u16 };
            let mut want = (vec![[0; ROWS]; blocks], vec![0; blocks]);
            reference::SCAN.blocks(&tables, &codes, bound, &mut want.0, &mut want.1);
            for path in paths() {
                let mut got = (vec![[7; ROWS]; blocks], vec![7; blocks]);
                path.blocks(&tables, &codes, bound, &mut got.0, &mut got.1);
                prop_assert_eq!(&got, &want, "{:?}", path.isa);
            }
        }
    }

    #[test]
    fn the_most_and_largest_entries_do_not_overflow() {
        let tables = vec![TOP; MAX_TABLES * ENTRIES];
        let codes = bytes(tables.len() * 2, 3, 255);
        for path in paths() {
            let (mut sums, mut hits) = (vec![[0; ROWS]; 2], vec![0; 2]);
            path.blocks(&tables, &codes, u16::MAX, &mut sums, &mut hits);
            assert!(sums.iter().flatten().all(|&s| usize::from(s) == MAX_TABLES * usize::from(TOP)));
            assert_eq!(hits, [u32::MAX; 2]);
            path.blocks(&tables, &codes, 65_024, &mut sums, &mut hits);
            assert_eq!(hits, [0; 2]);
        }
    }

    #[test]
    fn codes_are_where_the_layout_says() {
        let mut block = vec![0; 2 * GROUP_LEN];
        for t in 0..8 {
            for v in 0..ROWS {
                set_code(&mut block, t, v, ((t * 5 + v) % 16) as u8);
            }
        }
        for t in 0..8 {
            for v in 0..ROWS {
                assert_eq!(usize::from(code(&block, t, v)), (t * 5 + v) % 16);
            }
        }
        assert_eq!(block[64 + 16 + 3], (((5 * 5 + 19) % 16) << 4 | ((5 * 5 + 3) % 16)) as u8);
    }
}

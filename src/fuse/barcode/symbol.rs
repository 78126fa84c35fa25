//! The three symbols of the EAN/UPC family, and the likeliest valid number under each.
//!
//! Source: GS1 General Specifications, section 5.2 (element widths, number sets A, B, C, UPC-E parity).

use crate::fuse::gtin::Gtin;

/// Modules a digit.
pub(super) const DIGIT: usize = 7;

/// Number set A (odd parity, left half), bars as ones, first module in the highest of seven bits. Set C is its
/// complement, set B set C mirrored.
const SET_A: [u8; 10] = [
    0b0001101, 0b0011001, 0b0010011, 0b0111101, 0b0100011, 0b0110001, 0b0101111, 0b0111011, 0b0110111,
    0b0001011,
];

/// Which of the six left digits of an EAN-13 are of set B, by its first digit; first of the six in the highest bit.
const FIRST_DIGIT: [u8; 10] =
    [0b000000, 0b001011, 0b001101, 0b001110, 0b010011, 0b011001, 0b011100, 0b010101, 0b010110, 0b011010];

/// Which of the six digits of a UPC-E of number system 0 are of set B, by check digit; system 1 has them exchanged.
const UPC_E_CHECK: [u8; 10] =
    [0b111000, 0b110100, 0b110010, 0b110001, 0b101100, 0b100110, 0b100011, 0b101010, 0b101001, 0b100101];

/// Bars of a digit: set 0, 1, 2 for A, B, C.
pub(super) fn digit_bits(set: usize, digit: usize) -> [u8; DIGIT] {
    let a = SET_A[digit];
    let c = !a & 0x7f;
    let bits = [a, c.reverse_bits() >> 1, c][set];
    std::array::from_fn(|i| bits >> (DIGIT - 1 - i) & 1)
}

/// A kind of symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// EAN-13, and UPC-A as an EAN-13 with a leading zero.
    Ean13,
    Ean8,
    UpcE,
}

/// Costs of a digit: `[set][digit]`, sets A and B for left digits, C in place of A for right ones.
pub(super) type DigitCosts = [[f32; 10]; 2];

/// The best number and how much worse the next best is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub gtin: Gtin,
    pub cost: f32,
    /// Cost of the best other number, less `cost`.
    pub margin: f32,
}

impl Symbol {
    /// Modules from the first bar to the end of the last.
    pub fn modules(self) -> usize {
        match self {
            Self::Ean13 => 95,
            Self::Ean8 => 67,
            Self::UpcE => 51,
        }
    }

    /// First module of each digit, and whether it is of the right half.
    pub fn places(self) -> impl Iterator<Item = (usize, bool)> {
        let (left, right, gap) = match self {
            Self::Ean13 => (6, 6, 5),
            Self::Ean8 => (4, 4, 5),
            Self::UpcE => (6, 0, 0),
        };
        (0..left)
            .map(|i| (3 + DIGIT * i, false))
            .chain((0..right).map(move |i| (3 + DIGIT * (left + i) + gap, true)))
    }

    pub fn digits(self) -> usize {
        match self {
            Self::Ean13 => 12,
            Self::Ean8 => 8,
            Self::UpcE => 6,
        }
    }

    /// Known stretches: first module (negative in the quiet zone) and bars, with the modules beside them that are the
    /// same in every number.
    pub fn guards(self) -> &'static [(i32, &'static [u8])] {
        const START: (i32, &[u8]) = (-7, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0]);
        match self {
            Self::Ean13 => &[START, (44, &[1, 0, 1, 0, 1, 0, 1]), (91, &[0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0])],
            Self::Ean8 => &[START, (30, &[1, 0, 1, 0, 1, 0, 1]), (63, &[0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0])],
            Self::UpcE => &[START, (44, &[1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0])],
        }
    }

    /// The cheapest number whose check digit is right, and the margin to the next.
    pub fn read(self, costs: &[DigitCosts]) -> Option<Reading> {
        let mut best = Best::default();
        match self {
            Self::Ean13 => {
                for (first, &parity) in FIRST_DIGIT.iter().enumerate() {
                    let sets: [u8; 12] =
                        std::array::from_fn(|i| if i < 6 { parity >> (5 - i) & 1 } else { 0 });
                    let weights: [u8; 12] = std::array::from_fn(|i| if i % 2 == 0 { 3 } else { 1 });
                    best.search(costs, &sets, &weights, (10 - first as u8) % 10, first as u8);
                }
            }
            Self::Ean8 => {
                let weights = [3, 1, 3, 1, 3, 1, 3, 1];
                best.search(costs, &[0; 8], &weights, 0, 0);
            }
            Self::UpcE => {
                for (check, &parity) in UPC_E_CHECK.iter().enumerate() {
                    for system in 0..2u8 {
                        let parity = if system == 0 { parity } else { !parity };
                        let sets: [u8; 6] = std::array::from_fn(|i| parity >> (5 - i) & 1);
                        best.search_upc_e(costs, &sets, system, check as u8);
                    }
                }
            }
        }
        let (first, found) = (best.found[0], best.found[1]);
        let gtin = self.number(&first)?;
        Some(Reading { gtin, cost: first.cost, margin: found.cost - first.cost })
    }

    fn number(self, found: &Found) -> Option<Gtin> {
        if !found.cost.is_finite() {
            return None;
        }
        let d = &found.digits;
        match self {
            Self::Ean13 => {
                let mut all = [found.tag; 13];
                all[1..].copy_from_slice(d);
                Gtin::from_digits(&all).ok()
            }
            Self::Ean8 => Gtin::from_digits(&d[..8]).ok(),
            Self::UpcE => {
                let (system, check) = (found.tag / 10, found.tag % 10);
                Gtin::from_upc_e(&[system, d[0], d[1], d[2], d[3], d[4], d[5], check]).ok()
            }
        }
    }
}

/// A number under search.
#[derive(Clone, Copy)]
struct Found {
    cost: f32,
    digits: [u8; 12],
    sets: [u8; 12],
    /// What the sets say: first digit, or system and check digit.
    tag: u8,
}

impl Found {
    const NONE: Self = Self { cost: f32::INFINITY, digits: [0; 12], sets: [0; 12], tag: 0 };
}

/// The two cheapest numbers.
struct Best {
    found: [Found; 2],
}

impl Default for Best {
    fn default() -> Self {
        Self { found: [Found::NONE; 2] }
    }
}

impl Best {
    fn offer(&mut self, new: Found) {
        insert(&mut self.found, new);
    }

    /// Cheapest two digit strings whose weighted sum leaves `target` modulo 10, by dynamic programming over the sum.
    fn search(&mut self, costs: &[DigitCosts], sets: &[u8], weights: &[u8], target: u8, tag: u8) {
        let least: f32 = costs.iter().zip(sets).map(|(c, &s)| min(&c[s as usize])).sum();
        if least >= self.found[1].cost {
            return;
        }
        let mut states = [[Found::NONE; 2]; 10];
        states[0][0].cost = 0.0;
        for (place, ((cost, &set), &weight)) in costs.iter().zip(sets).zip(weights).enumerate() {
            let mut next = [[Found::NONE; 2]; 10];
            for (sum, pair) in states.iter().enumerate() {
                for state in pair.iter().filter(|s| s.cost.is_finite()) {
                    for digit in 0..10u8 {
                        let to = &mut next[(sum + (digit * weight) as usize) % 10];
                        let total = state.cost + cost[set as usize][digit as usize];
                        if total < to[1].cost {
                            let mut new = Found { cost: total, ..*state };
                            new.digits[place] = digit;
                            insert(to, new);
                        }
                    }
                }
            }
            states = next;
        }
        for state in states[target as usize] {
            let mut new = Found { tag, ..state };
            new.sets[..sets.len()].copy_from_slice(sets);
            self.offer(new);
        }
    }

    /// UPC-E: the last digit says which places of the UPC-A the others take, and so their weights.
    fn search_upc_e(&mut self, costs: &[DigitCosts], sets: &[u8; 6], system: u8, check: u8) {
        for last in 0..10u8 {
            let (weights, own) = match last {
                0..=2 => ([1, 3, 3, 1, 3], last), // S a b L 0 0 0 0 c d e
                3 => ([1, 3, 1, 1, 3], 0),        // S a b c 0 0 0 0 0 d e
                4 => ([1, 3, 1, 3, 3], 0),        // S a b c d 0 0 0 0 0 e
                _ => ([1, 3, 1, 3, 1], last * 3), // S a b c d e 0 0 0 0 L
            };
            let rest = u32::from(system) * 3 + u32::from(own) + u32::from(check);
            let mut fixed = costs.to_vec();
            let set = sets[5] as usize;
            for digit in (0..10).filter(|&d| d != last as usize) {
                fixed[5][set][digit] = f32::INFINITY;
            }
            // Numbers that a smaller last digit writes are not written this way.
            let (place, least) = [(0, 0), (2, 3), (3, 1), (4, 1)][last.clamp(2, 5) as usize - 2];
            fixed[place][sets[place] as usize][..least].fill(f32::INFINITY);
            let mut all = [0; 6];
            all[..5].copy_from_slice(&weights);
            let target = ((100 - rest) % 10) as u8;
            self.search(&fixed, sets, &all, target, system * 10 + check);
        }
    }
}

fn insert(pair: &mut [Found; 2], new: Found) {
    if new.cost < pair[0].cost {
        pair[1] = pair[0];
        pair[0] = new;
    } else if new.cost < pair[1].cost {
        pair[1] = new;
    }
}

fn min(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}

/// Bars of a whole symbol, for tests: `digits` as printed under it, with first and check digit.
#[cfg(test)]
pub(super) fn draw(symbol: Symbol, digits: &[u8]) -> Vec<u8> {
    let mut bars = vec![1, 0, 1];
    let mut push = |set: usize, digit: u8| bars.extend(digit_bits(set, digit as usize));
    match symbol {
        Symbol::Ean13 => {
            let parity = FIRST_DIGIT[digits[0] as usize];
            (0..6).for_each(|i| push((parity >> (5 - i) & 1) as usize, digits[1 + i]));
            bars.extend([0, 1, 0, 1, 0]);
            (7..13).for_each(|i| bars.extend(digit_bits(2, digits[i] as usize)));
            bars.extend([1, 0, 1]);
        }
        Symbol::Ean8 => {
            (0..4).for_each(|i| push(0, digits[i]));
            bars.extend([0, 1, 0, 1, 0]);
            (4..8).for_each(|i| bars.extend(digit_bits(2, digits[i] as usize)));
            bars.extend([1, 0, 1]);
        }
        Symbol::UpcE => {
            let parity = UPC_E_CHECK[digits[7] as usize];
            let parity = if digits[0] == 0 { parity } else { !parity };
            (0..6).for_each(|i| push((parity >> (5 - i) & 1) as usize, digits[1 + i]));
            bars.extend([0, 1, 0, 1, 0, 1]);
        }
    }
    bars
}

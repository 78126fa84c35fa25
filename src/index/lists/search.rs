//! Probe lists, scan their 4-bit codes with bounds that tighten, look again at the best by the whole code.

use super::super::{Bitmap, Hit, SearchError};
use super::added::{Added, More};
use super::{Lists, Metric, block_len};
use crate::cancel::{Cancel, cancelled};
use crate::kernels::rows;
use crate::kernels::scan::{ENTRIES, GROUP, ROWS, Scan, TOP};
use crate::kernels::{self, Isa};
use crate::quant::Levels;

/// Blocks scanned between two looks at what was found.
const CHUNK: usize = 16;
/// Bound of integer costs: sums of two stay within i32.
const FAR: f32 = 1e9;
/// Bound of a query's components that are multiplied with half floats: sums of 8,192 stay within f32.
const FAR_QUERY: f32 = 1e29;

/// How far a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Lists to scan, the nearest first.
    pub lists: usize,
    /// Rows whose whole code is looked at, best first by 4 bits; at least `k` are.
    pub refine: usize,
    /// Rows looked at by level 3 or by the vectors kept, best first by level 2; at least `k` are.
    pub rescore: usize,
    /// Instruction set of the scan; results do not depend on it.
    pub isa: Isa,
}

impl Default for Probe {
    fn default() -> Self {
        Self { lists: 32, refine: 200, rescore: 40, isa: Isa::Auto }
    }
}

/// Which rows may be found.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// All.
    All,
    /// Those of a set of rows.
    Rows(&'a Bitmap),
    /// Those that a function admits; it is asked about every row of every list that is scanned.
    Each(&'a dyn Fn(u32) -> bool),
    /// All but those of a set, which is asked only about rows that would be looked at again: for tombstones.
    Except(&'a Bitmap),
}

impl std::fmt::Debug for Keep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::All => "All",
            Self::Rows(_) => "Rows",
            Self::Each(_) => "Each",
            Self::Except(_) => "Except",
        })
    }
}

/// A row of a probed list with what it costs in steps; compared as a tuple.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    cost: i32,
    probe: u32,
    at: u32,
}

/// The cheapest rows so far: up to twice as many as wanted, then the better half.
struct Candidates {
    wanted: usize,
    found: Vec<Candidate>,
    /// What a cost must stay below; later rows of an equal cost lose.
    bound: i32,
}

impl Candidates {
    fn new(wanted: usize) -> Self {
        Self { wanted, found: Vec::with_capacity(2 * wanted + ROWS), bound: i32::MAX }
    }

    #[inline]
    fn push(&mut self, candidate: Candidate) {
        self.found.push(candidate);
        if self.found.len() >= 2 * self.wanted {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.found.len() > self.wanted {
            let (_, last, _) = self.found.select_nth_unstable(self.wanted - 1);
            self.bound = last.cost;
            self.found.truncate(self.wanted);
        }
    }
}

/// A row looked at again: its cost, the number of its probed list, its place there.
type Scored = (f32, u32, u32);

/// A list being scanned.
struct Probed {
    list: u32,
    /// The turned query of its cell, by number of turned queries.
    turned: usize,
}

impl Lists<'_> {
    /// A query as vectors that are kept are compared with it, in their units, and its product with their middle; empty where
    /// none are.
    fn kept_query(&self, query: &[f32]) -> (Vec<f32>, f64) {
        if self.trq.levels() != Levels::Kept {
            return (Vec::new(), 0.0);
        }
        let (unit, middle) = (self.trq.kept_unit(), self.trq.middle());
        // However small the unit, sums stay finite.
        if self.metric == Metric::Ip {
            let scaled: Vec<f32> = query.iter().map(|q| (q / unit).clamp(-FAR_QUERY, FAR_QUERY)).collect();
            let common = scaled.iter().zip(middle).map(|(&q, m)| f64::from(q) * f64::from(m)).sum();
            return (scaled, common);
        }
        (query.iter().zip(middle).map(|(q, m)| (q / unit - m).clamp(-FAR, FAR)).collect(), 0.0)
    }

    /// The `k` rows best for a query that has been checked, best first, equal ones by list and row.
    ///
    /// Lists beyond `probe.lists` are scanned while there are too few rows: fewer than `probe.refine` with a filter,
    /// fewer than `k` without.
    pub(in crate::index) fn nearest(
        &self,
        query: &[f32],
        k: usize,
        probe: &Probe,
        keep: Keep<'_>,
        added: Option<&Added>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Hit>, SearchError> {
        let k = k.min(self.rows as usize + added.map_or(0, Added::rows));
        if k == 0 {
            return Ok(Vec::new());
        }
        let scan = Scan::of(probe.isa).unwrap_or(&crate::kernels::scan::reference::SCAN);
        let mut search = Search::new(self, query, probe.refine.max(k), scan, added);
        let enough = if matches!(keep, Keep::All) { k } else { search.candidates.wanted };
        let probed = probe.lists.max(1);
        let mut order = search.order(probed);
        let mut visited = 0;
        while let Some(&list) = order.get(visited) {
            if visited >= probed && search.candidates.found.len() >= enough {
                break;
            }
            if cancelled(cancel) {
                return Err(SearchError::Cancelled);
            }
            if let Some(&next) = order.get(visited + 1) {
                self.prefetch(next);
            }
            search.scan(list, keep);
            visited += 1;
            if visited == probed && search.candidates.found.len() < enough {
                // Begins with those visited.
                order = search.order(self.trq.lists());
            }
        }
        Ok(search.finish(k, probe.rescore.max(k)))
    }
}

struct Search<'s, 'a> {
    lists: &'s Lists<'a>,
    added: Option<&'s Added>,
    scan: &'static Scan,
    /// In units, `[d]`.
    query: Vec<f32>,
    /// The turned query of each cell seen, and that cell.
    turned: Vec<(Option<u32>, Vec<f32>)>,
    probed: Vec<Probed>,
    /// What is compared with codes in each probed list, `[probed, d]`.
    targets: Vec<f32>,
    /// Where vectors are kept, what they are compared with, `[d]`, and what all products of the query have in common.
    kept: (Vec<f32>, f64),
    candidates: Candidates,
    /// Width of a step of the integer costs, set by the first list.
    step: Option<f32>,
    tables: Vec<[f32; ENTRIES]>,
    levels: Vec<u8>,
    allowed: Vec<u32>,
}

impl<'s, 'a> Search<'s, 'a> {
    fn new(
        lists: &'s Lists<'a>,
        query: &[f32],
        refine: usize,
        scan: &'static Scan,
        added: Option<&'s Added>,
    ) -> Self {
        let rows = lists.rows as usize + added.map_or(0, Added::rows);
        let parts = lists.trq.parts();
        let tables = parts.next_multiple_of(GROUP);
        Self {
            lists,
            added,
            scan,
            query: lists.trq.query(query),
            turned: Vec::new(),
            probed: Vec::new(),
            targets: Vec::new(),
            kept: lists.kept_query(query),
            candidates: Candidates::new(refine.min(rows).max(1)),
            step: None,
            tables: vec![[0.0; ENTRIES]; parts],
            levels: vec![0; tables * ENTRIES],
            allowed: Vec::new(),
        }
    }

    /// The nearest lists that are not empty, the nearest first.
    fn order(&self, most: usize) -> Vec<u32> {
        let trq = &self.lists.trq;
        let mut cost = match self.lists.metric {
            Metric::Ip => trq.coarse_dots(&self.query),
            Metric::Cosine | Metric::L2 => trq.coarse_l2(&self.query),
        };
        if self.lists.metric == Metric::Ip {
            cost.iter_mut().for_each(|c| *c = -*c);
        }
        // As one number each: bits of floats turned so that they order as the floats do, then the list.
        let key = |list: u32| {
            let bits = cost[list as usize].to_bits();
            let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
            u64::from(ordered) << 32 | u64::from(list)
        };
        let mut order: Vec<u64> = (0..trq.lists() as u32).filter(|&l| !self.is_empty(l)).map(key).collect();
        if most < order.len() {
            order.select_nth_unstable(most - 1);
            order.truncate(most);
        }
        order.sort_unstable();
        order.into_iter().map(|key| key as u32).collect()
    }

    fn is_empty(&self, list: u32) -> bool {
        self.lists.span(list).1 == 0 && self.added.is_none_or(|a| a.list(list).is_none())
    }

    /// The number of the turned query of a list's cell.
    fn turned(&mut self, list: u32) -> usize {
        let cell = self.lists.trq.cell(list);
        if let Some(at) = self.turned.iter().position(|(c, _)| *c == cell) {
            return at;
        }
        let mut out = vec![0.0; self.query.len()];
        self.lists.trq.turned(&self.query, cell, &mut out);
        self.turned.push((cell, out));
        self.turned.len() - 1
    }

    fn scan(&mut self, list: u32, keep: Keep<'_>) {
        let (_, n) = self.lists.span(list);
        let ids = self.lists.ids_of(list);
        let own = n > 0 && self.allow(n, keep, |f| ids.for_each(f));
        let mut base = None;
        if own {
            let cost = *base.get_or_insert_with(|| self.prepare(list));
            let deleted = |at: u32| matches!(keep, Keep::Except(rows) if rows.contains(ids.get(at)));
            self.scan_blocks(cost, self.lists.blocks_of(list), n, 0, &deleted);
        }
        let Some(more) = self.added.and_then(|a| a.list(list)) else { return };
        if self.allow(more.ids.len() as u32, keep, |f| more.for_each(f)) {
            let cost = *base.get_or_insert_with(|| self.prepare(list));
            let deleted = |at: u32| matches!(keep, Keep::Except(rows) if more.ids.get(at as usize).is_some_and(|&id| rows.contains(id)));
            self.scan_blocks(cost, &more.blocks, more.ids.len() as u32, n, &deleted);
        }
    }

    /// Scans blocks of `n` rows whose first is at place `first` of its list.
    fn scan_blocks(&mut self, base: i32, blocks: &[u8], n: u32, first: u32, deleted: &dyn Fn(u32) -> bool) {
        let probe = self.probed.len() as u32 - 1;
        let len = block_len(self.lists.trq.parts());
        let (mut sums, mut hits) = ([[0; ROWS]; CHUNK], [0; CHUNK]);
        for (c, codes) in blocks.chunks(CHUNK * len).enumerate() {
            let count = codes.len() / len;
            // Costs are base + sum: sums below this stay below the bound.
            let bound = i64::from(self.candidates.bound) - i64::from(base);
            if bound <= 0 {
                return;
            }
            let bound = bound.min(i64::from(u16::MAX)) as u16;
            self.scan.blocks(&self.levels, codes, bound, &mut sums[..count], &mut hits[..count]);
            for b in 0..count {
                let block = c * CHUNK + b;
                let mut mask = hits[b] & self.allowed.get(block).copied().unwrap_or_else(|| lanes(n, block));
                while mask != 0 {
                    let v = mask.trailing_zeros();
                    mask &= mask - 1;
                    let (cost, at) =
                        (base.saturating_add(i32::from(sums[b][v as usize])), (block * ROWS) as u32 + v);
                    if cost < self.candidates.bound && !deleted(at) {
                        self.candidates.push(Candidate { cost, probe, at: first + at });
                    }
                }
            }
        }
    }

    /// Sets which of `n` rows may be found, block by block; false if none may. `each` gives places and row numbers.
    fn allow(&mut self, n: u32, keep: Keep<'_>, each: impl Fn(&mut dyn FnMut(u32, u32))) -> bool {
        self.allowed.clear();
        let mut set = |ok: &dyn Fn(u32) -> bool| {
            self.allowed.resize((n as usize).div_ceil(ROWS), 0);
            each(&mut |at, id| {
                if let Some(word) = self.allowed.get_mut(at as usize / ROWS) {
                    *word |= u32::from(ok(id)) << (at % ROWS as u32);
                }
            });
            self.allowed.iter().any(|&w| w != 0)
        };
        match keep {
            Keep::All | Keep::Except(_) => true,
            Keep::Rows(rows) => set(&|id| rows.contains(id)),
            Keep::Each(ok) => set(ok),
        }
    }

    /// Tables of a list as bytes; returns what every row of it costs, in steps.
    fn prepare(&mut self, list: u32) -> i32 {
        let turned = self.turned(list);
        let (trq, d) = (&self.lists.trq, self.query.len());
        let at = self.targets.len();
        self.targets.resize(at + d, 0.0);
        let target = &mut self.targets[at..];
        let turned_query = &self.turned[turned].1;
        let mut base = 0.0;
        if self.lists.metric == Metric::Ip {
            target.copy_from_slice(turned_query);
            trq.dot_tables(target, &mut self.tables);
            base = -trq.centroid_dot(turned_query, list);
            let step = *self.step.get_or_insert_with(|| step(rows::widest_table(&self.tables)));
            base += rows::level_tables(&self.tables, 1.0 / step, &mut self.levels);
        } else {
            trq.residual(turned_query, list, target);
            let step = *self.step.get_or_insert_with(|| {
                trq.l2_tables(target, &mut self.tables);
                step(self.tables.iter().flatten().fold(0.0f32, |most, &d| most.max(d)))
            });
            trq.l2_levels(target, 1.0 / step, &mut self.levels);
        }
        let step = self.step.unwrap_or(1.0);
        self.probed.push(Probed { list, turned });
        // NaN becomes 0.
        (base / step).clamp(-FAR, FAR) as i32
    }

    /// The best by the whole code.
    fn finish(mut self, k: usize, rescore: usize) -> Vec<Hit> {
        self.candidates.shrink();
        let mut found = std::mem::take(&mut self.candidates.found);
        // In the order of memory.
        found.sort_unstable_by_key(|c| (c.probe, c.at));
        // A vector kept is read only for the best of these.
        let read = match self.lists.trq.levels() {
            Levels::Kept => self.lists.trq.parts().div_ceil(2),
            Levels::One | Levels::Two | Levels::Three => usize::MAX,
        };
        // Their tails lie anywhere: all at once takes hardly longer than one.
        for c in &found {
            if let Some(probed) = self.probed.get(c.probe as usize) {
                let tail = self.lists.tail(self.lists.span(probed.list).0 + c.at);
                kernels::prefetch(tail, tail.len().min(read));
            }
        }
        let trq = &self.lists.trq;
        let d = self.query.len();
        let (mut code, mut gathered) = (Vec::new(), vec![0; 2 * d]);
        let mut scored: Vec<Scored> = Vec::with_capacity(found.len());
        for c in &found {
            let Some(probed) = self.probed.get(c.probe as usize) else { continue };
            self.code(probed.list, c.at, &mut code);
            trq.gather(&code, &mut gathered);
            let target = &self.targets[c.probe as usize * d..][..d];
            scored.push((self.cost(probed, target, &gathered), c.probe, c.at));
        }
        let by = |a: &Scored, b: &Scored| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)));
        if trq.levels() >= Levels::Three {
            if rescore < scored.len() {
                scored.select_nth_unstable_by(rescore - 1, by);
                scored.truncate(rescore);
            }
            if trq.levels() == Levels::Kept {
                self.compare_kept(&mut scored);
            } else {
                self.add_steps(&mut scored);
            }
        }
        if k < scored.len() {
            scored.select_nth_unstable_by(k - 1, by);
            scored.truncate(k);
        }
        scored.sort_unstable_by(by);
        let unit = match trq.levels() {
            Levels::Kept => trq.kept_unit(),
            Levels::One | Levels::Two | Levels::Three => trq.unit(),
        };
        let hit = |(cost, probe, at): Scored| {
            let list = self.probed.get(probe as usize)?.list;
            let score = match self.lists.metric {
                Metric::Cosine => 1.0 - (cost * unit * unit + self.lists.error) / 2.0,
                Metric::L2 => -cost * unit * unit,
                Metric::Ip if trq.levels() == Levels::Kept => {
                    ((self.kept.1 - f64::from(cost)) * f64::from(unit) * f64::from(unit)) as f32
                }
                Metric::Ip => -cost * unit * unit,
            };
            Some(Hit { row: self.row(list, at), score })
        };
        scored.into_iter().filter_map(hit).collect()
    }

    /// Costs by levels 1 to 3.
    fn add_steps(&self, scored: &mut [Scored]) {
        let (trq, d) = (&self.lists.trq, self.query.len());
        let (mut code, mut gathered) = (Vec::new(), vec![0; 2 * d]);
        let (mut steps, mut target) = (vec![0.0; d], vec![0.0; d]);
        for (cost, probe, at) in scored {
            let Some(probed) = self.probed.get(*probe as usize) else { continue };
            self.code(probed.list, *at, &mut code);
            trq.gather(&code, &mut gathered);
            trq.steps(self.rest(probed.list, *at), &mut steps);
            let whole = &self.targets[*probe as usize * d..][..d];
            if self.lists.metric == Metric::Ip {
                *cost = self.cost(probed, whole, &gathered) - kernels::dot(whole, &steps);
            } else {
                for ((t, w), s) in target.iter_mut().zip(whole).zip(&steps) {
                    *t = w - s;
                }
                *cost = self.cost(probed, &target, &gathered);
            }
        }
    }

    /// Costs by the vectors themselves; of inner products without what all have in common.
    fn compare_kept(&self, scored: &mut [Scored]) {
        let kept = |s: &Scored| self.probed.get(s.1 as usize).map(|probed| self.rest(probed.list, s.2));
        scored.iter().filter_map(kept).for_each(|row| kernels::prefetch(row, row.len()));
        for s in scored {
            let Some(row) = kept(s) else { continue };
            s.0 = match self.lists.metric {
                Metric::Ip => -kernels::dot_f16(&self.kept.0, row),
                Metric::Cosine | Metric::L2 => rows::l2_f16(&self.kept.0, row),
            };
        }
    }

    /// The row as one of those added to a list, if it is one.
    fn more(&self, list: u32, at: u32) -> Option<(&'s More, usize)> {
        let n = self.lists.span(list).1;
        if at < n { None } else { Some((self.added?.list(list)?, (at - n) as usize)) }
    }

    fn row(&self, list: u32, at: u32) -> u32 {
        match self.more(list, at) {
            Some((more, at)) => more.ids.get(at).copied().unwrap_or_default(),
            None => self.lists.ids_of(list).get(at),
        }
    }

    fn code(&self, list: u32, at: u32, code: &mut Vec<u8>) {
        match self.more(list, at) {
            Some((more, at)) => self.lists.join(&more.blocks, at, more.tail(at, &self.lists.trq), code),
            None => self.lists.code(list, at, code),
        }
    }

    fn rest(&self, list: u32, at: u32) -> &'s [u8] {
        let trq = &self.lists.trq;
        match self.more(list, at) {
            Some((more, at)) => more.tail(at, trq).get(trq.parts().div_ceil(2)..).unwrap_or_default(),
            None => self.lists.rest(self.lists.span(list).0 + at),
        }
    }

    /// What a row costs by its whole code.
    fn cost(&self, probed: &Probed, target: &[f32], gathered: &[u8]) -> f32 {
        let trq = &self.lists.trq;
        if self.lists.metric == Metric::Ip {
            let turned = &self.turned[probed.turned].1;
            -(trq.centroid_dot(turned, probed.list) + trq.dot(target, gathered))
        } else {
            trq.l2(target, gathered)
        }
    }
}

/// The step of entries up to `most`.
fn step(most: f32) -> f32 {
    let step = most / f32::from(TOP);
    if step > 0.0 && step.is_finite() { step } else { 1.0 }
}

/// Which rows of a block a list of `n` fills.
fn lanes(n: u32, block: usize) -> u32 {
    let left = (n as usize).saturating_sub(block * ROWS);
    if left >= ROWS { u32::MAX } else { (1u32 << left) - 1 }
}

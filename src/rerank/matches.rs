//! How well two pictures match, cell by cell, in a few numbers.

use super::cells::CellCodes;

/// Of the best cosines of all cells, falling, these are told (of a 7 × 7 grid: from the best to the worst).
const PLACES: usize = 7;
/// Numbers of a pair of pictures.
const PAIR: usize = 9 + 2 * PLACES;
/// Numbers of a candidate: those of its pair, and how each stands to the largest and to the mean of the list.
pub const FEATURES: usize = 3 * PAIR;

/// Numbers of each candidate of a list beside the query. Candidates come with the cosine of the global vectors.
///
/// In this order: that cosine; mean over the query's cells of their best cosine, the same of the candidate's cells; both
/// again weighted by how much a cell stands out; mean cosine of cells at one place; share of cells that are each other's
/// best; the largest share of these that agree on a shift, within a cell; mean of all cosines; seven of the query's best
/// cosines from first to last; seven of the candidate's.
pub fn features(query: &CellCodes, candidates: &[(f32, &CellCodes)]) -> Vec<[f32; FEATURES]> {
    let pairs: Vec<[f32; PAIR]> =
        candidates.iter().map(|(cosine, candidate)| pair(query, candidate, *cosine)).collect();
    let (mut most, mut mean) = ([f32::NEG_INFINITY; PAIR], [0.0; PAIR]);
    for pair in &pairs {
        for (at, value) in pair.iter().enumerate() {
            most[at] = most[at].max(*value);
            mean[at] += value / pairs.len() as f32;
        }
    }
    let whole = |pair: &[f32; PAIR]| {
        let mut out = [0.0; FEATURES];
        for (at, value) in pair.iter().enumerate() {
            out[at] = *value;
            out[PAIR + at] = value - most[at];
            out[2 * PAIR + at] = value - mean[at];
        }
        out
    };
    pairs.iter().map(whole).collect()
}

fn pair(query: &CellCodes, candidate: &CellCodes, cosine: f32) -> [f32; PAIR] {
    let cells = query.len();
    if candidate.len() != cells || candidate.width != query.width {
        return [0.0; PAIR];
    }
    let similar = cosines(query, candidate);
    let (mut there, mut back) = (vec![f32::NEG_INFINITY; cells], vec![f32::NEG_INFINITY; cells]);
    let (mut goes, mut comes) = (vec![0; cells], vec![0; cells]);
    for (i, row) in similar.chunks_exact(cells).enumerate() {
        for (j, &s) in row.iter().enumerate() {
            if s > there[i] {
                (there[i], goes[i]) = (s, j);
            }
            if s > back[j] {
                (back[j], comes[j]) = (s, i);
            }
        }
    }
    let mutual: Vec<(usize, usize)> =
        goes.iter().enumerate().filter(|&(i, &j)| comes[j] == i).map(|(i, &j)| (i, j)).collect();
    let n = cells as f32;
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    let weighted = |values: &[f32], weights: &[f32]| values.iter().zip(weights).map(|(v, w)| v * w).sum();
    let in_place: Vec<f32> = (0..cells).map(|i| similar[i * cells + i]).collect();
    let mut out = [0.0; PAIR];
    out[..9].copy_from_slice(&[
        cosine,
        mean(&there),
        mean(&back),
        weighted(&there, &query.weights),
        weighted(&back, &candidate.weights),
        mean(&in_place),
        mutual.len() as f32 / n,
        agreeing(&mutual, cells) as f32 / n,
        mean(&similar),
    ]);
    for (best, out) in [&mut there, &mut back].into_iter().zip(out[9..].chunks_exact_mut(PLACES)) {
        best.sort_by(|a, b| b.total_cmp(a));
        // Of 49 cells: the 1st, 5th, 10th, 20th, 30th, 40th and last.
        for (out, place) in out.iter_mut().zip([0, 4, 9, 19, 29, 39, 48]) {
            *out = best[place * cells / 49];
        }
    }
    out
}

/// Cosines of each cell of one with each of the other, `[cells, cells]`; 0 for cells of zeros.
fn cosines(query: &CellCodes, candidate: &CellCodes) -> Vec<f32> {
    let mut out = Vec::with_capacity(query.len() * candidate.len());
    for (x, scale) in query.values.chunks_exact(query.width).zip(&query.inverse) {
        for (y, inverse) in candidate.values.chunks_exact(candidate.width).zip(&candidate.inverse) {
            let dot: i32 = x.iter().zip(y).map(|(x, y)| i32::from(*x) * i32::from(*y)).sum();
            out.push(dot as f32 * (scale * inverse));
        }
    }
    out
}

/// Most matches that agree on one shift, give or take a cell each way.
fn agreeing(matches: &[(usize, usize)], cells: usize) -> usize {
    let side = cells.isqrt().max(1);
    let shift = |&(from, to): &(usize, usize)| {
        let place = |cell: usize| ((cell / side) as i32, (cell % side) as i32);
        (place(to).0 - place(from).0, place(to).1 - place(from).1)
    };
    let shifts: Vec<(i32, i32)> = matches.iter().map(shift).collect();
    let near =
        |a: &(i32, i32)| shifts.iter().filter(|b| (a.0 - b.0).abs() <= 1 && (a.1 - b.1).abs() <= 1).count();
    shifts.iter().map(near).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedding::Cells;

    /// A picture whose cell `i` shows thing `shows[i]`, each thing a direction of its own.
    fn picture(shows: &[usize]) -> CellCodes {
        let width = 64;
        let mut values = vec![0.0; shows.len() * width];
        shows.iter().enumerate().for_each(|(i, &thing)| values[i * width + thing] = 1.0 + i as f32);
        CellCodes::of(&Cells::new(values, width).unwrap())
    }

    /// What `pair_features` of models/shelfsight_models/rerank/matches.py gives for the same cells (its test has them too).
    #[test]
    fn numbers_are_those_of_training() {
        let cells = |seed: usize| -> Vec<f32> {
            let value = |i: usize| {
                let (cell, at) = (i / 64, i % 64);
                let whole = (i * 7919 + seed * 104_729 + cell * at * 37) % 2001;
                (whole as f32 - 1000.0) / 500.0 * (1.0 + (cell * 5 % 7) as f32 / 3.0)
            };
            (0..49 * 64).map(value).collect()
        };
        let (query, third, mut candidate) = (cells(1), cells(3), cells(2));
        for i in 0..30 * 64 {
            candidate[i] = query[5 * 64 + i] + 0.3 * third[i];
        }
        let layout = crate::pack::CellLayout { side: 7, width: 64 };
        let candidate = super::super::stored(&layout, Some(&Cells::new(candidate, 64).unwrap()));
        let candidate = CellCodes::read(&layout, &candidate).unwrap();
        let found = pair(&CellCodes::of(&Cells::new(query, 64).unwrap()), &candidate, 0.625);
        let want = [
            0.6250, 0.7056, 0.6633, 0.7136, 0.6757, -0.1786, 0.6327, 0.4082, 0.0051, 0.9900, 0.9889, 0.9845,
            0.9048, 0.8560, 0.3781, 0.1372, 0.9900, 0.9889, 0.9845, 0.9048, 0.8560, 0.2377, 0.1584,
        ];
        for (at, (found, want)) in found.iter().zip(want).enumerate() {
            assert!((found - want).abs() < 3e-3, "{at}: {found} {want}");
        }
    }

    #[test]
    fn a_picture_matches_itself() {
        let all: Vec<usize> = (0..49).collect();
        let own = pair(&picture(&all), &picture(&all), 0.5);
        assert_eq!(own[0], 0.5);
        for at in [1, 2, 3, 4, 5, 6, 7].into_iter().chain(9..PAIR) {
            assert!((own[at] - 1.0).abs() < 1e-5, "{at}: {}", own[at]);
        }
        assert!((own[8] - 1.0 / 49.0).abs() < 1e-5);
    }

    #[test]
    fn a_shifted_picture_agrees_and_a_shuffled_one_does_not() {
        let all: Vec<usize> = (0..49).collect();
        // Everything one row lower; the first row is new.
        let lower: Vec<usize> = (0..49).map(|i| if i < 7 { 50 + i } else { i - 7 }).collect();
        let moved = pair(&picture(&all), &picture(&lower), 0.0);
        assert_eq!((moved[6] * 49.0).round(), 42.0);
        assert_eq!((moved[7] * 49.0).round(), 42.0);
        assert!(moved[5] < 0.01);
        let shuffled: Vec<usize> = (0..49).map(|i| i * 17 % 49).collect();
        let other = pair(&picture(&all), &picture(&shuffled), 0.0);
        assert_eq!((other[6] * 49.0).round(), 49.0);
        assert!(other[7] < 0.4, "{}", other[7]);
    }

    #[test]
    fn candidates_stand_beside_their_list() {
        let query = picture(&(0..49).collect::<Vec<_>>());
        let far = picture(&[60; 49]);
        let list = features(&query, &[(0.9, &query), (0.1, &far)]);
        assert_eq!(list.len(), 2);
        assert_eq!((list[0][PAIR], list[1][PAIR]), (0.0, 0.1 - 0.9));
        assert!((list[0][2 * PAIR] - 0.4).abs() < 1e-6 && (list[1][2 * PAIR] + 0.4).abs() < 1e-6);
        assert!(list[0][1] > list[1][1]);
        assert!(features(&query, &[]).is_empty());
        // Cells of another grid say nothing.
        assert_eq!(pair(&query, &picture(&[0; 4]), 0.3), [0.0; PAIR]);
    }

    #[test]
    fn blank_pictures_give_finite_numbers() {
        let blank = CellCodes::of(&Cells::new(vec![0.0; 49 * 64], 64).unwrap());
        for (a, b) in [(&blank, &blank), (&blank, &picture(&[3; 49])), (&picture(&[3; 49]), &blank)] {
            assert!(pair(a, b, 0.0).iter().all(|v| v.is_finite()));
        }
    }
}

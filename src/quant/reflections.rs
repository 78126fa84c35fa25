//! Cheap rotations: a product of a few Householder reflections lays the widest axes of a cell where its full rotation
//! would lay them; the axes left over fall where they fall.
//!
//! A reflection `x − 2 v ⟨v, x⟩ / ⟨v, v⟩` is orthogonal whatever v is, so v is stored as d signed bytes without a scale and
//! rounding bends nothing: k·d bytes and 2·k·d products instead of d² of both.

use crate::kernels;

/// Squared distance to its place below which an axis is left where it is: a cosine of 0.995.
const NEAR: f32 = 0.01;
/// And below which it is laid the other way round: which way axes point means nothing.
const FAR: f32 = 0.5;

/// Bytes of `count` stored normals of `d` components.
pub(super) fn stored_len(d: usize, count: usize) -> usize {
    d * count
}

/// Normals of at most `count` reflections that turn the axes of most `variance`, columns of `rotation` (`[d, d]`), into
/// their own places.
pub(super) fn store(rotation: &[f64], variance: &[f64], d: usize, count: usize) -> Vec<u8> {
    let mut widest: Vec<usize> = (0..d).collect();
    widest.sort_by(|&a, &b| variance[b].total_cmp(&variance[a]).then(a.cmp(&b)));
    let mut stored: Vec<u8> = Vec::with_capacity(stored_len(d, count));
    for &place in widest.iter().take(count) {
        let mut axis: Vec<f32> = (0..d).map(|i| rotation[i * d + place] as f32).collect();
        turn(stored.chunks_exact(d), &mut axis);
        // What takes the axis to its place: the difference of the two. Where that is small, an axis laid before, which
        // rounding left a little off, would be thrown far: such an axis is laid the other way round, or left where it is.
        let apart = 2.0 - 2.0 * axis[place];
        axis[place] += if apart < FAR { 1.0 } else { -1.0 };
        let most = axis.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
        let scale = if apart < NEAR { 0.0 } else { 127.0 / most };
        stored.extend(axis.iter().map(|v| (v * scale).round() as i8 as u8));
    }
    stored.resize(stored_len(d, count), 0);
    stored
}

/// `Rᵀ x` into `out`, `[d]`.
pub(super) fn apply(stored: &[u8], x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
    turn(stored.chunks_exact(x.len().max(1)), out);
}

/// `R y`, back to where vectors come from.
pub(super) fn invert(stored: &[u8], y: &[f32]) -> Vec<f32> {
    let mut out = y.to_vec();
    turn(stored.chunks_exact(y.len().max(1)).rev(), &mut out);
    out
}

/// Reflects `x` at one normal after the other. One of zeros changes nothing.
fn turn<'a>(normals: impl Iterator<Item = &'a [u8]>, x: &mut [f32]) {
    let mut normal = vec![0.0; x.len()];
    for bytes in normals {
        normal.iter_mut().zip(bytes).for_each(|(v, b)| *v = f32::from(*b as i8));
        // Whole numbers far below 2^24 · 2^7: exact in any order.
        let square: i32 = bytes.iter().map(|b| i32::from(*b as i8).pow(2)).sum();
        if square == 0 {
            continue;
        }
        let step = 2.0 * kernels::dot(&normal, x) / square as f32;
        x.iter_mut().zip(&normal).for_each(|(x, v)| *x -= step * v);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::linalg;
    use crate::quant::rng::Rng;

    fn square(v: &[f32]) -> f32 {
        v.iter().map(|a| a * a).sum()
    }

    #[test]
    fn the_widest_axes_come_to_their_places_and_lengths_stay() {
        let mut rng = Rng::new(5);
        for (d, count) in [(1, 1), (2, 1), (7, 3), (32, 8), (40, 40)] {
            let g: Vec<f64> = (0..d * d).map(|_| rng.unit() - 0.5).collect();
            let rotation = linalg::procrustes(&g, d).0;
            let variance: Vec<f64> = (0..d).map(|i| ((i * 7 + 3) % d) as f64).collect();
            let stored = store(&rotation, &variance, d, count);
            assert_eq!(stored.len(), stored_len(d, count));
            for place in (0..d).filter(|&p| variance[p] >= (d - count) as f64) {
                let axis: Vec<f32> = (0..d).map(|i| rotation[i * d + place] as f32).collect();
                let mut y = vec![0.0; d];
                apply(&stored, &axis, &mut y);
                assert!(y[place].abs() > 0.95, "{d} {count}: axis {place} has {}", y[place]);
            }
            let x: Vec<f32> = (0..d).map(|_| rng.unit() as f32 - 0.5).collect();
            let mut y = vec![0.0; d];
            apply(&stored, &x, &mut y);
            assert!((square(&y) / square(&x) - 1.0).abs() < 1e-4);
            let error: f32 = invert(&stored, &y).iter().zip(&x).map(|(a, b)| (a - b) * (a - b)).sum();
            assert!(error < 1e-9 * square(&x).max(1e-3), "{d} {count}: {error}");
        }
    }

    #[test]
    fn no_rotation_is_none() {
        let identity: Vec<f64> = (0..400).map(|i| f64::from(u8::from(i / 20 == i % 20))).collect();
        assert_eq!(store(&identity, &[1.0; 20], 20, 5), [0; 100]);
    }

    #[test]
    fn any_bytes_are_an_orthogonal_map_or_none() {
        let mut rng = Rng::new(9);
        let d = 24;
        let stored: Vec<u8> = (0..d * 5).map(|_| (rng.unit() * 256.0) as u8).chain(vec![0; d]).collect();
        let x: Vec<f32> = (0..d).map(|_| rng.unit() as f32 - 0.5).collect();
        let mut y = vec![0.0; d];
        apply(&stored, &x, &mut y);
        assert!((square(&y) / square(&x) - 1.0).abs() < 1e-4);
        apply(&[], &x, &mut y);
        assert_eq!(x, y);
    }
}

//! Small dense matrices in f64, row-major `[n, n]`. Plain arithmetic in one order: the same bits on every machine.

use super::parallel;

/// Eigenvalues, largest first, and their vectors as columns, of a symmetric matrix.
///
/// Householder tridiagonalisation, then QL with implicit shifts (EISPACK `tred2`, `tql2`; Bowdler, Martin, Reinsch and
/// Wilkinson 1968). Both walk down columns, so the matrix is kept transposed: a column lies together in memory, which at
/// 384 components is the difference between seconds and a tenth of one.
pub(super) fn eigen(symmetric: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut columns = symmetric.to_vec();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    tridiagonal(&mut columns, n, &mut d, &mut e);
    diagonal(&mut columns, n, &mut d, &mut e);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| d[b].total_cmp(&d[a]).then(a.cmp(&b)));
    let values = order.iter().map(|&i| d[i]).collect();
    let ordered: Vec<f64> = order.iter().flat_map(|&i| &columns[i * n..][..n]).copied().collect();
    (values, transpose(&ordered, n))
}

/// `√(a² + b²)` without overflow; `f64::hypot` differs between machines.
fn length(a: f64, b: f64) -> f64 {
    let (large, small) = (a.abs().max(b.abs()), a.abs().min(b.abs()));
    if large == 0.0 { 0.0 } else { large * (1.0 + (small / large) * (small / large)).sqrt() }
}

/// Column `j` of the matrix is `v[j * n..][..n]`.
fn tridiagonal(v: &mut [f64], n: usize, d: &mut [f64], e: &mut [f64]) {
    if n == 0 {
        return;
    }
    d.copy_from_slice(&v[(n - 1) * n..]);
    for i in (1..n).rev() {
        let scale: f64 = d[..i].iter().map(|x| x.abs()).sum();
        let mut h = 0.0;
        if scale == 0.0 {
            e[i] = d[i - 1];
            for j in 0..i {
                d[j] = v[j * n + i - 1];
                v[j * n + i] = 0.0;
                v[i * n + j] = 0.0;
            }
        } else {
            for x in &mut d[..i] {
                *x /= scale;
                h += *x * *x;
            }
            let f = d[i - 1];
            let g = if f > 0.0 { -h.sqrt() } else { h.sqrt() };
            e[i] = scale * g;
            h -= f * g;
            d[i - 1] = f - g;
            e[..i].fill(0.0);
            for j in 0..i {
                let f = d[j];
                v[i * n + j] = f;
                let column = &v[j * n..][..i];
                let mut g = e[j] + column[j] * f;
                for ((v, d), e) in column[j + 1..].iter().zip(&d[j + 1..i]).zip(&mut e[j + 1..i]) {
                    g += v * d;
                    *e += v * f;
                }
                e[j] = g;
            }
            let mut f = 0.0;
            for j in 0..i {
                e[j] /= h;
                f += e[j] * d[j];
            }
            let hh = f / (h + h);
            for j in 0..i {
                e[j] -= hh * d[j];
            }
            for j in 0..i {
                let (f, g) = (d[j], e[j]);
                let column = &mut v[j * n..][..=i];
                for ((v, e), d) in column[j..i].iter_mut().zip(&e[j..i]).zip(&d[j..i]) {
                    *v -= f * e + g * d;
                }
                d[j] = column[i - 1];
                column[i] = 0.0;
            }
        }
        d[i] = h;
    }
    for i in 0..n - 1 {
        v[i * n + n - 1] = v[i * n + i];
        v[i * n + i] = 1.0;
        let h = d[i + 1];
        let (done, next) = v.split_at_mut((i + 1) * n);
        let reflector = &mut next[..=i];
        if h != 0.0 {
            for (d, r) in d.iter_mut().zip(&*reflector) {
                *d = r / h;
            }
            for column in done.chunks_exact_mut(n) {
                let g: f64 = reflector.iter().zip(&*column).map(|(r, v)| r * v).sum();
                for (v, d) in column.iter_mut().zip(&d[..=i]) {
                    *v -= g * d;
                }
            }
        }
        reflector.fill(0.0);
    }
    for j in 0..n {
        d[j] = v[j * n + n - 1];
        v[j * n + n - 1] = 0.0;
    }
    v[n * n - 1] = 1.0;
    e[0] = 0.0;
}

/// Column `j` of the vectors is `t[j * n..][..n]`.
fn diagonal(t: &mut [f64], n: usize, d: &mut [f64], e: &mut [f64]) {
    if n == 0 {
        return;
    }
    e.rotate_left(1);
    e[n - 1] = 0.0;
    let (mut f, mut largest) = (0.0, 0.0f64);
    for l in 0..n {
        largest = largest.max(d[l].abs() + e[l].abs());
        let m = (l..n).find(|&m| e[m].abs() <= f64::EPSILON * largest).unwrap_or(n - 1);
        // 30 rounds are far more than any matrix needs; a NaN must not loop.
        for _ in 0..if m > l { 60 } else { 0 } {
            let mut g = d[l];
            let mut p = (d[l + 1] - g) / (2.0 * e[l]);
            let mut r = length(p, 1.0);
            if p < 0.0 {
                r = -r;
            }
            d[l] = e[l] / (p + r);
            d[l + 1] = e[l] * (p + r);
            let next = d[l + 1];
            let h = g - d[l];
            for x in &mut d[l + 2..] {
                *x -= h;
            }
            f += h;
            p = d[m];
            let (mut c, mut c2, mut c3) = (1.0, 1.0, 1.0);
            let (mut s, mut s2) = (0.0, 0.0);
            let after = e[l + 1];
            for i in (l..m).rev() {
                c3 = c2;
                c2 = c;
                s2 = s;
                g = c * e[i];
                let h = c * p;
                r = length(p, e[i]);
                e[i + 1] = s * r;
                s = e[i] / r;
                c = p / r;
                p = c * d[i] - s * g;
                d[i + 1] = h + s * (c * g + s * d[i]);
                let (low, high) = t.split_at_mut((i + 1) * n);
                for (a, b) in low[i * n..].iter_mut().zip(&mut high[..n]) {
                    let h = *b;
                    *b = s * *a + c * h;
                    *a = c * *a - s * h;
                }
            }
            p = -s * s2 * c3 * after * e[l] / next;
            e[l] = s * p;
            d[l] = c * p;
            if e[l].abs() <= f64::EPSILON * largest || !e[l].is_finite() {
                break;
            }
        }
        d[l] += f;
        e[l] = 0.0;
    }
}

/// Columns as rows.
pub(super) fn transpose(a: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            out[j * n + i] = a[i * n + j];
        }
    }
    out
}

/// Rows of a product computed at a time: with 4 rows of the right factor they stay in the first-level cache.
const TILE: usize = 8;

/// `Σ_i a_i b_iᵀ`, `[n, n]`, over rows `a_i` and `b_i` of `n` components, summed in their order whatever the threads.
pub(super) fn outer_sum<T: Copy + Into<f64> + Sync>(a: &[&[T]], b: &[&[T]], n: usize) -> Vec<f64> {
    let tiles = parallel::map_long(n.div_ceil(TILE), |tile| {
        let rows = tile * TILE..n.min((tile + 1) * TILE);
        let mut out = vec![0.0; rows.len() * n];
        let mut wide = vec![0.0; 4 * n];
        let (fours, rest) = a.as_chunks::<4>();
        let (right_fours, right_rest) = b.as_chunks::<4>();
        for (a, b) in fours.iter().zip(right_fours) {
            for (wide, b) in wide.chunks_exact_mut(n).zip(b) {
                wide.iter_mut().zip(*b).for_each(|(w, &b)| *w = b.into());
            }
            let (w0, more) = wide.split_at(n);
            let (w1, more) = more.split_at(n);
            let (w2, w3) = more.split_at(n);
            for (out, row) in out.chunks_exact_mut(n).zip(rows.clone()) {
                let [x0, x1, x2, x3]: [f64; 4] = a.map(|a| a[row].into());
                for ((((o, b0), b1), b2), b3) in out.iter_mut().zip(w0).zip(w1).zip(w2).zip(w3) {
                    // One after the other, as without fours.
                    *o = (((*o + x0 * b0) + x1 * b1) + x2 * b2) + x3 * b3;
                }
            }
        }
        for (a, b) in rest.iter().zip(right_rest) {
            for (out, row) in out.chunks_exact_mut(n).zip(rows.clone()) {
                let x: f64 = a[row].into();
                out.iter_mut().zip(*b).for_each(|(o, &b)| *o += x * b.into());
            }
        }
        out
    });
    tiles.concat()
}

/// `aᵀ · b`
pub(super) fn product_t(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let a: Vec<&[f64]> = a.chunks_exact(n.max(1)).collect();
    let b: Vec<&[f64]> = b.chunks_exact(n.max(1)).collect();
    outer_sum(&a, &b, n)
}

/// The orthogonal matrix R with the largest `trace(Rᵀ G)`: `U Vᵀ` of the singular value decomposition `G = U Σ Vᵀ`
/// (Schönemann 1966). Also returns the sum of the singular values.
pub(super) fn procrustes(g: &[f64], n: usize) -> (Vec<f64>, f64) {
    let (_, v) = eigen(&product_t(g, g, n), n);
    // Columns of G V are singular values times columns of U, largest first; those lost to rounding are replaced by
    // whatever is orthogonal to the rest, which the trace does not feel.
    let gt = transpose(g, n);
    let gv = product_t(&gt, &v, n);
    let mut columns = transpose(&gv, n);
    let mut total = 0.0;
    let mut first = 0.0f64;
    // An axis that has little outside of the columns so far has no more outside of later ones: none is tried twice.
    let mut axis = 0;
    for j in 0..n {
        let (done, rest) = columns.split_at_mut(j * n);
        let column = &mut rest[..n];
        let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        total += norm;
        first = first.max(norm);
        let mut ok = norm > 1e-9 * first && orthogonalise(column, done, n);
        while !ok && axis < n {
            column.fill(0.0);
            column[axis] = 1.0;
            ok = orthogonalise(column, done, n);
            axis += 1;
        }
    }
    // U Vᵀ = Σ_j u_j v_jᵀ
    (product_t(&columns, &transpose(&v, n), n), total)
}

/// Makes a column orthogonal to those before it and of length 1; false if nothing is left of it.
fn orthogonalise(column: &mut [f64], done: &[f64], n: usize) -> bool {
    let start = column.iter().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..2 {
        for other in done.chunks_exact(n) {
            let along: f64 = column.iter().zip(other).map(|(a, b)| a * b).sum();
            for (a, b) in column.iter_mut().zip(other) {
                *a -= along * b;
            }
        }
    }
    let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
    column.iter_mut().for_each(|x| *x /= norm);
    norm > 1e-3 * start && norm.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::rng::Rng;

    fn random(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        (0..n * n).map(|_| rng.unit() - 0.5).collect()
    }

    fn close(a: &[f64], b: &[f64], within: f64) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() <= within)
    }

    fn identity(n: usize) -> Vec<f64> {
        (0..n * n).map(|i| f64::from(u8::from(i / n == i % n))).collect()
    }

    #[test]
    fn eigenvectors_diagonalise() {
        for n in [1, 2, 3, 8, 33] {
            let a = random(n, n as u64);
            let s = product_t(&a, &a, n);
            let (values, v) = eigen(&s, n);
            assert!(close(&product_t(&v, &v, n), &identity(n), 1e-12), "{n}");
            assert!(values.is_sorted_by(|a, b| a >= b));
            let sv = product_t(&s, &v, n);
            let vsv = product_t(&v, &sv, n);
            let want: Vec<f64> =
                (0..n * n).map(|i| if i / n == i % n { values[i / n] } else { 0.0 }).collect();
            assert!(close(&vsv, &want, 1e-11), "{n}");
        }
        // Equal values, and nothing at all.
        assert_eq!(eigen(&identity(4), 4).0, [1.0; 4]);
        assert_eq!(eigen(&[0.0; 9], 3).0, [0.0; 3]);
    }

    #[test]
    fn procrustes_is_orthogonal_and_best() {
        for n in [1, 2, 5, 20] {
            let g = random(n, 7 + n as u64);
            let (r, total) = procrustes(&g, n);
            assert!(close(&product_t(&r, &r, n), &identity(n), 1e-10));
            let trace: f64 = r.iter().zip(&g).map(|(a, b)| a * b).sum();
            assert!((trace - total).abs() < 1e-8);
            let other = eigen(&product_t(&g, &g, n), n).1;
            assert!(other.iter().zip(&g).map(|(a, b)| a * b).sum::<f64>() <= trace + 1e-9);
        }
        // A rotation is found again; rank 1 and rank 0 still give a rotation.
        let r = eigen(&product_t(&random(6, 1), &random(6, 1), 6), 6).1;
        assert!(close(&procrustes(&r, 6).0, &r, 1e-9));
        for g in [
            vec![0.0; 16],
            [1.0, 2.0, 3.0, 4.0].iter().flat_map(|a| [a * 1.0, a * 2.0, a * 0.0, a * 1.0]).collect(),
        ] {
            let (r, _) = procrustes(&g, 4);
            assert!(close(&product_t(&r, &r, 4), &identity(4), 1e-10));
        }
    }
}

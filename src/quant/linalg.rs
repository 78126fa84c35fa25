//! Small dense matrices in f64, row-major `[n, n]`. Plain arithmetic in one order: the same bits on every machine.

/// Eigenvalues, largest first, and their vectors as columns, of a symmetric matrix.
///
/// Householder tridiagonalisation, then QL with implicit shifts (EISPACK `tred2`, `tql2`; Bowdler, Martin, Reinsch and
/// Wilkinson 1968).
pub(super) fn eigen(symmetric: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut v = symmetric.to_vec();
    let (mut d, mut e) = (vec![0.0; n], vec![0.0; n]);
    tridiagonal(&mut v, n, &mut d, &mut e);
    diagonal(&mut v, n, &mut d, &mut e);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| d[b].total_cmp(&d[a]).then(a.cmp(&b)));
    let values = order.iter().map(|&i| d[i]).collect();
    let mut vectors = vec![0.0; n * n];
    for row in 0..n {
        for (to, &from) in order.iter().enumerate() {
            vectors[row * n + to] = v[row * n + from];
        }
    }
    (values, vectors)
}

/// `√(a² + b²)` without overflow; `f64::hypot` differs between machines.
fn length(a: f64, b: f64) -> f64 {
    let (large, small) = (a.abs().max(b.abs()), a.abs().min(b.abs()));
    if large == 0.0 { 0.0 } else { large * (1.0 + (small / large) * (small / large)).sqrt() }
}

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
                d[j] = v[(i - 1) * n + j];
                v[i * n + j] = 0.0;
                v[j * n + i] = 0.0;
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
                v[j * n + i] = f;
                let mut g = e[j] + v[j * n + j] * f;
                for k in j + 1..i {
                    g += v[k * n + j] * d[k];
                    e[k] += v[k * n + j] * f;
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
                for k in j..i {
                    v[k * n + j] -= f * e[k] + g * d[k];
                }
                d[j] = v[(i - 1) * n + j];
                v[i * n + j] = 0.0;
            }
        }
        d[i] = h;
    }
    for i in 0..n - 1 {
        v[(n - 1) * n + i] = v[i * n + i];
        v[i * n + i] = 1.0;
        let h = d[i + 1];
        if h != 0.0 {
            for k in 0..=i {
                d[k] = v[k * n + i + 1] / h;
            }
            for j in 0..=i {
                let g: f64 = (0..=i).map(|k| v[k * n + i + 1] * v[k * n + j]).sum();
                for k in 0..=i {
                    v[k * n + j] -= g * d[k];
                }
            }
        }
        for k in 0..=i {
            v[k * n + i + 1] = 0.0;
        }
    }
    for j in 0..n {
        d[j] = v[(n - 1) * n + j];
        v[(n - 1) * n + j] = 0.0;
    }
    v[n * n - 1] = 1.0;
    e[0] = 0.0;
}

fn diagonal(v: &mut [f64], n: usize, d: &mut [f64], e: &mut [f64]) {
    if n == 0 {
        return;
    }
    // Rotations mix two columns; as rows of the transpose they lie together.
    let mut t = transpose(v, n);
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
    v.copy_from_slice(&transpose(&t, n));
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

/// `aᵀ · b`
pub(super) fn product_t(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut out = vec![0.0; n * n];
    for (a, b) in a.chunks_exact(n).zip(b.chunks_exact(n)) {
        for (out, a) in out.chunks_exact_mut(n).zip(a) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += a * b;
            }
        }
    }
    out
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
    for j in 0..n {
        let (done, rest) = columns.split_at_mut(j * n);
        let column = &mut rest[..n];
        let norm = column.iter().map(|x| x * x).sum::<f64>().sqrt();
        total += norm;
        first = first.max(norm);
        let mut ok = norm > 1e-9 * first && orthogonalise(column, done, n);
        let mut axis = 0;
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

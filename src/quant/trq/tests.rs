//! The identities that tie the quantizer to its simpler relatives, and what broken bytes may do.

use super::*;
use crate::kernels;
use crate::quant::linalg;
use crate::quant::rng::Rng;
use crate::quant::{Opq, OpqParams, Pq, PqParams, TrainError};
use proptest::prelude::*;

/// Points around `centres`, each with its own turned ellipsoid.
fn points(n: usize, d: usize, centres: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let mut turn = || {
        let g: Vec<f64> = (0..d * d).map(|_| rng.unit() - 0.5).collect();
        linalg::procrustes(&g, d).0
    };
    let turns: Vec<Vec<f64>> = (0..centres).map(|_| turn()).collect();
    let mut rng = Rng::new(seed ^ 77);
    let middle: Vec<f64> = (0..centres * d).map(|_| rng.unit() * 8.0).collect();
    let mut out = Vec::with_capacity(n * d);
    for i in 0..n {
        let c = i % centres;
        let z: Vec<f64> =
            (0..d).map(|j| ((0..6).map(|_| rng.unit()).sum::<f64>() - 3.0) * 0.7f64.powi(j as i32)).collect();
        for (row, m) in turns[c].chunks_exact(d).zip(&middle[c * d..]) {
            out.push((m + row.iter().zip(&z).map(|(a, b)| a * b).sum::<f64>()) as f32);
        }
    }
    out
}

fn params(lists: usize, cells: usize, m: usize, levels: Levels) -> TrqParams {
    TrqParams { lists, cells, m, levels, ..TrqParams::default() }
}

fn train(v: &[f32], d: usize, p: TrqParams) -> Trq<'static> {
    Trq::train(v, d, &p, &mut |_| ()).unwrap().trq
}

#[test]
fn one_list_and_one_cell_is_opq() {
    let mut v = points(3000, 8, 1, 3);
    // The one coarse centroid is the mean, which OPQ has not.
    let mean: Vec<f32> = (0..8).map(|j| v.iter().skip(j).step_by(8).sum::<f32>() / 3000.0).collect();
    v.chunks_mut(8).for_each(|x| x.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m));
    let trq = train(&v, 8, TrqParams { turns: 8, tau: 0.0, ..params(1, 1, 4, Levels::Two) });
    let opq_params = OpqParams { m: 4, iterations: 12, turns: 8, ..OpqParams::default() };
    let opq = Opq::train(&v, 8, &opq_params, &mut |_| ()).unwrap();
    let codes = opq.encoder().encode(&v);
    let error =
        v.chunks(8).zip(codes.chunks(4)).map(|(x, c)| f64::from(kernels::l2(x, &opq.decode(c)))).sum::<f64>();
    let (own, other) = (trq.encoder().error(&v), error / 3000.0);
    assert!((own / other - 1.0).abs() < 0.05, "{own} {other}");
}

#[test]
fn without_rotations_it_is_residual_pq() {
    let v = points(4000, 8, 16, 5);
    let trq = train(&v, 8, params(16, 0, 4, Levels::Two));
    let encoder = trq.encoder();
    let (lists, _) = encoder.encode(&v);
    // The same coarse step, then a plain product quantizer.
    let coarse: Vec<Vec<f32>> = (0..16)
        .map(|l| {
            crate::kernels::f16::from_bytes(trq.turned_centroid(l)).iter().map(|c| c * trq.unit()).collect()
        })
        .collect();
    let residuals: Vec<f32> = v
        .chunks(8)
        .zip(&lists)
        .flat_map(|(x, &l)| x.iter().zip(&coarse[l as usize]).map(|(a, b)| a - b).collect::<Vec<_>>())
        .collect();
    let pq = Pq::train(&residuals, 8, &PqParams { m: 4, ..PqParams::default() }, &mut |_| ()).unwrap();
    let codes = pq.encoder().encode(&residuals);
    let error: f64 =
        residuals.chunks(8).zip(codes.chunks(4)).map(|(x, c)| f64::from(kernels::l2(x, &pq.decode(c)))).sum();
    let (own, other) = (encoder.error(&v), error / 4000.0);
    assert!((own / other - 1.0).abs() < 0.05, "{own} {other}");
}

#[test]
fn a_few_reflections_go_most_of_the_way() {
    let v = points(8000, 16, 16, 8);
    let made = |cells, reflections| {
        train(&v, 16, TrqParams { reflections, turns: 0, ..params(16, cells, 4, Levels::Two) })
    };
    let error = |trq: &Trq<'_>| trq.encoder().error(&v);
    let (none, whole, few) = (error(&made(0, 0)), error(&made(16, 0)), made(16, 6));
    let part = error(&few);
    assert!(whole < 0.7 * none && part < none - 0.6 * (none - whole), "{none} {part} {whole}");
    assert_eq!((few.reflections(), made(0, 6).reflections(), made(16, 99).reflections()), (6, 0, 16));
    // 6 bytes a component instead of 20.
    assert_eq!(made(16, 0).to_bytes().len() - few.to_bytes().len(), 16 * 16 * 14);
}

#[test]
fn the_objective_never_rises_without_a_pull() {
    let v = points(3000, 8, 32, 1);
    let p = TrqParams { turns: 6, tau: 0.0, ..params(32, 16, 4, Levels::One) };
    let trained = Trq::train(&v, 8, &p, &mut |_| ()).unwrap();
    assert_eq!(trained.objective.len(), 7);
    assert!(trained.objective.windows(2).all(|w| w[1] <= w[0] * (1.0 + 1e-6)), "{:?}", trained.objective);
}

#[test]
fn a_rotation_a_cell_and_more_levels_err_less() {
    let v = points(6000, 8, 16, 2);
    let error = |p| train(&v, 8, p).encoder().error(&v);
    let plain = error(params(16, 0, 2, Levels::Two));
    let one = error(params(16, 1, 2, Levels::Two));
    let own = error(params(16, 16, 2, Levels::Two));
    assert!(own < 0.9 * one.min(plain), "{own} {one} {plain}");
    let first = error(params(16, 16, 2, Levels::One));
    let third = error(params(16, 16, 2, Levels::Three));
    assert!(own < 0.5 * first && third < 0.2 * own, "{first} {own} {third}");
}

#[test]
fn the_best_of_several_lists_errs_less() {
    let v = points(3000, 8, 3000, 6);
    let trq = train(&v, 8, params(64, 4, 1, Levels::One));
    let error = |lists: usize| {
        let encoder = trq.encoder().best_of(lists);
        let of = |x: &[f32]| {
            let (list, code) = encoder.one(x);
            // Turned: rotations of bytes are orthogonal to a few thousandths only.
            f64::from(kernels::l2(&trq.turned_residual(&trq.scaled(x), list), &trq.decode_turned(&code)))
        };
        v.chunks(8).map(of).collect::<Vec<_>>()
    };
    let (one, four, all) = (error(0), error(4), error(usize::MAX));
    assert!(one.iter().zip(&four).chain(four.iter().zip(&all)).all(|(more, less)| less <= more));
    let all = |errors: &[f64]| errors.iter().sum::<f64>();
    assert!(all(&four) < 0.97 * all(&one), "{} {}", all(&four), all(&one));
    let nearest = trq.encoder().residuals(&v[..8])[0].0;
    let lists: Vec<u32> = trq.encoder().best_of(3).residuals(&v[..8]).iter().map(|near| near.0).collect();
    assert_eq!((lists.len(), lists[0]), (3, nearest));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn tables_and_codes_give_the_distance_to_the_decoded_vector(
        d in 1usize..20, parts in 1usize..9, cells in 0usize..3, reflections in 0usize..4, level in 0usize..3,
        seed in any::<u64>(),
    ) {
        let m = parts.min(d);
        let v = points(400, d, 4, seed);
        let levels = [Levels::One, Levels::Two, Levels::Three][level];
        let made = train(&v, d, TrqParams { reflections, ..params(16, cells, m, levels) });
        let bytes = made.to_bytes();
        let trq = Trq::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&trq, &made);
        let encoder = trq.encoder();
        let x = &v[(seed % 399) as usize * d..][..d];
        let (list, code) = encoder.one(x);
        let q: Vec<f32> = v[..d].to_vec();
        let (mut turned, mut target) = (vec![0.0; d], vec![0.0; d]);
        let query = trq.query(&q);
        trq.turned(&query, trq.cell(list), &mut turned);
        trq.residual(&turned, list, &mut target);
        // In the turned space, to rounding.
        let known = trq.decode_turned(&code);
        let want = kernels::l2(&target, &known);
        let close = |got: f32, want: f32| (got - want).abs() <= 2e-3 * (1.0 + want.abs());
        let mut gathered = vec![0; 2 * d];
        trq.gather(&code, &mut gathered);
        let mut steps = vec![0.0; d];
        let packed: Vec<u8> = code[m..].chunks(2).map(|p| p[0] | p.get(1).unwrap_or(&0) << 4).collect();
        trq.steps(&packed, &mut steps);
        if levels == Levels::Three {
            target.iter_mut().zip(&steps).for_each(|(t, s)| *t -= s);
        }
        prop_assert!(close(trq.l2(&target, &gathered), want));
        if levels == Levels::One {
            let mut tables = vec![[0.0; 16]; m];
            trq.l2_tables(&target, &mut tables);
            let sum: f32 = tables.iter().zip(&code).map(|(t, c)| t[usize::from(*c)]).sum();
            prop_assert!(close(sum, want));
        }
        // As vectors: rotations of bytes are orthogonal to a few thousandths.
        let back = trq.decode(list, &code);
        let plain = kernels::l2(&q, &back) / (trq.unit() * trq.unit());
        prop_assert!((plain - want).abs() <= 0.03 * (plain + want) + 1e-3, "{} {}", plain, want);
    }

    #[test]
    fn any_bytes_are_refused_or_decode(at in 0usize..TRQ_HEADER_LEN + 200, byte in any::<u8>(), cut in any::<bool>(),
        flip in any::<bool>()) {
        let mut bytes = if flip { reflected() } else { small() };
        let at = at % bytes.len();
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if at % 2 == 0 && !cut && flip {
            // Of level 2, which has the same tables.
            bytes[16] = 4;
        }
        if let Ok(trq) = Trq::from_bytes(&bytes) {
            for list in [0, 15, 16, u32::MAX] {
                prop_assert_eq!(trq.decode(list, &[255; 9]).len(), trq.dim());
                prop_assert!(trq.cell(list).is_none_or(|c| (c as usize) < trq.cells()));
            }
        }
    }
}

fn small() -> Vec<u8> {
    static SMALL: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    SMALL.get_or_init(|| train(&points(300, 4, 4, 1), 4, params(16, 2, 2, Levels::Three)).to_bytes()).clone()
}

fn reflected() -> Vec<u8> {
    let p = TrqParams { reflections: 2, ..params(16, 2, 2, Levels::Two) };
    static REFLECTED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    REFLECTED.get_or_init(|| train(&points(300, 4, 4, 1), 4, p).to_bytes()).clone()
}

#[test]
fn refuses_bad_training_input() {
    let refuse = |v: &[f32], d, p| Trq::train(v, d, &p, &mut |_| ()).unwrap_err();
    let p = |m, lists, cells| params(lists, cells, m, Levels::Two);
    assert_eq!(refuse(&[0.0; 5], 4, p(2, 1, 0)), TrainError::Shape { values: 5, dim: 4 });
    assert_eq!(refuse(&[f32::NAN], 1, p(1, 1, 0)), TrainError::NotFinite { row: 0 });
    assert_eq!(refuse(&[0.0; 4], 4, p(0, 1, 0)), TrainError::Parts { parts: 0, max: 4 });
    assert_eq!(refuse(&[0.0; 4], 4, p(5, 1, 0)), TrainError::Parts { parts: 5, max: 4 });
    assert_eq!(refuse(&[0.0; 4], 4, p(2, 0, 0)), TrainError::Lists { lists: 0, cells: 0 });
    assert_eq!(refuse(&[0.0; 4], 4, p(2, 1, 2)), TrainError::Lists { lists: 1, cells: 2 });
}

#[test]
fn a_single_vector_and_equal_vectors_train() {
    for v in [
        vec![1.0, 2.0, 3.0, 4.0],
        vec![0.0; 400],
        [1.0, 2.0, 3.0, 4.0].repeat(50),
        vec![1e30; 40],
        vec![1e-35; 40],
        [1e30, 1e-20, 2e-20, 3e-20].repeat(10),
    ] {
        for levels in [Levels::Three, Levels::Kept] {
            let trq = train(&v, 4, params(16, 16, 2, levels));
            let bytes = trq.to_bytes();
            assert_eq!(Trq::from_bytes(&bytes).unwrap(), trq);
            let (list, code) = trq.encoder().one(&v[..4]);
            let back = trq.decode(list, &code);
            let norm = kernels::l2(&v[..4], &[0.0; 4]);
            assert!(!norm.is_finite() || kernels::l2(&v[..4], &back) <= 1e-4 * norm + 1e-30, "{back:?}");
        }
    }
}

#[test]
fn an_impossible_middle_of_kept_vectors_is_refused() {
    let bytes = train(&points(400, 4, 8, 1), 4, params(16, 2, 2, Levels::Kept)).to_bytes();
    let end = bytes.len();
    for (at, value) in
        [(end - 4, 0.0), (end - 4, f32::NAN), (end - 8, 3e38), (end - 20, -2e9), (end - 8, f32::NAN)]
    {
        let mut bad = bytes.clone();
        bad[at..at + 4].copy_from_slice(&f32::to_le_bytes(value));
        assert_eq!(Trq::from_bytes(&bad).unwrap_err(), OpenQuantizerError::Kept, "{at} {value}");
    }
}

#[cfg(feature = "build")]
#[test]
fn threads_do_not_matter() {
    let v = points(1500, 8, 8, 4);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let trq = train(&v, 8, params(16, 4, 4, Levels::Three));
            (trq.to_bytes(), trq.encoder().encode(&v))
        })
    };
    assert!(run(1) == run(3));
}

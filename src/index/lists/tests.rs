//! Lists against plain search over what their rows stand for.

use super::*;
use crate::index::trq::Size;
use crate::index::{Bitmap, Hit, IndexKind, IndexParams, IndexView, SearchError, lists_index};
use crate::kernels::{self, Isa};
use crate::quant::{Levels, TrqParams};
use proptest::prelude::*;
use std::sync::OnceLock;

const DIM: usize = 12;
const ROWS_ALL: u32 = 900;

fn numbers(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    }
}

/// Rows around 40 centres.
fn rows(n: usize, seed: u64) -> Vec<f32> {
    let mut next = numbers(9);
    let centres: Vec<f32> = (0..40 * DIM).map(|_| 3.0 * next()).collect();
    let mut next = numbers(seed);
    (0..n * DIM).map(|i| centres[i / DIM % 40 * DIM + i % DIM] + next()).collect()
}

struct Made {
    quantizer: Vec<u8>,
    codes: Vec<u8>,
}

impl Made {
    fn new(metric: Metric, levels: Levels, cells: usize) -> Self {
        let v = rows(ROWS_ALL as usize, 1);
        let p = TrqParams { lists: 32, cells, m: 5, levels, ..TrqParams::default() };
        let trq = crate::quant::Trq::train(&v, DIM, &p, &mut |_| ()).unwrap().trq;
        let codes = build(&trq, &v, &mut |_| ());
        Self { quantizer: lists_index(&trq, metric, 0.0, ROWS_ALL, &codes), codes }
    }

    fn view(&self) -> IndexView<'_> {
        IndexView::open(&self.quantizer, &self.codes).unwrap()
    }
}

/// One of each metric and depth, built once.
fn made(which: usize) -> &'static Made {
    static ALL: OnceLock<Vec<Made>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        vec![
            Made::new(Metric::L2, Levels::Two, 4),
            Made::new(Metric::Ip, Levels::Two, 4),
            Made::new(Metric::L2, Levels::Three, 1),
            Made::new(Metric::L2, Levels::One, 0),
            Made::new(Metric::Ip, Levels::Three, 0),
            Made::new(Metric::L2, Levels::Kept, 4),
            Made::new(Metric::Ip, Levels::Kept, 0),
        ]
    });
    &all[which % all.len()]
}

/// Looks at everything.
fn all() -> Probe {
    Probe { lists: 32, refine: 2000, rescore: 2000, isa: Isa::Auto }
}

fn query(seed: u64) -> Vec<f32> {
    rows(41, seed)[40 * DIM..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_full_search_is_exact_over_the_decoded_rows(which in 0usize..7, k in 1usize..50, seed in any::<u64>()) {
        let view = made(which).view();
        let lists = view.lists().unwrap();
        let q = query(seed);
        let places = lists.places();
        let score = |row: usize| {
            let x = lists.reconstruct(places[row].0, places[row].1).unwrap();
            if lists.metric() == Metric::Ip { kernels::dot(&q, &x) } else { -kernels::l2(&q, &x) }
        };
        let mut want: Vec<f32> = (0..ROWS_ALL as usize).map(score).collect();
        let hits = view.search_with(&q, k, &all(), Keep::All).unwrap();
        prop_assert_eq!(hits.len(), k);
        prop_assert!(hits.windows(2).all(|w| w[0].score >= w[1].score));
        let within = |a: f32, b: f32| (a - b).abs() <= 0.02 * (a.abs() + b.abs()) + 0.05;
        for hit in &hits {
            prop_assert!(within(hit.score, score(hit.row as usize)), "{} {}", hit.score, score(hit.row as usize));
        }
        want.sort_by(|a, b| b.total_cmp(a));
        for (hit, want) in hits.iter().zip(want) {
            prop_assert!(within(hit.score, want));
        }
    }

    /// However few lists are probed and rows looked at again.
    #[test]
    fn as_many_rows_as_asked_for_are_found(which in 0usize..7, k in 1usize..1000, lists in 0usize..6, seed in any::<u64>()) {
        let probe = Probe { lists, refine: 3, rescore: 2, isa: Isa::Auto };
        let hits = made(which).view().search_with(&query(seed), k, &probe, Keep::All).unwrap();
        prop_assert_eq!(hits.len(), k.min(ROWS_ALL as usize));
        let mut found: Vec<u32> = hits.iter().map(|h| h.row).collect();
        found.sort_unstable();
        found.dedup();
        prop_assert_eq!(found.len(), hits.len());
    }

    #[test]
    fn a_filter_equals_searching_what_it_keeps(which in 0usize..7, k in 0usize..30, keep_one_in in 1u32..40, seed in any::<u64>()) {
        let view = made(which).view();
        let q = query(seed);
        let keep = Bitmap::of(ROWS_ALL, |row| (u64::from(row) ^ seed).is_multiple_of(u64::from(keep_one_in)));
        let mut want = view.search_with(&q, ROWS_ALL as usize, &all(), Keep::All).unwrap();
        want.retain(|h| keep.contains(h.row));
        want.truncate(k);
        prop_assert_eq!(&view.search_with(&q, k, &all(), Keep::Rows(&keep)).unwrap(), &want);
        prop_assert_eq!(&view.search_with(&q, k, &all(), Keep::Each(&|row| keep.contains(row))).unwrap(), &want);
        // With few lists and little refinement, whatever is found still passes, and k are found if there are k.
        let near = Probe { lists: 1, refine: 1, rescore: 1, isa: Isa::Auto };
        let hits = view.search_with(&q, k, &near, Keep::Rows(&keep)).unwrap();
        prop_assert!(hits.iter().all(|h| keep.contains(h.row)));
        prop_assert_eq!(hits.len(), k.min(keep.count() as usize));
    }

    #[test]
    fn damaged_lists_are_refused_or_answer(which in 0usize..7, at in any::<prop::sample::Index>(), byte in any::<u8>(), codes in any::<bool>(), cut in any::<bool>()) {
        let made = made(which);
        let (mut quantizer, mut section) = (made.quantizer.clone(), made.codes.clone());
        let bytes = if codes { &mut section } else { &mut quantizer };
        // Headers and starts are small beside tables: half of the damage goes there.
        let at = if cut { at.index(bytes.len()) } else { at.index(bytes.len().min(200)) };
        bytes[at] = byte;
        if cut && byte % 4 == 0 {
            bytes.truncate(at);
        }
        if let Ok(view) = IndexView::open(&quantizer, &section) {
            let q = query(3);
            for probe in [all(), Probe::default()] {
                if let Ok(hits) = view.search_with(&q[..view.dim().min(DIM)], 20, &probe, Keep::All) {
                    prop_assert!(hits.iter().all(|h| h.row < view.len()));
                }
            }
            if let Some(lists) = view.lists() {
                lists.places();
                lists.reconstruct(0, 0);
                lists.reconstruct(u32::MAX, u32::MAX);
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_hits() {
    let fold = |hits: &[Hit]| {
        hits.iter().fold(0u64, |h, hit| {
            (h ^ u64::from(hit.row) ^ u64::from(hit.score.to_bits()) << 32)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23)
        })
    };
    let mut fingerprint = 0u64;
    for which in 0..7 {
        let view = made(which).view();
        for seed in 0..20 {
            let probe = Probe { lists: 5, refine: 40, rescore: 20, isa: Isa::Scalar };
            let want = view.search_with(&query(seed), 10, &probe, Keep::All).unwrap();
            for &isa in Isa::available() {
                let got = view.search_with(&query(seed), 10, &Probe { isa, ..probe }, Keep::All).unwrap();
                assert_eq!(got, want, "{isa:?}");
            }
            fingerprint = fingerprint.rotate_left(7) ^ fold(&want);
        }
    }
    // Training included: the same on x86-64 and ARM, with and without vectors.
    assert_eq!(fingerprint, FINGERPRINT, "{fingerprint:#x}");
}

const FINGERPRINT: u64 = 0x3d56_3dc5_5dab_eda6;

#[test]
fn vectors_kept_are_compared_as_they_are() {
    let v: Vec<f32> = rows(ROWS_ALL as usize, 1).iter().map(|v| (v * 40.0).round()).collect();
    for metric in [Metric::L2, Metric::Ip, Metric::Cosine] {
        let params = IndexParams { kind: IndexKind::Trq, metric, ..IndexParams::default() };
        let made = crate::index::trq::build(
            &params,
            Size { lists: 16, cells: 2, m: 3, levels: Levels::Kept, bytes: 0.0 },
            [&v, &v],
            DIM,
            &mut |_| (),
        )
        .unwrap();
        assert_eq!(made.params["levels"], "kept");
        let view = IndexView::open(&made.quantizer, &made.codes).unwrap();
        let lists = view.lists().unwrap();
        for (row, &(list, at)) in lists.places().iter().enumerate() {
            // Whole numbers as they were given; half floats would round them in other units than powers of two.
            assert_eq!(lists.reconstruct(list, at).unwrap(), v[row * DIM..][..DIM]);
        }
        if metric == Metric::Cosine {
            // Rows as given are no unit vectors: `build` scales them.
            continue;
        }
        for seed in 0..20 {
            let q: Vec<f32> = query(seed).iter().map(|v| (v * 40.0).round()).collect();
            let score =
                |x: &[f32]| if metric == Metric::Ip { kernels::dot(&q, x) } else { -kernels::l2(&q, x) };
            let mut want: Vec<f32> = v.chunks(DIM).map(score).collect();
            want.sort_by(|a, b| b.total_cmp(a));
            let got = view.search_with(&q, 10, &all(), Keep::All).unwrap();
            assert_eq!(got.iter().map(|h| h.score).collect::<Vec<_>>(), want[..10]);
        }
    }
}

#[test]
fn vectors_kept_far_from_zero_have_their_scores() {
    let mut v = rows(ROWS_ALL as usize, 1);
    v.iter_mut().step_by(DIM).for_each(|v| *v = 1e10);
    for metric in [Metric::L2, Metric::Ip] {
        let params = IndexParams { kind: IndexKind::Trq, metric, ..IndexParams::default() };
        let size = Size { lists: 16, cells: 2, m: 3, levels: Levels::Kept, bytes: 0.0 };
        let made = crate::index::trq::build(&params, size, [&v, &v], DIM, &mut |_| ()).unwrap();
        let view = IndexView::open(&made.quantizer, &made.codes).unwrap();
        for row in [0, 7, 500] {
            let q = &v[row * DIM..][..DIM];
            let hits = view.search_with(q, ROWS_ALL as usize, &all(), Keep::All).unwrap();
            let own = hits.iter().find(|hit| hit.row as usize == row).unwrap().score;
            match metric {
                Metric::Ip => assert!((own / 1e20 - 1.0).abs() < 1e-5, "{own}"),
                Metric::L2 | Metric::Cosine => {
                    let widest = hits.iter().fold(0.0f32, |w, hit| w.max(-hit.score));
                    assert!(widest < 1e4 && -own < 1e-3 * widest, "{own} of {widest}");
                }
            }
        }
    }
}

#[test]
fn odd_questions_have_plain_answers() {
    let view = made(0).view();
    let q = query(1);
    let find = |q: &[f32], k, keep: Keep<'_>| view.search_with(q, k, &Probe::default(), keep);
    assert!(find(&q, 0, Keep::All).unwrap().is_empty());
    assert_eq!(find(&q, usize::MAX, Keep::All).unwrap().len(), ROWS_ALL as usize);
    assert!(find(&q, 10, Keep::Rows(&Bitmap::none(ROWS_ALL))).unwrap().is_empty());
    assert!(find(&q, 10, Keep::Rows(&Bitmap::none(0))).unwrap().is_empty());
    assert!(find(&q, 10, Keep::Each(&|_| false)).unwrap().is_empty());
    assert_eq!(
        find(&q[1..], 1, Keep::All).unwrap_err(),
        SearchError::Dimension { expected: DIM, found: DIM - 1 }
    );
    let mut bad = q.clone();
    bad[2] = f32::INFINITY;
    assert_eq!(find(&bad, 1, Keep::All).unwrap_err(), SearchError::NotFinite { at: 2 });
    for far in [f32::MAX, -f32::MAX, 0.0, 1e-38] {
        assert_eq!(find(&[far; DIM], 5, Keep::All).unwrap().len(), 5);
    }
    let zero = Probe { lists: 0, refine: 0, rescore: 0, isa: Isa::Avx512 };
    assert_eq!(view.search_with(&q, 3, &zero, Keep::All).unwrap().len(), 3);
}

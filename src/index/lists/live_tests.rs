//! Rows added, deleted and compacted away, against lists built anew.

use super::*;
use crate::index::{AddError, Bitmap, IndexView, Live, SearchError, lists_index};
use crate::quant::{Levels, Trq, TrqParams};

const DIM: usize = 16;

fn rows(n: usize, seed: u64) -> Vec<f32> {
    let mut state = 5u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..60 * DIM).map(|_| 2.0 * next()).collect();
    let mut state = seed;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    (0..n * DIM).map(|i| centres[i / DIM % 60 * DIM + i % DIM] + noise()).collect()
}

fn train(v: &[f32], levels: Levels) -> Trq<'static> {
    let p = TrqParams { lists: 32, cells: 4, m: 8, levels, ..TrqParams::default() };
    Trq::train(v, DIM, &p, &mut |_| ()).unwrap().trq
}

fn recall(
    found: impl Fn(&[f32]) -> Vec<u32>,
    row: impl Fn(u32) -> Vec<f32>,
    all: &[u32],
    queries: &[f32],
) -> f64 {
    let mut hits = 0;
    for q in queries.chunks(DIM) {
        let mut exact: Vec<u32> = all.to_vec();
        exact.sort_by(|&a, &b| {
            crate::kernels::l2(q, &row(a)).total_cmp(&crate::kernels::l2(q, &row(b))).then(a.cmp(&b))
        });
        hits += found(q).iter().filter(|r| exact[..10].contains(r)).count();
    }
    hits as f64 / (queries.len() / DIM * 10) as f64
}

#[test]
fn after_half_is_exchanged_recall_is_that_of_a_rebuild() {
    let n = 3000;
    let v = rows(n + n / 2, 1);
    let (old, _) = v.split_at(n * DIM);
    let trq = train(old, Levels::Two);
    let codes = build(&trq, old, &mut |_| ());
    let section = lists_index(&trq, Metric::L2, 0.0, n as u32, &codes);
    let view = IndexView::open(&section, &codes).unwrap();
    let mut live = Live::new(&view);
    for x in v.chunks(DIM).skip(n) {
        live.insert(&live.encode(x).unwrap()).unwrap();
    }
    for row in (0..n as u32).step_by(2) {
        assert!(live.remove(row) && !live.remove(row));
    }
    assert!(!live.remove(u32::MAX));
    let all: Vec<u32> =
        (0..live.changes().rows()).filter(|&r| !live.changes().deleted().contains(r)).collect();
    assert_eq!(all.len(), n);
    let row = |r: u32| v[r as usize * DIM..][..DIM].to_vec();
    let queries = rows(100, 77);
    let probe = Probe { lists: 8, refine: 100, ..Probe::default() };
    let ids = |hits: Vec<crate::index::Hit>| hits.iter().map(|h| h.row).collect::<Vec<_>>();
    let churned = recall(|q| ids(live.search(q, 10, &probe, Keep::All).unwrap()), row, &all, &queries);

    let kept: Vec<f32> = all.iter().flat_map(|&r| row(r)).collect();
    let fresh = train(&kept, Levels::Two);
    let fresh_codes = build(&fresh, &kept, &mut |_| ());
    let fresh_section = lists_index(&fresh, Metric::L2, 0.0, n as u32, &fresh_codes);
    let rebuilt = IndexView::open(&fresh_section, &fresh_codes).unwrap();
    let anew = recall(
        |q| {
            ids(rebuilt.search_with(q, 10, &probe, Keep::All).unwrap())
                .iter()
                .map(|&r| all[r as usize])
                .collect()
        },
        row,
        &all,
        &queries,
    );
    assert!(churned > 0.5 && churned >= anew - 0.01, "{churned} after exchange, {anew} rebuilt");

    // Compaction keeps codes as they are: the same rows with the same scores.
    let (compact_section, compact, from) = live.changes().compacted(&view, &section);
    assert_eq!(compact_section, lists_index(&trq, Metric::L2, 0.0, n as u32, &compact));
    let compact = IndexView::open(&compact_section, &compact).unwrap();
    assert_eq!(from, all);
    let everything = Probe { lists: 32, refine: n, ..Probe::default() };
    for q in queries.chunks(DIM).take(20) {
        let want = live.search(q, 20, &everything, Keep::All).unwrap();
        let mut got = compact.search_with(q, 20, &everything, Keep::All).unwrap();
        got.iter_mut().for_each(|h| h.row = from[h.row as usize]);
        assert_eq!(got, want);
    }
}

#[test]
fn what_is_added_is_found_and_filtered_as_if_it_had_been_built() {
    for (metric, levels) in [
        (Metric::Cosine, Levels::Three),
        (Metric::Ip, Levels::Two),
        (Metric::L2, Levels::One),
        (Metric::L2, Levels::Kept),
    ] {
        let v = rows(700, 3);
        let trq = train(&v, levels);
        let built = build(&trq, &v, &mut |_| ());
        let whole = lists_index(&trq, metric, 0.0, 700, &built);
        let whole = IndexView::open(&whole, &built).unwrap();
        // Built of the first 400, and of none: the rest is added.
        for n in [400usize, 0] {
            let codes = build(&trq, &v[..n * DIM], &mut |_| ());
            let section = lists_index(&trq, metric, 0.0, n as u32, &codes);
            let view = IndexView::open(&section, &codes).unwrap();
            let mut live = Live::new(&view);
            for x in v.chunks(DIM).skip(n) {
                // As it is built: cosines are of rows as given, so none is scaled here.
                let (list, code) = trq.encoder().one(x);
                let mut encoded = list.to_le_bytes().to_vec();
                encoded.extend(code);
                live.insert(&encoded).unwrap();
            }
            let probe = Probe { lists: 32, refine: 2000, rescore: 2000, ..Probe::default() };
            let keep = Bitmap::of(700, |r| r % 3 == 1);
            for q in rows(12, 9).chunks(DIM) {
                assert_eq!(
                    live.search(q, 15, &probe, Keep::All).unwrap(),
                    whole.search_with(q, 15, &probe, Keep::All).unwrap()
                );
                assert_eq!(
                    live.search(q, 15, &probe, Keep::Rows(&keep)).unwrap(),
                    whole.search_with(q, 15, &probe, Keep::Rows(&keep)).unwrap()
                );
            }
        }
    }
}

#[test]
fn broken_additions_are_refused() {
    let v = rows(300, 2);
    let trq = train(&v, Levels::Two);
    let codes = build(&trq, &v, &mut |_| ());
    let section = lists_index(&trq, Metric::Cosine, 0.0, 300, &codes);
    let view = IndexView::open(&section, &codes).unwrap();
    let mut live = Live::new(&view);
    assert_eq!(
        live.encode(&v[1..DIM]).unwrap_err(),
        SearchError::Dimension { expected: DIM, found: DIM - 1 }
    );
    assert_eq!(live.encode(&[0.0; DIM]).unwrap_err(), SearchError::Zero);
    assert_eq!(live.encode(&[f32::NAN; DIM]).unwrap_err(), SearchError::NotFinite { at: 0 });
    let good = live.encode(&v[..DIM]).unwrap();
    for bytes in
        [&good[..3], &good[..11], &[good.as_slice(), &[0]].concat(), &[&[255; 4][..], &good[4..]].concat()]
    {
        assert!(matches!(live.insert(bytes), Err(AddError::Code { expected: 12, .. })), "{bytes:?}");
    }
    assert_eq!((live.insert(&good).unwrap(), live.changes().rows()), (300, 301));
    (0..301).for_each(|row| assert!(live.remove(row)));
    assert!(live.search(&v[..DIM], 5, &Probe::default(), Keep::All).unwrap().is_empty());
    let (section, codes, kept) = live.changes().compacted(&view, &section);
    assert!(kept.is_empty());
    let empty = IndexView::open(&section, &codes).unwrap();
    assert!(
        empty.is_empty() && empty.search_with(&v[..DIM], 5, &Probe::default(), Keep::All).unwrap().is_empty()
    );
}

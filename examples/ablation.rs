//! What each step from PQ to transformed residual codes is worth: `ablation VECTORS_DIR [OPTIONS]`.
//!
//! VECTORS_DIR holds base.npy, learn.npy and query.npy as for `shelfsight bench search`. Each quantizer is trained on learn
//! and codes base; every query is then compared with every decoded row. Prints a JSON line a quantizer:
//! `{"scheme","code_bytes","bytes_per_vector","seed","mse_seen","mse_unseen","recall1","recall10","recall100","recall10_of_10","queries","train_s"}`.
//! `bytes_per_vector` is all in: code, row number and list (2 + log₂ lists bits), and a row's share of centroids, rotations
//! and codebooks. `recallR` is the share of queries whose exact nearest row is among the R best; `mse_seen` is of learn.
//!
//! `--bytes 8,16,32,64` code bytes · `--seeds N` · `--queries N` · `--rows N` of base at most · `--schemes pq,opq,…` · `--lists N` and
//! `--cells N` for other numbers of lists and rotations than the schemes', where they have any · `--best-of N` codes rows in so many
//! of their nearest lists and keeps the best code · `--splits N` gives the stages of the `+ rq` schemes to so many equal shares of the
//! components, each with its own (a product of residual quantizers)

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::Instant;

use rayon::prelude::*;
use shelfsight::eval::vectors::VectorSet;
use shelfsight::kernels;
use shelfsight::quant::{Levels, MAX_BYTES, Opq, OpqParams, Pq, PqParams, Rq, RqParams, Trq, TrqParams};

/// Rows decoded at a time.
const CHUNK: usize = 32_768;
/// Rows that errors are measured on.
const SAMPLE: usize = 20_000;
/// Rows that a list of an index has on average: with fewer rows there are fewer lists than a scheme has.
const LIST_ROWS: usize = 1024;
/// Best rows kept of each query.
const BEST: usize = 100;

/// Vectors `[n, d]` as they come back from their codes.
type Coder = Box<dyn Fn(&[f32]) -> Vec<f32> + Sync>;

#[derive(Clone)]
struct Scheme {
    name: &'static str,
    /// Counts of inverted lists, rotations and turns, or none.
    lists: usize,
    cells: usize,
    turns: usize,
    levels: Levels,
    /// Of each rotation, as a share of the dimension: one of so many; 0 for whole rotations.
    reflections: usize,
    /// Nearest lists that a row is coded in, of which the best is kept.
    best_of: usize,
    /// Shares of the components with stages of their own, of schemes with stages.
    splits: usize,
}

const fn trq(name: &'static str, lists: usize, cells: usize, turns: usize) -> Scheme {
    Scheme { name, lists, cells, turns, levels: Levels::Two, reflections: 0, best_of: 1, splits: 1 }
}

/// In the order of the table. Lists and cells are those of the whole index, fewer where base is small.
const SCHEMES: [Scheme; 16] = [
    trq("pq", 0, 0, 0),
    trq("opq", 0, 0, 0),
    trq("rq", 0, 0, 0),
    trq("lists + pq", 1024, 0, 0),
    trq("lists + opq", 1024, 1, 6),
    trq("lists + rotations", 1024, 64, 0),
    trq("trq", 1024, 64, 6),
    trq("64 lists + rotations", 64, 64, 0),
    Scheme { reflections: 2, ..trq("lists + d/2 reflections", 1024, 64, 0) },
    Scheme { reflections: 4, ..trq("lists + d/4 reflections", 1024, 64, 0) },
    Scheme { reflections: 8, ..trq("lists + d/8 reflections", 1024, 64, 0) },
    // As the paper has it: stages of whole vectors behind the rotation instead of parts.
    trq("lists + rq", 256, 0, 0),
    trq("lists + rotations + rq", 256, 256, 0),
    Scheme { reflections: 4, ..trq("lists + d/4 reflections + rq", 256, 256, 0) },
    Scheme { name: "4-bit parts", levels: Levels::One, ..trq("", 1024, 64, 0) },
    Scheme { name: "parts + 4 bits a component", levels: Levels::Three, ..trq("", 1024, 64, 0) },
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let folder = args.first().ok_or("usage: ablation VECTORS_DIR [--bytes 8,16] [--seeds 3] [--queries 1000] [--rows N] [--schemes pq,trq]")?;
    let option = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1).map(String::as_str)
    };
    let number = |name: &str, default: usize| option(name).map_or(Ok(default), str::parse);
    let bytes: Vec<usize> =
        option("--bytes").unwrap_or("8,16,32,64").split(',').map(str::parse).collect::<Result<_, _>>()?;
    let (seeds, queries) = (number("--seeds", 3)? as u64, number("--queries", 1000)?);
    let only: Option<Vec<&str>> = option("--schemes").map(|s| s.split(',').collect());
    let mut set = VectorSet::open(Path::new(folder))?;
    let rows = set.rows().min(number("--rows", usize::MAX)?);
    set.base.truncate(rows * set.dim);
    let queries: Vec<&[f32]> = set.queries(queries).collect();
    let exact = nearest(&set.base, set.dim, &queries, &|rows| rows.to_vec());

    let mut schemes = SCHEMES.to_vec();
    schemes.retain(|s| only.as_ref().is_none_or(|o| o.contains(&s.name)));
    for scheme in schemes.iter_mut().filter(|s| s.lists > 0) {
        let most = (set.rows() / LIST_ROWS).next_multiple_of(16).max(16);
        scheme.lists = number("--lists", scheme.lists.min(most))?;
        scheme.cells = if scheme.cells > 1 { number("--cells", scheme.cells)? } else { scheme.cells };
        scheme.best_of = number("--best-of", 1)?;
        scheme.splits = number("--splits", 1)?.max(1);
    }
    for bytes in bytes {
        for scheme in &schemes {
            for seed in 1..=seeds {
                let start = Instant::now();
                let Some((coder, total)) = train(scheme, bytes, seed, &set)? else { continue };
                let train_s = start.elapsed().as_secs_f64();
                let found = nearest(&set.base, set.dim, &queries, &coder);
                let first = |best: usize| {
                    let hit = |(f, e): (&Vec<u32>, &Vec<u32>)| {
                        f.iter().take(best).any(|row| Some(row) == e.first())
                    };
                    found.iter().zip(&exact).filter(|&p| hit(p)).count() as f64 / queries.len() as f64
                };
                let ten = |(f, e): (&Vec<u32>, &Vec<u32>)| {
                    f.iter().take(10).filter(|row| e[..10.min(e.len())].contains(row)).count()
                };
                let of_ten: usize = found.iter().zip(&exact).map(ten).sum();
                let mut name = scheme.name.to_owned();
                if scheme.splits > 1 {
                    name += &format!(" of {} shares", scheme.splits);
                }
                if scheme.best_of > 1 {
                    name += &format!(", best of {} lists", scheme.best_of);
                }
                println!(
                    "{{\"scheme\":\"{name}\",\"code_bytes\":{bytes},\"bytes_per_vector\":{total:.2},\"seed\":{seed},\
                     \"mse_seen\":{:.6},\"mse_unseen\":{:.6},\"recall1\":{:.4},\"recall10\":{:.4},\"recall100\":{:.4},\
                     \"recall10_of_10\":{:.4},\"queries\":{},\"train_s\":{train_s:.1}}}",
                    error(&set.learn, set.dim, &coder),
                    error(&set.base, set.dim, &coder),
                    first(1),
                    first(10),
                    first(100),
                    of_ten as f64 / (10 * queries.len()) as f64,
                    queries.len(),
                );
            }
        }
    }
    Ok(())
}

/// A trained quantizer of so many code bytes and what it keeps a row, all in; `None` if there is none of that size.
fn train(
    scheme: &Scheme,
    bytes: usize,
    seed: u64,
    set: &VectorSet,
) -> Result<Option<(Coder, f64)>, Box<dyn Error>> {
    let (d, n, learn) = (set.dim, set.rows() as f64, set.learn.as_slice());
    let max_points = learn.len() / d;
    let with = |size: usize| bytes as f64 + size as f64 / n;
    if scheme.name == "rq" {
        if bytes > MAX_BYTES {
            return Ok(None);
        }
        let params = RqParams { m: bytes, k: 256, seed, max_points, ..RqParams::default() };
        let rq = Rq::train(learn, d, &params, &mut |_| ())?;
        let total = with(rq.to_bytes().len());
        let coder = move |rows: &[f32]| {
            rq.encoder(5).encode(rows).chunks_exact(bytes).flat_map(|code| rq.decode(code)).collect()
        };
        return Ok(Some((Box::new(coder), total)));
    }
    if scheme.lists == 0 {
        if bytes > d {
            return Ok(None);
        }
        if scheme.name == "pq" {
            let params = PqParams { m: bytes, k: 256, seed, max_points, ..PqParams::default() };
            let pq = Pq::train(learn, d, &params, &mut |_| ())?;
            let total = with(pq.to_bytes().len());
            let coder = move |rows: &[f32]| {
                pq.encoder().encode(rows).chunks_exact(bytes).flat_map(|code| pq.decode(code)).collect()
            };
            return Ok(Some((Box::new(coder), total)));
        }
        let params = OpqParams { m: bytes, k: 256, seed, max_points, ..OpqParams::default() };
        let opq = Opq::train(learn, d, &params, &mut |_| ())?;
        let total = with(opq.to_bytes().len());
        let coder = move |rows: &[f32]| {
            opq.encoder().encode(rows).chunks_exact(bytes).flat_map(|code| opq.decode(code)).collect()
        };
        return Ok(Some((Box::new(coder), total)));
    }
    // Half a byte a part, a byte, or a byte a part and half a byte a component.
    let parts = match scheme.levels {
        Levels::One => bytes * 2,
        Levels::Two => bytes,
        Levels::Three => bytes.saturating_sub(d.div_ceil(2)),
        Levels::Kept => bytes.saturating_sub(d * 2),
    };
    if parts == 0 || parts > d.min(512) {
        return Ok(None);
    }
    let (lists, cells) = (scheme.lists, scheme.cells.min(scheme.lists));
    let params = TrqParams {
        lists,
        cells,
        m: parts,
        levels: scheme.levels,
        reflections: d.checked_div(scheme.reflections).unwrap_or(0),
        turns: scheme.turns,
        seed,
        max_points,
        ..TrqParams::default()
    };
    let trq = Trq::train(learn, d, &params, &mut |_| ())?.trq;
    if scheme.name.ends_with("+ rq") {
        let whole = bytes.is_multiple_of(scheme.splits) && d.is_multiple_of(scheme.splits);
        return if whole { Ok(Some(behind(trq, scheme, bytes, seed, set)?)) } else { Ok(None) };
    }
    let ids = (2.0 + (lists as f64).log2().ceil()) / 8.0;
    let total = with(trq.to_bytes().len()) + ids;
    let best_of = scheme.best_of;
    let coder = move |rows: &[f32]| {
        let encoder = trq.encoder().best_of(best_of);
        let (lists, codes) = encoder.encode(rows);
        let decode = |(&list, code): (&u32, &[u8])| trq.decode(list, code);
        lists.iter().zip(codes.chunks_exact(encoder.code_len())).flat_map(decode).collect()
    };
    Ok(Some((Box::new(coder), total)))
}

/// Residual quantizers of what lists and rotations leave, one for each of the scheme's shares of the components.
fn behind(
    trq: Trq<'static>,
    scheme: &Scheme,
    bytes: usize,
    seed: u64,
    set: &VectorSet,
) -> Result<(Coder, f64), Box<dyn Error>> {
    let (d, max_points, best_of) = (set.dim, set.learn.len() / set.dim, scheme.best_of);
    let share = d / scheme.splits;
    // Of each row its nearest lists and what they leave.
    let left = move |trq: &Trq<'_>, rows: &[f32], best_of: usize| -> Vec<Vec<(u32, Vec<f32>)>> {
        let encoder = trq.encoder().best_of(best_of);
        rows.par_chunks_exact(d).map(|x| encoder.residuals(x)).collect()
    };
    let learn: Vec<f32> =
        left(&trq, &set.learn, 1).into_iter().flatten().flat_map(|(_, residual)| residual).collect();
    let params = RqParams { m: bytes / scheme.splits, k: 256, seed, max_points, ..RqParams::default() };
    let of_share = |j: usize| -> Vec<f32> {
        learn.chunks_exact(d).flat_map(|row| &row[j * share..(j + 1) * share]).copied().collect()
    };
    let quantizers = (0..scheme.splits).map(|j| Rq::train(&of_share(j), share, &params, &mut |_| ()));
    let quantizers = quantizers.collect::<Result<Vec<_>, _>>()?;
    let ids = (2.0 + (trq.lists() as f64).log2().ceil()) / 8.0;
    // Without the codebooks of parts, 16 and 256 centroids each, that nothing is coded with.
    let front = trq.to_bytes().len() - (64 + 512) * d;
    let stages: usize = quantizers.iter().map(|rq| rq.to_bytes().len()).sum();
    let total = bytes as f64 + ids + (front + stages) as f64 / set.rows() as f64;
    let coder = move |rows: &[f32]| {
        let encoders: Vec<_> = quantizers.iter().map(|rq| rq.encoder(5)).collect();
        let near = left(&trq, rows, best_of);
        let best = near.par_iter().map(|near| {
            let coded = near.iter().map(|(list, residual)| {
                let shares = residual.chunks_exact(share).zip(quantizers.iter().zip(&encoders));
                let decoded: Vec<f32> = shares.flat_map(|(x, (rq, e))| rq.decode(&e.encode(x))).collect();
                (kernels::l2(residual, &decoded), *list, decoded)
            });
            let best = coded.min_by(|a, b| a.0.total_cmp(&b.0));
            best.map_or_else(Vec::new, |(_, list, decoded)| trq.restore(list, &decoded))
        });
        best.flatten().collect()
    };
    Ok((Box::new(coder), total))
}

/// Mean squared error of rows `[n, d]`, of a sample where they are many.
fn error(rows: &[f32], d: usize, coder: &Coder) -> f64 {
    let step = (rows.len() / d).div_ceil(SAMPLE).max(1);
    let sample: Vec<f32> = rows.chunks_exact(d).step_by(step).flatten().copied().collect();
    let decoded = coder(&sample);
    let each = sample.chunks_exact(d).zip(decoded.chunks_exact(d)).map(|(x, y)| f64::from(kernels::l2(x, y)));
    each.sum::<f64>() / (sample.len() / d) as f64
}

/// The rows nearest to each query, best first, each row as `coder` gives it back.
fn nearest(
    base: &[f32],
    d: usize,
    queries: &[&[f32]],
    coder: &(dyn Fn(&[f32]) -> Vec<f32> + Sync),
) -> Vec<Vec<u32>> {
    let mut best: Vec<Vec<(f32, u32)>> = vec![Vec::new(); queries.len()];
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let by = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
    for (chunk, rows) in base.chunks(CHUNK * d).enumerate() {
        let decoded = coder(rows);
        let share = queries.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            for (queries, best) in queries.chunks(share).zip(best.chunks_mut(share)) {
                let decoded = &decoded;
                scope.spawn(move || {
                    for (query, best) in queries.iter().zip(best) {
                        let bound = best.get(BEST - 1).map_or(f32::INFINITY, |b| b.0);
                        let cost = decoded
                            .chunks_exact(d)
                            .map(|x| kernels::l2(query, x))
                            .zip((chunk * CHUNK) as u32..);
                        best.extend(cost.filter(|c| c.0 < bound));
                        if best.len() > BEST {
                            best.select_nth_unstable_by(BEST - 1, by);
                            best.truncate(BEST);
                        }
                        best.sort_unstable_by(by);
                    }
                });
            }
        });
    }
    best.into_iter().map(|b| b.into_iter().map(|(_, row)| row).collect()).collect()
}

//! Reads inverted lists byte by byte as `docs/pack-format.md` gives them and compares with what the library decodes.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

use shelfsight::index::{IndexView, Metric, lists, lists_index};
use shelfsight::kernels::f16;
use shelfsight::quant::{Levels, Trq, TrqParams};

const D: usize = 10;
const N: usize = 400;
const M: usize = 3;

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u32(&self, at: usize) -> usize {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize
    }
    fn f32(&self, at: usize) -> f32 {
        f32::from_bits(self.u32(at) as u32)
    }
    fn f16(&self, at: usize) -> f32 {
        f16::decode(u16::from_le_bytes([self.0[at], self.0[at + 1]]))
    }
    fn bit(&self, byte: usize, bit: usize) -> usize {
        usize::from(self.0[byte + bit / 8] >> (bit % 8) & 1)
    }
}

fn vectors() -> Vec<f32> {
    (0..N * D).map(|i| ((i * 2_654_435_761) % 4093) as f32 / 409.3 - 5.0).collect()
}

/// Where the sections' tables begin.
struct Places {
    coarse: usize,
    turned: usize,
    rotations: usize,
    parents: usize,
    members: usize,
    steps: usize,
    end: usize,
}

fn places(k: usize, g: usize, levels: usize) -> Places {
    let coarse = 32 + 4 * (g + 1);
    let turned = coarse + 64 * k.div_ceil(16) * D;
    let rotations = turned + 2 * k * D;
    let parents = rotations + g * (4 * D + 16 * D.div_ceil(16) * D);
    let members = parents + 64 * D;
    let steps = members + if levels >= 2 { 512 * D } else { 0 };
    Places {
        coarse,
        turned,
        rotations,
        parents,
        members,
        steps,
        end: steps + [0, 0, 4 * D, 4 * D + 4][levels - 1],
    }
}

/// Row numbers of a list of `c` rows whose bytes begin at `at`, and how many bytes they take.
fn ids(codes: &Bytes<'_>, at: usize, c: usize) -> (Vec<usize>, usize) {
    if c == 0 || c == N {
        return ((0..c).collect(), 0);
    }
    let low = (N / c).ilog2() as usize;
    let high_at = at + (c * low).div_ceil(8);
    let high_len = (c + (N >> low)).div_ceil(8);
    let mut found = Vec::new();
    for bit in 0..high_len * 8 {
        if codes.bit(high_at, bit) == 1 {
            let i = found.len();
            let part = (0..low).map(|b| codes.bit(at, i * low + b) << b).sum::<usize>();
            found.push((bit - i) << low | part);
        }
    }
    (found, (c * low).div_ceil(8) + high_len)
}

#[test]
fn inverted_lists_are_as_the_page_says() {
    for (levels, g) in [(Levels::One, 0), (Levels::Two, 2), (Levels::Three, 3), (Levels::Kept, 1)] {
        let v = vectors();
        let params = TrqParams { lists: 16, cells: g, m: M, levels, ..TrqParams::default() };
        let trq = Trq::train(&v, D, &params, &mut |_| ()).unwrap().trq;
        let codes = lists::build(&trq, &v, &mut |_| ());
        let section = lists_index(&trq, Metric::L2, 0.0, N as u32, &codes);
        let view = IndexView::open(&section, &codes).unwrap();
        let want = view.lists().unwrap();
        let at_library = want.places();

        let head = Bytes(&section);
        assert_eq!((section[0], section[1], section[2], section[3]), (1, 0, 5, 1));
        assert_eq!([4, 8, 12].map(|at| head.u32(at)), [D, N, codes.len() / N]);
        let q = Bytes(&section[32..]);
        let levels = levels as usize;
        assert_eq!([0, 4, 8, 12, 16].map(|at| q.u32(at)), [D, M, 16, g, levels]);
        let unit = q.f32(20);
        let p = places(16, g, levels);
        assert_eq!(q.0.len(), p.end);
        assert!(q.f16(p.turned).is_finite());
        let cell = |list: usize| (0..g).rfind(|&c| q.u32(32 + 4 * c) <= list).unwrap_or(0);
        let part_len = |j: usize| D / M + usize::from(j < D % M);
        let part_at = |j: usize| (0..j).map(part_len).sum::<usize>();

        let c = Bytes(&codes);
        let starts: Vec<usize> = (0..=16).map(|l| c.u32(4 * l)).collect();
        assert_eq!((starts[0], starts[16]), (0, N));
        let mut at = 4 * 17;
        let numbers: Vec<Vec<usize>> = (0..16)
            .map(|l| {
                let (found, len) = ids(&c, at, starts[l + 1] - starts[l]);
                at += len;
                found
            })
            .collect();
        let mut block_at = at.next_multiple_of(64);
        assert!(codes[at..block_at].iter().all(|&b| b == 0));
        let block_len = 16 * 4 * M.div_ceil(4);
        let blocks: usize = starts.windows(2).map(|w| (w[1] - w[0]).div_ceil(32)).sum();
        let tails = block_at + blocks * block_len;
        let tail_len = [0, M.div_ceil(2), M.div_ceil(2) + D.div_ceil(2), M.div_ceil(2) + 2 * D][levels - 1];
        assert_eq!(codes.len(), tails + N * tail_len);
        let mut seen = 0;
        for list in 0..16 {
            for (i, &row) in numbers[list].iter().enumerate() {
                seen += 1;
                assert_eq!(at_library[row], (list as u32, i as u32));
                let block = &codes[block_at + i / 32 * block_len..][..block_len];
                let tail = &codes[tails + (starts[list] + i) * tail_len..][..tail_len];
                let nibble = |byte: u8, high: bool| usize::from(if high { byte >> 4 } else { byte & 15 });
                let mut y = [0.0; D];
                for j in 0..M {
                    let parent = nibble(block[j * 16 + i % 16], i % 32 >= 16);
                    for x in 0..part_len(j) {
                        let at = part_at(j);
                        y[at + x] = if levels == 1 {
                            q.f32(p.parents + 4 * ((at + x) * 16 + parent))
                        } else {
                            let b = parent * 16 + nibble(tail[j / 2], j % 2 == 1);
                            q.f16(p.members + 2 * (256 * at + b * part_len(j) + x))
                        };
                    }
                }
                if levels == 3 {
                    for (x, y) in y.iter_mut().enumerate() {
                        let e = nibble(tail[M.div_ceil(2) + x / 2], x % 2 == 1);
                        *y += (e as f32 - 7.5) * q.f32(p.steps + 4 * x);
                    }
                }
                let rotation = p.rotations + cell(list) * (4 * D + 16 * D.div_ceil(16) * D);
                let back = |x: usize| -> f32 {
                    let centroid = q.f32(p.coarse + 4 * ((list / 16 * D + x) * 16 + list % 16));
                    if g == 0 {
                        return centroid + y[x];
                    }
                    centroid
                        + (0..D)
                            .map(|j| {
                                let entry = q.0[rotation + 4 * D + (j / 16 * D + x) * 16 + j % 16] as i8;
                                f32::from(entry) * q.f32(rotation + 4 * j) * y[j]
                            })
                            .sum::<f32>()
                };
                let decoded = want.reconstruct(list as u32, i as u32).unwrap();
                if levels == 4 {
                    let v_of = |x: usize| Bytes(&tail[M.div_ceil(2)..]).f16(2 * x);
                    let kept = |x: usize| (q.f32(p.steps + 4 * x) + v_of(x)) * q.f32(p.steps + 4 * D);
                    assert!(
                        (0..D).all(|x| decoded[x] == kept(x) && (kept(x) - v[row * D + x]).abs() < 0.005)
                    );
                    // The codes are of the same vector.
                    assert!((0..D).map(|x| (kept(x) - unit * back(x)).powi(2)).sum::<f32>() < 60.0);
                    continue;
                }
                for (x, decoded) in decoded.iter().enumerate() {
                    assert!(
                        (decoded - unit * back(x)).abs() < 1e-4,
                        "{row} {x}: {decoded} {}",
                        unit * back(x)
                    );
                }
            }
            block_at += numbers[list].len().div_ceil(32) * block_len;
        }
        assert_eq!(seen, N);
    }
}

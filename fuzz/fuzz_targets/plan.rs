//! Opens any bytes as a plan and runs what opens, on every instruction set and with threads: never a panic, an access
//! outside, or other bits on another path.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::{Corpus, fuzz_target};
use shelfsight::kernels::Isa;
use shelfsight::runtime::plan::{Limits, Plan, is_plan};
use shelfsight::runtime::{Model, ModelBytes, Pool, Tensor, probe};

/// Small enough that a run takes a millisecond or so.
const LIMITS: Limits = Limits { memory: 8 << 20, work: 4_000_000 };

/// Threads are started once, not for every file.
static POOL: LazyLock<Arc<Pool>> = LazyLock::new(|| Arc::new(Pool::new(2)));

fuzz_target!(|data: &[u8]| -> Corpus {
    let bytes: ModelBytes = Arc::new(with_checksum(data));
    let Ok(plan) = Plan::open(bytes.clone(), &LIMITS) else {
        // Still worth keeping: the reader has many ends.
        return if is_plan(data) { Corpus::Keep } else { Corpus::Reject };
    };
    let tokens = plan.program().max_length.clamp(1, 7) as usize;
    let values: usize = plan.input_names().iter().filter_map(|name| plan.port(name)).map(size).sum();
    if values > 1 << 20 {
        return Corpus::Keep;
    }
    let want = plan.run(probe(&plan, tokens));
    for &isa in Isa::available() {
        let Some(mut other) = Plan::open(bytes.clone(), &LIMITS).ok().and_then(|plan| plan.on(isa)) else {
            panic!("{isa:?} opens what was opened before");
        };
        other.share(&POOL);
        let got = other.run(probe(&plan, tokens));
        match (&want, &got) {
            (Ok(want), Ok(got)) => assert!(same(want, got), "{isa:?} gives other bits"),
            (want, got) => assert_eq!(want.is_ok(), got.is_ok(), "{isa:?}"),
        }
    }
    Corpus::Keep
});

fn size(port: &shelfsight::runtime::Port) -> usize {
    port.shape.iter().flatten().fold(1, |n: usize, &side| n.saturating_mul(side))
}

/// The same numbers, all NaN alike: arithmetic does not say which one comes out.
fn same(a: &[Tensor], b: &[Tensor]) -> bool {
    let bits = |v: &f32| if v.is_nan() { u32::MAX } else { v.to_bits() };
    let one = |(a, b): (&Tensor, &Tensor)| match (a, b) {
        (Tensor::F32 { data: a, .. }, Tensor::F32 { data: b, .. }) => a.iter().map(bits).eq(b.iter().map(bits)),
        (a, b) => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(one)
}

/// The file with the program's checksum made right, so that what it hides is reached.
fn with_checksum(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    let Some(len) = bytes.get(12..16).and_then(|len| Some(u32::from_le_bytes(len.try_into().ok()?))) else {
        return bytes;
    };
    if let Some(words) = 64usize.checked_add(len as usize).and_then(|end| bytes.get(64..end)) {
        let crc = crc32fast::hash(words);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

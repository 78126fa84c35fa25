//! Made-up inputs: to compare engines on, and to time them.

use super::{Kind, Model, Tensor};

/// One value for every input: a smooth picture with grain, or `tokens` small whole numbers (which are words of every
/// vocabulary), with a mask of ones and segments of zeros where inputs have such names. Batch 1.
pub fn probe(model: &dyn Model, tokens: usize) -> Vec<(&str, Tensor)> {
    let known = model.input_names().iter().filter_map(|name| Some((name, model.port(name)?)));
    known
        .map(|(name, port)| {
            let side =
                |(axis, side): (usize, &Option<usize>)| side.unwrap_or(if axis == 0 { 1 } else { tokens });
            let shape: Vec<usize> = port.shape.iter().enumerate().map(side).collect();
            let len: usize = shape.iter().product();
            let width = shape.last().copied().unwrap_or(1).max(1);
            let tensor = match port.kind {
                Kind::F32 => {
                    let value = |i: usize| {
                        let (x, y) = ((i % width) as f32, (i / width) as f32);
                        let grain = (i as u32).wrapping_mul(2_654_435_761) >> 24;
                        0.7 * (x / 19.0).sin() * (y / 23.0).cos() + grain as f32 / 640.0 - 0.2
                    };
                    Tensor::F32 { shape, data: (0..len).map(value).collect() }
                }
                Kind::I64 if name.contains("mask") => Tensor::I64 { shape, data: vec![1; len] },
                Kind::I64 if name.contains("type") => Tensor::I64 { shape, data: vec![0; len] },
                Kind::I64 => Tensor::I64 { shape, data: (0..len as i64).map(|i| 5 + i * 7 % 40).collect() },
            };
            (name.as_str(), tensor)
        })
        .collect()
}

/// The least cosine between outputs of two engines, or `None` where they have other shapes or are no floats.
pub fn agreement(ours: &[Tensor], theirs: &[Tensor]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let cosine = |(a, b): (&Tensor, &Tensor)| {
        let (x, y) = (a.as_f32()?, b.as_f32()?);
        (a.shape() == b.shape()).then(|| dot(x, y) / (dot(x, x) * dot(y, y)).sqrt())
    };
    // NaN counts as less than anything.
    let least = |least: f64, next: f64| if next >= least { least } else { next };
    if ours.len() != theirs.len() {
        return None;
    }
    ours.iter().zip(theirs).map(cosine).try_fold(1.0, |so_far, next| Some(least(so_far, next?)))
}

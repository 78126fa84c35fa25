//! Float layers of transformers and heads, the same bits on every machine.
//!
//! Every output is summed in one fixed order; multiplications and additions are separate, but for attention, where each
//! pair is one operation of one rounding. Most loops are plain Rust, compiled once more for wider vectors where the CPU
//! has them; that changes no result.

mod attention;
mod lanes;
mod layers;
pub mod math;
pub mod picture;

pub use attention::{Attention, attention, attention_scratch};
pub use layers::{
    RowLevels, gelu, gelu_tanh, layer_norm, levels, linear, product, quantize_rows, softmax, swish,
};

#[cfg(test)]
mod testing {
    pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n)
            .map(|i| ((i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0)
            .collect()
    }

    pub fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }
}

//! Float layers of transformers and heads, the same bits on every machine.
//!
//! Every output is summed in one fixed order with separate multiplications and additions. The loops are plain Rust,
//! compiled once more for wider vectors where the CPU has them; that changes no result.

mod layers;
pub mod math;
pub mod picture;

pub use layers::{
    Attention, RowLevels, attention, attention_scratch, gelu, gelu_tanh, layer_norm, levels, linear, product,
    quantize_rows, softmax, swish,
};

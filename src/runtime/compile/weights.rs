//! Collects and packs the weights of a plan.

use super::super::plan::program::{Packed, Range};
use super::super::plan::{ALIGN, OpenPlanError};
use super::CompileError;
use crate::kernels::int8::{CHANNELS, COLUMNS, depthwise_order, pack_depthwise, pack_matrix};

/// Weights of a quantised layer before packing, one number a column (or channel) where not said otherwise.
#[derive(Debug)]
pub(super) struct Layer {
    /// `[k, n]`, or `[taps, channels]`.
    pub weights: Vec<i8>,
    /// Inputs of a column.
    pub k: usize,
    /// Columns.
    pub n: usize,
    /// Bias in steps of input scale · weight scale.
    pub bias: Vec<i32>,
    /// What a sum is multiplied by.
    pub scale: Vec<f32>,
    /// Zero point of the inputs.
    pub zero: u8,
}

/// The weights section as it grows.
#[derive(Debug, Default)]
pub(super) struct Weights(pub Vec<u8>);

impl Weights {
    /// Appends bytes at the next aligned place.
    pub fn add(&mut self, bytes: &[u8]) -> Result<Range, OpenPlanError> {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        let too_large = |_| OpenPlanError::TooLarge { what: "weights" };
        let range = Range {
            offset: u32::try_from(self.0.len()).map_err(too_large)?,
            len: u32::try_from(bytes.len()).map_err(too_large)?,
        };
        self.0.extend(bytes);
        Ok(range)
    }

    pub fn floats(&mut self, values: &[f32]) -> Result<Range, CompileError> {
        if values.iter().any(|v| !v.is_finite()) {
            return Err(CompileError::Broken { reason: "a weight is no finite number".into() });
        }
        Ok(self.add(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())?)
    }

    fn wholes(&mut self, values: &[i32]) -> Result<Range, OpenPlanError> {
        self.add(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    }

    /// A dense layer.
    pub fn dense(&mut self, layer: &Layer) -> Result<Packed, CompileError> {
        let packed = pack_matrix(&layer.weights, layer.k, layer.n);
        self.layer(layer, &packed, layer.n.next_multiple_of(COLUMNS), |column| column)
    }

    /// A depthwise layer.
    pub fn depthwise(&mut self, layer: &Layer) -> Result<Packed, CompileError> {
        let packed = pack_depthwise(&layer.weights, layer.k, layer.n);
        self.layer(layer, &packed, layer.n.next_multiple_of(CHANNELS), depthwise_order)
    }

    fn layer(
        &mut self,
        layer: &Layer,
        packed: &[u8],
        padded: usize,
        place: impl Fn(usize) -> usize,
    ) -> Result<Packed, CompileError> {
        let (mut bias, mut sums, mut scale) = (vec![0i32; padded], vec![0i32; padded], vec![0f32; padded]);
        for (i, &weight) in layer.weights.iter().enumerate() {
            sums[place(i % layer.n)] += i32::from(weight);
        }
        for column in 0..layer.n {
            let at = place(column);
            // The inputs' zero point is taken off here, once.
            bias[at] = layer.bias[column].wrapping_sub(i32::from(layer.zero).wrapping_mul(sums[at]));
            scale[at] = layer.scale[column];
        }
        Ok(Packed {
            weights: self.add(packed)?,
            bias: self.wholes(&bias)?,
            sums: self.wholes(&sums)?,
            scale: self.floats(&scale)?,
        })
    }
}

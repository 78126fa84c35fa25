//! A picture of bytes as a network's input.

use super::{Model, RunError, Tensor};
use crate::cancel::Cancel;

/// Bytes of a picture, and the float that each byte of each channel stands for in the tensor `[1, 3, height, width]` or
/// `[1, height, width, 3]`.
pub struct Picture<'a> {
    /// Three bytes a pixel, row by row.
    pub pixels: &'a [u8],
    /// Floats by channel and byte.
    pub values: &'a [[f32; 256]; 3],
    /// Left column, top row, columns and rows of the pixels in the tensor, which is 0 around them.
    pub window: [usize; 4],
    /// Of the tensor.
    pub shape: [usize; 4],
    /// Whether the tensor keeps each channel by itself.
    pub planar: bool,
    /// The tensor, for engines that take floats.
    pub floats: &'a dyn Fn() -> Vec<f32>,
}

impl Picture<'_> {
    /// Whether this is one picture of planes of that shape, with as many pixels as it should have, inside it.
    pub(super) fn fits(&self, planes: &[Option<usize>]) -> bool {
        let ([left, top, columns, rows], [batch, channels, height, width]) = (self.window, self.shape);
        let same = planes.iter().copied().eq([channels, height, width].map(Some));
        let inside = |start: usize, len: usize, side| start.checked_add(len).is_some_and(|end| end <= side);
        let count = rows.checked_mul(columns).and_then(|n| n.checked_mul(3));
        self.planar
            && batch == 1
            && same
            && columns > 0
            && inside(left, columns, width)
            && inside(top, rows, height)
            && count == Some(self.pixels.len())
    }

    /// Runs `model` on the floats.
    ///
    /// # Errors
    /// As [`Model::run_until`].
    pub fn run_as_floats<M: Model + ?Sized>(
        &self,
        model: &M,
        input: &str,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, RunError> {
        let tensor = Tensor::F32 { shape: self.shape.to_vec(), data: (self.floats)() };
        model.run_until(vec![(input, tensor)], cancel)
    }
}

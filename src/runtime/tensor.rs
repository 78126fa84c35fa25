//! Numbers with a shape.

use std::fmt;

/// Element kind of a [`Tensor`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// Whole numbers.
    I64,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::I64 => "i64",
        })
    }
}

/// A dense array, last axis fastest. Engines check the shape of what they are given, so it may be built by hand.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Floats.
    F32 {
        /// Size of each axis.
        shape: Vec<usize>,
        /// As many values as the product of `shape`.
        data: Vec<f32>,
    },
    /// Whole numbers.
    I64 {
        /// Size of each axis.
        shape: Vec<usize>,
        /// As many values as the product of `shape`.
        data: Vec<i64>,
    },
}

impl Tensor {
    /// Floats of a shape.
    ///
    /// # Errors
    /// [`TensorError`] if `data` does not fill `shape` exactly.
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Result<Self, TensorError> {
        check(shape, data.len())?;
        Ok(Self::F32 { shape: shape.into(), data })
    }

    /// Whole numbers of a shape.
    ///
    /// # Errors
    /// [`TensorError`] if `data` does not fill `shape` exactly.
    pub fn i64(shape: &[usize], data: Vec<i64>) -> Result<Self, TensorError> {
        check(shape, data.len())?;
        Ok(Self::I64 { shape: shape.into(), data })
    }

    /// Size of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32 { shape, .. } | Self::I64 { shape, .. } => shape,
        }
    }

    /// Element kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::F32 { .. } => Kind::F32,
            Self::I64 { .. } => Kind::I64,
        }
    }

    /// The floats, or `None` for whole numbers.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32 { data, .. } => Some(data),
            Self::I64 { .. } => None,
        }
    }

    /// Checks that the data fills the shape.
    ///
    /// # Errors
    /// [`TensorError`] if it does not.
    pub fn validate(&self) -> Result<(), TensorError> {
        match self {
            Self::F32 { shape, data } => check(shape, data.len()),
            Self::I64 { shape, data } => check(shape, data.len()),
        }
    }
}

fn check(shape: &[usize], found: usize) -> Result<(), TensorError> {
    let needed = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side));
    if needed == Some(found) { Ok(()) } else { Err(TensorError { shape: shape.into(), found }) }
}

/// Data that does not fill its shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} values do not fill the shape {shape:?}")]
pub struct TensorError {
    /// Shape given.
    pub shape: Vec<usize>,
    /// Values given.
    pub found: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_must_fill_the_shape() {
        assert_eq!(Tensor::f32(&[2, 3], vec![0.0; 6]).unwrap().shape(), [2, 3]);
        assert_eq!(Tensor::i64(&[], vec![7]).unwrap().kind(), Kind::I64);
        assert!(Tensor::f32(&[2, 3], vec![0.0; 5]).is_err());
        assert!(Tensor::i64(&[usize::MAX, 2], vec![]).is_err());
        assert!(Tensor::F32 { shape: vec![2], data: vec![] }.validate().is_err());
    }
}

//! A unit vector that stands for a picture, a text, or both.

use std::fmt;

/// Largest dimension accepted for an [`Embedding`]; no encoder in use comes near it.
pub const MAX_DIM: usize = 8192;

/// Most numbers of a picture's local descriptors.
pub const MAX_CELL_VALUES: usize = 1 << 16;

/// A vector of length 1, shape `[d]`, in the space of the encoder that made it.
///
/// Cosine similarity of two embeddings is their dot product.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(Vec<f32>);

impl Embedding {
    /// Scales `values` to length 1.
    ///
    /// # Errors
    /// [`EmbeddingError`] if `values` is empty, too long, holds NaN or infinity, or has no direction.
    pub fn normalize(mut values: Vec<f32>) -> Result<Self, EmbeddingError> {
        if values.is_empty() || values.len() > MAX_DIM {
            return Err(EmbeddingError::Dimension { found: values.len() });
        }
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(EmbeddingError::NotFinite { at });
        }
        // f64: squares of large finite f32 would overflow.
        let norm = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt();
        if norm < 1e-12 {
            return Err(EmbeddingError::Zero);
        }
        for v in &mut values {
            *v = (f64::from(*v) / norm) as f32;
        }
        Ok(Self(values))
    }

    /// The components, shape `[d]`.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// Number of components.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// Cosine similarity, or `None` if the dimensions differ.
    pub fn cosine(&self, other: &Self) -> Option<f32> {
        (self.dim() == other.dim()).then(|| self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum())
    }
}

/// Local descriptors of a picture: one for each cell of a square grid, row by row, `[side², width]`. A cell's length says
/// how much it stands out; its direction, what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    width: usize,
    values: Vec<f32>,
}

impl Cells {
    /// `values` is `[cells, width]`.
    ///
    /// # Errors
    /// [`EmbeddingError`] if there is none, too many, or one is not finite.
    pub fn new(values: Vec<f32>, width: usize) -> Result<Self, EmbeddingError> {
        let found = values.len();
        if width == 0 || found == 0 || !found.is_multiple_of(width) || found > MAX_CELL_VALUES {
            return Err(EmbeddingError::Dimension { found });
        }
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(EmbeddingError::NotFinite { at }),
            None => Ok(Self { width, values }),
        }
    }

    /// Cells.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers of a cell.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Each cell's numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// Why values are not an embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingError {
    /// No components, or more than [`MAX_DIM`].
    Dimension {
        /// Components given.
        found: usize,
    },
    /// NaN or infinity.
    NotFinite {
        /// Index of the first bad component.
        at: usize,
    },
    /// All components are (almost) zero, so there is no direction.
    Zero,
}

impl fmt::Display for EmbeddingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dimension { found } => write!(f, "a vector of {found} components; expected 1 to {MAX_DIM}"),
            Self::NotFinite { at } => {
                write!(f, "component {at} is NaN or infinite; check the encoder's output")
            }
            Self::Zero => write!(f, "the vector is zero and has no direction; check the encoder's output"),
        }
    }
}

impl std::error::Error for EmbeddingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_and_compares() {
        let a = Embedding::normalize(vec![3.0, 4.0]).unwrap();
        assert_eq!(a.as_slice(), [0.6, 0.8]);
        let b = Embedding::normalize(vec![f32::MAX, 0.0]).unwrap();
        assert_eq!(a.cosine(&b), Some(0.6));
        assert_eq!(a.cosine(&Embedding::normalize(vec![1.0]).unwrap()), None);
    }

    #[test]
    fn refuses_what_has_no_direction() {
        assert_eq!(Embedding::normalize(vec![]), Err(EmbeddingError::Dimension { found: 0 }));
        assert_eq!(Embedding::normalize(vec![0.0; 4]), Err(EmbeddingError::Zero));
        assert_eq!(Embedding::normalize(vec![1.0, f32::NAN]), Err(EmbeddingError::NotFinite { at: 1 }));
        assert_eq!(Embedding::normalize(vec![f32::INFINITY]), Err(EmbeddingError::NotFinite { at: 0 }));
    }
}

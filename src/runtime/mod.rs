//! Neural networks behind one small trait, [`Model`]. Imports only `kernels`.
//!
//! The pipeline knows tensors and this trait and nothing of any engine, so its tests run on arithmetic fakes.
//! A phone runs a [`plan`]; `compile` makes one from ONNX on the desk, and `load_onnx` runs through tract what a plan
//! does not hold (both feature `onnx`).

#[cfg(feature = "onnx")]
pub mod compile;
mod load;
#[cfg(feature = "onnx")]
mod onnx;
mod picture;
pub mod plan;
mod probe;
mod tensor;

pub use picture::Picture;
pub use probe::{agreement, probe};
pub use tensor::{Kind, Tensor, TensorError};

pub use load::{LoadModelError, LoadOptions, ModelBytes, load};
#[cfg(feature = "onnx")]
pub use onnx::load_onnx;

use std::sync::Arc;

use crate::cancel::{Cancel, cancelled};
pub use crate::kernels::pool::Pool;

/// A network ready to run; one may be used from several threads at once.
pub trait Model: Send + Sync {
    /// Names of the inputs.
    fn input_names(&self) -> &[String];

    /// Names of the outputs, in the order in which [`run`](Self::run) returns them.
    fn output_names(&self) -> &[String];

    /// What the network declares about an input; `None` if it says nothing (or has no such input).
    fn port(&self, _input: &str) -> Option<&Port> {
        None
    }

    /// Rows of the smallest table that the whole numbers of an input choose from, where the engine knows: words of a
    /// vocabulary.
    fn table_rows(&self, _input: &str) -> Option<usize> {
        None
    }

    /// Bytes of working memory of a run, where the engine knows.
    fn memory(&self) -> Option<u64> {
        None
    }

    /// Runs the network once.
    ///
    /// # Errors
    /// [`RunError`] if inputs are missing, unknown or of the wrong shape, or the engine fails.
    fn run(&self, inputs: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>, RunError>;

    /// As [`run`](Self::run), but ends early once `cancel` is raised: a plan between two steps, other engines before
    /// they begin and after they end.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::Cancelled`].
    fn run_until(
        &self,
        inputs: Vec<(&str, Tensor)>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, RunError> {
        if cancelled(cancel) {
            return Err(RunError::Cancelled);
        }
        let outputs = self.run(inputs)?;
        if cancelled(cancel) { Err(RunError::Cancelled) } else { Ok(outputs) }
    }

    /// Runs the network on a picture. Engines that take floats are given its floats; a plan may read the bytes, with the
    /// same result.
    ///
    /// # Errors
    /// As [`run_until`](Self::run_until).
    fn run_picture(
        &self,
        input: &str,
        picture: &Picture<'_>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, RunError> {
        picture.run_as_floats(self, input, cancel)
    }

    /// Lets the threads of `pool` help from now on, where the engine can; results stay the same.
    fn share(&mut self, _pool: &Arc<Pool>) {}
}

/// A declared input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Element kind expected by [`Model::run`].
    pub kind: Kind,
    /// One entry an axis; `None` where the size is free.
    pub shape: Vec<Option<usize>>,
}

/// Why a network did not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// No such input.
    #[error("the model has no input `{name}` (it has {known})")]
    UnknownInput {
        /// Name given.
        name: String,
        /// Names it has.
        known: String,
    },
    /// An input was not given.
    #[error("the model's input `{name}` is missing")]
    MissingInput {
        /// Its name.
        name: String,
    },
    /// A tensor of another kind or shape than the input takes.
    #[error("the model's input `{name}` takes {expected}, not {found}")]
    Input {
        /// Its name.
        name: String,
        /// Kind and shape declared.
        expected: String,
        /// Kind and shape given.
        found: String,
    },
    /// A tensor whose data does not fill its shape.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Nobody waits for the result any more.
    #[error("cancelled")]
    Cancelled,
    /// The engine failed.
    #[error("the model did not run: {reason}")]
    Failed {
        /// What the engine said, in one line.
        reason: String,
    },
}

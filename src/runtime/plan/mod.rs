//! Networks compiled ahead: a list of fused steps over preassigned memory, with weights packed for the kernels.
//!
//! Opening one maps and checks it; nothing is compiled on the phone. [`compile`](super::compile) makes plans from
//! ONNX on the desk. Results are the same bits on every instruction set and for every cut of the work.

mod check;
mod codec;
mod exec;
mod file;
mod ops;
pub mod program;
mod state;
#[cfg(test)]
mod tests;
mod window;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Kind, Model, ModelBytes, Picture, Port, RunError, Tensor};
use crate::cancel::Cancel;
use crate::kernels::Isa;
use crate::kernels::int8::Int8;
use crate::kernels::pool::Pool;
use ops::quantize_picture;
use program::{Program, Step};
use state::{Numbers, State};

#[cfg(feature = "onnx")]
pub(super) use file::{ALIGN, write};
pub use file::{VERSION, identity, is_plan, verify};

/// What a plan may ask of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of activations.
    pub memory: u64,
    /// Multiplications and values written by one run.
    pub work: u64,
}

impl Default for Limits {
    /// 1 GiB and 10¹², a second or a few on a phone.
    fn default() -> Self {
        Self { memory: 1 << 30, work: 1_000_000_000_000 }
    }
}

/// A compiled network, ready to run; one may be used from several threads at once.
pub struct Plan {
    program: Program,
    /// Of each step that has weights.
    numbers: Vec<Option<Numbers>>,
    bytes: ModelBytes,
    weights: std::ops::Range<usize>,
    memory: u64,
    /// Whether a picture's bytes may become levels at once.
    picture: bool,
    kernels: &'static Int8,
    pool: Option<Arc<Pool>>,
    /// Memory of runs that ended, for the next.
    idle: Mutex<Vec<State>>,
    input_names: Vec<String>,
    output_names: Vec<String>,
    ports: Vec<Port>,
}

/// Time of one step.
#[derive(Clone, Copy, Debug)]
pub struct StepTime {
    /// Kind of step.
    pub name: &'static str,
    /// How long it took.
    pub time: Duration,
}

impl Plan {
    /// Opens a plan; its weights stay where they are.
    ///
    /// # Errors
    /// [`OpenPlanError`] says what is wrong with the file, or which limit it exceeds.
    pub fn open(bytes: ModelBytes, limits: &Limits) -> Result<Self, OpenPlanError> {
        let all = (*bytes).as_ref();
        let (program, weights) = file::read(all)?;
        let check::Checks { memory, picture } = check::check(&program, weights.len(), limits)?;
        let numbers = state::numbers(&program, &all[weights.clone()])?;
        let port = |p: &program::Port| Port {
            name: p.name.clone(),
            kind: if p.whole { Kind::I64 } else { Kind::F32 },
            shape: std::iter::once(None)
                .chain(p.dims.iter().map(|d| (d.per == 0).then_some(d.fixed as usize)))
                .collect(),
        };
        let Some(kernels) = Int8::of(Isa::Auto) else { unreachable!("the portable path is always there") };
        Ok(Self {
            input_names: program.inputs.iter().map(|p| p.name.clone()).collect(),
            output_names: program.outputs.iter().map(|p| p.name.clone()).collect(),
            ports: program.inputs.iter().map(port).collect(),
            kernels,
            pool: None,
            program,
            numbers,
            bytes,
            weights,
            memory,
            picture,
            idle: Mutex::default(),
        })
    }

    /// The same plan on another instruction set, for tests and comparisons; `None` if this CPU lacks it.
    pub fn on(mut self, isa: Isa) -> Option<Self> {
        self.kernels = Int8::of(isa)?;
        Some(self)
    }

    /// Bytes of activations at the greatest length: with the weights, what a run needs.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Bytes of weights.
    pub fn weight_bytes(&self) -> usize {
        self.weights.len()
    }

    /// Steps, memory and ports.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Runs once and times every step.
    ///
    /// # Errors
    /// As [`Model::run`].
    pub fn profile(&self, inputs: Vec<(&str, Tensor)>) -> Result<(Vec<Tensor>, Vec<StepTime>), RunError> {
        let mut times = Vec::new();
        let outputs = self.run_with(inputs, None, Some(&mut times))?;
        Ok((outputs, times))
    }

    fn run_with(
        &self,
        inputs: Vec<(&str, Tensor)>,
        cancel: Option<&Cancel>,
        mut times: Option<&mut Vec<StepTime>>,
    ) -> Result<Vec<Tensor>, RunError> {
        let (batch, length, inputs) = state::bind(&self.program, &self.ports, inputs)?;
        self.with_state(|state| {
            let mut outputs = self.outputs(batch, length);
            let run = self.pass(length, cancel);
            for item in 0..batch {
                state.feed(&self.program, &inputs, item, length);
                if !run.from(0, state, times.as_deref_mut()) {
                    return Err(RunError::Cancelled);
                }
                state.take(&self.program, &mut outputs, item, length);
            }
            Ok(outputs)
        })
    }

    /// Memory of an earlier run, or new, for `work`; kept for the next.
    fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let spare = idle.pop();
        drop(idle);
        let new = || State::new(&self.program, self.weights(), self.pool.as_deref());
        let mut state = spare.unwrap_or_else(new);
        let result = work(&mut state);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(state);
        result
    }

    fn weights(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.weights.clone()]
    }

    fn outputs(&self, batch: usize, length: u32) -> Vec<Tensor> {
        self.program.outputs.iter().map(|port| state::empty(port, batch, length)).collect()
    }

    fn pass<'a>(&'a self, length: u32, cancel: Option<&'a Cancel>) -> exec::Run<'a> {
        exec::Run {
            program: &self.program,
            numbers: &self.numbers,
            weights: self.weights(),
            kernels: self.kernels,
            length,
            pool: self.pool.as_deref(),
            cancel,
        }
    }
}

impl Model for Plan {
    fn input_names(&self) -> &[String] {
        &self.input_names
    }

    fn output_names(&self) -> &[String] {
        &self.output_names
    }

    fn port(&self, input: &str) -> Option<&Port> {
        self.ports.iter().find(|p| p.name == input)
    }

    fn table_rows(&self, input: &str) -> Option<usize> {
        let slot = self.program.inputs.iter().find(|p| p.name == input)?.slot;
        let rows = |step: &Step| match step {
            Step::Embed(embed) if embed.ids == slot => Some(embed.words as usize),
            _ => None,
        };
        self.program.steps.iter().filter_map(rows).min()
    }

    fn memory(&self) -> Option<u64> {
        Some(self.memory)
    }

    fn run(&self, inputs: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>, RunError> {
        self.run_with(inputs, None, None)
    }

    fn run_until(
        &self,
        inputs: Vec<(&str, Tensor)>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, RunError> {
        self.run_with(inputs, cancel, None)
    }

    fn run_picture(
        &self,
        input: &str,
        picture: &Picture<'_>,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<Tensor>, RunError> {
        let fits = self.picture && input == self.input_names[0] && picture.fits(&self.ports[0].shape[1..]);
        let Some(Step::QuantizeInput(first)) = self.program.steps.first().filter(|_| fits) else {
            // Whatever is wrong is said as for any other input.
            return picture.run_as_floats(self, input, cancel);
        };
        self.with_state(|state| {
            state.with_u8(first.y, |_, levels| quantize_picture(first, picture, levels));
            if !self.pass(1, cancel).from(1, state, None) {
                return Err(RunError::Cancelled);
            }
            let mut outputs = self.outputs(1, 1);
            state.take(&self.program, &mut outputs, 0, 1);
            Ok(outputs)
        })
    }

    fn share(&mut self, pool: &Arc<Pool>) {
        self.pool = Some(pool.clone());
        // Memory for other cuts of the work.
        self.idle.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("steps", &self.program.steps.len())
            .field("memory", &self.memory)
            .field("weights", &self.weights.len())
            .finish_non_exhaustive()
    }
}

/// Why a plan cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenPlanError {
    /// Other bytes.
    #[error("not a compiled model")]
    NotAPlan,
    /// Made by another version.
    #[error("the compiled model has version {found}; this library reads {VERSION}; compile it anew")]
    Version {
        /// Version in the file.
        found: u32,
    },
    /// Shorter than it says.
    #[error("the compiled model is cut short; copy or compile it again")]
    Truncated,
    /// A changed byte.
    #[error("the compiled model's {what} do not match their checksum; copy or compile it again")]
    Checksum {
        /// Which part.
        what: &'static str,
    },
    /// A step kind of a later writer.
    #[error("the compiled model has a step of unknown kind {word}; update the library or compile it anew")]
    UnknownStep {
        /// Its number.
        word: u32,
    },
    /// A step that would leave its memory, or fields that do not fit together.
    #[error("the compiled model is broken: {reason}")]
    Broken {
        /// What does not fit.
        reason: String,
    },
    /// Too large a count or file.
    #[error("the compiled model's {what} is too large")]
    TooLarge {
        /// What.
        what: &'static str,
    },
    /// More memory than allowed.
    #[error("the model needs {needed} bytes of memory, {allowed} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// More arithmetic than allowed.
    #[error("one run of the model takes {needed} operations, {allowed} are allowed")]
    Work {
        /// Operations needed.
        needed: u64,
        /// Operations allowed.
        allowed: u64,
    },
}

impl OpenPlanError {
    fn broken(reason: String) -> Self {
        Self::Broken { reason }
    }
}

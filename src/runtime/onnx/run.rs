//! A tract plan as a [`Model`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tract_onnx::prelude::{
    DatumType, IntoTValue, TValue, Tensor as TractTensor, TractResult, TypedRunnableModel,
};

use super::proto::list;
use super::{one_line, said};
use crate::runtime::{Model, Port, RunError, Tensor};

/// An input and the element type the graph has there.
pub(super) struct Feed {
    pub port: Port,
    pub element: DatumType,
}

pub(super) struct TractModel {
    plan: Arc<TypedRunnableModel>,
    feeds: Vec<Feed>,
    input_names: Vec<String>,
    output_names: Vec<String>,
}

impl TractModel {
    pub fn new(plan: Arc<TypedRunnableModel>, feeds: Vec<Feed>, output_names: Vec<String>) -> Self {
        let input_names = feeds.iter().map(|f| f.port.name.clone()).collect();
        Self { plan, feeds, input_names, output_names }
    }
}

impl Model for TractModel {
    fn input_names(&self) -> &[String] {
        &self.input_names
    }

    fn output_names(&self) -> &[String] {
        &self.output_names
    }

    fn port(&self, input: &str) -> Option<&Port> {
        self.feeds.iter().map(|f| &f.port).find(|p| p.name == input)
    }

    fn run(&self, mut inputs: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>, RunError> {
        if let Some((name, _)) = inputs.iter().find(|(n, _)| self.port(n).is_none()) {
            let known = list(self.input_names.iter().map(String::as_str));
            return Err(RunError::UnknownInput { name: (*name).into(), known });
        }
        let mut values = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
            let Some(at) = inputs.iter().position(|(n, _)| *n == feed.port.name) else {
                return Err(RunError::MissingInput { name: feed.port.name.clone() });
            };
            values.push(feed.value(inputs.swap_remove(at).1)?);
        }
        let failed = |reason: &str| RunError::Failed { reason: one_line(reason) };
        // Shapes that only a run reveals (a gather beyond its table) may panic inside tract; each run has its own
        // state, so the plan stays usable.
        let outputs = catch_unwind(AssertUnwindSafe(|| {
            self.plan.run(values.into())?.iter().map(|v| read(v)).collect::<TractResult<Vec<_>>>()
        }))
        .map_err(|panic| failed(&said(panic.as_ref())))?;
        outputs.map_err(|e| failed(&format!("{e:#}")))
    }
}

impl Feed {
    fn value(&self, tensor: Tensor) -> Result<TValue, RunError> {
        tensor.validate()?;
        let Port { name, kind, shape } = &self.port;
        let fits = shape.len() == tensor.shape().len()
            && shape.iter().zip(tensor.shape()).all(|(d, &s)| d.map_or(s > 0, |d| d == s));
        if tensor.kind() != *kind || !fits {
            let sides: Vec<String> =
                shape.iter().map(|d| d.map_or_else(|| "?".into(), |d| d.to_string())).collect();
            return Err(RunError::Input {
                name: name.clone(),
                expected: format!("{kind} [{}]", sides.join(", ")),
                found: format!("{} {:?}", tensor.kind(), tensor.shape()),
            });
        }
        let value = match &tensor {
            Tensor::F32 { shape, data } => TractTensor::from_shape(shape, data),
            Tensor::I64 { shape, data } => TractTensor::from_shape(shape, data),
        };
        let value = value.and_then(|v| Ok(v.cast_to_dt(self.element)?.into_owned()));
        Ok(value.map_err(|e| RunError::Failed { reason: one_line(&format!("{e:#}")) })?.into_tvalue())
    }
}

/// An output as floats, or whole numbers where the graph makes those.
fn read(value: &TractTensor) -> TractResult<Tensor> {
    let shape = value.shape().to_vec();
    Ok(if value.datum_type().is_integer() {
        let data = value.cast_to::<i64>()?.try_as_plain_ram()?.as_slice::<i64>()?.to_vec();
        Tensor::I64 { shape, data }
    } else {
        let data = value.cast_to::<f32>()?.try_as_plain_ram()?.as_slice::<f32>()?.to_vec();
        Tensor::F32 { shape, data }
    })
}

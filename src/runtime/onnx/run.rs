//! A network of tract's as a [`Model`].

use shelfsight_tract::{Network, Value};

use super::proto::list;
use crate::runtime::{Model, Port, RunError, Tensor};

pub(super) struct TractModel {
    network: Network,
    ports: Vec<Port>,
    input_names: Vec<String>,
    output_names: Vec<String>,
}

impl TractModel {
    pub fn new(network: Network, ports: Vec<Port>, output_names: Vec<String>) -> Self {
        let input_names = ports.iter().map(|p| p.name.clone()).collect();
        Self { network, ports, input_names, output_names }
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
        self.ports.iter().find(|p| p.name == input)
    }

    fn run(&self, mut inputs: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>, RunError> {
        if let Some((name, _)) = inputs.iter().find(|(n, _)| self.port(n).is_none()) {
            let known = list(self.input_names.iter().map(String::as_str));
            return Err(RunError::UnknownInput { name: (*name).into(), known });
        }
        let mut values = Vec::with_capacity(self.ports.len());
        for port in &self.ports {
            let Some(at) = inputs.iter().position(|(n, _)| *n == port.name) else {
                return Err(RunError::MissingInput { name: port.name.clone() });
            };
            values.push(value(port, inputs.swap_remove(at).1)?);
        }
        let outputs = self.network.run(values).map_err(|reason| RunError::Failed { reason })?;
        let tensor = |value| match value {
            Value::F32(shape, data) => Tensor::F32 { shape, data },
            Value::I64(shape, data) => Tensor::I64 { shape, data },
        };
        Ok(outputs.into_iter().map(tensor).collect())
    }
}

fn value(port: &Port, tensor: Tensor) -> Result<Value, RunError> {
    tensor.validate()?;
    let Port { name, kind, shape } = port;
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
    Ok(match tensor {
        Tensor::F32 { shape, data } => Value::F32(shape, data),
        Tensor::I64 { shape, data } => Value::I64(shape, data),
    })
}

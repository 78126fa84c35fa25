//! A net of one hidden layer that scores what [`features`](super::features) says.

use serde::Deserialize;

use super::matches::FEATURES;
use super::{CellCodes, features};
use crate::kernels::float::gelu;

/// Most hidden units.
const MAX_HIDDEN: usize = 1024;

/// Scores the candidates of a list.
#[derive(Clone, Debug)]
pub struct Reranker {
    mean: Vec<f32>,
    /// One over the deviation.
    scale: Vec<f32>,
    /// `[hidden, FEATURES]`
    weights: Vec<Vec<f32>>,
    bias: Vec<f32>,
    out: Vec<f32>,
}

/// The JSON of a reranker: features are brought to mean 0 and deviation 1, then `out · gelu(hidden · x + bias)`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: String,
    version: u32,
    #[serde(default)]
    #[expect(dead_code, reason = "for people")]
    name: String,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    hidden: Vec<Vec<f32>>,
    bias: Vec<f32>,
    out: Vec<f32>,
}

/// Why a reranker cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RerankerError {
    /// Not the expected JSON.
    #[error("reranker: {reason}")]
    Json {
        /// What the parser said.
        reason: String,
    },
    /// Of another kind or a later version.
    #[error("reranker: this is {found}, not a reranker of version 1")]
    Version {
        /// Kind and version.
        found: String,
    },
    /// A list of a wrong length.
    #[error("reranker: `{field}` has {found} numbers, expected {expected}")]
    Length {
        /// Field.
        field: &'static str,
        /// Numbers in it.
        found: usize,
        /// Numbers that fit.
        expected: usize,
    },
    /// NaN, infinity, or a deviation that is not above 0.
    #[error("reranker: `{field}` holds a number that cannot be")]
    Number {
        /// Field.
        field: &'static str,
    },
}

impl Reranker {
    /// Reads and checks the JSON.
    ///
    /// # Errors
    /// [`RerankerError`] names what is wrong.
    pub fn from_json(json: &[u8]) -> Result<Self, RerankerError> {
        let file: File =
            serde_json::from_slice(json).map_err(|e| RerankerError::Json { reason: e.to_string() })?;
        if file.kind != "rerank" || file.version != 1 {
            let kind: String = file.kind.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(RerankerError::Version { found: format!("`{kind}` {}", file.version) });
        }
        let hidden = file.hidden.len().clamp(1, MAX_HIDDEN);
        let fits = |field, list: &[f32], expected| match list.len() {
            found if found != expected => Err(RerankerError::Length { field, found, expected }),
            _ if !list.iter().all(|v| v.is_finite()) => Err(RerankerError::Number { field }),
            _ => Ok(()),
        };
        fits("mean", &file.mean, FEATURES)?;
        fits("deviation", &file.deviation, FEATURES)?;
        fits("bias", &file.bias, hidden)?;
        fits("out", &file.out, hidden)?;
        file.hidden.iter().try_for_each(|row| fits("hidden", row, FEATURES))?;
        if file.deviation.iter().any(|&d| d < 1e-9) {
            return Err(RerankerError::Number { field: "deviation" });
        }
        Ok(Self {
            mean: file.mean,
            scale: file.deviation.iter().map(|d| 1.0 / d).collect(),
            weights: file.hidden,
            bias: file.bias,
            out: file.out,
        })
    }

    /// A score of each candidate of a list, to be compared within it: the highest is the likeliest. Candidates come with
    /// the cosine of the global vectors.
    pub fn scores(&self, query: &CellCodes, candidates: &[(f32, &CellCodes)]) -> Vec<f32> {
        features(query, candidates).iter().map(|numbers| self.score(numbers)).collect()
    }

    /// The score of one candidate's [`features`].
    pub fn score(&self, features: &[f32; FEATURES]) -> f32 {
        let mut x = [0.0; FEATURES];
        for (at, x) in x.iter_mut().enumerate() {
            *x = (features[at] - self.mean[at]) * self.scale[at];
        }
        // Summed in this order everywhere: the same score on every machine.
        let sum = |row: &Vec<f32>| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>();
        let hidden: Vec<f32> = self.weights.iter().zip(&self.bias).map(|(row, b)| sum(row) + b).collect();
        let mut active = vec![0.0; hidden.len()];
        gelu(&hidden, &mut active);
        active.iter().zip(&self.out).map(|(a, w)| a * w).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let mut value = serde_json::json!({
            "kind": "rerank", "version": 1, "mean": vec![0.5; FEATURES], "deviation": vec![2.0; FEATURES],
            "hidden": [vec![0.1; FEATURES], vec![-0.1; FEATURES]], "bias": [0.0, 1.0], "out": [2.0, 3.0],
        });
        change(&mut value);
        serde_json::to_vec(&value).unwrap()
    }

    #[test]
    fn scores_as_computed_by_hand() {
        let net = Reranker::from_json(&json(|_| {})).unwrap();
        // (1.5 − 0.5) / 2 = 0.5; 69 · 0.05 = 3.45 and −3.45 + 1 = −2.45.
        // gelu(3.45) = 3.449033, gelu(−2.45) = −0.017500.
        let score = net.score(&[1.5; FEATURES]);
        assert!((score - (2.0 * 3.449_033 - 3.0 * 0.017_5)).abs() < 1e-3, "{score}");
    }

    #[test]
    fn refuses_what_does_not_fit() {
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 7] = [
            (|v| v["mean"] = serde_json::json!([1.0]), "`mean` has 1 numbers, expected 69"),
            (|v| v["hidden"] = serde_json::json!([]), "`bias` has 2 numbers, expected 1"),
            (|v| v["hidden"][1] = serde_json::json!([1.0]), "`hidden` has 1 numbers"),
            (|v| v["deviation"][3] = serde_json::json!(0.0), "`deviation` holds"),
            (|v| v["out"][0] = serde_json::json!(1e300), "`out` holds a number"),
            (|v| v["version"] = serde_json::json!(2), "`rerank` 2"),
            (|v| v["more"] = serde_json::json!(2), "unknown field"),
        ];
        for (change, want) in cases {
            let error = Reranker::from_json(&json(change)).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
        assert!(Reranker::from_json(b"{").is_err());
    }
}

//! A manifest and the files it names.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Largest manifest, model or tokenizer that is read, in bytes.
const MAX_BYTES: u64 = 2 << 30;

/// What a manifest and the files beside it hold, unparsed; also for detectors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncoderFiles {
    /// The manifest as it is in the file.
    pub manifest_json: Vec<u8>,
    /// The ONNX model.
    pub model: Vec<u8>,
    /// `tokenizer.json`, if the manifest names one.
    pub tokenizer: Option<Vec<u8>>,
    /// The reranker of an image encoder's local descriptors, if the manifest names one.
    pub reranker: Option<Vec<u8>>,
}

/// Reads a manifest and the model, tokenizer and reranker that it names, relative to its folder.
///
/// # Errors
/// [`ReadEncoderError`] names the file that is missing, unreadable or no manifest.
pub fn read_encoder_files(manifest_path: &Path) -> Result<EncoderFiles, ReadEncoderError> {
    #[derive(Deserialize)]
    struct Names {
        model: String,
        tokenizer: Option<String>,
        local: Option<Local>,
        words: Option<Words>,
    }
    #[derive(Deserialize)]
    struct Words {
        tokenizer: String,
    }
    #[derive(Deserialize)]
    struct Local {
        reranker: Option<String>,
    }
    let manifest_json = read(manifest_path)?;
    let names: Names = serde_json::from_slice(&manifest_json)
        .map_err(|e| ReadEncoderError::Manifest { path: manifest_path.into(), reason: e.to_string() })?;
    let folder = manifest_path.parent().unwrap_or(Path::new(""));
    let model = read(&folder.join(names.model))?;
    let tokenizer = names.tokenizer.or(names.words.map(|words| words.tokenizer));
    let tokenizer = tokenizer.map(|name| read(&folder.join(name))).transpose()?;
    let reranker = names.local.and_then(|local| local.reranker);
    let reranker = reranker.map(|name| read(&folder.join(name))).transpose()?;
    Ok(EncoderFiles { manifest_json, model, tokenizer, reranker })
}

fn read(path: &Path) -> Result<Vec<u8>, ReadEncoderError> {
    let fail = |reason: String| ReadEncoderError::Read { path: path.into(), reason };
    let meta = std::fs::metadata(path).map_err(|e| fail(e.to_string()))?;
    if !meta.is_file() {
        return Err(fail("not a file".into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| fail(e.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fail(e.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fail(format!("larger than {} MB", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Why an encoder's files cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadEncoderError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The manifest is not JSON with a `model`.
    #[error("{} is no encoder manifest: {reason}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
}

//! The models that ship inside the command, and those a user names instead.

use std::path::PathBuf;

use anyhow::Result;
use shelfsight::build::Models;
use shelfsight::encode::{EncoderFiles, read_encoder_files};

macro_rules! weights {
    ($file:literal) => {
        include_bytes!(concat!("../../models/weights/", $file))
    };
}

/// The shipped image encoder, text encoder and detector.
pub fn shipped() -> Models {
    let files = |manifest: &[u8], model: &[u8]| EncoderFiles {
        manifest_json: manifest.to_vec(),
        model: model.to_vec(),
        ..EncoderFiles::default()
    };
    let image = files(weights!("image.json"), weights!("image.plan"));
    let text = files(weights!("text.json"), weights!("text.plan"));
    Models {
        image: Some(EncoderFiles { reranker: Some(weights!("rerank.json").to_vec()), ..image }),
        text: Some(EncoderFiles { tokenizer: Some(weights!("tokenizer.json").to_vec()), ..text }),
        detector: Some(files(weights!("detector.json"), weights!("detector.plan"))),
    }
}

/// A user's choice of encoders: `image=PATH` or `text=PATH`, PATH being a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncoderChoice {
    /// Manifest of an image encoder.
    Image(PathBuf),
    /// Manifest of a text encoder.
    Text(PathBuf),
}

impl std::str::FromStr for EncoderChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("image", path)) if !path.is_empty() => Ok(Self::Image(path.into())),
            Some(("text", path)) if !path.is_empty() => Ok(Self::Text(path.into())),
            _ => Err(format!(
                "'{text}' is not image=PATH or text=PATH, PATH being an encoder's manifest (.json)"
            )),
        }
    }
}

/// The shipped models with the user's encoders in their place. An image encoder that reads words too (it has a tokenizer)
/// stands for both, unless a text encoder is named beside it.
pub fn chosen(choices: &[EncoderChoice]) -> Result<Models> {
    let mut models = shipped();
    let text = choices.iter().any(|choice| matches!(choice, EncoderChoice::Text(_)));
    for choice in choices {
        match choice {
            EncoderChoice::Image(path) => {
                let files = read_encoder_files(path)?;
                if files.tokenizer.is_some() && !text {
                    models.text = None;
                }
                models.image = Some(files);
            }
            EncoderChoice::Text(path) => models.text = Some(read_encoder_files(path)?),
        }
    }
    Ok(models)
}

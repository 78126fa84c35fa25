//! Loads the pack's models when they are first needed.

use std::sync::{Arc, Mutex, PoisonError};

use super::Engine;
use super::error::FindError;
use crate::detect::{self, Detector};
use crate::encode::{ImageEncoder, TextEncoder};
use crate::pack::{EncoderKind, SectionKind};

/// A model that is loaded once, when first needed.
pub(super) struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Slot<T> {
    pub fn new(value: Option<T>) -> Self {
        Self(Mutex::new(value.map(Arc::new)))
    }

    fn get(&self, load: impl FnOnce() -> Result<T, FindError>) -> Result<Arc<T>, FindError> {
        // A poisoned lock only means that another load panicked; the slot is then still empty.
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(value) => Ok(value.clone()),
            None => Ok(slot.insert(Arc::new(load()?)).clone()),
        }
    }
}

impl Engine {
    /// Loads every model of the pack now instead of at the first query.
    ///
    /// # Errors
    /// [`FindError`] if a model cannot be loaded.
    pub fn warm_up(&self) -> Result<(), FindError> {
        let meta = self.pack.meta();
        if meta.image.is_some() {
            self.image_encoder()?;
        }
        if meta.text.is_some() {
            self.text_encoder()?;
        }
        if meta.detector.is_some() {
            self.detector()?;
        }
        Ok(())
    }

    pub(super) fn image_encoder(&self) -> Result<Arc<ImageEncoder>, FindError> {
        const KIND: EncoderKind = EncoderKind::Image;
        self.image.get(|| {
            let manifest = self.part(SectionKind::ImageManifest, KIND)?;
            let model = self.part(SectionKind::ImageModel, KIND)?;
            let encoder = load::image(manifest, model)?;
            self.pack.check_encoder(KIND, &encoder.id().0)?;
            Ok(encoder)
        })
    }

    pub(super) fn text_encoder(&self) -> Result<Arc<TextEncoder>, FindError> {
        const KIND: EncoderKind = EncoderKind::Text;
        self.text.get(|| {
            let manifest = self.part(SectionKind::TextManifest, KIND)?;
            let model = self.part(SectionKind::TextModel, KIND)?;
            let tokenizer = self.part(SectionKind::TextTokenizer, KIND)?;
            let encoder = load::text(manifest, model, tokenizer)?;
            self.pack.check_encoder(KIND, &encoder.id().0)?;
            Ok(encoder)
        })
    }

    pub(super) fn detector(&self) -> Result<Arc<Detector>, FindError> {
        const KIND: EncoderKind = EncoderKind::Detector;
        self.detector.get(|| {
            let manifest = self.part(SectionKind::DetectorManifest, KIND)?;
            let model = self.part(SectionKind::DetectorModel, KIND)?;
            let detector = load::detector(manifest, model)?;
            self.pack.check_encoder(KIND, &detect::id(manifest, model))?;
            Ok(detector)
        })
    }

    fn part(&self, section: SectionKind, kind: EncoderKind) -> Result<&[u8], FindError> {
        self.pack.section(section).ok_or(FindError::NoModel { kind })
    }
}

/// From a pack's bytes to models, through tract.
#[cfg(feature = "onnx")]
mod load {
    use super::{Detector, EncoderKind, FindError, ImageEncoder, TextEncoder};
    use crate::detect::{DetectorManifest, LoadDetectorError};
    use crate::encode::{ImageManifest, LoadEncoderError, TextManifest};

    fn named(kind: EncoderKind) -> impl Fn(LoadEncoderError) -> FindError {
        move |source| FindError::LoadEncoder { kind, source }
    }

    pub fn image(manifest: &[u8], model: &[u8]) -> Result<ImageEncoder, FindError> {
        let load = || ImageEncoder::new(ImageManifest::from_json(manifest)?, model);
        load().map_err(named(EncoderKind::Image))
    }

    pub fn text(manifest: &[u8], model: &[u8], tokenizer: &[u8]) -> Result<TextEncoder, FindError> {
        let load = || TextEncoder::new(TextManifest::from_json(manifest)?, model, tokenizer);
        load().map_err(named(EncoderKind::Text))
    }

    pub fn detector(manifest: &[u8], model: &[u8]) -> Result<Detector, FindError> {
        let manifest = DetectorManifest::from_json(manifest).map_err(LoadDetectorError::from)?;
        Ok(Detector::new(manifest, model)?)
    }
}

/// Without a runtime only models handed over in `EngineOptions` can be used.
#[cfg(not(feature = "onnx"))]
mod load {
    use super::{Detector, EncoderKind, FindError, ImageEncoder, TextEncoder};

    pub fn image(_: &[u8], _: &[u8]) -> Result<ImageEncoder, FindError> {
        Err(FindError::NoRuntime { kind: EncoderKind::Image })
    }

    pub fn text(_: &[u8], _: &[u8], _: &[u8]) -> Result<TextEncoder, FindError> {
        Err(FindError::NoRuntime { kind: EncoderKind::Text })
    }

    pub fn detector(_: &[u8], _: &[u8]) -> Result<Detector, FindError> {
        Err(FindError::NoRuntime { kind: EncoderKind::Detector })
    }
}

//! Loads the pack's models when they are first needed.

use std::sync::{Arc, Mutex, PoisonError};

use super::Engine;
use super::error::FindError;
use crate::detect::{self, Detector, DetectorManifest, LoadDetectorError};
use crate::encode::{ImageEncoder, ImageManifest, TextEncoder, TextManifest};
use crate::pack::{EncoderKind, SectionKind};
use crate::runtime::ModelBytes;

/// A model that is loaded once, when first needed.
pub(super) struct Slot<T>(Mutex<Option<Arc<T>>>);

impl<T> Slot<T> {
    pub fn new(value: Option<T>) -> Self {
        Self(Mutex::new(value.map(Arc::new)))
    }

    pub fn get(&self, load: impl FnOnce() -> Result<T, FindError>) -> Result<Arc<T>, FindError> {
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
            let model = self.model(SectionKind::ImageModel, KIND)?;
            let tokenizer = self.pack.section(SectionKind::ImageTokenizer).unwrap_or_default();
            let load = || ImageEncoder::open_with(ImageManifest::from_json(manifest)?, &model, tokenizer);
            let encoder = load().map_err(|source| FindError::LoadEncoder { kind: KIND, source })?;
            self.pack.check_encoder(KIND, &encoder.id().0)?;
            Ok(encoder.shared(&self.pool))
        })
    }

    pub(super) fn text_encoder(&self) -> Result<Arc<TextEncoder>, FindError> {
        const KIND: EncoderKind = EncoderKind::Text;
        self.text.get(|| {
            let manifest = self.part(SectionKind::TextManifest, KIND)?;
            let model = self.model(SectionKind::TextModel, KIND)?;
            let tokenizer = self.part(SectionKind::TextTokenizer, KIND)?;
            let load = || TextEncoder::open(TextManifest::from_json(manifest)?, &model, tokenizer);
            let encoder = load().map_err(|source| FindError::LoadEncoder { kind: KIND, source })?;
            self.pack.check_encoder(KIND, &encoder.id().0)?;
            Ok(encoder.shared(&self.pool))
        })
    }

    pub(super) fn detector(&self) -> Result<Arc<Detector>, FindError> {
        const KIND: EncoderKind = EncoderKind::Detector;
        self.detector.get(|| {
            let manifest = self.part(SectionKind::DetectorManifest, KIND)?;
            let model = self.model(SectionKind::DetectorModel, KIND)?;
            let parsed = DetectorManifest::from_json(manifest).map_err(LoadDetectorError::from)?;
            let detector = Detector::open(parsed, &model)?;
            self.pack.check_encoder(KIND, &detect::id(manifest, (*model).as_ref()))?;
            Ok(detector.shared(&self.pool))
        })
    }

    /// A model's bytes, which stay in the pack's map.
    fn model(&self, section: SectionKind, kind: EncoderKind) -> Result<ModelBytes, FindError> {
        self.pack.shared_section(section).ok_or(FindError::NoModel { kind })
    }

    fn part(&self, section: SectionKind, kind: EncoderKind) -> Result<&[u8], FindError> {
        self.pack.section(section).ok_or(FindError::NoModel { kind })
    }
}

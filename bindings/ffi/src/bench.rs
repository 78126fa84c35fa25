//! The on-device benchmark.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use shelfsight::Cancel;
use shelfsight::engine::Engine;
use shelfsight::measure::{self, MeasureOptions, Pictures};

use crate::engine::{Progress, check_photo, photo};
use crate::{Attribute, Failure};

/// What to measure.
#[derive(Clone, Debug, uniffi::Record)]
pub struct BenchSettings {
    /// Where the engine's pack lies, to time opening it.
    pub path: String,
    /// Rounds.
    pub rounds: u32,
    /// Milliseconds to rest between rounds.
    pub rest_ms: u32,
    /// A shelf to scan, as a photo file; empty for none.
    pub shelf: Vec<u8>,
    /// What the app knows of the device.
    pub facts: Vec<Attribute>,
}

/// A photo of a known product.
#[derive(Clone, Debug, uniffi::Record)]
pub struct Probe {
    /// A photo file.
    pub photo: Vec<u8>,
    /// Ids of the right products.
    pub ids: Vec<String>,
}

pub(crate) fn run(
    engine: &Engine,
    settings: &BenchSettings,
    probes: &[Probe],
    cancel: Cancel,
    progress: &dyn Progress,
) -> Result<String, Failure> {
    // A file that no decoder knows should not be found out after minutes of measuring.
    for probe in probes {
        check_photo(&probe.photo)?;
    }
    let decode = |probe: &Probe| -> Result<_, Box<dyn Error + Send + Sync>> {
        Ok(measure::Probe { photo: photo(&probe.photo, None)?, ids: probe.ids.clone() })
    };
    let mut probes = probes.iter().map(decode);
    let shelf = if settings.shelf.is_empty() { None } else { Some(photo(&settings.shelf, None)?) };
    let options = MeasureOptions {
        rounds: settings.rounds,
        rest: Duration::from_millis(settings.rest_ms.into()),
        cancel: Some(cancel.clone()),
        facts: settings.facts.iter().map(|f| (f.name.clone(), f.value.clone())).collect(),
    };
    let pictures = Pictures { probes: Some(&mut probes), shelf: shelf.as_ref() };
    let mut step = |done, total| progress.step(done, total);
    let report = measure::measure(engine, Path::new(&settings.path), pictures, &options, &mut step)?;
    serde_json::to_string(&report).map_err(|error| Failure::Internal { reason: error.to_string() })
}

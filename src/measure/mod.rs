//! How fast and how right the library is on this device: the benchmark of the phone apps and of `shelfsight bench`.
//!
//! Stages are run in turns, round after round, so that whatever else the device does meets all alike. Before each round
//! a fixed piece of arithmetic is timed, the *pace*: rounds in which the device itself was slower (it got warm, or the
//! system chose another core) are told apart from rounds in which the library was. Figures come from rounds at full
//! pace where most are, and the report says where they are not. Two reports compare by their `ms` if their `pack.id` is
//! the same, whatever the machines.

mod device;
mod pace;
mod report;

use std::error::Error;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Cancel;
use crate::cancel::cancelled;
use crate::engine::{Engine, EngineOptions, FindError, OpenEngineError, Query};
use crate::frame::{Frame, Pixels, Plane};
use crate::options::{FindOptions, ScanOptions};
use crate::preprocess::Photo;

pub use device::{Device, Memory, device, memory};
pub use report::{Pace, PackFacts, Recall, Report, SCHEMA, Speed, Stages};

/// Rounds whose pace is within this factor of the best count as full pace.
const FULL_PACE: f64 = 1.15;

/// Words that are encoded; of the length of a product's name.
const WORDS: &str = "oat drink barista 1 l";

/// What to run.
#[derive(Clone, Debug)]
pub struct MeasureOptions {
    /// Rounds, at least 1. Default 20.
    pub rounds: u32,
    /// Time to rest between rounds. Default none.
    pub rest: Duration,
    /// Stops a run: [`FindError::Cancelled`].
    pub cancel: Option<Cancel>,
    /// What the app knows of the device beyond what is found here, such as its model; goes into the report.
    pub facts: Vec<(String, String)>,
}

impl Default for MeasureOptions {
    fn default() -> Self {
        Self { rounds: 20, rest: Duration::ZERO, cancel: None, facts: Vec::new() }
    }
}

/// A photo of a product, and which it is.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The photo.
    pub photo: Photo,
    /// Ids of the right products.
    pub ids: Vec<String>,
}

/// Probes one at a time, each read when it is its turn, so that no two are in memory.
pub type Probes<'a> = dyn ExactSizeIterator<Item = Result<Probe, Box<dyn Error + Send + Sync>>> + 'a;

/// Pictures to measure on.
#[derive(Default)]
pub struct Pictures<'a> {
    /// Photos of known products, for recall.
    pub probes: Option<&'a mut Probes<'a>>,
    /// A shelf to scan; a drawn picture without products if there is none.
    pub shelf: Option<&'a Photo>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// A stage failed, or the run was cancelled.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A probe could not be read.
    #[error("{0}")]
    Probe(Box<dyn Error + Send + Sync>),
}

impl From<OpenEngineError> for MeasureError {
    fn from(error: OpenEngineError) -> Self {
        Self::Find(error.into())
    }
}

/// Measures `engine`, whose pack lies at `path`. `step` hears how many steps of how many are done.
///
/// # Errors
/// [`MeasureError`] of the first stage that fails. A stage whose model the pack lacks is left out.
pub fn measure(
    engine: &Engine,
    path: &Path,
    pictures: Pictures<'_>,
    options: &MeasureOptions,
    step: &mut dyn FnMut(u64, u64),
) -> Result<Report, MeasureError> {
    let rounds = options.rounds.max(1);
    let probes = pictures.probes.as_ref().map_or(0, |probes| probes.len());
    let total = u64::from(rounds) + probes as u64;
    let mut run = Run::new(engine, path, options, pictures.shelf);
    // The first round fills caches and finds models not yet loaded; it is not counted.
    run.round()?;
    run.forget();
    for done in 0..rounds {
        step(u64::from(done), total);
        run.round()?;
        rest(options);
    }
    let mut recall = None;
    if let Some(probes) = pictures.probes {
        let mut tally = report::Tally::default();
        for (done, probe) in probes.enumerate() {
            step(u64::from(rounds) + done as u64, total);
            if cancelled(options.cancel.as_ref()) {
                return Err(FindError::Cancelled.into());
            }
            tally.add(engine, &probe.map_err(MeasureError::Probe)?, options.cancel.as_ref())?;
        }
        recall = tally.finish();
    }
    step(total, total);
    Ok(run.report(recall, options))
}

/// Sleeps between rounds, until the run is cancelled.
fn rest(options: &MeasureOptions) {
    let end = Instant::now() + options.rest;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if cancelled(options.cancel.as_ref()) {
            break;
        }
        sleep(left.min(Duration::from_millis(5)));
    }
}

/// Times of one round.
#[derive(Clone, Debug, Default)]
struct Round {
    pace: f64,
    open: Vec<f64>,
    warm_up: Vec<f64>,
    encode_image: Vec<f64>,
    encode_text: Vec<f64>,
    search_image: Vec<f64>,
    search_text: Vec<f64>,
    scan: Vec<f64>,
    cancel: Vec<f64>,
}

struct Run<'a> {
    engine: &'a Engine,
    path: &'a Path,
    shelf: Option<&'a Photo>,
    drawn: Drawn,
    find: FindOptions,
    scan: ScanOptions,
    boxes: usize,
    rounds: Vec<Round>,
}

fn timed<T>(times: &mut Vec<f64>, work: impl FnOnce() -> Result<T, FindError>) -> Result<T, FindError> {
    let start = Instant::now();
    let result = work()?;
    times.push(start.elapsed().as_secs_f64() * 1e3);
    Ok(result)
}

impl<'a> Run<'a> {
    fn new(engine: &'a Engine, path: &'a Path, options: &MeasureOptions, shelf: Option<&'a Photo>) -> Self {
        let cancel = options.cancel.clone();
        // Barcodes are read at the pace of what is in the picture: left out, so that encoders are compared.
        let find = FindOptions { barcode: false, cancel: cancel.clone(), ..FindOptions::default() };
        let scan = ScanOptions { barcode: false, cancel, ..ScanOptions::default() };
        let drawn = Drawn::new();
        Self { engine, path, shelf, drawn, find, scan, boxes: 0, rounds: Vec::new() }
    }

    fn forget(&mut self) {
        self.rounds.clear();
    }

    fn round(&mut self) -> Result<(), FindError> {
        let meta = self.engine.pack().meta();
        let (image, text, detector) = (meta.image.is_some(), meta.text.is_some(), meta.detector.is_some());
        let drawn = self.drawn.frame();
        let mut round = Round { pace: pace::milliseconds(), ..Round::default() };
        let fresh = timed(&mut round.open, || Ok(Engine::open(self.path, EngineOptions::default())?))?;
        timed(&mut round.warm_up, || fresh.warm_up())?;
        drop(fresh);
        if image {
            let query = Query { frame: Some(&drawn), text: None };
            for _ in 0..3 {
                let encoded = timed(&mut round.encode_image, || self.engine.encode(&query, &self.find))?;
                timed(&mut round.search_image, || self.engine.find_encoded(&encoded, &self.find))?;
            }
        }
        if text {
            let query = Query { frame: None, text: Some(WORDS) };
            for _ in 0..3 {
                let encoded = timed(&mut round.encode_text, || self.engine.encode(&query, &self.find))?;
                timed(&mut round.search_text, || self.engine.find_encoded(&encoded, &self.find))?;
            }
        }
        if image && detector {
            let shelf = self.shelf.map(Photo::frame);
            let frame = shelf.as_ref().unwrap_or(&drawn);
            let scan = timed(&mut round.scan, || self.engine.scan(frame, &self.scan))?;
            self.boxes = scan.items.len();
            // At another place of the scan each round, spread evenly.
            let place = (self.rounds.len() as f64 * 0.618_034).fract();
            let wait = Duration::from_secs_f64(round.scan[0] * place / 1e3);
            round.cancel.extend(self.cancel_after(frame, wait));
        }
        self.rounds.push(round);
        Ok(())
    }

    /// Milliseconds from cancelling a scan to its end; `None` if it had ended before.
    fn cancel_after(&self, frame: &Frame<'_>, wait: Duration) -> Option<f64> {
        let cancel = Cancel::new();
        let options = ScanOptions { cancel: Some(cancel.clone()), ..self.scan.clone() };
        let (raised, ended) = std::thread::scope(|scope| {
            let scan = scope.spawn(|| {
                let stopped = self.engine.scan(frame, &options).is_err();
                stopped.then(Instant::now)
            });
            sleep(wait);
            let raised = Instant::now();
            cancel.cancel();
            (raised, scan.join().ok().flatten())
        });
        Some(ended?.saturating_duration_since(raised).as_secs_f64() * 1e3)
    }

    fn report(&self, recall: Option<Recall>, options: &MeasureOptions) -> Report {
        let best = self.rounds.iter().map(|r| r.pace).fold(f64::INFINITY, f64::min);
        let full: Vec<&Round> = self.rounds.iter().filter(|r| r.pace <= best * FULL_PACE).collect();
        let throttled = full.len() * 2 < self.rounds.len();
        let used = if throttled { self.rounds.iter().collect() } else { full };
        let speed = |times: fn(&Round) -> &Vec<f64>| {
            Speed::of(used.iter().flat_map(|round| times(round)).copied().collect())
        };
        // Against the clock rather than the pace: what a user feels after minutes.
        let middle = |rounds: &[Round]| {
            Speed::of(rounds.iter().flat_map(|r| &r.encode_image).copied().collect()).map(|s| s.median)
        };
        let third = (self.rounds.len() / 3).max(1);
        let (first, last) = (&self.rounds[..third], &self.rounds[self.rounds.len() - third..]);
        let slowdown = middle(first).zip(middle(last)).map(|(first, last)| last / first);
        let paces: Vec<f64> = self.rounds.iter().map(|r| r.pace).collect();
        Report {
            schema: SCHEMA,
            library: env!("CARGO_PKG_VERSION"),
            pack: PackFacts::of(self.engine.pack()),
            device: device(&options.facts),
            ms: Stages {
                open: speed(|r| &r.open),
                warm_up: speed(|r| &r.warm_up),
                encode_image: speed(|r| &r.encode_image),
                encode_text: speed(|r| &r.encode_text),
                search_image: speed(|r| &r.search_image),
                search_text: speed(|r| &r.search_text),
                scan: speed(|r| &r.scan),
                cancel: speed(|r| &r.cancel),
            },
            scan_boxes: self.boxes,
            pace: Pace {
                best_ms: report::rounded(best),
                rounds: self.rounds.len(),
                rounds_used: used.len(),
                throttled,
                worst: Speed::of(paces).map(|p| report::rounded(p.max / best)),
                slowdown: slowdown.map(report::rounded),
            },
            memory: memory(),
            recall,
        }
    }
}

/// A camera frame of 1280 × 960 in YUV, drawn: blocks of many greys with grain.
struct Drawn {
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

const DRAWN: (usize, usize) = (1280, 960);

impl Drawn {
    fn new() -> Self {
        let (w, h) = DRAWN;
        let hash = |x: usize, y: usize| {
            (x as u32).wrapping_mul(2_654_435_761) ^ (y as u32).wrapping_mul(2_246_822_519)
        };
        let luma = |i: usize| {
            let (x, y) = (i % w, i / w);
            let block = hash(x / 96, y / 128).wrapping_mul(31) >> 25;
            (60 + block + (hash(x, y) >> 28)) as u8
        };
        let colour =
            |salt: usize| move |i: usize| 96 + (hash(i % (w / 2) / 48 + salt, i / (w / 2) / 64) >> 26) as u8;
        Self {
            y: (0..w * h).map(luma).collect(),
            u: (0..w * h / 4).map(colour(1)).collect(),
            v: (0..w * h / 4).map(colour(7)).collect(),
        }
    }

    fn frame(&self) -> Frame<'_> {
        let plane = |data, row_stride| Plane { data, row_stride, pixel_stride: 1 };
        let (w, h) = DRAWN;
        let pixels =
            Pixels::Yuv420 { y: plane(&self.y, w), u: plane(&self.u, w / 2), v: plane(&self.v, w / 2) };
        Frame::new(pixels, w as u32, h as u32).expect("drawn to fit")
    }
}

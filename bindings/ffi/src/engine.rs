//! The one object that crosses the border.

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Instant;

use shelfsight::Cancel;
use shelfsight::Frame;
use shelfsight::engine::{CodedPicture, Engine, EngineOptions, FollowOptions, NewProduct, Query, Session};
use shelfsight::options::{FindOptions, ScanOptions};
use shelfsight::pack::{OpenOptions, Pack};

use crate::bench::{self, BenchSettings, Probe};
use crate::types::{
    CompactedPack, FollowSettings, HeatLevel, LicenceRecord, OpenSettings, PackSummary, ProductRecord, Reply,
    Request, Work,
};
use crate::{Failure, PixelFormat, convert};

/// Most names of a kind in a [`PackSummary`].
const MAX_NAMES: usize = 1000;

/// Hears how far long work has come.
#[uniffi::export(with_foreign)]
pub trait Progress: Send + Sync {
    /// `done` of `total` is done.
    fn step(&self, done: u64, total: u64);
}

/// An open pack.
///
/// A query is a job: `begin` gives it a number, `cancel` stops it from any thread, `end` forgets it. `shut` stops all
/// and lets go of the pack as soon as they have returned; whoever asks later is told so.
#[derive(uniffi::Object)]
pub struct NativeEngine {
    key: u64,
    engine: RwLock<Option<Arc<Engine>>>,
    jobs: Mutex<HashMap<u64, Cancel>>,
    sessions: Mutex<HashMap<u64, Arc<Mutex<Following>>>>,
    heat: Mutex<HeatLevel>,
}

struct Following {
    session: Session,
    began: Instant,
}

/// Engines by key, for the calls that pass numbers instead of objects.
static ENGINES: LazyLock<RwLock<HashMap<u64, Weak<NativeEngine>>>> = LazyLock::new(RwLock::default);

/// Gives every engine, job and session a number of its own.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn number() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A lock whose holder panicked: what it guards is whole, since each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Version of the library.
#[uniffi::export]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Bytes of the pack whose first 64 bytes these are; refused if it is none, or larger than allowed.
#[uniffi::export]
pub fn pack_length(head: Vec<u8>, max_pack_bytes: Option<u64>) -> Result<u64, Failure> {
    let mut options = OpenOptions::default();
    options.max_bytes = max_pack_bytes.unwrap_or(options.max_bytes);
    Ok(Pack::announced_len(&head, &options)?)
}

#[uniffi::export]
impl NativeEngine {
    /// Opens a pack.
    #[uniffi::constructor]
    pub fn open(path: String, settings: OpenSettings) -> Result<Arc<Self>, Failure> {
        let mut pack = OpenOptions { verify: settings.verify, ..OpenOptions::default() };
        pack.max_bytes = settings.max_pack_bytes.unwrap_or(pack.max_bytes);
        let options = EngineOptions {
            pack,
            max_memory: settings.max_memory_bytes,
            threads: settings.threads as usize,
            ..EngineOptions::default()
        };
        let engine = Engine::open(Path::new(&path), options)?;
        let native = Arc::new(Self {
            key: number(),
            engine: RwLock::new(Some(Arc::new(engine))),
            jobs: Mutex::default(),
            sessions: Mutex::default(),
            heat: Mutex::new(HeatLevel::Nominal),
        });
        let mut engines = ENGINES.write().unwrap_or_else(PoisonError::into_inner);
        engines.insert(native.key, Arc::downgrade(&native));
        Ok(native)
    }

    /// The number by which [`jni`](mod@crate::jni) knows this engine.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// What the pack says of itself.
    pub fn summary(&self) -> Result<PackSummary, Failure> {
        Ok(summary(&*self.engine()?))
    }

    /// Begins a job.
    pub fn begin(&self) -> Result<u64, Failure> {
        let job = number();
        // Entered before looking, so that `shut` either finds the job or is seen by it.
        lock(&self.jobs).insert(job, Cancel::new());
        match self.engine() {
            Ok(_) => Ok(job),
            Err(closed) => {
                self.end(job);
                Err(closed)
            }
        }
    }

    /// Stops a job; nothing happens if it has ended.
    pub fn cancel(&self, job: u64) {
        if let Some(cancel) = lock(&self.jobs).get(&job) {
            cancel.cancel();
        }
    }

    /// Forgets a job.
    pub fn end(&self, job: u64) {
        lock(&self.jobs).remove(&job);
    }

    /// Answers a query. The planes are those of its layout, empty where it has fewer, and are not kept.
    pub fn query(
        &self,
        request: Request,
        plane0: &[u8],
        plane1: &[u8],
        plane2: &[u8],
    ) -> Result<Reply, Failure> {
        self.answer(request, [plane0, plane1, plane2])
    }

    /// Begins a session for a stream of frames.
    pub fn follow(&self, settings: FollowSettings) -> Result<u64, Failure> {
        self.engine()?;
        let (top, max_boxes) = (settings.top as usize, settings.max_boxes as usize);
        let filters = convert::filters(&settings.conditions, None)?;
        let scan = ScanOptions { top, max_boxes, filters, ..ScanOptions::default() };
        let session = Session::new(FollowOptions { scan, pace: (&settings).into() });
        let id = number();
        lock(&self.sessions).insert(id, Arc::new(Mutex::new(Following { session, began: Instant::now() })));
        Ok(id)
    }

    /// How warm the device is; sessions, those that begin later too, heed it from their next frame on. Waits for nothing.
    pub fn heat(&self, level: HeatLevel) {
        *lock(&self.heat) = level;
    }

    /// Ends a session.
    pub fn unfollow(&self, session: u64) {
        lock(&self.sessions).remove(&session);
    }

    /// Adds a product with the pictures that [`Work::Code`] coded; `replace` deletes the one of the same id.
    pub fn add(
        &self,
        job: u64,
        product: ProductRecord,
        codes: Vec<Vec<u8>>,
        replace: bool,
    ) -> Result<(), Failure> {
        let (engine, cancel) = (self.engine()?, Some(self.job(job)?));
        let record = convert::record(product)?;
        let coded: Vec<_> = codes.into_iter().map(CodedPicture::from_bytes).collect();
        let product = NewProduct { record, replace, coded: &coded, cancel, ..NewProduct::default() };
        self.or_closed(engine.add(&product).map_err(Failure::from))?;
        Ok(())
    }

    /// Deletes the product of an id.
    pub fn remove(&self, id: String) -> Result<(), Failure> {
        self.engine()?.remove_id(&id)?;
        Ok(())
    }

    /// Writes one pack of the pack and its journal; `None` if there is nothing to do.
    pub fn compact(&self) -> Result<Option<CompactedPack>, Failure> {
        let done = self.engine()?.compact()?;
        Ok(done.map(|d| CompactedPack { products: d.products, before: d.before, after: d.after }))
    }

    /// Loads every model of the pack now.
    pub fn warm_up(&self) -> Result<(), Failure> {
        Ok(self.engine()?.warm_up()?)
    }

    /// Reads and checks every byte of the pack.
    pub fn verify(&self, job: u64, progress: Arc<dyn Progress>) -> Result<(), Failure> {
        let (engine, cancel) = (self.engine()?, self.job(job)?);
        let mut step = |done, total| {
            progress.step(done, total);
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match engine.pack().verify_in_steps(&mut step)? {
            Some(_) => Ok(()),
            None => self.or_closed(Err(Failure::Cancelled)),
        }
    }

    /// Measures speed, memory and, with probes, recall on this device; the report is JSON.
    pub fn bench(
        &self,
        job: u64,
        settings: BenchSettings,
        probes: Vec<Probe>,
        progress: Arc<dyn Progress>,
    ) -> Result<String, Failure> {
        let (engine, cancel) = (self.engine()?, self.job(job)?);
        self.or_closed(bench::run(&engine, &settings, &probes, cancel, &*progress))
    }

    /// Stops all jobs and lets go of the pack when they have returned.
    pub fn shut(&self) {
        self.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        lock(&self.jobs).values().for_each(Cancel::cancel);
        lock(&self.sessions).clear();
        ENGINES.write().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl Drop for NativeEngine {
    fn drop(&mut self) {
        ENGINES.write().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl NativeEngine {
    /// The engine of a key, unless it is closed.
    #[cfg_attr(target_vendor = "apple", expect(dead_code, reason = "only the fast path passes keys"))]
    pub(crate) fn of_key(key: u64) -> Result<Arc<Self>, Failure> {
        let engines = ENGINES.read().unwrap_or_else(PoisonError::into_inner);
        engines.get(&key).and_then(Weak::upgrade).ok_or(Failure::Closed)
    }

    fn engine(&self) -> Result<Arc<Engine>, Failure> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or(Failure::Closed)
    }

    /// A job that is not there has been ended or stopped.
    fn job(&self, job: u64) -> Result<Cancel, Failure> {
        lock(&self.jobs).get(&job).cloned().ok_or(Failure::Cancelled)
    }

    /// What was cut short by `shut` is told so.
    fn or_closed<T>(&self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        match outcome {
            Err(Failure::Cancelled) if self.engine().is_err() => Err(Failure::Closed),
            other => other,
        }
    }

    /// Answers a query over borrowed planes.
    pub(crate) fn answer(&self, request: Request, planes: [&[u8]; 3]) -> Result<Reply, Failure> {
        let engine = self.engine()?;
        let cancel = self.job(request.job)?;
        self.or_closed(self.run(&engine, cancel, request, planes))
    }

    fn run(
        &self,
        engine: &Engine,
        cancel: Cancel,
        request: Request,
        planes: [&[u8]; 3],
    ) -> Result<Reply, Failure> {
        let Request { layout, work, conditions, barcodes: barcode, .. } = request;
        let filters = convert::filters(&conditions, Some(&cancel))?;
        let photo = match &layout {
            Some(layout) if layout.format == PixelFormat::Photo => {
                // As a pack's own pictures are read, so that the same picture gets the same code.
                let side = matches!(work, Work::Code).then(|| engine.picture_side()).transpose()?;
                Some(photo(planes[0], side)?)
            }
            _ => None,
        };
        let frame: Option<Frame<'_>> = match (&photo, &layout) {
            (Some(photo), _) => Some(photo.frame()),
            (None, Some(layout)) => Some(layout.frame(planes)?),
            (None, None) => None,
        };
        let needed =
            || frame.as_ref().ok_or_else(|| Failure::Frame { reason: "this takes a picture".to_owned() });
        let cancel = Some(cancel);
        match work {
            Work::Find { text, region, top, rerank } => {
                let region = region.map(Into::into);
                let options = FindOptions {
                    top: top as usize,
                    filters,
                    region,
                    barcode,
                    rerank,
                    cancel,
                    ..FindOptions::default()
                };
                let query = Query { frame: frame.as_ref(), text: text.as_deref() };
                Ok(convert::found(engine.find(&query, &options)?))
            }
            Work::Scan { top, max_boxes, rerank } => {
                let frame = needed()?;
                let (top, max_boxes) = (top as usize, max_boxes as usize);
                let options = ScanOptions { top, filters, max_boxes, barcode, rerank, cancel };
                Ok(convert::scanned(engine.scan(frame, &options)?, frame.size()))
            }
            Work::Follow { session } => {
                let frame = needed()?;
                let session = lock(&self.sessions).get(&session).cloned();
                let session =
                    session.ok_or_else(|| Failure::Query { reason: "no such session".to_owned() })?;
                let mut following = lock(&session);
                let now = following.began.elapsed();
                following.session.set_heat((*lock(&self.heat)).into());
                let options = following.session.scan_options();
                (options.barcode, options.cancel) = (barcode, cancel);
                Ok(convert::followed(engine.follow(&mut following.session, frame, now)?, frame.size()))
            }
            Work::Code => {
                let picture = engine.code_picture(needed()?, cancel.as_ref())?;
                Ok(Reply::Coded { code: picture.into_bytes() })
            }
        }
    }
}

/// Decodes a photo file, a JPEG to no less than this short side; `None` for what a query needs.
#[cfg(feature = "photo")]
pub(crate) fn photo(bytes: &[u8], side: Option<u32>) -> Result<shelfsight::preprocess::Photo, Failure> {
    let query = shelfsight::engine::QUERY_DECODE;
    let options = shelfsight::preprocess::DecodeOptions { shrink_to: side.or(query.shrink_to), ..query };
    Ok(shelfsight::preprocess::decode(bytes, &options)?)
}

/// That a photo file is of a format which is read here.
#[cfg(feature = "photo")]
pub(crate) fn check_photo(bytes: &[u8]) -> Result<(), Failure> {
    shelfsight::preprocess::recognise(bytes)?;
    Ok(())
}

#[cfg(not(feature = "photo"))]
pub(crate) fn check_photo(bytes: &[u8]) -> Result<(), Failure> {
    photo(bytes, None).map(|_| ())
}

#[cfg(not(feature = "photo"))]
pub(crate) fn photo(_: &[u8], _: Option<u32>) -> Result<shelfsight::preprocess::Photo, Failure> {
    Err(Failure::Photo { reason: "this build reads no photo files; decode them to pixels first".to_owned() })
}

fn summary(engine: &Engine) -> PackSummary {
    let (pack, meta) = (engine.pack(), engine.pack().meta());
    let (mut categories, mut brands, mut products) = (BTreeSet::new(), BTreeSet::new(), 0);
    let named = |name: Option<&str>| name.filter(|name| !name.is_empty()).map(str::to_owned);
    // An error means that the pack was overwritten under the map; the next query says so.
    let _ = engine.each_product(|_, record| {
        products += 1;
        categories.extend(named(record.category()));
        brands.extend(named(record.brand()));
    });
    let names = |names: BTreeSet<String>| names.into_iter().take(MAX_NAMES).collect();
    let licence = |l: &shelfsight::pack::LicenceMeta| LicenceRecord {
        what: l.what.clone(),
        licence: l.licence.clone(),
        attribution: l.attribution.clone(),
    };
    PackSummary {
        products,
        bytes: pack.file_len(),
        format: meta.format.into(),
        created: meta.created,
        generator: meta.generator.clone(),
        finds_pictures: meta.image.is_some(),
        finds_words: meta.text.is_some(),
        scans: meta.detector.is_some() && meta.image.is_some(),
        licences: meta.licences.iter().map(licence).collect(),
        categories: names(categories),
        brands: names(brands),
    }
}

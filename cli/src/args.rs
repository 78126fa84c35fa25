//! The command line. Stable: other tools call it.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ArgGroup, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use shelfsight::options::Filter;

use crate::models::EncoderChoice;

/// Name every product in a photo, offline.
#[derive(Parser)]
#[command(name = "shelfsight", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON object on stdout; progress stays on stderr.
    #[arg(long, global = true)]
    pub json: bool,
}

impl Cli {
    /// The arguments of this process.
    pub fn read() -> Result<Self, clap::Error> {
        let cli = Self::try_parse()?;
        if let Command::Pack(PackCommand::Build(args)) = &cli.command {
            args.check()?;
        }
        Ok(cli)
    }
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Draw a small catalogue and a shelf, build a pack, scan the shelf, write a report: no files needed.
    Demo(DemoArgs),
    /// Build and examine packs.
    #[command(subcommand)]
    Pack(PackCommand),
    /// Find one product by a photo, by words, or by both.
    Find(FindArgs),
    /// Name many products in one photo, or in every photo of a folder.
    Scan(ScanArgs),
    /// Measure how often the right product is found.
    Eval(EvalArgs),
    /// Measure speed on this machine.
    #[command(subcommand)]
    Bench(BenchCommand),
}

/// `shelfsight bench …`
#[derive(Subcommand)]
pub enum BenchCommand {
    /// What the phone apps measure on a device: open, encode, search, scan, memory and recall, as one report.
    Device(BenchDeviceArgs),
    /// The shipped models on every instruction set of this CPU, in turns; with `--models`, ONNX through tract beside
    /// them.
    Encode(BenchEncodeArgs),
    /// Opening a pack and loading its models.
    Open(BenchOpenArgs),
    /// Naming every product in a photo.
    Scan(BenchScanArgs),
    /// The index: recall against time, one line for each depth of search at each number of bytes.
    Search(BenchSearchArgs),
}

/// `shelfsight bench search`
#[derive(Args)]
pub struct BenchSearchArgs {
    /// Folder with base.npy, learn.npy and query.npy, u8 or f32, `[n, d]`.
    #[arg(long)]
    pub vectors: PathBuf,
    /// What vectors are compared by.
    #[arg(long, value_enum, default_value_t = MetricArg::L2)]
    pub metric: MetricArg,
    /// Bytes a vector, all in; 16, 40, 72, 160 and 300 without it, and 16 and 32 of code with --whole.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=32_768))]
    pub bytes: Option<u32>,
    /// One list of 4-bit codes, all of them looked at, instead of inverted lists: what the scan alone does.
    #[arg(long)]
    pub whole: bool,
    /// Inverted lists of so many parts of 8 bits, with the counts below, instead of what --bytes would make.
    #[arg(long, conflicts_with_all = ["bytes", "whole"], value_parser = clap::value_parser!(u32).range(1..=512))]
    pub parts: Option<u32>,
    /// Lists, for --parts.
    #[arg(long, requires = "parts", default_value_t = 1024)]
    pub lists: usize,
    /// Rotations, for --parts; 0 for none, 64 unless there are fewer lists.
    #[arg(long, requires = "parts")]
    pub cells: Option<usize>,
    /// Reflections that each rotation is made of, for --parts; 0 keeps rotations whole.
    #[arg(long, requires = "parts", default_value_t = 0)]
    pub reflections: usize,
    /// Turns of training, for --parts.
    #[arg(long, requires = "parts", default_value_t = 12)]
    pub turns: usize,
    /// Queries.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub queries: u32,
    /// Fixes every choice of the training.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What vectors are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MetricArg {
    /// Euclidean distance.
    L2,
    /// Inner product.
    Ip,
    /// Cosine.
    Cosine,
}

/// `shelfsight bench device`
#[derive(Args)]
pub struct BenchDeviceArgs {
    /// Pack to measure with.
    #[arg(long)]
    pub pack: PathBuf,
    /// Rounds; every stage runs in each.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// Milliseconds to rest between rounds.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=600_000))]
    pub rest: u32,
    /// Photo of a shelf to scan; without it, a drawn picture without products.
    #[arg(long)]
    pub shelf: Option<PathBuf>,
    /// Photos of known products, for recall: a query file as for `eval`.
    #[arg(long)]
    pub queries: Option<PathBuf>,
    /// Folder that the queries' picture paths start from.
    #[arg(long)]
    pub images: Option<PathBuf>,
}

/// `shelfsight bench open`
#[derive(Args)]
pub struct BenchOpenArgs {
    /// Pack to open.
    #[arg(long)]
    pub pack: PathBuf,
    /// Times it is opened.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
}

/// `shelfsight bench scan`
#[derive(Args)]
pub struct BenchScanArgs {
    /// Photo to scan.
    pub photo: PathBuf,
    /// Pack to search.
    #[arg(long)]
    pub pack: PathBuf,
    /// Times it is scanned.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rounds: u32,
    /// Threads that run a model.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub threads: u32,
    /// Read barcodes too.
    #[arg(long)]
    pub barcodes: bool,
}

/// `shelfsight bench encode`
#[derive(Args)]
pub struct BenchEncodeArgs {
    /// Which model; all three without it.
    #[arg(long, value_enum)]
    pub model: Option<BenchModel>,
    /// Seconds a model.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Tokens of the text.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=128))]
    pub tokens: u32,
    /// Threads that run a model.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub threads: u32,
    /// The time of each kind of step of the plan instead.
    #[arg(long)]
    pub profile: bool,
    /// Folder with the ONNX files of the shipped models, to run them through tract too.
    #[cfg(feature = "onnx")]
    #[arg(long)]
    pub models: Option<PathBuf>,
}

/// A shipped model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BenchModel {
    /// The image encoder.
    Image,
    /// The text encoder.
    Text,
    /// The detector.
    Detector,
}

/// `shelfsight demo`
#[derive(Args)]
pub struct DemoArgs {
    /// Folder for the pictures, the pack and the report.
    #[arg(long, default_value = "shelfsight-demo")]
    pub out: PathBuf,
    /// Seed of the drawing.
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Products in the drawn catalogue.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(20..=2000))]
    pub products: u32,
}

/// `shelfsight pack …`
#[derive(Subcommand)]
pub enum PackCommand {
    /// Build a pack from a catalogue file and a folder of pictures.
    Build(BuildArgs),
    /// Print what a pack holds.
    Inspect {
        /// The pack.
        pack: PathBuf,
    },
    /// Check every byte of a pack.
    Verify {
        /// The pack.
        pack: PathBuf,
    },
    /// Add products to a pack without building it anew: to the journal beside it, which every command reads.
    Add(AddArgs),
    /// Delete products from a pack, in the journal beside it.
    Remove {
        /// The pack.
        pack: PathBuf,
        /// Ids of the products; all are there, or none is deleted.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Write a new pack with what was added and without what was deleted in the old one's place.
    Compact {
        /// The pack.
        pack: PathBuf,
    },
}

/// `shelfsight pack add`
#[derive(Args)]
pub struct AddArgs {
    /// The pack.
    pub pack: PathBuf,
    /// Products to add, CSV or JSONL with the columns of a catalogue.
    #[arg(long)]
    pub catalog: PathBuf,
    /// Folder that the picture paths start from.
    #[arg(long)]
    pub images: PathBuf,
    /// Replace products of the same id instead of refusing them.
    #[arg(long)]
    pub replace: bool,
}

/// `shelfsight pack build`
#[derive(Args)]
pub struct BuildArgs {
    /// Catalogue, CSV or JSONL: id,title,brand,category,gtin,images,description and any attr.*
    #[arg(long)]
    pub catalog: PathBuf,
    /// Folder that the catalogue's picture paths start from.
    #[arg(long)]
    pub images: PathBuf,
    /// Pack to write; an existing one is replaced only when the new one is complete.
    #[arg(long)]
    pub out: PathBuf,
    /// Kind of index.
    #[arg(long, value_enum, default_value_t = IndexArg::Auto)]
    pub index: IndexArg,
    /// Bytes a vector: at most so many for auto and trq, code and scale for pq, opq and rq.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=32_768))]
    pub bytes: Option<u32>,
    /// Share of the 10 exact nearest rows that a search shall find: the fewest bytes that do so, in steps of up to a half more from a
    /// 16th of a byte a component on, at most --bytes.
    #[arg(long, value_parser = share)]
    pub recall: Option<f64>,
    /// Encoders other than the shipped ones, by manifest: image=PATH.json,text=PATH.json
    #[arg(long, value_name = "image=PATH,text=PATH", value_delimiter = ',')]
    pub encoder: Vec<EncoderChoice>,
    /// Keep local descriptors, 1.6 kB a picture, for `find --rerank`, `scan --rerank` and `eval --rerank`.
    #[arg(long)]
    pub rerank: bool,
    /// Leave out rows and pictures that cannot be used (counted and named) instead of stopping.
    #[arg(long)]
    pub skip_bad: bool,
}

/// A share above 0, up to 1.
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a share such as 0.95, above 0 and at most 1".into()),
    }
}

impl BuildArgs {
    /// What clap cannot say about options that contradict each other.
    fn check(&self) -> Result<(), clap::Error> {
        let refuse = |text: &str| Err(Cli::command().error(ErrorKind::ArgumentConflict, text));
        if self.index == IndexArg::Flat && self.bytes.is_some() {
            return refuse("--bytes is for --index pq, opq, rq and trq; a flat index keeps vectors whole");
        }
        if let (IndexArg::Pq | IndexArg::Opq | IndexArg::Rq, Some(1026..)) = (self.index, self.bytes) {
            return refuse("--index pq, opq and rq take at most 1025 bytes a vector");
        }
        if self.index != IndexArg::Auto && self.recall.is_some() {
            return refuse("--recall is for --index auto, which chooses what finds so much");
        }
        let images = self.encoder.iter().filter(|e| matches!(e, EncoderChoice::Image(_))).count();
        if images > 1 || self.encoder.len() - images > 1 {
            return refuse(
                "--encoder names two encoders of one kind; give image=PATH and text=PATH once each",
            );
        }
        Ok(())
    }
}

/// Kinds of index.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum IndexArg {
    /// Exact while that is small; above, the kind that finds most on a sample of the catalogue.
    Auto,
    /// Exact.
    Flat,
    /// Product quantization.
    Pq,
    /// Residual quantization.
    Rq,
    /// Product quantization after a rotation.
    Opq,
    /// Inverted lists of transformed residual codes.
    Trq,
}

/// `shelfsight find`
#[derive(Args)]
#[command(group(ArgGroup::new("query").args(["photo", "text"]).required(true).multiple(true)))]
pub struct FindArgs {
    /// Photo of one product (JPEG, PNG, WebP).
    pub photo: Option<PathBuf>,
    /// Words: a name, a brand, or a GTIN.
    #[arg(long)]
    pub text: Option<String>,
    /// Pack to search.
    #[arg(long)]
    pub pack: PathBuf,
    /// Products to return.
    #[arg(long, default_value_t = 10)]
    pub top: usize,
    /// Only products with this column value, as 'category=Snacks' or 'attr.size=1 l|2 l', or none of them, as 'brand!=A|B'; may be repeated.
    #[arg(long)]
    pub filter: Vec<Filter>,
    /// Compare the photo with the first products cell by cell and order them anew (the pack must have been built with --rerank).
    #[arg(long)]
    pub rerank: bool,
}

/// `shelfsight scan`
#[derive(Args)]
pub struct ScanArgs {
    /// Photo, or a folder of photos.
    pub photo: PathBuf,
    /// Pack to search.
    #[arg(long)]
    pub pack: PathBuf,
    /// Products to return a box.
    #[arg(long, default_value_t = 3)]
    pub top: usize,
    /// Only products with this column value; may be repeated.
    #[arg(long)]
    pub filter: Vec<Filter>,
    /// Compare each box with its first products cell by cell and order them anew (the pack must have been built with --rerank).
    #[arg(long)]
    pub rerank: bool,
    /// Write the photo with boxes and names (a .png or .jpg, or a folder if PHOTO is one).
    #[arg(long)]
    pub annotate: Option<PathBuf>,
}

/// `shelfsight eval`
#[derive(Args)]
pub struct EvalArgs {
    /// Pack to search.
    #[arg(long, required_unless_present = "ranked")]
    pub pack: Option<PathBuf>,
    /// Query file, CSV or JSONL: image,text,ids and, where wanted, id and junk; or the eProduct benchmark's metadata
    #[arg(long)]
    pub queries: PathBuf,
    /// Folder that the queries' picture paths start from.
    #[arg(long, required_unless_present = "ranked")]
    pub images: Option<PathBuf>,
    /// Write an HTML report with charts and pictures.
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Do not read barcodes, to measure looks and words alone.
    #[arg(long)]
    pub no_barcode: bool,
    /// Order the first products anew by their local descriptors, as `find --rerank`.
    #[arg(long)]
    pub rerank: bool,
    /// The same catalogue built with `--index flat`, to say what compression loses.
    #[arg(long, value_name = "PACK")]
    pub exact: Option<PathBuf>,
    /// Write each query's ten best in the form of the eProduct challenge; the query file may then lack answers.
    #[arg(long, value_name = "CSV")]
    pub submission: Option<PathBuf>,
    /// Judge the lists of this file, in the form of a submission, instead of searching.
    #[arg(long, value_name = "CSV", conflicts_with_all = ["pack", "images", "report", "no_barcode", "rerank", "exact", "submission", "scan", "label"])]
    pub ranked: Option<PathBuf>,
    /// Photos show several products: search the whole photo, then each box in it, by Product1M's metrics.
    #[arg(long, conflicts_with_all = ["exact", "submission", "report"])]
    pub scan: bool,
    /// With `--scan`: catalogue attribute with the label that the query file names; the id without it.
    #[arg(long, value_name = "ATTRIBUTE", requires = "scan")]
    pub label: Option<String>,
}

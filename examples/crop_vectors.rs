//! Vectors of crops of real photos: `crop_vectors MANIFEST.json LIST OUT.npy [--crops N] [--seed S]`.
//!
//! LIST has a photo a line, relative to its own folder, anything after a comma left out (as the lists of Grocery Store have it).
//! Each gives N crops at random places, a twentieth to a half of its area, or itself whole without `--crops`. Writes f16 `[n, dim]`,
//! photo after photo, so that row / N is the photo. As rows of an index these are what no drawn vectors are: real distractors.

use std::error::Error;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use shelfsight::encode::{ImageEncoder, ImageManifest, read_encoder_files};
use shelfsight::geometry::Rect;
use shelfsight::kernels::f16;
use shelfsight::preprocess::{self, DecodeOptions};
use shelfsight::runtime::ModelBytes;

/// Share of a photo's area that a crop has, and how much wider than high or the reverse.
const AREA: (f32, f32) = (0.05, 0.5);
const ASPECT: f32 = 4.0 / 3.0;
/// Photos encoded between two writes.
const PHOTOS: usize = 16;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, list, out, ..] = &args[..] else {
        return Err("usage: crop_vectors MANIFEST.json LIST OUT.npy [--crops N] [--seed S]".into());
    };
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|at| args.get(at + 1));
    let number = |name: &str, default: u64| option(name).map_or(Ok(default), |v| v.parse());
    let (crops, seed) = (number("--crops", 0)?, number("--seed", 1)?);
    let encoder = encoder(Path::new(manifest))?;
    let photos = photos(Path::new(list))?;
    let rows = photos.len() as u64 * crops.max(1);
    let dim = encoder.manifest().dim;
    let mut file = BufWriter::new(fs::File::create(out)?);
    file.write_all(&header(rows, dim))?;
    for (at, group) in photos.chunks(PHOTOS).enumerate() {
        let first = (at * PHOTOS) as u64;
        let encode = |(photo, path): (u64, &PathBuf)| vectors(&encoder, path, crops, seed ^ (photo << 20));
        let numbered: Vec<_> = (first..).zip(group).collect();
        let found: Vec<Vec<f32>> = numbered.into_par_iter().map(encode).collect::<Result<_, _>>()?;
        for values in found {
            file.write_all(&f16::to_bytes(&values))?;
        }
        eprint!("\r{} of {} photos", first as usize + group.len(), photos.len());
    }
    file.flush()?;
    eprintln!();
    Ok(())
}

fn encoder(manifest: &Path) -> Result<ImageEncoder, Failure> {
    let files = read_encoder_files(manifest)?;
    let plan = manifest.with_extension("plan");
    let model: ModelBytes = Arc::new(if plan.is_file() { fs::read(plan)? } else { files.model });
    Ok(ImageEncoder::open(ImageManifest::from_json(&files.manifest_json)?, &model)?)
}

/// Paths named in a list.
fn photos(list: &Path) -> Result<Vec<PathBuf>, Failure> {
    let folder = list.parent().unwrap_or(Path::new("."));
    let text = fs::read_to_string(list)?;
    let name =
        |line: &str| line.split(',').next().map(str::trim).filter(|n| !n.is_empty()).map(|n| folder.join(n));
    Ok(text.lines().filter_map(name).collect())
}

/// Vectors of a photo's crops, one after the other, or of itself.
fn vectors(encoder: &ImageEncoder, path: &Path, crops: u64, seed: u64) -> Result<Vec<f32>, Failure> {
    let photo =
        preprocess::open(path, &DecodeOptions::default()).map_err(|e| format!("{}: {e}", path.display()))?;
    let frame = photo.frame();
    if crops == 0 {
        return Ok(encoder.encode(&frame, None)?.as_slice().to_vec());
    }
    let (width, height) = (photo.width() as f32, photo.height() as f32);
    let mut draw = Draw(seed);
    let mut out = Vec::new();
    for _ in 0..crops {
        let area = width * height * (AREA.0 + (AREA.1 - AREA.0) * draw.unit());
        let aspect = ASPECT.powf(2.0 * draw.unit() - 1.0);
        let (w, h) = ((area * aspect).sqrt().min(width), (area / aspect).sqrt().min(height));
        let (x, y) = ((width - w) * draw.unit(), (height - h) * draw.unit());
        let region = Rect::new(x, y, w, h);
        out.extend_from_slice(encoder.encode(&frame, Some(region))?.as_slice());
    }
    Ok(out)
}

/// SplitMix64: a number stands for itself and its seed alone, whichever thread draws it.
struct Draw(u64);

impl Draw {
    /// A number in 0 to 1.
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// Of a NumPy file, version 1, padded to 64 bytes.
fn header(rows: u64, dim: usize) -> Vec<u8> {
    let text = format!("{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend_from_slice(&(length as u16).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    out.resize(10 + length - 1, b' ');
    out.push(b'\n');
    out
}

//! `shelfsight scan`: many products in one photo, or in every photo of a folder.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::ImageFormat;
use serde_json::{Value, json};
use shelfsight::engine::{Engine, Scan};
use shelfsight::options::ScanOptions;
use shelfsight::preprocess::Photo;

use crate::args::ScanArgs;
use crate::draw::{self, Annotation, DrawOptions};
use crate::{fail, files, output, progress};

/// Extensions of photos looked for in a folder; files are then told by their content.
const PHOTOS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Below this score a label carries a question mark.
const SURE: f32 = 0.5;

/// Runs the command.
pub fn run(args: &ScanArgs, json: bool) -> Result<()> {
    let engine = super::open(&args.pack)?;
    if args.photo.is_dir() {
        return folder(&engine, args, json);
    }
    if let Some(out) = &args.annotate {
        check_picture(out, &args.photo)?;
    }
    let value = one(&engine, args, &args.photo, args.annotate.as_deref(), json)?;
    if json { output::print(&value) } else { Ok(()) }
}

/// Refuses a place for the annotated picture that cannot be written, before anything is scanned.
fn check_picture(out: &Path, photo: &Path) -> Result<()> {
    picture_format(out)?;
    if files::same(out, photo) {
        bail!("--annotate {}: that is the photo itself; name another file", out.display());
    }
    files::check_writable(out)
}

fn picture_format(out: &Path) -> Result<ImageFormat> {
    match ImageFormat::from_path(out) {
        Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) => Ok(format),
        _ => bail!("--annotate {}: name a .png or .jpg file", out.display()),
    }
}

fn folder(engine: &Engine, args: &ScanArgs, json: bool) -> Result<()> {
    let photos = photos_in(&args.photo)?;
    if photos.is_empty() {
        bail!("{}: no photos here; JPEG, PNG and WebP files are read", args.photo.display());
    }
    if let Some(out) = &args.annotate {
        std::fs::create_dir_all(out).with_context(|| out.display().to_string())?;
        if files::same(out, &args.photo) {
            bail!("--annotate {}: the photos themselves lie there; name another folder", out.display());
        }
    }
    let names = annotated_names(&photos);
    if let Some(out) = &args.annotate {
        claim(out, &names)?;
    }
    let bar = progress::bar("photos", photos.len() as u64);
    let mut values = Vec::with_capacity(photos.len());
    for (photo, name) in photos.iter().zip(names) {
        let annotate = args.annotate.as_ref().map(|out| out.join(name));
        // One unreadable photo must not lose the others.
        match one(engine, args, photo, annotate.as_deref(), json) {
            Ok(mut value) => {
                value["photo"] = output::path(photo);
                values.push(value);
            }
            Err(error) if error.is::<output::StdoutError>() => return Err(error),
            Err(error) => {
                let line = fail::one_line(&error);
                note!("skipped {line}");
                values.push(json!({"photo": output::path(photo), "error": line}));
            }
        }
        bar.inc(1);
    }
    bar.finish();
    if values.iter().all(|value| !value["error"].is_null()) {
        bail!("{}: none of its {} photos can be read", args.photo.display(), values.len());
    }
    if json { output::print(&json!({ "photos": values })) } else { Ok(()) }
}

/// Marks a folder as one for annotated pictures; one with other pictures of these names is refused.
fn claim(out: &Path, names: &[OsString]) -> Result<()> {
    const MARK: &str = ".shelfsight-annotated";
    let earlier = out.join(MARK).exists();
    if let Some(name) = names.iter().find(|name| !earlier && out.join(name).exists()) {
        let name = Path::new(name).display();
        bail!("--annotate {}: it has a {name} that no scan made; name another folder", out.display());
    }
    files::write(&out.join(MARK), b"")
}

/// A name for the annotated picture of each photo: `shelf.png` for `shelf.jpg`, and `shelf.jpg.png` where another photo
/// differs by its extension alone.
fn annotated_names(photos: &[PathBuf]) -> Vec<OsString> {
    let stem = |photo: &PathBuf| photo.file_stem().unwrap_or_default().to_ascii_lowercase();
    let mut count = HashMap::new();
    for photo in photos {
        *count.entry(stem(photo)).or_insert(0) += 1;
    }
    let name = |photo: &PathBuf| {
        let alone = count[&stem(photo)] == 1;
        let mut name =
            if alone { photo.file_stem() } else { photo.file_name() }.unwrap_or_default().to_owned();
        name.push(".png");
        name
    };
    photos.iter().map(name).collect()
}

fn photos_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        if path.is_file() && PHOTOS.contains(&extension.as_str()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn one(engine: &Engine, args: &ScanArgs, path: &Path, annotate: Option<&Path>, json: bool) -> Result<Value> {
    let (photo, mut ms) = super::read_photo(path)?;
    let options = ScanOptions {
        top: args.top,
        filters: args.filter.clone(),
        rerank: args.rerank,
        ..ScanOptions::default()
    };
    let scan = engine.scan(&photo.frame(), &options).with_context(|| path.display().to_string())?;
    ms.extend(&scan.ms);
    if let Some(out) = annotate {
        let mut bytes = Cursor::new(Vec::new());
        annotated(&photo, &scan)?.write_to(&mut bytes, picture_format(out)?)?;
        files::write(out, bytes.get_ref())?;
    }
    if !json {
        say!("{}: {} products in {:.0} ms", path.display(), scan.items.len(), ms.total())?;
        for item in &scan.items {
            let r = &item.rect;
            say!("  at {:.0},{:.0} size {:.0}×{:.0}", r.x, r.y, r.w, r.h)?;
            for (rank, found) in (1..).zip(&item.matches) {
                say!("  {}", output::line(rank, found))?;
            }
        }
    }
    Ok(json!({
        "items": scan.items.iter().map(output::item).collect::<Vec<_>>(),
        "barcodes": output::gtins(&scan.barcodes),
        "ms": output::timings(&ms),
    }))
}

/// The photo with a box and a name for each item.
fn annotated(photo: &Photo, scan: &Scan) -> Result<image::RgbImage> {
    let (width, height) = (photo.width(), photo.height());
    let picture = image::RgbImage::from_raw(width, height, photo.rgb().to_vec());
    let picture = picture.context("the photo's size and pixels disagree")?;
    let notes: Vec<Annotation> = scan
        .items
        .iter()
        .map(|item| {
            let best = item.matches.first();
            let label = best.map_or_else(
                || "?".to_owned(),
                |m| {
                    let doubt = if m.score < SURE { "? " } else { "" };
                    format!("{doubt}{}", output::name(m))
                },
            );
            Annotation { rect: item.rect, label, score: best.map(|m| m.score), ok: None }
        })
        .collect();
    Ok(draw::annotate(&picture, &notes, DrawOptions::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_annotated_pictures_share_a_name() {
        let names = |photos: &[&str]| annotated_names(&photos.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["in/a.jpg", "in/b.PNG"]), ["a.png", "b.png"]);
        assert_eq!(names(&["in/a.jpg", "in/a.png", "in/A.webp"]), ["a.jpg.png", "a.png.png", "A.webp.png"]);
        assert_eq!(names(&["in/v1.2.jpg"]), ["v1.2.png"]);
    }
}

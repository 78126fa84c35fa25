//! A shop of four products, and the command run as a user runs it.
#![allow(dead_code)] // no test uses all of it

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use assert_cmd::cargo::cargo_bin_cmd;
use image::{Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

pub fn run(args: &[&str], dir: &Path) -> Output {
    cargo_bin_cmd!("shelfsight").current_dir(dir).args(args).output().expect("the command starts")
}

/// Standard output as JSON of a command that must succeed.
pub fn json(args: &[&str], dir: &Path) -> Value {
    let out = run(&[args, &["--json"]].concat(), dir);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON object")
}

/// The one line that a refused command prints.
pub fn refused(args: &[&str], dir: &Path) -> String {
    let out = run(args, dir);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{args:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// A picture with a pattern of its own: stripes, rings or checks in two colours.
pub fn picture(kind: u32, a: [u8; 3], b: [u8; 3]) -> RgbImage {
    RgbImage::from_fn(200, 260, |x, y| {
        let on = match kind {
            0 => (x / 20).is_multiple_of(2),
            1 => ((x as f32 - 100.0).hypot(y as f32 - 130.0) as u32 / 18).is_multiple_of(2),
            _ => (x / 25 + y / 25).is_multiple_of(2),
        };
        Rgb(if on { a } else { b })
    })
}

pub const CATALOGUE: &str = "id,title,brand,category,gtin,images,description,attr.size
stripes,Orange Marmalade,Kornby,Spreads,4006381333931,stripes.png,Bitter oranges,300 g
rings,Green Tea,Havre,Drinks,,rings.png rings2.png,Loose leaves,100 g
checks,Dish Soap,Blank,Household,,checks.png,Lemon scent,500 ml
words,Oat Drink Barista,Havre,Drinks,,,Foams well in coffee,1 l
";

pub fn shop() -> &'static Path {
    static SHOP: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = SHOP.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let path = dir.path().to_owned();
        fs::create_dir(path.join("img")).unwrap();
        for (name, kind, a, b) in [
            ("stripes.png", 0, [240, 120, 10], [255, 240, 220]),
            ("rings.png", 1, [20, 120, 60], [220, 240, 220]),
            ("rings2.png", 1, [30, 110, 70], [240, 240, 200]),
            ("checks.png", 2, [30, 60, 200], [250, 250, 250]),
        ] {
            picture(kind, a, b).save(path.join("img").join(name)).unwrap();
        }
        fs::write(path.join("c.csv"), CATALOGUE).unwrap();
        fs::write(
            path.join("q.csv"),
            "image,text,ids\nrings.png,,rings\n,dish soap,checks\ngone.png,,checks\n",
        )
        .unwrap();
        json(&["pack", "build", "--catalog", "c.csv", "--images", "img", "--out", "shop.shelf"], &path);
        (dir, path)
    });
    path
}

/// A new folder with the shop's files in it, to write into.
pub fn own_shop() -> TempDir {
    let dir = TempDir::new().unwrap();
    for entry in fs::read_dir(shop().join("img")).unwrap() {
        let path = entry.unwrap().path();
        fs::create_dir_all(dir.path().join("img")).unwrap();
        fs::copy(&path, dir.path().join("img").join(path.file_name().unwrap())).unwrap();
    }
    for file in ["c.csv", "q.csv", "shop.shelf"] {
        fs::copy(shop().join(file), dir.path().join(file)).unwrap();
    }
    dir
}

/// Names in a folder, sorted.
pub fn names(dir: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().into_owned();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

//! A camera that looks along a drawn shelf, and the benchmark of the phone apps: with the shipped models and a pack that
//! the demo builds.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use shelfsight::engine::{Effort, Engine, EngineOptions, FindError, FollowOptions, Followed, Session};
use shelfsight::frame::{Pixels, Plane};
use shelfsight::live::{Heat, Pace};
use shelfsight::options::ScanOptions;
use shelfsight::preprocess::{DecodeOptions, Photo, decode};
use shelfsight::{Cancel, Frame};
use support::{json, run};
use tempfile::TempDir;

/// Part of the shelf that the camera sees.
const VIEW: (u32, u32) = (1000, 900);

/// Folder with a small pack and a shelf of its products.
fn demo() -> &'static Path {
    static DEMO: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = DEMO.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        json(&["demo", "--out", "d", "--products", "20"], dir.path());
        let path = dir.path().join("d");
        (dir, path)
    });
    path
}

struct Camera {
    shelf: Photo,
    engine: Engine,
}

impl Camera {
    fn new() -> Self {
        let shelf = decode(&fs::read(demo().join("shelf.jpg")).unwrap(), &DecodeOptions::default()).unwrap();
        let engine = Engine::open(&demo().join("demo.shelf"), EngineOptions::default()).unwrap();
        Self { shelf, engine }
    }

    /// What the camera sees from `(x, y)` on; no copy, as of a camera that crops.
    fn at(&self, x: u32, y: u32) -> Frame<'_> {
        let row = self.shelf.width() as usize * 3;
        let data = &self.shelf.rgb()[y as usize * row + x as usize * 3..];
        let plane = Plane { data, row_stride: row, pixel_stride: 3 };
        Frame::new(Pixels::Rgb(plane), VIEW.0, VIEW.1).unwrap()
    }

    fn follow(&self, session: &mut Session, frame: &Frame<'_>, ms: u64) -> Followed {
        self.engine.follow(session, frame, Duration::from_millis(ms)).unwrap()
    }
}

fn session(pace: Pace) -> Session {
    Session::new(FollowOptions { scan: ScanOptions { barcode: false, ..ScanOptions::default() }, pace })
}

fn stage(followed: &Followed, name: &str) -> bool {
    followed.ms.stages().iter().any(|(stage, _)| *stage == name)
}

/// Track → box and best product, of those well inside the view.
fn inside(followed: &Followed) -> Vec<(u64, f32, f32, Option<String>)> {
    let margin = 60.0;
    let whole = |r: &shelfsight::Rect| {
        r.x > margin
            && r.y > margin
            && r.x + r.w < VIEW.0 as f32 - margin
            && r.y + r.h < VIEW.1 as f32 - margin
    };
    let items = followed.items.iter().filter(|item| whole(&item.rect));
    let mut all: Vec<_> = items
        .map(|i| (i.track, i.rect.x, i.rect.y, i.matches.first().map(|m| m.record.id.clone())))
        .collect();
    all.sort_by_key(|item| item.0);
    all
}

#[test]
fn boxes_keep_their_products_while_the_camera_moves() {
    let camera = Camera::new();
    let mut session = session(Pace::default());
    let first = camera.follow(&mut session, &camera.at(200, 100), 0);
    assert_eq!(first.effort, Effort::Detected);
    // The first answer is a scan's.
    let options = ScanOptions { barcode: false, ..ScanOptions::default() };
    let scan = camera.engine.scan(&camera.at(200, 100), &options).unwrap();
    let ids = |matches: &[shelfsight::engine::Match]| matches.first().map(|m| m.record.id.clone());
    let want: Vec<_> = scan.items.iter().map(|item| (item.rect, ids(&item.matches))).collect();
    let got: Vec<_> = first.items.iter().map(|item| (item.rect, ids(&item.matches))).collect();
    assert_eq!(got, want);
    assert!(inside(&first).len() >= 3, "{:?}", inside(&first));

    // The camera pans before another detection is due: boxes go with the picture, whose cells are 16 pixels wide.
    let moved = camera.follow(&mut session, &camera.at(230, 112), 100);
    assert_eq!(moved.effort, Effort::Moved);
    assert!(!stage(&moved, "detect") && !stage(&moved, "encode"), "{:?}", moved.ms);
    let (before, after) = (inside(&first), inside(&moved));
    let pairs: Vec<_> = before.iter().filter_map(|b| Some((b, after.iter().find(|a| a.0 == b.0)?))).collect();
    assert!(pairs.len() >= 3, "{before:?} {after:?}");
    for (b, a) in pairs {
        assert!((b.1 - 30.0 - a.1).abs() < 8.0 && (b.2 - 12.0 - a.2).abs() < 8.0, "{b:?} {a:?}");
        assert_eq!(b.3, a.3);
    }

    // It comes back and rests: the answer stands, however long, and neither network runs.
    let still = camera.follow(&mut session, &camera.at(200, 100), 3_600_000);
    assert_eq!(still.effort, Effort::Unchanged);
    let (kept, known) = (inside(&still), inside(&first));
    assert_eq!(kept.len(), known.len());
    for (k, f) in kept.iter().zip(&known) {
        assert!(
            k.0 == f.0 && k.3 == f.3 && (k.1 - f.1).abs() < 3.0 && (k.2 - f.2).abs() < 3.0,
            "{k:?} {f:?}"
        );
    }
    assert!(!stage(&still, "detect") && !stage(&still, "encode"), "{:?}", still.ms);

    // A detection later, the same places have the same numbers and products, and what was sure is not named again.
    let again = camera.follow(&mut session, &camera.at(230, 112), 3_600_500);
    assert_eq!(again.effort, Effort::Detected);
    let again = inside(&again);
    let kept = before.iter().filter(|b| again.iter().any(|a| (a.0, &a.3) == (b.0, &b.3))).count();
    assert!(kept >= 3 && kept * 3 >= before.len() * 2, "{before:?} {again:?}");
}

#[test]
fn another_scene_takes_the_boxes_away() {
    let camera = Camera::new();
    let mut session = session(Pace::default());
    let first = camera.follow(&mut session, &camera.at(200, 100), 0);
    assert!(!first.items.is_empty());
    // Before a detection is due, boxes of the shelf on a bare wall would lie.
    let wall = vec![90u8; VIEW.0 as usize * VIEW.1 as usize];
    let plane = Plane { data: &wall, row_stride: VIEW.0 as usize, pixel_stride: 1 };
    let wall = Frame::new(Pixels::Gray(plane), VIEW.0, VIEW.1).unwrap();
    let lost = camera.follow(&mut session, &wall, 10);
    assert_ne!(lost.effort, Effort::Detected);
    assert!(lost.items.is_empty(), "{:?}", lost.items);
    // A frame of another size, such as of a turned phone, is another scene too.
    let turned = camera.at(200, 100).rotated(shelfsight::Rotation::R90);
    let turned = camera.follow(&mut session, &turned, 3_600_000);
    assert_eq!(turned.effort, Effort::Detected);
    let known: Vec<u64> = first.items.iter().map(|item| item.track).collect();
    assert!(turned.items.iter().all(|item| !known.contains(&item.track)));
}

#[test]
fn work_follows_pace_and_heat() {
    let camera = Camera::new();
    let pace = Pace { max_rate: 120.0, duty: 1.0, track: true, skip_unchanged: false };
    let mut session = session(pace);
    let frame = camera.at(200, 100);
    camera.follow(&mut session, &frame, 0);
    // Within the cost of the last detection nothing is detected; long after it, cool, it is.
    assert_ne!(camera.follow(&mut session, &frame, 1).effort, Effort::Detected);
    let mut now = 3_600_000;
    let second = camera.follow(&mut session, &frame, now);
    assert_eq!(second.effort, Effort::Detected);
    let cost = second.ms.total();
    // About to be shut down, a twentieth of the time is spent: not one cost later, but a thousand.
    session.set_heat(Heat::Critical);
    let after = |ms: f64| now + ms as u64;
    let (soon, late) = (after(cost), after(1000.0 * cost));
    assert_ne!(camera.follow(&mut session, &frame, soon).effort, Effort::Detected);
    assert_eq!(camera.follow(&mut session, &frame, late).effort, Effort::Detected);
    // And without tracking the last answer stands meanwhile.
    now = late;
    let mut plain = Session::new(FollowOptions {
        scan: ScanOptions { barcode: false, ..ScanOptions::default() },
        pace: Pace { track: false, skip_unchanged: false, ..pace },
    });
    camera.follow(&mut plain, &frame, now);
    let kept = camera.follow(&mut plain, &camera.at(230, 112), now + 1);
    assert_eq!(kept.effort, Effort::Unchanged);
}

#[test]
fn a_cancelled_frame_leaves_the_session_as_it_was() {
    let camera = Camera::new();
    let mut session = session(Pace::default());
    let first = camera.follow(&mut session, &camera.at(200, 100), 0);
    let cancel = Cancel::new();
    cancel.cancel();
    session.scan_options().cancel = Some(cancel);
    let frame = camera.at(230, 112);
    let refused = camera.engine.follow(&mut session, &frame, Duration::from_secs(3600));
    assert!(matches!(refused, Err(FindError::Cancelled)), "{refused:?}");
    session.scan_options().cancel = None;
    // The detection is still due, and numbers go on.
    let next = camera.follow(&mut session, &frame, 3_600_000);
    assert_eq!(next.effort, Effort::Detected);
    let numbers: Vec<u64> = inside(&first).iter().map(|item| item.0).collect();
    let kept = inside(&next).iter().filter(|item| numbers.contains(&item.0)).count();
    assert!(kept >= 3, "{numbers:?} {:?}", inside(&next));
}

#[test]
fn the_benchmark_of_the_apps() {
    let dir = demo();
    let mut queries = String::from("image,text,ids\n");
    let mut photos: Vec<_> = fs::read_dir(dir.join("photos")).unwrap().map(|e| e.unwrap().path()).collect();
    photos.sort();
    for photo in photos.iter().filter(|path| path.extension().is_some_and(|e| e == "jpg")).take(3) {
        let name = photo.file_name().unwrap().to_str().unwrap();
        queries += &format!("{name},,{}\n", photo.file_stem().unwrap().to_str().unwrap());
    }
    let own = TempDir::new().unwrap();
    fs::write(own.path().join("q.csv"), queries).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (pack, shelf, folder) = (path("demo.shelf"), path("shelf.jpg"), path("photos"));
    let args =
        ["bench", "device", "--pack", &pack, "--shelf", &shelf, "--queries", "q.csv", "--images", &folder];
    let report = json(&[&args[..], &["--rounds", "2"]].concat(), own.path());
    assert_eq!(report["schema"], "shelfsight-bench/1");
    assert_eq!(report["pack"]["products"], 20);
    assert_eq!(report["pace"]["rounds"], 2);
    for stage in
        ["open", "warm_up", "encode_image", "encode_text", "search_image", "search_text", "scan", "cancel"]
    {
        let ms = &report["ms"][stage];
        let (median, p95) = (ms["p50"].as_f64().unwrap(), ms["p95"].as_f64().unwrap());
        assert!(0.0 < median && median <= p95, "{stage}: {ms}");
    }
    assert!(report["scan_boxes"].as_u64().unwrap() > 10, "{report}");
    assert_eq!(report["recall"]["probes"], 3);
    let share = report["recall"]["recall@1"].as_f64().unwrap();
    assert!(share > 0.6, "photos of the demo are found: {share}");
    assert_eq!(report["device"]["os"], std::env::consts::OS);
    // Reports of one pack compare: their number is the same whenever it is measured.
    let again = json(&["bench", "device", "--pack", &pack, "--rounds", "1"], own.path());
    assert_eq!(again["pack"]["id"], report["pack"]["id"]);
    assert_eq!(again["recall"], Value::Null);
    // One stage alone.
    let open = json(&["bench", "open", "--pack", &pack, "--rounds", "3"], own.path());
    assert!(open["ms_median"].as_f64().unwrap() >= open["open_ms"].as_f64().unwrap(), "{open}");
    let scan = json(&["bench", "scan", &shelf, "--pack", &pack, "--rounds", "2"], own.path());
    assert_eq!(scan["boxes"], report["scan_boxes"]);
    assert!(scan["ms_p95"].as_f64().unwrap() >= scan["ms_median"].as_f64().unwrap(), "{scan}");
    let bad = run(&["bench", "device", "--pack", &pack, "--queries", "q.csv"], own.path());
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&bad.stderr).contains("--images"));
}

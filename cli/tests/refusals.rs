//! Input that no one should give: one line that says what to do, the right exit status, and nothing lost.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use shelfsight::pack::{OpenOptions, Pack, PackWriter, SectionKind};
use support::*;

const BUILD: [&str; 7] = ["pack", "build", "--catalog", "bad.csv", "--images", "img", "--out"];

fn build<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&BUILD[..], &[out], more].concat()
}

#[test]
fn errors_name_the_file_and_say_it_once() {
    let dir = shop();
    fs::write(dir.join("no-photo.jpg"), b"hello").unwrap();
    for (args, file) in [
        (&["find", "no-photo.jpg", "--pack", "shop.shelf"][..], "no-photo.jpg"),
        (&["scan", "no-photo.jpg", "--pack", "shop.shelf"], "no-photo.jpg"),
        (&["find", "--text", "x", "--pack", "gone.shelf"], "gone.shelf"),
        (&["eval", "--pack", "shop.shelf", "--queries", "gone.csv", "--images", "img"], "gone.csv"),
    ] {
        let line = refused(args, dir);
        assert_eq!(line.matches(file).count(), 1, "{line}");
        assert!(line.matches("No such file").count() <= 1, "{line}");
    }
}

#[test]
fn errors_are_json_too() {
    let dir = shop();
    let error = |args: &[&str], status| {
        let out = run(&[args, &["--json"]].concat(), dir);
        assert_eq!(out.status.code(), Some(status), "{args:?}");
        let value: Value = serde_json::from_slice(&out.stdout).expect("one JSON object");
        value["error"].as_str().expect("an error").to_owned()
    };
    assert!(error(&["pack", "inspect", "gone.shelf"], 1).contains("gone.shelf"));
    assert!(error(&["find", "img/gone.jpg", "--pack", "shop.shelf"], 1).contains("gone.jpg"));
    assert!(error(&["find", "--text", "x", "--pack", "shop.shelf", "--top", "many"], 2).contains("many"));
    assert!(error(&["find", "--pack", "shop.shelf"], 2).contains("required"));
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let dir = shop();
    for more in [
        &["--index", "flat", "--bytes", "8"][..],
        &["--index", "pq", "--bytes", "1"],
        &["--index", "opq", "--bytes", "1026"],
        &["--index", "trq", "--recall", "0.9"],
        &["--recall", "0"],
        &["--recall", "1.01"],
        &["--recall", "nan"],
        &["--encoder", "image=a.json,image=b.json"],
    ] {
        let out = run(&build("x.shelf", more), dir);
        assert_eq!(out.status.code(), Some(2), "{more:?}");
    }
}

#[test]
fn only_packs_are_replaced() {
    let dir = own_shop();
    let dir = dir.path();
    fs::write(dir.join("bad.csv"), CATALOGUE).unwrap();
    let line = refused(&build("bad.csv", &[]), dir);
    assert!(line.contains("no pack"), "{line}");
    assert_eq!(fs::read_to_string(dir.join("bad.csv")).unwrap(), CATALOGUE);
    refused(&build("img", &[]), dir);
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        // The user who may replace a device must not.
        refused(&build("/dev/null", &[]), dir);
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }
    // A pack that is cut off is one to be replaced.
    let whole = fs::read(dir.join("shop.shelf")).unwrap();
    fs::write(dir.join("cut.shelf"), &whole[..100]).unwrap();
    json(&build("cut.shelf", &[]), dir);
    json(&["pack", "verify", "cut.shelf"], dir);
}

#[test]
fn places_that_cannot_be_written_are_found_before_the_work() {
    let dir = own_shop();
    let dir = dir.path();
    // The picture is missing too, but the folder is told first.
    fs::write(dir.join("bad.csv"), "id,images\n1,gone.png\n").unwrap();
    assert!(refused(&build("no/such/x.shelf", &[]), dir).contains("no/such"));
    let eval = ["eval", "--pack", "shop.shelf", "--queries", "q.csv", "--images", "img", "--report"];
    assert!(refused(&[&eval[..], &["no/such/r.html"]].concat(), dir).contains("no folder no/such"));
    let scan = ["scan", "img/rings.png", "--pack", "shop.shelf", "--annotate"];
    for (out, wanted) in [
        ("no/such/a.png", "no folder no/such"),
        ("a.gif", ".png"),
        ("annotated", ".png"),
        ("img", ".png"),
        ("img/../img/rings.png", "the photo itself"),
    ] {
        let line = refused(&[&scan[..], &[out]].concat(), dir);
        assert!(line.contains(wanted), "{out}: {line}");
    }
}

#[test]
fn annotating_a_folder_keeps_its_photos() {
    let dir = own_shop();
    let dir = dir.path();
    fs::copy(dir.join("img/rings.png"), dir.join("img/checks.jpg")).unwrap();
    let before = fs::read(dir.join("img/rings.png")).unwrap();
    let line = refused(&["scan", "img", "--pack", "shop.shelf", "--annotate", "./img"], dir);
    assert!(line.contains("another folder"), "{line}");
    assert_eq!(fs::read(dir.join("img/rings.png")).unwrap(), before);
    // Nor those of another folder.
    fs::create_dir(dir.join("other")).unwrap();
    fs::copy(dir.join("img/rings.png"), dir.join("other/rings.png")).unwrap();
    let line = refused(&["scan", "img", "--pack", "shop.shelf", "--annotate", "other"], dir);
    assert!(line.contains("rings.png that no scan made"), "{line}");
    json(&["scan", "img", "--pack", "shop.shelf", "--annotate", "out"], dir);
    assert_eq!(
        names(&dir.join("out")),
        [
            ".shelfsight-annotated",
            "checks.jpg.png",
            "checks.png.png",
            "rings.png",
            "rings2.png",
            "stripes.png"
        ]
    );
}

#[cfg(target_os = "linux")] // other systems refuse such names
#[test]
fn names_that_are_no_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let dir = own_shop();
    let odd = dir.path().join("img").join(OsStr::from_bytes(b"caf\xe9.png"));
    fs::rename(dir.path().join("img/rings.png"), &odd).unwrap();
    let scan = json(&["scan", "img", "--pack", "shop.shelf"], dir.path());
    assert_eq!(scan["photos"].as_array().unwrap().len(), 4);
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("shelfsight");
    let out = command.current_dir(dir.path()).args(["pack", "build", "--catalog", "c.csv"]);
    let out = out.args(["--images", "img", "--skip-bad", "--json", "--out"]);
    let out = out.arg(OsStr::from_bytes(b"caf\xe9.shelf")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let built: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&built["pack"], &built["skipped_images"]), (&"caf\u{fffd}.shelf".into(), &1.into()));
}

#[test]
fn text_from_a_catalogue_cannot_steer_the_terminal() {
    let dir = own_shop();
    let dir = dir.path();
    fs::write(dir.join("bad.csv"), "id,title\n1,\"Tea\u{1b}[2J\nGreen\u{202e}\"\n").unwrap();
    json(&build("x.shelf", &[]), dir);
    let out = run(&["find", "--text", "green tea", "--pack", "x.shelf"], dir);
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert!(text.ends_with("Tea\u{fffd}[2J Green\u{fffd}\n"), "{text:?}");
    // JSON has the title as it is.
    let found = json(&["find", "--text", "green tea", "--pack", "x.shelf"], dir);
    assert_eq!(found["results"][0]["title"], "Tea\u{1b}[2J\nGreen\u{202e}");
}

#[test]
fn skip_bad_leaves_out_what_nothing_can_find() {
    let dir = own_shop();
    let dir = dir.path();
    let blank = "\u{200b}"; // a zero-width space: the tokenizer leaves nothing of it
    let text = format!(
        "id,title,gtin,images\nlost,,,gone.png\ntea,Tea,,gone.png\nblank,{blank},,\nbare,,,\nnumber,,4006381333931,\n"
    );
    fs::write(dir.join("bad.csv"), text).unwrap();
    refused(&build("x.shelf", &[]), dir);
    let built = json(&build("x.shelf", &["--skip-bad"]), dir);
    assert_eq!(
        (&built["products"], &built["skipped_rows"], &built["skipped_images"]),
        (&2.into(), &3.into(), &2.into())
    );
    let found = json(&["find", "--text", "4006381333931", "--pack", "x.shelf"], dir);
    assert_eq!(found["results"][0]["id"], "number");
    // Nothing left is no pack.
    fs::write(dir.join("bad.csv"), "id,images\n1,gone.png\n2,gone.png\n").unwrap();
    assert!(refused_after_notes(&build("y.shelf", &["--skip-bad"]), dir).contains("none of the 2 products"));
    fs::write(dir.join("bad.csv"), "id,gtin\n1,x\n,\n").unwrap();
    assert!(refused(&build("y.shelf", &["--skip-bad"]), dir).contains("line 2"));
    assert!(!dir.join("y.shelf").exists());
    // Without it, a blank title is refused by its line only if there is nothing else.
    fs::write(dir.join("bad.csv"), format!("id,title,images\n1,{blank},rings.png\n")).unwrap();
    json(&build("y.shelf", &[]), dir);
    fs::write(dir.join("bad.csv"), format!("id,title\n1,{blank}\n2,Tea\n")).unwrap();
    assert!(refused(&build("y.shelf", &[]), dir).contains("bad.csv: line 2"));
}

fn refused_after_notes(args: &[&str], dir: &Path) -> String {
    let out = run(args, dir);
    assert_eq!(out.status.code(), Some(1));
    String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default().to_owned()
}

#[cfg(feature = "onnx")]
#[test]
fn an_encoder_that_fits_no_picture_stops_the_build() {
    let dir = own_shop();
    let dir = dir.path();
    fs::write(dir.join("bad.csv"), CATALOGUE).unwrap();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/onnx");
    let try_with = |model: &str, dim| {
        let manifest = serde_json::json!({
            "kind": "image", "name": model, "model": models.join(model), "space": "s", "dim": dim,
            "input": "image", "output": "embedding",
            "preprocess": {"width": 16, "height": 16, "mean": [127, 127, 127], "std": [128, 128, 128]},
        });
        fs::write(dir.join("image.json"), manifest.to_string()).unwrap();
        refused(&build("x.shelf", &["--skip-bad", "--encoder", "image=image.json"]), dir)
    };
    assert!(try_with("bad_nan.onnx", 4).contains("NaN"));
    assert!(try_with("good.onnx", 5).contains("the manifest says f32 [1, 5]"));
    // The engine panics on this one: still one line.
    assert!(try_with("bad_stride.onnx", 4).contains("divide by zero"));
    assert!(try_with("bad_operator.onnx", 4).contains("com.example.FancyAttention (node `/attn/fancy`)"));
    assert!(try_with("bad_external.onnx", 4).contains("the weights of `w` are in another file"));
    assert!(try_with("bad_not_a_number.onnx", 4).contains("`w` holds NaN"));
}

/// A compiled model of the user's own, cut short or with a byte changed.
#[test]
fn a_broken_plan_stops_the_build() {
    let dir = own_shop();
    let dir = dir.path();
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/weights");
    let plan = fs::read(weights.join("image.plan")).unwrap();
    let mut manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(weights.join("image.json")).unwrap()).unwrap();
    manifest["model"] = "mine.plan".into();
    fs::write(dir.join("image.json"), manifest.to_string()).unwrap();
    fs::copy(weights.join("rerank.json"), dir.join("rerank.json")).unwrap();
    fs::write(dir.join("bad.csv"), CATALOGUE).unwrap();
    let args = build("x.shelf", &["--encoder", "image=image.json"]);
    let try_with = |bytes: &[u8]| {
        fs::write(dir.join("mine.plan"), bytes).unwrap();
        refused(&args, dir)
    };
    assert!(try_with(&plan[..plan.len() / 2]).contains("cut short"));
    assert!(try_with(&plan[..70]).contains("cut short"));
    let mut changed = plan.clone();
    changed[100] ^= 4;
    assert!(try_with(&changed).contains("checksum"));
    changed = plan;
    changed[8] = 9;
    assert!(try_with(&changed).contains("version 9"));
}

fn find(photo: &str) -> [&str; 4] {
    ["find", photo, "--pack", "shop.shelf"]
}

/// Pictures at and beyond the ends of what a picture may be.
#[test]
fn pictures_of_no_or_too_many_pixels() {
    let dir = own_shop();
    let dir = dir.path();
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/photos");
    for name in ["bomb.png", "bomb.jpg", "bomb_side.png"] {
        let photo = photos.join(name).display().to_string();
        refused(&find(&photo), dir);
    }
    fs::write(dir.join("nothing.png"), b"").unwrap();
    assert!(refused(&find("nothing.png"), dir).contains("nothing.png"));
    // The longest picture there may be, one pixel high, is looked for as any other.
    image::RgbImage::new(30_000, 1).save(dir.join("long.png")).unwrap();
    json(&find("long.png"), dir);
    image::RgbImage::new(30_001, 1).save(dir.join("longer.png")).unwrap();
    assert!(refused(&find("longer.png"), dir).contains("30000"));
}

/// Encoders of the shapes that users bring run compiled, and the build says so.
#[cfg(feature = "onnx")]
#[test]
fn own_encoders_are_compiled() {
    let dir = own_shop();
    let dir = dir.path();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/onnx");
    let reference: serde_json::Value =
        serde_json::from_slice(&fs::read(fixtures.join("reference.json")).unwrap()).unwrap();
    fs::write(dir.join("bad.csv"), CATALOGUE).unwrap();
    let of = |kind| reference[kind].as_array().unwrap().iter().map(move |case| (kind, case));
    for (kind, case) in of("image").chain(of("text")) {
        let mut manifest = case["manifest"].clone();
        for file in ["model", "tokenizer"] {
            if let Some(name) = manifest[file].as_str() {
                manifest[file] = fixtures.join(name).display().to_string().into();
            }
        }
        fs::write(dir.join("mine.json"), manifest.to_string()).unwrap();
        let encoder = format!("{kind}=mine.json");
        let built = json(&build("own.shelf", &["--encoder", &encoder]), dir);
        let model = &built["models"][0];
        assert_eq!(
            (&model["compiled"], &model["reason"]),
            (&true.into(), &serde_json::Value::Null),
            "{manifest}"
        );
    }
}

#[test]
fn words_of_a_script_the_encoder_does_not_know_find_nothing() {
    let dir = own_shop();
    let dir = dir.path();
    let find = |text| ["find", "--text", text, "--pack", "shop.shelf"];
    for text in ["Хлеб", "חלב", "우유", "🍞"] {
        let said = refused(&find(text), dir);
        assert!(said.contains("knows none of these words"), "{said}");
    }
    // Beside a photo they say nothing; a known word among them counts.
    let both = ["find", "img/rings.png", "--text", "Хлеб", "--pack", "shop.shelf"];
    let found = json(&both, dir);
    assert_eq!(found["results"][0]["id"], "rings");
    assert!(found["results"][0]["evidence"]["text"].is_null());
    assert_eq!(json(&find("Хлеб soap"), dir)["results"][0]["id"], "checks");
    // A product known by such a name alone cannot be found, so the build says so.
    fs::write(dir.join("cyr.csv"), "id,title\na,Хлеб\nb,soap\n").unwrap();
    let said =
        refused(&["pack", "build", "--catalog", "cyr.csv", "--images", "img", "--out", "x.shelf"], dir);
    assert!(said.contains("line 2"), "{said}");
    // Found by its barcode, it is built, and the build names the words that find nothing.
    fs::write(dir.join("cyr.csv"), "id,title,gtin\nb,soap,\na,Хлеб,4006381333931\n").unwrap();
    let build = ["pack", "build", "--catalog", "cyr.csv", "--images", "img", "--out", "x.shelf"];
    let out = run(&build, dir);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("knows no word"), "{said}");
    assert!(said.contains("line 3, \"a\""), "{said}");
}

#[test]
fn eval_counts_queries_that_cannot_be_asked() {
    let dir = own_shop();
    let dir = dir.path();
    let blank = "\u{200b}";
    fs::write(
        dir.join("odd.csv"),
        format!("image,text,ids\n,{blank},words\nrings.png,{blank},rings\nrings.png,,nobody\n"),
    )
    .unwrap();
    let args = ["eval", "--pack", "shop.shelf", "--queries", "odd.csv", "--images", "img"];
    let eval = json(&args, dir);
    let outcomes = &eval["by_stage"]["outcomes"];
    assert_eq!(
        (&outcomes["unreadable"], &outcomes["right"], &outcomes["not_in_pack"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(eval["by_stage"]["index"]["image"]["kind"], "flat");
    assert_eq!(eval["by_stage"]["index"]["image"]["measured"]["recall_at_10"], 1.0);
    assert!(refused(&[&args[..6], &["gone"]].concat(), dir).contains("gone: not a folder"));
    assert!(refused(&["find", "--text", blank, "--pack", "shop.shelf"], dir).contains("nothing to look for"));
}

#[test]
fn the_demo_writes_over_nothing_of_the_users() {
    let dir = own_shop();
    fs::write(dir.path().join("catalogue.jsonl"), "{}").unwrap();
    assert!(refused(&["demo", "--out", "."], dir.path()).contains("catalogue.jsonl"));
    assert_eq!(names(dir.path()), ["c.csv", "catalogue.jsonl", "img", "q.csv", "shop.shelf"]);
    fs::remove_file(dir.path().join("catalogue.jsonl")).unwrap();
    fs::rename(dir.path().join("shop.shelf"), dir.path().join("demo.shelf")).unwrap();
    assert!(refused(&["demo", "--out", "."], dir.path()).contains("demo.shelf"));
}

#[test]
fn the_first_bad_picture_is_named() {
    let dir = own_shop();
    let dir = dir.path();
    let rows = (2..40).map(|line| format!("p{line},T,{}.png\n", if line < 9 { "rings" } else { "gone" }));
    fs::write(dir.join("bad.csv"), format!("id,title,images\n{}", rows.collect::<String>())).unwrap();
    assert!(refused(&build("x.shelf", &[]), dir).contains("bad.csv: line 9"));
}

#[test]
fn a_detector_that_the_pack_was_not_built_with_is_refused() {
    let dir = own_shop();
    let dir = dir.path();
    let pack = Pack::open(&dir.join("shop.shelf"), &OpenOptions::default()).unwrap();
    let mut other = PackWriter::create(&dir.join("other.shelf")).unwrap();
    for section in pack.sections() {
        let mut bytes = pack.section_by_id(section.id).unwrap().to_vec();
        if section.id == SectionKind::DetectorManifest.into() {
            let text = String::from_utf8(bytes).unwrap();
            bytes = text.replace("shelfsight-detector", "another-detector").into_bytes();
        }
        other.raw_section(section.id, section.required, &bytes).unwrap();
    }
    other.finish().unwrap();
    let line = refused(&["scan", "img/rings.png", "--pack", "other.shelf"], dir);
    assert!(line.contains("built with the detector"), "{line}");
    refused(&["pack", "verify", "other.shelf"], dir);
    json(&["find", "img/rings.png", "--pack", "other.shelf"], dir);
}

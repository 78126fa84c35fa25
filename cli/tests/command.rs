//! The command as a user runs it, with the shipped models.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use serde_json::Value;
use support::*;

fn first(value: &Value) -> &str {
    value["results"][0]["id"].as_str().unwrap_or_default()
}

#[test]
fn finds_by_photo_text_and_both() {
    let dir = shop();
    let by_photo = json(&["find", "img/rings2.png", "--pack", "shop.shelf"], dir);
    assert_eq!(first(&by_photo), "rings");
    // Two pictures, one result.
    let ids: Vec<_> = by_photo["results"].as_array().unwrap().iter().map(|r| r["id"].clone()).collect();
    assert_eq!(ids.iter().filter(|id| *id == "rings").count(), 1);
    assert!(by_photo["ms"]["total"].as_f64().unwrap() > 0.0);
    // Without a picture, by its text.
    assert_eq!(
        first(&json(&["find", "--text", "oat milk for coffee", "--pack", "shop.shelf"], dir)),
        "words"
    );
    let both = json(&["find", "img/checks.png", "--text", "soap", "--pack", "shop.shelf", "--top", "1"], dir);
    assert_eq!((first(&both), both["results"].as_array().unwrap().len()), ("checks", 1));
    // A GTIN as text is looked up.
    let by_gtin = json(&["find", "--text", "4006381333931", "--pack", "shop.shelf"], dir);
    assert_eq!(first(&by_gtin), "stripes");
    assert_eq!(by_gtin["results"][0]["evidence"]["barcode"], true);
    assert_eq!(by_gtin["results"][0]["gtin"], "04006381333931");
    // A wrong check digit is not.
    let wrong = json(&["find", "--text", "4006381333932", "--pack", "shop.shelf"], dir);
    assert!(wrong["results"].as_array().unwrap().iter().all(|r| r["evidence"]["barcode"] == false));
}

#[test]
fn filters() {
    let dir = shop();
    let find = |filter| json(&["find", "img/rings.png", "--pack", "shop.shelf", "--filter", filter], dir);
    let drinks = find("category=drinks");
    assert!(drinks["results"].as_array().unwrap().iter().all(|r| r["category"] == "Drinks"));
    assert_eq!(first(&find("attr.size=500 ML")), "checks");
    assert_eq!(find("brand=nobody")["results"].as_array().unwrap().len(), 0);
    assert_eq!(
        run(&["find", "--text", "x", "--pack", "p", "--filter", "colour=x"], dir).status.code(),
        Some(2)
    );
}

#[test]
fn evaluates_and_reports() {
    let dir = shop();
    let args =
        ["eval", "--pack", "shop.shelf", "--queries", "q.csv", "--images", "img", "--report", "r.html"];
    let eval = json(&args, dir);
    assert_eq!(eval["queries"], 3);
    assert_eq!(eval["recall@1"], 0.6667);
    assert_eq!(eval["by_stage"]["outcomes"]["unreadable"], 1);
    for key in ["recall@5", "recall@10", "mar@10", "map", "ms_p50", "ms_p95"] {
        assert!(eval[key].is_number(), "{key}");
    }
    assert!(fs::read_to_string(dir.join("r.html")).unwrap().contains("Green Tea"));
}

#[test]
fn scans_and_annotates() {
    let dir = shop();
    let scan = json(&["scan", "img/stripes.png", "--pack", "shop.shelf", "--annotate", "a.png"], dir);
    assert!(scan["items"].is_array());
    assert_eq!(image::open(dir.join("a.png")).unwrap().into_rgb8().dimensions(), (200, 260));
    let folder = json(&["scan", "img", "--pack", "shop.shelf"], dir);
    assert_eq!(folder["photos"].as_array().unwrap().len(), 4);
}

#[test]
fn inspects_and_verifies() {
    let dir = shop();
    let pack = json(&["pack", "inspect", "shop.shelf"], dir);
    assert_eq!(pack["meta"]["product_count"], 4);
    assert_eq!(pack["meta"]["image_rows"], 4);
    assert!(pack["meta"]["licences"].as_array().unwrap().len() >= 3);
    assert_eq!(json(&["pack", "verify", "shop.shelf"], dir)["ok"], true);
    // A flipped bit and a cut tail are found.
    let whole = fs::read(dir.join("shop.shelf")).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(dir.join("flipped.shelf"), flipped).unwrap();
    refused(&["pack", "verify", "flipped.shelf"], dir);
    fs::write(dir.join("cut.shelf"), &whole[..whole.len() - 1]).unwrap();
    for command in [&["pack", "verify", "cut.shelf"][..], &["find", "--text", "x", "--pack", "cut.shelf"]] {
        refused(command, dir);
    }
}

#[test]
fn refuses_bad_catalogues_and_keeps_the_old_pack() {
    let dir = shop();
    let old = fs::read(dir.join("shop.shelf")).unwrap();
    fs::write(dir.join("old.shelf"), &old).unwrap();
    fs::create_dir(dir.join("some")).unwrap();
    fs::write(dir.join("some/broken.jpg"), b"\xff\xd8\xff\xe0 not a picture").unwrap();
    fs::copy(dir.join("img/checks.png"), dir.join("some/checks.png")).unwrap();
    let cases = [
        ("id,title\n", "no rows"),
        ("", "no rows"),
        ("title\nTea\n", "id"),
        ("id,titel\n1,Tea\n", "titel"),
        ("id,title\n1,Tea\n1,Milk\n", "line 3"),
        ("id,title,gtin\n1,Tea,4006381333932\n", "line 2"),
        ("id,images\n1,missing.png\n", "line 2"),
        ("id,images\n1,broken.jpg\n", "broken.jpg"),
        ("id,images\n1,../c.csv\n", "line 2"),
        ("id,images\n1,.\n", "line 2"),
        ("id\n1\n", "line 2"),
    ];
    for (text, wanted) in cases {
        fs::write(dir.join("bad.csv"), text).unwrap();
        let args = ["pack", "build", "--catalog", "bad.csv", "--images", "some", "--out", "old.shelf"];
        let line = refused(&args, dir);
        assert!(line.to_lowercase().contains(wanted), "{text:?} gives {line}");
        assert!(fs::read(dir.join("old.shelf")).unwrap() == old);
    }
    // With --skip-bad the rest is built, and what was left out is counted.
    fs::write(dir.join("bad.csv"), "id,title,images\n1,Tea,missing.png\n2,Soap,checks.png\n2,Again,\n")
        .unwrap();
    let args =
        ["pack", "build", "--catalog", "bad.csv", "--images", "some", "--out", "some.shelf", "--skip-bad"];
    let built = json(&args, dir);
    assert_eq!(
        (&built["products"], &built["skipped_images"], &built["skipped_rows"]),
        (&2.into(), &1.into(), &1.into())
    );
}

#[test]
fn refuses_bad_queries() {
    let dir = shop();
    fs::write(dir.join("notes.jpg"), b"hello").unwrap();
    for args in [
        &["find", "img", "--pack", "shop.shelf"][..],
        &["find", "nothing.jpg", "--pack", "shop.shelf"],
        &["find", "notes.jpg", "--pack", "shop.shelf"],
        &["find", "--text", "   ", "--pack", "shop.shelf"],
        &["find", "--text", "x", "--pack", "nothing.shelf"],
        &["find", "--text", "x", "--pack", "img"],
        &["find", "--text", "x", "--pack", "c.csv"],
        &["find", "--text", "x", "--pack", "shop.shelf", "--top", "99999999"],
        &["scan", "notes.jpg", "--pack", "shop.shelf"],
        &["eval", "--pack", "shop.shelf", "--queries", "c.csv", "--images", "img"],
    ] {
        refused(args, dir);
    }
    assert_eq!(run(&["find", "--pack", "shop.shelf"], dir).status.code(), Some(2));
    assert_eq!(run(&["nonsense"], dir).status.code(), Some(2));
    assert_eq!(
        json(&["find", "--text", "tea", "--pack", "shop.shelf", "--top", "0"], dir)["results"],
        Value::Array(vec![])
    );
}

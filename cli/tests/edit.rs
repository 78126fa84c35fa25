//! `pack add`, `pack remove` and `pack compact` as a user runs them, with the shipped models.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use serde_json::{Value, json as value};
use support::*;

const MORE: &str = "id,title,brand,category,gtin,images
cocoa,Dark Cocoa,Havre,Drinks,5901234123457,waves.png
rings,Green Tea in bags,Havre,Drinks,,rings.png
";

fn ids(found: &Value) -> Vec<String> {
    found["results"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn products_come_and_go() {
    let dir = own_shop();
    let dir = dir.path();
    picture(0, [200, 30, 160], [10, 10, 40]).save(dir.join("img/waves.png")).unwrap();
    fs::write(dir.join("more.csv"), MORE).unwrap();
    let add = ["pack", "add", "shop.shelf", "--catalog", "more.csv", "--images", "img"];
    let find = |what: &[&str]| ids(&json(&[&["find", "--pack", "shop.shelf"], what].concat(), dir));

    let error = refused(&add, dir);
    assert!(error.contains("line 3") && error.contains("\"rings\"") && error.contains("1 of 2"), "{error}");
    // The first was added before that, so the second try needs leave to replace it too.
    let done = json(&[&add[..], &["--replace"]].concat(), dir);
    assert_eq!((&done["added"], &done["replaced"], &done["products"]), (&value!(2), &value!(2), &value!(5)));
    assert_eq!(find(&["img/waves.png"])[0], "cocoa");
    assert_eq!(find(&["--text", "5901234123457"])[0], "cocoa");
    assert_eq!(find(&["--text", "green tea in bags"])[0], "rings");
    // The picture it lost.
    assert_eq!(find(&["img/rings.png"])[0], "rings");
    assert_eq!(find(&["--text", "tea", "--filter", "brand=Havre"]).len(), 3);

    let done = json(&["pack", "remove", "shop.shelf", "checks", "words"], dir);
    assert_eq!((&done["removed"], &done["products"]), (&value!(2), &value!(3)));
    assert!(!find(&["img/checks.png"]).contains(&"checks".to_owned()));
    let error = refused(&["pack", "remove", "shop.shelf", "cocoa", "checks"], dir);
    assert!(error.contains("no product \"checks\"") && error.contains("nothing was deleted"), "{error}");
    assert_eq!(json(&["pack", "inspect", "shop.shelf"], dir)["journal"]["entries"], 5);
    let build = ["pack", "build", "--catalog", "c.csv", "--images", "img", "--out", "shop.shelf"];
    assert!(refused(&build, dir).contains("pack compact"));

    let done = json(&["pack", "compact", "shop.shelf"], dir);
    assert_eq!((&done["compacted"], &done["products"]), (&value!(true), &value!(3)));
    assert_eq!(done["bytes"], fs::metadata(dir.join("shop.shelf")).unwrap().len());
    assert_eq!(names(dir), ["c.csv", "img", "more.csv", "q.csv", "shop.shelf"]);
    json(&["pack", "verify", "shop.shelf"], dir);
    let meta = &json(&["pack", "inspect", "shop.shelf"], dir)["meta"];
    assert_eq!((&meta["product_count"], &meta["image_rows"]), (&value!(3), &value!(3)));
    assert_eq!(find(&["img/waves.png"])[0], "cocoa");
    assert_eq!(find(&["--text", "orange"])[0], "stripes");
    assert_eq!(json(&["pack", "compact", "shop.shelf"], dir)["compacted"], false);
    json(&build, dir);
}

#[test]
fn what_was_added_is_found_as_if_it_had_been_built() {
    let dir = own_shop();
    let dir = dir.path();
    let (head, rest) = CATALOGUE.split_once('\n').unwrap();
    let (first, rest) = rest.split_once('\n').unwrap();
    fs::write(dir.join("one.csv"), format!("{head}\n{first}\n")).unwrap();
    fs::write(dir.join("rest.csv"), format!("{head}\n{rest}")).unwrap();
    json(&["pack", "build", "--catalog", "one.csv", "--images", "img", "--out", "grown.shelf"], dir);
    json(&["pack", "add", "grown.shelf", "--catalog", "rest.csv", "--images", "img"], dir);
    let results = |pack: &str| {
        ["img/rings2.png", "img/checks.png"]
            .map(|photo| json(&["find", photo, "--pack", pack], dir)["results"].clone())
    };
    // Scores and evidence too: the same picture is prepared, encoded and coded alike.
    assert_eq!(results("grown.shelf"), results("shop.shelf"));
    json(&["pack", "compact", "grown.shelf"], dir);
    assert_eq!(results("grown.shelf"), results("shop.shelf"));
}

#[test]
fn bad_edits_are_refused_in_one_line() {
    let dir = own_shop();
    let dir = dir.path();
    let add = |catalog: &str| {
        fs::write(dir.join("bad.csv"), catalog).unwrap();
        refused(&["pack", "add", "shop.shelf", "--catalog", "bad.csv", "--images", "img"], dir)
    };
    assert!(add("id,title,images\n").contains("holds no rows"));
    assert!(add("id,title,images\nx,Some,gone.png\n").contains("gone.png"));
    assert!(add("id,title,gtin\nx,Some,123\n").contains("line 2"));
    assert!(!dir.join("shop.shelf.journal").exists(), "nothing was begun");
    assert!(refused(&["pack", "remove", "gone.shelf", "x"], dir).contains("gone.shelf"));
    assert!(refused(&["pack", "compact", "c.csv"], dir).contains("c.csv"));
    assert_eq!(run(&["pack", "remove", "shop.shelf"], dir).status.code(), Some(2));
    fs::write(dir.join("shop.shelf.journal"), "not a journal").unwrap();
    let error = refused(&["find", "--text", "tea", "--pack", "shop.shelf"], dir);
    assert!(error.contains("shop.shelf.journal") && error.contains("move it away"), "{error}");
}

//! `shelfsight eval` in its forms, as a user runs it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::*;

const EVAL: [&str; 6] = ["eval", "--pack", "shop.shelf", "--images", "img", "--queries"];

#[test]
fn exact_search_beside_a_compressed_index() {
    let dir = shop();
    // Rows enough for a codebook, told apart by words.
    let things = ["soap", "tea", "bread", "soup", "juice", "rice", "jam", "salt", "oil", "milk"];
    let kinds = ["red", "green", "sweet", "dark", "fresh", "smoked", "salted", "wild", "light", "old"];
    let mut many = String::from("id,title\n");
    for i in 0..400 {
        let (thing, kind) = (things[i % 10], kinds[i / 10 % 10]);
        many += &format!("p{i},{kind} {thing} number {}\n", i / 100);
    }
    fs::write(dir.join("many.csv"), many).unwrap();
    let build = ["pack", "build", "--catalog", "many.csv", "--images", "img", "--index"];
    json(&[&build[..], &["flat", "--out", "exact.shelf"]].concat(), dir);
    json(&[&build[..], &["pq", "--bytes", "8", "--out", "small.shelf"]].concat(), dir);
    let asked = "text,ids\nred soap number 0,p0\nwild jam number 3,p376\nold milk number 2,p299\n";
    fs::write(dir.join("asked.csv"), asked).unwrap();
    let eval = ["eval", "--pack", "small.shelf", "--images", "img", "--queries", "asked.csv", "--exact"];
    let found = json(&[&eval[..], &["exact.shelf"]].concat(), dir);
    let stages = found["by_stage"]["search"].as_array().unwrap();
    let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["exact", "compressed"]);
    assert_eq!(stages[0]["hit@1"], 1.0);
    assert!(stages[1]["gain_recall@1_95"].is_array());
    assert_eq!(stages[1]["mar@10"], found["mar@10"]);
    // What is not exact, or of another catalogue, cannot be the measure.
    let said = refused(&[&eval[..], &["small.shelf"]].concat(), dir);
    assert!(said.contains("flat"), "{said}");
    fs::write(dir.join("one.csv"), "id,title\np0,red soap\n").unwrap();
    let build = ["pack", "build", "--catalog", "one.csv", "--images", "img", "--out", "one.shelf"];
    json(&[&build[..], &["--index", "flat"]].concat(), dir);
    let said = refused(&[&eval[..], &["one.shelf"]].concat(), dir);
    assert!(said.contains("differs in its products"), "{said}");
}

#[test]
fn the_benchmarks_files_and_submissions() {
    let dir = shop();
    // The index and the queries as the challenge gives them: no answers, categories beside.
    let index = "UUID,IMAGE_PATH,AUCT_TITL,META_CATEG_ID,CATEG_LVL2_ID,LEAF_CATEG_ID\n\
                 i-1,rings.png,Ring soda,1,2,3\ni-2,stripes.png,,1,2,4\ni-3,checks.png,,1,5,6\n";
    fs::write(dir.join("index.csv"), index).unwrap();
    fs::write(dir.join("part1.csv"), "UUID,IMAGE_PATH\nq-1,rings2.png\nq-2,stripes.png\n").unwrap();
    let build = ["pack", "build", "--catalog", "index.csv", "--images", "img", "--out", "index.shelf"];
    assert_eq!(json(&build, dir)["products"], 3);
    let eval = ["eval", "--pack", "index.shelf", "--images", "img", "--queries", "part1.csv"];
    let said = refused(&eval, dir);
    assert!(said.contains("no column \"ids\""), "{said}");
    let found = json(&[&eval[..], &["--submission", "s.csv"]].concat(), dir);
    assert_eq!((found["queries"].as_u64(), found["judged"].as_u64()), (Some(2), Some(0)));
    let lines = fs::read_to_string(dir.join("s.csv")).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with("q-1,i-1 ") && lines[1].starts_with("q-2,i-2 "), "{lines:?}");
    assert_eq!(lines[0].split([',', ' ']).count(), 4);
    // Those lists, judged by someone who has the answers.
    fs::write(dir.join("truth.csv"), "id,image,ids\nq-1,rings2.png,i-1\nq-2,stripes.png,i-3\n").unwrap();
    let judged = json(&["eval", "--ranked", "s.csv", "--queries", "truth.csv"], dir);
    assert_eq!((judged["hit@1"].as_f64(), judged["mar@10"].as_f64()), (Some(0.5), Some(1.0)));
    fs::write(dir.join("s.csv"), "q-1,i-1\n").unwrap();
    let said = refused(&["eval", "--ranked", "s.csv", "--queries", "truth.csv"], dir);
    assert!(said.contains("no list for the query \"q-2\""), "{said}");
}

#[test]
fn photos_of_several_products() {
    let dir = shop();
    fs::write(dir.join("several.csv"), "image,ids\nstripes.png,stripes rings\ngone.png,rings\n").unwrap();
    let found = json(&[&EVAL[..], &["several.csv", "--scan"]].concat(), dir);
    assert_eq!((found["photos"].as_u64(), found["unreadable"].as_u64()), (Some(2), Some(1)));
    let whole = &found["levels"]["image"];
    // The whole photo is one of its two products; the unreadable one counts as lost.
    assert_eq!(whole["named"], 0.25);
    assert!(whole["mar@10"].as_f64().unwrap() >= 0.25);
    for key in ["map@100", "map_full@50", "prec@10", "mar@10_95", "ms_p50"] {
        assert!(!found["levels"]["boxes"][key].is_null(), "{key}");
    }
    // Labels of an attribute.
    fs::write(dir.join("sizes.csv"), "image,ids\nstripes.png,300g\nrings.png,100g\n").unwrap();
    let found = json(&[&EVAL[..], &["sizes.csv", "--scan", "--label", "attr.size"]].concat(), dir);
    assert_eq!(found["unknown_labels"], 2); // "300 g" has a space, which no list of labels can hold
    assert_eq!(run(&[&EVAL[..], &["several.csv", "--label", "x"]].concat(), dir).status.code(), Some(2));
}

#[test]
fn outputs_replace_no_input() {
    let shop = own_shop();
    let dir = shop.path();
    let before = |name: &str| fs::read(dir.join(name)).unwrap();
    let (queries, pack, photo) = (before("q.csv"), before("shop.shelf"), before("img/rings.png"));
    let eval = [&EVAL[..], &["q.csv"]].concat();
    for flag in ["--submission", "--report"] {
        for place in ["q.csv", "shop.shelf", "img/rings.png"] {
            let said = refused(&[&eval[..], &[flag, place]].concat(), dir);
            assert!(said.contains("name another"), "{said}");
        }
    }
    refused(&[&eval[..], &["--submission", "one.txt", "--report", "one.txt"]].concat(), dir);
    assert!(!dir.join("one.txt").exists());
    assert!(before("q.csv") == queries && before("shop.shelf") == pack && before("img/rings.png") == photo);
    // What could not be written at the end is refused at the start.
    fs::write(dir.join("twice.csv"), "image,ids\nrings.png,rings\nrings.png,rings\n").unwrap();
    let twice = [&EVAL[..], &["twice.csv", "--submission", "s.csv"]].concat();
    assert!(refused(&twice, dir).contains("two queries are named \"rings.png\""));
}

#[test]
fn labels_that_no_product_has_are_told() {
    let dir = shop();
    fs::write(dir.join("odd.csv"), "image,ids\nstripes.png,stripes nobody\n").unwrap();
    let out = run(&[&EVAL[..], &["odd.csv", "--scan", "--json"]].concat(), dir);
    assert!(String::from_utf8_lossy(&out.stderr).contains("\"nobody\""));
    let said = refused(&[&EVAL[..], &["odd.csv", "--scan", "--label", "nosuch"]].concat(), dir);
    assert!(said.contains("no product of the pack has an attribute \"nosuch\""), "{said}");
    fs::write(dir.join("words.csv"), "text,ids\nsoap,checks\n").unwrap();
    let said = refused(&[&EVAL[..], &["words.csv", "--scan"]].concat(), dir);
    assert!(said.contains("line 2: no image"), "{said}");
}

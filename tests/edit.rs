//! Products added to and deleted from a pack on the phone: seen at once, there after a crash, gone after compaction.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "build", feature = "onnx"))]

mod engine_support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use engine_support::*;
use shelfsight::engine::{
    CodedPicture, EditError, Engine, EngineOptions, FindError, NewProduct, OpenEngineError, Query,
};
use shelfsight::frame::Frame;
use shelfsight::fuse::Gtin;
use shelfsight::index::IndexKind;
use shelfsight::options::FindOptions;
use shelfsight::pack::{Journal, JournalError, OpenOptions, Pack, Record};

const GTIN: &str = "5901234123457";

fn open(path: &Path) -> Engine {
    Engine::open(path, EngineOptions::default()).unwrap()
}

fn record(id: &str, title: &str) -> Record {
    Record { id: id.into(), title: title.into(), brand: "Added".into(), ..Record::default() }
}

fn find(engine: &Engine, text: &str, filter: Option<&str>) -> Vec<String> {
    // A filter, even one that all pass, makes the search of inverted lists go on until it has enough.
    let filters = vec![filter.unwrap_or("id!=nobody").parse().unwrap()];
    let options = FindOptions { top: 5000, filters, ..FindOptions::default() };
    ids(engine, &Query { frame: None, text: Some(text) }, &options)
}

/// A shop of one kind of index: lists need many rows.
fn shop(kind: IndexKind) -> (Shop, PathBuf) {
    let mut shop = Shop::new(if kind == IndexKind::Trq { 4200 } else { 24 });
    if kind == IndexKind::Trq {
        shop.rows.iter_mut().for_each(|row| row.images.clear());
    } else {
        // Enough rows that codebooks pay.
        for product in 24..400 {
            let mut row = shop.rows[2].clone();
            (row.line, row.id) = (product + 2, format!("p{product}"));
            row.title = format!("product number {product}");
            shop.rows.push(row);
        }
    }
    let path = shop.build(kind).unwrap();
    (shop, path)
}

#[test]
fn edits_are_seen_at_once_after_reopening_and_after_compaction() {
    for kind in [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq, IndexKind::Trq] {
        let (_shop, path) = shop(kind);
        let engine = open(&path);
        let built = engine.products();
        let pictures = kind != IndexKind::Trq;
        assert_eq!(engine.pack().meta().text_index.as_ref().unwrap().kind, kind.name());
        let data = pixels(77, 0);
        let frames = [Frame::rgb(&data, 48, 48).unwrap()];
        let gtin = Gtin::parse(GTIN).unwrap().as_u64();
        let new = NewProduct {
            record: Record { gtin: Some(gtin), ..record("new", "zebra crossing soap") },
            pictures: if pictures { &frames } else { &[] },
            ..NewProduct::default()
        };
        assert_eq!(engine.add(&new).unwrap(), built);
        let deleted = engine.product_of("p5").unwrap().unwrap();
        engine.remove(deleted).unwrap();
        assert!(matches!(engine.remove(deleted), Err(EditError::NoSuchProduct { .. })));
        let changed = NewProduct { record: record("p7", "seven, renamed"), replace: true, ..new.clone() };
        engine.add(&changed).unwrap();

        let check = |engine: &Engine, when: &str| {
            let at = |text: &str, id: &str| find(engine, text, None).iter().position(|f| f == id);
            assert_eq!(engine.products(), built, "{kind} {when}");
            assert_eq!(at(GTIN, "new"), Some(0), "{kind} {when}: by its GTIN");
            assert!(at("zebra crossing soap", "new").is_some(), "{kind} {when}: by its words");
            // It had a GTIN of its own.
            assert!(at("4006381333931", "p5").is_none() && at("product number 5", "p5").is_none());
            assert_eq!(find(engine, "product", Some("brand=added")).len(), 2, "{kind} {when}: filters");
            assert!(!find(engine, "product", Some("brand!=added")).contains(&"new".to_owned()));
            if pictures {
                let query = Query { frame: Some(&frames[0]), text: None };
                let best = ids(engine, &query, &FindOptions::default());
                assert!(best[..2].contains(&"new".to_owned()), "{kind} {when}: by its picture: {best:?}");
            }
            let renamed = engine.product_of("p7").unwrap().unwrap();
            assert_eq!(engine.record(renamed).unwrap().title, "seven, renamed");
            assert_eq!(find(engine, "seven", None).iter().filter(|id| *id == "p7").count(), 1);
            assert_eq!(find(engine, "product", None).len(), built as usize, "{kind} {when}: each once");
        };
        check(&engine, "at once");
        let before = find(&engine, "product number 9", None);
        drop(engine);
        let engine = open(&path);
        check(&engine, "opened again");
        assert_eq!(find(&engine, "product number 9", None), before, "{kind}");

        let journal = fs::read(Journal::path_beside(&path)).unwrap();
        let done = engine.compact().unwrap().unwrap();
        assert_eq!((done.products, done.after), (built, fs::metadata(&path).unwrap().len()));
        assert!(!Journal::path_beside(&path).exists());
        check(&engine, "compacted, the old one still open");
        assert!(matches!(engine.add(&new), Err(EditError::Replaced)));
        let engine = open(&path);
        check(&engine, "compacted");
        assert_eq!(find(&engine, "product number 9", None), before, "{kind}: codes are kept as they were");
        engine.pack().verify().unwrap();
        assert_eq!(engine.compact().unwrap(), None, "nothing to do");
        drop(engine);

        // A crash between the new pack and the removal of the journal.
        fs::write(Journal::path_beside(&path), &journal).unwrap();
        let engine = open(&path);
        check(&engine, "beside a journal that is done with");
        engine.remove(engine.product_of("new").unwrap().unwrap()).unwrap();
        assert_eq!(open(&path).products(), built - 1);
    }
}

#[test]
fn what_cannot_be_added_is_named_and_adds_nothing() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let engine = open(&path);
    let add = |record: Record| engine.add(&NewProduct { record, ..NewProduct::default() }).unwrap_err();
    assert!(matches!(add(record("p1", "again")), EditError::Duplicate { id } if id == "p1"));
    assert!(matches!(add(record("", "no id")), EditError::Record { .. }));
    assert!(matches!(add(Record { gtin: Some(u64::MAX), ..record("x", "y") }), EditError::Record { .. }));
    let bare = Record { id: "bare".into(), ..Record::default() };
    assert!(matches!(add(bare), EditError::Unfindable { .. }));
    assert!(matches!(engine.remove(4), Err(EditError::NoSuchProduct { product: 4 })));
    assert!(matches!(engine.remove(u32::MAX), Err(EditError::NoSuchProduct { .. })));
    let cancel = shelfsight::Cancel::new();
    cancel.cancel();
    let cancelled = NewProduct { record: record("x", "y"), cancel: Some(cancel), ..NewProduct::default() };
    assert!(matches!(engine.add(&cancelled), Err(EditError::Encode(FindError::Cancelled))));
    // With nothing to encode, too.
    let gtin = Some(Gtin::parse(GTIN).unwrap().as_u64());
    let bare = Record { id: "bare".into(), gtin, ..Record::default() };
    let cancelled = NewProduct { record: bare, ..cancelled };
    assert!(matches!(engine.add(&cancelled), Err(EditError::Encode(FindError::Cancelled))));
    assert!(matches!(engine.remove_id("p4"), Err(EditError::NoSuchId { id }) if id == "p4"));
    assert_eq!(engine.products(), 4);
    assert_eq!(open(&path).products(), 4);
    // All deleted: nothing is found, and what is added then is.
    (0..4).for_each(|product| assert_eq!(engine.remove_id(&format!("p{product}")).unwrap(), product));
    assert!(matches!(engine.remove_id("p3"), Err(EditError::NoSuchId { .. })));
    assert!(find(&engine, "product", None).is_empty());
    engine.compact().unwrap().unwrap();
    let engine = open(&path);
    assert_eq!((engine.products(), find(&engine, "product", None).len()), (0, 0));
    engine.add(&NewProduct { record: record("first", "words"), ..NewProduct::default() }).unwrap();
    assert_eq!(find(&engine, "words", None), ["first"]);
}

#[test]
fn a_second_writer_waits_its_turn_and_sees_what_the_first_wrote() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let (first, second) = (open(&path), open(&path));
    let add = |engine: &Engine, id: &str| {
        engine.add(&NewProduct { record: record(id, "some words"), ..NewProduct::default() })
    };
    assert_eq!(add(&first, "a").unwrap(), 4);
    assert!(matches!(add(&second, "b"), Err(EditError::Journal(JournalError::InUse { .. }))));
    assert_eq!(second.products(), 4);
    drop(first);
    assert!(matches!(add(&second, "a"), Err(EditError::Duplicate { .. })), "it catches up first");
    assert_eq!(add(&second, "b").unwrap(), 5);
    assert_eq!(open(&path).products(), 6);
}

#[test]
fn pictures_coded_one_at_a_time_are_those_coded_at_once() {
    for kind in [IndexKind::Flat, IndexKind::Pq, IndexKind::Rq, IndexKind::Opq] {
        let (_shop, path) = shop(kind);
        let engine = open(&path);
        let data = [pixels(77, 0), pixels(78, 0)];
        let frames = data.each_ref().map(|data| Frame::rgb(data, 48, 48).unwrap());
        let bare = |id: &str| Record { id: id.into(), ..Record::default() };
        let once = NewProduct { record: bare("once"), pictures: &frames, ..NewProduct::default() };
        engine.add(&once).unwrap();
        let coded = frames.each_ref().map(|frame| {
            let bytes = engine.code_picture(frame, None).unwrap().into_bytes();
            CodedPicture::from_bytes(bytes)
        });
        let one = NewProduct { record: bare("one by one"), coded: &coded, ..NewProduct::default() };
        engine.add(&one).unwrap();
        for frame in &frames {
            let query = Query { frame: Some(frame), text: None };
            let found = engine.find(&query, &FindOptions { top: 500, ..FindOptions::default() }).unwrap();
            let score = |id: &str| found.matches.iter().find(|m| m.record.id == id).map(|m| m.score);
            assert_eq!(score("one by one").unwrap(), score("once").unwrap(), "{kind}");
        }
        // What is not a code of this pack is refused, and the journal stays readable.
        let good = coded[0].clone().into_bytes();
        let mut foreign = good.clone();
        foreign[0] ^= 1;
        let longer = [&good[..], &[0]].concat();
        for bytes in
            [vec![], good[..3].to_vec(), good[..4].to_vec(), good[..good.len() - 1].to_vec(), longer, foreign]
        {
            let coded = [CodedPicture::from_bytes(bytes)];
            let product = NewProduct { record: bare("bad"), coded: &coded, ..NewProduct::default() };
            let refused = engine.add(&product);
            assert!(matches!(refused, Err(EditError::OtherPack)), "{kind}: {refused:?}");
        }
        let cancel = shelfsight::Cancel::new();
        cancel.cancel();
        let cancelled = engine.code_picture(&frames[0], Some(&cancel));
        assert!(matches!(cancelled, Err(EditError::Encode(FindError::Cancelled))));
        let products = engine.products();
        drop(engine);
        assert_eq!(open(&path).products(), products);
    }
    let mut shop = Shop::new(4);
    shop.rows.iter_mut().for_each(|row| row.images.clear());
    let engine = shop.open(IndexKind::Flat);
    let data = pixels(1, 0);
    let refused = engine.code_picture(&Frame::rgb(&data, 48, 48).unwrap(), None);
    assert!(matches!(refused, Err(EditError::NoIndex)), "{refused:?}");
}

/// An edit that went into a journal of a pack that is no longer there would be lost without a word.
#[test]
fn a_pack_that_another_took_the_place_of_takes_no_edits() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let add = |engine: &Engine, id: &str| {
        engine.add(&NewProduct { record: record(id, "some words"), ..NewProduct::default() })
    };
    // Compacted by another engine, while this one had not edited yet.
    let (idle, other) = (open(&path), open(&path));
    add(&other, "a").unwrap();
    assert_eq!(other.compact().unwrap().unwrap().products, 5);
    drop(other);
    assert!(matches!(add(&idle, "lost"), Err(EditError::Replaced)));
    assert!(matches!(idle.remove(0), Err(EditError::Replaced)));
    assert!(matches!(idle.compact(), Err(EditError::Replaced)));
    assert!(!Journal::path_beside(&path).exists());
    assert_eq!(idle.products(), 4, "it answers from the pack it opened");
    // Replaced by rename while this one had the journal open; the lock goes with it.
    let engine = open(&path);
    add(&engine, "b").unwrap();
    let mut renewed = Shop::new(6);
    renewed.rows[0].title = "another".into();
    fs::rename(renewed.build(IndexKind::Flat).unwrap(), &path).unwrap();
    assert!(matches!(add(&engine, "lost"), Err(EditError::Replaced)));
    fs::remove_file(Journal::path_beside(&path)).unwrap();
    let heir = open(&path);
    assert_eq!(add(&heir, "c").unwrap(), 6);
    // Its journal was taken away.
    fs::remove_file(Journal::path_beside(&path)).unwrap();
    assert!(matches!(add(&heir, "lost"), Err(EditError::Replaced)));
    // The pack was removed, or is no file.
    let last = open(&path);
    fs::remove_file(&path).unwrap();
    assert!(matches!(add(&last, "lost"), Err(EditError::Replaced)));
    fs::create_dir(&path).unwrap();
    assert!(matches!(add(&last, "lost"), Err(EditError::Replaced)));
    assert!(!Journal::path_beside(&path).exists());
}

#[test]
fn a_journal_of_another_pack_or_of_nonsense_is_refused() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let journal = Journal::path_beside(&path);
    let append = |entry: &[u8]| {
        let pack = Pack::open(&path, &OpenOptions::default()).unwrap();
        let _ = fs::remove_file(&journal);
        Journal::open(&journal, &pack).unwrap().0.append(entry).unwrap();
    };
    let mut row = vec![1, 0, 0, 0, 0];
    row.extend([1u32, 3, 0, 0].iter().flat_map(|n| n.to_le_bytes()));
    row.extend([0; 3]);
    // Not an entry; a product that is not there; no record; a row of three bytes.
    for entry in [&[][..], &[9], &[2, 4, 0, 0, 0], &[1, 0, 0, 0, 0], &row] {
        append(entry);
        let error = Engine::open(&path, EngineOptions::default()).err().unwrap();
        assert!(matches!(error, OpenEngineError::Entry { .. }), "{entry:?}: {error}");
    }
    append(&[2, 3, 0, 0, 0]);
    assert_eq!(open(&path).products(), 3);
    let mut other = Shop::new(5);
    other.rows[0].title = "another".into();
    fs::copy(other.build(IndexKind::Flat).unwrap(), &path).unwrap();
    let error = Engine::open(&path, EngineOptions::default()).err().unwrap();
    assert!(matches!(error, OpenEngineError::Journal(JournalError::OtherPack { .. })), "{error}");
}

const PACK: &str = "SHELFSIGHT_TEST_PACK";

/// Adds products until it is killed, saying of each when it is added.
#[test]
#[ignore = "runs in a process of its own, which the next test kills"]
fn adds_until_killed() {
    let path = PathBuf::from(std::env::var_os(PACK).unwrap());
    let engine = open(&path);
    for at in engine.products().. {
        let id = format!("added {at}");
        engine.add(&NewProduct { record: record(&id, "words"), ..NewProduct::default() }).unwrap();
        println!("{at}");
    }
}

#[test]
fn a_process_killed_while_it_adds_loses_nothing_that_it_said_was_added() {
    let shop = Shop::new(4);
    let path = shop.build(IndexKind::Flat).unwrap();
    let mut known = 4;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "adds_until_killed", "--ignored", "--nocapture"])
            .env(PACK, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |wanted: usize| {
            let numbers = lines.by_ref().map_while(Result::ok).filter_map(|line| line.parse::<u32>().ok());
            numbers.take(wanted).last()
        };
        let seen = told(1 + round * 3).unwrap();
        // Anywhere in the middle of the next ones.
        std::thread::sleep(std::time::Duration::from_micros(700 * round as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died and nobody had read yet.
        let last = told(usize::MAX).unwrap_or(seen);
        let engine = open(&path);
        let after = engine.products();
        assert!(after > last, "round {round}: {last} was told, {after} products are there");
        for at in known..after {
            let product = engine.product_of(&format!("added {at}")).unwrap();
            assert_eq!(product, Some(at), "round {round}");
        }
        assert_eq!(find(&engine, "words", Some("brand=added")).len(), after as usize - 4);
        known = after;
    }
}

//! Writing: the old pack stays until the new one is whole, whatever goes wrong.

#![allow(clippy::unwrap_used)] // clippy's exception for tests does not reach helpers

mod pack_support;

use pack_support::*;
use shelfsight::pack::*;
use std::path::Path;

fn write(path: &Path, model_len: usize) -> Result<(), WritePackError> {
    let (meta, sections) = sections(model_len);
    let mut pack = PackWriter::create(path)?;
    pack.meta(&meta)?;
    for (kind, bytes) in sections {
        pack.section(kind, &bytes)?;
    }
    pack.finish()
}

fn model_len(path: &Path) -> usize {
    let pack = Pack::open(path, &OpenOptions::default()).unwrap();
    pack.verify().unwrap();
    use_everything(&pack);
    pack.section(SectionKind::ImageModel).unwrap().len()
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn writes_what_memory_holds_and_replaces_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    write(&path, 100).unwrap();
    assert_eq!(model_len(&path), 100);
    let old = Pack::open(&path, &OpenOptions::default()).unwrap();
    write(&path, 70_000).unwrap();
    assert_eq!(model_len(&path), 70_000);
    // The pack that was open goes on as it was.
    old.verify().unwrap();
    use_everything(&old);
    assert_eq!(old.section(SectionKind::ImageModel).unwrap().len(), 100);
    assert_eq!(files(folder.path()), ["a.shelf"]);
}

#[test]
fn an_unfinished_or_invalid_pack_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    write(&path, 100).unwrap();
    let mut unfinished = PackWriter::create(&path).unwrap();
    unfinished.section(SectionKind::ImageModel, &[1; 500_000]).unwrap();
    drop(unfinished);
    let mut invalid = PackWriter::create(&path).unwrap();
    invalid.section(SectionKind::Notices, b"no meta").unwrap();
    let again = invalid.section(SectionKind::Notices, b"").unwrap_err();
    assert!(matches!(again, WritePackError::Duplicate { id } if id == SectionKind::Notices.into()));
    let error = invalid.finish().unwrap_err();
    assert!(matches!(error, WritePackError::Invalid(_)), "{error}");
    assert_eq!(model_len(&path), 100);
    assert_eq!(files(folder.path()), ["a.shelf"]);
}

#[test]
fn paths_that_cannot_be_packs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/a.shelf");
    assert!(matches!(PackWriter::create(&missing), Err(WritePackError::Io { .. })));
    assert!(matches!(PackWriter::create(folder.path()), Err(WritePackError::NotAFile { .. })));
    assert!(matches!(PackWriter::create(&folder.path().join("a/")), Err(WritePackError::NotAFile { .. })));
    #[cfg(unix)]
    assert!(matches!(PackWriter::create(Path::new("/dev/null")), Err(WritePackError::NotAFile { .. })));
    let open = |p: &Path| Pack::open(p, &OpenOptions::default()).unwrap_err();
    assert!(matches!(open(&missing), OpenPackError::Io { .. }));
    assert!(matches!(open(folder.path()), OpenPackError::NotAFile { .. }));
    let empty = folder.path().join("empty.shelf");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(open(&empty), OpenPackError::Truncated { found: 0, .. }));
}

#[test]
fn what_killed_writers_left_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    for n in 0..50 {
        std::fs::write(folder.path().join(format!(".a.shelf.{}-{n}.tmp", std::process::id())), b"left")
            .unwrap();
    }
    let others =
        [".a.shelf.12-.tmp", ".a.shelf.1-2-3.tmp", ".a.shelf.tmp", ".b.shelf.1-2.tmp", "a.shelf.1-2.tmp"];
    for other in others {
        std::fs::write(folder.path().join(other), b"not ours").unwrap();
    }
    // A writer that is still at work keeps its file.
    let (meta, sections) = sections(70);
    let mut busy = PackWriter::create(&path).unwrap();
    write(&path, 100).unwrap();
    assert_eq!(model_len(&path), 100);
    busy.meta(&meta).unwrap();
    for (kind, bytes) in sections {
        busy.section(kind, &bytes).unwrap();
    }
    busy.finish().unwrap();
    assert_eq!(model_len(&path), 70);
    let mut left: Vec<_> = others.into_iter().chain(["a.shelf"]).collect();
    left.sort_unstable();
    assert_eq!(files(folder.path()), left);
}

#[test]
fn a_pack_that_fails_its_last_check_does_not_replace_the_old() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    write(&path, 100).unwrap();
    let (meta, sections) = sections(200);
    let mut pack = PackWriter::create(&path).unwrap();
    pack.meta(&meta).unwrap();
    for (kind, bytes) in sections {
        pack.section(kind, &bytes).unwrap();
    }
    let refused = pack.finish_checked(|written| {
        assert_eq!(model_len(written), 200);
        Err::<(), _>(WritePackError::TooLarge { what: "a test" })
    });
    assert!(matches!(refused, Err(WritePackError::TooLarge { .. })));
    assert_eq!(model_len(&path), 100);
    assert_eq!(files(folder.path()), ["a.shelf"]);
}

#[test]
fn writers_at_once_do_not_clash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    std::thread::scope(|scope| {
        for i in 0..8 {
            let path = &path;
            scope.spawn(move || write(path, 1000 + i).unwrap());
        }
    });
    assert!((1000..1008).contains(&model_len(&path)));
    assert_eq!(files(folder.path()), ["a.shelf"]);
}

/// Runs itself under a file size limit: writes then fail as on a full disk.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_pack() {
    const CHILD: &str = "SHELFSIGHT_TEST_PACK_FULL";
    if let Some(path) = std::env::var_os(CHILD) {
        let error = write(Path::new(&path), 1 << 20).unwrap_err();
        assert!(matches!(error, WritePackError::Io { .. }), "{error:?}");
        println!("refused: {error}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.shelf");
    write(&path, 100).unwrap();
    let before = std::fs::read(&path).unwrap();
    let test = std::env::current_exe().unwrap();
    // 64 blocks of 512 bytes (1024 in some shells); the signal is ignored so that the write reports the error.
    let script =
        "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact a_full_disk_leaves_the_old_pack --nocapture";
    let child =
        std::process::Command::new("sh").arg("-c").arg(script).arg(test).env(CHILD, &path).output().unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success() && said.contains("refused: cannot write"), "{child:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(files(folder.path()), ["a.shelf"]);
}

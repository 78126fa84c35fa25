//! The command cut off: its reader goes, the disk fills, the process is killed. The old pack stays.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use shelfsight::pack::{OpenOptions, Pack};
use support::*;

const BUILD: [&str; 8] = ["pack", "build", "--catalog", "c.csv", "--images", "img", "--out", "shop.shelf"];

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shelfsight"));
    command.current_dir(dir);
    command
}

/// A builder that is killed at any moment leaves the old pack or the new one, and the next build clears up.
#[test]
fn killed_builds_leave_a_whole_pack() {
    let dir = own_shop();
    let dir = dir.path();
    let before = names(dir);
    let start = Instant::now();
    assert!(command(dir).args(BUILD).output().unwrap().status.success());
    let whole = start.elapsed();
    let (mut killed, rounds) = (0, 8);
    for round in 0..rounds {
        let mut build = command(dir).args(BUILD).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / rounds);
        build.kill().unwrap();
        killed += u32::from(!build.wait().unwrap().success());
        let verify = OpenOptions { verify: true, ..OpenOptions::default() };
        Pack::open(&dir.join("shop.shelf"), &verify).unwrap();
    }
    assert!(killed > 2, "{killed} of {rounds} were killed at work");
    // One killed while its file is there, however fast the machine.
    let mut build = command(dir).args(BUILD).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let waiting = Instant::now();
    let left = loop {
        let left = names(dir).into_iter().find(|name| name.ends_with(".tmp"));
        if left.is_some()
            || build.try_wait().unwrap().is_some()
            || waiting.elapsed() > Duration::from_secs(60)
        {
            break left;
        }
    };
    build.kill().unwrap();
    build.wait().unwrap();
    assert!(left.is_some(), "the build never made a file beside the pack");
    assert!(command(dir).args(BUILD).output().unwrap().status.success());
    assert_eq!(names(dir), before);
    json(&["pack", "verify", "shop.shelf"], dir);
}

/// Writes fail beyond a file size, as on a full disk.
fn with_small_files(dir: &Path, args: &[&str]) -> std::process::Output {
    // 64 blocks of 512 bytes (1024 in some shells); the signal is ignored so that the write reports the error.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let shell = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_shelfsight")])
        .args(args)
        .current_dir(dir)
        .output();
    shell.unwrap()
}

#[test]
fn a_full_disk_keeps_what_was_there() {
    let dir = own_shop();
    let dir = dir.path();
    let old = fs::read(dir.join("shop.shelf")).unwrap();
    fs::write(dir.join("a.png"), "an older picture").unwrap();
    let before = names(dir);
    let big = image::RgbImage::from_fn(900, 900, |x, y| image::Rgb([x, y, x * y].map(|v| v as u8)));
    big.save(dir.join("img/big.png")).unwrap();
    for args in [&BUILD[..], &["scan", "img/big.png", "--pack", "shop.shelf", "--annotate", "a.png"]] {
        let out = with_small_files(dir, args);
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("cannot write"), "{said}");
    }
    assert!(fs::read(dir.join("shop.shelf")).unwrap() == old);
    assert_eq!(fs::read_to_string(dir.join("a.png")).unwrap(), "an older picture");
    assert_eq!(names(dir), before);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let dir = shop();
    for args in [
        &["pack", "inspect", "shop.shelf"][..],
        &["find", "--text", "tea", "--pack", "shop.shelf"],
        &["find", "--text", "tea", "--pack", "shop.shelf", "--json"],
        &["scan", "img", "--pack", "shop.shelf"],
        &["pack", "inspect", "gone.shelf", "--json"],
    ] {
        let mut child =
            command(dir).args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        let gone = args.contains(&"gone.shelf");
        assert_eq!(out.status.code(), Some(i32::from(gone)), "{args:?}: {said}");
        assert_eq!(said.lines().count(), usize::from(gone), "{args:?}: {said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_stdout_is_told() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let out = command(shop()).args(["pack", "inspect", "shop.shelf"]).stdout(full()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!((out.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("standard output"), "{said}");
    // With stderr full too, the exit status still tells.
    let out = command(shop()).args(["pack", "inspect", "gone.shelf"]).stderr(full()).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
}

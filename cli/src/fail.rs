//! How the command ends: exit status 0, 1 or 2, one line on stderr, and one JSON object on stdout where asked for.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use serde_json::json;

use crate::output::{self, StdoutError};

/// Longest error line, in characters: a message may quote a whole cell of a catalogue.
const LONGEST: usize = 1000;

/// What the last panic said and where.
static PANIC: Mutex<Option<(String, Backtrace)>> = Mutex::new(None);

/// Runs the command. The library catches the panics of decoders, tokenizers and model engines and makes errors of
/// them, so a panic says nothing by itself; one that gets here is a bug and is told in one line.
pub fn catching_panics(work: impl FnOnce() -> Result<()>) -> Result<()> {
    panic::set_hook(Box::new(|info| {
        let said = (info.to_string(), Backtrace::capture());
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let said = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (text, backtrace) = said.unwrap_or_else(|| ("no message".to_owned(), Backtrace::disabled()));
        if backtrace.status() == BacktraceStatus::Captured {
            let _ = write!(io::stderr(), "{backtrace}");
        }
        Err(anyhow::anyhow!("a bug in shelfsight, please report it: {text}"))
    })
}

/// Tells of an error, if any, and gives the exit status.
pub fn exit(result: Result<()>, json: bool) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Whoever reads stdout has had enough, as `head` has: nothing went wrong.
    if error.downcast_ref::<StdoutError>().is_some_and(|e| e.0.kind() == ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let line = one_line(&error);
    note!("shelfsight: {line}");
    if json {
        tell(&line);
    }
    ExitCode::from(1)
}

/// Prints help, version or what is wrong with the arguments, as clap words it.
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nobody to tell if the stream is closed.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|arg| arg.as_encoded_bytes().starts_with(b"--json")) {
        tell(&usage_line(&error.to_string()));
    }
    ExitCode::from(2)
}

/// What clap says before it shows the usage, in one line.
fn usage_line(text: &str) -> String {
    let said: Vec<&str> = text.split("\n\n").next().unwrap_or_default().split_whitespace().collect();
    let line = said.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// The error as a JSON object. It is on stderr too, so a closed stdout loses nothing.
fn tell(line: &str) {
    let _ = output::print(&json!({ "error": line }));
}

/// The error and its causes, none of which repeats another, with outer names first.
pub fn one_line(error: &anyhow::Error) -> String {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let repeated = |at: usize| {
        texts.iter().enumerate().any(|(other, text)| {
            let same = *text == texts[at];
            if same { other < at } else { text.contains(&texts[at]) }
        })
    };
    let kept: Vec<&str> = (0..texts.len()).filter(|&at| !repeated(at)).map(|at| texts[at].as_str()).collect();
    let line = output::printable(&kept.join(": ")).into_owned();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn causes_are_told_once() {
        let error = |texts: &[&'static str]| {
            let (last, outer) = texts.split_last().unwrap();
            let first = anyhow::anyhow!(*last);
            one_line(&outer.iter().rev().fold(first, |error, text| error.context(*text)))
        };
        let check = |texts: &[&'static str], want| assert_eq!(error(texts), want);
        check(&["a.csv", "line 3", "no id"], "a.csv: line 3: no id");
        check(&["p.shelf", "cannot open p.shelf: gone", "gone"], "cannot open p.shelf: gone");
        check(&["gone", "gone"], "gone");
        check(&["one\ntwo", "x\u{1b}[2J"], "one two: x\u{fffd}[2J");
        assert_eq!(one_line(&anyhow::anyhow!("x".repeat(5000))).chars().count(), LONGEST + 1);
    }

    #[test]
    fn usage_in_one_line() {
        let text = "error: the following required arguments were not provided:\n  --pack <PACK>\n  --images <DIR>\n\nUsage: x";
        let want = "the following required arguments were not provided: --pack <PACK> --images <DIR>";
        assert_eq!(usage_line(text), want);
        assert_eq!(usage_line("error: unexpected\n"), "unexpected");
    }

    #[test]
    fn a_panic_is_an_error() {
        let result = catching_panics(|| panic!("no such {}", "thing"));
        let _ = panic::take_hook();
        let line = one_line(&result.context("p").unwrap_err());
        assert!(line.contains("please report") && line.contains("no such thing"), "{line}");
        assert!(line.contains("fail.rs"), "{line}");
    }
}

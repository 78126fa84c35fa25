//! The `shelfsight` command: builds, searches, scans and evaluates product packs.

#[macro_use]
mod output;

mod args;
mod canvas;
mod commands;
mod demo;
mod draw;
mod fail;
mod files;
mod lettering;
mod models;
mod progress;
mod report;

use std::process::ExitCode;

use anyhow::Result;

use args::{BenchCommand, Cli, Command, PackCommand};

fn main() -> ExitCode {
    let cli = match Cli::read() {
        Ok(cli) => cli,
        Err(error) => return fail::usage(&error),
    };
    fail::exit(fail::catching_panics(|| run(&cli)), cli.json)
}

fn run(cli: &Cli) -> Result<()> {
    match &cli.command {
        Command::Demo(args) => commands::demo::run(args, cli.json),
        Command::Pack(PackCommand::Build(args)) => commands::pack::build(args, cli.json),
        Command::Pack(PackCommand::Inspect { pack }) => commands::pack::inspect(pack, cli.json),
        Command::Pack(PackCommand::Verify { pack }) => commands::pack::verify(pack, cli.json),
        Command::Pack(PackCommand::Add(args)) => commands::pack_edit::add(args, cli.json),
        Command::Pack(PackCommand::Remove { pack, ids }) => commands::pack_edit::remove(pack, ids, cli.json),
        Command::Pack(PackCommand::Compact { pack }) => commands::pack_edit::compact(pack, cli.json),
        Command::Find(args) => commands::find::run(args, cli.json),
        Command::Scan(args) => commands::scan::run(args, cli.json),
        Command::Eval(args) => commands::eval::run(args, cli.json),
        Command::Bench(BenchCommand::Device(args)) => commands::bench_device::run(args, cli.json),
        Command::Bench(BenchCommand::Encode(args)) => commands::bench::encode(args, cli.json),
        Command::Bench(BenchCommand::Open(args)) => commands::bench_stage::open(args, cli.json),
        Command::Bench(BenchCommand::Scan(args)) => commands::bench_stage::scan(args, cli.json),
        Command::Bench(BenchCommand::Search(args)) => commands::bench_search::run(args, cli.json),
    }
}

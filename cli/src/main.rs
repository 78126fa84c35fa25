//! The `shelfsight` command: builds, searches, scans and evaluates product packs.

mod args;
mod canvas;
mod commands;
mod demo;
mod draw;
mod lettering;
mod models;
mod output;
mod progress;
mod report;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, PackCommand};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Command::Demo(args) => commands::demo::run(args, cli.json),
        Command::Pack(PackCommand::Build(args)) => commands::pack::build(args, cli.json),
        Command::Pack(PackCommand::Inspect { pack }) => commands::pack::inspect(pack, cli.json),
        Command::Pack(PackCommand::Verify { pack }) => commands::pack::verify(pack, cli.json),
        Command::Find(args) => commands::find::run(args, cli.json),
        Command::Scan(args) => commands::scan::run(args, cli.json),
        Command::Eval(args) => commands::eval::run(args, cli.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shelfsight: {error:#}");
            ExitCode::from(1)
        }
    }
}

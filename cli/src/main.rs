//! `layerlift`: exports container images straight from the directories in which engines keep them.
//!
//! The program is a thin layer over the libraries: it reads arguments, connects stores, formats and outputs,
//! shows progress, and words errors and hints. It knows nothing of how engines lay out their files.

mod about;
mod args;
mod chain;
mod collisions;
mod commands;
mod complete;
mod delivery;
mod destination;
mod error;
mod index;
mod labels;
mod limits;
mod man;
mod message;
mod output;
mod partial;
mod pattern;
mod progress;
#[cfg(feature = "registry")]
mod registry;
#[cfg(not(feature = "registry"))]
#[path = "no_registry.rs"]
mod registry;
mod report;
mod requests;
mod salvage;
mod signals;
mod size;
mod sources;
mod status;
mod table;
mod tar_output;
mod template;
mod terminal;
mod threads;
mod time;
mod usage;
mod wanted;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(status) = complete::answer() {
        return status;
    }
    let args = match args::Args::read() {
        Ok(args) => args,
        Err(error) => return usage::report(&error).into(),
    };
    let reporter = report::Reporter::new(&args);
    signals::install();
    limits::raise();
    match commands::run(args.command, &reporter) {
        Ok(status) => status.into(),
        Err(error) => reporter.fatal(&error).into(),
    }
}

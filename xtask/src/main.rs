//! Development tasks of layerlift: `cargo xtask TASK`. Nothing here is part of the program, and no crate of
//! the workspace is used here: these tasks look at the project from outside.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a development tool talks to the person who runs it"
)]

mod bench;
mod campaign;
mod ci;
mod compare;
mod cross;
mod dist;
mod engines;
mod fuzz;
mod interop;
mod msrv;
mod package;
mod pictures;
mod public_api;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What a task ends with: a message for a person.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Development tasks of layerlift")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what neither the compiler nor clippy does: imports, file headers, reasons, links, lines, words
    Tidy,
    /// Run what CI runs: fmt, clippy, tests, documentation, tidy
    Ci(ci::Options),
    /// Check layerlift against real engines (needs root and the engines)
    Interop(interop::Options),
    /// Compare every output of every fixture with that of another build, byte for byte
    Compare(compare::Options),
    /// Build for other machines, and compare what the program writes there, under qemu, with this machine's
    Cross(cross::Options),
    /// Feed the parsers with damaged bytes of real stores
    Fuzz(fuzz::Options),
    /// Break stores, kill runs, inject faults, race with engines, and check what comes out
    Campaign(campaign::Options),
    /// Measure layerlift beside its peers, on an image that it makes (needs root and the engines)
    Bench(bench::Options),
    /// Make fixtures with the engines of this machine (needs root)
    Fixtures(interop::fixtures::Options),
    /// Check what each crate would publish
    Package(package::Options),
    /// Compare the public interface of the libraries with public-api.txt
    Api(public_api::Options),
    /// Build the program with the oldest Rust that Cargo.toml names (needs rustup)
    Msrv,
    /// Draw what the program prints on the store in docs/example: docs/pictures
    Pictures(pictures::Options),
    /// Write the man pages to target/dist/man
    Man,
    /// Write the shell completions to target/dist/completions
    Completions,
    /// Make the packages of a release in target/dist: archive, deb, rpm, image, SBOM, SHA256SUMS
    Dist(dist::Options),
}

fn main() -> ExitCode {
    let outcome = match Args::parse().task {
        Task::Tidy => tidy::run(),
        Task::Ci(options) => ci::run(&options),
        Task::Interop(options) => interop::run(&options),
        Task::Compare(options) => compare::run(&options),
        Task::Cross(options) => cross::run_all(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Campaign(options) => campaign::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Fixtures(options) => interop::fixtures::run_all(&options),
        Task::Package(options) => package::run(&options),
        Task::Api(options) => public_api::run(&options),
        Task::Msrv => msrv::run(),
        Task::Pictures(options) => pictures::run(&options),
        Task::Man => dist::man().map(drop),
        Task::Completions => dist::completions().map(drop),
        Task::Dist(options) => dist::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

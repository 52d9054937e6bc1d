//! `layerlift-fuzz --seconds N`: searches with all targets, each in a process of its own.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a development tool talks to the person who runs it"
)]

mod findings;
mod search;
mod supervise;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use layerlift_fuzz::{TARGETS, Target};

/// What a search ends with: a message for a person.
type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Feeds the parsers of layerlift with damaged bytes of real stores.
#[derive(Parser, Clone)]
#[command(name = "cargo xtask fuzz")]
struct Args {
    /// How long, for all targets together
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only these targets
    #[arg(long, value_delimiter = ',')]
    target: Vec<String>,
    /// Where the sequence of inputs begins
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where inputs are saved that panic, hang or take too much memory
    #[arg(long, default_value = "target/fuzz")]
    findings: PathBuf,
    /// Run files that were saved (`<target>-…`) once each, and search nothing
    #[arg(long, num_args = 1..)]
    replay: Vec<PathBuf>,
    /// One target in this process, with its current input in this file
    #[arg(long, hide = true)]
    current: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = targets(&args).and_then(|targets| match (&args.current, targets.as_slice()) {
        (Some(current), [target]) => search::run(target, &args, current),
        _ if !args.replay.is_empty() => findings::replay(&args.replay),
        _ => supervise::run(&targets, &args),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn targets(args: &Args) -> Outcome<Vec<Target>> {
    if let Some(unknown) = args.target.iter().find(|name| TARGETS.iter().all(|target| target.name != **name))
    {
        let names = TARGETS.map(|target| target.name).join(", ");
        return Err(format!("{unknown} is not a target; there are {names}").into());
    }
    let wanted =
        |target: &&Target| args.target.is_empty() || args.target.iter().any(|name| name == target.name);
    Ok(TARGETS.iter().filter(wanted).copied().collect())
}

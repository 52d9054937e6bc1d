//! `cargo xtask campaign`: what happens to stores, outputs and runs in the worst hours. Stores are broken in
//! every way that we know, runs are killed, system calls fail, two runs write to one place, engines change
//! the store that is being read.
//!
//! The program is judged from outside, by tar and sha256sum. A finding is printed with what it takes to see
//! it again, and kept in `target/campaign/`. What needs root, strace or an engine that is missing says that
//! it was not run.

mod engines;
mod faults;
mod findings;
mod kills;
mod mutants;
mod oracle;
mod program;
mod random;
mod stores;
mod target;
mod writers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use crate::engines::process;
use crate::engines::scratch::{self, Mount, Scratch};
use crate::{Outcome, dist};
use findings::Findings;

#[derive(Args)]
pub(crate) struct Options {
    /// How long, for all kinds together
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Only these kinds
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Begin with this seed; a finding names its own
    #[arg(long)]
    seed: Option<u64>,
    /// At most as many runs of each kind, such as 1 to see a finding again
    #[arg(long)]
    runs: Option<usize>,
    /// Try this program instead of building one
    #[arg(long)]
    program: Option<PathBuf>,
    /// More stores, layouts or archives, or folders that hold some
    #[arg(long)]
    also: Vec<PathBuf>,
    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,
}

/// What is tried.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Stores with something broken in them
    Mutants,
    /// Runs that are killed or terminated
    Kills,
    /// System calls that fail
    Faults,
    /// Two runs that write to one place
    Writers,
    /// Engines that change the store while it is saved
    Engines,
}

/// The kinds, and their shares of the time.
const KINDS: [(Kind, u32); 5] =
    [(Kind::Mutants, 8), (Kind::Kills, 3), (Kind::Faults, 4), (Kind::Writers, 1), (Kind::Engines, 4)];

/// What every kind is given.
struct Campaign<'o> {
    options: &'o Options,
    layerlift: PathBuf,
    scratch: Scratch,
    /// Whether mounts and daemons end with this process.
    isolated: bool,
    /// The seed of the first run.
    seed: u64,
}

/// The time and the number of runs that one kind may take.
struct Budget {
    end: Instant,
    runs: usize,
}

impl Budget {
    /// Whether there is time for run number `done`.
    fn allows(&self, done: usize) -> bool {
        done < self.runs && Instant::now() < self.end && !process::interrupted()
    }
}

/// Runs the requested kinds one after the other.
pub(crate) fn run(options: &Options) -> Outcome {
    let isolated = scratch::enter_namespaces();
    if isolated.is_err() {
        process::handle_signals()?;
    }
    let layerlift = match &options.program {
        Some(program) => program.canonicalize()?,
        None => dist::program()?,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let seed = options.seed.unwrap_or(now << 20);
    let scratch = Scratch::new(options.keep)?;
    // In memory, where thousands of small files are made and removed quickly; with the scratch folder it is
    // unmounted. An ordinary user cannot mount, and goes without.
    let memory = Mount::new(&["-t", "tmpfs"], Path::new("tmpfs"), scratch.path());
    let campaign = Campaign { options, layerlift, scratch, isolated: isolated.is_ok(), seed };
    println!("seed {seed}");
    if let Err(error) = &memory {
        println!("on disk, not in memory: {error}");
    }
    let mut findings = Findings::new()?;
    let wanted: Vec<_> =
        KINDS.iter().filter(|(kind, _)| options.only.is_empty() || options.only.contains(kind)).collect();
    let shares: u32 = wanted.iter().map(|(_, share)| share).sum();
    for (kind, share) in wanted {
        let start = Instant::now();
        let time = options.minutes * 60.0 * f64::from(*share) / f64::from(shares);
        let budget =
            Budget { end: start + Duration::from_secs_f64(time), runs: options.runs.unwrap_or(usize::MAX) };
        let name = kind.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
        let done = match kind {
            Kind::Mutants => mutants::run(&campaign, &budget, &mut findings),
            Kind::Kills => kills::run(&campaign, &budget, &mut findings),
            Kind::Faults => faults::run(&campaign, &budget, &mut findings),
            Kind::Writers => writers::run(&campaign, &budget, &mut findings),
            Kind::Engines => engines::run(&campaign, &budget, &mut findings),
        }
        .map_err(|error| format!("{name}: {error}"))?;
        println!("{name}: {done} ({:.0} s)", start.elapsed().as_secs_f64());
        if process::interrupted() {
            return Err("interrupted".into());
        }
    }
    findings.finish()
}

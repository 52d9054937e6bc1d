//! Checks layerlift against real engines. Each engine fills its own store with synthetic images, layerlift
//! saves them, and every program that loads archives loads the result.
//!
//! Everything happens in a temporary folder and in private namespaces. Daemons listen on sockets there and
//! are stopped by their process ids. A program that is not installed, or cannot run on this machine, is
//! reported as not run, never as passed.

pub(crate) mod archive;
mod archive_sources;
mod builds;
mod containers_stores;
pub(crate) mod docker_stores;
pub(crate) mod fixtures;
mod graph_store;
pub(crate) mod images;
pub(crate) mod listing;
pub(crate) mod readers;
mod report;
pub(crate) mod source;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::engines::scratch::{self, Scratch};
use crate::{Outcome, dist};
use readers::Readers;
use report::Report;
use source::Checks;

#[derive(Args)]
pub(crate) struct Options {
    /// Check only stores of these engines
    #[arg(long, value_enum, value_delimiter = ',')]
    engine: Vec<Engine>,
    /// Check only stores of these drivers
    #[arg(long, value_delimiter = ',')]
    driver: Vec<String>,
    /// Check this program instead of building one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Keep the temporary folder
    #[arg(long)]
    keep: bool,
}

/// What writes a store.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    Docker,
    Graph,
    Podman,
    Archive,
}

impl Options {
    fn wants(&self, engine: Engine, driver: &str) -> bool {
        (self.engine.is_empty() || self.engine.contains(&engine))
            && (self.driver.is_empty() || self.driver.iter().any(|wanted| wanted == driver))
    }
}

/// Runs the requested checks.
pub(crate) fn run(options: &Options) -> Outcome {
    scratch::enter_namespaces()?;
    let mut report = Report::default();
    let layerlift = match &options.program {
        Some(program) => program.canonicalize()?,
        None => dist::program()?,
    };
    let scratch = Scratch::new(options.keep)?;
    let readers = Readers::start(&scratch, &mut report)?;
    let checks = Checks { layerlift: &layerlift, scratch: &scratch, readers: &readers };
    docker_stores::run_all(options, &checks, &mut report)?;
    graph_store::run_all(options, &checks, &mut report)?;
    containers_stores::run_all(options, &checks, &mut report)?;
    archive_sources::run_all(options, &checks, &mut report)?;
    drop(readers);
    report.finish()
}

//! Checks layerlift against real engines. Each engine fills its own store with synthetic images, layerlift
//! saves them, and every program that loads archives loads the result.
//!
//! Everything happens in a temporary folder and in private namespaces. Daemons listen on sockets there and
//! are stopped by their process ids. A program that is not installed, or cannot run on this machine, is
//! reported as not run, never as passed.
//!
//! There is a round for each suite of engines: those of this machine, and those of newer Debian suites in
//! chroots.

pub(crate) mod archive;
mod archive_sources;
mod builds;
mod containers_stores;
pub(crate) mod docker_stores;
pub(crate) mod fixtures;
mod graph_store;
pub(crate) mod images;
pub(crate) mod listing;
mod pushed;
pub(crate) mod readers;
mod report;
mod rounds;
pub(crate) mod source;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::engines::docker::ImageStore;
use crate::engines::place::Place;
use crate::engines::scratch::{self, Mount, Scratch};
use crate::engines::suite::Suite;
use crate::{Outcome, dist};
use readers::Readers;
use report::Report;
use rounds::containers::{self, Engines};
use rounds::partial::{self, Installed, Parts};
use source::Checks;

#[derive(Args)]
pub(crate) struct Options {
    /// Check only stores of these engines
    #[arg(long, value_enum, value_delimiter = ',')]
    engine: Vec<Engine>,
    /// Check only stores of these drivers
    #[arg(long, value_delimiter = ',')]
    driver: Vec<String>,
    /// Check only with the engines of these suites; `host` is what this machine has
    #[arg(long, value_enum, value_delimiter = ',')]
    suite: Vec<Round>,
    /// Check only this
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Area>,
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
    /// Docker, with a graph driver or (`--driver containerd`, newer suites) with containerd
    Docker,
    /// containerd by itself (newer suites)
    Containerd,
    /// Docker before 1.10, from files
    Graph,
    Podman,
    Archive,
}

/// The suites whose engines are tried.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Round {
    Host,
    Trixie,
    Sid,
}

/// What is checked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Area {
    /// Images, whole and in parts
    Images,
    Containers,
}

impl Options {
    fn wants_area(&self, area: Area) -> bool {
        self.only.is_empty() || self.only.contains(&area)
    }

    fn wants_round(&self, round: Round) -> bool {
        self.suite.is_empty() || self.suite.contains(&round)
    }

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
    if options.wants_round(Round::Host) {
        host(options, &layerlift, &mut report)?;
    }
    for (round, suite) in [(Round::Trixie, Suite::Trixie), (Round::Sid, Suite::Sid)] {
        if options.wants_round(round) {
            rounds::run(suite, options, &layerlift, &mut report)?;
        }
    }
    report.finish()
}

/// The round with this machine's engines.
fn host(options: &Options, layerlift: &Path, report: &mut Report) -> Outcome {
    if options.wants_area(Area::Containers) {
        of_containers(options, layerlift, report)?;
    }
    if !options.wants_area(Area::Images) {
        return Ok(());
    }
    let scratch = Scratch::new(options.keep)?;
    let readers = Readers::start(&scratch, report)?;
    let checks = Checks { layerlift, scratch: &scratch, readers: &[&readers] };
    docker_stores::run_all(options, &checks, report)?;
    graph_store::run_all(options, &checks, report)?;
    containers_stores::run_all(options, &checks, report)?;
    archive_sources::run_all(options, &checks, report)?;
    parts(options, &checks, report)
}

/// Containers of this machine's engines.
fn of_containers(options: &Options, layerlift: &Path, report: &mut Report) -> Outcome {
    let scratch = Scratch::new(options.keep)?;
    let _memory = if options.keep { None } else { Mount::memory(scratch.path()).ok() };
    let engines = Engines {
        name: "host",
        place: &Place::HERE,
        scratch: &scratch,
        layerlift,
        old_headers: true,
        old_whiteouts: true,
    };
    for driver in ["overlay2", "vfs"] {
        if options.wants(Engine::Docker, driver) {
            containers::docker(&engines, ImageStore::Driver(driver), report)?;
        }
    }
    if options.wants(Engine::Podman, "overlay") {
        containers::podman(&engines, report)?;
    }
    Ok(())
}

/// Parts of images with this machine's engines.
fn parts(options: &Options, checks: &Checks<'_>, report: &mut Report) -> Outcome {
    let [docker, containerd, podman] =
        [(Engine::Docker, "overlay2"), (Engine::Containerd, "overlayfs"), (Engine::Podman, "vfs")]
            .map(|(engine, driver)| options.wants(engine, driver));
    if !(docker || containerd || podman) {
        return Ok(());
    }
    // In memory: the engines' stores in it are thrown away.
    let scratch = Scratch::new(options.keep)?;
    let _memory = if options.keep { None } else { Mount::memory(scratch.path()).ok() };
    let checks = Checks { scratch: &scratch, ..*checks };
    let here = Installed { name: "host", place: &Place::HERE, checks: &checks };
    let parts = report.step("host: parts of images", || {
        let folder = scratch.folder("parts")?;
        Parts::make(&folder, &builds::tool(&folder)?, checks.layerlift)
    });
    let Some(parts) = parts else { return Ok(()) };
    if docker {
        partial::docker(&here, ImageStore::Driver("overlay2"), &parts, report)?;
    }
    if containerd {
        partial::containerd(&here, &parts, report)?;
    }
    if podman {
        partial::podman(&here, &parts, report)?;
    }
    Ok(())
}

//! `cargo xtask bench`: layerlift beside its peers and beside what the machine can do at best, on one image, in turn.
//!
//! An image is made (or `--root` names a data root that has one), loaded into a dockerd of our own with overlay2, copied to
//! containers-storage and to an OCI layout with gzip layers. Then each row's programs run in turn (A B A B), as often as
//! `--runs` says; what is printed are medians, and each goal is a ratio of two medians of the same row.

mod image;
mod measure;
mod report;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::Outcome;
use crate::engines::process::installed;
use crate::engines::scratch::{Scratch, enter_namespaces};

/// What can be chosen.
#[derive(Args)]
pub(crate) struct Options {
    /// A small image of generated files, each program once: checks that the benchmark runs, measures nothing
    #[arg(long)]
    small: bool,
    /// How often each program runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only rows whose title has this in it
    #[arg(long, default_value = "")]
    only: String,
    /// A data root of Docker with overlay2 that has an image already; it is read, and served by a daemon of our own
    #[arg(long, requires = "image")]
    root: Option<PathBuf>,
    /// The name of that image
    #[arg(long, requires = "root")]
    image: Option<String>,
    /// Where outputs on a disk go, and the stores; needs five times the image's size
    #[arg(long, default_value = "/var/tmp")]
    disk: PathBuf,
    /// A file system in memory for the other outputs
    #[arg(long, default_value = "/dev/shm")]
    memory: PathBuf,
    /// Write the figures as JSON to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw the chart to this file (SVG)
    #[arg(long)]
    chart: Option<PathBuf>,
}

/// Folders and names that the rows use.
pub(crate) struct Bench {
    layerlift: PathBuf,
    stores: image::Stores,
    memory: PathBuf,
    disk: PathBuf,
    runs: usize,
    only: String,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let missing: Vec<&str> =
        ["dockerd", "podman", "skopeo", "tar"].into_iter().filter(|p| !installed(p)).collect();
    if !missing.is_empty() || !Path::new("/usr/bin/time").exists() {
        println!("not run: {} or time is not installed", missing.join(", "));
        return Ok(());
    }
    enter_namespaces()?;
    let layerlift = crate::dist::program()?;
    let scratch = Scratch::below(&options.disk)?;
    let memory = Scratch::below(&options.memory)?;
    let stores = image::prepare(options, scratch.path())?;
    let runs = if options.small { 1 } else { options.runs };
    let bench = Bench {
        layerlift,
        stores,
        memory: memory.path().to_owned(),
        disk: scratch.folder("out")?,
        runs,
        only: options.only.clone(),
    };
    let rows = rows::measure(&bench)?;
    bench.stores.docker.stop()?;
    let report = report::Report::new(&rows, runs);
    println!("{}", report.text());
    if let Some(path) = &options.json {
        fs::write(path, report.json())?;
    }
    if let Some(path) = &options.chart {
        fs::write(path, report.chart())?;
    }
    // Counts, not times: these must hold on any machine.
    report.assert_counts()
}

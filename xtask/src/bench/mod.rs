//! `cargo xtask bench`: compares layerlift with its peers, and with the best that the machine can do, on one
//! image.
//!
//! It builds an image (or takes one from the data root given with `--root`), loads it into a dockerd of its
//! own with overlay2, and copies it to containers-storage and to an OCI layout with gzip layers. Then the
//! programs of each row run in turn (A B A B), `--runs` times each. It prints medians, and each goal is a
//! ratio of two medians of the same row.

mod chart;
mod containerd;
mod counts;
mod graph;
mod growth;
mod image;
mod lookup;
mod measure;
mod partial;
mod pushed;
mod report;
mod row;
mod rows;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::Outcome;
use crate::engines::process::installed;
use crate::engines::scratch::{Scratch, enter_namespaces};
use image::words;
use measure::{Contender, Place};

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Use a small image of generated files and run each program once: tests the benchmark, measures nothing
    #[arg(long)]
    small: bool,
    /// How often each program runs
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Also measure with an empty page cache
    #[arg(long)]
    cold: bool,
    /// Also measure layers of up to a million files
    #[arg(long)]
    million: bool,
    /// Measure only rows whose title contains this, or "growth"; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Use the image in this data root of Docker with overlay2; a daemon of the benchmark's own serves it
    #[arg(long, requires = "image")]
    root: Option<PathBuf>,
    /// The name of that image
    #[arg(long, requires = "root")]
    image: Option<String>,
    /// Keep the image and its stores in this folder, and reuse what an earlier run left there
    #[arg(long, conflicts_with_all = ["root", "small"])]
    keep: Option<PathBuf>,
    /// Measure this program instead of building one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where the stores and the outputs on a disk go; needs eight times the image's size
    #[arg(long, default_value = "/var/tmp")]
    disk: PathBuf,
    /// A file system in memory for the other outputs; needs twice the image's size
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
    /// layerlift's archive of the image, for programs that only copy or hash.
    finished: PathBuf,
    /// `TMPDIR` of the peers.
    peers_temporary: PathBuf,
    /// Folders in which they keep temporary files.
    temporary: Vec<PathBuf>,
    runs: usize,
    only: Vec<String>,
}

/// All results.
pub(crate) struct Found {
    pub(crate) rows: Vec<row::Row>,
    pub(crate) growth: Vec<growth::Point>,
    pub(crate) counts: counts::Counts,
    /// The same with layers that are compressed on the way, by the algorithm.
    pub(crate) compressed: Vec<(&'static str, counts::Counts)>,
    /// Of an image of ten layers of which nine are left out.
    pub(crate) partial: counts::Counts,
    /// What pushes sent to a registry.
    pub(crate) sent: Vec<pushed::Sent>,
    pub(crate) runs: usize,
    pub(crate) image: String,
    pub(crate) machine: String,
}

pub(crate) fn run(options: &Options) -> Outcome {
    let needed = ["dockerd", "docker", "podman", "skopeo", "tar", "strace", "openssl"];
    let missing: Vec<&str> = needed.into_iter().filter(|program| !installed(program)).collect();
    if !missing.is_empty() || !Path::new("/usr/bin/time").exists() {
        let time = if Path::new("/usr/bin/time").exists() { None } else { Some("/usr/bin/time") };
        println!(
            "skipped, not installed: {}",
            missing.into_iter().chain(time).collect::<Vec<_>>().join(", ")
        );
        return Ok(());
    }
    enter_namespaces()?;
    let layerlift = match &options.program {
        Some(program) => program.canonicalize()?,
        None => crate::dist::program()?,
    };
    let scratch = Scratch::below(&options.disk)?;
    let memory = Scratch::below(&options.memory)?;
    let stores = image::prepare(options, scratch.path())?;
    let peers_temporary = scratch.folder("tmp")?;
    let bench = Bench {
        layerlift,
        temporary: vec![peers_temporary.clone(), stores.docker_root.join("tmp")],
        memory: memory.path().to_owned(),
        disk: scratch.folder("out")?,
        finished: memory.path().join("finished.tar"),
        peers_temporary,
        runs: if options.small { 1 } else { options.runs },
        only: options.only.clone(),
        stores,
    };
    let found = measure_all(options, &bench, scratch.path())?;
    bench.stores.docker.stop()?;
    println!("{}", report::text(&found));
    if let Some(path) = &options.json {
        fs::write(path, report::json(&found))?;
    }
    if let Some(path) = &options.chart {
        fs::write(path, chart::draw(&found.rows))?;
    }
    found.counts.check(found.counts.output)?;
    for (how, counts) in &found.compressed {
        counts.check(found.counts.output).map_err(|error| format!("--compress {how}: {error}"))?;
    }
    let partial = &found.partial;
    partial.check(partial.output).map_err(|error| format!("nine of ten layers left out: {error}").into())
}

fn measure_all(options: &Options, bench: &Bench, folder: &Path) -> Outcome<Found> {
    let stores = &bench.stores;
    let finished = bench.finished.display().to_string();
    let own = bench.save(&stores.docker_root, &["-o", &finished, &stores.image]);
    own.run(&bench.memory())?;
    let counted = bench.disk.join("counted");
    let count = |more: &[&str]| -> Outcome<counts::Counts> {
        let out = counted.display().to_string();
        let arguments: Vec<&str> = ["-o", &*out, &*stores.image].iter().chain(more).copied().collect();
        let traced = bench.save(&stores.docker_root, &arguments);
        let counts = counts::Counts::of(&traced.command, &counted, stores.files)?;
        fs::remove_file(&counted)?;
        Ok(counts)
    };
    let counts = count(&[])?;
    // Layers that are compressed on the way need no temporary file either.
    let mut compressed = Vec::new();
    for how in ["gzip", "zstd"] {
        compressed.push((how, count(&["--compress", how])?));
    }
    let partial = partial::count(bench, folder)?;

    let mut specs = rows::specs(bench);
    // Slow to make, so made only if its rows are measured.
    let graph = if bench.wants(&rows::GRAPH) { Some(graph::Graph::make(stores, folder)?) } else { None };
    specs.extend(graph.iter().flat_map(|graph| rows::graph(bench, graph)));
    let of_containerd = bench.wants(&containerd::TITLES);
    if bench.wants(&lookup::TITLES) || of_containerd {
        let images = if options.small { 50 } else { 1_000 };
        let many = folder.join("many");
        lookup::make(&many, images)?;
        lookup::check(bench, &many, images)?;
        specs.extend(lookup::specs(bench, &many, lookup::TITLES));
        if of_containerd && let Some(root) = containerd::make(bench, (&many, images), folder)? {
            specs.extend(lookup::specs(bench, &root, containerd::TITLES));
        }
    }
    let pushes = if bench.wants(&pushed::TITLES) { pushed::Pushes::start(bench)? } else { None };
    // A small benchmark only counts.
    if let Some(pushes) = pushes.as_ref().filter(|_| !options.small) {
        specs.extend(pushes.specs(bench)?);
    }
    let mut rows = Vec::new();
    let cold = if options.cold { rows::cold(bench, graph.as_ref())? } else { Vec::new() };
    for (spec, cold) in specs.iter().map(|spec| (spec, false)).chain(cold.iter().map(|spec| (spec, true))) {
        if let Some(row) = spec.measure(bench, cold)? {
            print!("{}", report::row(&row));
            rows.push(row);
        }
    }
    let sent = pushes.map_or_else(|| Ok(Vec::new()), |pushes| pushes.sent(bench, options.small))?;
    let growth = if bench.wants(&["growth"]) {
        growth::measure(bench, folder, options.small, options.million)?
    } else {
        Vec::new()
    };
    Ok(Found {
        rows,
        growth,
        counts,
        compressed,
        partial,
        sent,
        runs: bench.runs,
        image: format!(
            "{} layers, {} files, a tar of {:.2} GB",
            stores.layers.len(),
            stores.files,
            fs::metadata(&bench.finished)?.len() as f64 / 1e9
        ),
        machine: report::machine()?,
    })
}

impl Bench {
    /// Whether any of these rows is to be measured.
    fn wants(&self, titles: &[&str]) -> bool {
        self.only.is_empty() || titles.iter().any(|title| self.only.iter().any(|only| title.contains(only)))
    }

    /// An output in memory.
    fn memory(&self) -> Place {
        Place { out: self.memory.join("out"), drain: false, sync: false, cold: false }
    }

    /// An output on the disk. A sync at the end makes programs comparable, since only some flush what they
    /// write.
    fn disk(&self) -> Place {
        Place { out: self.disk.join("out"), drain: false, sync: true, cold: false }
    }

    /// layerlift with these arguments, a root and more arguments.
    fn layerlift(&self, arguments: &[&str], root: &Path, more: &[&str]) -> Contender {
        let (program, root) = (self.layerlift.display().to_string(), root.display().to_string());
        let all = [&*program]
            .into_iter()
            .chain(arguments.iter().copied())
            .chain([&*root])
            .chain(more.iter().copied());
        Contender::new("layerlift", words(all), None)
    }

    fn save(&self, root: &Path, more: &[&str]) -> Contender {
        self.layerlift(&["save", "--quiet", "--root"], root, more)
    }

    /// The command of a peer, with a `TMPDIR` that is watched.
    fn peer_words<'a>(&self, peer: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let temporary = format!("TMPDIR={}", self.peers_temporary.display());
        let mut all = vec!["env".to_owned(), temporary];
        all.extend(words(peer));
        all
    }

    fn peer_command(&self, command: &Command) -> Vec<String> {
        let all: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        self.peer_words(all.iter().map(String::as_str))
    }

    fn docker_words(&self, more: &[&str]) -> Vec<String> {
        self.peer_command(&self.stores.docker.docker(more.iter().copied()))
    }
}

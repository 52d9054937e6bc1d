//! `cargo xtask compare --with PROGRAM`: two builds of layerlift read every fixture and write everything that
//! they can; each output has to be the same, byte for byte. This is how a change shows that it changes
//! nothing.
//!
//! Standard error is not compared: words may change. Exit statuses are, and with `--texts` what is printed
//! for people.

mod outputs;
mod requests;
pub(crate) mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use crate::engines::process::{self, program};
use crate::engines::scratch::Scratch;
use crate::{Outcome, dist};
use outputs::Written;
use requests::{Request, Way};
use sources::Source;

#[derive(Args)]
pub(crate) struct Options {
    /// The other build, whose outputs are right
    #[arg(long)]
    with: PathBuf,
    /// Compare this program instead of building one
    #[arg(long)]
    program: Option<PathBuf>,
    /// Only fixtures whose name has one of these in it
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// More data roots, layouts or archives, or folders that hold some
    #[arg(long)]
    also: Vec<PathBuf>,
    /// Ignore `manifest.json` in outputs of format oci-archive
    #[arg(long)]
    ignore_manifest: bool,
    /// Compare what is printed for people, too
    #[arg(long)]
    texts: bool,
    /// Leave the temporary folder for a look
    #[arg(long)]
    keep: bool,
}

/// As many differences of one source are shown in full.
const SHOWN: usize = 5;

impl Options {
    /// Compares a program with one whose outputs are right.
    pub(crate) fn of(with: &Path, program: &Path, only: &[String]) -> Self {
        Options {
            with: with.to_owned(),
            program: Some(program.to_owned()),
            only: only.to_vec(),
            also: Vec::new(),
            ignore_manifest: false,
            texts: true,
            keep: false,
        }
    }
}

/// Two programs, and where they write.
struct Pair<'o> {
    options: &'o Options,
    programs: [PathBuf; 2],
    folder: PathBuf,
}

/// What was found out.
#[derive(Default)]
struct Counts {
    same: usize,
    different: usize,
    failed_alike: usize,
}

/// Runs both programs on everything.
pub(crate) fn run(options: &Options) -> Outcome {
    process::handle_signals()?;
    both(options)
}

/// The same for a task that has set up the handling of signals.
pub(crate) fn both(options: &Options) -> Outcome {
    let own = match &options.program {
        Some(program) => program.canonicalize()?,
        None => dist::program()?,
    };
    let scratch = Scratch::new(options.keep)?;
    let folder = scratch.folder("outputs")?;
    let pair = Pair { options, programs: [options.with.canonicalize()?, own], folder };
    let mut counts = Counts::default();
    for source in sources::all(&options.also)? {
        if !options.only.is_empty() && !options.only.iter().any(|part| source.name().contains(part)) {
            continue;
        }
        let folder = scratch.folder("source")?;
        for root in source.unpack(&folder)? {
            pair.compare(&source, &folder, &root, &mut counts)?;
        }
        process::run(program("rm", ["-rf", "--one-file-system", "--"]).arg(&folder))?;
    }
    println!("{} outputs are the same, {} of them failures", counts.same, counts.failed_alike);
    match (counts.same, counts.different) {
        (0, 0) => Err("nothing was compared".into()),
        (_, 0) => Ok(()),
        (_, different) => Err(format!("{different} outputs differ").into()),
    }
}

impl Pair<'_> {
    /// Makes all requests to one root, unless the other build cannot open it.
    fn compare(&self, source: &Source, folder: &Path, root: &Path, counts: &mut Counts) -> Outcome {
        let start = Instant::now();
        let list = process::output(program(&self.programs[0], ["images", "--json", "--root"]).arg(root))?;
        let Ok(listed) = serde_json::from_slice(&list.stdout) else { return Ok(()) };
        let name = match root.strip_prefix(folder) {
            Ok(place) => format!("{} {}", source.name(), place.display()),
            Err(_) => source.name(),
        };
        let (mut same, mut different) = (0, 0);
        let mut statuses = BTreeSet::new();
        for request in requests::all(&listed, self.options.texts) {
            if process::interrupted() {
                return Err("interrupted".into());
            }
            let [theirs, ours] = [0, 1].map(|which| self.write(which, root, &request));
            let (theirs, ours) = (theirs?, ours?);
            statuses.insert(theirs.status);
            match theirs.difference(&ours, self.options.ignore_manifest && request.writes_oci()) {
                None => {
                    same += 1;
                    counts.failed_alike += usize::from(theirs.status != Some(0));
                }
                Some(what) => {
                    different += 1;
                    if different <= SHOWN {
                        println!("DIFFERS  {}: {what}", request.shown(root));
                    }
                }
            }
        }
        let statuses: Vec<String> = statuses.into_iter().flatten().map(|status| status.to_string()).collect();
        println!(
            "{}  {name}: {same} outputs the same, {different} different (statuses {}; {:.1} s)",
            if different == 0 { "same   " } else { "DIFFERS" },
            statuses.join(", "),
            start.elapsed().as_secs_f64(),
        );
        counts.same += same;
        counts.different += different;
        Ok(())
    }

    /// Lets one of the programs answer a request.
    fn write(&self, which: usize, root: &Path, request: &Request) -> Outcome<Written> {
        let output = self.folder.join(which.to_string());
        process::run(program("rm", ["-rf", "--"]).arg(&output))?;
        fs::create_dir_all(&output)?;
        let mut command = program(&self.programs[which], &request.arguments);
        command.arg("--root").arg(root);
        match request.way {
            Way::Printed => {}
            Way::File => drop(command.arg("-o").arg(output.join("out"))),
            Way::Folder => drop(command.arg("-o").arg(output.join("out/"))),
        }
        let printed = process::output(command)?;
        Written::new(printed.status.code(), printed.stdout, &output)
    }
}

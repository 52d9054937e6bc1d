//! What a release ships, for each target.
//!
//! ```text
//! target/dist/
//!     layerlift-0.1.0-x86_64-linux.tar.gz          program, man pages, completions, texts
//!     layerlift_0.1.0-1_amd64.deb
//!     layerlift-0.1.0-1.x86_64.rpm
//!     layerlift-0.1.0-x86_64-linux-image.tar    an image of the program and nothing else
//!     layerlift-0.1.0-x86_64-linux.cdx.json        what is linked into the program (CycloneDX)
//!     SHA256SUMS
//! ```
//!
//! The bytes depend on the sources, the compilers and `SOURCE_DATE_EPOCH`, and on no path. What cannot be
//! made here is named and left out.

mod archive;
mod build;
mod crates;
mod deb;
mod elf;
mod files;
mod image;
mod licences;
mod reproducible;
mod rpm;
mod sbom;
pub(crate) mod target;
mod texts;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use xshell::{Shell, cmd};

pub(crate) use self::build::{cargo_home, program};
use self::files::Files;
use self::target::Target;
pub(crate) use self::texts::{completions, man};
use crate::engines::scratch;
use crate::{Outcome, workspace};

#[derive(Args)]
pub(crate) struct Options {
    /// Make the packages for this target; can be given several times [default: this machine]
    #[arg(long, value_name = "TRIPLE")]
    target: Vec<String>,
    /// Make the packages for all targets
    #[arg(long, conflicts_with = "target")]
    all: bool,
    /// Instead, build in two folders, and compare
    #[arg(long, conflicts_with_all = ["target", "all"])]
    check_reproducible: bool,
    /// Afterwards, install the packages in chroots of bookworm and trixie, and remove them (needs root)
    #[arg(long = "try")]
    trial: bool,
}

/// What all packages of one target have in common.
struct Release<'a> {
    target: &'a Target,
    /// The program, stripped.
    program: &'a [u8],
    man: &'a Files,
    completions: &'a Files,
    licences: &'a str,
    /// Seconds since 1970, for all that has a time.
    time: i64,
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

const SUMMARY: &str = "export container images from the directories of engines";

/// A line of text fits into a terminal of 80 columns.
const DESCRIPTION: [&str; 6] = [
    "layerlift reads the directories in which Docker, containerd, Podman,",
    "Buildah and CRI-O keep images, and writes archives that these engines",
    "load. It needs no daemon and no container runtime, mounts nothing, and",
    "never writes to those directories. Every layer is checked against what",
    "was recorded of it, so the images of a host that is dead, or that no",
    "longer starts its engine, come out as they were.",
];

/// Makes the packages.
pub(crate) fn run(options: &Options) -> Outcome {
    if options.check_reproducible {
        return reproducible::check();
    }
    if options.trial {
        scratch::enter_namespaces()?;
    }
    let shell = workspace::shell()?;
    let time = time(&shell)?;
    let targets = possible(Target::chosen(&options.target, options.all)?)?;
    if targets.is_empty() {
        return Ok(());
    }
    let folder = workspace::target().join("dist");
    fs::create_dir_all(&folder)?;
    forget(&folder)?;
    let (man, completions) = (Files::below(&man()?)?, Files::below(&completions()?)?);
    let mut made = Vec::new();
    for target in &targets {
        let program = fs::read(build::build(target)?)?;
        let crates = crates::linked(target)?;
        let licences = licences::text(&crates)?;
        let (man, completions, licences) = (&man, &completions, &licences[..]);
        let release = Release { target, program: &program, man, completions, licences, time };
        let mut add = |name: String, bytes: Vec<u8>| -> Outcome {
            fs::write(folder.join(&name), bytes)?;
            println!("{}", folder.join(&name).display());
            made.push(name);
            Ok(())
        };
        let name = release.name();
        add(format!("{name}.tar.gz"), archive::pack(&shell, &archive::files(&release)?, &name, time)?)?;
        add(format!("{name}.cdx.json"), sbom::document(&crates, time)?)?;
        if target.is_gnu() {
            add(deb::name(target), deb::package(&shell, &release)?)?;
            match rpm::missing() {
                None => add(rpm::name(target), rpm::package(&shell, &release)?)?,
                Some(missing) => println!("left out: {}: {missing}", rpm::name(target)),
            }
        }
        if let Some(program) = image::program(target, &targets)? {
            let release = Release { program: &fs::read(program)?, ..release };
            add(format!("{name}-image.tar"), image::archive(&shell, &release)?)?;
        }
    }
    made.sort();
    let here = shell.push_dir(&folder);
    let sums = cmd!(shell, "sha256sum --").args(&made).quiet().read()?;
    drop(here);
    fs::write(folder.join("SHA256SUMS"), format!("{sums}\n"))?;
    println!("{}", folder.join("SHA256SUMS").display());
    if options.trial { trial::run_in_chroots(&folder, &made) } else { Ok(()) }
}

impl Release<'_> {
    /// `layerlift-0.1.0-x86_64-linux`
    fn name(&self) -> String {
        format!("layerlift-{VERSION}-{}", self.target.name())
    }
}

/// The targets that this machine can build for. The others are named, with what is missing.
fn possible(targets: Vec<Target>) -> Outcome<Vec<Target>> {
    let mut possible = Vec::new();
    for target in targets {
        match target.missing()? {
            Some(missing) => println!("left out: {}: {missing}", target.triple),
            None => possible.push(target),
        }
    }
    Ok(possible)
}

/// Removes the packages of an earlier run, so that `SHA256SUMS` and the folder agree.
fn forget(folder: &Path) -> Outcome {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The time of all that has one, in seconds since 1970, so that the same sources give the same bytes: what
/// `SOURCE_DATE_EPOCH` says, or the time of the last commit. Sources without git have the first second.
fn time(shell: &Shell) -> Outcome<i64> {
    if let Ok(time) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(time.parse().map_err(|error| format!("SOURCE_DATE_EPOCH is {time:?}: {error}"))?);
    }
    let log = cmd!(shell, "git log -1 --format=%ct").quiet().ignore_stderr().read();
    Ok(log.ok().and_then(|time| time.parse().ok()).unwrap_or(0))
}

/// Compresses with gzip. The bytes have neither a name nor a time.
fn gzip(shell: &Shell, bytes: &[u8]) -> Outcome<Vec<u8>> {
    Ok(cmd!(shell, "gzip -9n").stdin(bytes).quiet().output()?.stdout)
}

/// An empty folder below `target/dist`.
fn fresh(name: &str) -> Outcome<PathBuf> {
    let folder = workspace::target().join("dist").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

//! Chroots of other Debian suites, which mmdebstrap makes and which are kept for the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{installed, output_within, program, run, text};
use crate::Outcome;

/// A chroot takes two minutes here. A slow mirror may take longer.
const LIMIT: Duration = Duration::from_secs(900);

/// Options without which dpkg would unpack texts that no check reads.
pub(crate) const WITHOUT_TEXTS: [&str; 3] = [
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
];

/// A chroot of this suite with these packages and what they need. It is made where the folder does not exist
/// yet; a suite without one of the packages does without it. Needs root.
pub(crate) fn kept(suite: &str, folder: &Path, packages: &[&str], options: &[&str]) -> Outcome<PathBuf> {
    if folder.is_dir() {
        return Ok(folder.canonicalize()?);
    }
    if !installed("mmdebstrap") {
        return Err("mmdebstrap is not installed".into());
    }
    // A run that was cut short leaves the folder under its other name.
    let unfinished = folder.with_extension("new");
    run(program("rm", ["-rf", "--one-file-system", "--"]).arg(&unfinished))?;
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    println!("making a chroot of {suite}, which is kept in {}", folder.display());
    // Patterns instead of names, so that packages may be missing.
    let exact: Vec<String> = packages.iter().map(|name| format!("?exact-name({name})")).collect();
    let mut command = program(
        "mmdebstrap",
        [
            "--quiet",
            "--mode=root",
            "--variant=apt",
            "--aptopt=APT::Install-Recommends \"false\"",
            "--aptopt=Acquire::Languages \"none\"",
            // The Release file of a mirror that nobody updates has expired.
            "--aptopt=Acquire::Check-Valid-Until \"false\"",
        ],
    );
    command.args(options).arg(format!("--include=?or({})", exact.join(","))).arg(suite);
    command.arg(&unfinished).arg(mirror()?);
    let output = output_within(command, LIMIT)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| line.starts_with("E:")).or(said.lines().last());
        return Err(format!("mmdebstrap: {}", last.unwrap_or("no reason given")).into());
    }
    fs::rename(&unfinished, folder)?;
    Ok(folder.canonicalize()?)
}

/// The mirror that apt uses here, without those of security updates.
fn mirror() -> Outcome<String> {
    let listed = text(program(
        "apt-get",
        ["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"],
    ))?;
    // apt knows labels only after its first update.
    let sources: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let named = sources.iter().find(|(_, label)| *label == "Debian");
    let other = sources.iter().find(|(uri, _)| uri.trim_end_matches('/').ends_with("/debian"));
    named
        .or(other)
        .map(|(uri, _)| (*uri).to_owned())
        .ok_or_else(|| "apt's sources name no Debian mirror".into())
}

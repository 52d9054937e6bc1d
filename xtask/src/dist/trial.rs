//! Installs the packages of this machine in chroots of Debian, runs what they installed, and removes them.

use std::fs;
use std::path::Path;

use super::VERSION;
use crate::engines::chroot;
use crate::engines::place::Place;
use crate::engines::process::{run, text};
use crate::engines::scratch::{Mount, Scratch};
use crate::{Outcome, workspace};

/// The suites that packages are tried in. A program that was linked on the newer one may need a newer glibc
/// than the older one has. The package says so, and cannot be installed there.
const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// Makes sure that the packages that were just made can be installed and removed.
pub(super) fn run_in_chroots(folder: &Path, made: &[String]) -> Outcome {
    let scratch = Scratch::below(&workspace::target())?;
    for suite in SUITES {
        let base = chroot::kept(suite, &workspace::target().join("dist-chroots").join(suite), &["rpm"], &[])?;
        let root = scratch.folder(suite)?;
        let upper = scratch.folder(&format!("{suite}.upper"))?;
        let work = scratch.folder(&format!("{suite}.work"))?;
        let options =
            format!("lowerdir={},upperdir={},workdir={}", base.display(), upper.display(), work.display());
        let _mount = Mount::new(&["-t", "overlay", "-o", &options], Path::new("overlay"), &root)?;
        let place = Place::chroot(&root);
        let before = listing(&place)?;
        for name in made.iter().filter(|name| name.ends_with(".deb") || name.ends_with(".rpm")) {
            fs::copy(folder.join(name), root.join(name))?;
            tried(&place, name)?;
            fs::remove_file(root.join(name))?;
            let after = listing(&place)?;
            if before != after {
                return Err(format!("{name}: removal left files behind in {suite}").into());
            }
            println!("{suite}: {name} was installed, ran, and was removed");
        }
    }
    Ok(())
}

fn tried(place: &Place, name: &str) -> Outcome {
    let (install, remove): (&[&str], &[&str]) = if name.ends_with(".deb") {
        (&["dpkg", "-i"], &["dpkg", "-P", "layerlift"])
    } else {
        // The libraries are there, but as packages of dpkg.
        (&["rpm", "-i", "--nodeps"], &["rpm", "-e", "layerlift"])
    };
    run(place.program(install[0], install[1..].iter().copied().chain([&*format!("/{name}")])))?;
    let said = text(place.program("layerlift", ["--version"]))?;
    if said.trim() != format!("layerlift {VERSION}") {
        return Err(format!("{name}: layerlift --version printed {said:?}").into());
    }
    run(place.program("test", ["-s", "/usr/share/man/man1/layerlift.1.gz"]))?;
    run(place.program("test", ["-s", "/usr/share/bash-completion/completions/layerlift"]))?;
    run(place.program(remove[0], &remove[1..]))
}

/// All files and folders with layerlift in their path.
fn listing(place: &Place) -> Outcome<String> {
    text(place.program("find", ["/usr", "/etc", "/opt", "-path", "*layerlift*"]))
}

//! Rounds with the engines of newer suites: Docker with either of its image stores, containerd, Podman.

mod beside;
pub(super) mod containers;
mod content;
mod discarded;
mod layout;
mod live;
mod material;
pub(super) mod partial;
mod platforms;
mod stores;

use std::path::Path;

use super::readers::Readers;
use super::report::Report;
use super::source::Checks;
use super::{Area, Engine, Options};
use crate::Outcome;
use crate::engines::docker::ImageStore;
use crate::engines::place::Place;
use crate::engines::scratch::{Mount, Scratch};
use crate::engines::suite::Suite;
use containers::Engines;
use material::Material;
use partial::Parts;

/// What the checks of a round share.
struct Round<'a> {
    suite: Suite,
    place: Place,
    material: &'a Material,
    checks: Checks<'a>,
}

/// Runs the round of a suite.
pub(super) fn run(suite: Suite, options: &Options, layerlift: &Path, report: &mut Report) -> Outcome {
    let name = suite.name();
    let scratch = Scratch::new(options.keep)?;
    // In memory, like what readers write. What is mounted later would not be seen in the chroot.
    let _memory = if options.keep { None } else { Mount::memory(scratch.path()).ok() };
    let chroot = match suite.open(scratch.path()) {
        Ok(chroot) => chroot,
        Err(error) => {
            report.not_run(&format!("{name}: all engines"), &error.to_string());
            return Ok(());
        }
    };
    println!("{name}: {}", chroot.versions());
    if options.wants_area(Area::Containers) {
        let (place, scratch) = (&chroot.place, &scratch);
        let old_whiteouts = matches!(suite, Suite::Trixie);
        let engines = Engines { name, place, scratch, layerlift, old_headers: false, old_whiteouts };
        containers(options, &engines, report)?;
    }
    if !options.wants_area(Area::Images) {
        return Ok(());
    }
    let host = Readers::start(&scratch, report)?;
    let newer = Readers::start_newer(&chroot.place, name, &scratch, report)?;
    let material = material::make(&scratch.folder("material")?, &chroot.root)?;
    let readers = [&newer, &host];
    let checks = Checks { layerlift, scratch: &scratch, readers: &readers };
    let round = Round { suite, place: chroot.place.clone(), material: &material, checks };
    let parts = scratch
        .folder("parts")
        .and_then(|folder| Parts::make(&folder, &chroot.root.join("usr/bin/busybox"), layerlift));
    let parts = report.step(&format!("{name}: parts of images"), || parts);
    let engines = partial::Installed { name, place: &round.place, checks: &round.checks };
    if options.wants(Engine::Containerd, "overlayfs") {
        parts.iter().try_for_each(|parts| partial::containerd(&engines, parts, report))?;
        stores::containerd(&round, report)?;
        discarded::run_all(&round, report)?;
        discarded::by_cri(&round, report)?;
        platforms::run_all(&round, report)?;
        live::containerd(&round, report)?;
    }
    if options.wants(Engine::Docker, "containerd") {
        parts
            .iter()
            .try_for_each(|parts| partial::docker(&engines, ImageStore::Containerd, parts, report))?;
        stores::docker(&round, ImageStore::Containerd, report)?;
        live::docker(&round, report)?;
    }
    if options.wants(Engine::Docker, "overlay2") {
        let store = ImageStore::Driver("overlay2");
        parts.iter().try_for_each(|parts| partial::docker(&engines, store, parts, report))?;
        stores::docker(&round, ImageStore::Driver("overlay2"), report)?;
    }
    if options.wants(Engine::Podman, "vfs") {
        parts.iter().try_for_each(|parts| partial::podman(&engines, parts, report))?;
    }
    Ok(())
}

/// Containers of each engine.
fn containers(options: &Options, engines: &Engines<'_>, report: &mut Report) -> Outcome {
    for (driver, store) in
        [("overlay2", ImageStore::Driver("overlay2")), ("containerd", ImageStore::Containerd)]
    {
        if options.wants(Engine::Docker, driver) {
            containers::docker(engines, store, report)?;
        }
    }
    if options.wants(Engine::Podman, "overlay") {
        containers::podman(engines, report)?;
    }
    Ok(())
}

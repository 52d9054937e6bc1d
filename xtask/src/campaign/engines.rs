//! A running dockerd and podman load, import, tag and remove images while layerlift saves everything.
//!
//! The rules: every image in every archive is one that the engine has had, with the same layers: an id stands
//! for the bytes of all files. The image that nobody touches is in every archive.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::findings::Findings;
use super::oracle::{self, Images};
use super::program::{Ran, save};
use super::{Budget, Campaign};
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::image::Image;
use crate::engines::process::{installed, run as finish};
use crate::interop::images::{self, Set};

/// The image that stays.
const STAYS: &str = "interop/names:n1";

/// Images by their ids: the digests of their layers.
type Known = BTreeMap<String, Vec<String>>;

/// A running engine.
struct Engine<'e> {
    root: PathBuf,
    command: &'e (dyn Fn(&[&str]) -> Command + Sync),
    images: &'e (dyn Fn() -> Outcome<Vec<Image>> + Sync),
}

/// Races with each engine. Returns a line of figures.
pub(crate) fn run(campaign: &Campaign<'_>, budget: &Budget, findings: &mut Findings) -> Outcome<String> {
    if !campaign.isolated {
        return Ok("not run: this needs root and permission to mount".to_owned());
    }
    let half = budget.end.saturating_duration_since(Instant::now()) / 2;
    let docker =
        docker(campaign, half, budget.runs, findings).unwrap_or_else(|error| format!("not run: {error}"));
    let podman =
        podman(campaign, half, budget.runs, findings).unwrap_or_else(|error| format!("not run: {error}"));
    Ok(format!("docker: {docker}; podman: {podman}"))
}

fn docker(campaign: &Campaign<'_>, time: Duration, runs: usize, findings: &mut Findings) -> Outcome<String> {
    if let Some(missing) = ["dockerd", "docker"].into_iter().find(|name| !installed(name)) {
        return Err(format!("{missing} is not installed").into());
    }
    let home = campaign.scratch.folder("docker")?;
    let root = home.join("root");
    fs::create_dir_all(&root)?;
    let docker = Docker::start(&home.join("daemon"), &root, "overlay2")?;
    let engine =
        Engine { root, command: &|words| docker.docker(words.iter().copied()), images: &|| docker.images() };
    let done = race("docker", campaign, &home, &engine, time, runs, findings)?;
    docker.stop()?;
    Ok(done)
}

fn podman(campaign: &Campaign<'_>, time: Duration, runs: usize, findings: &mut Findings) -> Outcome<String> {
    if !installed("podman") {
        return Err("podman is not installed".into());
    }
    let home = campaign.scratch.folder("podman")?;
    let storage = Storage::new(&home.join("s"), "overlay", None)?;
    let engine = Engine {
        root: storage.root(),
        command: &|words| storage.podman(words.iter().copied()),
        images: &|| storage.images(),
    };
    race("podman", campaign, &home, &engine, time, runs, findings)
}

/// Saves again and again while another thread changes the store, then compares.
fn race(
    name: &str,
    campaign: &Campaign<'_>,
    home: &Path,
    engine: &Engine<'_>,
    time: Duration,
    runs: usize,
    findings: &mut Findings,
) -> Outcome<String> {
    let archive = images::make(home, Set::All)?;
    let stays = archive.images.iter().find(|image| image.tags.contains(STAYS)).ok_or("no image stays")?;
    let mut known: Known =
        archive.images.iter().map(|image| (image.id.clone(), image.diff_ids.clone())).collect();
    let layer = home.join("layer.tar");
    fs::write(&layer, images::names(Set::Ordinary))?;
    finish((engine.command)(&["load", "--input", &archive.path.to_string_lossy()]))?;
    let end = Instant::now() + time;
    let stop = AtomicBool::new(false);
    let mut seen: Vec<(Ran, Images)> = Vec::new();
    let changed = thread::scope(|scope| -> Outcome<(usize, Known)> {
        let changer = scope.spawn(|| change(engine, &archive.path, &layer, &stop));
        let mut saves = 0;
        let outcome = loop {
            if saves >= runs || Instant::now() > end || crate::engines::process::interrupted() {
                break Ok(());
            }
            saves += 1;
            match saved(name, campaign, home, engine, saves, findings) {
                Ok(one) => seen.extend(one),
                Err(error) => break Err(error),
            }
        };
        stop.store(true, Ordering::SeqCst);
        let changed = changer.join().map_err(|_| "the thread that changes the store panicked")?;
        outcome.map(|()| changed)
    })?;
    known.extend(changed.1);
    let (mut compared, mut statuses) = (0, [0_usize; 4]);
    for (ran, images) in &seen {
        if let Some(times) = ran.status.and_then(|status| statuses.get_mut(status as usize)) {
            *times += 1;
        }
        for (id, image) in images {
            compared += 1;
            let what = match known.get(id) {
                Some(layers) if *layers == image.diff_ids => continue,
                Some(_) => "an image with other layers",
                None => "an image that the engine never had",
            };
            let recipe = format!("{id} {:?}\ncargo xtask campaign --only engines", image.tags);
            findings.add("engines", what, name, &recipe, Some(ran));
        }
        if matches!(ran.status, Some(0 | 1)) && !images.contains_key(&stays.id) {
            findings.add("engines", "the image that stays is missing", name, &ran.line, Some(ran));
        }
    }
    Ok(format!(
        "{} saves beside {} rounds of changes, {compared} images compared; statuses 0 to 3: {statuses:?}",
        seen.len(),
        changed.0
    ))
}

/// One save, and what is in its archive. `None` if that is wrong, which is a finding.
fn saved(
    name: &str,
    campaign: &Campaign<'_>,
    home: &Path,
    engine: &Engine<'_>,
    number: usize,
    findings: &mut Findings,
) -> Outcome<Option<(Ran, Images)>> {
    let output = home.join("out.tar");
    let _ = fs::remove_file(&output);
    let format = ["docker-archive", "oci-archive"][number % 2];
    let ran = Ran::of(save(&campaign.layerlift, &engine.root, format, &output))?;
    let mut found = |what: &str| {
        findings.add("engines", what, name, "cargo xtask campaign --only engines", Some(&ran));
    };
    if let Some(complaint) = ran.complaint() {
        found(complaint);
        return Ok(None);
    }
    if !output.exists() {
        return Ok(Some((ran, Images::new())));
    }
    match oracle::images(&output, format, &home.join("work")) {
        Ok(images) => Ok(Some((ran, images))),
        Err(error) => {
            found(&format!("an archive that is wrong: {error}"));
            Ok(None)
        }
    }
}

/// Loads, tags, imports and removes until it has to stop. Returns the number of rounds, and the images that
/// were made.
fn change(engine: &Engine<'_>, archive: &Path, layer: &Path, stop: &AtomicBool) -> (usize, Known) {
    let (mut rounds, mut made) = (0, Known::new());
    let (archive, layer) = (archive.to_string_lossy(), layer.to_string_lossy());
    while !stop.load(Ordering::SeqCst) {
        rounds += 1;
        let name = format!("race/import:{rounds}");
        for words in [&["import", &layer, &name][..], &["tag", "interop/shapes:1.0", "race/tag:1"]] {
            // What fails has not changed anything, and the next round goes on.
            let _ = finish((engine.command)(words));
        }
        let images = (engine.images)().unwrap_or_default();
        made.extend(images.into_iter().map(|image| (image.id, image.diff_ids)));
        for words in [
            &["rmi", &name][..],
            &["rmi", "race/tag:1"],
            &["rmi", "--force", "interop/shapes:1.0", "interop/shapes:latest", "many:layers"],
            &["load", "--input", &archive],
        ] {
            let _ = finish((engine.command)(words));
        }
    }
    (rounds, made)
}

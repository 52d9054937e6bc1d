//! Saves again and again while an engine imports, tags and removes.
//!
//! The rules: each image in each archive is one that the engine has had, with the same layers; the image that
//! is never removed is in every archive; and a save that writes no archive says why.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::Round;
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::Image;
use crate::engines::process::{interrupted, output, program, run};
use crate::interop::archive::{self, Format};
use crate::interop::readers::RUNNABLE;
use crate::interop::report::Report;

/// How often everything is saved beside each engine.
const SAVES: usize = 100;

/// An engine that changes its store.
struct Engine<'e> {
    root: &'e Path,
    /// Commands that are run in turn, over and over. One of them loads the image that stays.
    commands: &'e (dyn Fn(usize) -> Vec<Command> + Sync),
}

/// Beside containerd.
pub(super) fn containerd(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd, {SAVES} saves while it imports and removes", round.suite.name());
    let home = round.checks.scratch.folder("l-ctr")?;
    let containerd = Containerd::start_in(&round.place, &home);
    let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
    let import = |path: &Path| {
        let mut command = containerd.command(["images", "import", "--digests"]);
        command.arg(path);
        command
    };
    let commands = |turn: usize| {
        let moved = format!("docker.io/live/tag:{}", turn % 3);
        let removed = ["docker.io/interop/zstd:1", "docker.io/interop/mixed:1", &moved];
        vec![
            import(&round.material.packed.path),
            containerd.command(["images", "tag", "--force", "docker.io/interop/zstd:1", &moved]),
            containerd.command(["images", "rm", "--sync"].into_iter().chain(removed)),
            import(&round.material.plain.path),
            containerd.command(["images", "rm", "docker.io/library/many:layers"]),
        ]
    };
    let engine = Engine { root: &home.join("root"), commands: &commands };
    race(&name, round, &home, &engine, report);
    containerd.stop()
}

/// Beside Docker with its images in containerd.
pub(super) fn docker(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: docker containerd, {SAVES} saves while it loads and removes", round.suite.name());
    let home = round.checks.scratch.folder("l-docker")?;
    let root = home.join("root");
    fs::create_dir_all(&root)?;
    let docker = Docker::start_in(&round.place, &home.join("d"), &root, ImageStore::Containerd);
    let Some(docker) = report.started(&name, docker) else { return Ok(()) };
    let load = |path: &Path| {
        let mut command = docker.docker(["load", "--quiet", "--input"]);
        command.arg(path);
        command
    };
    let commands = |turn: usize| {
        let moved = format!("live/tag:{}", turn % 3);
        vec![
            load(&round.material.packed.path),
            docker.docker(["tag", "interop/zstd:1", &moved]),
            docker.docker(["rmi", "--force", "interop/zstd:1", "interop/mixed:1", &moved]),
            load(&round.material.plain.path),
            docker.docker(["rmi", "--force", "many:layers"]),
        ]
    };
    let engine = Engine { root: &root, commands: &commands };
    race(&name, round, &home, &engine, report);
    docker.stop()
}

fn race(name: &str, round: &Round<'_>, home: &Path, engine: &Engine<'_>, report: &mut Report) {
    let known = round.material.images();
    report.check(name, || {
        run((engine.commands)(0).remove(0))?;
        let stop = AtomicBool::new(false);
        let (statuses, turns) = thread::scope(|scope| {
            let changer = scope.spawn(|| {
                let mut turns = 0;
                while !stop.load(Ordering::SeqCst) {
                    turns += 1;
                    // What fails has not changed anything, and the next turn goes on.
                    (engine.commands)(turns).into_iter().for_each(|command| drop(run(command)));
                }
                turns
            });
            let statuses = saves(round, home, engine.root, &known);
            stop.store(true, Ordering::SeqCst);
            (statuses, changer.join())
        });
        let turns = turns.map_err(|_| "the thread that changes the store panicked")?;
        println!("         beside {turns} rounds of changes; saves by status, 0 to 3: {:?}", statuses?);
        Ok(())
    });
}

/// Saves, and looks at what comes out. Returns how often each status was met.
fn saves(round: &Round<'_>, home: &Path, root: &Path, known: &[Image]) -> Outcome<[usize; 4]> {
    let (tar, unpacked) = (home.join("out.tar"), home.join("out"));
    let mut statuses = [0; 4];
    for number in 0..SAVES {
        if interrupted() {
            return Err("interrupted".into());
        }
        let format = [Format::DockerArchive, Format::OciArchive][number % 2];
        // Everything, or the image that stays.
        let what = if number % 4 == 3 { &[RUNNABLE][..] } else { &["--all", "--keep-going"] };
        let mut command = program(round.checks.layerlift, ["save", "--quiet", "--format", format.name()]);
        command.arg("--root").arg(root).arg("--output").arg(&tar).args(what);
        let ran = output(command)?;
        let said = String::from_utf8_lossy(&ran.stderr);
        let status = ran.status.code().and_then(|code| usize::try_from(code).ok()).filter(|code| *code < 4);
        let status = status.ok_or_else(|| format!("save {number}: {}: {said}", ran.status))?;
        statuses[status] += 1;
        if status > 0 && !said.contains("layerlift: ") {
            return Err(format!("save {number}: status {status}, and nothing says why").into());
        }
        if tar.exists() != (status == 0 || status == 1 && what.contains(&"--all")) {
            return Err(format!("save {number}: status {status}, output {}: {said}", tar.exists()).into());
        }
        if tar.exists() {
            archive::unpack(&tar, &unpacked)?;
            let judged = archive::images(&unpacked, format).and_then(|images| right(&images, known));
            run(program("rm", ["-rf", "--"]).arg(&unpacked).arg(&tar))?;
            judged.map_err(|error| format!("save {number}, status {status}: {error}: {said}"))?;
        }
    }
    Ok(statuses)
}

fn right(images: &[Image], known: &[Image]) -> Outcome {
    for image in images {
        match known.iter().find(|one| one.id == image.id) {
            Some(one) if one.diff_ids == image.diff_ids => {}
            Some(_) => return Err(format!("{} has other layers", image.id).into()),
            None => return Err(format!("the engine never had {} {:?}", image.id, image.tags).into()),
        }
    }
    if images.iter().any(|image| image.tags.contains(RUNNABLE)) {
        Ok(())
    } else {
        Err(format!("{RUNNABLE} was never removed, and is missing").into())
    }
}

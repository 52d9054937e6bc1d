//! Docker's stores, one for each graph driver.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::archive::{self, Alike, same};
use super::images::{self, Archive, Set};
use super::pushed::{Access, Pushed};
use super::report::Report;
use super::source::{Checks, Shape, Source};
use super::{Engine, Options, builds};
use crate::Outcome;
use crate::engines::docker::Docker;
use crate::engines::image::{Image, hex};
use crate::engines::place::Place;
use crate::engines::process::{installed, program, run, text};
use crate::engines::registry::Registry;
use crate::engines::scratch::Mount;

/// The drivers, and the program that each needs.
const DRIVERS: [(&str, &str); 5] = [
    ("overlay2", "dockerd"),
    ("vfs", "dockerd"),
    ("overlay", "dockerd"),
    ("btrfs", "mkfs.btrfs"),
    ("fuse-overlayfs", "fuse-overlayfs"),
];

/// What the stores of all drivers are filled with.
struct Material {
    archive: Archive,
    context: PathBuf,
    layer: PathBuf,
    registry: Option<Registry>,
}

/// Runs the checks of each requested driver.
pub(crate) fn run_all(options: &Options, checks: &Checks<'_>, report: &mut Report) -> Outcome {
    let wanted =
        DRIVERS.iter().filter(|(driver, _)| options.wants(Engine::Docker, driver)).collect::<Vec<_>>();
    if wanted.is_empty() {
        return Ok(());
    }
    let folder = checks.scratch.folder("docker")?;
    let archive = images::make(&folder, Set::All)?;
    let layer = folder.join("layer.tar");
    fs::write(&layer, images::names(Set::All))?;
    let context = builds::context(&folder)?;
    let registry = if installed("docker-registry") {
        Some(Registry::start(&folder.join("registry"))?)
    } else {
        report.not_run("docker pull", "docker-registry is not installed");
        None
    };
    let material = Material { archive, context, layer, registry };
    for (driver, needs) in wanted {
        let name = format!("docker {driver}");
        if let Some(missing) = ["dockerd", "docker", needs].iter().find(|program| !installed(program)) {
            report.not_run(&name, &format!("{missing} is not installed"));
            continue;
        }
        let home = folder.join(driver);
        one(&name, driver, &home, &material, checks, report)?;
        run(program("rm", ["-rf", "--"]).arg(&home))?;
    }
    Ok(())
}

fn one(
    name: &str,
    driver: &str,
    home: &Path,
    material: &Material,
    checks: &Checks<'_>,
    report: &mut Report,
) -> Outcome {
    let root = home.join("root");
    fs::create_dir_all(&root)?;
    let _mount = match prepare(driver, home, &root) {
        Ok(mount) => mount,
        Err(error) => {
            report.not_run(name, &error.to_string());
            return Ok(());
        }
    };
    let docker = Docker::start(&home.join("daemon"), &root, driver);
    let Some(docker) = report.started(name, docker) else { return Ok(()) };
    let loaded = report.check(&format!("{name}: docker load of the synthetic images"), || {
        run(docker.docker(["load", "--input"]).arg(&material.archive.path))?;
        same(&material.archive.images, &docker.images()?, Alike::default())
    });
    let built = report.check(&format!("{name}: docker build, import, commit"), || {
        builds::docker(&docker, &material.context, &material.layer)
    });
    if let (true, Some(registry)) = (built, &material.registry) {
        report.check(&format!("{name}: docker push and pull"), || builds::docker_registry(&docker, registry));
    }
    if !loaded {
        return Ok(());
    }
    let images = docker.images()?;
    let all = text(docker.docker(["images", "--all", "--quiet", "--no-trunc"]))?;
    let hidden: BTreeSet<String> =
        all.lines().map(hex).filter(|id| images.iter().all(|image| image.id != *id)).collect();
    let live = home.join("live.tar");
    report.check(&format!("{name}: layerlift save while dockerd runs"), || {
        run(checks.save(&root, Shape::PLAIN[0]).arg("--output").arg(&live))
    });
    report.check(&format!("{name}: the documents of docker save in docker-v1"), || {
        like_docker_save(&docker, &root, home, checks, &images)
    });
    docker.stop()?;
    if let Some(registry) = material.registry.as_ref().filter(|_| driver == "overlay2") {
        let to = Access::open(registry.address());
        let (root, images, place) = (&root, &images, &Place::HERE);
        let pushed = Pushed { name, root, images, to: &to, home, place, keeps_manifests: false };
        pushed.check_all(checks, report)?;
    }
    let source = Source {
        name: name.to_owned(),
        root,
        images,
        hidden,
        compress: driver == "overlay2",
        ..Source::default()
    };
    checks.check(&source, live.exists().then_some(&live), report)
}

/// Prepares what a driver needs below its data root.
fn prepare(driver: &str, home: &Path, root: &Path) -> Outcome<Option<Mount>> {
    if driver != "btrfs" {
        return Ok(None);
    }
    Mount::btrfs(&home.join("btrfs.img"), root).map(Some)
}

/// Checks that docker-v1 has the folders that `docker save` writes, with the same documents byte for byte.
fn like_docker_save(
    docker: &Docker,
    root: &Path,
    home: &Path,
    checks: &Checks<'_>,
    images: &[Image],
) -> Outcome {
    for image in images {
        let name = image.tags.first().unwrap_or(&image.id);
        let [theirs, ours] = ["theirs", "ours"].map(|folder| home.join(folder));
        let tar = home.join("one.tar");
        run(docker.docker(["save", name, "--output"]).arg(&tar))?;
        archive::unpack(&tar, &theirs)?;
        run(program(checks.layerlift, ["save", "--quiet", "--format", "docker-v1", "--root"])
            .arg(root)
            .arg("--output")
            .arg(&tar)
            .arg(name))?;
        archive::unpack(&tar, &ours)?;
        for entry in fs::read_dir(&theirs)? {
            let folder = entry?;
            if folder.file_type()?.is_dir() {
                let document = |side: &Path| fs::read(side.join(folder.file_name()).join("json"));
                let id = folder.file_name().to_string_lossy().into_owned();
                match document(&ours) {
                    Err(error) => return Err(format!("{name}: no {id}/json: {error}").into()),
                    Ok(document_of_ours) if document_of_ours != document(&theirs)? => {
                        return Err(format!("{name}: {id}/json differs").into());
                    }
                    Ok(_) => {}
                }
            }
        }
        run(program("rm", ["-rf", "--"]).arg(&theirs).arg(&ours).arg(&tar))?;
    }
    Ok(())
}

//! The stores of a suite: those of Docker with a graph driver and with containerd, and that of containerd.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Round;
use super::beside;
use super::content::{self, Stored};
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::hex;
use crate::engines::process::{run, text};
use crate::interop::archive::{Alike, same};
use crate::interop::pushed::{Access, Pushed};
use crate::interop::report::Report;
use crate::interop::source::{Shape, Source};
use crate::interop::{builds, readers};

/// Docker: loads, builds, pulls, moves tags; then everything that layerlift must do with that.
pub(super) fn docker(round: &Round<'_>, store: ImageStore<'_>, report: &mut Report) -> Outcome {
    let kind = match store {
        ImageStore::Driver(driver) => driver,
        ImageStore::Containerd => "containerd",
    };
    let name = format!("{}: docker {kind}", round.suite.name());
    let home = round.checks.scratch.folder(&format!("s-{kind}"))?;
    let root = home.join("root");
    fs::create_dir_all(&root)?;
    let docker = Docker::start_in(&round.place, &home.join("d"), &root, store);
    let Some(docker) = report.started(&name, docker) else { return Ok(()) };
    let loaded = report.check(&format!("{name}: docker load"), || load(round, &docker, store));
    let tool = &round.material.context;
    report.check(&format!("{name}: docker build, import, commit"), || {
        builds::docker(&docker, tool, &round.material.layer)
    });
    buildx(&name, &docker, tool, store == ImageStore::Containerd, report);
    pull(&name, round, |image| docker.docker(["pull", "--quiet", image]), report);
    // many:layers has no other name.
    report.check(&format!("{name}: docker tag over another image's name"), || {
        run(docker.docker(["tag", readers::RUNNABLE, "many:layers"]))
    });
    if !loaded {
        return Ok(());
    }
    let mut source = Source { name: name.clone(), root: root.clone(), ..Source::default() };
    if store == ImageStore::Containerd {
        let stored = content::stored(&docker.containerd(), &root.join("containerd/daemon"))?;
        report.check(&format!("{name}: docker images --digests"), || digests(&docker, &stored));
        describe(&mut source, &stored);
    } else {
        source.images = docker.images()?;
        let all = text(docker.docker(["images", "--all", "--quiet", "--no-trunc"]))?;
        let listed = |id: &String| source.images.iter().any(|image| image.id == *id);
        source.hidden = all.lines().map(hex).filter(|id| !listed(id)).collect::<BTreeSet<_>>();
    }
    let live = live(round, &source, &home, report);
    docker.stop()?;
    // With a graph driver, this machine's Docker is tried.
    if store == ImageStore::Containerd {
        push(round, &source, &home, Some(store), report)?;
    }
    round.checks.check(&source, live.as_deref(), report)
}

/// containerd: imports, pulls, moves names.
pub(super) fn containerd(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd", round.suite.name());
    let home = round.checks.scratch.folder("s-ctr")?;
    let containerd = Containerd::start_in(&round.place, &home);
    let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
    let loaded = report.check(&format!("{name}: ctr images import"), || {
        for archive in [&round.material.plain, &round.material.packed] {
            run(containerd.command(["images", "import", "--digests"]).arg(&archive.path))?;
        }
        same(&round.material.images(), &containerd.images()?, Alike::default())
    });
    pull(&name, round, |image| containerd.command(["images", "pull", "--plain-http", image]), report);
    let [to, from] = ["docker.io/library/many:layers", "docker.io/interop/runs:1"];
    report.check(&format!("{name}: ctr images tag over another image's name"), || {
        run(containerd.command(["images", "tag", "--force", from, to]))
    });
    if !loaded {
        return Ok(());
    }
    let root = home.join("root");
    let mut source = Source { name, root: root.clone(), ..Source::default() };
    describe(&mut source, &content::stored(&containerd, &root)?);
    let live = live(round, &source, &home, report);
    containerd.stop()?;
    push(round, &source, &home, None, report)?;
    source.compress = true;
    round.checks.check(&source, live.as_deref(), report)
}

/// Pushes what the store has; a new Docker with the given store pulls some of it.
fn push(
    round: &Round<'_>,
    source: &Source,
    home: &Path,
    docker: Option<ImageStore<'_>>,
    report: &mut Report,
) -> Outcome {
    let Some(registry) = &round.material.registry else { return Ok(()) };
    let (to, home) = (Access::open(registry.address()), home.join("g"));
    fs::create_dir_all(&home)?;
    let (Source { name, root, images, .. }, place) = (source, &round.place);
    let pushed = Pushed { name, root, images, to: &to, home: &home, place, keeps_manifests: true };
    pushed.check(&round.checks, docker, report)
}

/// Loads all archives, and compares.
fn load(round: &Round<'_>, docker: &Docker, store: ImageStore<'_>) -> Outcome {
    for archive in [&round.material.plain, &round.material.packed] {
        run(docker.docker(["load", "--input"]).arg(&archive.path))?;
    }
    let loaded = match store {
        ImageStore::Driver(_) => docker.images()?,
        ImageStore::Containerd => docker.containerd().images()?,
    };
    same(&round.material.images(), &loaded, Alike::default())
}

/// Builds with BuildKit. `attests` is whether this store takes attestations.
fn buildx(name: &str, docker: &Docker, context: &Path, attests: bool, report: &mut Report) {
    let name = format!("{name}: docker buildx build");
    if let Err(error) = run(docker.docker(["buildx", "version"])) {
        report.not_run(&name, &error.to_string());
        return;
    }
    report.check(&name, || {
        for (tag, attest) in [("interop/kit:plain", "false"), ("interop/kit:attested", "true")] {
            if attest == "true" && !attests {
                continue;
            }
            let mut build = docker.docker(["buildx", "build", "--quiet", "--network=none", "--tag", tag]);
            // The label makes each an image of its own.
            build.arg(format!("--label=of={tag}")).arg(format!("--provenance={attest}"));
            run(build.arg(context))?;
        }
        Ok(())
    });
}

/// Pulls this machine's platform of the image in the registry.
fn pull(name: &str, round: &Round<'_>, command: impl Fn(&str) -> Command, report: &mut Report) {
    let name = format!("{name}: pull of one platform of two");
    match &round.material.pulled {
        Some(image) => drop(report.check(&name, || run(command(image)))),
        None => report.not_run(&name, "docker-registry is not installed"),
    }
}

/// Says what layerlift must find in a containerd.
fn describe(source: &mut Source, stored: &[Stored]) {
    source.images = stored.iter().map(|one| one.image.clone()).collect();
    source.listed = stored.iter().map(|one| (one.image.id.clone(), hex(&one.manifest))).collect();
    source.manifests = stored.iter().map(|one| one.manifest.clone()).collect();
    source.keeps_manifests = true;
}

/// Every tag and digest that Docker shows must be one of an image that was read from its store.
fn digests(docker: &Docker, stored: &[Stored]) -> Outcome {
    let format = "{{.Repository}}:{{.Tag}} {{.Digest}}";
    let listed = text(docker.docker(["images", "--digests", "--no-trunc", "--format", format]))?;
    for line in listed.lines().filter(|line| !line.contains("<none>")) {
        let (tag, digest) = line.split_once(' ').ok_or_else(|| format!("unexpected: {line}"))?;
        let one = stored.iter().find(|one| one.image.tags.contains(tag));
        let one = one.ok_or_else(|| format!("{tag} was not found in the store"))?;
        if one.target != digest {
            return Err(format!("{tag} is {digest}, in the store {}", one.target).into());
        }
    }
    Ok(())
}

/// Saves everything while the engine runs. Returns the archive.
fn live(round: &Round<'_>, source: &Source, home: &Path, report: &mut Report) -> Option<PathBuf> {
    let live = home.join("live.tar");
    let name = format!("{}: layerlift save while the engine runs: no lock, no change", source.name);
    let passed = report.check(&name, || {
        beside::save(&mut round.checks.save(&source.root, Shape::PLAIN[0]), &source.root, &live)
    });
    passed.then_some(live)
}

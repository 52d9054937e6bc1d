//! Parts of images, with and without the layers that they leave out, and what `layerlift check` says of them
//! in advance.
//!
//! The rules: an engine runs an image if and only if the check finds all that it needs; and the engine's own
//! save of it is complete if and only if the check says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Round;
use super::layout::{Layout, Packing};
use super::material::{file, program_layer};
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::process::{output, program, run, text};
use crate::engines::registry::Registry;
use crate::interop::images::architecture;
use crate::interop::report::Report;

const BASE: &str = "interop/base:1";
const APP: &str = "interop/app:1";

/// How the layers of a base or of a part are packed.
const PACKINGS: [(&str, Packing); 3] =
    [("none", Packing::Tar), ("gzip", Packing::Gzip), ("zstd", Packing::Zstd)];

/// Archives of the base, parts without it, and names of the base in a registry.
pub(super) struct Parts {
    /// By their packing.
    bases: Vec<(&'static str, PathBuf)>,
    parts: Vec<(&'static str, PathBuf)>,
    pulled: Vec<(&'static str, String)>,
    _registry: Option<Registry>,
}

/// Where a base comes from.
enum Base<'p> {
    None,
    Loaded(&'static str, &'p Path),
    Pulled(&'static str, &'p str),
}

/// An engine on an empty store.
trait Engine {
    fn root(&self) -> PathBuf;
    fn clear(&self) -> Outcome;
    fn load(&self, archive: &Path) -> Command;
    fn pull(&self, name: &str) -> Command;
    /// A command that succeeds only if the image can be used.
    fn run(&self) -> Command;
    fn save(&self, archive: &Path) -> Command;
    /// Whether it is asked for what it has loaded by this name in its archives.
    fn saved_name(&self) -> &'static str {
        APP
    }
}

/// What happened, or what is expected to happen.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    runs: bool,
    saves: bool,
}

impl Parts {
    /// Makes them with layerlift.
    pub(super) fn make(folder: &Path, root: &Path, layerlift: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let registry = Registry::start(&folder.join("registry")).ok();
        let mut parts = Parts { bases: Vec::new(), parts: Vec::new(), pulled: Vec::new(), _registry: None };
        let binary = program_layer(&fs::read(root.join("usr/bin/busybox"))?);
        let (one, two) = (file("one"), file("two"));
        for (name, packing) in PACKINGS {
            let path = folder.join(name);
            let mut layout = Layout::new(&path)?;
            let base = [(&*binary, packing), (&*one, packing)];
            layout.image(architecture(), &base, &[BASE])?;
            layout.image(architecture(), &[base[0], base[1], (&two, packing)], &[APP])?;
            layout.finish()?;
            let save = |image: &str, more: &[&str], output: &Path| {
                let mut save = program(layerlift, ["save", "--quiet", "--root"]);
                run(save.arg(&path).arg(image).args(more).args(["--compress", name, "-o"]).arg(output))
            };
            let of_base = folder.join(format!("base-{name}.tar"));
            let part = folder.join(format!("part-{name}.tar"));
            save(BASE, &[], &of_base)?;
            save(APP, &["--exclude", BASE], &part)?;
            if let Some(registry) = registry.as_ref().filter(|_| name != "none") {
                let pulled = format!("{}/interop/base:{name}", registry.address());
                let copy = ["copy", "--quiet", "--preserve-digests", "--insecure-policy"];
                // By itself, so that skopeo need not choose.
                let alone = folder.join(format!("base-{name}"));
                let mut layout = Layout::new(&alone)?;
                layout.image(architecture(), &base, &[BASE])?;
                layout.finish()?;
                let from = format!("oci:{}", alone.display());
                let mut copy = program("skopeo", copy);
                run(copy.arg("--dest-tls-verify=false").args([from, format!("docker://{pulled}")]))?;
                parts.pulled.push((name, pulled));
            }
            parts.bases.push((name, of_base));
            parts.parts.push((name, part));
        }
        Ok(Parts { _registry: registry, ..parts })
    }

    fn bases(&self) -> Vec<Base<'_>> {
        let loaded = self.bases.iter().map(|(name, path)| Base::Loaded(name, path));
        let pulled = self.pulled.iter().map(|(name, image)| Base::Pulled(name, image));
        std::iter::once(Base::None).chain(loaded).chain(pulled).collect()
    }
}

impl Base<'_> {
    fn words(&self) -> String {
        match self {
            Base::None => "without the base".to_owned(),
            Base::Loaded(packing, _) => format!("base loaded ({packing})"),
            Base::Pulled(packing, _) => format!("base pulled ({packing})"),
        }
    }
}

/// Docker with one of its image stores.
pub(super) fn docker(
    round: &Round<'_>,
    store: ImageStore<'_>,
    parts: &Parts,
    report: &mut Report,
) -> Outcome {
    let (name, folder) = match store {
        ImageStore::Driver(driver) => (format!("Docker, {driver}"), "p-graph"),
        ImageStore::Containerd => ("Docker, containerd".to_owned(), "p-c8d"),
    };
    let home = round.checks.scratch.folder(folder)?;
    let root = home.join("root");
    match Docker::start_in(&round.place, &home, &root, store) {
        Ok(docker) => {
            every_case(
                &format!("{}: {name}", round.suite.name()),
                round,
                &OnDocker { docker: &docker, root },
                parts,
                report,
            );
            docker.stop()
        }
        Err(error) => {
            report.not_run(&format!("{}: {name}: parts", round.suite.name()), &error.to_string());
            Ok(())
        }
    }
}

/// containerd by itself.
pub(super) fn containerd(round: &Round<'_>, parts: &Parts, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd", round.suite.name());
    let home = round.checks.scratch.folder("p-ctr")?;
    match Containerd::start_in(&round.place, &home) {
        Ok(containerd) => {
            every_case(
                &name,
                round,
                &OnContainerd { containerd: &containerd, root: home.join("root") },
                parts,
                report,
            );
            containerd.stop()
        }
        Err(error) => {
            report.not_run(&format!("{name}: parts"), &error.to_string());
            Ok(())
        }
    }
}

/// Podman.
pub(super) fn podman(round: &Round<'_>, parts: &Parts, report: &mut Report) -> Outcome {
    let home = round.checks.scratch.folder("p-pod")?;
    let storage = Storage::new(&home, "vfs", None)?.at(&round.place);
    every_case(&format!("{}: Podman", round.suite.name()), round, &OnPodman(&storage), parts, report);
    Ok(())
}

/// Each base with each part.
fn every_case(name: &str, round: &Round<'_>, engine: &dyn Engine, parts: &Parts, report: &mut Report) {
    for base in parts.bases() {
        for (packing, part) in &parts.parts {
            let case = format!("{name}: part ({packing}), {}", base.words());
            report.check(&case, || one(round, engine, &base, part));
        }
    }
}

fn one(round: &Round<'_>, engine: &dyn Engine, base: &Base<'_>, part: &Path) -> Outcome {
    engine.clear()?;
    match base {
        Base::None => {}
        Base::Loaded(_, path) => run(engine.load(path))?,
        Base::Pulled(_, name) => run(engine.pull(name))?,
    }
    let layerlift = round.checks.layerlift;
    let mut check = program(layerlift, ["check", "--json"]);
    let said = output(check.arg(part).arg("--root").arg(engine.root()))?;
    let said: Value = serde_json::from_slice(&said.stdout)?;
    let expected = Fate { runs: said["complete"] == true, saves: said["saves"] == true };
    let loaded = output(engine.load(part))?;
    let runs = loaded.status.success() && output(engine.run())?.status.success();
    let saved = round.checks.scratch.path().join("p-saved.tar");
    let _ = fs::remove_file(&saved);
    let saves = output(engine.save(&saved))?.status.success() && {
        let mut verify = program(layerlift, ["verify", "--root"]);
        output(verify.arg(&saved).arg(engine.saved_name()))?.status.success()
    };
    let found = Fate { runs, saves: runs && saves };
    if found != expected {
        let words = String::from_utf8_lossy(&loaded.stderr);
        return Err(format!("the check said {expected:?}, found {found:?}: {}", words.trim()).into());
    }
    Ok(())
}

struct OnDocker<'d> {
    docker: &'d Docker,
    root: PathBuf,
}

impl Engine for OnDocker<'_> {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn clear(&self) -> Outcome {
        self.docker.clear()
    }

    fn load(&self, archive: &Path) -> Command {
        let mut load = self.docker.docker(["load", "--input"]);
        load.arg(archive);
        load
    }

    fn pull(&self, name: &str) -> Command {
        self.docker.docker(["pull", "--quiet", name])
    }

    fn run(&self) -> Command {
        self.docker.docker(["run", "--rm", "--network", "none", APP, "/bin/echo", "it runs"])
    }

    fn save(&self, archive: &Path) -> Command {
        let mut save = self.docker.docker(["save", APP, "--output"]);
        save.arg(archive);
        save
    }
}

struct OnContainerd<'c> {
    containerd: &'c Containerd,
    root: PathBuf,
}

impl Engine for OnContainerd<'_> {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn clear(&self) -> Outcome {
        let listed = text(self.containerd.command(["images", "ls", "--quiet"]))?;
        let names: Vec<&str> = listed.lines().collect();
        match names.is_empty() {
            true => Ok(()),
            false => run(self.containerd.command(["images", "rm", "--sync"].into_iter().chain(names))),
        }
    }

    fn load(&self, archive: &Path) -> Command {
        let mut load = self.containerd.command(["images", "import"]);
        load.arg(archive);
        load
    }

    fn pull(&self, name: &str) -> Command {
        self.containerd.command(["images", "pull", "--plain-http", name])
    }

    fn run(&self) -> Command {
        self.containerd.command(["run", "--rm", "docker.io/interop/app:1", "part", "/bin/echo", "it runs"])
    }

    fn save(&self, archive: &Path) -> Command {
        let mut save = self.containerd.command(["images", "export"]);
        save.arg(archive).arg("docker.io/interop/app:1");
        save
    }
}

struct OnPodman<'s>(&'s Storage);

impl Engine for OnPodman<'_> {
    fn root(&self) -> PathBuf {
        self.0.root()
    }

    fn clear(&self) -> Outcome {
        // It remembers which blobs have the same tar, also of images that it has no longer.
        let mut forget = self.0.owners_program("rm");
        for kind in ["sqlite", "boltdb"] {
            forget.arg(format!("/var/lib/containers/cache/blob-info-cache-v1.{kind}"));
        }
        run(forget.arg("--force"))?;
        self.0.clear()
    }

    fn load(&self, archive: &Path) -> Command {
        let mut load = self.0.podman(["load", "--quiet", "--input"]);
        load.arg(archive);
        load
    }

    fn pull(&self, name: &str) -> Command {
        self.0.podman(["pull", "--quiet", "--tls-verify=false", name])
    }

    fn run(&self) -> Command {
        self.0.podman(["image", "inspect", APP])
    }

    fn save(&self, archive: &Path) -> Command {
        let mut save = self.0.podman(["save", "--quiet", APP, "--output"]);
        save.arg(archive);
        save
    }
}

//! Parts of images, with and without the layers that they leave out, and what `layerlift check` says of them
//! in advance.
//!
//! The rules: an engine runs an image if and only if the check finds all that it needs; and the engine's own
//! save of it is complete if and only if the check says so.

mod engines;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use super::layout::{Layout, Packing};
use super::material::{file, program_layer};
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::Image;
use crate::engines::place::Place;
use crate::engines::process::{output, program, run};
use crate::engines::registry::Registry;
use crate::interop::images::architecture;
use crate::interop::readers::Reader;
use crate::interop::report::Report;
use crate::interop::source::Checks;
use engines::{OnContainerd, OnDocker, OnPodman};

const BASE: &str = "interop/base:1";
const APP: &str = "interop/app:1";

/// How the layers of a base or of a part are packed.
const PACKINGS: [(&str, Packing); 3] =
    [("none", Packing::Tar), ("gzip", Packing::Gzip), ("zstd", Packing::Zstd)];

/// Engines that are installed together, and what they are checked with.
pub(in crate::interop) struct Installed<'a> {
    pub(in crate::interop) name: &'a str,
    pub(in crate::interop) place: &'a Place,
    pub(in crate::interop) checks: &'a Checks<'a>,
}

/// Archives of the base, parts without it, and names of the base in a registry.
pub(in crate::interop) struct Parts {
    /// By their packing.
    bases: Vec<(&'static str, PathBuf)>,
    parts: Vec<(&'static str, PathBuf)>,
    pulled: Vec<(&'static str, String)>,
    /// The image whose parts are tried.
    app: Image,
    /// A part of two images.
    several: PathBuf,
    _registry: Option<Registry>,
}

/// Where a base comes from.
enum Base<'p> {
    None,
    Loaded(&'static str, &'p Path),
    Pulled(&'static str, &'p str),
}

/// An engine on a store of its own.
trait Engine {
    fn root(&self) -> PathBuf;
    /// Removes all images.
    fn clear(&self) -> Outcome;
    fn load(&self, archive: &Path) -> Command;
    fn pull(&self, name: &str) -> Command;
    /// A command that succeeds only if the image can be used.
    fn run(&self) -> Command;
    fn save(&self, archive: &Path) -> Command;
    /// Removes the image of the parts.
    fn remove(&self) -> Command;
    fn images(&self) -> Outcome<Vec<Image>>;
    /// What happens to a part on top of a base with other blobs. Parts with the same blobs are complete, and
    /// those without a base do not run. The table of `docs/guides/partial.md` says it to users.
    fn with_other_blobs(&self, part: &str) -> Fate;
    /// Why it cannot read layers that are packed so.
    fn obstacle(&self, _packing: &str) -> Option<&'static str> {
        None
    }
}

/// What happened, or what is expected to happen.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    runs: bool,
    saves: bool,
}

impl Parts {
    /// Makes them with layerlift. `tool` is a static program that succeeds without arguments.
    pub(in crate::interop) fn make(folder: &Path, tool: &Path, layerlift: &Path) -> Outcome<Self> {
        fs::create_dir_all(folder)?;
        let registry = Registry::start(&folder.join("registry")).ok();
        let (mut bases, mut parts, mut pulled) = (Vec::new(), Vec::new(), Vec::new());
        let mut app = None;
        let binary = program_layer(&fs::read(tool)?);
        let (one, two) = (file("one"), file("two"));
        for (name, packing) in PACKINGS {
            let path = folder.join(name);
            let mut layout = Layout::new(&path)?;
            let base = [(&*binary, packing), (&*one, packing)];
            layout.image(architecture(), &base, &[BASE])?;
            layout.image(architecture(), &[base[0], base[1], (&two, packing)], &[APP])?;
            layout.finish()?;
            app = layout.images.pop();
            let save = |image: &str, more: &[&str], output: &Path| {
                let mut save = program(layerlift, ["save", "--quiet", "--root"]);
                run(save.arg(&path).arg(image).args(more).args(["--compress", name, "-o"]).arg(output))
            };
            let of_base = folder.join(format!("base-{name}.tar"));
            let part = folder.join(format!("part-{name}.tar"));
            save(BASE, &[], &of_base)?;
            save(APP, &["--exclude", BASE], &part)?;
            if let Some(registry) = registry.as_ref().filter(|_| name != "none") {
                let there = format!("{}/interop/base:{name}", registry.address());
                let copy = ["copy", "--quiet", "--preserve-digests", "--insecure-policy"];
                // By itself, so that skopeo need not choose.
                let alone = folder.join(format!("base-{name}"));
                let mut layout = Layout::new(&alone)?;
                layout.image(architecture(), &base, &[BASE])?;
                layout.finish()?;
                let from = format!("oci:{}", alone.display());
                let mut copy = program("skopeo", copy);
                run(copy.arg("--dest-tls-verify=false").args([from, format!("docker://{there}")]))?;
                pulled.push((name, there));
            }
            bases.push((name, of_base));
            parts.push((name, part));
        }
        let app = app.ok_or("there is nothing to pack")?;
        let several = folder.join("several.tar");
        let mut save = program(layerlift, ["save", "--all", "--exclude", BASE, "--root"]);
        save.arg(folder.join(PACKINGS[0].0)).arg("-o").arg(&several);
        warned(&output(save)?, "Podman refuses")?;
        Ok(Parts { bases, parts, pulled, app, several, _registry: registry })
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

    fn packing(&self) -> Option<&'static str> {
        match self {
            Base::None => None,
            Base::Loaded(packing, _) | Base::Pulled(packing, _) => Some(packing),
        }
    }
}

/// Docker with one of its image stores.
pub(in crate::interop) fn docker(
    here: &Installed<'_>,
    store: ImageStore<'_>,
    parts: &Parts,
    report: &mut Report,
) -> Outcome {
    let (name, folder) = match store {
        ImageStore::Driver(driver) => (format!("{}: Docker, {driver}", here.name), "p-graph"),
        ImageStore::Containerd => (format!("{}: Docker, containerd", here.name), "p-c8d"),
    };
    let home = here.checks.scratch.folder(folder)?;
    let root = home.join("root");
    let started = Docker::start_in(here.place, &home, &root, store);
    let Some(docker) = report.started(&format!("{name}: parts"), started) else { return Ok(()) };
    let zstd = Reader::Docker.supports_zstd(here.place);
    every_case(&name, here, &OnDocker { docker: &docker, store, root, zstd }, parts, report);
    docker.stop()
}

/// containerd by itself.
pub(in crate::interop) fn containerd(here: &Installed<'_>, parts: &Parts, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd", here.name);
    let home = here.checks.scratch.folder("p-ctr")?;
    let started = Containerd::start_in(here.place, &home);
    let Some(containerd) = report.started(&format!("{name}: parts"), started) else { return Ok(()) };
    let engine = OnContainerd { containerd: &containerd, root: home.join("root") };
    every_case(&name, here, &engine, parts, report);
    containerd.stop()
}

/// Podman.
pub(in crate::interop) fn podman(here: &Installed<'_>, parts: &Parts, report: &mut Report) -> Outcome {
    let home = here.checks.scratch.folder("p-pod")?;
    let storage = Storage::new(&home, "vfs", None)?.at(here.place);
    let name = format!("{}: Podman", here.name);
    every_case(&name, here, &OnPodman(&storage), parts, report);
    report.check(&format!("{name}: a part of two images is refused"), || {
        storage.clear()?;
        run(storage.podman(["load", "--quiet", "--input"]).arg(&parts.bases[0].1))?;
        let mut check = program(here.checks.layerlift, ["check", "--json", "--root"]);
        let said: Value =
            serde_json::from_slice(&output(check.arg(storage.root()).arg(&parts.several))?.stdout)?;
        if said["complete"] != false || said["refused"].is_null() {
            return Err(format!("the check says {said}").into());
        }
        match run(storage.podman(["load", "--quiet", "--input"]).arg(&parts.several)) {
            Ok(()) => Err("it was loaded".into()),
            Err(_) => Ok(()),
        }
    });
    Ok(())
}

/// Whether a command of layerlift succeeded and has warned of something.
fn warned(done: &Output, of: &str) -> Outcome {
    let said = String::from_utf8_lossy(&done.stderr);
    match done.status.success() && said.contains(of) {
        true => Ok(()),
        false => Err(format!("{}, and no warning that {of}: {}", done.status, said.trim()).into()),
    }
}

/// Each base with each part. A base stays while one part after the other is loaded and removed.
fn every_case(name: &str, here: &Installed<'_>, engine: &dyn Engine, parts: &Parts, report: &mut Report) {
    for base in parts.bases() {
        let name = format!("{name}: {}", base.words());
        if let Some(why) = base.packing().and_then(|packing| engine.obstacle(packing)) {
            report.not_run(&name, why);
            continue;
        }
        let brought = report.check(&name, || {
            engine.clear()?;
            match base {
                Base::None => Ok(()),
                Base::Loaded(_, path) => run(engine.load(path)),
                Base::Pulled(_, name) => run(engine.pull(name)),
            }
        });
        for (packing, part) in parts.parts.iter().filter(|_| brought) {
            let case = format!("{name}, part ({packing})");
            match engine.obstacle(packing) {
                Some(why) => report.not_run(&case, why),
                None => {
                    let fate = match base.packing() {
                        None => Fate { runs: false, saves: false },
                        Some(same) if same == *packing => Fate { runs: true, saves: true },
                        Some(_) => engine.with_other_blobs(packing),
                    };
                    report.check(&case, || one(here, engine, part, &parts.app, &fate));
                }
            }
        }
    }
}

fn one(here: &Installed<'_>, engine: &dyn Engine, part: &Path, app: &Image, documented: &Fate) -> Outcome {
    let layerlift = here.checks.layerlift;
    let mut check = program(layerlift, ["check", "--json"]);
    let said = output(check.arg(part).arg("--root").arg(engine.root()))?;
    let said: Value = serde_json::from_slice(&said.stdout)?;
    let expected = Fate { runs: said["complete"] == true, saves: said["saves"] == true };
    let loaded = output(engine.load(part))?;
    let runs = loaded.status.success() && output(engine.run())?.status.success();
    let saved = here.checks.scratch.path().join("p-saved.tar");
    let _ = fs::remove_file(&saved);
    let saves = output(engine.save(&saved))?.status.success() && {
        let mut verify = program(layerlift, ["verify", "--root"]);
        output(verify.arg(&saved).arg(APP))?.status.success()
    };
    let found = Fate { runs, saves: runs && saves };
    let images = if runs { engine.images()? } else { Vec::new() };
    // Without the base there may be nothing to remove.
    let removed = output(engine.remove())?;
    if found != expected {
        let words = String::from_utf8_lossy(&loaded.stderr);
        return Err(format!("the check said {expected:?}, found {found:?}: {}", words.trim()).into());
    }
    if found != *documented {
        return Err(format!("the guide says {documented:?}, found {found:?}").into());
    }
    if runs && !images.contains(app) {
        return Err(format!("{app:?} is not among {images:?}").into());
    }
    match runs && !removed.status.success() {
        true => Err(format!("not removed: {}", String::from_utf8_lossy(&removed.stderr).trim()).into()),
        false => Ok(()),
    }
}

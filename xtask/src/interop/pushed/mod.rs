//! A store's images in a registry: pushed, looked at, and pulled by the engines.

mod access;
mod faults;
mod killed;
mod locked;
mod mounted;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::archive;
use super::report::Report;
use super::source::Checks;
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::{Image, hex, sha256};
use crate::engines::place::Place;
use crate::engines::process::{bytes, installed, output, program, run, text};

pub(crate) use access::Access;

/// Where the images go.
const PREFIX: &str = "pushed";

/// How many images are pulled where not all are.
const FEW: usize = 3;

/// A store whose engine is stopped.
pub(super) struct Pushed<'a> {
    /// Its name in the report.
    pub(super) name: &'a str,
    pub(super) root: &'a Path,
    pub(super) images: &'a [Image],
    pub(super) to: &'a Access,
    pub(super) home: &'a Path,
    /// Whose engines pull.
    pub(super) place: &'a Place,
    /// Whether the store has manifests with their blobs, which go there as they are.
    pub(super) keeps_manifests: bool,
}

/// An image, its name in the store, and its name in the registry.
type Named<'a> = (&'a Image, &'a str, String);

impl Pushed<'_> {
    /// The images with names, and what they are called in the registry, below `prefix`.
    fn named(&self, prefix: &str) -> Vec<Named<'_>> {
        let mut named = Vec::new();
        for image in self.images {
            for tag in image.tags.iter().map(String::as_str) {
                let (first, rest) = tag.split_once('/').unwrap_or(("", tag));
                let path = if first.contains(['.', ':']) { rest } else { tag };
                named.push((image, tag, format!("{}/{prefix}/{path}", self.to.address())));
            }
        }
        named
    }

    /// A push of images to a place.
    fn push<'n>(
        &self,
        checks: &Checks<'_>,
        names: impl IntoIterator<Item = &'n str>,
        place: &str,
        more: &[&str],
    ) -> Command {
        let mut command = program(checks.layerlift, ["push", "--root"]);
        command.arg(self.root).args(more).args(names).arg(format!("docker://{place}"));
        self.to.layerlift(&mut command);
        command
    }

    /// A push of all images.
    fn push_all(&self, checks: &Checks<'_>, prefix: &str, more: &[&str]) -> Command {
        let named = self.named(prefix);
        let place = format!("{}/{prefix}/", self.to.address());
        self.push(checks, named.iter().map(|(_, tag, _)| *tag), &place, more)
    }

    /// Everything: several logins, proxies and ways to end, and pulls of all images.
    pub(super) fn check_all(&self, checks: &Checks<'_>, report: &mut Report) -> Outcome {
        let Pushed { name, home, .. } = self;
        if !self.check_pushed(checks, report) {
            return Ok(());
        }
        if installed("skopeo") {
            report.check(&format!("{name}: skopeo copy of what was pushed"), || self.copied(PREFIX));
            killed::check(self, checks, report);
            faults::check(self, checks, report);
        }
        let (daemon, root) = (home.join("puller"), home.join("pulled"));
        fs::create_dir_all(&root)?;
        let docker = Docker::start_in(self.place, &daemon, &root, ImageStore::Driver("vfs"));
        if let Some(docker) = report.started(&format!("{name}: docker pull"), docker) {
            report.check(&format!("{name}: docker pull of what was pushed"), || {
                self.docker(&docker, usize::MAX)
            });
            locked::check(self, checks, &docker, report)?;
            docker.stop()?;
            if installed("skopeo") {
                report
                    .check(&format!("{name}: a push of what Docker pulled compresses nothing again"), || {
                        self.remembered(checks, &root)
                    });
            }
        }
        self.check_podman(usize::MAX, report)?;
        self.check_ctr(checks, report)
    }

    /// That images get there as they are, and that engines of the place pull some of them: Docker with this
    /// store, Podman, containerd.
    pub(super) fn check(
        &self,
        checks: &Checks<'_>,
        docker: Option<ImageStore<'_>>,
        report: &mut Report,
    ) -> Outcome {
        if !self.check_pushed(checks, report) {
            return Ok(());
        }
        if let Some(store) = docker {
            let (daemon, root) = (self.home.join("d"), self.home.join("r"));
            fs::create_dir_all(&root)?;
            let name = format!("{}: docker pull of what was pushed", self.name);
            let docker = Docker::start_in(self.place, &daemon, &root, store);
            if let Some(docker) = report.started(&name, docker) {
                report.check(&name, || match store {
                    ImageStore::Driver(_) => self.docker(&docker, FEW),
                    ImageStore::Containerd => self.docker_of_containerd(&docker, FEW),
                });
                docker.stop()?;
            }
        }
        self.check_podman(FEW, report)?;
        self.check_ctr(checks, report)
    }

    fn check_pushed(&self, checks: &Checks<'_>, report: &mut Report) -> bool {
        let name = self.name;
        let pushed = report
            .check(&format!("{name}: layerlift push"), || run(self.push_all(checks, PREFIX, &["--quiet"])));
        if !pushed {
            return false;
        }
        report.check(&format!("{name}: a second push sends nothing"), || self.again(checks));
        if installed("skopeo") {
            report.check(&format!("{name}: skopeo inspect, manifests as in an archive"), || {
                self.inspected(checks)
            });
        } else {
            report.not_run(&format!("{name}: skopeo and what was pushed"), "skopeo is not installed");
        }
        true
    }

    fn again(&self, checks: &Checks<'_>) -> Outcome {
        let said = output(self.push_all(checks, PREFIX, &["--progress=json"]))?;
        let events = String::from_utf8_lossy(&said.stderr).into_owned();
        match said.status.success() && !events.contains("\"outcome\":\"pushed\"") {
            true => Ok(()),
            false => Err(events.into()),
        }
    }

    /// Each name leads to the manifest that an OCI archive has, but for layers that the engine itself has
    /// pushed to the registry: those keep the blobs that it made of them.
    fn inspected(&self, checks: &Checks<'_>) -> Outcome {
        let folder = self.home.join("archive");
        let mut save = program(checks.layerlift, ["save", "--quiet", "--format=oci-archive"]);
        save.args((!self.keeps_manifests).then_some("--compress=gzip"));
        save.arg("--root").arg(self.root).args(self.named("").iter().map(|(_, tag, _)| *tag));
        run(save.arg("--output").arg(format!("{}/", folder.display())))?;
        let archived = archive::manifest_digests(&folder)?;
        let recorded = self.recorded()?;
        for (_, _, reference) in self.named(PREFIX) {
            let digest = self.manifest(&reference)?;
            if archived.iter().any(|one| hex(one) == digest) {
                continue;
            }
            let manifest: Value = serde_json::from_slice(&fs::read(self.home.join("raw"))?)?;
            let blobs = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
            for digest in blobs.map(|blob| blob["digest"].as_str().unwrap_or_default()) {
                let is_archived = folder.join("blobs").join(digest.replace(':', "/")).exists();
                if !is_archived && !recorded.contains(digest) {
                    return Err(format!("{reference} has {digest}, which the archive does not have").into());
                }
            }
        }
        fs::remove_dir_all(&folder).map_err(Into::into)
    }

    /// What Docker's records say of blobs in registries.
    fn recorded(&self) -> Outcome<String> {
        let mut all = String::new();
        for driver in fs::read_dir(self.root.join("image")).into_iter().flatten() {
            let records = driver?.path().join("distribution/v2metadata-by-diffid/sha256");
            for record in fs::read_dir(records).into_iter().flatten() {
                all.push_str(&fs::read_to_string(record?.path())?);
            }
        }
        Ok(all)
    }

    /// The digest of the manifest that a name leads to.
    fn manifest(&self, reference: &str) -> Outcome<String> {
        let raw = self.home.join("raw");
        let mut inspect = program("skopeo", ["inspect", "--raw"]);
        self.to.containers("", &mut inspect);
        fs::write(&raw, bytes(inspect.arg(format!("docker://{reference}")))?)?;
        sha256(&raw)
    }

    /// Pushes what an engine pulled into `root` to other repositories. Layers that were compressed again, at
    /// another level, would have other digests.
    fn remembered(&self, checks: &Checks<'_>, root: &Path) -> Outcome {
        let pulled = Pushed { root, ..*self };
        for (at, (_, _, reference)) in self.named(PREFIX).iter().enumerate() {
            let to = format!("{}/again{at}:1", self.to.address());
            run(pulled.push(checks, [reference.as_str()], &to, &["--quiet", "--compress=gzip:1"]))?;
            if self.manifest(&to)? != self.manifest(reference)? {
                return Err(format!("{reference} has other layers when it is pushed to {to}").into());
            }
        }
        Ok(())
    }

    fn copied(&self, prefix: &str) -> Outcome {
        self.named(prefix).iter().try_for_each(|(image, _, reference)| self.copy(image, reference))
    }

    /// Copies an image from the registry, with all its blobs.
    fn copy(&self, image: &Image, reference: &str) -> Outcome {
        let folder = self.home.join("copy");
        let mut copy = program("skopeo", ["copy", "--quiet"]);
        self.to.containers("src-", &mut copy);
        run(copy.arg(format!("docker://{reference}")).arg(format!("dir:{}", folder.display())))?;
        let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
        same_id(manifest["config"]["digest"].as_str().unwrap_or_default(), image)?;
        fs::remove_dir_all(&folder).map_err(Into::into)
    }

    fn pulled(&self, at_most: usize, pull: impl Fn(&str, &Image) -> Outcome) -> Outcome {
        let named = self.named(PREFIX);
        named.iter().take(at_most).try_for_each(|(image, _, reference)| pull(reference, image))
    }

    fn docker(&self, docker: &Docker, at_most: usize) -> Outcome {
        self.to.docker(docker)?;
        self.pulled(at_most, |reference, image| {
            run(docker.docker(["pull", "--quiet", reference]))?;
            same_id(&text(docker.docker(["image", "inspect", "--format", "{{.Id}}", reference]))?, image)
        })
    }

    /// With containerd, Docker shows the digest of the manifest as the id.
    fn docker_of_containerd(&self, docker: &Docker, at_most: usize) -> Outcome {
        self.pulled(at_most, |reference, image| {
            run(docker.docker(["pull", "--quiet", reference]))?;
            found(&docker.containerd().images()?, reference, image)
        })
    }

    fn check_podman(&self, at_most: usize, report: &mut Report) -> Outcome {
        let name = format!("{}: podman pull of what was pushed", self.name);
        if !self.place.has("podman") {
            report.not_run(&name, "podman is not installed");
            return Ok(());
        }
        // Podman takes no runroot of more than 50 characters.
        let storage = Storage::new(&self.home.join("p"), "vfs", None)?.at(self.place);
        report.check(&name, || self.podman(&storage, at_most));
        Ok(())
    }

    fn podman(&self, storage: &Storage, at_most: usize) -> Outcome {
        self.pulled(at_most, |reference, image| {
            let mut pull = storage.podman(["pull", "--quiet"]);
            self.to.containers("", &mut pull);
            run(pull.arg(reference))?;
            same_id(&text(storage.podman(["image", "inspect", "--format", "{{.Id}}", reference]))?, image)
        })
    }

    /// A new containerd pulls; then what it pulled is pushed to another repository.
    fn check_ctr(&self, checks: &Checks<'_>, report: &mut Report) -> Outcome {
        let name = format!("{}: ctr images pull of what was pushed", self.name);
        let home = self.home.join("c");
        let containerd = Containerd::start_in(self.place, &home);
        let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
        let pulled = report.check(&name, || self.ctr(&containerd, FEW));
        containerd.stop()?;
        if pulled {
            let root = home.join("root");
            let of_containerd = Pushed { root: &root, keeps_manifests: true, ..*self };
            report.check(&format!("{}: what ctr pulled is mounted elsewhere", self.name), || {
                mounted::check(&of_containerd, checks)
            });
        }
        Ok(())
    }

    fn ctr(&self, containerd: &Containerd, at_most: usize) -> Outcome {
        self.pulled(at_most, |reference, image| {
            let mut pull = containerd.command(["images", "pull"]);
            self.to.ctr(&mut pull);
            run(pull.arg(reference))?;
            found(&containerd.images()?, reference, image)
        })
    }
}

/// Whether a list has an image under a name.
fn found(images: &[Image], reference: &str, image: &Image) -> Outcome {
    match images.iter().find(|one| one.tags.contains(reference)) {
        Some(found) => same_id(&found.id, image),
        None => Err(format!("ctr does not list {reference}").into()),
    }
}

fn same_id(found: &str, image: &Image) -> Outcome {
    match hex(found.trim()) == image.id {
        true => Ok(()),
        false => Err(format!("{} came out as {}", image.id, found.trim()).into()),
    }
}

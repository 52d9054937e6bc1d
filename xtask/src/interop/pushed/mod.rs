//! A store's images in a registry: pushed, looked at, and pulled by the engines.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use super::archive;
use super::report::Report;
use super::source::Checks;
use crate::Outcome;
use crate::engines::containers::Storage;
use crate::engines::docker::Docker;
use crate::engines::image::{Image, hex, sha256};
use crate::engines::process::{bytes, installed, output, program, run, text};
use crate::engines::registry::Registry;

/// A store whose engine is stopped.
pub(super) struct Pushed<'a> {
    /// Its name in the report.
    pub(super) name: &'a str,
    pub(super) root: &'a Path,
    pub(super) images: &'a [Image],
    pub(super) registry: &'a Registry,
    pub(super) home: &'a Path,
}

impl Pushed<'_> {
    /// The images with names, and what they are called in the registry, below `prefix`.
    fn named(&self, prefix: &str) -> Vec<(&Image, &str, String)> {
        let mut named = Vec::new();
        for image in self.images {
            for tag in image.tags.iter().map(String::as_str) {
                let (first, rest) = tag.split_once('/').unwrap_or(("", tag));
                let path = if first.contains(['.', ':']) { rest } else { tag };
                named.push((image, tag, format!("{}/{prefix}/{path}", self.registry.address())));
            }
        }
        named
    }

    fn push(&self, checks: &Checks<'_>, prefix: &str, more: &[&str]) -> std::process::Command {
        let mut command = program(checks.layerlift, ["push", "--root"]);
        command.arg(self.root).args(more);
        command.args(self.named(prefix).iter().map(|(_, tag, _)| *tag));
        command.arg(format!("docker://{}/{prefix}/", self.registry.address()));
        command
    }

    pub(super) fn check(&self, checks: &Checks<'_>, report: &mut Report) -> Outcome {
        let Pushed { name, home, .. } = self;
        if !report
            .check(&format!("{name}: layerlift push"), || run(self.push(checks, "pushed", &["--quiet"])))
        {
            return Ok(());
        }
        report.check(&format!("{name}: a second push sends nothing"), || self.again(checks));
        let has_skopeo = installed("skopeo");
        if has_skopeo {
            report.check(&format!("{name}: skopeo inspect, manifests as in an archive"), || {
                self.inspected(checks)
            });
            report.check(&format!("{name}: skopeo copy of what was pushed"), || self.copied("pushed"));
            report.check(&format!("{name}: pushes that are killed, and two at once"), || self.killed(checks));
        } else {
            report.not_run(&format!("{name}: skopeo and what was pushed"), "skopeo is not installed");
        }
        let (daemon, root) = (home.join("puller"), home.join("pulled"));
        fs::create_dir_all(&root)?;
        if let Some(docker) =
            report.started(&format!("{name}: docker pull"), Docker::start(&daemon, &root, "vfs"))
        {
            report.check(&format!("{name}: docker pull of what was pushed"), || {
                self.pulled(|reference, image| {
                    run(docker.docker(["pull", "--quiet", reference]))?;
                    same_id(
                        &text(docker.docker(["image", "inspect", "--format", "{{.Id}}", reference]))?,
                        image,
                    )
                })
            });
            docker.stop()?;
            if has_skopeo {
                report
                    .check(&format!("{name}: a push of what Docker pulled compresses nothing again"), || {
                        self.remembered(checks, &root)
                    });
            }
        }
        if installed("podman") {
            // Podman takes no runroot of more than 50 characters.
            let storage = Storage::new(&home.join("p"), "vfs", None)?;
            report.check(&format!("{name}: podman pull of what was pushed"), || {
                self.pulled(|reference, image| {
                    run(storage.podman(["pull", "--quiet", "--tls-verify=false", reference]))?;
                    same_id(
                        &text(storage.podman(["image", "inspect", "--format", "{{.Id}}", reference]))?,
                        image,
                    )
                })
            });
        } else {
            report.not_run(&format!("{name}: podman pull"), "podman is not installed");
        }
        Ok(())
    }

    fn again(&self, checks: &Checks<'_>) -> Outcome {
        let said = output(self.push(checks, "pushed", &["--progress=json"]))?;
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
        let mut save =
            program(checks.layerlift, ["save", "--quiet", "--format=oci-archive", "--compress=gzip"]);
        save.arg("--root").arg(self.root).args(self.named("").iter().map(|(_, tag, _)| *tag));
        run(save.arg("--output").arg(format!("{}/", folder.display())))?;
        let archived = archive::oci_manifest_digests(&folder)?;
        let recorded = self.recorded()?;
        for (_, _, reference) in self.named("pushed") {
            let digest = self.manifest(&reference)?;
            if archived.iter().any(|one| hex(one) == digest) {
                continue;
            }
            let manifest: serde_json::Value = serde_json::from_slice(&fs::read(self.home.join("raw"))?)?;
            let blobs = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
            for digest in blobs.map(|blob| blob["digest"].as_str().unwrap_or_default()) {
                let is_archived = folder.join("blobs").join(digest.replace(':', "/")).exists();
                if !is_archived && !recorded.contains(digest) {
                    return Err(format!("{reference} has {digest}, which the archive does not have").into());
                }
            }
        }
        Ok(())
    }

    /// What Docker's records say of blobs in registries.
    fn recorded(&self) -> Outcome<String> {
        let mut all = String::new();
        for driver in fs::read_dir(self.root.join("image"))? {
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
        let source = format!("docker://{reference}");
        fs::write(&raw, bytes(program("skopeo", ["inspect", "--tls-verify=false", "--raw", &source]))?)?;
        sha256(&raw)
    }

    /// Pushes what an engine pulled into `root` to other repositories. Layers that were compressed again, at
    /// another level, would have other digests.
    fn remembered(&self, checks: &Checks<'_>, root: &Path) -> Outcome {
        for (at, (_, _, reference)) in self.named("pushed").iter().enumerate() {
            let to = format!("{}/again{at}:1", self.registry.address());
            let mut push = program(checks.layerlift, ["push", "--quiet", "--compress=gzip:1", "--root"]);
            run(push.arg(root).args([reference, &format!("docker://{to}")]))?;
            if self.manifest(&to)? != self.manifest(reference)? {
                return Err(format!("{reference} has other layers when it is pushed to {to}").into());
            }
        }
        Ok(())
    }

    fn copied(&self, prefix: &str) -> Outcome {
        for (image, _, reference) in self.named(prefix) {
            let folder = self.home.join("copy");
            let (from, to) = (format!("docker://{reference}"), format!("dir:{}", folder.display()));
            run(program("skopeo", ["copy", "--quiet", "--src-tls-verify=false", &from, &to]))?;
            let manifest: serde_json::Value =
                serde_json::from_slice(&fs::read(folder.join("manifest.json"))?)?;
            same_id(manifest["config"]["digest"].as_str().unwrap_or_default(), image)?;
            fs::remove_dir_all(&folder)?;
        }
        Ok(())
    }

    fn pulled(&self, pull: impl Fn(&str, &Image) -> Outcome) -> Outcome {
        self.named("pushed").iter().try_for_each(|(image, _, reference)| pull(reference, image))
    }

    /// After a push that was killed anywhere, each name leads to a whole image, or does not exist.
    fn killed(&self, checks: &Checks<'_>) -> Outcome {
        for after in [5, 20, 60, 120, 250, 500] {
            let prefix = format!("killed{after}");
            let mut push = self.push(checks, &prefix, &["--quiet"]);
            let mut child = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            thread::sleep(Duration::from_millis(after));
            // One that had ended before is whole, too.
            let _ = child.kill();
            child.wait()?;
            for (_, _, reference) in self.named(&prefix) {
                let source = format!("docker://{reference}");
                let is_there =
                    output(program("skopeo", ["inspect", "--tls-verify=false", "--raw", &source]))?;
                if is_there.status.success() {
                    let to = format!("dir:{}", self.home.join("whole").display());
                    run(program("skopeo", ["copy", "--quiet", "--src-tls-verify=false", &source, &to]))?;
                }
            }
            let mut twice =
                [self.push(checks, &prefix, &["--quiet"]), self.push(checks, &prefix, &["--quiet"])];
            let started: Result<Vec<_>, _> = twice.iter_mut().map(|push| push.spawn()).collect();
            for mut child in started? {
                if !child.wait()?.success() {
                    return Err(format!("the push after one that was killed after {after} ms failed").into());
                }
            }
            self.copied(&prefix)?;
        }
        Ok(())
    }
}

fn same_id(found: &str, image: &Image) -> Outcome {
    match hex(found.trim()) == image.id {
        true => Ok(()),
        false => Err(format!("{} came out as {}", image.id, found.trim()).into()),
    }
}

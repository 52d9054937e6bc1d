//! Several platforms of an index, and an index that stays as it is though images of it are left out: as
//! containerd and Docker's containerd store take them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Round;
use super::content::{self, BLOBS};
use super::layout::{Layout, Packing};
use crate::Outcome;
use crate::engines::containerd::{Containerd, Ctr};
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::hex;
use crate::engines::process::{program, run};
use crate::engines::tarball::{Dialect, Tarball};
use crate::interop::images::architecture;
use crate::interop::report::Report;

const NAME: &str = "docker.io/interop/platforms:1";

/// An archive that was saved, and what must be in a store that has taken it.
struct Saved<'a> {
    how: &'a str,
    option: &'a str,
    /// Whether the images for other platforms are there, with all their blobs.
    whole: bool,
}

const SAVED: [Saved<'_>; 2] = [
    Saved { how: "all platforms", option: "--all-platforms", whole: true },
    Saved { how: "one platform, the index kept", option: "--keep-index", whole: false },
];

/// Imports an index of two platforms and an attestation, saves it, and lets engines take the results. Its
/// digest stays.
pub(super) fn run_all(round: &Round<'_>, report: &mut Report) -> Outcome {
    let name = format!("{}: containerd with an index", round.suite.name());
    let home = round.checks.scratch.folder("s-index")?;
    let containerd = Containerd::start_in(&round.place, &home.join("c"));
    let Some(containerd) = report.started(&name, containerd) else { return Ok(()) };
    let root = home.join("c/root");
    let imported = report.step(&format!("{name}: ctr images import --all-platforms"), || {
        let archive = material(&home.join("m"))?;
        run(import(&containerd, &archive))?;
        target(&containerd)
    });
    containerd.stop()?;
    let Some(digest) = imported else { return Ok(()) };
    for saved in SAVED {
        let archive = home.join("saved.tar");
        let of = format!("{name}, {}", saved.how);
        let written = report.check(&format!("{of}: layerlift save"), || {
            let mut save = program(round.checks.layerlift, ["save", "--quiet", NAME, saved.option, "--root"]);
            run(save.arg(&root).arg("--output").arg(&archive))
        });
        if !written {
            continue;
        }
        let taken =
            Taken { round, name: &of, home: &home, archive: &archive, saved: &saved, digest: &digest };
        taken.by_containerd(report)?;
        taken.by_docker(report)?;
    }
    Ok(())
}

/// The archive, for engines that take it.
struct Taken<'a> {
    round: &'a Round<'a>,
    name: &'a str,
    home: &'a Path,
    archive: &'a Path,
    saved: &'a Saved<'a>,
    digest: &'a str,
}

impl Taken<'_> {
    fn by_containerd(&self, report: &mut Report) -> Outcome {
        let home = self.home.join(format!("c{}", self.saved.option));
        let containerd = Containerd::start_in(&self.round.place, &home)?;
        report.check(&format!("{}: ctr images import", self.name), || {
            // An index that lacks an image can only be imported for those that are there.
            match self.saved.whole {
                true => run(import(&containerd, self.archive))?,
                false => run(containerd.command(["images", "import"]).arg(self.archive))?,
            }
            holds(&containerd, &home.join("root"), self.saved, self.digest)
        });
        containerd.stop()
    }

    fn by_docker(&self, report: &mut Report) -> Outcome {
        let name = format!("{}: docker load into containerd's store", self.name);
        let home = self.home.join(format!("d{}", self.saved.option));
        let root = home.join("root");
        fs::create_dir_all(&root)?;
        let docker = Docker::start_in(&self.round.place, &home.join("d"), &root, ImageStore::Containerd);
        let Some(docker) = report.started(&name, docker) else { return Ok(()) };
        report.check(&name, || {
            run(docker.docker(["load", "--input"]).arg(self.archive))?;
            run(docker.docker(["create", "interop/platforms:1"]))?;
            holds(&docker.containerd(), &root.join("containerd/daemon"), self.saved, self.digest)
        });
        docker.stop()
    }
}

/// The image is there under its name and digest, with the blobs that it should have.
fn holds(ctr: &Ctr, root: &Path, saved: &Saved<'_>, digest: &str) -> Outcome {
    let found = target(ctr)?;
    if found != digest {
        return Err(format!("{NAME} is {found}, not {digest}").into());
    }
    let mut missing = BTreeSet::new();
    if saved.whole {
        below(root, digest, &mut missing)?;
    } else {
        // containerd 1.7 also drops the attestation if only one platform is imported.
        let manifests: Vec<String> =
            content::stored(ctr, root)?.into_iter().map(|one| one.manifest).collect();
        for manifest in manifests {
            below(root, &manifest, &mut missing)?;
        }
    }
    match missing.len() {
        0 => Ok(()),
        count => Err(format!("{count} blobs are missing: {missing:?}").into()),
    }
}

/// Follows an index or a manifest, and collects blobs that are not there.
fn below(root: &Path, digest: &str, missing: &mut BTreeSet<String>) -> Outcome {
    let path = root.join(BLOBS).join(hex(digest));
    if !path.exists() {
        missing.insert(digest.to_owned());
        return Ok(());
    }
    let Ok(document) = serde_json::from_slice::<Value>(&fs::read(path)?) else { return Ok(()) };
    let lists = ["manifests", "layers"].iter().filter_map(|list| document[*list].as_array());
    let config = document.get("config").filter(|config| config.get("digest").is_some());
    for line in lists.flatten().chain(config) {
        below(root, line["digest"].as_str().unwrap_or_default(), missing)?;
    }
    Ok(())
}

/// What the name leads to.
fn target(ctr: &Ctr) -> Outcome<String> {
    let targets = ctr.targets()?;
    let found = targets.into_iter().find(|(name, _)| name == NAME);
    found.map(|(_, digest)| digest).ok_or_else(|| format!("{NAME} is not there").into())
}

/// Takes all images of an index. Only this machine's can be unpacked.
fn import(containerd: &Containerd, archive: &Path) -> std::process::Command {
    let mut import = containerd.command(["images", "import", "--all-platforms", "--no-unpack"]);
    import.arg(archive);
    import
}

/// An archive with an index of two platforms and an attestation.
fn material(folder: &Path) -> Outcome<std::path::PathBuf> {
    let mut layout = Layout::new(folder)?;
    let [one, two] = ["one", "two"].map(|name| {
        let mut tar = Tarball::new(Dialect::Gnu);
        tar.file(name, name.as_bytes());
        tar.finish(1024)
    });
    let here = layout.image(architecture(), &[(&one, Packing::Gzip), (&two, Packing::Gzip)], &[])?;
    let there = layout.image("s390x", &[(&two, Packing::Gzip)], &[])?;
    let attestation = layout.attestation(&here)?;
    layout.index(&[there, here, attestation], NAME)?;
    let path = folder.with_extension("tar");
    layout.archive(&path)?;
    Ok(path)
}

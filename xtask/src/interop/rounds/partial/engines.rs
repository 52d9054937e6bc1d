//! How each engine loads, runs, saves and removes the image whose parts are tried.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{APP, Engine, Fate};
use crate::Outcome;
use crate::engines::containerd::Containerd;
use crate::engines::containers::Storage;
use crate::engines::docker::{Docker, ImageStore};
use crate::engines::image::Image;
use crate::engines::process::run;

/// The name in containerd.
const FULL: &str = "docker.io/interop/app:1";

pub(super) struct OnDocker<'d> {
    pub(super) docker: &'d Docker,
    pub(super) store: ImageStore<'d>,
    pub(super) root: PathBuf,
    /// Whether it supports zstd.
    pub(super) zstd: bool,
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
        self.docker.docker(["run", "--rm", "--network", "none", APP, "/bin/echo"])
    }

    fn save(&self, archive: &Path) -> Command {
        let mut save = self.docker.docker(["save", APP, "--output"]);
        save.arg(archive);
        save
    }

    fn remove(&self) -> Command {
        self.docker.docker(["rmi", "--force", APP])
    }

    fn images(&self) -> Outcome<Vec<Image>> {
        match self.store {
            ImageStore::Driver(_) => self.docker.images(),
            ImageStore::Containerd => self.docker.containerd().images(),
        }
    }

    fn with_other_blobs(&self, _part: &str) -> Fate {
        Fate { runs: true, saves: matches!(self.store, ImageStore::Driver(_)) }
    }

    fn obstacle(&self, packing: &str) -> Option<&'static str> {
        (packing == "zstd" && !self.zstd).then_some("Docker before 23 does not support zstd")
    }
}

pub(super) struct OnContainerd<'c> {
    pub(super) containerd: &'c Containerd,
    pub(super) root: PathBuf,
}

impl Engine for OnContainerd<'_> {
    fn root(&self) -> PathBuf {
        self.root.clone()
    }

    fn clear(&self) -> Outcome {
        self.containerd.clear()
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
        self.containerd.command(["run", "--rm", FULL, "part", "/bin/echo"])
    }

    fn save(&self, archive: &Path) -> Command {
        let mut save = self.containerd.command(["images", "export"]);
        save.arg(archive).arg(FULL);
        save
    }

    fn remove(&self) -> Command {
        self.containerd.command(["images", "rm", "--sync", FULL])
    }

    fn images(&self) -> Outcome<Vec<Image>> {
        self.containerd.images()
    }

    fn with_other_blobs(&self, _part: &str) -> Fate {
        Fate { runs: true, saves: false }
    }
}

pub(super) struct OnPodman<'s>(pub(super) &'s Storage);

impl Engine for OnPodman<'_> {
    fn root(&self) -> PathBuf {
        self.0.root()
    }

    fn clear(&self) -> Outcome {
        // It remembers which blobs have the same tar, even of images that it no longer has.
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
        // Podman 4 saves zstd layers in this format only.
        let mut save = self.0.podman(["save", "--quiet", "--format", "oci-archive", APP, "--output"]);
        save.arg(archive);
        save
    }

    fn remove(&self) -> Command {
        self.0.podman(["rmi", "--force", APP])
    }

    fn images(&self) -> Outcome<Vec<Image>> {
        self.0.images()
    }

    fn with_other_blobs(&self, part: &str) -> Fate {
        let plain = part == "none";
        Fate { runs: plain, saves: plain }
    }
}

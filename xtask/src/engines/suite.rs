//! The engines of newer Debian suites, in chroots.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chroot;
use super::place::Place;
use super::process::output_within;
use super::scratch::Mount;
use crate::{Outcome, workspace};

/// A suite whose engines are tried.
#[derive(Clone, Copy)]
pub(crate) enum Suite {
    /// Docker 26, containerd 1.7, Podman 5.4. It is stable and does not move.
    Trixie,
    /// Docker 28, containerd 2.1, Podman 5.8, or what has followed them.
    Sid,
}

/// What a chroot gets, apart from what these packages need.
const PACKAGES: [&str; 15] = [
    "busybox-static",
    "ca-certificates",
    "containerd",
    "crun",
    "docker-buildx",
    "docker-cli",
    "docker-compose",
    "docker.io",
    "netavark",
    "podman",
    "runc",
    "skopeo",
    "umoci",
    "xz-utils",
    "zstd",
];

/// Asking dpkg takes no time.
const LIMIT: Duration = Duration::from_secs(60);

/// A chroot that is ready for programs. Its mounts end with it.
pub(crate) struct Chroot {
    pub(crate) place: Place,
    pub(crate) root: PathBuf,
    _mounts: Vec<Mount>,
}

impl Suite {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Trixie => "trixie",
            Suite::Sid => "sid",
        }
    }

    /// The folder of its chroot, which is made where it does not exist yet.
    fn folder(self) -> Outcome<PathBuf> {
        let folder = workspace::target().join("engines").join(self.name());
        chroot::kept(self.name(), &folder, &PACKAGES, &chroot::WITHOUT_TEXTS)
    }

    /// Opens the chroot. `shared` is there under the same path, without what is mounted below it later.
    pub(crate) fn open(self, shared: &Path) -> Outcome<Chroot> {
        let root = self.folder()?;
        // dockerd and runc change how the root propagates mounts, so it must be a mount.
        let mut mounts = vec![Mount::new(&["--bind"], &root, &root)?];
        for folder in ["proc", "sys", "dev"] {
            mounts.push(Mount::new(&["--rbind"], &Path::new("/").join(folder), &root.join(folder))?);
        }
        for (folder, mode) in [("run", "mode=755"), ("tmp", "mode=1777"), ("var/tmp", "mode=1777")] {
            mounts.push(Mount::new(&["-t", "tmpfs", "-o", mode], Path::new("engines"), &root.join(folder))?);
        }
        let inside = root.join(shared.strip_prefix("/")?);
        fs::create_dir_all(&inside)?;
        mounts.push(Mount::new(&["--bind"], shared, &inside)?);
        mounts.reverse();
        Ok(Chroot { place: Place::chroot(&root), root, _mounts: mounts })
    }
}

impl Chroot {
    /// `docker.io 26.1.5+dfsg1-9, containerd ...`: the versions of the engines.
    pub(crate) fn versions(&self) -> String {
        let format = "-f=${Package} ${Version}\\n";
        let asked = ["-W", format, "docker.io", "containerd", "podman", "skopeo", "umoci", "runc"];
        // Where one of them is missing, the others are listed all the same.
        let output = output_within(self.place.program("dpkg-query", asked), LIMIT);
        let listed = output.map(|output| output.stdout).unwrap_or_default();
        String::from_utf8_lossy(&listed).lines().collect::<Vec<_>>().join(", ")
    }
}

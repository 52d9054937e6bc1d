//! The engines of newer Debian suites, in chroots that mmdebstrap makes and that are kept for the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::place::Place;
use super::process::{installed, output_within, program, run, text};
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

/// A chroot takes two minutes here. A slow mirror may take longer.
const LIMIT: Duration = Duration::from_secs(900);

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
        let engines = workspace::target().join("engines");
        let folder = engines.join(self.name());
        if folder.is_dir() {
            return Ok(folder.canonicalize()?);
        }
        if !installed("mmdebstrap") {
            return Err("mmdebstrap is not installed".into());
        }
        // A run that was cut short leaves the folder under its other name.
        let unfinished = engines.join(format!("{}.new", self.name()));
        run(program("rm", ["-rf", "--one-file-system", "--"]).arg(&unfinished))?;
        fs::create_dir_all(&engines)?;
        println!("making a chroot of {}, which is kept in {}", self.name(), folder.display());
        // Patterns instead of names: a suite without one of the packages does without it.
        let exact: Vec<String> = PACKAGES.iter().map(|name| format!("?exact-name({name})")).collect();
        let mut command = program(
            "mmdebstrap",
            [
                "--quiet",
                "--mode=root",
                "--variant=apt",
                "--aptopt=APT::Install-Recommends \"false\"",
                "--aptopt=Acquire::Languages \"none\"",
                // The Release file of a mirror that nobody updates has expired.
                "--aptopt=Acquire::Check-Valid-Until \"false\"",
                "--dpkgopt=path-exclude=/usr/share/doc/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*",
                "--dpkgopt=path-exclude=/usr/share/man/*",
            ],
        );
        command.arg(format!("--include=?or({})", exact.join(","))).arg(self.name());
        command.arg(&unfinished).arg(mirror()?);
        let output = output_within(command, LIMIT)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| line.starts_with("E:")).or(said.lines().last());
            return Err(format!("mmdebstrap: {}", last.unwrap_or("no reason given")).into());
        }
        fs::rename(&unfinished, &folder)?;
        Ok(folder.canonicalize()?)
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

/// The mirror that apt uses here, without those of security updates.
fn mirror() -> Outcome<String> {
    let listed = text(program(
        "apt-get",
        ["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"],
    ))?;
    // apt knows labels only after its first update.
    let sources: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let named = sources.iter().find(|(_, label)| *label == "Debian");
    let other = sources.iter().find(|(uri, _)| uri.trim_end_matches('/').ends_with("/debian"));
    named.or(other).map(|(uri, _)| (*uri).to_owned()).ok_or_else(|| "apt has no mirror of Debian".into())
}

//! The arguments of commands about containers and volumes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};

use super::common::{PlaceArgs, Show, StoreArgs};

/// List the containers of a store, as docker ps -a does.
///
/// Reads what Docker (1.10 and later, with a graph driver or with containerd), Podman, Buildah and CRI-O keep
/// on disk. "Was running" is the state that was last recorded: the container may still run, or its host died.
/// SIZE is that of the files in the writable layer.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift containers
  layerlift containers --root /mnt/disk/var/lib/docker --json
  layerlift containers web --run               the docker run line that makes it again
  layerlift containers web db --compose > compose.yaml")]
pub(crate) struct Containers {
    /// Only these containers, by name, id or the beginning of an id [default: all].
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the command lines that make the containers again: docker run, or podman run.
    ///
    /// What the image sets itself is left out if the image is still in the store. What a command line cannot
    /// express is a comment above it.
    #[arg(long, conflicts_with_all = ["json", "compose"])]
    pub(crate) run: bool,
    /// Print a compose file that makes the containers again.
    #[arg(long, conflicts_with = "json")]
    pub(crate) compose: bool,
    /// Do not shorten ids and commands.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Write the root file system of a container or an image as a tar or a directory.
///
/// The tar is that of docker export and podman export: the layers of the image with what the container wrote
/// on top, and what was deleted left out. It has owners, modes, times, links, devices and capabilities, with
/// Podman user attributes (user.*), too. What is mounted is not in it: volumes, folders of the host, tmpfs.
/// A NAME that a container has means the container; repository:tag is always an image.
///
/// An image can be in an archive, a layout or a store that has not unpacked it: its layers are read then, and
/// compared with their digests.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift rootfs web --root /mnt/disk/var/lib/docker -o web.tar
  layerlift rootfs web --path /etc/nginx | tar -xp -C /tmp/found
  layerlift rootfs team/app:2 -o app/          the files themselves
  layerlift rootfs team/app:2 --root images.tar -o app.tar")]
pub(crate) struct Rootfs {
    /// Which container, by name, id or the beginning of an id; which image; or orphan:ID for a layer that
    /// stores --orphans lists.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where to write: a file, a directory with a / at its end, or - for standard output [default: -].
    ///
    /// A directory must be new or empty. Without root, it has no devices, and other owners.
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Only what is at this path. Links on the way are not followed.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// Go on if a file changes while it is read, or cannot be read.
    ///
    /// A file that changes is taken as it is read, at the size that it had at first. One that cannot be read
    /// is left out. All of them are named, and the exit status is 1.
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    /// Directory for a temporary file with the files of an image whose layers are compressed [default: the
    /// folder of the output; for a stream, the system's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) temp_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// List the volumes of Docker and Podman, and which containers use them.
#[derive(Debug, ClapArgs)]
pub(crate) struct Volumes {
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Do not shorten the names of anonymous volumes.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Write the data of a volume as a tar.
///
/// The tar has owners, modes, times, links, devices, capabilities and user attributes (user.*), and an entry
/// ./ for the directory itself. podman volume import loads it, and so does tar -xp in a directory.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift volume db --root /mnt/disk/var/lib/docker -o db.tar
  layerlift volume db --path pgdata/postgresql.conf | tar -xO")]
pub(crate) struct Volume {
    /// Which volume; for an anonymous one, the beginning of its name is enough.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where to write: a file, or - for standard output [default: -].
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Only what is at this path in the volume.
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// Go on if a file changes while it is read, or cannot be read.
    ///
    /// A file that changes is taken as it is read, at the size that it had at first. One that cannot be read
    /// is left out. All of them are named, and the exit status is 1.
    #[arg(short, long)]
    pub(crate) keep_going: bool,
    #[command(flatten)]
    pub(crate) show: Show,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

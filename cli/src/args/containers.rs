//! The arguments of commands about containers.

use clap::Args as ClapArgs;

use super::PlaceArgs;

/// List the containers of a store, as docker ps -a does.
///
/// Reads what Docker (1.10 and later, with a graph driver or with containerd), Podman, Buildah and CRI-O keep
/// on disk. A container whose host died is shown as running: that is what was last recorded. SIZE is that of
/// the files in the writable layer.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift containers
  layerlift containers --root /mnt/disk/var/lib/docker --json
  layerlift containers web --run               the docker run line that makes it again
  layerlift containers web db --compose > compose.yaml")]
pub(crate) struct Containers {
    /// Only these, by name, id or the beginning of an id [default: all].
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

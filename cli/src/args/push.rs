//! The arguments of `push`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use layerlift_export::{LayerCheck, LayerCompression};

use super::common::{StoreArgs, Work};
use super::registry::RegistryArgs;
use super::values::{checks, layer_compression};

/// Push images to a registry, or into an OCI layout.
///
/// What is there already is not sent: no layer that the registry has, nor one that it can take from another
/// of its repositories. Manifests follow their layers, and tags come last, so that no name leads to an image
/// that is not complete. The same command goes on where one stopped.
///
/// A DESTINATION is docker://HOST/REPOSITORY:TAG; docker://HOST/PREFIX/, below which each image has a
/// repository of its own name; or oci:DIR:TAG. Without a :TAG, images keep their own.
#[derive(Debug, ClapArgs)]
#[command(override_usage = "layerlift push [OPTIONS] [NAME]... DESTINATION")]
#[command(after_help = "\
Examples:
  layerlift push team/app:2 docker://registry.example/team/app:2
  layerlift push team/app docker://registry.example/team/app      all tags
  sudo layerlift push --all docker://registry.example/node-7/     everything, with its own names
  layerlift push --dry-run --all docker://registry.example/node-7/
  layerlift push app:2 oci:/srv/layout:2")]
pub(crate) struct Push {
    /// What to push, and last where to.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Push this container as an image, as docker commit or podman commit would make it, under the name after
    /// the = if there is one. Can be given several times.
    #[arg(long = "container", value_name = "NAME[=REPO:TAG]", conflicts_with = "all")]
    pub(crate) containers: Vec<String>,
    /// Push every image of the store, with all its tags.
    #[arg(long)]
    pub(crate) all: bool,
    /// Push the images for all platforms that the store has of an index.
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_platforms: bool,
    /// Keep the index of an image as it is, with its digest, even if it names images for other platforms. A
    /// registry may refuse it then.
    #[arg(long)]
    pub(crate) keep_index: bool,
    /// Compress layers: none, gzip or zstd, with a level as in zstd:19 [default: as the store has them where
    /// they are compressed, the others with gzip].
    #[arg(long, value_name = "HOW", value_parser = layer_compression)]
    pub(crate) compress: Option<LayerCompression>,
    /// What to check of compressed layers that are copied as they are: their own digests, or the diff ids of
    /// the tars in them, too.
    #[arg(long, value_name = "WHAT", value_parser = checks(), default_value = "digests")]
    pub(crate) check: LayerCheck,
    /// Leave out images that cannot be read or pushed, push the rest, and exit with status 1.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// For layers of containerd whose blobs are missing, decompress all blobs to find one with the same tar.
    #[arg(long)]
    pub(crate) find_blobs: bool,
    /// Refuse images of which a layer can only be rebuilt from its directory, so that they may get another
    /// id.
    #[arg(long)]
    pub(crate) no_rebuild: bool,
    /// Directory for temporary files, which layers need that are compressed on the way [default: the
    /// system's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Print what would be sent, and send nothing. Asks the registry what it has.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

//! The arguments of `push`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use layerlift_export::LayerCompression;

use super::choice::Choice;
use super::common::{StoreArgs, Work};
use super::registry::RegistryArgs;
use super::values::layer_compression;

/// Push images to a registry, or into an OCI layout.
///
/// What is there already is not sent: no layer that the registry has, nor one that it can take from another
/// of its repositories. Manifests follow their layers, and tags come last, so that no name leads to an image
/// that is not complete. The same command goes on where one stopped.
///
/// A DESTINATION is docker://HOST/REPOSITORY:TAG; docker://HOST/PREFIX/, below which each image has a
/// repository of its own name; or oci:DIR:NAME, an OCI layout. Without a :TAG or a :NAME, images keep their
/// own.
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
    /// Push every image of the store, with all its tags.
    #[arg(long)]
    pub(crate) all: bool,
    /// Compress layers: none, gzip or zstd, with a level as in zstd:19 [default: as the store has them where
    /// they are compressed, the others with gzip].
    #[arg(long, value_name = "HOW", value_parser = layer_compression)]
    pub(crate) compress: Option<LayerCompression>,
    /// Directory for temporary files, which layers need that are compressed on the way [default: the
    /// system's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Print what would be sent, and send nothing. Asks the registry what it has.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

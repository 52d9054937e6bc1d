//! What is exported, into an archive or to a registry, and what is asked of it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use layerlift_export::LayerCheck;

use super::values::checks;

/// Options of `save` and `push`.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Choice {
    /// Take names from a file as well, or from standard input if it is -: one on each line, comments behind
    /// a #. Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "all")]
    pub(crate) from_file: Vec<PathBuf>,
    /// Take the images that have this label, with all their tags. Of several labels, an image must have all.
    #[arg(long, value_name = "KEY[=VALUE]", conflicts_with = "all")]
    pub(crate) label: Vec<String>,
    /// Take this container as an image, as docker commit or podman commit would make it, under the name after
    /// the = if there is one; orphan:ID takes a layer that stores --orphans lists. Can be given several
    /// times, and together with names of images.
    #[arg(long = "container", value_name = "NAME[=REPO:TAG]", conflicts_with = "all")]
    pub(crate) containers: Vec<String>,
    /// Take the images for all platforms that the store has of an index.
    #[arg(long, conflicts_with = "platform")]
    pub(crate) all_platforms: bool,
    /// Keep the index of an image as it is, with its digest, even if it names images for other platforms,
    /// which do not go along then. A registry may refuse it.
    #[arg(long)]
    pub(crate) keep_index: bool,
    /// What to check of compressed layers that are copied as they are: their own digests, or the diff ids of
    /// the tars in them, too.
    ///
    /// A digest proves that a layer is the one that was stored. For its diff id it is decompressed, which
    /// takes many times as long; verify does that, and so do engines when they load the image.
    #[arg(long, value_name = "WHAT", value_parser = checks(), default_value = "digests")]
    pub(crate) check: LayerCheck,
    /// Leave out images that cannot be read or written, take the rest, and exit with status 1.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// For layers of containerd whose blobs are missing, decompress all blobs to find one with the same tar.
    ///
    /// Labels usually say which blob has a layer. Without them, this reads the whole content store. The image
    /// keeps its id but gets another manifest.
    #[arg(long)]
    pub(crate) find_blobs: bool,
    /// Refuse images of which a layer can only be rebuilt from its directory, so that they may get another
    /// id.
    #[arg(long)]
    pub(crate) no_rebuild: bool,
}

impl Choice {
    /// Whether anything is chosen, besides names.
    pub(crate) fn names_something(&self) -> bool {
        !self.from_file.is_empty() || !self.label.is_empty() || !self.containers.is_empty()
    }
}

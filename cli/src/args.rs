//! The command line: one definition, from which help, completions and man pages come.

mod containers;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use layerlift_export::{Format, LayerCompression, TagPolicy};
use layerlift_store::Platforms;

pub(crate) use containers::{Containers, Rootfs, Volume, Volumes};

mod before;
mod choice;
mod common;
mod delivery;
mod images;
mod partial;
mod push;
mod registry;
mod values;

use before::Before;
pub(crate) use choice::Choice;
pub(crate) use common::{PlaceArgs, ProgressKind, Show, StoreArgs, Work, processors};
pub(crate) use delivery::Delivery;
pub(crate) use images::{FIELDS, Filter, Images, Order};
pub(crate) use partial::{Check, Join, Partial};
pub(crate) use push::Push;
pub(crate) use registry::RegistryArgs;
pub(crate) use values::{ArchiveCompression, is_stdin};
use values::{formats, layer_compression, root, tags};

/// What the program ends with.
pub(crate) const STATUS: &str = "\
Exit status:
  0    done
  1    something could not be exported or verified
  2    wrong usage, or nothing could be done: no such image, no store, output cannot be written
  3    with --keep-going, into a pipe: the store has changed and the archive is cut; run it again
  130  interrupted; 143, 129: ended by SIGTERM, SIGHUP
  141  the reader of the archive closed the pipe before its end";

/// Export container images straight from the directories in which engines keep them.
///
/// Needs no daemon and mounts nothing. Never writes to a store, not even a lock file: works on the disk of
/// another host, on a read-only mount, and beside a running engine.
#[derive(Debug, Parser)]
#[command(name = "layerlift", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = STATUS, max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    before: Before,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Save(Box<Save>),
    Push(Box<Push>),
    Join(Join),
    Check(Check),
    #[command(alias = "ls")]
    Images(Images),
    Inspect(Inspect),
    Verify(Verify),
    Containers(Containers),
    Rootfs(Rootfs),
    Volumes(Volumes),
    Volume(Volume),
    Stores(Stores),
    /// The same commands as Docker's users may type them.
    #[command(hide = true)]
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Print the help of a command.
    #[command(hide = true)]
    Help {
        /// The command.
        command: Option<String>,
    },
    /// Print the version.
    #[command(hide = true)]
    Version,
    /// Print the completions for a shell.
    ///
    /// In bash, zsh and fish, they complete names of images, containers and volumes, too: the script asks
    /// this program, which reads the store that --root and --store name.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print a man page.
    Man {
        /// A command [default: the page of the program].
        command: Option<String>,
    },
}

/// Commands on images with the word `image` before them.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    #[command(alias = "list")]
    Ls(Images),
    Save(Box<Save>),
    Inspect(Inspect),
}

/// Write images as an archive.
///
/// A NAME is a repository (all its tags), repository:tag, repository@digest, an id, or a unique prefix of
/// an id; or, but in stores of Docker 1.5 to 1.9, a pattern with *, ? and [a-z], none of which stands for a
/// /. In the archive, images are called what follows a =, if there is one; without a tag there, each keeps
/// its own.
///
/// Every layer is verified against the digest or the checksums that the store has recorded; a layer
/// that has changed is an error.
///
/// The output appears under its name only when it is complete. A failure leaves an existing file as it was.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift save alpine:3.20 -o alpine.tar        an archive that every engine loads
  layerlift save --all | docker load              everything, straight into another engine
  layerlift save --root /mnt/disk/var/lib/docker team/app -o app.tar
  layerlift save 'team/*:1.*' base=team/base -o team.tar
  layerlift save --format docker-v1 base | ssh old-host docker load
  layerlift save --dry-run --all                  what would be written, and how much
  layerlift save app:2 --exclude base:1 -o part.tar   without what the other side has")]
pub(crate) struct Save {
    /// What to export.
    #[arg(value_name = "NAME[=NAME]")]
    pub(crate) names: Vec<String>,
    /// Export every image of the store, with all its tags.
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    /// Where to write: a file, a directory if it ends in /, - for standard output, or docker://… for a
    /// registry, as push takes it [default: -].
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Format of the archive.
    ///
    /// docker-archive, the default, loads in every current engine. docker-v1 is what Docker wrote until 1.9,
    /// and reads up to 28. oci-archive is an OCI image layout; as a directory, it can be extended by more
    /// images.
    #[arg(long, value_parser = formats())]
    pub(crate) format: Option<Format>,
    /// Tags to write for an image that is named by its id: none, as engines do (named), or all of them
    /// (keep).
    #[arg(long, value_name = "WHICH", value_parser = tags(), default_value = "named")]
    pub(crate) tags: TagPolicy,
    /// Compress layers: none, gzip or zstd, with a level as in zstd:19 [default: as the store has them].
    ///
    /// A layer that is already compressed this way is copied as it is, and keeps its digests.
    #[arg(long, value_name = "HOW", value_parser = layer_compression)]
    pub(crate) compress: Option<LayerCompression>,
    /// Compress the archive as a whole: gzip or zstd, with a level as in gzip:9, or none [default: what the
    /// name of the output says: .gz, .tgz, .zst].
    #[arg(long, value_name = "HOW", value_parser = str::parse::<ArchiveCompression>)]
    pub(crate) archive_compress: Option<ArchiveCompression>,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    #[command(flatten)]
    pub(crate) partial: Partial,
    /// Save images with damaged layers in the best form that can be had, and say what was done.
    ///
    /// Bytes of a damaged or missing file or layer are taken from elsewhere in reach, if their size, their
    /// checksum and in the end the digest of the layer prove them: the image keeps its id. Where that is
    /// impossible, a file is saved as it is now, or left out. Then the image gets another id, a label, and
    /// names that end in -salvaged; salvage.json in the archive lists every file, and the status is 1. Images
    /// that cannot be salvaged are left out, as with --keep-going.
    #[arg(long)]
    pub(crate) salvage: bool,
    /// A store or an archive that may have the missing bytes. Can be given several times.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, requires = "salvage")]
    pub(crate) repair_from: Vec<PathBuf>,
    /// Write what was salvaged to a file, too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "salvage")]
    pub(crate) salvage_report: Option<PathBuf>,
    /// Directory for temporary files, which layers of unknown length need [default: the folder of the output;
    /// for a stream, the system's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Print what would be written, and write nothing else.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
    /// What the index of a layout calls the one image.
    #[arg(skip)]
    pub(crate) ref_name: Option<String>,
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

impl Save {
    /// The format of the archive.
    pub(crate) fn format(&self) -> Format {
        self.format.unwrap_or_default()
    }

    /// Whether anything is to be saved.
    pub(crate) fn names_something(&self) -> bool {
        self.all || !self.names.is_empty() || self.choice.names_something()
    }

    /// Whether images that cannot be exported are left out.
    pub(crate) fn leaves_out(&self) -> bool {
        self.choice.keep_going || self.salvage
    }

    /// The images of an index that are meant.
    pub(crate) fn platforms(&self) -> Platforms {
        if self.choice.all_platforms { Platforms::All } else { self.store.platforms() }
    }
}

/// Print what a store says about images and containers, as a JSON array.
///
/// Shows the documents of each image, and its layers with ids, digests and the sizes of their tars (null
/// where the tar has to be computed). A NAME that no image has is looked for among the containers: of these
/// it shows what is listed, and the records of their engine.
#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// Which images or containers.
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Print what the names lead to as a table: each line of an index, and whether it is here.
    #[arg(long, conflicts_with = "platform")]
    pub(crate) tree: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Verify every layer of images against what the store has recorded.
///
/// From an index, all platforms that are here are verified, and attestations.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift verify                                every image on this machine
  layerlift verify --root /mnt/disk/var/lib/docker team/app")]
pub(crate) struct Verify {
    /// Which images [default: all].
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// For layers of containerd whose blobs are missing, decompress all blobs to find one with the same tar.
    #[arg(long)]
    pub(crate) find_blobs: bool,
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Show which image stores there are.
///
/// Looks where engines keep their stores, home directories included: on this machine, or below --root, and
/// there in every other folder, too. SIZE is the sum of the images; layers that images share count for each.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift stores
  sudo layerlift stores --root /mnt/olddisk
  sudo layerlift stores --root /mnt/olddisk --orphans")]
pub(crate) struct Stores {
    /// Data root of an engine, the root of a mounted disk, any folder, or an archive.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = root())]
    pub(crate) root: Option<PathBuf>,
    /// List instead the layers of graph drivers and containers-storage that neither an image nor a container
    /// refers to, because their record was lost.
    ///
    /// Each has its size, the time at which it last changed, and the layers below it. layerlift rootfs
    /// orphan:ID writes the files. In a store of a running engine, a layer that is just being pulled or built
    /// is listed, too.
    #[arg(long)]
    pub(crate) orphans: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Args::command().debug_assert();
    }
}

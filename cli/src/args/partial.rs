//! The arguments of partial exports, and of `join` and `check`, their other half.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use layerlift_export::{Format, LayerCompression, TagPolicy};

use super::choice::Choice;
use super::common::{PlaceArgs, StoreArgs, Work};
use super::values::{ArchiveCompression, formats, layer_compression, root};
use super::{Delivery, RegistryArgs, Save};

/// What the other side has, so that it is left out.
#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "Partial export")]
pub(crate) struct Partial {
    /// Leave out the layers of this image of the store, because the other side has it. Can be given several
    /// times.
    ///
    /// The documents of the archive are complete, and requires.json in it lists what was left out. It loads
    /// where these layers are.
    #[arg(long, value_name = "NAME")]
    pub(crate) exclude: Vec<String>,
    /// Leave out the layers of all images in an earlier archive or layout. Can be given several times.
    #[arg(long, value_name = "ARCHIVE", value_hint = ValueHint::AnyPath, value_parser = root())]
    pub(crate) since: Vec<PathBuf>,
    /// Leave out the layers in a list: diff ids, one a line, or what docker image inspect or podman image
    /// inspect print on the other side; - is standard input. Can be given several times.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) have: Vec<PathBuf>,
}

/// Make whole archives of partial ones.
///
/// Exports the images of those archives that leave layers out; the layers come from the other archives, and
/// from --root. If all of them have one format and compression, the result is what a full export would have
/// been, byte for byte. If a layer is there in another compression only, it is compressed again; where that
/// gives other bytes, the image gets another manifest and keeps its id.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift join base.tar part.tar -o full.tar
  layerlift join base.tar part-1.tar part-2.tar | docker load
  sudo layerlift join part.tar --root /var/lib/docker -o full.tar")]
pub(crate) struct Join {
    /// The archives or layouts: partial ones, and those that have the rest; - is standard input.
    #[arg(value_name = "PART", required = true, value_hint = ValueHint::FilePath, value_parser = root())]
    pub(crate) parts: Vec<PathBuf>,
    /// A store of an engine, or an archive, that has layers which the parts leave out. Can be given several
    /// times. Its images are not exported.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath, value_parser = root())]
    pub(crate) root: Vec<PathBuf>,
    /// Export this image of the parts [default: all images of those parts that leave something out]. Can be
    /// given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Vec<String>,
    /// Export every image of all parts.
    #[arg(long, conflicts_with = "image")]
    pub(crate) all: bool,
    /// Where to write: a file, a directory if it ends in /, or - for standard output [default: -].
    #[arg(short, long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Format of the archive.
    #[arg(long, value_parser = formats(), default_value = Format::DockerArchive.name())]
    pub(crate) format: Format,
    /// Compress layers: none, gzip or zstd, with a level as in zstd:19 [default: as the images name them].
    #[arg(long, value_name = "HOW", value_parser = layer_compression)]
    pub(crate) compress: Option<LayerCompression>,
    /// Compress the archive as a whole: gzip or zstd, with a level as in gzip:9, or none [default: what the
    /// name of the output says: .gz, .tgz, .zst].
    #[arg(long, value_name = "HOW", value_parser = str::parse::<ArchiveCompression>)]
    pub(crate) archive_compress: Option<ArchiveCompression>,
    #[command(flatten)]
    pub(crate) delivery: Delivery,
    /// Leave out images that cannot be completed or read, export the rest, and exit with status 1.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Directory for temporary files [default: the folder of the output; for a stream, the system's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) temp_dir: Option<PathBuf>,
    /// Print what would be written, and write nothing else.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) work: Work,
}

impl Join {
    /// The export that it is.
    pub(crate) fn as_save(&self) -> Save {
        Save {
            names: self.image.clone(),
            all: self.all || self.image.is_empty(),
            output: self.output.clone(),
            format: Some(self.format),
            tags: TagPolicy::Named,
            compress: self.compress,
            archive_compress: self.archive_compress,
            choice: Choice { all_platforms: true, keep_going: self.keep_going, ..Choice::default() },
            delivery: self.delivery.clone(),
            partial: Partial { exclude: Vec::new(), since: Vec::new(), have: Vec::new() },
            salvage: false,
            repair_from: Vec::new(),
            salvage_report: None,
            temp_dir: self.temp_dir.clone(),
            dry_run: self.dry_run,
            registry: RegistryArgs::default(),
            ref_name: None,
            work: self.work.clone(),
            store: StoreArgs {
                place: PlaceArgs {
                    root: self.parts.clone(),
                    follow: Vec::new(),
                    store: None,
                    driver: None,
                    namespace: None,
                },
                platform: Vec::new(),
            },
        }
    }
}

/// Check whether all that partial archives need is there.
///
/// Looks in stores as their engines do: Docker with a graph driver for a stack of layers, Podman for a layer,
/// containerd and Docker with its store for a blob. Without --root, only the archives themselves are looked
/// at. Ends with 1 if anything is missing, or if the engine refuses archives of this form.
///
/// Says whether layers and their files are there, and does not read their bytes: layerlift verify does, in
/// the archives and in the stores, and so does layerlift join.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  layerlift check part.tar --root /var/lib/docker     will it load here?
  layerlift check part.tar --root base.tar            can it be completed from these?")]
pub(crate) struct Check {
    /// The archives or layouts; - is standard input.
    #[arg(value_name = "ARCHIVE", required = true, value_hint = ValueHint::FilePath, value_parser = root())]
    pub(crate) archives: Vec<PathBuf>,
    /// Print a JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

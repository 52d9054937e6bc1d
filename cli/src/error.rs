//! Why a command could not go on, and the exit status that follows.

use std::io;
use std::path::PathBuf;

use layerlift_store::ErrorKind;

use crate::chain::{as_type, chain};
use crate::status::Status;

/// Why a command could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] layerlift_store::Error),
    /// No store could be opened at all.
    #[error(transparent)]
    Open(layerlift_store::Error),
    #[error(transparent)]
    Export(#[from] layerlift_export::Error),
    #[error(transparent)]
    Archive(#[from] layerlift_archive::Error),
    #[error("cannot write to standard output")]
    Stdout(#[source] io::Error),
    #[error("refusing to write an archive to a terminal")]
    Terminal,
    #[error("{} is a directory", .0.display())]
    OutputIsDirectory(PathBuf),
    #[error("{} would be a directory, and this is written as a tar", .0.display())]
    TarOnly(PathBuf),
    #[error("container {0} has no root file system of its own in the store")]
    NoLayer(String),
    #[error("no layer without a record is called {0}")]
    NoOrphan(String),
    #[error("left out")]
    FileLeftOut(#[source] layerlift_store::Error),
    #[error("zeros take the place of what could not be read")]
    ZerosInstead(#[source] layerlift_store::Error),
    #[error("a directory cannot be compressed as a whole")]
    CompressedDirectory,
    #[error("standard output is closed")]
    ClosedStdout,
    #[error("{} would be compressed with {compression}, which layerlift only reads", path.display())]
    Suffix { path: PathBuf, compression: layerlift_archive::Compression },
    #[error("{} is not empty", .0.display())]
    OutputNotEmpty(PathBuf),
    #[error("cannot write to the folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "not enough space for {}: it needs {needed} bytes, and {available} are free", path.display()
    )]
    Space { path: PathBuf, needed: u64, available: u64 },
    #[error("cannot write {}", path.display())]
    SalvageReport { path: PathBuf, source: io::Error },
    #[error("{} would be both {first} and {second}", path.display())]
    SameOutput { path: PathBuf, first: &'static str, second: &'static str },
    #[error("{} is read for this, and {what} would replace it", path.display())]
    InputIsOutput { path: PathBuf, what: &'static str },
    #[error("cannot read the list of layers {}", path.display())]
    ListNotRead { path: PathBuf, source: io::Error },
    #[error("{} is not a list of layers: {why}", path.display())]
    NoList { path: PathBuf, why: String },
    #[error("{} is not an archive or a layout, and only these are read as one", .0.display())]
    NoArchive(PathBuf),
    #[error("a directory has neither volumes nor a digest of its own")]
    DirectoryInOrder,
    #[error("a registry takes images one by one, not an archive to divide, compress or hash")]
    RegistryInOrder,
    #[error("a registry has no archives, so none in the format {}", .0.name())]
    FormatOfRegistry(layerlift_export::Format),
    #[error("--creds-stdin and a list of names cannot both be read from standard input")]
    StdinTwice,
    #[error("{0} takes images only")]
    ImagesOnly(String),
    #[error("{0:?} is not a place to push to")]
    NoDestination(String),
    #[error("the images that are to be pushed are not named")]
    NothingToPush,
    #[error("--all takes every image, and some are named")]
    NamesWithAll,
    #[error("{0} names and one tag: the images would replace one another")]
    TagForSeveral(usize),
    #[cfg(feature = "registry")]
    #[error("standard input has no USER:PASSWORD")]
    NoCredentials,
    #[cfg(not(feature = "registry"))]
    #[error("this build does not know registries")]
    NoRegistries,
    #[cfg(feature = "registry")]
    #[error(transparent)]
    Registry(#[from] layerlift_export::RegistryError),
    #[error("volumes need the name of a file")]
    StreamInVolumes,
    #[error("the number of volumes is not known in advance if the archive is compressed as a whole")]
    CompressedVolumes,
    #[error("{} would be taken for a volume of this archive", .0.display())]
    OtherVolume(PathBuf),
    #[error("{} is longer than that volume of this archive, so it is of another set", .0.display())]
    LongerVolume(PathBuf),
    #[error("{} is there already", .0.display())]
    VolumesThere(PathBuf),
    #[error("the archive would have {0} volumes, more than {most}", most = layerlift_archive::Volumes::MOST)]
    ManyVolumes(u64),
    #[error("found no image store in the usual places")]
    NoStore,
    #[error("found no image store at {} or below", .0.display())]
    NoStoreBelow(PathBuf),
    #[error("none of the image stores can be read")]
    NoneReadable,
    #[error("{name} is in several stores:\n  {}", stores.join("\n  "))]
    SeveralStores { name: String, stores: Vec<String> },
    #[error(
        "an archive holds images of one store, and these are in several:\n  {}", stores.join("\n  ")
    )]
    DifferentStores { stores: Vec<String> },
    #[error("the store has no images")]
    NoImages,
    #[error("nothing is named to save")]
    NothingNamed,
    #[error("cannot read the list of names {}", path.display())]
    NamesNotRead { path: PathBuf, source: io::Error },
    #[error("{pattern} is not a pattern of names: {why}")]
    BadPattern { pattern: String, why: String },
    #[error("{0} means several images, and a name with a tag is only for one")]
    OneNameForSeveral(String),
    #[error("no image has the label {0}")]
    NoLabelled(String),
    #[error("{0} has no time of creation to compare with")]
    NoTime(String),
    #[error("nothing is left to export")]
    NothingLeft,
    #[error("there is no command {0:?}")]
    NoCommand(String),
}

impl Error {
    /// The status with which the program ends.
    pub(crate) fn status(&self) -> Status {
        let kind = match self {
            // As in ripgrep: a reader that has seen enough of a table is not a failure.
            Error::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => return Status::Done,
            Error::NothingLeft => return Status::Incomplete,
            Error::Store(error) => error.kind(),
            Error::Export(error) => error.kind(),
            Error::Archive(error) => error.kind(),
            #[cfg(feature = "registry")]
            Error::Registry(error) => error.kind(),
            _ => return Status::Nothing,
        };
        if let Some(status) = chain(self).find_map(as_type).and_then(output_status) {
            return status;
        }
        match kind {
            ErrorKind::Request | ErrorKind::NotFound | ErrorKind::Unsupported => Status::Nothing,
            // Of an image. What the system refuses for the output, or for the whole store, is handled above.
            _ => Status::Incomplete,
        }
    }

    /// Whether bytes that were to be written could not be read, or were not what they should be.
    pub(crate) fn is_of_content(&self) -> bool {
        let found = chain(self).find_map(as_type::<layerlift_archive::Error>);
        found.is_some_and(layerlift_archive::Error::is_of_content)
    }

    /// Whether a registry did not take something.
    pub(crate) fn is_of_registry(&self) -> bool {
        #[cfg(feature = "registry")]
        return chain(self).any(|error| as_type::<layerlift_export::RegistryError>(error).is_some());
        #[cfg(not(feature = "registry"))]
        false
    }

    /// Whether the output is a directory that something has been put into.
    pub(crate) fn is_of_full_directory(&self) -> bool {
        let found = chain(self).find_map(as_type::<layerlift_archive::Error>);
        matches!(found, Some(layerlift_archive::Error::Output { source, .. })
            if source.kind() == io::ErrorKind::DirectoryNotEmpty)
    }

    /// A hint for an error of the program's own.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Error::Terminal => "write to a file with -o FILE, or pipe it: layerlift save … | docker load",
            Error::OutputIsDirectory(_) => "end the name with / to write the archive as a directory",
            Error::ClosedStdout => "redirect it to a file; save also writes to one with -o FILE",
            Error::Suffix { .. } => {
                "name it .tar.gz or .tar.zst, or keep the name with --archive-compress none"
            }
            Error::TarOnly(_) => "name a file with -o FILE, or pipe it: … | tar -xp -C DIR",
            Error::NoLayer(_) => "its root file system is a folder of the host that ran it",
            Error::NoOrphan(_) => "layerlift stores --orphans lists them",
            Error::CompressedDirectory => "compress its layers with --compress",
            Error::OutputNotEmpty(_) => "name a directory that is new or empty",
            Error::Folder { .. } => "the folder of an output must exist",
            Error::Space { .. } => {
                "name another place with -o, or pipe the archive: layerlift save … | docker load"
            }
            Error::NoList { .. } => {
                "a line for each diff id, or what `docker image inspect` prints, is expected"
            }
            Error::NoArchive(_) => {
                "name one store; layerlift join completes archives from stores with --root"
            }
            Error::FormatOfRegistry(_) => "leave out --format",
            Error::StdinTwice => "name a file with --from-file FILE",
            Error::RegistryInOrder => "compress its layers with --compress",
            Error::NoDestination(_) => {
                "name docker://HOST/REPOSITORY[:TAG], docker://HOST/PREFIX/ or oci:DIR[:NAME]"
            }
            Error::NothingToPush => "name images before the destination, or --all, or --container",
            Error::TagForSeveral(_) => "leave the tag out, and each keeps its own",
            Error::StreamInVolumes => "name it with -o FILE",
            Error::CompressedVolumes => "compress its layers with --compress",
            Error::SameOutput { .. } | Error::InputIsOutput { .. } => "write to another name",
            Error::VolumesThere(_) => {
                "--resume goes on with volumes of the same archive; else remove it, or write to another name"
            }
            Error::ManyVolumes(_) => "choose a larger --volume-size",
            Error::OtherVolume(_) | Error::LongerVolume(_) => "remove it, or write to another name",
            Error::NoStore => "name the data root of an engine with --root",
            Error::NoStoreBelow(_) => {
                "name the data root of an engine, or the folder where a disk is mounted"
            }
            Error::SeveralStores { .. } => "choose one with these options",
            Error::DifferentStores { .. } => "save them one store at a time, with these options",
            Error::NothingNamed => "name images, or take every image with --all; layerlift images lists them",
            Error::OneNameForSeveral(_) => "leave out the tag behind the =, so that each image keeps its own",
            Error::NoCommand(_) => "layerlift --help lists the commands",
            _ => return None,
        })
    }
}

/// The status of a failure that is not an image's.
fn output_status(error: &layerlift_archive::Error) -> Option<Status> {
    use layerlift_archive::Error as Archive;
    match error {
        Archive::Cancelled => Some(Status::Interrupted),
        Archive::Stream(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Status::Cut),
        Archive::Output { .. } | Archive::Stream(_) => Some(Status::Nothing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use layerlift_archive::Error as Archive;
    use layerlift_export::Error as Export;
    use layerlift_store::Error as Store;

    use super::*;

    #[test]
    fn status_by_cause() {
        let broken_pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let in_image = |source| Export::Image { image: "base".to_owned(), source: Box::new(source) };
        let not_found = || Store::NotFound { name: "x".to_owned(), suggestions: vec![] };
        let damaged = || Store::Damaged { path: "/x".into(), why: "it is empty".to_owned() };
        for (error, expected) in [
            (Error::Store(not_found()), Status::Nothing),
            (Error::Export(Export::Store(not_found())), Status::Nothing),
            (Error::Export(in_image(Export::Store(not_found().within("x")))), Status::Nothing),
            (Error::Store(damaged()), Status::Incomplete),
            (Error::Open(damaged()), Status::Nothing),
            (Error::Export(Export::NoLayout { path: "/x".into() }), Status::Nothing),
            (Error::Archive(Archive::Cancelled), Status::Interrupted),
            (Error::Export(in_image(Export::Archive(Archive::Cancelled))), Status::Interrupted),
            (Error::Archive(Archive::Stream(Arc::new(broken_pipe()))), Status::Cut),
            (Error::Archive(Archive::Stream(Arc::new(io::ErrorKind::StorageFull.into()))), Status::Nothing),
            (Error::Stdout(broken_pipe()), Status::Done),
            (Error::Stdout(io::ErrorKind::StorageFull.into()), Status::Nothing),
            (Error::Terminal, Status::Nothing),
        ] {
            assert_eq!(error.status(), expected, "{error:?}");
        }
    }
}

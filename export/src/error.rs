//! What can go wrong on the way from names to an archive.

use std::path::PathBuf;

use layerlift_archive::{Digest, Error as ArchiveError, Explanation};
use layerlift_store::{DiffId, ErrorKind, Hint as StoreHint, Needs, Reference, Requirement};

/// Why images could not be exported or checked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] layerlift_store::Error),
    /// Reading or writing contents failed.
    #[error(transparent)]
    Archive(#[from] layerlift_archive::Error),
    /// An image cannot be exported.
    #[error("cannot export {image}")]
    Image {
        /// Its name, or its id.
        image: String,
        /// Why.
        source: Box<Error>,
    },
    /// What is not an image cannot be read.
    #[error("cannot read artifact {artifact}")]
    Artifact {
        /// Its name, or its digest.
        artifact: String,
        /// Why.
        source: Box<Error>,
    },
    /// A layer cannot be read.
    #[error("cannot read layer {layer}")]
    Layer {
        /// Its id in the store.
        layer: String,
        /// Why.
        source: Box<Error>,
    },
    /// An archive leaves several layers of an image out, and nothing else that is read has them.
    #[error("{} leaves out {needs}: {}{}", path.display(), layers.join(", "), and_more(*more))]
    SeveralLeftOut {
        /// The archive.
        path: PathBuf,
        /// How many, and which images had them.
        needs: Needs,
        /// The first of them.
        layers: Vec<String>,
        /// How many others there are.
        more: usize,
    },
    /// A document cannot be understood, or says something that the format cannot hold.
    #[error("{what} is malformed: {why}")]
    Document {
        /// "config of image 4f…".
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The format cannot hold an image without layers.
    #[error("image {image} has no layers, and {format} needs at least one")]
    NoLayers {
        /// Its id.
        image: String,
        /// The format.
        format: crate::Format,
    },
    /// An index cannot be in the archive as it is.
    #[error("{name} cannot keep its index: {why}")]
    IndexNotKept {
        /// A name of the index, or its digest.
        name: String,
        /// Why.
        why: String,
    },
    /// The format has no indexes.
    #[error("{format} cannot hold an index")]
    NoIndexes {
        /// The format.
        format: crate::Format,
    },
    /// The format cannot hold the name that an image was asked for by.
    #[error("{name} cannot be a name in {format}: {why}")]
    NameNotKept {
        /// The name, as the store has it.
        name: Reference,
        /// The format.
        format: crate::Format,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The format cannot hold layers with this compression.
    #[error("{format} cannot hold layers that are compressed with {compression}")]
    Compression {
        /// The format.
        format: crate::Format,
        /// The compression.
        compression: layerlift_archive::CompressionLevel,
    },
    /// Two of what was chosen would get one name.
    #[error("{first} and {second} would both be called {name}")]
    NameTwice {
        /// The name.
        name: Reference,
        /// "image app:2".
        first: String,
        /// "container web".
        second: String,
    },
    /// A directory that images should be added to has other things in it.
    #[error("{} is neither empty nor an OCI layout that images could be added to", path.display())]
    NoLayout {
        /// The directory.
        path: PathBuf,
    },
    /// The tar in a compressed layer is not the one that its image names.
    #[error("its tar is {found}, but its image says {expected}")]
    DiffId {
        /// What the image's config says.
        expected: DiffId,
        /// What the blob decompresses to.
        found: DiffId,
    },
    /// A file of a container cannot be read.
    #[error("left out of the container's layer, so that what the image has under that name shows")]
    FileLeftOut {
        /// What failed.
        source: Box<Error>,
    },
    /// A file of a container cannot be read to its end.
    #[error("zeros take the place of what could not be read")]
    ZerosInstead {
        /// What failed.
        source: Box<Error>,
    },
    /// A file of a container changed while it was read.
    #[error(
        "{} changed while it was read: it has the size that it had at first, and its contents may mix \
         several states", path.display()
    )]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// The recorded bytes of a layer are lost, and the options do not accept others.
    #[error("it could only be rebuilt from {}, and might not be what it was", dir.display())]
    NotRebuilt {
        /// What is left of it.
        dir: PathBuf,
    },
    /// A layer cannot be read, as was reported with another image.
    #[error("it has layer {layer} in common with {image}")]
    Shared {
        /// The layer's id in the store.
        layer: String,
        /// The image with which the cause was reported.
        image: String,
        /// The kind of the cause.
        kind: ErrorKind,
    },
    /// A target failed. [`crate::Target`]s have their own errors in it.
    #[error("cannot {action}")]
    Target {
        /// What was tried: "upload blob sha256:4f…", say.
        action: String,
        /// The kind of the failure.
        kind: ErrorKind,
        /// The target's own error.
        source: Explanation,
    },
    /// A bundle leaves a blob out that its target lacks.
    #[error("blob {digest} is left out on purpose, but the target does not have it")]
    LeftOut {
        /// The blob.
        digest: Digest,
    },
}

/// What can be done about an error, for a program to word.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// What the store suggests.
    Store(StoreHint),
    /// Choose another format.
    ChooseFormat,
    /// Name the image by its id, or choose another format.
    NameById,
    /// Give a container another name as an image.
    OtherName,
    /// Compress the archive as a whole, not its layers.
    CompressWhole,
    /// Name a directory that is new, empty or an OCI layout.
    ChooseDirectory,
}

impl Error {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Store(error) => error.kind(),
            Error::Archive(error) => error.kind(),
            Error::Image { source, .. }
            | Error::Artifact { source, .. }
            | Error::Layer { source, .. }
            | Error::FileLeftOut { source }
            | Error::ZerosInstead { source } => source.kind(),
            Error::Document { .. } => ErrorKind::Malformed,
            Error::Compression { .. }
            | Error::NoLayout { .. }
            | Error::NameNotKept { .. }
            | Error::NameTwice { .. }
            | Error::IndexNotKept { .. }
            | Error::NoIndexes { .. } => ErrorKind::Request,
            Error::NoLayers { .. } => ErrorKind::Unsupported,
            Error::LeftOut { .. } | Error::SeveralLeftOut { .. } | Error::NotRebuilt { .. } => {
                ErrorKind::Missing
            }
            Error::DiffId { .. } | Error::FileChanged { .. } => ErrorKind::Damaged,
            Error::Shared { kind, .. } | Error::Target { kind, .. } => *kind,
        }
    }

    /// Whether a request to stop ended the work, rather than a failure.
    pub fn is_cancelled(&self) -> bool {
        self.in_archive().is_some_and(ArchiveError::is_cancelled)
    }

    /// What an output or a first pass failed at.
    fn in_archive(&self) -> Option<&ArchiveError> {
        match self {
            Error::Archive(error) => Some(error),
            Error::Image { source, .. } | Error::Artifact { source, .. } | Error::Layer { source, .. } => {
                source.in_archive()
            }
            _ => None,
        }
    }

    /// What can be done about it.
    pub fn hints(&self) -> Vec<Hint> {
        match self {
            Error::Store(error) => error.hints().into_iter().map(Hint::Store).collect(),
            Error::Image { source, .. } | Error::Artifact { source, .. } | Error::Layer { source, .. } => {
                source.hints()
            }
            Error::NoLayers { .. } | Error::NoIndexes { .. } => vec![Hint::ChooseFormat],
            Error::Compression { .. } => vec![Hint::ChooseFormat, Hint::CompressWhole],
            Error::NoLayout { .. } => vec![Hint::ChooseDirectory],
            Error::NameNotKept { .. } => vec![Hint::NameById],
            Error::NameTwice { .. } => vec![Hint::OtherName],
            Error::SeveralLeftOut { .. } => vec![Hint::Store(StoreHint::NameOtherHalf)],
            _ => Vec::new(),
        }
    }

    pub(crate) fn of_image(self, image: &str) -> Self {
        Error::Image { image: image.to_owned(), source: Box::new(self) }
    }

    pub(crate) fn of_artifact(self, artifact: &str) -> Self {
        Error::Artifact { artifact: artifact.to_owned(), source: Box::new(self) }
    }

    pub(crate) fn of_layer(self, layer: &str) -> Self {
        Error::Layer { layer: layer.to_owned(), source: Box::new(self) }
    }

    /// The same with all layers of the image that its archive leaves out, if that is what it says of one.
    pub(crate) fn with_left_out(self, layers: &[&Requirement]) -> Self {
        let path = match &self {
            Error::Layer { source, .. } => match &**source {
                Error::Store(layerlift_store::Error::LeftOut { path, .. }) if layers.len() > 1 => {
                    path.clone()
                }
                _ => return self,
            },
            _ => return self,
        };
        let needs = Needs::of(layers.iter().copied());
        let (named, more) = layers.split_at(layers.len().min(NAMED));
        let named = named.iter().map(|layer| layer.name()).collect();
        Error::SeveralLeftOut { path, needs, layers: named, more: more.len() }
    }

    /// Whether no image is to blame, so that going on with the others makes no sense.
    pub(crate) fn ends_all(&self) -> bool {
        let output = matches!(self.in_archive(), Some(ArchiveError::Output { .. }));
        output || self.is_cancelled() || self.kind() == ErrorKind::Environment && out_of_files(self)
    }
}

/// How many layers a message names.
const NAMED: usize = 5;

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" and {more} more") }
}

/// The I/O error that a link of a chain of causes is, owned or shared.
pub(crate) fn io_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e std::io::Error> {
    let shared = || error.downcast_ref::<std::sync::Arc<std::io::Error>>().map(|shared| &**shared);
    error.downcast_ref().or_else(shared)
}

/// Whether the limit on open files is what failed: the image is not to blame.
fn out_of_files(error: &(dyn std::error::Error + 'static)) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    let here = io_error(error).and_then(std::io::Error::raw_os_error);
    matches!(here, Some(ENFILE | EMFILE)) || error.source().is_some_and(out_of_files)
}

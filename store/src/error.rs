//! What can be wrong with a store, or with a request to it.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerlift_archive::{ErrorKind, content_error};

use crate::{Hint, Platform, Reference};

mod hints;
mod words;

use words::{because, counted, damaged_files, had_by, has_records, only_in, platforms};

/// Why a store could not answer.
///
/// The message says what failed, where and why. What can be done about it is not in the message: hints are
/// values ([`Error::hints`]), which a program words in terms of its own options.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// A verb: "open", "read", "list".
        action: &'static str,
        /// The whole path.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The root does not hold a store of a known kind.
    #[error("{} is not a known image store{}", path.display(), because(why))]
    NoStore {
        /// The root that was given.
        path: PathBuf,
        /// What it lacks, where that is known.
        why: Option<Cow<'static, str>>,
        /// What can be done.
        hint: Option<Hint>,
    },
    /// The store has images, but none of the driver that was asked for.
    #[error("{} has no images of driver {wanted}, only of {}", path.display(), present.join(", "))]
    NoPartition {
        /// The root that was given.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What is there.
        present: Vec<String>,
    },
    /// containerd has images, but none in the namespace that was asked for.
    #[error("{} has no images in namespace {wanted}{}", path.display(), only_in(present))]
    NoNamespace {
        /// The root that was given.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// Namespaces that have images.
        present: Vec<String>,
    },
    /// containerd has images in several namespaces, and the options do not choose one.
    #[error("{} has images in several namespaces: {}", path.display(), counted(present))]
    SeveralNamespaces {
        /// The root that was given.
        path: PathBuf,
        /// Their names, and how many names of images each has.
        present: Vec<(String, usize)>,
    },
    /// Something is as it should be, but this version cannot read it.
    #[error("{what}")]
    Unsupported {
        /// What it is, as a sentence.
        what: String,
        /// What can be done.
        hint: Option<Hint>,
    },
    /// The root holds several stores, and the options do not choose one.
    #[error("{} holds several stores: {}", path.display(), candidates.join(", "))]
    SeveralStores {
        /// The root that was given.
        path: PathBuf,
        /// Their names.
        candidates: Vec<String>,
        /// How to choose one.
        choose: Hint,
    },
    /// No image has this name or id.
    #[error("no such image: {name}")]
    NotFound {
        /// What was asked for.
        name: String,
        /// Similar names that exist.
        suggestions: Vec<String>,
    },
    /// No container has this name or id.
    #[error("no such container: {name}")]
    NoContainer {
        /// What was asked for.
        name: String,
        /// Similar names that exist.
        suggestions: Vec<String>,
    },
    /// Neither a container nor an image has this name or id, in a lookup of both.
    #[error("no such container or image: {name}")]
    Neither {
        /// What was asked for.
        name: String,
        /// Similar names that exist.
        suggestions: Vec<String>,
    },
    /// No volume has this name.
    #[error("no such volume: {name}")]
    NoVolume {
        /// What was asked for.
        name: String,
        /// Similar names that exist.
        suggestions: Vec<String>,
    },
    /// A file or directory that a volume does not have.
    #[error("{name} does not exist")]
    NoFile {
        /// The path, and the volume.
        name: String,
    },
    /// A file behind a symbolic link: paths in a volume or a container are taken as they are.
    #[error("{name} is behind the symbolic link {link}, which is not followed")]
    BehindLink {
        /// The path, and the volume.
        name: String,
        /// The first link on the way.
        link: String,
    },
    /// The data of a volume are not in the store.
    #[error("the data of volume {volume} are not in the store: they are {place}")]
    Elsewhere {
        /// Its name.
        volume: String,
        /// Where they are: a path on its host, a device, an address.
        place: String,
    },
    /// A name or a prefix matches several images, or containers.
    #[error("{name} is ambiguous, it means any of\n  {}", candidates.join("\n  "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it matches, a line each: id and names.
        candidates: Vec<String>,
        /// Whether they are images of different drivers.
        drivers: bool,
    },
    /// An image or an index is here, but not for the platform that is asked for, or that this machine has.
    #[error("{name} {}", platforms(wanted.as_deref(), here, missing))]
    NoPlatform {
        /// The name, or the id.
        name: String,
        /// The platform that was asked for.
        wanted: Option<Box<Platform>>,
        /// Platforms whose images are in the store.
        here: Vec<String>,
        /// Platforms that an index names, whose images are not in the store.
        missing: Vec<String>,
    },
    /// The request cannot be the name of an image.
    #[error("{name:?} cannot be the name of an image: {why}")]
    BadName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// Bytes differ from what was recorded of them: a digest, a size, a checksum.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// A file of the store cannot be understood, contradicts itself or another, or lacks what it must have.
    #[error("{} is malformed: {why}", path.display())]
    Malformed {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An image or layer that another one names is not there.
    #[error("{of} needs {what} {id}, which is missing ({} {})", path.display(),
        if has_records(path) { "has no record of it" } else { "is not there" })]
    Missing {
        /// Who needs it: "image 4f…" or a name.
        of: String,
        /// "layer", "parent", "config".
        what: &'static str,
        /// Its id.
        id: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// A layer that an archive leaves out on purpose.
    #[error("{} leaves out layer {layer}{}", path.display(), had_by(of))]
    LeftOut {
        /// The archive.
        path: PathBuf,
        /// The layer.
        layer: String,
        /// Images that had it.
        of: Vec<String>,
    },
    /// A symbolic link stands where a store keeps a directory of its own. It may not be followed.
    #[error("{} is a symbolic link to {}, which is not followed: {why}", path.display(), target.display())]
    Link {
        /// The link.
        path: PathBuf,
        /// What is in it.
        target: PathBuf,
        /// Why it is not followed.
        why: String,
    },
    /// A file or directory that its engine always keeps is not there.
    #[error("{} is missing: {why}", path.display())]
    NotThere {
        /// The file or directory.
        path: PathBuf,
        /// What that means.
        why: String,
    },
    /// An image or layer that its engine has never stored completely.
    #[error("{what} was never stored completely ({} marks it as incomplete)", path.display())]
    Incomplete {
        /// "image 4f…", "layer 3e…".
        what: String,
        /// The file that says so.
        path: PathBuf,
    },
    /// An engine at work has removed or replaced something while it was read. Trying again helps.
    #[error("{} has changed while it was read", path.display())]
    Changed {
        /// The record of a layer.
        path: PathBuf,
    },
    /// A file of a layer has changed since the layer was stored.
    #[error(
        "{} has changed since its layer was stored: checksum {expected:016x} is recorded, found {found:016x}",
        path.display()
    )]
    Checksum {
        /// The file, below its layer's directory.
        path: PathBuf,
        /// The CRC-64 that is recorded.
        expected: u64,
        /// The CRC-64 of the file as it is.
        found: u64,
    },
    /// Files of a layer are not what was recorded. They were found in order to explain a wrong digest.
    #[error("{}", damaged_files(files, *more))]
    DamagedFiles {
        /// The first of them, a line each.
        files: Vec<String>,
        /// How many others there are.
        more: usize,
    },
    /// A part of an image could not be read; the source says why.
    #[error("cannot read {what}")]
    Within {
        /// "image 4f…", "layer 3e…".
        what: String,
        /// Why.
        source: Box<Error>,
    },
}

impl Error {
    /// Says in which image, layer or file the error occurred.
    pub fn within(self, what: impl Into<String>) -> Self {
        Error::Within { what: what.into(), source: Box::new(self) }
    }

    /// Gives the name that was asked for to what is here for other platforms only.
    pub(crate) fn of_name(self, reference: &Reference) -> Self {
        match self {
            Error::NoPlatform { wanted, here, missing, .. } => {
                Error::NoPlatform { name: reference.to_string(), wanted, here, missing }
            }
            error => error,
        }
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // Below a root nothing is opened unless a record names it.
            Error::Io { source, .. } => match (ErrorKind::of_io(source), source.kind()) {
                // A decoder's, say.
                (Some(kind), _) => kind,
                (None, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => ErrorKind::Missing,
                (None, _) => ErrorKind::Environment,
            },
            Error::NoStore { .. }
            | Error::SeveralStores { .. }
            | Error::SeveralNamespaces { .. }
            | Error::Ambiguous { .. }
            | Error::BadName { .. } => ErrorKind::Request,
            Error::NoPlatform { here, missing, .. } if here.is_empty() && !missing.is_empty() => {
                ErrorKind::Missing
            }
            Error::NotFound { .. }
            | Error::NoContainer { .. }
            | Error::Neither { .. }
            | Error::NoVolume { .. }
            | Error::NoFile { .. }
            | Error::BehindLink { .. }
            | Error::NoPartition { .. }
            | Error::NoNamespace { .. }
            | Error::NoPlatform { .. } => ErrorKind::NotFound,
            Error::Changed { .. } => ErrorKind::Environment,
            Error::Unsupported { .. } | Error::Link { .. } | Error::Elsewhere { .. } => {
                ErrorKind::Unsupported
            }
            Error::Damaged { .. } | Error::Checksum { .. } | Error::DamagedFiles { .. } => ErrorKind::Damaged,
            Error::Malformed { .. } => ErrorKind::Malformed,
            Error::Missing { .. }
            | Error::NotThere { .. }
            | Error::Incomplete { .. }
            | Error::LeftOut { .. } => ErrorKind::Missing,
            Error::Within { source, .. } => source.kind(),
        }
    }

    /// The file or directory that it is about, if it is about one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::Io { path, .. }
            | Error::NoStore { path, .. }
            | Error::NoPartition { path, .. }
            | Error::NoNamespace { path, .. }
            | Error::SeveralNamespaces { path, .. }
            | Error::SeveralStores { path, .. }
            | Error::Damaged { path, .. }
            | Error::Malformed { path, .. }
            | Error::Missing { path, .. }
            | Error::LeftOut { path, .. }
            | Error::Link { path, .. }
            | Error::NotThere { path, .. }
            | Error::Incomplete { path, .. }
            | Error::Changed { path, .. } => Some(path),
            Error::Within { source, .. } => source.path(),
            _ => None,
        }
    }

    /// Wraps the error for a [`std::io::Read`]er. The [`io::Error`] carries this error and its kind, and has
    /// its message.
    pub fn into_io(self) -> io::Error {
        content_error(self.kind(), self)
    }

    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Error::Io { action, path: path.into(), source: Arc::new(source.into()) }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Error::Damaged { path: path.into(), why: why.into() }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, why: impl Into<String>) -> Self {
        Error::Malformed { path: path.into(), why: why.into() }
    }

    pub(crate) fn no_store(path: impl Into<PathBuf>, why: impl Into<Cow<'static, str>>) -> Self {
        Error::NoStore { path: path.into(), why: Some(why.into()), hint: None }
    }

    pub(crate) fn not_found(name: impl Into<String>) -> Self {
        Error::NotFound { name: name.into(), suggestions: Vec::new() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Self {
        Error::Unsupported { what: what.into(), hint: Some(Hint::Other(hint.into())) }
    }

    /// Whether a file or directory does not exist.
    pub(crate) fn is_io_not_found(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_hints_come_through() {
        let error = Error::NotFound { name: "bsae".to_owned(), suggestions: vec!["base".to_owned()] };
        let hint = Hint::Similar(vec!["base".to_owned()]);
        assert_eq!(error.clone().within("x").kind(), ErrorKind::NotFound);
        assert_eq!(error.clone().within("x").hints(), [hint]);
        let damaged = Error::damaged("/x", "its digest is another");
        assert_eq!(ErrorKind::of_io(&damaged.within("layer 4f").into_io()), Some(ErrorKind::Damaged));
        let refused = Error::io("open", "/x", io::ErrorKind::PermissionDenied);
        assert_eq!(refused.kind(), ErrorKind::Environment);
        assert_eq!(refused.into_io().kind(), io::ErrorKind::PermissionDenied);
    }
}

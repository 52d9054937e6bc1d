//! What can be wrong with a store or with a request to it. Variants say what the caller can do about it.

use std::io;
use std::path::PathBuf;

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
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
        source: io::Error,
    },
    /// There is no store at the root.
    #[error("{} is no image store that layerlift knows\nhint: {hint}", path.display())]
    NoStore {
        /// The root that was given.
        path: PathBuf,
        /// What to try.
        hint: String,
    },
    /// There is a store, but one whose layers cannot be read.
    #[error("{what}\nhint: {hint}")]
    Unsupported {
        /// What is there.
        what: String,
        /// What one can do.
        hint: String,
    },
    /// The root has several stores, and nothing says which is meant.
    #[error("{} holds several stores: {}\nhint: choose one with {option}", path.display(), candidates.join(", "))]
    SeveralStores {
        /// The root that was given.
        path: PathBuf,
        /// Their names.
        candidates: Vec<String>,
        /// The option of the command line that chooses.
        option: &'static str,
    },
    /// No image has this name or id.
    #[error("no such image: {name}{}", near(suggestions))]
    NotFound {
        /// What was asked for.
        name: String,
        /// Names that are there and look similar.
        suggestions: Vec<String>,
    },
    /// A prefix or a name means several images.
    #[error("{name} is ambiguous, it means any of\n  {}{}", candidates.join("\n  "), several(*drivers))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// What it can mean: id and tags, a line each.
        candidates: Vec<String>,
        /// Whether they are images of different drivers.
        drivers: bool,
    },
    /// A name that cannot be one.
    #[error("{name:?} is no name of an image: {why}")]
    BadName {
        /// What was asked for.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A file of the store says something that cannot be.
    #[error("{} is damaged: {why}", path.display())]
    Corrupt {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An image or layer that another one names is not there.
    #[error("{of} needs {what} {id}, which is missing ({} is not there)", path.display())]
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
    /// A file of a layer has other bytes than those that were recorded when the layer was stored.
    #[error("{} has changed since its layer was stored: checksum {expected:016x} was recorded, found {found:016x}", path.display())]
    Checksum {
        /// The file, below its layer's directory.
        path: PathBuf,
        /// CRC-64 that is recorded.
        expected: u64,
        /// CRC-64 of what is there.
        found: u64,
    },
    /// Several files of a layer are damaged; found while explaining a wrong digest.
    #[error("{} of its files are not what was recorded:\n  {}", files.len(), files.join("\n  "))]
    DamagedFiles {
        /// A line for each.
        files: Vec<String>,
    },
    /// Something within an image failed; the source says what.
    #[error("cannot read {what}")]
    Within {
        /// "image 4f…", "layer 3e…".
        what: String,
        /// The failure.
        source: Box<Error>,
    },
}

impl Error {
    /// Puts the image, layer or file that was being read before an error.
    pub fn within(self, what: impl Into<String>) -> Self {
        Error::Within { what: what.into(), source: Box::new(self) }
    }

    /// For [`std::io::Read`]ers, whose errors are [`io::Error`]s. It carries this error; its message is this one's.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Error::Io { source, .. } => source.kind(),
            Error::NotFound { .. } | Error::Missing { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self)
    }
}

fn near(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        names => format!("\nhint: similar names are {}", names.join(", ")),
    }
}

fn several(drivers: bool) -> &'static str {
    if drivers { "\nhint: choose the images of one driver with --driver" } else { "" }
}

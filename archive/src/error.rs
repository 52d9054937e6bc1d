//! What can go wrong while contents are read and outputs are written.
//!
//! Each variant says its own part; the cause is its `source`. What a content's reader has to say comes in an
//! [`io::Error`]; its kind survives the way through decompressors and [`io::copy`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Digest, ErrorKind};

/// Why an output could not be written, or a content not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output could not be written: `action` is a verb ("create", "write", "rename").
    #[error("cannot {action} {}", path.display())]
    Output {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The stream that the tar goes to failed. A closed pipe is [`io::ErrorKind::BrokenPipe`].
    #[error("cannot write the archive")]
    Stream(#[source] Arc<io::Error>),
    /// A content could not be read to its end.
    #[error("cannot read {entry}")]
    Content {
        /// What the content is called: an entry's path in a tree.
        entry: String,
        /// The reader's error.
        source: Arc<io::Error>,
    },
    /// A content was read, but its bytes do not hash to its digest.
    #[error("{entry} is damaged: expected {expected}, found {found}")]
    Mismatch {
        /// What the content is called: an entry's path in a tree.
        entry: String,
        /// The digest that is recorded.
        expected: Digest,
        /// The digest of the bytes that were found.
        found: Digest,
        /// The cause, as far as the content knows it ([`crate::Content::explain`]).
        #[source]
        source: Option<Explanation>,
    },
    /// A content is shorter or longer than it said.
    #[error("{entry} has {found} bytes where {expected} were expected")]
    Length {
        /// What the content is called: an entry's path in a tree.
        entry: String,
        /// The length that was announced.
        expected: u64,
        /// What came; for a content that is too long, one more than was announced.
        found: u64,
    },
    /// An entry that neither a tar nor a directory can hold.
    #[error("{entry:?} cannot be an entry: {why}")]
    Entry {
        /// The entry's path.
        entry: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// [`crate::Observer::cancelled`] asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    /// For [`Result::map_err`]: what was done with `path` when the system failed.
    pub(crate) fn output<'p>(action: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Error + 'p {
        move |source| Error::Output { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// What the error means for the caller. A content's is the kind that its reader's error carries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Output { .. } | Error::Cancelled => ErrorKind::Environment,
            // A compression that this build lacks fails where its stream is written.
            Error::Content { source, .. } | Error::Stream(source) => {
                ErrorKind::of_io(source).unwrap_or(ErrorKind::Environment)
            }
            Error::Mismatch { .. } | Error::Length { .. } => ErrorKind::Damaged,
            Error::Entry { .. } => ErrorKind::Request,
        }
    }

    /// The same error of a content that messages call `entry`.
    pub fn of_entry(self, name: &str) -> Self {
        let entry = name.to_owned();
        match self {
            Error::Content { source, .. } => Error::Content { entry, source },
            Error::Mismatch { expected, found, source, .. } => {
                Error::Mismatch { entry, expected, found, source }
            }
            Error::Length { expected, found, .. } => Error::Length { entry, expected, found },
            other => other,
        }
    }

    /// Whether [`crate::Observer::cancelled`] ended the work, rather than a failure.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Cancelled)
    }

    /// Whether a content is to blame, not the output.
    pub fn is_of_content(&self) -> bool {
        matches!(self, Error::Content { .. } | Error::Mismatch { .. } | Error::Length { .. })
    }

    /// For readers, whose errors are [`io::Error`]s: one that holds this error, and so its kind.
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Error::Output { source, .. } | Error::Stream(source) | Error::Content { source, .. } => {
                source.kind()
            }
            Error::Mismatch { .. } | Error::Length { .. } => io::ErrorKind::InvalidData,
            Error::Entry { .. } => io::ErrorKind::InvalidInput,
            Error::Cancelled => io::ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}

/// Why bytes are not what was recorded of them: any error, shared so that it can be cloned. It speaks as the
/// error that it holds.
#[derive(Clone)]
pub struct Explanation(Arc<dyn std::error::Error + Send + Sync>);

impl Explanation {
    /// Shares an error, or a sentence.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Explanation(Arc::from(error.into()))
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Debug for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for Explanation {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::content_error;

    #[derive(Debug, thiserror::Error)]
    #[error("etc/passwd has changed")]
    struct Changed(#[source] io::Error);

    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(content_error(ErrorKind::Missing, Changed(io::ErrorKind::NotFound.into())))
        }
    }

    #[test]
    fn a_kind_survives_the_way_through_other_readers() {
        let gzip = flate2::read::MultiGzDecoder::new(io::BufReader::new(Failing));
        let source = io::copy(&mut gzip.chain(io::empty()), &mut io::sink()).unwrap_err();
        assert_eq!(source.kind(), io::ErrorKind::NotFound);
        assert_eq!(ErrorKind::of_io(&source), Some(ErrorKind::Missing));
        let error = Error::Content { entry: "layer.tar".to_owned(), source: Arc::new(source) };
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert_eq!(ErrorKind::of_io(&error.into_io()), Some(ErrorKind::Missing));
        assert_eq!(ErrorKind::of_io(&io::ErrorKind::NotFound.into()), None);
        assert_eq!(ErrorKind::of_io(&io::Error::other("a sentence")), None);
    }

    #[test]
    fn an_explanation_speaks_as_its_error() {
        let explanation = Explanation::new(Changed(io::ErrorKind::NotFound.into()));
        assert_eq!(explanation.to_string(), "etc/passwd has changed");
        assert!(explanation.get_ref().is::<Changed>());
        assert!(std::error::Error::source(&explanation).is_some_and(|source| source.is::<io::Error>()));
        assert_eq!(Explanation::new("a sentence").to_string(), "a sentence");
    }
}

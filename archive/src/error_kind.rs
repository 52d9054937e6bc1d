//! What a caller can do about an error: the question that exit statuses, and going on with the rest, depend
//! on.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

/// What kind of failure an error is.
///
/// The errors of all crates of layerlift have one of these. Which variant an error has may change between
/// releases; its kind does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself: a name that cannot be one, options that exclude each other, a path without a
    /// store.
    Request,
    /// What the caller asked for is not there.
    NotFound,
    /// A record names something that is not there.
    Missing,
    /// Bytes differ from what was recorded of them: a digest, a size, a checksum.
    Damaged,
    /// A document cannot be understood, contradicts itself or another, or lacks what it must have.
    Malformed,
    /// It is what it should be, and this version cannot read or write it.
    Unsupported,
    /// The system: permissions, a full disk, a closed pipe, a request to stop.
    Environment,
}

impl ErrorKind {
    /// The kind of an error that a [`Content`](crate::Content)'s reader handed out: one of [`content_error`],
    /// or one that holds an error of this crate ([`crate::Error::into_io`]). `None` for the system's own
    /// errors.
    pub fn of_io(error: &io::Error) -> Option<ErrorKind> {
        let inner = error.get_ref()?;
        if let Some(WithKind { kind, .. }) = inner.downcast_ref() {
            return Some(*kind);
        }
        if let Some(error) = inner.downcast_ref::<crate::Error>() {
            return Some(error.kind());
        }
        // An I/O error in an I/O error, as a reader that adds words makes it.
        inner.downcast_ref().and_then(ErrorKind::of_io)
    }
}

/// How a [`Content`](crate::Content)'s reader hands out an error of its own, with its kind
/// ([`ErrorKind::of_io`]).
///
/// The message is that of `error`. The [`io::ErrorKind`] is that of the I/O error among its causes, if there
/// is one.
pub fn content_error(kind: ErrorKind, error: impl StdError + Send + Sync + 'static) -> io::Error {
    let io_kind = match (io_cause(&error), kind) {
        (Some(cause), _) => cause,
        (None, ErrorKind::NotFound | ErrorKind::Missing) => io::ErrorKind::NotFound,
        (None, ErrorKind::Unsupported) => io::ErrorKind::Unsupported,
        (None, _) => io::ErrorKind::InvalidData,
    };
    io::Error::new(io_kind, WithKind { kind, error: Arc::new(error) })
}

fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        let shared = || error.downcast_ref::<Arc<io::Error>>().map(|error| &**error);
        if let Some(error) = error.downcast_ref::<io::Error>().or_else(shared) {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// An error inside an [`io::Error`]. Its message is the error's, and so is its cause: the error itself.
#[derive(Debug, Clone)]
struct WithKind {
    kind: ErrorKind,
    error: Arc<dyn StdError + Send + Sync>,
}

impl fmt::Display for WithKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for WithKind {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Arc<io::Error>);

    #[test]
    fn kinds_survive_io() {
        let error = content_error(ErrorKind::Damaged, fmt::Error);
        assert_eq!(ErrorKind::of_io(&error), Some(ErrorKind::Damaged));
        assert_eq!(error.to_string(), fmt::Error.to_string());
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let twice = io::Error::other(error);
        assert_eq!(ErrorKind::of_io(&twice), Some(ErrorKind::Damaged));
        assert_eq!(ErrorKind::of_io(&io::ErrorKind::BrokenPipe.into()), None);
    }

    #[test]
    fn the_systems_answer_stays() {
        let refused = Outer(Arc::new(io::ErrorKind::PermissionDenied.into()));
        let error = content_error(ErrorKind::Environment, refused);
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}

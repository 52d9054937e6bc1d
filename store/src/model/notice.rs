//! What is odd about a store and was read nevertheless.

use std::fmt;
use std::path::PathBuf;

/// A file of a store that is not as its engine writes it, but says what it has to say: nothing is lost by it.
///
/// `Display` says it in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Notice {
    /// The file.
    pub path: PathBuf,
    /// What is odd, and what was done.
    pub what: String,
}

impl Notice {
    /// Something odd about a file.
    pub fn new(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Notice { path: path.into(), what: what.into() }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

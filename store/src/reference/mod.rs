//! Names of images: what they consist of.
//!
//! ```text
//! localhost:5000/team/app:1.0
//! └─────repository──────┘ tag
//! base@sha256:0f3a…
//! repo └──digest──┘
//! ```

use std::fmt;

/// A name of an image: its repository, and a tag or a digest.
///
/// It holds what a store or a request says, whatever that is: stores keep names that engines refuse today.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: String,
    tag_or_digest: String,
}

impl Reference {
    /// A reference from its parts, which are taken as they are. Only a digest has a colon (`sha256:…`).
    pub fn new(repository: impl Into<String>, tag_or_digest: impl Into<String>) -> Self {
        Reference { repository: repository.into(), tag_or_digest: tag_or_digest.into() }
    }

    /// `base`, `team/app`, `localhost:5000/x`: spelled as in the store, or where Docker did so, as in the request.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// What stands behind the repository.
    pub fn tag_or_digest(&self) -> &str {
        &self.tag_or_digest
    }

    /// The tag, if the reference has one instead of a digest.
    pub fn tag(&self) -> Option<&str> {
        (!self.is_digest()).then_some(&*self.tag_or_digest)
    }

    /// The digest (`sha256:…`), if the reference has one instead of a tag.
    pub fn digest(&self) -> Option<&str> {
        self.is_digest().then_some(&*self.tag_or_digest)
    }

    /// Whether a digest stands behind the repository.
    pub fn is_digest(&self) -> bool {
        self.tag_or_digest.contains(':')
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.is_digest() { '@' } else { ':' };
        write!(f, "{}{separator}{}", self.repository, self.tag_or_digest)
    }
}

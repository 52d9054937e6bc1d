//! The one room that takes names of images apart: splitting, normalizing, validity.
//!
//! ```text
//! docker.io/library/base:1.0         localhost:5000/team/app@sha256:0f3a…
//! registry  path         tag         registry       path     digest
//! ───── repository ─────             ────── repository ─────
//! ```
//!
//! Engines have had several rules, and stores keep names that only one of them allows; [`Rules`] names them.
//! `parse` splits, `normalize` knows the spellings of one name, `valid` has the rules.

mod normalize;
mod parse;
#[cfg(test)]
mod tests;
mod valid;

use std::fmt;

use crate::Error;

pub(crate) use normalize::{familiar_name, local_name};
pub(crate) use parse::{Parts, split_1_8, split_registry, split_request, within};
pub use valid::Rules;

/// The tag of a name that has neither tag nor digest.
pub(crate) const LATEST: &str = "latest";

/// A name of an image: its repository, and a tag or a digest.
///
/// It holds what a store or a request says, valid or not: [`Reference::check`] applies the rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: String,
    tag_or_digest: String,
}

impl Reference {
    /// A reference from its parts, taken as they are. A digest has a colon (`sha256:…`), a tag has not.
    pub fn new(repository: impl Into<String>, tag_or_digest: impl Into<String>) -> Self {
        Reference { repository: repository.into(), tag_or_digest: tag_or_digest.into() }
    }

    /// Takes a name apart and checks its parts.
    ///
    /// A name with neither tag nor digest has the tag `latest`. One with both keeps the tag: a digest is for
    /// finding an image.
    ///
    /// ```
    /// use layerlift_store::{Reference, Rules};
    ///
    /// let reference = Reference::parse("localhost:5000/team/app:1.0", Rules::Distribution)?;
    /// assert_eq!((reference.repository(), reference.tag()), ("localhost:5000/team/app", Some("1.0")));
    /// assert!(Reference::parse("Team/app", Rules::Distribution).is_err());
    /// # Ok::<(), layerlift_store::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] says which part breaks the rules.
    pub fn parse(name: &str, rules: Rules) -> Result<Self, Error> {
        let bad = |why| Error::BadName { name: name.to_owned(), why };
        let parts = match rules {
            Rules::Docker18 => Parts::of_1_8(name),
            Rules::Distribution | Rules::Stored => parse::split(name),
        };
        // Beside a tag, a layout may have anything.
        if let Some(digest) = parts.digest
            && (parts.tag.is_none() || rules != Rules::Stored)
        {
            rules.check_digest(digest).map_err(bad)?;
        }
        let tag_or_digest = parts.tag.or(parts.digest).unwrap_or(LATEST);
        let reference = Reference::new(parts.repository, tag_or_digest);
        reference.check(rules).map_err(bad)?;
        Ok(reference)
    }

    /// Takes a name apart that a store has, whatever it looks like.
    ///
    /// A name with neither tag nor digest has the tag `latest`, by which Podman finds it. One with both keeps
    /// the digest.
    pub fn stored(name: &str) -> Self {
        let parts = parse::split(name);
        Reference::new(parts.repository, parts.digest.or(parts.tag).unwrap_or(LATEST))
    }

    /// `base`, `team/app`, `localhost:5000/x`: spelled as in the store, or where Docker 1.8 did so, as in the
    /// request.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// What follows the repository.
    pub fn tag_or_digest(&self) -> &str {
        &self.tag_or_digest
    }

    /// The tag, unless the reference has a digest.
    pub fn tag(&self) -> Option<&str> {
        (!self.is_digest()).then_some(&*self.tag_or_digest)
    }

    /// The digest (`sha256:…`), if the reference has one.
    pub fn digest(&self) -> Option<&str> {
        self.is_digest().then_some(&*self.tag_or_digest)
    }

    /// Whether the reference has a digest instead of a tag.
    pub fn is_digest(&self) -> bool {
        self.tag_or_digest.contains(':')
    }

    /// Checks the parts.
    ///
    /// # Errors
    ///
    /// Says which part breaks the rules.
    pub fn check(&self, rules: Rules) -> Result<(), &'static str> {
        match self.digest() {
            Some(digest) => rules.check_digest(digest)?,
            None => rules.check_tag(&self.tag_or_digest)?,
        }
        rules.check_repository(&self.repository)
    }

    /// The reference as Docker shows it: `base:1.0` for `docker.io/library/base:1.0`.
    ///
    /// Its full form stays the same. A path that begins like a registry (`docker.io/a.b/c`) therefore keeps
    /// `docker.io/`, which Docker drops: `a.b/c` is another repository.
    ///
    /// ```
    /// use layerlift_store::Reference;
    ///
    /// assert_eq!(Reference::new("docker.io/library/alpine", "3").familiar().to_string(), "alpine:3");
    /// assert_eq!(Reference::new("quay.io/team/app", "3").familiar().to_string(), "quay.io/team/app:3");
    /// ```
    #[must_use]
    pub fn familiar(&self) -> Reference {
        let short = familiar_name(&self.repository);
        let full = normalize::full_name(&self.repository);
        let repository = if normalize::full_name(short) == full { short.to_owned() } else { full };
        Reference { repository, tag_or_digest: self.tag_or_digest.clone() }
    }

    /// The reference with its registry: `docker.io/library/base:1.0` for `base:1.0`.
    #[must_use]
    pub fn full(&self) -> Reference {
        Reference::new(normalize::full_name(&self.repository), &*self.tag_or_digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.is_digest() { '@' } else { ':' };
        write!(f, "{}{separator}{}", self.repository, self.tag_or_digest)
    }
}

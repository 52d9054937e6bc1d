//! What a name means, in every store.
//!
//! ```text
//! base                      a repository: all its tags
//! base:1.0  base@sha256:…   one of them
//! docker.io/library/base    the same repository, spelled out
//! 5646c3006f06…             an id, or the beginning of exactly one
//! ```
//!
//! A repository wins over an id. Stores of Docker until 1.9 follow 1.8.3 to the letter (`graph/tags.go`,
//! `graph/export.go`, `registry/config.go`): scripts of that time rely on it. Later stores follow
//! distribution's names and Podman's short names.
//!
//! `resolve` finds images, `suggest` similar names. `reference` knows where a name is cut, and what is valid.

mod resolve;
mod suggest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{Error, ImageKey, Reference, Selected};

/// Tags and digests (`sha256:…`) of a repository, and the images they lead to. Several images for one tag:
/// the same name in several partitions, the preferred one first.
pub type Tags = BTreeMap<String, Vec<ImageKey>>;

/// What lookup asks a store. It asks one question at a time, so that a store need not read everything for a
/// single name.
pub trait Catalog {
    /// The tags of the repository with exactly this name; `None` if the store has no such repository.
    fn tags(&self, repository: &str) -> Result<Option<Tags>, Error>;

    /// The names of all repositories, sorted.
    fn repositories(&self) -> Result<Vec<String>, Error>;

    /// Images whose id begins with `prefix` (hex, possibly empty or complete), sorted by id. Of one id in
    /// several partitions the preferred one comes first.
    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error>;
}

/// How a store spells names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Docker until 1.9: local names, by the rules of 1.8.3.
    Graph,
    /// Docker since 1.10: familiar names, without `docker.io/` and `library/`.
    Familiar,
    /// Podman, containerd, OCI: names as somebody wrote them, mostly with a registry (`docker.io/library/x`,
    /// `localhost/x`). Short names find them too.
    Qualified,
}

/// Longest request in bytes: a repository has at most 255, a tag 128, a digest 135.
const LONGEST: usize = 1024;

/// What a name means: an image, or whatever else the catalog keeps under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Match {
    /// Its key.
    pub key: ImageKey,
    /// The tag by which it was found; `None` when it was named by its id.
    pub reference: Option<Reference>,
}

impl From<Match> for Selected {
    /// For catalogs that have nothing but images.
    fn from(found: Match) -> Self {
        Selected::of_image(found.key, found.reference)
    }
}

/// Looks a name up. A name that means all tags of a repository gives one [`Match`] for each, in the order of
/// the tags; the answer is never empty.
///
/// # Errors
///
/// [`Error::BadName`] for what cannot be a name, [`Error::NotFound`] with similar names, [`Error::Ambiguous`]
/// with what the name can mean, and errors of the catalog.
pub fn resolve(catalog: &dyn Catalog, spelling: Spelling, name: &str) -> Result<Vec<Match>, Error> {
    check(name)?;
    let found = match spelling {
        Spelling::Graph => resolve::graph(catalog, name)?,
        Spelling::Familiar => resolve::familiar(catalog, name)?,
        Spelling::Qualified => resolve::qualified(catalog, name)?,
    };
    if found.is_empty() {
        return Err(Error::NotFound { name: name.to_owned(), suggestions: suggest::near(catalog, name)? });
    }
    Ok(found)
}

fn check(name: &str) -> Result<(), Error> {
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST {
        return Err(Error::BadName {
            name: name.chars().take(40).chain("…".chars()).collect(),
            why: "it is longer than any name can be (1024 bytes)",
        });
    } else if name.chars().any(char::is_control) {
        "it contains control characters"
    } else if name.chars().any(char::is_whitespace) {
        "it contains white space"
    } else {
        return Ok(());
    };
    Err(bad_name(name, why))
}

fn bad_name(name: &str, why: &'static str) -> Error {
    Error::BadName { name: name.to_owned(), why }
}

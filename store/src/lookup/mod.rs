//! What a name means: normalization, repository, tag, digest, full id, unique prefix, ambiguity. Written once, for every
//! store.
//!
//! ```text
//! base                      a repository: all its tags
//! base:1.0  base@sha256:…   one of them
//! 5646c3006f06…             an id, or the beginning of only one
//! docker.io/library/base    the same repository, spelled out
//! ```
//!
//! A repository wins over an id. For Docker until 1.9 the rules are those of 1.8.3 to the letter (`graph/tags.go`,
//! `graph/export.go`, `registry/config.go`), since scripts of that time rely on them; for later engines they are those of
//! distribution's reference names, and of Podman's short names.

use std::collections::BTreeMap;

use crate::{Error, ImageKey, Reference, Selected};

mod resolve;
mod suggest;

/// What a store must tell so that names can be looked up in it. Questions are asked one at a time, so that a store need
/// not read everything for a single name.
pub trait Catalog {
    /// Tags and digests (`sha256:…`) of the repository that is stored under exactly this name; `None` if there is none.
    /// Several images for one tag: the same name in several drivers, the preferred one first.
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error>;

    /// The names of all repositories, sorted.
    fn repositories(&self) -> Result<Vec<String>, Error>;

    /// Images whose id begins with `prefix` (hex, possibly empty or complete), sorted by id; of one id in several drivers
    /// the preferred one first.
    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error>;
}

/// How a store spells names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spelling {
    /// Docker until 1.9: local names, with the rules of 1.8 to the letter.
    Graph,
    /// Docker since 1.10: familiar names, without `docker.io/` and `library/`.
    Familiar,
    /// Podman, containerd, OCI: whatever was stored, mostly with its registry (`docker.io/library/x`, `localhost/x`); found
    /// by short names too.
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

/// Looks a name up. Never empty; nothing found is [`Error::NotFound`] with names that are near.
///
/// A name that means all tags of a repository gives one [`Match`] for each, in the order of the tags.
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
        "it has control characters"
    } else if name.chars().any(char::is_whitespace) {
        "it has white space"
    } else {
        return Ok(());
    };
    Err(bad_name(name, why))
}

fn bad_name(name: &str, why: &'static str) -> Error {
    Error::BadName { name: name.to_owned(), why }
}

#[cfg(test)]
mod tests;

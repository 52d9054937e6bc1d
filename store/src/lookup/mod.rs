//! What a name means: normalization, repository, tag, digest, full id, unique prefix, ambiguity. Written once, for every
//! store.

use std::collections::BTreeMap;

use crate::{Error, ImageKey, Selected};

/// What a store must tell so that names can be looked up in it. Questions are asked one at a time, so that a store need
/// not read everything for a single name.
pub trait Catalog {
    /// Tags and digests (`sha256:…`) of the repository that is stored under exactly this name; `None` if there is none.
    /// Several images for one tag: the same name in several drivers, the preferred one first.
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error>;

    /// The names of all repositories, sorted.
    fn repositories(&self) -> Result<Vec<String>, Error>;

    /// Images whose id begins with `prefix` (hex, possibly empty or complete), sorted by id.
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

/// Looks a name up.
pub fn resolve(catalog: &dyn Catalog, spelling: Spelling, name: &str) -> Result<Vec<Selected>, Error> {
    let _ = (catalog, spelling);
    Err(Error::NotFound { name: name.to_owned(), suggestions: Vec::new() })
}

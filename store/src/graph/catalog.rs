//! The names and ids of a graph store, for lookup.

use std::collections::BTreeMap;

use super::GraphStore;
use super::repositories::{self, Repositories};
use crate::lookup::{Catalog, Tags};
use crate::{Error, ImageKey, Reference};

/// The names of a store at one moment.
pub(super) struct GraphCatalog<'s> {
    store: &'s GraphStore,
    repositories: Repositories,
    /// Why there are none.
    pub(super) error: Option<Error>,
}

impl<'s> GraphCatalog<'s> {
    pub(super) fn read(store: &'s GraphStore) -> Self {
        match repositories::read(store.root(), store.driver()) {
            Ok(repositories) => GraphCatalog { store, repositories, error: None },
            Err(error) => GraphCatalog { store, repositories: Repositories::new(), error: Some(error) },
        }
    }

    /// Names by the id that the file has for them, which may be anything.
    pub(super) fn by_image(&self) -> BTreeMap<&str, Vec<Reference>> {
        let mut by_image: BTreeMap<&str, Vec<Reference>> = BTreeMap::new();
        for (repository, tags) in &self.repositories {
            for (tag, id) in tags {
                by_image.entry(id).or_default().push(Reference::new(repository, tag));
            }
        }
        by_image
    }
}

impl Catalog for GraphCatalog<'_> {
    fn tags(&self, repository: &str) -> Result<Option<Tags>, Error> {
        let Some(tags) = self.repositories.get(repository) else { return Ok(None) };
        let mut images = BTreeMap::new();
        for (tag, id) in tags {
            // An id without an image is an error once the image is opened. Here it would hide the other tags.
            let id = self.store.complete(id)?.map_or_else(|| id.clone(), |id| id.to_string());
            images.insert(tag.clone(), vec![self.store.key(id)]);
        }
        Ok(Some(images))
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.repositories.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let ids = self.store.ids(prefix)?;
        Ok(ids.into_iter().map(|id| self.store.key(id.to_string())).collect())
    }
}

//! The names and ids of a graph store, for lookup.

use std::collections::BTreeMap;

use super::images::Images;
use super::repositories;
use crate::lookup::{Catalog, Tags};
use crate::names::Names;
use crate::{Error, ImageKey};

/// The names of a store at one moment.
pub(super) struct GraphCatalog<'s> {
    images: &'s Images,
    pub(super) names: Names,
}

impl<'s> GraphCatalog<'s> {
    pub(super) fn read(images: &'s Images) -> Self {
        GraphCatalog { images, names: repositories::read(&images.root, &images.graph, &images.driver) }
    }
}

impl Catalog for GraphCatalog<'_> {
    fn tags(&self, repository: &str) -> Result<Option<Tags>, Error> {
        let Some(tags) = self.names.repositories.get(repository) else { return Ok(None) };
        let mut found = BTreeMap::new();
        for (tag, id) in tags {
            // An id without an image is an error once the image is opened. Here it would hide the other tags.
            let id = self.images.complete(id)?.map_or_else(|| id.clone(), |id| id.to_string());
            found.insert(tag.clone(), vec![self.images.key(id)]);
        }
        Ok(Some(found))
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.names.repositories.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let ids = self.images.ids(prefix)?;
        Ok(ids.into_iter().map(|id| self.images.key(id.as_str())).collect())
    }
}

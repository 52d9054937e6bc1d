//! The names and ids of a graph store, for lookup.

use std::collections::BTreeMap;

use super::images::Images;
use super::repositories::{self, Repositories};
use crate::lookup::{Catalog, Tags};
use crate::{Error, ImageKey, Reference};

/// The names of a store at one moment.
pub(super) struct GraphCatalog<'s> {
    images: &'s Images,
    repositories: Repositories,
    /// Why the names could not be read.
    pub(super) error: Option<Error>,
}

impl<'s> GraphCatalog<'s> {
    pub(super) fn read(images: &'s Images) -> Self {
        match repositories::read(&images.root, &images.driver) {
            Ok(repositories) => GraphCatalog { images, repositories, error: None },
            Err(error) => GraphCatalog { images, repositories: Repositories::new(), error: Some(error) },
        }
    }

    /// Names by the id that the file gives them, which may be anything.
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
        let mut found = BTreeMap::new();
        for (tag, id) in tags {
            // An id without an image is an error once the image is opened. Here it would hide the other tags.
            let id = self.images.complete(id)?.map_or_else(|| id.clone(), |id| id.to_string());
            found.insert(tag.clone(), vec![self.images.key(id)]);
        }
        Ok(Some(found))
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.repositories.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let ids = self.images.ids(prefix)?;
        Ok(ids.into_iter().map(|id| self.images.key(id.as_str())).collect())
    }
}

//! Answers to what [`crate::lookup`] asks.

use std::collections::BTreeMap;

use super::GraphStore;
use super::repositories::{self, Repositories};
use crate::lookup::Catalog;
use crate::{Error, ImageKey, Reference};

/// The names of a store at one moment.
pub(super) struct Names<'s> {
    store: &'s GraphStore,
    repositories: Repositories,
    /// Why there are none.
    pub(super) damaged: Option<Error>,
}

impl<'s> Names<'s> {
    pub(super) fn read(store: &'s GraphStore) -> Self {
        match repositories::read(store.root(), store.driver()) {
            Ok(repositories) => Names { store, repositories, damaged: None },
            Err(error) => Names { store, repositories: Repositories::new(), damaged: Some(error) },
        }
    }

    /// Names that lead to an image, by what stands there as its id.
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

impl Catalog for Names<'_> {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        let Some(tags) = self.repositories.get(repository) else { return Ok(None) };
        let mut images = BTreeMap::new();
        for (tag, id) in tags {
            // What is no id of an image that is there is an error once the image is opened, not before: it must not hide the
            // other tags.
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

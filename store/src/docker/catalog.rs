//! The names and ids of all drivers, for lookup.

use std::collections::{BTreeMap, BTreeSet};

use super::imagedb;
use super::images::Images;
use super::repositories;
use crate::lookup::{Catalog, Tags};
use crate::names::Repositories;
use crate::{Error, ImageKey, Keyring};

/// The names of all drivers, read once. Ids are read when they are asked for.
pub(super) struct DockerCatalog<'a> {
    images: &'a Images,
    /// For each image root; empty where the file cannot be read.
    repositories: Vec<Repositories>,
    /// Why names may be missing: the first error.
    pub(super) error: Option<Error>,
}

impl<'a> DockerCatalog<'a> {
    pub(super) fn read(images: &'a Images) -> Self {
        let mut catalog = DockerCatalog { images, repositories: Vec::new(), error: None };
        for root in &images.roots {
            let names = repositories::read(images, root);
            catalog.error = catalog.error.or(names.lost.into_iter().next());
            catalog.repositories.push(names.repositories);
        }
        catalog
    }

    fn by_driver(&self) -> impl Iterator<Item = (&str, &Repositories)> {
        self.images.roots.iter().map(|images| images.driver.as_str()).zip(&self.repositories)
    }
}

/// An image that several drivers have is one image here; the store chooses the driver afterwards.
fn add(images: &mut Vec<ImageKey>, keys: &Keyring, driver: &str, id: &str) {
    if !images.iter().any(|image| image.id() == id) {
        images.push(keys.image(driver, id));
    }
}

impl Catalog for DockerCatalog<'_> {
    fn tags(&self, repository: &str) -> Result<Option<Tags>, Error> {
        let mut found: Option<Tags> = None;
        for (driver, repositories) in self.by_driver() {
            let Some(tags) = repositories.get(repository) else { continue };
            let found = found.get_or_insert_default();
            for (tag, id) in tags {
                add(found.entry(tag.clone()).or_default(), &self.images.keys, driver, id);
            }
        }
        Ok(found)
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        let names = self.repositories.iter().flat_map(|repositories| repositories.keys());
        Ok(names.collect::<BTreeSet<_>>().into_iter().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let mut found = BTreeMap::new();
        for images in &self.images.roots {
            for id in imagedb::ids(&images.root)? {
                if id.starts_with(prefix) {
                    found.entry(id).or_insert(&images.driver);
                }
            }
        }
        Ok(found.into_iter().map(|(id, driver)| self.images.keys.image(driver, id)).collect())
    }
}

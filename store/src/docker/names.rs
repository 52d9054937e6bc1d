//! The names and ids of all drivers, as lookup asks for them.

use std::collections::{BTreeMap, BTreeSet};

use super::repositories::{self, Repositories};
use super::{DockerStore, imagedb};
use crate::lookup::Catalog;
use crate::{Error, ImageKey, Keyring};

/// The names of all drivers, read once. What they lead to is looked at when asked.
pub(super) struct Names<'a> {
    store: &'a DockerStore,
    /// As many as the store has image roots; empty where the file cannot be read.
    repositories: Vec<Repositories>,
    /// What is wrong with the first such file.
    pub(super) damaged: Option<Error>,
}

impl<'a> Names<'a> {
    pub(super) fn read(store: &'a DockerStore) -> Self {
        let mut names = Names { store, repositories: Vec::new(), damaged: None };
        for images in store.image_roots() {
            let (repositories, wrong) = repositories::read(&images.root);
            names.damaged = names.damaged.or(wrong.into_iter().next());
            names.repositories.push(repositories);
        }
        names
    }

    fn by_driver(&self) -> impl Iterator<Item = (&str, &Repositories)> {
        self.store.image_roots().iter().map(|images| images.driver.as_str()).zip(&self.repositories)
    }
}

/// The same image under several drivers is one image here; the store chooses between them afterwards.
fn add(images: &mut Vec<ImageKey>, keys: &Keyring, driver: &str, id: &str) {
    if !images.iter().any(|image| image.id() == id) {
        images.push(keys.image(driver, id));
    }
}

impl Catalog for Names<'_> {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        let mut found: Option<BTreeMap<String, Vec<ImageKey>>> = None;
        for (driver, repositories) in self.by_driver() {
            let Some(tags) = repositories.get(repository) else { continue };
            let found = found.get_or_insert_default();
            for (tag, id) in tags {
                add(found.entry(tag.clone()).or_default(), self.store.keys(), driver, id);
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
        for images in self.store.image_roots() {
            for id in imagedb::ids(&images.root)? {
                if id.starts_with(prefix) {
                    found.entry(id).or_insert(&images.driver);
                }
            }
        }
        Ok(found.into_iter().map(|(id, driver)| self.store.keys().image(driver, id)).collect())
    }
}

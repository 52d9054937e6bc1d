//! The names and ids of all drivers, for lookup.
//!
//! The digests of an image's manifests are names too: `repository@sha256:…` leads to it in each of its
//! repositories.

use std::collections::{BTreeMap, BTreeSet};

use super::bigdata;
use super::images::Images;
use crate::lookup::{Catalog, Tags};
use crate::{Error, ImageKey, Keyring};

/// The names of all drivers, preferred ones first.
pub(super) struct ContainersCatalog<'a> {
    keys: &'a Keyring,
    drivers: &'a [Images],
    repositories: BTreeMap<&'a str, Tags>,
}

impl<'a> ContainersCatalog<'a> {
    pub(super) fn new(keyring: &'a Keyring, drivers: &'a [Images]) -> Self {
        let mut repositories: BTreeMap<&str, Tags> = BTreeMap::new();
        for images in drivers {
            for (image, references) in images.all() {
                let key = keyring.image(&images.driver, &image.id);
                let mut add = |repository, tag: &str| {
                    let keys = repositories.entry(repository).or_default().entry(tag.to_owned()).or_default();
                    if !keys.contains(&key) {
                        keys.push(key.clone());
                    }
                };
                for reference in references {
                    add(reference.repository(), reference.tag_or_digest());
                    bigdata::digests(image).for_each(|digest| add(reference.repository(), digest));
                }
            }
        }
        ContainersCatalog { keys: keyring, drivers, repositories }
    }
}

impl Catalog for ContainersCatalog<'_> {
    fn tags(&self, repository: &str) -> Result<Option<Tags>, Error> {
        Ok(self.repositories.get(repository).cloned())
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.repositories.keys().map(|name| (*name).to_owned()).collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let ids: BTreeSet<&String> = self.drivers.iter().flat_map(|images| images.ids(prefix)).collect();
        let has = |images: &Images, id: &str| images.ids(id).next().is_some_and(|first| first == id);
        let keys = ids.into_iter().flat_map(|id| {
            let drivers = self.drivers.iter().filter(move |images| has(images, id));
            drivers.map(move |images| self.keys.image(&images.driver, id))
        });
        Ok(keys.collect())
    }
}

//! The namespaces of containerd behind the [`Store`] trait: each is a store of its own, and the partition of
//! its keys.

use layerlift_archive::Digest;

use super::moby::Docker;
use crate::kind::StoreKind;
use crate::layout::LayoutStore;
use crate::{
    Artifact, Containers, Error, Image, ImageKey, Index, IndexTree, LayerKey, LayerTar, Listing, Selected,
    Store,
};

/// containerd's images. The id of an image is the digest of its manifest; the digest of its config finds it
/// too.
#[derive(Debug)]
pub(crate) struct ContainerdStore {
    /// By their names, sorted.
    namespaces: Vec<(String, LayoutStore)>,
    /// The containers of Docker, if it keeps its images here.
    docker: Option<Docker>,
}

impl ContainerdStore {
    pub(super) fn new(namespaces: Vec<(String, LayoutStore)>, docker: Option<Docker>) -> Self {
        ContainerdStore { namespaces, docker }
    }

    fn namespace(&self, name: &str, id: &str) -> Result<&LayoutStore, Error> {
        let found = self.namespaces.iter().find(|(known, _)| known == name);
        let not_found = || Error::not_found(format!("{id} of namespace {name}"));
        found.map(|(_, store)| store).ok_or_else(not_found)
    }
}

impl Store for ContainerdStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Containerd
    }

    fn images(&self) -> Result<Listing, Error> {
        let mut all = Listing::default();
        for (_, store) in &self.namespaces {
            all.append(store.images()?);
        }
        Ok(all)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let mut found = Vec::new();
        let mut near = Vec::new();
        for (_, store) in &self.namespaces {
            match store.resolve(name) {
                Ok(selected) => found.extend(selected),
                Err(Error::NotFound { suggestions, .. }) => near.extend(suggestions),
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            near.sort();
            near.dedup();
            return Err(Error::NotFound { name: name.to_owned(), suggestions: near });
        }
        Ok(found)
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.namespace(key.partition(), key.id())?.image(key)
    }

    fn tree(&self, index: &Index) -> Result<Option<IndexTree>, Error> {
        // Namespaces share blobs, but each has images of its own.
        let of = index.members.iter().find_map(|member| member.image.as_ref());
        match of {
            Some(image) => self.namespace(image.partition(), image.id())?.tree(index),
            None => Ok(None),
        }
    }

    fn referrers(&self, of: &[Digest]) -> Vec<Artifact> {
        self.namespaces.iter().flat_map(|(_, store)| store.referrers(of)).collect()
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.namespace(key.partition(), key.id())?.layer(key)
    }

    fn gone(&self) -> Result<Vec<Error>, Error> {
        let mut gone = Vec::new();
        for (_, store) in &self.namespaces {
            gone.extend(store.gone()?);
        }
        Ok(gone)
    }

    fn layer_name(&self, key: &LayerKey) -> String {
        match self.namespace(key.partition(), key.id()) {
            Ok(store) => store.layer_name(key),
            Err(_) => key.id().to_owned(),
        }
    }

    fn containers(&self) -> Option<&dyn Containers> {
        self.docker.as_ref().map(|docker| docker as &dyn Containers)
    }
}

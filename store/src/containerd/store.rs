//! The namespaces of containerd behind the [`Store`] trait: each is a store of its own, and the partition of
//! its keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use layerlift_archive::Digest;

use super::metadata::Metadata;
use super::moby::Docker;
use crate::diff::Form;
use crate::kind::StoreKind;
use crate::layout::LayoutStore;
use crate::{
    Artifact, Containers, DiffId, DiffLayer, Error, Image, ImageKey, Index, IndexTree, LayerDir, LayerKey,
    LayerTar, Listing, RootFs, Selected, Store,
};

/// containerd's images. The id of an image is the digest of its manifest; the digest of its config finds it
/// too.
#[derive(Debug)]
pub(crate) struct ContainerdStore {
    /// What is not read before it is needed; `None` if it is damaged.
    metadata: Option<Arc<Metadata>>,
    /// By their names, sorted.
    namespaces: Vec<(String, LayoutStore)>,
    /// The containers of Docker, if it keeps its images here.
    docker: Option<Docker>,
}

impl ContainerdStore {
    pub(super) fn new(
        metadata: Option<Arc<Metadata>>,
        namespaces: Vec<(String, LayoutStore)>,
        docker: Option<Docker>,
    ) -> Self {
        ContainerdStore { metadata, namespaces, docker }
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
            None => {
                let mut trees = self.namespaces.iter().map(|(_, store)| store.tree(index));
                trees.find(|tree| !matches!(tree, Ok(None))).unwrap_or(Ok(None))
            }
        }
    }

    fn referrers(&self, of: &[Digest]) -> Vec<Artifact> {
        self.namespaces.iter().flat_map(|(_, store)| store.referrers(of)).collect()
    }

    fn annotations(&self, digest: Digest) -> BTreeMap<String, String> {
        let of = |(name, store): &(String, LayoutStore)| {
            let sources = self.metadata.as_ref().map(|metadata| metadata.sources(name, digest));
            let mut all = store.annotations(digest);
            // A label that cannot be read is in a page that the listing reports.
            all.extend(sources.and_then(Result::ok).unwrap_or_default());
            all
        };
        self.namespaces.iter().map(of).find(|all| !all.is_empty()).unwrap_or_default()
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.namespace(key.partition(), key.id())?.layer(key)
    }

    fn unpacked(&self, key: &LayerKey, diff_ids: &[DiffId]) -> Result<Option<LayerTar>, Error> {
        self.namespace(key.partition(), key.id())?.unpacked(key, diff_ids)
    }

    fn root_fs(&self, image: &Image) -> Result<Option<RootFs>, Error> {
        let store = self.namespace(image.key.partition(), image.key.id())?;
        let diff_ids: Vec<DiffId> = image.layers.iter().filter_map(|layer| layer.diff_id).collect();
        if diff_ids.len() < image.layers.len() {
            return Ok(None);
        }
        let mut stack = Vec::new();
        for (below, layer) in image.layers.iter().enumerate().rev() {
            match store.unpacked(&layer.key, &diff_ids[..=below])? {
                Some(LayerTar::Diff(DiffLayer { dir, holds: LayerDir::Full { .. }, .. })) => {
                    return Ok(Some(RootFs::whole(dir, Form::Today)));
                }
                Some(LayerTar::Diff(layer)) => stack.push(layer.dir),
                _ => return Ok(None),
            }
        }
        Ok(Some(RootFs::stacked(stack, "", Form::Today)))
    }

    fn missing(&self) -> Result<Vec<Error>, Error> {
        let mut missing = Vec::new();
        for (_, store) in &self.namespaces {
            missing.extend(store.missing()?);
        }
        Ok(missing)
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

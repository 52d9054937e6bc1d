//! A graph store behind the [`Store`] trait.

use super::catalog::GraphCatalog;
use super::document::GraphDocument;
use super::images::Images;
use super::{chain, listing};
use crate::diff::{Form, LayerDir, Watch};
use crate::driver::{self, Holds};
use crate::kind::StoreKind;
use crate::lookup::{self, Spelling};
use crate::tarsplit::{self, Record};
use crate::{
    DiffLayer, Error, Image, ImageKey, Layer, LayerKey, LayerTar, Listing, Notice, Root, RootFs, Selected,
    Store, V1Id,
};

/// Docker's graph store, with the layers of one driver.
#[derive(Debug)]
pub(crate) struct GraphStore {
    images: Images,
}

impl GraphStore {
    pub(super) fn new(images: Images) -> Self {
        GraphStore { images }
    }

    /// The directory of a layer. If it is an overlay rather than a whole tree, the id of the layer below,
    /// too.
    fn directory(&self, id: &V1Id) -> Result<(Root, Holds, Option<String>), Error> {
        let driver = driver::find(&self.images.driver)?;
        let of = format!("layer {id}");
        match driver.open(&self.images.root, id.as_str(), &of) {
            Err(missing @ Error::Missing { .. }) if driver.name == "overlay" => {
                let (dir, lower) = driver::overlay::upper(&self.images.root, id.as_str())?.ok_or(missing)?;
                Ok((dir, Holds::Upper, Some(lower)))
            }
            opened => Ok((opened?, driver.holds, None)),
        }
    }

    /// A layer without tar-split data, whose tar has to be computed.
    fn computed(&self, id: &V1Id) -> Result<DiffLayer, Error> {
        let document = GraphDocument::read(&self.images.graph, id)?;
        let parent = chain::parent(&self.images, id, &document, &|prefix| self.images.complete(prefix))?;
        let (dir, holds, lower) = self.directory(id)?;
        let unsupported = |what: String| {
            let hint = "without tar-split data its tar can be computed only from a mounted overlay: \
                        let a Docker of that time save the image";
            Error::unsupported(what, hint)
        };
        let holds = match (holds, &parent) {
            (Holds::Upper, parent) => match (lower, parent) {
                (Some(lower), Some(parent)) if lower != parent.as_str() => {
                    let what = format!(
                        "layer {id} is kept together with changes of its parent, as an overlay of {lower}"
                    );
                    return Err(unsupported(what));
                }
                _ => LayerDir::Upper,
            },
            (Holds::Full, None) => LayerDir::Full { parent: None },
            (Holds::Full, Some(parent)) => match self.directory(parent)? {
                (dir, Holds::Full, _) => LayerDir::Full { parent: Some(dir) },
                (_, Holds::Upper, _) => {
                    return Err(unsupported(format!(
                        "layer {id} is a whole tree, and its parent {parent} an overlay"
                    )));
                }
            },
        };
        Ok(DiffLayer::new(dir, holds, document.created_secs()))
    }
}

impl Store for GraphStore {
    fn kind(&self) -> StoreKind {
        StoreKind::DockerGraph
    }

    fn images(&self) -> Result<Listing, Error> {
        listing::list(&self.images)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let catalog = GraphCatalog::read(&self.images);
        let not_found = match lookup::resolve(&catalog, Spelling::Graph, name) {
            Err(not_found @ Error::NotFound { .. }) => not_found,
            answer => return answer.map(|found| found.into_iter().map(Selected::from).collect()),
        };
        // The name may be in the file that cannot be read, or be the id of an image whose layer is lost.
        if let Some(error) = catalog.names.lost.into_iter().next() {
            return Err(error);
        }
        if crate::hex_id(name) && self.images.graph.exists(name)? {
            return Err(self.images.no_image(name, &[]));
        }
        Err(not_found)
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.images.keys.check_image(key)?;
        let here = V1Id::parse(key.id());
        let Some(id) = here.filter(|id| matches!(self.images.absent(id), Ok(None))) else {
            let named =
                GraphCatalog::read(&self.images).names.by_image().remove(key.id()).unwrap_or_default();
            return Err(self.images.no_image(key.id(), &named));
        };
        let (documents, notices) = chain::read(&self.images, id)?;
        let layer = |id: &V1Id| Layer::new(self.images.layer_key(id), None);
        let layers = documents.iter().map(|document| layer(&document.id)).collect();
        Ok(Image { notices, ..Image::new(key.clone(), crate::Document::V1(documents), layers) })
    }

    fn root_fs(&self, image: &Image) -> Result<Option<RootFs>, Error> {
        self.images.keys.check_image(&image.key)?;
        let mut stack = Vec::new();
        for layer in image.layers.iter().rev() {
            let id = V1Id::parse(layer.key.id()).ok_or_else(|| Error::not_found(layer.key.id()))?;
            match self.directory(&id)? {
                (dir, Holds::Full, _) => return Ok(Some(RootFs::whole(dir, Form::Docker28))),
                // An overlay lies on one whole tree.
                (dir, Holds::Upper, Some(lower)) => {
                    let driver = driver::find(&self.images.driver)?;
                    let below = driver.open(&self.images.root, &lower, &format!("layer {lower}"))?;
                    return Ok(Some(RootFs::stacked(vec![dir, below], &self.images.driver, Form::Docker28)));
                }
                (dir, Holds::Upper, None) => stack.push(dir),
            }
        }
        Ok(Some(RootFs::stacked(stack, &self.images.driver, Form::Docker28)))
    }

    fn has_files(&self, key: &LayerKey) -> Result<(), Error> {
        self.images.keys.check_layer(key)?;
        let id = V1Id::parse(key.id()).ok_or_else(|| Error::not_found(key.id()))?;
        self.directory(&id).map(drop)
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.images.keys.check_layer(key)?;
        let id = V1Id::parse(key.id()).ok_or_else(|| Error::not_found(key.id()))?;
        let name = format!("{id}/tar-data.json.gz");
        let unusable = match self.images.graph.try_open_file(&name)? {
            None => None,
            Some(metadata) => {
                let (tree, ..) = self.directory(&id)?;
                match tarsplit::open(tree, metadata, self.images.graph.join(&name), None, None)? {
                    Record::Exact(layer) => return Ok(LayerTar::Split(layer)),
                    // A v1 id does not depend on the bytes, and no digest is recorded: nobody would see that
                    // the layer is another. The daemons refused it, too.
                    Record::Unusable(unusable) if unusable.files.is_none() => {
                        let Notice { path, what } = unusable.notice;
                        return Err(Error::malformed(
                            path,
                            format!("{what}, in a copy of the store without this file"),
                        ));
                    }
                    Record::Unusable(unusable) => Some(unusable),
                }
            }
        };
        let graph = self.images.graph.clone();
        let (folder, has_tar_data) = (id.to_string(), unusable.is_some());
        // A daemon renames the folder of a layer before it removes the layer's files.
        let still = move || {
            let same = graph.exists(format!("{folder}/json"))? && graph.exists(&name)? == has_tar_data;
            if same { Ok(()) } else { Err(Error::Changed { path: graph.join(&folder) }) }
        };
        let size = super::document::layer_size(&self.images.graph, &id);
        let path = self.images.graph.join(format!("{id}/layersize"));
        let layer = self.computed(&id)?.of_size(size, path);
        still()?;
        Ok(LayerTar::Diff(layer.in_place_of(unusable).watched(Watch::new(still))))
    }
}

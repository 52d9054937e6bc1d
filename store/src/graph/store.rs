//! A graph store behind the [`Store`] trait.

use super::catalog::GraphCatalog;
use super::document::Document;
use super::{chain, listing, repositories};
use crate::diff::LayerDir;
use crate::driver::{self, Holds};
use crate::kind::StoreKind;
use crate::lookup::{self, Spelling};
use crate::{
    DiffLayer, Error, Image, ImageKey, Keyring, Layer, LayerKey, LayerTar, Listing, Reference, Root,
    Selected, SplitLayer, Store, V1Id,
};

/// Docker's graph store, with the layers of one driver. The key of an image and that of its top layer have the same id.
#[derive(Debug)]
pub(crate) struct GraphStore {
    keys: Keyring,
    root: Root,
    graph: Root,
    driver: String,
}

impl GraphStore {
    pub(super) fn new(root: Root, graph: Root, driver: String) -> Self {
        GraphStore { keys: Keyring::new(), root, graph, driver }
    }

    /// The graph driver whose layers these are.
    pub(crate) fn driver(&self) -> &str {
        &self.driver
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    pub(super) fn graph(&self) -> &Root {
        &self.graph
    }

    pub(super) fn key(&self, id: String) -> ImageKey {
        self.keys.image(&self.driver, id)
    }

    /// Images whose id begins with `prefix`, sorted. Neither the images nor, for a full id, their folder are read.
    pub(super) fn ids(&self, prefix: &str) -> Result<Vec<V1Id>, Error> {
        let candidates = match V1Id::parse(prefix) {
            Some(id) => vec![id],
            None => {
                let names = self.graph.list(".")?;
                let id = |name: &std::ffi::OsString| V1Id::parse(name.to_str()?);
                names.iter().filter_map(id).filter(|id| id.as_str().starts_with(prefix)).collect()
            }
        };
        let mut ids = Vec::new();
        for id in candidates {
            if self.absent(&id)?.is_none() {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The id that `text` is, or begins if only one does. A full id need not be there.
    pub(super) fn complete(&self, text: &str) -> Result<Option<V1Id>, Error> {
        if let Some(id) = V1Id::parse(text) {
            return Ok(Some(id));
        }
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut ids = self.ids(text)?;
        Ok(if ids.len() == 1 { ids.pop() } else { None })
    }

    /// What would have to be there so that the image exists.
    fn absent(&self, id: &V1Id) -> Result<Option<std::path::PathBuf>, Error> {
        if !self.graph.exists(id.as_str())? {
            return Ok(Some(self.graph.join(id.as_str())));
        }
        let Some(inventory) = driver::inventory(&self.driver) else { return Ok(None) };
        let entry = format!("{inventory}/{id}");
        Ok((!self.root.exists(&entry)?).then(|| self.root.join(entry)))
    }

    pub(super) fn must_exist(&self, id: &V1Id, what: &'static str, of: &str) -> Result<(), Error> {
        match self.absent(id)? {
            Some(path) => Err(Error::Missing { of: of.to_owned(), what, id: id.to_string(), path }),
            None => Ok(()),
        }
    }

    /// What is wrong with an id that is there in none of the ways it should be: `named` are the names that lead to it.
    pub(super) fn no_image(&self, id: &str, named: &[Reference]) -> Error {
        let names = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (of, what) =
            if named.is_empty() { (format!("image {id}"), "layer") } else { (names.clone(), "image") };
        let path = match V1Id::parse(id).map(|id| self.absent(&id)) {
            Some(Err(error)) => return error,
            Some(Ok(path)) => path.unwrap_or_else(|| self.graph.join(id)),
            None => {
                let path = self.root.join(repositories::file(&self.driver));
                let why =
                    format!("it says that {names} is image {id:?}, which is not the id of an image here");
                return if named.is_empty() { Error::not_found(id) } else { Error::malformed(path, why) };
            }
        };
        if named.is_empty() && path.starts_with(self.graph.path()) {
            return Error::not_found(id);
        }
        Error::Missing { of, what, id: id.to_owned(), path }
    }

    /// The directory of a layer, and for an overlay that was never made a whole tree the layer below.
    fn directory(&self, id: &V1Id) -> Result<(Root, Holds, Option<String>), Error> {
        let driver = driver::find(&self.driver)?;
        let of = format!("layer {id}");
        match driver.open(&self.root, id.as_str(), &of) {
            Err(missing @ Error::Missing { .. }) if driver.name == "overlay" => {
                let (dir, lower) = driver::overlay::upper(&self.root, id.as_str())?.ok_or(missing)?;
                Ok((dir, Holds::Upper, Some(lower)))
            }
            opened => Ok((opened?, driver.holds, None)),
        }
    }

    /// What there is of a layer without tar-split data, and what it takes to compute it.
    fn computed(&self, id: &V1Id) -> Result<DiffLayer, Error> {
        let document = Document::read(&self.graph, id)?;
        let parent = chain::parent(self, id, &document, &|prefix| self.complete(prefix))?;
        let (dir, holds, lower) = self.directory(id)?;
        let unsupported = |what: String| {
            Error::unsupported(
                what,
                "such a layer, without tar-split data, takes an overlay that is mounted: let a Docker of that time save it",
            )
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
        Ok(DiffLayer { dir, holds, created: document.created_secs() })
    }
}

impl Store for GraphStore {
    fn kind(&self) -> StoreKind {
        StoreKind::DockerGraph
    }

    fn images(&self) -> Result<Listing, Error> {
        listing::list(self)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let catalog = GraphCatalog::read(self);
        let not_found = match lookup::resolve(&catalog, Spelling::Graph, name) {
            Err(not_found @ Error::NotFound { .. }) => not_found,
            answer => return answer.map(|found| found.into_iter().map(Selected::from).collect()),
        };
        // The name may well stand in the file that cannot be read, or be the id of an image whose layer is lost.
        if let Some(error) = catalog.error {
            return Err(error);
        }
        if crate::hex_id(name) && self.graph.exists(name)? {
            return Err(self.no_image(name, &[]));
        }
        Err(not_found)
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.keys.check_image(key)?;
        let here = V1Id::parse(key.id());
        let Some(id) = here.filter(|id| matches!(self.absent(id), Ok(None))) else {
            let named = GraphCatalog::read(self).by_image().remove(key.id()).unwrap_or_default();
            return Err(self.no_image(key.id(), &named));
        };
        let documents = chain::read(self, id)?;
        let layer = |id: &V1Id| Layer::new(self.keys.layer(&self.driver, id.to_string()), None);
        let layers = documents.iter().map(|document| layer(&document.id)).collect();
        Ok(Image::new(key.clone(), crate::Document::V1(documents), layers))
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.keys.check_layer(key)?;
        let id = V1Id::parse(key.id()).ok_or_else(|| Error::not_found(key.id()))?;
        let name = format!("{id}/tar-data.json.gz");
        match self.graph.try_open_file(&name)? {
            Some(metadata) => {
                let (tree, ..) = self.directory(&id)?;
                Ok(LayerTar::Split(SplitLayer::open(tree, metadata, self.graph.join(name), None)?))
            }
            None => Ok(LayerTar::Diff(self.computed(&id)?)),
        }
    }
}

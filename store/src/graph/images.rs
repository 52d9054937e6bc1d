//! The images of a graph store. An image exists if both `graph/` and the driver have an entry for it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::repositories;
use crate::{Error, ImageKey, Keyring, LayerKey, Reference, Root, V1Id, driver};

/// The images of a data root, with the layers of one driver. An image and its top layer have the same id.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) keys: Keyring,
    pub(super) root: Root,
    pub(super) graph: Root,
    /// The graph driver whose layers these are.
    pub(super) driver: String,
}

impl Images {
    pub(super) fn new(root: Root, graph: Root, driver: String) -> Self {
        Images { keys: Keyring::new(), root, graph, driver }
    }

    pub(super) fn key(&self, id: impl Into<String>) -> ImageKey {
        self.keys.image(&self.driver, id)
    }

    pub(super) fn layer_key(&self, id: &V1Id) -> LayerKey {
        self.keys.layer(&self.driver, id.as_str())
    }

    /// Ids that begin with `prefix`, sorted. No image is read, and for a full id the folder is not listed.
    pub(super) fn ids(&self, prefix: &str) -> Result<Vec<V1Id>, Error> {
        let candidates = match V1Id::parse(prefix) {
            Some(id) => vec![id],
            None => {
                let names = self.graph.list(".")?;
                let id = |name: &OsString| V1Id::parse(name.to_str()?);
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

    /// The id that `text` is, or the only one that begins with it. A full id need not be there.
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

    /// The entry that an image lacks; `None` if the image exists.
    pub(super) fn absent(&self, id: &V1Id) -> Result<Option<PathBuf>, Error> {
        if !self.graph.exists(id.as_str())? {
            return Ok(Some(self.graph.join(id.as_str())));
        }
        let Some(inventory) = driver::inventory(&self.driver) else { return Ok(None) };
        let entry = format!("{inventory}/{id}");
        Ok((!self.root.exists(&entry)?).then(|| self.root.join(entry)))
    }

    /// The error for an image that `of` needs and that does not exist.
    pub(super) fn must_exist(&self, id: &V1Id, what: &'static str, of: &str) -> Result<(), Error> {
        match self.absent(id)? {
            Some(path) => Err(Error::Missing { of: of.to_owned(), what, id: id.to_string(), path }),
            None => Ok(()),
        }
    }

    /// Why an id does not lead to an image. `named` are the names that lead to the id.
    pub(super) fn no_image(&self, id: &str, named: &[Reference]) -> Error {
        let names = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (of, what) =
            if named.is_empty() { (format!("image {id}"), "layer") } else { (names.clone(), "image") };
        let path = match V1Id::parse(id).map(|id| self.absent(&id)) {
            Some(Err(error)) => return error,
            Some(Ok(path)) => path.unwrap_or_else(|| self.graph.join(id)),
            None => {
                let path = self.root.join(repositories::file(&self.driver));
                let why = format!("{names} leads to {id:?}, which is not the id of an image here");
                return if named.is_empty() { Error::not_found(id) } else { Error::malformed(path, why) };
            }
        };
        if named.is_empty() && path.starts_with(self.graph.path()) {
            return Error::not_found(id);
        }
        Error::Missing { of, what, id: id.to_owned(), path }
    }
}

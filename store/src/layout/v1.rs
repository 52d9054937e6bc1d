//! The archives of Docker until 1.9: a directory per layer, each an image of its own. Docker until 24 wrote
//! these directories besides `manifest.json`.
//!
//! ```text
//! repositories      {"bench/many":{"1.0":"1ca3…"}}; not there if only ids were saved
//! <id>/VERSION      "1.0"
//! <id>/json         the document of the image, with "id" and "parent"
//! <id>/layer.tar    its layer; a symbolic link where the same layer is there already
//! ```
//!
//! A partial archive of layerlift lacks some `layer.tar`, and says so in `requires.json`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use layerlift_archive::{Compression, FileRange};
use serde::Deserialize;

use super::cache::Cache;
use super::reader::required;
use super::v1_tar;
use crate::archive::Files;
use crate::json;
use crate::kind::StoreKind;
use crate::lookup::{self, Catalog, Spelling};
use crate::model::members::Readable;
use crate::names::file::{self, Form};
use crate::{
    BlobLayer, Broken, Document, Error, Image, ImageKey, ImageSummary, Keyring, Layer, LayerKey, LayerTar,
    Listing, Needs, Reference, Requirement, Requirements, Selected, Store, V1Document, V1Id,
};

pub(super) const REPOSITORIES: &str = "repositories";
/// The evidence of this kind.
pub(super) const EVIDENCE: &str = "<id>/json";
/// The most layers that an image may have. Docker refused more than 127, older graph drivers more than 42.
const LAYERS: usize = 4096;

/// The most layers, and the most names, that an archive may have.
const FOLDERS: usize = 1 << 15;
const NAMES: usize = 1 << 15;

/// A docker-v1 archive.
#[derive(Debug)]
pub(crate) struct V1ArchiveStore {
    keys: Keyring,
    files: Files,
    documents: Cache<V1Json>,
    ids: Vec<V1Id>,
    /// Layers that are left out on purpose, by the names of their files.
    required: HashMap<String, Requirement>,
    /// Repository, tag, id as written.
    names: BTreeMap<String, BTreeMap<String, String>>,
    /// What is wrong with `repositories`.
    wrong: Vec<String>,
    /// What the archive had apart from the directories.
    lost: Vec<Error>,
}

/// A document and its parsed parts.
#[derive(Debug)]
struct V1Json {
    document: V1Document,
    /// RFC 3339.
    created: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawV1Json {
    id: Option<String>,
    pub(super) parent: Option<String>,
    pub(super) created: Option<String>,
}

/// Whether a directory `<id>/` with a layer is there.
pub(super) fn is_here(files: &Files) -> Result<bool, Error> {
    Ok(!ids(files)?.is_empty())
}

/// All of them.
pub(super) fn ids(files: &Files) -> Result<Vec<V1Id>, Error> {
    let mut ids = Vec::new();
    let is_partial = files.exists(Requirements::FILE)?;
    let layer = if is_partial { "VERSION" } else { "layer.tar" };
    for id in files.top()?.iter().filter_map(|name| V1Id::parse(name)) {
        let inside = files.list(id.as_str())?;
        if inside.iter().any(|name| name == "json") && inside.iter().any(|name| name == layer) {
            ids.push(id);
        }
    }
    Ok(ids)
}

impl V1ArchiveStore {
    pub(super) fn open(files: Files, lost: Option<Error>) -> Result<Self, Error> {
        let ids = ids(&files)?;
        if ids.len() > FOLDERS {
            let why = format!("it has {} layers, each an image of its own, more than {FOLDERS}", ids.len());
            return Err(Error::malformed(files.path(), why));
        }
        let mut lost: Vec<Error> = lost.into_iter().collect();
        let required = required(&files).unwrap_or_else(|error| {
            lost.push(error);
            HashMap::new()
        });
        let mut this = V1ArchiveStore {
            keys: Keyring::new(),
            files,
            documents: Cache::default(),
            ids,
            required,
            names: BTreeMap::new(),
            wrong: Vec::new(),
            lost,
        };
        if let Some(bytes) = this.files.try_read(REPOSITORIES, json::LIMIT)? {
            let read = file::parse(&bytes, Form::Archive);
            this.wrong = read.error.into_iter().chain(read.wrong).collect();
            if read.repositories.values().map(BTreeMap::len).sum::<usize>() > NAMES {
                this.wrong = vec![format!("it has more than {NAMES} names")];
            } else {
                this.names = read.repositories;
            }
        }
        Ok(this)
    }

    /// The document of an image.
    fn document(&self, id: &V1Id) -> Result<Arc<V1Json>, Error> {
        let name = format!("{id}/json");
        let read = || {
            let json = self.read(id, &name)?;
            let bytes = json.document.raw.len() as u64;
            Ok(Some((json, bytes)))
        };
        self.documents.get(&name, read)?.ok_or_else(|| Error::not_found(id.as_str()))
    }

    fn read(&self, id: &V1Id, name: &str) -> Result<V1Json, Error> {
        let malformed = |why| Error::malformed(self.files.join(name), why);
        let Some(raw) = self.files.try_read(name, json::LIMIT)? else {
            return Err(self.files.missing(&format!("image {id}"), "document", id.as_str(), name));
        };
        let json: RawV1Json = json::object(&raw).map_err(malformed)?;
        json::object::<Readable>(&raw).map_err(malformed)?;
        match json.id.as_deref().unwrap_or_default() {
            // An empty document would be an image without parents.
            "" => return Err(malformed("it has no id".to_owned())),
            written if written != id.as_str() => {
                return Err(malformed(format!("its id is {written:?}, not its directory's name")));
            }
            _ => {}
        }
        let parent = match json.parent.filter(|parent| !parent.is_empty()) {
            Some(parent) => match V1Id::parse(&parent) {
                Some(parent) => Some(parent),
                None => return Err(malformed(format!("its parent {parent:?} is not an id"))),
            },
            None => None,
        };
        Ok(V1Json { document: V1Document { id: id.clone(), parent, raw }, created: json.created })
    }

    /// Documents of an image and its parents, base first, and when it was created.
    fn chain(&self, top: &V1Id) -> Result<(Vec<V1Document>, Option<String>), Error> {
        let mut seen = HashSet::new();
        let mut chain = Vec::new();
        let mut created = None;
        let mut next = Some(top.clone());
        while let Some(id) = next {
            if !seen.insert(id.clone()) || chain.len() >= LAYERS {
                let why = format!("image {top} is among its own parents, or has too many ({id})");
                return Err(Error::malformed(self.files.join(&format!("{id}/json")), why));
            }
            let json = self.document(&id)?;
            if chain.is_empty() {
                created = json.created.clone();
            }
            let name = format!("{id}/layer.tar");
            if self.left_out(&id)?.is_none() && self.files.try_find(&name)?.is_none() {
                return Err(self.files.missing(&format!("image {top}"), "layer", id.as_str(), &name));
            }
            next = json.document.parent.clone();
            chain.push(json.document.clone());
        }
        chain.reverse();
        Ok((chain, created))
    }

    /// Whether the layer of an image is left out on purpose.
    fn left_out(&self, id: &V1Id) -> Result<Option<&Requirement>, Error> {
        let name = format!("{id}/layer.tar");
        let Some(required) = self.required.get(&name) else { return Ok(None) };
        Ok(if self.files.try_find(&name)?.is_some() { None } else { Some(required) })
    }

    fn needs(&self, chain: &[V1Document]) -> Result<Needs, Error> {
        let left_out = chain.iter().map(|document| self.left_out(&document.id));
        Ok(Needs::of(left_out.collect::<Result<Vec<_>, _>>()?.into_iter().flatten()))
    }

    /// The layer of an image.
    fn layer_of(&self, id: &V1Id) -> Result<Layer, Error> {
        let layer = Layer::new(self.keys.layer("", id.to_string()), None);
        Ok(match self.left_out(id)? {
            Some(required) => Layer {
                diff_id: required.diff_id,
                lost: Some(self.files.left_out(required)),
                left_out: Some(required.clone()),
                ..layer
            },
            None => layer,
        })
    }

    fn key(&self, id: &str) -> ImageKey {
        self.keys.image("", id)
    }

    fn references(&self) -> BTreeMap<&str, Vec<Reference>> {
        let mut by_id: BTreeMap<&str, Vec<Reference>> = BTreeMap::new();
        for (repository, tags) in &self.names {
            for (tag, id) in tags {
                by_id.entry(id).or_default().push(Reference::new(repository, tag));
            }
        }
        by_id
    }
}

impl Store for V1ArchiveStore {
    fn kind(&self) -> StoreKind {
        StoreKind::DockerV1Archive
    }

    /// Images that have a name, and those that no other image has as its parent.
    fn images(&self) -> Result<Listing, Error> {
        let mut listing = Listing { lost: self.files.damage(), ..Listing::default() };
        let wrong = self.wrong.iter().map(|why| Error::malformed(self.files.join(REPOSITORIES), why));
        listing.lost.extend(wrong);
        let mut broken = |what: &str, references, error| {
            listing.broken.push(Broken::new(what, references, error));
        };
        let mut parents = HashSet::new();
        for id in &self.ids {
            // The parent of a document that cannot be read stays in the listing. The document is reported
            // below.
            parents.extend(self.document(id).ok().and_then(|json| json.document.parent.clone()));
        }
        let mut references = self.references();
        let mut images = Vec::new();
        for id in &self.ids {
            let named = references.remove(id.as_str());
            if named.is_none() && parents.contains(id) {
                continue;
            }
            let references = named.unwrap_or_default();
            match self.chain(id) {
                Ok((chain, created)) => images.push(ImageSummary {
                    created,
                    needs: self.needs(&chain)?,
                    ..ImageSummary::new(self.key(id.as_str()), references, chain.len())
                }),
                Err(error) => broken(id.as_str(), references, error),
            }
        }
        for (id, references) in references {
            let error = self.files.missing(REPOSITORIES, "image", id, REPOSITORIES);
            broken(id, references, error);
        }
        listing.images = images;
        listing.lost.extend(self.lost.clone());
        listing.sort();
        Ok(listing)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let found = match (lookup::resolve(self, Spelling::Graph, name), self.wrong.first()) {
            (Err(Error::NotFound { .. }), Some(why)) => {
                Err(Error::malformed(self.files.join(REPOSITORIES), why))
            }
            // Podman and skopeo write full names here. Docker's rules do not find them by their short forms.
            (Err(not_found @ Error::NotFound { .. }), None) => {
                lookup::resolve(self, Spelling::Qualified, name).map_err(|error| match error {
                    Error::NotFound { .. } => not_found,
                    error => error,
                })
            }
            (result, _) => result,
        };
        Ok(found?.into_iter().map(Selected::from).collect())
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.keys.check_image(key)?;
        let not_an_id = || {
            let why = format!("it names an image {:?}, which is not an id", key.id());
            Error::malformed(self.files.join(REPOSITORIES), why)
        };
        let (chain, _) = self.chain(&V1Id::parse(key.id()).ok_or_else(not_an_id)?)?;
        let layers = chain.iter().map(|document| self.layer_of(&document.id)).collect::<Result<_, _>>()?;
        Ok(Image::new(key.clone(), Document::V1(chain), layers))
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.keys.check_layer(key)?;
        let not_found = || Error::not_found(key.id());
        let id = V1Id::parse(key.id()).ok_or_else(not_found)?;
        let place = self.files.try_find(&format!("{id}/layer.tar"))?.ok_or_else(not_found)?;
        let compression = Compression::detect(&self.files.first::<6>(&place)?);
        let stored = FileRange { digest: None, ..place.range };
        if compression == Compression::None {
            let path = || self.files.join(&place.name);
            let found = v1_tar::check(&stored).map_err(|error| Error::io("read", path(), error))?;
            found.map_err(|why| Error::malformed(path(), why))?;
        }
        Ok(LayerTar::Blob(BlobLayer::new(stored, compression, None)))
    }
}

impl Catalog for V1ArchiveStore {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        let tags = self.names.get(repository);
        Ok(tags.map(|tags| tags.iter().map(|(tag, id)| (tag.clone(), vec![self.key(id)])).collect()))
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.names.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        Ok(self
            .ids
            .iter()
            .filter(|id| id.as_str().starts_with(prefix))
            .map(|id| self.key(id.as_str()))
            .collect())
    }
}

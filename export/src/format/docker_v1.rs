//! docker-v1: what Docker wrote until 1.9, and what old tools read.
//!
//! ```text
//! <id>/            for each layer, sorted by id
//!   VERSION        1.0
//!   json           the v1 document
//!   layer.tar
//! repositories     {"base":{"latest":"<id of the top layer>"}}, if there are names
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use layerlift_archive::{Bytes, Content, Digest, Entry, Tree};
use layerlift_store::{Document, Reference, Requirement, V1Document, V1Id};

use super::repositories::Repositories;
use super::source::SourceImage;
use crate::document::go_json::{Time, Value};
use crate::document::to_v1::{self, LegacyImage};
use crate::document::{edit, salvaged};
use crate::{Error, Format};

/// Modes as Go's tar writer had them, with the type of the file.
const DIR: u32 = 0o40755;
const FILE: u32 = 0o100644;

/// An image as v1 images, each with a layer.
#[derive(Clone)]
pub(crate) struct V1Image {
    /// Base first.
    folders: Vec<(V1Id, Folder)>,
    top: V1Id,
}

/// The folder of a v1 image.
#[derive(Clone)]
struct Folder {
    json: Arc<Bytes>,
    mtime: u64,
    /// `None` if it is left out on purpose.
    layer: Option<Arc<dyn Content>>,
}

/// The folders of all images, each once.
#[derive(Default)]
pub(crate) struct Folders {
    folders: BTreeMap<V1Id, Folder>,
    repositories: Repositories,
}

impl V1Image {
    pub(super) fn new(image: &SourceImage<'_>) -> Result<Self, Error> {
        let legacy = match &image.image.document {
            Document::V1(documents) => {
                let mut legacy = documents.iter().map(stored).collect::<Result<Vec<_>, _>>()?;
                with_times(&mut legacy);
                if image.salvaged.is_some() {
                    renamed(&mut legacy, documents, image)?;
                }
                legacy
            }
            Document::Config { raw, .. } => {
                let config = image.declared(raw.clone())?;
                to_v1::legacy_images(&config, &image.diff_ids()?, &image.what())?
            }
        };
        let Some(top) = legacy.last().map(|top| top.id.clone()) else {
            return Err(Error::NoLayers { image: image.image.key.id().to_owned(), format: Format::DockerV1 });
        };
        let folders =
            legacy.into_iter().zip(&image.layers).map(|(LegacyImage { id, json, created }, layer)| {
                let layer = layer.content.clone();
                (id, Folder { json: Arc::new(Bytes(json)), mtime: created.mtime(), layer })
            });
        Ok(V1Image { folders: folders.collect(), top })
    }

    /// Its layers, base first: those whose bytes are left out.
    pub(super) fn absent_layers(&self) -> impl Iterator<Item = Option<Requirement>> {
        let absent = |(id, folder): &(V1Id, Folder)| match folder.layer {
            None => Some(Requirement::of_v1(id.clone(), None)),
            Some(_) => None,
        };
        self.folders.iter().map(absent)
    }

    /// Where its layers are in an archive, base first.
    pub(super) fn layer_paths(&self) -> impl Iterator<Item = String> {
        self.folders.iter().map(|(id, _)| layer_path(id))
    }
}

impl FromIterator<(Vec<Reference>, V1Image)> for Folders {
    fn from_iter<I: IntoIterator<Item = (Vec<Reference>, V1Image)>>(images: I) -> Self {
        let mut all = Folders::default();
        for (names, V1Image { folders, top }) in images {
            for (id, folder) in folders {
                all.folders.entry(id).or_insert(folder);
            }
            names.iter().for_each(|name| all.repositories.insert(name, top.as_str()));
        }
        all
    }
}

impl Folders {
    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        for (id, Folder { json, mtime, layer }) in &self.folders {
            let mtime = *mtime;
            tree.push(Entry::dir(format!("{id}/"), mtime).with_mode(DIR));
            tree.push(Entry::bytes(format!("{id}/VERSION"), mtime, b"1.0".to_vec()).with_mode(FILE));
            tree.push(Entry::file(format!("{id}/json"), mtime, json.clone()).with_mode(FILE));
            if let Some(layer) = layer {
                tree.push(Entry::file(layer_path(id), mtime, layer.clone()).with_mode(FILE));
            }
        }
        tree.extend(self.repositories.entry().map(|entry| entry.with_mode(FILE)));
        tree
    }
}

/// Gives an image whose bytes are not all the recorded ones other ids, from its first layer up: an engine
/// that has the old ones would not take the new bytes.
fn renamed(
    legacy: &mut [LegacyImage],
    documents: &[V1Document],
    image: &SourceImage<'_>,
) -> Result<(), Error> {
    let error = |why| Error::Document { what: image.what(), why };
    let top = documents.len().saturating_sub(1);
    let mut parent: Option<V1Id> = None;
    for (place, (new, old)) in legacy.iter_mut().zip(documents).enumerate() {
        let digest = image.layers.get(place).and_then(|layer| layer.digest);
        let below = parent.as_ref().map_or("", V1Id::as_str);
        let what = format!("layerlift {} {below} {}", old.id, digest.map_or(String::new(), |it| it.hex()));
        let id = V1Id::parse(&Digest::of(what.as_bytes()).hex()).expect("64 hex digits");
        new.json = edit::identified(&old.raw, &id, parent.as_ref()).map_err(error)?;
        if let Some(salvaged) = image.salvaged.filter(|_| place == top) {
            new.json = salvaged::labelled(&new.json, &salvaged.id).map_err(error)?;
        }
        new.id = id.clone();
        parent = Some(id);
    }
    Ok(())
}

/// Gives folders of layers whose documents have no time that of the image above them. Docker since 1.10, and
/// this crate, write 1970 into the documents of all layers but the top one, and the image's time into the
/// headers of all.
fn with_times(legacy: &mut [LegacyImage]) {
    let mut above: Option<Time> = None;
    for image in legacy.iter_mut().rev() {
        match above.take() {
            Some(time) if image.created == Time::epoch() => image.created = time,
            _ => {}
        }
        above = Some(image.created.clone());
    }
}

fn layer_path(id: &V1Id) -> String {
    format!("{id}/layer.tar")
}

fn stored(document: &V1Document) -> Result<LegacyImage, Error> {
    let V1Document { id, parent, raw, .. } = document;
    let error = |why| Error::Document { what: format!("json of image {id}"), why };
    let json = edit::identified(raw, id, parent.as_ref()).map_err(error)?;
    let fields = Value::first(raw).map_err(error)?.fields().unwrap_or_default();
    // Only headers show the time, so one that cannot be read is not a failure.
    let created = fields.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("created"));
    let created = created.and_then(|(_, value)| Time::parse(&value.text()?)).unwrap_or_default();
    Ok(LegacyImage { id: id.clone(), json, created })
}

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

use layerlift_archive::{Content, Entry, Tree};
use layerlift_store::{Document, V1Document, V1Id};

use super::repositories::Repositories;
use super::{Blob, Built, Failed, Source};
use crate::document::edit;
use crate::document::go_json::{Time, Value};
use crate::document::to_v1::{self, LegacyImage};
use crate::{Error, Format};

/// Modes as Go's tar writer had them, with the type of the file.
const DIR: u32 = 0o40755;
const FILE: u32 = 0o100644;

struct Folder {
    json: Vec<u8>,
    mtime: u64,
    layer: Arc<dyn Content>,
}

pub(super) fn build(images: &[Source<'_>], layers: &[Blob]) -> Result<Built, Failed> {
    let mut folders = BTreeMap::new();
    let mut repositories = Repositories::default();
    for (index, image) in images.iter().enumerate() {
        let top = add(image, layers, &mut folders).map_err(|error| Failed { image: index, error })?;
        for reference in image.references {
            repositories.insert(reference, top.as_str());
        }
    }
    let mut tree = Tree::default();
    for (id, Folder { json, mtime, layer }) in folders {
        tree.push(Entry::dir(format!("{id}/"), mtime).with_mode(DIR));
        tree.push(Entry::bytes(format!("{id}/VERSION"), mtime, b"1.0".to_vec()).with_mode(FILE));
        tree.push(Entry::bytes(format!("{id}/json"), mtime, json).with_mode(FILE));
        tree.push(Entry::file(format!("{id}/layer.tar"), mtime, layer).with_mode(FILE));
    }
    tree.extend(repositories.entry().map(|entry| entry.with_mode(FILE)));
    // Each engine that loads this makes an id of its own: the same as here until 1.9, a config's digest since.
    Ok(Built { tree, ids: vec![None; images.len()] })
}

/// Adds the folders of an image; returns the id of its top layer.
fn add(image: &Source<'_>, layers: &[Blob], folders: &mut BTreeMap<V1Id, Folder>) -> Result<V1Id, Error> {
    let legacy = match &image.image.document {
        Document::V1(documents) => documents.iter().map(stored).collect::<Result<Vec<_>, _>>()?,
        Document::Config { raw, .. } => to_v1::legacy_images(raw, &image.diff_ids(layers)?, &image.what())?,
    };
    let Some(top) = legacy.last().map(|top| top.id.clone()) else {
        return Err(Error::NoLayers { image: image.image.key.id.clone(), format: Format::DockerV1 });
    };
    for (LegacyImage { id, json, created }, &layer) in legacy.into_iter().zip(image.layers) {
        let layer = layers[layer].content.clone();
        folders.entry(id).or_insert(Folder { json, mtime: created.mtime(), layer });
    }
    Ok(top)
}

fn stored(document: &V1Document) -> Result<LegacyImage, Error> {
    let V1Document { id, parent, raw } = document;
    let error = |why| Error::Document { what: format!("json of image {id}"), why };
    let json = edit::identified(raw, id, parent.as_ref()).map_err(error)?;
    let fields = Value::first(raw).map_err(error)?.fields().unwrap_or_default();
    // A time that cannot be read is no reason to fail: only the headers show it.
    let created = fields.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case("created"));
    let created = created.and_then(|(_, value)| Time::parse(&value.text()?)).unwrap_or_default();
    Ok(LegacyImage { id: id.clone(), json, created })
}

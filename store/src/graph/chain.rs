//! The chain of parents from an image to its base.

use std::collections::HashSet;

use super::document::GraphDocument;
use super::images::Images;
use crate::{Error, Notice, V1Document, V1Id};

/// Total size of the documents of one image.
const LIMIT: usize = 256 << 20;

/// The documents of an image and all its ancestors, base first, and what is odd about them.
pub(super) fn read(images: &Images, id: V1Id) -> Result<(Vec<V1Document>, Vec<Notice>), Error> {
    let mut notices = Vec::new();
    let mut documents: Vec<V1Document> = Vec::new();
    let mut seen = HashSet::new();
    let mut bytes = 0;
    let mut next = Some(id);
    while let Some(id) = next {
        let document = GraphDocument::read(&images.graph, &id)?;
        bytes += document.raw.len();
        if bytes > LIMIT {
            let why = format!("it and its descendants are larger than {} MiB", LIMIT >> 20);
            return Err(malformed(images, &id, &document, why));
        }
        let parent = parent(images, &id, &document, &|prefix| images.complete(prefix))?;
        seen.insert(id.clone());
        if let Some(parent) = &parent {
            if seen.contains(parent) {
                let why = leads_back(&id, parent);
                return Err(malformed(images, &id, &document, why));
            }
            images.must_exist(parent, "parent", &format!("image {id}"))?;
        }
        next = parent.clone();
        let (raw, more) = document.into_raw();
        notices.extend(more.map(|more| {
            let what = format!("{more} bytes follow the document, and are left out");
            Notice::new(images.graph.join(format!("{id}/json")), what)
        }));
        documents.push(V1Document { id, parent, raw });
    }
    documents.reverse();
    Ok((documents, notices))
}

/// The parent's full id, if there is a parent. `complete` finds the only id that has a given prefix.
pub(super) fn parent(
    images: &Images,
    id: &V1Id,
    document: &GraphDocument,
    complete: &dyn Fn(&str) -> Result<Option<V1Id>, Error>,
) -> Result<Option<V1Id>, Error> {
    let Some(text) = &document.parent else { return Ok(None) };
    if let Some(parent) = V1Id::parse(text) {
        return Ok(Some(parent));
    }
    let Some(parent) = complete(text)? else {
        let why = format!("its parent {text:?} is not the id of an image here");
        return Err(malformed(images, id, document, why));
    };
    Ok(Some(parent))
}

/// The message for a chain that leads back to one of its images.
pub(super) fn leads_back(id: &V1Id, parent: &V1Id) -> String {
    if id == parent {
        format!("image {id} is its own parent")
    } else {
        format!("its parent {parent} is a descendant of image {id}")
    }
}

fn malformed(images: &Images, id: &V1Id, document: &GraphDocument, why: String) -> Error {
    Error::malformed(images.graph.join(format!("{id}/{}", document.says_parent())), why)
}

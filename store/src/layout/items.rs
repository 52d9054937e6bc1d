//! What `manifest.json` names, and the lines of both documents that lead to nothing.

use std::collections::{HashMap, HashSet};

use layerlift_archive::Digest;

use super::documents::{INDEX, MANIFEST};
use super::image::{self, Identity, What};
use super::images::{Builder, Contents, LayoutImage, Unread, id_in_name};
use super::manifest_json::{self, BadItem};
use super::names::ImageNames;
use super::reader::Json;
use crate::reference::familiar_name;
use crate::{Error, Notice, Reference, Rules};

impl Builder<'_> {
    /// Adds what `manifest.json` names. Manifests and names of the index stay.
    ///
    /// Beside an index, an item without its config is an oddity: tools that change a layout and know nothing
    /// of `manifest.json` leave it behind.
    pub(super) fn add_items(&mut self, json: &Json, beside_index: bool) -> Result<(), Error> {
        let malformed = |why| self.reader.malformed(MANIFEST, why);
        let mut of_index = self.names_of_manifests();
        let mut spelled: HashMap<Reference, Reference> = HashMap::new();
        for item in manifest_json::parse(json.raw()).map_err(malformed)? {
            let item = match item {
                Ok(item) => item,
                Err(BadItem { config, tags, why }) => {
                    let id = config.as_deref().map(id_in_name);
                    let names = ImageNames::of_names(tags, []);
                    self.unread.push(Unread { document: MANIFEST, why, id, names });
                    continue;
                }
            };
            self.note(MANIFEST, &item.odd);
            if beside_index && self.is_layout() && !self.reader.has(&item.config) {
                let what = format!("its image {} is not here, and {INDEX} does not name it", item.config);
                self.contents.notices.push(Notice::new(self.reader.files().join(MANIFEST), what));
                continue;
            }
            for tag in item.tags.iter().filter_map(|tag| Reference::parse(tag, Rules::Stored).ok()) {
                spelled.extend(Some((tag.full(), tag)).filter(|(full, _)| self.unspelled.contains(full)));
            }
            let mut names = ImageNames::default();
            for tag in item.tags.iter().filter(|tag| !of_index.contains(familiar_name(tag))) {
                names.add(tag);
            }
            let what = What::Files { config: item.config, layers: item.layers, sources: item.sources };
            if let Ok(Identity::Image { id }) = image::identify(self.reader, &what)
                && self.artifacts.contains(&id)
            {
                continue;
            }
            let taken = names.references.clone();
            let before = self.count();
            let key = self.add(what, names, true);
            if self.count() > before || !taken.is_empty() {
                self.contents.roots.push((key.id().to_owned(), taken.clone()));
            }
            if self.contents.image(key.id()).is_some_and(LayoutImage::has_manifest) {
                of_index.extend(taken.iter().map(familiar));
            }
        }
        self.respell(&spelled);
        Ok(())
    }

    /// Spells the names of the index as `manifest.json` does, which has them as its writer had them.
    fn respell(&mut self, spelled: &HashMap<Reference, Reference>) {
        let Contents { images, indexes, order, roots, .. } = &mut self.contents;
        images.iter_mut().for_each(|image| image.names.respell(spelled));
        indexes.iter_mut().for_each(|index| index.names.respell(spelled));
        for name in order.iter_mut().chain(roots.iter_mut().flat_map(|(_, names)| names)) {
            if let Some(other) = spelled.get(name) {
                *name = other.clone();
            }
        }
    }

    /// Whether it is a directory, which changes in place. An archive is what its writer made of it.
    fn is_layout(&self) -> bool {
        self.reader.files().is_dir()
    }

    /// The names that the index has, in the spelling that Docker shows.
    fn names_of_manifests(&self) -> HashSet<String> {
        let of_images = self.contents.images.iter().filter(|image| image.has_manifest());
        let of_images = of_images.map(|image| &image.names);
        let of_indexes = self.contents.indexes.iter().map(|index| &index.names);
        let names = of_images.chain(of_indexes).flat_map(|names| &names.references);
        names.map(familiar).collect()
    }

    /// Whether a document has lines that lead to nothing.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Reports the lines that lead to nothing, after everything else has been added. If both documents name
    /// the same images, a bad line in one of them loses nothing.
    pub(super) fn report_unread(&mut self, other_has_all: bool) {
        for Unread { document, why, id, names } in std::mem::take(&mut self.unread) {
            let error = self.reader.malformed(document, &*why);
            let at = id.as_ref().and_then(|id| self.contents.by_id.get(id));
            if let Some(&at) = at {
                self.contents.images[at].names.append(names);
                self.lose(error);
            } else if other_has_all {
                self.contents.notices.push(Notice::new(self.reader.files().join(document), why));
            } else {
                let id = id.unwrap_or_else(|| Digest::of(why.as_bytes()).hex());
                self.add_error(id, names, error, true);
            }
        }
    }
}

/// A name in the spelling that Docker shows.
fn familiar(name: &Reference) -> String {
    familiar_name(&name.to_string()).to_owned()
}

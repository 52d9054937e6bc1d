//! What lookup asks a layout, and what its documents name, in their order.

use std::collections::BTreeMap;

use super::store::LayoutStore;
use crate::lookup::Catalog;
use crate::{Error, ImageKey, Selected};

impl LayoutStore {
    /// What the documents name: each name, or an image or index without one, in their order.
    pub(super) fn roots(&self) -> Vec<Selected> {
        let mut roots = Vec::new();
        for (id, references) in &self.contents.roots {
            let is_index = self.contents.indexes.iter().any(|index| index.id == *id);
            let is_image = self.contents.image(id).is_some_and(|image| image.error.is_none());
            if !is_index && !is_image {
                continue;
            }
            let none = references.is_empty().then_some(None);
            for reference in references.iter().cloned().map(Some).chain(none) {
                roots.push(self.selected(self.key(id), reference));
            }
        }
        roots
    }
}

impl Catalog for LayoutStore {
    fn tags(&self, repository: &str) -> Result<Option<BTreeMap<String, Vec<ImageKey>>>, Error> {
        Ok(self.names.get(repository).cloned())
    }

    fn repositories(&self) -> Result<Vec<String>, Error> {
        Ok(self.names.keys().cloned().collect())
    }

    fn ids(&self, prefix: &str) -> Result<Vec<ImageKey>, Error> {
        let preferred = self.matching(prefix, true);
        Ok(if preferred.is_empty() { self.matching(prefix, false) } else { preferred })
    }
}

//! What lookup asks a layout.

use std::collections::BTreeMap;

use super::store::LayoutStore;
use crate::lookup::Catalog;
use crate::{Error, ImageKey};

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

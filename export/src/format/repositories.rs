//! `repositories`, which both Docker formats have: `{"name":{"tag":"id"}}`, sorted, a line end behind it.

use std::collections::BTreeMap;

use layerlift_archive::Entry;
use layerlift_store::Reference;

use crate::document::go_json::Object;

/// What each tag of each repository points to.
#[derive(Default)]
pub(super) struct Repositories(BTreeMap<String, BTreeMap<String, String>>);

impl Repositories {
    pub(super) fn insert(&mut self, reference: &Reference, id: &str) {
        let tags = self.0.entry(reference.repository().to_owned()).or_default();
        tags.entry(reference.tag_or_digest().to_owned()).or_insert_with(|| id.to_owned());
    }

    /// The file; none without names.
    pub(super) fn entry(&self) -> Option<Entry> {
        if self.0.is_empty() {
            return None;
        }
        let mut repositories = Object::new();
        for (name, tags) in &self.0 {
            let mut object = Object::new();
            for (tag, id) in tags {
                object.text(tag, id);
            }
            repositories.field(name, |out| out.extend(object.finish()));
        }
        let mut bytes = repositories.finish();
        bytes.push(b'\n');
        Some(Entry::bytes("repositories", 0, bytes))
    }
}

//! The index of a layout: what it has, and what of it stays when images come.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::format::index::{CONTAINERD_NAME, Members, NewEntry};
use crate::format::media_type::REF_NAME;

/// What an index has, byte for byte.
#[derive(Default)]
pub(super) struct OldIndex {
    pub(super) entries: Vec<OldEntry>,
    /// Annotations, and whatever else is not `manifests`.
    pub(super) members: Members,
}

pub(super) struct OldEntry {
    head: Head,
    pub(super) raw: Box<RawValue>,
}

/// What has to be known of an entry.
#[derive(Deserialize)]
struct Head {
    digest: String,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl OldIndex {
    pub(super) fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut members: Members = serde_json::from_slice(bytes)?;
        let manifests = members.remove("manifests");
        if manifests.is_none() {
            return Err(serde::de::Error::missing_field("manifests"));
        }
        let manifests = manifests.map(|raw| serde_json::from_str::<Option<Vec<Box<RawValue>>>>(raw.get()));
        let manifests = manifests.transpose()?.flatten().unwrap_or_default();
        let entry = |raw: Box<RawValue>| Ok(OldEntry { head: serde_json::from_str(raw.get())?, raw });
        let entries = manifests.into_iter().map(entry).collect::<serde_json::Result<_>>()?;
        // The members that every index has are written again.
        members.retain(|name, _| name != "schemaVersion" && name != "mediaType");
        Ok(OldIndex { entries, members })
    }
}

impl OldEntry {
    /// The digest of the manifest, or of the index, that it names.
    pub(super) fn digest(&self) -> &str {
        &self.head.digest
    }

    /// Its name, whole or not; containerd's where there is one.
    pub(super) fn name(&self) -> Option<&str> {
        self.head.annotation(CONTAINERD_NAME).or_else(|| self.head.annotation(REF_NAME))
    }

    /// Whether the entry stays when new ones come: unless one of them has its name, or if it has none, its
    /// manifest. The name is containerd's where there is one: the other annotation is only its tag then.
    pub(super) fn stays_beside(&self, new: &[NewEntry]) -> bool {
        let full = self.head.annotation(CONTAINERD_NAME);
        let name = self.head.annotation(REF_NAME);
        !new.iter().any(|new| match (full, name, &new.name) {
            (Some(old), _, Some((_, full))) => full.as_deref() == Some(old),
            (None, Some(old), Some((name, _))) => old == name,
            (None, None, _) => self.head.digest == new.digest.to_string(),
            _ => false,
        })
    }
}

impl OldEntry {
    /// The entry beside new ones, of which one may have been asked for under its name: it keeps only its name
    /// for containerd then, as skopeo moves names.
    pub(super) fn beside(self, new: &[NewEntry]) -> Self {
        let own = self.head.annotation(REF_NAME);
        let is_taken = |new: &NewEntry| {
            new.is_asked && own.is_some_and(|own| new.name.as_ref().is_some_and(|(name, _)| name == own))
        };
        if !new.iter().any(is_taken) {
            return self;
        }
        let edited = serde_json::from_str::<serde_json::Value>(self.raw.get()).ok().and_then(|mut entry| {
            entry.get_mut("annotations")?.as_object_mut()?.remove(REF_NAME);
            Some(OldEntry {
                head: serde_json::from_value(entry.clone()).ok()?,
                raw: serde_json::value::to_raw_value(&entry).ok()?,
            })
        });
        edited.unwrap_or(self)
    }
}

impl Head {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use layerlift_archive::Digest;

    use super::*;
    use crate::format::index::Listed;

    /// The digest of a manifest, by a number.
    fn digest(number: u8) -> Digest {
        Digest::from_hex(&format!("{number:064}")).unwrap()
    }

    fn index() -> OldIndex {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"a:1"}, "x" : 1},
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"b:1"}},
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"1","io.containerd.image.name":"c:1"}},
            {"digest":"DIGEST1"},{"digest":"DIGEST2"}],"annotations":{"kept" : 1e0}}"#;
        let text = [1, 2].iter().fold(text.to_owned(), |text, &number| {
            text.replace(&format!("DIGEST{number}"), &digest(number).to_string())
        });
        OldIndex::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_stays() {
        for (name, number, expected) in [
            (Some(("a:1", "docker.io/library/a:1")), 2, vec![1, 2, 3]),
            (Some(("c:1", "c:1")), 3, vec![0, 1, 3, 4]),
            (Some(("1", "docker.io/library/1:latest")), 3, vec![0, 1, 2, 3, 4]),
            (None, 1, vec![0, 1, 2, 4]),
        ] {
            let listed = Listed::Kept(RawValue::from_string("{}".to_owned()).unwrap());
            let name = name.map(|(name, full)| (name.to_owned(), Some(full.to_owned())));
            let new = [NewEntry { name: name.clone(), is_asked: false, digest: digest(number), listed }];
            let entries = index().entries.into_iter().enumerate();
            let kept: Vec<usize> =
                entries.filter(|(_, entry)| entry.stays_beside(&new)).map(|(place, _)| place).collect();
            assert_eq!(kept, expected, "{name:?}");
        }
    }

    #[test]
    fn members() {
        let index = index();
        assert_eq!(index.members.len(), 1);
        assert_eq!(index.members["annotations"].get(), r#"{"kept" : 1e0}"#);
        assert!(index.entries[0].raw.get().ends_with(r#", "x" : 1}"#));
        assert!(OldIndex::parse(b"{").is_err() && OldIndex::parse(br#"{"manifests":[{}]}"#).is_err());
        assert!(OldIndex::parse(br#"{"manifests":null}"#).unwrap().entries.is_empty());
    }
}

//! An OCI layout that is there already and gets more images: what its index says.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use oci_spec::image::ANNOTATION_REF_NAME;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::index::{CONTAINERD_NAME, Listed, Members};
use crate::Error;

/// More than any index; containerd's limit is 20 MiB.
const LIMIT: u64 = 32 << 20;

/// What an index has, byte for byte.
#[derive(Default)]
pub(crate) struct Layout {
    entries: Vec<(Head, Box<RawValue>)>,
    /// What is said of the index as a whole: annotations, and whatever else is not `manifests`.
    pub(super) members: Members,
}

/// What has to be known of an entry.
#[derive(Deserialize)]
struct Head {
    digest: String,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Head {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key)?.as_str()
    }
}

/// An entry that comes into an index.
pub(super) struct New {
    /// As OCI tools have it and as containerd has it; `None` for an image without a name.
    pub(super) name: Option<(String, String)>,
    /// Of its manifest.
    pub(super) digest: String,
    pub(super) entry: Listed,
}

impl Layout {
    /// Reads the index of a directory; one that is not there, or empty, has none. Anything else is not touched.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !dir.join("oci-layout").is_file() {
            return Err(Error::NoLayout { path: dir.to_owned() });
        }
        let path = dir.join("index.json");
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Layout::default()),
            Err(source) => {
                return Err(
                    layerlift_archive::Error::Output { action: "read", path, source: source.into() }.into()
                );
            }
        };
        let mut bytes = Vec::new();
        let read = file.take(LIMIT).read_to_end(&mut bytes);
        read.map_err(|source| layerlift_archive::Error::Output {
            action: "read",
            path: path.clone(),
            source: source.into(),
        })?;
        Layout::parse(&bytes)
            .map_err(|why| Error::Document { what: path.display().to_string(), why: why.to_string() })
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut members: Members = serde_json::from_slice(bytes)?;
        let manifests = members.remove("manifests");
        let manifests = manifests.map(|raw| serde_json::from_str::<Option<Vec<Box<RawValue>>>>(raw.get()));
        let manifests = manifests.transpose()?.flatten().unwrap_or_default();
        let head = |raw: Box<RawValue>| Ok((serde_json::from_str(raw.get())?, raw));
        let entries = manifests.into_iter().map(head).collect::<serde_json::Result<_>>()?;
        // Those that every index has are written anew.
        members.retain(|name, _| name != "schemaVersion" && name != "mediaType");
        Ok(Layout { entries, members })
    }

    /// The entries that stay when new ones come: those of another name; without a name, those of another manifest. The name
    /// is containerd's where that has given one: the other one is only its tag then.
    pub(super) fn kept_beside(&self, new: &[New]) -> Vec<Listed> {
        let stays = |head: &Head| {
            let full = head.annotation(CONTAINERD_NAME);
            let name = head.annotation(ANNOTATION_REF_NAME);
            !new.iter().any(|new| match (full, name, &new.name) {
                (Some(old), _, Some((_, full))) => old == full,
                (None, Some(old), Some((name, _))) => old == name,
                (None, None, _) => head.digest == new.digest,
                _ => false,
            })
        };
        self.entries
            .iter()
            .filter(|(head, _)| stays(head))
            .map(|(_, raw)| Listed::Kept(raw.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &[u8] = br#"{"schemaVersion":2,"manifests":[
        {"digest":"sha256:1","annotations":{"org.opencontainers.image.ref.name":"a:1"}, "x" : 1},
        {"digest":"sha256:1","annotations":{"org.opencontainers.image.ref.name":"b:1"}},
        {"digest":"sha256:1","annotations":{"org.opencontainers.image.ref.name":"1","io.containerd.image.name":"c:1"}},
        {"digest":"sha256:1"},{"digest":"sha256:2"}],"annotations":{"kept" : 1e0}}"#;

    /// The positions in [`INDEX`] of the entries that stay.
    fn kept(layout: &Layout, name: Option<(&str, &str)>, digest: &str) -> Vec<usize> {
        let entry = Listed::Kept(RawValue::from_string("{}".to_owned()).unwrap());
        let name = name.map(|(name, full)| (name.to_owned(), full.to_owned()));
        let kept = layout.kept_beside(&[New { name, digest: digest.to_owned(), entry }]);
        let place = |listed: &Listed| {
            let raw = serde_json::to_string(listed).unwrap();
            layout.entries.iter().position(|(_, old)| old.get() == raw).unwrap()
        };
        kept.iter().map(place).collect()
    }

    #[test]
    fn what_stays() {
        let layout = Layout::parse(INDEX).unwrap();
        for (name, digest, expected) in [
            (Some(("a:1", "docker.io/library/a:1")), "sha256:2", vec![1, 2, 3]),
            (Some(("c:1", "c:1")), "sha256:3", vec![0, 1, 3, 4]),
            (Some(("1", "docker.io/library/1:latest")), "sha256:3", vec![0, 1, 2, 3, 4]),
            (None, "sha256:1", vec![0, 1, 2, 4]),
        ] {
            assert_eq!(kept(&layout, name, digest), expected, "{name:?}");
        }
        assert_eq!(layout.members.len(), 1);
        assert_eq!(layout.members["annotations"].get(), r#"{"kept" : 1e0}"#);
        assert!(Layout::parse(b"{").is_err() && Layout::parse(br#"{"manifests":[{}]}"#).is_err());
        assert!(Layout::parse(br#"{"manifests":null}"#).unwrap().entries.is_empty());
    }
}

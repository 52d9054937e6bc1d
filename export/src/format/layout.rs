//! An OCI layout that is there already and gets more images: what its index says.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use oci_spec::image::ANNOTATION_REF_NAME;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::oci::Listed;
use crate::Error;

/// More than any index; containerd's limit is 20 MiB.
const LIMIT: u64 = 32 << 20;

/// The entries of an index, byte for byte.
#[derive(Default)]
pub(crate) struct Layout {
    entries: Vec<(Head, Box<RawValue>)>,
}

/// What has to be known of an entry.
#[derive(Deserialize)]
struct Head {
    digest: String,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Option<Vec<Box<RawValue>>>,
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
                return Err(layerlift_archive::Error::Output { action: "read", path, source }.into());
            }
        };
        let mut bytes = Vec::new();
        let read = file.take(LIMIT).read_to_end(&mut bytes);
        read.map_err(|source| layerlift_archive::Error::Output {
            action: "read",
            path: path.clone(),
            source,
        })?;
        Layout::parse(&bytes)
            .map_err(|why| Error::Document { what: path.display().to_string(), why: why.to_string() })
    }

    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let index: Index = serde_json::from_slice(bytes)?;
        let head = |raw: Box<RawValue>| Ok((serde_json::from_str(raw.get())?, raw));
        let entries =
            index.manifests.unwrap_or_default().into_iter().map(head).collect::<serde_json::Result<_>>()?;
        Ok(Layout { entries })
    }

    /// The entries that stay when new ones come, each with its name and its manifest's digest: those of another name; without
    /// a name, those of another manifest.
    pub(super) fn kept_beside(&self, new: &[(Option<String>, String, Listed)]) -> Vec<Listed> {
        let stays = |head: &Head| {
            let name = head.annotations.as_ref().and_then(|all| all.get(ANNOTATION_REF_NAME)?.as_str());
            !new.iter().any(|(new_name, digest, _)| match name {
                Some(name) => new_name.as_deref() == Some(name),
                None => *digest == head.digest,
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

    #[test]
    fn what_stays() {
        let index = br#"{"schemaVersion":2,"manifests":[
            {"digest":"sha256:1","annotations":{"org.opencontainers.image.ref.name":"a:1"}, "x" : 1},
            {"digest":"sha256:1","annotations":{"org.opencontainers.image.ref.name":"b:1"}},
            {"digest":"sha256:1"},{"digest":"sha256:2"}]}"#;
        let layout = Layout::parse(index).unwrap();
        let entry = || Listed::Kept(RawValue::from_string("{}".to_owned()).unwrap());
        let kept = layout.kept_beside(&[(Some("a:1".to_owned()), "sha256:2".to_owned(), entry())]);
        let kept = serde_json::to_string(&kept).unwrap();
        assert!(!kept.contains("a:1") && kept.contains("b:1"), "{kept}");
        assert!(kept.contains(r#"{"digest":"sha256:1"}"#) && !kept.contains("sha256:2"), "{kept}");
        assert!(Layout::parse(b"{").is_err() && Layout::parse(br#"{"manifests":[{}]}"#).is_err());
    }
}

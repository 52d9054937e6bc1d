//! An OCI layout that exists and gets more images.
//!
//! ```text
//! blobs/sha256/<digest>   a blob that is there in its length stays; another length is what a broken copy left
//! oci-layout
//! index.json              renamed into place last; what it has stays, byte for byte, but for names that move
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layerlift_archive::{Content, Error as ArchiveError, Options, write_files};
use oci_spec::image::ANNOTATION_REF_NAME;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Target;
use crate::Error;
use crate::bundle::{Descriptor, Root};
use crate::format::index::{self, CONTAINERD_NAME, Listed, Members, NewEntry};
use crate::format::oci;

/// More than any index; containerd's limit is 20 MiB.
const LIMIT: u64 = 32 << 20;

/// A directory that is an OCI layout.
///
/// Dropped before its images have names, it removes the blobs that it has added: a failure leaves nothing
/// behind. Two programs must not extend one layout at once: the index that is renamed last wins.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    /// Blobs that no index names yet.
    added: Mutex<Vec<PathBuf>>,
}

impl Layout {
    /// The layout in a directory. `None` if the directory does not exist or is empty: write a
    /// [`crate::tree()`] there. An error if there is something else in it, or its index cannot be read.
    pub fn try_open(dir: &Path) -> Result<Option<Self>, Error> {
        let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
        if !occupied {
            return Ok(None);
        }
        if !dir.join("oci-layout").is_file() {
            return Err(Error::NoLayout { path: dir.to_owned() });
        }
        let layout = Layout { dir: dir.to_owned(), added: Mutex::default() };
        layout.index().map(|_| Some(layout))
    }

    fn added(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.added.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the index has; nothing if there is no index.
    fn index(&self) -> Result<Index, Error> {
        let path = self.dir.join("index.json");
        let failed = |source: io::Error| ArchiveError::Output {
            action: "read",
            path: path.clone(),
            source: Arc::new(source),
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::default()),
            Err(error) => return Err(failed(error).into()),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
        Index::parse(&bytes)
            .map_err(|why| Error::Document { what: path.display().to_string(), why: why.to_string() })
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        for path in self.added().iter() {
            // What cannot be removed is a blob that nothing names: no harm to any reader.
            let _ = fs::remove_file(path);
        }
    }
}

impl Target for Layout {
    fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        let found = fs::metadata(self.dir.join(oci::path(blob.digest)));
        Ok(found.is_ok_and(|found| found.is_file() && found.len() == blob.size))
    }

    fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error> {
        let path = oci::path(blob.digest);
        let folder = self.dir.join("blobs/sha256");
        fs::create_dir_all(&folder).map_err(|source| ArchiveError::Output {
            action: "create",
            path: folder,
            source: Arc::new(source),
        })?;
        write_files(&self.dir, &[(&path, content)], options)?;
        self.added().push(self.dir.join(path));
        Ok(())
    }

    fn tag(&self, roots: &[Root]) -> Result<(), Error> {
        let Index { entries, members } = self.index()?;
        let new: Vec<NewEntry> = roots.iter().flat_map(index::entries).collect();
        let kept = entries.into_iter().filter(|entry| entry.stays_beside(&new));
        let mut listed: Vec<Listed> = kept.map(|entry| Listed::Kept(entry.raw)).collect();
        listed.extend(new.into_iter().map(|new| new.listed));
        let documents = index::documents(listed, &members);
        // One after another: the index comes last.
        for (path, content) in documents.iter().filter_map(|entry| Some((&*entry.path, entry.content()?))) {
            write_files(&self.dir, &[(path, &**content)], &Options::default())?;
        }
        self.added().clear();
        Ok(())
    }
}

/// What an index has, byte for byte.
#[derive(Default)]
struct Index {
    entries: Vec<OldEntry>,
    /// Annotations, and whatever else is not `manifests`.
    members: Members,
}

struct OldEntry {
    head: Head,
    raw: Box<RawValue>,
}

/// What has to be known of an entry.
#[derive(Deserialize)]
struct Head {
    digest: String,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Index {
    fn parse(bytes: &[u8]) -> serde_json::Result<Self> {
        let mut members: Members = serde_json::from_slice(bytes)?;
        let manifests = members.remove("manifests");
        let manifests = manifests.map(|raw| serde_json::from_str::<Option<Vec<Box<RawValue>>>>(raw.get()));
        let manifests = manifests.transpose()?.flatten().unwrap_or_default();
        let entry = |raw: Box<RawValue>| Ok(OldEntry { head: serde_json::from_str(raw.get())?, raw });
        let entries = manifests.into_iter().map(entry).collect::<serde_json::Result<_>>()?;
        // The members that every index has are written again.
        members.retain(|name, _| name != "schemaVersion" && name != "mediaType");
        Ok(Index { entries, members })
    }
}

impl OldEntry {
    /// Whether the entry stays when new ones come: unless one of them has its name, or if it has none, its
    /// manifest. The name is containerd's where there is one: the other annotation is only its tag then.
    fn stays_beside(&self, new: &[NewEntry]) -> bool {
        let full = self.head.annotation(CONTAINERD_NAME);
        let name = self.head.annotation(ANNOTATION_REF_NAME);
        !new.iter().any(|new| match (full, name, &new.name) {
            (Some(old), _, Some((_, full))) => old == full,
            (None, Some(old), Some((name, _))) => old == name,
            (None, None, _) => self.head.digest == new.digest.to_string(),
            _ => false,
        })
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

    /// The digest of a manifest, by a number.
    fn digest(number: u8) -> Digest {
        Digest::from_hex(&format!("{number:064}")).unwrap()
    }

    fn index() -> Index {
        let text = r#"{"schemaVersion":2,"manifests":[
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"a:1"}, "x" : 1},
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"b:1"}},
            {"digest":"DIGEST1","annotations":{"org.opencontainers.image.ref.name":"1","io.containerd.image.name":"c:1"}},
            {"digest":"DIGEST1"},{"digest":"DIGEST2"}],"annotations":{"kept" : 1e0}}"#;
        let text = [1, 2].iter().fold(text.to_owned(), |text, &number| {
            text.replace(&format!("DIGEST{number}"), &digest(number).to_string())
        });
        Index::parse(text.as_bytes()).unwrap()
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
            let name = name.map(|(name, full)| (name.to_owned(), full.to_owned()));
            let new = [NewEntry { name: name.clone(), digest: digest(number), listed }];
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
        assert!(Index::parse(b"{").is_err() && Index::parse(br#"{"manifests":[{}]}"#).is_err());
        assert!(Index::parse(br#"{"manifests":null}"#).unwrap().entries.is_empty());
    }
}

//! An OCI layout that exists and gets more images.
//!
//! ```text
//! blobs/sha256/<digest>   a blob of the right length stays; another length is what a broken copy left
//! oci-layout
//! manifest.json           made again of all images that the index names, for Docker and Podman
//! index.json              renamed into place last; what it has stays, byte for byte, but for names that move
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layerlift_archive::{Bytes, Content, Error as ArchiveError, Options, write_files};

use self::index::{OldEntry, OldIndex};
use super::Target;
use crate::Error;
use crate::bundle::{Descriptor, Root};
use crate::format::index::{self as new_index, Listed, NewEntry};
use crate::format::{manifest_json, oci};

mod images;
mod index;

const INDEX: &str = "index.json";
const MANIFEST: &str = "manifest.json";

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

    /// Puts back what `manifest.json` was, if it has been replaced and the index has not.
    fn restore_manifest(&self, before: Option<Vec<u8>>, new: &[u8]) {
        let path = self.dir.join(MANIFEST);
        if fs::read(&path).is_ok_and(|found| found == new) {
            // The first error is the one to report.
            let _ = match before {
                Some(before) => {
                    write_files(&self.dir, &[(MANIFEST, &Bytes(before))], &Options::default()).is_ok()
                }
                None => fs::remove_file(path).is_ok(),
            };
        }
    }

    /// What the index has; nothing if there is no index.
    fn index(&self) -> Result<OldIndex, Error> {
        let path = self.dir.join(INDEX);
        let failed = |source: io::Error| ArchiveError::Output {
            action: "read",
            path: path.clone(),
            source: Arc::new(source),
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OldIndex::default()),
            Err(error) => return Err(failed(error).into()),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
        OldIndex::parse(&bytes)
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
        let OldIndex { entries, members } = self.index()?;
        let new: Vec<NewEntry> = roots.iter().flat_map(new_index::entries).collect();
        let kept: Vec<OldEntry> = entries.into_iter().filter(|entry| entry.stays_beside(&new)).collect();
        let old_names = kept.iter().map(|entry| (entry.digest().to_owned(), entry.name().map(str::to_owned)));
        let new_names = new
            .iter()
            .map(|entry| (entry.digest.to_string(), entry.name.as_ref().map(|(_, full)| full.clone())));
        let names: Vec<(String, Option<String>)> = old_names.chain(new_names).collect();
        let kept = kept.into_iter().map(|entry| Listed::Kept(entry.raw));
        let listed = kept.chain(new.into_iter().map(|new| new.listed)).collect();
        let items = images::items(&self.dir, names.iter().map(|(digest, name)| (&**digest, name.as_deref())));
        let manifest = Bytes(manifest_json::document(&items));
        let documents = new_index::documents(listed, &members);
        let mut files: Vec<(&str, &dyn Content)> = vec![(MANIFEST, &manifest)];
        files.extend(documents.iter().filter_map(|entry| Some((&*entry.path, &**entry.content()? as _))));
        // All are complete before the first is renamed, and the index is the last.
        files.sort_by_key(|(name, _)| *name == INDEX);
        let before = fs::read(self.dir.join(MANIFEST)).ok();
        if let Err(error) = write_files(&self.dir, &files, &Options::default()) {
            self.restore_manifest(before, &manifest.0);
            return Err(error.into());
        }
        // From here on the index names the blobs.
        self.added().clear();
        Ok(())
    }
}

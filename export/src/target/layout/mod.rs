//! An OCI layout that exists and gets more images.
//!
//! ```text
//! blobs/sha256/<digest>    a blob of these bytes stays; one of others is replaced
//! oci-layout
//! manifest.json            made again of all images that the index names, for Docker and Podman; images that
//!                          only it names stay
//! index.json               renamed into place last; what it has stays, byte for byte, but for names that
//!                          move
//! .layerlift-<random>.tmp  what is new, until all of it is complete. At the top: other tools take each file
//!                          in blobs/sha256 for a blob
//! ```
//!
//! A lock on the directory (`flock`) makes a second program wait until the first is done.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use layerlift_archive::{Bytes, Content, Options, sync_dir, write_files};
use serde_json::error::Category;

use self::index::{OldEntry, OldIndex};
use self::work::{Work, failed};
use super::Target;
use crate::Error;
use crate::bundle::{Descriptor, Root};
use crate::format::index::{self as new_index, Listed, NewEntry};
use crate::format::{manifest_json, oci};

mod images;
mod index;
mod kept;
mod work;

const INDEX: &str = "index.json";
const MANIFEST: &str = "manifest.json";

/// More than any index; containerd's limit is 20 MiB.
const LIMIT: u64 = 32 << 20;

/// A directory that is an OCI layout.  Blobs get their names when all of them are complete, and the index is
/// renamed last. Dropped before that, it removes what it has added: a failure leaves nothing behind. From the
/// first question about a blob on, it holds a lock on the directory, so that two programs which extend one
/// layout do so one after the other.
#[derive(Debug)]
pub struct Layout {
    dir: PathBuf,
    /// `None` before the first question about a blob.
    work: Mutex<Option<Arc<Work>>>,
}

impl Layout {
    /// The layout in a directory. `None` if the directory does not exist or is empty: write a
    /// [`crate::tree()`] there. An error if there is something else in it, or its index cannot be read.
    pub fn try_open(dir: &Path) -> Result<Option<Self>, Error> {
        let occupied = layerlift_archive::is_empty_dir(dir).is_ok_and(|empty| !empty);
        if !occupied {
            return Ok(None);
        }
        if !dir.join("oci-layout").is_file() {
            return Err(Error::NoLayout { path: dir.to_owned() });
        }
        let layout = Layout { dir: dir.to_owned(), work: Mutex::default() };
        layout.index().map(|_| Some(layout))
    }

    /// The lock, and the place for new files. Waits while another program has the lock.
    fn work(&self, options: &Options<'_>) -> Result<Arc<Work>, Error> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = &*work {
            return Ok(work.clone());
        }
        Ok(work.insert(Arc::new(Work::begin(&self.dir, options)?)).clone())
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

    /// What the index has; nothing if it does not exist yet.
    fn index(&self) -> Result<OldIndex, Error> {
        let path = self.dir.join(INDEX);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(OldIndex::default()),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let mut bytes = Vec::new();
        file.take(LIMIT).read_to_end(&mut bytes).map_err(failed("read", &path))?;
        OldIndex::parse(&bytes).map_err(|error| {
            let why = match error.classify() {
                Category::Eof => "its end is missing".to_owned(),
                Category::Data => "it does not list manifests".to_owned(),
                _ => format!("it is not JSON from line {}, column {} on", error.line(), error.column()),
            };
            let why = format!("{why}; export to another directory, or restore this file");
            Error::Document { what: path.display().to_string(), why }
        })
    }
}

impl Target for Layout {
    fn has(&self, blob: &Descriptor, options: &Options<'_>) -> Result<bool, Error> {
        self.work(options)?;
        work::is_blob(&self.dir.join(oci::path(blob.digest)), blob, options)
    }

    fn put(&self, blob: &Descriptor, content: &dyn Content, options: &Options<'_>) -> Result<(), Error> {
        self.work(options)?.put(blob.digest, content, options)
    }

    fn tag(&self, roots: &[Root]) -> Result<(), Error> {
        let work = self.work(&Options::default())?;
        work.name_blobs(&self.dir)?;
        let OldIndex { entries, members } = self.index()?;
        let of_index = images::items(&self.dir, entries.iter().map(|entry| (entry.digest(), entry.name())));
        let new: Vec<NewEntry> = roots.iter().flat_map(new_index::entries).collect();
        let kept = entries.into_iter().filter(|entry| entry.stays_beside(&new));
        let kept: Vec<OldEntry> = kept.map(|entry| entry.beside(&new)).collect();
        let old_names = kept.iter().map(|entry| (entry.digest().to_owned(), entry.name().map(str::to_owned)));
        let new_names = new
            .iter()
            .map(|entry| (entry.digest.to_string(), entry.name.as_ref().and_then(|(_, full)| full.clone())));
        let names: Vec<(String, Option<String>)> = old_names.chain(new_names).collect();
        let kept = kept.into_iter().map(|entry| Listed::Kept(entry.raw));
        let listed = kept.chain(new.into_iter().map(|new| new.listed)).collect();
        let items = images::items(&self.dir, names.iter().map(|(digest, name)| (&**digest, name.as_deref())));
        let before = fs::read(self.dir.join(MANIFEST)).ok();
        let manifest = Bytes(match kept::items(before.as_deref(), &of_index, &items) {
            Some(all) => manifest_json::document(&all),
            None => manifest_json::document(&items),
        });
        let documents = new_index::documents(listed, &members);
        let mut files: Vec<(&str, &dyn Content)> = vec![(MANIFEST, &manifest)];
        files.extend(documents.iter().filter_map(|entry| Some((&*entry.path, &**entry.content()? as _))));
        // All are complete before the first is renamed, and the index is the last.
        files.sort_by_key(|(name, _)| *name == INDEX);
        write_files(work.path(), &files, &Options::default())?;
        for (name, _) in &files {
            let path = self.dir.join(name);
            if let Err(error) = fs::rename(work.path().join(name), &path) {
                self.restore_manifest(before, &manifest.0);
                return Err(failed("rename", &path)(error));
            }
        }
        // From here on the index names the blobs.
        work.keep_blobs();
        sync_dir(&self.dir);
        Ok(())
    }
}

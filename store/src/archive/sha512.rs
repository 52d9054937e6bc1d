//! Blobs that documents name by their SHA-512 digests, which the specification of OCI images registers.
//!
//! ```text
//! {"digest":"sha512:2991…","size":741, …}     in an index or a manifest
//! blobs/sha512/<128 hex digits>
//! ```
//!
//! Everything behind this room knows a blob by its SHA-256 digest, and what is written names it by that. To
//! learn it, the blob is hashed when a document that names it is read.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use layerlift_archive::{Content, Digest, Hasher};
use sha2::{Digest as _, Sha512};

use super::{Files, Source, find_in};
use crate::Error;

/// Blobs whose SHA-512 digests were asked for.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By the hex digits of the SHA-512 digest.
    digests: HashMap<String, Digest>,
    /// The way back.
    names: HashMap<Digest, Name>,
}

/// What is known of a blob by its SHA-256 digest.
#[derive(Debug, Clone)]
struct Name {
    /// The hex digits of its SHA-512 digest.
    hex: String,
    /// What is wrong with it.
    damage: Option<Error>,
}

impl Names {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    /// The SHA-256 digest of the blob with this SHA-512 digest. One that is missing or damaged is given a
    /// digest by which [`Files::try_find`] says so.
    pub(crate) fn by_sha512(&self, hex: &str) -> Digest {
        if let Some(known) = self.sha512.known().digests.get(hex) {
            return *known;
        }
        let (digest, damage) = match self.hash(hex) {
            Ok(Some(digest)) => (digest, None),
            Ok(None) => (Digest::of(hex.as_bytes()), None),
            Err(error) => (Digest::of(hex.as_bytes()), Some(error)),
        };
        let mut known = self.sha512.known();
        known.digests.insert(hex.to_owned(), digest);
        known.names.insert(digest, Name { hex: hex.to_owned(), damage });
        digest
    }

    /// What documents call the blob of a digest, where that is a SHA-512 digest.
    pub(crate) fn sha512_of(&self, digest: Digest) -> Option<String> {
        self.sha512.known().names.get(&digest).map(|name| format!("sha512:{}", name.hex))
    }

    /// The file of a blob that only its SHA-512 digest names, by its SHA-256 digest.
    pub(super) fn file_by_sha512(&self, name: &str) -> Option<String> {
        let digest = Digest::from_hex(name.strip_prefix("blobs/sha256/")?)?;
        Some(file(&self.sha512.known().names.get(&digest)?.hex))
    }

    /// What is wrong with such a blob.
    pub(super) fn damage_by_sha512(&self, name: &str) -> Option<Error> {
        let digest = Digest::from_hex(name.strip_prefix("blobs/sha256/")?)?;
        self.sha512.known().names.get(&digest)?.damage.clone()
    }

    /// Compares a blob with its SHA-512 digest. `None` if it is not there.
    fn hash(&self, hex: &str) -> Result<Option<Digest>, Error> {
        let name = format!("{}{}", self.folder, file(hex));
        let found = match &self.source {
            Source::Tar(entries) => entries.try_find(&name)?,
            Source::Dir(root) => find_in(root, name.clone())?,
        };
        let Some(place) = found else { return Ok(None) };
        let path = || self.path().join(&name);
        let failed = |error| Error::io("read", path(), error);
        let mut reader = place.range.raw_reader().map_err(failed)?;
        let (mut long, mut short) = (Sha512::new(), Hasher::default());
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(read) => &buffer[..read],
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            if read.is_empty() {
                break;
            }
            long.update(read);
            short.update(read);
        }
        let found: String = long.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if found != hex {
            return Err(Error::damaged(path(), format!("its digest is sha512:{found}, not its name")));
        }
        Ok(Some(short.finish()))
    }
}

fn file(hex: &str) -> String {
    format!("blobs/sha512/{hex}")
}

//! skopeo's `dir:`, which is also what `skopeo sync` and `podman save --format docker-dir` write: one image,
//! or one list with its images, and no names.
//!
//! ```text
//! version                    "Directory Transport Version: 1.1"
//! manifest.json              the manifest of an image, or a list
//! <digest>                   a config or a layer, by its digest without the algorithm
//! <digest>.manifest.json     a member of the list
//! signature-1                a signature of the manifest; not read
//! ```
//!
//! (containers/image, `directory/directory_dest.go`; skopeo 1.9, Podman 4.3.)

use layerlift_archive::Digest;
use serde::Deserialize;

use super::documents::{Descriptor, MANIFEST};
use super::images::Builder;
use super::reader::Reader;
use super::store::LayoutStore;
use crate::archive::Files;
use crate::kind::StoreKind;
use crate::{Error, Keyring, Store, json};

const VERSION: &str = "version";

/// The digest of `manifest.json`, if it is a manifest. That of a docker-archive is a list, and other programs
/// have files of this name, too.
pub(super) fn manifest(files: &Files) -> Result<Option<Digest>, Error> {
    #[derive(Deserialize)]
    struct Manifest {
        #[serde(rename = "schemaVersion")]
        _version: u64,
    }
    // What cannot be read is for the reader of a docker-archive to report.
    let Ok(Some(place)) = files.try_find(MANIFEST) else { return Ok(None) };
    let is_dir = files.exists(VERSION)?;
    let first = files.first::<64>(&place)?;
    if !is_dir && first.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let Ok(bytes) = files.bytes(&place, json::LIMIT) else { return Ok(None) };
    let is_manifest = is_dir || json::object::<Manifest>(&bytes).is_ok();
    Ok(is_manifest.then(|| Digest::of(&bytes)))
}

/// Opens it. `manifest` is the digest of `manifest.json`.
pub(super) fn open(files: Files, manifest: Digest) -> Result<Box<dyn Store>, Error> {
    let reader = Reader::new(files.beside(manifest.hex()));
    let keys = Keyring::new();
    let Some(json) = reader.try_json(MANIFEST)? else {
        return Err(reader.files().missing(MANIFEST, "manifest", &manifest.to_string(), MANIFEST));
    };
    let mut contents = Builder::new(&reader, &keys);
    contents.add_descriptor(Descriptor::of_manifest(manifest, json.raw()));
    let contents = contents.finish();
    Ok(Box::new(LayoutStore::new(StoreKind::Dir, keys, reader, contents)))
}

//! Images of an archive whose end is missing, and with it what names them: found by what they consist of.
//!
//! ```text
//! blobs/sha256/<digest>   a manifest whose config and layers are all there
//! blobs/sha256/<digest>   a config whose layers are there as blobs, not compressed (Docker since 25)
//! <digest>.json           a config whose layers are there as <diff id>.tar (Podman, skopeo)
//! ```

use layerlift_archive::Digest;

use super::documents::{self, Descriptor, Document};
use super::image::{self, What};
use super::images::Images;
use crate::archive::Files;
use crate::model::config;
use crate::{Error, json};

/// Adds every image all of whose files are there.
pub(super) fn add(files: &Files, images: &mut Images<'_>) -> Result<(), Error> {
    let mut configs = Vec::new();
    for hex in files.list("blobs/sha256")? {
        let Some(digest) = Digest::from_hex(&hex) else { continue };
        let name = image::blob(digest);
        let Some(bytes) = small_document(files, &name, digest) else { continue };
        match documents::parse(&bytes) {
            Ok(Document::Manifest(_)) => {
                let what = What::Manifest(Descriptor {
                    media_type: String::new(),
                    digest,
                    size: bytes.len() as u64,
                    platform: None,
                    image_name: None,
                    ref_name: None,
                    urls: Vec::new(),
                });
                if image::load(files, &what).is_ok() {
                    images.add_unnamed(what);
                }
            }
            _ => configs.push((name, bytes)),
        }
    }
    for name in files.top()? {
        let digest = name.strip_suffix(".json").and_then(Digest::from_hex);
        if let Some(bytes) = digest.and_then(|digest| small_document(files, &name, digest)) {
            configs.push((name, bytes));
        }
    }
    for (config, bytes) in configs {
        let Ok(parsed) = config::parse(&bytes) else { continue };
        let layer = |digest: Digest| {
            let names = [image::blob(digest), format!("{}.tar", digest.hex())];
            names.into_iter().find(|name| matches!(files.try_find(name), Ok(Some(_))))
        };
        if let Some(layers) = parsed.diff_ids.iter().map(|id| layer(id.0)).collect::<Option<Vec<_>>>() {
            images.add_unnamed(What::Files { config, layers });
        }
    }
    Ok(())
}

/// The bytes of a file that may be a JSON document and has the digest of its name.
fn small_document(files: &Files, name: &str, digest: Digest) -> Option<Vec<u8>> {
    let place = files.try_find(name).ok()??;
    if place.range.len > 4 << 20 || files.first::<1>(&place).ok()? != b"{" {
        return None;
    }
    files.bytes(&place, json::LIMIT).ok().filter(|bytes| Digest::of(bytes) == digest)
}

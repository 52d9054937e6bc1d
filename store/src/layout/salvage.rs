//! Images of a layout or an archive that has lost what names them: found by their documents.
//!
//! ```text
//! blobs/sha256/<digest>   a manifest whose config and layers are all there
//! blobs/sha256/<digest>   a config whose layers are there as blobs, not compressed (Docker since 25)
//! <digest>.json           a config whose layers are there as <diff id>.tar (Podman, skopeo), or in a chain
//!                         of directories <id>/ (Docker 1.10 to 24, see `chains`)
//! ```

use std::collections::{BTreeMap, HashSet};

use layerlift_archive::Digest;

use super::chains::Chains;
use super::documents::{Descriptor, Parsed};
use super::image::{self, Loaded, What};
use super::images::Builder;
use super::names::ImageNames;
use super::reader::{Json, Reader, blob};
use crate::Error;
use crate::archive::Files;

/// Adds every image whose files are all there.
pub(super) fn add(reader: &Reader, images: &mut Builder<'_>) -> Result<(), Error> {
    let mut configs = Vec::new();
    // What a manifest calls its config needs no other way.
    let mut described = HashSet::new();
    for hex in reader.files().list("blobs/sha256")? {
        let Some(digest) = Digest::from_hex(&hex) else { continue };
        let name = blob(digest);
        let Some(json) = small_document(reader, &name, digest) else { continue };
        match json.parsed() {
            Ok(Parsed::Manifest(manifest)) => {
                let descriptor = Descriptor::of_manifest(digest, json.raw());
                let (known, here) = (images.is_known(&hex) || images.has(&hex), images.is_here(&descriptor));
                let what = What::Manifest(Box::new(descriptor));
                if known || here && image::load(reader, &what).and_then(Loaded::whole).is_ok() {
                    described.insert(manifest.config.digest);
                    if !known {
                        images.add_found(what, ImageNames::default());
                    }
                }
            }
            Ok(Parsed::Artifact(artifact)) => {
                described.extend(artifact.blobs.iter().flatten().map(|part| part.digest));
            }
            _ => configs.push((name, json)),
        }
    }
    for name in reader.files().top()? {
        let digest = name.strip_suffix(".json").and_then(Digest::from_hex);
        if let Some(json) = digest.and_then(|digest| small_document(reader, &name, digest)) {
            configs.push((name, json));
        }
    }
    configs.retain(|(_, json)| !described.contains(&json.digest()));
    if configs.is_empty() {
        return Ok(());
    }
    let chains = Chains::read(reader)?;
    for (config, json) in configs {
        let Ok(parsed) = json.config() else { continue };
        let chain = chains.of(parsed);
        let layer = |digest: Digest| {
            let names = [blob(digest), format!("{}.tar", digest.hex())];
            names.into_iter().find(|name| matches!(reader.files().try_find(name), Ok(Some(_))))
        };
        let by_digest = parsed.diff_ids.iter().map(|id| layer(id.0)).collect::<Option<Vec<_>>>();
        if let Some(layers) = by_digest.or_else(|| chain.map(|chain| chain.layers.clone())) {
            let names = chain.map(|chain| chain.names.clone()).unwrap_or_default();
            images.add_found(What::Files { config, layers, sources: BTreeMap::new() }, names);
        }
    }
    Ok(())
}

/// A config at the top: only what Docker since 1.10, Podman and skopeo write has one, with a `manifest.json`.
pub(super) fn config(files: &Files) -> Result<Option<String>, Error> {
    let top = files.top()?;
    Ok(top.into_iter().find(|name| name.strip_suffix(".json").is_some_and(crate::hex_id)))
}

/// A config at the top that no image has so far.
pub(super) fn unnamed(reader: &Reader, images: &Builder<'_>) -> Result<Option<String>, Error> {
    for name in reader.files().top()? {
        let digest = name.strip_suffix(".json").and_then(Digest::from_hex);
        let Some(digest) = digest.filter(|digest| !images.has(&digest.hex())) else { continue };
        if small_document(reader, &name, digest).is_some_and(|json| json.config().is_ok()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// A file that may be a JSON document and has the digest of its name.
fn small_document(reader: &Reader, name: &str, digest: Digest) -> Option<Json> {
    let place = reader.files().try_find(name).ok()??;
    if place.range.len > 4 << 20 || reader.files().first::<1>(&place).ok()? != b"{" {
        return None;
    }
    reader.try_json(name).ok()?.filter(|json| json.digest() == digest)
}

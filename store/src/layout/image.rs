//! One image: from what names it to its config and the places of its layers, everything checked but the layers' bytes.

use layerlift_archive::Digest;

use super::documents::{self, Descriptor, Document};
use crate::archive::{Files, Place};
use crate::model::config::{self, Config};
use crate::{DiffId, Error, Manifest, json};

/// What leads to an image.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A manifest among the blobs.
    Manifest(Descriptor),
    /// An entry of `manifest.json`: names of files.
    Files { config: String, layers: Vec<String> },
}

/// What an image is called, without looking further than necessary.
#[derive(Debug)]
pub(super) enum Identity {
    Image {
        id: Digest,
    },
    /// Its type.
    Artifact(String),
}

/// All of an image but its layers' bytes.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) raw: Vec<u8>,
    pub(super) config: Config,
    pub(super) manifest: Option<Manifest>,
    /// Base first.
    pub(super) layers: Vec<(Place, DiffId)>,
}

/// Where the blob of a digest is.
pub(super) fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The digest in the name of a blob.
pub(super) fn blob_digest(name: &str) -> Option<Digest> {
    Digest::from_hex(name.strip_prefix("blobs/sha256/")?)
}

/// Reads the blob of a descriptor and checks its size and digest.
pub(super) fn document(files: &Files, descriptor: &Descriptor, of: &str) -> Result<Vec<u8>, Error> {
    let name = blob(descriptor.digest);
    let Some(place) = files.try_find(&name)? else {
        return Err(files.missing(of, "manifest", &descriptor.digest.to_string(), &name));
    };
    check_size(files, &place, descriptor)?;
    let bytes = files.bytes(&place, json::LIMIT)?;
    check_digest(files, &name, &bytes, descriptor.digest)?;
    Ok(bytes)
}

/// An index in the place of a manifest.
const DEEP: &str = "it is an index, and indexes are nested too deeply or it was called a manifest";

/// The id of an image: the digest of its config, which is read only where nothing else says it.
pub(super) fn identify(files: &Files, what: &What) -> Result<Identity, Error> {
    match what {
        What::Manifest(descriptor) => {
            let bytes = document(files, descriptor, "index.json")?;
            match documents::parse(&bytes).map_err(|why| malformed(files, &blob(descriptor.digest), why))? {
                Document::Manifest(manifest) => Ok(Identity::Image { id: manifest.config.digest }),
                Document::Artifact(kind) => Ok(Identity::Artifact(kind)),
                Document::Index(_) => Err(malformed(files, &blob(descriptor.digest), DEEP.to_owned())),
            }
        }
        What::Files { config, .. } => {
            let Some(bytes) = files.try_read(config, json::LIMIT)? else {
                return Err(files.missing("manifest.json", "config", config, config));
            };
            Ok(Identity::Image { id: Digest::of(&bytes) })
        }
    }
}

/// Reads an image. All that its documents say about one another is checked, and that every layer is there in its length.
pub(super) fn load(files: &Files, what: &What) -> Result<Loaded, Error> {
    match what {
        What::Manifest(descriptor) => of_manifest(files, descriptor),
        What::Files { config, layers } => of_files(files, config, layers),
    }
}

fn of_manifest(files: &Files, descriptor: &Descriptor) -> Result<Loaded, Error> {
    let digest = descriptor.digest;
    let raw_manifest = document(files, descriptor, "index.json")?;
    let name = blob(digest);
    let of = format!("manifest {digest}");
    let manifest = match documents::parse(&raw_manifest).map_err(|why| malformed(files, &name, why))? {
        Document::Manifest(manifest) => manifest,
        Document::Index(_) => return Err(malformed(files, &name, DEEP.to_owned())),
        Document::Artifact(_) => {
            return Err(malformed(files, &name, "it is not the manifest of an image".to_owned()));
        }
    };
    let config_name = blob(manifest.config.digest);
    let Some(place) = files.try_find(&config_name)? else {
        return Err(files.missing(&of, "config", &manifest.config.digest.to_string(), &config_name));
    };
    check_size(files, &place, &manifest.config)?;
    let raw = files.bytes(&place, json::LIMIT)?;
    check_digest(files, &config_name, &raw, manifest.config.digest)?;
    let config = config::parse(&raw).map_err(|why| malformed(files, &config_name, why))?;
    check_count(files, &name, manifest.layers.len(), &config)?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (layer, &diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        layers.push((layer_blob(files, &of, layer)?, diff_id));
    }
    Ok(Loaded { raw, config, manifest: Some(Manifest { digest, raw: raw_manifest }), layers })
}

fn layer_blob(files: &Files, of: &str, layer: &Descriptor) -> Result<Place, Error> {
    let name = blob(layer.digest);
    if layer.media_type.ends_with("+encrypted") {
        let what = format!("layer {} of {of} is encrypted", layer.digest);
        return Err(Error::unsupported(what, "decrypt the image first, with skopeo copy"));
    }
    let Some(place) = files.try_find(&name)? else {
        if ["foreign", "nondistributable"].iter().any(|word| layer.media_type.contains(word)) {
            let what =
                format!("{of} needs layer {}, which may not be distributed and is not there", layer.digest);
            let from = if layer.urls.is_empty() { "its vendor".to_owned() } else { layer.urls.join(", ") };
            return Err(Error::unsupported(what, format!("it can be had from {from}")));
        }
        return Err(files.missing(of, "layer", &layer.digest.to_string(), &name));
    };
    check_size(files, &place, layer)?;
    Ok(place)
}

fn of_files(files: &Files, config_name: &str, names: &[String]) -> Result<Loaded, Error> {
    let Some(raw) = files.try_read(config_name, json::LIMIT)? else {
        return Err(files.missing("manifest.json", "config", config_name, config_name));
    };
    let id = Digest::of(&raw);
    let stem = config_name.strip_suffix(".json").unwrap_or(config_name);
    let stem = stem.rsplit('/').next().unwrap_or_default();
    if Digest::from_hex(stem).is_some_and(|named| named != id) {
        return Err(damaged(files, config_name, format!("its digest is {id}, not its name")));
    }
    let config = config::parse(&raw).map_err(|why| malformed(files, config_name, why))?;
    check_count(files, config_name, names.len(), &config)?;
    let mut layers = Vec::with_capacity(names.len());
    for (name, &diff_id) in names.iter().zip(&config.diff_ids) {
        let Some(place) = files.try_find(name)? else {
            return Err(files.missing(&format!("image {}", id.hex()), "layer", &diff_id.to_string(), name));
        };
        layers.push((place, diff_id));
    }
    Ok(Loaded { raw, config, manifest: None, layers })
}

fn check_size(files: &Files, place: &Place, descriptor: &Descriptor) -> Result<(), Error> {
    if place.range.len == descriptor.size {
        return Ok(());
    }
    let why = format!("it has {} bytes, {} are recorded", place.range.len, descriptor.size);
    Err(damaged(files, &place.name, why))
}

fn check_digest(files: &Files, name: &str, bytes: &[u8], expected: Digest) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(damaged(files, name, format!("its digest is {found}, not its name")))
}

fn check_count(files: &Files, name: &str, layers: usize, config: &Config) -> Result<(), Error> {
    if layers == config.diff_ids.len() {
        return Ok(());
    }
    let why = format!("the image has {layers} layers, but {} diff ids in its config", config.diff_ids.len());
    Err(malformed(files, name, why))
}

fn damaged(files: &Files, name: &str, why: String) -> Error {
    Error::damaged(files.join(name), why)
}

fn malformed(files: &Files, name: &str, why: String) -> Error {
    Error::malformed(files.join(name), why)
}

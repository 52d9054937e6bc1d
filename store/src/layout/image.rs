//! One image: its manifest, its config and the files of its layers. All of it is checked but the layers'
//! bytes.

use std::collections::BTreeMap;

use layerlift_archive::Digest;

use super::documents::{self, Descriptor, ImageManifest, MANIFEST, Parsed};
use super::reader::{Json, Reader, blob, blob_digest};
use crate::archive::clean;
use crate::model::config::Config;
use crate::{DiffId, Error, Notice, Requirement, Requirements};

/// What leads to an image.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// A manifest among the blobs.
    Manifest(Box<Descriptor>),
    /// An item of `manifest.json`: names of files.
    Files {
        config: String,
        layers: Vec<String>,
        /// By diff ids, what is known of layers.
        sources: BTreeMap<String, Descriptor>,
    },
}

/// The id of an image, or what is there in its place.
#[derive(Debug)]
pub(super) enum Identity {
    Image {
        id: Digest,
    },
    Artifact {
        /// Its type.
        kind: String,
        config: Option<Digest>,
    },
}

/// An image without its layers' bytes.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Json,
    /// RFC 3339, from its config.
    pub(super) created: Option<String>,
    /// Its manifest, unless `manifest.json` names it.
    pub(super) manifest: Option<(Digest, Json)>,
    /// Base first.
    pub(super) layers: Vec<LayerFile>,
    /// What is odd about its documents.
    pub(super) notices: Vec<Notice>,
}

/// The file of a layer.
#[derive(Debug)]
pub(super) struct LayerFile {
    pub(super) name: String,
    pub(super) diff_id: DiffId,
    /// What is wrong with it: it is missing, or has another length.
    pub(super) lost: Option<Error>,
    /// That it is left out on purpose.
    pub(super) left_out: Option<Requirement>,
    /// That it is missing, and nothing says why.
    pub(super) unlisted: Option<Requirement>,
}

impl Loaded {
    /// The image, if all its layers are there.
    pub(super) fn whole(self) -> Result<Self, Error> {
        match self.first_lost() {
            Some(error) => Err(error.clone()),
            None => Ok(self),
        }
    }

    /// What is wrong with the first layer that is lost, and not left out on purpose.
    pub(super) fn first_lost(&self) -> Option<&Error> {
        self.layers.iter().filter(|layer| layer.left_out.is_none()).find_map(|layer| layer.lost.as_ref())
    }
}

impl LayerFile {
    /// The same, if the layer is missing: perhaps `requires.json` says that it was left out. What the image's
    /// own documents say must be the same.
    fn left_out(self, reader: &Reader, size: Option<u64>) -> Self {
        let is_missing = self.lost.is_some() && matches!(reader.files().try_find(&self.name), Ok(None));
        if !is_missing {
            return self;
        }
        let Some(required) = reader.required(&self.name) else {
            // Where the end of the archive is missing, or the list cannot be read, that is the fault.
            if reader.files().is_cut() || !reader.knows_required() {
                return self;
            }
            let blob = blob_digest(&self.name).map(|blob| Requirement::of_blob(blob, self.diff_id));
            let unlisted = blob.unwrap_or_else(|| Requirement::of_tar(self.diff_id)).with_size(size);
            return LayerFile { unlisted: Some(unlisted), ..self };
        };
        let contradicts = |what: &str, of_image: &dyn std::fmt::Display, said: &dyn std::fmt::Display| {
            let why = format!("of {}, its {what} is {said}, but the image says {of_image}", self.name);
            Some(reader.malformed(Requirements::FILE, why))
        };
        let error = match (required.diff_id, required.size, size) {
            (Some(said), ..) if said != self.diff_id => contradicts("diff id", &self.diff_id, &said),
            (_, Some(said), Some(size)) if said != size => contradicts("size", &size, &said),
            _ => None,
        };
        if error.is_some() {
            return LayerFile { lost: error, ..self };
        }
        let required = Requirement { diff_id: Some(self.diff_id), ..required.clone() };
        let required = required.clone().with_size(required.size.or(size));
        let lost = reader.files().left_out(&required);
        LayerFile { lost: Some(lost), left_out: Some(required), ..self }
    }
}

/// The error for an index that is called a manifest.
const DEEP: &str = "it is an index, and indexes are nested too deeply or it was called a manifest";
/// Why a manifest that lacks it is malformed.
const NO_CONFIG: &str = "it has no config, as manifests of images have";

/// The id of an image: the digest of its config. The config is read only if nothing else has the digest.
pub(super) fn identify(reader: &Reader, what: &What) -> Result<Identity, Error> {
    match what {
        What::Manifest(descriptor) => {
            let json = reader.manifest(descriptor)?;
            let name = blob(descriptor.digest);
            match json.parsed().map_err(|why| reader.malformed(&name, why))? {
                Parsed::Manifest(manifest) if is_of_artifact(reader, manifest) => {
                    let kind = manifest.config.media_type.clone();
                    Ok(Identity::Artifact { kind, config: Some(manifest.config.digest) })
                }
                Parsed::Manifest(manifest) => Ok(Identity::Image { id: manifest.config.digest }),
                Parsed::Artifact(artifact) => {
                    let config = artifact.blobs.first().and_then(|first| first.as_ref().ok());
                    let config = config.map(|config| config.digest);
                    Ok(Identity::Artifact { kind: artifact.kind.clone(), config })
                }
                Parsed::Schema1 => Err(schema_1(descriptor.digest)),
                Parsed::Index(_) => Err(reader.malformed(&name, DEEP)),
                Parsed::Neither => Err(reader.malformed(&name, NO_CONFIG)),
            }
        }
        What::Files { config, .. } => Ok(Identity::Image { id: config_of(reader, config)?.digest() }),
    }
}

/// Whether a manifest with the types of an image has a config that says nothing of one.
pub(super) fn is_of_artifact(reader: &Reader, manifest: &ImageManifest) -> bool {
    let config = reader.blob(&manifest.config, "its manifest", "config");
    config.is_ok_and(|config| documents::is_empty_config(config.raw()))
}

fn schema_1(digest: Digest) -> Error {
    let what = format!(
        "manifest {digest} is of Docker's schema 1, which has neither the config nor the diff ids of an image"
    );
    Error::unsupported(what, "an engine that still pulls such images can save it again")
}

/// Reads an image. Checks the digests and sizes that its documents record of one another and of the layers'
/// files; a layer that is lost hides no other.
pub(super) fn load(reader: &Reader, what: &What) -> Result<Loaded, Error> {
    match what {
        What::Manifest(descriptor) => of_manifest(reader, descriptor),
        What::Files { config, layers, sources } => of_files(reader, config, layers, sources),
    }
}

fn of_manifest(reader: &Reader, descriptor: &Descriptor) -> Result<Loaded, Error> {
    let digest = descriptor.digest;
    let json = reader.manifest(descriptor)?;
    let name = blob(digest);
    let of = format!("manifest {digest}");
    let manifest = match json.parsed().map_err(|why| reader.malformed(&name, why))? {
        Parsed::Manifest(manifest) => manifest,
        Parsed::Index(_) => return Err(reader.malformed(&name, DEEP)),
        Parsed::Schema1 => return Err(schema_1(digest)),
        Parsed::Neither => return Err(reader.malformed(&name, NO_CONFIG)),
        Parsed::Artifact(_) => return Err(reader.malformed(&name, "it is not the manifest of an image")),
    };
    let config_name = blob(manifest.config.digest);
    let raw = reader.blob(&manifest.config, &of, "config")?;
    let config = raw.config().map_err(|why| reader.malformed(&config_name, why))?;
    check_count(reader, &name, manifest.layers.len(), config)?;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (layer, &diff_id) in manifest.layers.iter().zip(&config.diff_ids) {
        let (name, lost) = layer_blob(reader, &of, layer)?;
        layers.push(
            LayerFile { name, diff_id, lost, left_out: None, unlisted: None }.left_out(reader, layer.size),
        );
    }
    let created = config.created.clone();
    let mut notices = Vec::new();
    let mut blobs =
        [digest, manifest.config.digest].into_iter().chain(manifest.layers.iter().map(|l| l.digest));
    let manifest = if blobs.any(|digest| reader.files().sha512_of(digest).is_some()) {
        let what = "its blobs are named by SHA-512 digests; what is written names them by SHA-256, and has \
                    another manifest";
        notices.push(Notice::new(reader.files().join(&name), what));
        None
    } else {
        Some((digest, json.clone()))
    };
    Ok(Loaded { config: raw, created, manifest, layers, notices })
}

/// The name of a layer's file, and what is wrong with it.
fn layer_blob(reader: &Reader, of: &str, layer: &Descriptor) -> Result<(String, Option<Error>), Error> {
    let name = blob(layer.digest);
    if layer.media_type.ends_with("+encrypted") {
        let what = format!("layer {} of {of} is encrypted", layer.digest);
        return Err(Error::unsupported(what, "decrypt the image first, with skopeo copy"));
    }
    let Some(place) = reader.files().try_find(&name)? else {
        if let Some(error) = foreign(of, layer) {
            return Err(error);
        }
        if reader.lacks_layers() {
            return Ok((name, None));
        }
        let missing = reader.files().missing(of, "layer", &layer.digest.to_string(), &name);
        return Ok((name, Some(missing)));
    };
    let lost = reader.check_size(&place.name, place.range.len, layer).err();
    Ok((place.name, lost))
}

/// The error for a layer that is not there because its vendor alone may distribute it.
fn foreign(of: &str, layer: &Descriptor) -> Option<Error> {
    let by_type = ["foreign", "nondistributable"].iter().any(|word| layer.media_type.contains(word));
    if !by_type && layer.urls.is_empty() {
        return None;
    }
    let from = if layer.urls.is_empty() { "its vendor".to_owned() } else { layer.urls.join(", ") };
    let what = format!(
        "{of} needs layer {}, which may not be distributed and is not there; it can be had from {from}",
        layer.digest
    );
    Some(Error::Unsupported { what, hint: None })
}

fn of_files(
    reader: &Reader,
    config_name: &str,
    names: &[String],
    sources: &BTreeMap<String, Descriptor>,
) -> Result<Loaded, Error> {
    let raw = config_of(reader, config_name)?;
    let id = raw.digest();
    let stem = config_name.strip_suffix(".json").unwrap_or(config_name);
    let stem = stem.rsplit('/').next().unwrap_or_default();
    let named = Digest::from_hex(stem).or_else(|| stem.parse().ok());
    let mut notices = Vec::new();
    if let Some(named) = named.filter(|named| *named != id) {
        if clean(config_name).is_some_and(|name| blob_digest(&name).is_some()) {
            return Err(reader.damaged(config_name, format!("its digest is {id}, not its name")));
        }
        // Every engine takes it, since nothing but the name says that the digest should be another.
        let what = format!("it is named {}, but its digest, and so the image id, is {id}", named.hex());
        notices.push(Notice::new(reader.files().join(config_name), what));
    }
    let config = raw.config().map_err(|why| reader.malformed(config_name, why))?;
    check_count(reader, config_name, names.len(), config)?;
    let mut layers = Vec::with_capacity(names.len());
    for (name, &diff_id) in names.iter().zip(&config.diff_ids) {
        let Some(place) = reader.files().try_find(name)? else {
            let of = format!("image {}", id.hex());
            if let Some(error) = sources.get(&diff_id.to_string()).and_then(|layer| foreign(&of, layer)) {
                return Err(error);
            }
            let lost = Some(reader.files().missing(&of, "layer", &diff_id.to_string(), name));
            let size = sources.get(&diff_id.to_string()).and_then(|layer| layer.size);
            let file = LayerFile { name: name.clone(), diff_id, lost, left_out: None, unlisted: None };
            layers.push(file.left_out(reader, size));
            continue;
        };
        layers.push(LayerFile { name: place.name, diff_id, lost: None, left_out: None, unlisted: None });
    }
    let created = config.created.clone();
    Ok(Loaded { config: raw, created, manifest: None, layers, notices })
}

/// The config that `manifest.json` names.
fn config_of(reader: &Reader, name: &str) -> Result<Json, Error> {
    reader.try_json(name)?.ok_or_else(|| reader.files().missing(MANIFEST, "config", name, name))
}

fn check_count(reader: &Reader, name: &str, layers: usize, config: &Config) -> Result<(), Error> {
    if layers == config.diff_ids.len() {
        return Ok(());
    }
    let why = format!("the image has {layers} layers, but {} diff ids in its config", config.diff_ids.len());
    Err(reader.malformed(name, why))
}

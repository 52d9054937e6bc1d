//! The documents of a layout or archive: JSON files, each opened and parsed once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use layerlift_archive::Digest;

use super::cache::Cache;
use super::documents::{self, Descriptor, Parsed};
use crate::archive::Files;
use crate::model::config::{self, Config};
use crate::{Error, Requirement, Requirements, json, parallel};

/// The files, and what was read of them.
#[derive(Debug)]
pub(super) struct Reader {
    files: Files,
    /// Whether an image may lack layers, which are then missed only when they are read.
    lacks_layers: bool,
    /// Layers that are left out on purpose, by the names of their files.
    required: HashMap<String, Requirement>,
    /// Whether the list of them can be read, or is not there.
    knows_required: bool,
    cache: Cache<StoredFile>,
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct StoredFile {
    /// Its name, behind all links.
    name: String,
    len: u64,
    /// The bytes, or why there are too many.
    raw: Result<Vec<u8>, Error>,
    digest: OnceLock<Digest>,
    parsed: OnceLock<Result<Parsed, String>>,
    config: OnceLock<Result<Config, String>>,
}

/// How a SHA-512 digest begins.
const SHA512: &[u8] = b"\"sha512:";

/// A document with its bytes.
#[derive(Debug, Clone)]
pub(super) struct Json(Arc<StoredFile>);

/// Where the blob of a digest is.
pub(super) fn blob(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The digest in the name of a blob.
pub(super) fn blob_digest(name: &str) -> Option<Digest> {
    Digest::from_hex(name.strip_prefix("blobs/sha256/")?)
}

/// The layers that a partial archive leaves out, by the names of their files.
pub(super) fn required(files: &Files) -> Result<HashMap<String, Requirement>, Error> {
    let Some(bytes) = files.try_read(Requirements::FILE, json::LIMIT)? else { return Ok(HashMap::new()) };
    let document = Requirements::parse(&bytes);
    let document = document.map_err(|why| Error::malformed(files.join(Requirements::FILE), why))?;
    Ok(document.layers.into_iter().map(|layer| (layer.file(), layer)).collect())
}

impl Reader {
    pub(super) fn new(files: Files) -> Self {
        Reader {
            files,
            lacks_layers: false,
            required: HashMap::new(),
            knows_required: true,
            cache: Cache::default(),
        }
    }

    /// For an engine that unpacks layers and need not keep their blobs.
    pub(super) fn without_layers(files: Files) -> Self {
        Reader { lacks_layers: true, ..Reader::new(files) }
    }

    /// Reads which layers a partial archive leaves out. What is wrong with the document is given back.
    pub(super) fn read_required(&mut self) -> Option<Error> {
        match required(&self.files) {
            Ok(required) => {
                self.required = required;
                None
            }
            Err(error) => {
                self.knows_required = false;
                Some(error)
            }
        }
    }

    /// Whether all layers are known that are left out on purpose.
    pub(super) fn knows_required(&self) -> bool {
        self.knows_required
    }

    /// The layer of this file, if it is left out on purpose.
    pub(super) fn required(&self, name: &str) -> Option<&Requirement> {
        self.required.get(name)
    }

    pub(super) fn lacks_layers(&self) -> bool {
        self.lacks_layers
    }

    pub(super) fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn into_files(self) -> Files {
        self.files
    }

    /// The document of this name; `None` if it is not there.
    pub(super) fn try_json(&self, name: &str) -> Result<Option<Json>, Error> {
        self.find(name)?.map(Json::new).transpose()
    }

    /// Whether a file of this name is there, be it readable or not.
    pub(super) fn has(&self, name: &str) -> bool {
        !matches!(self.find(name), Ok(None))
    }

    /// The manifest or index of a descriptor, its size and digest checked.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<Json, Error> {
        let of = match descriptor.within {
            Some(index) => format!("index {index}"),
            // Without layers, it is a namespace of containerd.
            None if self.lacks_layers => "meta.db".to_owned(),
            None => documents::INDEX.to_owned(),
        };
        let what = if descriptor.is_index() { "index" } else { "manifest" };
        self.blob(descriptor, &of, what)
    }

    /// The document of a descriptor, its size and digest checked. `of` needs it as its `what`.
    pub(super) fn blob(&self, descriptor: &Descriptor, of: &str, what: &'static str) -> Result<Json, Error> {
        let name = blob(descriptor.digest);
        let Some(file) = self.find(&name)? else {
            return Err(self.files.missing(of, what, &descriptor.digest.to_string(), &name));
        };
        self.check_size(&file.name, file.len, descriptor)?;
        let json = Json::new(file)?;
        if json.digest() != descriptor.digest {
            let why = format!("its digest is {}, not its name", json.digest());
            return Err(self.damaged(&name, why));
        }
        Ok(json)
    }

    /// Reads manifests and their configs in parallel, so that they are at hand later.
    pub(super) fn read_ahead(&self, manifests: &[Descriptor]) {
        parallel::map(manifests, |descriptor| self.read_one_ahead(descriptor, true));
    }

    /// What cannot be read is an error when it is requested.
    fn read_one_ahead(&self, descriptor: &Descriptor, enter: bool) {
        let Ok(json) = self.manifest(descriptor) else { return };
        match json.parsed() {
            Ok(Parsed::Manifest(manifest)) => {
                let _ = self.blob(&manifest.config, "its manifest", "config");
            }
            Ok(Parsed::Index(lines)) if enter => {
                lines.iter().flatten().for_each(|line| self.read_one_ahead(line, false));
            }
            _ => {}
        }
    }

    /// Whether a file is as long as its descriptor says.
    pub(super) fn check_size(&self, name: &str, len: u64, descriptor: &Descriptor) -> Result<(), Error> {
        match descriptor.size {
            Some(size) if size != len => {
                Err(self.damaged(name, format!("it has {len} bytes, {size} are recorded")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn damaged(&self, name: &str, why: impl Into<String>) -> Error {
        Error::damaged(self.files.join(name), why)
    }

    pub(super) fn malformed(&self, name: &str, why: impl Into<String>) -> Error {
        Error::malformed(self.files.join(name), why)
    }

    fn find(&self, name: &str) -> Result<Option<Arc<StoredFile>>, Error> {
        self.cache.get(name, || {
            let Some(place) = self.files.try_find(name)? else { return Ok(None) };
            let len = place.range.len;
            let raw = match self.files.bytes(&place, json::LIMIT) {
                Err(error) if len <= json::LIMIT => return Err(error),
                raw => raw,
            };
            let size = raw.as_ref().map_or(0, |raw| raw.len() as u64);
            let (digest, mut parsed, config) = Default::default();
            if let Ok(raw) = &raw
                && raw.windows(SHA512.len()).any(|bytes| bytes == SHA512)
            {
                let by_sha512 = |hex: &str| self.files.by_sha512(hex);
                parsed = OnceLock::from(documents::parse(raw, &by_sha512));
            }
            Ok(Some((StoredFile { name: place.name, len, raw, digest, parsed, config }, size)))
        })
    }
}

impl Json {
    fn new(file: Arc<StoredFile>) -> Result<Self, Error> {
        match &file.raw {
            Ok(_) => Ok(Json(file)),
            Err(error) => Err(error.clone()),
        }
    }

    pub(super) fn raw(&self) -> &[u8] {
        self.0.raw.as_deref().unwrap_or_default()
    }

    pub(super) fn digest(&self) -> Digest {
        *self.0.digest.get_or_init(|| Digest::of(self.raw()))
    }

    /// As an index or a manifest; the error says what is wrong with it.
    pub(super) fn parsed(&self) -> Result<&Parsed, String> {
        // Documents with SHA-512 digests are parsed when they are read.
        let unknown = |hex: &str| Digest::of(hex.as_bytes());
        self.0.parsed.get_or_init(|| documents::parse(self.raw(), &unknown)).as_ref().map_err(String::clone)
    }

    /// As a config.
    pub(super) fn config(&self) -> Result<&Config, String> {
        self.0.config.get_or_init(|| config::parse(self.raw())).as_ref().map_err(String::clone)
    }
}

//! Images as blobs by digest: what every OCI tool, every layout and every registry keeps.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;
use std::sync::Arc;

use layerlift_archive::{Bytes, Content, Digest, verified};
use layerlift_store::{DiffId, Reference};
use serde::{Deserialize, Serialize, Serializer};

use crate::format::media_type;

/// What names a blob (image-spec 1.1, `descriptor.md`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// The media type: `application/vnd.oci.image.config.v1+json`, for example.
    pub media_type: String,
    /// The digest of the blob's bytes.
    #[serde(serialize_with = "as_text")]
    pub digest: Digest,
    /// Number of the blob's bytes.
    pub size: u64,
}

/// A blob: a layer, a config or a manifest.
#[derive(Clone)]
#[non_exhaustive]
pub struct Blob {
    /// What names it.
    pub descriptor: Descriptor,
    /// Of a layer, the digest of its uncompressed tar.
    pub diff_id: Option<DiffId>,
    /// The bytes. `None` if they are left out on purpose, because the other side has them.
    ///
    /// They are to be compared with [`Content::digest`], by reading them with [`layerlift_archive::verified`]
    /// or writing them with an output of that crate. A content without a digest was hashed when it was made.
    pub content: Option<Arc<dyn Content>>,
}

/// What `index.json` leads to: an image, by its manifest; several images, by their index; or an artifact, by
/// the line that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Root {
    /// The manifest, or the index.
    pub descriptor: Descriptor,
    /// The image's names, as the format has them. May be empty.
    pub names: Vec<Reference>,
    /// What the index of a layout calls it (`org.opencontainers.image.ref.name`), if not by its whole name.
    pub ref_name: Option<String>,
    /// What else its line says.
    pub annotations: BTreeMap<String, String>,
    /// The platform of an image that was chosen from an index: a JSON object, as the index has it.
    pub platform: Option<String>,
    /// Of what is not an image: its line in the index that it comes from, a JSON object.
    pub line: Option<String>,
}

/// Images as blobs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Bundle {
    /// Every blob once. A blob precedes the blobs that name it.
    pub blobs: Vec<Blob>,
    /// The images, in the order of the request; behind them, artifacts.
    pub roots: Vec<Root>,
}

impl Descriptor {
    /// A descriptor of these three parts.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Descriptor { media_type: media_type.into(), digest, size }
    }

    /// Whether it is a manifest or an index: a blob that names others.
    pub fn names_others(&self) -> bool {
        const KINDS: [&str; 4] = [
            media_type::MANIFEST,
            media_type::INDEX,
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ];
        KINDS.contains(&&*self.media_type)
    }
}

impl Blob {
    /// A blob with these bytes.
    pub fn new(descriptor: Descriptor, content: impl Into<Option<Arc<dyn Content>>>) -> Self {
        Blob { descriptor, diff_id: None, content: content.into() }
    }

    /// A blob whose bytes are at hand and hash to its digest.
    pub(crate) fn of_bytes(descriptor: Descriptor, bytes: Vec<u8>) -> Self {
        Blob { descriptor, diff_id: None, content: Some(Arc::new(Bytes(bytes))) }
    }

    /// A document.
    pub(crate) fn document(media_type: impl Into<String>, bytes: Vec<u8>) -> Self {
        let descriptor = Descriptor::new(media_type, Digest::of(&bytes), bytes.len() as u64);
        Blob::of_bytes(descriptor, bytes)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob")
            .field("descriptor", &self.descriptor)
            .field("diff_id", &self.diff_id)
            .field("content", &self.content.is_some())
            .finish()
    }
}

impl Root {
    /// An image without a name.
    pub fn new(descriptor: Descriptor) -> Self {
        Root {
            descriptor,
            names: Vec::new(),
            ref_name: None,
            annotations: BTreeMap::new(),
            platform: None,
            line: None,
        }
    }
}

impl Bundle {
    /// Bytes of all contents.
    pub fn len(&self) -> u64 {
        self.blobs.iter().filter_map(|blob| blob.content.as_ref()).map(|content| content.len()).sum()
    }

    /// Whether there are no blobs.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// The blobs that these roots lead to, in the same order. What a document names and this bundle does not
    /// have is not in it either.
    pub fn only(&self, roots: Vec<Root>) -> Bundle {
        let mut wanted: HashSet<Digest> = roots.iter().map(|root| root.descriptor.digest).collect();
        // A blob precedes what names it.
        for blob in self.blobs.iter().rev().filter(|blob| blob.descriptor.names_others()) {
            if wanted.contains(&blob.descriptor.digest) {
                wanted.extend(blob.content.as_deref().map(named_by).unwrap_or_default());
            }
        }
        let blobs = self.blobs.iter().filter(|blob| wanted.contains(&blob.descriptor.digest));
        Bundle { blobs: blobs.cloned().collect(), roots }
    }

    /// A bundle of these blobs, each once.
    pub(crate) fn of(blobs: impl Iterator<Item = Blob>, roots: Vec<Root>) -> Self {
        let mut seen = HashSet::new();
        let blobs = blobs.filter(|blob| seen.insert(blob.descriptor.digest)).collect();
        Bundle { blobs, roots }
    }
}

/// What a manifest or an index names.
#[derive(Deserialize)]
struct Names {
    config: Option<Named>,
    #[serde(default)]
    layers: Vec<Named>,
    #[serde(default)]
    manifests: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    digest: String,
}

/// The digests in a document.
fn named_by(document: &dyn Content) -> Vec<Digest> {
    let mut bytes = Vec::new();
    let read = verified(document).and_then(|reader| reader.take(LARGEST).read_to_end(&mut bytes));
    let Some(names) = read.ok().and_then(|_| serde_json::from_slice::<Names>(&bytes).ok()) else {
        return Vec::new();
    };
    let Names { config, layers, manifests } = names;
    let all = config.into_iter().chain(layers).chain(manifests);
    all.filter_map(|named| named.digest.parse().ok()).collect()
}

/// More than any manifest.
const LARGEST: u64 = 32 << 20;

/// Serializes what prints as it is written in a document.
pub(crate) fn as_text<S: Serializer>(value: &impl fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

//! The OCI side of an archive: blobs by digest, a manifest for each image, `index.json`, `oci-layout`.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use layerlift_archive::{Bytes, Content, Digest, Entry, Tree};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, DescriptorBuilder, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
    Sha256Digest,
};
use serde::Serialize;

use super::Blob;
use crate::Error;

/// `blobs/sha256/`, each blob once, in the order in which they were added.
pub(super) struct Blobs {
    tree: Tree,
    present: HashSet<Digest>,
}

impl Blobs {
    pub(super) fn new() -> Self {
        let mut tree = Tree::default();
        tree.push(Entry::dir("blobs/", 0));
        tree.push(Entry::dir("blobs/sha256/", 0));
        Blobs { tree, present: HashSet::new() }
    }

    pub(super) fn add(&mut self, digest: Digest, content: Arc<dyn Content>) {
        if self.present.insert(digest) {
            self.tree.push(Entry::file(path(digest), 0, content));
        }
    }

    pub(super) fn add_bytes(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.add(digest, Arc::new(Bytes(bytes)));
        digest
    }

    pub(super) fn into_tree(self) -> Tree {
        self.tree
    }
}

/// Where a blob is.
pub(super) fn path(digest: Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Names a blob.
pub(super) fn descriptor(kind: MediaType, digest: Digest, len: u64) -> Result<Descriptor, Error> {
    let error = |error: oci_spec::OciSpecError| Error::Document {
        what: format!("descriptor of {digest}"),
        why: error.to_string(),
    };
    let sha256: Sha256Digest = digest.hex().parse().map_err(error)?;
    DescriptorBuilder::default().media_type(kind).digest(sha256).size(len).build().map_err(error)
}

/// The descriptor of a layer as a plain tar.
pub(super) fn layer(digest: Digest, blob: &Blob) -> Result<Descriptor, Error> {
    descriptor(MediaType::ImageLayer, digest, blob.content.len())
}

/// The manifest of an image, as Docker since 25 writes it.
pub(super) fn manifest(config: Descriptor, layers: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    let what = format!("manifest of image {}", config.digest());
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers)
        .build();
    let manifest = manifest.map_err(|error| Error::Document { what, why: error.to_string() })?;
    Ok(to_json(&manifest))
}

/// An entry of `index.json`. The annotations are sorted: oci-spec keeps them in a hash map, whose order differs between runs.
#[derive(Serialize)]
pub(super) struct Named {
    #[serde(flatten)]
    manifest: Descriptor,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

impl Named {
    pub(super) fn without_name(manifest: Descriptor) -> Self {
        Named { manifest, annotations: BTreeMap::new() }
    }

    /// `full` is what containerd calls the image, `tag` what OCI tools do.
    pub(super) fn new(manifest: Descriptor, full: String, tag: String) -> Self {
        let annotations = BTreeMap::from([("io.containerd.image.name", full), (ANNOTATION_REF_NAME, tag)]);
        Named { manifest, annotations }
    }
}

/// `oci-layout` and `index.json`.
pub(super) fn documents(manifests: Vec<Named>) -> [Entry; 2] {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index {
        schema_version: u32,
        media_type: MediaType,
        manifests: Vec<Named>,
    }
    let index = Index { schema_version: SCHEMA_VERSION, media_type: MediaType::ImageIndex, manifests };
    // The blank is Docker's.
    let layout = br#"{"imageLayoutVersion": "1.0.0"}"#;
    [Entry::bytes("oci-layout", 0, layout.to_vec()), Entry::bytes("index.json", 0, to_json(&index))]
}

/// Serializes what has only string keys.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings, numbers and lists become JSON")
}

//! Output formats, one file each. A format is a function from images and their layers to a [`Tree`].
//!
//! A new one is a file here, a variant of [`Format`] and its line in each function below; nothing else in the crate knows
//! a format by name.

use std::fmt;
use std::sync::Arc;

use layerlift_archive::{Compression, Content, Digest, Tree};
use layerlift_store::{DiffId, Document, Image, ImageId, Layer, Reference};

use crate::Error;
use crate::document::edit;

mod docker_archive;
mod docker_v1;
mod index;
mod layout;
mod oci;
mod oci_archive;
mod reference;
mod repositories;

pub(crate) use layout::Layout;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `blobs/`, `index.json`, `manifest.json`, `oci-layout`, `repositories`: loads on every engine.
    #[default]
    DockerArchive,
    /// `<id>/{VERSION,json,layer.tar}` and `repositories`: what Docker 1.8 wrote.
    DockerV1,
    /// `blobs/`, `index.json`, `oci-layout`: what OCI tools read.
    OciArchive,
}

impl Format {
    /// All formats, for whoever lets a user choose.
    pub const ALL: &[Format] = &[Format::DockerArchive, Format::DockerV1, Format::OciArchive];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
            Format::OciArchive => "oci-archive",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An image on its way into an archive.
pub(crate) struct Source<'a> {
    pub(crate) image: &'a Image,
    pub(crate) references: &'a [Reference],
    /// Base first: indices into the layers of the export.
    pub(crate) layers: &'a [usize],
}

/// A layer on its way into an archive: its tar, plain or as [`Format::takes`] allows it.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) content: Arc<dyn Content>,
    pub(crate) compression: Compression,
    /// The digest of `content`. Known, like the diff id, wherever [`Format::needs_digests`] asked for it.
    pub(crate) digest: Option<Digest>,
    /// The digest of the plain tar.
    pub(crate) diff_id: Option<DiffId>,
}

impl Blob {
    /// A layer as a plain tar: its digest is its diff id.
    pub(crate) fn plain(content: Arc<dyn Content>, diff_id: Option<DiffId>) -> Self {
        Blob { content, compression: Compression::None, digest: diff_id.map(|id| id.0), diff_id }
    }
}

/// What a format made of the images.
pub(crate) struct Built {
    pub(crate) tree: Tree,
    /// For each image the id that engines will show, where the format decides it.
    pub(crate) ids: Vec<Option<ImageId>>,
}

/// An image that a format cannot hold.
pub(crate) struct Failed {
    /// Its index.
    pub(crate) image: usize,
    pub(crate) error: Error,
}

impl Format {
    /// Whether the digests of an image's layers must be known before its documents can be written.
    pub(crate) fn needs_digests(self, document: &Document) -> bool {
        match (self, document) {
            (Format::DockerArchive | Format::OciArchive, _) | (Format::DockerV1, Document::Config { .. }) => {
                true
            }
            (Format::DockerV1, Document::V1(_)) => false,
        }
    }

    /// Whether a layer that is compressed like this can be in an archive as it is. Every engine reads gzip in a
    /// docker-archive, Docker zstd only since 23; docker-v1 says `layer.tar` and means it.
    pub(crate) fn takes(self, compression: Compression) -> bool {
        match self {
            Format::DockerV1 => compression == Compression::None,
            Format::DockerArchive => matches!(compression, Compression::None | Compression::Gzip),
            Format::OciArchive => {
                matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd)
            }
        }
    }

    /// A name as an archive of this format has it. `None` for a digest where archives have only tags, as engines leave them
    /// out too; the error says why a name cannot be in it.
    pub(crate) fn spell(
        self,
        document: &Document,
        reference: &Reference,
    ) -> Result<Option<Reference>, &'static str> {
        match (self, document) {
            (Format::DockerV1, Document::V1(_)) => Ok(Some(reference.clone())),
            _ if reference.is_digest() => Ok(None),
            (Format::OciArchive, _) => Ok(Some(reference.clone())),
            (Format::DockerV1 | Format::DockerArchive, _) => reference::familiar(reference).map(Some),
        }
    }

    /// Whether a directory of this format can get more images.
    pub fn extends(self) -> bool {
        match self {
            Format::OciArchive => true,
            Format::DockerArchive | Format::DockerV1 => false,
        }
    }

    /// The tree of an archive of these images, beside those that are in `existing`.
    pub(crate) fn build(
        self,
        images: &[Source<'_>],
        layers: &[Blob],
        existing: &Layout,
    ) -> Result<Built, Failed> {
        match self {
            Format::DockerArchive => docker_archive::build(images, layers),
            Format::DockerV1 => docker_v1::build(images, layers),
            Format::OciArchive => oci_archive::build(images, layers, existing),
        }
    }
}

impl Source<'_> {
    /// The digests of its layers, base first.
    fn diff_ids(&self, layers: &[Blob]) -> Result<Vec<DiffId>, Error> {
        let known = self.layers.iter().map(|&index| layers[index].diff_id);
        known.collect::<Option<_>>().ok_or_else(|| Error::Document {
            what: self.what(),
            why: "a layer of it has no digest".to_owned(),
        })
    }

    /// The stored config, or if a layer had to be made anew and is another one, the same with its digest.
    fn config(&self, raw: &[u8], diff_ids: &[DiffId]) -> Result<Vec<u8>, Error> {
        let recorded = self.image.layers.iter().map(|layer: &Layer| layer.diff_id);
        if recorded.eq(diff_ids.iter().copied().map(Some)) {
            return Ok(raw.to_vec());
        }
        edit::with_diff_ids(raw, diff_ids).map_err(|why| Error::Document { what: self.what(), why })
    }

    fn what(&self) -> String {
        match self.image.document {
            Document::Config { .. } => format!("config of image {}", self.image.key.id),
            Document::V1(_) => format!("image {}", self.image.key.id),
        }
    }
}

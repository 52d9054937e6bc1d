//! Output formats, one file each. A format is a function from images and their layers to a [`Tree`].
//!
//! A new one is a file here, a variant of [`Format`] and its line in each function below; nothing else in the crate knows
//! a format by name.

use std::fmt;
use std::sync::Arc;

use layerlift_archive::{Content, Tree};
use layerlift_store::{DiffId, Document, Image, ImageId, Layer, Reference};

use crate::Error;
use crate::document::edit;

mod docker_archive;
mod docker_v1;
mod oci;
mod reference;
mod repositories;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// `blobs/`, `index.json`, `manifest.json`, `oci-layout`, `repositories`: loads on every engine.
    #[default]
    DockerArchive,
    /// `<id>/{VERSION,json,layer.tar}` and `repositories`: what Docker 1.8 wrote.
    DockerV1,
}

impl Format {
    /// All formats, for whoever lets a user choose.
    pub const ALL: &[Format] = &[Format::DockerArchive, Format::DockerV1];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
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

/// A layer on its way into an archive: its plain tar.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) content: Arc<dyn Content>,
    /// Known wherever [`Format::needs_digests`] asked for it.
    pub(crate) diff_id: Option<DiffId>,
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
            (Format::DockerArchive, _) | (Format::DockerV1, Document::Config { .. }) => true,
            (Format::DockerV1, Document::V1(_)) => false,
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
            (Format::DockerV1 | Format::DockerArchive, _) => reference::familiar(reference).map(Some),
        }
    }

    /// The tree of an archive of these images.
    pub(crate) fn build(self, images: &[Source<'_>], layers: &[Blob]) -> Result<Built, Failed> {
        match self {
            Format::DockerArchive => docker_archive::build(images, layers),
            Format::DockerV1 => docker_v1::build(images, layers),
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

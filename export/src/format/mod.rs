//! Output formats, one file each.
//!
//! ```text
//! an image and its layers ──documents──> Documents, once for each image ──contents──> Contents ──tree──> Tree
//! ```
//!
//! A new format is a file here, a variant of [`Format`] and its line in each function below; nothing else in the crate
//! knows a format by name.

use std::fmt;

use layerlift_archive::{Compression, Tree};
use layerlift_store::{DiffId, Document, Image, ImageId, Layer, Reference, Rules};

use self::docker_v1::{Folders, V1Image};
use self::oci::OciImage;
use crate::bundle::{Bundle, Root};
use crate::document::edit;
use crate::layers::Measured;
use crate::{Error, Prepared};

mod docker_archive;
mod docker_v1;
pub(crate) mod index;
mod manifest_json;
pub(crate) mod oci;
mod oci_archive;
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
    /// `blobs/`, `index.json`, `oci-layout`: what OCI tools read.
    OciArchive,
}

/// The tree of an archive: what came out of the preparation, under the names that the format has for it.
pub fn tree(prepared: &Prepared) -> Tree {
    prepared.contents().tree()
}

/// An image on its way into an archive.
pub(crate) struct SourceImage<'a> {
    pub(crate) image: &'a Image,
    /// Base first. Layers behind those that the image has in the store go on top of it.
    pub(crate) layers: Vec<&'a Measured>,
}

/// What a format makes of one image.
#[derive(Clone)]
pub(crate) enum Documents {
    Oci(OciImage),
    V1(V1Image),
}

/// What a format makes of all images.
pub(crate) enum Contents {
    Bundle {
        format: Format,
        bundle: Bundle,
        /// Of each root.
        images: Vec<OciImage>,
    },
    Folders(Folders),
}

impl Format {
    /// All formats, for programs in which a user chooses.
    pub const ALL: &[Format] = &[Format::DockerArchive, Format::DockerV1, Format::OciArchive];

    /// As it is written on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::DockerArchive => "docker-archive",
            Format::DockerV1 => "docker-v1",
            Format::OciArchive => "oci-archive",
        }
    }

    /// Whether a directory of this format can get more images: then [`crate::Layout`] adds them.
    pub fn extends(self) -> bool {
        match self {
            Format::OciArchive => true,
            Format::DockerArchive | Format::DockerV1 => false,
        }
    }

    /// Whether the digests of an image's layers must be known before its documents can be made.
    pub(crate) fn needs_digests(self, document: &Document) -> bool {
        match (self, document) {
            (Format::DockerArchive | Format::OciArchive, _) | (Format::DockerV1, Document::Config { .. }) => {
                true
            }
            (Format::DockerV1, Document::V1(_)) => false,
        }
    }

    /// Whether an archive can hold a layer with this compression. Every engine reads gzip in a docker-archive, Docker
    /// zstd only since 23; docker-v1 says `layer.tar` and means it.
    pub(crate) fn takes(self, compression: Compression) -> bool {
        match self {
            Format::DockerV1 => compression == Compression::None,
            Format::DockerArchive => matches!(compression, Compression::None | Compression::Gzip),
            Format::OciArchive => {
                matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd)
            }
        }
    }

    /// A name as an archive of this format has it. `None` for a digest in an archive that holds only tags: engines leave
    /// those out too. The error says why the name cannot be in an archive.
    pub(crate) fn spell(
        self,
        document: &Document,
        reference: &Reference,
    ) -> Result<Option<Reference>, &'static str> {
        match (self, document) {
            (Format::DockerV1, Document::V1(_)) => Ok(Some(reference.clone())),
            _ if reference.is_digest() => Ok(None),
            (Format::OciArchive, _) => Ok(Some(reference.clone())),
            (Format::DockerV1 | Format::DockerArchive, _) => {
                reference.check(Rules::Distribution)?;
                Ok(Some(reference.familiar()))
            }
        }
    }

    /// The documents of one image.
    pub(crate) fn documents(self, image: &SourceImage<'_>) -> Result<Documents, Error> {
        match self {
            Format::DockerArchive | Format::OciArchive => OciImage::new(image).map(Documents::Oci),
            Format::DockerV1 => V1Image::new(image).map(Documents::V1),
        }
    }

    /// What goes into the archive, of images with their names.
    pub(crate) fn contents(self, images: Vec<(Vec<Reference>, Documents)>) -> Contents {
        if self == Format::DockerV1 {
            let images = images.into_iter().filter_map(|(names, documents)| match documents {
                Documents::V1(image) => Some((names, image)),
                Documents::Oci(_) => None,
            });
            return Contents::Folders(images.collect());
        }
        let (roots, images): (Vec<Root>, Vec<OciImage>) = images
            .into_iter()
            .filter_map(|(names, documents)| match documents {
                Documents::Oci(image) => {
                    Some((Root { names, ..Root::new(image.manifest.descriptor.clone()) }, image))
                }
                Documents::V1(_) => None,
            })
            .unzip();
        let layers = |image: &OciImage| image.layers.clone();
        let documents = |image: &OciImage| [image.config.clone(), image.manifest.clone()];
        let bundle = match self {
            Format::DockerArchive => {
                let blobs = images.iter().flat_map(layers).chain(images.iter().flat_map(documents));
                Bundle::of(blobs, roots)
            }
            _ => {
                let blobs = images.iter().flat_map(|image| layers(image).into_iter().chain(documents(image)));
                Bundle::of(blobs, roots)
            }
        };
        Contents::Bundle { format: self, bundle, images }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Documents {
    /// The id that engines will show, where the format decides it.
    pub(crate) fn image_id(&self) -> Option<ImageId> {
        match self {
            Documents::Oci(image) => Some(ImageId(image.config.descriptor.digest)),
            // Each engine that loads it makes an id of its own: the v1 id until 1.9, a config's digest since.
            Documents::V1(_) => None,
        }
    }
}

impl Contents {
    /// The images as blobs, if the format has blobs.
    pub(crate) fn bundle(&self) -> Option<&Bundle> {
        match self {
            Contents::Bundle { bundle, .. } => Some(bundle),
            Contents::Folders(_) => None,
        }
    }

    pub(crate) fn tree(&self) -> Tree {
        match self {
            Contents::Bundle { format: Format::OciArchive, bundle, .. } => oci_archive::tree(bundle),
            Contents::Bundle { bundle, images, .. } => docker_archive::tree(bundle, images),
            Contents::Folders(folders) => folders.tree(),
        }
    }
}

impl SourceImage<'_> {
    /// The digests of its layers, base first.
    fn diff_ids(&self) -> Result<Vec<DiffId>, Error> {
        let known = self.layers.iter().map(|layer| layer.diff_id);
        known.collect::<Option<_>>().ok_or_else(|| Error::Document {
            what: self.what(),
            why: "a layer of it has no digest".to_owned(),
        })
    }

    /// The stored config; or, where a computed layer has another digest or is on top, the same with these diff ids.
    fn config(&self, raw: &[u8], diff_ids: &[DiffId]) -> Result<Vec<u8>, Error> {
        let recorded = self.image.layers.iter().map(|layer: &Layer| layer.diff_id);
        if recorded.eq(diff_ids.iter().copied().map(Some)) {
            return Ok(raw.to_vec());
        }
        let (own, on_top) = diff_ids.split_at(self.image.layers.len().min(diff_ids.len()));
        edit::with_diff_ids(raw, own, on_top).map_err(|why| Error::Document { what: self.what(), why })
    }

    fn what(&self) -> String {
        match self.image.document {
            Document::Config { .. } => format!("config of image {}", self.image.key.id()),
            Document::V1(_) => format!("image {}", self.image.key.id()),
        }
    }
}

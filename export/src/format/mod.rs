//! Output formats, one file each.
//!
//! ```text
//! an image and its layers ──> Documents, once for each image ──> Contents of all images ──> Tree
//! ```
//!
//! A new format is a file here, a variant of [`Format`] with its line in each function of `kind`, and its
//! line in each function below; nothing else in the crate knows a format by name.

use layerlift_archive::{Digest, Tree};
use layerlift_store::{ImageId, Reference};

use self::docker_v1::{Folders, V1Image};
use self::oci::OciImage;
use crate::Error;
use crate::artifacts::PlannedArtifact;
use crate::bundle::{Bundle, Root};

mod docker_archive;
mod docker_v1;
pub(crate) mod index;
mod kind;
pub(crate) mod manifest_json;
pub(crate) mod oci;
mod oci_archive;
mod repositories;
mod source;

pub use kind::Format;
pub(crate) use source::SourceImage;

/// What a format makes of one image.
#[derive(Clone)]
pub(crate) enum Documents {
    Oci(Box<OciImage>),
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

impl Documents {
    /// The documents of one image.
    pub(crate) fn new(format: Format, image: &SourceImage<'_>) -> Result<Self, Error> {
        match format {
            Format::DockerArchive | Format::OciArchive => {
                OciImage::new(image).map(|image| Documents::Oci(Box::new(image)))
            }
            Format::DockerV1 => V1Image::new(image).map(Documents::V1),
        }
    }

    /// Where its layers are in an archive, base first.
    pub(crate) fn layer_paths(&self) -> Vec<String> {
        match self {
            Documents::Oci(image) => {
                image.layers.iter().map(|layer| oci::path(layer.descriptor.digest)).collect()
            }
            Documents::V1(image) => image.layer_paths().collect(),
        }
    }

    /// The digest of its manifest, where the format has one.
    pub(crate) fn manifest(&self) -> Option<Digest> {
        match self {
            Documents::Oci(image) => Some(image.manifest.descriptor.digest),
            Documents::V1(_) => None,
        }
    }

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
    /// What goes into the archive, of images with their names, and of artifacts.
    pub(crate) fn new(
        format: Format,
        images: Vec<(Vec<Reference>, Documents)>,
        artifacts: &[PlannedArtifact],
    ) -> Self {
        let layers = |image: &OciImage| image.layers.clone();
        let documents = |image: &OciImage| [image.config.clone(), image.manifest.clone()];
        let whole = |image: &OciImage| layers(image).into_iter().chain(documents(image));
        let (bundle, images) = match format {
            Format::DockerV1 => {
                let images = images.into_iter().filter_map(|(names, documents)| match documents {
                    Documents::V1(image) => Some((names, image)),
                    Documents::Oci(_) => None,
                });
                return Contents::Folders(images.collect());
            }
            Format::DockerArchive => {
                let (roots, images) = oci_images(images);
                let blobs = images.iter().flat_map(layers).chain(images.iter().flat_map(documents));
                (Bundle::of(blobs, roots), images)
            }
            Format::OciArchive => {
                let (mut roots, images) = oci_images(images);
                roots.extend(artifacts.iter().map(|artifact| artifact.root.clone()));
                let of_artifacts = artifacts.iter().flat_map(|artifact| artifact.blobs.iter().cloned());
                let blobs = images.iter().flat_map(whole).chain(of_artifacts);
                (Bundle::of(blobs, roots), images)
            }
        };
        Contents::Bundle { format, bundle, images }
    }

    /// The images as blobs, if the format has blobs.
    pub(crate) fn bundle(&self) -> Option<&Bundle> {
        match self {
            Contents::Bundle { bundle, .. } => Some(bundle),
            Contents::Folders(_) => None,
        }
    }

    pub(crate) fn tree(&self) -> Tree {
        match self {
            Contents::Bundle { format, bundle, images } => match format {
                Format::OciArchive => oci_archive::tree(bundle, images),
                Format::DockerArchive | Format::DockerV1 => docker_archive::tree(bundle, images),
            },
            Contents::Folders(folders) => folders.tree(),
        }
    }
}

/// The images with their roots.
fn oci_images(images: Vec<(Vec<Reference>, Documents)>) -> (Vec<Root>, Vec<OciImage>) {
    let image = |(names, documents)| match documents {
        Documents::Oci(image) => {
            Some((Root { names, ..Root::new(image.manifest.descriptor.clone()) }, *image))
        }
        Documents::V1(_) => None,
    };
    images.into_iter().filter_map(image).unzip()
}

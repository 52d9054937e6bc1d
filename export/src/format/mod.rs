//! Output formats, one file each.
//!
//! ```text
//! an image and its layers ──> Documents, once for each image ──> Contents of all images ──> Tree
//! ```
//!
//! A new format is a file here, a variant of [`Format`] with its line in each function of `kind`, and its
//! line in each function below; nothing else in the crate knows a format by name.

use std::collections::HashMap;

use layerlift_archive::{Digest, Tree};
use layerlift_store::{ImageId, Reference, Requirement};

use self::docker_v1::{Folders, V1Image};
use self::list::List;
use self::oci::OciImage;
use crate::Error;
use crate::artifacts::PlannedArtifact;
use crate::bundle::{Blob, Bundle, Descriptor, Root};
use crate::lines::Lines;

mod docker_archive;
mod docker_v1;
pub(crate) mod index;
mod kind;
pub(crate) mod list;
pub(crate) mod manifest_json;
pub(crate) mod media_type;
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

/// An image with its names.
pub(crate) struct NamedImage {
    pub(crate) names: Vec<Reference>,
    pub(crate) image: OciImage,
}

/// What a format makes of one image of a plan.
pub(crate) struct Made {
    /// The image's id in its store.
    pub(crate) id: String,
    pub(crate) names: Vec<Reference>,
    pub(crate) documents: Documents,
}

/// What a format makes of all images.
pub(crate) enum Contents {
    Bundle {
        format: Format,
        bundle: Bundle,
        /// With their names, each once.
        images: Vec<NamedImage>,
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

    /// Its layers, base first: those whose bytes are left out.
    pub(crate) fn absent_layers(&self) -> Vec<Option<Requirement>> {
        match self {
            Documents::Oci(image) => {
                let absent = |layer: &Blob| match (&layer.content, layer.diff_id) {
                    (None, Some(diff_id)) => {
                        let Descriptor { media_type, digest, .. } = &layer.descriptor;
                        Some(Requirement::of_blob(*digest, diff_id).with_media_type(media_type))
                    }
                    _ => None,
                };
                image.layers.iter().map(absent).collect()
            }
            Documents::V1(image) => image.absent_layers().collect(),
        }
    }

    /// The digests of its layers whose bytes are written, where the format has digests.
    pub(crate) fn written_layers(&self) -> Vec<Digest> {
        match self {
            Documents::Oci(image) => {
                let written = image.layers.iter().filter(|layer| layer.content.is_some());
                written.map(|layer| layer.descriptor.digest).collect()
            }
            Documents::V1(_) => Vec::new(),
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
    /// What goes into the archive, of images with their names, of indexes of them, and of
    /// artifacts. `lines` is what the store says of images and indexes.
    pub(crate) fn new(
        options: &crate::Options,
        images: Vec<Made>,
        lists: &[List],
        artifacts: &[PlannedArtifact],
        lines: &Lines,
    ) -> Self {
        let format = options.format;
        let layers = |one: &NamedImage| one.image.layers.clone();
        let documents = |one: &NamedImage| [one.image.config.clone(), one.image.manifest.clone()];
        let whole = |one: &NamedImage| layers(one).into_iter().chain(documents(one));
        if format == Format::DockerV1 {
            let images = images.into_iter().filter_map(|made| match made.documents {
                Documents::V1(image) => Some((made.names, image)),
                Documents::Oci(_) => None,
            });
            return Contents::Folders(images.collect());
        }
        let Oci { mut roots, images, of_lists } = oci_images(images, lists);
        lines.describe(&mut roots);
        roots.iter_mut().for_each(|root| root.ref_name.clone_from(&options.ref_name));
        let bundle = if format == Format::DockerArchive {
            let blobs = images.iter().flat_map(layers).chain(images.iter().flat_map(documents));
            Bundle::of(blobs.chain(of_lists), roots)
        } else {
            roots.extend(artifacts.iter().map(|artifact| artifact.root.clone()));
            let of_artifacts = artifacts.iter().flat_map(|artifact| artifact.blobs.iter().cloned());
            let first = if options.puts_layers_first() { &images[..] } else { &[] };
            let blobs = first.iter().flat_map(layers).chain(images.iter().flat_map(whole));
            Bundle::of(blobs.chain(of_lists).chain(of_artifacts), roots)
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

/// Images as blobs, with what leads to them.
struct Oci {
    roots: Vec<Root>,
    images: Vec<NamedImage>,
    /// Indexes and what goes along with them, each behind the blobs that it names.
    of_lists: Vec<Blob>,
}

/// The images with their roots: an index of several leads to each of them, unless one has a name of its own.
fn oci_images(made: Vec<Made>, lists: &[List]) -> Oci {
    let mut ids = Vec::with_capacity(made.len());
    let mut images = Vec::with_capacity(made.len());
    for Made { id, names, documents } in made {
        if let Documents::Oci(image) = documents {
            ids.push(id);
            images.push(NamedImage { names, image: *image });
        }
    }
    let by_id: HashMap<&str, &OciImage> =
        ids.iter().zip(&images).map(|(id, one)| (&**id, &one.image)).collect();
    let mut written: Vec<Option<(Root, Vec<Blob>)>> = lists.iter().map(|list| list.of(&by_id)).collect();
    let (mut roots, mut of_lists) = (Vec::new(), Vec::new());
    for (id, NamedImage { names, image }) in ids.iter().zip(&images) {
        let of_list = |name: &&Reference| !lists.iter().any(|list| list.has(id) && list.names.contains(name));
        let own: Vec<Reference> = names.iter().filter(of_list).cloned().collect();
        if !own.is_empty() || !lists.iter().any(|list| list.has(id)) {
            roots.push(Root { names: own, ..Root::new(image.manifest.descriptor.clone()) });
        }
        for (_, made) in lists.iter().zip(&mut written).filter(|(list, _)| list.has(id)) {
            if let Some((root, blobs)) = made.take() {
                roots.push(root);
                of_lists.extend(blobs);
            }
        }
    }
    Oci { roots, images, of_lists }
}

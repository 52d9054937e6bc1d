//! The seam between stores and everything else.

use std::collections::BTreeMap;

use layerlift_archive::Digest;

use crate::kind::StoreKind;
use crate::{
    Artifact, ChainId, Container, ContainerKey, ContainerListing, DiffId, DiffLayer, Error, Image, ImageKey,
    Index, IndexTree, Layer, LayerKey, LayerTar, Listing, Orphan, Remembered, RootFs, Selected,
};
use crate::{NetworkListing, VolumeListing};

/// A place where images are kept. Opened by [`crate::open()`]; all methods only read.
pub trait Store: Send + Sync {
    /// Which engine's.
    fn kind(&self) -> StoreKind;

    /// All images and indexes, and what cannot be read.
    fn images(&self) -> Result<Listing, Error>;

    /// What a name means: a repository (all its tags), `repository:tag`, `repository@digest`, an id, or a
    /// unique prefix of one. Never empty. The rules are those of [`crate::lookup`].
    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error>;

    /// An image's documents and layers, its parent chain checked. Keys of other stores are refused, here and
    /// below.
    fn image(&self, key: &ImageKey) -> Result<Image, Error>;

    /// An index as it is stored, with all its lines. `None` if it is not a document, but manifests that share
    /// a name.
    fn tree(&self, _index: &Index) -> Result<Option<IndexTree>, Error> {
        Ok(None)
    }

    /// What refers to images or indexes with these digests and is not in an index with them: signatures, for
    /// example.
    fn referrers(&self, _of: &[Digest]) -> Vec<Artifact> {
        Vec::new()
    }

    /// What the store says of a manifest or an index, beside its names: the annotations of its line in
    /// `index.json`, where it came from.
    fn annotations(&self, _digest: Digest) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The compressed blobs of a layer that registries have or had, as far as the store remembers them; what
    /// it has itself is not among them. The likeliest comes first.
    fn remembered(&self, _key: &LayerKey, _diff_id: DiffId) -> Vec<Remembered> {
        Vec::new()
    }

    /// Where the tar of a layer comes from. Opens files, and reads no layer bytes unless its record is
    /// damaged: then its digest can still prove it.
    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error>;

    /// Whether the records of a layer lead to its files, as its engine follows them. Fails if they do not:
    /// the engine takes such a layer for one that it has. No bytes are read.
    fn has_files(&self, key: &LayerKey) -> Result<(), Error> {
        self.layer(key).map(drop)
    }

    /// What an engine has unpacked of a layer, apart from where [`Store::layer`] finds its bytes: for a layer
    /// whose blob is damaged. `diff_ids` are those of its image up to this layer, base first.
    fn unpacked(&self, _key: &LayerKey, _diff_ids: &[DiffId]) -> Result<Option<LayerTar>, Error> {
        Ok(None)
    }

    /// The directories that make the root file system of an image. `None` if the store keeps its layers only
    /// as tars, or has not unpacked all of them.
    fn root_fs(&self, _image: &Image) -> Result<Option<RootFs>, Error> {
        Ok(None)
    }

    /// What the store has on record but lacks, although no image needs it: unpacked layers, for example. No
    /// layer is read.
    fn missing(&self) -> Result<Vec<Error>, Error> {
        Ok(Vec::new())
    }

    /// What messages call a layer: its id, or where that says little, the file that it is in.
    fn layer_name(&self, key: &LayerKey) -> String {
        key.id().to_owned()
    }

    /// The containers of the store's engine, where that engine keeps its containers with its images.
    fn containers(&self) -> Option<&dyn Containers> {
        None
    }
}

/// Containers beside the images of a store. All methods only read.
pub trait Containers: Send + Sync {
    /// All containers, and what cannot be read.
    fn containers(&self) -> Result<ContainerListing, Error>;

    /// Bytes of the files in a container's writable layer, links counted once. `None` if the container has no
    /// layer of its own.
    fn written(&self, key: &ContainerKey) -> Result<Option<u64>, Error>;

    /// What a container wrote, as a layer on top of those of its image: in the form that the `commit` of its
    /// engine gives it. Whiteouts that come from a comparison of trees have the time at which the container
    /// ended, else that at which it was made. `None` if the container has no layer of its own.
    fn layer(&self, container: &Container) -> Result<Option<DiffLayer>, Error>;

    /// The layers below it, base first, from the records of layers alone: for a container whose image was
    /// removed.
    fn below(&self, container: &Container) -> Result<Vec<Layer>, Error>;

    /// The layers below it, base first, if nothing is left of them but what was unpacked: for a container
    /// whose image was removed together with all records of its layers. The chain ids are those by which the
    /// engine calls them. Empty where [`Containers::below`] has all that there is.
    fn unpacked_below(&self, _container: &Container) -> Result<Vec<(ChainId, DiffLayer)>, Error> {
        Ok(Vec::new())
    }

    /// Whether it lies on the layers of an image, as far as that is recorded: the record that names the image
    /// may be wrong. True where nothing else says what is below.
    fn is_on(&self, container: &Container, image: &Image) -> Result<bool, Error> {
        let Ok(below) = self.below(container) else { return Ok(true) };
        let ids = |layers: &[Layer]| layers.iter().map(|layer| layer.diff_id).collect::<Option<Vec<_>>>();
        Ok(ids(&below).zip(ids(&image.layers)).is_none_or(|(below, of_image)| below == of_image))
    }

    /// The directories that make the root file system of a container: what it wrote, what its engine put
    /// below that, and the layers of its image, which may have been removed. `None` if the container has no
    /// layer of its own.
    fn root_fs(&self, container: &Container) -> Result<Option<RootFs>, Error>;

    /// Directories of layers that neither an image nor a container refers to.
    fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        Ok(Vec::new())
    }

    /// An orphan as a container of which nothing but its layer is known, and the lowest layers of
    /// [`Orphan::layers`] that records have. The base is first; the layer above the last of them has none.
    fn adopt(&self, orphan: &Orphan) -> Result<(Container, Vec<Layer>), Error> {
        Err(Error::not_found(orphan.id.clone()))
    }

    /// All volumes, and what cannot be read.
    fn volumes(&self) -> Result<VolumeListing, Error>;

    /// The networks that somebody made, as far as the store has them, and what cannot be read.
    fn networks(&self) -> Result<NetworkListing, Error> {
        Ok(NetworkListing::default())
    }
}

//! The images of all drivers of a root behind the [`Store`] trait.

use std::path::PathBuf;

use super::catalog::ContainersCatalog;
use super::images::Images;
use super::records::{ImageRecord, LayerId, LayerRecord};
use super::{bigdata, layers, lists, volumes, working};
use crate::diff::Form;
use crate::driver::{self, orphans};
use crate::kind::StoreKind;
use crate::lookup::{self, Match, Spelling};
use crate::{
    Broken, Container, ContainerKey, ContainerListing, ContainerRecord, Containers, DiffId, DiffLayer,
    Document, Error, Image, ImageKey, ImageSummary, Index, IndexSummary, IndexTree, Keyring, Layer, LayerKey,
    LayerTar, Listing, Orphan, Reference, Remembered, Root, RootFs, Selected, Store, VolumeListing,
};

/// The store of Podman, Buildah, CRI-O and skopeo, as it was when it was opened. A key's driver is as in the
/// names of directories, a layer's id the engine's own.
#[derive(Debug)]
pub(crate) struct ContainersStore {
    keys: Keyring,
    drivers: Vec<Images>,
    /// Drivers whose records could not be read, and why.
    unread: Vec<(String, Error)>,
    /// Directories that belong to the store and could not be opened, and why.
    closed: Vec<(PathBuf, Error)>,
}

impl ContainersStore {
    /// Reads the records of all `drivers`, the preferred first, in the root and in what belongs to it. What
    /// cannot be read hides nothing else.
    pub(super) fn read(drivers: Vec<String>, root: Root, beside: Vec<PathBuf>) -> Result<Self, Error> {
        let mut store = ContainersStore {
            keys: Keyring::new(),
            drivers: Vec::new(),
            unread: Vec::new(),
            closed: Vec::new(),
        };
        let mut places = vec![root];
        for path in beside {
            match Root::open(&path) {
                Ok(place) => places.push(place),
                Err(error) => store.closed.push((path, error)),
            }
        }
        let only = drivers.len() == 1;
        for driver in drivers {
            match Images::read(&driver, places.clone()) {
                Ok(images) => store.drivers.push(images),
                Err(error) if only => return Err(error),
                Err(error) => store.unread.push((driver, error)),
            }
        }
        Ok(store)
    }

    fn driver(&self, name: &str) -> Result<&Images, Error> {
        if let Some((_, error)) = self.unread.iter().find(|(driver, _)| driver == name) {
            return Err(error.clone());
        }
        let not_found = || Error::not_found(format!("driver {name}"));
        self.drivers.iter().find(|images| images.driver == name).ok_or_else(not_found)
    }

    /// A list is an index. One that cannot be read is an image that cannot be opened, and hides nothing else.
    fn selected(&self, found: Match) -> Selected {
        let Match { key, reference, .. } = found;
        let images = self.drivers.iter().find(|images| images.driver == key.partition());
        let list = |images: &&Images| images.image(key.id()).is_ok_and(|(record, _)| lists::is_list(record));
        match images.filter(list).map(|images| lists::index(&self.keys, images, key.id())) {
            Some(Ok(index)) => Selected::of_index(index, reference),
            Some(Err(_)) | None => Selected::of_image(key, reference),
        }
    }

    /// What Podman shows; the size is that of the layers' tars and of the documents.
    fn summary(
        &self,
        images: &Images,
        image: &ImageRecord,
        references: &[Reference],
    ) -> Result<ImageSummary, Error> {
        if !bigdata::has_config(image) {
            let (_, dir) = images.image(&image.id)?;
            return Err(bigdata::without_config(&dir, image));
        }
        let chain = images.chain(image)?;
        let documents = image.big_data_sizes.values().map(|size| u64::try_from(*size).ok());
        let sizes = chain.iter().map(|layer| layer.size()).chain(documents);
        let size = sizes.into_iter().try_fold(0u64, |sum, size| size.and_then(|size| sum.checked_add(size)));
        let key = self.keys.image(&images.driver, &image.id);
        Ok(ImageSummary {
            // Go's time of nothing.
            created: image.created.clone().filter(|created| !created.starts_with("0001-01-01T00:00:00")),
            size,
            digest: image.digest.as_ref().and_then(|digest| digest.parse().ok()),
            ..ImageSummary::new(key, references.to_vec(), chain.len())
        })
    }

    /// The layers of an image of which some have no record, if their ids follow the rule: those are lost, for
    /// this reason.
    fn in_part(
        &self,
        images: &Images,
        image: &ImageRecord,
        diff_ids: &[DiffId],
        why: Error,
    ) -> Result<Vec<Layer>, Error> {
        let mut layers = Vec::with_capacity(diff_ids.len());
        let mut below = None;
        for diff_id in diff_ids {
            let id = LayerId::by_rule(below, *diff_id);
            below = Some(id);
            let layer = Layer::new(self.keys.layer(&images.driver, id.to_string()), Some(*diff_id));
            layers.push(if images.is_recorded(id) { layer } else { layer.lost(why.clone()) });
        }
        let is_lost = layers.iter().any(|layer| layer.lost.is_some());
        if below == image.layer && is_lost { Ok(layers) } else { Err(why) }
    }

    /// A layer of an image whose config says that it is `diff_id`.
    fn named_by(&self, images: &Images, layer: &LayerRecord, diff_id: DiffId) -> Result<Layer, Error> {
        match layer.diff_id() {
            Some(recorded) if recorded != diff_id => {
                let why = format!("its diff id is {recorded}, the image's config has {diff_id}");
                Err(images.malformed_layer(layer.id, &why))
            }
            _ => {
                let key = self.keys.layer(&images.driver, layer.id.to_string());
                Ok(Layer::new(key, Some(diff_id)))
            }
        }
    }
}

impl Store for ContainersStore {
    fn kind(&self) -> StoreKind {
        StoreKind::ContainersStorage
    }

    fn images(&self) -> Result<Listing, Error> {
        let mut listing = Listing::default();
        for images in &self.drivers {
            for (image, references) in images.all() {
                let added = match lists::is_list(image) {
                    true => lists::index(&self.keys, images, &image.id).map(|index| {
                        listing.indexes.push(IndexSummary::new(image.id.clone(), index, references.to_vec()));
                    }),
                    false => {
                        self.summary(images, image, references).map(|summary| listing.images.push(summary))
                    }
                };
                if let Err(error) = added {
                    let key = self.keys.image(&images.driver, &image.id);
                    listing.broken.push(Broken::new(&image.id, references.to_vec(), error).in_part(key));
                }
            }
            listing.broken.extend(images.broken());
            listing.lost.extend(images.lost());
            listing.notices.extend(images.notices.iter().cloned());
        }
        let unread = self.unread.iter().map(|(driver, error)| (format!("the images of {driver}"), error));
        let closed = self.closed.iter().map(|(path, error)| (path.display().to_string(), error));
        let lost = |(what, error): (String, &Error)| error.clone().within(what);
        listing.lost.extend(unread.chain(closed).map(lost));
        listing.sort();
        Ok(listing)
    }

    fn remembered(&self, key: &LayerKey, diff_id: DiffId) -> Vec<Remembered> {
        let Ok(images) = self.driver(key.partition()) else { return Vec::new() };
        let record = LayerId::parse(key.id()).and_then(|id| images.layer(id, "the request").ok());
        let digest = record.and_then(|record| record.compressed_diff_digest.as_deref()?.parse().ok());
        let digest = digest.filter(|digest| *digest != diff_id.0);
        digest.map(|digest| Remembered { digest, repository: None }).into_iter().collect()
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        match lookup::resolve(&ContainersCatalog::new(&self.keys, &self.drivers), Spelling::Qualified, name) {
            // The name may well stand in a file that cannot be read.
            Err(not_found @ Error::NotFound { .. }) => {
                let unread = self.drivers.iter().find_map(Images::unread);
                let unread = unread.or_else(|| self.unread.first().map(|(_, error)| error.clone()));
                Err(unread.unwrap_or(not_found))
            }
            resolved => Ok(resolved?.into_iter().map(|found| self.selected(found)).collect()),
        }
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.keys.check_image(key)?;
        let images = self.driver(key.partition())?;
        let (record, dir) = images.image(key.id())?;
        if lists::is_list(record) {
            // Here only one whose index could not be read is taken for an image.
            let error = lists::index(&self.keys, images, key.id()).err();
            return Err(error.unwrap_or_else(|| Error::not_found(key.id())));
        }
        let chain = images.chain(record);
        let documents = bigdata::documents(&dir, record)?;
        let diff_ids = &documents.config.diff_ids;
        let document = Document::Config { raw: documents.raw, manifests: documents.manifests };
        let chain = match chain {
            Err(error @ (Error::Missing { .. } | Error::Malformed { .. })) => {
                let layers = self.in_part(images, record, diff_ids, error)?;
                return Ok(Image::new(key.clone(), document, layers));
            }
            chain => chain?,
        };
        if diff_ids.len() != chain.len() {
            let why = format!("image {} has {} layers, its config {}", key.id(), chain.len(), diff_ids.len());
            return Err(Error::malformed(dir.join("images.json"), why));
        }
        let layers =
            chain.iter().zip(diff_ids).map(|(layer, diff_id)| self.named_by(images, layer, *diff_id));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Image::new(key.clone(), document, layers))
    }

    fn tree(&self, index: &Index) -> Result<Option<IndexTree>, Error> {
        for images in &self.drivers {
            if let Some(tree) = lists::tree(images, index)? {
                return Ok(Some(tree));
            }
        }
        Ok(None)
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.keys.check_layer(key)?;
        layers::tar(self.driver(key.partition())?, key)
    }

    fn has_files(&self, key: &LayerKey) -> Result<(), Error> {
        self.keys.check_layer(key)?;
        layers::has_files(self.driver(key.partition())?, key)
    }

    fn root_fs(&self, image: &Image) -> Result<Option<RootFs>, Error> {
        self.keys.check_image(&image.key)?;
        layers::root_fs(self.driver(image.key.partition())?, image).map(Some)
    }

    fn containers(&self) -> Option<&dyn Containers> {
        Some(self)
    }
}

impl Containers for ContainersStore {
    fn containers(&self) -> Result<ContainerListing, Error> {
        working::list(&self.keys, &self.drivers)
    }

    fn written(&self, key: &ContainerKey) -> Result<Option<u64>, Error> {
        self.keys.check_container(key)?;
        working::written(self.driver(key.partition())?, key)
    }

    fn layer(&self, container: &Container) -> Result<Option<DiffLayer>, Error> {
        self.keys.check_container(&container.key)?;
        let images = self.driver(container.key.partition())?;
        let root_fs = working::root_fs(images, &container.key).transpose();
        let layer = working::layer(images, container)?;
        Ok(layer.map(|layer| match root_fs {
            Some(root_fs) => layer.in_root_fs(root_fs),
            None => layer,
        }))
    }

    fn below(&self, container: &Container) -> Result<Vec<Layer>, Error> {
        self.keys.check_container(&container.key)?;
        working::below(&self.keys, self.driver(container.key.partition())?, &container.key)
    }

    fn root_fs(&self, container: &Container) -> Result<Option<RootFs>, Error> {
        self.keys.check_container(&container.key)?;
        working::root_fs(self.driver(container.key.partition())?, &container.key)
    }

    fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        let mut all = Vec::new();
        for images in &self.drivers {
            let Ok(driver) = driver::find_containers(&images.driver) else { continue };
            let Some(root) = images.places.first() else { continue };
            let of_containers = working::layers_of_all(images)?;
            let named = images.layers_of_images().chain(images.flawed_layers.keys());
            let named = named.map(LayerId::to_string).chain(of_containers).collect();
            all.extend(orphans::find(driver, root, &named, Form::ContainersStorage)?);
        }
        Ok(all)
    }

    fn adopt(&self, orphan: &Orphan) -> Result<(Container, Vec<Layer>), Error> {
        let images = self.driver(&orphan.driver)?;
        let record = ContainerRecord::Storage { record: None, runtime: None, builder: None, lacks: None };
        let key = self.keys.container(&orphan.driver, &orphan.id);
        let container = Container::of_orphan(key, record, orphan.modified_secs);
        let (mut layers, mut below) = (Vec::new(), None);
        for id in orphan.below.iter().rev().flatten() {
            let known = LayerId::parse(id).and_then(|id| images.layers.get(&id));
            let Some(known) = known.filter(|known| known.record.parent == below) else { break };
            let Some(diff_id) = known.record.diff_id() else { break };
            layers.push(Layer::new(self.keys.layer(&orphan.driver, id.clone()), Some(diff_id)));
            below = Some(known.record.id);
        }
        Ok((container, layers))
    }

    fn volumes(&self) -> Result<VolumeListing, Error> {
        match self.drivers.first().and_then(|images| images.places.first()) {
            Some(root) => volumes::read(root),
            None => Ok(VolumeListing::default()),
        }
    }
}

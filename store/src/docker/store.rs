//! The images of all drivers of a data root behind the [`Store`] trait.

use std::collections::HashSet;
use std::io;

use super::catalog::DockerCatalog;
use super::images::{Found, ImageRoot, Images};
use super::layerdb::{LayerDb, Record as LayerRecord};
use super::{distribution, imagedb, listing, lost, networks, unclaimed, unrecorded, volumes, working};
use crate::diff::owners::Owners;
use crate::diff::{Form, LayerDir, Watch};
use crate::driver::lower::INIT;
use crate::driver::{self, Driver, Holds, orphans};
use crate::kind::StoreKind;
use crate::lookup::{self, Match, Spelling};
use crate::model::config;
use crate::tarsplit::{self, Record};
use crate::{
    ChainId, Container, ContainerKey, ContainerListing, Containers, DiffId, DiffLayer, Document, Error,
    Image, ImageKey, Layer, LayerKey, LayerTar, Listing, NetworkListing, Notice, Orphan, Remembered, Root,
    RootFs, Selected, Store, VolumeListing,
};

/// Docker's image store since 1.10. The partition of a key is a driver, the id of a layer its chain id in
/// hex.
#[derive(Debug)]
pub(crate) struct DockerStore {
    images: Images,
}

impl DockerStore {
    pub(super) fn new(images: Images) -> Self {
        DockerStore { images }
    }

    /// What owners its files have in containers.
    fn owners(&self) -> Owners {
        Owners::of_docker(self.images.data.path())
    }

    /// Of the drivers that have the image, chooses the first that has all of its layers. If none has, the one
    /// that was found stays.
    fn readable(&self, mut found: Match) -> Result<Selected, Error> {
        let id = found.key.id();
        let mut keys = Vec::new();
        for images in self.images.roots.iter().filter(|_| self.images.roots.len() > 1) {
            if crate::hex_id(id) && imagedb::exists(&images.root, id)? {
                keys.push(self.images.keys.image(&images.driver, id));
            }
        }
        if keys.len() > 1
            && let Some(key) = keys.into_iter().find(|key| self.locate(key).is_ok())
        {
            found.key = key;
        }
        Ok(found.into())
    }

    /// Opens the directories of all layers of an image.
    fn locate(&self, key: &ImageKey) -> Result<(), Error> {
        let driver = driver::find(key.partition())?;
        let root = self.images.root(key.partition(), key.id())?;
        let layers = LayerDb::open(root)?;
        for (chain, ..) in config::chain(&imagedb::config(root, key.id())?.1.diff_ids) {
            self.tree(driver, &layers, chain)?;
        }
        Ok(())
    }

    /// The directory of a layer.
    fn tree(&self, driver: &Driver, layers: &LayerDb, chain: ChainId) -> Result<Root, Error> {
        self.directory(driver, &layers.cache_id(chain)?, chain)
    }

    /// The same, also for a layer whose record is damaged.
    fn unpacked(&self, layer: &Layer) -> Result<Root, Error> {
        let key = &layer.key;
        let (driver, layers) =
            (driver::find(key.partition())?, LayerDb::open(self.images.root(key.partition(), key.id())?)?);
        let chain = layerlift_archive::Digest::from_hex(key.id()).map(ChainId);
        match self.tree(driver, &layers, chain.ok_or_else(|| Error::not_found(key.id()))?) {
            Err(error) if is_of_record(&error) => match Store::layer(self, key) {
                Ok(LayerTar::Split(layer)) => Ok(layer.tree().clone()),
                Ok(LayerTar::Diff(layer)) => Ok(layer.dir),
                _ => Err(error),
            },
            found => found,
        }
    }

    /// Whether the record of a layer is lost, and its directory may be there.
    fn is_unrecorded(&self, key: &ImageKey, chain: ChainId, records: &LayerDb) -> Result<bool, Error> {
        let images = self.images.place(key.partition(), key.id())?;
        Ok(!records.has(chain)? && unrecorded::find(&self.images, images, chain).is_some())
    }

    /// A layer whose record is lost as a whole. `lost` is the error if nothing says which directory it has.
    fn unrecorded(
        &self,
        images: &ImageRoot,
        layers: &LayerDb,
        (chain, diff_id): (ChainId, DiffId),
        lost: Error,
    ) -> Result<DiffLayer, Error> {
        let driver = driver::find(&images.driver)?;
        let Some(Found { id, is_proven }) = unrecorded::find(&self.images, images, chain) else {
            return Err(lost);
        };
        let tree = self.directory(driver, id, chain)?;
        let (root, path) = (images.root.clone(), layers.folder(chain));
        // Docker removes the config of an image before its layers.
        let watch = Watch::new(move || match in_configs(&root, chain)? {
            Some(_) => Ok(()),
            None => Err(Error::Changed { path: path.clone() }),
        });
        let layer = DiffLayer::new(tree, LayerDir::Upper, 0).in_form(Form::Docker28).watched(watch);
        let layer = layer.owned(self.owners());
        let path = layers.folder(chain);
        if !is_proven {
            let made = LayerTar::Diff(layer.clone()).write_to(&mut io::sink());
            if !made.is_ok_and(|made| made.diff_id == diff_id) {
                let why = format!(
                    "it is the record of a layer whose directory may be {id}; but the tar that is made of \
                     that is not {diff_id}"
                );
                return Err(Error::NotThere { path, why });
            }
        }
        let what = format!("it is missing; the layer is made again from its directory, {id}");
        Ok(layer.without_record(Notice::new(path, what)))
    }

    fn directory(&self, driver: &Driver, cache_id: &str, chain: ChainId) -> Result<Root, Error> {
        driver.open(&self.images.data, cache_id, &format!("layer {}", chain.0.hex()))
    }
}

impl Store for DockerStore {
    fn kind(&self) -> StoreKind {
        StoreKind::Docker
    }

    fn images(&self) -> Result<Listing, Error> {
        listing::list(&self.images)
    }

    fn resolve(&self, name: &str) -> Result<Vec<Selected>, Error> {
        let catalog = DockerCatalog::read(&self.images);
        match lookup::resolve(&catalog, Spelling::Familiar, name) {
            Ok(found) => found.into_iter().map(|found| self.readable(found)).collect(),
            // The name may be in the file that cannot be read.
            Err(not_found @ Error::NotFound { .. }) => Err(catalog.error.unwrap_or(not_found)),
            Err(error) => Err(error),
        }
    }

    fn image(&self, key: &ImageKey) -> Result<Image, Error> {
        self.images.keys.check_image(key)?;
        let root = self.images.root(key.partition(), key.id())?;
        let (raw, config) = imagedb::config(root, key.id())?;
        let mut layers = Vec::with_capacity(config.diff_ids.len());
        let mut notices = Vec::new();
        if !config.diff_ids.is_empty() {
            let records = LayerDb::open(root)?;
            for (chain, parent, diff_id) in config::chain(&config.diff_ids) {
                let layer = Layer::new(self.images.keys.layer(key.partition(), chain.0.hex()), Some(diff_id));
                layers.push(match records.check(chain, parent, diff_id) {
                    Ok(notice) => {
                        notices.extend(notice);
                        layer
                    }
                    // What is made of it says so.
                    Err(_) if self.is_unrecorded(key, chain, &records)? => layer,
                    Err(error) => layer.lost(error),
                });
            }
        }
        let document = Document::Config { raw, manifests: Vec::new() };
        Ok(Image { notices, ..Image::new(key.clone(), document, layers) })
    }

    fn remembered(&self, key: &LayerKey, diff_id: DiffId) -> Vec<Remembered> {
        let root = self.images.root(key.partition(), key.id());
        root.map_or_else(|_| Vec::new(), |root| distribution::remembered(root, diff_id))
    }

    fn layer(&self, key: &LayerKey) -> Result<LayerTar, Error> {
        self.images.keys.check_layer(key)?;
        let root = self.images.root(key.partition(), key.id())?;
        let chain = layerlift_archive::Digest::from_hex(key.id()).map(ChainId);
        let chain = chain.ok_or_else(|| Error::not_found(key.id()))?;
        let layers = LayerDb::open(root)?;
        let record = match layers.record(chain) {
            Err(error) if is_of_record(&error) => {
                let Some(record) = in_configs(root, chain)? else { return Err(error) };
                if !layers.has(chain)? {
                    let images = self.images.place(key.partition(), key.id())?;
                    let layer = self.unrecorded(images, &layers, (chain, record.diff_id), error)?;
                    return Ok(LayerTar::Diff(layer));
                }
                record
            }
            record => record?,
        };
        let driver = driver::find(key.partition())?;
        let cache_id = match layers.cache_id(chain) {
            Err(error) if is_of_record(&error) => {
                let layer =
                    unclaimed::find(&self.images.data, driver, &layers, (chain, record.diff_id), error)?;
                return Ok(LayerTar::Split(layer));
            }
            cache_id => cache_id?,
        };
        let tree = match self.directory(driver, &cache_id, chain) {
            // The id may have been cut: another directory can be the layer's.
            Err(error @ Error::Missing { .. }) => {
                let layer =
                    unclaimed::find(&self.images.data, driver, &layers, (chain, record.diff_id), error)?;
                return Ok(LayerTar::Split(layer));
            }
            tree => tree?,
        };
        let unusable = match layers.tar_split(chain)? {
            None => None,
            Some((metadata, path)) => {
                match tarsplit::open(tree.clone(), metadata, path, Some(record.diff_id), None)? {
                    Record::Exact(layer) => return Ok(LayerTar::Split(layer)),
                    Record::Unusable(unusable) => Some(unusable),
                }
            }
        };
        let holds = match (driver.holds, record.parent) {
            (Holds::Upper, _) => LayerDir::Upper,
            (Holds::Full, None) => LayerDir::Full { parent: None },
            (Holds::Full, Some(parent)) => {
                LayerDir::Full { parent: Some(self.tree(driver, &layers, parent)?) }
            }
        };
        let has_tar_split = unusable.is_some();
        layers.still(chain, &cache_id, has_tar_split)?;
        let watch = Watch::new(move || layers.still(chain, &cache_id, has_tar_split));
        // A layer can belong to many images, so none of them gives the time for whiteouts.
        let layer = DiffLayer::new(tree, holds, 0).in_form(Form::Docker28);
        let layer = layer.in_place_of(unusable).watched(watch).owned(self.owners());
        Ok(LayerTar::Diff(layer))
    }

    fn has_files(&self, key: &LayerKey) -> Result<(), Error> {
        self.images.keys.check_layer(key)?;
        let chain = layerlift_archive::Digest::from_hex(key.id()).map(ChainId);
        let chain = chain.ok_or_else(|| Error::not_found(key.id()))?;
        let layers = LayerDb::open(self.images.root(key.partition(), key.id())?)?;
        layers.record(chain)?;
        self.tree(driver::find(key.partition())?, &layers, chain).map(drop)
    }

    fn root_fs(&self, image: &Image) -> Result<Option<RootFs>, Error> {
        self.images.keys.check_image(&image.key)?;
        let driver = driver::find(image.key.partition())?;
        let mut dirs = image.layers.iter().rev().map(|layer| self.unpacked(layer));
        let root_fs = match (driver.holds, image.layers.last()) {
            (Holds::Full, Some(top)) => RootFs::whole(self.unpacked(top)?, Form::Docker28),
            _ => RootFs::stacked(dirs.by_ref().collect::<Result<_, _>>()?, driver.name, Form::Docker28),
        };
        Ok(Some(root_fs.owned(self.owners())))
    }

    fn containers(&self) -> Option<&dyn Containers> {
        Some(self)
    }
}

impl Containers for DockerStore {
    fn containers(&self) -> Result<ContainerListing, Error> {
        working::list(&self.images)
    }

    fn written(&self, key: &ContainerKey) -> Result<Option<u64>, Error> {
        working::written(&self.images, key).map(Some)
    }

    fn layer(&self, container: &Container) -> Result<Option<DiffLayer>, Error> {
        let root_fs = working::root_fs(&self.images, &container.key, |layer| self.unpacked(layer));
        Ok(Some(working::layer(&self.images, container)?.in_root_fs(root_fs)))
    }

    fn below(&self, container: &Container) -> Result<Vec<Layer>, Error> {
        working::below(&self.images, &container.key)
    }

    fn root_fs(&self, container: &Container) -> Result<Option<RootFs>, Error> {
        working::root_fs(&self.images, &container.key, |layer| self.unpacked(layer)).map(Some)
    }

    fn orphans(&self) -> Result<Vec<Orphan>, Error> {
        let mut all = Vec::new();
        let data = &self.images.data;
        for place in self.images.with_layers() {
            // A driver whose layers are not directories has none.
            let Ok(driver) = driver::find(&place.driver) else { continue };
            let mut named = match place.root.exists("layerdb/sha256")? {
                true => LayerDb::open(&place.root)?.cache_ids()?,
                false => HashSet::new(),
            };
            // Of a layer that two containers name, nothing says whose it is.
            for (mount, _) in place.owners().iter().filter(|(_, owners)| owners.len() > 1) {
                named.remove(mount);
                named.remove(&format!("{mount}{INIT}"));
            }
            all.extend(orphans::find(driver, data, &named, Form::Docker28)?);
        }
        // Without any record, nothing is named.
        for (name, _) in lost::drivers(data)? {
            all.extend(orphans::find(driver::find(name)?, data, &HashSet::new(), Form::Docker28)?);
        }
        Ok(all)
    }

    fn adopt(&self, orphan: &Orphan) -> Result<(Container, Vec<Layer>), Error> {
        working::adopt(&self.images, orphan)
    }

    fn volumes(&self) -> Result<VolumeListing, Error> {
        volumes::read(&self.images.data)
    }

    fn networks(&self) -> Result<NetworkListing, Error> {
        networks::read(&self.images.data)
    }
}

/// Whether the record itself is to blame.
fn is_of_record(error: &Error) -> bool {
    matches!(error, Error::Missing { .. } | Error::Malformed { .. } | Error::Damaged { .. })
}

/// What the configs of images say of a layer.
fn in_configs(root: &Root, chain: ChainId) -> Result<Option<LayerRecord>, Error> {
    for id in imagedb::ids(root)? {
        let Ok((_, config)) = imagedb::config(root, &id) else { continue };
        if let Some((_, parent, diff_id)) =
            config::chain(&config.diff_ids).find(|(found, ..)| *found == chain)
        {
            return Ok(Some(LayerRecord { diff_id, parent }));
        }
    }
    Ok(None)
}

//! The listing of all drivers, as `docker images` shows it.
//!
//! Only `size` is read of a layer, and only once however many images share it. If it can be read, the layer
//! is in `layerdb`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use super::images::{ImageRoot, Images};
use super::layerdb::LayerDb;
use super::{imagedb, repositories};
use crate::model::config;
use crate::{Broken, ChainId, Error, ImageSummary, Keyring, Listing, Reference, Root, parallel};

pub(super) fn list(all: &Images) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for images in &all.roots {
        match add(&all.keys, images, &mut listing) {
            Err(error) if all.roots.len() > 1 => {
                let what = format!("images of driver {}", images.driver);
                listing.broken.push(Broken { what, references: Vec::new(), error });
            }
            added => added?,
        }
    }
    listing.sort();
    Ok(listing)
}

fn add(keys: &Keyring, images: &ImageRoot, listing: &mut Listing) -> Result<(), Error> {
    let root = &images.root;
    let mut references = references(root, &mut listing.broken);
    let mut ids = imagedb::ids(root)?;
    let steps = imagedb::build_steps(root, &ids);
    ids.retain(|id| references.contains_key(id) || !steps.contains(id));
    ids.extend(references.keys().filter(|id| ids.binary_search(id).is_err()).cloned().collect::<Vec<_>>());
    let sizes = Sizes::default();
    let summaries = parallel::map(&ids, |id| summary(keys, images, id, &sizes));
    for (id, result) in ids.iter().zip(summaries) {
        let references = references.remove(id).unwrap_or_default();
        match result {
            Ok(summary) => listing.images.push(ImageSummary { references, ..summary }),
            Err(error) => listing.broken.push(Broken { what: id.clone(), references, error }),
        }
    }
    Ok(())
}

/// Names by image.
fn references(root: &Root, broken: &mut Vec<Broken>) -> BTreeMap<String, Vec<Reference>> {
    let (repositories, wrong) = repositories::read(root);
    let file = |error| Broken { what: repositories::FILE.to_owned(), references: Vec::new(), error };
    broken.extend(wrong.into_iter().map(file));
    let mut by_image: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for (repository, tags) in repositories {
        for (tag, image) in tags {
            let reference = Reference::new(&repository, tag);
            by_image.entry(image).or_default().push(reference);
        }
    }
    by_image
}

fn summary(keys: &Keyring, images: &ImageRoot, id: &str, sizes: &Sizes) -> Result<ImageSummary, Error> {
    let config = imagedb::config(&images.root, id)?.1;
    let mut size = Some(0u64);
    if !config.diff_ids.is_empty() {
        let layers = LayerDb::open(&images.root)?;
        for (chain, ..) in config::chain(&config.diff_ids) {
            let layer = layer_size(&layers, chain, sizes)?;
            size = size.zip(layer).map(|(below, layer)| below.saturating_add(layer));
        }
    }
    Ok(ImageSummary {
        key: keys.image(&images.driver, id),
        references: Vec::new(),
        created: config.created,
        size,
        layers: config.diff_ids.len(),
    })
}

/// Sizes of layers that were read.
type Sizes = Mutex<HashMap<ChainId, Option<u64>>>;

/// A layer without a readable size is still complete. One without a record is not.
fn layer_size(layers: &LayerDb, chain: ChainId, sizes: &Sizes) -> Result<Option<u64>, Error> {
    let known = || sizes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&size) = known().get(&chain) {
        return Ok(size);
    }
    let size = layers.size(chain).ok();
    if size.is_none() {
        layers.record(chain)?;
    }
    known().insert(chain, size);
    Ok(size)
}

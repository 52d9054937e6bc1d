//! The listing of all drivers, as `docker images` shows it.
//!
//! Only `size` is read of a layer, and only once however many images share it. If it can be read, the layer
//! is in `layerdb`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use super::images::{ImageRoot, Images};
use super::layerdb::LayerDb;
use super::{imagedb, repositories, unrecorded};
use crate::model::config;
use crate::names::{MOMENTS, Names};
use crate::{Broken, ChainId, DiffId, Error, ErrorKind, ImageSummary, Listing, parallel};

pub(super) fn list(all: &Images) -> Result<Listing, Error> {
    let mut listing = Listing { lost: all.lost.clone(), ..Listing::default() };
    for images in &all.roots {
        match steady(all, images) {
            Err(error) if all.roots.len() > 1 => {
                listing.lost.push(error.within(format!("images of driver {}", images.driver)));
            }
            added => listing.append(added?),
        }
    }
    Ok(listing)
}

/// The images of one driver. Beside a running Docker, one that is removed between its name and its config
/// looks as if its config were missing. So names and ids are read again, and if they have changed, so is
/// everything.
fn steady(all: &Images, images: &ImageRoot) -> Result<Listing, Error> {
    let mut moments = 1;
    loop {
        let names = repositories::read(all, images);
        let ids = imagedb::ids(&images.root)?;
        let listing = at_one_moment(all, images, &names, &ids)?;
        let missing = |broken: &Broken| broken.error.kind() == ErrorKind::Missing;
        let complete = listing.lost.is_empty() && !listing.broken.iter().any(missing);
        let changed = || {
            repositories::file(all, images).changed(&names)
                || imagedb::ids(&images.root).is_ok_and(|now| now != ids)
        };
        if complete || moments == MOMENTS || !changed() {
            return Ok(listing);
        }
        moments += 1;
    }
}

fn at_one_moment(
    stores: &Images,
    images: &ImageRoot,
    names: &Names,
    ids: &[String],
) -> Result<Listing, Error> {
    let mut listing = Listing { lost: names.lost.clone(), ..Listing::default() };
    let mut references = names.by_image();
    // An image that has lost its name looks like one that only others were built on.
    let noted = imagedb::noted(&images.root, ids, &mut listing.notices);
    let steps = match names.lost.is_empty() {
        true => imagedb::build_steps(&images.root, ids, &noted, &mut listing.notices),
        false => HashSet::new(),
    };
    let mut all: BTreeSet<&str> = ids.iter().chain(&noted).map(String::as_str).collect();
    all.extend(references.keys().copied());
    let all: Vec<&str> = all.into_iter().collect();
    let sizes = Sizes::default();
    let summaries = parallel::map(&all, |id| summary(stores, images, id, &sizes));
    for (id, result) in all.into_iter().zip(summaries) {
        let references = references.remove(id).unwrap_or_default();
        let intermediate = references.is_empty() && steps.contains(id);
        let result = result.map(|(summary, lost)| {
            for error in lost {
                if !listing.lost.iter().any(|known| known.to_string() == error.to_string()) {
                    listing.lost.push(error);
                }
            }
            summary
        });
        match result {
            Ok(summary) if intermediate => listing.intermediate.push(summary),
            Ok(summary) => listing.images.push(ImageSummary { references, ..summary }),
            // Others are complete without it.
            Err(error) if intermediate => listing.lost.push(error.within(format!("image {id}"))),
            Err(error) => {
                let key = stores.keys.image(&images.driver, id);
                listing.broken.push(Broken::new(id, references, error).in_part(key));
            }
        }
    }
    Ok(listing)
}
/// An image, and what is lost of the records of its layers.
fn summary(
    stores: &Images,
    images: &ImageRoot,
    id: &str,
    sizes: &Sizes,
) -> Result<(ImageSummary, Vec<Error>), Error> {
    let mut lost = Vec::new();
    let config = imagedb::config(&images.root, id)?.1;
    let mut size = Some(0u64);
    if !config.diff_ids.is_empty() {
        let layers = LayerDb::open(&images.root)?;
        for layer in config::chain(&config.diff_ids) {
            let layer = match layer_size(&layers, layer, sizes) {
                Err(error)
                    if !layers.has(layer.0)? && unrecorded::find(stores, images, layer.0).is_some() =>
                {
                    lost.push(error);
                    None
                }
                size => size?,
            };
            size = size.zip(layer).map(|(below, layer)| below.saturating_add(layer));
        }
    }
    let summary = ImageSummary {
        created: config.created,
        size,
        ..ImageSummary::new(stores.keys.image(&images.driver, id), Vec::new(), config.diff_ids.len())
    };
    Ok((summary, lost))
}

/// Sizes of layers that were read.
type Sizes = Mutex<HashMap<ChainId, Option<u64>>>;

/// A layer without a readable size is still complete. One without a record is not.
fn layer_size(
    layers: &LayerDb,
    (chain, parent, diff_id): (ChainId, Option<ChainId>, DiffId),
    sizes: &Sizes,
) -> Result<Option<u64>, Error> {
    let known = || sizes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&size) = known().get(&chain) {
        return Ok(size);
    }
    let size = layers.size(chain).ok();
    if size.is_none() {
        layers.check(chain, parent, diff_id)?;
    }
    known().insert(chain, size);
    Ok(size)
}

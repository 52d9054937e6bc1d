//! Layers whose record is lost as a whole, as after a restore in part: `layerdb/sha256/<chain id>` is not
//! there.
//!
//! ```text
//! imagedb/content/sha256/<image id>            the chain ids of an image, and the diff id of each layer
//! <driver>/<cache id>/{lower,link}             which directories are below another; see `driver::lower`
//! layerdb/mounts/<container>/{parent,init-id}  a container's layers, and what is below them
//! ```
//!
//! If the record of a layer further up, or a container on top of it, is there, what the driver mounted below
//! that says which directory is the layer's. Otherwise it is the only one on the right layers that nobody
//! else has, if its files have the layer's diff id. Exact headers were in the record; so the tar is made in
//! the form of today's Docker, and its digest decides whether it is the layer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::images::{Found, ImageRoot, Images};
use super::layerdb::LayerDb;
use super::{imagedb, mounts};
use crate::driver::lower::{INIT, Lower};
use crate::driver::{self, Driver, Holds};
use crate::model::config;
use crate::{ChainId, Error};

/// The directory of a layer without a record. `None` if nothing says which it is. All are looked for at once,
/// the first time.
pub(super) fn find<'a>(all: &Images, images: &'a ImageRoot, chain: ChainId) -> Option<&'a Found> {
    let look = || driver::find(&images.driver).and_then(|driver| directories(all, images, driver));
    images.unrecorded.get_or_init(|| look().unwrap_or_default()).get(&chain)
}

/// What is known of a layer without a record.
#[derive(Default)]
struct Clues {
    /// The layers below, the uppermost first.
    parents: Vec<ChainId>,
    /// Directories that the driver mounted in its place.
    named: BTreeSet<String>,
}

fn directories(all: &Images, images: &ImageRoot, driver: &Driver) -> Result<HashMap<ChainId, Found>, Error> {
    let mut found = HashMap::new();
    if driver.holds == Holds::Full {
        return Ok(found);
    }
    let (data, layers) = (&all.data, LayerDb::open(&images.root)?);
    let known: HashMap<ChainId, String> =
        layers.by_cache_id()?.into_iter().map(|(id, chain)| (chain, id)).collect();
    // Layers on top of which something is mounted, and what that is.
    let mut tops: HashMap<ChainId, Vec<(String, usize)>> = HashMap::new();
    for (mount, parent) in mounts::parents(&images.root) {
        tops.entry(parent).or_default().push((format!("{mount}{INIT}"), 0));
    }
    for (chain, id) in &known {
        tops.entry(*chain).or_default().push((id.clone(), 1));
    }
    let lower = Lower::read(driver, data)?;
    let mut below: HashMap<String, Vec<Option<String>>> = HashMap::new();
    let mut lost: BTreeMap<ChainId, Clues> = BTreeMap::new();
    for id in imagedb::ids(&images.root)? {
        let Ok((_, config)) = imagedb::config(&images.root, &id) else { continue };
        let chains: Vec<ChainId> = config::chain(&config.diff_ids).map(|(chain, ..)| chain).collect();
        for (place, chain) in chains.iter().enumerate() {
            if layers.has(*chain)? {
                continue;
            }
            let clues = lost.entry(*chain).or_default();
            clues.parents = chains[..place].iter().rev().copied().collect();
            for (distance, above) in chains[place..].iter().enumerate() {
                for (id, itself) in tops.get(above).into_iter().flatten() {
                    let stack = below
                        .entry(id.clone())
                        .or_insert_with(|| lower.chain(id).map(|chain| chain.below).unwrap_or_default());
                    let place = distance.checked_sub(*itself);
                    clues.named.extend(place.and_then(|place| stack.get(place)?.clone()));
                }
            }
        }
    }
    if lost.is_empty() {
        return Ok(found);
    }
    let claimed = layers.cache_ids()?;
    let free = driver.ids(data)?.into_iter().filter(|id| !claimed.contains(id) && !id.ends_with(INIT));
    let free: BTreeSet<String> = free.collect();
    let stacks: Vec<(&String, Vec<Option<String>>)> =
        free.iter().filter_map(|id| Some((id, lower.chain(id).ok()?.below))).collect();
    for (chain, Clues { parents, named }) in lost {
        let mut named = named.intersection(&free);
        match (named.next(), named.next()) {
            (Some(id), None) => {
                found.insert(chain, Found { id: id.clone(), is_proven: true });
                continue;
            }
            // They contradict each other.
            (Some(_), Some(_)) => continue,
            (None, _) => {}
        }
        let same = |(one, parent): (&Option<String>, &ChainId)| {
            known.get(parent).is_none_or(|id| one.as_ref() == Some(id))
        };
        let mut alike = stacks
            .iter()
            .filter(|(_, below)| below.len() == parents.len() && below.iter().zip(&parents).all(same));
        if let (Some((id, _)), None) = (alike.next(), alike.next()) {
            found.insert(chain, Found { id: (*id).clone(), is_proven: false });
        }
    }
    Ok(found)
}
